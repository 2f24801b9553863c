//! A connection's memory of where exchange and routing key lead, so that publishing takes no topology lock, and of
//! what was permitted for routes that cannot be remembered.

use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};

use crate::amqp::PublishArgs;
use crate::queue::Queue;

use super::latest::Latest;

/// Entries kept.
const ENTRIES_MAX: usize = 1024;

/// Queues in all entries together, each 8 bytes: a thousand keys of a fanout exchange with ten thousand queues are not to
/// take 80 MB.
const QUEUES_MAX: usize = 64 << 10;

/// Longer header tables are looked at each time: they are likely to be different each time, too.
const HEADERS_KEPT_BYTES_MAX: usize = 128;

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

/// Where a message is published to: exchange and routing key as they stand at the head of its block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    pub exchange_len: u8,
    pub octets: &'a [u8],
}

/// What is remembered of an address.
enum Known {
    To(Route),
    /// It depends on the headers.
    ByHeaders,
}

/// Entries hold while neither the vhost's topology nor any permission has changed.
#[derive(Default)]
pub struct RouteCache {
    topology_version: u64,
    permission_revision: u64,
    routes: HashMap<Key, Known>,
    /// By address and headers.
    by_headers: HashMap<Key, Route>,
    /// Queues in both.
    queues: usize,
    turned_away: usize,
    latest: Latest,
    /// An exchange that the user may write to.
    writable: Option<Box<str>>,
}

/// An address, and the headers behind it where they are part of the question.
#[derive(PartialEq, Eq)]
struct Key {
    exchange_len: u8,
    address_len: u16,
    octets: Box<[u8]>,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (address, headers) = self.octets.split_at(usize::from(self.address_len));
        KeyRef { address: Address { exchange_len: self.exchange_len, octets: address }, headers }.hash(state);
    }
}

struct KeyRef<'a> {
    address: Address<'a>,
    headers: &'a [u8],
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.address.exchange_len);
        state.write(self.address.octets);
        if !self.headers.is_empty() {
            state.write(self.headers);
        }
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        let (address, headers) = key.octets.split_at(usize::from(key.address_len));
        self.address == Address { exchange_len: key.exchange_len, octets: address }
            && *self.headers == *headers
    }
}

impl KeyRef<'_> {
    fn to_key(&self) -> Key {
        Key {
            exchange_len: self.address.exchange_len,
            // Of two short strings.
            address_len: self.address.octets.len() as u16,
            octets: [self.address.octets, self.headers].concat().into(),
        }
    }
}

impl RouteCache {
    /// Forgets everything if something has changed since.
    pub fn refresh(&mut self, topology_version: u64, permission_revision: u64) {
        if self.topology_version != topology_version || self.permission_revision != permission_revision {
            self.topology_version = topology_version;
            self.permission_revision = permission_revision;
            self.turned_away = 0;
            self.clear();
            self.latest.forget();
            self.writable = None;
        }
    }

    fn clear(&mut self) {
        self.routes.clear();
        self.by_headers.clear();
        self.queues = 0;
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
        let (exchange, key) = (publish.exchange, publish.routing_key);
        // Both are short strings.
        let mut joined = [0; 2 * u8::MAX as usize];
        let octets = match exchange.len() {
            0 => key,
            len => {
                joined[..len].copy_from_slice(exchange);
                joined[len..len + key.len()].copy_from_slice(key);
                &joined[..len + key.len()]
            }
        };
        match self.get(Address { exchange_len: exchange.len() as u8, octets })? {
            Known::To(route) => Some(route),
            Known::ByHeaders => None,
        }
    }

    /// Where a message goes, if that is remembered. `headers` is asked where it depends on them.
    #[inline]
    pub fn find<'h>(&mut self, address: Address<'_>, headers: impl Fn() -> &'h [u8]) -> Option<Route> {
        if let Some(route) = self.latest.get(address, &headers) {
            return Some(route.clone());
        }
        let (headers, route) = match self.get(address)? {
            Known::To(route) => (None, route.clone()),
            Known::ByHeaders => (Some(headers()), self.get_by_headers(address, headers())?.clone()),
        };
        self.latest.note(address, headers, &route);
        Some(route)
    }

    #[inline]
    fn get(&self, address: Address<'_>) -> Option<&Known> {
        self.routes.get(&KeyRef { address, headers: &[] })
    }

    /// Where a message with these headers goes, if that is remembered. Without any and with an empty table are the same.
    fn get_by_headers(&self, address: Address<'_>, headers: &[u8]) -> Option<&Route> {
        self.by_headers.get(&KeyRef { address, headers })
    }

    /// The route to these queues, remembered if there is room. Empties `queues`.
    pub fn keep(&mut self, address: Address<'_>, queues: &mut Vec<Arc<Queue>>) -> Route {
        let route = Route::take(queues);
        if !self.turns_away(route.len()) {
            self.routes.insert(KeyRef { address, headers: &[] }.to_key(), Known::To(route.clone()));
        }
        route
    }

    /// The same where the headers count. Those that are long are not remembered.
    pub fn keep_by_headers(
        &mut self,
        address: Address<'_>,
        headers: &[u8],
        queues: &mut Vec<Arc<Queue>>,
    ) -> Route {
        let route = Route::take(queues);
        if headers.len() <= HEADERS_KEPT_BYTES_MAX && !self.turns_away(route.len()) {
            self.routes.insert(KeyRef { address, headers: &[] }.to_key(), Known::ByHeaders);
            self.by_headers.insert(KeyRef { address, headers }.to_key(), route.clone());
        }
        route
    }

    /// Whether there is no room for a route to so many queues; else it counts as being there.
    fn turns_away(&mut self, queues: usize) -> bool {
        if !self.has_room(queues) {
            self.turned_away += 1;
            if self.turned_away < TURNED_AWAY_MAX {
                return true;
            }
            self.turned_away = 0;
            self.clear();
        }
        let turns_away = !self.has_room(queues);
        self.queues += if turns_away { 0 } else { queues };
        turns_away
    }

    fn has_room(&self, queues: usize) -> bool {
        self.routes.len() + self.by_headers.len() < ENTRIES_MAX && self.queues + queues <= QUEUES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(cache: &mut RouteCache, number: usize) {
        cache.keep(Address { exchange_len: 0, octets: number.to_string().as_bytes() }, &mut Vec::new());
    }

    fn has(cache: &RouteCache, number: usize) -> bool {
        cache.get(Address { exchange_len: 0, octets: number.to_string().as_bytes() }).is_some()
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
    fn there_is_no_room_for_too_many_queues() {
        let mut cache = RouteCache::default();
        assert!(cache.turns_away(QUEUES_MAX + 1));
        assert!(!cache.turns_away(QUEUES_MAX - 1));
        assert!(cache.turns_away(2) && !cache.turns_away(1));
        (2..TURNED_AWAY_MAX - 1).for_each(|_| assert!(cache.turns_away(1)));
        assert!(!cache.turns_away(1), "it starts over");
        assert_eq!(cache.queues, 1);
    }

    #[test]
    fn addresses_and_headers_do_not_run_into_one_another() {
        fn address(exchange_len: u8, octets: &[u8]) -> Address<'_> {
            Address { exchange_len, octets }
        }
        let mut cache = RouteCache::default();
        cache.keep_by_headers(address(1, b"xk"), b"ab", &mut Vec::new());
        assert!(cache.get_by_headers(address(1, b"xk"), b"ab").is_some());
        for (exchange_len, octets, headers) in [
            (2, &b"xk"[..], &b"ab"[..]),
            (1, b"xka", b"b"),
            (1, b"x", b"kab"),
            (1, b"xk", b""),
            (1, b"xk", b"ac"),
        ] {
            assert!(cache.get_by_headers(address(exchange_len, octets), headers).is_none());
        }
        assert!(matches!(cache.get(address(1, b"xk")), Some(Known::ByHeaders)));
        assert!(cache.get(address(1, b"xkab")).is_none());
        cache.keep_by_headers(address(1, b"yk"), &[0; HEADERS_KEPT_BYTES_MAX + 1], &mut Vec::new());
        assert!(cache.get(address(1, b"yk")).is_none());
    }

    #[test]
    fn a_changed_topology_or_permission_forgets_all() {
        for changed in [(1, 0), (0, 1)] {
            let mut cache = RouteCache::default();
            let address = Address { exchange_len: 0, octets: b"7" };
            insert(&mut cache, 7);
            cache.refresh(0, 0);
            // The second time it is the latest.
            assert!(cache.find(address, || b"").is_some() && cache.find(address, || b"").is_some());
            cache.refresh(changed.0, changed.1);
            assert!(cache.find(address, || b"").is_none());
        }
    }
}
