//! The end of the log: batches go to the active segment, the next segment takes over, syncs make it durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::StoreFailure;
use super::batch::{BATCH_BYTES, SEGMENT_OVERHEAD_BYTES};
use super::commit::{Active, Committer};
use super::fs::write_full;
use super::index::Index;
use super::record::{BATCH_HEADER_BYTES, FORMAT_VERSION, Location, SegmentHeader};

/// What to do when a number cannot grow any more.
const USED_UP: &str = "Drain the queues, then start with an empty data folder.";

impl Committer {
    /// Makes the batch ready to take a record of `bytes`. False when there is no space for it.
    pub(super) fn make_room(
        &mut self,
        index: &mut MutexGuard<'_, Index>,
        bytes: usize,
        enqueue: bool,
    ) -> Result<bool, StoreFailure> {
        if enqueue && (!self.stalled.is_empty() || !self.leaves_reserve(index, bytes)?) {
            return Ok(false);
        }
        if self.batch.len() >= BATCH_BYTES {
            self.flush(index)?;
        }
        if let Some(active) = &self.active {
            let begun = if self.batch.is_empty() { BATCH_HEADER_BYTES } else { self.batch.len() };
            if active.end as usize + begun + bytes <= active.capacity as usize {
                if self.batch.is_empty() {
                    self.batch.begin(&active.segment, active.end, active.header);
                }
                return Ok(true);
            }
        }
        self.roll(index, bytes)
    }

    /// Goes on to the next segment, which shall have room for a record of `bytes`.
    fn roll(&mut self, index: &mut MutexGuard<'_, Index>, bytes: usize) -> Result<bool, StoreFailure> {
        self.flush(index)?;
        let id = self.next_id()?;
        self.supply.request(id);
        let needed = (SEGMENT_OVERHEAD_BYTES + bytes) as u32;
        let taken = MutexGuard::unlocked(index, || self.supply.take(needed));
        let Some(prepared) = taken.map_err(|e| self.failure("preparing a segment in", &e))? else {
            return Ok(false);
        };
        if let Some(full) = self.active.take() {
            self.seal(index, &full)?;
        }
        let segment = Arc::new(prepared.segment);
        let file = segment.file().map_err(|e| StoreFailure::io("opening", &segment.path, &e))?;
        index.push_segment(segment.clone(), prepared.bytes, 0);
        let header = Some(SegmentHeader {
            version: FORMAT_VERSION,
            id,
            previous_end: self.last.offset,
            key: self.key,
            recycled: prepared.recycled,
        });
        self.last = Location::new(id, 0);
        self.batch.begin(&segment, 0, header);
        self.active = Some(Active { segment, file, end: 0, capacity: prepared.bytes, header });
        Ok(true)
    }

    /// A large message that did not fit may leave much of a segment unused: that space is given back.
    fn seal(&mut self, index: &mut MutexGuard<'_, Index>, full: &Active) -> Result<(), StoreFailure> {
        if full.capacity - full.end <= full.capacity / 16 {
            return Ok(());
        }
        let cut = full.file.set_len(u64::from(full.end));
        cut.map_err(|e| StoreFailure::io("truncating", &full.segment.path, &e))?;
        index.set_file_bytes(full.segment.id, full.end);
        Ok(())
    }

    /// Writes the batch.
    pub(super) fn flush(&mut self, index: &mut MutexGuard<'_, Index>) -> Result<(), StoreFailure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let Some(active) = &mut self.active else { return Ok(()) };
        // The number behind the last one stays unused: recovery would count on from it.
        let next_sequence = self.batch_sequence.checked_add(1).ok_or_else(|| StoreFailure {
            reason: "the log has used up all its batch numbers".into(),
            advice: USED_UP,
        })?;
        self.batch.finish(std::mem::replace(&mut self.batch_sequence, next_sequence), self.durable);
        let (segment, file) = (active.segment.clone(), active.file.clone());
        let (buffer, offset) = (&self.batch.buffer, u64::from(active.end));
        MutexGuard::unlocked(index, || write_full(&*file, buffer, offset))
            .map_err(|e| StoreFailure::io("writing", &segment.path, &e))?;
        active.end += buffer.len() as u32;
        active.header = None;
        self.last = Location::new(segment.id, active.end);
        self.round_bytes += buffer.len();
        self.shared.counters.bytes_written.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.batch.clear();
        index.written = self.last;
        if let Some(state) = index.segment_mut(segment.id) {
            state.end = self.last.offset;
        }
        self.shared.written.notify_all();
        if self.dirty.last().is_none_or(|(last, _)| last.id != segment.id) {
            self.dirty.push((segment, file));
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), StoreFailure> {
        for (segment, file) in &self.dirty {
            // Never tried again: after a failed sync the pages may be gone and a second one succeed.
            file.sync_data().map_err(|e| StoreFailure::io("syncing", &segment.path, &e))?;
            self.shared.counters.syncs.fetch_add(1, Ordering::Relaxed);
        }
        self.dirty.clear();
        self.durable = self.last;
        self.needs_sync = false;
        if self.acks.is_empty() {
            self.synced = self.settled();
        }
        Ok(())
    }

    pub(super) fn next_id(&self) -> Result<u32, StoreFailure> {
        self.last.segment.checked_add(1).ok_or_else(|| StoreFailure {
            reason: "the log has used up all its segment numbers".into(),
            advice: USED_UP,
        })
    }
}
