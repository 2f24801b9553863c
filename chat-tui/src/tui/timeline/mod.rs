//! ★ The messages of one conversation, and which rows of them are in view.
//!
//! Only what is in view is laid out: rows are found by walking from the anchor (the newest message, or
//! the row on top of the view when scrolled up), so a long history costs nothing. Breaking a text into
//! rows is remembered with the message, by its revision and the width.
//!
//! Of a long history only a part is here, the window: [`window`] moves it when the view comes near one of its ends.

mod clock;
mod scroll;
mod select;
mod window;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::text::{self, Row};
use crate::session::api::{Amending, Delivery, Direction, Message, Span};
pub use clock::{day_label, local, moment, time_label};
use scroll::Anchor;
pub use scroll::DELETED;

/// What a message begins with that tells what its sender does.
const ME: &str = "/me ";

/// Of a conversation that is not shown, older messages are let go; they can be asked for again.
const KEPT_MESSAGES_MAX: usize = 200;

/// Messages of one sender this close to each other stand under one name.
const GROUP_MINUTES: i64 = 10;

/// What the sender of `text` does, if it is of that kind: `waves` of `/me waves`.
pub fn deed(text: &str) -> Option<&str> {
    text.strip_prefix(ME).map(str::trim).filter(|deed| !deed.is_empty())
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub message: Message,
    pub at: DateTime,
    /// Counts the changes of the text.
    revision: u32,
    wrapped: Option<Wrapped>,
}

#[derive(Debug, Clone)]
struct Wrapped {
    width: usize,
    revision: u32,
    rows: Vec<Row>,
}

impl Entry {
    /// Whether the message tells what its sender does, as `/me waves`.
    pub fn is_deed(&self) -> bool {
        deed(&self.message.text).is_some()
    }

    /// What is shown besides the text: edits, what became of them, reactions. None if there is nothing. The friend is
    /// `called` so.
    fn notes(&self, called: &str) -> Option<String> {
        let message = &self.message;
        let mut notes = Vec::new();
        match (message.deleted, message.amending) {
            (true, Amending::Settled) => {}
            (true, Amending::Waiting) => notes.push("not told yet".to_owned()),
            (true, Amending::Lost) => notes.push(format!("{called} still has it")),
            (false, _) if message.revision == 0 => {}
            (false, Amending::Settled) => notes.push("edited".to_owned()),
            (false, Amending::Waiting) => notes.push("edited, not sent yet".to_owned()),
            (false, Amending::Lost) => notes.push("edited, but the edit did not arrive".to_owned()),
        }
        notes.extend(message.our_mark.as_ref().map(|mark| format!("{mark} you")));
        notes.extend(message.their_mark.as_ref().map(|mark| format!("{mark} {called}")));
        if notes.is_empty() { None } else { Some(notes.join(" · ")) }
    }
}

/// One row of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// A new day begins with the entry.
    Day(usize),
    /// Everything below was not seen before.
    New,
    /// Sender and time of a group, where there is no room for columns.
    Sender(usize),
    /// What the entry answers.
    Quote(usize),
    /// The bytes `row` of the entry's text.
    Text { entry: usize, row: Row, first: bool, last: bool },
    /// The notes of the entry, where they do not fit behind its text.
    Notes(usize),
    /// Why the entry could not be sent.
    Reason { entry: usize, row: Row },
    /// A row of the remark at the end.
    Remark(Row),
}

impl Line {
    /// The message that the row belongs to.
    pub fn entry(self) -> Option<usize> {
        match self {
            Line::Day(_) | Line::New | Line::Remark(_) => None,
            Line::Sender(entry) | Line::Quote(entry) | Line::Notes(entry) => Some(entry),
            Line::Text { entry, .. } | Line::Reason { entry, .. } => Some(entry),
        }
    }
}

/// The room for messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Viewport {
    /// Columns for the text of a message.
    pub width: usize,
    pub height: usize,
    /// Sender and time have a row of their own.
    pub stacked: bool,
}

#[derive(Debug, Clone)]
pub struct Timeline {
    zone: TimeZone,
    entries: Vec<Entry>,
    anchor: Anchor,
    viewport: Viewport,
    visible: Vec<Line>,
    /// Rows of the view that the messages do not fill.
    blank: usize,
    /// The row of the first message that was not seen before.
    new_from: Option<i64>,
    /// How the person calls the friend.
    called: String,
    /// Shown below the newest message.
    remark: Option<String>,
    /// Some part of the history has come.
    loaded: bool,
    /// There are messages above and below the window.
    older: bool,
    newer: bool,
    /// A part was asked for that has not come.
    asked: Option<Span>,
    /// A part that is to be shown instead of this one.
    wanted: Option<Span>,
    /// The message to bring into view when its part has come.
    target: Option<i64>,
    /// Messages below the window that were not seen, as far as they were heard of.
    unseen_beyond: usize,
    /// The newest row that was heard of.
    newest_row: i64,
    /// The row of the message that is chosen.
    chosen: Option<i64>,
    /// The conversation was just opened: the view begins where the person left off.
    opening: bool,
}

impl Timeline {
    pub fn new(zone: TimeZone) -> Self {
        Timeline {
            zone,
            entries: Vec::new(),
            anchor: Anchor::Newest,
            viewport: Viewport::default(),
            visible: Vec::new(),
            blank: 0,
            new_from: None,
            called: String::new(),
            remark: None,
            loaded: false,
            older: false,
            newer: false,
            asked: None,
            wanted: None,
            target: None,
            unseen_beyond: 0,
            newest_row: 0,
            chosen: None,
            opening: true,
        }
    }

    pub fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// Says how the person calls the friend; the next layout shows it.
    pub fn call(&mut self, name: &str) {
        name.clone_into(&mut self.called);
    }

    /// What is shown besides the text of the entry.
    pub fn notes(&self, index: usize) -> Option<String> {
        self.entries.get(index)?.notes(&self.called)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is here, the oldest first.
    pub fn messages(&self) -> Vec<&Message> {
        self.entries.iter().map(|entry| &entry.message).collect()
    }

    /// The row of the first message that was not seen when the conversation was opened.
    pub fn first_new(&self) -> Option<i64> {
        self.new_from
    }

    /// Whether there are newer messages than those here.
    pub fn has_newer(&self) -> bool {
        self.newer
    }

    pub fn text_of(&self, row: i64) -> Option<&str> {
        self.index_of(row).map(|index| self.entries[index].message.text.as_str())
    }

    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    pub fn set_remark(&mut self, remark: Option<String>) {
        self.remark = remark;
    }

    /// The conversation is opened, or left: the view starts anew.
    pub fn open(&mut self) {
        let surplus = self.entries.len().saturating_sub(KEPT_MESSAGES_MAX);
        if self.newer || self.entries[..surplus].iter().any(|e| is_unseen(&e.message)) {
            self.forget();
        } else if surplus > 0 {
            self.entries.drain(..surplus);
            self.older = true;
        }
        self.opening = true;
        self.new_from = None;
        self.chosen = None;
        self.anchor = Anchor::Newest;
    }

    /// The person has written: what is above is no longer new.
    pub fn forget_new(&mut self) {
        self.new_from = None;
    }

    /// Draws a line above what was not seen. When the conversation was just opened and all of that does not
    /// fit into the view, the view begins there.
    pub fn note_unseen(&mut self) {
        if !self.loaded {
            return;
        }
        let line_is_old = self
            .new_from
            .is_none_or(|row| self.entries.iter().any(|e| e.message.row == row && !is_unseen(&e.message)));
        if let (Some(first), true) = (self.first_unseen().map(|m| m.row), line_is_old) {
            self.new_from = Some(first);
            if self.opening {
                self.anchor = Anchor::Top { message: first, line: -1 };
            }
            self.lay_out(self.viewport);
        }
        self.opening = false;
    }

    /// The oldest incoming message that the person has not seen.
    pub fn first_unseen(&self) -> Option<&Message> {
        self.entries.iter().map(|e| &e.message).find(|m| is_unseen(m))
    }

    /// The row of the newest incoming message.
    pub fn newest_incoming(&self) -> Option<i64> {
        let incoming = |e: &&Entry| e.message.direction == Direction::Incoming;
        self.entries.iter().rev().find(incoming).map(|e| e.message.row)
    }

    /// The person has seen everything up to `row`.
    pub fn mark_seen(&mut self, row: i64) {
        for entry in self.entries.iter_mut().rev().filter(|e| e.message.row <= row) {
            if is_unseen(&entry.message) {
                entry.message.state = Delivery::Read;
            }
        }
    }

    fn starts_day(&self, index: usize) -> bool {
        let Some(previous) = index.checked_sub(1) else { return true };
        self.entries[previous].at.date() != self.entries[index].at.date()
    }

    /// Whether the sender's name is shown at this message.
    pub fn starts_group(&self, index: usize) -> bool {
        if self.starts_day(index) || self.is_first_new(index) {
            return true;
        }
        let (previous, this) = (&self.entries[index - 1], &self.entries[index]);
        previous.message.direction != this.message.direction
            || minutes_between(previous, this) >= GROUP_MINUTES
            || previous.is_deed()
            || this.is_deed()
    }

    /// Whether the time is shown at this message.
    pub fn shows_time(&self, index: usize) -> bool {
        self.starts_group(index) || {
            let (previous, this) = (&self.entries[index - 1], &self.entries[index]);
            time_label(previous.at) != time_label(this.at)
        }
    }

    fn is_first_new(&self, index: usize) -> bool {
        self.new_from == Some(self.entries[index].message.row)
    }

    fn text_rows(&mut self, index: usize) -> &[Row] {
        let width = self.viewport.width;
        let entry = &mut self.entries[index];
        let stale = entry.wrapped.as_ref().is_none_or(|w| w.width != width || w.revision != entry.revision);
        if stale {
            entry.wrapped = None;
        }
        let (revision, skipped) = (entry.revision, if entry.is_deed() { ME.len() } else { 0 });
        let text = &entry.message.text[skipped..];
        let wrap = || {
            let shifted = |row: Row| Row { start: row.start + skipped, end: row.end + skipped };
            let rows = text::wrap_message(text, width).into_iter().map(shifted).collect();
            Wrapped { width, revision, rows }
        };
        &entry.wrapped.get_or_insert_with(wrap).rows
    }
}

fn is_unseen(message: &Message) -> bool {
    message.direction == Direction::Incoming && message.state != Delivery::Read
}

fn minutes_between(a: &Entry, b: &Entry) -> i64 {
    let seconds = |e: &Entry| Timestamp::try_from(e.message.at).map_or(0, Timestamp::as_second);
    (seconds(b) - seconds(a)).abs() / 60
}
