//! Commands about people: sign-up, requests, friends.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Failure;
use super::client::{Client, Step};
use super::output::{Line, Output};
use crate::session::SessionConfig;
use crate::session::api::{Command, Direction, Event, Request, RequestState};
use crate::session::protocol::Now;
use crate::store::Store;

/// A command that is about one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Accept,
    Decline,
    Withdraw,
    Block,
    Unblock,
    Unfriend,
}

impl Verb {
    fn command(self, name: &str) -> Command {
        let name = name.to_owned();
        match self {
            Verb::Accept => Command::Accept { name },
            Verb::Decline => Command::Decline { name },
            Verb::Withdraw => Command::Withdraw { name },
            Verb::Block => Command::Block { name },
            Verb::Unblock => Command::Unblock { name },
            Verb::Unfriend => Command::Unfriend { name },
        }
    }

    fn word(self) -> &'static str {
        match self {
            Verb::Accept => "accept",
            Verb::Decline => "decline",
            Verb::Withdraw => "withdraw",
            Verb::Block => "block",
            Verb::Unblock => "unblock",
            Verb::Unfriend => "unfriend",
        }
    }

    fn done(self, name: &str) -> String {
        match self {
            Verb::Accept => format!("{name} is your friend now"),
            Verb::Decline => format!("you declined the request of {name}"),
            Verb::Withdraw => format!("you took back your request to {name}"),
            Verb::Block => format!("{name} is blocked"),
            Verb::Unblock => format!("{name} is no longer blocked"),
            Verb::Unfriend => format!("{name} is no longer your friend"),
        }
    }
}

pub async fn sign_up(config: SessionConfig, output: &Output) -> Result<(), Failure> {
    let user = config.broker.user().to_owned();
    let mut client = Client::start(config)?;
    client.online().await?;
    // Only who has been online with a friend server there can be asked.
    client.settle_in().await?;
    client.end().await;
    done(output, "sign-up", &user, &format!("welcome, {user}: ask somebody with befriend NAME"))
}

pub async fn befriend(mut client: Client, name: &str, note: &str, output: &Output) -> Result<(), Failure> {
    // Their request or their answer may wait at the broker; with it, ours is another one.
    client.catch_up().await?;
    let started = SystemTime::now();
    let command = Command::Befriend { name: name.to_owned(), note: note.to_owned() };
    client.command(command.clone()).await?;
    let result = loop {
        if client.is_friend(name) {
            client.settle(&command).await?;
            break Ok(format!("{name} had asked you: {name} is your friend now"));
        }
        match client.requests.iter().find(|request| is_this(request, name, started)) {
            Some(Request { state: RequestState::Forwarded, .. }) => {
                break Ok(format!("{name} has your request"));
            }
            Some(Request { state: RequestState::Failed(reason), .. }) => break Err(reason.clone()),
            Some(Request { state: RequestState::Declined, .. }) => {
                break Err(format!("{name} declined your request"));
            }
            _ => {}
        }
        match client.step().await? {
            Step::Event(Event::Notice(text)) => eprintln!("chat-tui: {}", crate::harmless::line(&text)),
            Step::Late => {
                break Err(format!(
                    "{}: the request stays here and goes on whenever chat-tui runs (take it back with withdraw {name})",
                    client.excuse()
                ));
            }
            Step::Event(_) | Step::Progress => {}
        }
    };
    client.end().await;
    done(output, "befriend", name, &result?)
}

/// Whether this is the request made at `started` or later; the local state keeps milliseconds.
fn is_this(request: &Request, name: &str, started: SystemTime) -> bool {
    request.direction == Direction::Outgoing
        && request.name == name
        && request.at + Duration::from_millis(1) >= started
}

/// Accepts or declines a request, which may still be waiting at the broker.
pub async fn answer(mut client: Client, verb: Verb, name: &str, output: &Output) -> Result<(), Failure> {
    client.catch_up().await?;
    act(client, verb, name, output).await
}

/// Does what needs no more than the local state and the broker.
pub async fn act(mut client: Client, verb: Verb, name: &str, output: &Output) -> Result<(), Failure> {
    let command = verb.command(name);
    client.command(command.clone()).await?;
    let settled = match verb {
        Verb::Unblock => Ok(()),
        _ => client.settle(&command).await.map_err(|reason| {
            format!("{reason}: it is noted here, and takes effect as soon as chat-tui reaches the broker")
        }),
    };
    client.end().await;
    settled?;
    done(output, verb.word(), name, &verb.done(name))
}

/// Does what needs the local state only.
pub fn note(folder: &Path, command: &Command, text: &str, output: &Output) -> Result<(), Failure> {
    let (word, name) = match command {
        Command::SetNickname { name, .. } => ("nickname", name),
        Command::Mute { name, muted: true } => ("mute", name),
        Command::Mute { name, .. } => ("unmute", name),
        Command::Archive { name, archived: true } => ("archive", name),
        Command::Archive { name, .. } => ("unarchive", name),
        other => return Err(format!("{other:?} needs a connection")),
    };
    let store = Store::open(folder).map_err(|error| error.to_string())?;
    let events = store.command("", command, &Now::new()).map_err(|error| error.to_string())?;
    match events.into_iter().next() {
        None => done(output, word, name, text),
        Some(Event::Failed { reason, .. } | Event::Notice(reason)) => Err(reason),
        Some(other) => Err(format!("{other:?}")),
    }
}

pub async fn requests(mut client: Client, output: &Output) -> Result<(), Failure> {
    client.catch_up().await?;
    let requests = client.requests.clone();
    client.end().await;
    if requests.is_empty() && !output.json {
        return print(output, &Line::Notice("no requests"));
    }
    requests.iter().try_for_each(|request| print(output, &Line::Request(request)))
}

pub async fn friends(mut client: Client, output: &Output) -> Result<(), Failure> {
    client.catch_up().await?;
    let friends = client.friends.clone();
    client.end().await;
    if friends.is_empty() && !output.json {
        return print(output, &Line::Notice("no friends yet: ask somebody with befriend NAME"));
    }
    friends.iter().try_for_each(|friend| print(output, &Line::Friend(friend)))
}

fn done(output: &Output, command: &str, name: &str, text: &str) -> Result<(), Failure> {
    print(output, &Line::Done { command, name: Some(name), text })
}

fn print(output: &Output, line: &Line<'_>) -> Result<(), Failure> {
    output.print(line).map_err(|error| format!("cannot write to standard output: {error}"))
}
