//! What a session says to, and hears from, whoever shows it: the TUI, the headless commands, scripts.
//!
//! A session is one user signed in to one broker. It owns the network connection and the local store;
//! commands go in by a bounded channel, events come out by another. Nothing else is shared.

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
    /// Everything received from `friend` so far was seen by the person.
    MarkRead {
        friend: String,
    },
    /// Keep what is typed but not sent; an empty text removes the draft.
    SaveDraft {
        friend: String,
        text: String,
    },
    /// A page of history older than `before` (a `Message::row`), newest page when `None`.
    LoadHistory {
        friend: String,
        before: Option<i64>,
        limit: usize,
    },
    /// The person is typing to `friend` (throttled by the session).
    Typing {
        friend: String,
    },
    SetAway(bool),
    /// Flush the outbox as far as the link allows, say offline to friends, close.
    Shutdown,
}

/// What happened. Lists are whole: the newest one replaces the one before.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Connection(Connection),
    Friends(Vec<Friend>),
    Requests(Vec<Request>),
    /// A page of history, oldest first; `more` tells whether older messages exist.
    History {
        friend: String,
        messages: Vec<Message>,
        more: bool,
    },
    /// A message was added to the history, incoming or outgoing.
    Message(Message),
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
    pub presence: Presence,
    pub unread: u32,
    pub last_message: Option<Message>,
    pub draft: String,
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
