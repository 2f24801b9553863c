//! Queues. A queue is data behind one lock: no task, file or descriptor of its own.
//!
//! Whoever publishes, acks, or frees room also delivers, inline, under the queue's lock. Rank: topology →
//! **queue** → outbox → store; never two queues at once; never a disk read or a wait under the lock.

use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

use crate::amqp::FieldTable;
use crate::definitions::Ticket;
use crate::pager::Pager;
use crate::store::{QueueId, Round, Store};
use crate::timer::Timer;

pub mod arguments;
mod backlog;
mod consumer;
mod deliver;
mod ending;
mod enter;
mod paging;
mod ready;
mod settle;
#[cfg(test)]
mod tests;

pub use arguments::{Overflow, QueueArguments};
pub use backlog::{Backlog, Entry};
pub use consumer::{Consumer, ConsumerOptions, Consumers, has_room};

/// Who may use a queue besides publishing to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Anyone,
    /// AMQP's `exclusive`: this connection, and the queue goes when it closes.
    Connection(u64),
    /// `x-exclusive-scope: "user"`: this user, across connections and restarts.
    User(Arc<str>),
}

/// What every queue reaches for.
pub struct QueueEnvironment {
    pub store: Arc<Store>,
    pub pager: Pager,
    pub timer: Timer,
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
}

#[derive(Default)]
struct QueueState {
    backlog: Backlog,
    consumers: Consumers,
    /// Handed out and not settled.
    unacked: usize,
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
    Message(Entry, usize),
}

/// Counts for listings and declare-ok.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueCounts {
    pub ready: usize,
    pub unacked: usize,
    pub consumers: usize,
    pub ready_body_bytes: u64,
}

impl Queue {
    pub fn new(spec: QueueSpec, environment: Arc<QueueEnvironment>) -> Arc<Queue> {
        Arc::new(Queue { spec, environment, state: Mutex::default() })
    }

    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Whether definition and messages outlive the broker.
    pub fn is_stored(&self) -> bool {
        self.spec.durable
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

    /// Positions of stored messages that were delivered before: what a clean shutdown writes down.
    pub fn delivered_before(&self) -> Vec<u64> {
        self.state.lock().backlog.redelivered().collect()
    }

    /// Fills an empty queue with what the store gave back. Only before the queue is reachable.
    pub fn recover(&self, fill: impl FnOnce(&mut Backlog)) {
        fill(&mut self.state.lock().backlog);
    }

    /// Starts the clocks of a recovered queue.
    pub fn start(self: &Arc<Self>) {
        let mut state = self.state.lock();
        self.expire(&mut state);
    }
}

fn counts(state: &MutexGuard<'_, QueueState>) -> QueueCounts {
    QueueCounts {
        ready: state.backlog.len(),
        unacked: state.unacked,
        consumers: state.consumers.len(),
        ready_body_bytes: state.backlog.body_bytes(),
    }
}

/// A queue that may be gone by the time it is wanted.
pub type WeakQueue = Weak<Queue>;
