//! The connections that are open: for listings, and to close those of a user, a vhost, or one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hashbrown::HashMap;

use crate::amqp::{FieldTable, Version};
use crate::auth::{CertificateFacts, User};
use crate::config::Protocol;
use crate::connection::TlsDetails;
use crate::error::AmqpError;
use crate::outbox::Outbox;

use super::Broker;

/// One open connection, for listings.
pub struct ConnectionInfo {
    pub id: u64,
    pub peer: SocketAddr,
    /// The broker's side of the socket.
    pub local: SocketAddr,
    pub protocol: Protocol,
    pub version: Version,
    pub tls: Option<TlsDetails>,
    /// What the client's certificate says, if it has shown one.
    pub peer_certificate: Option<Box<CertificateFacts>>,
    pub user: Arc<User>,
    pub vhost: Arc<str>,
    pub outbox: Arc<Outbox>,
    pub client_properties: FieldTable,
    pub mechanism: Box<str>,
    pub channel_max: u16,
    pub frame_max: u32,
    /// 0: none.
    pub heartbeat_s: u16,
    /// Milliseconds since 1970.
    pub opened_at_ms: u64,
    pub traffic: Arc<Traffic>,
}

impl ConnectionInfo {
    /// `127.0.0.1:50000 -> 127.0.0.1:5672`
    pub fn name(&self) -> String {
        format!("{} -> {}", self.peer, self.local)
    }
}

/// What a connection's task tells about itself. Written by that task alone, once for each read and write.
#[derive(Debug, Default)]
pub struct Traffic {
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    published: AtomicU64,
    acknowledged: AtomicU64,
    held: AtomicBool,
}

impl Traffic {
    pub fn received(&self, bytes: usize, reads: u64) {
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.reads.fetch_add(reads, Ordering::Relaxed);
    }

    /// With one write.
    pub fn sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages so far.
    pub fn set_counts(&self, published: u64, acknowledged: u64) {
        self.published.store(published, Ordering::Relaxed);
        self.acknowledged.store(acknowledged, Ordering::Relaxed);
    }

    /// It has published while an alarm was raised, and is not read from.
    pub fn set_held(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
    }

    pub fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// Reads that found something.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }
}

/// What has gone through connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub published: u64,
    /// To consumers and to `basic.get`.
    pub delivered: u64,
    /// By clients, with `basic.ack`.
    pub acknowledged: u64,
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

impl Totals {
    fn add(&mut self, info: &ConnectionInfo) {
        let delivered = info.outbox.lock().delivered();
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.published += of(&info.traffic.published);
        self.delivered += delivered;
        self.acknowledged += of(&info.traffic.acknowledged);
        self.received_bytes += of(&info.traffic.received_bytes);
        self.sent_bytes += of(&info.traffic.sent_bytes);
    }
}

/// The connections that are open, and what those did that are not any more.
#[derive(Default)]
pub(super) struct Connections {
    open: HashMap<u64, Arc<ConnectionInfo>>,
    past: Totals,
}

impl Broker {
    pub fn next_connection_id(&self) -> u64 {
        self.last_connection_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Since the start; not all of them logged in.
    pub fn connections_accepted(&self) -> u64 {
        self.last_connection_id.load(Ordering::Relaxed)
    }

    pub fn remember_connection(&self, info: ConnectionInfo) {
        self.connections.lock().open.insert(info.id, Arc::new(info));
    }

    pub fn forget_connection(&self, id: u64) {
        let mut connections = self.connections.lock();
        if let Some(info) = connections.open.remove(&id) {
            connections.past.add(&info);
        }
        drop(connections);
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// In the order they were opened.
    pub fn connections(&self) -> Vec<Arc<ConnectionInfo>> {
        let mut connections: Vec<_> = self.connections.lock().open.values().cloned().collect();
        connections.sort_unstable_by_key(|info| info.id);
        connections
    }

    pub fn connection(&self, id: u64) -> Option<Arc<ConnectionInfo>> {
        self.connections.lock().open.get(&id).cloned()
    }

    pub fn connection_count(&self) -> usize {
        self.connections.lock().open.len()
    }

    /// Since the start.
    pub fn totals(&self) -> Totals {
        let connections = self.connections.lock();
        let mut totals = connections.past;
        let open: Vec<_> = connections.open.values().cloned().collect();
        drop(connections);
        open.iter().for_each(|info| totals.add(info));
        totals
    }

    /// Asks the connections that `which` picks to close, with this exception. Returns how many there are.
    pub fn close_connections(&self, error: &AmqpError, which: impl Fn(&ConnectionInfo) -> bool) -> usize {
        let connections = self.connections.lock();
        let picked = connections.open.values().filter(|info| which(info));
        picked.map(|info| info.outbox.evict(error.clone())).count()
    }

    /// Returns when there is no connection left that `which` picks.
    pub(super) async fn no_connection_left(&self, which: impl Fn(&ConnectionInfo) -> bool) {
        let mut ended = self.ended.subscribe();
        while self.connections.lock().open.values().any(|info| which(info)) {
            // The sender lives in `self`.
            let _ = ended.changed().await;
        }
    }
}
