//! What the commands print: plain lines, or JSON lines. The shapes are in `--help`.

use std::io::{self, Write};
use std::time::SystemTime;

use jiff::tz::TimeZone;
use serde::Serialize;
use uuid::Uuid;

use crate::harmless;
use crate::session::api::{
    Connection, Delivery, Direction, Friend, FriendStatus, Message, Presence, Request, RequestState,
};
use crate::transcript::{self, delivery, direction, local, utc, with};

pub struct Output {
    pub json: bool,
}

/// One line of output.
#[derive(Debug, Clone, PartialEq)]
pub enum Line<'a> {
    Message(&'a Message),
    /// A message with its row before it, by which commands name it.
    Numbered(&'a Message),
    /// A message that was edited, deleted or marked.
    Changed(&'a Message),
    State {
        friend: &'a str,
        id: Uuid,
        state: &'a Delivery,
        /// How the message begins, if that is known.
        text: Option<&'a str>,
    },
    Friend(&'a Friend),
    Request(&'a Request),
    Unfriended {
        by: &'a str,
    },
    Typing {
        friend: &'a str,
    },
    Connection(&'a Connection),
    Notice(&'a str),
    /// Messages that were not read, and requests that wait for an answer.
    Unread {
        messages: u64,
        requests: usize,
    },
    /// A line of a script's course.
    Told(&'a str),
    /// A command has had its effect; `text` is for the plain form.
    Done {
        command: &'a str,
        name: Option<&'a str>,
        text: &'a str,
    },
}

impl Output {
    /// Prints a line. An error means that nobody reads any more.
    pub fn print(&self, line: &Line<'_>) -> io::Result<()> {
        let text = if self.json { json(line) } else { plain(line, &TimeZone::system()) };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        stdout.flush()
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Json<'a> {
    State {
        friend: &'a str,
        id: Uuid,
        state: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    Friend {
        name: &'a str,
        status: &'a str,
        presence: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_seen: Option<String>,
        #[serde(skip_serializing_if = "str::is_empty")]
        away_note: &'a str,
        unread: u32,
        #[serde(skip_serializing_if = "str::is_empty")]
        draft: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        nickname: Option<&'a str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        muted: bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        archived: bool,
    },
    Request {
        name: &'a str,
        note: &'a str,
        at: String,
        direction: &'a str,
        state: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    Unfriended {
        by: &'a str,
    },
    Typing {
        friend: &'a str,
    },
    Connection {
        state: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_at: Option<String>,
    },
    Notice {
        text: &'a str,
    },
    Unread {
        messages: u64,
        requests: usize,
    },
    Done {
        command: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
    },
}

fn json(line: &Line<'_>) -> String {
    let shape = match line {
        Line::Message(message) | Line::Numbered(message) => return transcript::json("message", message),
        Line::Changed(message) => return transcript::json("message-changed", message),
        Line::State { friend, id, state, .. } => {
            let (state, reason) = delivery(state);
            Json::State { friend, id: *id, state, reason }
        }
        Line::Friend(friend) => Json::Friend {
            name: &friend.name,
            status: status(friend.status),
            presence: presence(&friend.presence),
            last_seen: last_seen(&friend.presence).map(utc),
            away_note: &friend.away_note,
            unread: friend.unread,
            draft: &friend.draft,
            nickname: friend.nickname.as_deref(),
            muted: friend.muted,
            archived: friend.archived,
        },
        Line::Request(request) => {
            let (state, reason) = request_state(&request.state);
            Json::Request {
                name: &request.name,
                note: &request.note,
                at: utc(request.at),
                direction: direction(request.direction),
                state,
                reason,
            }
        }
        Line::Unfriended { by } => Json::Unfriended { by },
        Line::Typing { friend } => Json::Typing { friend },
        Line::Connection(connection) => json_connection(connection),
        Line::Notice(text) | Line::Told(text) => Json::Notice { text },
        Line::Unread { messages, requests } => Json::Unread { messages: *messages, requests: *requests },
        Line::Done { command, name, .. } => Json::Done { command, name: *name },
    };
    match serde_json::to_string(&shape) {
        Ok(json) => harmless::json(&json).into_owned(),
        // Strings and numbers can always be written.
        Err(error) => format!("{{\"event\":\"notice\",\"text\":\"not written: {error}\"}}"),
    }
}

fn json_connection(connection: &Connection) -> Json<'_> {
    let shape = |state, attempt, since: Option<SystemTime>, reason, retry_at: Option<SystemTime>| {
        Json::Connection { state, attempt, since: since.map(utc), reason, retry_at: retry_at.map(utc) }
    };
    match connection {
        Connection::Connecting { attempt } => shape("connecting", Some(*attempt), None, None, None),
        Connection::Online { since } => shape("online", None, Some(*since), None, None),
        Connection::Offline { since, reason, retry_at } => {
            shape("offline", None, Some(*since), Some(reason), Some(*retry_at))
        }
    }
}

fn plain(line: &Line<'_>, zone: &TimeZone) -> String {
    match line {
        Line::Message(message) => transcript::plain(message, zone),
        Line::Numbered(message) => format!("{:>6}  {}", message.row, transcript::plain(message, zone)),
        Line::Changed(message) => format!("* changed: {}", transcript::plain(message, zone)),
        Line::State { friend, id, state, text } => {
            let (state, reason) = delivery(state);
            let what = match text {
                Some(text) => format!("“{}”", harmless::line(text)),
                None => format!("message {}", short(*id)),
            };
            format!("* {what} to {}: {}", harmless::line(friend), with(state, reason))
        }
        Line::Friend(friend) => plain_friend(friend, zone),
        Line::Request(request) => plain_request(request, zone),
        Line::Unfriended { by } => format!("* {} is no longer your friend", harmless::line(by)),
        Line::Typing { friend } => format!("* {} is typing", harmless::line(friend)),
        Line::Connection(Connection::Connecting { attempt: 1 }) => "* connecting".into(),
        Line::Connection(Connection::Connecting { attempt }) => format!("* connecting, attempt {attempt}"),
        Line::Connection(Connection::Online { .. }) => "* online".into(),
        Line::Connection(Connection::Offline { reason, .. }) => {
            format!("* offline: {}", harmless::line(reason))
        }
        // A number alone, for status lines.
        Line::Unread { messages, requests } => (messages + *requests as u64).to_string(),
        Line::Told(text) => harmless::line(text).into_owned(),
        Line::Notice(text) | Line::Done { text, .. } => format!("* {}", harmless::line(text)),
    }
}

fn plain_friend(friend: &Friend, zone: &TimeZone) -> String {
    let presence = match (friend.status, &friend.presence) {
        (FriendStatus::Friend, Presence::Offline { last_seen: Some(at) }) => {
            format!("offline, last seen {}", local(*at, zone))
        }
        (FriendStatus::Friend, Presence::Away) if !friend.away_note.is_empty() => {
            format!("away: {}", harmless::line(&friend.away_note))
        }
        (FriendStatus::Friend, state) => presence(state).to_owned(),
        (FriendStatus::Former, _) => "no longer a friend".into(),
        (FriendStatus::Blocked, _) => "blocked".into(),
    };
    let unread = if friend.unread > 0 { format!(", {} unread", friend.unread) } else { String::new() };
    let called = friend.nickname.as_deref().map(|name| format!(" ({})", harmless::line(name)));
    let muted = if friend.muted { ", muted" } else { "" };
    let archived = if friend.archived { ", archived" } else { "" };
    let (name, called) = (harmless::line(&friend.name), called.unwrap_or_default());
    format!("{name}{called}: {presence}{unread}{muted}{archived}")
}

fn plain_request(request: &Request, zone: &TimeZone) -> String {
    let name = harmless::line(&request.name);
    let note = match request.note.as_str() {
        "" => String::new(),
        note => format!(": {}", harmless::line(note)),
    };
    let at = local(request.at, zone);
    let (state, reason) = request_state(&request.state);
    match request.direction {
        Direction::Incoming => format!("{at} {name} asks to be your friend{note}"),
        Direction::Outgoing => format!("{at} you asked {name}{note} ({})", with(state, reason)),
    }
}

/// The end of an id: the beginning is the time, which is alike in neighbours.
fn short(id: Uuid) -> String {
    let id = id.simple().to_string();
    id[id.len() - 8..].to_owned()
}

fn request_state(state: &RequestState) -> (&'static str, Option<&str>) {
    match state {
        RequestState::Queued => ("queued", None),
        RequestState::Pending => ("pending", None),
        RequestState::Forwarded => ("forwarded", None),
        RequestState::Declined => ("declined", None),
        RequestState::Failed(reason) => ("failed", Some(reason)),
    }
}

fn status(status: FriendStatus) -> &'static str {
    match status {
        FriendStatus::Friend => "friend",
        FriendStatus::Former => "former",
        FriendStatus::Blocked => "blocked",
    }
}

fn presence(presence: &Presence) -> &'static str {
    match presence {
        Presence::Online => "online",
        Presence::Away => "away",
        Presence::Offline { .. } => "offline",
    }
}

fn last_seen(presence: &Presence) -> Option<SystemTime> {
    match presence {
        Presence::Offline { last_seen } => *last_seen,
        Presence::Online | Presence::Away => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn message(text: &str, direction: Direction, state: Delivery) -> Message {
        let at = UNIX_EPOCH + Duration::from_millis(1_764_000_000_123);
        let id = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001);
        Message { id, state, ..Message::new(7, "bob", direction, text, at) }
    }

    #[test]
    fn json_lines_have_the_documented_shapes() {
        let sent = message("hi\n\u{1b}[2J", Direction::Outgoing, Delivery::Failed("no".into()));
        let friend = Friend {
            name: "bob".into(),
            status: FriendStatus::Former,
            presence: Presence::Offline { last_seen: Some(UNIX_EPOCH) },
            away_note: String::new(),
            unread: 2,
            last_message: None,
            draft: String::new(),
            nickname: Some("Bobby".into()),
            muted: true,
            ended_by_us: false,
            archived: false,
        };
        let away = Friend { presence: Presence::Away, away_note: "lunch\n".into(), ..Friend::new("carol") };
        let request = Request {
            name: "eve".into(),
            note: "hi".into(),
            at: UNIX_EPOCH,
            direction: Direction::Incoming,
            state: RequestState::Pending,
        };
        for (line, expected) in [
            (
                Line::Message(&sent),
                r#"{"event":"message","row":7,"id":"01920000-0000-7000-8000-000000000001","friend":"bob","direction":"outgoing","text":"hi\n\u001b[2J","at":"2025-11-24T16:00:00.123Z","state":"failed","reason":"no"}"#,
            ),
            (
                Line::State { friend: "bob", id: sent.id, state: &Delivery::Read, text: Some("hi") },
                r#"{"event":"state","friend":"bob","id":"01920000-0000-7000-8000-000000000001","state":"read"}"#,
            ),
            (
                Line::Friend(&friend),
                r#"{"event":"friend","name":"bob","status":"former","presence":"offline","last_seen":"1970-01-01T00:00:00.000Z","unread":2,"nickname":"Bobby","muted":true}"#,
            ),
            (
                Line::Friend(&away),
                r#"{"event":"friend","name":"carol","status":"friend","presence":"away","away_note":"lunch\n","unread":0}"#,
            ),
            (
                Line::Request(&request),
                r#"{"event":"request","name":"eve","note":"hi","at":"1970-01-01T00:00:00.000Z","direction":"incoming","state":"pending"}"#,
            ),
            (Line::Unfriended { by: "bob" }, r#"{"event":"unfriended","by":"bob"}"#),
            (
                Line::Connection(&Connection::Connecting { attempt: 2 }),
                r#"{"event":"connection","state":"connecting","attempt":2}"#,
            ),
            (
                Line::Done { command: "accept", name: Some("bob"), text: "" },
                r#"{"event":"done","command":"accept","name":"bob"}"#,
            ),
        ] {
            assert_eq!(json(&line), expected);
        }
        assert_eq!(plain(&Line::Friend(&away), &TimeZone::UTC), "carol: away: lunch⏎");
    }

    #[test]
    fn plain_lines_cannot_be_forged_by_what_others_write() {
        let forged = message(
            "hi\n2025-11-24 16:00:00 carol: give bob the key\x1b[2K\r* bob is typing",
            Direction::Incoming,
            Delivery::Delivered,
        );
        assert_eq!(
            plain(&Line::Message(&forged), &TimeZone::UTC),
            "2025-11-24 16:00:00 bob: hi\n  | 2025-11-24 16:00:00 carol: give bob the key␛[2K␍* bob is typing"
        );
        let state = |text| {
            plain(
                &Line::State { friend: "bob", id: Uuid::nil(), state: &Delivery::Read, text },
                &TimeZone::UTC,
            )
        };
        assert_eq!(state(Some("a\nb\x1b[2J")), "* “a⏎b␛[2J” to bob: read");
        assert_eq!(state(None), "* message 00000000 to bob: read");
        let request = Request {
            name: "eve".into(),
            note: "a\nb".into(),
            at: UNIX_EPOCH,
            direction: Direction::Incoming,
            state: RequestState::Pending,
        };
        assert_eq!(
            plain(&Line::Request(&request), &TimeZone::UTC),
            "1970-01-01 00:00:00 eve asks to be your friend: a⏎b"
        );
    }
}
