//! What ends: messages whose time has come, all messages at once, the queue itself.

use std::sync::Arc;

use crate::clock;
use crate::store::Round;

use super::{Deleted, Queue, QueueCounts, QueueState, counts};

impl Queue {
    /// Removes all ready messages. Returns how many there were, and the round that makes it last.
    pub fn purge(&self) -> (usize, Option<Round>) {
        let mut state = self.state.lock();
        let entries = state.backlog.drain_all();
        let stored = || entries.iter().filter(|entry| entry.stored);
        let Some(last) = stored().next_back() else { return (entries.len(), None) };
        let round = if state.unacked == 0 {
            self.store().purge(self.spec.id, last.seq)
        } else {
            // What is handed out must stay.
            self.store().ack_many(self.spec.id, stored().map(|entry| (entry.seq, entry.message.as_ref())));
            self.store().barrier()
        };
        (entries.len(), Some(round))
    }

    /// Marks the queue deleted if `allowed` agrees to its counts; from then on nothing enters.
    /// The caller has removed it, or is about to remove it, from the topology, whose lock it holds.
    pub fn delete<E>(&self, allowed: impl FnOnce(&QueueCounts) -> Result<(), E>) -> Result<Deleted, E> {
        let mut state = self.state.lock();
        allowed(&counts(&state))?;
        state.deleted = true;
        let messages = state.backlog.drain_all().len();
        let consumers = state.consumers.take_all();
        if state.timer_at_ms != 0 {
            self.environment.timer.cancel(self.spec.id, state.timer_at_ms);
        }
        if self.is_stored() {
            self.store().delete_queue(self.spec.id);
        }
        for consumer in &consumers {
            consumer.set_cancelled();
        }
        Ok(Deleted { messages, consumers })
    }

    /// Drops what has expired and sets the timer for the next.
    pub(super) fn expire(self: &Arc<Self>, state: &mut QueueState) {
        let Some(next) = state.backlog.next_expiry_ms() else { return };
        let now_ms = clock::now_ms();
        if next <= now_ms {
            for entry in state.backlog.expire(now_ms) {
                self.forget(&entry);
            }
        }
        if let Some(next) = state.backlog.next_expiry_ms()
            && (state.timer_at_ms == 0 || next < state.timer_at_ms)
        {
            let id = self.spec.id;
            self.environment.timer.set(id, state.timer_at_ms, next, Arc::downgrade(self));
            state.timer_at_ms = next;
        }
    }

    /// Called by the timer's thread.
    pub(crate) fn timer_fired(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.timer_at_ms = 0;
        self.expire(&mut state);
    }
}
