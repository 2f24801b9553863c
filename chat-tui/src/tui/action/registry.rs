//! ★ The one list of what can be done.

use super::{Action, Argument, Group, Spec, When, spec};
use crate::tui::editor::Edit;
use crate::tui::theme::Look;

pub const ACTIONS: &[Spec] = {
    use Action as A;
    use Group::*;
    use When::*;
    &[
        spec(A::Befriend, "befriend", Friends, "Ask somebody to be friends", &[(Chat, "ctrl-n")])
            .typed(Argument::NameAndNote),
        spec(
            A::Accept,
            "accept",
            Friends,
            "Accept the friend request shown",
            &[(Incoming, "a"), (Incoming, "enter")],
        )
        .typed(Argument::Incoming),
        spec(A::Decline, "decline", Friends, "Decline the friend request shown", &[(Incoming, "d")])
            .typed(Argument::Incoming),
        spec(A::Withdraw, "withdraw", Friends, "Take back your own friend request", &[(Outgoing, "w")])
            .typed(Argument::Outgoing),
        spec(A::Unfriend, "unfriend", Friends, "Stop being friends", &[]).typed(Argument::Friend),
        spec(A::Block, "block", Friends, "Hear nothing from somebody any more", &[(Incoming, "b")])
            .typed(Argument::Known),
        spec(A::Unblock, "unblock", Friends, "Lift a block", &[]).typed(Argument::Blocked),
        spec(A::Nickname, "nickname", Friends, "Show a friend under another name", &[])
            .typed(Argument::Words("NAME")),
        spec(A::Mute, "mute", Friends, "No bell for a friend, or again", &[]).typed(Argument::Known),
        spec(A::Archive, "archive", Friends, "Hide a friend until they write, or show again", &[])
            .typed(Argument::Known),
        spec(A::ShowArchived, "archived", Friends, "Show the hidden friends too, or not", &[])
            .typed(Argument::None),
        spec(A::ShowRequests, "requests", Friends, "Show all friend requests, or only the newest", &[])
            .typed(Argument::None),
        spec(
            A::Switch,
            "switch",
            Friends,
            "Go to a friend by name",
            &[(Chat, "ctrl-g"), (AtEnd, "ctrl-k"), (List, "ctrl-k")],
        )
        .typed(Argument::Anybody),
        spec(
            A::Previous,
            "previous",
            Friends,
            "The friend above",
            &[(Chat, "alt-up"), (Chat, "ctrl-up"), (List, "up")],
        )
        .typed(Argument::None),
        spec(
            A::Next,
            "next",
            Friends,
            "The friend below",
            &[(Chat, "alt-down"), (Chat, "ctrl-down"), (List, "down")],
        )
        .typed(Argument::None),
        spec(
            A::NextUnread,
            "next-unread",
            Friends,
            "The next friend with something new",
            &[(Chat, "tab"), (Chat, "alt-a")],
        )
        .typed(Argument::None),
        spec(
            A::Open,
            "open",
            Friends,
            "Open the friend chosen (narrow screen)",
            &[(List, "enter"), (List, "right")],
        ),
        spec(A::PageUp, "page-up", Reading, "A page up", &[(Chat, "pageup")]).typed(Argument::None),
        spec(A::PageDown, "page-down", Reading, "A page down", &[(Chat, "pagedown")]).typed(Argument::None),
        spec(A::LineUp, "line-up", Reading, "A line up", &[(Chat, "shift-up")]),
        spec(A::LineDown, "line-down", Reading, "A line down", &[(Chat, "shift-down")]),
        spec(A::Oldest, "oldest", Reading, "The oldest message", &[(Chat, "ctrl-home"), (Empty, "home")])
            .typed(Argument::None),
        spec(A::Newest, "newest", Reading, "The newest message", &[(Chat, "ctrl-end"), (Empty, "end")])
            .typed(Argument::None),
        spec(A::Back, "back", Reading, "Back: to the newest message, to the list", &[(Chat, "esc")])
            .typed(Argument::None),
        spec(A::Search, "search", Reading, "Search everything that was said", &[(Chat, "ctrl-r")])
            .typed(Argument::Words("WORDS")),
        spec(A::Choose, "choose", Reading, "Choose a message", &[(Chat, "alt-s")])
            .typed(Argument::Words("NUMBER")),
        spec(A::ChooseUp, "choose-up", Reading, "", &[(Choosing, "up"), (Choosing, "k")]),
        spec(A::ChooseDown, "choose-down", Reading, "", &[(Choosing, "down"), (Choosing, "j")]),
        spec(A::ChooseEnd, "choose-end", Reading, "", &[(Choosing, "esc"), (Choosing, "q")]),
        spec(
            A::Copy,
            "copy",
            Reading,
            "Copy the message chosen, or the newest in view",
            &[(Chat, "alt-c"), (Choosing, "c"), (Choosing, "y")],
        )
        .typed(Argument::None),
        spec(
            A::OpenLink,
            "open-link",
            Reading,
            "Open a link in the message",
            &[(Chat, "alt-o"), (Choosing, "o")],
        )
        .typed(Argument::Words("NUMBER")),
        spec(
            A::GoToAnswered,
            "go-to-answered",
            Reading,
            "Go to what the message chosen answers",
            &[(Choosing, "g")],
        )
        .typed(Argument::None),
        spec(A::Export, "export", Reading, "Write the whole conversation to a file", &[])
            .typed(Argument::Choice { what: "text|json FILE", of: &["text", "json"], needed: false }),
        spec(A::Retention, "retention", Reading, "Forget messages after so many days", &[])
            .typed(Argument::Choice { what: "DAYS|off", of: &["off", "30", "90", "365"], needed: true }),
        spec(A::Mouse, "mouse", Reading, "Mouse for Warren, or for selecting text", &[(Chat, "alt-m")]),
        spec(A::Send, "send", Writing, "Send", &[(Chat, "enter")]),
        spec(
            A::Newline,
            "newline",
            Writing,
            "A new line",
            &[(Chat, "alt-enter"), (Chat, "shift-enter"), (Chat, "ctrl-enter"), (Chat, "ctrl-j")],
        ),
        spec(
            A::Reply,
            "reply",
            Writing,
            "Answer the message chosen, or the newest",
            &[(Chat, "alt-r"), (Choosing, "r"), (Choosing, "enter")],
        )
        .typed(Argument::None),
        spec(
            A::EditMessage,
            "edit",
            Writing,
            "Change your message chosen, or your newest",
            &[(Choosing, "e")],
        )
        .typed(Argument::None),
        spec(
            A::DeleteMessage,
            "delete",
            Writing,
            "Take back your message chosen, or your newest",
            &[(Choosing, "d"), (Choosing, "delete")],
        )
        .typed(Argument::None),
        spec(
            A::React,
            "react",
            Writing,
            "Put a mark on the message chosen, or the newest",
            &[(Choosing, "+"), (Choosing, "m")],
        )
        .typed(Argument::Words("MARK|off")),
        spec(A::Retry, "retry", Writing, "Send again what came back or failed", &[(Choosing, "t")])
            .typed(Argument::None),
        spec(A::Me, "me", Writing, "Say what you do, as in /me waves", &[]).typed(Argument::Words("DOES")),
        spec(A::Up, "up", Writing, "The line above, then what you sent before", &[(Chat, "up")]),
        spec(A::Down, "down", Writing, "The line below, then back again", &[(Chat, "down")]),
        spec(A::Edit(Edit::Left), "left", Writing, "", &[(Editing, "left"), (Editing, "ctrl-b")]),
        spec(A::Edit(Edit::Right), "right", Writing, "", &[(Editing, "right"), (Editing, "ctrl-f")]),
        spec(
            A::Edit(Edit::WordLeft),
            "word-left",
            Writing,
            "A word to the left",
            &[(Editing, "alt-b"), (Editing, "ctrl-left"), (Editing, "alt-left")],
        ),
        spec(
            A::Edit(Edit::WordRight),
            "word-right",
            Writing,
            "A word to the right",
            &[(Editing, "alt-f"), (Editing, "ctrl-right"), (Editing, "alt-right")],
        ),
        spec(
            A::Edit(Edit::LineStart),
            "line-start",
            Writing,
            "The beginning of the line",
            &[(Editing, "ctrl-a"), (Editing, "home")],
        ),
        spec(
            A::Edit(Edit::LineEnd),
            "line-end",
            Writing,
            "The end of the line",
            &[(Editing, "ctrl-e"), (Editing, "end")],
        ),
        spec(A::Edit(Edit::Start), "text-start", Writing, "", &[(Editing, "alt-<")]),
        spec(A::Edit(Edit::End), "text-end", Writing, "", &[(Editing, "alt->")]),
        spec(
            A::Edit(Edit::DeleteLeft),
            "delete-left",
            Writing,
            "",
            &[(Editing, "backspace"), (Editing, "ctrl-h"), (Editing, "shift-backspace")],
        ),
        spec(
            A::Edit(Edit::DeleteRight),
            "delete-right",
            Writing,
            "",
            &[(Editing, "delete"), (Editing, "ctrl-d")],
        ),
        spec(
            A::Edit(Edit::DeleteWordLeft),
            "cut-word-left",
            Writing,
            "Cut the word to the left",
            &[(Editing, "ctrl-w"), (Editing, "alt-backspace"), (Editing, "ctrl-backspace")],
        ),
        spec(
            A::Edit(Edit::DeleteWordRight),
            "cut-word-right",
            Writing,
            "Cut the word to the right",
            &[(Editing, "alt-d"), (Editing, "ctrl-delete")],
        ),
        spec(
            A::Edit(Edit::DeleteToLineStart),
            "cut-to-line-start",
            Writing,
            "Cut to the beginning of the line",
            &[(Editing, "ctrl-u")],
        ),
        spec(
            A::Edit(Edit::DeleteToLineEnd),
            "cut-to-line-end",
            Writing,
            "Cut to the end of the line",
            &[(Editing, "ctrl-k")],
        ),
        spec(A::Edit(Edit::DeleteLine), "cut-line", Writing, "Cut the line", &[]),
        spec(A::Edit(Edit::Yank), "yank", Writing, "Put back what was cut", &[(Editing, "ctrl-y")]),
        spec(
            A::Edit(Edit::Undo),
            "undo",
            Writing,
            "Undo",
            // Terminals send Ctrl-_ and Ctrl-/ as the code that is read as Ctrl-7.
            &[(Editing, "ctrl-z"), (Editing, "ctrl-_"), (Editing, "ctrl-/"), (Editing, "ctrl-7")],
        ),
        spec(A::Edit(Edit::Redo), "redo", Writing, "Redo", &[(Editing, "alt-z"), (Editing, "ctrl-shift-z")]),
        spec(A::CompleteTake, "complete", Writing, "Take what is offered", &[(Completing, "tab")]),
        spec(A::CompleteNext, "complete-next", Writing, "", &[(Completing, "down")]),
        spec(A::CompletePrevious, "complete-previous", Writing, "", &[(Completing, "up")]),
        spec(A::CompleteCancel, "complete-cancel", Writing, "", &[(Completing, "esc")]),
        spec(A::Outside, "editor", Writing, "Write in your own editor ($EDITOR)", &[(Chat, "alt-e")])
            .typed(Argument::None),
        spec(A::NormalMode, "normal-mode", Writing, "Letters are commands (vim-like keys)", &[]),
        spec(A::InsertMode, "insert-mode", Writing, "Letters are text again", &[]),
        spec(A::AppendMode, "append-mode", Writing, "The same, behind what is written", &[]),
        spec(
            A::Command,
            "command",
            Writing,
            "A command; // begins a message with a slash",
            &[(Empty, "/"), (List, "/")],
        ),
        spec(
            A::Palette,
            "palette",
            Warren,
            "Everything that can be done, by a few letters",
            &[(Chat, "ctrl-p"), (Chat, "alt-x")],
        ),
        spec(A::Reconnect, "reconnect", Warren, "Try to connect now, without waiting", &[])
            .typed(Argument::None),
        spec(A::TakeOver, "take-over", Warren, "Have friend requests arrive here, not elsewhere", &[])
            .typed(Argument::None),
        spec(A::Away, "away", Warren, "Show yourself as away, with why, or back", &[])
            .typed(Argument::Words("WHY")),
        spec(A::DoNotDisturb, "do-not-disturb", Warren, "No bell and no notifications, or again", &[])
            .typed(Argument::None),
        spec(A::Theme, "theme", Warren, "Colours: auto, dark, light, contrast, plain", &[])
            .typed(Argument::Choice { what: "LOOK", of: Look::NAMES, needed: true }),
        spec(A::Notices, "notices", Warren, "What you were told before", &[(Chat, "alt-l")])
            .typed(Argument::None),
        spec(A::Help, "help", Warren, "This help", &[(Always, "f1"), (Empty, "?"), (List, "?")])
            .typed(Argument::None),
        spec(A::Redraw, "redraw", Warren, "Draw the screen anew", &[(Always, "ctrl-l")]),
        spec(A::Suspend, "suspend", Warren, "Back to the shell, until `fg`", &[]).typed(Argument::None),
        spec(A::Interrupt, "interrupt", Warren, "", &[(Always, "ctrl-c")]),
        spec(A::Quit, "quit", Warren, "Leave Warren", &[(Always, "ctrl-q")]).typed(Argument::None),
    ]
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::{ACTIONS, named, slash_commands};
    use crate::tui::keymap::Keymap;
    use crate::tui::preset::Preset;

    #[test]
    fn every_action_and_command_is_listed_once() {
        let mut actions = HashSet::new();
        for spec in ACTIONS {
            assert!(actions.insert(format!("{:?}", spec.action)), "{:?} twice", spec.action);
            let presets = [Preset::Default, Preset::Emacs, Preset::Vim];
            let has_key = presets.into_iter().any(|p| Keymap::new(p).key(spec.action).is_some());
            assert!(has_key || spec.argument.is_some(), "{:?} cannot be reached", spec.action);
            assert_eq!(named(spec.name).map(|s| s.action), Some(spec.action), "{} is two actions", spec.name);
        }
        for (spec, slash) in slash_commands() {
            assert!(!spec.description.is_empty(), "/{} says nothing in the help", slash.name);
        }
    }
}
