//! Where the rest of the broker hands work to the commit thread: the open round, the listeners, the state.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{DurableListener, Entry, QueueId, Round, StoreFailure};
use crate::message::Message;

/// What a round asks of the log, in order.
#[derive(Clone)]
pub enum Op {
    Enqueue {
        entry: Entry,
        message: Message,
    },
    Ack {
        queue: QueueId,
        seq: u64,
    },
    Purge {
        queue: QueueId,
        up_to: u64,
    },
    DeleteQueue {
        queue: QueueId,
    },
    /// The round counts as durable only once everything before it is synced, acks too.
    Barrier,
}

/// Roughly what an op adds to the log beside a message's bytes.
const OP_BYTES: usize = 32;

impl Op {
    fn bytes(&self) -> usize {
        match self {
            Op::Enqueue { message, .. } => OP_BYTES + message.block().0.len(),
            _ => OP_BYTES,
        }
    }
}

pub struct Intake {
    /// Guards the open round. Rank: innermost, below every queue; held for one push.
    open: Mutex<Open>,
    wake: Condvar,
    /// Holders of a cork: while there are any, work does not wake the commit thread at once.
    corks: AtomicU32,
    durable: AtomicU64,
    backlog_bytes: AtomicU64,
    failed: AtomicBool,
    failure: OnceLock<StoreFailure>,
    /// Guards registrations against being missed. Rank: as `open`, never both.
    listeners: Mutex<Vec<(Round, Arc<dyn DurableListener>)>>,
    round_bytes_max: usize,
}

struct Open {
    ops: Vec<Op>,
    bytes: usize,
    round: Round,
    /// Rounds that grew to the limit before the commit thread came for them.
    full: VecDeque<Taken>,
    sleeping: bool,
    stopping: bool,
    /// An emptied buffer to use again.
    spare: Vec<Op>,
}

pub struct Taken {
    pub round: Round,
    pub ops: Vec<Op>,
    bytes: usize,
}

impl Intake {
    pub fn new(round_bytes_max: usize) -> Intake {
        Intake {
            open: Mutex::new(Open {
                ops: Vec::new(),
                bytes: 0,
                round: 1,
                full: VecDeque::new(),
                sleeping: false,
                stopping: false,
                spare: Vec::new(),
            }),
            wake: Condvar::new(),
            corks: AtomicU32::new(0),
            durable: AtomicU64::new(0),
            backlog_bytes: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            failure: OnceLock::new(),
            listeners: Mutex::new(Vec::new()),
            round_bytes_max,
        }
    }

    pub fn push(&self, op: Op) -> Round {
        self.push_all(std::iter::once(op))
    }

    /// The round of the last one.
    pub fn push_all(&self, ops: impl IntoIterator<Item = Op>) -> Round {
        let mut open = self.open.lock();
        let mut round = open.round;
        let mut added = 0;
        for op in ops {
            round = open.round;
            let bytes = op.bytes();
            added += bytes as u64;
            open.bytes += bytes;
            open.ops.push(op);
            if open.bytes >= self.round_bytes_max {
                open.close_round();
            }
        }
        // Only written under the lock; an atomic so that it can be read without.
        self.backlog_bytes.store(self.backlog_bytes.load(Ordering::Relaxed) + added, Ordering::Relaxed);
        self.wake_up(open, false);
        round
    }

    fn wake_up(&self, mut open: parking_lot::MutexGuard<'_, Open>, even_corked: bool) {
        if !open.sleeping || !open.has_work() {
            return;
        }
        if !even_corked && self.corks.load(Ordering::Relaxed) > 0 {
            return;
        }
        open.sleeping = false;
        drop(open);
        self.wake.notify_one();
    }

    pub fn cork(&self) {
        self.corks.fetch_add(1, Ordering::Relaxed);
    }

    pub fn uncork(&self) {
        self.corks.fetch_sub(1, Ordering::Relaxed);
        // Also while others hold a cork: theirs must not delay what came under this one.
        self.wake_up(self.open.lock(), true);
    }

    /// The next round with anything in it. `used` is given back to be filled again.
    pub fn take(&self, mut used: Vec<Op>) -> Option<Taken> {
        used.clear();
        let mut open = self.open.lock();
        if used.capacity() <= 64 * 1024 && used.capacity() > open.spare.capacity() {
            open.spare = used;
        }
        if open.full.is_empty() && !open.ops.is_empty() {
            open.close_round();
        }
        let taken = open.full.pop_front()?;
        let left = self.backlog_bytes.load(Ordering::Relaxed).saturating_sub(taken.bytes as u64);
        self.backlog_bytes.store(left, Ordering::Relaxed);
        Some(taken)
    }

    /// Waits until there is work or the end, at most `limit`. Says whether to go on.
    pub fn sleep(&self, limit: Option<Duration>) -> bool {
        let mut open = self.open.lock();
        if open.has_work() {
            return true;
        }
        if open.stopping {
            return false;
        }
        open.sleeping = true;
        while open.sleeping {
            match limit {
                None => self.wake.wait(&mut open),
                Some(limit) => {
                    if self.wake.wait_for(&mut open, limit).timed_out() {
                        break;
                    }
                }
            }
        }
        open.sleeping = false;
        !open.stopping || open.has_work()
    }

    /// The commit thread shall end after what is there now.
    pub fn stop(&self) {
        let mut open = self.open.lock();
        open.stopping = true;
        open.sleeping = false;
        drop(open);
        self.wake.notify_one();
    }

    /// Stopped, and everything was taken.
    pub fn is_finished(&self) -> bool {
        let open = self.open.lock();
        open.stopping && !open.has_work()
    }

    pub fn durable(&self) -> Round {
        self.durable.load(Ordering::Acquire)
    }

    pub fn backlog_bytes(&self) -> u64 {
        self.backlog_bytes.load(Ordering::Relaxed)
    }

    pub fn failure(&self) -> Option<StoreFailure> {
        if !self.failed.load(Ordering::Acquire) {
            return None;
        }
        self.failure.get().cloned()
    }

    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub fn on_durable(&self, round: Round, listener: Arc<dyn DurableListener>) {
        let mut listeners = self.listeners.lock();
        if self.durable() < round && !self.has_failed() {
            listeners.push((round, listener));
            return;
        }
        drop(listeners);
        listener.durable(self.durable());
    }

    /// Everything up to `round` is durable now.
    pub fn advance(&self, round: Round) {
        if round <= self.durable() {
            return;
        }
        let mut listeners = self.listeners.lock();
        self.durable.store(round, Ordering::Release);
        let due: Vec<_> = listeners.extract_if(.., |(wanted, _)| *wanted <= round).collect();
        drop(listeners);
        for (_, listener) in due {
            listener.durable(round);
        }
    }

    /// No round will be durable any more. The first failure is the one that counts.
    pub fn fail(&self, failure: StoreFailure) {
        if self.failure.set(failure).is_err() {
            return;
        }
        let mut listeners = self.listeners.lock();
        self.failed.store(true, Ordering::Release);
        let all = std::mem::take(&mut *listeners);
        drop(listeners);
        for (_, listener) in all {
            listener.durable(self.durable());
        }
    }
}

impl Open {
    fn has_work(&self) -> bool {
        !self.ops.is_empty() || !self.full.is_empty()
    }

    fn close_round(&mut self) {
        let ops = std::mem::replace(&mut self.ops, std::mem::take(&mut self.spare));
        self.full.push_back(Taken { round: self.round, ops, bytes: self.bytes });
        self.round += 1;
        self.bytes = 0;
    }
}
