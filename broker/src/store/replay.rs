//! Applies the log's records in order to an index; at the end it knows what the queues hold.

use std::collections::HashMap;
use std::sync::Arc;

use super::clean::CleanShutdown;
use super::index::Index;
use super::record::{self, AckRun, Entries, Location, Record};
use super::recovery::RecoveredEntry;
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
            let Ok((record, size)) = record::decode_verified(&records[at..]) else { return };
            self.apply(record, size, Location::new(place.segment, first + at as u32));
            at += size;
        }
    }

    /// One verified record.
    pub fn record(&mut self, bytes: &[u8], location: Location) {
        if let Ok((record, size)) = record::decode_verified(bytes) {
            self.apply(record, size, location);
        }
    }

    /// `size` counts the padding.
    fn apply(&mut self, record: Record<'_>, size: usize, location: Location) {
        match record {
            Record::Message(message) => {
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
            Record::Ref { target, entries } => {
                if let Some(slot) = self.find(target) {
                    self.each(entries, |index, entry| index.add_ref_entry(entry, slot));
                }
            }
            Record::Acks(runs) => runs.iter().for_each(|run| self.acked(run)),
            Record::Purge { queue, up_to } => {
                self.index.purge(queue, up_to);
                self.metas.retain(|&(q, seq), _| q != queue || seq > up_to);
            }
            Record::Batch(_) | Record::Segment(_) => {}
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
    pub fn finish(mut self, known: &dyn Fn(QueueId) -> bool) -> Replayed {
        let mut entries_of_unknown_queues = 0;
        let mut next_seqs = HashMap::new();
        for (&queue, &next_seq) in &self.next_seqs {
            if known(queue) {
                next_seqs.insert(queue, next_seq);
            } else {
                entries_of_unknown_queues += self.index.purge(queue, u64::MAX);
            }
        }
        let details = Details { body_lens: self.body_lens, metas: self.metas, note: None };
        Replayed { index: self.index, next_seqs, details, entries_of_unknown_queues }
    }
}

/// What the log's records came to.
pub struct Replayed {
    pub index: Index,
    /// Of the known queues.
    pub next_seqs: HashMap<QueueId, u64>,
    pub details: Details,
    pub entries_of_unknown_queues: u64,
}

/// What the queues need to know of their entries beside the index.
pub struct Details {
    body_lens: Vec<u32>,
    metas: HashMap<(QueueId, u64), EntryMeta>,
    /// Of a clean shutdown: without it every entry may have been delivered.
    pub note: Option<CleanShutdown>,
}

impl Details {
    /// The queue's entries in order. One by one: all at once would take several times the memory of the index.
    pub fn each_entry(&self, index: &Index, queue: QueueId, mut visit: impl FnMut(RecoveredEntry)) {
        index.each_entry(queue, |seq, slot| {
            let meta = match self.metas.is_empty() {
                true => EntryMeta::default(),
                false => self.metas.get(&(queue, seq)).copied().unwrap_or_default(),
            };
            visit(RecoveredEntry {
                seq,
                body_len: self.body_lens[slot as usize],
                redelivered: self.note.as_ref().is_none_or(|note| note.was_delivered(queue, seq)),
                meta,
            });
        });
    }
}
