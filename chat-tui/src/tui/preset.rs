//! ★ Other people's habits: keys that differ from those of the registry.

use super::action::{Action as A, When};
use super::editor::Edit;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    #[default]
    Default,
    Emacs,
    /// With a mode in which letters are commands.
    Vim,
}

impl Preset {
    pub(super) fn bindings(self) -> &'static [(A, When, &'static str)] {
        match self {
            Preset::Default => &[],
            Preset::Emacs => EMACS,
            Preset::Vim => VIM,
        }
    }
}

const EMACS: &[(A, When, &str)] = {
    use When::*;
    &[
        (A::Palette, Chat, "alt-x"),
        (A::Up, Chat, "ctrl-p"),
        (A::Down, Chat, "ctrl-n"),
        (A::Befriend, Chat, "alt-n"),
        (A::Switch, Chat, "ctrl-x b"),
        (A::Quit, Chat, "ctrl-x ctrl-c"),
        (A::Edit(Edit::Undo), Editing, "ctrl-x u"),
        (A::Back, Chat, "ctrl-g"),
        (A::PageDown, Chat, "ctrl-v"),
        (A::PageUp, Chat, "alt-v"),
        (A::Newest, Empty, "alt->"),
        (A::Oldest, Empty, "alt-<"),
        (A::Newline, Chat, "ctrl-o"),
    ]
};

const VIM: &[(A, When, &str)] = {
    use When::*;
    &[
        (A::NormalMode, Chat, "esc"),
        (A::Back, Normal, "esc"),
        (A::InsertMode, Normal, "i"),
        (A::AppendMode, Normal, "a"),
        (A::Command, Normal, ":"),
        (A::Help, Normal, "?"),
        (A::Switch, Normal, "b"),
        (A::Befriend, Normal, "+"),
        (A::LineDown, Normal, "j"),
        (A::LineUp, Normal, "k"),
        (A::PageDown, Normal, "ctrl-f"),
        (A::PageUp, Normal, "ctrl-b"),
        (A::PageDown, Normal, "ctrl-d"),
        (A::PageUp, Normal, "ctrl-u"),
        (A::Oldest, Normal, "g g"),
        (A::Newest, Normal, "G"),
        (A::Next, Normal, "J"),
        (A::Previous, Normal, "K"),
        (A::NextUnread, Normal, "]"),
        (A::Copy, Normal, "y"),
        (A::Choose, Normal, "v"),
        (A::Search, Normal, "n"),
        (A::Edit(Edit::Left), Normal, "h"),
        (A::Edit(Edit::Right), Normal, "l"),
        (A::Edit(Edit::WordRight), Normal, "w"),
        (A::Edit(Edit::WordLeft), Normal, "B"),
        (A::Edit(Edit::LineStart), Normal, "0"),
        (A::Edit(Edit::LineEnd), Normal, "$"),
        (A::Edit(Edit::DeleteRight), Normal, "x"),
        (A::Edit(Edit::DeleteToLineEnd), Normal, "D"),
        (A::Edit(Edit::DeleteToLineEnd), Normal, "d $"),
        (A::Edit(Edit::DeleteToLineStart), Normal, "d 0"),
        (A::Edit(Edit::DeleteLine), Normal, "d d"),
        (A::Edit(Edit::DeleteWordRight), Normal, "d w"),
        (A::Edit(Edit::DeleteWordLeft), Normal, "d b"),
        (A::Edit(Edit::Yank), Normal, "p"),
        (A::Edit(Edit::Undo), Normal, "u"),
        (A::Edit(Edit::Redo), Normal, "ctrl-r"),
    ]
};
