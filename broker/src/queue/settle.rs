//! Messages are fetched, and what was handed out is settled or comes back.

use std::sync::Arc;

use crate::outbox::Wakes;
use crate::unacked::UnackedDelivery;

use super::{Entry, Fetched, Overflow, Queue};

impl Queue {
    /// The message has left the queue for good.
    pub(super) fn forget(&self, entry: &Entry) {
        if entry.stored {
            self.store().ack(self.spec.id, entry.seq, entry.message.as_ref());
        }
    }

    /// The first ready message, for `basic.get`. Its body may have to be read by `load_body`.
    pub fn get(self: &Arc<Self>) -> Fetched {
        let mut state = self.state.lock();
        self.expire(&mut state);
        let Some(entry) = state.backlog.pop() else { return Fetched::Empty };
        state.unacked += 1;
        Fetched::Message(entry, state.backlog.len())
    }

    /// Reads the body of an entry that is only on disk. Blocks on the disk; call without locks.
    pub fn load_body(&self, entry: &mut Entry) -> Result<(), String> {
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

    /// Acknowledged or rejected for good: the messages are gone.
    pub fn settle(self: &Arc<Self>, settled: &[UnackedDelivery], wakes: &mut Wakes) {
        let mut stored = settled.iter().filter(|d| d.entry.stored).peekable();
        if stored.peek().is_some() {
            self.store().ack_many(self.spec.id, stored.map(|d| (d.entry.seq, d.entry.message.as_ref())));
        }
        let mut state = self.state.lock();
        state.unacked -= settled.len();
        self.drain(&mut state, wakes);
    }

    /// A message fetched with no_ack: it is gone.
    pub fn settle_fetched(&self, entry: &Entry) {
        self.forget(entry);
        self.state.lock().unacked -= 1;
    }

    /// Messages come back to where they were, marked redelivered.
    pub fn requeue(self: &Arc<Self>, entries: impl Iterator<Item = Entry>, wakes: &mut Wakes) {
        let mut state = self.state.lock();
        for entry in entries {
            state.unacked -= 1;
            if !state.deleted {
                state.backlog.requeue(entry);
            }
        }
        self.expire(&mut state);
        self.drain(&mut state, wakes);
        if self.spec.parsed.overflow == Overflow::DropHead {
            self.drop_head_over_limit(&mut state);
        }
    }
}
