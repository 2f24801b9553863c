use std::collections::HashSet;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

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
            assert!(Keymap::new(preset).key(spec.action).is_some(), "{} has no key in {preset:?}", spec.name);
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
    let normal = Situation { normal: true, cursor_at_end: true, nothing_typed: true, ..Situation::default() };
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
