//! ★ From keys to actions.

mod chord;
#[cfg(test)]
mod tests;

use super::action::{ACTIONS, Action, Spec, When};
use super::preset::Preset;
pub use chord::{Chord, Keys};

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
