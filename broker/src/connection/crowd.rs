//! Bounds the connections that have not said who they are: when there are too many, the one that has taken longest
//! goes. Honest clients take milliseconds, so a crowd of silent ones does not keep them out.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Those that wait, by age.
pub struct Crowd {
    places: usize,
    /// Held to insert or remove one.
    waiting: Mutex<BTreeMap<u64, Arc<Notify>>>,
}

/// A place in the crowd, until it is dropped.
pub struct Waiting {
    crowd: Arc<Crowd>,
    id: u64,
    pushed_out: Arc<Notify>,
}

impl Crowd {
    pub fn new(places: usize) -> Arc<Crowd> {
        Arc::new(Crowd { places, waiting: Mutex::default() })
    }

    /// `id` grows from one connection to the next.
    pub fn join(self: &Arc<Self>, id: u64) -> Waiting {
        let pushed_out = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock();
        waiting.insert(id, pushed_out.clone());
        let oldest = if waiting.len() > self.places { waiting.pop_first() } else { None };
        drop(waiting);
        if let Some((_, oldest)) = oldest {
            oldest.notify_one();
        }
        Waiting { crowd: self.clone(), id, pushed_out }
    }
}

impl Waiting {
    /// For the one who is to resolve when its place is taken.
    pub fn pushed_out(&self) -> Arc<Notify> {
        self.pushed_out.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.crowd.waiting.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_one_that_has_taken_longest_goes() {
        let crowd = Crowd::new(2);
        let [first, second] = [1, 2].map(|id| crowd.join(id));
        let third = crowd.join(3);
        first.pushed_out().notified().await;
        drop(second);
        let fourth = crowd.join(4);
        assert_eq!(crowd.waiting.lock().len(), 2);
        let fifth = crowd.join(5);
        third.pushed_out().notified().await;
        drop((first, third, fourth, fifth));
        assert!(crowd.waiting.lock().is_empty());
    }
}
