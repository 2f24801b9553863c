//! Keeps the log at most about twice as large as what is alive in it, by emptying the oldest segment.
//!
//! Live messages of the oldest segment are copied to the newest segment's end a slice per round, so that no
//! round waits long; large rounds get large slices, over several segments if need be. When the copies are synced
//! the segment goes. Segments with nothing alive go at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::StoreFailure;
use super::commit::Committer;
use super::fs::{FsFile, read_full};
use super::index::Index;
use super::record::{self, Location, MessageRecord, Record, SEGMENT_HEADER_BYTES};
use super::scan::{next_batch_header, skip_bad_record};
use super::segment::{Segment, aside_path};

/// Compaction begins when full segments take more than this many times (in quarters) what is alive. Less
/// than the promised 2, so that it is done before the promise is at stake.
const LIVE_FACTOR_QUARTERS: u64 = 7;
/// Bytes looked through per byte written in the same round. Enough to win against any load: on average 3 of 7 are
/// not alive any more, and the others are copied.
const PACE: usize = 4;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// The oldest segment while it is being emptied.
pub struct Cleaning {
    segment: Arc<Segment>,
    file: Arc<dyn FsFile>,
    /// Where to go on reading, and where to stop.
    next: u32,
    end: u32,
    buffer: Vec<u8>,
    /// No space for the copies: nothing to do before that changes.
    stuck: bool,
}

impl Cleaning {
    fn is_done(&self) -> bool {
        self.next >= self.end
    }
}

impl Committer {
    /// One slice. Says whether it did something.
    pub(super) fn compact(&mut self, index: &mut MutexGuard<'_, Index>) -> Result<bool, StoreFailure> {
        let mut worked = self.remove_dead(index)?;
        let round_bytes = self.round_bytes + self.batch.len();
        let mut budget = self.options.compaction_slice_bytes.max(PACE * round_bytes);
        while budget > 0 {
            if self.cleaning.is_none() {
                self.begin_cleaning(index)?;
            }
            let Some(mut cleaning) = self.cleaning.take() else { break };
            let before = cleaning.next;
            self.clean_slice(index, &mut cleaning, budget.min(READ_BYTES))?;
            let advanced = (cleaning.next - before) as usize;
            worked |= advanced > 0;
            budget = budget.saturating_sub(advanced);
            if cleaning.is_done() {
                // Only with its copies synced may the segment go.
                self.needs_sync = true;
                self.cleaned.push(cleaning.segment);
            } else {
                self.cleaning = Some(cleaning);
                if advanced == 0 {
                    break;
                }
            }
        }
        Ok(worked)
    }

    /// Removes the segments whose copies were synced. Says whether there was one.
    pub(super) fn finish_cleaning(&mut self) -> Result<bool, StoreFailure> {
        if self.cleaned.is_empty() {
            return Ok(false);
        }
        let shared = self.shared.clone();
        let mut index = shared.index.lock();
        for cleaned in std::mem::take(&mut self.cleaned) {
            let oldest = index.segments().front().filter(|oldest| oldest.segment.id == cleaned.id);
            let left = oldest.map_or(0, |oldest| oldest.live_messages);
            if left > 0 {
                tracing::error!(
                    "{left} messages in {} cannot be read any more: the disk lost them. The file is kept as {} (see \
                     `broker store dump`)",
                    cleaned.path.display(),
                    aside_path(&cleaned.path).display()
                );
                if let Some(oldest) = index.forget_oldest() {
                    self.supply.set_aside(oldest.segment);
                }
            }
            // A file that somebody holds is not used again.
            drop(cleaned);
            self.remove_dead(&mut index)?;
        }
        Ok(true)
    }

    /// Removes the oldest segments while nothing in them is alive.
    fn remove_dead(&mut self, index: &mut MutexGuard<'_, Index>) -> Result<bool, StoreFailure> {
        let mut removed = false;
        while index.segments().len() > 1 && index.segments()[0].live_messages == 0 {
            let id = index.segments()[0].segment.id;
            self.cleaning.take_if(|cleaning| cleaning.segment.id == id);
            let Some(dead) = index.pop_segment() else { break };
            let next_id = self.next_id()?;
            self.supply.retire(dead.segment, dead.file_bytes, next_id);
            removed = true;
        }
        Ok(removed)
    }

    fn begin_cleaning(&mut self, index: &Index) -> Result<(), StoreFailure> {
        let cleaned = self.cleaned.len();
        let (Some(oldest), Some(active)) = (index.segments().get(cleaned), index.segments().back()) else {
            return Ok(());
        };
        let going_bytes: u64 = index.segments().range(..cleaned).map(|s| u64::from(s.file_bytes)).sum();
        let full_bytes = index.file_bytes() - going_bytes - u64::from(active.file_bytes);
        let worthwhile = full_bytes > 0 && full_bytes * 4 > index.live_bytes() * LIVE_FACTOR_QUARTERS;
        let is_active = self.active.as_ref().is_some_and(|active| active.segment.id == oldest.segment.id);
        if is_active || (!worthwhile && oldest.segment.id > self.clean_through) {
            return Ok(());
        }
        let file =
            oldest.segment.file().map_err(|e| StoreFailure::io("opening", &oldest.segment.path, &e))?;
        file.will_be_read_in_order();
        self.cleaning = Some(Cleaning {
            segment: oldest.segment.clone(),
            file,
            next: SEGMENT_HEADER_BYTES as u32,
            end: oldest.end,
            buffer: Vec::new(),
            stuck: false,
        });
        Ok(())
    }

    fn clean_slice(
        &mut self,
        index: &mut MutexGuard<'_, Index>,
        cleaning: &mut Cleaning,
        budget: usize,
    ) -> Result<(), StoreFailure> {
        // There may be space by now, and the record may be larger than a slice.
        cleaning.stuck = false;
        let mut want = budget;
        loop {
            let left = (cleaning.end - cleaning.next) as usize;
            cleaning.buffer.resize(want.min(left), 0);
            let Cleaning { segment, file, next, buffer, .. } = cleaning;
            let got = MutexGuard::unlocked(index, || read_full(&**file, buffer, u64::from(*next)))
                .map_err(|e| StoreFailure::io("reading", &segment.path, &e))?;
            cleaning.buffer.truncate(got);
            let buffer = std::mem::take(&mut cleaning.buffer);
            let used = self.clean_records(index, cleaning, &buffer);
            cleaning.buffer = buffer;
            let used = used?;
            cleaning.next += used as u32;
            if used > 0 || cleaning.stuck || cleaning.is_done() {
                break;
            }
            if got >= left {
                // What is here is no record, whatever length it claims.
                cleaning.next = match next_batch_header(&cleaning.buffer, 8, cleaning.segment.seed) {
                    Some((at, _)) => cleaning.next + at as u32,
                    None => cleaning.end,
                };
                break;
            }
            // One record larger than the slice.
            want = want.max(record::claimed_size(&cleaning.buffer).unwrap_or(0)).max(want * 2);
        }
        cleaning.buffer.clear();
        cleaning.buffer.shrink_to(2 * budget);
        Ok(())
    }

    /// Copies what is alive among the records in `bytes`; how many bytes are done with.
    fn clean_records(
        &mut self,
        index: &mut MutexGuard<'_, Index>,
        cleaning: &mut Cleaning,
        bytes: &[u8],
    ) -> Result<usize, StoreFailure> {
        let (id, seed) = (cleaning.segment.id, cleaning.segment.seed);
        let mut at = 0;
        while at < bytes.len() {
            match record::decode(&bytes[at..], seed) {
                Ok((Record::Message(message), size)) => {
                    let location = Location::new(id, cleaning.next + at as u32);
                    cleaning.stuck = !self.copy(index, location, message)?;
                    if cleaning.stuck {
                        return Ok(at);
                    }
                    at += size;
                }
                Ok((_, size)) => at += size,
                Err(record::Invalid::Short) => return Ok(at),
                Err(_) => match skip_bad_record(bytes, at, seed) {
                    Some(next) => at = next,
                    None => return Ok(bytes.len() & !7),
                },
            }
        }
        Ok(at)
    }

    /// Copies the message if anything still holds it. False when there is no space.
    fn copy(
        &mut self,
        index: &mut MutexGuard<'_, Index>,
        location: Location,
        message: MessageRecord<'_>,
    ) -> Result<bool, StoreFailure> {
        self.entries.clear();
        let Some(slot) = index.live_at(location, message.entries.iter(), &mut self.entries) else {
            return Ok(true);
        };
        let size = record::message_size(&self.entries, message.block.len());
        if !self.make_room(index, size, false)? {
            return Ok(false);
        }
        let lens = (message.exchange_len, message.routing_key_len, message.properties_len);
        let (to, len) = self.batch.message(&self.entries, (message.block, lens.0, lens.1, lens.2));
        index.moved(slot, to, len);
        self.needs_sync = true;
        self.shared.counters.compaction_bytes.fetch_add(u64::from(len), Ordering::Relaxed);
        Ok(true)
    }
}

impl std::fmt::Debug for Cleaning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Cleaning { segment, next, end, stuck, .. } = self;
        write!(f, "segment {} at {next} of {end}, stuck {stuck}", segment.id)
    }
}
