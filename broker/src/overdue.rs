//! How long deliveries have been waiting for their acknowledgement, without noting the time of each. Pure.

use std::collections::VecDeque;

/// Marks kept; when there are more some of the old ones go.
const MARKS_MAX: usize = 256;
/// Which part of its age the distance of a mark to the next may be: one 32nd, or more where that are too many marks.
const PART_BEST: u64 = 32;

/// Knows of some moments which tag had been handed out last: what is older than a moment costs one look, and a
/// delivery costs nothing. It errs to the side of patience, by the time between two marks: an eighth of the age at most,
/// however long the channel lives.
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
            self.thin_out(now_ms);
        }
        self.marks.push_back((now_ms, last_tag));
    }

    /// Lets go of marks: the older they are the farther they may be apart, as a part of their age. A mark of half an
    /// hour ago need not be known to the second.
    fn thin_out(&mut self, now_ms: u64) {
        let mut part = PART_BEST;
        while self.marks.len() > MARKS_MAX / 4 * 3 && part > 0 {
            let mut times =
                self.marks.iter().map(|&(at_ms, _)| at_ms).collect::<Vec<_>>().into_iter().peekable();
            let mut kept_ms = None;
            self.marks.retain(|&(at_ms, _)| {
                times.next();
                // Without it those to its sides are that far apart.
                let apart = kept_ms.zip(times.peek()).map(|(kept_ms, next_ms)| {
                    (next_ms.saturating_sub(kept_ms), now_ms.saturating_sub(*next_ms))
                });
                let goes = apart.is_some_and(|(gap_ms, age_ms)| gap_ms <= age_ms / part);
                if !goes {
                    kept_ms = Some(at_ms);
                }
                !goes
            });
            part /= 2;
        }
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

    /// A channel that always owes something is looked at for days; what it owes is not found later for that.
    #[test]
    fn it_is_late_by_a_part_of_the_age_however_long_it_has_been_running() {
        const EVERY_MS: u64 = 10;
        let mut clock = DeliveryClock::default();
        for tag in 1..200_000u64 {
            let now_ms = tag * EVERY_MS;
            clock.mark(now_ms, tag);
            if tag % 97 != 0 {
                continue;
            }
            for age_ms in [EVERY_MS, 100 * EVERY_MS, 3000 * EVERY_MS, 50_000 * EVERY_MS] {
                let Some(at_ms) = now_ms.checked_sub(age_ms) else { continue };
                let late_ms = at_ms - clock.handed_out_at(at_ms) * EVERY_MS;
                assert!(late_ms <= 2 * EVERY_MS + age_ms / 8, "{late_ms} ms at {age_ms} of {now_ms}");
            }
        }
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
