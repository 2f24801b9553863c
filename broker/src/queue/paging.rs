//! Bodies leave memory and come back from disk.

use std::sync::Arc;

use crate::message::Message;
use crate::outbox::Wakes;
use crate::store::StoreError;

use super::{Queue, QueueState};

/// Bodies next in line that a queue keeps when memory is short.
const PAGE_OUT_KEEP_BYTES: u64 = 256 << 10;
/// Messages looked at under one hold of the lock.
const PAGE_OUT_COUNT: usize = 16 << 10;

impl Queue {
    pub(super) fn start_loading(self: &Arc<Self>, state: &mut QueueState) {
        if state.loading || state.read_failed {
            return;
        }
        state.loading = true;
        self.environment.pager.load(self.clone());
    }

    /// Called by the pager's thread: reads the next bodies and delivers them.
    pub(crate) fn load_next_bodies(self: &Arc<Self>, count_max: usize, bytes_max: u64) {
        let seqs = self.state.lock().next_on_disk(count_max, bytes_max);
        self.bodies_read(&seqs, self.store().read(self.spec.id, &seqs));
    }

    pub(super) fn bodies_read(self: &Arc<Self>, seqs: &[u64], read: Result<Vec<(u64, Message)>, StoreError>) {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        state.loading = false;
        match read {
            Ok(bodies) => {
                for (seq, message) in bodies {
                    state.backlog.fill(seq, message);
                }
                // One that was purged or has expired meanwhile is not missed.
                if seqs.iter().any(|&seq| state.backlog.is_only_on_disk(seq)) {
                    self.read_failed(&mut state, "its record is not in the store");
                }
                self.drain(&mut state, &mut wakes);
            }
            Err(error) => self.read_failed(&mut state, &error.to_string()),
        }
        state.wake_readers();
    }

    /// Lets go of the bodies that the store has, but for those next in line.
    pub fn page_out(&self) {
        let mut from = Some(0);
        while let Some(seq) = from {
            // The lock is let go of in between.
            from = self.state.lock().backlog.page_out_all(seq, PAGE_OUT_KEEP_BYTES, PAGE_OUT_COUNT);
        }
    }

    fn read_failed(&self, state: &mut QueueState, why: &str) {
        state.read_failed = true;
        tracing::error!(
            queue = self.name(),
            vhost = &*self.spec.vhost,
            "cannot read a stored message: {why}; the queue delivers no more until it is purged or the broker \
             is restarted. Run `broker store check` on the data folder"
        );
    }
}
