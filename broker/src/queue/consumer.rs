//! Consumers of a queue and whose turn it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::amqp::{self, FieldTable};
use crate::outbox::Outbox;

/// One `basic.consume`.
pub struct Consumer {
    pub tag: Box<str>,
    pub channel: u16,
    pub outbox: Arc<Outbox>,
    pub no_ack: bool,
    pub exclusive: bool,
    /// It does not want what its own connection publishes.
    pub no_local: bool,
    /// The client understands `basic.cancel` from the server.
    pub wants_cancel: bool,
    /// Unacknowledged messages at most; 0 is no limit. Fixed when it subscribed (as RabbitMQ reads qos).
    pub prefetch: u32,
    /// Unacknowledged body bytes at most; 0 is no limit.
    pub prefetch_size: u64,
    /// Those with a lower one get messages only when those with a higher one have no room (`x-priority`).
    pub priority: i32,
    pub arguments: FieldTable,
    unacked: AtomicU32,
    /// Counted where there is a limit.
    unacked_bytes: AtomicU64,
    /// It has ended: the client cancelled it, or its queue went away.
    cancelled: AtomicBool,
    /// Its queue waits for room in its outbox, under whose lock this is.
    in_line: AtomicBool,
}

/// What `basic.consume` asks for.
pub struct ConsumerOptions {
    pub tag: Box<str>,
    pub channel: u16,
    pub no_ack: bool,
    pub exclusive: bool,
    pub no_local: bool,
    pub wants_cancel: bool,
    pub prefetch: u32,
    pub prefetch_size: u64,
    pub priority: i32,
    pub arguments: FieldTable,
}

impl Consumer {
    pub fn new(outbox: Arc<Outbox>, options: ConsumerOptions) -> Consumer {
        Consumer {
            tag: options.tag,
            channel: options.channel,
            outbox,
            no_ack: options.no_ack,
            exclusive: options.exclusive,
            no_local: options.no_local,
            wants_cancel: options.wants_cancel,
            prefetch: options.prefetch,
            prefetch_size: options.prefetch_size,
            priority: options.priority,
            arguments: options.arguments,
            unacked: AtomicU32::new(0),
            unacked_bytes: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            in_line: AtomicBool::new(false),
        }
    }

    /// Whether its own prefetch leaves room for the next message, of so many body bytes. Counted under the queue's
    /// or the outbox's lock, read anywhere.
    pub fn has_credit(&self, next_bytes: impl FnOnce() -> u64) -> bool {
        self.no_ack
            || ((self.prefetch == 0 || self.unacked.load(Ordering::Relaxed) < self.prefetch)
                && has_room(self.prefetch_size, self.unacked_bytes.load(Ordering::Relaxed), next_bytes))
    }

    pub fn handed_out(&self, body_bytes: u64) {
        self.unacked.fetch_add(1, Ordering::Relaxed);
        if self.prefetch_size != 0 {
            self.unacked_bytes.fetch_add(body_bytes, Ordering::Relaxed);
        }
    }

    pub fn settled(&self, count: u32, body_bytes: u64) {
        self.unacked.fetch_sub(count, Ordering::Relaxed);
        if self.prefetch_size != 0 {
            self.unacked_bytes.fetch_sub(body_bytes, Ordering::Relaxed);
        }
    }

    pub fn unacked(&self) -> u32 {
        self.unacked.load(Ordering::Relaxed)
    }

    /// Tells the client that its queue is gone (consumer cancel notification), if it wants to know.
    pub fn announce_cancelled(&self) {
        if self.wants_cancel {
            let cancel = amqp::basic::Cancel { consumer_tag: self.tag.clone(), no_wait: true };
            let mut out = self.outbox.lock();
            if !out.closed && out.channel(self.channel).is_some() {
                amqp::write_method(&mut out.output.frames, self.channel, &cancel.into());
            }
            drop(out);
            self.outbox.wake();
        }
    }

    pub fn set_cancelled(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    pub fn is_in_line(&self) -> bool {
        self.in_line.load(Ordering::Relaxed)
    }

    pub fn set_in_line(&self, in_line: bool) {
        self.in_line.store(in_line, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

/// A prefetch size: as many bytes as fit, and a message that is larger by itself alone (AMQP 0-9-1 §1.8.3.1).
pub fn has_room(bytes_max: u64, bytes: u64, next_bytes: impl FnOnce() -> u64) -> bool {
    bytes_max == 0 || bytes == 0 || bytes + next_bytes() <= bytes_max
}

/// The consumers of one queue in turn: by priority, and round and round where that is the same.
#[derive(Default)]
pub struct Consumers {
    /// Highest priority first; nearly always one.
    levels: Vec<Level>,
    count: u32,
    /// `x-single-active-consumer`: one gets everything, the others wait for it to go.
    single_active: bool,
    /// The one that gets everything: the active one, or the only one. Here and not behind two pointers, for that is how
    /// it is with most queues.
    sole: Option<Arc<Consumer>>,
}

struct Level {
    priority: i32,
    ring: Vec<Arc<Consumer>>,
    next: usize,
}

impl Consumers {
    pub fn new(single_active: bool) -> Consumers {
        Consumers { single_active, ..Consumers::default() }
    }

    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        self.levels.iter().flat_map(|level| level.ring.iter())
    }

    /// The consumer that gets everything, where there may be only one such.
    pub fn active(&self) -> Option<&Arc<Consumer>> {
        self.sole.as_ref().filter(|_| self.single_active)
    }

    /// The one that gets everything.
    #[inline]
    pub fn sole(&self) -> Option<&Arc<Consumer>> {
        self.sole.as_ref()
    }

    /// The one that gets everything, without the two counts that a clone would cost for each message. To be given back
    /// under the same lock, before anything else is asked.
    #[inline]
    pub fn lend_sole(&mut self) -> Option<Arc<Consumer>> {
        self.sole.take()
    }

    #[inline]
    pub fn give_back_sole(&mut self, consumer: Arc<Consumer>) {
        self.sole = Some(consumer);
    }

    /// Whether somebody wants to be alone, who then is.
    pub fn has_exclusive(&self) -> bool {
        self.count == 1 && self.iter().any(|consumer| consumer.exclusive)
    }

    pub fn add(&mut self, consumer: Arc<Consumer>) {
        self.count += 1;
        self.sole = match self.single_active {
            true => self.sole.take().or_else(|| Some(consumer.clone())),
            false => (self.count == 1).then(|| consumer.clone()),
        };
        let priority = consumer.priority;
        match self.levels.binary_search_by(|level| priority.cmp(&level.priority)) {
            Ok(at) => self.levels[at].add(consumer),
            Err(at) => self.levels.insert(at, Level { priority, ring: vec![consumer], next: 0 }),
        }
    }

    /// False when it was not there.
    pub fn remove(&mut self, consumer: &Arc<Consumer>) -> bool {
        let Some(at) = self.levels.iter().position(|level| level.priority == consumer.priority) else {
            return false;
        };
        if !self.levels[at].remove(consumer) {
            return false;
        }
        self.count -= 1;
        if self.levels[at].ring.is_empty() {
            self.levels.remove(at);
        }
        let is_sole = match self.single_active {
            true => self.sole.as_ref().is_none_or(|active| Arc::ptr_eq(active, consumer)),
            false => self.count <= 1,
        };
        if is_sole {
            // The longest subscribed of the highest priority.
            self.sole = self.levels.first().and_then(|level| level.ring.first()).cloned();
        }
        true
    }

    pub fn take_all(&mut self) -> Vec<Arc<Consumer>> {
        self.count = 0;
        self.sole = None;
        std::mem::take(&mut self.levels).into_iter().flat_map(|level| level.ring).collect()
    }

    /// How many may get messages now.
    #[inline]
    pub fn candidates(&self) -> usize {
        if self.single_active { usize::from(self.sole.is_some()) } else { self.len() }
    }

    /// The consumer `offset` places behind the one whose turn it is; those of lower priority come last.
    #[inline]
    pub fn in_turn(&self, offset: usize) -> &Arc<Consumer> {
        if let Some(sole) = &self.sole {
            return sole;
        }
        let (level, offset) = self.level_of(offset);
        self.levels[level].in_turn(offset)
    }

    /// The consumer `offset` places behind the one whose turn it is got a message: the next one is on.
    #[inline]
    pub fn advance_past(&mut self, offset: usize) {
        if self.sole.is_some() {
            return;
        }
        let (level, offset) = self.level_of(offset);
        self.levels[level].advance_past(offset);
    }

    #[inline]
    fn level_of(&self, mut offset: usize) -> (usize, usize) {
        let mut at = 0;
        while at + 1 < self.levels.len() && offset >= self.levels[at].ring.len() {
            offset -= self.levels[at].ring.len();
            at += 1;
        }
        (at, offset)
    }
}

impl Level {
    /// Behind all others, whosever turn it is.
    fn add(&mut self, consumer: Arc<Consumer>) {
        match self.next {
            0 => self.ring.push(consumer),
            next => {
                self.ring.insert(next, consumer);
                self.next += 1;
            }
        }
    }

    fn remove(&mut self, consumer: &Arc<Consumer>) -> bool {
        let Some(at) = self.ring.iter().position(|c| Arc::ptr_eq(c, consumer)) else { return false };
        self.ring.remove(at);
        if at < self.next {
            self.next -= 1;
        }
        if self.next >= self.ring.len() {
            self.next = 0;
        }
        true
    }

    fn in_turn(&self, offset: usize) -> &Arc<Consumer> {
        let at = self.next + offset;
        &self.ring[if at >= self.ring.len() { at - self.ring.len() } else { at }]
    }

    fn advance_past(&mut self, offset: usize) {
        self.next = (self.next + offset + 1) % self.ring.len().max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(tag: &str, priority: i32) -> Arc<Consumer> {
        let options = ConsumerOptions {
            tag: tag.into(),
            channel: 1,
            no_ack: false,
            exclusive: false,
            no_local: false,
            wants_cancel: false,
            prefetch: 0,
            prefetch_size: 0,
            priority,
            arguments: FieldTable::default(),
        };
        Arc::new(Consumer::new(Arc::new(Outbox::new(1, 1)), options))
    }

    fn in_turn(consumers: &Consumers) -> String {
        (0..consumers.candidates()).map(|offset| &*consumers.in_turn(offset).tag).collect()
    }

    #[test]
    fn higher_priorities_come_first_and_take_turns_among_themselves() {
        let mut consumers = Consumers::default();
        let all = [("a", 0), ("b", 5), ("c", 0), ("d", 5), ("e", -1)].map(|(tag, p)| consumer(tag, p));
        all.iter().for_each(|consumer| consumers.add(consumer.clone()));
        assert_eq!((consumers.len(), &*in_turn(&consumers)), (5, "bdace"));
        consumers.advance_past(0);
        assert_eq!(in_turn(&consumers), "dbace");
        // Those above had no room.
        consumers.advance_past(2);
        assert_eq!(in_turn(&consumers), "dbcae");
        assert!(consumers.remove(&all[3]));
        assert!(!consumers.remove(&all[3]));
        assert_eq!(in_turn(&consumers), "bcae");
        assert!(consumers.remove(&all[1]));
        assert_eq!(in_turn(&consumers), "cae");
        assert!(consumers.active().is_none());
        consumers.advance_past(2);
        assert_eq!(in_turn(&consumers), "cae");
        assert_eq!(consumers.take_all().len(), 3);
        assert!(consumers.is_empty());
    }

    #[test]
    fn who_comes_later_is_last_whosever_turn_it_is() {
        let mut consumers = Consumers::default();
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|tag| consumer(tag, 0));
        consumers.add(a);
        consumers.add(b.clone());
        consumers.advance_past(0);
        consumers.add(c);
        assert_eq!(in_turn(&consumers), "bac");
        consumers.advance_past(0);
        consumers.remove(&b);
        consumers.add(d);
        assert_eq!(in_turn(&consumers), "acd");
    }

    #[test]
    fn alone_it_is_always_its_turn() {
        let mut consumers = Consumers::default();
        let [a, b] = [("a", 0), ("b", 3)].map(|(tag, priority)| consumer(tag, priority));
        consumers.add(a.clone());
        consumers.advance_past(0);
        assert_eq!((&*in_turn(&consumers), consumers.active().is_none()), ("a", true));
        consumers.add(b.clone());
        assert_eq!(in_turn(&consumers), "ba");
        consumers.remove(&a);
        assert_eq!(in_turn(&consumers), "b");
        consumers.remove(&b);
        assert_eq!(consumers.candidates(), 0);
        consumers.add(a);
        assert_eq!(in_turn(&consumers), "a");
        assert_eq!(consumers.take_all().len(), 1);
        consumers.add(b);
        assert_eq!(in_turn(&consumers), "b");
    }

    #[test]
    fn one_is_active_until_it_goes() {
        let mut consumers = Consumers::new(true);
        assert_eq!(consumers.candidates(), 0);
        let [a, b, c] = [("a", 0), ("b", 0), ("c", 1)].map(|(tag, priority)| consumer(tag, priority));
        for consumer in [&a, &b, &c] {
            consumers.add(consumer.clone());
        }
        assert_eq!((consumers.len(), &*in_turn(&consumers)), (3, "a"));
        consumers.advance_past(0);
        consumers.remove(&b);
        assert_eq!(in_turn(&consumers), "a");
        consumers.add(b.clone());
        consumers.remove(&a);
        assert_eq!(in_turn(&consumers), "c");
        consumers.remove(&c);
        assert_eq!(in_turn(&consumers), "b");
        consumers.remove(&b);
        assert_eq!(consumers.candidates(), 0);
    }
}
