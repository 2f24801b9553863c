//! One channel of a connection: what its client has set up on it.

use std::sync::Arc;

use hashbrown::HashMap;

use super::class::tx::Transaction;
use super::confirms::Confirms;
use super::content::Content;
use crate::capacity::Seat;
use crate::outbox::ChannelSetup;
use crate::queue::{Consumer, Queue};

pub struct Channel {
    pub id: u16,
    /// The server has sent `channel.close` and ignores everything until `close-ok`.
    pub closing: bool,
    /// A message on its way in.
    pub content: Option<Content>,
    pub confirms: Option<Confirms>,
    pub transaction: Option<Transaction>,
    /// `basic.qos` for consumers to come; 0 is no limit.
    pub prefetch: u32,
    pub prefetch_size: u64,
    pub consumers: HashMap<Box<str>, Subscription>,
    /// Where the channel awaits direct replies.
    pub reply: Option<ReplyTo>,
    /// Which of its consumers comes first next time.
    pub turn: usize,
    /// The queue declared last, which an empty name stands for.
    pub last_queue: Option<Box<str>>,
    /// Listed among the channels that have confirms to send.
    pub has_confirms: bool,
    /// Among the channels that the user may have open.
    pub _seat: Option<Seat>,
}

/// A consumer and the queue it is on.
pub struct Subscription {
    pub consumer: Arc<Consumer>,
    pub queue: Arc<Queue>,
}

/// A consumer of direct replies.
pub struct ReplyTo {
    pub address: Box<str>,
    pub tag: Box<str>,
}

impl Channel {
    pub fn new(id: u16) -> Channel {
        Channel {
            id,
            closing: false,
            content: None,
            confirms: None,
            transaction: None,
            prefetch: 0,
            prefetch_size: 0,
            consumers: HashMap::new(),
            reply: None,
            turn: 0,
            last_queue: None,
            has_confirms: false,
            _seat: None,
        }
    }

    /// The address of its consumer of direct replies.
    pub fn reply_address(&self) -> Option<&str> {
        self.reply.as_ref().map(|reply| &*reply.address)
    }

    pub fn waits_for_disk(&self) -> bool {
        self.confirms.as_ref().is_some_and(|confirms| confirms.next_round().is_some())
    }

    /// For listings.
    pub fn setup(&self) -> ChannelSetup {
        ChannelSetup {
            confirms: self.confirms.is_some(),
            transactional: self.transaction.is_some(),
            prefetch: self.prefetch,
            uncommitted: self.transaction.as_ref().map_or(0, Transaction::publishes),
            uncommitted_acks: self.transaction.as_ref().map_or(0, Transaction::settled),
            unconfirmed: self.confirms.as_ref().map_or(0, Confirms::unconfirmed) as u32,
        }
    }
}
