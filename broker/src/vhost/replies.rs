//! Direct reply-to: answers go straight to the channel that asked, through no queue (RabbitMQ's extension).
//!
//! A channel consumes from the pseudo-queue [`PSEUDO_QUEUE`] and gets an address of its own, which the broker puts
//! into the reply-to of what the channel publishes. Whoever publishes to that address reaches the channel, as long as
//! it is there and has room: at most once, and nothing waits.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::message::Message;
use crate::outbox::{Outbox, Wakes};

/// What is consumed from, and written into reply-to.
pub const PSEUDO_QUEUE: &str = "amq.rabbitmq.reply-to";
/// What every address begins with.
const ADDRESS_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// Whether the name can only be the address of a channel that awaits replies.
pub fn is_address(name: &str) -> bool {
    name.starts_with(ADDRESS_PREFIX)
}

/// An address that nobody can guess, from a random suffix.
pub fn address(suffix: &str) -> Box<str> {
    format!("{ADDRESS_PREFIX}{suffix}").into()
}

/// A channel that awaits replies.
pub struct ReplyConsumer {
    pub outbox: Arc<Outbox>,
    pub channel: u16,
    pub tag: Box<str>,
}

/// Those of one vhost, by address. A leaf lock but for the outbox of the one that is answered.
#[derive(Default)]
pub struct Replies(Mutex<HashMap<Box<str>, Arc<ReplyConsumer>>>);

impl Replies {
    pub fn add(&self, address: &str, consumer: ReplyConsumer) {
        self.0.lock().insert(address.into(), Arc::new(consumer));
    }

    pub fn remove(&self, address: &str) {
        self.0.lock().remove(address);
    }

    pub fn is_awaited(&self, address: &str) -> bool {
        self.0.lock().contains_key(address)
    }

    /// Hands a reply to the one that awaits it. False when nobody does, or his connection has no room for it.
    pub fn deliver(&self, address: &str, message: &Message, wakes: &mut Wakes) -> bool {
        let Some(consumer) = self.0.lock().get(address).cloned() else { return false };
        let mut out = consumer.outbox.lock();
        let delivered =
            !consumer.outbox.is_full(&out) && out.deliver_directly(consumer.channel, &consumer.tag, message);
        drop(out);
        if delivered {
            wakes.add(&consumer.outbox);
        }
        delivered
    }
}
