//! What a connection is to send, and what its channels have handed out: the consumer's side of a delivery.
//!
//! A publisher's task encodes deliveries straight into the consumer's outbox and wakes it once per batch.
//! Rank: topology → queue → **outbox** → store. The lock guards bytes and per-channel delivery state; the
//! longest hold is copying one drain, bounded by `bytes_max`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use atomic_waker::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};

use crate::amqp::{self, ReplyCode};
use crate::error::AmqpError;
use crate::firehose::{self, Delivery};
use crate::message::Message;
use crate::output::{Output, Writing};
use crate::overdue::DeliveryClock;
use crate::queue::{Burial, Consumer, Entry, Queue, has_room};
use crate::store::{DurableListener, Round};
use crate::unacked::{Unacked, UnackedDelivery};
use crate::waiting::Waiting;

/// Deliveries of a channel that are looked at for one that is overdue.
const OVERDUE_COUNT_MAX: usize = 1024;

/// A connection's output side, shared with every queue that it consumes from.
pub struct Outbox {
    /// The connection's number, for listings and exclusive ownership.
    pub connection_id: u64,
    /// Bytes waiting at which consumers are skipped until the peer has read some.
    bytes_max: usize,
    state: Mutex<OutboxState>,
    /// The connection's task, and whether it was called.
    task: AtomicWaker,
    called: AtomicBool,
    /// Somebody has taken it on himself to wake the connection.
    wake_pending: AtomicBool,
    /// The user's rights have become less.
    rights_changed: AtomicBool,
    /// Why the connection is to be closed, when somebody else wants that.
    evicted: OnceLock<AmqpError>,
}

/// Behind the lock.
#[derive(Default)]
pub struct OutboxState {
    /// What is to be written.
    pub output: Output,
    /// Bytes that the connection took and is still writing.
    pub in_flight: usize,
    /// Largest frame, as tuned; 0 before the handshake ended.
    pub frame_max: u32,
    /// The connection is going away: nothing is delivered any more.
    pub closed: bool,
    /// Queues that were turned away because the outbox was full.
    waiting: Waiting,
    channels: Vec<Option<Box<ChannelOut>>>,
    /// Deliveries on channels that are closed.
    delivered_before: u64,
}

/// What a channel has handed out.
#[derive(Default)]
pub struct ChannelOut {
    last_delivery_tag: u64,
    pub unacked: Unacked,
    /// `basic.qos` with global: unacknowledged messages at most on the channel; 0 is no limit.
    pub prefetch_global: u32,
    /// `basic.qos` prefetch size with global: body bytes at most; 0 is no limit.
    pub prefetch_size_global: u64,
    /// The client asked for a pause (`channel.flow` active=false).
    pub paused: bool,
    /// What its channel has set up, for listings.
    pub setup: ChannelSetup,
    clock: DeliveryClock,
    /// Settled in a transaction that is not committed: they still count against prefetch.
    uncommitted: u32,
    uncommitted_bytes: u64,
}

/// The part of a channel that listings show and its own connection keeps elsewhere.
#[derive(Default, Clone, Copy)]
pub struct ChannelSetup {
    pub confirms: bool,
    pub transactional: bool,
    /// `basic.qos` for consumers to come.
    pub prefetch: u32,
    /// Publishes and acknowledgements of a transaction that is not committed.
    pub uncommitted: u32,
    pub uncommitted_acks: u32,
    /// Publishes that wait for their confirm.
    pub unconfirmed: u32,
}

impl ChannelOut {
    /// Whether room for one consumer of the channel is room for all.
    pub fn shares_prefetch(&self) -> bool {
        self.prefetch_global != 0 || self.prefetch_size_global != 0
    }

    fn has_credit(&self, next_bytes: impl FnOnce() -> u64) -> bool {
        !self.paused
            && (self.prefetch_global == 0
                || self.unacked.count_with_consumer() + self.uncommitted < self.prefetch_global)
            && has_room(
                self.prefetch_size_global,
                self.unacked.body_bytes() + self.uncommitted_bytes,
                next_bytes,
            )
    }

    fn overdue(&mut self, now_ms: u64, default_ms: u64) -> Option<u64> {
        if self.unacked.is_empty() {
            self.clock.clear();
            return None;
        }
        self.clock.mark(now_ms, self.last_delivery_tag);
        self.unacked.iter().take(OVERDUE_COUNT_MAX).find_map(|delivery| {
            let timeout_ms = delivery.queue.consumer_timeout_ms(default_ms);
            let due =
                timeout_ms > 0 && delivery.tag <= self.clock.handed_out_at(now_ms.saturating_sub(timeout_ms));
            due.then_some(timeout_ms)
        })
    }

    /// These were settled in a transaction.
    pub fn settled_uncommitted(&mut self, deliveries: &[UnackedDelivery]) {
        self.uncommitted += deliveries.iter().filter(|d| d.consumer.is_some()).count() as u32;
        self.uncommitted_bytes += deliveries.iter().map(|d| u64::from(d.entry.body_len)).sum::<u64>();
    }

    /// The transaction has been committed or rolled back.
    pub fn end_transaction(&mut self) {
        self.uncommitted = 0;
        self.uncommitted_bytes = 0;
    }
}

impl Outbox {
    pub fn new(connection_id: u64, bytes_max: usize) -> Outbox {
        Outbox {
            connection_id,
            bytes_max,
            state: Mutex::new(OutboxState::default()),
            task: AtomicWaker::new(),
            called: AtomicBool::new(false),
            wake_pending: AtomicBool::new(false),
            rights_changed: AtomicBool::new(false),
            evicted: OnceLock::new(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, OutboxState> {
        self.state.lock()
    }

    /// What was being written is written. Has what waits written next, if it may be; false when there is nothing.
    pub fn refill(&self, writing: &mut Writing, may_write: bool) -> bool {
        let mut state = self.lock();
        state.in_flight = 0;
        if !may_write || state.output.is_empty() {
            return false;
        }
        writing.take(&mut state.output);
        state.in_flight = writing.left();
        true
    }

    /// Whether as much waits as may.
    pub fn is_full(&self, state: &OutboxState) -> bool {
        state.output.len() + state.in_flight >= self.bytes_max
    }

    /// Whether queues wait for room, and the outbox has drained to half.
    pub fn has_room_for_waiting(&self, state: &OutboxState) -> bool {
        !state.waiting.is_empty() && state.output.len() + state.in_flight <= self.bytes_max / 2
    }

    /// Takes the queue whose turn it is, if there is room.
    pub fn next_waiting(&self) -> Option<(Arc<Queue>, Arc<Consumer>)> {
        let mut state = self.lock();
        if self.is_full(&state) { None } else { state.waiting.pop() }
    }

    /// Resolves when there is something to write.
    pub async fn woken(&self) {
        std::future::poll_fn(|cx| {
            // Registered first: who calls in between is seen by the one or by the other.
            self.task.register(cx.waker());
            if self.called.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Asks the connection to close with this exception; the first one who asks counts.
    pub fn evict(&self, error: AmqpError) {
        if self.evicted.set(error).is_ok() {
            self.wake();
        }
    }

    /// Has the connection look whether its consumers still may consume.
    pub fn recheck_rights(&self) {
        self.rights_changed.store(true, Ordering::Release);
        self.wake();
    }

    /// True once after `recheck_rights`.
    pub fn take_rights_changed(&self) -> bool {
        self.rights_changed.load(Ordering::Relaxed) && self.rights_changed.swap(false, Ordering::AcqRel)
    }

    pub fn evicted(&self) -> Option<&AmqpError> {
        self.evicted.get()
    }

    pub fn wake(&self) {
        self.called.store(true, Ordering::Release);
        self.task.wake();
    }

    /// Takes the wake-up on oneself; false when somebody else already has. Call behind a change made under the lock.
    fn claim_wake(&self) -> bool {
        // A look first costs less than a swap for every message. It may be out of date, but not by so much as to lose
        // a wake-up: the connection looks under the lock after it has said that it is not awake, so either it sees the
        // change, or this sees what it said.
        !self.wake_pending.load(Ordering::Relaxed) && !self.wake_pending.swap(true, Ordering::AcqRel)
    }

    /// The connection is awake and will look by itself before it sleeps.
    pub fn set_awake(&self, awake: bool) {
        self.wake_pending.store(awake, Ordering::Release);
    }
}

impl DurableListener for Outbox {
    fn durable(&self, _durable: Round) {
        self.wake();
    }
}

impl OutboxState {
    /// The queue has something for the consumer, and is to be asked for it when there is room.
    pub fn turn_away(&mut self, queue: &Arc<Queue>, consumer: &Arc<Consumer>) {
        if !self.closed {
            self.waiting.join(queue, consumer);
        }
    }

    /// Queues that wait for room.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Nothing is delivered any more. What waited is for the caller to drop, who holds the lock.
    pub fn close(&mut self) -> Waiting {
        self.closed = true;
        std::mem::take(&mut self.waiting)
    }

    /// Gives memory back that was needed for a while.
    pub fn shrink(&mut self) {
        if self.output.is_empty() {
            self.output = Output::default();
        }
        self.waiting.shrink();
    }

    /// Whether the message's properties fit into one frame, as they must.
    #[inline]
    pub fn takes(&self, message: &Message) -> bool {
        self.fits(message.shown_properties_len())
    }

    /// Whether so many bytes of properties fit into one frame.
    #[inline]
    pub fn fits(&self, properties_len: usize) -> bool {
        self.frame_max == 0 || amqp::header_frame_size(properties_len) <= self.frame_max as usize
    }

    /// What a connection is told whose frames are too small for a message.
    #[cold]
    pub fn too_small_for(&self, queue: &str, message: &Message) -> AmqpError {
        AmqpError::connection(
            ReplyCode::ResourceError,
            format!(
                "a message in queue '{queue}' has {} bytes of properties, more than fit into a frame of this \
                 connection: negotiate a frame_max above {}",
                message.shown_properties_len(),
                self.frame_max
            ),
        )
    }

    /// Channels with a delivery that was not acknowledged in time, and the time it had in milliseconds. Of each
    /// channel the oldest deliveries are looked at. 0 as default is no limit.
    pub fn overdue(&mut self, now_ms: u64, default_ms: u64) -> Vec<(u16, u64)> {
        let channels = self.channels.iter_mut().enumerate();
        let open = channels.filter_map(|(id, channel)| Some((id as u16, channel.as_deref_mut()?)));
        open.filter_map(|(id, channel)| Some((id, channel.overdue(now_ms, default_ms)?))).collect()
    }

    pub fn open_channel(&mut self, channel: u16) {
        let at = usize::from(channel);
        if self.channels.len() <= at {
            self.channels.resize_with(at + 1, || None);
        }
        self.channels[at] = Some(Box::default());
    }

    /// Forgets the channel; what it had handed out goes back to the caller.
    pub fn close_channel(&mut self, channel: u16) -> Option<Box<ChannelOut>> {
        let taken = self.channels.get_mut(usize::from(channel))?.take();
        self.delivered_before += taken.as_ref().map_or(0, |out| out.last_delivery_tag);
        while self.channels.last().is_some_and(Option::is_none) {
            self.channels.pop();
        }
        taken
    }

    /// Deliveries so far, those to `basic.get` among them.
    pub fn delivered(&self) -> u64 {
        self.delivered_before + self.channels().map(|(_, out)| out.last_delivery_tag).sum::<u64>()
    }

    /// Those that are open, by number.
    pub fn channels(&self) -> impl Iterator<Item = (u16, &ChannelOut)> {
        (0..).zip(&self.channels).filter_map(|(id, channel)| Some((id, channel.as_deref()?)))
    }

    pub fn channel(&mut self, channel: u16) -> Option<&mut ChannelOut> {
        self.channels.get_mut(usize::from(channel))?.as_deref_mut()
    }

    /// Whether the consumer's channel would take another message, of so many body bytes, now.
    pub fn can_deliver(&mut self, consumer: &Consumer, next_bytes: impl FnOnce() -> u64) -> bool {
        !self.closed
            && self.channel(consumer.channel).is_some_and(|ch| {
                match consumer.no_ack && !ch.shares_prefetch() {
                    true => !ch.paused,
                    // A limit that the channel shares holds back those too that need no acknowledgement.
                    false => ch.has_credit(next_bytes),
                }
            })
    }

    /// Encodes a delivery, with the message's properties or with others. The entry comes back when it needs no
    /// acknowledgement, so that the caller can settle it; the caller has asked `can_deliver` under the same lock.
    pub fn deliver(
        &mut self,
        consumer: &Arc<Consumer>,
        queue: &Arc<Queue>,
        mut entry: Entry,
        properties: Option<&[u8]>,
    ) -> Option<Entry> {
        let Some(message) = &entry.message else {
            debug_assert!(false, "delivering a message whose body is on disk");
            return Some(entry);
        };
        let frame_max = self.frame_max;
        let Some(channel) =
            self.channels.get_mut(usize::from(consumer.channel)).and_then(|ch| ch.as_deref_mut())
        else {
            return Some(entry);
        };
        channel.last_delivery_tag += 1;
        let tag = channel.last_delivery_tag;
        amqp::write_deliver(
            &mut self.output.frames,
            consumer.channel,
            &consumer.tag,
            tag,
            entry.redelivered,
            message.exchange_octets(),
            message.routing_key_octets(),
        );
        self.output.content(consumer.channel, message, properties, frame_max);
        if consumer.no_ack {
            return Some(entry);
        }
        entry.let_go_of_body();
        consumer.handed_out(u64::from(entry.body_len));
        channel.unacked.push(UnackedDelivery {
            tag,
            queue: queue.clone(),
            entry,
            consumer: Some(consumer.clone()),
        });
        None
    }

    /// Encodes a direct reply, which needs no acknowledgement. False when the channel is gone.
    pub fn deliver_directly(&mut self, channel_id: u16, tag: &str, message: &Message) -> bool {
        let frame_max = self.frame_max;
        if self.closed || !self.takes(message) {
            return false;
        }
        let Some(channel) = self.channels.get_mut(usize::from(channel_id)).and_then(|ch| ch.as_deref_mut())
        else {
            return false;
        };
        channel.last_delivery_tag += 1;
        amqp::write_deliver(
            &mut self.output.frames,
            channel_id,
            tag,
            channel.last_delivery_tag,
            false,
            message.exchange_octets(),
            message.routing_key_octets(),
        );
        amqp::write_content(
            &mut self.output.frames,
            channel_id,
            &message.shown_properties(),
            message.body(),
            frame_max,
        );
        true
    }

    /// Encodes the answer to `basic.get`. The entry comes back with no_ack.
    pub fn deliver_get(
        &mut self,
        channel_id: u16,
        queue: &Arc<Queue>,
        mut entry: Entry,
        message_count: u32,
        no_ack: bool,
        properties: Option<&[u8]>,
    ) -> Option<Entry> {
        let Some(message) = &entry.message else {
            debug_assert!(false, "delivering a message whose body is on disk");
            return Some(entry);
        };
        let frame_max = self.frame_max;
        let Some(channel) = self.channels.get_mut(usize::from(channel_id)).and_then(|ch| ch.as_deref_mut())
        else {
            return Some(entry);
        };
        channel.last_delivery_tag += 1;
        let tag = channel.last_delivery_tag;
        amqp::write_get_ok(
            &mut self.output.frames,
            channel_id,
            tag,
            entry.redelivered,
            message.exchange(),
            message.routing_key(),
            message_count,
        );
        self.output.content(channel_id, message, properties, frame_max);
        if no_ack {
            return Some(entry);
        }
        entry.let_go_of_body();
        channel.unacked.push(UnackedDelivery { tag, queue: queue.clone(), entry, consumer: None });
        None
    }
}

/// What a batch of work leaves to be done: the outboxes that it has touched, each woken once when the batch is done,
/// and dead letters, published as soon as nobody holds a lock. Deliveries that are traced are copied before anybody is woken.
#[derive(Default)]
pub struct Wakes {
    touched: Vec<Arc<Outbox>>,
    burials: VecDeque<Burial>,
    is_burying: bool,
    deliveries: Vec<Delivery>,
    is_tracing: bool,
}

impl Wakes {
    pub fn add(&mut self, outbox: &Arc<Outbox>) {
        if outbox.claim_wake() {
            self.touched.push(outbox.clone());
        }
    }

    /// Publishes dead letters. Those that die of it in turn wait for their turn: a chain of queues may be of any
    /// length, so no recursion. Call without locks.
    pub fn bury(&mut self, burial: Burial) {
        self.burials.push_back(burial);
        if !self.is_burying {
            self.bury_held();
        }
    }

    /// Lets dead letters wait for [`Wakes::bury_held`]: a message is in all its queues before what it displaces from
    /// one of them, itself maybe, comes to another.
    pub fn hold_burials(&mut self) {
        self.is_burying = true;
    }

    pub fn bury_held(&mut self) {
        self.is_burying = true;
        while let Some(burial) = self.burials.pop_front() {
            burial.carry_out(self);
        }
        self.is_burying = false;
    }

    /// A delivery is to be copied to the trace exchange. What is delivered for the sake of copies is not: who binds
    /// dead letters of copies to a queue would else keep the broker busy with itself.
    #[cold]
    pub fn trace(
        &mut self,
        queue: &Arc<Queue>,
        entry: &Entry,
        properties: Option<&[u8]>,
        (connection_id, channel): (u64, u16),
    ) {
        let Some(message) = &entry.message else { return };
        if self.is_tracing || !firehose::is_original(message.exchange()) {
            return;
        }
        self.deliveries.push(Delivery {
            queue: queue.clone(),
            message: message.clone(),
            properties: properties.map(Box::from),
            redelivered: entry.redelivered,
            connection_id,
            channel,
        });
    }

    #[cold]
    fn trace_all(&mut self) {
        self.is_tracing = true;
        for delivery in std::mem::take(&mut self.deliveries) {
            delivery.queue.trace(&delivery, self);
        }
        self.is_tracing = false;
    }

    /// Call without locks.
    pub fn wake_all(&mut self) {
        if !self.deliveries.is_empty() {
            self.trace_all();
        }
        for outbox in self.touched.drain(..) {
            outbox.set_awake(false);
            outbox.wake();
        }
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.wake_all();
    }
}
