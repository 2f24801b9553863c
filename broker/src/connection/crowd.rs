//! Bounds the connections that have not said who they are. When there are too many, one goes: of those that come from
//! the address with the most of them, the one that has taken longest. Honest clients take milliseconds and are few to
//! an address, so a crowd of silent ones does not keep them out.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::auth::PeerKey;

/// Those that wait.
pub struct Crowd {
    places: usize,
    /// By address, then by age. Held to insert or remove one, and to look through the addresses when it is full.
    waiting: Mutex<HashMap<PeerKey, BTreeMap<u64, Arc<Notify>>>>,
}

/// A place in the crowd, until it is dropped.
pub struct Waiting {
    crowd: Arc<Crowd>,
    address: PeerKey,
    id: u64,
    pushed_out: Arc<Notify>,
}

impl Crowd {
    pub fn new(places: usize) -> Arc<Crowd> {
        Arc::new(Crowd { places, waiting: Mutex::default() })
    }

    /// `id` grows from one connection to the next.
    pub fn join(self: &Arc<Self>, id: u64, peer: IpAddr) -> Waiting {
        let (address, pushed_out) = (PeerKey::from(peer), Arc::new(Notify::new()));
        let mut waiting = self.waiting.lock();
        waiting.entry(address).or_default().insert(id, pushed_out.clone());
        let count: usize = waiting.values().map(BTreeMap::len).sum();
        let goes = if count > self.places { longest_of_the_most(&mut waiting) } else { None };
        drop(waiting);
        if let Some(goes) = goes {
            goes.notify_one();
        }
        Waiting { crowd: self.clone(), address, id, pushed_out }
    }
}

fn longest_of_the_most(waiting: &mut HashMap<PeerKey, BTreeMap<u64, Arc<Notify>>>) -> Option<Arc<Notify>> {
    let most = waiting.values_mut().max_by_key(|of_address| {
        let oldest = of_address.keys().next().copied().unwrap_or(u64::MAX);
        (of_address.len(), std::cmp::Reverse(oldest))
    });
    most?.pop_first().map(|(_, goes)| goes)
}

impl Waiting {
    /// For the one who is to resolve when its place is taken.
    pub fn pushed_out(&self) -> Arc<Notify> {
        self.pushed_out.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.crowd.waiting.lock();
        if let Some(of_address) = waiting.get_mut(&self.address) {
            of_address.remove(&self.id);
            if of_address.is_empty() {
                waiting.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[tokio::test]
    async fn the_one_that_has_taken_longest_goes() {
        let crowd = Crowd::new(2);
        let [first, second] = [1, 2].map(|id| crowd.join(id, address(id as u8)));
        let third = crowd.join(3, address(3));
        first.pushed_out().notified().await;
        drop(second);
        let fourth = crowd.join(4, address(4));
        let fifth = crowd.join(5, address(5));
        third.pushed_out().notified().await;
        drop((first, third, fourth, fifth));
        assert!(crowd.waiting.lock().is_empty());
    }

    #[tokio::test]
    async fn the_address_with_the_most_makes_room_for_others() {
        let crowd = Crowd::new(3);
        let honest = crowd.join(1, address(1));
        let silent = [2, 3, 4, 5].map(|id| crowd.join(id, address(2)));
        silent[0].pushed_out().notified().await;
        let other = crowd.join(6, address(3));
        silent[1].pushed_out().notified().await;
        silent[2].pushed_out().notified().await;
        let waiting = crowd.waiting.lock();
        assert!(waiting[&PeerKey::from(address(1))].contains_key(&honest.id));
        assert!(waiting[&PeerKey::from(address(3))].contains_key(&other.id));
    }
}
