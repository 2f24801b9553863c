//! Applies the log's records in order to an index; at the end it knows what the queues hold.

use std::collections::HashMap;
use std::sync::Arc;

use super::clean::CleanShutdown;
use super::index::Index;
use super::record::{self, AckRun, Location, Record};
use super::recovery::RecoveredEntry;
use super::scan::Noted;
use super::segment::Segment;
use super::slab::Slot;
use super::{Entry, EntryMeta, QueueId};

/// A run of acks longer than this is not walked one by one.
const LONG_RUN: u32 = 1 << 16;

#[derive(Default)]
pub struct Replay {
    index: Index,
    body_lens: BodyLens,
    metas: HashMap<(QueueId, u64), EntryMeta>,
    next_seqs: hashbrown::HashMap<QueueId, u64>,
    /// The queue that was seen last, and what is to be in `next_seqs` for it: messages of one queue often come together.
    last_seen: Option<(QueueId, u64)>,
    /// Per segment, the message records by offset: what ref records point to.
    placed: Vec<Vec<(u32, Slot)>>,
}

impl Replay {
    pub fn push_segment(&mut self, segment: Arc<Segment>, file_bytes: u32) {
        self.index.push_segment(segment, file_bytes, record::SEGMENT_HEADER_BYTES as u32);
        // As many as in the one before, so that it need not grow.
        self.placed.push(Vec::with_capacity(self.placed.last().map_or(0, Vec::len)));
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
    pub fn batch(&mut self, mut records: &[u8], place: Location, noted: &[Noted]) {
        let mut location = Location::new(place.segment, place.offset + record::BATCH_HEADER_BYTES as u32);
        for &noted in noted {
            let size = match noted {
                Noted::Message { size, body_len, queue, seq } => {
                    self.message(location, size, body_len, |replay, slot| {
                        replay.entry(Entry { queue, seq, meta: EntryMeta::default() }, slot);
                    });
                    size
                }
                Noted::Other { size } => {
                    self.record(records, location);
                    size
                }
            };
            records = &records[size as usize..];
            location.offset += size;
        }
    }

    /// The verified record that `bytes` begin with.
    pub fn record(&mut self, bytes: &[u8], location: Location) {
        if let Ok((record, size)) = record::decode_verified(bytes) {
            self.apply(record, size, location);
        }
    }

    /// `size` counts the padding.
    fn apply(&mut self, record: Record<'_>, size: usize, location: Location) {
        match record {
            Record::Message(message) => {
                self.message(location, size as u32, message.body_len(), |replay, slot| {
                    message.entries.iter().for_each(|entry| replay.entry(entry, slot));
                });
            }
            // Without its target the message was gone when compaction removed that: nothing to do.
            Record::Ref { target, entries } => {
                if let Some(slot) = self.find(target) {
                    for entry in entries.iter() {
                        self.index.add_ref_entry(entry, slot);
                        self.note_entry(entry);
                    }
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

    /// `size` counts the padding; `add` adds the entries.
    fn message(&mut self, location: Location, size: u32, body_len: u32, add: impl FnOnce(&mut Replay, Slot)) {
        let slot = self.index.insert_message(location, size);
        self.body_lens.set(slot, body_len);
        add(self, slot);
        self.index.drop_unheld(slot);
        if let Some(placed) = self.placed.last_mut() {
            placed.push((location.offset, slot));
        }
    }

    fn entry(&mut self, entry: Entry, slot: Slot) {
        self.index.add_entry(entry.queue, entry.seq, slot);
        self.note_entry(entry);
    }

    fn note_entry(&mut self, Entry { queue, seq, meta }: Entry) {
        self.saw(queue, seq);
        if meta != EntryMeta::default() {
            self.metas.insert((queue, seq), meta);
        } else {
            self.forget_meta(queue, seq);
        }
    }

    fn forget_meta(&mut self, queue: QueueId, seq: u64) {
        if !self.metas.is_empty() {
            self.metas.remove(&(queue, seq));
        }
    }

    fn saw(&mut self, queue: QueueId, seq: u64) {
        let next_seq = seq.saturating_add(1);
        match &mut self.last_seen {
            Some((last, next)) if *last == queue => *next = (*next).max(next_seq),
            _ => {
                self.note_last_seen();
                self.last_seen = Some((queue, next_seq));
            }
        }
    }

    fn note_last_seen(&mut self) {
        if let Some((queue, next_seq)) = self.last_seen.take() {
            let next = self.next_seqs.entry(queue).or_default();
            *next = (*next).max(next_seq);
        }
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
        self.note_last_seen();
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

/// The messages' bytes of body by slot: what only the queues need, so it is not kept afterwards. In pages: what grows by
/// doubling is copied again and again, to memory that is new each time.
#[derive(Default)]
struct BodyLens {
    pages: Vec<Vec<u32>>,
}

impl BodyLens {
    const PAGE: usize = 1 << 14;

    fn set(&mut self, slot: Slot, len: u32) {
        let (page, at) = (slot as usize / Self::PAGE, slot as usize % Self::PAGE);
        while self.pages.len() <= page {
            self.pages.push(vec![0; Self::PAGE]);
        }
        self.pages[page][at] = len;
    }

    fn get(&self, slot: Slot) -> u32 {
        self.pages[slot as usize / Self::PAGE][slot as usize % Self::PAGE]
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
    body_lens: BodyLens,
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
                body_len: self.body_lens.get(slot),
                redelivered: self.note.as_ref().is_none_or(|note| note.was_delivered(queue, seq)),
                meta,
            });
        });
    }
}
