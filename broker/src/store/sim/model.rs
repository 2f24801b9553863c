//! The promise as a table: what must be in the log, what must not, and what may.

use std::collections::{BTreeMap, BTreeSet};

use super::rng::Rng;
use crate::message::Message;
use crate::store::{EntryMeta, QueueId, Recovered, RecoveredEntry, Round};

/// What the log held.
type Found = BTreeMap<QueueId, Vec<RecoveredEntry>>;

/// What the queues asked of the store since the log was created.
#[derive(Default)]
pub struct Model {
    pub queues: BTreeMap<QueueId, Queue>,
    /// Counts enqueues, to compare their order.
    clock: u64,
}

#[derive(Default)]
pub struct Queue {
    pub next_seq: u64,
    pub entries: BTreeMap<u64, Entry>,
}

pub struct Entry {
    pub body: Body,
    pub meta: EntryMeta,
    /// In memory, as far as the queue is concerned.
    pub message: Option<Message>,
    /// The round that makes it durable; 0 if it is.
    pub round: Round,
    /// Order among the enqueues.
    at: u64,
    pub removed: Option<Removed>,
}

#[derive(Clone, Copy, Debug)]
pub struct Removed {
    pub round: Round,
    /// It is durable with its round: a purge, an ack before a barrier. Another ack is with the next sync.
    pub promised: bool,
}

/// How a store came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything written is there. Nothing was left over for lack of space.
    Killed,
    PowerCut,
    Closed,
}

/// How far the store had got.
#[derive(Clone, Copy, Debug)]
pub struct Reached {
    pub durable: Round,
    pub synced: Round,
    pub end: End,
    /// A clean shutdown that failed, or an open that did: the note of it may be there or not.
    pub maybe_closed: bool,
}

/// A body that can be told from its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    pub id: u64,
    pub len: u32,
}

impl Body {
    pub fn bytes(self) -> Vec<u8> {
        let mut rng = Rng::new(self.id);
        let mut bytes = Vec::with_capacity(self.len as usize + 8);
        while bytes.len() < self.len as usize {
            bytes.extend_from_slice(&rng.draw().to_le_bytes());
        }
        bytes.truncate(self.len as usize);
        bytes
    }

    pub fn message(self) -> Message {
        Message::new("ex", &format!("key-{}", self.id), b"\x80\x00\x02ab", &self.bytes(), true)
    }

    pub fn check(self, message: &Message) -> Result<(), String> {
        let whole = message.exchange() == "ex"
            && message.routing_key() == format!("key-{}", self.id)
            && message.properties() == b"\x80\x00\x02ab"
            && message.body() == self.bytes();
        if whole { Ok(()) } else { Err(format!("the message is not what was enqueued as {self:?}")) }
    }
}

impl Entry {
    /// Confirmed, and nobody has given it up.
    pub fn is_certain(&self, durable: Round) -> bool {
        self.removed.is_none() && self.round <= durable
    }

    fn must_be_gone(&self, reached: Reached) -> bool {
        self.removed.is_some_and(|removed| match reached.end {
            End::Closed => true,
            End::Killed => removed.round <= reached.durable,
            End::PowerCut if removed.promised => removed.round <= reached.durable,
            End::PowerCut => removed.round <= reached.synced,
        })
    }
}

impl Model {
    pub fn enqueue(
        &mut self,
        queue: QueueId,
        body: Body,
        meta: EntryMeta,
        message: Message,
        enqueue: impl FnOnce(u64) -> Round,
    ) {
        self.clock += 1;
        let queue = self.queues.entry(queue).or_default();
        let seq = queue.next_seq.max(1);
        queue.next_seq = seq + 1;
        let round = enqueue(seq);
        let entry = Entry { body, meta, message: Some(message), round, at: self.clock, removed: None };
        queue.entries.insert(seq, entry);
    }

    /// Compares a log with what was asked of it, and goes on from what it held.
    pub fn recover(
        &mut self,
        recovered: &Recovered,
        reached: Reached,
        delivered: &BTreeSet<(QueueId, u64)>,
    ) -> Result<(), String> {
        let all: Found = recovered.next_seqs.keys().map(|&id| (id, recovered.entries(id))).collect();
        for (&id, found) in &all {
            let queue = self.queues.get(&id).ok_or(format!("{id:?} came back"))?;
            let next_seq = recovered.next_seqs[&id];
            for entry in found {
                let seq = entry.seq;
                let expected =
                    queue.entries.get(&seq).ok_or(format!("{id:?} {seq} was never there or was gone"))?;
                let same = entry.meta == expected.meta && entry.body_len == expected.body.len;
                if !same {
                    return Err(format!("{id:?} {seq}: {entry:?} is not what was enqueued"));
                }
                if expected.must_be_gone(reached) {
                    return Err(format!(
                        "{id:?} {seq} came back after it was removed ({reached:?}): {:?}, enqueued in round {}",
                        expected.removed, expected.round
                    ));
                }
                let redelivered = reached.end != End::Closed || delivered.contains(&(id, seq));
                if entry.redelivered != redelivered {
                    return Err(format!("{id:?} {seq}: redelivered should be {redelivered}"));
                }
                if next_seq <= seq {
                    return Err(format!("{id:?}: next_seq {next_seq} with entry {seq}"));
                }
            }
            if !found.is_sorted_by(|a, b| a.seq < b.seq) {
                return Err(format!("{id:?} is not in order"));
            }
        }
        self.check_missing(&all, reached)?;
        self.adopt(recovered, &all);
        Ok(())
    }

    /// Nothing durable is missing, and of the rest no enqueue that came before one that is there.
    fn check_missing(&self, recovered: &Found, reached: Reached) -> Result<(), String> {
        let is_there = |id: QueueId, seq: u64| {
            recovered.get(&id).is_some_and(|q| q.binary_search_by_key(&seq, |e| e.seq).is_ok())
        };
        let all = || self.queues.iter().flat_map(|(&id, q)| q.entries.iter().map(move |(&s, e)| (id, s, e)));
        let latest =
            all().filter(|&(id, seq, e)| e.round > 0 && is_there(id, seq)).map(|(_, _, e)| e.at).max();
        for (id, seq, entry) in all().filter(|&(id, seq, _)| !is_there(id, seq)) {
            if entry.removed.is_some() {
                continue;
            }
            if reached.end == End::Closed || entry.round <= reached.durable {
                return Err(format!(
                    "{id:?} {seq} of round {} is lost although durable ({reached:?})",
                    entry.round
                ));
            }
            if latest.is_some_and(|latest| entry.at < latest) {
                return Err(format!("{id:?} {seq} is missing, but a later one is there"));
            }
        }
        Ok(())
    }

    fn adopt(&mut self, recovered: &Recovered, all: &Found) {
        for (id, queue) in &mut self.queues {
            let found = all.get(id);
            queue.next_seq = recovered.next_seqs.get(id).copied().unwrap_or(1);
            queue.entries.retain(|seq, entry| {
                entry.message = None;
                entry.round = 0;
                entry.removed = None;
                found.is_some_and(|q| q.binary_search_by_key(seq, |e| e.seq).is_ok())
            });
        }
    }
}
