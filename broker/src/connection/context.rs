//! What every handler of a connection works with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::amqp::{Method, Version};
use crate::auth::permission::resource_name;
use crate::auth::{Access, Permission, TopicPermissions, User};
use crate::broker::{Broker, Traffic};
use crate::capacity::Seat;
use crate::definitions::Ticket;
use crate::error::AmqpError;
use crate::outbox::{Outbox, Wakes};
use crate::queue::Queue;
use crate::store::Round;
use crate::vhost::{Asker, Done, Vhost};

use super::checks::Familiar;
use super::own_queues::OwnQueues;
use super::pending::Pending;
use super::routes::RouteCache;

/// Of `outbox_bytes_max`, which bounds what consumers are sent.
const UNREAD_OUTPUT_FACTOR: usize = 4;

/// A few milliseconds of work.
const TAKEN_BEFORE_YIELD: usize = 8192;

/// How often a connection looks for deliveries that are not acknowledged in time, at most.
const OVERDUE_CHECK_MIN: Duration = Duration::from_millis(100);
/// What is to be looked for less often than this is looked for with each tick.
const OVERDUE_CHECK_BY_TICK: Duration = Duration::from_secs(30);

/// What the client said it can do, in its client-properties.
#[derive(Debug, Clone, Copy, Default)]
pub struct Capabilities {
    pub consumer_cancel_notify: bool,
    pub connection_blocked: bool,
    pub authentication_failure_close: bool,
}

/// Definitions that replies wait for. Each counts: one may be rejected although a later one was committed.
#[derive(Default)]
pub struct Gate(Vec<Ticket>);

impl Gate {
    fn add(&mut self, ticket: Ticket) {
        if self.0.last() != Some(&ticket) {
            self.0.push(ticket);
        }
    }

    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    pub fn highest(&self) -> Option<Ticket> {
        self.0.iter().copied().max()
    }

    pub fn take(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.0)
    }
}

/// One connection that has opened its vhost.
pub struct Context {
    pub broker: Arc<Broker>,
    pub id: u64,
    pub peer: SocketAddr,
    pub user: Arc<User>,
    pub vhost: Arc<Vhost>,
    pub outbox: Arc<Outbox>,
    pub traffic: Arc<Traffic>,
    /// Messages so far; told to `traffic` at the end of a batch.
    pub published: u64,
    pub acknowledged: u64,
    pub capabilities: Capabilities,
    pub version: Version,
    pub channel_max: u16,
    /// Outboxes, other connections' among them, to be woken when the batch is done.
    pub wakes: Wakes,
    pub routes: RouteCache,
    pub familiar: Familiar,
    /// Where a message is routed to; kept for its memory.
    pub found: Vec<Arc<Queue>>,
    /// Where small messages are put together; kept for its memory.
    pub room: Vec<u8>,
    pub own_queues: OwnQueues,
    /// Nothing is sent before these definitions are committed: they may be what a reply promises.
    pub gate: Gate,
    /// Publishing while an alarm was raised: nothing is read until it is over.
    pub held: bool,
    /// So much waits to be sent that nothing is handled until the client has read; or so much was done that others
    /// have their turn first.
    pub paused: bool,
    /// How often a queue took a message since others had their turn.
    taken: usize,
    /// A `basic.get` on this channel waits for a body to be read from disk.
    pub waiting_get: Option<(u16, crate::amqp::basic::Get)>,
    /// How often to look for deliveries that are not acknowledged in time, where each tick is not often enough.
    pub overdue_check_every: Option<Duration>,
    pub pending: Pending,
    /// Nothing is sent before this round is durable (`tx.commit-ok`).
    pub gate_round: Option<Round>,
    permission: Arc<Permission>,
    topics: Option<Arc<TopicPermissions>>,
    permission_revision: u64,
    /// Among the connections of the vhost, and of the user.
    _seats: [Seat; 2],
}

/// What the handshake found out.
pub struct Opened {
    pub broker: Arc<Broker>,
    pub id: u64,
    pub peer: SocketAddr,
    pub user: Arc<User>,
    pub vhost: Arc<Vhost>,
    pub outbox: Arc<Outbox>,
    pub traffic: Arc<Traffic>,
    pub capabilities: Capabilities,
    pub version: Version,
    pub channel_max: u16,
    pub permission: Arc<Permission>,
    pub seats: [Seat; 2],
}

impl Context {
    pub fn new(opened: Opened) -> Context {
        let pending = Pending::new(opened.broker.config.limits.pending_bytes_max);
        // A change between the look-up and here only means one look-up more.
        Context {
            broker: opened.broker,
            id: opened.id,
            peer: opened.peer,
            user: opened.user,
            vhost: opened.vhost,
            outbox: opened.outbox,
            traffic: opened.traffic,
            published: 0,
            acknowledged: 0,
            capabilities: opened.capabilities,
            version: opened.version,
            channel_max: opened.channel_max,
            wakes: Wakes::default(),
            routes: RouteCache::default(),
            familiar: Familiar::default(),
            found: Vec::new(),
            room: Vec::new(),
            own_queues: OwnQueues::default(),
            gate: Gate::default(),
            held: false,
            paused: false,
            taken: 0,
            waiting_get: None,
            overdue_check_every: None,
            pending,
            gate_round: None,
            permission: opened.permission,
            topics: None,
            permission_revision: 0,
            _seats: opened.seats,
        }
    }

    pub fn asker(&self) -> Asker<'_> {
        Asker { connection_id: self.id, user: self.user.name() }
    }

    /// Deliveries from this queue are to be acknowledged: looks for late ones often enough.
    pub fn watch_acknowledgements(&mut self, queue: &Queue) {
        let timeout_ms = queue.consumer_timeout_ms(self.broker.config.limits.consumer_timeout_ms);
        if timeout_ms > 0 {
            let every = Duration::from_millis(timeout_ms / 4).max(OVERDUE_CHECK_MIN);
            if every < OVERDUE_CHECK_BY_TICK {
                let known = self.overdue_check_every.unwrap_or(every);
                self.overdue_check_every = Some(known.min(every));
            }
        }
    }

    /// Queues a method for the client.
    pub fn send(&self, channel: u16, method: impl Into<Method>) {
        let method = method.into();
        self.version.write_method(&mut self.outbox.lock().output.frames, channel, &method);
    }

    /// With so much waiting to be written nothing more is handled: a client that asks but does not listen costs
    /// bounded memory.
    pub fn unread_output_bytes_max(&self) -> usize {
        UNREAD_OUTPUT_FACTOR * self.broker.config.limits.outbox_bytes_max
    }

    /// For methods whose answers are much larger than they are.
    pub fn pause_if_unread(&mut self) {
        self.paused |= self.outbox.lock().output.len() >= self.unread_output_bytes_max();
    }

    /// So many queues took a message. One small frame may mean thousands: what keeps the thread from everybody else
    /// is counted here, not in bytes.
    pub fn note_taken(&mut self, queues: usize) {
        self.taken += queues;
        self.paused |= self.taken >= TAKEN_BEFORE_YIELD;
    }

    /// Others had their turn, or will have it.
    pub fn forget_taken(&mut self) {
        self.taken = 0;
    }

    /// Holds replies back until the definition is committed.
    pub fn wait_for(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.gate.add(ticket);
        }
    }

    pub fn finish<T>(&mut self, done: Done<T>) -> T {
        self.wait_for(done.ticket);
        done.value
    }

    /// The user's rights in the vhost as of now; `None` when they were taken away.
    pub fn permission(&mut self) -> Option<&Arc<Permission>> {
        let revision = self.broker.authority.revision();
        if revision != self.permission_revision {
            let authority = &self.broker.authority;
            self.permission = authority.permission(self.user.name(), &self.vhost.name)?;
            self.topics = authority.topics(self.user.name(), &self.vhost.name);
            self.permission_revision = revision;
        }
        Some(&self.permission)
    }

    /// Whether the user may write in others' names, as of now.
    pub fn is_impersonator(&self) -> bool {
        let now = self.broker.authority.user(self.user.name());
        now.is_some_and(|now| now.is_same_account(&self.user) && now.is_impersonator())
    }

    pub fn permission_revision(&self) -> u64 {
        self.broker.authority.revision()
    }

    /// `kind` is `queue` or `exchange`, for the error.
    pub fn check(&mut self, access: Access, kind: &str, name: &str) -> Result<(), AmqpError> {
        if self.permission().is_some_and(|permission| permission.allows(access, name)) {
            return Ok(());
        }
        let access = match access {
            Access::Configure => "configure",
            Access::Write => "write",
            Access::Read => "read",
        };
        Err(AmqpError::access_refused(format!(
            "{access} access to {kind} '{}' in vhost '{}' refused for user '{}'",
            resource_name(name),
            self.vhost.name,
            self.user.name()
        )))
    }

    /// The right to use a routing key on an exchange, which only topic exchanges ask for. Behind [`Context::check`].
    pub fn check_topic(
        &mut self,
        access: Access,
        exchange: &str,
        routing_key: &str,
    ) -> Result<(), AmqpError> {
        self.permission();
        let Some(topics) = &self.topics else { return Ok(()) };
        if topics.allows(access, exchange, routing_key) || !self.vhost.is_topic_exchange(exchange) {
            return Ok(());
        }
        let access = if access == Access::Write { "write" } else { "read" };
        Err(AmqpError::access_refused(format!(
            "{access} access to topic '{routing_key}' in exchange '{exchange}' in vhost '{}' refused for user '{}'",
            self.vhost.name,
            self.user.name()
        )))
    }

    /// Any of the three rights will do (passive declarations).
    pub fn check_any(&mut self, kind: &str, name: &str) -> Result<(), AmqpError> {
        if self.permission().is_some_and(|permission| permission.allows_any(name)) {
            return Ok(());
        }
        self.check(Access::Configure, kind, name)
    }
}
