//! ★ Keys as they are pressed, written in the config file and shown.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with its modifiers, written as `ctrl-n`, `alt-up`, `f1`, `a`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chord {
    code: KeyCode,
    modifiers: KeyModifiers,
}

const NAMED: &[(&str, &str, KeyCode)] = &[
    ("enter", "Enter", KeyCode::Enter),
    ("esc", "Esc", KeyCode::Esc),
    ("tab", "Tab", KeyCode::Tab),
    ("backtab", "Shift-Tab", KeyCode::BackTab),
    ("backspace", "Backspace", KeyCode::Backspace),
    ("delete", "Delete", KeyCode::Delete),
    ("up", "Up", KeyCode::Up),
    ("down", "Down", KeyCode::Down),
    ("left", "Left", KeyCode::Left),
    ("right", "Right", KeyCode::Right),
    ("home", "Home", KeyCode::Home),
    ("end", "End", KeyCode::End),
    ("pageup", "PgUp", KeyCode::PageUp),
    ("pagedown", "PgDn", KeyCode::PageDown),
    ("space", "Space", KeyCode::Char(' ')),
];

const MODIFIERS: &[(&str, &str, KeyModifiers)] = &[
    ("ctrl-", "Ctrl-", KeyModifiers::CONTROL),
    ("alt-", "Alt-", KeyModifiers::ALT),
    ("shift-", "Shift-", KeyModifiers::SHIFT),
];

impl Chord {
    /// Terminals differ in how they report letters with Shift or Ctrl; a chord has one form.
    pub fn of(key: KeyEvent) -> Self {
        let mut modifiers = key.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let mut code = key.code;
        if let KeyCode::Char(c) = code {
            if modifiers.contains(KeyModifiers::CONTROL) {
                if c.is_ascii_uppercase() {
                    modifiers |= KeyModifiers::SHIFT;
                }
                code = KeyCode::Char(c.to_ascii_lowercase());
            } else {
                // The character says it already.
                modifiers -= KeyModifiers::SHIFT;
            }
        }
        Chord { code, modifiers }
    }

    /// The key press that makes this chord.
    #[cfg(test)]
    pub fn press(self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers)
    }

    /// The character this chord types, if it does.
    pub fn typed(self) -> Option<char> {
        match self.code {
            KeyCode::Char(c) if !c.is_control() => {
                // AltGr arrives as Ctrl and Alt together on some systems.
                let altgr = KeyModifiers::CONTROL | KeyModifiers::ALT;
                (self.modifiers.is_empty() || (self.modifiers == altgr && !c.is_ascii_alphanumeric()))
                    .then_some(c)
            }
            _ => None,
        }
    }

    /// As it is written in the config file.
    pub fn written(self) -> String {
        let mut written = String::new();
        for (name, _, modifier) in MODIFIERS {
            if self.modifiers.contains(*modifier) {
                written.push_str(name);
            }
        }
        match (self.code, NAMED.iter().find(|(.., code)| *code == self.code)) {
            (_, Some((name, ..))) => written.push_str(name),
            (KeyCode::F(n), None) => written.push_str(&format!("f{n}")),
            (KeyCode::Char(c), None) => written.push(c),
            (code, None) => written.push_str(&code.to_string()),
        }
        written
    }

    /// Whether a person who presses it means the character.
    pub fn is_plain(self) -> bool {
        matches!(self.code, KeyCode::Char(_)) && self.modifiers.is_empty()
    }

    /// Whether this is the unmodified key `code`.
    pub fn is(self, code: KeyCode) -> bool {
        self.code == code && self.modifiers.is_empty()
    }
}

/// A key's name is not one that can be bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a key; write it as `ctrl-n`, `alt-up`, `f1` or `a`")]
pub struct NotAKey(String);

impl FromStr for Chord {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let mut rest = text;
        let mut modifiers = KeyModifiers::NONE;
        while let Some((name, _, modifier)) = MODIFIERS.iter().find(|(name, ..)| rest.starts_with(name)) {
            rest = &rest[name.len()..];
            modifiers |= *modifier;
        }
        let named = NAMED.iter().find(|(name, ..)| *name == rest).map(|(.., code)| *code);
        let mut chars = rest.chars();
        let code = match (named, chars.next(), chars.as_str()) {
            (Some(code), ..) => code,
            (None, Some(c), "") => KeyCode::Char(c),
            (None, Some('f'), number) => KeyCode::F(
                number
                    .parse()
                    .ok()
                    .filter(|n| (1..=24).contains(n))
                    .ok_or_else(|| NotAKey(text.to_owned()))?,
            ),
            _ => return Err(NotAKey(text.to_owned())),
        };
        Ok(Chord { code, modifiers })
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (_, name, modifier) in MODIFIERS {
            if self.modifiers.contains(*modifier) {
                f.write_str(name)?;
            }
        }
        match self.code {
            KeyCode::F(n) => write!(f, "F{n}"),
            KeyCode::Char(c) if c != ' ' && !self.modifiers.is_empty() => {
                write!(f, "{}", c.to_ascii_uppercase())
            }
            code => match NAMED.iter().find(|(.., named)| *named == code) {
                Some((_, name, _)) => f.write_str(name),
                None => write!(f, "{code}"),
            },
        }
    }
}

/// What is pressed for an action: one chord, or two after each other, written as `g g` or `ctrl-x ctrl-c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Keys {
    pub first: Chord,
    pub then: Option<Chord>,
}

impl Keys {
    /// As they are written in the config file.
    pub fn written(self) -> String {
        match self.then {
            Some(then) => format!("{} {}", self.first.written(), then.written()),
            None => self.first.written(),
        }
    }

    /// Whether it is one key, and a person who presses it means the character.
    pub fn is_plain(self) -> bool {
        self.then.is_none() && self.first.is_plain()
    }
}

impl From<Chord> for Keys {
    fn from(first: Chord) -> Self {
        Keys { first, then: None }
    }
}

impl FromStr for Keys {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        match text.split_once(' ') {
            Some((first, then)) => Ok(Keys { first: first.parse()?, then: Some(then.parse()?) }),
            None => Ok(text.parse::<Chord>()?.into()),
        }
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.then {
            Some(then) if self.first.is_plain() && then.is_plain() => write!(f, "{}{then}", self.first),
            Some(then) => write!(f, "{} {then}", self.first),
            None => self.first.fmt(f),
        }
    }
}
