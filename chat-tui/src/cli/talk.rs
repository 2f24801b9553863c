//! Commands that talk: send, reply, listen.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;

use shared::message::TEXT_BYTES_MAX;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use super::Failure;
use super::client::{Client, Step};
use super::output::{Line, Output};
use crate::session::api::{
    Command, Delivery, Direction, Event, Friend, FriendStatus, Message, Presence, Request, RequestState,
};
use crate::store::Store;

pub async fn send(client: Client, name: &str, text: &str, output: &Output) -> Result<(), Failure> {
    let text = text_of(text)?;
    say(client, name, &text, Command::Send { to: name.to_owned(), text: text.clone() }, output).await
}

/// Sends `text` as an answer to the message `row`.
pub async fn reply(client: Client, name: &str, row: i64, text: &str, output: &Output) -> Result<(), Failure> {
    let text = text_of(text)?;
    say(client, name, &text, Command::Reply { to: name.to_owned(), row, text: text.clone() }, output).await
}

/// What a text argument stands for: itself, or for `-` standard input.
pub fn text_of(argument: &str) -> Result<String, Failure> {
    match argument {
        "-" => read_stdin(),
        text => Ok(text.to_owned()),
    }
}

async fn say(
    mut client: Client,
    name: &str,
    text: &str,
    command: Command,
    output: &Output,
) -> Result<(), Failure> {
    let sent = deliver(&mut client, name, text, command).await;
    client.end().await;
    print(output, &Line::Message(&sent?))
}

/// Gives `command`, which sends `text`, and waits until it is known what became of it.
async fn deliver(client: &mut Client, name: &str, text: &str, command: Command) -> Result<Message, Failure> {
    // A friend as far as we know is enough: if not any more, the message comes back.
    while client.friends.is_empty() && client.connection.is_none() {
        client.step().await?;
    }
    if !client.is_friend(name) {
        client.catch_up().await?;
    }
    client.give(command.clone()).await?;
    let mut ours: Option<Message> = None;
    loop {
        if let Some(message) = &ours {
            match &message.state {
                Delivery::Queued => {}
                Delivery::Sent | Delivery::Delivered | Delivery::Read => return Ok(message.clone()),
                Delivery::Returned => {
                    return Err(format!(
                        "{name} is no longer your friend: the message came back, and is kept in the history"
                    ));
                }
                Delivery::Failed(reason) => return Err(reason.clone()),
            }
        }
        match client.step().await? {
            Step::Event(Event::Failed { command: failed, reason }) if failed == command => {
                return Err(reason);
            }
            Step::Event(Event::Message(message))
                if ours.is_none()
                    && message.direction == Direction::Outgoing
                    && message.friend == name
                    && message.text == text =>
            {
                ours = Some(message);
            }
            Step::Event(Event::MessageState { id, state, .. }) => {
                if let Some(message) = ours.as_mut().filter(|message| message.id == id) {
                    message.state = state;
                }
            }
            Step::Late => {
                return Err(format!(
                    "not sent yet ({}): the message is in the outbox, and goes out when chat-tui reaches the broker",
                    client.excuse()
                ));
            }
            Step::Event(_) | Step::Progress => {}
        }
    }
}

/// The text, without the line break that ends it.
fn read_stdin() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    // One byte more than fits tells that it is too much, without reading all of it.
    let limit = TEXT_BYTES_MAX as u64 + 2;
    std::io::stdin()
        .lock()
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read standard input: {error}"))?;
    let mut text = String::from_utf8(bytes).map_err(|_| "standard input is not UTF-8 text".to_owned())?;
    if text.ends_with('\n') {
        text.pop();
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("the text is longer than {TEXT_BYTES_MAX} bytes: send it in parts"));
    }
    Ok(text)
}

/// Prints what happens until interrupted, or until nobody reads it.
pub async fn listen(client: Client, output: &Output) -> Result<(), Failure> {
    let mut client = client.without_deadline();
    let handler = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
    let (mut interrupt, mut terminate) =
        (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
    let mut told = Told::default();
    loop {
        let step = tokio::select! {
            step = client.step() => step?,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        };
        if let Step::Event(event) = step
            && told.tell(&event, output).is_err()
        {
            break;
        }
    }
    client.end().await;
    Ok(())
}

/// What became of older messages is told with their ids alone.
const SENT_MAX: usize = 256;
/// So much of a text says which message it is.
const EXCERPT_CHARS: usize = 40;

/// Lists come whole; only what changed in them is printed.
#[derive(Default)]
pub struct Told {
    friends: Vec<Friend>,
    requests: Vec<Request>,
    /// What was sent lately, and how it begins.
    sent: VecDeque<(Uuid, String)>,
}

impl Told {
    /// Remembers what was sent: a person knows it by its words.
    pub fn note(&mut self, event: &Event) {
        let Event::Message(message) = event else { return };
        if message.direction == Direction::Outgoing {
            if self.sent.len() == SENT_MAX {
                self.sent.pop_front();
            }
            self.sent.push_back((message.id, excerpt(&message.text)));
        }
    }

    pub fn tell(&mut self, event: &Event, output: &Output) -> std::io::Result<()> {
        self.note(event);
        match event {
            Event::Message(message) => output.print(&Line::Message(message)),
            Event::MessageChanged(message) => output.print(&Line::Changed(message)),
            Event::MessageState { friend, id, state } => {
                let text = self.sent.iter().rev().find(|(sent, _)| sent == id).map(|(_, text)| text.as_str());
                output.print(&Line::State { friend, id: *id, state, text })
            }
            Event::Connection(connection) => output.print(&Line::Connection(connection)),
            Event::Typing { friend } => output.print(&Line::Typing { friend }),
            Event::Unfriended { by } => output.print(&Line::Unfriended { by }),
            Event::Notice(text) => output.print(&Line::Notice(text)),
            Event::Failed { reason, .. } => output.print(&Line::Notice(reason)),
            Event::Friends(friends) => self.tell_friends(friends, output),
            Event::Requests(requests) => self.tell_requests(requests, output),
            Event::History { .. } | Event::Found { .. } | Event::Forgotten | Event::Ended { .. } => Ok(()),
        }
    }

    fn tell_friends(&mut self, friends: &[Friend], output: &Output) -> std::io::Result<()> {
        for friend in friends {
            let before = self.friends.iter().find(|before| before.name == friend.name);
            // Unread counts and last messages follow from the messages, which are told themselves.
            let told = |friend: &Friend| (friend.status, seen(friend), friend.away_note.clone());
            if before.is_none_or(|before| told(before) != told(friend)) {
                output.print(&Line::Friend(friend))?;
            }
        }
        self.friends = friends.to_vec();
        Ok(())
    }

    fn tell_requests(&mut self, requests: &[Request], output: &Output) -> std::io::Result<()> {
        for request in requests {
            if !self.requests.contains(request) {
                output.print(&Line::Request(request))?;
            }
        }
        self.requests = requests.to_vec();
        Ok(())
    }
}

fn excerpt(text: &str) -> String {
    let mut chars = text.trim().chars();
    let mut excerpt: String = chars.by_ref().take(EXCERPT_CHARS).collect();
    if chars.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}

fn seen(friend: &Friend) -> u8 {
    match friend.presence {
        Presence::Online => 0,
        Presence::Away => 1,
        Presence::Offline { .. } => 2,
    }
}

/// Prints how many messages of friends and requests wait, from the local state alone.
pub fn unread(folder: &Path, output: &Output) -> Result<(), Failure> {
    // Nobody has signed in here yet: nothing is made only to be counted.
    let (messages, requests) = match folder.exists() {
        false => (0, 0),
        true => {
            let store = Store::open(folder).map_err(|error| error.to_string())?;
            let friends = store.friends().map_err(|error| error.to_string())?;
            let requests = store.requests().map_err(|error| error.to_string())?;
            let unread = friends.iter().filter(|friend| friend.status == FriendStatus::Friend);
            let open = |request: &&Request| {
                request.direction == Direction::Incoming && request.state == RequestState::Pending
            };
            (unread.map(|friend| u64::from(friend.unread)).sum(), requests.iter().filter(open).count())
        }
    };
    print(output, &Line::Unread { messages, requests })
}

fn print(output: &Output, line: &Line<'_>) -> Result<(), Failure> {
    output.print(line).map_err(|error| format!("cannot write to standard output: {error}"))
}
