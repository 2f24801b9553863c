//! What few queues have: dead letters, an expiry, delivery counts, readers that wait for the disk.

use std::sync::Arc;

use hashbrown::HashMap;

use super::death::Reason;
use super::no_local::NoLocal;
use super::unburied::{Dead, Unburied};
use super::{QueueState, Tally};
use crate::outbox::Outbox;

/// What is known of a stored message beside the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// So often it came back.
    Returns(u64),
    /// It is dead, and no queue has taken it yet.
    Dead(Reason),
}

/// State of features that a plain queue does without; it only tests whether there is any.
#[derive(Default)]
pub(super) struct Extras {
    /// Died under this hold of the lock. They are buried when it ends; until then the store keeps them.
    pub dying: Vec<Dead>,
    /// Whether the queue keeps dead letters until others have them.
    pub keeps_dead: bool,
    pub unburied: Unburied,
    /// When the queue was last used, in milliseconds since the epoch; 0 where nobody asks.
    pub used_at_ms: u64,
    pub counts_deliveries: bool,
    /// How often messages came back, by position; those that never did are not in it.
    returns: HashMap<u64, u64>,
    pub no_local: NoLocal,
    /// Connections with a `basic.get` that waits for a body.
    pub readers: Vec<Arc<Outbox>>,
}

impl Extras {
    /// A message that was handed out is back; says how often by now.
    pub fn came_back(&mut self, seq: u64) -> u64 {
        let count = self.returns.entry(seq).or_default();
        *count += 1;
        *count
    }

    pub fn set_returns(&mut self, seq: u64, count: u64) {
        self.returns.insert(seq, count);
    }

    /// By position, of all messages that ever came back.
    pub fn all_returns(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.returns.iter().map(|(&seq, &count)| (seq, count))
    }

    pub fn returns(&self, seq: u64) -> u64 {
        self.returns.get(&seq).copied().unwrap_or(0)
    }

    /// A `basic.get` waits for a body.
    pub fn wait_for_body(&mut self, reader: &Arc<Outbox>) {
        if !self.readers.iter().any(|known| Arc::ptr_eq(known, reader)) {
            self.readers.push(reader.clone());
        }
    }

    /// The message has left the queue.
    pub fn settled(&mut self, seq: u64) {
        self.returns.remove(&seq);
        self.no_local.settled(seq);
    }
}

impl QueueState {
    /// A message that was handed out is settled for good.
    #[inline]
    pub(super) fn settled(&mut self, seq: u64) {
        self.backlog.settled(seq);
        if let Some(extras) = &mut self.extras {
            extras.settled(seq);
        }
    }

    /// When the queue goes if nobody uses it until then, in milliseconds since the epoch.
    pub(super) fn expires_at_ms(&self) -> Option<u64> {
        let expires_ms = self.limits.expires_ms?;
        let used_at_ms = self.extras.as_ref()?.used_at_ms;
        (self.consumers.is_empty() && used_at_ms > 0).then(|| used_at_ms.saturating_add(expires_ms))
    }

    /// Dead letters that no queue has taken yet.
    #[inline]
    pub(super) fn unburied(&self) -> Tally {
        self.extras.as_ref().map_or(Tally::default(), |extras| extras.unburied.tally())
    }

    /// Bodies were read, or cannot be: who waits for one asks again.
    pub(super) fn wake_readers(&mut self) {
        if let Some(extras) = &mut self.extras {
            extras.readers.drain(..).for_each(|reader| reader.wake());
        }
    }

    pub(super) fn take_dying(&mut self) -> Vec<Dead> {
        match &mut self.extras {
            None => Vec::new(),
            Some(extras) => std::mem::take(&mut extras.dying),
        }
    }
}
