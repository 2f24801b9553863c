//! How long deliveries have been waiting for their acknowledgement, without noting the time of each. Pure.

use std::collections::VecDeque;

/// Marks kept; when there are more every second one goes.
const MARKS_MAX: usize = 256;

/// Knows of some moments which tag had been handed out last: what is older than a moment costs one look, and a
/// delivery costs nothing. It errs to the side of patience, by the time between two marks.
#[derive(Debug, Default)]
pub struct DeliveryClock {
    /// (time in milliseconds, last tag by then), both increasing.
    marks: VecDeque<(u64, u64)>,
}

impl DeliveryClock {
    /// By now tags up to this one have been handed out.
    pub fn mark(&mut self, now_ms: u64, last_tag: u64) {
        if self.marks.back().is_some_and(|&(_, tag)| tag == last_tag) {
            return;
        }
        if self.marks.len() >= MARKS_MAX {
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.marks.push_back((now_ms, last_tag));
    }

    /// The highest tag that certainly had been handed out at this time; 0 when none had.
    pub fn handed_out_at(&self, at_ms: u64) -> u64 {
        match self.marks.partition_point(|&(marked_ms, _)| marked_ms <= at_ms) {
            0 => 0,
            behind => self.marks[behind - 1].1,
        }
    }

    /// Nothing is waiting any more.
    pub fn clear(&mut self) {
        self.marks = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_are_as_old_as_the_first_mark_that_knows_them() {
        let mut clock = DeliveryClock::default();
        assert_eq!(clock.handed_out_at(100), 0);
        clock.mark(10, 3);
        clock.mark(20, 3);
        clock.mark(30, 7);
        for (at, tag) in [(9, 0), (10, 3), (29, 3), (30, 7), (99, 7)] {
            assert_eq!(clock.handed_out_at(at), tag, "at {at}");
        }
        clock.clear();
        assert_eq!(clock.handed_out_at(99), 0);
    }

    proptest! {
        /// Never is a tag said to be older than it is, however many marks there were.
        #[test]
        fn it_errs_to_the_side_of_patience(steps in proptest::collection::vec((1..20u64, 0..5u64), 1..1000)) {
            let mut clock = DeliveryClock::default();
            let mut handed_out: Vec<(u64, u64)> = Vec::new();
            let (mut now, mut tag) = (0, 0);
            for (milliseconds, tags) in steps {
                now += milliseconds;
                tag += tags;
                handed_out.push((now, tag));
                clock.mark(now, tag);
            }
            prop_assert!(clock.marks.len() <= MARKS_MAX);
            for at in [0, now / 3, now / 2, now] {
                let truly = handed_out.iter().rev().find(|&&(when, _)| when <= at).map_or(0, |&(_, tag)| tag);
                prop_assert!(clock.handed_out_at(at) <= truly);
            }
            prop_assert_eq!(clock.handed_out_at(now), tag);
        }
    }
}
