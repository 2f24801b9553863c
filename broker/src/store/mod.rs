//! The messages of all durable queues, in one segmented log.
//!
//! The promise: **nothing confirmed is ever lost, nothing deleted ever comes back.**
//!
//! # How it works
//!
//! Queues hand in [`Store::enqueue`], [`Store::ack`] and [`Store::purge`] under their own locks; each is one
//! push into the open round. The commit thread takes the round, writes its records with one write, syncs
//! once if anything in it needs that, and advances [`Store::durable_round`]. While it syncs, the next round
//! fills: batches emerge from load, without a timer. A message that was consumed and acked before its round
//! came up is never written.
//!
//! The log is a FIFO of segment files. Records are appended at the newest segment's end; only the oldest
//! segment is ever removed, when nothing in it is alive. Compaction makes that happen: it appends copies of
//! the oldest segment's live messages, syncs them, then removes the segment.
//!
//! # Why nothing comes back
//!
//! Everything is keyed by (queue, sequence number). Reading the log from front to back, a message record
//! puts its entries in (replacing what they held before), and an ack or purge takes entries out.
//!
//! 1. An ack is written at or behind every record of its entry that exists at that time. So as long as a
//!    record of the entry is in the log, its ack is in the log behind it: segments are removed from the front
//!    only, one after the other with the folder synced in between, so the ack's segment goes later.
//! 2. A copy is written only of entries that are alive, that is before their ack. Their ack, when it comes,
//!    lies behind the copy too. So acks never need to be copied.
//! 3. A segment is removed only after its copies are synced. Until then the original is there; after a crash
//!    in between both are read, and the later one replaces the earlier one.
//! 4. The entries of a deleted queue are dropped at recovery because nobody knows its id any more, and ids
//!    are never reused.
//!
//! # Why nothing gets lost
//!
//! A round counts as durable after a successful sync of every file it touched. After a failed write or sync
//! nothing is certain any more, so the store stops confirming for good ([`Store::failure`]). A torn tail can
//! only hold what was never confirmed; anything else that does not verify is corruption, and is reported and
//! set aside, never skipped in silence (see [`recovery`]).

mod append;
mod applier;
mod batch;
mod clean;
mod commit;
mod compaction;
#[cfg(test)]
mod damage_tests;
mod feed;
pub mod fs;
mod index;
mod intake;
pub mod key;
mod lock;
mod pass;
mod read;
pub mod record;
pub mod recovery;
mod replay;
mod scan;
mod segment;
mod seqs;
pub mod sim;
mod slab;
mod space;
#[cfg(test)]
mod tests;
pub mod tool;
mod window;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

pub use commit::{Committer, Progress};
pub use lock::{DataDirLock, lock_data_dir};
pub use recovery::{Cut, Damage, Recovered, RecoveredEntry, Report};

use crate::message::Message;
use fs::Fs;
use index::Index;
use intake::{Intake, Op};

/// A durable queue. Assigned by the definitions, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub u64);

/// Numbers commit rounds from 1.
pub type Round = u64;

/// The largest [`Message::block`] the store takes, in bytes.
pub const BLOCK_BYTES_MAX: usize = 1 << 30;

/// What a queue needs to know about an entry after a restart without reading the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EntryMeta {
    /// When the entry expires, in milliseconds since 1970; 0 for never.
    pub expires_at_ms: u64,
    pub priority: u8,
}

/// One message in one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub queue: QueueId,
    pub seq: u64,
    pub meta: EntryMeta,
}

/// How far opening has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovering {
    /// Of the log, done with.
    pub bytes: u64,
    /// Of all log files; the last ones are not full.
    pub bytes_total: u64,
    pub messages: u64,
}

/// Told how far opening has got, a few times a second at most disks' speed.
#[derive(Clone)]
pub struct OnProgress(pub Arc<dyn Fn(Recovering) + Send + Sync>);

impl Default for OnProgress {
    fn default() -> OnProgress {
        OnProgress(Arc::new(|_| ()))
    }
}

impl std::fmt::Debug for OnProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnProgress")
    }
}

/// How the store behaves. The defaults suit a machine with a few gigabytes of disk and more.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Size of a log file. An idle store takes up to two of them. Default 32 MiB; 4 KiB to 1 GiB.
    pub segment_bytes: u32,
    /// A round that holds this much is closed, and the next one begun. Default 8 MiB.
    pub commit_bytes_max: usize,
    /// With less free space than this, [`Store::blocked`] asks the broker to hold publishers. Default 256 MiB.
    pub disk_free_min_bytes: u64,
    /// Bytes of the oldest segment that compaction looks through per round, at least. Default 1 MiB.
    pub compaction_slice_bytes: usize,
    pub on_progress: OnProgress,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            segment_bytes: 32 << 20,
            commit_bytes_max: 8 << 20,
            disk_free_min_bytes: 256 << 20,
            compaction_slice_bytes: 1 << 20,
            on_progress: OnProgress::default(),
        }
    }
}

/// Told when a round is durable. Called from the commit thread, so it must be cheap and must not wait.
pub trait DurableListener: Send + Sync {
    /// Every round up to and including `durable` is. If the store failed, this may be less than the round
    /// that was waited for; [`Store::failure`] says so.
    fn durable(&self, durable: Round);
}

/// Why the store stopped. What was durable before still is; nothing later will be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message store stopped: {reason}. Nothing published since is confirmed. {advice}")]
pub struct StoreFailure {
    pub reason: String,
    pub advice: &'static str,
}

impl StoreFailure {
    fn io(what: &str, path: &Path, error: &io::Error) -> StoreFailure {
        StoreFailure {
            reason: format!("{what} {} failed: {error}", path.display()),
            advice: "Check the disk (dmesg, smartctl), then restart the broker: it recovers what was durable.",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {what} {}: {source}. Check that the folder exists and belongs to the broker's user", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("the data folder {} is in use by process {holder}. Stop that broker, or start this one with another --data-dir", dir.display())]
    Locked { dir: PathBuf, holder: String },
    #[error("{} has log format {found}, this broker knows format {}. {}", path.display(), record::FORMAT_VERSION, version_advice(*found))]
    Version { path: PathBuf, found: u32 },
    #[error("message {seq} of queue {} cannot be read ({segment} offset {offset}): {reason}. Run `broker store check`", queue.0)]
    Unreadable { queue: QueueId, seq: u64, segment: String, offset: u32, reason: String },
    #[error("the log in {} cannot be read: the file {} is lost and so is every copy of what it held. Restore the folder from a backup, or move it away to start anew", dir.display(), key::FILE_NAME)]
    KeyLost { dir: PathBuf },
    #[error("the disk of {} is full: the last acks and unconfirmed messages were not written, so messages may be delivered again. Free some space before the next start", dir.display())]
    NoSpaceToClose { dir: PathBuf },
    #[error("the disk of {} is full: damaged segments could not be rewritten. Free some space and repair again", dir.display())]
    NoSpaceToRepair { dir: PathBuf },
    #[error("{reason}")]
    Option { reason: String },
    #[error(transparent)]
    Failed(#[from] StoreFailure),
}

fn version_advice(found: u32) -> &'static str {
    if found > record::FORMAT_VERSION {
        "A newer broker wrote it: run that version or a later one, or choose another folder with --data-dir. \
         Nothing was changed"
    } else {
        "An older broker wrote it: start that version, drain its queues, then upgrade. Nothing was changed"
    }
}

/// Counters since the store was opened, and its size now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    pub messages: u64,
    /// Entries of queues; more than `messages` when queues share some.
    pub entries: u64,
    /// Queues with at least one stored entry.
    pub queues: u64,
    /// Bytes of the records of live messages.
    pub live_bytes: u64,
    pub segments: u64,
    /// Bytes of all log files, prepared ones included.
    pub disk_bytes: u64,
    pub rounds: u64,
    pub syncs: u64,
    pub bytes_written: u64,
    /// Part of `bytes_written` that were copies.
    pub compaction_bytes: u64,
    /// Messages that were never written because they were acked first.
    pub elided: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    rounds: AtomicU64,
    syncs: AtomicU64,
    bytes_written: AtomicU64,
    compaction_bytes: AtomicU64,
    elided: AtomicU64,
    prepared_bytes: AtomicU64,
    unreadable: AtomicU64,
}

/// What the handle and the commit thread share.
pub(super) struct Shared {
    intake: Intake,
    /// Guards the index. Held by the commit thread while it encodes a round, by readers for lookups; never
    /// during file operations. Rank: below the queues, above `Intake::open`.
    index: Mutex<Index>,
    /// Signalled when `Index::written` advances or the store failed.
    written: Condvar,
    blocked: watch::Sender<bool>,
    disk_free_min_bytes: AtomicU64,
    counters: Counters,
    fs: Arc<dyn Fs>,
    dir: PathBuf,
}

/// The handle. Every call but [`Store::open`], [`Store::read`] and [`Store::close`] takes nanoseconds and may
/// be made under a queue's lock.
pub struct Store {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<Committer>>>,
}

impl Store {
    /// Opens or creates the log in `dir` and starts the commit thread. `known` says which queues still
    /// exist; the messages of others are dropped. Needs no free disk space.
    ///
    /// The data folder should be locked first ([`lock_data_dir`]).
    pub fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        options: StoreOptions,
        known: &dyn Fn(QueueId) -> bool,
    ) -> Result<(Store, Recovered), StoreError> {
        let (shared, mut committer, recovered) = recovery::open(fs, dir, options, known, true)?;
        let thread = std::thread::Builder::new()
            .name("store-commit".into())
            .spawn(move || {
                committer.run();
                committer
            })
            .map_err(|source| StoreError::Io {
                what: "start the commit thread for",
                path: dir.into(),
                source,
            })?;
        Ok((Store { shared, thread: Mutex::new(Some(thread)) }, recovered))
    }

    /// Like [`Store::open`], without any thread: the caller runs the rounds.
    pub fn open_manual(
        fs: Arc<dyn Fs>,
        dir: &Path,
        options: StoreOptions,
        known: &dyn Fn(QueueId) -> bool,
    ) -> Result<(Store, Committer, Recovered), StoreError> {
        let (shared, committer, recovered) = recovery::open(fs, dir, options, known, false)?;
        Ok((Store { shared, thread: Mutex::new(None) }, committer, recovered))
    }

    /// A message entered a queue. Its confirm may be sent when the returned round is durable.
    ///
    /// Called once per durable queue with the same message; the bytes are written once. `seq` must be larger than
    /// any before in this queue. Each entry must be given up exactly once: [`Store::ack`], or a purge.
    pub fn enqueue(&self, queue: QueueId, seq: u64, message: &Message, meta: EntryMeta) -> Round {
        message.disk.refs.fetch_add(1, Ordering::Relaxed);
        self.shared.intake.push(Op::Enqueue { entry: Entry { queue, seq, meta }, message: message.clone() })
    }

    /// The entry is gone for good. `message` is given if it is in memory, and spares writing it if it was
    /// not written yet.
    pub fn ack(&self, queue: QueueId, seq: u64, message: Option<&Message>) -> Round {
        if let Some(message) = message {
            message.disk.release();
        }
        self.shared.intake.push(Op::Ack { queue, seq })
    }

    /// Like [`Store::ack`] for several entries of a queue at once.
    pub fn ack_many<'a>(
        &self,
        queue: QueueId,
        entries: impl IntoIterator<Item = (u64, Option<&'a Message>)>,
    ) -> Round {
        self.shared.intake.push_all(entries.into_iter().map(|(seq, message)| {
            if let Some(message) = message {
                message.disk.release();
            }
            Op::Ack { queue, seq }
        }))
    }

    /// Every entry of the queue up to and including `up_to` is gone for good, whether delivered or not.
    /// Durable with its round. Releasing the messages in memory (`message.disk.release()`) is optional here.
    pub fn purge(&self, queue: QueueId, up_to: u64) -> Round {
        self.shared.intake.push(Op::Purge { queue, up_to })
    }

    /// The queue is gone. Nothing is written: what keeps its messages from coming back is that its id is no
    /// longer known at the next start, so remove the definition first.
    pub fn delete_queue(&self, queue: QueueId) -> Round {
        self.shared.intake.push(Op::DeleteQueue { queue })
    }

    /// Durable with its round is then everything that was handed in before, acks too: those alone do not make a
    /// round wait for a sync.
    pub fn barrier(&self) -> Round {
        self.shared.intake.push(Op::Barrier)
    }

    /// As long as the guard lives, work handed in need not wake the commit thread at once. Hold it while the
    /// publishes of one socket read are processed: one wake-up and one larger batch instead of many.
    pub fn cork(&self) -> Cork<'_> {
        self.shared.intake.cork();
        Cork(&self.shared.intake)
    }

    /// Everything enqueued in rounds up to this one is on disk.
    pub fn durable_round(&self) -> Round {
        self.shared.intake.durable()
    }

    /// Calls the listener once, when `round` is durable or the store failed: from the commit thread, or at
    /// once and from here if that is the case already.
    pub fn on_durable(&self, round: Round, listener: Arc<dyn DurableListener>) {
        self.shared.intake.on_durable(round, listener);
    }

    /// Why nothing will be durable any more; None while all is well.
    pub fn failure(&self) -> Option<StoreFailure> {
        self.shared.intake.failure()
    }

    /// Whether publishers should be held because the disk is nearly full. Ends by itself.
    pub fn blocked(&self) -> bool {
        *self.shared.blocked.borrow()
    }

    /// With less free space than this, [`Store::blocked`] asks to hold publishers.
    pub fn disk_free_min_bytes(&self) -> u64 {
        self.shared.disk_free_min_bytes.load(Ordering::Relaxed)
    }

    /// Changes that, and has the disk looked at anew.
    pub fn set_disk_free_min_bytes(&self, bytes: u64) {
        self.shared.disk_free_min_bytes.store(bytes, Ordering::Relaxed);
        self.barrier();
    }

    /// [`Store::blocked`] as it changes.
    pub fn watch_blocked(&self) -> watch::Receiver<bool> {
        self.shared.blocked.subscribe()
    }

    /// Bytes handed in that the commit thread has not come to yet: hold publishers when they get far ahead.
    pub fn backlog_bytes(&self) -> u64 {
        self.shared.intake.backlog_bytes()
    }

    /// The messages of these entries, read from disk. Entries that are gone meanwhile are left out.
    /// Blocks: call it from a thread that may.
    ///
    /// On [`StoreError::Unreadable`] the named entry cannot be read; the others still can.
    pub fn read(&self, queue: QueueId, seqs: &[u64]) -> Result<Vec<(u64, Message)>, StoreError> {
        let read = read::read(&self.shared, queue, seqs);
        if matches!(read, Err(StoreError::Unreadable { .. })) {
            self.shared.counters.unreadable.fetch_add(1, Ordering::Relaxed);
        }
        read
    }

    pub fn stats(&self) -> StoreStats {
        let c = &self.shared.counters;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let index = self.shared.index.lock();
        StoreStats {
            messages: index.messages(),
            entries: index.entries(),
            queues: index.queues() as u64,
            live_bytes: index.live_bytes(),
            segments: index.segments().len() as u64,
            disk_bytes: index.file_bytes() + load(&c.prepared_bytes),
            rounds: load(&c.rounds),
            syncs: load(&c.syncs),
            bytes_written: load(&c.bytes_written),
            compaction_bytes: load(&c.compaction_bytes),
            elided: load(&c.elided),
        }
    }

    /// How often a stored message could not be read since the store was opened.
    pub fn unreadable(&self) -> u64 {
        self.shared.counters.unreadable.load(Ordering::Relaxed)
    }

    /// Bytes of memory the index takes, without allocator overhead. Looks at every queue: for diagnosis.
    pub fn index_memory_bytes(&self) -> u64 {
        self.shared.index.lock().memory_bytes() as u64
    }

    /// Writes and syncs what was handed in, ends the commit thread, and notes that the shutdown was clean:
    /// after the next open exactly the entries in `delivered` are marked redelivered.
    pub fn close(&self, delivered: impl Iterator<Item = (QueueId, u64)>) -> Result<(), StoreError> {
        self.shared.intake.stop();
        let Some(thread) = self.thread.lock().take() else { return Ok(()) };
        let committer = thread.join().map_err(|_| StoreFailure {
            reason: "the commit thread panicked".into(),
            advice: "Please report this with the log. Restart the broker: it recovers what was durable.",
        })?;
        committer.close(delivered)
    }
}

impl Drop for Store {
    /// What was handed in is still written; the next open counts this as a crash.
    fn drop(&mut self) {
        self.shared.intake.stop();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the store's commit thread panicked");
        }
    }
}

/// See [`Store::cork`].
pub struct Cork<'a>(&'a Intake);

impl Drop for Cork<'_> {
    fn drop(&mut self) {
        self.0.uncork();
    }
}
