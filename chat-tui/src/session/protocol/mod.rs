//! What chat does: given what we know of another user and what happened, what is to be done.
//!
//! Pure: no clock, no files, no network. Time and fresh ids come in with [`Now`]; what is to be done goes out as
//! [`Effect`]s, which the store writes in one transaction and the engine then brings about at the broker. Whatever
//! must survive a crash is therefore in the store before it is attempted.
//!
//! - [`command`]: what the person wants; `amend`: of messages that were said before.
//! - [`incoming`]: what arrived in the inbox and in friend queues.
//! - [`publishing`]: what became of what we published.

mod amend;
pub mod command;
pub mod incoming;
pub mod publishing;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

use shared::message::{Body, Envelope, PresenceState};
use shared::topology::{DEFAULT_EXCHANGE, FRIENDS_EXCHANGE};
use uuid::Uuid;

use super::api::{Amending, Command, Delivery, RequestState};

/// Another user, as far as we know.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    pub name: String,
    pub bond: Bond,
    pub blocked: bool,
    /// Our request to them.
    pub asked: Option<Asked>,
    /// Their request to us, not answered yet.
    pub asks: Option<Asks>,
    /// The message-id of the newest request of theirs that we looked at.
    pub newest_ask: Option<Uuid>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Bond {
    Stranger,
    /// `ours` is the queue that they write to and we own, `theirs` the other way around.
    Friend {
        ours: String,
        theirs: String,
    },
    Former {
        by_us: bool,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The request's message-id.
    pub id: Uuid,
    /// Where they answer.
    pub queue: String,
    pub note: String,
    pub at: SystemTime,
    pub state: RequestState,
}

impl Asked {
    /// Whether an answer may still come.
    pub fn is_open(&self) -> bool {
        matches!(self.state, RequestState::Queued | RequestState::Pending | RequestState::Forwarded)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Asks {
    pub id: Uuid,
    /// Where we answer.
    pub reply_to: String,
    pub note: String,
    pub at: SystemTime,
}

impl Peer {
    pub fn stranger(name: &str) -> Peer {
        Peer {
            name: name.to_owned(),
            bond: Bond::Stranger,
            blocked: false,
            asked: None,
            asks: None,
            newest_ask: None,
        }
    }

    pub fn open_request(&self) -> Option<&Asked> {
        self.asked.as_ref().filter(|asked| asked.is_open())
    }
}

/// A message that a command is about, as far as the decision needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub id: Uuid,
    pub outgoing: bool,
    pub text: String,
    /// The message that it answers.
    pub answers: Option<Uuid>,
    pub state: Delivery,
    pub revision: u32,
    pub deleted: bool,
    pub amending: Amending,
    pub our_mark: Option<String>,
    pub our_mark_revision: u32,
}

/// What a decision may need from the world.
#[derive(Debug, Clone, PartialEq)]
pub struct Now {
    pub at: SystemTime,
    /// Fresh, UUIDv7: orders by time.
    pub message_id: Uuid,
    /// Fresh, unguessable.
    pub queue: String,
}

impl Now {
    pub fn new() -> Now {
        Now {
            at: SystemTime::now(),
            message_id: Uuid::now_v7(),
            queue: shared::topology::friend_queue_name(),
        }
    }

    /// `body` as a message sent now.
    fn envelope(&self, body: Body) -> Envelope {
        Envelope { timestamp: Some(self.at), ..Envelope::new(body).with_id(self.message_id) }
    }
}

impl Default for Now {
    fn default() -> Now {
        Now::new()
    }
}

/// One message to publish, persistent and mandatory.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    pub exchange: &'static str,
    pub routing_key: String,
    pub envelope: Envelope,
}

impl Outgoing {
    fn to_friend_servers(envelope: Envelope) -> Outgoing {
        Outgoing { exchange: FRIENDS_EXCHANGE, routing_key: String::new(), envelope }
    }

    fn to_queue(queue: &str, envelope: Envelope) -> Outgoing {
        Outgoing { exchange: DEFAULT_EXCHANGE, routing_key: queue.to_owned(), envelope }
    }
}

/// What is to be done about one peer. The effects of one decision are stored together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Replace what we know of the peer.
    Save(Peer),
    /// Own this queue from now on: declare it at the broker and consume it.
    OwnQueue(String),
    /// Delete this queue at the broker; `drain` means first take out what is in it.
    ReleaseQueue {
        name: String,
        drain: bool,
    },
    /// Publish, after everything published so far.
    Publish(Outgoing),
    /// What waits for the queue `old` goes to `new`.
    Retarget {
        old: String,
        new: String,
    },
    /// Nothing more goes to the peer: drop what waits, and let messages among it end as `state`.
    Abandon(Delivery),
    /// Drop a waiting publish by its message-id.
    Unpublish(Uuid),
    AddMessage {
        id: Uuid,
        outgoing: bool,
        text: String,
        answers: Option<Uuid>,
        at: SystemTime,
        state: Delivery,
    },
    /// Our message has come this far.
    Advance {
        id: Uuid,
        state: Delivery,
    },
    /// The message of this side now reads so, unless it was deleted, or edited to a higher revision.
    Rewrite {
        id: Uuid,
        outgoing: bool,
        revision: u32,
        text: String,
    },
    /// The message of this side is taken back.
    Erase {
        id: Uuid,
        outgoing: bool,
    },
    /// Somebody put a mark on a message of either side, unless there is one of a higher revision.
    Mark {
        id: Uuid,
        by_us: bool,
        revision: u32,
        mark: Option<String>,
    },
    /// What became of the edit `revision` of our message, or without one of its deletion.
    Amended {
        id: Uuid,
        revision: Option<u32>,
        to: Amending,
    },
    MarkRead {
        up_to: i64,
    },
    SetNickname(Option<String>),
    SetMuted(bool),
    SetArchived(bool),
    SaveDraft(String),
    /// Keep the text as a draft unless there is one.
    KeepAsDraft(String),
    SetPresence {
        presence: PresenceState,
        note: String,
        at: SystemTime,
    },
    /// Show that the peer is typing.
    ShowTyping,
    Refuse {
        command: Command,
        reason: String,
    },
    Notice(String),
}

/// Ends the friendship on our side of the books; `by_us` tells whose doing it is.
fn part(peer: &mut Peer, by_us: bool, effects: &mut Vec<Effect>) {
    let Bond::Friend { ours, .. } = &peer.bond else { return };
    // Their last words may still be in the queue; ours need not be heard.
    effects.push(Effect::ReleaseQueue { name: ours.clone(), drain: !by_us });
    let end = match by_us {
        true => Delivery::Failed(format!("you unfriended {} before it was sent", peer.name)),
        false => Delivery::Returned,
    };
    effects.push(Effect::Abandon(end));
    peer.bond = Bond::Former { by_us };
}
