//! Finding by a few letters.

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// The indices of those `names` in which the letters of each word of `pattern` occur in order, the best first;
/// equals stay in their order.
pub fn ranked<'a>(pattern: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let pattern = Pattern::new(pattern, CaseMatching::Ignore, Normalization::Smart, AtomKind::Fuzzy);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut buffer = Vec::new();
    let mut found: Vec<(u32, usize)> = names
        .into_iter()
        .enumerate()
        .filter_map(|(n, name)| {
            pattern.score(Utf32Str::new(name, &mut buffer), &mut matcher).map(|score| (score, n))
        })
        .collect();
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    found.into_iter().map(|(_, n)| n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_beginnings_before_middles() {
        let table: &[(&str, &[&str], &[usize])] = &[
            ("bx", &["bob"], &[]),
            ("", &["bob", "alice"], &[0, 1]),
            ("bo", &["jimbo", "bob"], &[1, 0]),
            ("AL", &["carola", "alice"], &[1, 0]),
            ("jd", &["jeddah", "john-doe"], &[1, 0]),
            ("do not", &["Undo", "Do not disturb"], &[1]),
        ];
        for (pattern, names, want) in table {
            assert_eq!(&ranked(pattern, names.iter().copied()), want, "{pattern:?} in {names:?}");
        }
    }
}
