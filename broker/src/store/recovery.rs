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

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::batch::BATCH_BYTES;
use super::clean::{self, CleanShutdown};
use super::commit::{Active, Committer, Start};
use super::fs::{Access, Fs, FsFile, read_full, write_full};
use super::index::Index;
use super::intake::Intake;
use super::record::{self, BATCH_HEADER_BYTES, FORMAT_VERSION, Location, SEGMENT_HEADER_BYTES};
use super::replay::Replay;
use super::scan::{Found, SegmentReader, skip_bad_record};
use super::segment::{Prepared, Segment, Supply, file_name, parse_file_name};
use super::{Counters, EntryMeta, QueueId, Shared, StoreError, StoreOptions};

/// What a log held.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Every known queue that the log mentions, also those without messages.
    pub queues: HashMap<QueueId, RecoveredQueue>,
    pub report: Report,
}

#[derive(Debug, Default)]
pub struct RecoveredQueue {
    /// Larger than every sequence number of the queue in the log.
    pub next_seq: u64,
    /// Ordered by `seq`.
    pub entries: Vec<RecoveredEntry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveredEntry {
    pub seq: u64,
    /// Length of [`crate::message::Message::block`].
    pub block_len: u32,
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
    let mut scan = Scan::new(fs.clone(), dir, true)?;
    scan.run()?;
    let scanned = scan.finish(known);
    let next = scanned.leftovers.tidy(&*fs, dir, scanned.last, &scanned.index, options.segment_bytes)?;
    scanned.secure_tail()?;
    clean::remove(&*fs, dir).map_err(|e| io_error("remove the clean shutdown note in", dir, e))?;
    let supply = Supply::new(fs.clone(), dir, options.segment_bytes, next, threaded)
        .map_err(|e| io_error("start the file thread for", dir, e))?;
    let shared = Arc::new(Shared {
        intake: Intake::new(options.commit_bytes_max),
        index: Mutex::new(scanned.index),
        written: Condvar::new(),
        blocked: watch::Sender::new(false),
        counters: Counters::default(),
        fs,
        dir: dir.to_path_buf(),
    });
    let start =
        Start { active: scanned.active, last: scanned.last, batch_sequence: scanned.next_sequence, supply };
    log_report(dir, &scanned.recovered.report);
    Ok((shared.clone(), Committer::new(shared, options, start), scanned.recovered))
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
    ids: Vec<u32>,
    /// A segment to be shortened to this length.
    truncate: Option<(Arc<Segment>, u32)>,
}

impl Leftovers {
    /// Removes what is not part of the log; the file that follows the last segment becomes the next one.
    /// Takes no more space than it gives back.
    fn tidy(
        &self,
        fs: &dyn Fs,
        dir: &Path,
        last: Location,
        index: &Index,
        segment_bytes: u32,
    ) -> Result<Option<Prepared>, StoreError> {
        debug_assert!(index.segments().back().is_none_or(|s| s.segment.id == last.segment));
        if let Some((segment, len)) = &self.truncate {
            let file = &segment.file;
            file.set_len(u64::from(*len)).map_err(|e| io_error("truncate", &segment.path, e))?;
            file.sync_data().map_err(|e| io_error("sync", &segment.path, e))?;
        }
        let mut next = None;
        for &id in self.ids.iter().rev() {
            let path = dir.join(file_name(id));
            if id == last.segment.wrapping_add(1) {
                next = prepare_again(fs, &path, id, segment_bytes)?;
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
    fs: &dyn Fs,
    path: &Path,
    id: u32,
    segment_bytes: u32,
) -> Result<Option<Prepared>, StoreError> {
    let file = fs.open(path, Access::ReadWrite).map_err(|e| io_error("open", path, e))?;
    file.set_len(0).map_err(|e| io_error("truncate", path, e))?;
    // Without space for it again the store opens all the same and waits for space later.
    if file.allocate(u64::from(segment_bytes)).is_err() {
        return Ok(None);
    }
    file.sync_data().map_err(|e| io_error("sync", path, e))?;
    let segment = Segment { id, path: path.to_path_buf(), file };
    Ok(Some(Prepared { segment, bytes: segment_bytes, recycled: false }))
}

/// One pass over the log.
pub(super) struct Scan {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    /// May write: set bad bytes aside. The check tool may not.
    repairing: bool,
    ids: Vec<u32>,
    note: Option<CleanShutdown>,
    pub replay: Replay,
    /// The next batch's number, if known.
    expected: Option<u64>,
    /// Larger than every batch number seen.
    next_sequence: u64,
    durable: Location,
    last: Location,
    last_is_open: bool,
    pub report: Report,
    leftovers: Leftovers,
}

pub(super) struct Scanned {
    index: Index,
    recovered: Recovered,
    active: Option<Active>,
    last: Location,
    next_sequence: u64,
    leftovers: Leftovers,
    durable: Location,
}

/// How a segment was left.
enum Next {
    /// At its end: on with the next one.
    Segment,
    /// The log ends in it.
    End,
}

impl Scan {
    pub fn new(fs: Arc<dyn Fs>, dir: &Path, repairing: bool) -> Result<Scan, StoreError> {
        let names = fs.list(dir).map_err(|e| io_error("list", dir, e))?;
        let mut ids: Vec<u32> = names.iter().filter_map(|name| parse_file_name(name)).collect();
        ids.sort_unstable();
        let note = clean::read(&*fs, dir).map_err(|e| io_error("read the clean shutdown note in", dir, e))?;
        Ok(Scan {
            fs,
            dir: dir.to_path_buf(),
            repairing,
            ids,
            note,
            replay: Replay::default(),
            expected: None,
            next_sequence: 1,
            durable: Location::default(),
            last: Location::default(),
            last_is_open: false,
            report: Report::default(),
            leftovers: Leftovers::default(),
        })
    }

    pub fn run(&mut self) -> Result<(), StoreError> {
        for at in 0..self.ids.len() {
            let mut reader = self.reader(self.ids[at])?;
            if let Next::End = self.segment(at, &mut reader)? {
                break;
            }
        }
        if let Some(note) = &self.note {
            self.report.clean = note.end == self.last && self.report.damage.is_empty();
            if note.end > self.last {
                let reason = format!("the log should go on to {}, where the broker was shut down", note.end);
                self.damage(self.last, 0, reason, None);
                self.last_is_open = false;
            }
        }
        Ok(())
    }

    fn reader(&self, id: u32) -> Result<SegmentReader, StoreError> {
        let path = self.dir.join(file_name(id));
        let access = if self.repairing { Access::ReadWrite } else { Access::Read };
        let file = self.fs.open(&path, access).map_err(|e| io_error("open", &path, e))?;
        SegmentReader::new(id, file).map_err(|e| io_error("read", &path, e))
    }

    fn segment(&mut self, at: usize, reader: &mut SegmentReader) -> Result<Next, StoreError> {
        let id = reader.id;
        let first = self.last.segment == 0;
        let header = self.io(id, reader.header())?;
        if let Ok(header) = header
            && header.version != FORMAT_VERSION
        {
            return Err(StoreError::Version { path: self.path(id), found: header.version });
        }
        let ends_before = header.is_ok_and(|h| !first && h.previous_end > self.last.offset);
        let missing = !first && id != self.last.segment + 1;
        // The segment counts only once its first batch does; before that it is a prepared file. The header
        // was written together with that batch and shares a sector with it: a bad header alone is damage.
        let start = SEGMENT_HEADER_BYTES as u32;
        let opens = matches!(self.io(id, reader.find(start))?, Found::Batch { .. });
        if !opens || missing || ends_before {
            let bad = if missing || ends_before { self.last } else { Location::new(id, 0) };
            if !self.was_durable(at, reader, 0, bad)? {
                self.leave_out(at, Location::new(id, 0), reader.len, header.is_ok());
                return Ok(Next::End);
            }
            self.report_gap(reader, missing, ends_before);
        }
        if let Err(invalid) = header {
            let bytes = SEGMENT_HEADER_BYTES as u32;
            let aside = self.set_aside(reader, 0, bytes)?;
            self.damage(Location::new(id, 0), bytes, format!("segment header: {invalid}"), aside);
        }
        self.push_segment(reader);
        let end = self.end_by_next(at, id)?;
        self.batches(at, reader, end, header.is_ok_and(|h| h.recycled))
    }

    /// Where the segment ends, if the one behind it says so.
    fn end_by_next(&self, at: usize, id: u32) -> Result<Option<u32>, StoreError> {
        let Some(&next) = self.ids.get(at + 1).filter(|&&next| next == id + 1) else { return Ok(None) };
        let header = self.io(next, self.reader(next)?.header())?;
        Ok(header.ok().map(|header| header.previous_end))
    }

    fn report_gap(&mut self, reader: &SegmentReader, missing: bool, ends_before: bool) {
        self.expected = None;
        if missing {
            let gap = format!("segments {} to {} are missing", self.last.segment + 1, reader.id - 1);
            self.damage(self.last, 0, gap, None);
            for id in self.last.segment + 1..reader.id {
                self.replay.push_missing_segment(id, &self.dir, reader.file.clone());
            }
        } else if ends_before {
            self.damage(self.last, 0, "the end of this segment is missing".into(), None);
        }
    }

    fn push_segment(&mut self, reader: &SegmentReader) {
        let segment = Segment { id: reader.id, path: self.path(reader.id), file: reader.file.clone() };
        self.replay.push_segment(Arc::new(segment), reader.len);
        self.report.segments += 1;
        self.last = Location::new(reader.id, SEGMENT_HEADER_BYTES as u32);
        self.last_is_open = true;
    }

    fn batches(
        &mut self,
        at: usize,
        reader: &mut SegmentReader,
        end: Option<u32>,
        recycled: bool,
    ) -> Result<Next, StoreError> {
        let id = reader.id;
        loop {
            let place = self.last;
            if end == Some(place.offset) || self.note.as_ref().is_some_and(|note| note.end == place) {
                return Ok(Next::Segment);
            }
            let found = self.io(id, reader.find(place.offset))?;
            match found {
                Found::Batch { header, bytes } if self.expected.is_none_or(|n| n == header.sequence) => {
                    let batch = self.io(id, reader.bytes(place.offset, bytes as usize))?;
                    self.replay.batch(&batch[BATCH_HEADER_BYTES..], place);
                    self.expected = Some(header.sequence + 1);
                    self.next_sequence = self.next_sequence.max(header.sequence + 1);
                    self.durable = self.durable.max(header.durable);
                    self.advance(place.offset + bytes);
                }
                Found::End => return Ok(Next::Segment),
                _ if !self.was_durable(at, reader, place.offset, place)? => {
                    // In a recycled file, bytes that were never a batch of this segment are what was there.
                    let leftover = recycled && matches!(found, Found::BadHeader);
                    self.cut(at, reader, !leftover);
                    return Ok(Next::End);
                }
                Found::Batch { header, .. } => {
                    let gap = format!("batches before number {} are missing", header.sequence);
                    self.damage(place, 0, gap, None);
                    self.expected = None;
                }
                Found::BadBatch { header, bytes } => {
                    self.salvage(reader, bytes)?;
                    self.expected = Some(header.sequence + 1);
                }
                Found::BadHeader => {
                    self.expected = None;
                    let next = self.io(id, reader.search(place.offset + 8))?.map(|(next, _)| next);
                    let bytes = next.unwrap_or(reader.len) - place.offset;
                    let aside = self.set_aside(reader, place.offset, bytes)?;
                    self.damage(place, bytes, "no valid batch here".into(), aside);
                    self.last_is_open = false;
                    match next {
                        Some(next) => self.advance(next),
                        None => return Ok(Next::Segment),
                    }
                }
            }
        }
    }

    fn advance(&mut self, offset: u32) {
        self.report.bytes_read += u64::from(offset - self.last.offset);
        self.last.offset = offset;
        self.replay.set_end(self.last);
    }

    /// Applies the records of a damaged batch that still verify.
    fn salvage(&mut self, reader: &mut SegmentReader, bytes: u32) -> Result<(), StoreError> {
        let (id, place) = (reader.id, self.last);
        let batch = self.io(id, reader.bytes(place.offset, bytes as usize))?.to_vec();
        let mut at = BATCH_HEADER_BYTES;
        while at < batch.len() {
            let offset = place.offset + at as u32;
            match record::decode(&batch[at..], id) {
                Ok((_, size)) => {
                    self.replay.record(&batch[at..at + size], Location::new(id, offset));
                    at += size;
                }
                Err(invalid) => {
                    let next = skip_bad_record(&batch, at, id).unwrap_or(batch.len());
                    let bad = (next - at) as u32;
                    let aside = self.set_aside(reader, offset, bad)?;
                    self.damage(Location::new(id, offset), bad, invalid.to_string(), aside);
                    at = next;
                }
            }
        }
        self.last_is_open = false;
        self.advance(place.offset + bytes);
        Ok(())
    }

    /// Whether anything that verifies, from `offset` of this segment on, says that the place was synced.
    fn was_durable(
        &mut self,
        at: usize,
        reader: &mut SegmentReader,
        offset: u32,
        place: Location,
    ) -> Result<bool, StoreError> {
        if self.note.as_ref().is_some_and(|note| note.end > place) {
            return Ok(true);
        }
        if self.search_evidence(reader, offset, place)? {
            return Ok(true);
        }
        for later in at + 1..self.ids.len() {
            let mut reader = self.reader(self.ids[later])?;
            if self.search_evidence(&mut reader, 0, place)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn search_evidence(
        &self,
        reader: &mut SegmentReader,
        offset: u32,
        place: Location,
    ) -> Result<bool, StoreError> {
        let mut from = offset;
        while let Some((found, header)) = self.io(reader.id, reader.search(from))? {
            if header.durable > place {
                return Ok(true);
            }
            from = found + BATCH_HEADER_BYTES as u32;
        }
        Ok(false)
    }

    /// Ends the log in this segment, at the last good place.
    fn cut(&mut self, at: usize, reader: &SegmentReader, noteworthy: bool) {
        self.leave_out(at + 1, self.last, reader.len, noteworthy);
        let segment = Segment { id: reader.id, path: self.path(reader.id), file: reader.file.clone() };
        self.leftovers.truncate = Some((Arc::new(segment), self.last.offset));
        self.replay.set_file_bytes(self.last);
        self.last_is_open = false;
    }

    /// Ends the log before the segment at `at` in the list of ids.
    fn leave_out(&mut self, at: usize, place: Location, file_bytes: u32, noteworthy: bool) {
        self.leftovers.ids = self.ids[at..].to_vec();
        if noteworthy {
            self.report.cut = Some(Cut {
                segment: place.segment,
                offset: place.offset,
                bytes: u64::from(file_bytes.saturating_sub(place.offset)),
                segments: self.leftovers.ids.len() as u64,
            });
        }
    }

    fn damage(&mut self, place: Location, bytes: u32, reason: String, set_aside: Option<PathBuf>) {
        let Location { segment, offset } = place;
        self.report.damage.push(Damage { segment, offset, bytes, reason, set_aside });
    }

    /// Copies bad bytes to `damaged-<segment>-<offset>.bin`.
    fn set_aside(
        &self,
        reader: &mut SegmentReader,
        offset: u32,
        bytes: u32,
    ) -> Result<Option<PathBuf>, StoreError> {
        if !self.repairing || bytes == 0 {
            return Ok(None);
        }
        let id = reader.id;
        let path = self.dir.join(format!("damaged-{id:010}-{offset}.bin"));
        let bad = self.io(id, reader.bytes(offset, bytes as usize))?;
        match self.fs.open(&path, Access::CreateNew) {
            Ok(file) => write_full(&*file, bad, 0)
                .and_then(|()| file.sync_data())
                .and_then(|()| self.fs.sync_dir(&self.dir))
                .map_err(|e| io_error("set damaged bytes aside in", &path, e))?,
            // From an earlier start: the first copy is the best one.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io_error("set damaged bytes aside in", &path, error)),
        }
        Ok(Some(path))
    }

    fn path(&self, id: u32) -> PathBuf {
        self.dir.join(file_name(id))
    }

    fn io<T>(&self, id: u32, result: io::Result<T>) -> Result<T, StoreError> {
        result.map_err(|e| io_error("read", &self.path(id), e))
    }

    pub fn finish(mut self, known: &dyn Fn(QueueId) -> bool) -> Scanned {
        let note = self.note.take().filter(|_| self.report.clean);
        let redelivered =
            |queue, seq| note.as_ref().is_none_or(|note: &CleanShutdown| note.was_delivered(queue, seq));
        let (mut index, queues, unknown) = self.replay.finish(known, &redelivered);
        index.written = self.last;
        self.report.messages = index.messages();
        self.report.entries = index.entries();
        self.report.entries_of_unknown_queues = unknown;
        let open = self.last_is_open && index.segments().back().is_some();
        let active = index.segments().back().filter(|_| open).map(|last| Active {
            segment: last.segment.clone(),
            end: self.last.offset,
            capacity: last.file_bytes,
            header: None,
        });
        Scanned {
            index,
            recovered: Recovered { queues, report: self.report },
            active,
            last: self.last,
            next_sequence: self.next_sequence,
            leftovers: self.leftovers,
            durable: self.durable,
        }
    }
}

impl Scanned {
    /// What was read may be in the operating system's memory only, and a sync alone need not help: after one
    /// that failed in the process before us the lost pages count as clean. So everything not known to be
    /// durable is written again, in place, and then synced.
    fn secure_tail(&self) -> Result<(), StoreError> {
        if self.recovered.report.clean {
            return Ok(());
        }
        let mut buffer = Vec::new();
        for state in self.index.segments().iter().filter(|s| s.segment.id >= self.durable.segment) {
            let segment = &state.segment;
            let from = if segment.id == self.durable.segment { self.durable.offset } else { 0 };
            rewrite(&*segment.file, from, state.end, &mut buffer)
                .map_err(|e| io_error("write again", &segment.path, e))?;
            segment.file.sync_data().map_err(|e| io_error("sync", &segment.path, e))?;
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
