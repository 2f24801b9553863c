//! The entries of one queue: sequence number to slot, 4 to 5 bytes per entry when dense. Pure.
//!
//! Most queues that have an entry have one. What has more is cut into chunks of 512 numbers, so that one old unacked message costs one small chunk and not a hole for
//! every message acked since. A chunk is a sorted list while it holds few entries and an array when full.

use std::collections::VecDeque;

use super::slab::Slot;

const CHUNK: u64 = 512;
const NONE: Slot = Slot::MAX;
/// A chunk with fewer entries stays a list.
const DENSE_MIN: usize = 16;

pub enum Seqs {
    /// The only entry, or none where the slot is NONE.
    One(u64, Slot),
    /// Stays so until nothing is left: a queue that goes from one to two and back is not to allocate each time.
    Many(Box<Chunks>),
}

#[derive(Default)]
pub struct Chunks {
    /// By `base`, none empty.
    chunks: VecDeque<Chunk>,
}

struct Chunk {
    base: u64,
    live: u16,
    form: Form,
}

enum Form {
    /// (offset from base, slot), sorted.
    List(Vec<(u16, Slot)>),
    /// Slots from `base + start` on; NONE where there is no entry.
    Array { start: u16, slots: Vec<Slot> },
}

impl Default for Seqs {
    fn default() -> Seqs {
        Seqs::One(0, NONE)
    }
}

impl Seqs {
    pub fn is_empty(&self) -> bool {
        match self {
            Seqs::One(_, slot) => *slot == NONE,
            Seqs::Many(chunks) => chunks.chunks.is_empty(),
        }
    }

    /// Adds an entry; the slot it had before, if it was there.
    pub fn insert(&mut self, seq: u64, slot: Slot) -> Option<Slot> {
        match self {
            Seqs::One(_, NONE) => {
                *self = Seqs::One(seq, slot);
                None
            }
            Seqs::One(only, there) if *only == seq => Some(std::mem::replace(there, slot)),
            Seqs::One(only, there) => {
                let mut chunks = Chunks::default();
                chunks.insert(*only, *there);
                chunks.insert(seq, slot);
                *self = Seqs::Many(Box::new(chunks));
                None
            }
            Seqs::Many(chunks) => chunks.insert(seq, slot),
        }
    }

    pub fn get(&self, seq: u64) -> Option<Slot> {
        match self {
            Seqs::One(only, slot) => (*only == seq && *slot != NONE).then_some(*slot),
            Seqs::Many(chunks) => chunks.get(seq),
        }
    }

    pub fn remove(&mut self, seq: u64) -> Option<Slot> {
        match self {
            Seqs::One(only, slot) if *only == seq => {
                Some(std::mem::replace(slot, NONE)).filter(|&slot| slot != NONE)
            }
            Seqs::One(..) => None,
            Seqs::Many(chunks) => chunks.remove(seq),
        }
    }

    /// Removes every entry up to and including `up_to`.
    pub fn remove_up_to(&mut self, up_to: u64, mut removed: impl FnMut(Slot)) {
        match self {
            Seqs::One(only, slot) => {
                if *slot != NONE && *only <= up_to {
                    removed(std::mem::replace(slot, NONE));
                }
            }
            Seqs::Many(chunks) => chunks.remove_up_to(up_to, removed),
        }
    }

    /// All entries in order.
    pub fn each(&self, mut visit: impl FnMut(u64, Slot)) {
        match self {
            Seqs::One(_, NONE) => {}
            Seqs::One(seq, slot) => visit(*seq, *slot),
            Seqs::Many(chunks) => chunks.each(visit),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Seqs::One(_, slot) => usize::from(*slot != NONE),
            Seqs::Many(chunks) => chunks.len(),
        }
    }

    /// Bytes allocated on the heap.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Seqs::One(..) => 0,
            Seqs::Many(chunks) => size_of::<Chunks>() + chunks.memory_bytes(),
        }
    }
}

impl Chunks {
    fn insert(&mut self, seq: u64, slot: Slot) -> Option<Slot> {
        let base = seq & !(CHUNK - 1);
        let offset = (seq - base) as u16;
        let at = match self.chunks.back() {
            Some(last) if last.base == base => self.chunks.len() - 1,
            Some(last) if last.base < base => self.push_chunk(base),
            None => self.push_chunk(base),
            Some(_) => match self.find(base) {
                Ok(at) => at,
                Err(at) => {
                    self.chunks.insert(at, Chunk::new(base));
                    at
                }
            },
        };
        self.chunks[at].insert(offset, slot)
    }

    fn get(&self, seq: u64) -> Option<Slot> {
        let at = self.position(seq)?;
        self.chunks[at].get((seq % CHUNK) as u16)
    }

    fn remove(&mut self, seq: u64) -> Option<Slot> {
        let at = self.position(seq)?;
        let slot = self.chunks[at].remove((seq % CHUNK) as u16)?;
        if self.chunks[at].live == 0 {
            self.chunks.remove(at);
        }
        Some(slot)
    }

    fn remove_up_to(&mut self, up_to: u64, mut removed: impl FnMut(Slot)) {
        while let Some(first) = self.chunks.front_mut() {
            if first.base > up_to {
                return;
            }
            if up_to - first.base >= CHUNK - 1 {
                first.each(|_, slot| removed(slot));
                self.chunks.pop_front();
                continue;
            }
            let mut gone = Vec::new();
            first.each(|offset, slot| {
                if first.base + u64::from(offset) <= up_to {
                    gone.push((offset, slot));
                }
            });
            for (offset, slot) in gone {
                first.remove(offset);
                removed(slot);
            }
            if first.live == 0 {
                self.chunks.pop_front();
            }
            return;
        }
    }

    fn each(&self, mut visit: impl FnMut(u64, Slot)) {
        for chunk in &self.chunks {
            chunk.each(|offset, slot| visit(chunk.base + u64::from(offset), slot));
        }
    }

    fn len(&self) -> usize {
        self.chunks.iter().map(|c| usize::from(c.live)).sum()
    }

    fn memory_bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<Chunk>()
            + self.chunks.iter().map(|c| c.form.memory_bytes()).sum::<usize>()
    }

    fn push_chunk(&mut self, base: u64) -> usize {
        if let Some(last) = self.chunks.back_mut() {
            last.form.shrink();
        } else if self.chunks.capacity() == 0 {
            self.chunks.reserve_exact(1);
        }
        self.chunks.push_back(Chunk::new(base));
        self.chunks.len() - 1
    }

    fn position(&self, seq: u64) -> Option<usize> {
        let base = seq & !(CHUNK - 1);
        match self.chunks.front() {
            Some(first) if first.base == base => Some(0),
            _ => self.find(base).ok(),
        }
    }

    fn find(&self, base: u64) -> Result<usize, usize> {
        self.chunks.binary_search_by_key(&base, |chunk| chunk.base)
    }
}

impl Chunk {
    fn new(base: u64) -> Chunk {
        Chunk { base, live: 0, form: Form::List(Vec::new()) }
    }

    fn insert(&mut self, offset: u16, slot: Slot) -> Option<Slot> {
        let before = match &mut self.form {
            Form::List(list) => match list.last() {
                Some(&(last, _)) if last >= offset => match list.binary_search_by_key(&offset, |e| e.0) {
                    Ok(at) => Some(std::mem::replace(&mut list[at].1, slot)),
                    Err(at) => {
                        list.insert(at, (offset, slot));
                        None
                    }
                },
                _ => {
                    if list.capacity() == 0 {
                        // Most queues with several messages have few.
                        list.reserve_exact(3);
                    }
                    list.push((offset, slot));
                    None
                }
            },
            Form::Array { start, slots } => {
                if offset < *start {
                    let shift = usize::from(*start - offset);
                    slots.splice(0..0, std::iter::repeat_n(NONE, shift));
                    *start = offset;
                }
                let at = usize::from(offset - *start);
                if at >= slots.len() {
                    slots.resize(at + 1, NONE);
                }
                let before = std::mem::replace(&mut slots[at], slot);
                (before != NONE).then_some(before)
            }
        };
        if before.is_none() {
            self.live += 1;
            self.form.make_array_if_dense();
        }
        before
    }

    fn get(&self, offset: u16) -> Option<Slot> {
        match &self.form {
            Form::List(list) => list.binary_search_by_key(&offset, |e| e.0).ok().map(|at| list[at].1),
            Form::Array { start, slots } => {
                slots.get(usize::from(offset.checked_sub(*start)?)).copied().filter(|&slot| slot != NONE)
            }
        }
    }

    fn remove(&mut self, offset: u16) -> Option<Slot> {
        let slot = match &mut self.form {
            Form::List(list) => {
                let at = list.binary_search_by_key(&offset, |e| e.0).ok()?;
                list.remove(at).1
            }
            Form::Array { start, slots } => {
                let cell = slots.get_mut(usize::from(offset.checked_sub(*start)?))?;
                std::mem::replace(cell, NONE)
            }
        };
        if slot == NONE {
            return None;
        }
        self.live -= 1;
        self.form.make_list_if_sparse(usize::from(self.live));
        Some(slot)
    }

    fn each(&self, mut visit: impl FnMut(u16, Slot)) {
        match &self.form {
            Form::List(list) => list.iter().for_each(|&(offset, slot)| visit(offset, slot)),
            Form::Array { start, slots } => {
                for (i, &slot) in slots.iter().enumerate().filter(|&(_, &slot)| slot != NONE) {
                    visit(start + i as u16, slot);
                }
            }
        }
    }
}

impl Form {
    fn make_array_if_dense(&mut self) {
        let Form::List(list) = self else { return };
        let (Some(&(first, _)), Some(&(last, _))) = (list.first(), list.last()) else { return };
        let span = usize::from(last - first) + 1;
        if list.len() < DENSE_MIN || span > list.len() * 3 / 2 {
            return;
        }
        let mut slots = vec![NONE; span];
        for &(offset, slot) in list.iter() {
            slots[usize::from(offset - first)] = slot;
        }
        *self = Form::Array { start: first, slots };
    }

    fn make_list_if_sparse(&mut self, live: usize) {
        let Form::Array { start, slots } = self else { return };
        if live * 8 > slots.len() || live == 0 {
            return;
        }
        let mut list = Vec::with_capacity(live);
        for (i, &slot) in slots.iter().enumerate().filter(|&(_, &slot)| slot != NONE) {
            list.push((*start + i as u16, slot));
        }
        *self = Form::List(list);
    }

    /// No more entries will be added at the end.
    fn shrink(&mut self) {
        match self {
            Form::List(list) => list.shrink_to_fit(),
            Form::Array { slots, .. } => slots.shrink_to_fit(),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Form::List(list) => list.capacity() * size_of::<(u16, Slot)>(),
            Form::Array { slots, .. } => slots.capacity() * size_of::<Slot>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64, Slot),
        Remove(u64),
        RemoveUpTo(u64),
    }

    fn op(seqs: std::ops::Range<u64>) -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (seqs.clone(), 0..1000u32).prop_map(|(seq, slot)| Op::Insert(seq, slot)),
            3 => seqs.clone().prop_map(Op::Remove),
            1 => seqs.prop_map(Op::RemoveUpTo),
        ]
    }

    fn check(ops: impl IntoIterator<Item = Op>) -> Result<(), TestCaseError> {
        let (mut seqs, mut model) = (Seqs::default(), BTreeMap::new());
        for op in ops {
            match op {
                Op::Insert(seq, slot) => prop_assert_eq!(seqs.insert(seq, slot), model.insert(seq, slot)),
                Op::Remove(seq) => prop_assert_eq!(seqs.remove(seq), model.remove(&seq)),
                Op::RemoveUpTo(up_to) => {
                    let mut removed = Vec::new();
                    seqs.remove_up_to(up_to, |slot| removed.push(slot));
                    let rest = model.split_off(&(up_to + 1));
                    prop_assert_eq!(removed, model.into_values().collect::<Vec<_>>());
                    model = rest;
                }
            }
            let mut all = Vec::new();
            seqs.each(|seq, slot| all.push((seq, slot)));
            prop_assert_eq!(&all, &model.iter().map(|(&a, &b)| (a, b)).collect::<Vec<_>>());
            prop_assert_eq!(seqs.len(), model.len());
            prop_assert_eq!(seqs.is_empty(), model.is_empty());
        }
        for seq in 0..3000 {
            prop_assert_eq!(seqs.get(seq), model.get(&seq).copied());
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn behaves_like_a_sorted_map(ops in prop::collection::vec(op(0..3000), 0..300)) {
            check(ops)?;
        }

        #[test]
        fn with_few_entries_it_behaves_like_a_sorted_map(ops in prop::collection::vec(op(0..3), 0..30)) {
            check(ops)?;
        }

        #[test]
        fn a_fifo_window_behaves_like_a_sorted_map(lag in 0..800u64, skip in 1..5u64) {
            let ops = (0..2000).step_by(skip as usize).flat_map(|seq| {
                let ack = (seq >= lag).then(|| Op::Remove(seq - lag));
                std::iter::once(Op::Insert(seq, seq as u32)).chain(ack)
            });
            check(ops)?;
        }
    }

    #[test]
    fn a_long_backlog_costs_about_four_bytes_each() {
        let mut seqs = Seqs::default();
        for seq in 1..=100_000 {
            seqs.insert(seq, seq as u32);
        }
        assert!(seqs.memory_bytes() < 100_000 * 9 / 2, "{}", seqs.memory_bytes());
    }

    #[test]
    fn an_old_unacked_entry_costs_one_small_chunk() {
        let mut seqs = Seqs::default();
        seqs.insert(1, 7);
        for seq in 2..=100_000 {
            seqs.insert(seq, 8);
            seqs.remove(seq);
        }
        assert!(seqs.memory_bytes() < 1000, "{}", seqs.memory_bytes());
        assert_eq!(seqs.get(1), Some(7));
    }

    #[test]
    fn a_queue_of_one_is_smallest() {
        let mut seqs = Seqs::default();
        seqs.insert(1_000_001, 1);
        assert!(size_of::<Seqs>() + seqs.memory_bytes() <= 16, "{}", seqs.memory_bytes());
    }

    #[test]
    fn a_queue_of_three_is_small() {
        let mut seqs = Seqs::default();
        for seq in 1_000_001..=1_000_003 {
            seqs.insert(seq, 1);
        }
        assert!(size_of::<Seqs>() + seqs.memory_bytes() <= 120, "{}", seqs.memory_bytes());
    }
}
