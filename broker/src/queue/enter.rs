//! Messages enter a queue, as far as its limits let them.

use std::sync::Arc;

use crate::clock;
use crate::message::Message;
use crate::outbox::Wakes;
use crate::store::EntryMeta;

use super::{Overflow, Publish, Queue, QueueState};

impl Queue {
    /// Puts a message at the end and delivers what can be delivered.
    ///
    /// Whether it is enqueued or the queue was deleted is one decision under the lock: that is what makes
    /// `mandatory` trustworthy.
    pub fn publish(
        self: &Arc<Self>,
        message: &Arc<Message>,
        expiration_ms: Option<u64>,
        wakes: &mut Wakes,
    ) -> Publish {
        let mut state = self.state.lock();
        if state.deleted {
            return Publish::Deleted;
        }
        if self.spec.parsed.overflow == Overflow::RejectPublish && self.is_over_limit(&state, message, 1) {
            return Publish::Refused;
        }
        let stored = self.is_stored() && message.persistent;
        let expires_at_ms = self.expires_at_ms(expiration_ms);
        let seq = state.backlog.push(message.clone(), expires_at_ms, stored);
        let round = stored.then(|| {
            self.store().enqueue(self.spec.id, seq, message, EntryMeta { expires_at_ms, priority: 0 })
        });
        self.drain(&mut state, wakes);
        if self.spec.parsed.overflow == Overflow::DropHead {
            self.drop_head_over_limit(&mut state);
        }
        if expires_at_ms != 0 {
            self.expire(&mut state);
        }
        if state.backlog.len() > crate::pager::RESIDENT_AT_LEAST {
            self.environment.pager.consider(&mut state.backlog);
        }
        Publish::Enqueued { round }
    }

    /// Like `publish`, but only if a consumer takes the message at once (AMQP 0-9-1 §1.8.3.6, `immediate`).
    pub fn publish_immediate(self: &Arc<Self>, message: &Arc<Message>, wakes: &mut Wakes) -> Publish {
        let mut state = self.state.lock();
        if state.deleted {
            return Publish::Deleted;
        }
        if !state.backlog.is_empty() {
            return Publish::NotNow;
        }
        let stored = self.is_stored() && message.persistent;
        let seq = state.backlog.push(message.clone(), 0, stored);
        let round = stored.then(|| self.store().enqueue(self.spec.id, seq, message, EntryMeta::default()));
        self.drain(&mut state, wakes);
        match state.backlog.pop() {
            None => Publish::Enqueued { round },
            Some(entry) => {
                self.forget(&entry);
                Publish::NotNow
            }
        }
    }

    fn expires_at_ms(&self, expiration_ms: Option<u64>) -> u64 {
        let ttl = match (expiration_ms, self.spec.parsed.message_ttl_ms) {
            (Some(a), Some(b)) => a.min(b),
            (Some(ttl), None) | (None, Some(ttl)) => ttl,
            (None, None) => return 0,
        };
        clock::now_ms().saturating_add(ttl).max(1)
    }

    fn is_over_limit(&self, state: &QueueState, message: &Message, more: u64) -> bool {
        let arguments = &self.spec.parsed;
        arguments.length_max.is_some_and(|max| state.backlog.len() as u64 + more > max)
            || arguments
                .body_bytes_max
                .is_some_and(|max| state.backlog.body_bytes() + message.body().len() as u64 > max)
    }

    pub(super) fn drop_head_over_limit(&self, state: &mut QueueState) {
        let arguments = &self.spec.parsed;
        while !state.backlog.is_empty()
            && (arguments.length_max.is_some_and(|max| state.backlog.len() as u64 > max)
                || arguments.body_bytes_max.is_some_and(|max| state.backlog.body_bytes() > max))
        {
            if let Some(entry) = state.backlog.pop() {
                self.forget(&entry);
            }
        }
    }
}
