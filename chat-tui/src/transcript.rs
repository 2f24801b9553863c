//! Messages as lines, plain or JSON: what commands print and exports hold.

use std::time::SystemTime;

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use uuid::Uuid;

use crate::harmless;
use crate::session::api::{Amending, Answered, Delivery, Direction, Message};

/// Columns of a quoted text.
const QUOTE_CHARS_MAX: usize = 40;

#[derive(Serialize)]
struct Json<'a> {
    event: &'a str,
    row: i64,
    id: Uuid,
    friend: &'a str,
    direction: &'a str,
    text: &'a str,
    at: String,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<JsonAnswered<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    edits: u32,
    #[serde(skip_serializing_if = "is_false")]
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    our_mark: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    their_mark: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonAnswered<'a> {
    id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

fn is_false(value: &bool) -> bool {
    !value
}

/// One object, in one line. `event` tells what it is about.
pub fn json(event: &str, message: &Message) -> String {
    let (state, reason) = delivery(&message.state);
    let shape = Json {
        event,
        row: message.row,
        id: message.id,
        friend: &message.friend,
        direction: direction(message.direction),
        text: &message.text,
        at: utc(message.at),
        state,
        reason,
        answers: message.answers.as_deref().map(|Answered { id, known }| JsonAnswered {
            id: *id,
            row: known.as_ref().map(|known| known.row),
            text: known.as_ref().map(|known| known.text.as_str()),
        }),
        edits: message.revision,
        deleted: message.deleted,
        change: change(message.amending),
        our_mark: message.our_mark.as_deref(),
        their_mark: message.their_mark.as_deref(),
    };
    match serde_json::to_string(&shape) {
        Ok(json) => harmless::json(&json).into_owned(),
        // Strings and numbers can always be written.
        Err(error) => format!("{{\"event\":\"notice\",\"text\":\"not written: {error}\"}}"),
    }
}

/// `2026-11-23 16:20:05 bob: text`, or `→ bob:` for ours; further lines of the text behind a bar.
pub fn plain(message: &Message, zone: &TimeZone) -> String {
    let (state, reason) = delivery(&message.state);
    let arrow = if message.direction == Direction::Outgoing { "→ " } else { "" };
    let quote =
        message.answers.as_deref().map_or(String::new(), |answered| format!("[{}] ", quoted(answered)));
    let text = match message.deleted {
        true => "[deleted]".to_owned(),
        false => harmless::lines(&message.text).replace('\n', "\n  | "),
    };
    let mut notes = Vec::new();
    if message.direction == Direction::Outgoing {
        notes.push(with(state, reason));
    }
    if message.revision > 0 && !message.deleted {
        notes.push("edited".to_owned());
    }
    match message.amending {
        Amending::Settled => {}
        Amending::Waiting => notes.push("the change is not sent yet".to_owned()),
        Amending::Lost => notes.push("the change did not arrive".to_owned()),
    }
    if let Some(mark) = &message.our_mark {
        notes.push(format!("you: {}", harmless::line(mark)));
    }
    if let Some(mark) = &message.their_mark {
        notes.push(format!("{}: {}", harmless::line(&message.friend), harmless::line(mark)));
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
    format!("{} {arrow}{}: {quote}{text}{notes}", local(message.at, zone), harmless::line(&message.friend))
}

fn quoted(answered: &Answered) -> String {
    match &answered.known {
        None => "answers a message that is not here".to_owned(),
        Some(known) if known.text.is_empty() => "answers a deleted message".to_owned(),
        Some(known) => {
            let line = harmless::line(&known.text);
            let short: String = line.chars().take(QUOTE_CHARS_MAX).collect();
            let dots = if short.len() < line.len() { "…" } else { "" };
            format!("answers “{short}{dots}”")
        }
    }
}

fn change(amending: Amending) -> Option<&'static str> {
    match amending {
        Amending::Settled => None,
        Amending::Waiting => Some("waiting"),
        Amending::Lost => Some("lost"),
    }
}

pub fn with(state: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| state.to_owned(), |reason| format!("{state}: {}", harmless::line(reason)))
}

pub fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Incoming => "incoming",
        Direction::Outgoing => "outgoing",
    }
}

pub fn delivery(state: &Delivery) -> (&'static str, Option<&str>) {
    match state {
        Delivery::Queued => ("queued", None),
        Delivery::Sent => ("sent", None),
        Delivery::Delivered => ("delivered", None),
        Delivery::Read => ("read", None),
        Delivery::Returned => ("returned", None),
        Delivery::Failed(reason) => ("failed", Some(reason)),
    }
}

/// RFC 3339, UTC, milliseconds.
pub fn utc(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| "unknown".into(), |at| format!("{at:.3}"))
}

pub fn local(at: SystemTime, zone: &TimeZone) -> String {
    match Timestamp::try_from(at) {
        Ok(at) => at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "unknown time".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::session::api::Quoted;

    fn message() -> Message {
        let at = UNIX_EPOCH + Duration::from_millis(1_764_000_000_123);
        Message::new(7, "bob", Direction::Outgoing, "hi\nthere", at)
    }

    #[test]
    fn what_became_of_a_message_is_told() {
        let known = Quoted { row: 3, direction: Direction::Incoming, text: "lunch?\nat noon".into() };
        let answers = |known| Some(Box::new(Answered { id: Uuid::from_u128(3), known }));
        let theirs = Message { direction: Direction::Incoming, ..message() };
        for (message, expected) in [
            (message(), "→ bob: hi\n  | there (queued)"),
            (
                Message { revision: 2, amending: Amending::Waiting, ..message() },
                "→ bob: hi\n  | there (queued; edited; the change is not sent yet)",
            ),
            (
                Message { deleted: true, amending: Amending::Lost, ..message() },
                "→ bob: [deleted] (queued; the change did not arrive)",
            ),
            (
                Message { answers: answers(Some(known)), ..theirs.clone() },
                "bob: [answers “lunch?⏎at noon”] hi\n  | there",
            ),
            (
                Message { answers: answers(None), ..theirs.clone() },
                "bob: [answers a message that is not here] hi\n  | there",
            ),
            (
                Message { our_mark: Some("👍".into()), their_mark: Some("\u{1b}".into()), ..theirs },
                "bob: hi\n  | there (you: 👍; bob: ␛)",
            ),
        ] {
            assert_eq!(plain(&message, &TimeZone::UTC), format!("2025-11-24 16:00:00 {expected}"));
        }
    }

    #[test]
    fn json_has_what_came_later_only_where_it_did() {
        let plain = json("message", &message());
        assert!(plain.ends_with(r#""at":"2025-11-24T16:00:00.123Z","state":"queued"}"#), "{plain}");
        let changed = Message {
            answers: Some(Box::new(Answered { id: Uuid::from_u128(3), known: None })),
            revision: 1,
            amending: Amending::Lost,
            our_mark: Some("x".into()),
            ..message()
        };
        let changed = json("message-changed", &changed);
        let end = r#""state":"queued","answers":{"id":"00000000-0000-0000-0000-000000000003"},"edits":1,"change":"lost","our_mark":"x"}"#;
        assert!(changed.ends_with(end), "{changed}");
    }
}
