//! Dead letters: messages that died in one queue are published to others.
//!
//! A queue notes its dead under its lock and buries them after it. A stored message is given up only behind its
//! copies: the store writes in order, so that a crash in between leaves the message in one queue, or in both. That is
//! what RabbitMQ calls `at-least-once`, but for a dead letter that no queue takes, for want of a binding or because it
//! is full and refuses: it is dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use crate::clock;
use crate::message::Message;
use crate::outbox::Wakes;

use super::backlog::Entry;
use super::death::{Death, Reason};
use super::delayed;
use super::limits::Limits;
use super::{Queue, QueueState};

/// Bodies read from disk at a time.
const READ_COUNT_MAX: usize = 256;

/// Messages that died in one queue.
pub struct Burial {
    queue: Arc<Queue>,
    limits: Arc<Limits>,
    dead: Vec<(Entry, Reason)>,
}

impl Queue {
    /// A message has no place in the queue any more. It has left the backlog, or never was in it.
    pub(super) fn give_up(&self, state: &mut QueueState, entry: Entry, reason: Reason) {
        state.settled(entry.seq);
        match &mut state.extras {
            Some(extras) if state.limits.dead_letter_exchange.is_some() => extras.dying.push((entry, reason)),
            _ => self.forget(&entry),
        }
    }

    /// Lets go of the lock, and buries who died under it.
    #[inline]
    pub(super) fn unlock(self: &Arc<Self>, mut state: MutexGuard<'_, QueueState>, wakes: &mut Wakes) {
        let dead = state.take_dying();
        if dead.is_empty() {
            return;
        }
        let limits = state.limits.clone();
        drop(state);
        wakes.bury(Burial { queue: self.clone(), limits, dead });
    }
}

impl Burial {
    /// Publishes the dead, or leaves that to the pager's thread if bodies have to be read first. Without locks.
    pub fn carry_out(self, wakes: &mut Wakes) {
        let queue = self.queue.clone();
        let must_read = self.dead.iter().any(|(entry, _)| entry.message.is_none());
        // Behind those that wait already, so that order is kept.
        if must_read || queue.burials_waiting.load(Ordering::Acquire) > 0 {
            queue.burials_waiting.fetch_add(1, Ordering::AcqRel);
            queue.environment.pager.bury(self);
        } else {
            self.publish(wakes);
        }
    }

    /// Called by the pager's thread.
    pub(crate) fn read_and_publish(mut self) {
        let queue = self.queue.clone();
        let mut wakes = Wakes::default();
        while !self.dead.is_empty() {
            let rest = self.dead.split_off(self.dead.len().min(READ_COUNT_MAX));
            let mut some = Burial { queue: queue.clone(), limits: self.limits.clone(), dead: self.dead };
            some.read_bodies();
            some.publish(&mut wakes);
            wakes.wake_all();
            self.dead = rest;
        }
        queue.burials_waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// Who cannot be read is not buried: the store keeps it, and the log says so.
    fn read_bodies(&mut self) {
        let queue = &self.queue;
        for (entry, _) in &mut self.dead {
            if let Err(why) = queue.load_body(entry) {
                tracing::error!(
                    queue = queue.name(),
                    vhost = &*queue.spec.vhost,
                    "cannot read a stored message that is to be dead-lettered: {why}; it stays in the store. Run \
                     `broker store check` on the data folder"
                );
            }
        }
        self.dead.retain(|(entry, _)| entry.message.is_some());
    }

    fn publish(self, wakes: &mut Wakes) {
        let Some(exchange) = &self.limits.dead_letter_exchange else { return };
        let Some(host) = self.queue.environment.host() else {
            // The broker has ended: the store still has what it had.
            return;
        };
        let at_s = clock::now_ms() / 1000;
        for (entry, reason) in &self.dead {
            let Some(message) = &entry.message else { continue };
            if self.queue.spec.parsed.delays {
                self.release_one(&*host, message, exchange, wakes);
                continue;
            }
            let death = Death {
                queue: self.queue.name(),
                reason: *reason,
                at_s,
                exchange,
                routing_key: self.limits.dead_letter_routing_key.as_deref(),
            };
            self.publish_one(&*host, &death, message, wakes);
        }
        let stored = self.dead.iter().filter(|(entry, _)| entry.stored);
        // Without the message: it shall be written even so, or a confirm could precede the copy.
        let mut given_up = stored.map(|(entry, _)| (entry.seq, None)).peekable();
        if given_up.peek().is_some() {
            self.queue.store().ack_many(self.queue.spec.id, given_up);
        }
    }

    /// A message has waited at its exchange as long as it had to.
    fn release_one(&self, host: &dyn super::Host, message: &Message, exchange: &str, wakes: &mut Wakes) {
        let released = delayed::release(message);
        let mut keys = vec![released.message.routing_key()];
        keys.extend(released.more_keys.iter().map(|key| &**key));
        let properties = released.message.properties();
        let queues = host.route_delayed(&self.queue.spec.vhost, exchange, &keys, properties);
        let copy = Arc::new(released.message);
        for queue in queues.unwrap_or_default() {
            queue.publish(&copy, released.expiration_ms, wakes);
        }
    }

    fn publish_one(&self, host: &dyn super::Host, death: &Death<'_>, message: &Message, wakes: &mut Wakes) {
        let letter = death.letter(message);
        let mut keys = vec![letter.message.routing_key()];
        keys.extend(letter.more_keys.iter().map(|key| &**key));
        let properties = letter.message.properties();
        let vhost = &self.queue.spec.vhost;
        let Some(mut queues) = host.route_dead_letter(vhost, death.exchange, &keys, properties) else {
            return;
        };
        queues.retain(|queue| {
            let cycles = letter.cycles(death.reason, queue.name());
            if cycles {
                tracing::debug!(
                    queue = queue.name(),
                    vhost = &**vhost,
                    "a dead-lettered message was dropped: it had been here before, and nobody rejected it since"
                );
            }
            !cycles
        });
        let copy = Arc::new(letter.message);
        for queue in queues {
            queue.publish(&copy, None, wakes);
        }
    }
}
