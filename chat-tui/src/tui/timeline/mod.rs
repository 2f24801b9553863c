//! ★ The messages of one conversation, and which rows of them are in view.
//!
//! Only what is in view is laid out: rows are found by walking from the anchor (the newest message, or
//! the row on top of the view when scrolled up), so a long history costs nothing. Breaking a text into
//! rows is remembered with the message, by its revision and the width.

mod clock;
mod scroll;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::text::{self, Row};
use crate::session::api::{Delivery, Direction, Message};
pub use clock::{day_label, local, moment, time_label};
use scroll::Anchor;

/// Of a conversation that is not shown, older messages are let go; they can be asked for again.
const KEPT_MESSAGES_MAX: usize = 500;

/// Messages of one sender this close to each other stand under one name.
const GROUP_MINUTES: i64 = 10;

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

/// One row of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// A new day begins with the entry.
    Day(usize),
    /// Everything below was not seen before.
    New,
    /// Sender and time of a group, where there is no room for columns.
    Sender(usize),
    /// The bytes `row` of the entry's text.
    Text { entry: usize, row: Row, first: bool, last: bool },
    /// Why the entry could not be sent.
    Reason { entry: usize, row: Row },
    /// A row of the remark at the end.
    Remark(Row),
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
    /// The first message that was not seen before.
    new_from: Option<Uuid>,
    /// Shown below the newest message.
    remark: Option<String>,
    /// The newest page has come.
    loaded: bool,
    more: bool,
    /// A page was asked for that has not come.
    asked: bool,
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
            remark: None,
            loaded: false,
            more: false,
            asked: false,
            opening: true,
        }
    }

    pub fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
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

    /// Adds a page of history. Messages that are there already take the newer state.
    pub fn add_page(&mut self, messages: Vec<Message>, more: bool) {
        let oldest = self.entries.first().map(|e| e.message.row);
        let reaches_back = match (oldest, messages.first()) {
            (Some(oldest), Some(first)) => first.row <= oldest,
            _ => true,
        };
        if reaches_back {
            self.more = more;
        }
        self.asked = false;
        self.loaded = true;
        for message in messages {
            self.add(message);
        }
    }

    /// Adds a message where it belongs; true when it was not there.
    pub fn add(&mut self, message: Message) -> bool {
        if let Some(entry) = self.entries.iter_mut().rev().find(|e| e.message.id == message.id) {
            if entry.message.text != message.text {
                entry.revision += 1;
            }
            entry.message = message;
            return false;
        }
        let at = local(message.at, &self.zone);
        let place = self.entries.partition_point(|e| e.message.row <= message.row);
        self.entries.insert(place, Entry { message, at, revision: 0, wrapped: None });
        true
    }

    pub fn set_state(&mut self, id: Uuid, state: Delivery) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|e| e.message.id == id) {
            entry.message.state = state;
        }
    }

    /// The page to ask for now, if any: `Some(None)` is the newest, `Some(Some(row))` the one before
    /// `row`. Marks it as asked for.
    pub fn page_to_ask(&mut self) -> Option<Option<i64>> {
        if self.asked {
            return None;
        }
        let page = if !self.loaded {
            Some(None)
        } else if self.more && self.is_near_oldest() {
            self.entries.first().map(|e| Some(e.message.row))
        } else {
            None
        };
        self.asked = page.is_some();
        page
    }

    /// A page that was asked for will not come.
    pub fn page_failed(&mut self) {
        self.asked = false;
        self.more = false;
        self.loaded = true;
    }

    /// The conversation is opened, or left: the view starts anew.
    pub fn open(&mut self) {
        if self.entries.len() > KEPT_MESSAGES_MAX {
            self.entries.drain(..self.entries.len() - KEPT_MESSAGES_MAX);
            self.more = true;
        }
        self.opening = true;
        self.new_from = None;
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
            .is_none_or(|id| self.entries.iter().any(|e| e.message.id == id && !is_unseen(&e.message)));
        if let (Some(first), true) = (self.first_unseen().map(|m| m.id), line_is_old) {
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
    }

    /// Whether the time is shown at this message.
    pub fn shows_time(&self, index: usize) -> bool {
        self.starts_group(index) || {
            let (previous, this) = (&self.entries[index - 1], &self.entries[index]);
            time_label(previous.at) != time_label(this.at)
        }
    }

    fn is_first_new(&self, index: usize) -> bool {
        self.new_from == Some(self.entries[index].message.id)
    }

    fn text_rows(&mut self, index: usize) -> &[Row] {
        let width = self.viewport.width;
        let entry = &mut self.entries[index];
        let stale = entry.wrapped.as_ref().is_none_or(|w| w.width != width || w.revision != entry.revision);
        if stale {
            entry.wrapped = None;
        }
        let (text, revision) = (&entry.message.text, entry.revision);
        &entry.wrapped.get_or_insert_with(|| Wrapped { width, revision, rows: text::wrap(text, width) }).rows
    }
}

fn is_unseen(message: &Message) -> bool {
    message.direction == Direction::Incoming && message.state != Delivery::Read
}

fn minutes_between(a: &Entry, b: &Entry) -> i64 {
    let seconds = |e: &Entry| Timestamp::try_from(e.message.at).map_or(0, Timestamp::as_second);
    (seconds(b) - seconds(a)).abs() / 60
}
