//! ★ What lies over the chat: help, questions, dialogs. Layers get input first, the topmost before the
//! others, and say whether they used it.

pub mod befriend;
pub mod command;
pub mod confirm;
pub mod help;
pub mod links;
pub mod notices;
pub mod palette;
pub mod picker;
pub mod react;
pub mod search;
pub mod switcher;

use super::action::Action;
use super::editor::Editor;
use super::keymap::{Chord, Keymap};
use super::model::{Entry, Model, is_open};
use crate::session::api::{self, Direction, FriendStatus};

#[derive(Debug, Clone)]
pub enum Layer {
    Help(help::Help),
    Confirm(confirm::Confirm),
    Befriend(befriend::Befriend),
    Switcher(switcher::Switcher),
    Palette(palette::Palette),
    Command(command::CommandLine),
    Search(search::Search),
    React(react::React),
    Links(links::Links),
    Notices(notices::Notices),
}

#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A key, and what the keymap says it means.
    Key(Chord, Option<Action>),
    Paste(&'a str),
    /// The mouse wheel, in rows; up is negative.
    Wheel(isize),
}

/// What a layer made of an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Ignored,
    Consumed,
    Close,
    CloseAnd(Intent),
    /// The layer stays open.
    Do(Intent),
}

/// What the person decided in a layer.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    Session(api::Command),
    Select(Entry),
    /// A slash command, with its name and note where given.
    Perform {
        action: Action,
        name: Option<String>,
        note: String,
    },
    /// Go to the message `row`.
    GoTo {
        friend: String,
        row: i64,
    },
    OpenLink(String),
    /// Begin a message with a slash.
    TypeSlash,
    /// Open the line for commands, with this in it.
    TypeCommand(String),
}

/// What layers need to know of the model.
#[derive(Debug, Clone)]
pub struct Context {
    pub user: String,
    pub people: Vec<Person>,
    pub selected: Option<Entry>,
    pub keymap: Keymap,
    pub size: (u16, u16),
}

/// Somebody in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub entry: Entry,
    /// For entries of friends.
    pub status: Option<FriendStatus>,
    /// The nickname, if there is one, and the name.
    pub label: String,
    pub unread: u32,
    /// Put away: found by name, though not in the list.
    pub archived: bool,
}

impl Context {
    pub fn of(model: &Model) -> Self {
        let person = |entry: Entry| {
            let friend = match &entry {
                Entry::Friend(name) => model.friend(name),
                _ => None,
            };
            let name = entry.name();
            let label = match friend.and_then(|f| f.nickname.as_deref()) {
                Some(nickname) => format!("{nickname} ({name})"),
                None => name.to_owned(),
            };
            let (status, unread) = (friend.map(|f| f.status), friend.map_or(0, |f| f.unread));
            let archived = friend.is_some_and(|f| f.archived);
            Person { entry, status, label, unread, archived }
        };
        let mut entries = model.entries();
        let archived = model.friends.iter().filter(|f| f.archived).map(|f| Entry::Friend(f.name.clone()));
        let asking = model.requests.iter().filter(|r| r.direction == Direction::Incoming && is_open(r));
        let hidden = asking.map(|r| Entry::Incoming(r.name.clone())).chain(archived);
        let hidden: Vec<Entry> = hidden.filter(|entry| !entries.contains(entry)).collect();
        entries.extend(hidden);
        Context {
            user: model.user.clone(),
            people: entries.into_iter().map(person).collect(),
            selected: model.selected.clone(),
            keymap: model.keymap.clone(),
            size: model.size,
        }
    }

    fn is_friend(&self, name: &str) -> bool {
        self.people.iter().any(|p| p.entry.name() == name && p.status == Some(FriendStatus::Friend))
    }
}

impl Layer {
    pub fn handle(&mut self, input: Input<'_>, context: &Context, kills: &mut String) -> Reply {
        match self {
            Layer::Help(help) => help.handle(input, context),
            Layer::Confirm(confirm) => confirm.handle(input),
            Layer::Befriend(befriend) => befriend.handle(input, context, kills),
            Layer::Switcher(switcher) => switcher.handle(input, context, kills),
            Layer::Palette(palette) => palette.handle(input, context, kills),
            Layer::Command(command) => command.handle(input, context, kills),
            Layer::Search(search) => search.handle(input, kills),
            Layer::React(react) => react.handle(input, kills),
            Layer::Links(links) => links.handle(input),
            Layer::Notices(notices) => notices.handle(input, context),
        }
    }
}

/// What is pasted into a one-line input is cut here: names and notes are short.
const LINE_PASTE_CHARS_MAX: usize = 2000;

/// Lets a one-line input take what edits text; true when it did.
pub(in crate::tui) fn edit_line(editor: &mut Editor, input: Input<'_>, kills: &mut String) -> bool {
    match input {
        Input::Key(_, Some(Action::Edit(edit))) => {
            editor.apply(edit, kills);
        }
        Input::Key(chord, _) => match chord.typed() {
            Some(c) => editor.type_char(c),
            None => return false,
        },
        Input::Paste(text) => {
            let line: Vec<&str> = text.split_whitespace().collect();
            editor.paste(&line.join(" ").chars().take(LINE_PASTE_CHARS_MAX).collect::<String>());
        }
        Input::Wheel(_) => return false,
    }
    true
}

/// Actions that reach through every layer.
fn passes_through(action: Option<Action>) -> bool {
    matches!(action, Some(Action::Quit | Action::Interrupt | Action::Redraw))
}

impl Person {
    pub fn is_request(&self, direction: Direction) -> bool {
        matches!(
            (&self.entry, direction),
            (Entry::Incoming(_), Direction::Incoming) | (Entry::Outgoing(_), Direction::Outgoing)
        )
    }
}
