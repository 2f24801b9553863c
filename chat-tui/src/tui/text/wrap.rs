//! Breaking text into rows of a terminal.

use super::glyph::{glyph, graphemes, is_newline};

/// One row: the bytes `start..end` of the text. Rows follow each other without gaps, but for the line
/// break between two paragraphs. White space at which a line was broken stays at the end of its row
/// and may hang over the right edge, so that every byte, and thus every cursor position, has a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub start: usize,
    pub end: usize,
}

/// Breaks `text` into rows of at most `width` columns (hanging white space aside): after white space,
/// hyphens and wide characters, and inside a word only when the word alone is too long for a row.
///
/// There is always at least one row. A width of 0 counts as 1; a wide grapheme in a row of one column
/// stands alone and is clipped when it is drawn.
pub fn wrap(text: &str, width: usize) -> Vec<Row> {
    let mut wrapper = Wrapper { width: width.max(1), rows: Vec::new(), start: 0, used: 0, candidate: None };
    let mut previous_end = 0;
    for (at, grapheme) in graphemes(text) {
        let end = at + grapheme.len();
        if is_newline(grapheme) {
            wrapper.finish(at, end);
        } else {
            wrapper.take(at, end, grapheme);
        }
        previous_end = end;
    }
    wrapper.finish(previous_end, previous_end);
    wrapper.rows
}

struct Wrapper {
    width: usize,
    rows: Vec<Row>,
    start: usize,
    used: usize,
    /// Where this row could be broken, and the columns used up to there.
    candidate: Option<(usize, usize)>,
}

impl Wrapper {
    fn take(&mut self, at: usize, end: usize, grapheme: &str) {
        let columns = glyph(grapheme).1;
        if is_space(grapheme) {
            self.used += columns;
            self.candidate = Some((end, self.used));
            return;
        }
        if self.used + columns > self.width && at > self.start {
            self.break_before(at);
            // The part carried over may itself leave no room.
            if self.used + columns > self.width && at > self.start {
                self.break_before(at);
            }
        }
        self.used += columns;
        if columns > 1 || grapheme == "-" {
            self.candidate = Some((end, self.used));
        }
    }

    /// Ends the row at the last place where it may be broken, or else right before `at`.
    fn break_before(&mut self, at: usize) {
        let (end, used) = self.candidate.take().unwrap_or((at, self.used));
        self.rows.push(Row { start: self.start, end });
        self.start = end;
        self.used -= used;
    }

    fn finish(&mut self, end: usize, next_start: usize) {
        self.rows.push(Row { start: self.start, end });
        (self.start, self.used, self.candidate) = (next_start, 0, None);
    }
}

fn is_space(grapheme: &str) -> bool {
    // A no-break space is a space that must not end a row.
    grapheme.chars().all(|c| c.is_whitespace() && !matches!(c, '\u{a0}' | '\u{202f}'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tui::text::columns;

    fn rows(text: &str, width: usize) -> Vec<&str> {
        wrap(text, width).into_iter().map(|r| &text[r.start..r.end]).collect()
    }

    #[test]
    fn breaks_where_a_reader_would() {
        let table: &[(&str, usize, &[&str])] = &[
            ("", 10, &[""]),
            ("hello", 10, &["hello"]),
            ("hello there you", 11, &["hello there ", "you"]),
            ("hello there", 5, &["hello ", "there"]),
            ("hello  there", 6, &["hello  ", "there"]),
            ("a\n\nb\n", 10, &["a", "", "b", ""]),
            ("a\r\nb", 10, &["a", "b"]),
            ("abcdefgh", 3, &["abc", "def", "gh"]),
            ("see abcdefgh", 5, &["see ", "abcde", "fgh"]),
            ("well-known", 6, &["well-", "known"]),
            ("日本語", 4, &["日本", "語"]),
            ("日本", 1, &["日", "本"]),
            ("👨‍👩‍👧👨‍👩‍👧", 2, &["👨‍👩‍👧", "👨‍👩‍👧"]),
            ("a b", 0, &["a ", "b"]),
        ];
        for (text, width, want) in table {
            assert_eq!(&rows(text, *width), want, "{text:?} in {width}");
        }
    }

    proptest! {
        #[test]
        fn loses_nothing_and_keeps_the_width(text in "(\\PC|[ \n\t\r-]|[\u{300}\u{200d}\u{202e}日👩🏽])*", width in 0usize..=200) {
            let rows = wrap(&text, width);
            prop_assert_eq!(rows[0].start, 0);
            prop_assert_eq!(rows[rows.len() - 1].end, text.len());
            for pair in rows.windows(2) {
                let between = &text[pair[0].end..pair[1].start];
                prop_assert!(between.is_empty() || is_newline(between), "{between:?}");
            }
            for row in rows {
                let shown = text[row.start..row.end].trim_end();
                let alone = graphemes(shown).count() <= 1;
                prop_assert!(alone || columns(shown) <= width.max(1), "{shown:?}");
            }
        }
    }
}
