//! Queues. A queue is data behind one lock: no task, file or descriptor of its own.
//!
//! Whoever publishes, acks, or frees room also delivers, inline, under the queue's lock. Rank: topology →
//! **queue** → outbox → store; never two queues at once; never a disk read or a wait under the lock.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Mutex, MutexGuard};

use crate::amqp::FieldTable;
use crate::clock;
use crate::definitions::Ticket;
use crate::firehose::Delivery;
use crate::message::Message;
use crate::outbox::Wakes;
use crate::pager::Pager;
use crate::prefetch::prefetch_first;
use crate::store::{QueueId, Round, Store};
use crate::timer::Timer;

pub mod arguments;
mod backlog;
mod burial;
mod by_priority;
mod consumer;
mod deadlines;
mod death;
mod delayed;
mod deliver;
mod ending;
mod enter;
mod extras;
mod limits;
mod nearby;
mod no_local;
mod paging;
mod ready;
mod settle;
mod tally;
#[cfg(test)]
pub(crate) mod tests;
mod unburied;

pub use arguments::{MILLISECONDS_MAX, QueueArguments, QueueType};
pub use backlog::{Backlog, Entry};
pub use burial::Burial;
pub use by_priority::ByPriority;
pub use consumer::{Consumer, ConsumerOptions, Consumers, has_room};
pub use death::Reason as DeathReason;
pub use delayed::delay_ms;
pub use extras::Fact;
pub use limits::{DeadLetterStrategy, Limits, Overflow};
pub use tally::{HandedOut, Tally};

use extras::Extras;
use nearby::Nearby;
use unburied::Dead;

/// Who may use a queue besides publishing to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Anyone,
    /// AMQP's `exclusive`: this connection, and the queue goes when it closes.
    Connection(u64),
    /// `x-exclusive-scope: "user"`: this user, across connections and restarts.
    User(Arc<str>),
    /// Nobody's: the broker uses it for its own ends.
    Broker,
}

/// What every queue reaches for.
pub struct QueueEnvironment {
    pub store: Arc<Store>,
    pub pager: Pager,
    pub timer: Timer,
    host: OnceLock<Weak<dyn Host>>,
    /// A message came back to a queue that counts that, since it was last asked.
    counts_changed: AtomicBool,
}

/// What a queue needs of the vhosts around it. Called without any lock.
pub trait Host: Send + Sync {
    /// The queues that a dead message goes to, each once; the exchange may be an internal one. `None` when there is
    /// no such exchange.
    fn route_dead_letter(
        &self,
        vhost: &str,
        exchange: &str,
        routing_keys: &[&str],
        properties: &[u8],
    ) -> Option<Vec<Arc<Queue>>>;

    /// Where a message goes that has waited at a delayed-message exchange; as for a dead letter.
    fn route_delayed(
        &self,
        vhost: &str,
        exchange: &str,
        routing_keys: &[&str],
        properties: &[u8],
    ) -> Option<Vec<Arc<Queue>>>;

    /// Copies a delivery to whoever traces the vhost.
    fn trace(&self, delivery: &Delivery, wakes: &mut Wakes);

    /// Deletes a queue that nobody has used for as long as `x-expires` says.
    fn delete_expired(&self, queue: &Arc<Queue>);
}

impl QueueEnvironment {
    pub fn new(store: Arc<Store>, pager: Pager, timer: Timer) -> QueueEnvironment {
        QueueEnvironment {
            store,
            pager,
            timer,
            host: OnceLock::new(),
            counts_changed: AtomicBool::new(false),
        }
    }

    /// Tells all queues who is around them; once, before any of them is reachable.
    pub fn set_host(&self, host: Weak<dyn Host>) {
        if self.host.set(host).is_err() {
            tracing::error!("the queues' environment was given a second host; the first one stays");
        }
    }

    /// True once after a message came back to a queue that counts that.
    pub fn take_counts_changed(&self) -> bool {
        self.counts_changed.swap(false, Ordering::AcqRel)
    }

    /// They could not be written down.
    pub fn set_counts_changed(&self) {
        self.counts_changed.store(true, Ordering::Release);
    }

    fn host(&self) -> Option<Arc<dyn Host>> {
        self.host.get().and_then(Weak::upgrade)
    }
}

/// How a queue was declared.
pub struct QueueSpec {
    pub id: QueueId,
    pub name: Arc<str>,
    pub vhost: Arc<str>,
    pub durable: bool,
    pub auto_delete: bool,
    pub owner: Owner,
    pub arguments: FieldTable,
    pub parsed: QueueArguments,
    /// The commit of its definition, which its first confirms wait for too.
    pub ticket: Option<Ticket>,
}

pub struct Queue {
    pub spec: QueueSpec,
    environment: Arc<QueueEnvironment>,
    state: Mutex<QueueState>,
    /// How long consumers may take to acknowledge, in milliseconds; 0: as configured for the broker.
    consumer_timeout_ms: AtomicU64,
    /// Burials under way. What is being buried is nowhere but in the store. Grows under the lock.
    burials: AtomicU32,
    /// Those that wait for bodies to be read; later ones queue up behind them.
    burials_waiting: AtomicU32,
    nearby: Nearby,
}

/// With its counts it fits into a block of 512 bytes; the allocator's next one takes 640.
const _: () = assert!(size_of::<Queue>() + 2 * size_of::<usize>() <= 512);

struct QueueState {
    backlog: ByPriority,
    consumers: Consumers,
    /// Handed out and not settled.
    unacked: usize,
    handed_out: HandedOut,
    /// Gone from the topology; nothing enters any more.
    deleted: bool,
    /// The pager is reading bodies for the head of the queue.
    loading: bool,
    /// A consumer was there once; auto-delete waits for the first.
    had_consumer: bool,
    /// What the timer is set to, in milliseconds since the epoch; 0 is nothing.
    timer_at_ms: u64,
    /// The disk could not give a body back; deliveries stop and the log says why.
    read_failed: bool,
    /// Some consumers do not want everything (`no-local`).
    is_selective: bool,
    /// Whether `limits` has a bound that a publish could reach.
    is_bounded: bool,
    /// What is delivered is copied to the vhost's trace exchange.
    is_traced: bool,
    /// What counts: arguments, and the policy over them.
    limits: Arc<Limits>,
    /// What only queues with certain features have.
    extras: Option<Box<Extras>>,
}

/// What became of a message that was to enter a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    Enqueued {
        /// The commit round that makes it durable; `None` when it is not stored.
        round: Option<Round>,
    },
    /// The queue is full and refuses new messages.
    Refused,
    /// No consumer could take it at once (`immediate`).
    NotNow,
    /// The queue was deleted meanwhile.
    Deleted,
}

/// What deletion took away.
pub struct Deleted {
    pub messages: usize,
    pub consumers: Vec<Arc<Consumer>>,
    /// The messages. Long to drop when there are many: not under a lock.
    pub remains: ByPriority,
}

/// Why a consumer cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumeError {
    Deleted,
    ExclusiveUse,
}

/// One fetched message, and how many are left.
pub enum Fetched {
    Empty,
    /// Its body is being read from disk.
    Loading,
    /// Its body cannot be read; the log says why.
    Unreadable,
    Message(Entry, usize),
}

/// Counts for listings and declare-ok.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueCounts {
    pub ready: usize,
    pub unacked: usize,
    pub consumers: usize,
    pub ready_body_bytes: u64,
    /// Of the ready ones, those that are persistent in a durable queue.
    pub ready_stored: Tally,
    /// Of the ready ones, those whose bodies are in memory.
    pub ready_in_memory: Tally,
    pub handed_out: HandedOut,
    /// Dead letters that no queue has taken yet; neither ready nor unacked.
    pub unburied: Tally,
    /// A stored message cannot be read: nothing is delivered any more.
    pub read_failed: bool,
    /// When the queue goes if nobody uses it until then (`x-expires`), in milliseconds since the epoch.
    pub expires_at_ms: Option<u64>,
}

impl QueueCounts {
    /// Ready and handed out.
    pub fn persistent(&self) -> Tally {
        self.ready_stored + self.handed_out.stored
    }

    /// Ready and handed out.
    pub fn in_memory(&self) -> Tally {
        self.ready_in_memory + self.handed_out.in_memory
    }
}

impl Queue {
    pub fn new(spec: QueueSpec, environment: Arc<QueueEnvironment>) -> Arc<Queue> {
        let state = QueueState::new(&spec.parsed);
        let consumer_timeout_ms = AtomicU64::new(state.limits.consumer_timeout_ms.unwrap_or(0));
        Arc::new(Queue {
            spec,
            environment,
            state: Mutex::new(state),
            consumer_timeout_ms,
            burials: AtomicU32::new(0),
            burials_waiting: AtomicU32::new(0),
            nearby: Nearby::default(),
        })
    }

    /// How long consumers of this queue may take to acknowledge, in milliseconds; 0: for ever.
    pub fn consumer_timeout_ms(&self, default_ms: u64) -> u64 {
        match self.consumer_timeout_ms.load(Ordering::Relaxed) {
            0 => default_ms,
            own => own,
        }
    }

    /// What counts for this queue now: its arguments, and the policy over them.
    pub fn limits(&self) -> Arc<Limits> {
        self.state.lock().limits.clone()
    }

    /// Puts the queue under a policy, or under none with the default. Takes effect at once: what is too much leaves.
    pub fn set_policy(self: &Arc<Self>, policy: &Limits) {
        if self.spec.parsed.delays {
            return;
        }
        let limits = self.spec.parsed.limits.under(policy).shared();
        let mut state = self.state.lock();
        if state.limits == limits {
            return;
        }
        self.consumer_timeout_ms.store(limits.consumer_timeout_ms.unwrap_or(0), Ordering::Relaxed);
        state.set_limits(&self.spec.parsed, limits);
        // Who has just got an expiry is not unused for long already.
        self.used(&mut state);
        self.set_timer(&mut state);
        drop(state);
        self.drop_what_is_too_much(&mut Wakes::default());
    }

    /// Whether what it delivers from now on is copied to the vhost's trace exchange.
    pub fn set_traced(&self, is_traced: bool) {
        self.state.lock().is_traced = is_traced;
    }

    /// Has a delivery copied to the vhost's trace exchange. Without locks.
    pub fn trace(&self, delivery: &Delivery, wakes: &mut Wakes) {
        if let Some(host) = self.environment.host() {
            host.trace(delivery, wakes);
        }
    }

    /// Has what its next message needs brought to the processor's cache; the queue itself should be there.
    #[inline]
    pub fn prefetch_more(&self) {
        prefetch_first(self.spec.name.as_ptr());
        self.nearby.prefetch();
    }

    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Whether definition and messages outlive the broker.
    pub fn is_stored(&self) -> bool {
        self.spec.durable
    }

    /// Whether it is gone for good.
    pub fn is_deleted(&self) -> bool {
        self.state.lock().deleted
    }

    fn store(&self) -> &Store {
        &self.environment.store
    }

    pub fn counts(&self) -> QueueCounts {
        counts(&self.state.lock())
    }

    /// The consumers, for listings.
    pub fn consumers(&self) -> Vec<Arc<Consumer>> {
        self.state.lock().consumers.iter().cloned().collect()
    }

    /// Whether some consumer's own prefetch has room, for listings.
    pub fn has_room(&self) -> bool {
        self.state.lock().consumers.iter().any(|consumer| consumer.has_credit(|| 0))
    }

    /// The message whose turn it is, if it is in memory; for listings.
    pub fn head(&self) -> Option<Message> {
        self.state.lock().backlog.peek().and_then(|entry| entry.message.clone())
    }

    /// The one that gets everything, where only one does, for listings.
    pub fn single_active_consumer(&self) -> Option<Arc<Consumer>> {
        self.state.lock().consumers.active().cloned()
    }

    /// Positions of stored messages that were delivered before: what a clean shutdown writes down.
    pub fn delivered_before(&self) -> Vec<u64> {
        let state = self.state.lock();
        let unburied = state.extras.iter().flat_map(|extras| extras.unburied.waiting());
        let unburied = unburied.filter(|dead| dead.entry.redelivered && dead.entry.stored);
        state.backlog.redelivered().chain(unburied.map(|dead| dead.entry.seq)).collect()
    }

    /// Fills an empty queue with what the store gave back. Only before the queue is reachable.
    pub fn recover(&self, fill: impl FnOnce(&mut ByPriority)) {
        fill(&mut self.state.lock().backlog);
    }

    /// How often messages came back that may come again, and which are dead and were taken by no queue, by position.
    pub fn facts(&self) -> Vec<(u64, Fact)> {
        let state = self.state.lock();
        let Some(extras) = &state.extras else { return Vec::new() };
        let returns = extras.all_returns().map(|(seq, count)| (seq, Fact::Returns(count)));
        let dead = extras.unburied.waiting().filter(|dead| dead.entry.stored);
        returns.chain(dead.map(|dead| (dead.entry.seq, Fact::Dead(dead.reason)))).collect()
    }

    /// As it was before a restart, for a message that is here again. Only before the queue is reachable.
    pub fn recover_delivery_count(&self, seq: u64, count: u64) {
        if let Some(extras) = self.state.lock().extras.as_mut().filter(|extras| extras.counts_deliveries) {
            extras.set_returns(seq, count);
        }
    }

    /// A message that was dead before a restart: whether it still is, as the queue still keeps its dead. Only before the
    /// queue is reachable.
    pub fn recover_dead(&self, entry: Entry, reason: DeathReason) -> bool {
        let mut state = self.state.lock();
        let Some(extras) = state.extras.as_mut().filter(|extras| extras.keeps_dead) else { return false };
        let mut dead = Dead::new(entry, reason);
        extras.unburied.died(&mut dead);
        extras.unburied.keep(dead, clock::now_ms());
        true
    }

    /// Starts the clocks of a queue: what has expired while the broker was down goes now.
    /// So does what is too much: the crash may have undone its leaving.
    pub fn start(self: &Arc<Self>) {
        self.touch();
        self.timer_fired();
        self.drop_what_is_too_much(&mut Wakes::default());
    }

    /// Somebody has an interest in the queue: `x-expires` counts anew.
    pub fn touch(self: &Arc<Self>) {
        let mut state = self.state.lock();
        self.used(&mut state);
    }
}

impl QueueState {
    fn new(arguments: &QueueArguments) -> QueueState {
        let mut state = QueueState {
            backlog: ByPriority::new(arguments.priority_max),
            consumers: Consumers::new(arguments.single_active_consumer),
            unacked: 0,
            handed_out: HandedOut::default(),
            deleted: false,
            loading: false,
            had_consumer: false,
            timer_at_ms: 0,
            read_failed: false,
            is_selective: false,
            is_bounded: false,
            is_traced: false,
            limits: Arc::default(),
            extras: None,
        };
        state.set_limits(arguments, arguments.limits.clone());
        state
    }

    fn set_limits(&mut self, arguments: &QueueArguments, limits: Arc<Limits>) {
        self.is_bounded = limits.is_bounded();
        let is_quorum = arguments.kind == QueueType::Quorum;
        let counts_deliveries = is_quorum || limits.delivery_limit.is_some();
        let needed =
            counts_deliveries || limits.dead_letter_exchange.is_some() || limits.expires_ms.is_some();
        if needed || self.extras.is_some() {
            let extras = self.extras.get_or_insert_default();
            extras.counts_deliveries = counts_deliveries;
            extras.keeps_dead = is_quorum && limits.keeps_dead_letters();
            extras.unburied.hurry(clock::now_ms());
        }
        self.limits = limits;
    }
}

fn counts(state: &MutexGuard<'_, QueueState>) -> QueueCounts {
    QueueCounts {
        ready: state.backlog.len(),
        unacked: state.unacked,
        consumers: state.consumers.len(),
        ready_body_bytes: state.backlog.body_bytes(),
        ready_stored: state.backlog.stored(),
        ready_in_memory: state.backlog.in_memory(),
        handed_out: state.handed_out,
        unburied: state.unburied(),
        read_failed: state.read_failed,
        expires_at_ms: state.expires_at_ms(),
    }
}

/// A queue that may be gone by the time it is wanted.
pub type WeakQueue = Weak<Queue>;
