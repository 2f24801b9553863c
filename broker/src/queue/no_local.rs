//! Consumers that do not want what their own connection publishes (`no-local`, AMQP 0-9-1 §1.8.3.3).
//!
//! The head of the queue may be nothing for such a consumer, and what is behind it may. So each connection with such
//! consumers has passed a part of the queue: everything there that is ready is its own. What it passes is set aside in
//! the backlog, where it stays ready and in its place for everybody else, and so no message is looked at twice.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::outbox::Wakes;

use super::{ByPriority, Consumer, Entry, Queue, QueueState};

/// Messages that are passed under one hold of the lock.
const PASS_COUNT_MAX: usize = 1024;

/// Where a message is: its priority, and its position.
type Place = (usize, u64);

/// What a queue knows that has consumers with `no-local`.
#[derive(Default)]
pub(super) struct NoLocal {
    connections: Vec<Connection>,
    /// Who published what was set aside, by position: a body read back from disk does not say.
    publishers: HashMap<u64, u64>,
}

/// A connection with consumers that do not want its own messages.
struct Connection {
    id: u64,
    consumers: usize,
    /// By priority: what is ready before this position is the connection's own, unless it is in `again`.
    passed: Vec<u64>,
    /// Came back to a place that was passed; higher priorities first. May be gone by now.
    again: BTreeSet<(Reverse<usize>, u64)>,
}

/// What is next for a connection.
enum Next {
    Nothing,
    At(Place),
    /// There may be something behind what was looked at under this hold of the lock.
    LookedAtEnough,
}

impl NoLocal {
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    pub fn add(&mut self, connection_id: u64, priority_max: u8) {
        match self.connections.iter_mut().find(|connection| connection.id == connection_id) {
            Some(connection) => connection.consumers += 1,
            None => self.connections.push(Connection {
                id: connection_id,
                consumers: 1,
                passed: vec![0; usize::from(priority_max) + 1],
                again: BTreeSet::new(),
            }),
        }
    }

    pub fn remove(&mut self, connection_id: u64) {
        let Some(at) = self.connections.iter().position(|connection| connection.id == connection_id) else {
            return;
        };
        self.connections[at].consumers -= 1;
        if self.connections[at].consumers == 0 {
            self.connections.swap_remove(at);
        }
        if self.connections.is_empty() {
            self.publishers = HashMap::new();
        }
    }

    /// The message has left the queue.
    pub fn settled(&mut self, seq: u64) {
        self.publishers.remove(&seq);
    }

    /// A message is back in its place.
    pub fn came_back(&mut self, (level, seq): Place) {
        for connection in self.connections.iter_mut().filter(|c| seq < c.passed[level]) {
            connection.again.insert((Reverse(level), seq));
        }
    }

    /// All that was ready is gone.
    pub fn purged(&mut self) {
        self.publishers.clear();
    }

    fn next_for(&mut self, connection_id: u64, backlog: &mut ByPriority) -> Next {
        let publishers = &mut self.publishers;
        match self.connections.iter_mut().find(|connection| connection.id == connection_id) {
            Some(connection) => connection.next(backlog, publishers),
            None => Next::Nothing,
        }
    }

    /// The positions that a connection has passed, by priority.
    fn passed_by(&self, connection_id: u64) -> Option<&[u64]> {
        self.connections.iter().find(|c| c.id == connection_id).map(|c| &*c.passed)
    }
}

impl Connection {
    fn next(&mut self, backlog: &mut ByPriority, publishers: &mut HashMap<u64, u64>) -> Next {
        let mut left = PASS_COUNT_MAX;
        for level in (0..self.passed.len()).rev() {
            let again = self.next_again(level, backlog, publishers);
            let further = loop {
                let Some(entry) = backlog.first_from(level, self.passed[level]) else { break None };
                let seq = entry.seq;
                if !self.is_own(entry, publishers) {
                    break Some(seq);
                }
                if left == 0 {
                    return again.map_or(Next::LookedAtEnough, |seq| Next::At((level, seq)));
                }
                left -= 1;
                publishers.insert(seq, self.id);
                backlog.set_aside(level, seq);
                self.passed[level] = seq + 1;
            };
            if let Some(seq) = again.into_iter().chain(further).min() {
                return Next::At((level, seq));
            }
        }
        Next::Nothing
    }

    fn next_again(
        &mut self,
        level: usize,
        backlog: &ByPriority,
        publishers: &HashMap<u64, u64>,
    ) -> Option<u64> {
        while let Some(&(Reverse(at), seq)) = self.again.first() {
            if at != level {
                return None;
            }
            let entry = backlog.first_from(level, seq).filter(|entry| entry.seq == seq);
            if entry.is_some_and(|entry| !self.is_own(entry, publishers)) {
                return Some(seq);
            }
            self.again.pop_first();
        }
        None
    }

    fn is_own(&self, entry: &Entry, publishers: &HashMap<u64, u64>) -> bool {
        let known = publishers.get(&entry.seq).copied();
        known.or(entry.message.as_ref().map(|message| message.publisher)) == Some(self.id)
    }
}

impl Queue {
    /// Like `deliver_some`, where some consumers do not want everything.
    #[cold]
    pub(super) fn deliver_selectively(
        self: &Arc<Self>,
        state: &mut QueueState,
        count_max: usize,
        wakes: &mut Wakes,
    ) -> bool {
        let mut delivered = 0;
        while self.deliver_next(state, wakes) {
            delivered += 1;
            if delivered == count_max {
                return true;
            }
        }
        false
    }

    /// Hands one message to the first consumer in turn that has room and wants any. False when there is none such.
    fn deliver_next(self: &Arc<Self>, state: &mut QueueState, wakes: &mut Wakes) -> bool {
        for offset in 0..state.consumers.candidates() {
            let consumer = state.consumers.in_turn(offset).clone();
            let Some((level, seq)) = self.place_for(state, &consumer) else { continue };
            let Some(entry) = state.backlog.first_from(level, seq) else { continue };
            let bytes = u64::from(entry.body_len);
            let Some(message) = entry.message.clone() else {
                self.start_loading(state);
                continue;
            };
            if !consumer.has_credit(|| bytes) {
                continue;
            }
            let mut out = consumer.outbox.lock();
            if !out.can_deliver(&consumer, || bytes) {
                continue;
            }
            if consumer.outbox.is_full(&out) {
                out.turn_away(self, &consumer);
                continue;
            }
            if !out.takes(&message) {
                self.evict_small(&consumer, &mut out, &message);
                continue;
            }
            let Some(entry) = state.backlog.pop_at(level, seq) else { continue };
            self.hand_over(state, &consumer, &mut out, entry, wakes);
            drop(out);
            wakes.add(&consumer.outbox);
            state.consumers.advance_past(offset);
            return true;
        }
        false
    }

    /// The first message that the consumer would take.
    fn place_for(self: &Arc<Self>, state: &mut QueueState, consumer: &Arc<Consumer>) -> Option<Place> {
        if !consumer.no_local {
            return state.backlog.first_place();
        }
        let extras = state.extras.as_mut()?;
        match extras.no_local.next_for(consumer.outbox.connection_id, &mut state.backlog) {
            Next::Nothing => None,
            Next::At(place) => Some(place),
            Next::LookedAtEnough => {
                // Its connection asks again; a wake-up at the end of the batch could be lost, as it may be awake.
                consumer.outbox.lock().turn_away(self, consumer);
                consumer.outbox.wake();
                None
            }
        }
    }
}

impl QueueState {
    /// A consumer has come that does not want what its connection publishes.
    pub(super) fn add_no_local(&mut self, consumer: &Consumer) {
        let priority_max = self.backlog.priority_max();
        self.extras.get_or_insert_default().no_local.add(consumer.outbox.connection_id, priority_max);
        self.is_selective = true;
    }

    pub(super) fn remove_no_local(&mut self, consumer: &Consumer) {
        if let Some(extras) = &mut self.extras {
            extras.no_local.remove(consumer.outbox.connection_id);
            self.is_selective = !extras.no_local.is_empty();
        }
    }

    /// Positions of the bodies to be read next: those at the head, and those that the consumers are at who do not want
    /// what is there.
    pub(super) fn next_on_disk(&self, count_max: usize, bytes_max: u64) -> Vec<u64> {
        let mut seqs = self.backlog.next_on_disk(None, count_max, bytes_max);
        if !self.is_selective {
            return seqs;
        }
        let waiting = self.consumers.iter().filter(|consumer| consumer.no_local);
        let connections: BTreeSet<u64> = waiting.map(|consumer| consumer.outbox.connection_id).collect();
        let no_local = self.extras.iter().map(|extras| &extras.no_local);
        for passed in no_local.flat_map(|all| connections.iter().filter_map(|&id| all.passed_by(id))) {
            seqs.extend(self.backlog.next_on_disk(Some(passed), count_max, bytes_max));
        }
        seqs.sort_unstable();
        seqs.dedup();
        seqs
    }
}
