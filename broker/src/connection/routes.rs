//! A connection's memory of where exchange and routing key lead, so that publishing takes no topology lock, and of
//! what was permitted for routes that cannot be remembered.

use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};

use crate::queue::Queue;

/// Entries kept; when there are more the cache starts over.
const ENTRIES_MAX: usize = 1024;

/// The queues a message goes to.
pub type Route = Arc<[Arc<Queue>]>;

/// Entries hold while neither the vhost's topology nor any permission has changed.
#[derive(Default)]
pub struct RouteCache {
    topology_version: u64,
    permission_revision: u64,
    routes: HashMap<Key, Route>,
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

    pub fn get(&self, exchange_len: u8, address: &[u8]) -> Option<&Route> {
        self.routes.get(&KeyRef { exchange_len, address })
    }

    pub fn insert(&mut self, exchange_len: u8, address: &[u8], route: Route) {
        if self.routes.len() >= ENTRIES_MAX {
            self.routes.clear();
        }
        self.routes.insert(Key { exchange_len, address: address.into() }, route);
    }
}
