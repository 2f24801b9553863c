//! What happens when the disk is nearly full: publishes wait, acks and copies use the reserve, publishers are held.

use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::commit::{Active, Committer};
use super::index::Index;
use super::intake::Op;
use super::{Round, StoreFailure};

/// Where the part of a segment begins that new messages may use only once the next segment is there.
fn reserve_at(active: &Active) -> usize {
    active.capacity as usize / 2
}

impl Committer {
    /// Without a next segment the rest of this one is for acks and copies: they are what makes space again.
    pub(super) fn must_keep_reserve(&self) -> bool {
        self.active.is_some() && !self.supply.is_ready() && self.supply.shortage().is_some()
    }

    /// Whether a new message's record of `bytes` leaves the reserve alone, or may use it because the next segment is
    /// there. Not a matter of how fast files are made: without that reserve a full disk could stay full for ever.
    pub(super) fn leaves_reserve(
        &mut self,
        index: &mut MutexGuard<'_, Index>,
        bytes: usize,
    ) -> Result<bool, StoreFailure> {
        if self.must_keep_reserve() {
            return Ok(false);
        }
        let Some(active) = &self.active else { return Ok(true) };
        if self.supply.is_ready() || active.end as usize + self.batch.len() + bytes <= reserve_at(active) {
            return Ok(true);
        }
        let id = self.next_id()?;
        self.supply.request(id);
        let waited = MutexGuard::unlocked(index, || self.supply.wait());
        waited.map_err(|e| self.failure("preparing a segment in", &e))?;
        Ok(self.supply.is_ready())
    }

    pub(super) fn stall(&mut self, round: Round, ops: &[Op]) {
        if self.stalled.is_empty() {
            self.stalled_since = round;
        }
        self.stalled.extend_from_slice(ops);
    }

    /// Tries again what found no space. Says whether some of it did now.
    pub(super) fn retry_stalled(&mut self, index: &mut MutexGuard<'_, Index>) -> Result<bool, StoreFailure> {
        if self.stalled.is_empty() || self.must_keep_reserve() {
            return Ok(false);
        }
        let (ops, since) = (std::mem::take(&mut self.stalled), self.stalled_since);
        let before = ops.len();
        self.process(index, since, &ops)?;
        Ok(self.stalled.len() < before)
    }

    /// Asks for the next segment in time, and tells the broker when space runs out or returns.
    pub(super) fn look_after_space(&mut self) {
        // Half of the way to the reserve, so that nobody has to wait for it there.
        let half_way = self.active.as_ref().is_none_or(|active| active.end as usize > reserve_at(active) / 2);
        let free = self.shared.fs.free_bytes(&self.shared.dir);
        let wanted = match self.supply.shortage() {
            None => half_way,
            Some(_) => free.as_ref().is_ok_and(|&free| free >= u64::from(self.options.segment_bytes)),
        };
        if let (true, Ok(id)) = (wanted, self.next_id()) {
            self.supply.request(id);
        }
        self.shared.counters.prepared_bytes.store(self.supply.next_bytes(), Ordering::Relaxed);
        let low_mark = self.shared.disk_free_min_bytes.load(Ordering::Relaxed);
        let low = free.as_ref().is_ok_and(|&free| free < low_mark);
        let blocked = low || self.is_blocked();
        self.shared.blocked.send_if_modified(|now| {
            if *now != blocked {
                self.log_blocked(blocked, free.as_ref().ok().copied());
            }
            std::mem::replace(now, blocked) != blocked
        });
    }

    pub(super) fn is_blocked(&self) -> bool {
        !self.stalled.is_empty() || !self.acks.is_empty() || self.must_keep_reserve()
    }

    fn log_blocked(&self, blocked: bool, free: Option<u64>) {
        let dir = self.shared.dir.display();
        if !blocked {
            tracing::info!("there is disk space again in {dir}: publishers may go on");
            return;
        }
        let why = match self.supply.shortage() {
            Some(error) => format!("cannot make another log segment: {error}"),
            None => format!(
                "{} MiB free, the limit is {} MiB",
                free.unwrap_or(0) >> 20,
                self.shared.disk_free_min_bytes.load(Ordering::Relaxed) >> 20
            ),
        };
        tracing::error!("disk space is low in {dir} ({why}): publishers are held. Free some space");
    }
}
