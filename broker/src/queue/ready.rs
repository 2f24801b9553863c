//! The ready messages of a queue by position. Pure.
//!
//! Cut into chunks, so that a long queue never moves what it holds. A chunk of which nothing is in memory anyway is
//! packed to [`CELL_BYTES`] a message, and 8 more if any of them expires; it is unpacked when its turn comes. The first
//! chunk is never packed, so the head of the queue can be looked at.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::backlog::Entry;
use crate::message::Resident;

/// Messages in a chunk.
const CHUNK: usize = 512;
/// What an emptied queue keeps room for.
const HEAD_KEPT: usize = 64;
#[cfg(test)]
const CELL_BYTES: usize = size_of::<Cell>();

#[derive(Debug, Default)]
pub struct Ready {
    /// The first chunk; empty only if there is nothing.
    head: VecDeque<Entry>,
    /// The others, none empty; all but the last are full or were.
    rest: VecDeque<Chunk>,
    /// Messages in `rest`.
    rest_len: usize,
}

#[derive(Debug)]
enum Chunk {
    Open(Open),
    Packed(Packed),
}

/// A run of messages of which some are in memory. Its places count as memory: of a message that went to a thousand
/// queues they are what takes it.
#[derive(Debug)]
struct Open {
    entries: VecDeque<Entry>,
    _counted: Resident,
}

/// A run of messages that are only on disk.
#[derive(Debug)]
struct Packed {
    first_seq: u64,
    cells: Box<[Cell]>,
    /// By cell: when it expires. Empty if none does.
    expiries_ms: Box<[u64]>,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    body_len: u32,
    /// Position behind the chunk's first.
    offset: u16,
    redelivered: bool,
    gone: bool,
}

/// Where a message is: chunk (0: the head) and index in it.
type Place = (usize, usize);

impl Ready {
    pub fn len(&self) -> usize {
        self.head.len() + self.rest_len
    }

    pub fn front(&self) -> Option<&Entry> {
        self.head.front()
    }

    pub fn back_seq(&self) -> Option<u64> {
        match self.rest.back() {
            Some(chunk) => Some(chunk.last_seq()),
            None => self.head.back().map(|entry| entry.seq),
        }
    }

    pub fn push_back(&mut self, entry: Entry) {
        if self.rest.is_empty() && self.head.len() < CHUNK {
            if self.head.capacity() == 0 {
                // Most queues with a message have just one.
                self.head.reserve_exact(1);
            }
            return self.head.push_back(entry);
        }
        self.rest_len += 1;
        if let Some(Chunk::Open(last)) = self.rest.back_mut()
            && last.entries.len() < CHUNK
        {
            return last.entries.push_back(entry);
        }
        // What recovery brings back is packed as it comes.
        if let Some(last) = self.rest.back_mut() {
            last.pack();
        }
        let mut next = VecDeque::with_capacity(CHUNK);
        next.push_back(entry);
        self.rest.push_back(Chunk::Open(Open::new(next)));
    }

    pub fn pop_front(&mut self) -> Option<Entry> {
        let entry = self.head.pop_front();
        if self.head.is_empty() {
            self.refill_head();
        }
        entry
    }

    fn refill_head(&mut self) {
        if let Some(chunk) = self.rest.pop_front() {
            self.head = chunk.into_open();
            self.rest_len -= self.head.len();
            if self.rest.is_empty() {
                self.rest = VecDeque::new();
            }
        } else if self.head.capacity() > HEAD_KEPT {
            self.head = VecDeque::new();
        }
    }

    /// All messages in order.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, Entry>> {
        self.head.iter().map(Cow::Borrowed).chain(self.rest.iter().flat_map(Chunk::iter))
    }

    pub fn get(&self, seq: u64) -> Option<Cow<'_, Entry>> {
        match self.place(seq)? {
            (0, at) => self.head.get(at).map(Cow::Borrowed),
            (chunk, at) => match &self.rest[chunk - 1] {
                Chunk::Open(open) => open.entries.get(at).map(Cow::Borrowed),
                Chunk::Packed(packed) => Some(Cow::Owned(packed.entry(at))),
            },
        }
    }

    pub fn get_mut(&mut self, seq: u64) -> Option<&mut Entry> {
        let (chunk, at) = self.place(seq)?;
        self.open(chunk).get_mut(at)
    }

    /// Leaves the message at a position gone, and gives what it was. What is packed stays packed.
    pub fn take(&mut self, seq: u64) -> Option<Entry> {
        let (chunk, at) = self.place(seq)?;
        match chunk {
            0 => self.head.get_mut(at)?.take(),
            _ => match &mut self.rest[chunk - 1] {
                Chunk::Open(open) => open.entries.get_mut(at)?.take(),
                Chunk::Packed(packed) => packed.take(at),
            },
        }
    }

    /// Shows the messages from position `from` on, but for the first `keep` of the queue, to `visit`, until that
    /// says no or has seen `count_max`. Those that are packed are passed over. Returns the position of the
    /// first that was not seen.
    pub fn visit_mut(
        &mut self,
        from: u64,
        keep: usize,
        count_max: usize,
        mut visit: impl FnMut(&mut Entry) -> bool,
    ) -> Option<u64> {
        let (mut chunk, mut at) = self.first_at_or_behind(from).max(self.at_index(keep));
        let mut left = count_max;
        while chunk <= self.rest.len() {
            let entries = match chunk {
                0 => &mut self.head,
                _ => match &mut self.rest[chunk - 1] {
                    Chunk::Open(open) => &mut open.entries,
                    Chunk::Packed(_) => {
                        (chunk, at) = (chunk + 1, 0);
                        continue;
                    }
                },
            };
            for entry in entries.range_mut(at.min(entries.len())..) {
                if left == 0 || !visit(entry) {
                    return Some(entry.seq);
                }
                left -= 1;
            }
            // The last chunk is still being filled.
            if chunk > 0 && chunk < self.rest.len() {
                self.rest[chunk - 1].pack();
            }
            (chunk, at) = (chunk + 1, 0);
        }
        None
    }

    fn open(&mut self, chunk: usize) -> &mut VecDeque<Entry> {
        match chunk {
            0 => &mut self.head,
            _ => self.rest[chunk - 1].open(),
        }
    }

    fn place(&self, seq: u64) -> Option<Place> {
        let (chunk, at) = self.first_at_or_behind(seq);
        let found = match chunk {
            0 => self.head.get(at)?.seq,
            _ => self.rest.get(chunk - 1)?.seq_at(at)?,
        };
        (found == seq).then_some((chunk, at))
    }

    fn first_at_or_behind(&self, seq: u64) -> Place {
        if self.head.back().is_none_or(|last| last.seq >= seq) {
            return (0, self.head.partition_point(|entry| entry.seq < seq));
        }
        let before = self.rest.partition_point(|chunk| chunk.last_seq() < seq);
        let at = self.rest.get(before).map_or(0, |chunk| chunk.index_of(seq));
        (before + 1, at)
    }

    /// The place of the message with so many before it. For small numbers: it counts chunks.
    fn at_index(&self, index: usize) -> Place {
        if index < self.head.len() {
            return (0, index);
        }
        let mut left = index - self.head.len();
        for (number, chunk) in self.rest.iter().enumerate() {
            if left < chunk.len() {
                return (number + 1, left);
            }
            left -= chunk.len();
        }
        (self.rest.len() + 1, 0)
    }

    /// Bytes allocated for the chunks.
    #[cfg(test)]
    fn memory_bytes(&self) -> usize {
        let of = |chunk: &Chunk| match chunk {
            Chunk::Open(open) => open.entries.capacity() * size_of::<Entry>(),
            Chunk::Packed(packed) => {
                packed.cells.len() * CELL_BYTES + packed.expiries_ms.len() * size_of::<u64>()
            }
        };
        self.head.capacity() * size_of::<Entry>()
            + self.rest.capacity() * size_of::<Chunk>()
            + self.rest.iter().map(of).sum::<usize>()
    }
}

impl Chunk {
    fn len(&self) -> usize {
        match self {
            Chunk::Open(open) => open.entries.len(),
            Chunk::Packed(packed) => packed.cells.len(),
        }
    }

    fn seq_at(&self, at: usize) -> Option<u64> {
        match self {
            Chunk::Open(open) => open.entries.get(at).map(|entry| entry.seq),
            Chunk::Packed(packed) => {
                packed.cells.get(at).map(|cell| packed.first_seq + u64::from(cell.offset))
            }
        }
    }

    fn last_seq(&self) -> u64 {
        self.seq_at(self.len() - 1).unwrap_or(0)
    }

    fn index_of(&self, seq: u64) -> usize {
        match self {
            Chunk::Open(open) => open.entries.partition_point(|entry| entry.seq < seq),
            Chunk::Packed(Packed { first_seq, cells, .. }) => {
                cells.partition_point(|cell| first_seq + u64::from(cell.offset) < seq)
            }
        }
    }

    fn iter(&self) -> Box<dyn Iterator<Item = Cow<'_, Entry>> + '_> {
        match self {
            Chunk::Open(open) => Box::new(open.entries.iter().map(Cow::Borrowed)),
            Chunk::Packed(packed) => Box::new(packed.entries().map(Cow::Owned)),
        }
    }

    /// Packs the chunk if there is nothing in it that would be lost.
    fn pack(&mut self) {
        if let Chunk::Open(open) = self
            && let Some(packed) = Packed::new(&open.entries)
        {
            *self = Chunk::Packed(packed);
        }
    }

    fn open(&mut self) -> &mut VecDeque<Entry> {
        if let Chunk::Packed(packed) = self {
            *self = Chunk::Open(Open::new(packed.entries().collect()));
        }
        match self {
            Chunk::Open(open) => &mut open.entries,
            Chunk::Packed(_) => unreachable!("it was just opened"),
        }
    }

    fn into_open(self) -> VecDeque<Entry> {
        match self {
            Chunk::Open(open) => open.entries,
            Chunk::Packed(packed) => packed.entries().collect(),
        }
    }
}

impl Open {
    fn new(entries: VecDeque<Entry>) -> Open {
        let mut counted = Resident::default();
        counted.set((entries.capacity() * size_of::<Entry>()) as u64);
        Open { entries, _counted: counted }
    }
}

impl Packed {
    fn new(entries: &VecDeque<Entry>) -> Option<Packed> {
        let first_seq = entries.front()?.seq;
        let pack = |entry: &Entry| {
            let &Entry { seq, expires_at_ms, body_len, redelivered, gone, .. } = entry;
            let offset = u16::try_from(seq - first_seq).ok()?;
            let plain = Entry { expires_at_ms, gone, ..Entry::only_on_disk(seq, body_len, redelivered) };
            entry.is_same(&plain).then_some(Cell { body_len, offset, redelivered, gone })
        };
        let cells = entries.iter().map(pack).collect::<Option<Box<[Cell]>>>()?;
        let some_expire = entries.iter().any(|entry| entry.expires_at_ms != 0);
        let expiring = entries.iter().filter(|_| some_expire);
        Some(Packed { first_seq, cells, expiries_ms: expiring.map(|entry| entry.expires_at_ms).collect() })
    }

    fn entry(&self, at: usize) -> Entry {
        let Cell { body_len, offset, redelivered, gone } = self.cells[at];
        let expires_at_ms = self.expiries_ms.get(at).copied().unwrap_or(0);
        let seq = self.first_seq + u64::from(offset);
        Entry { expires_at_ms, gone, ..Entry::only_on_disk(seq, body_len, redelivered) }
    }

    fn take(&mut self, at: usize) -> Option<Entry> {
        let entry = self.entry(at);
        if entry.gone {
            return None;
        }
        self.cells[at].gone = true;
        Some(entry)
    }

    fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        (0..self.cells.len()).map(|at| self.entry(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(count: u64) -> Ready {
        let mut ready = Ready::default();
        (0..count).for_each(|seq| ready.push_back(Entry::only_on_disk(seq, 300, false)));
        ready
    }

    #[test]
    fn a_long_queue_on_disk_costs_eight_bytes_a_message() {
        let ready = filled(1_000_000);
        assert_eq!(ready.len(), 1_000_000);
        assert!(ready.memory_bytes() < 9_000_000, "{}", ready.memory_bytes());
    }

    /// Bytes that stand in the broker's account for the places of messages that may be in memory.
    fn counted(ready: &Ready) -> u64 {
        let of = |chunk: &Chunk| match chunk {
            Chunk::Open(open) => open._counted.bytes(),
            Chunk::Packed(_) => 0,
        };
        ready.rest.iter().map(of).sum()
    }

    #[test]
    fn places_of_messages_in_memory_are_counted() {
        let mut ready = Ready::default();
        let message = crate::message::Message::new("", "q", b"\0\0", b"x", false);
        let count = 20 * CHUNK as u64;
        for seq in 0..count {
            let mut entry = Entry::passing(message.clone());
            entry.seq = seq;
            ready.push_back(entry);
        }
        let places = count - CHUNK as u64;
        assert_eq!(counted(&ready), places * size_of::<Entry>() as u64);
        for _ in 0..count / 2 {
            ready.pop_front();
        }
        assert_eq!(counted(&ready), places / 2 / CHUNK as u64 * CHUNK as u64 * size_of::<Entry>() as u64);
    }

    #[test]
    fn an_emptied_queue_gives_its_memory_back() {
        let mut ready = filled(10_000);
        while ready.pop_front().is_some() {}
        assert_eq!(ready.memory_bytes(), 0);
    }

    #[test]
    fn what_is_seen_and_only_on_disk_is_packed() {
        let mut ready = Ready::default();
        for seq in 0..5000 {
            let mut entry = Entry::only_on_disk(seq, 10, seq % 3 == 0);
            // Only in memory for now, as if it had just been published.
            entry.stored = false;
            ready.push_back(entry);
        }
        let before = ready.memory_bytes();
        let mut seen = 0;
        let next = ready.visit_mut(0, 100, usize::MAX, |entry| {
            entry.stored = true;
            seen += 1;
            true
        });
        assert_eq!((next, seen), (None, 4900));
        assert!(ready.memory_bytes() < before / 2, "{} of {before}", ready.memory_bytes());
        let all: Vec<_> = ready.iter().map(|e| (e.seq, e.redelivered, e.stored)).collect();
        let expected: Vec<_> = (0..5000).map(|seq| (seq, seq % 3 == 0, seq >= 100)).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn messages_that_expire_cost_sixteen_bytes_also_when_some_are_gone() {
        let mut ready = Ready::default();
        for seq in 0..100_000 {
            ready.push_back(Entry { expires_at_ms: seq + 5, ..Entry::only_on_disk(seq, 300, false) });
        }
        for seq in (0..100_000).step_by(7) {
            assert_eq!(ready.take(seq).map(|entry| entry.expires_at_ms), Some(seq + 5));
        }
        assert!(ready.memory_bytes() < 1_700_000, "{}", ready.memory_bytes());
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push(u64, bool),
        Pop(usize),
        Touch(u64),
        Take(u64),
        Visit(u64, usize, usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (1..3u64, any::<bool>()).prop_map(|(gap, stored)| Op::Push(gap, stored)),
            2 => (0..700usize).prop_map(Op::Pop),
            2 => (0..4000u64).prop_map(Op::Touch),
            2 => (0..4000u64).prop_map(Op::Take),
            2 => (0..4000u64, 0..1200usize, 0..900usize).prop_map(|(a, b, c)| Op::Visit(a, b, c)),
        ]
    }

    /// What distinguishes entries here.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Plain {
        seq: u64,
        expires_at_ms: u64,
        stored: bool,
        gone: bool,
    }

    fn plain(entry: &Entry) -> Plain {
        let &Entry { seq, expires_at_ms, stored, gone, .. } = entry;
        Plain { seq, expires_at_ms, stored, gone }
    }

    fn apply(
        ready: &mut Ready,
        model: &mut Vec<Plain>,
        next: &mut u64,
        op: &Op,
    ) -> Result<(), TestCaseError> {
        match *op {
            Op::Push(gap, stored) => {
                for at in 0..300 {
                    *next += gap;
                    // Some chunks have no message that expires.
                    let expires_at_ms = if *next % 2000 < 900 { at % 2 * *next } else { 0 };
                    let entry = Entry { expires_at_ms, stored, ..Entry::only_on_disk(*next, 7, false) };
                    model.push(plain(&entry));
                    ready.push_back(entry);
                }
            }
            Op::Pop(count) => {
                for _ in 0..count.min(model.len()) {
                    let first = ready.pop_front().map(|entry| plain(&entry));
                    prop_assert_eq!(first, Some(model.remove(0)));
                }
            }
            Op::Touch(seq) => {
                let found = ready.get_mut(seq).map(|entry| entry.stored = false).is_some();
                let expected = model.iter_mut().find(|entry| entry.seq == seq);
                prop_assert_eq!(found, expected.is_some());
                expected.into_iter().for_each(|entry| entry.stored = false);
            }
            Op::Take(seq) => {
                let expected = model.iter_mut().find(|entry| entry.seq == seq && !entry.gone);
                let taken = ready.take(seq).map(|entry| plain(&entry));
                prop_assert_eq!(taken, expected.as_deref().copied());
                expected.into_iter().for_each(|entry| entry.gone = true);
            }
            Op::Visit(from, keep, max) => {
                let mut seen = 0;
                let rest = ready.visit_mut(from, keep, max, |entry| {
                    entry.stored = true;
                    seen += 1;
                    true
                });
                let wanted = model.iter_mut().skip(keep).filter(|entry| entry.seq >= from);
                for entry in wanted.take_while(|entry| rest.is_none_or(|rest| entry.seq < rest)) {
                    entry.stored = true;
                }
                prop_assert!(seen <= max);
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn behaves_like_a_list(ops in prop::collection::vec(op(), 0..40)) {
            let (mut ready, mut model, mut next) = (Ready::default(), Vec::new(), 0);
            for op in &ops {
                apply(&mut ready, &mut model, &mut next, op)?;
                prop_assert_eq!(ready.len(), model.len());
                prop_assert_eq!(ready.front().map(|e| e.seq), model.first().map(|e| e.seq));
                prop_assert_eq!(ready.back_seq(), model.last().map(|e| e.seq));
                let all: Vec<Plain> = ready.iter().map(|entry| plain(&entry)).collect();
                prop_assert_eq!(&all, &model);
                for seq in (0..next + 2).step_by(37) {
                    let found = ready.get(seq).map(|entry| plain(&entry));
                    prop_assert_eq!(found, model.iter().find(|e| e.seq == seq).copied());
                }
            }
        }
    }
}
