//! ★ Everything a person can do: one list, from which the keys, the help and the slash commands come.

mod registry;

use super::editor::Edit;

pub use registry::ACTIONS;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Send,
    Newline,
    Up,
    Down,
    Edit(Edit),
    CompleteTake,
    CompleteNext,
    CompletePrevious,
    CompleteCancel,
    Outside,
    Command,
    Palette,
    NormalMode,
    InsertMode,
    AppendMode,
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
    Nickname,
    Mute,
    Archive,
    ShowArchived,
    ShowRequests,
    Reconnect,
    TakeOver,
    Away,
    DoNotDisturb,
    PageUp,
    PageDown,
    LineUp,
    LineDown,
    Oldest,
    Newest,
    Back,
    Copy,
    Choose,
    ChooseUp,
    ChooseDown,
    ChooseEnd,
    Reply,
    EditMessage,
    DeleteMessage,
    React,
    Retry,
    OpenLink,
    GoToAnswered,
    Search,
    Me,
    Export,
    Retention,
    Mouse,
    Theme,
    Notices,
    Help,
    Redraw,
    Suspend,
    Interrupt,
    Quit,
}

/// When a key means its action. Where several hold, the one further up in this list wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum When {
    /// Ways to go on are offered above the text.
    Completing,
    /// A message is chosen: single letters are about it.
    Choosing,
    /// A request from somebody is shown: single letters answer it.
    Incoming,
    /// A request to somebody is shown.
    Outgoing,
    /// The list has the whole (narrow) screen.
    List,
    /// Letters are commands (vim-like keys).
    Normal,
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
    /// Words, named so in the help.
    Words(&'static str),
    /// The same, with those that are offered; others may be allowed too.
    Choice {
        what: &'static str,
        of: &'static [&'static str],
        /// Nothing is done without a word.
        needed: bool,
    },
    /// The same; without a name there is a choice.
    Anybody,
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
            Argument::Words(what) | Argument::Choice { what, .. } => format!("/{} {what}", self.name),
            _ => format!("/{} NAME", self.name),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Spec {
    pub action: Action,
    /// What the config file calls it, and the slash command if it is one.
    pub name: &'static str,
    pub group: Group,
    /// For help and palette, in a few words; empty where the key says it all.
    pub description: &'static str,
    /// The first one is shown in the help.
    pub keys: &'static [(When, &'static str)],
    /// What follows the name where it is typed; `None`: it is not a slash command.
    pub argument: Option<Argument>,
}

impl Spec {
    /// Makes it a slash command.
    const fn typed(self, argument: Argument) -> Spec {
        Spec { argument: Some(argument), ..self }
    }

    pub fn slash(&self) -> Option<Slash> {
        self.argument.map(|argument| Slash { name: self.name, argument })
    }
}

const fn spec(
    action: Action,
    name: &'static str,
    group: Group,
    description: &'static str,
    keys: &'static [(When, &'static str)],
) -> Spec {
    Spec { action, name, group, description, keys, argument: None }
}

/// The action of this name.
pub fn named(name: &str) -> Option<&'static Spec> {
    ACTIONS.iter().find(|spec| spec.name == name)
}

/// The slash commands, in the order of the help.
pub fn slash_commands() -> impl Iterator<Item = (&'static Spec, Slash)> {
    ACTIONS.iter().filter_map(|spec| spec.slash().map(|slash| (spec, slash)))
}
