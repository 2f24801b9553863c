//! What a session says to, and hears from, whoever shows it: the TUI, the headless commands, scripts.
//!
//! A session is one user signed in to one broker. It owns the network connection and the local store;
//! commands go in by a bounded channel, events come out by another. Nothing else is shared.

use std::path::PathBuf;
use std::time::SystemTime;

use uuid::Uuid;

/// What the person wants done. Commands are carried out in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Ask `name` to be friends, with a note that is shown with the request.
    Befriend {
        name: String,
        note: String,
    },
    /// Take back a friend request that was not answered yet.
    Withdraw {
        name: String,
    },
    Accept {
        name: String,
    },
    Decline {
        name: String,
    },
    /// Ignore `name` from now on: nothing is sent, requests are not shown.
    Block {
        name: String,
    },
    Unblock {
        name: String,
    },
    Unfriend {
        name: String,
    },
    Send {
        to: String,
        text: String,
    },
    /// Send `text` as an answer to the message `row`.
    Reply {
        to: String,
        row: i64,
        text: String,
    },
    /// Our own message `row` is to read `text`.
    Edit {
        friend: String,
        row: i64,
        text: String,
    },
    /// Take back our own message `row`, on both sides.
    Delete {
        friend: String,
        row: i64,
    },
    /// Put a mark on the message `row`, in place of our mark before; without one take that back.
    React {
        friend: String,
        row: i64,
        mark: Option<String>,
    },
    /// Send our message `row` again, or its last change, which came back or failed.
    Retry {
        friend: String,
        row: i64,
    },
    /// What was received from `friend`, up to the row `up_to`, was seen by the person.
    MarkRead {
        friend: String,
        up_to: i64,
    },
    /// Show `name` under another name; an empty one ends that.
    SetNickname {
        name: String,
        nickname: String,
    },
    /// Do not call for attention when `name` writes.
    Mute {
        name: String,
        muted: bool,
    },
    /// Put `name` out of the way, until something new comes.
    Archive {
        name: String,
        archived: bool,
    },
    /// Keep what is typed but not sent; an empty text removes the draft.
    SaveDraft {
        friend: String,
        text: String,
    },
    /// A part of a history.
    LoadHistory {
        friend: String,
        span: Span,
        limit: usize,
    },
    /// Messages with all words of `query`, newest first; of one friend or of all, below the row `before`.
    Search {
        query: String,
        friend: Option<String>,
        before: Option<i64>,
        limit: usize,
    },
    /// Write the whole history with `friend` to a new file.
    Export {
        friend: String,
        format: ExportFormat,
        path: PathBuf,
    },
    /// Forget messages that are older than so many days; `None` keeps all.
    SetRetention {
        days: Option<u32>,
    },
    /// The person is typing to `friend` (throttled by the session).
    Typing {
        friend: String,
    },
    /// Away, for a reason that friends see, which may be empty; or back.
    SetAway(Option<String>),
    /// Try to connect at once, if there is no connection.
    Reconnect,
    /// Friend requests are to arrive with this session, if another one of the same user has them.
    TakeOver,
    /// Flush the outbox as far as the link allows, say offline to friends, close.
    Shutdown,
}

/// What happened. Lists are whole: the newest one replaces the one before.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Connection(Connection),
    Friends(Vec<Friend>),
    Requests(Vec<Request>),
    /// A part of a history, oldest first.
    History {
        friend: String,
        span: Span,
        page: Page,
    },
    /// What a search found, newest first; `more` tells whether there is more below the last.
    Found {
        query: String,
        friend: Option<String>,
        messages: Vec<Message>,
        more: bool,
    },
    /// A message was added to the history, incoming or outgoing.
    Message(Message),
    /// A message that is in the history was edited, deleted or marked; this is all of it.
    MessageChanged(Message),
    /// Old messages were forgotten; what is left can be asked for.
    Forgotten,
    /// The delivery state of an outgoing message changed.
    MessageState {
        friend: String,
        id: Uuid,
        state: Delivery,
    },
    Typing {
        friend: String,
    },
    /// A mandatory message came back: `by` no longer has us as a friend. History and drafts are kept.
    Unfriended {
        by: String,
    },
    /// A command could not be carried out; `reason` is for the person, and says what to do.
    Failed {
        command: Command,
        reason: String,
    },
    /// Something the person may want to know, in one line.
    Notice(String),
    /// The session has ended; nothing follows.
    Ended {
        reason: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Connection {
    Connecting {
        attempt: u32,
    },
    Online {
        since: SystemTime,
    },
    /// `retry_at` is when the next attempt starts.
    Offline {
        since: SystemTime,
        reason: String,
        retry_at: SystemTime,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Friend {
    pub name: String,
    pub status: FriendStatus,
    /// Of somebody who is no longer a friend: whether the person ended that.
    pub ended_by_us: bool,
    pub presence: Presence,
    /// Why the friend is away, if that was said.
    pub away_note: String,
    pub unread: u32,
    pub last_message: Option<Message>,
    pub draft: String,
    /// How the person calls the friend, instead of by the user name.
    pub nickname: Option<String>,
    /// Messages of this friend do not call for attention.
    pub muted: bool,
    /// Out of the way.
    pub archived: bool,
}

impl Friend {
    /// A friend of whom nothing more is known yet.
    pub fn new(name: impl Into<String>) -> Self {
        Friend {
            name: name.into(),
            status: FriendStatus::Friend,
            ended_by_us: false,
            presence: Presence::Offline { last_seen: None },
            away_note: String::new(),
            unread: 0,
            last_message: None,
            draft: String::new(),
            nickname: None,
            muted: false,
            archived: false,
        }
    }

    /// The name to show.
    pub fn called(&self) -> &str {
        self.nickname.as_deref().unwrap_or(&self.name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FriendStatus {
    Friend,
    /// We were unfriended, or did so ourselves; the history stays.
    Former,
    Blocked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Online,
    Away,
    /// Offline, and when the last sign of life came, if ever.
    Offline {
        last_seen: Option<SystemTime>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub name: String,
    pub note: String,
    pub at: SystemTime,
    pub direction: Direction,
    pub state: RequestState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Incoming,
    Outgoing,
}

#[derive(Debug, Clone, PartialEq)]
pub enum RequestState {
    /// Outgoing: not yet confirmed by the broker.
    Queued,
    /// Outgoing: with the friend servers. Incoming: waiting for an answer.
    Pending,
    /// Outgoing: in the other's inbox.
    Forwarded,
    Declined,
    Failed(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Position in the local history; pages are asked for by it.
    pub row: i64,
    pub id: Uuid,
    pub friend: String,
    pub direction: Direction,
    pub text: String,
    pub at: SystemTime,
    /// `Delivery::Read` or `Delivery::Delivered` on incoming messages: seen by the person or not.
    pub state: Delivery,
    /// What it answers.
    pub answers: Option<Box<Answered>>,
    /// How often it was edited.
    pub revision: u32,
    /// Taken back by who sent it; there is no text any more.
    pub deleted: bool,
    /// Of our own messages: whether the friend has the newest edit, or the deletion.
    pub amending: Amending,
    /// The reactions to it.
    pub our_mark: Option<String>,
    pub their_mark: Option<String>,
}

impl Message {
    /// A message as it was sent, without anything that came later.
    pub fn new(row: i64, friend: &str, direction: Direction, text: &str, at: SystemTime) -> Message {
        Message {
            row,
            id: Uuid::from_u128(row.unsigned_abs().into()),
            friend: friend.to_owned(),
            direction,
            text: text.to_owned(),
            at,
            state: match direction {
                Direction::Incoming => Delivery::Delivered,
                Direction::Outgoing => Delivery::Queued,
            },
            answers: None,
            revision: 0,
            deleted: false,
            amending: Amending::Settled,
            our_mark: None,
            their_mark: None,
        }
    }
}

/// The message that another one answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub id: Uuid,
    /// What is known of it here, if anything.
    pub known: Option<Quoted>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    pub row: i64,
    pub direction: Direction,
    /// Its beginning; empty when it was deleted.
    pub text: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Amending {
    /// Nothing is to be said, or the broker has it.
    #[default]
    Settled,
    /// In the local outbox.
    Waiting,
    /// It did not reach the friend.
    Lost,
}

/// Which part of a history: rows are those of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    Newest,
    /// Where the person left off: around the first message that was not seen, if that is not among the newest.
    Unseen,
    /// What is older than the row.
    Before(i64),
    /// What is newer than the row.
    After(i64),
    /// The row and what is around it.
    Around(i64),
}

/// Messages that follow each other, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    pub messages: Vec<Message>,
    /// There are older ones.
    pub older: bool,
    /// There are newer ones.
    pub newer: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// In the local outbox.
    Queued,
    /// Confirmed by the broker: on its disk.
    Sent,
    /// In the friend's client.
    Delivered,
    /// Seen by the friend.
    Read,
    /// The friend's queue is gone; the message was not delivered.
    Returned,
    /// Refused; the reason is for the person.
    Failed(String),
}
