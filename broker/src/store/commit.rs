//! The commit thread: one round after the other from the intake into the log.
//!
//! [`Committer::run_round`] is the whole of it; the thread only calls it in a loop, and tests and the
//! simulation call it by hand.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::batch::Batch;
use super::compaction::Cleaning;
use super::fs::FsFile;
use super::index::Index;
use super::intake::Op;
use super::key::LogKey;
use super::record::{self, ACK_RUN_BYTES, AckRun, Location, SegmentHeader};
use super::segment::{Segment, Supply};
use super::{BLOCK_BYTES_MAX, Entry, QueueId, Round, Shared, StoreError, StoreFailure, StoreOptions, clean};
use crate::message::Message;

/// Entries in one record; the rest of a larger fanout follows in ref records.
const RECORD_ENTRIES_MAX: usize = 4096;
/// Runs in one acks record.
const RECORD_ACK_RUNS_MAX: usize = 4096;
/// How often a blocked store looks whether space came back.
const BLOCKED_LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// What a round did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something: run another.
    Worked,
    /// Nothing to do until more is handed in.
    Idle,
    /// Nothing that can be done until disk space comes back.
    Blocked,
    /// The store has failed; what is handed in is thrown away.
    Failed,
}

pub(super) struct Active {
    pub segment: Arc<Segment>,
    pub file: Arc<dyn FsFile>,
    /// Where the next batch goes.
    pub end: u32,
    pub capacity: u32,
    /// For the segment header, as long as that is not written.
    pub header: Option<SegmentHeader>,
}

/// Where a committer starts: what recovery found.
pub(super) struct Start {
    pub active: Option<Active>,
    /// The newest segment's id and end.
    pub last: Location,
    pub batch_sequence: u64,
    pub key: LogKey,
    pub supply: Supply,
}

pub struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) options: StoreOptions,
    pub(super) active: Option<Active>,
    pub(super) last: Location,
    pub(super) supply: Supply,
    pub(super) batch: Batch,
    pub(super) batch_sequence: u64,
    pub(super) key: LogKey,
    pub(super) durable: Location,
    /// Files written to since the last sync, oldest first.
    pub(super) dirty: Vec<(Arc<Segment>, Arc<dyn FsFile>)>,
    /// Something in this round may only be called durable after a sync.
    pub(super) needs_sync: bool,
    /// Acks taken out of the index and not written yet.
    pub(super) acks: Vec<AckRun>,
    /// The first round with a barrier that waits for `acks` to be written.
    barrier: Option<Round>,
    pub(super) entries: Vec<Entry>,
    /// The emptied buffer of the last round.
    used: Vec<Op>,
    /// What found no space, in order, and the first round it belongs to.
    pub(super) stalled: Vec<Op>,
    pub(super) stalled_since: Round,
    latest: Round,
    pub(super) synced: Round,
    pub(super) cleaning: Option<Cleaning>,
    /// The oldest segments, emptied in this round: they go when it is synced.
    pub(super) cleaned: Vec<Arc<Segment>>,
    /// Segments up to this one shall be emptied whatever they hold.
    pub(super) clean_through: u32,
    pub(super) round_bytes: usize,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, options: StoreOptions, start: Start) -> Committer {
        Committer {
            shared,
            options,
            active: start.active,
            last: start.last,
            supply: start.supply,
            batch: Batch::default(),
            batch_sequence: start.batch_sequence,
            key: start.key,
            durable: start.last,
            dirty: Vec::new(),
            needs_sync: false,
            acks: Vec::new(),
            barrier: None,
            entries: Vec::new(),
            used: Vec::new(),
            stalled: Vec::new(),
            stalled_since: 0,
            latest: 0,
            synced: 0,
            cleaning: None,
            cleaned: Vec::new(),
            clean_through: 0,
            round_bytes: 0,
        }
    }

    /// Runs rounds until the intake is stopped and empty.
    pub(super) fn run(&mut self) {
        loop {
            let wait = match self.run_round() {
                // Compaction can go on another day.
                Progress::Worked if self.shared.intake.is_finished() => return,
                Progress::Worked => continue,
                Progress::Idle | Progress::Failed => None,
                Progress::Blocked => Some(BLOCKED_LOOK_INTERVAL),
            };
            if !self.shared.intake.sleep(wait) {
                return;
            }
        }
    }

    /// Takes the next round through to disk, or a slice of compaction if there is none.
    pub fn run_round(&mut self) -> Progress {
        if self.shared.intake.has_failed() {
            // Nobody will be told that these are durable; only their memory is given back.
            self.used = self.shared.intake.take(std::mem::take(&mut self.used)).map_or(Vec::new(), |t| t.ops);
            self.stalled = Vec::new();
            return Progress::Failed;
        }
        match self.try_round() {
            Ok(progress) => progress,
            Err(failure) => {
                self.fail(failure);
                Progress::Failed
            }
        }
    }

    /// The last round that a successful sync covers. Behind [`super::Store::durable_round`] by rounds that
    /// hold acks alone.
    pub fn synced_round(&self) -> Round {
        self.synced
    }

    /// Lets compaction empty every segment up to this one.
    pub fn clean_through(&mut self, segment: u32) {
        self.clean_through = segment;
        // A segment that is being written on cannot be emptied.
        self.active.take_if(|active| active.segment.id <= segment);
    }

    pub fn oldest_segment(&self) -> u32 {
        self.shared.index.lock().segments().front().map_or(u32::MAX, |oldest| oldest.segment.id)
    }

    /// Does one pending file job of a store without threads. Says whether there was one.
    pub fn run_file_job(&mut self) -> bool {
        self.supply.step()
    }

    fn try_round(&mut self) -> Result<Progress, StoreFailure> {
        self.supply.poll().map_err(|e| self.failure("preparing a segment in", &e))?;
        self.round_bytes = 0;
        let taken = self.shared.intake.take(std::mem::take(&mut self.used));
        let shared = self.shared.clone();
        let mut index = shared.index.lock();
        let retried = self.retry_stalled(&mut index)?;
        let had_round = taken.is_some();
        if let Some(taken) = taken {
            self.latest = taken.round;
            self.process(&mut index, taken.round, &taken.ops)?;
            self.used = taken.ops;
        }
        self.write_acks(&mut index)?;
        let compacted = self.compact(&mut index)?;
        self.flush(&mut index)?;
        drop(index);
        // Here, outside the lock, messages that nobody else holds are freed.
        self.used.clear();
        if self.needs_sync {
            self.sync()?;
        }
        let finished = self.finish_cleaning()?;
        self.publish();
        self.look_after_space();
        if had_round {
            shared.counters.rounds.fetch_add(1, Ordering::Relaxed);
        }
        Ok(match had_round || retried || compacted || finished {
            true => Progress::Worked,
            false if *shared.blocked.borrow() => Progress::Blocked,
            false => Progress::Idle,
        })
    }

    pub(super) fn process(
        &mut self,
        index: &mut MutexGuard<'_, Index>,
        round: Round,
        ops: &[Op],
    ) -> Result<(), StoreFailure> {
        let mut at = 0;
        while let Some(op) = ops.get(at) {
            match op {
                Op::Enqueue { message, .. } => {
                    let end = self.gather(ops, at, message);
                    if !self.enqueue(index, message)? {
                        self.stall(round, &ops[at..end]);
                    }
                    at = end;
                    continue;
                }
                Op::Ack { queue, seq } => {
                    if index.ack(*queue, *seq) {
                        self.push_ack(*queue, *seq);
                    } else if !self.stalled.is_empty() {
                        // Its entry may be among those that wait for space.
                        self.stall(round, &ops[at..at + 1]);
                    }
                }
                Op::Purge { queue, up_to } => {
                    index.purge(*queue, *up_to);
                    if !self.write_purge(index, *queue, *up_to)? || !self.stalled.is_empty() {
                        self.stall(round, &ops[at..at + 1]);
                    }
                }
                Op::DeleteQueue { queue } => {
                    index.purge(*queue, u64::MAX);
                    if !self.stalled.is_empty() {
                        self.stall(round, &ops[at..at + 1]);
                    }
                }
                Op::Barrier => {
                    // One that had waited for space is older than one that has come since.
                    self.barrier = Some(self.barrier.map_or(round, |first| first.min(round)));
                    if !self.stalled.is_empty() {
                        self.stall(round, &ops[at..at + 1]);
                    }
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// Collects the entries of consecutive enqueues of one message; where they end.
    fn gather(&mut self, ops: &[Op], start: usize, message: &Message) -> usize {
        self.entries.clear();
        let same = ops[start..].iter().take(RECORD_ENTRIES_MAX).map_while(|op| match op {
            Op::Enqueue { entry, message: other } if other.is(message) => Some(*entry),
            _ => None,
        });
        self.entries.extend(same);
        start + self.entries.len()
    }

    /// Writes the message, or a reference to it, for the gathered entries. False when there is no space.
    fn enqueue(
        &mut self,
        index: &mut MutexGuard<'_, Index>,
        message: &Message,
    ) -> Result<bool, StoreFailure> {
        // Every enqueue so far was counted before it was handed in, so zero means that all of them were
        // acked since: the acks come behind and find nothing.
        if message.disk.refs.load(Ordering::Acquire) == 0 {
            self.shared.counters.elided.fetch_add(1, Ordering::Relaxed);
            return Ok(true);
        }
        let (id, slot) = (message.disk.id.load(Ordering::Relaxed), message.disk.slot.load(Ordering::Relaxed));
        if id != 0 && index.stored_at(slot, id) {
            if !self.make_room(index, record::ref_size(&self.entries), true)? {
                return Ok(false);
            }
            let target = Location::new((id >> 32) as u32, id as u32);
            self.batch.reference(target, &self.entries);
            for entry in &self.entries {
                index.add_ref_entry(*entry, slot);
            }
        } else {
            let block = message.block();
            if block.0.len() > BLOCK_BYTES_MAX {
                return Err(too_large(block.0.len()));
            }
            if !self.make_room(index, record::message_size(&self.entries, block.0.len()), true)? {
                return Ok(false);
            }
            let (location, len) = self.batch.message(&self.entries, block);
            let slot = index.insert_message(location, len);
            for entry in &self.entries {
                index.add_entry(entry.queue, entry.seq, slot);
            }
            message.disk.slot.store(slot, Ordering::Relaxed);
            message.disk.id.store(location.to_u64(), Ordering::Release);
        }
        self.needs_sync = true;
        Ok(true)
    }

    fn write_purge(
        &mut self,
        index: &mut MutexGuard<'_, Index>,
        queue: QueueId,
        up_to: u64,
    ) -> Result<bool, StoreFailure> {
        if !self.make_room(index, record::purge_size(), false)? {
            return Ok(false);
        }
        self.batch.purge(queue, up_to);
        self.needs_sync = true;
        Ok(true)
    }

    fn push_ack(&mut self, queue: QueueId, seq: u64) {
        if let Some(last) = self.acks.last_mut()
            && last.queue == queue
            && last.first + u64::from(last.count) == seq
            && last.count < u32::MAX
        {
            last.count += 1;
            return;
        }
        self.acks.push(AckRun { queue, first: seq, count: 1 });
    }

    /// Writes the acks taken so far. They come last in the round: an ack may lie anywhere behind its entry.
    fn write_acks(&mut self, index: &mut MutexGuard<'_, Index>) -> Result<(), StoreFailure> {
        let mut written = 0;
        while written < self.acks.len() {
            let count = (self.acks.len() - written).min(RECORD_ACK_RUNS_MAX);
            if !self.make_room(index, record::acks_size(count), false)? {
                break;
            }
            self.batch.acks(&self.acks[written..written + count]);
            written += count;
        }
        // Those without space stay; until they are written a crash would only deliver them again.
        self.acks.drain(..written);
        self.needs_sync |= self.barrier.is_some();
        if self.acks.is_empty() {
            self.barrier = None;
            self.acks.shrink_to(self.options.commit_bytes_max / ACK_RUN_BYTES);
        }
        Ok(())
    }

    /// The last round without anything that waits for space.
    pub(super) fn settled(&self) -> Round {
        let stalled = (!self.stalled.is_empty()).then_some(self.stalled_since);
        let waiting = [stalled, self.barrier].into_iter().flatten().min();
        waiting.map_or(self.latest, |first| first - 1)
    }

    fn publish(&mut self) {
        self.shared.intake.advance(self.settled());
    }

    pub(super) fn failure(&self, what: &str, error: &io::Error) -> StoreFailure {
        StoreFailure::io(what, &self.shared.dir, error)
    }

    fn fail(&mut self, failure: StoreFailure) {
        tracing::error!("{failure}");
        self.batch.clear();
        self.shared.intake.fail(failure);
        // With the lock, or a reader could look and then miss this before it waits.
        let _index = self.shared.index.lock();
        self.shared.written.notify_all();
    }

    /// Syncs what is written and notes the clean shutdown.
    pub fn close(mut self, delivered: impl Iterator<Item = (QueueId, u64)>) -> Result<(), StoreError> {
        self.shared.intake.stop();
        while !self.shared.intake.is_finished() {
            self.run_round();
        }
        // Once more for what may have found space by now.
        self.run_round();
        if let Some(failure) = self.shared.intake.failure() {
            return Err(failure.into());
        }
        let result = self.finish(delivered);
        self.shared
            .intake
            .fail(StoreFailure { reason: "it was closed".into(), advice: "Nothing needs to be done." });
        result
    }

    fn finish(&mut self, delivered: impl Iterator<Item = (QueueId, u64)>) -> Result<(), StoreError> {
        self.sync()?;
        if !self.stalled.is_empty() || !self.acks.is_empty() {
            return Err(StoreError::NoSpaceToClose { dir: self.shared.dir.clone() });
        }
        clean::write(&*self.shared.fs, &self.shared.dir, self.last, delivered)
    }
}

fn too_large(bytes: usize) -> StoreFailure {
    StoreFailure {
        reason: format!("a message of {bytes} bytes exceeds the store's limit of {BLOCK_BYTES_MAX}"),
        advice: "Lower the broker's message size limit.",
    }
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer")
            .field("last", &self.last)
            .field("active", &self.active.as_ref().map(|a| (a.segment.id, a.end, a.capacity)))
            .field("durable", &self.durable)
            .field("stalled", &self.stalled.len())
            .field("unwritten_acks", &self.acks.len())
            .field("shortage", &self.supply.shortage())
            .field("next_ready", &self.supply.is_ready())
            .field("cleaning", &self.cleaning)
            .finish_non_exhaustive()
    }
}
