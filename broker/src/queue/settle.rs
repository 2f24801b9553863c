//! Messages are fetched, and what was handed out is settled or comes back.

use std::sync::Arc;

use crate::amqp::{FieldValue, Properties};
use crate::outbox::{Outbox, Wakes};
use crate::unacked::UnackedDelivery;

use super::death::Reason;
use super::enter::LEAVE_COUNT_MAX;
use super::{Entry, Fetched, Overflow, Queue, QueueState, QueueType};

impl Queue {
    /// The message has left the queue for good.
    pub(super) fn forget(&self, entry: &Entry) {
        if entry.stored {
            self.store().ack(self.spec.id, entry.seq, entry.message.as_ref());
        }
    }

    /// The first ready message, for `basic.get`. Where its body has to be read first, `reader` is woken when it has
    /// been, to ask again.
    pub fn get(self: &Arc<Self>, reader: &Arc<Outbox>, wakes: &mut Wakes) -> Fetched {
        let mut state = self.state.lock();
        while self.expire(&mut state) {
            self.unlock(state, wakes);
            state = self.state.lock();
        }
        self.used(&mut state);
        let fetched = self.fetch(&mut state, reader);
        self.unlock(state, wakes);
        fetched
    }

    fn fetch(self: &Arc<Self>, state: &mut QueueState, reader: &Arc<Outbox>) -> Fetched {
        if state.backlog.peek().is_some_and(|head| head.message.is_none()) {
            if state.read_failed {
                return Fetched::Unreadable;
            }
            state.extras.get_or_insert_default().wait_for_body(reader);
            self.start_loading(state);
            return Fetched::Loading;
        }
        match state.backlog.pop() {
            None => Fetched::Empty,
            Some(entry) => {
                state.unacked += 1;
                state.handed_out.add(&entry);
                Fetched::Message(entry, state.backlog.len())
            }
        }
    }

    /// Reads the body of an entry that is only on disk. Blocks on the disk: for threads that may.
    pub(super) fn load_body(&self, entry: &mut Entry) -> Result<(), String> {
        if entry.message.is_some() {
            return Ok(());
        }
        let mut read = self.store().read(self.spec.id, &[entry.seq]).map_err(|error| error.to_string())?;
        match read.pop() {
            Some((_, message)) => {
                entry.set_body_from_disk(message);
                Ok(())
            }
            None => Err(format!("message {} of queue '{}' is not in the store", entry.seq, self.name())),
        }
    }

    /// Acknowledged: the messages are gone. With `deliver` the room that this makes is used at once.
    pub fn settle(self: &Arc<Self>, settled: &[UnackedDelivery], deliver: bool, wakes: &mut Wakes) {
        let mut stored = settled.iter().filter(|d| d.entry.stored).peekable();
        if stored.peek().is_some() {
            self.store().ack_many(self.spec.id, stored.map(|d| (d.entry.seq, d.entry.message.as_ref())));
        }
        let mut state = self.state.lock();
        state.unacked -= settled.len();
        settled.iter().for_each(|delivery| state.handed_out.remove(&delivery.entry));
        if state.keeps_count_of_handed_out() {
            settled.iter().for_each(|delivery| state.settled(delivery.entry.seq));
        }
        if deliver {
            self.drain(&mut state, wakes);
        }
    }

    /// Rejected for good: the messages are gone, or dead letters.
    pub fn reject(self: &Arc<Self>, rejected: Vec<UnackedDelivery>, deliver: bool, wakes: &mut Wakes) {
        let mut state = self.state.lock();
        if state.deleted || state.limits.dead_letter_exchange.is_none() {
            drop(state);
            return self.settle(&rejected, deliver, wakes);
        }
        state.unacked -= rejected.len();
        for delivery in rejected {
            state.handed_out.remove(&delivery.entry);
            self.give_up(&mut state, delivery.entry, Reason::Rejected);
        }
        if deliver {
            self.drain(&mut state, wakes);
        }
        self.unlock(state, wakes);
    }

    /// A message fetched with no_ack: it is gone.
    pub fn settle_fetched(&self, entry: &Entry) {
        self.forget(entry);
        let mut state = self.state.lock();
        state.unacked -= 1;
        state.handed_out.remove(entry);
        state.settled(entry.seq);
    }

    /// Messages come back to where they were, marked redelivered.
    pub fn requeue(self: &Arc<Self>, entries: impl Iterator<Item = Entry>, wakes: &mut Wakes) {
        let mut entries = entries.peekable();
        let mut state = self.state.lock();
        loop {
            for entry in entries.by_ref().take(LEAVE_COUNT_MAX) {
                state.unacked -= 1;
                state.handed_out.remove(&entry);
                if !state.deleted {
                    self.put_back(&mut state, entry);
                }
            }
            if entries.peek().is_none() {
                break;
            }
            // A channel may have had a million of them: others get at the queue in between.
            self.unlock(state, wakes);
            state = self.state.lock();
        }
        self.expire(&mut state);
        self.drain(&mut state, wakes);
        let more = state.is_bounded
            && state.limits.overflow() == Overflow::DropHead
            && self.drop_head_over_limit(&mut state);
        self.unlock(state, wakes);
        if more {
            self.drop_what_is_too_much(wakes);
        }
    }

    fn put_back(&self, state: &mut QueueState, entry: Entry) {
        if let Some(extras) = state.extras.as_mut().filter(|extras| extras.counts_deliveries) {
            let returns = extras.came_back(entry.seq);
            if entry.stored {
                self.environment.set_counts_changed();
            }
            if state.limits.delivery_limit.is_some_and(|max| returns > max) {
                return self.give_up(state, entry, Reason::DeliveryLimit);
            }
        }
        let place = state.backlog.requeue(entry);
        if let Some(extras) = &mut state.extras {
            extras.no_local.came_back(place);
        }
    }

    /// A message's properties as a quorum queue hands them out, with `x-delivery-count`. `None`: as they are.
    pub fn counted_properties(&self, entry: &Entry) -> Option<Vec<u8>> {
        if self.spec.parsed.kind != QueueType::Quorum {
            return None;
        }
        self.state.lock().counted_properties(entry)
    }
}

impl QueueState {
    /// Whether anything is known of messages that are handed out.
    #[inline]
    fn keeps_count_of_handed_out(&self) -> bool {
        self.extras.is_some() || self.backlog.priority_max() > 0
    }

    pub(super) fn counted_properties(&self, entry: &Entry) -> Option<Vec<u8>> {
        let message = entry.message.as_ref()?;
        let returns = self.extras.as_ref()?.returns(entry.seq);
        let properties = Properties::parse(message.properties()).ok()?;
        let mut headers = properties.headers().unwrap_or_default();
        headers.remove("BCC");
        headers.insert("x-delivery-count", FieldValue::I64(returns as i64));
        let mut out = Vec::new();
        properties.encode_with_headers(&headers, true, &mut out);
        Some(out)
    }
}
