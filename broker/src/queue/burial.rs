//! Dead letters: messages that died in one queue are published to others.
//!
//! A queue notes its dead under its lock and buries them after it. A stored message is given up only behind its
//! copies: the store writes in order, so that a crash in between leaves the message in one queue, or in both. A dead
//! letter that no queue takes, for want of a binding or because it is full and refuses, is dropped, unless its queue has
//! the strategy `at-least-once`: then it stays there, and it is tried again (`unburied.rs`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use crate::clock;
use crate::message::Message;
use crate::outbox::Wakes;

use super::backlog::Entry;
use super::death::{DeadLetter, Death, Reason};
use super::delayed;
use super::enter::LEAVE_COUNT_MAX;
use super::limits::Limits;
use super::unburied::Dead;
use super::{Host, Publish, Queue, QueueState};

/// Bodies read from disk at a time.
const READ_COUNT_MAX: usize = 256;

/// Messages that died in one queue.
pub struct Burial {
    queue: Arc<Queue>,
    limits: Arc<Limits>,
    dead: Vec<Dead>,
}

impl Queue {
    /// A message has no place in the queue any more. It has left the backlog, or never was in it.
    pub(super) fn give_up(&self, state: &mut QueueState, entry: Entry, reason: Reason) {
        state.settled(entry.seq);
        match &mut state.extras {
            Some(extras) if state.limits.dead_letter_exchange.is_some() => {
                let mut dead = Dead::new(entry, reason);
                if extras.keeps_dead {
                    extras.unburied.died(&mut dead);
                }
                extras.dying.push(dead);
            }
            _ => self.forget(&entry),
        }
    }

    /// Lets go of the lock, and buries who died under it.
    #[inline]
    pub(super) fn unlock(self: &Arc<Self>, state: MutexGuard<'_, QueueState>, wakes: &mut Wakes) {
        if state.extras.is_some() {
            self.bury_dying(state, wakes);
        }
    }

    fn bury_dying(self: &Arc<Self>, mut state: MutexGuard<'_, QueueState>, wakes: &mut Wakes) {
        let dead = state.take_dying();
        if dead.is_empty() {
            return;
        }
        let limits = state.limits.clone();
        self.burials.fetch_add(1, Ordering::AcqRel);
        drop(state);
        wakes.bury(Burial { queue: self.clone(), limits, dead });
    }

    /// Whose queue was deleted meanwhile was left in the store till now.
    fn burial_ended(&self) {
        let was_last = self.burials.fetch_sub(1, Ordering::AcqRel) == 1;
        if was_last && self.is_stored() && self.is_deleted() {
            self.store().delete_queue(self.spec.id);
        }
    }

    /// Dead letters that count for the queue are buried, or stay.
    fn settle_kept(self: &Arc<Self>, buried: &[Dead], untaken: Vec<Dead>) {
        if !buried.iter().chain(&untaken).any(|dead| dead.is_kept) {
            return;
        }
        let now_ms = clock::now_ms();
        let mut state = self.state.lock();
        let Some(extras) = state.extras.as_mut() else { return };
        for dead in buried.iter().filter(|dead| dead.is_kept) {
            extras.unburied.buried(dead);
        }
        if buried.iter().any(|dead| dead.has_waited) {
            extras.unburied.hurry(now_ms);
        }
        if !untaken.is_empty() {
            tracing::debug!(
                queue = self.name(),
                vhost = &*self.spec.vhost,
                "{} dead letters stay: the dead-letter exchange, a binding or room in a queue is missing",
                untaken.len()
            );
        }
        for dead in untaken {
            extras.unburied.keep(dead, now_ms);
        }
        self.environment.set_counts_changed();
        if !state.deleted {
            self.set_timer(&mut state);
        }
    }
}

impl QueueState {
    /// Dead letters that no queue took are tried again, if it is time.
    pub(super) fn bury_again(&mut self, now_ms: u64) {
        if let Some(extras) = &mut self.extras {
            extras.dying.extend(extras.unburied.due(now_ms, LEAVE_COUNT_MAX));
        }
    }
}

impl Burial {
    /// Publishes the dead, or leaves that to the pager's thread if bodies have to be read first. Without locks.
    pub fn carry_out(self, wakes: &mut Wakes) {
        let queue = self.queue.clone();
        let must_read = self.dead.iter().any(|dead| dead.entry.message.is_none());
        // Behind those that wait already, so that order is kept.
        if must_read || queue.burials_waiting.load(Ordering::Acquire) > 0 {
            queue.burials_waiting.fetch_add(1, Ordering::AcqRel);
            queue.environment.pager.bury(self);
        } else {
            self.publish(wakes);
            queue.burial_ended();
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
        queue.burial_ended();
    }

    /// Who cannot be read is not buried: the store keeps it, and the log says so.
    fn read_bodies(&mut self) {
        let queue = &self.queue;
        for dead in &mut self.dead {
            if let Err(why) = queue.load_body(&mut dead.entry) {
                tracing::error!(
                    queue = queue.name(),
                    vhost = &*queue.spec.vhost,
                    "cannot read a stored message that is to be dead-lettered: {why}; it stays in the store. Run \
                     `broker store check` on the data folder"
                );
            }
        }
        self.dead.retain(|dead| dead.entry.message.is_some());
    }

    fn publish(mut self, wakes: &mut Wakes) {
        let Some(host) = self.queue.environment.host() else {
            // The broker has ended: the store still has what it had.
            return;
        };
        let at_s = clock::now_ms() / 1000;
        let (mut buried, mut untaken) = (Vec::with_capacity(self.dead.len()), Vec::new());
        for mut dead in std::mem::take(&mut self.dead) {
            if dead.at_s == 0 {
                dead.at_s = at_s;
            }
            let is_taken = self.publish_one(&*host, &mut dead, wakes);
            let stays = !is_taken && dead.is_kept && self.limits.keeps_dead_letters();
            if stays { &mut untaken } else { &mut buried }.push(dead);
        }
        let stored = buried.iter().map(|dead| &dead.entry).filter(|entry| entry.stored);
        // Without the message: it shall be written even so, or a confirm could precede the copy.
        let mut given_up = stored.map(|entry| (entry.seq, None)).peekable();
        if given_up.peek().is_some() {
            self.queue.store().ack_many(self.queue.spec.id, given_up);
        }
        self.queue.settle_kept(&buried, untaken);
    }

    /// Whether every queue that a dead message goes to has it now, and there is one.
    fn publish_one(&self, host: &dyn Host, dead: &mut Dead, wakes: &mut Wakes) -> bool {
        // The exchange may be gone since from arguments and policy.
        let Some(exchange) = &self.limits.dead_letter_exchange else { return false };
        let Some(message) = dead.entry.message.clone() else { return false };
        if self.queue.spec.parsed.delays {
            self.release_one(host, &message, exchange, wakes);
            return true;
        }
        let death = Death {
            queue: self.queue.name(),
            reason: dead.reason,
            at_s: dead.at_s,
            exchange,
            routing_key: self.limits.dead_letter_routing_key.as_deref(),
        };
        let letter = death.letter(&message);
        let queues = self.addressees(host, &death, &letter);
        let copy = Arc::new(letter.message);
        let (mut some, mut all) = (false, true);
        for queue in queues {
            let has_it = dead.taken_by.contains(&queue.spec.id)
                || matches!(queue.publish(&copy, None, wakes), Publish::Enqueued { .. });
            if has_it && dead.is_kept {
                dead.taken_by.push(queue.spec.id);
            }
            some |= has_it;
            all &= has_it;
        }
        // Those that have it may be unbound or gone since.
        (some || !dead.taken_by.is_empty()) && all
    }

    fn addressees(&self, host: &dyn Host, death: &Death<'_>, letter: &DeadLetter) -> Vec<Arc<Queue>> {
        let mut keys = vec![letter.message.routing_key()];
        keys.extend(letter.more_keys.iter().map(|key| &**key));
        let vhost = &self.queue.spec.vhost;
        let properties = letter.message.properties();
        let mut queues = host.route_dead_letter(vhost, death.exchange, &keys, properties).unwrap_or_default();
        queues.retain(|queue| {
            let cycles = letter.cycles(death.reason, queue.name());
            if cycles {
                tracing::debug!(
                    queue = queue.name(),
                    vhost = &**vhost,
                    "a dead-lettered message does not enter a queue where it had been before, as nobody rejected it since"
                );
            }
            !cycles
        });
        queues
    }

    /// A message has waited at its exchange as long as it had to.
    fn release_one(&self, host: &dyn Host, message: &Message, exchange: &str, wakes: &mut Wakes) {
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
}
