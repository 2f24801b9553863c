//! Code in messages: what stands between two lines of three backticks is shown as it was typed.

use std::ops::Range;

use super::glyph::{glyph, graphemes};
use super::wrap::{Row, wrap};

const FENCE: &str = "```";

/// The code in `text`, with the lines of backticks around it: whole lines, without the break that ends the last. Code that is
/// not ended goes on to the end.
fn fenced(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut start, mut at) = (None, 0);
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with(FENCE) {
            match start.take() {
                Some(start) => found.push(start..at + line.trim_end_matches(['\n', '\r']).len()),
                // A fence that ends in its own line is not one.
                None if line.trim().len() > FENCE.len() && line.trim().ends_with(FENCE) => {}
                None => start = Some(at),
            }
        }
        at += line.len();
    }
    found.extend(start.map(|start| start..text.len()));
    found
}

/// Whether the byte `at` of `text` is part of code.
pub fn is_code(text: &str, at: usize) -> bool {
    text.contains(FENCE) && fenced(text).iter().any(|range| (range.start..=range.end).contains(&at))
}

/// Breaks a message into rows of at most `width` columns. Its code keeps every line and every space: only lines that are too
/// long go on in the next row, wherever they are.
pub fn wrap_message(text: &str, width: usize) -> Vec<Row> {
    if !text.contains(FENCE) {
        return wrap(text, width);
    }
    let (mut rows, mut at) = (Vec::new(), 0);
    let shifted = |rows: Vec<Row>, by: usize| {
        rows.into_iter().map(move |row| Row { start: row.start + by, end: row.end + by })
    };
    for range in fenced(text) {
        // The line break before the code ends what stands above it.
        if let Some(prose) = text[at..range.start].strip_suffix('\n') {
            rows.extend(shifted(wrap(prose.strip_suffix('\r').unwrap_or(prose), width), at));
        }
        rows.extend(shifted(cut(&text[range.clone()], width), range.start));
        let rest = &text[range.end..];
        at = range.end + if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    }
    let ended = text[..at].ends_with('\n') || at < text.len();
    if ended || rows.is_empty() {
        rows.extend(shifted(wrap(&text[at..], width), at));
    }
    rows
}

/// Breaks lines only where they do not fit.
fn cut(text: &str, width: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut at = 0;
    for line in text.split('\n') {
        let is_ended = at + line.len() < text.len();
        let shown = if is_ended { line.strip_suffix('\r').unwrap_or(line) } else { line };
        let (mut start, mut used) = (0, 0);
        for (offset, grapheme) in graphemes(shown) {
            let columns = glyph(grapheme).1;
            if used + columns > width.max(1) && offset > start {
                rows.push(Row { start: at + start, end: at + offset });
                (start, used) = (offset, 0);
            }
            used += columns;
        }
        rows.push(Row { start: at + start, end: at + shown.len() });
        at += line.len() + 1;
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tui::text::columns;

    fn rows(text: &str, width: usize) -> Vec<&str> {
        wrap_message(text, width).into_iter().map(|r| &text[r.start..r.end]).collect()
    }

    #[test]
    fn code_stays_as_it_was_typed() {
        let table: &[(&str, usize, &[&str])] = &[
            ("a b", 1, &["a ", "b"]),
            (
                "see:\n```rust\n  let x =  1;\n\n```\nright?",
                20,
                &["see:", "```rust", "  let x =  1;", "", "```", "right?"],
            ),
            ("```\nab cd  ef\n```", 6, &["```", "ab cd ", " ef", "```"]),
            ("```\nnever ended here", 11, &["```", "never ended", " here"]),
            ("it is ```inline``` here", 12, &["it is ", "```inline``` ", "here"]),
            ("```x```\nab cd", 3, &["```", "x``", "`", "ab ", "cd"]),
            ("```\na\n```\n", 5, &["```", "a", "```", ""]),
            ("```", 5, &["```"]),
        ];
        for (text, width, want) in table {
            assert_eq!(&rows(text, *width), want, "{text:?} in {width}");
        }
        let text = "see\n```\ncode\n```\nend";
        let code: Vec<bool> = [0, 4, 8, 13, 17].into_iter().map(|at| is_code(text, at)).collect();
        assert_eq!(code, [false, true, true, true, false]);
    }

    proptest! {
        #[test]
        fn loses_nothing_and_keeps_the_width(text in "(`|```|\n|\r|[ a-z日👩]){0,60}", width in 0usize..=30) {
            let rows = wrap_message(&text, width);
            prop_assert!(!rows.is_empty());
            let mut at = 0;
            for row in rows {
                let between = &text[at..row.start];
                prop_assert!(matches!(between, "" | "\n" | "\r\n" | "\r"), "{between:?}");
                let shown = text[row.start..row.end].trim_end();
                prop_assert!(columns(shown) <= width.max(1) || graphemes(shown).count() <= 1, "{shown:?}");
                at = row.end;
            }
            prop_assert_eq!(at, text.len());
        }
    }
}
