//! The durable definitions: vhosts, users, permissions, limits, policies, exchanges, queues and bindings, as rows in
//! SQLite.
//!
//! The rows are read once, at the start; from then on the truth is in memory and changes are written behind it,
//! in the order of [`Definitions::submit`]. A reply that promises durability (declare-ok) waits for its
//! [`Ticket`]. One thread owns the only connection and commits whatever is waiting in one transaction: the more
//! declares arrive at once, the fewer syncs each of them costs.
//!
//! A failure to write poisons the definitions: memory and disk no longer agree, so nothing is promised any more
//! and only a restart helps. A change that breaks a rule (a queue in a vhost that is gone) fails alone.

mod apply;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;

pub use rows::*;
use writer::Shared;

/// The name of the database in a data folder.
pub const FILE_NAME: &str = "definitions.sqlite";

/// The number of a submitted change. Tickets count up from 1 in the order of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

#[derive(Clone, Debug, thiserror::Error)]
pub enum DefinitionsError {
    #[error("cannot open the definitions in {path}: {reason}. Check that the folder exists, is writable by this user and has free space", path = path.display())]
    Open { path: PathBuf, reason: Arc<str> },
    #[error("the definitions in {path} are in use by another process. Stop the other broker, or give this one a data folder of its own with --data-dir", path = path.display())]
    InUse { path: PathBuf },
    #[error("{path} is an SQLite database, but not of this broker. Move it away, or choose another folder with --data-dir", path = path.display())]
    Foreign { path: PathBuf },
    #[error("the definitions in {path} have schema version {found}, this broker knows versions up to {known}. A newer broker wrote them: run that version or a later one, or choose another folder with --data-dir", path = path.display())]
    Newer { path: PathBuf, found: i32, known: i32 },
    #[error("a definition was refused and not stored: {reason}")]
    Rejected { reason: Arc<str> },
    #[error(
        "the definitions cannot be written any more: {reason}. Nothing declared since is durable; free disk space or repair the disk, then restart the broker"
    )]
    Poisoned { reason: Arc<str> },
    #[error("the definitions are closed: the broker is shutting down")]
    Closed,
}

impl DefinitionsError {
    fn open(path: &Path, reason: impl std::fmt::Display) -> DefinitionsError {
        DefinitionsError::Open { path: path.to_owned(), reason: reason.to_string().into() }
    }
}

/// A handle on the definitions; clones share them. The last one to go flushes and closes, blocking meanwhile.
#[derive(Clone)]
pub struct Definitions {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    next_queue_id: AtomicU64,
    /// Guards only the joining of the thread, so that `close` may be called twice.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Definitions {
    /// Opens the database file at `path`, or creates it (and its folder) where there is none, and reads all of it.
    /// Blocks.
    pub fn open(path: &Path) -> Result<(Definitions, Snapshot), DefinitionsError> {
        Definitions::start(schema::open(path)?, path)
    }

    fn start(
        connection: rusqlite::Connection,
        path: &Path,
    ) -> Result<(Definitions, Snapshot), DefinitionsError> {
        let failed = |e| DefinitionsError::open(path, e);
        let snapshot = schema::load(&connection).map_err(failed)?;
        let first_queue_id = schema::queue_ids_reserved(&connection).map_err(failed)? + 1;
        let reserved = first_queue_id + writer::QUEUE_IDS_RESERVED;
        schema::reserve_queue_ids(&connection, reserved).map_err(failed)?;

        let shared = Arc::new(Shared::new());
        let thread = std::thread::Builder::new()
            .name("definitions".into())
            .spawn({
                let shared = shared.clone();
                move || writer::run(connection, &shared, reserved)
            })
            .map_err(|e| DefinitionsError::open(path, e))?;
        let handle = Handle {
            shared,
            next_queue_id: AtomicU64::new(first_queue_id),
            thread: Mutex::new(Some(thread)),
        };
        Ok((Definitions { handle: Arc::new(handle) }, snapshot))
    }

    /// A queue id that was never handed out before, also not by an earlier run that crashed before it stored the
    /// queue: messages may have been logged under it.
    pub fn next_queue_id(&self) -> u64 {
        self.handle.next_queue_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Hands the change to the writer and returns at once; it may be called under locks. Changes are applied in the
    /// order of submission.
    pub fn submit(&self, change: Change) -> Ticket {
        self.handle.shared.submit(change)
    }

    /// Every change up to this ticket is decided: durable, or rejected alone ([`Definitions::wait`] says which).
    pub fn committed(&self) -> u64 {
        self.handle.shared.committed()
    }

    /// Changes that are submitted and not yet decided.
    pub fn backlog(&self) -> u64 {
        self.handle.shared.backlog()
    }

    /// Transactions committed since the definitions were opened.
    pub fn transactions(&self) -> u64 {
        self.handle.shared.transactions()
    }

    /// Returns once the change is durable. Cancel safe.
    ///
    /// Errors: [`DefinitionsError::Rejected`] if the change broke a rule and was not stored, `Poisoned` or `Closed`
    /// if it never will be.
    pub async fn wait(&self, ticket: Ticket) -> Result<(), DefinitionsError> {
        self.handle.shared.wait(ticket).await
    }

    /// What became of a change that is decided, as [`Definitions::committed`] says.
    ///
    /// Errors: [`DefinitionsError::Rejected`] if the change broke a rule and was not stored.
    pub fn outcome(&self, ticket: Ticket) -> Result<(), DefinitionsError> {
        self.handle.shared.outcome(ticket)
    }

    /// Called on the writer's thread with each change that is rejected, before anybody can learn of it: memory is
    /// to forget the change too. It must not wait for the definitions. A second handler is not taken.
    pub fn on_rejected(&self, handler: impl Fn(Ticket, &Change) + Send + Sync + 'static) {
        self.handle.shared.on_rejected(Box::new(handler));
    }

    /// Keeps the writer at the end of its first transaction from now on, until the guard is dropped.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> impl Drop + '_ {
        self.handle.shared.hold()
    }

    /// Why nothing can be written any more, if that is so.
    pub fn failure(&self) -> Option<DefinitionsError> {
        self.handle.shared.failure()
    }

    /// Writes what is waiting, closes the database and ends the thread. Blocks. Later changes fail with `Closed`.
    pub fn close(&self) -> Result<(), DefinitionsError> {
        self.handle.close()
    }
}

impl Handle {
    fn close(&self) -> Result<(), DefinitionsError> {
        self.shared.close();
        let thread = self.thread.lock().take();
        // The last handle may go on the thread itself, in the handler of a rejection.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id())
            && thread.join().is_err()
        {
            tracing::error!("the definitions thread panicked");
        }
        match self.shared.failure() {
            Some(failure) if !matches!(failure, DefinitionsError::Closed) => Err(failure),
            _ => Ok(()),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // A failure was logged when it happened, and each waiter was told.
        let _ = self.close();
    }
}
