//! Messages enter a queue, as far as its limits let them.

use std::sync::Arc;

use parking_lot::MutexGuard;

use crate::amqp::Properties;
use crate::clock;
use crate::message::Message;
use crate::outbox::Wakes;
use crate::store::EntryMeta;

use super::death::Reason;
use super::delayed::delay_of_properties;
use super::unburied::Dead;
use super::{Entry, Limits, Overflow, Publish, Queue, QueueState};

/// Messages that leave under one hold of the lock.
pub(super) const LEAVE_COUNT_MAX: usize = 1024;

impl Queue {
    /// Puts a message at the end and delivers what can be delivered.
    ///
    /// Whether it is enqueued or the queue was deleted is one decision under the lock: that is what makes
    /// `mandatory` trustworthy.
    pub fn publish(
        self: &Arc<Self>,
        message: &Message,
        expiration_ms: Option<u64>,
        wakes: &mut Wakes,
    ) -> Publish {
        let mut state = self.state.lock();
        if state.deleted {
            return Publish::Deleted;
        }
        if state.is_bounded && state.limits.overflow().refuses() && is_too_much(&state, message) {
            return self.refuse(state, message, wakes);
        }
        let stored = self.is_stored() && message.is_persistent();
        let expires_at_ms = match self.spec.parsed.delays {
            false => expires_at_ms(&state.limits, expiration_ms),
            true => waits_until_ms(message),
        };
        let enqueue = |seq, priority| {
            let meta = EntryMeta { expires_at_ms, priority };
            stored.then(|| self.store().enqueue(self.spec.id, seq, message, meta))
        };
        let (seq, round) = match state.backlog.admit_alone(message, expires_at_ms, stored) {
            Some(entry) => {
                let (seq, round) = (entry.seq, enqueue(entry.seq, 0));
                if let Some(entry) = self.pass(&mut state, entry, wakes) {
                    state.backlog.append(entry);
                    self.drain(&mut state, wakes);
                }
                (seq, round)
            }
            None => {
                let priority = priority(&state, message);
                let seq = state.backlog.push(message.clone(), expires_at_ms, stored, priority);
                let round = enqueue(seq, priority);
                self.drain(&mut state, wakes);
                (seq, round)
            }
        };
        if state.is_bounded
            && state.limits.overflow() == Overflow::DropHead
            && self.drop_head_over_limit(&mut state)
        {
            // One large message may take the place of many small ones.
            self.expire(&mut state);
            self.unlock(state, wakes);
            self.drop_what_is_too_much(wakes);
            return Publish::Enqueued { round };
        }
        if expires_at_ms != 0 {
            self.expire(&mut state);
        }
        if stored {
            self.environment.pager.consider(&mut state.backlog, seq);
        }
        self.unlock(state, wakes);
        Publish::Enqueued { round }
    }

    /// Like `publish`, but only if a consumer takes the message at once (AMQP 0-9-1 §1.8.3.6, `immediate`).
    pub fn publish_immediate(
        self: &Arc<Self>,
        message: &Message,
        expiration_ms: Option<u64>,
        wakes: &mut Wakes,
    ) -> Publish {
        let mut state = self.state.lock();
        if state.deleted {
            return Publish::Deleted;
        }
        // What is there may be there because nobody wants it.
        if !state.backlog.is_empty() && !state.is_selective {
            return Publish::NotNow;
        }
        let stored = self.is_stored() && message.is_persistent();
        // Whoever gets it may give it back.
        let expires_at_ms = expires_at_ms(&state.limits, expiration_ms);
        let priority = priority(&state, message);
        let meta = EntryMeta { expires_at_ms, priority };
        let seq = state.backlog.push(message.clone(), expires_at_ms, stored, priority);
        let round = stored.then(|| self.store().enqueue(self.spec.id, seq, message, meta));
        self.drain(&mut state, wakes);
        match state.backlog.take(priority.into(), seq) {
            None => Publish::Enqueued { round },
            Some(entry) => {
                state.settled(seq);
                self.forget(&entry);
                Publish::NotNow
            }
        }
    }

    /// The queue is full, and it is the new message that has to go.
    fn refuse(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, QueueState>,
        message: &Message,
        wakes: &mut Wakes,
    ) -> Publish {
        if state.limits.overflow() == Overflow::RejectPublishDlx
            && state.limits.dead_letter_exchange.is_some()
            && let Some(extras) = &mut state.extras
        {
            extras.dying.push(Dead::new(Entry::passing(message.clone()), Reason::MaxLen));
        }
        self.unlock(state, wakes);
        Publish::Refused
    }

    /// Drops the oldest messages while there are too many; as many as leave at once. Says whether more have to go.
    pub(super) fn drop_head_over_limit(&self, state: &mut QueueState) -> bool {
        for _ in 0..LEAVE_COUNT_MAX {
            if !state.limits.exceeded_by(state.backlog.len() as u64, state.backlog.body_bytes()) {
                return false;
            }
            let Some(entry) = state.backlog.drop_first() else { return false };
            self.give_up(state, entry, Reason::MaxLen);
        }
        true
    }

    /// Drops the oldest messages until there are no more than there may be. Others get at the queue in between.
    pub(super) fn drop_what_is_too_much(self: &Arc<Self>, wakes: &mut Wakes) {
        let mut more = true;
        while more {
            let mut state = self.state.lock();
            more = state.is_bounded
                && state.limits.overflow() == Overflow::DropHead
                && self.drop_head_over_limit(&mut state);
            self.unlock(state, wakes);
        }
    }
}

fn is_too_much(state: &QueueState, message: &Message) -> bool {
    let unburied = state.unburied();
    let body_bytes = state.backlog.body_bytes() + unburied.bytes + message.body().len() as u64;
    state.limits.exceeded_by((state.backlog.len() + unburied.count) as u64 + 1, body_bytes)
}

fn expires_at_ms(limits: &Limits, expiration_ms: Option<u64>) -> u64 {
    let ttl = match (expiration_ms, limits.message_ttl_ms) {
        (Some(a), Some(b)) => a.min(b),
        (Some(ttl), None) | (None, Some(ttl)) => ttl,
        (None, None) => return 0,
    };
    clock::now_ms().saturating_add(ttl).max(1)
}

/// When a message has waited as long as its `x-delay` says.
fn waits_until_ms(message: &Message) -> u64 {
    clock::now_ms().saturating_add(delay_of_properties(message.properties()).unwrap_or(0)).max(1)
}

/// The message's priority, where it makes a difference.
fn priority(state: &QueueState, message: &Message) -> u8 {
    match state.backlog.priority_max() {
        0 => 0,
        max => {
            let properties = Properties::parse(message.properties()).ok();
            properties.and_then(|properties| properties.priority()).unwrap_or(0).min(max)
        }
    }
}
