//! Publisher confirms of one channel: which tags may be acked, and with how few frames. Pure.

use std::collections::VecDeque;

use crate::store::Round;

/// Counts publishes since `confirm.select` and remembers those that wait for the disk.
#[derive(Debug, Default)]
pub struct Confirms {
    last_tag: u64,
    /// Tags that wait for a commit round, in order.
    waiting: VecDeque<(u64, Round)>,
    /// Settled since the last flush, in order of settling.
    ready: Vec<Settled>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Acked(u64),
    Refused(u64),
}

/// A frame to be sent: `basic.ack` or `basic.nack`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    Ack { tag: u64, multiple: bool },
    Nack { tag: u64 },
}

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to wait for.
    Done,
    /// Durable once this round is.
    Waits(Round),
    /// A queue refused it; the round of those that took it.
    Refused(Option<Round>),
}

impl Confirms {
    /// Counts a publish with what became of it.
    pub fn published(&mut self, outcome: Outcome) {
        self.last_tag += 1;
        match outcome {
            Outcome::Done => self.ready.push(Settled::Acked(self.last_tag)),
            Outcome::Waits(round) => self.waiting.push_back((self.last_tag, round)),
            Outcome::Refused(_) => self.ready.push(Settled::Refused(self.last_tag)),
        }
    }

    /// The round that the oldest waiting publish needs.
    pub fn next_round(&self) -> Option<Round> {
        self.waiting.front().map(|&(_, round)| round)
    }

    pub fn unconfirmed(&self) -> usize {
        self.waiting.len() + self.ready.len()
    }

    /// Frames to send now that rounds up to `durable` are on disk. One ack with `multiple` stands for every
    /// tag below it, where that is true.
    pub fn flush(&mut self, durable: Round, mut send: impl FnMut(Confirm)) {
        while self.waiting.front().is_some_and(|&(_, round)| round <= durable) {
            if let Some((tag, _)) = self.waiting.pop_front() {
                self.ready.push(Settled::Acked(tag));
            }
        }
        if self.ready.is_empty() {
            return;
        }
        // Tags below this one are all settled once those in `ready` are sent.
        let settled_below = self.waiting.front().map_or(self.last_tag + 1, |&(tag, _)| tag);
        let mut cumulative: Option<(u64, u32)> = None;
        for settled in &self.ready {
            match *settled {
                Settled::Refused(tag) => send(Confirm::Nack { tag }),
                Settled::Acked(tag) if tag >= settled_below => send(Confirm::Ack { tag, multiple: false }),
                Settled::Acked(tag) => {
                    let (highest, count) = cumulative.unwrap_or((0, 0));
                    cumulative = Some((highest.max(tag), count + 1));
                }
            }
        }
        if let Some((tag, count)) = cumulative {
            send(Confirm::Ack { tag, multiple: count > 1 });
        }
        self.ready.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flush(confirms: &mut Confirms, durable: u64) -> Vec<Confirm> {
        let mut sent = Vec::new();
        confirms.flush(durable, |confirm| sent.push(confirm));
        sent
    }

    #[test]
    fn one_ack_covers_all_that_is_settled() {
        let mut confirms = Confirms::default();
        for round in [1, 1, 2, 2, 3] {
            confirms.published(Outcome::Waits(round));
        }
        assert_eq!(flush(&mut confirms, 0), []);
        assert_eq!(flush(&mut confirms, 2), [Confirm::Ack { tag: 4, multiple: true }]);
        assert_eq!(flush(&mut confirms, 3), [Confirm::Ack { tag: 5, multiple: false }]);
        assert_eq!(confirms.unconfirmed(), 0);
    }

    #[test]
    fn a_transient_publish_does_not_wait_behind_a_persistent_one() {
        let mut confirms = Confirms::default();
        confirms.published(Outcome::Done);
        confirms.published(Outcome::Waits(7));
        confirms.published(Outcome::Done);
        confirms.published(Outcome::Refused(None));
        assert_eq!(
            flush(&mut confirms, 0),
            [
                Confirm::Ack { tag: 3, multiple: false },
                Confirm::Nack { tag: 4 },
                Confirm::Ack { tag: 1, multiple: false }
            ]
        );
        assert_eq!(flush(&mut confirms, 7), [Confirm::Ack { tag: 2, multiple: false }]);
    }

    #[test]
    fn an_ack_with_multiple_never_covers_a_refused_tag_that_was_not_named_first() {
        let mut confirms = Confirms::default();
        confirms.published(Outcome::Done);
        confirms.published(Outcome::Refused(None));
        confirms.published(Outcome::Done);
        assert_eq!(
            flush(&mut confirms, 0),
            [Confirm::Nack { tag: 2 }, Confirm::Ack { tag: 3, multiple: true }]
        );
    }
}
