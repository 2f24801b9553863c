//! Messages go to consumers.

use std::sync::Arc;

use crate::message::Message;
use crate::outbox::{OutboxState, Wakes};

use super::{ByPriority, ConsumeError, Consumer, Entry, Queue, QueueState, QueueType};

impl Queue {
    /// Delivers ready messages to consumers in turn, as long as some have room.
    pub(super) fn drain(self: &Arc<Self>, state: &mut QueueState, wakes: &mut Wakes) {
        self.deliver_some(state, usize::MAX, wakes);
    }

    /// Like `drain`, but at most so many. Says whether there are more that somebody may have room for.
    fn deliver_some(
        self: &Arc<Self>,
        state: &mut QueueState,
        mut count_max: usize,
        wakes: &mut Wakes,
    ) -> bool {
        if state.is_selective {
            return self.deliver_selectively(state, count_max, wakes);
        }
        while !state.consumers.is_empty() {
            let Some(head) = state.backlog.peek() else { return false };
            if head.message.is_none() {
                self.start_loading(state);
                return false;
            }
            if count_max == 0 {
                return true;
            }
            match self.deliver_run(state, count_max, wakes) {
                0 => return false,
                count => count_max -= count,
            }
        }
        false
    }

    /// Hands the head of the queue to the next consumer with room; a lone consumer gets as many as it
    /// takes under one hold of its outbox, but no more than `count_max`. 0 when nobody has room.
    fn deliver_run(self: &Arc<Self>, state: &mut QueueState, count_max: usize, wakes: &mut Wakes) -> usize {
        let count = state.consumers.candidates();
        for offset in 0..count {
            let consumer = state.consumers.in_turn(offset).clone();
            if !consumer.has_credit(|| next_bytes(&state.backlog)) {
                continue;
            }
            let mut out = consumer.outbox.lock();
            let mut delivered = 0;
            while delivered < count_max
                && consumer.has_credit(|| next_bytes(&state.backlog))
                && out.can_deliver(&consumer, || next_bytes(&state.backlog))
            {
                if consumer.outbox.is_full(&out) {
                    if !state.backlog.is_empty() {
                        out.turn_away(self, &consumer);
                    }
                    break;
                }
                let Some(head) = state.backlog.peek().and_then(|entry| entry.message.as_ref()) else { break };
                if !out.takes(head) {
                    self.evict_small(&consumer, &mut out, head);
                    break;
                }
                let Some(entry) = state.backlog.pop() else { break };
                delivered += 1;
                self.hand_over(state, &consumer, &mut out, entry, wakes);
                if count > 1 {
                    break;
                }
            }
            drop(out);
            if delivered > 0 {
                wakes.add(&consumer.outbox);
                state.consumers.advance_past(offset);
                return delivered;
            }
        }
        0
    }

    /// Hands a message that has just come, and before which there is none, to the one consumer that gets everything.
    /// It comes back where it has to wait for its turn or for room, or where there are several.
    #[inline]
    pub(super) fn pass(
        self: &Arc<Self>,
        state: &mut QueueState,
        entry: Entry,
        wakes: &mut Wakes,
    ) -> Option<Entry> {
        if state.is_selective {
            return Some(entry);
        }
        let Some(consumer) = state.consumers.lend_sole() else { return Some(entry) };
        let left = self.pass_to(&consumer, state, entry, wakes);
        state.consumers.give_back_sole(consumer);
        left
    }

    #[inline]
    fn pass_to(
        self: &Arc<Self>,
        consumer: &Arc<Consumer>,
        state: &mut QueueState,
        entry: Entry,
        wakes: &mut Wakes,
    ) -> Option<Entry> {
        let Some(message) = &entry.message else { return Some(entry) };
        let body_bytes = || u64::from(entry.body_len);
        if !consumer.has_credit(body_bytes) {
            return Some(entry);
        }
        let mut out = consumer.outbox.lock();
        if consumer.outbox.is_full(&out) || !out.can_deliver(consumer, body_bytes) || !out.takes(message) {
            return Some(entry);
        }
        self.hand_over(state, consumer, &mut out, entry, wakes);
        drop(out);
        wakes.add(&consumer.outbox);
        None
    }

    /// The entry has left the backlog, and the consumer has room for it.
    #[inline]
    pub(super) fn hand_over(
        self: &Arc<Self>,
        state: &mut QueueState,
        consumer: &Arc<Consumer>,
        out: &mut OutboxState,
        entry: Entry,
        wakes: &mut Wakes,
    ) {
        let counted = match self.spec.parsed.kind {
            QueueType::Classic => None,
            // Consumers are told how often it came back once it did. A count for which there is no room is left out.
            QueueType::Quorum if entry.redelivered => {
                state.counted_properties(&entry).filter(|properties| out.fits(properties.len()))
            }
            QueueType::Quorum => None,
        };
        if state.is_traced {
            let client = (consumer.outbox.connection_id, consumer.channel);
            wakes.trace(self, &entry, counted.as_deref(), client);
        }
        if !consumer.no_ack {
            state.handed_out.add(&entry);
        }
        match out.deliver(consumer, self, entry, counted.as_deref()) {
            Some(entry) => {
                if !consumer.no_ack {
                    state.handed_out.remove(&entry);
                }
                state.settled(entry.seq);
                self.forget(&entry);
            }
            None => state.unacked += 1,
        }
    }

    /// A consumer's frames are too small for what is next: its connection ends, and says why. Others may take it.
    #[cold]
    pub(super) fn evict_small(&self, consumer: &Consumer, out: &mut OutboxState, message: &Message) {
        out.closed = true;
        consumer.outbox.evict(out.too_small_for(self.name(), message));
    }

    /// Delivers after a consumer has found room again, at most so many messages. Says whether there are more that
    /// somebody may have room for.
    pub fn resume(self: &Arc<Self>, wakes: &mut Wakes, count_max: usize) -> bool {
        let mut state = self.state.lock();
        self.deliver_some(&mut state, count_max, wakes)
    }

    /// Adds a consumer and delivers to it. `announce` is called under the lock before the first delivery can
    /// be made: it sends `consume-ok`, which must come first.
    pub fn consume(
        self: &Arc<Self>,
        consumer: &Arc<Consumer>,
        announce: impl FnOnce(),
        wakes: &mut Wakes,
    ) -> Result<(), ConsumeError> {
        let mut state = self.state.lock();
        if state.deleted {
            return Err(ConsumeError::Deleted);
        }
        // Who is alone cannot have others waiting for him to go (as in RabbitMQ).
        let never_alone = self.spec.parsed.single_active_consumer || !state.consumers.is_empty();
        if state.consumers.has_exclusive() || (consumer.exclusive && never_alone) {
            return Err(ConsumeError::ExclusiveUse);
        }
        state.had_consumer = true;
        state.consumers.add(consumer.clone());
        self.nearby.set(state.consumers.sole());
        if consumer.no_local {
            state.add_no_local(consumer);
        }
        announce();
        self.expire(&mut state);
        self.drain(&mut state, wakes);
        self.unlock(state, wakes);
        Ok(())
    }

    /// Takes a consumer away; what it holds stays with its channel. True when the queue is to be deleted
    /// because it was the last (auto-delete).
    pub fn cancel(self: &Arc<Self>, consumer: &Arc<Consumer>, wakes: &mut Wakes) -> bool {
        let mut state = self.state.lock();
        let was_active = state.consumers.active().is_some_and(|active| Arc::ptr_eq(active, consumer));
        if state.consumers.remove(consumer) && consumer.no_local {
            state.remove_no_local(consumer);
        }
        self.nearby.set(state.consumers.sole());
        self.used(&mut state);
        if was_active {
            // It is the next one's turn.
            self.drain(&mut state, wakes);
        }
        self.spec.auto_delete && state.had_consumer && state.consumers.is_empty() && !state.deleted
    }
}

/// Body bytes of the message whose turn it is.
fn next_bytes(backlog: &ByPriority) -> u64 {
    backlog.peek().map_or(0, |entry| u64::from(entry.body_len))
}
