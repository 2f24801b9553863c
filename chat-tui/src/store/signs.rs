//! Signs: characters that stand for themselves, without spaces between words. The full-text index keeps them one by one, as
//! words of a writing of its own, because the words that they make up cannot be told apart.

use std::fmt::Write;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Error};

/// Whether `c` is of a script that is written without spaces between words.
pub fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Emoji, arrows and the like are signs too; the punctuation of everyday texts is none.
fn is_sign(c: char) -> bool {
    is_unspaced(c) || (c >= '\u{2190}' && !c.is_alphanumeric())
}

/// The signs of `text` as words, in their order: `日x本` is `s65e5 s672c`.
pub fn signs(text: &str) -> String {
    let mut words = String::new();
    for sign in text.chars().filter(|c| is_sign(*c)) {
        let space = if words.is_empty() { "" } else { " " };
        // A string cannot fail to be written to.
        let _ = write!(words, "{space}s{:x}", u32::from(sign));
    }
    words
}

/// Adds what the schema's triggers need: whoever writes to the state needs it too.
///
/// # Errors
///
/// When SQLite refuses the function, e.g. in the middle of a statement.
pub fn add_functions(connection: &Connection) -> Result<(), Error> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("signs", 1, flags, |context| {
        let text: String = context.get(0)?;
        Ok(Some(signs(&text)).filter(|signs| !signs.is_empty()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_those_of_scripts_without_spaces_and_emoji() {
        for (text, want) in [
            ("plain “text” – über 10 €…", ""),
            ("日x本", "s65e5 s672c"),
            ("ok 👍🏽", "s1f44d s1f3fd"),
            ("안녕 мир", ""),
        ] {
            assert_eq!(signs(text), want, "{text}");
        }
    }
}
