//! Dead letters that no queue has taken yet, with `x-dead-letter-strategy: at-least-once`. Pure.
//!
//! They are in their queue still, but nobody gets them: they count for its bounds and are shown apart from the others.

use std::collections::VecDeque;

use super::Entry;
use super::death::Reason;
use super::tally::Tally;
use crate::store::QueueId;

/// Before the second attempt, in milliseconds; the pause doubles with every attempt at which no letter was taken.
const PAUSE_LEAST_MS: u64 = 1000;
const PAUSE_MOST_MS: u64 = 64_000;

/// A message that died.
pub(super) struct Dead {
    pub entry: Entry,
    pub reason: Reason,
    /// When, in seconds since the epoch; 0 until it is buried for the first time.
    pub at_s: u64,
    /// It counts for its queue, and is kept there, until others have it.
    pub is_kept: bool,
    /// No queue took it the first time.
    pub has_waited: bool,
    /// Queues that have their copy already, where others have not.
    pub taken_by: Vec<QueueId>,
}

impl Dead {
    pub fn new(entry: Entry, reason: Reason) -> Dead {
        Dead { entry, reason, at_s: 0, is_kept: false, has_waited: false, taken_by: Vec::new() }
    }
}

#[derive(Default)]
pub(super) struct Unburied {
    /// All of them: those that wait, and those with which it is being tried.
    tally: Tally,
    /// Oldest first, but that those of a failed attempt go behind the others.
    waiting: VecDeque<Dead>,
    /// When it is tried again, in milliseconds since the epoch; 0: nothing waits.
    retry_at_ms: u64,
    pause_ms: u64,
}

impl Unburied {
    /// How many there are, and their body bytes.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// One more has died. It is being buried.
    pub fn died(&mut self, dead: &mut Dead) {
        dead.is_kept = true;
        self.tally.add(dead.entry.body_len);
    }

    /// All queues that it goes to have it, or it goes nowhere any more.
    pub fn buried(&mut self, dead: &Dead) {
        self.tally.remove(dead.entry.body_len);
    }

    /// No queue took it, or not all of them.
    pub fn keep(&mut self, mut dead: Dead, now_ms: u64) {
        if self.retry_at_ms == 0 {
            self.pause_ms = (2 * self.pause_ms).clamp(PAUSE_LEAST_MS, PAUSE_MOST_MS);
            self.retry_at_ms = now_ms.saturating_add(self.pause_ms);
        }
        dead.has_waited = true;
        dead.entry.let_go_of_stored_body();
        // For after a restart; who only expired was handed to nobody.
        dead.entry.redelivered |= matches!(dead.reason, Reason::Rejected | Reason::DeliveryLimit);
        self.waiting.push_back(dead);
    }

    /// When it is tried again, in milliseconds since the epoch.
    pub fn retry_at_ms(&self) -> Option<u64> {
        (self.retry_at_ms > 0).then_some(self.retry_at_ms)
    }

    /// There is hope again: one that waited was taken, or they go elsewhere now.
    pub fn hurry(&mut self, now_ms: u64) {
        self.pause_ms = 0;
        if self.retry_at_ms > 0 {
            self.retry_at_ms = now_ms;
        }
    }

    /// Some with which it is to be tried again, if it is time.
    pub fn due(&mut self, now_ms: u64, count_max: usize) -> Vec<Dead> {
        if self.retry_at_ms == 0 || self.retry_at_ms > now_ms {
            return Vec::new();
        }
        self.retry_at_ms = 0;
        let due = self.waiting.drain(..count_max.min(self.waiting.len())).collect();
        if !self.waiting.is_empty() {
            // Those behind them have their turn a pause later.
            self.retry_at_ms = now_ms.saturating_add(self.pause_ms.max(PAUSE_LEAST_MS));
        }
        due
    }

    pub fn waiting(&self) -> impl Iterator<Item = &Dead> {
        self.waiting.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(seq: u64) -> Dead {
        Dead::new(Entry { seq, ..Entry::only_on_disk(seq, 10, false) }, Reason::Rejected)
    }

    fn seqs(dead: &[Dead]) -> Vec<u64> {
        dead.iter().map(|dead| dead.entry.seq).collect()
    }

    /// Tries with what is due, in vain, as often as said; returns the pauses.
    fn pauses(unburied: &mut Unburied, mut now_ms: u64, attempts: usize) -> Vec<u64> {
        let mut pauses = Vec::new();
        for _ in 0..attempts {
            let at_ms = unburied.retry_at_ms().expect("it is tried again");
            pauses.push(at_ms - now_ms);
            now_ms = at_ms;
            unburied.due(now_ms, 100).into_iter().for_each(|dead| unburied.keep(dead, now_ms));
        }
        pauses
    }

    #[test]
    fn pauses_grow_until_one_is_taken() {
        let mut unburied = Unburied::default();
        assert_eq!(unburied.retry_at_ms(), None);
        for seq in [1, 2] {
            let mut dead = dead(seq);
            unburied.died(&mut dead);
            unburied.keep(dead, 500);
        }
        assert_eq!(unburied.tally(), Tally { count: 2, bytes: 20 });
        let expected = [1, 2, 4, 8, 16, 32, 64, 64].map(|s| s * 1000);
        assert_eq!(pauses(&mut unburied, 500, 8), expected);
        let at_ms = unburied.retry_at_ms().unwrap();
        assert!(unburied.due(at_ms - 1, 100).is_empty());
        let mut due = unburied.due(at_ms, 100);
        assert_eq!((seqs(&due), unburied.retry_at_ms()), (vec![1, 2], None));
        unburied.buried(&due.remove(0));
        unburied.hurry(at_ms);
        unburied.keep(due.remove(0), at_ms);
        assert_eq!(pauses(&mut unburied, at_ms, 1), [1000]);
        assert_eq!(unburied.tally(), Tally { count: 1, bytes: 10 });
    }

    #[test]
    fn each_has_its_turn_however_many_there_are() {
        let mut unburied = Unburied::default();
        (0..5).for_each(|seq| unburied.keep(dead(seq), 0));
        let mut turns = Vec::new();
        for _ in 0..4 {
            let now_ms = unburied.retry_at_ms().unwrap();
            let due = unburied.due(now_ms, 2);
            turns.push(seqs(&due));
            due.into_iter().for_each(|dead| unburied.keep(dead, now_ms));
        }
        assert_eq!(turns, [vec![0, 1], vec![2, 3], vec![4, 0], vec![1, 2]]);
    }

    #[test]
    fn where_there_is_hope_it_is_tried_at_once() {
        let mut unburied = Unburied::default();
        unburied.hurry(70);
        assert_eq!(unburied.retry_at_ms(), None);
        unburied.keep(dead(1), 0);
        unburied.hurry(70);
        assert_eq!(seqs(&unburied.due(70, 100)), [1]);
    }
}
