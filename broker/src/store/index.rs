//! What the log holds right now: where each message is, which entries hold it, how much of each segment is
//! alive. Changed by the commit thread alone; readers look places up. Pure but for the file handles it keeps.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;

use super::record::Location;
use super::segment::Segment;
use super::seqs::Seqs;
use super::slab::{Slab, Slot, Stored};
use super::{Entry, QueueId};

/// Room for so many queues is kept in any case.
const QUEUES_KEPT: usize = 4096;
/// Files of the newest segments are kept open; older ones are opened when they are read.
const OPEN_SEGMENTS: u32 = 64;

#[derive(Default)]
pub struct Index {
    slab: Slab,
    /// Queues with at least one stored entry.
    queues: HashMap<QueueId, Seqs>,
    /// Oldest first, ids without gaps; the last one is written to.
    segments: VecDeque<SegmentState>,
    /// The messages marked `reffed` by location, with the entries that came by ref records: compaction must
    /// copy those too, and the message's own record does not name them.
    reffed: HashMap<Location, Reffed>,
    live_bytes: u64,
    file_bytes: u64,
    entries: u64,
    /// Everything before this place was handed to the operating system and can be read.
    pub written: Location,
}

#[derive(Default)]
struct Reffed {
    slot: Slot,
    entries: Vec<Entry>,
}

pub struct SegmentState {
    pub segment: Arc<Segment>,
    /// Bytes of the file on disk.
    pub file_bytes: u32,
    /// Where its last batch ends.
    pub end: u32,
    pub live_bytes: u64,
    pub live_messages: u32,
}

impl Index {
    pub fn messages(&self) -> u64 {
        self.slab.len() as u64
    }

    pub fn entries(&self) -> u64 {
        self.entries
    }

    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Bytes of all segment files.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    pub fn queues(&self) -> usize {
        self.queues.len()
    }

    pub fn segments(&self) -> &VecDeque<SegmentState> {
        &self.segments
    }

    pub fn segment(&self, id: u32) -> Option<&SegmentState> {
        let first = self.segments.front()?.segment.id;
        self.segments.get(id.checked_sub(first)? as usize)
    }

    pub fn segment_mut(&mut self, id: u32) -> Option<&mut SegmentState> {
        let first = self.segments.front()?.segment.id;
        self.segments.get_mut(id.checked_sub(first)? as usize)
    }

    /// The id must follow that of the last segment.
    pub fn push_segment(&mut self, segment: Arc<Segment>, file_bytes: u32, end: u32) {
        debug_assert!(self.segments.back().is_none_or(|last| last.segment.id + 1 == segment.id));
        if let Some(old) = self.segment(segment.id.wrapping_sub(OPEN_SEGMENTS)) {
            old.segment.close();
        }
        self.file_bytes += u64::from(file_bytes);
        self.segments.push_back(SegmentState { segment, file_bytes, end, live_bytes: 0, live_messages: 0 });
    }

    pub fn pop_segment(&mut self) -> Option<SegmentState> {
        let oldest = self.segments.pop_front()?;
        self.file_bytes -= u64::from(oldest.file_bytes);
        Some(oldest)
    }

    /// Drops the oldest segment with everything in it.
    pub fn forget_oldest(&mut self) -> Option<SegmentState> {
        let id = self.segments.front()?.segment.id;
        let mut lost = Vec::new();
        for (&queue, seqs) in &self.queues {
            seqs.each(|seq, slot| {
                if self.slab.get(slot).is_some_and(|stored| stored.location.segment == id) {
                    lost.push((queue, seq));
                }
            });
        }
        for (queue, seq) in lost {
            self.ack(queue, seq);
        }
        self.pop_segment()
    }

    pub fn set_file_bytes(&mut self, id: u32, bytes: u32) {
        if let Some(state) = self.segment_mut(id) {
            let before = std::mem::replace(&mut state.file_bytes, bytes);
            self.file_bytes = self.file_bytes - u64::from(before) + u64::from(bytes);
        }
    }

    /// A new message without entries yet; [`Index::add_entry`] must follow.
    pub fn insert_message(&mut self, location: Location, len: u32) -> Slot {
        self.count_in(location.segment, len);
        self.slab.insert(location, len)
    }

    /// Removes a message that got no entry.
    pub fn drop_unheld(&mut self, slot: Slot) {
        if let Some(stored) = self.slab.get(slot).filter(|s| s.refs == 0) {
            self.count_out(stored.location.segment, stored.len);
            self.slab.free(slot);
        }
    }

    /// Lets the entry hold the message, instead of the one it held before, if it did.
    pub fn add_entry(&mut self, queue: QueueId, seq: u64, slot: Slot) {
        self.slab.add_refs(slot, 1);
        self.entries += 1;
        if let Some(before) = self.queues.entry(queue).or_default().insert(seq, slot) {
            self.entries -= 1;
            self.release(before);
        }
    }

    /// Like [`Index::add_entry`] for an entry named by a ref record.
    pub fn add_ref_entry(&mut self, entry: Entry, slot: Slot) {
        self.add_entry(entry.queue, entry.seq, slot);
        self.slab.mark_reffed(slot);
        if let Some(stored) = self.slab.get(slot) {
            let reffed = self.reffed.entry(stored.location).or_default();
            reffed.slot = slot;
            reffed.entries.push(entry);
        }
    }

    pub fn lookup(&self, queue: QueueId, seq: u64) -> Option<(Slot, Stored)> {
        let slot = self.queues.get(&queue)?.get(seq)?;
        Some((slot, self.slab.get(slot)?))
    }

    /// The message at exactly this place, if the slot still holds that one.
    pub fn stored_at(&self, slot: Slot, location: u64) -> bool {
        self.slab.get(slot).is_some_and(|stored| stored.location.to_u64() == location)
    }

    /// Removes an entry. Says whether it was there.
    pub fn ack(&mut self, queue: QueueId, seq: u64) -> bool {
        let Some(seqs) = self.queues.get_mut(&queue) else { return false };
        let Some(slot) = seqs.remove(seq) else { return false };
        if seqs.is_empty() {
            self.forget_queue(queue);
        }
        self.entries -= 1;
        self.release(slot);
        true
    }

    /// Removes the queue's entries up to and including `up_to`. Says how many there were.
    pub fn purge(&mut self, queue: QueueId, up_to: u64) -> u64 {
        let Some(seqs) = self.queues.get_mut(&queue) else { return 0 };
        let mut slots = Vec::new();
        seqs.remove_up_to(up_to, |slot| slots.push(slot));
        if seqs.is_empty() {
            self.forget_queue(queue);
        }
        self.entries -= slots.len() as u64;
        for &slot in &slots {
            self.release(slot);
        }
        slots.len() as u64
    }

    fn forget_queue(&mut self, queue: QueueId) {
        self.queues.remove(&queue);
        // A table that once held many queues gives most of its memory back.
        let len = self.queues.len();
        if self.queues.capacity() > QUEUES_KEPT && len < self.queues.capacity() / 8 {
            self.queues.shrink_to(2 * len);
        }
    }

    /// Where a live message is now after compaction copied it; its record there names all its entries.
    pub fn moved(&mut self, slot: Slot, to: Location, len: u32) {
        let Some(stored) = self.slab.get(slot) else { return };
        self.count_out(stored.location.segment, stored.len);
        self.count_in(to.segment, len);
        if stored.reffed {
            self.reffed.remove(&stored.location);
        }
        self.slab.move_to(slot, to, len);
    }

    /// The live message at this place and all entries that hold it; `named` are those its record names.
    pub fn live_at(
        &self,
        location: Location,
        named: impl Iterator<Item = Entry>,
        entries: &mut Vec<Entry>,
    ) -> Option<Slot> {
        let mut found = None;
        let mut keep = |entry: Entry| {
            if let Some((slot, stored)) = self.lookup(entry.queue, entry.seq)
                && stored.location == location
            {
                found = Some(slot);
                entries.push(entry);
            }
        };
        named.for_each(&mut keep);
        if !self.reffed.is_empty()
            && let Some(reffed) = self.reffed.get(&location)
        {
            reffed.entries.iter().copied().for_each(&mut keep);
        }
        found
    }

    /// The queue's live entries in order.
    pub fn each_entry(&self, queue: QueueId, visit: impl FnMut(u64, Slot)) {
        if let Some(seqs) = self.queues.get(&queue) {
            seqs.each(visit);
        }
    }

    pub fn queue_len(&self, queue: QueueId) -> usize {
        self.queues.get(&queue).map_or(0, Seqs::len)
    }

    /// Bytes of memory the index takes, without allocator overhead.
    pub fn memory_bytes(&self) -> usize {
        self.slab.memory_bytes()
            + self.queues.allocation_size()
            + self.queues.values().map(Seqs::memory_bytes).sum::<usize>()
            + self.reffed.allocation_size()
            + self.reffed.values().map(|v| v.entries.capacity() * size_of::<Entry>()).sum::<usize>()
    }

    fn release(&mut self, slot: Slot) {
        // Entries in `reffed` are not searched for here: whoever reads them looks each one up.
        let Some(stored) = self.slab.release(slot) else { return };
        self.count_out(stored.location.segment, stored.len);
        if stored.reffed {
            self.reffed.remove(&stored.location);
        }
    }

    fn count_in(&mut self, segment: u32, len: u32) {
        self.live_bytes += u64::from(len);
        if let Some(state) = self.segment_mut(segment) {
            state.live_bytes += u64::from(len);
            state.live_messages += 1;
        }
    }

    fn count_out(&mut self, segment: u32, len: u32) {
        self.live_bytes -= u64::from(len);
        if let Some(state) = self.segment_mut(segment) {
            state.live_bytes -= u64::from(len);
            state.live_messages -= 1;
        }
    }
}
