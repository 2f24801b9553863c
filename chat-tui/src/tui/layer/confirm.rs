//! ★ A question before something that cannot simply be undone.

use crossterm::event::KeyCode;

use super::{Input, Intent, Reply, passes_through};
use crate::session::api::Command;

/// A number of days, in words.
pub fn days_text(days: u32) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Confirm {
    pub question: String,
    pub explanation: String,
    /// The button that does it.
    pub yes: &'static str,
    /// The button that does not; it is the one chosen at first.
    pub no: &'static str,
    pub yes_chosen: bool,
    command: Command,
}

impl Confirm {
    pub fn unfriend(name: &str) -> Self {
        Confirm {
            question: format!("Stop being friends with {name}?"),
            explanation: "Neither of you can write to the other any more. What you wrote stays here."
                .to_owned(),
            yes: "Unfriend",
            no: "Keep",
            yes_chosen: false,
            command: Command::Unfriend { name: name.to_owned() },
        }
    }

    pub fn block(name: &str) -> Self {
        Confirm {
            question: format!("Block {name}?"),
            explanation: format!(
                "You hear nothing from {name} any more, and {name} is not told. /unblock lifts it."
            ),
            yes: "Block",
            no: "Cancel",
            yes_chosen: false,
            command: Command::Block { name: name.to_owned() },
        }
    }

    pub fn decline(name: &str) -> Self {
        Confirm {
            question: format!("Decline the request of {name}?"),
            explanation: format!("{name} is told so, and can ask again."),
            yes: "Decline",
            no: "Not yet",
            yes_chosen: false,
            command: Command::Decline { name: name.to_owned() },
        }
    }

    pub fn withdraw(name: &str) -> Self {
        Confirm {
            question: format!("Take back your request to {name}?"),
            explanation: format!("{name} can no longer accept it."),
            yes: "Take back",
            no: "Keep",
            yes_chosen: false,
            command: Command::Withdraw { name: name.to_owned() },
        }
    }

    pub fn forget(days: u32) -> Self {
        let days_text = days_text(days);
        Confirm {
            question: format!("Forget what is older than {days_text}?"),
            explanation: "It is deleted here for good, with all friends, now and from now on. What your friends have is theirs."
                .to_owned(),
            yes: "Forget",
            no: "Keep",
            yes_chosen: false,
            command: Command::SetRetention { days: Some(days) },
        }
    }

    pub fn delete(friend: &str, called: &str, row: i64, text: &str) -> Self {
        Confirm {
            question: "Take this message back?".to_owned(),
            explanation: format!(
                "“{text}” is deleted here and with {called}, as soon as {called}'s Warren hears of it."
            ),
            yes: "Delete",
            no: "Keep",
            yes_chosen: false,
            command: Command::Delete { friend: friend.to_owned(), row },
        }
    }

    /// What happens if the person agrees.
    pub fn agreed(&self) -> Intent {
        Intent::Session(self.command.clone())
    }

    pub(super) fn handle(&mut self, input: Input<'_>) -> Reply {
        let Input::Key(chord, action) = input else { return Reply::Consumed };
        if passes_through(action) {
            return Reply::Ignored;
        }
        let yes = chord.typed() == Some('y') || (chord.is(KeyCode::Enter) && self.yes_chosen);
        let no = chord.typed() == Some('n') || chord.is(KeyCode::Esc) || chord.is(KeyCode::Enter);
        let other = [KeyCode::Left, KeyCode::Right, KeyCode::Up, KeyCode::Down, KeyCode::Tab];
        match () {
            _ if yes => Reply::CloseAnd(Intent::Session(self.command.clone())),
            _ if no => Reply::Close,
            _ if other.into_iter().any(|key| chord.is(key)) => {
                self.yes_chosen = !self.yes_chosen;
                Reply::Consumed
            }
            _ => Reply::Consumed,
        }
    }
}
