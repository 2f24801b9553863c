//! When the messages of a queue expire, soonest first. Pure.
//!
//! Sorted runs of at most [`RUN`], so that a deadline costs little more than its own 16 bytes: most come in
//! ascending order, and then every run but the last is full.

use std::collections::VecDeque;

/// Deadlines in a run.
const RUN: usize = 512;

/// (milliseconds since the epoch, position in the queue)
pub type Deadline = (u64, u64);

#[derive(Debug, Default)]
pub struct Deadlines {
    /// None empty; each behind the one before.
    runs: VecDeque<Vec<Deadline>>,
}

impl Deadlines {
    /// The soonest.
    pub fn first(&self) -> Option<Deadline> {
        self.runs.front().and_then(|run| run.first()).copied()
    }

    /// It must not be there yet.
    pub fn insert(&mut self, deadline: Deadline) {
        let at = self.run_of(deadline);
        let Some(run) = self.runs.get_mut(at) else { return self.append(deadline) };
        let place = run.partition_point(|&other| other < deadline);
        run.insert(place, deadline);
        if run.len() > RUN {
            let upper = run.split_off(RUN / 2);
            run.shrink_to_fit();
            self.runs.insert(at + 1, upper);
        }
    }

    /// Behind all others.
    fn append(&mut self, deadline: Deadline) {
        match self.runs.back_mut() {
            Some(last) if last.len() < RUN => last.push(deadline),
            last => {
                last.into_iter().for_each(Vec::shrink_to_fit);
                self.runs.push_back(vec![deadline]);
            }
        }
    }

    pub fn remove(&mut self, deadline: Deadline) {
        let at = self.run_of(deadline);
        let Some(run) = self.runs.get_mut(at) else { return };
        let Ok(place) = run.binary_search(&deadline) else { return };
        run.remove(place);
        if run.is_empty() {
            self.runs.remove(at);
            if self.runs.is_empty() {
                self.runs = VecDeque::new();
            }
        } else if run.len() < run.capacity() / 4 {
            run.shrink_to(2 * run.len());
        }
    }

    /// The first run that ends at the deadline or behind it.
    fn run_of(&self, deadline: Deadline) -> usize {
        match self.runs.back() {
            Some(last) if last.last().is_some_and(|&last| last < deadline) => self.runs.len(),
            _ => self.runs.partition_point(|run| run.last().is_some_and(|&last| last < deadline)),
        }
    }

    /// Bytes allocated.
    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        self.runs.capacity() * size_of::<Vec<Deadline>>()
            + self.runs.iter().map(|run| run.capacity() * size_of::<Deadline>()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behave_like_a_sorted_set(
            ops in prop::collection::vec((any::<bool>(), 0..3000u64, 0..2u64), 0..3000),
        ) {
            let (mut deadlines, mut model) = (Deadlines::default(), BTreeSet::new());
            for (add, at, seq) in ops {
                if !add {
                    model.remove(&(at, seq));
                    deadlines.remove((at, seq));
                } else if model.insert((at, seq)) {
                    deadlines.insert((at, seq));
                }
                prop_assert_eq!(deadlines.first(), model.first().copied());
            }
            for expected in model {
                prop_assert_eq!(deadlines.first(), Some(expected));
                deadlines.remove(expected);
            }
            prop_assert_eq!(deadlines.first(), None);
        }
    }

    const COUNT: u64 = 100_003;

    fn bytes_each(deadlines: impl Iterator<Item = u64>) -> u64 {
        let mut all = Deadlines::default();
        (0..).zip(deadlines).for_each(|(seq, at)| all.insert((at, seq)));
        (all.memory_bytes() as u64).div_ceil(COUNT)
    }

    #[test]
    fn a_deadline_costs_16_bytes_in_order_and_24_in_any_order() {
        assert!(bytes_each(0..COUNT) <= 17);
        // Visits them in an order that looks random.
        let shuffled = (0..COUNT).map(|i| i * 2_654_435_761 % COUNT);
        assert!(bytes_each(shuffled) <= 24);
    }

    #[test]
    fn without_deadlines_nothing_is_allocated() {
        let mut all = Deadlines::default();
        (0..2000).for_each(|at| all.insert((at, 0)));
        (0..2000).for_each(|at| all.remove((at, 0)));
        assert_eq!(all.memory_bytes(), 0);
    }
}
