//! How much clients may make the broker write to its log by what they do wrong.
//!
//! Every connection that fails is worth a line; a flood of them is not worth a full disk. So many lines a minute are
//! written for one address, ten times as many for all; the rest is counted.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::auth::PeerKey;

const MINUTE: Duration = Duration::from_secs(60);

/// Of the allowance of one address.
const ALL_FACTOR: u32 = 10;

/// Remembered at once; more of them than this share what is left of the allowance for all.
const ADDRESSES_MAX: usize = 1024;

pub struct ClientLog {
    /// 0: no limit.
    per_address: u32,
    /// Held for a look-up.
    state: Mutex<State>,
}

struct State {
    minute_began: Instant,
    addresses: HashMap<PeerKey, u32>,
    all: u32,
    left_out: u64,
    /// Of the last line left out.
    last: Option<SocketAddr>,
}

impl ClientLog {
    pub fn new(lines_per_minute_max: u32) -> ClientLog {
        ClientLog { per_address: lines_per_minute_max, state: Mutex::new(State::begin(Instant::now())) }
    }

    /// Whether a line about this client may be written. Those that may not are counted, and the count is written when
    /// their minute is over.
    pub fn admits(&self, peer: SocketAddr) -> bool {
        let (admitted, summary) = self.admit(peer, Instant::now());
        if let Some(summary) = summary {
            tracing::warn!("{summary}");
        }
        admitted
    }

    /// Writes the count of a minute that is over. To be called now and then, for when no further line comes.
    pub fn report(&self) {
        let summary = self.state.lock().roll(Instant::now());
        if let Some(summary) = summary {
            tracing::warn!("{summary}");
        }
    }

    fn admit(&self, peer: SocketAddr, now: Instant) -> (bool, Option<String>) {
        if self.per_address == 0 {
            return (true, None);
        }
        let mut state = self.state.lock();
        let summary = state.roll(now);
        let admitted = state.take(peer.ip(), self.per_address);
        if !admitted {
            state.left_out += 1;
            state.last = Some(peer);
        }
        (admitted, summary)
    }
}

impl State {
    fn begin(now: Instant) -> State {
        State { minute_began: now, addresses: HashMap::new(), all: 0, left_out: 0, last: None }
    }

    /// Begins a new minute when the last one is over; what is to be said of it.
    fn roll(&mut self, now: Instant) -> Option<String> {
        if now.saturating_duration_since(self.minute_began) < MINUTE {
            return None;
        }
        let over = std::mem::replace(self, State::begin(now));
        let last = over.last?;
        Some(format!(
            "{} lines about clients that fail were left out within a minute, the last one about {last} \
             (limits.client_log_lines_per_minute_max)",
            over.left_out
        ))
    }

    fn take(&mut self, address: IpAddr, per_address: u32) -> bool {
        if self.all >= per_address.saturating_mul(ALL_FACTOR) {
            return false;
        }
        let key = PeerKey::from(address);
        if self.addresses.len() < ADDRESSES_MAX || self.addresses.contains_key(&key) {
            let lines = self.addresses.entry(key).or_default();
            if *lines >= per_address {
                return false;
            }
            *lines += 1;
        }
        self.all += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 5000))
    }

    fn admitted(log: &ClientLog, peer: SocketAddr, tries: usize, now: Instant) -> usize {
        (0..tries).filter(|_| log.admit(peer, now).0).count()
    }

    #[test]
    fn an_address_has_so_many_lines_a_minute() {
        let log = ClientLog::new(3);
        let now = Instant::now();
        assert_eq!(admitted(&log, peer(1), 5, now), 3);
        assert_eq!(admitted(&log, peer(2), 5, now), 3);
        assert_eq!(admitted(&log, peer(1), 5, now + Duration::from_secs(59)), 0);
        let (admitted, summary) = log.admit(peer(1), now + Duration::from_secs(61));
        assert!(admitted);
        let summary = summary.unwrap();
        assert!(summary.starts_with("9 lines ") && summary.contains("192.0.2.1:5000"), "{summary}");
        assert_eq!(log.admit(peer(1), now + Duration::from_secs(200)), (true, None), "nothing was left out");
    }

    #[test]
    fn all_together_have_ten_times_as_many() {
        let log = ClientLog::new(3);
        let now = Instant::now();
        let lines: usize = (0..100).map(|last| admitted(&log, peer(last), 5, now)).sum();
        assert_eq!(lines, 30);
    }

    #[test]
    fn the_memory_for_addresses_is_bounded() {
        let log = ClientLog::new(1000);
        let now = Instant::now();
        for n in 0..3000u32 {
            log.admit(SocketAddr::from((n.to_be_bytes(), 1)), now);
        }
        assert_eq!(log.state.lock().addresses.len(), ADDRESSES_MAX);
    }

    #[test]
    fn no_limit_is_no_limit() {
        let log = ClientLog::new(0);
        assert_eq!(admitted(&log, peer(1), 10_000, Instant::now()), 10_000);
    }
}
