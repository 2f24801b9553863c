//! The thread that owns the connection, and what it shares with the handles.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::watch;

use super::apply::apply;
use super::rows::Change;
use super::{DefinitionsError, Ticket, schema};

/// Queue ids set aside on disk at a time. So many that a block outlives any run in practice; the writer sets the
/// next one aside when half of it is used.
pub(super) const QUEUE_IDS_RESERVED: u64 = 1 << 32;

/// Changes in one transaction at most, which bounds the wait of the first of them.
const CHANGES_PER_TRANSACTION_MAX: usize = 4096;

/// The ticket of a change that came too late: no commit ever reaches it.
const NEVER: Ticket = Ticket(u64::MAX);

/// Rejections remembered for those who wait for them.
const REJECTIONS_MAX: usize = 4096;

pub(super) struct Shared {
    /// Held for a push, or for a swap of the list; a leaf in the lock order.
    pending: Mutex<Pending>,
    wake: Condvar,
    progress: watch::Sender<Progress>,
    committed: AtomicU64,
    transactions: AtomicU64,
    /// Held for a look-up; a leaf in the lock order.
    rejections: Mutex<Rejections>,
    on_rejected: OnceLock<RejectionHandler>,
}

pub(super) type RejectionHandler = Box<dyn Fn(Ticket, &Change) + Send + Sync>;

#[derive(Default)]
struct Pending {
    changes: Vec<Change>,
    /// Of the last change submitted.
    ticket: u64,
    /// Nothing more is taken; what is submitted now is dropped, and its waiters learn why.
    closing: bool,
}

#[derive(Clone, Default)]
struct Progress {
    committed: u64,
    /// Set once, when nothing will be committed any more.
    end: Option<DefinitionsError>,
}

#[derive(Default)]
struct Rejections {
    reasons: BTreeMap<u64, Arc<str>>,
    /// The highest ticket whose rejection was forgotten to stay within the bound.
    forgotten: u64,
}

impl Shared {
    pub fn new() -> Shared {
        Shared {
            pending: Mutex::default(),
            wake: Condvar::new(),
            progress: watch::Sender::new(Progress::default()),
            committed: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            rejections: Mutex::default(),
            on_rejected: OnceLock::new(),
        }
    }

    pub fn submit(&self, change: Change) -> Ticket {
        let mut pending = self.pending.lock();
        if pending.closing {
            return NEVER;
        }
        pending.ticket += 1;
        pending.changes.push(change);
        self.wake.notify_one();
        Ticket(pending.ticket)
    }

    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    pub fn backlog(&self) -> u64 {
        let submitted = self.pending.lock().ticket;
        submitted.saturating_sub(self.committed())
    }

    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    pub async fn wait(&self, ticket: Ticket) -> Result<(), DefinitionsError> {
        if self.committed() < ticket.0 {
            let mut progress = self.progress.subscribe();
            let reached = progress.wait_for(|p| p.committed >= ticket.0 || p.end.is_some()).await;
            // The sender lives in `self`, so it is never closed before us.
            let reached = reached.map_err(|_| DefinitionsError::Closed)?;
            if reached.committed < ticket.0 {
                return Err(reached.end.clone().unwrap_or(DefinitionsError::Closed));
            }
        }
        self.outcome(ticket)
    }

    pub fn outcome(&self, ticket: Ticket) -> Result<(), DefinitionsError> {
        self.rejections.lock().outcome(ticket.0)
    }

    pub fn on_rejected(&self, handler: RejectionHandler) {
        if self.on_rejected.set(handler).is_err() {
            tracing::error!("rejected definitions are handled already");
        }
    }

    fn reject(&self, rejected: Vec<(u64, &Change, Arc<str>)>) {
        for (ticket, change, reason) in &rejected {
            tracing::warn!("{reason}");
            if let Some(handler) = self.on_rejected.get() {
                handler(Ticket(*ticket), change);
            }
        }
        let mut rejections = self.rejections.lock();
        for (ticket, _, reason) in rejected {
            rejections.add(ticket, reason);
        }
    }

    pub fn failure(&self) -> Option<DefinitionsError> {
        self.progress.borrow().end.clone()
    }

    pub fn close(&self) {
        self.pending.lock().closing = true;
        self.wake.notify_one();
    }

    /// The next changes and the ticket of the last of them; `None` when closing and all is written.
    fn next(&self) -> Option<(Vec<Change>, u64)> {
        let mut pending = self.pending.lock();
        while pending.changes.is_empty() {
            if pending.closing {
                return None;
            }
            self.wake.wait(&mut pending);
        }
        Some((std::mem::take(&mut pending.changes), pending.ticket))
    }

    #[cfg(test)]
    pub fn hold(&self) -> impl Drop + '_ {
        self.rejections.lock()
    }

    fn advance(&self, committed: u64) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.committed.store(committed, Ordering::Release);
        self.progress.send_modify(|p| p.committed = committed);
    }

    fn end(&self, reason: DefinitionsError) {
        let mut pending = self.pending.lock();
        pending.closing = true;
        pending.changes = Vec::new();
        drop(pending);
        self.progress.send_modify(|p| p.end = Some(reason));
    }
}

impl Rejections {
    fn add(&mut self, ticket: u64, reason: Arc<str>) {
        if self.reasons.len() == REJECTIONS_MAX
            && let Some((forgotten, _)) = self.reasons.pop_first()
        {
            self.forgotten = forgotten;
        }
        self.reasons.insert(ticket, reason);
    }

    /// Better to refuse what was stored than to promise what was not: a change so old that its rejection may have
    /// been forgotten counts as rejected.
    fn outcome(&self, ticket: u64) -> Result<(), DefinitionsError> {
        if let Some(reason) = self.reasons.get(&ticket) {
            return Err(DefinitionsError::Rejected { reason: reason.clone() });
        }
        if ticket <= self.forgotten {
            return Err(DefinitionsError::Rejected { reason: "its outcome was asked for too late".into() });
        }
        Ok(())
    }
}

/// Ends the shared state when the writer ends, also by a panic, so that no waiter waits for ever.
struct EndOnDrop<'a> {
    shared: &'a Shared,
    reason: DefinitionsError,
}

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.shared.end(self.reason.clone());
    }
}

/// Writes until the definitions are closed or a write fails.
pub(super) fn run(connection: Connection, shared: &Shared, mut reserved: u64) {
    let reason = DefinitionsError::Poisoned { reason: "the thread that writes them panicked".into() };
    let mut end = EndOnDrop { shared, reason };
    while let Some((changes, last)) = shared.next() {
        let mut ticket = last - changes.len() as u64;
        for changes in changes.chunks(CHANGES_PER_TRANSACTION_MAX) {
            if let Err(e) = write(&connection, shared, changes, ticket, &mut reserved) {
                tracing::error!(
                    "the definitions cannot be written any more: {e}. Free disk space or repair the disk, then restart the broker"
                );
                end.reason = DefinitionsError::Poisoned { reason: e.to_string().into() };
                return;
            }
            ticket += changes.len() as u64;
            shared.advance(ticket);
        }
    }
    end.reason = match connection.close() {
        Ok(()) => DefinitionsError::Closed,
        Err((_, e)) => DefinitionsError::Poisoned { reason: e.to_string().into() },
    };
}

/// One transaction: on return its changes are durable, or rejected one by one. `ticket` is that of the change before
/// the first.
fn write(
    connection: &Connection,
    shared: &Shared,
    changes: &[Change],
    ticket: u64,
    reserved: &mut u64,
) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let mut rejected = Vec::new();
    let mut highest = 0;
    for (ticket, change) in (ticket + 1..).zip(changes) {
        match apply(&transaction, change) {
            Ok(()) => highest = highest.max(highest_queue_id(change)),
            Err(e) if is_rejection(&e) => rejected.push((ticket, change, rejection(change, &e))),
            Err(e) => return Err(e),
        }
    }
    if highest + QUEUE_IDS_RESERVED / 2 > *reserved {
        *reserved = highest + QUEUE_IDS_RESERVED;
        schema::reserve_queue_ids(&transaction, *reserved)?;
    }
    transaction.commit()?;
    shared.reject(rejected);
    Ok(())
}

fn is_rejection(error: &rusqlite::Error) -> bool {
    // The second: a queue id above i64::MAX.
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
        || matches!(error, rusqlite::Error::ToSqlConversionFailure(_))
}

/// Names the change: its text goes to the log and to those who wait for it.
fn rejection(change: &Change, error: &rusqlite::Error) -> Arc<str> {
    format!("{change}: {error}. What it refers to is gone, or its name is taken").into()
}

fn highest_queue_id(change: &Change) -> u64 {
    match change {
        Change::PutQueue(row) => row.id,
        Change::Batch(changes) => changes.iter().map(highest_queue_id).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_that_had_to_be_forgotten_is_never_taken_for_a_success() {
        let mut rejections = Rejections::default();
        let last = REJECTIONS_MAX as u64 + 10;
        for ticket in 1..=last {
            rejections.add(ticket, "no such vhost".into());
        }
        assert_eq!(rejections.reasons.len(), REJECTIONS_MAX);
        for ticket in 1..=last {
            assert!(matches!(rejections.outcome(ticket), Err(DefinitionsError::Rejected { .. })), "{ticket}");
        }
        assert!(rejections.outcome(last + 1).is_ok());
    }
}
