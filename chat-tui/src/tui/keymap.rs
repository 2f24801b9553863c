//! ★ From keys to actions.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::{ACTIONS, Action, When};

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

/// What of the state decides the meaning of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Situation {
    pub layer_open: bool,
    pub incoming_shown: bool,
    pub outgoing_shown: bool,
    pub list_only: bool,
    pub nothing_typed: bool,
    pub cursor_at_end: bool,
}

impl Situation {
    fn holds(self, when: When) -> bool {
        let chat = !self.layer_open;
        match when {
            When::Always | When::Editing => true,
            When::Chat => chat,
            When::AtEnd => chat && self.cursor_at_end,
            When::Empty => chat && self.nothing_typed,
            When::List => chat && self.list_only,
            When::Incoming => chat && self.incoming_shown && !self.list_only,
            When::Outgoing => chat && self.outgoing_shown && !self.list_only,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Keymap {
    bindings: Vec<(Chord, When, Action)>,
}

impl Default for Keymap {
    /// The keys of the registry.
    fn default() -> Self {
        let mut bindings = Vec::new();
        for spec in ACTIONS {
            for (when, key) in spec.keys {
                if let Ok(chord) = key.parse() {
                    bindings.push((chord, *when, spec.action));
                }
            }
        }
        Keymap { bindings }
    }
}

impl Keymap {
    /// What `chord` means in `situation`.
    pub fn resolve(&self, chord: Chord, situation: Situation) -> Option<Action> {
        self.bindings
            .iter()
            .filter(|(bound, when, _)| *bound == chord && situation.holds(*when))
            .min_by_key(|(_, when, _)| *when)
            .map(|(.., action)| *action)
    }

    /// The key to name for `action`, if it has one.
    pub fn key(&self, action: Action) -> Option<Chord> {
        self.bindings.iter().find(|(.., bound)| *bound == action).map(|(chord, ..)| *chord)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::tui::editor::Edit;

    fn chord(text: &str) -> Chord {
        text.parse().expect(text)
    }

    #[test]
    fn the_registry_is_sound() {
        let mut seen = HashSet::new();
        for spec in ACTIONS {
            for (when, key) in spec.keys {
                let chord = chord(key);
                assert!(seen.insert((chord, format!("{when:?}"))), "{key} is bound twice for {when:?}");
            }
        }
    }

    #[test]
    fn keys_mean_what_the_situation_says() {
        let writing = Situation::default();
        let empty = Situation { nothing_typed: true, cursor_at_end: true, ..writing };
        let at_end = Situation { cursor_at_end: true, ..writing };
        let incoming = Situation { incoming_shown: true, ..empty };
        let list = Situation { list_only: true, ..incoming };
        let dialog = Situation { layer_open: true, ..empty };
        let table: &[(&str, Situation, Option<Action>)] = &[
            ("enter", writing, Some(Action::Send)),
            ("enter", incoming, Some(Action::Accept)),
            ("enter", list, Some(Action::Open)),
            ("enter", dialog, None),
            ("a", incoming, Some(Action::Accept)),
            ("a", writing, None),
            ("a", list, None),
            ("ctrl-k", writing, Some(Action::Edit(Edit::DeleteToLineEnd))),
            ("ctrl-k", at_end, Some(Action::Switch)),
            ("ctrl-k", dialog, Some(Action::Edit(Edit::DeleteToLineEnd))),
            ("home", writing, Some(Action::Edit(Edit::LineStart))),
            ("home", empty, Some(Action::Oldest)),
            ("/", empty, Some(Action::Command)),
            ("/", writing, None),
            ("?", empty, Some(Action::Help)),
            ("?", writing, None),
            ("f1", dialog, Some(Action::Help)),
            ("ctrl-q", dialog, Some(Action::Quit)),
            ("ctrl-n", dialog, None),
            ("up", list, Some(Action::Previous)),
            ("up", writing, Some(Action::Up)),
        ];
        let keymap = Keymap::default();
        for (key, situation, want) in table {
            assert_eq!(keymap.resolve(chord(key), *situation), *want, "{key} in {situation:?}");
        }
    }

    #[test]
    fn chords_are_written_as_they_are_read() {
        let table = [
            ("ctrl-n", "Ctrl-N"),
            ("alt-up", "Alt-Up"),
            ("f1", "F1"),
            ("?", "?"),
            ("alt-enter", "Alt-Enter"),
            ("pageup", "PgUp"),
        ];
        for (text, shown) in table {
            assert_eq!(chord(text).to_string(), shown);
        }
        for wrong in ["", "ctrl-", "f99", "nokey", "ctrl-nokey"] {
            assert!(wrong.parse::<Chord>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_chord_has_one_form() {
        let shifted = KeyEvent::new(KeyCode::Char('?'), KeyModifiers::SHIFT);
        assert_eq!(Chord::of(shifted), chord("?"));
        let upper = KeyEvent::new(KeyCode::Char('Z'), KeyModifiers::CONTROL);
        assert_eq!(Chord::of(upper), chord("ctrl-shift-z"));
        let altgr = KeyEvent::new(KeyCode::Char('@'), KeyModifiers::CONTROL | KeyModifiers::ALT);
        assert_eq!(Chord::of(altgr).typed(), Some('@'));
        assert_eq!(chord("ctrl-a").typed(), None);
        assert_eq!(chord("alt-a").typed(), None);
    }
}
