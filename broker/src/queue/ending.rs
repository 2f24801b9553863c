//! What ends: messages whose time has come, all messages at once, the queue itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock;
use crate::outbox::Wakes;
use crate::store::Round;

use super::death::Reason;
use super::enter::LEAVE_COUNT_MAX;
use super::{Deleted, Queue, QueueCounts, QueueState, counts};

impl Queue {
    /// Removes all ready messages. Returns how many there were, and the round that makes it last.
    pub fn purge(self: &Arc<Self>) -> (usize, Option<Round>) {
        let mut state = self.state.lock();
        self.used(&mut state);
        let purged = state.backlog.take_all();
        // What could not be read is gone, too.
        state.read_failed = false;
        if let Some(extras) = &mut state.extras {
            extras.no_local.purged();
        }
        state.wake_readers();
        let some_stay =
            state.unacked > 0 || state.unburied().count > 0 || self.burials.load(Ordering::Acquire) > 0;
        drop(state);
        // There may be millions: not under the lock.
        let count = purged.len();
        let mut last = None;
        for entry in purged.into_entries().filter(|entry| entry.stored) {
            last = last.max(Some(entry.seq));
            if some_stay {
                // What is handed out must stay, and so must dead letters.
                self.store().ack(self.spec.id, entry.seq, entry.message.as_ref());
            }
        }
        let round = last.map(|last| match some_stay {
            true => self.store().barrier(),
            false => self.store().purge(self.spec.id, last),
        });
        (count, round)
    }

    /// Marks the queue deleted if `allowed` agrees to its counts; from then on nothing enters.
    /// The caller has removed it, or is about to remove it, from the topology, whose lock it holds.
    pub fn delete<E>(&self, allowed: impl FnOnce(&QueueCounts) -> Result<(), E>) -> Result<Deleted, E> {
        let mut state = self.state.lock();
        allowed(&counts(&state))?;
        state.deleted = true;
        let remains = state.backlog.take_all();
        let consumers = state.consumers.take_all();
        self.nearby.set(None);
        if state.timer_at_ms != 0 {
            self.environment.timer.cancel(self.spec.id, state.timer_at_ms);
        }
        // What died in it goes on to others, and its bodies may still have to be read.
        if self.is_stored() && self.burials.load(Ordering::Acquire) == 0 {
            self.store().delete_queue(self.spec.id);
        }
        for consumer in &consumers {
            consumer.set_cancelled();
        }
        state.wake_readers();
        Ok(Deleted { messages: remains.len(), consumers, remains })
    }

    /// Gives up what has expired, as many as leave at once, and sets the timer for the next. Says whether more have
    /// expired.
    pub(super) fn expire(self: &Arc<Self>, state: &mut QueueState) -> bool {
        let Some(next) = state.backlog.next_expiry_ms() else { return false };
        let now_ms = clock::now_ms();
        if next <= now_ms {
            for entry in state.backlog.expire(now_ms, LEAVE_COUNT_MAX) {
                self.give_up(state, entry, Reason::Expired);
            }
        }
        self.set_timer(state);
        state.backlog.next_expiry_ms().is_some_and(|next| next <= now_ms)
    }

    /// Sets the timer for what ends next, unless it is set to an earlier time.
    pub(super) fn set_timer(self: &Arc<Self>, state: &mut QueueState) {
        let ends = state.backlog.next_expiry_ms().into_iter().chain(state.expires_at_ms());
        let retry = state.extras.as_ref().and_then(|extras| extras.unburied.retry_at_ms());
        let Some(next) = ends.chain(retry).min() else { return };
        if state.timer_at_ms == 0 || next < state.timer_at_ms {
            let id = self.spec.id;
            self.environment.timer.set(id, state.timer_at_ms, next, Arc::downgrade(self));
            state.timer_at_ms = next;
        }
    }

    /// Somebody uses the queue: `x-expires` counts from now on.
    #[inline]
    pub(super) fn used(self: &Arc<Self>, state: &mut QueueState) {
        if state.limits.expires_ms.is_some()
            && let Some(extras) = &mut state.extras
        {
            extras.used_at_ms = clock::now_ms();
            self.set_timer(state);
        }
    }

    /// Called by the timer's thread.
    pub(crate) fn timer_fired(self: &Arc<Self>) {
        let mut wakes = Wakes::default();
        loop {
            let mut state = self.state.lock();
            state.timer_at_ms = 0;
            if state.deleted {
                return;
            }
            let more = self.expire(&mut state);
            state.bury_again(clock::now_ms());
            self.set_timer(&mut state);
            let is_over = state.expires_at_ms().is_some_and(|at| at <= clock::now_ms());
            self.unlock(state, &mut wakes);
            wakes.wake_all();
            if is_over {
                if let Some(host) = self.environment.host() {
                    host.delete_expired(self);
                }
                return;
            }
            if !more {
                return;
            }
        }
    }
}
