//! A virtual host: its exchanges, queues and bindings, and the changes to them.
//!
//! Changes take the topology's write lock, submit their definition while they hold it (so that the order on
//! disk is the order of events), and return the ticket to wait for before the client is answered.
//! Permissions are checked by the caller, one function per wire method, in `connection/class`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};

use crate::amqp::{FieldTable, encode_table};
use crate::capacity::Capacity;
use crate::definitions::{Change, Definitions, Ticket, VhostLimitsRow};
use crate::error::AmqpError;
use crate::message::Message;
use crate::outbox::Wakes;
use crate::queue::{Owner, Queue, QueueEnvironment};

mod bindings;
mod by_name;
pub mod delay;
mod exchange;
mod exchanges;
mod firehose;
mod metadata;
mod policies;
mod queues;
pub mod recovery;
mod replies;
pub mod routing;
mod topology;
pub mod undo;

pub use bindings::{BindRequest, check_binding};
pub use exchange::{Binding, DestinationName, ExchangeSpec};
pub use exchanges::{DeclareExchange, check_exchange, check_not_default, predeclared, predeclared_count};
pub use metadata::Metadata;
pub use queues::{DeclareQueue, DeleteQueue, check_queue};
pub use replies::{
    PSEUDO_QUEUE, Replies, ReplyConsumer, address as reply_address, is_address as is_reply_address,
};
pub use topology::{DependsOn, LazyHeaders, RouteError, Topology};

/// Limits that a vhost keeps.
#[derive(Debug, Clone)]
pub struct VhostLimits {
    pub queues_max: usize,
    pub exchanges_max: usize,
    pub bindings_max: usize,
    pub owned_queues_per_user_max: usize,
}

/// Who asks, as far as queues that are not everybody's are concerned.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    pub connection_id: u64,
    pub user: &'a str,
}

pub struct Vhost {
    pub name: Arc<str>,
    topology: RwLock<Topology>,
    /// Grows with every change that could alter a route; route caches compare it.
    version: AtomicU64,
    definitions: Definitions,
    environment: Arc<QueueEnvironment>,
    limits: VhostLimits,
    /// Leaf data.
    metadata: RwLock<Metadata>,
    policies: policies::Policies,
    firehose: firehose::Switch,
    /// Open connections to it.
    pub connections: Arc<Capacity>,
    /// Queues in it; those in the topology are counted.
    queues: Capacity,
    /// Channels that await direct replies.
    pub replies: Replies,
}

/// What a change is answered with once its ticket is committed.
pub struct Done<T> {
    pub value: T,
    pub ticket: Option<Ticket>,
}

impl<T> Done<T> {
    fn at_once(value: T) -> Done<T> {
        Done { value, ticket: None }
    }
}

impl Vhost {
    /// A vhost with the predeclared exchanges and nothing else.
    pub fn new(
        name: Arc<str>,
        definitions: Definitions,
        environment: Arc<QueueEnvironment>,
        limits: VhostLimits,
    ) -> Vhost {
        let mut topology = Topology::default();
        exchanges::add_predeclared(&mut topology);
        Vhost {
            name,
            topology: RwLock::new(topology),
            version: AtomicU64::new(1),
            definitions,
            environment,
            limits,
            metadata: RwLock::default(),
            policies: policies::Policies::default(),
            firehose: firehose::Switch::default(),
            connections: Arc::default(),
            queues: Capacity::default(),
            replies: Replies::default(),
        }
    }

    /// How much of it may be used from now on. Returns what to wait for.
    pub fn set_limits(&self, connections_max: Option<u64>, queues_max: Option<u64>) -> Ticket {
        // So that the row changes in the order memory does.
        let _order = self.topology.write();
        self.recover_limits(connections_max, queues_max);
        self.definitions.submit(Change::PutVhostLimits(self.limits()))
    }

    pub fn recover_limits(&self, connections_max: Option<u64>, queues_max: Option<u64>) {
        self.connections.set_max(connections_max);
        self.queues.set_max(queues_max);
    }

    pub fn limits(&self) -> VhostLimitsRow {
        VhostLimitsRow {
            vhost: self.name.to_string(),
            connections_max: self.connections.max(),
            queues_max: self.queues.max(),
        }
    }

    /// For listings and routing; held briefly.
    pub fn read(&self) -> RwLockReadGuard<'_, Topology> {
        self.topology.read()
    }

    /// The same, unless somebody changes something just now.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, Topology>> {
        self.topology.try_read()
    }

    /// Routes looked up while this number stays the same remain right.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    fn submit(&self, mut changes: Vec<Change>) -> Option<Ticket> {
        match changes.len() {
            0 => None,
            1 => Some(self.definitions.submit(changes.remove(0))),
            _ => Some(self.definitions.submit(Change::Batch(changes))),
        }
    }

    /// The ticket if replies still have to wait for it.
    pub fn undecided(&self, ticket: Option<Ticket>) -> Option<Ticket> {
        ticket.filter(|ticket| ticket.0 > self.definitions.committed())
    }

    pub fn queue(&self, name: &str) -> Result<Arc<Queue>, AmqpError> {
        self.topology.read().queues.get(name).cloned().ok_or_else(|| self.no_queue(name))
    }

    /// A queue that the asker may use: not someone else's exclusive one.
    pub fn queue_for(&self, name: &str, asker: Asker<'_>) -> Result<Arc<Queue>, AmqpError> {
        let queue = self.queue(name)?;
        self.check_access(&queue, asker)?;
        Ok(queue)
    }

    /// Where a dead message goes, also through an internal exchange. `None` when there is no such exchange.
    pub fn route_dead_letter(
        &self,
        exchange: &str,
        routing_keys: &[&str],
        properties: &[u8],
    ) -> Option<Vec<Arc<Queue>>> {
        let mut queues = Vec::new();
        let headers = LazyHeaders::new(properties);
        self.read().route_internal(exchange, routing_keys, &headers, &mut queues).then_some(queues)
    }

    /// Where a message goes that has waited at a delayed-message exchange.
    pub fn route_delayed(
        &self,
        exchange: &str,
        routing_keys: &[&str],
        properties: &[u8],
    ) -> Option<Vec<Arc<Queue>>> {
        let mut queues = Vec::new();
        let headers = LazyHeaders::new(properties);
        self.read().route_delayed(exchange, routing_keys, &headers, &mut queues).then_some(queues)
    }

    /// A message of the broker's own, which may go to an internal exchange. Without locks.
    pub fn publish_own(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: &[u8],
        body: &[u8],
        wakes: &mut Wakes,
    ) {
        let mut queues = Vec::new();
        self.read().route_internal(exchange, &[routing_key], &LazyHeaders::new(properties), &mut queues);
        if queues.is_empty() {
            return;
        }
        let message = Message::new(exchange, routing_key, properties, body, false);
        for queue in queues {
            queue.publish(&message, None, wakes);
        }
    }

    pub fn exchange(&self, name: &str) -> Result<ExchangeSpec, AmqpError> {
        self.topology.read().exchanges.get(name).map(|x| x.spec.clone()).ok_or_else(|| self.no_exchange(name))
    }

    pub fn is_topic_exchange(&self, name: &str) -> bool {
        self.topology.read().exchanges.get(name).is_some_and(|x| x.spec.kind == routing::Kind::Topic)
    }

    pub fn no_queue(&self, name: &str) -> AmqpError {
        AmqpError::not_found(format!("no queue '{name}' in vhost '{}'", self.name))
    }

    pub fn no_exchange(&self, name: &str) -> AmqpError {
        AmqpError::not_found(format!("no exchange '{name}' in vhost '{}'", self.name))
    }

    pub fn check_access(&self, queue: &Queue, asker: Asker<'_>) -> Result<(), AmqpError> {
        let allowed = match &queue.spec.owner {
            Owner::Anyone => true,
            Owner::Connection(id) => *id == asker.connection_id,
            Owner::User(user) => **user == *asker.user,
            Owner::Broker => {
                return Err(AmqpError::access_refused(format!(
                    "queue '{}' in vhost '{}' belongs to the broker and goes with its exchange",
                    queue.name(),
                    self.name
                )));
            }
        };
        if allowed { Ok(()) } else { Err(self.locked(queue.name())) }
    }

    fn locked(&self, queue: &str) -> AmqpError {
        AmqpError::resource_locked(format!(
            "cannot obtain exclusive access to locked queue '{queue}' in vhost '{}'. It could be originally \
             declared on another connection or the exclusive property value does not match that of the original \
             declaration.",
            self.name
        ))
    }

    /// Whether a definition has to be written for something durable, and its changes.
    fn cascade_changes(&self, topology: &mut Topology, cascade: &mut topology::Cascade) -> Vec<Change> {
        let mut changes = Vec::new();
        for spec in &cascade.exchanges {
            changes.extend(self.drop_delay_queue(topology, spec, &mut cascade.remains));
            if spec.durable {
                let (vhost, name) = (self.name.to_string(), spec.name.to_string());
                changes.push(Change::DeleteExchange { vhost, name });
            }
        }
        changes
    }
}

fn encoded(arguments: &FieldTable) -> Vec<u8> {
    let mut out = Vec::new();
    encode_table(arguments, &mut out);
    out
}
