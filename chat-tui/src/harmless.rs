//! Text from others, made safe for a terminal.
//!
//! A message may hold escape sequences that move the cursor, rename the window or type into it, and characters that
//! reorder what is shown around them. All of them become visible marks; everything else stays as it was.

use std::borrow::Cow;

/// `text` on one line. Line breaks are shown as `⏎`, tabs as spaces.
pub fn line(text: &str) -> Cow<'_, str> {
    replace(text, |c| match c {
        '\t' => Some(' '),
        '\n' => Some('⏎'),
        c => mark(c),
    })
}

/// `text` with its line breaks; tabs as spaces.
pub fn lines(text: &str) -> Cow<'_, str> {
    replace(text, |c| match c {
        '\t' => Some(' '),
        '\n' => None,
        c => mark(c),
    })
}

/// JSON in which such characters are written as `\u` escapes. They can only be inside of strings.
pub fn json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(|c| mark(c).is_some()) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match mark(c) {
            Some(_) => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            None => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// What to show for a character that a terminal would obey.
fn mark(c: char) -> Option<char> {
    match c {
        // The control pictures (U+2400) follow the order of the controls.
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)),
        '\x7f' => Some('␡'),
        // C1 controls, line and paragraph separators, marks that change the direction of text.
        '\u{80}'..='\u{9f}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{061c}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => Some('\u{fffd}'),
        _ => None,
    }
}

fn replace(text: &str, with: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    if !text.chars().any(|c| with(c).is_some()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| with(c).unwrap_or(c)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "\x1b]0;pwned\x07\x1b[2J\u{9b}31m\r\x08\x7f\u{202e}evil\u{2028}";

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        for shown in [line(NASTY), lines(NASTY), json(&serde_json::to_string(NASTY).unwrap())] {
            let obeyed = shown.chars().find(|&c| c != '\n' && mark(c).is_some());
            assert_eq!(obeyed, None, "{shown:?}");
        }
        assert_eq!(line("\x1b[2J"), "␛[2J");
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in ["", "hi", "Grüße 👩‍👩‍👧", "العربية עברית", "日本語"] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text));
            assert!(matches!(lines(text), Cow::Borrowed(same) if same == text));
        }
        assert_eq!(line("a\nb\tc"), "a⏎b c");
        assert_eq!(lines("a\nb\tc"), "a\nb c");
    }

    #[test]
    fn json_means_the_same_as_before() {
        let escaped = json(&serde_json::to_string(NASTY).unwrap()).into_owned();
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), NASTY);
    }
}
