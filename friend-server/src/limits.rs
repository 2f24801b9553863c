//! How often each user may ask. Pure: the time comes in as `now`.
//!
//! Each limit is a token bucket, kept as the one instant at which it would be full again (GCRA, the
//! generic cell rate algorithm of ATM Forum TM 4.0). Memory is bounded: buckets live in two generations,
//! and when the young one is full the old one is forgotten. Who asks again moves to the young one, so
//! whoever presses against a limit is remembered.
//!
//! Every worker counts for itself; with several of them, users are allowed that many times as much.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use uuid::Uuid;

/// A burst, and one more each time `every` has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub burst: u32,
    pub every: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Friend requests and withdrawals of one user, to anybody.
    pub requests_per_sender: Rate,
    /// Friend requests of one user to the same other user.
    pub requests_per_pair: Rate,
    /// Questions of one user for the name of the inbox: one each time a client connects.
    pub hellos_per_sender: Rate,
    /// Users, and pairs of users, that are remembered at most, for each of the limits.
    pub buckets_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            requests_per_sender: Rate { burst: 20, every: Duration::from_secs(30) },
            requests_per_pair: Rate { burst: 5, every: Duration::from_secs(120) },
            hellos_per_sender: Rate { burst: 60, every: Duration::from_secs(1) },
            buckets_max: 100_000,
        }
    }
}

/// Not now, but after this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSoon {
    pub retry_after: Duration,
}

#[derive(Debug)]
pub struct Limits {
    settings: Settings,
    senders: Generations<String, Instant>,
    pairs: Generations<(String, String), Instant>,
    hellos: Generations<String, Instant>,
    /// Requests that were counted, so that a redelivery is not counted again.
    counted: Generations<(String, Uuid), ()>,
}

impl Limits {
    pub fn new(settings: Settings) -> Self {
        let max = settings.buckets_max;
        Self {
            settings,
            senders: Generations::new(max),
            pairs: Generations::new(max),
            hellos: Generations::new(max),
            counted: Generations::new(max),
        }
    }

    /// Whether request `id` was counted here already.
    pub fn was_counted(&self, sender: &str, id: Uuid) -> bool {
        self.counted.peek(&(sender.to_owned(), id)).is_some()
    }

    /// Counts friend request `id`, unless it is too soon; then nothing is counted.
    pub fn count_request(&mut self, sender: &str, to: &str, id: Uuid, now: Instant) -> Result<(), TooSoon> {
        let pair = (sender.to_owned(), to.to_owned());
        let (per_sender, per_pair) = (self.settings.requests_per_sender, self.settings.requests_per_pair);
        let sender_full_at = per_sender.take(self.senders.touch(sender).copied(), now)?;
        let pair_full_at = per_pair.take(self.pairs.touch(&pair).copied(), now)?;
        self.senders.insert(sender.to_owned(), sender_full_at);
        self.pairs.insert(pair, pair_full_at);
        self.counted.insert((sender.to_owned(), id), ());
        Ok(())
    }

    /// Counts something that is no friend request against the sender's requests.
    pub fn count_other(&mut self, sender: &str, id: Uuid, now: Instant) -> Result<(), TooSoon> {
        let rate = self.settings.requests_per_sender;
        let full_at = rate.take(self.senders.touch(sender).copied(), now)?;
        self.senders.insert(sender.to_owned(), full_at);
        self.counted.insert((sender.to_owned(), id), ());
        Ok(())
    }

    pub fn count_hello(&mut self, sender: &str, now: Instant) -> Result<(), TooSoon> {
        let rate = self.settings.hellos_per_sender;
        let full_at = rate.take(self.hellos.touch(sender).copied(), now)?;
        self.hellos.insert(sender.to_owned(), full_at);
        Ok(())
    }
}

impl Rate {
    /// Takes a token from the bucket that is full at `full_at`; gives when it is full again after that.
    fn take(self, full_at: Option<Instant>, now: Instant) -> Result<Instant, TooSoon> {
        let full_at = full_at.map_or(now, |at| at.max(now)) + self.every;
        let missing = full_at.duration_since(now);
        match missing.checked_sub(self.every * self.burst) {
            None | Some(Duration::ZERO) => Ok(full_at),
            Some(retry_after) => Err(TooSoon { retry_after }),
        }
    }
}

/// A map of at most `max` entries that forgets what was not touched or inserted for a while.
#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    young_max: usize,
}

impl<K: Hash + Eq, V> Generations<K, V> {
    fn new(max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_max: (max / 2).max(1) }
    }

    fn peek<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Like [`peek`](Self::peek), and keeps the entry for longer.
    fn touch<Q: Hash + Eq + ToOwned<Owned = K> + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        if let Some(value) = self.old.remove(key) {
            self.insert(key.to_owned(), value);
        }
        self.young.get(key)
    }

    fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.young_max && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn limits() -> Limits {
        Limits::new(Settings {
            requests_per_sender: Rate { burst: 3, every: S(10) },
            requests_per_pair: Rate { burst: 2, every: S(60) },
            hellos_per_sender: Rate { burst: 1, every: S(1) },
            buckets_max: 8,
        })
    }

    fn ask(limits: &mut Limits, to: &str, now: Instant) -> Option<u64> {
        let counted = limits.count_request("alice", to, Uuid::new_v4(), now);
        counted.err().map(|too_soon| too_soon.retry_after.as_secs())
    }

    #[test]
    fn a_burst_then_one_each_interval() {
        let (mut limits, start) = (limits(), Instant::now());
        for to in ["b", "c", "d"] {
            assert_eq!(ask(&mut limits, to, start), None, "{to}");
        }
        assert_eq!(ask(&mut limits, "e", start), Some(10));
        assert_eq!(ask(&mut limits, "e", start + S(9)), Some(1));
        assert_eq!(ask(&mut limits, "e", start + S(10)), None);
        assert_eq!(ask(&mut limits, "f", start + S(10)), Some(10));
        for to in ["f", "g", "h"] {
            assert_eq!(ask(&mut limits, to, start + S(1000)), None, "full again, and not fuller");
        }
        assert_eq!(ask(&mut limits, "i", start + S(1000)), Some(10));
    }

    #[test]
    fn pairs_have_their_own_limit_and_a_refusal_costs_nothing() {
        let (mut limits, start) = (limits(), Instant::now());
        assert_eq!(ask(&mut limits, "bob", start), None);
        assert_eq!(ask(&mut limits, "bob", start), None);
        assert_eq!(ask(&mut limits, "bob", start), Some(60));
        assert_eq!(ask(&mut limits, "carol", start), None, "the refusal took no token of the sender");
        assert_eq!(ask(&mut limits, "bob", start + S(59)), Some(1));
        assert_eq!(ask(&mut limits, "bob", start + S(60)), None);
    }

    #[test]
    fn senders_do_not_share() {
        let (mut limits, now) = (limits(), Instant::now());
        assert!(limits.count_hello("alice", now).is_ok());
        assert!(limits.count_hello("alice", now).is_err());
        assert!(limits.count_hello("bob", now).is_ok());
    }

    #[test]
    fn counted_requests_are_remembered_by_sender() {
        let (mut limits, now, id) = (limits(), Instant::now(), Uuid::new_v4());
        limits.count_request("alice", "bob", id, now).unwrap();
        assert!(limits.was_counted("alice", id));
        assert!(!limits.was_counted("mallory", id));
    }

    #[test]
    fn memory_is_bounded_and_who_presses_on_is_remembered() {
        let (mut limits, now) = (limits(), Instant::now());
        limits.count_hello("mallory", now).unwrap();
        for n in 0..1000 {
            limits.count_hello(&format!("user{n}"), now).unwrap();
            if n % 3 == 0 {
                assert!(limits.count_hello("mallory", now).is_err(), "forgotten at {n}");
            }
            assert!(limits.hellos.young.len() + limits.hellos.old.len() <= 8);
        }
        assert!(limits.count_hello("user0", now).is_ok(), "forgotten, as room is short");
    }
}
