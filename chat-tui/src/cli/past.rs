//! Commands about what was said: history, search, export, edit, delete, react, retry, retention. Those that only read, or
//! only change the local state, need no connection.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::Failure;
use super::client::Client;
use super::output::{Line, Output};
use super::talk::text_of;
use crate::export;
use crate::session::api::{Amending, Command, Delivery, Direction, ExportFormat, Message, Span};
use crate::store::{RETENTION_DAYS_MAX, Store, StoreError};

/// How far back `last` looks.
const LAST_MESSAGES_MAX: usize = 1000;

/// Which message a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The `row` of the JSON output, or of `history --rows`.
    Row(i64),
    /// The newest that the command can be about.
    Last,
}

impl std::str::FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "last" => Ok(Which::Last),
            row => row.parse().map(Which::Row).map_err(|_| {
                "a message is named by its row, as history --rows shows it, or by the word last".to_owned()
            }),
        }
    }
}

fn failed(error: StoreError) -> Failure {
    error.to_string()
}

fn print(output: &Output, line: &Line<'_>) -> Result<(), Failure> {
    output.print(line).map_err(|error| format!("cannot write to standard output: {error}"))
}

/// Prints the newest messages with `name`.
pub fn history(folder: &Path, name: &str, limit: usize, rows: bool, output: &Output) -> Result<(), Failure> {
    let store = Store::open(folder).map_err(failed)?;
    let mut pages = Vec::new();
    let (mut span, mut left) = (Span::Newest, limit);
    while left > 0 {
        let page = store.history(name, span, left).map_err(failed)?;
        left -= page.messages.len().min(left);
        if let Some(first) = page.messages.first() {
            span = Span::Before(first.row);
        }
        pages.push(page.messages);
        if !page.older {
            break;
        }
    }
    if pages.iter().all(Vec::is_empty) && !output.json {
        return print(output, &Line::Notice(&format!("no messages with {name}")));
    }
    pages.iter().rev().flatten().try_for_each(|message| print_one(message, rows, output))
}

fn print_one(message: &Message, rows: bool, output: &Output) -> Result<(), Failure> {
    match rows && !output.json {
        true => print(output, &Line::Numbered(message)),
        false => print(output, &Line::Message(message)),
    }
}

/// Prints the messages that have all words of `query`, the newest `limit` of them, oldest first.
pub fn search(
    folder: &Path,
    query: &str,
    friend: Option<&str>,
    limit: usize,
    output: &Output,
) -> Result<(), Failure> {
    let store = Store::open(folder).map_err(failed)?;
    let (mut found, mut before) = (Vec::new(), None);
    while found.len() < limit {
        let (some, more) = store.search(query, friend, before, limit - found.len()).map_err(failed)?;
        before = some.last().map(|message| message.row);
        found.extend(some);
        if !more {
            break;
        }
    }
    if found.is_empty() && !output.json {
        return print(output, &Line::Notice(&format!("nothing found for {query:?}")));
    }
    found.iter().rev().try_for_each(|message| print_one(message, true, output))
}

/// Writes the whole history with `friend` to a new file, or to standard output.
pub fn export(
    folder: &Path,
    friend: &str,
    format: ExportFormat,
    path: Option<&PathBuf>,
    output: &Output,
) -> Result<(), Failure> {
    if let Some(path) = path {
        let count = export::to_file(folder, friend, format, path)?;
        let text = format!("wrote {count} messages with {friend} to {}", path.display());
        return print(output, &Line::Done { command: "export", name: Some(friend), text: &text });
    }
    let store = Store::open(folder).map_err(failed)?;
    export::check_known(&store, friend)?;
    let mut out = BufWriter::new(io::stdout().lock());
    export::write(&store, friend, format, &TimeZone::system(), &mut out)
        .and_then(|_| Ok(out.flush()?))
        .map_err(|error| format!("standard output: {error}"))
}

/// Shows, or sets, after how many days messages are forgotten.
pub fn retention(folder: &Path, days: Option<&str>, output: &Output) -> Result<(), Failure> {
    let store = Store::open(folder).map_err(failed)?;
    if let Some(days) = days {
        store.set_retention_days(parse_retention(days)?).map_err(failed)?;
    }
    let text = match store.retention_days().map_err(failed)? {
        None => "all messages are kept".to_owned(),
        Some(days) => format!("messages are forgotten after {days} days, whenever chat-tui runs"),
    };
    print(output, &Line::Done { command: "retention", name: None, text: &text })
}

/// `off`, or a number of days.
pub fn parse_retention(days: &str) -> Result<Option<u32>, Failure> {
    match days {
        "off" => Ok(None),
        days => match days.parse() {
            Ok(days @ 1..=RETENTION_DAYS_MAX) => Ok(Some(days)),
            _ => Err(format!("{days:?} is neither off nor a number of days from 1 to {RETENTION_DAYS_MAX}")),
        },
    }
}

/// A change to something that was said.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Edit(String),
    Delete,
    React(Option<String>),
    Retry,
}

impl Change {
    fn command(&self, friend: &str, row: i64) -> Result<Command, Failure> {
        let friend = friend.to_owned();
        Ok(match self {
            Change::Edit(text) => Command::Edit { friend, row, text: text_of(text)? },
            Change::Delete => Command::Delete { friend, row },
            Change::React(mark) => Command::React { friend, row, mark: mark.clone() },
            Change::Retry => Command::Retry { friend, row },
        })
    }

    fn word(&self) -> &'static str {
        match self {
            Change::Edit(_) => "edit",
            Change::Delete => "delete",
            Change::React(_) => "react",
            Change::Retry => "retry",
        }
    }

    fn done(&self) -> &'static str {
        match self {
            Change::Edit(_) => "the message is edited",
            Change::Delete => "the message is deleted",
            Change::React(Some(_)) => "the mark is set",
            Change::React(None) => "the mark is taken back",
            Change::Retry => "it is sent",
        }
    }

    /// Whether `last` means the newest message of ours.
    fn is_about_ours(&self) -> bool {
        !matches!(self, Change::React(_))
    }
}

/// The row that is meant by `which`.
pub fn find(folder: &Path, name: &str, which: Which, ours: bool) -> Result<i64, Failure> {
    let Which::Row(row) = which else {
        let store = Store::open(folder).map_err(failed)?;
        let newest = store.history(name, Span::Newest, LAST_MESSAGES_MAX).map_err(failed)?.messages;
        let wanted = if ours { Direction::Outgoing } else { Direction::Incoming };
        let whose = if ours { "of yours to" } else { "from" };
        return newest
            .iter()
            .rev()
            .find(|message| message.direction == wanted && !message.deleted)
            .map(|message| message.row)
            .ok_or_else(|| format!("there is no message {whose} {name}"));
    };
    Ok(row)
}

/// Changes a message and waits until the broker has the change.
pub async fn change(
    folder: &Path,
    mut client: Client,
    name: &str,
    which: Which,
    change: &Change,
    output: &Output,
) -> Result<(), Failure> {
    let row = find(folder, name, which, change.is_about_ours())?;
    let command = change.command(name, row)?;
    client.command(command.clone()).await?;
    let settled = client.settle(&command).await.map_err(|reason| {
        format!("{reason}: the change is made here, and goes out when chat-tui reaches the broker")
    });
    client.end().await;
    settled?;
    let store = Store::open(folder).map_err(failed)?;
    let target = store.target(name, row).map_err(failed)?;
    if let Some(target) = target {
        match target.state {
            Delivery::Returned if change == &Change::Retry => {
                return Err(format!("{name} is no longer your friend: the message came back"));
            }
            Delivery::Failed(reason) if change == &Change::Retry => return Err(reason),
            _ if target.amending == Amending::Lost => {
                return Err(format!("the change is made here, but did not reach {name}"));
            }
            _ => {}
        }
    }
    print(output, &Line::Done { command: change.word(), name: Some(name), text: change.done() })
}
