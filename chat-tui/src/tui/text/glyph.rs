//! What one grapheme is drawn as.
//!
//! Text comes from other people. Nothing in it may move the cursor, reorder a line, or hide itself:
//! control characters and bidi overrides are drawn as visible marks, never sent to the terminal.

use std::borrow::Cow;

use ratatui::buffer::CellWidth;
use unicode_segmentation::UnicodeSegmentation;

/// A grapheme with more code points than this is cut: stacked marks would paint over other lines.
/// The longest emoji sequence in use has ten.
const GRAPHEME_CHARS_MAX: usize = 16;

const TAB_COLUMNS: usize = 4;

/// The extended grapheme clusters of `text` with their byte offsets.
pub fn graphemes(text: &str) -> impl DoubleEndedIterator<Item = (usize, &str)> {
    text.grapheme_indices(true)
}

/// What `grapheme` is drawn as, and its width in terminal columns (0 when it is not drawn).
pub fn glyph(grapheme: &str) -> (Cow<'_, str>, usize) {
    if let [byte] = grapheme.as_bytes() {
        match byte {
            b'\t' => return (Cow::Borrowed("    "), TAB_COLUMNS),
            0x20..0x7f => return (Cow::Borrowed(grapheme), 1),
            _ => {}
        }
    }
    let mut chars = grapheme.chars();
    let Some(first) = chars.next() else { return (Cow::Borrowed(""), 0) };
    if let Some(mark) = visible_mark(first) {
        return (Cow::Owned(mark.to_string()), 1);
    }
    if is_invisible(first) {
        return (Cow::Borrowed(""), 0);
    }
    let kept = match grapheme.char_indices().nth(GRAPHEME_CHARS_MAX) {
        Some((end, _)) => &grapheme[..end],
        None => grapheme,
    };
    // Some terminals join whatever follows a joiner to what stands before it, and all behind that shifts by a column.
    let kept = kept.trim_end_matches('\u{200d}');
    match usize::from(kept.cell_width()) {
        0 => (Cow::Borrowed(""), 0),
        width => (Cow::Borrowed(kept), width),
    }
}

/// `text` on one line, as it is drawn: harmless, with line breaks shown as `↵`.
pub fn drawn(text: &str) -> String {
    text.graphemes(true).map(|g| if is_newline(g) { Cow::Borrowed("↵") } else { glyph(g).0 }).collect()
}

/// The width of `text` on one line, in terminal columns.
pub fn columns(text: &str) -> usize {
    text.graphemes(true).map(|g| if is_newline(g) { 1 } else { glyph(g).1 }).sum()
}

/// `text` on one line in at most `width` columns; what does not fit gives way to an ellipsis.
pub fn fit(text: &str, width: usize) -> String {
    if width == 0 {
        return String::new();
    }
    if columns(text) <= width {
        return drawn(text);
    }
    let mut out = String::new();
    let mut used = 0;
    for g in text.graphemes(true) {
        let (shown, w) = if is_newline(g) { (Cow::Borrowed("↵"), 1) } else { glyph(g) };
        if used + w > width - 1 {
            break;
        }
        out.push_str(&shown);
        used += w;
    }
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

/// Whether `grapheme` ends a line: LF, CR LF, CR, and the Unicode line and paragraph separators.
pub(super) fn is_newline(grapheme: &str) -> bool {
    matches!(grapheme, "\n" | "\r\n" | "\r" | "\u{2028}" | "\u{2029}" | "\u{85}")
}

/// Controls are drawn as pictures, direction overrides as the replacement character.
fn visible_mark(c: char) -> Option<char> {
    match c {
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)),
        '\u{7f}' => Some('\u{2421}'),
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' => {
            Some('\u{fffd}')
        }
        _ => None,
    }
}

/// Format characters without a shape of their own.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2065}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn controls_and_overrides_are_harmless() {
        let table = [
            ("\u{1b}[2J", "␛[2J"),
            ("a\u{202e}b", "a\u{fffd}b"),
            ("\u{9b}31m", "\u{fffd}31m"),
            ("a\tb", "a    b"),
            ("a\r\nb\nc", "a↵b↵c"),
            ("a\u{200b}\u{200e}b", "ab"),
            ("\u{7f}", "␡"),
            ("👨‍👩‍👧", "👨‍👩‍👧"),
            ("h\u{200d}x \u{200d}👩\u{200d}", "hx 👩"),
        ];
        for (text, want) in table {
            assert_eq!(drawn(text), want, "{text:?}");
        }
    }

    #[test]
    fn stacked_marks_are_cut() {
        let zalgo = format!("a{}", "\u{301}".repeat(500));
        assert_eq!(drawn(&zalgo).chars().count(), GRAPHEME_CHARS_MAX);
        assert_eq!(columns(&zalgo), 1);
    }

    #[test]
    fn what_does_not_fit_gives_way_to_an_ellipsis() {
        let table = [
            ("hello", 5, "hello"),
            ("hello", 4, "hel…"),
            ("hello there", 7, "hello…"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("日本語", 1, "…"),
            ("日本語", 0, ""),
        ];
        for (text, width, want) in table {
            assert_eq!(fit(text, width), want, "{text:?} in {width}");
        }
    }

    proptest! {
        #[test]
        fn fits_any_text_into_any_width(text in any::<String>(), width in 0usize..=200) {
            let out = fit(&text, width);
            prop_assert!(columns(&out) <= width, "{out:?}");
            prop_assert!(!out.chars().any(char::is_control));
        }
    }
}
