//! Applies the log's records in order to an index, and gives the queues' contents at the end.

use std::collections::HashMap;
use std::sync::Arc;

use super::index::Index;
use super::record::{self, AckRun, Entries, Location, Record};
use super::recovery::{RecoveredEntry, RecoveredQueue};
use super::segment::Segment;
use super::slab::Slot;
use super::{Entry, EntryMeta, QueueId};

/// A run of acks longer than this is not walked one by one.
const LONG_RUN: u32 = 1 << 16;

#[derive(Default)]
pub struct Replay {
    index: Index,
    /// By slot: what only the queues need, so it is not kept afterwards.
    body_lens: Vec<u32>,
    metas: HashMap<(QueueId, u64), EntryMeta>,
    next_seqs: hashbrown::HashMap<QueueId, u64>,
    /// Per segment, the message records by offset: what ref records point to.
    placed: Vec<Vec<(u32, Slot)>>,
}

type Finished = (Index, HashMap<QueueId, RecoveredQueue>, u64);

impl Replay {
    pub fn push_segment(&mut self, segment: Arc<Segment>, file_bytes: u32) {
        self.index.push_segment(segment, file_bytes, record::SEGMENT_HEADER_BYTES as u32);
        self.placed.push(Vec::new());
    }

    /// Keeps the ids without gaps; its file is never read because nothing is alive in it.
    pub fn push_missing_segment(&mut self, segment: Segment) {
        self.push_segment(Arc::new(segment), 0);
    }

    /// Alive so far.
    pub fn messages(&self) -> u64 {
        self.index.messages()
    }

    pub fn set_end(&mut self, end: Location) {
        if let Some(state) = self.index.segment_mut(end.segment) {
            state.end = end.offset;
        }
    }

    pub fn set_file_bytes(&mut self, end: Location) {
        self.index.set_file_bytes(end.segment, end.offset);
    }

    /// The verified records of a batch that begins at `place`.
    pub fn batch(&mut self, records: &[u8], place: Location) {
        let mut at = 0;
        let first = place.offset + record::BATCH_HEADER_BYTES as u32;
        while at < records.len() {
            let Ok((_, size)) = record::decode_verified(&records[at..]) else { return };
            self.record(&records[at..at + size], Location::new(place.segment, first + at as u32));
            at += size;
        }
    }

    /// One verified record.
    pub fn record(&mut self, bytes: &[u8], location: Location) {
        match record::decode_verified(bytes) {
            Ok((Record::Message(message), size)) => {
                let slot = self.index.insert_message(location, size as u32);
                if self.body_lens.len() <= slot as usize {
                    self.body_lens.resize(slot as usize + 1, 0);
                }
                self.body_lens[slot as usize] = message.body_len();
                self.each(message.entries, |index, entry| index.add_entry(entry.queue, entry.seq, slot));
                self.index.drop_unheld(slot);
                if let Some(placed) = self.placed.last_mut() {
                    placed.push((location.offset, slot));
                }
            }
            // Without its target the message was gone when compaction removed that: nothing to do.
            Ok((Record::Ref { target, entries }, _)) => {
                if let Some(slot) = self.find(target) {
                    self.each(entries, |index, entry| index.add_ref_entry(entry, slot));
                }
            }
            Ok((Record::Acks(runs), _)) => {
                runs.iter().for_each(|run| self.acked(run));
            }
            Ok((Record::Purge { queue, up_to }, _)) => {
                self.index.purge(queue, up_to);
                self.metas.retain(|&(q, seq), _| q != queue || seq > up_to);
            }
            Ok((Record::Batch(_) | Record::Segment(_), _)) | Err(_) => {}
        }
    }

    fn acked(&mut self, run: AckRun) {
        let last = run.first.saturating_add(u64::from(run.count).saturating_sub(1));
        let range = run.first..=last;
        if run.count > LONG_RUN {
            // It may name billions that are not there: go by what is.
            let mut there = Vec::new();
            self.index.each_entry(run.queue, |seq, _| there.extend(range.contains(&seq).then_some(seq)));
            for seq in there {
                self.index.ack(run.queue, seq);
            }
            self.metas.retain(|&(queue, seq), _| queue != run.queue || !range.contains(&seq));
        } else {
            for seq in range.take(run.count as usize) {
                self.index.ack(run.queue, seq);
                self.forget_meta(run.queue, seq);
            }
        }
        self.saw(run.queue, last);
    }

    fn each(&mut self, entries: Entries<'_>, mut add: impl FnMut(&mut Index, Entry)) {
        for entry in entries.iter() {
            add(&mut self.index, entry);
            self.saw(entry.queue, entry.seq);
            if entry.meta != EntryMeta::default() {
                self.metas.insert((entry.queue, entry.seq), entry.meta);
            } else {
                self.forget_meta(entry.queue, entry.seq);
            }
        }
    }

    fn forget_meta(&mut self, queue: QueueId, seq: u64) {
        if !self.metas.is_empty() {
            self.metas.remove(&(queue, seq));
        }
    }

    fn saw(&mut self, queue: QueueId, seq: u64) {
        let next = self.next_seqs.entry(queue).or_default();
        *next = (*next).max(seq.saturating_add(1));
    }

    fn find(&self, target: Location) -> Option<Slot> {
        let first = self.index.segments().front()?.segment.id;
        let placed = self.placed.get(target.segment.checked_sub(first)? as usize)?;
        let at = placed.binary_search_by_key(&target.offset, |&(offset, _)| offset).ok()?;
        let slot = placed[at].1;
        self.index.stored_at(slot, target.to_u64()).then_some(slot)
    }

    /// Drops the queues that nobody knows. Only now: a message may have come into the log through one of
    /// them and be held by others.
    pub fn finish(
        mut self,
        known: &dyn Fn(QueueId) -> bool,
        redelivered: &dyn Fn(QueueId, u64) -> bool,
    ) -> Finished {
        // Memory for what follows.
        self.placed = Vec::new();
        let mut unknown = 0;
        let mut queues = HashMap::new();
        for (&queue, &next_seq) in &self.next_seqs {
            if !known(queue) {
                unknown += self.index.purge(queue, u64::MAX);
                continue;
            }
            let mut entries = Vec::with_capacity(self.index.queue_len(queue));
            self.index.each_entry(queue, |seq, slot| {
                entries.push(RecoveredEntry {
                    seq,
                    body_len: self.body_lens[slot as usize],
                    redelivered: redelivered(queue, seq),
                    meta: self.metas.get(&(queue, seq)).copied().unwrap_or_default(),
                });
            });
            queues.insert(queue, RecoveredQueue { next_seq, entries });
        }
        (self.index, queues, unknown)
    }
}
