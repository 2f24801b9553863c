//! Bounds on what one peer may try: a growing pause after failed logins, and a quota for sign-ups. Pure: time comes
//! in as `now`.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Where a connection comes from, as far as limits tell peers apart: an IPv4 address, or the /64 of an IPv6
/// address, which is what one subscriber gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerKey(IpAddr);

impl From<IpAddr> for PeerKey {
    fn from(address: IpAddr) -> PeerKey {
        PeerKey(match address.to_canonical() {
            IpAddr::V6(address) => {
                let subnet = Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX));
                // `::1` would become `::`; it is a single host in any case.
                IpAddr::V6(if address.is_loopback() { address } else { subnet })
            }
            address => address,
        })
    }
}

/// When pauses begin and how they grow.
#[derive(Clone, Copy, Debug)]
pub struct BackoffPolicy {
    /// Failures without a pause.
    pub free: u32,
    /// The pause after the next one; it doubles with each further failure.
    pub first: Duration,
    pub longest: Duration,
    /// After this long without a failure all is forgotten.
    pub forget: Duration,
    /// Keys remembered; beyond it the one that failed least recently is forgotten.
    pub keys_max: usize,
}

/// Counts failures by key and says how long a key has to pause.
#[derive(Debug)]
pub struct Backoff<K> {
    policy: BackoffPolicy,
    failures: HashMap<K, Failures>,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl<K: Hash + Eq + Clone> Backoff<K> {
    pub fn new(policy: BackoffPolicy) -> Backoff<K> {
        Backoff { policy, failures: HashMap::new() }
    }

    /// How long `key` still has to pause; `None`: it may try.
    pub fn pause(&self, key: &K, now: Instant) -> Option<Duration> {
        let failures = self.failures.get(key)?;
        let elapsed = now.saturating_duration_since(failures.last);
        let pause = self.pause_after(failures.count);
        (elapsed < pause).then(|| pause - elapsed)
    }

    pub fn failed(&mut self, key: K, now: Instant) {
        if let Some(failures) = self.failures.get_mut(&key) {
            let forgotten = now.saturating_duration_since(failures.last) >= self.policy.forget;
            failures.count = if forgotten { 1 } else { failures.count.saturating_add(1) };
            failures.last = now;
            return;
        }
        make_room(&mut self.failures, self.policy.keys_max, |failures| failures.last);
        self.failures.insert(key, Failures { count: 1, last: now });
    }

    pub fn succeeded(&mut self, key: &K) {
        self.failures.remove(key);
    }

    fn pause_after(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.policy.free + 1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
                self.policy.first.saturating_mul(factor).min(self.policy.longest)
            }
        }
    }
}

/// So many an hour for each key, all of them at once if need be.
#[derive(Debug)]
pub struct Quota<K> {
    /// 0: no limit.
    per_hour: u32,
    keys_max: usize,
    used: HashMap<K, Used>,
}

#[derive(Debug)]
struct Used {
    /// How much is used up at `since`; it shrinks as time passes.
    amount: f64,
    since: Instant,
}

impl<K: Hash + Eq + Clone> Quota<K> {
    pub fn new(per_hour: u32, keys_max: usize) -> Quota<K> {
        Quota { per_hour, keys_max, used: HashMap::new() }
    }

    /// Takes one.
    ///
    /// Errors: how long until the next one, when none is left.
    pub fn take(&mut self, key: K, now: Instant) -> Result<(), Duration> {
        if self.per_hour == 0 {
            return Ok(());
        }
        let per_second = f64::from(self.per_hour) / 3600.0;
        if !self.used.contains_key(&key) {
            make_room(&mut self.used, self.keys_max, |used| used.since);
        }
        let used = self.used.entry(key).or_insert(Used { amount: 0.0, since: now });
        let regained = now.saturating_duration_since(used.since).as_secs_f64() * per_second;
        used.amount = (used.amount - regained).max(0.0);
        used.since = now;
        let over = used.amount + 1.0 - f64::from(self.per_hour);
        if over > 1e-9 {
            return Err(Duration::from_secs_f64(over / per_second));
        }
        used.amount += 1.0;
        Ok(())
    }
}

/// Drops the entry with the earliest time when the map is full. Linear, but only a flood of peers fills it, and each
/// of its entries cost a password check.
fn make_room<K: Hash + Eq + Clone, V>(map: &mut HashMap<K, V>, keys_max: usize, time: fn(&V) -> Instant) {
    if map.len() < keys_max {
        return;
    }
    if let Some(oldest) = map.iter().min_by_key(|(_, value)| time(value)).map(|(key, _)| key.clone()) {
        map.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BackoffPolicy = BackoffPolicy {
        free: 2,
        first: Duration::from_secs(1),
        longest: Duration::from_secs(10),
        forget: Duration::from_secs(100),
        keys_max: 3,
    };

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new(POLICY);
        let mut now = Instant::now();
        for expected in [None, None, Some(1), Some(2), Some(4), Some(8), Some(10), Some(10)] {
            backoff.failed("a", now);
            assert_eq!(backoff.pause(&"a", now), expected.map(secs));
            assert_eq!(backoff.pause(&"b", now), None);
            let pause = secs(expected.unwrap_or(0));
            now += pause;
            assert_eq!(backoff.pause(&"a", now), None, "over after {pause:?}");
        }
    }

    #[test]
    fn a_pause_runs_down() {
        let mut backoff = Backoff::new(POLICY);
        let now = Instant::now();
        for _ in 0..4 {
            backoff.failed("a", now);
        }
        assert_eq!(backoff.pause(&"a", now + Duration::from_millis(500)), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn no_number_of_failures_overflows() {
        let mut backoff = Backoff::new(POLICY);
        let now = Instant::now();
        for _ in 0..100 {
            backoff.failed("a", now);
        }
        assert_eq!(backoff.pause(&"a", now), Some(secs(10)));
    }

    #[test]
    fn success_and_time_make_it_forget() {
        let mut backoff = Backoff::new(POLICY);
        let now = Instant::now();
        for key in ["a", "b"] {
            for _ in 0..5 {
                backoff.failed(key, now);
            }
        }
        backoff.succeeded(&"a");
        assert_eq!(backoff.pause(&"a", now), None);
        backoff.failed("a", now);
        assert_eq!(backoff.pause(&"a", now), None, "the count starts again");

        backoff.failed("b", now + secs(99));
        assert!(backoff.pause(&"b", now + secs(99)).is_some());
        backoff.failed("b", now + secs(199));
        assert_eq!(backoff.pause(&"b", now + secs(199)), None);
    }

    #[test]
    fn the_key_that_failed_least_recently_makes_room() {
        let mut backoff = Backoff::new(BackoffPolicy { free: 0, ..POLICY });
        let now = Instant::now();
        for (key, at) in [("a", 0), ("b", 1), ("c", 2), ("a", 3), ("d", 4)] {
            backoff.failed(key, now + Duration::from_millis(at));
        }
        let paused = |key| backoff.pause(&key, now + Duration::from_millis(5)).is_some();
        assert_eq!(["a", "b", "c", "d"].map(paused), [true, false, true, true]);
    }

    #[test]
    fn a_quota_is_used_up_and_regained() {
        let mut quota = Quota::new(60, 10);
        let now = Instant::now();
        for _ in 0..60 {
            assert_eq!(quota.take("a", now), Ok(()));
        }
        let wait = quota.take("a", now).unwrap_err();
        assert!(wait.abs_diff(secs(60)) < Duration::from_millis(1), "{wait:?}");
        assert_eq!(quota.take("b", now), Ok(()));
        assert!(quota.take("a", now + secs(59)).is_err());
        assert_eq!(quota.take("a", now + secs(60)), Ok(()), "asking too early costs nothing");
        assert!(quota.take("a", now + secs(60)).is_err());
        for _ in 0..60 {
            assert_eq!(quota.take("a", now + secs(10_000)), Ok(()));
        }
        assert!(quota.take("a", now + secs(10_000)).is_err(), "no more than an hour's worth is saved up");
    }

    #[test]
    fn a_quota_of_zero_is_no_limit() {
        let mut quota = Quota::new(0, 10);
        let now = Instant::now();
        assert!((0..10_000).all(|_| quota.take("a", now).is_ok()));
    }

    #[test]
    fn a_quota_remembers_so_many_keys() {
        let mut quota = Quota::new(1, 2);
        let now = Instant::now();
        for (key, at) in [("a", 0), ("b", 1), ("c", 2)] {
            assert!(quota.take(key, now + Duration::from_millis(at)).is_ok());
        }
        assert_eq!(quota.used.len(), 2);
        assert!(quota.take("c", now + secs(1)).is_err());
    }

    #[test]
    fn peers_are_told_apart_by_subscriber() {
        let key = |text: &str| PeerKey::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_ne!(key("::1"), key("::2"));
    }
}
