//! Addresses in a text.

use std::ops::Range;

/// The byte ranges of the web addresses in `text`, without punctuation that ends the sentence around them.
pub fn links(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = next_scheme(text, from) {
        let rest = &text[start..];
        let end = rest.find(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"'));
        let mut link = &rest[..end.unwrap_or(rest.len())];
        loop {
            let unbalanced = link.ends_with(')') && link.matches('(').count() < link.matches(')').count();
            let shorter = link.strip_suffix(['.', ',', ';', ':', '!', '?', '\'', ']', '…']);
            match shorter.or(if unbalanced { link.strip_suffix(')') } else { None }) {
                Some(shorter) => link = shorter,
                None => break,
            }
        }
        if !link.ends_with("://") {
            found.push(start..start + link.len());
        }
        from = start + link.len().max(1);
    }
    found
}

fn next_scheme(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let first = ["https://", "http://"].into_iter().filter_map(|scheme| rest.find(scheme)).min()?;
    Some(from + first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_addresses_without_the_sentence_around_them() {
        let table: &[(&str, &[&str])] = &[
            ("see https://example.org/a.", &["https://example.org/a"]),
            ("(http://example.org/a_(b))", &["http://example.org/a_(b)"]),
            ("https://a.example, https://b.example!", &["https://a.example", "https://b.example"]),
            ("https:// and http", &[]),
            ("日本https://example.org語", &["https://example.org語"]),
        ];
        for (text, want) in table {
            let found: Vec<&str> = links(text).into_iter().map(|range| &text[range]).collect();
            assert_eq!(&found, want, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn ranges_are_in_order_and_on_boundaries(text in "(https?://|[ .,)(]|\\PC){0,40}") {
            let mut from = 0;
            for range in links(&text) {
                prop_assert!(range.start >= from && text.get(range.clone()).is_some());
                from = range.end;
            }
        }
    }
}
