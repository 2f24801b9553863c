//! Emphasis as people type it: `*bold*`, `_italic_`, `~struck~` and `` `code` ``. The signs stay: what is shown is what was
//! written, and what is copied.

use std::ops::Range;

use super::code::is_code;
use super::link::links;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emphasis {
    Bold,
    Italic,
    Struck,
    Code,
}

const SIGNS: [(char, Emphasis); 4] =
    [('`', Emphasis::Code), ('*', Emphasis::Bold), ('_', Emphasis::Italic), ('~', Emphasis::Struck)];

/// The byte ranges of `text` that are emphasised, with their signs, in order of their beginnings. They may lie within each
/// other, but not within code or links.
pub fn emphases(text: &str) -> Vec<(Range<usize>, Emphasis)> {
    if !text.contains(['*', '_', '~', '`']) {
        return Vec::new();
    }
    let closed = links(text);
    let mut found = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if !is_code(text, at) {
            in_line(line, at, &closed, &mut found);
        }
        at += line.len();
    }
    found
}

/// A sign that begins something stands before a word, one that ends it behind one: `2 * 3 * 4` and `snake_case_name` are what
/// they are.
fn in_line(line: &str, offset: usize, closed: &[Range<usize>], found: &mut Vec<(Range<usize>, Emphasis)>) {
    let is_free = |at: usize| !closed.iter().any(|range| range.contains(&(offset + at)));
    let mut code_until = 0;
    for (start, sign) in line.char_indices() {
        let Some((_, emphasis)) = SIGNS.iter().find(|(known, _)| *known == sign) else { continue };
        if start < code_until || !is_free(start) || !begins(line, start, sign) {
            continue;
        }
        let ends = line[start + 1..].char_indices().map(|(at, c)| (start + 1 + at, c));
        let end = ends
            .filter(|(_, c)| *c == sign)
            .map(|(at, _)| at)
            .find(|at| is_free(*at) && (self::ends(line, *at, sign) || (sign == '`' && *at > start + 1)));
        if let Some(end) = end {
            found.push((offset + start..offset + end + 1, *emphasis));
            if *emphasis == Emphasis::Code {
                code_until = end + 1;
            }
        }
    }
}

fn begins(line: &str, at: usize, sign: char) -> bool {
    let before = line[..at].chars().next_back();
    let after = line[at + 1..].chars().next();
    before.is_none_or(|c| !c.is_alphanumeric() && c != sign)
        && after.is_some_and(|c| c != sign && (!c.is_whitespace() || sign == '`'))
}

fn ends(line: &str, at: usize, sign: char) -> bool {
    let before = line[..at].chars().next_back();
    let after = line[at + 1..].chars().next();
    before.is_some_and(|c| !c.is_whitespace() && c != sign)
        && after.is_none_or(|c| !c.is_alphanumeric() && c != sign)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_between_signs_are_emphasised_and_arithmetic_is_not() {
        use Emphasis::*;
        let table: &[(&str, &[(&str, Emphasis)])] = &[
            ("that is *very* good", &[("*very*", Bold)]),
            ("(_well_, then)", &[("_well_", Italic)]),
            ("~no~ *two words*!", &[("~no~", Struck), ("*two words*", Bold)]),
            ("run `a * b * c` now", &[("`a * b * c`", Code)]),
            ("*bold _and italic_*", &[("*bold _and italic_*", Bold), ("_and italic_", Italic)]),
            ("日本 *語*。", &[("*語*", Bold)]),
            ("2 * 3 * 4 and 2*3*4", &[]),
            ("snake_case_name __init__ ** ~/.config ~/x", &[]),
            ("*not\nover lines*", &[]),
            ("https://a.example/_x_ and *", &[]),
            ("```\n*code*\n```\n*not*", &[("*not*", Bold)]),
            ("`` ` *", &[]),
        ];
        for (text, want) in table {
            let found: Vec<(&str, Emphasis)> =
                emphases(text).into_iter().map(|(range, emphasis)| (&text[range], emphasis)).collect();
            assert_eq!(&found, want, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn ranges_are_on_boundaries_and_in_order(text in "([*_~` \n(]|a|\\PC){0,40}") {
            let mut from = 0;
            for (range, _) in emphases(&text) {
                prop_assert!(range.start >= from && text.get(range.clone()).is_some() && range.len() > 2);
                from = range.start;
            }
        }
    }
}
