//! How much there is of some kind of messages. Pure.

use super::Entry;

/// So many messages, and the bytes of their bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub count: usize,
    pub bytes: u64,
}

impl Tally {
    #[inline]
    pub fn add(&mut self, body_len: u32) {
        self.count += 1;
        self.bytes += u64::from(body_len);
    }

    #[inline]
    pub fn remove(&mut self, body_len: u32) {
        self.count -= 1;
        self.bytes -= u64::from(body_len);
    }
}

impl std::ops::Add for Tally {
    type Output = Tally;

    fn add(self, other: Tally) -> Tally {
        Tally { count: self.count + other.count, bytes: self.bytes + other.bytes }
    }
}

/// What is handed out and not settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HandedOut {
    pub bytes: u64,
    /// Of persistent messages in a durable queue.
    pub stored: Tally,
    /// Whose bodies are in memory.
    pub in_memory: Tally,
}

impl HandedOut {
    #[inline]
    pub fn add(&mut self, entry: &Entry) {
        self.bytes += u64::from(entry.body_len);
        if entry.stored {
            self.stored.add(entry.body_len);
        }
        if !entry.is_from_disk() {
            self.in_memory.add(entry.body_len);
        }
    }

    #[inline]
    pub fn remove(&mut self, entry: &Entry) {
        self.bytes -= u64::from(entry.body_len);
        if entry.stored {
            self.stored.remove(entry.body_len);
        }
        if !entry.is_from_disk() {
            self.in_memory.remove(entry.body_len);
        }
    }
}
