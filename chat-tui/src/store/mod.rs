//! Local state of one user at one broker: friends, requests, history, outbox. SQLite, one file.
//!
//! Several sessions of one user may have it open at once (the TUI, and a `send` in another terminal): they see each
//! other's changes by [`Store::changed_elsewhere`]. Transactions are short and take the write lock up front.
//!
//! Each public method that writes is one transaction: on disk when it returns, or not done at all.

mod actor;
mod amend;
mod apply;
mod folder;
mod history;
mod messages;
mod outbox;
mod peers;
mod queues;
mod retention;
mod schema;
mod search;
mod signs;
#[cfg(test)]
mod simulation;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod tests_past;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use thiserror::Error;

pub use actor::StoreActor;
pub use apply::{Arrival, Fate, Settled};
pub use folder::{default_data_dir, state_dir};
pub use messages::Change;
pub use outbox::{Page, Waiting};
pub use queues::{OwnedQueue, QueueState};
pub use retention::RETENTION_DAYS_MAX;
pub use signs::add_functions;

const FILE: &str = "state.sqlite";
/// Held by the session that talks to the broker.
const LINK_LOCK: &str = "link.lock";
/// How long to wait for another session's transaction; they take milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the local state cannot be read or written: {0}{advice}", advice = advice(.0))]
    Sqlite(#[from] rusqlite::Error),
    #[error("the local state in {path} cannot be opened: {source}{advice}", advice = advice(source))]
    Open { path: String, source: rusqlite::Error },
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error(
        "the local state was written by a newer chat-tui (version {found}, this one knows {known}): update chat-tui, or give another folder with --data-dir"
    )]
    Newer { found: u32, known: u32 },
    #[error("there is no home folder: say where to keep the local state with --data-dir")]
    NoHome,
    #[error("the broker's or the user's name is too long for a folder: use a shorter one")]
    NameTooLong,
    #[error("the local state holds what this version cannot read: {0}")]
    Corrupt(String),
    #[error("the message cannot be sent: {0}")]
    Encode(#[from] shared::message::EncodeError),
    #[error("the local state was closed")]
    Closed,
}

/// What the person can do about it.
fn advice(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode::*;
    match error.sqlite_error_code() {
        Some(DiskFull) => "; make room on the disk",
        // What SQLite says of a full disk, too, when it cannot make the files beside the database.
        Some(SystemIoFailure) => "; is the disk full? Then make room on it; if not, it may be damaged",
        Some(ReadOnly | PermissionDenied | CannotOpen) => "; is the folder there, and may you write to it?",
        Some(DatabaseBusy | DatabaseLocked) => "; another program keeps it locked",
        Some(DatabaseCorrupt | NotADatabase) => {
            "; it is damaged: put a copy of its folder in its place, or move it away to begin anew, without friends and history"
        }
        _ => "",
    }
}

/// The database. Not `Sync`; async code goes through [`StoreActor`].
pub struct Store {
    connection: Connection,
    dir: PathBuf,
    /// `data_version` as of the last look.
    seen_version: i64,
}

impl Store {
    /// Opens the state in `dir`, creating or migrating it.
    pub fn open(dir: &Path) -> Result<Store, StoreError> {
        folder::create_private(dir)
            .map_err(|source| StoreError::Io { what: format!("cannot create {}", dir.display()), source })?;
        let opened = Store::open_file(dir);
        opened.map_err(|error| match error {
            StoreError::Sqlite(source) => {
                StoreError::Open { path: dir.join(FILE).display().to_string(), source }
            }
            error => error,
        })
    }

    fn open_file(dir: &Path) -> Result<Store, StoreError> {
        let connection = Connection::open(dir.join(FILE))?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // secure_delete: what is taken back or forgotten is overwritten.
        // FULL: what we acknowledge to the broker must survive a power loss, for it is nowhere else.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA journal_size_limit = 16777216; PRAGMA secure_delete = ON;",
        )?;
        Store::with(connection, dir)
    }

    /// Opens the state in `dir` once more, to read what may take long beside everything else.
    pub fn open_to_read(dir: &Path) -> Result<Store, StoreError> {
        let connection = Connection::open_with_flags(dir.join(FILE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(8);
        Ok(Store { connection, dir: dir.to_owned(), seen_version: 0 })
    }

    /// Forgotten with its handle.
    #[cfg(test)]
    pub(crate) fn open_in_memory() -> Result<Store, StoreError> {
        Store::with(Connection::open_in_memory()?, Path::new(""))
    }

    fn with(mut connection: Connection, dir: &Path) -> Result<Store, StoreError> {
        add_functions(&connection)?;
        schema::migrate(&mut connection)?;
        connection.set_prepared_statement_cache_capacity(64);
        let mut store = Store { connection, dir: dir.to_owned(), seen_version: 0 };
        store.changed_elsewhere()?;
        Ok(store)
    }

    /// The folder of the state.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether another session changed the state since the last call.
    pub fn changed_elsewhere(&mut self) -> Result<bool, StoreError> {
        let version = self
            .connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get::<_, i64>(0))?;
        Ok(std::mem::replace(&mut self.seen_version, version) != version)
    }

    /// Tries to become the one session that talks to the broker. The lock lasts as long as the returned file is open.
    pub fn try_lock_link(&self) -> Result<Option<File>, StoreError> {
        let path = self.dir.join(LINK_LOCK);
        let failed = |source| StoreError::Io { what: format!("cannot lock {}", path.display()), source };
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    pub fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    pub fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )?
            .execute(params![key, value])?;
        Ok(())
    }

    /// Reads in `work` what is there at one moment, whatever other sessions write meanwhile.
    pub fn at_one_moment<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let reading = Transaction::new_unchecked(&self.connection, TransactionBehavior::Deferred)?;
        let result = work()?;
        reading.commit()?;
        Ok(result)
    }

    fn transaction<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let result = work()?;
        transaction.commit()?;
        Ok(result)
    }
}

fn millis(at: SystemTime) -> i64 {
    let millis = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    i64::try_from(millis).unwrap_or(i64::MAX)
}

fn from_millis(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
