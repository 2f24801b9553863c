//! ★ Everything a person can do: one list, from which the keys, the help and the slash commands come.

use super::editor::Edit;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Send,
    Newline,
    Up,
    Down,
    Edit(Edit),
    Command,
    Befriend,
    Switch,
    Previous,
    Next,
    NextUnread,
    Open,
    Accept,
    Decline,
    Block,
    Unblock,
    Withdraw,
    Unfriend,
    Away,
    PageUp,
    PageDown,
    LineUp,
    LineDown,
    Oldest,
    Newest,
    Back,
    Copy,
    Mouse,
    Help,
    Redraw,
    Interrupt,
    Quit,
}

/// When a key means its action. Where several hold, the one further up in this list wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// A request from somebody is shown: single letters answer it.
    Incoming,
    /// A request to somebody is shown.
    Outgoing,
    /// The list has the whole (narrow) screen.
    List,
    /// Nothing is typed.
    Empty,
    /// There is nothing right of the cursor.
    AtEnd,
    /// No dialog is open.
    Chat,
    /// Text is being edited, here or in a dialog.
    Editing,
    /// Always, also through dialogs.
    Always,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Friends,
    Reading,
    Writing,
    Warren,
}

impl Group {
    pub const ALL: [Group; 4] = [Group::Friends, Group::Reading, Group::Writing, Group::Warren];

    pub fn title(self) -> &'static str {
        match self {
            Group::Friends => "Friends",
            Group::Reading => "Reading",
            Group::Writing => "Writing",
            Group::Warren => "Warren",
        }
    }
}

/// Whom a slash command is about, and so what completes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    None,
    /// A name that need not be known, and a note after it.
    NameAndNote,
    Friend,
    Incoming,
    Outgoing,
    Blocked,
    /// Anybody in the list.
    Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slash {
    /// Without the slash.
    pub name: &'static str,
    pub argument: Argument,
}

impl Slash {
    /// As it is typed, e.g. `/befriend NAME NOTE`.
    pub fn usage(&self) -> String {
        match self.argument {
            Argument::None => format!("/{}", self.name),
            Argument::NameAndNote => format!("/{} NAME NOTE", self.name),
            _ => format!("/{} NAME", self.name),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Spec {
    pub action: Action,
    pub group: Group,
    /// For the help, in a few words.
    pub description: &'static str,
    /// The first one is shown in the help.
    pub keys: &'static [(When, &'static str)],
    pub slash: Option<Slash>,
}

const fn spec(
    action: Action,
    group: Group,
    description: &'static str,
    keys: &'static [(When, &'static str)],
) -> Spec {
    Spec { action, group, description, keys, slash: None }
}

const fn slash(spec: Spec, name: &'static str, argument: Argument) -> Spec {
    Spec { slash: Some(Slash { name, argument }), ..spec }
}

pub const ACTIONS: &[Spec] = {
    use Action as A;
    use Group::*;
    use When::*;
    &[
        slash(
            spec(A::Befriend, Friends, "Ask somebody to be friends", &[(Chat, "ctrl-n")]),
            "befriend",
            Argument::NameAndNote,
        ),
        slash(
            spec(
                A::Accept,
                Friends,
                "Accept the friend request shown",
                &[(Incoming, "a"), (Incoming, "enter")],
            ),
            "accept",
            Argument::Incoming,
        ),
        slash(
            spec(A::Decline, Friends, "Decline the friend request shown", &[(Incoming, "d")]),
            "decline",
            Argument::Incoming,
        ),
        slash(
            spec(A::Withdraw, Friends, "Take back your own friend request", &[(Outgoing, "w")]),
            "withdraw",
            Argument::Outgoing,
        ),
        slash(spec(A::Unfriend, Friends, "Stop being friends", &[]), "unfriend", Argument::Friend),
        slash(
            spec(A::Block, Friends, "Hear nothing from somebody any more", &[(Incoming, "b")]),
            "block",
            Argument::Known,
        ),
        slash(spec(A::Unblock, Friends, "Lift a block", &[]), "unblock", Argument::Blocked),
        spec(
            A::Switch,
            Friends,
            "Go to a friend by name",
            &[(Chat, "ctrl-g"), (AtEnd, "ctrl-k"), (List, "ctrl-k")],
        ),
        spec(A::Previous, Friends, "The friend above", &[(Chat, "alt-up"), (Chat, "ctrl-up"), (List, "up")]),
        spec(
            A::Next,
            Friends,
            "The friend below",
            &[(Chat, "alt-down"), (Chat, "ctrl-down"), (List, "down")],
        ),
        spec(A::NextUnread, Friends, "The next friend with something new", &[(Chat, "tab"), (Chat, "alt-a")]),
        spec(A::Open, Friends, "Open the friend chosen (narrow screen)", &[(List, "enter"), (List, "right")]),
        spec(A::PageUp, Reading, "A page up", &[(Chat, "pageup")]),
        spec(A::PageDown, Reading, "A page down", &[(Chat, "pagedown")]),
        spec(A::LineUp, Reading, "A line up", &[(Chat, "shift-up")]),
        spec(A::LineDown, Reading, "A line down", &[(Chat, "shift-down")]),
        spec(A::Oldest, Reading, "The oldest message at hand", &[(Chat, "ctrl-home"), (Empty, "home")]),
        spec(A::Newest, Reading, "The newest message", &[(Chat, "ctrl-end"), (Empty, "end")]),
        spec(A::Back, Reading, "Back: to the newest message, to the list", &[(Chat, "esc")]),
        spec(A::Copy, Reading, "Copy the newest message in view", &[(Chat, "alt-c")]),
        spec(A::Mouse, Reading, "Mouse for Warren, or for selecting text", &[(Chat, "alt-m")]),
        spec(A::Send, Writing, "Send", &[(Chat, "enter")]),
        spec(
            A::Newline,
            Writing,
            "A new line",
            &[(Chat, "alt-enter"), (Chat, "shift-enter"), (Chat, "ctrl-enter"), (Chat, "ctrl-j")],
        ),
        spec(A::Up, Writing, "The line above, then what you sent before", &[(Chat, "up")]),
        spec(A::Down, Writing, "The line below, then back again", &[(Chat, "down")]),
        spec(A::Edit(Edit::Left), Writing, "", &[(Editing, "left"), (Editing, "ctrl-b")]),
        spec(A::Edit(Edit::Right), Writing, "", &[(Editing, "right"), (Editing, "ctrl-f")]),
        spec(
            A::Edit(Edit::WordLeft),
            Writing,
            "A word to the left",
            &[(Editing, "alt-b"), (Editing, "ctrl-left"), (Editing, "alt-left")],
        ),
        spec(
            A::Edit(Edit::WordRight),
            Writing,
            "A word to the right",
            &[(Editing, "alt-f"), (Editing, "ctrl-right"), (Editing, "alt-right")],
        ),
        spec(
            A::Edit(Edit::LineStart),
            Writing,
            "The beginning of the line",
            &[(Editing, "ctrl-a"), (Editing, "home")],
        ),
        spec(
            A::Edit(Edit::LineEnd),
            Writing,
            "The end of the line",
            &[(Editing, "ctrl-e"), (Editing, "end")],
        ),
        spec(A::Edit(Edit::Start), Writing, "", &[(Editing, "alt-<")]),
        spec(A::Edit(Edit::End), Writing, "", &[(Editing, "alt->")]),
        spec(
            A::Edit(Edit::DeleteLeft),
            Writing,
            "",
            &[(Editing, "backspace"), (Editing, "ctrl-h"), (Editing, "shift-backspace")],
        ),
        spec(A::Edit(Edit::DeleteRight), Writing, "", &[(Editing, "delete"), (Editing, "ctrl-d")]),
        spec(
            A::Edit(Edit::DeleteWordLeft),
            Writing,
            "Cut the word to the left",
            &[(Editing, "ctrl-w"), (Editing, "alt-backspace"), (Editing, "ctrl-backspace")],
        ),
        spec(
            A::Edit(Edit::DeleteWordRight),
            Writing,
            "Cut the word to the right",
            &[(Editing, "alt-d"), (Editing, "ctrl-delete")],
        ),
        spec(
            A::Edit(Edit::DeleteToLineStart),
            Writing,
            "Cut to the beginning of the line",
            &[(Editing, "ctrl-u")],
        ),
        spec(A::Edit(Edit::DeleteToLineEnd), Writing, "Cut to the end of the line", &[(Editing, "ctrl-k")]),
        spec(A::Edit(Edit::Yank), Writing, "Put back what was cut", &[(Editing, "ctrl-y")]),
        spec(
            A::Edit(Edit::Undo),
            Writing,
            "Undo",
            // Terminals send Ctrl-_ and Ctrl-/ as the code that is read as Ctrl-7.
            &[(Editing, "ctrl-z"), (Editing, "ctrl-_"), (Editing, "ctrl-/"), (Editing, "ctrl-7")],
        ),
        spec(A::Edit(Edit::Redo), Writing, "Redo", &[(Editing, "alt-z"), (Editing, "ctrl-shift-z")]),
        spec(
            A::Command,
            Writing,
            "A command; // begins a message with a slash",
            &[(Empty, "/"), (List, "/")],
        ),
        slash(spec(A::Away, Warren, "Show yourself as away, or back", &[]), "away", Argument::None),
        slash(
            spec(A::Help, Warren, "This help", &[(Always, "f1"), (Empty, "?"), (List, "?")]),
            "help",
            Argument::None,
        ),
        spec(A::Redraw, Warren, "Draw the screen anew", &[(Always, "ctrl-l")]),
        spec(A::Interrupt, Warren, "", &[(Always, "ctrl-c")]),
        slash(spec(A::Quit, Warren, "Leave Warren", &[(Always, "ctrl-q")]), "quit", Argument::None),
    ]
};

/// The slash commands, in the order of the help.
pub fn slash_commands() -> impl Iterator<Item = (&'static Spec, Slash)> {
    ACTIONS.iter().filter_map(|spec| spec.slash.map(|slash| (spec, slash)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_action_and_command_is_listed_once() {
        let mut actions = HashSet::new();
        for spec in ACTIONS {
            assert!(actions.insert(format!("{:?}", spec.action)), "{:?} twice", spec.action);
            assert!(!spec.keys.is_empty() || spec.slash.is_some(), "{:?} cannot be reached", spec.action);
        }
        let mut names = HashSet::new();
        for (spec, slash) in slash_commands() {
            assert!(names.insert(slash.name), "/{} twice", slash.name);
            assert!(!spec.description.is_empty(), "/{} says nothing in the help", slash.name);
        }
    }
}
