//! How long to wait before connecting again: exponential with full jitter, so that the clients of a
//! broker that comes back do not all arrive at once. Pure: time and chance come in as arguments.

use std::time::{Duration, Instant};

/// Delays between attempts. `Default` suits interactive clients and workers alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The longest delay before the second attempt; it doubles with each attempt after that.
    pub first: Duration,
    /// No delay is longer than this.
    pub max: Duration,
    /// A connection that lasted at least this long starts the delays from the beginning again.
    pub stable_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            max: Duration::from_secs(30),
            stable_after: Duration::from_secs(10),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Backoff {
    settings: Settings,
    failures: u32,
    connected_at: Option<Instant>,
}

impl Backoff {
    pub fn new(settings: Settings) -> Self {
        Self { settings, failures: 0, connected_at: None }
    }

    /// Attempts that failed, or connections lost before they were stable, in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Call when a connection is established.
    pub fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
    }

    /// Call when an attempt failed or a connection was lost. Returns how long to wait before the next
    /// attempt: anything from nothing to the current ceiling, as `random` decides.
    pub fn failed(&mut self, now: Instant, random: u64) -> Duration {
        let stable = |since: Instant| now.saturating_duration_since(since) >= self.settings.stable_after;
        if self.connected_at.take().is_some_and(stable) {
            self.failures = 0;
        }
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        jitter(ceiling, random)
    }

    fn ceiling(&self) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.settings.first.saturating_mul(factor).min(self.settings.max)
    }
}

fn jitter(ceiling: Duration, random: u64) -> Duration {
    let ceiling_us = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX);
    // Multiply and shift, instead of a remainder, keeps the distribution even.
    let us = (u128::from(random) * (u128::from(ceiling_us) + 1)) >> 64;
    Duration::from_micros(u64::try_from(us).unwrap_or(u64::MAX))
}

/// A random number for [`Backoff::failed`].
pub fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // Each `RandomState` has fresh keys, seeded by the operating system.
    RandomState::new().hash_one(uuid::Uuid::new_v4().as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn backoff() -> Backoff {
        Backoff::new(Settings { first: MS(100), max: MS(1000), stable_after: MS(5000) })
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum_and_stays_there() {
        let (mut backoff, now) = (backoff(), Instant::now());
        let delays: Vec<_> = (0..6).map(|_| backoff.failed(now, u64::MAX)).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000].map(MS));
        for _ in 0..100 {
            assert_eq!(backoff.failed(now, u64::MAX), MS(1000));
        }
    }

    #[test]
    fn jitter_spans_the_whole_range() {
        let now = Instant::now();
        assert_eq!(backoff().failed(now, 0), Duration::ZERO);
        assert_eq!(backoff().failed(now, u64::MAX / 2), MS(50));
        assert_eq!(backoff().failed(now, u64::MAX), MS(100));
    }

    #[test]
    fn only_a_stable_connection_resets_the_delays() {
        let (mut backoff, start) = (backoff(), Instant::now());
        backoff.failed(start, 0);
        backoff.failed(start, 0);
        backoff.connected(start);
        assert_eq!(backoff.failed(start + MS(4999), u64::MAX), MS(400), "lost too soon");
        backoff.connected(start);
        assert_eq!(backoff.failed(start + MS(5000), u64::MAX), MS(100), "lasted");
        assert_eq!(backoff.failures(), 1);
    }

    #[test]
    fn random_numbers_differ() {
        assert_ne!(random(), random());
    }
}
