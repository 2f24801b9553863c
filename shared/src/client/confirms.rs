//! What became of each published message. Pure: publishes and confirms in, outcomes out.
//!
//! A broker sends `basic.return` before the `basic.ack` of the same message. `lapin` queues returned
//! messages and hands one, whichever is first in line, to every confirm that completes. When several
//! messages are under way, a returned message may therefore come with the confirm of another one. So
//! returns are matched here by what they name: exchange, routing key and message id.

use std::collections::{BTreeMap, HashMap};

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has it, on disk if it is persistent.
    Confirmed,
    /// No queue took it; 312 NO_ROUTE when the queue does not exist.
    Returned { code: u16, text: String },
    /// The broker could not take it (`basic.nack`); try again later.
    Refused,
}

/// What tells messages under way apart. No two with the same key may be under way at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub exchange: String,
    pub routing_key: String,
    pub message_id: String,
}

/// A returned message, and why it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Return {
    pub key: Key,
    pub code: u16,
    pub text: String,
}

#[derive(Debug, Default)]
pub(super) struct Confirms {
    under_way: HashMap<Key, u64>,
    /// Completed confirms that are not settled yet, by number.
    completed: BTreeMap<u64, Completed>,
    /// Returned messages whose own confirm was not settled yet.
    returned: HashMap<Key, (u16, String)>,
}

#[derive(Debug)]
struct Completed {
    key: Key,
    acked: bool,
    /// A returned message, of this or another message, came with the confirm.
    carried: bool,
}

impl Confirms {
    pub fn is_under_way(&self, key: &Key) -> bool {
        self.under_way.contains_key(key)
    }

    pub fn publish(&mut self, number: u64, key: Key) {
        self.under_way.insert(key, number);
    }

    /// The message will never be confirmed: its channel is gone.
    pub fn forget(&mut self, number: u64) {
        self.under_way.retain(|_, &mut other| other != number);
    }

    /// A confirm completed, with whatever returned message it carried.
    pub fn complete(&mut self, number: u64, acked: bool, carried: Option<Return>) {
        let Some(key) = self.under_way.iter().find(|&(_, &n)| n == number).map(|(key, _)| key.clone()) else {
            return;
        };
        self.completed.insert(number, Completed { key, acked, carried: carried.is_some() });
        // A return that names nothing under way has nobody to hear of it.
        if let Some(Return { key, code, text }) = carried
            && self.is_under_way(&key)
        {
            self.returned.insert(key, (code, text));
        }
    }

    /// The outcomes that are certain by now. To be called only when every confirm that came before, or
    /// together with, one of the completed ones was given to [`complete`](Self::complete).
    pub fn settle(&mut self) -> Vec<(u64, Outcome)> {
        let mut settled = Vec::new();
        let mut undecided = BTreeMap::new();
        for (number, completed) in std::mem::take(&mut self.completed) {
            match (self.returned.remove(&completed.key), completed.carried) {
                (Some((code, text)), _) => {
                    self.under_way.remove(&completed.key);
                    settled.push((number, Outcome::Returned { code, text }));
                }
                // Nothing was left in lapin's queue, and our return would have been in it.
                (None, false) => settled.push((number, self.delivered(&completed))),
                (None, true) => drop(undecided.insert(number, completed)),
            }
        }
        if self.returned.is_empty() {
            // As many returned messages came out of lapin's queue as there were confirms, and all have
            // found their own. None is left in it.
            for (number, completed) in undecided {
                settled.push((number, self.delivered(&completed)));
            }
        } else {
            self.completed = undecided;
        }
        settled
    }

    /// Gives up on confirms that [`settle`](Self::settle) still holds: their channel is gone.
    pub fn abandon(&mut self) -> Vec<u64> {
        let undecided = std::mem::take(&mut self.completed);
        undecided.keys().for_each(|&number| self.forget(number));
        undecided.into_keys().collect()
    }

    fn delivered(&mut self, completed: &Completed) -> Outcome {
        self.under_way.remove(&completed.key);
        match completed.acked {
            true => Outcome::Confirmed,
            false => Outcome::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn key(number: u64) -> Key {
        let (exchange, routing_key) = (String::new(), "friend.x".to_owned());
        Key { exchange, routing_key, message_id: number.to_string() }
    }

    fn returned(number: u64) -> Return {
        Return { key: key(number), code: 312, text: "NO_ROUTE".to_owned() }
    }

    fn no_route() -> Outcome {
        Outcome::Returned { code: 312, text: "NO_ROUTE".to_owned() }
    }

    fn publish(count: u64) -> Confirms {
        let mut confirms = Confirms::default();
        (1..=count).for_each(|number| confirms.publish(number, key(number)));
        confirms
    }

    #[test]
    fn a_return_that_comes_with_another_confirm_finds_its_own() {
        // return 2, ack 1, ack 2
        let mut confirms = publish(2);
        confirms.complete(1, true, Some(returned(2)));
        assert_eq!(confirms.settle(), [], "a return of 1 may still be in lapin's queue");
        confirms.complete(2, true, None);
        assert_eq!(confirms.settle(), [(2, no_route()), (1, Outcome::Confirmed)]);
        assert!(confirms.under_way.is_empty());
    }

    #[test]
    fn a_return_that_waits_behind_another_is_waited_for() {
        // return 1, return 2, ack 2, ack 1
        let mut confirms = publish(2);
        confirms.complete(2, true, Some(returned(1)));
        assert_eq!(confirms.settle(), []);
        confirms.complete(1, true, Some(returned(2)));
        assert_eq!(confirms.settle(), [(1, no_route()), (2, no_route())]);
    }

    #[test]
    fn a_nack_is_a_refusal() {
        let mut confirms = publish(1);
        confirms.complete(1, false, None);
        assert_eq!(confirms.settle(), [(1, Outcome::Refused)]);
    }

    #[test]
    fn what_was_forgotten_is_not_settled_and_stray_returns_block_nothing() {
        let mut confirms = publish(2);
        confirms.forget(1);
        assert!(!confirms.is_under_way(&key(1)));
        confirms.complete(1, true, None);
        confirms.complete(2, true, Some(returned(9)));
        assert_eq!(confirms.settle(), [(2, Outcome::Confirmed)]);
    }

    #[test]
    fn what_cannot_be_decided_is_given_up_with_the_channel() {
        let mut confirms = publish(2);
        confirms.complete(1, true, Some(returned(2)));
        assert_eq!(confirms.settle(), []);
        confirms.forget(2);
        assert_eq!(confirms.abandon(), [1]);
        assert!(confirms.under_way.is_empty());
    }

    /// splitmix64
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) % bound as u64) as usize
        }
    }

    /// A broker that returns before it acks, in any order otherwise, one or many at a time, and lapin's
    /// queue of returned messages between it and us.
    #[test]
    fn every_message_gets_its_own_outcome_however_confirms_are_ordered() {
        for seed in 0..20_000 {
            let mut chance = Chance(seed);
            let count = 1 + chance.below(8) as u64;
            let unroutable: Vec<bool> = (0..=count).map(|_| chance.below(2) == 0).collect();
            let mut confirms = publish(count);
            let mut to_return: Vec<u64> = (1..=count).filter(|&n| unroutable[n as usize]).collect();
            let mut to_ack: Vec<u64> = (1..=count).collect();
            let mut lapin = VecDeque::new();
            let mut outcomes = BTreeMap::new();
            while !to_ack.is_empty() {
                if !to_return.is_empty() && chance.below(2) == 0 {
                    lapin.push_back(returned(to_return.remove(chance.below(to_return.len()))));
                    continue;
                }
                let mut ready: Vec<u64> = to_ack.iter().copied().filter(|n| !to_return.contains(n)).collect();
                for _ in 0..chance.below(ready.len() + 1) {
                    let number = ready.remove(chance.below(ready.len()));
                    to_ack.retain(|&n| n != number);
                    confirms.complete(number, true, lapin.pop_front());
                }
                outcomes.extend(confirms.settle());
            }
            for number in 1..=count {
                let expected = match unroutable[number as usize] {
                    true => no_route(),
                    false => Outcome::Confirmed,
                };
                assert_eq!(outcomes.get(&number), Some(&expected), "message {number}, seed {seed}");
            }
            assert!(confirms.under_way.is_empty() && confirms.returned.is_empty(), "seed {seed}");
        }
    }
}
