//! Opening a log: one sequential read, from which the index and the queues' contents come.
//!
//! # Torn tail or corruption
//!
//! A write that a crash interrupted leaves bytes that do not verify at the end of the log. Nothing in or
//! behind such a write was ever confirmed, so the log is cut there. Bytes that do not verify but were synced
//! once are corruption: there, messages may be missing that were confirmed. Each batch header says up to
//! where the log was durable when it was written; so a bad place is corruption exactly if a later header that
//! verifies says that the place was durable (or the note of a clean shutdown does). Then everything that
//! still verifies is kept, the bad bytes are copied to a file beside the log, and the operator is told.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::applier::Applier;
use super::batch::BATCH_BYTES;
use super::commit::{Committer, Start};
use super::fs::{Access, Fs, FsFile, read_full, write_full};
use super::intake::Intake;
use super::key::LogKey;
use super::pass::{Outcome, Pass};
use super::record::Location;
use super::replay::Details;
use super::segment::{Prepared, Segment, Supply, file_name};
use super::{Counters, EntryMeta, QueueId, Shared, StoreError, StoreOptions, clean};

/// What a log held.
pub struct Recovered {
    /// Every known queue that the log mentions, also those without messages, with a number larger than every sequence
    /// number of the queue in the log.
    pub next_seqs: HashMap<QueueId, u64>,
    pub report: Report,
    details: Details,
    shared: Arc<Shared>,
}

impl Recovered {
    /// The queue's entries, ordered by `seq`. To be asked before anything is changed. `visit` may not use the store.
    pub fn each_entry(&self, queue: QueueId, visit: impl FnMut(RecoveredEntry)) {
        self.details.each_entry(&self.shared.index.lock(), queue, visit);
    }

    pub fn entries(&self, queue: QueueId) -> Vec<RecoveredEntry> {
        let mut entries = Vec::new();
        self.each_entry(queue, |entry| entries.push(entry));
        entries
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveredEntry {
    pub seq: u64,
    pub body_len: u32,
    /// It may have been delivered before.
    pub redelivered: bool,
    pub meta: EntryMeta,
}

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The broker was shut down properly before.
    pub clean: bool,
    pub bytes_read: u64,
    pub segments: u64,
    pub messages: u64,
    pub entries: u64,
    /// Entries of queues that do not exist any more.
    pub entries_of_unknown_queues: u64,
    /// Unconfirmed writes at the end.
    pub cut: Option<Cut>,
    /// Confirmed bytes that the disk lost.
    pub damage: Vec<Damage>,
}

/// An interrupted write at the end of the log, removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub segment: u32,
    pub offset: u32,
    /// Bytes until the end of the file; most of them were never written.
    pub bytes: u64,
    /// Whole segments behind that were removed.
    pub segments: u64,
}

/// A place where synced bytes do not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub segment: u32,
    pub offset: u32,
    pub bytes: u32,
    pub reason: String,
    /// A copy of the bad bytes, if there were any.
    pub set_aside: Option<PathBuf>,
}

pub(super) type Opened = (Arc<Shared>, Committer, Recovered);

pub(super) fn open(
    fs: Arc<dyn Fs>,
    dir: &Path,
    options: StoreOptions,
    known: &dyn Fn(QueueId) -> bool,
    threaded: bool,
) -> Result<Opened, StoreError> {
    check_options(&options)?;
    fs.create_dir_all(dir).map_err(|e| io_error("create", dir, e))?;
    let mut pass = Pass::new(fs.clone(), dir, true)?;
    pass.on_progress = options.on_progress.clone();
    if threaded {
        pass.applier = Applier::beside().map_err(|e| io_error("start the replay thread for", dir, e))?;
        pass.read_ahead().map_err(|e| io_error("start the thread that reads ahead in", dir, e))?;
    }
    pass.run()?;
    let found = pass.finish(known);
    let next = found.leftovers.tidy(&fs, dir, found.key, found.last, options.segment_bytes)?;
    found.secure_tail()?;
    clean::remove(&*fs, dir).map_err(|e| io_error("remove the clean shutdown note in", dir, e))?;
    let supply = Supply::new(fs.clone(), dir, found.key, options.segment_bytes, next, threaded)
        .map_err(|e| io_error("start the file thread for", dir, e))?;
    let shared = Arc::new(Shared {
        intake: Intake::new(options.commit_bytes_max),
        index: Mutex::new(found.index),
        written: Condvar::new(),
        blocked: watch::Sender::new(false),
        disk_free_min_bytes: AtomicU64::new(options.disk_free_min_bytes),
        counters: Counters::default(),
        fs,
        dir: dir.to_path_buf(),
    });
    let start = Start {
        active: found.active,
        last: found.last,
        batch_sequence: found.next_sequence,
        key: found.key,
        supply,
    };
    log_report(dir, &found.report);
    let recovered = Recovered {
        next_seqs: found.next_seqs,
        report: found.report,
        details: found.details,
        shared: shared.clone(),
    };
    Ok((shared.clone(), Committer::new(shared, options, start), recovered))
}

fn check_options(options: &StoreOptions) -> Result<(), StoreError> {
    if !(4 << 10..=1 << 30).contains(&options.segment_bytes) || !options.segment_bytes.is_multiple_of(4096) {
        let reason =
            format!("segment_bytes is {}: choose 4 KiB to 1 GiB, in steps of 4 KiB", options.segment_bytes);
        return Err(StoreError::Option { reason });
    }
    Ok(())
}

fn log_report(dir: &Path, report: &Report) {
    let dir = dir.display();
    if let Some(cut) = &report.cut {
        tracing::warn!(
            "cut an interrupted write off the log in {dir}: segment {} from offset {} on, and {} segments \
             behind it. Nothing of it was ever confirmed",
            cut.segment,
            cut.offset,
            cut.segments
        );
    }
    for damage in &report.damage {
        let aside = damage.set_aside.as_ref().map_or(String::new(), |p| format!(", kept in {}", p.display()));
        tracing::error!(
            "the log in {dir} is damaged: segment {} offset {}, {} bytes ({}){aside}. Confirmed messages may be \
             missing, acked ones may come again. Check the disk, run `broker store check`, and restore from a \
             backup what matters",
            damage.segment,
            damage.offset,
            damage.bytes,
            damage.reason
        );
    }
    if report.segments == 0 {
        return tracing::info!("no messages in {dir}");
    }
    tracing::info!(
        "recovered {} messages from {} segments in {dir} after {} shutdown",
        report.messages,
        report.segments,
        if report.clean { "a clean" } else { "an unclean" }
    );
}

pub(super) fn io_error(what: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { what, path: path.to_path_buf(), source }
}

/// Prepared files and cut-off segments.
#[derive(Default)]
pub(super) struct Leftovers {
    pub ids: Vec<u32>,
    /// A segment to be shortened to this length.
    pub truncate: Option<(Arc<Segment>, u32)>,
}

impl Leftovers {
    /// Removes what is not part of the log; the file that follows the last segment becomes the next one.
    /// Takes no more space than it gives back.
    fn tidy(
        &self,
        fs: &Arc<dyn Fs>,
        dir: &Path,
        key: LogKey,
        last: Location,
        segment_bytes: u32,
    ) -> Result<Option<Prepared>, StoreError> {
        if !self.ids.is_empty() {
            // A file may have been a part of the log until the process before us renamed it. If that is not durable, a
            // power cut gives it its old name back: it must not be empty then.
            fs.sync_dir(dir).map_err(|e| io_error("sync", dir, e))?;
        }
        if let Some((segment, len)) = &self.truncate {
            let file = segment.file().map_err(|e| io_error("open", &segment.path, e))?;
            file.set_len(u64::from(*len)).map_err(|e| io_error("truncate", &segment.path, e))?;
            file.sync_data().map_err(|e| io_error("sync", &segment.path, e))?;
        }
        let mut next = None;
        for &id in self.ids.iter().rev() {
            let path = dir.join(file_name(id));
            if id == last.segment.wrapping_add(1) {
                next = prepare_again(fs.clone(), dir, key, id, segment_bytes)?;
            }
            if next.is_none() || id != last.segment.wrapping_add(1) {
                fs.remove(&path).map_err(|e| io_error("remove", &path, e))?;
            }
        }
        if !self.ids.is_empty() {
            fs.sync_dir(dir).map_err(|e| io_error("sync", dir, e))?;
        }
        Ok(next)
    }
}

/// Empties the file, because unconfirmed batches in it could verify once something is written before them.
fn prepare_again(
    fs: Arc<dyn Fs>,
    dir: &Path,
    key: LogKey,
    id: u32,
    segment_bytes: u32,
) -> Result<Option<Prepared>, StoreError> {
    let path = &dir.join(file_name(id));
    let file = fs.open(path, Access::ReadWrite).map_err(|e| io_error("open", path, e))?;
    file.set_len(0).map_err(|e| io_error("truncate", path, e))?;
    // Without space for it again the store opens all the same and waits for space later.
    if file.allocate(u64::from(segment_bytes)).is_err() {
        return Ok(None);
    }
    file.sync_data().map_err(|e| io_error("sync", path, e))?;
    Ok(Some(Prepared {
        segment: Segment::new(id, key, dir, fs, file),
        bytes: segment_bytes,
        recycled: false,
    }))
}

impl Outcome {
    /// What was read may be in the operating system's memory only, and a sync alone need not help: after one
    /// that failed in the process before us the lost pages count as clean. So everything not known to be
    /// durable is written again, in place, and then synced.
    fn secure_tail(&self) -> Result<(), StoreError> {
        if self.report.clean {
            return Ok(());
        }
        let mut buffer = Vec::new();
        for state in self.index.segments().iter().filter(|s| s.segment.id >= self.durable.segment) {
            let segment = &state.segment;
            let from = if segment.id == self.durable.segment { self.durable.offset } else { 0 };
            let file = segment.file().map_err(|e| io_error("open", &segment.path, e))?;
            rewrite(&*file, from, state.end, &mut buffer)
                .map_err(|e| io_error("write again", &segment.path, e))?;
            file.sync_data().map_err(|e| io_error("sync", &segment.path, e))?;
        }
        Ok(())
    }
}

fn rewrite(file: &dyn FsFile, from: u32, end: u32, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut at = from;
    while at < end {
        buffer.resize(BATCH_BYTES.min((end - at) as usize), 0);
        let got = read_full(file, buffer, u64::from(at))?;
        if got == 0 {
            break;
        }
        write_full(file, &buffer[..got], u64::from(at))?;
        at += got as u32;
    }
    Ok(())
}
