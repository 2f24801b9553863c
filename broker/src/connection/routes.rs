//! A connection's memory of where exchange and routing key lead, so that publishing takes no topology lock, and of
//! what was permitted for routes that cannot be remembered.

use std::ops::Deref;
use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};

use crate::amqp::PublishArgs;
use crate::queue::Queue;

/// Entries kept.
const ENTRIES_MAX: usize = 1024;

/// From so many entries on it is worth the while to look ahead.
const MANY: usize = 256;

/// So many that found no room make the cache start over: by then others may be in use. Who publishes by more keys in turn
/// than there is room for would else fill and empty it all the time.
const TURNED_AWAY_MAX: usize = 32 * ENTRIES_MAX;

/// The queues a message goes to. One queue is how it nearly always is, and needs no allocation.
#[derive(Clone)]
pub enum Route {
    To(Option<Arc<Queue>>),
    ToAll(Arc<[Arc<Queue>]>),
}

impl Route {
    /// Empties `queues`.
    pub fn take(queues: &mut Vec<Arc<Queue>>) -> Route {
        match queues.len() {
            0 | 1 => Route::To(queues.pop()),
            _ => Route::ToAll(queues.drain(..).collect()),
        }
    }
}

impl Deref for Route {
    type Target = [Arc<Queue>];

    #[inline]
    fn deref(&self) -> &[Arc<Queue>] {
        match self {
            Route::To(queue) => queue.as_slice(),
            Route::ToAll(queues) => queues,
        }
    }
}

/// Entries hold while neither the vhost's topology nor any permission has changed.
#[derive(Default)]
pub struct RouteCache {
    topology_version: u64,
    permission_revision: u64,
    routes: HashMap<Key, Route>,
    turned_away: usize,
    /// An exchange that the user may write to.
    writable: Option<Box<str>>,
}

/// Exchange and routing key as they stand at the head of a message's block.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    exchange_len: u8,
    address: Box<[u8]>,
}

#[derive(Hash)]
struct KeyRef<'a> {
    exchange_len: u8,
    address: &'a [u8],
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.exchange_len == key.exchange_len && *self.address == *key.address
    }
}

impl RouteCache {
    /// Forgets everything if something has changed since.
    pub fn refresh(&mut self, topology_version: u64, permission_revision: u64) {
        if self.topology_version != topology_version || self.permission_revision != permission_revision {
            self.topology_version = topology_version;
            self.permission_revision = permission_revision;
            self.routes.clear();
            self.writable = None;
        }
    }

    /// Whether the user is known to be allowed to write to the exchange.
    pub fn is_writable(&self, exchange: &str) -> bool {
        self.writable.as_deref() == Some(exchange)
    }

    pub fn set_writable(&mut self, exchange: &str) {
        self.writable = Some(exchange.into());
    }

    /// Whether so many places are published to that they are unlikely to be in the processor's cache.
    #[inline]
    pub fn are_many(&self) -> bool {
        self.routes.len() >= MANY
    }

    /// Whether there is no room for all of them.
    #[inline]
    pub fn are_too_many(&self) -> bool {
        self.turned_away > 0
    }

    /// What is remembered of where a message goes that is still to be checked.
    pub fn peek(&self, publish: &PublishArgs<'_>) -> Option<&Route> {
        let (exchange, key) = (publish.exchange.as_bytes(), publish.routing_key.as_bytes());
        if exchange.is_empty() {
            return self.get(0, key);
        }
        // Both are short strings.
        let mut address = [0; 2 * u8::MAX as usize];
        let len = exchange.len() + key.len();
        address[..exchange.len()].copy_from_slice(exchange);
        address[exchange.len()..len].copy_from_slice(key);
        self.get(exchange.len() as u8, &address[..len])
    }

    pub fn get(&self, exchange_len: u8, address: &[u8]) -> Option<&Route> {
        self.routes.get(&KeyRef { exchange_len, address })
    }

    /// The route to these queues, remembered if there is room. Empties `queues`.
    pub fn keep(&mut self, exchange_len: u8, address: &[u8], queues: &mut Vec<Arc<Queue>>) -> Route {
        let route = Route::take(queues);
        if self.turns_away() {
            return route;
        }
        self.routes.insert(Key { exchange_len, address: address.into() }, route.clone());
        route
    }

    fn turns_away(&mut self) -> bool {
        if self.routes.len() < ENTRIES_MAX {
            return false;
        }
        self.turned_away += 1;
        if self.turned_away < TURNED_AWAY_MAX {
            return true;
        }
        self.turned_away = 0;
        self.routes.clear();
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(cache: &mut RouteCache, number: usize) {
        cache.keep(0, number.to_string().as_bytes(), &mut Vec::new());
    }

    fn has(cache: &RouteCache, number: usize) -> bool {
        cache.get(0, number.to_string().as_bytes()).is_some()
    }

    #[test]
    fn a_full_cache_keeps_what_it_has_until_many_were_turned_away() {
        let mut cache = RouteCache::default();
        (0..ENTRIES_MAX).for_each(|number| insert(&mut cache, number));
        let late = ENTRIES_MAX..ENTRIES_MAX + TURNED_AWAY_MAX;
        for number in late.clone() {
            assert!(has(&cache, 0) && !has(&cache, number));
            insert(&mut cache, number);
        }
        assert!(!has(&cache, 0) && has(&cache, late.end - 1));
    }

    #[test]
    fn a_changed_topology_or_permission_forgets_all() {
        for changed in [(1, 0), (0, 1)] {
            let mut cache = RouteCache::default();
            insert(&mut cache, 7);
            cache.refresh(0, 0);
            assert!(has(&cache, 7));
            cache.refresh(changed.0, changed.1);
            assert!(!has(&cache, 7));
        }
    }
}
