//! Queues. A queue is data behind one lock: no task, file or descriptor of its own.
//!
//! Whoever publishes, acks, or frees room also delivers, inline, under the queue's lock. Rank: topology →
//! **queue** → outbox → store; never two queues at once; never a disk read or a wait under the lock.

use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

use crate::amqp::FieldTable;
use crate::clock;
use crate::definitions::Ticket;
use crate::message::Message;
use crate::outbox::Wakes;
use crate::pager::Pager;
use crate::store::{EntryMeta, QueueId, Round, Store, StoreError};
use crate::timer::Timer;
use crate::unacked::UnackedDelivery;

pub mod arguments;
mod backlog;
mod consumer;
#[cfg(test)]
mod tests;

pub use arguments::{Overflow, QueueArguments};
pub use backlog::{Backlog, Entry};
pub use consumer::{Consumer, ConsumerOptions, Consumers, has_room};

/// Bodies next in line that a queue keeps when memory is short.
const PAGE_OUT_KEEP_BYTES: u64 = 256 << 10;
/// Messages looked at under one hold of the lock.
const PAGE_OUT_COUNT: usize = 16 << 10;

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

    /// Puts a message at the end and delivers what can be delivered.
    ///
    /// Whether it is enqueued or the queue was deleted is one decision under the lock: that is what makes
    /// `mandatory` trustworthy.
    pub fn publish(
        self: &Arc<Self>,
        message: &Arc<Message>,
        expiration_ms: Option<u64>,
        wakes: &mut Wakes,
    ) -> Publish {
        let mut state = self.state.lock();
        if state.deleted {
            return Publish::Deleted;
        }
        if self.spec.parsed.overflow == Overflow::RejectPublish && self.is_over_limit(&state, message, 1) {
            return Publish::Refused;
        }
        let stored = self.is_stored() && message.persistent;
        let expires_at_ms = self.expires_at_ms(expiration_ms);
        let seq = state.backlog.push(message.clone(), expires_at_ms, stored);
        let round = stored.then(|| {
            self.store().enqueue(self.spec.id, seq, message, EntryMeta { expires_at_ms, priority: 0 })
        });
        self.drain(&mut state, wakes);
        if self.spec.parsed.overflow == Overflow::DropHead {
            self.drop_head_over_limit(&mut state);
        }
        if expires_at_ms != 0 {
            self.expire(&mut state);
        }
        if state.backlog.len() > crate::pager::RESIDENT_AT_LEAST {
            self.environment.pager.consider(&mut state.backlog);
        }
        Publish::Enqueued { round }
    }

    /// Like `publish`, but only if a consumer takes the message at once (AMQP 0-9-1 §1.8.3.6, `immediate`).
    pub fn publish_immediate(self: &Arc<Self>, message: &Arc<Message>, wakes: &mut Wakes) -> Publish {
        let mut state = self.state.lock();
        if state.deleted {
            return Publish::Deleted;
        }
        if !state.backlog.is_empty() {
            return Publish::NotNow;
        }
        let stored = self.is_stored() && message.persistent;
        let seq = state.backlog.push(message.clone(), 0, stored);
        let round = stored.then(|| self.store().enqueue(self.spec.id, seq, message, EntryMeta::default()));
        self.drain(&mut state, wakes);
        match state.backlog.pop() {
            None => Publish::Enqueued { round },
            Some(entry) => {
                self.forget(&entry);
                Publish::NotNow
            }
        }
    }

    fn expires_at_ms(&self, expiration_ms: Option<u64>) -> u64 {
        let ttl = match (expiration_ms, self.spec.parsed.message_ttl_ms) {
            (Some(a), Some(b)) => a.min(b),
            (Some(ttl), None) | (None, Some(ttl)) => ttl,
            (None, None) => return 0,
        };
        clock::now_ms().saturating_add(ttl).max(1)
    }

    fn is_over_limit(&self, state: &QueueState, message: &Message, more: u64) -> bool {
        let arguments = &self.spec.parsed;
        arguments.length_max.is_some_and(|max| state.backlog.len() as u64 + more > max)
            || arguments
                .body_bytes_max
                .is_some_and(|max| state.backlog.body_bytes() + message.body().len() as u64 > max)
    }

    fn drop_head_over_limit(&self, state: &mut QueueState) {
        let arguments = &self.spec.parsed;
        while !state.backlog.is_empty()
            && (arguments.length_max.is_some_and(|max| state.backlog.len() as u64 > max)
                || arguments.body_bytes_max.is_some_and(|max| state.backlog.body_bytes() > max))
        {
            if let Some(entry) = state.backlog.pop() {
                self.forget(&entry);
            }
        }
    }

    /// The message has left the queue for good.
    fn forget(&self, entry: &Entry) {
        if entry.stored {
            self.store().ack(self.spec.id, entry.seq, entry.message.as_ref());
        }
    }

    /// Delivers ready messages to consumers in turn, as long as some have room.
    fn drain(self: &Arc<Self>, state: &mut QueueState, wakes: &mut Wakes) {
        while !state.consumers.is_empty() {
            let Some(head) = state.backlog.peek() else { return };
            if head.message.is_none() {
                return self.start_loading(state);
            }
            if !self.deliver_run(state, wakes) {
                return;
            }
        }
    }

    /// Hands the head of the queue to the next consumer with room; a lone consumer gets as many as it
    /// takes under one hold of its outbox. False when nobody has room.
    fn deliver_run(self: &Arc<Self>, state: &mut QueueState, wakes: &mut Wakes) -> bool {
        let count = state.consumers.len();
        for offset in 0..count {
            let consumer = state.consumers.in_turn(offset).clone();
            if !consumer.has_credit(|| next_bytes(&state.backlog)) {
                continue;
            }
            let mut out = consumer.outbox.lock();
            let mut delivered = false;
            while consumer.has_credit(|| next_bytes(&state.backlog))
                && !consumer.outbox.is_full(&out)
                && out.can_deliver(&consumer, || next_bytes(&state.backlog))
            {
                let Some(entry) = pop_resident(&mut state.backlog) else { break };
                delivered = true;
                match out.deliver(&consumer, self, entry) {
                    Some(entry) => self.forget(&entry),
                    None => state.unacked += 1,
                }
                if count > 1 {
                    break;
                }
            }
            drop(out);
            if delivered {
                wakes.add(&consumer.outbox);
                state.consumers.advance_past(offset);
                return true;
            }
        }
        false
    }

    /// Delivers after a consumer has found room again.
    pub fn resume(self: &Arc<Self>, wakes: &mut Wakes) {
        let mut state = self.state.lock();
        self.drain(&mut state, wakes);
    }

    /// Adds a consumer and delivers to it. `announce` is called under the lock before the first delivery can
    /// be made: it sends `consume-ok`, which must come first.
    pub fn consume(
        self: &Arc<Self>,
        consumer: &Arc<Consumer>,
        announce: impl FnOnce(),
        wakes: &mut Wakes,
    ) -> Result<(), ConsumeError> {
        let mut state = self.state.lock();
        if state.deleted {
            return Err(ConsumeError::Deleted);
        }
        if state.consumers.has_exclusive() || (consumer.exclusive && !state.consumers.is_empty()) {
            return Err(ConsumeError::ExclusiveUse);
        }
        state.had_consumer = true;
        state.consumers.add(consumer.clone());
        announce();
        self.expire(&mut state);
        self.drain(&mut state, wakes);
        Ok(())
    }

    /// Takes a consumer away; what it holds stays with its channel. True when the queue is to be deleted
    /// because it was the last (auto-delete).
    pub fn cancel(&self, consumer: &Arc<Consumer>) -> bool {
        let mut state = self.state.lock();
        state.consumers.remove(consumer);
        self.spec.auto_delete && state.had_consumer && state.consumers.is_empty() && !state.deleted
    }

    /// The first ready message, for `basic.get`. Its body may have to be read by `load_body`.
    pub fn get(self: &Arc<Self>) -> Fetched {
        let mut state = self.state.lock();
        self.expire(&mut state);
        let Some(entry) = state.backlog.pop() else { return Fetched::Empty };
        state.unacked += 1;
        Fetched::Message(entry, state.backlog.len())
    }

    /// Reads the body of an entry that is only on disk. Blocks on the disk; call without locks.
    pub fn load_body(&self, entry: &mut Entry) -> Result<(), String> {
        if entry.message.is_some() {
            return Ok(());
        }
        let mut read = self.store().read(self.spec.id, &[entry.seq]).map_err(|error| error.to_string())?;
        match read.pop() {
            Some((_, message)) => {
                entry.set_body_from_disk(message);
                Ok(())
            }
            None => Err(format!("message {} of queue '{}' is not in the store", entry.seq, self.name())),
        }
    }

    /// Acknowledged or rejected for good: the messages are gone.
    pub fn settle(self: &Arc<Self>, settled: &[UnackedDelivery], wakes: &mut Wakes) {
        let mut stored = settled.iter().filter(|d| d.entry.stored).peekable();
        if stored.peek().is_some() {
            self.store().ack_many(self.spec.id, stored.map(|d| (d.entry.seq, d.entry.message.as_ref())));
        }
        let mut state = self.state.lock();
        state.unacked -= settled.len();
        self.drain(&mut state, wakes);
    }

    /// A message fetched with no_ack: it is gone.
    pub fn settle_fetched(&self, entry: &Entry) {
        self.forget(entry);
        self.state.lock().unacked -= 1;
    }

    /// Messages come back to where they were, marked redelivered.
    pub fn requeue(self: &Arc<Self>, entries: impl Iterator<Item = Entry>, wakes: &mut Wakes) {
        let mut state = self.state.lock();
        for entry in entries {
            state.unacked -= 1;
            if !state.deleted {
                state.backlog.requeue(entry);
            }
        }
        self.expire(&mut state);
        self.drain(&mut state, wakes);
        if self.spec.parsed.overflow == Overflow::DropHead {
            self.drop_head_over_limit(&mut state);
        }
    }

    /// Removes all ready messages. Returns how many there were, and the round that makes it last.
    pub fn purge(&self) -> (usize, Option<Round>) {
        let mut state = self.state.lock();
        let entries = state.backlog.drain_all();
        let stored = || entries.iter().filter(|entry| entry.stored);
        let Some(last) = stored().next_back() else { return (entries.len(), None) };
        let round = if state.unacked == 0 {
            self.store().purge(self.spec.id, last.seq)
        } else {
            // What is handed out must stay.
            self.store().ack_many(self.spec.id, stored().map(|entry| (entry.seq, entry.message.as_ref())))
        };
        (entries.len(), Some(round))
    }

    /// Marks the queue deleted if `allowed` agrees to its counts; from then on nothing enters.
    /// The caller has removed it, or is about to remove it, from the topology, whose lock it holds.
    pub fn delete<E>(&self, allowed: impl FnOnce(&QueueCounts) -> Result<(), E>) -> Result<Deleted, E> {
        let mut state = self.state.lock();
        allowed(&counts(&state))?;
        state.deleted = true;
        let messages = state.backlog.drain_all().len();
        let consumers = state.consumers.take_all();
        if state.timer_at_ms != 0 {
            self.environment.timer.cancel(self.spec.id, state.timer_at_ms);
        }
        if self.is_stored() {
            self.store().delete_queue(self.spec.id);
        }
        for consumer in &consumers {
            consumer.set_cancelled();
        }
        Ok(Deleted { messages, consumers })
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

    fn start_loading(self: &Arc<Self>, state: &mut QueueState) {
        if state.loading || state.read_failed {
            return;
        }
        state.loading = true;
        self.environment.pager.load(self.clone());
    }

    /// Called by the pager's thread: reads the next bodies and delivers them.
    pub(crate) fn load_next_bodies(self: &Arc<Self>, count_max: usize, bytes_max: u64) {
        let seqs = self.state.lock().backlog.next_on_disk(count_max, bytes_max);
        self.bodies_read(&seqs, self.store().read(self.spec.id, &seqs));
    }

    fn bodies_read(self: &Arc<Self>, seqs: &[u64], read: Result<Vec<(u64, Arc<Message>)>, StoreError>) {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        state.loading = false;
        match read {
            Ok(bodies) => {
                for (seq, message) in bodies {
                    state.backlog.fill(seq, message);
                }
                // One that was purged or has expired meanwhile is not missed.
                if seqs.iter().any(|&seq| state.backlog.is_only_on_disk(seq)) {
                    self.read_failed(&mut state, "its record is not in the store");
                }
                self.drain(&mut state, &mut wakes);
            }
            Err(error) => self.read_failed(&mut state, &error.to_string()),
        }
    }

    /// Lets go of the bodies that the store has, but for those next in line.
    pub fn page_out(&self) {
        let mut from = Some(0);
        while let Some(seq) = from {
            // The lock is let go of in between.
            from = self.state.lock().backlog.page_out_all(seq, PAGE_OUT_KEEP_BYTES, PAGE_OUT_COUNT);
        }
    }

    fn read_failed(&self, state: &mut QueueState, why: &str) {
        state.read_failed = true;
        tracing::error!(
            queue = self.name(),
            vhost = &*self.spec.vhost,
            "cannot read a stored message: {why}; the queue delivers no more until the broker is restarted. \
             Run `broker store check` on the data folder"
        );
    }

    /// Drops what has expired and sets the timer for the next.
    fn expire(self: &Arc<Self>, state: &mut QueueState) {
        let Some(next) = state.backlog.next_expiry_ms() else { return };
        let now_ms = clock::now_ms();
        if next <= now_ms {
            for entry in state.backlog.expire(now_ms) {
                self.forget(&entry);
            }
        }
        if let Some(next) = state.backlog.next_expiry_ms()
            && (state.timer_at_ms == 0 || next < state.timer_at_ms)
        {
            let id = self.spec.id;
            self.environment.timer.set(id, state.timer_at_ms, next, Arc::downgrade(self));
            state.timer_at_ms = next;
        }
    }

    /// Called by the timer's thread.
    pub(crate) fn timer_fired(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.timer_at_ms = 0;
        self.expire(&mut state);
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

/// Body bytes of the message whose turn it is.
fn next_bytes(backlog: &Backlog) -> u64 {
    backlog.peek().map_or(0, |entry| u64::from(entry.body_len))
}

fn pop_resident(backlog: &mut Backlog) -> Option<Entry> {
    backlog.peek()?.message.as_ref()?;
    backlog.pop()
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
