//! How many there are of something, and how many there may be. Pure.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// No limit.
const UNLIMITED: i64 = -1;

/// Counts seats taken. The limit may change at any time; who has a seat keeps it.
#[derive(Debug)]
pub struct Capacity {
    taken: AtomicUsize,
    max: AtomicI64,
}

/// Frees its place when it is dropped.
#[derive(Debug)]
pub struct Seat(Arc<Capacity>);

/// All seats are taken; so many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full(pub u64);

impl Default for Capacity {
    fn default() -> Capacity {
        Capacity { taken: AtomicUsize::new(0), max: AtomicI64::new(UNLIMITED) }
    }
}

impl Capacity {
    pub fn take(self: &Arc<Self>) -> Result<Seat, Full> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(self.clone());
        self.check(before)?;
        Ok(seat)
    }

    /// Whether there may be one more where `count` are.
    pub fn check(&self, count: usize) -> Result<(), Full> {
        match self.max() {
            Some(max) if count as u64 >= max => Err(Full(max)),
            _ => Ok(()),
        }
    }

    /// `None`: no limit.
    pub fn set_max(&self, max: Option<u64>) {
        let max = max.map_or(UNLIMITED, |max| i64::try_from(max).unwrap_or(i64::MAX));
        self.max.store(max, Ordering::Relaxed);
    }

    pub fn max(&self) -> Option<u64> {
        u64::try_from(self.max.load(Ordering::Relaxed)).ok()
    }

    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_taken_until_there_are_none_and_come_back() {
        let capacity = Arc::new(Capacity::default());
        let first = capacity.take().expect("no limit");
        capacity.set_max(Some(2));
        let second = capacity.take().expect("a second");
        assert_eq!(capacity.take().expect_err("full"), Full(2));
        assert_eq!(capacity.taken(), 2, "who was refused takes no seat");
        drop(first);
        let third = capacity.take().expect("one is free again");
        capacity.set_max(Some(0));
        drop((second, third));
        assert_eq!(capacity.take().expect_err("none at all"), Full(0));
        capacity.set_max(None);
        assert_eq!(capacity.max(), None);
        capacity.take().expect("no limit any more");
    }
}
