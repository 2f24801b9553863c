//! A sum that all threads add to, without a cache line that all of them write.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// Twice as many as processors that a small machine has, and few enough to be added up at any time.
const STRIPES: usize = 16;

/// Where threads add, each to its own as long as there are not more of them.
static NEXT_STRIPE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Alone on the two cache lines that processors fetch together.
#[repr(align(128))]
struct Stripe(AtomicI64);

pub struct Striped([Stripe; STRIPES]);

impl Striped {
    pub const fn new() -> Striped {
        Striped([const { Stripe(AtomicI64::new(0)) }; STRIPES])
    }

    #[inline]
    pub fn add(&self, amount: u64) {
        self.mine().fetch_add(amount as i64, Ordering::Relaxed);
    }

    #[inline]
    pub fn remove(&self, amount: u64) {
        self.mine().fetch_sub(amount as i64, Ordering::Relaxed);
    }

    /// What was added and not removed. What changes meanwhile may be counted or not; what is removed by another thread
    /// than added it, even only the removal.
    pub fn sum(&self) -> u64 {
        let sum: i64 = self.0.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum();
        sum.max(0) as u64
    }

    #[inline]
    fn mine(&self) -> &AtomicI64 {
        let stripe = STRIPE.get();
        &self.0[if stripe < STRIPES { stripe } else { assign() }].0
    }
}

#[cold]
fn assign() -> usize {
    let stripe = NEXT_STRIPE.fetch_add(1, Ordering::Relaxed) % STRIPES;
    STRIPE.set(stripe);
    stripe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_thread_adds_another_may_remove() {
        let total = Striped::new();
        std::thread::scope(|scope| {
            for _ in 0..STRIPES + 3 {
                scope.spawn(|| (0..1000).for_each(|amount| total.add(amount)));
            }
        });
        let added = (STRIPES as u64 + 3) * 499_500;
        assert_eq!(total.sum(), added);
        std::thread::scope(|scope| {
            scope.spawn(|| total.remove(added - 7));
        });
        assert_eq!(total.sum(), 7);
        total.remove(8);
        assert_eq!(total.sum(), 0, "never less than nothing");
        total.add(3);
        assert_eq!(total.sum(), 2);
    }
}
