//! ★ From keys to actions.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::{ACTIONS, Action, Spec, When};
use super::preset::Preset;

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

/// What a chord is in a situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Action(Action),
    /// The first of two.
    Begins,
    Nothing,
}

/// What of the state decides the meaning of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Situation {
    pub layer_open: bool,
    pub choosing: bool,
    /// Ways to go on are offered.
    pub completing: bool,
    /// Letters are commands (vim-like keys).
    pub normal: bool,
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
            When::Choosing => chat && self.choosing,
            When::Completing => chat && self.completing && !self.normal,
            When::Normal => chat && self.normal && !self.list_only,
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
    preset: Preset,
    bindings: Vec<(Keys, When, Action)>,
    /// Those that the person chose.
    own: Vec<(Keys, When, Action)>,
}

/// Whether only one of the two can be bound in the same place: a chord alone cannot begin two as well.
fn excludes(one: Keys, other: Keys) -> bool {
    one == other || (one.first == other.first && one.then.is_some() != other.then.is_some())
}

fn name_of(action: Action) -> &'static str {
    ACTIONS.iter().find(|spec| spec.action == action).map_or("", |spec| spec.name)
}

impl Default for Keymap {
    /// The keys of the registry.
    fn default() -> Self {
        Keymap::new(Preset::Default)
    }
}

/// Why keys that a person chose cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    #[error("{0} is given to `{1}` too; choose one of them")]
    Taken(Keys, &'static str),
    #[error("`{0}` alone types a character; put ctrl- or alt- before it")]
    Types(Chord),
}

impl Keymap {
    /// The keys of the registry, with what the preset changes.
    pub fn new(preset: Preset) -> Self {
        let mut keymap = Keymap { preset, bindings: Vec::new(), own: Vec::new() };
        let registered = ACTIONS.iter().flat_map(|spec| spec.keys.iter().map(move |k| (spec.action, *k)));
        let changed = preset.bindings().iter().map(|(action, when, key)| (*action, (*when, *key)));
        for (action, (when, key)) in registered.chain(changed) {
            // A test sees to it that every key can be read.
            if let Ok(keys) = key.parse() {
                keymap.bind(keys, when, action);
            }
        }
        keymap
    }

    /// Gives `action` these keys and no others. Those that it has already keep their meaning.
    ///
    /// # Errors
    ///
    /// When a key is needed for typing, or was given to another action in the same way.
    pub fn rebind(&mut self, spec: &Spec, keys: &[Keys]) -> Result<(), BindError> {
        let before = self.bindings.clone();
        self.bindings.retain(|(.., action)| *action != spec.action);
        for keys in keys {
            let had = before.iter().filter(|(bound, _, to)| (bound, *to) == (keys, spec.action));
            let mut places: Vec<When> = had.map(|(_, when, _)| *when).collect();
            if places.is_empty() {
                places.push(self.place(spec, keys.first)?);
            }
            for when in places {
                let other =
                    self.own.iter().find(|(bound, place, _)| *place == when && excludes(*bound, *keys));
                if let Some((.., other)) = other.filter(|(.., other)| *other != spec.action) {
                    return Err(BindError::Taken(*keys, name_of(*other)));
                }
                self.own.push((*keys, when, spec.action));
                self.bind(*keys, when, spec.action);
            }
        }
        Ok(())
    }

    /// When a new key means the action.
    fn place(&self, spec: &Spec, chord: Chord) -> Result<When, BindError> {
        let mut places = spec.keys.iter().map(|(when, _)| *when);
        if !chord.is_plain() {
            return Ok(places.max().unwrap_or(When::Chat).max(When::Chat));
        }
        if self.preset == Preset::Vim {
            return Ok(When::Normal);
        }
        let letters = |when: &When| (When::Choosing..When::AtEnd).contains(when);
        places.find(letters).ok_or(BindError::Types(chord))
    }

    fn bind(&mut self, keys: Keys, when: When, action: Action) {
        self.bindings.retain(|(bound, place, _)| *place != when || !excludes(*bound, keys));
        self.bindings.push((keys, when, action));
    }

    /// What `chord` alone means in `situation`.
    pub fn resolve(&self, chord: Chord, situation: Situation) -> Option<Action> {
        self.find(situation, |keys| keys == chord.into()).map(|(_, action)| action)
    }

    /// What `chord` means in `situation`, after the chord that was the first of two.
    pub fn meaning(&self, begun: Option<Chord>, chord: Chord, situation: Situation) -> Meaning {
        let whole = |first| self.find(situation, |keys| keys == Keys { first, then: Some(chord) });
        if let Some((_, action)) = begun.and_then(whole) {
            return Meaning::Action(action);
        }
        let alone = self.find(situation, |keys| keys == chord.into());
        let begins = self.find(situation, |keys| keys.first == chord && keys.then.is_some());
        match (alone, begins) {
            (Some((when, action)), Some((other, _))) if when <= other => Meaning::Action(action),
            (_, Some(_)) => Meaning::Begins,
            (Some((_, action)), None) => Meaning::Action(action),
            (None, None) => Meaning::Nothing,
        }
    }

    /// The binding that counts in `situation`, of those that `fit`.
    fn find(&self, situation: Situation, fit: impl Fn(Keys) -> bool) -> Option<(When, Action)> {
        self.bindings
            .iter()
            .filter(|(bound, when, _)| fit(*bound) && situation.holds(*when))
            .min_by_key(|(_, when, _)| *when)
            .map(|(_, when, action)| (*when, *action))
    }

    /// The key to name for `action`, if it has one.
    pub fn key(&self, action: Action) -> Option<Keys> {
        self.bindings.iter().find(|(.., bound)| *bound == action).map(|(keys, ..)| *keys)
    }

    /// All keys of `action`, each once.
    pub fn keys(&self, action: Action) -> Vec<Keys> {
        let mut found: Vec<Keys> = Vec::new();
        for (keys, ..) in self.bindings.iter().filter(|(.., bound)| *bound == action) {
            if !found.contains(keys) {
                found.push(*keys);
            }
        }
        found
    }

    /// Whether `chord` means `action` in some situation.
    pub fn binds(&self, chord: Chord, action: Action) -> bool {
        self.bindings.iter().any(|(bound, _, to)| *bound == chord.into() && *to == action)
    }

    pub fn has_modes(&self) -> bool {
        self.preset == Preset::Vim
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

    fn keys(text: &str) -> Keys {
        text.parse().expect(text)
    }

    #[test]
    fn the_registry_is_sound() {
        let mut seen = HashSet::new();
        for spec in ACTIONS {
            for (when, key) in spec.keys {
                let chord = chord(key);
                assert!(!chord.is_plain() || *when < When::AtEnd, "{key} cannot be typed any more");
                assert!(seen.insert((chord, format!("{when:?}"))), "{key} is bound twice for {when:?}");
            }
        }
    }

    #[test]
    fn presets_are_sound() {
        for preset in [Preset::Emacs, Preset::Vim] {
            let mut seen = HashSet::new();
            for (action, when, key) in preset.bindings() {
                let keys = keys(key);
                assert!(!keys.first.is_plain() || *when < When::AtEnd, "{key} cannot be typed any more");
                assert!(seen.insert((keys, *when)), "{key} is bound twice in {preset:?}");
                let resolved = Keymap::new(preset).bindings.contains(&(keys, *when, *action));
                assert!(resolved, "{key} does not work in {preset:?}");
            }
            // Nothing may be lost on the way.
            for spec in ACTIONS.iter().filter(|spec| !spec.keys.is_empty()) {
                assert!(
                    Keymap::new(preset).key(spec.action).is_some(),
                    "{} has no key in {preset:?}",
                    spec.name
                );
            }
        }
    }

    #[test]
    fn own_keys_take_the_place_of_others() {
        let mut keymap = Keymap::default();
        let spec = |name| crate::tui::action::named(name).expect(name);
        keymap.rebind(spec("switch"), &[keys("ctrl-n"), keys("f2")]).unwrap();
        let chat = Situation::default();
        assert_eq!(keymap.resolve(chord("ctrl-n"), chat), Some(Action::Switch));
        assert_eq!(keymap.resolve(chord("f2"), chat), Some(Action::Switch));
        assert_eq!(keymap.resolve(chord("ctrl-g"), chat), None);
        assert_eq!(keymap.key(Action::Befriend), None);
        keymap.rebind(spec("accept"), &[keys("y")]).unwrap();
        let incoming = Situation { incoming_shown: true, nothing_typed: true, ..chat };
        assert_eq!(keymap.resolve(chord("y"), incoming), Some(Action::Accept));
        assert_eq!(keymap.resolve(chord("y"), chat), None);
        keymap.rebind(spec("undo"), &[keys("ctrl-t")]).unwrap();
        let dialog = Situation { layer_open: true, ..chat };
        assert_eq!(keymap.resolve(chord("ctrl-t"), dialog), Some(Action::Edit(Edit::Undo)));
        assert_eq!(keymap.rebind(spec("page-up"), &[keys("a")]), Err(BindError::Types(chord("a"))));
        assert!(Keymap::new(Preset::Vim).rebind(spec("page-up"), &[keys("a")]).is_ok());
    }

    #[test]
    fn two_keys_after_each_other_are_one() {
        let normal =
            Situation { normal: true, cursor_at_end: true, nothing_typed: true, ..Situation::default() };
        let vim = Keymap::new(Preset::Vim);
        let g = chord("g");
        assert_eq!(vim.meaning(None, g, normal), Meaning::Begins);
        assert_eq!(vim.meaning(Some(g), g, normal), Meaning::Action(Action::Oldest));
        // What does not go on means what it means alone.
        assert_eq!(vim.meaning(Some(g), chord("j"), normal), Meaning::Action(Action::LineDown));
        assert_eq!(vim.meaning(None, g, Situation::default()), Meaning::Nothing);
        let incoming = Situation { incoming_shown: true, ..normal };
        assert_eq!(vim.meaning(None, chord("d"), incoming), Meaning::Action(Action::Decline));
        let mut own = Keymap::new(Preset::Emacs);
        let quit = crate::tui::action::named("quit").unwrap();
        assert_eq!(own.meaning(None, chord("ctrl-x"), Situation::default()), Meaning::Begins);
        own.rebind(crate::tui::action::named("search").unwrap(), &[keys("ctrl-x")]).unwrap();
        assert_eq!(own.meaning(None, chord("ctrl-x"), Situation::default()), Meaning::Action(Action::Search));
        assert_eq!(own.rebind(quit, &[keys("ctrl-x q")]), Ok(()), "elsewhere");
        assert_eq!(
            own.rebind(crate::tui::action::named("back").unwrap(), &[keys("ctrl-x q")]),
            Err(BindError::Taken(keys("ctrl-x q"), "search"))
        );
        for (text, shown) in [("g g", "gg"), ("ctrl-x ctrl-c", "Ctrl-X Ctrl-C"), ("ctrl-x b", "Ctrl-X b")] {
            assert_eq!((keys(text).to_string().as_str(), keys(text).written().as_str()), (shown, text));
        }
        assert!("g g g".parse::<Keys>().is_err() && "g ".parse::<Keys>().is_err());
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
            assert_eq!(chord(text).written(), text);
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
