//! Consumers of a queue and whose turn it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::amqp;
use crate::outbox::Outbox;

/// One `basic.consume`.
pub struct Consumer {
    pub tag: Box<str>,
    pub channel: u16,
    pub outbox: Arc<Outbox>,
    pub no_ack: bool,
    pub exclusive: bool,
    /// The client understands `basic.cancel` from the server.
    pub wants_cancel: bool,
    /// Unacknowledged messages at most; 0 is no limit. Fixed when it subscribed (as RabbitMQ reads qos).
    pub prefetch: u32,
    /// Unacknowledged body bytes at most; 0 is no limit.
    pub prefetch_size: u64,
    unacked: AtomicU32,
    unacked_bytes: AtomicU64,
    /// It has ended: the client cancelled it, or its queue went away.
    cancelled: AtomicBool,
}

/// What `basic.consume` asks for.
pub struct ConsumerOptions {
    pub tag: Box<str>,
    pub channel: u16,
    pub no_ack: bool,
    pub exclusive: bool,
    pub wants_cancel: bool,
    pub prefetch: u32,
    pub prefetch_size: u64,
}

impl Consumer {
    pub fn new(outbox: Arc<Outbox>, options: ConsumerOptions) -> Consumer {
        Consumer {
            tag: options.tag,
            channel: options.channel,
            outbox,
            no_ack: options.no_ack,
            exclusive: options.exclusive,
            wants_cancel: options.wants_cancel,
            prefetch: options.prefetch,
            prefetch_size: options.prefetch_size,
            unacked: AtomicU32::new(0),
            unacked_bytes: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
        }
    }

    /// Whether its own prefetch leaves room for the next message, of so many body bytes. Counted under the queue's
    /// or the outbox's lock, read anywhere.
    pub fn has_credit(&self, next_bytes: impl FnOnce() -> u64) -> bool {
        self.no_ack
            || ((self.prefetch == 0 || self.unacked.load(Ordering::Relaxed) < self.prefetch)
                && has_room(self.prefetch_size, self.unacked_bytes.load(Ordering::Relaxed), next_bytes))
    }

    pub fn handed_out(&self, body_bytes: u64) {
        self.unacked.fetch_add(1, Ordering::Relaxed);
        self.unacked_bytes.fetch_add(body_bytes, Ordering::Relaxed);
    }

    pub fn settled(&self, body_bytes: u64) {
        self.unacked.fetch_sub(1, Ordering::Relaxed);
        self.unacked_bytes.fetch_sub(body_bytes, Ordering::Relaxed);
    }

    pub fn unacked(&self) -> u32 {
        self.unacked.load(Ordering::Relaxed)
    }

    /// Tells the client that its queue is gone (consumer cancel notification), if it wants to know.
    pub fn announce_cancelled(&self) {
        if self.wants_cancel {
            let cancel = amqp::basic::Cancel { consumer_tag: self.tag.clone(), no_wait: true };
            let mut out = self.outbox.lock();
            if !out.closed && out.channel(self.channel).is_some() {
                amqp::write_method(&mut out.bytes, self.channel, &cancel.into());
            }
            drop(out);
            self.outbox.wake();
        }
    }

    pub fn set_cancelled(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

/// A prefetch size: as many bytes as fit, and a message that is larger by itself alone (AMQP 0-9-1 §1.8.3.1).
pub fn has_room(bytes_max: u64, bytes: u64, next_bytes: impl FnOnce() -> u64) -> bool {
    bytes_max == 0 || bytes == 0 || bytes + next_bytes() <= bytes_max
}

/// The consumers of one queue in turn.
#[derive(Default)]
pub struct Consumers {
    ring: Vec<Arc<Consumer>>,
    next: usize,
}

impl Consumers {
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        self.ring.iter()
    }

    pub fn has_exclusive(&self) -> bool {
        self.ring.iter().any(|consumer| consumer.exclusive)
    }

    pub fn add(&mut self, consumer: Arc<Consumer>) {
        self.ring.push(consumer);
    }

    /// False when it was not there.
    pub fn remove(&mut self, consumer: &Arc<Consumer>) -> bool {
        let Some(at) = self.ring.iter().position(|c| Arc::ptr_eq(c, consumer)) else { return false };
        self.ring.remove(at);
        if at < self.next {
            self.next -= 1;
        }
        if self.next >= self.ring.len() {
            self.next = 0;
        }
        true
    }

    pub fn take_all(&mut self) -> Vec<Arc<Consumer>> {
        self.next = 0;
        std::mem::take(&mut self.ring)
    }

    /// The consumer `offset` places behind the one whose turn it is.
    pub fn in_turn(&self, offset: usize) -> &Arc<Consumer> {
        let at = self.next + offset;
        &self.ring[if at >= self.ring.len() { at - self.ring.len() } else { at }]
    }

    /// The consumer `offset` places behind the one whose turn it is got a message: the next one is on.
    pub fn advance_past(&mut self, offset: usize) {
        self.next = (self.next + offset + 1) % self.ring.len().max(1);
    }
}
