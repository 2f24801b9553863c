//! The pass over the log that recovery makes: which bytes count, where the log ends, what is damaged.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::applier::{Applier, Batch};
use super::clean::{self, CleanShutdown};
use super::commit::Active;
use super::feed::Feed;
use super::fs::{Access, Fs, write_full};
use super::index::Index;
use super::key::{self, LogKey};
use super::record::{self, BATCH_HEADER_BYTES, FORMAT_VERSION, Location, SEGMENT_HEADER_BYTES};
use super::recovery::{Cut, Damage, Leftovers, Report, io_error};
use super::replay::{Details, Replayed};
use super::scan::{Found, SegmentReader, skip_bad_record};
use super::segment::{Segment, file_name, parse_file_name};
use super::{OnProgress, QueueId, Recovering, StoreError};

/// How often progress is told.
const PROGRESS_BYTES: u64 = 16 << 20;

pub struct Pass {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    /// May write: set bad bytes aside. The check tool may not.
    repairing: bool,
    pub key: LogKey,
    ids: Vec<u32>,
    note: Option<CleanShutdown>,
    /// Where the records go.
    pub applier: Applier,
    /// Reads ahead of the pass, if it is in a hurry.
    feed: Option<Feed>,
    /// The next segment, if it was opened already.
    next: Option<SegmentReader>,
    /// The next batch's number, if known.
    expected: Option<u64>,
    /// Larger than every batch number seen.
    next_sequence: u64,
    durable: Location,
    last: Location,
    last_is_open: bool,
    pub report: Report,
    leftovers: Leftovers,
    pub on_progress: OnProgress,
    progress: Recovering,
}

/// What a pass found.
pub struct Outcome {
    pub key: LogKey,
    pub index: Index,
    pub next_seqs: HashMap<QueueId, u64>,
    pub details: Details,
    pub report: Report,
    /// The last segment, if it may be written on.
    pub active: Option<Active>,
    /// Where the log ends.
    pub last: Location,
    pub next_sequence: u64,
    pub leftovers: Leftovers,
    /// Up to here the log was known to be synced.
    pub durable: Location,
}

/// How a segment was left.
enum Next {
    /// At its end: on with the next one.
    Segment,
    /// The log ends in it.
    End,
}

impl Pass {
    pub fn new(fs: Arc<dyn Fs>, dir: &Path, repairing: bool) -> Result<Pass, StoreError> {
        let names = fs.list(dir).map_err(|e| io_error("list", dir, e))?;
        let mut ids: Vec<u32> = names.iter().filter_map(|name| parse_file_name(name)).collect();
        ids.sort_unstable();
        let key = find_key(&*fs, dir, &ids, repairing)?;
        let note = clean::read(&*fs, dir).map_err(|e| io_error("read the clean shutdown note in", dir, e))?;
        Ok(Pass {
            fs,
            dir: dir.to_path_buf(),
            repairing,
            key,
            ids,
            note,
            applier: Applier::here(),
            feed: None,
            next: None,
            expected: None,
            next_sequence: 1,
            durable: Location::default(),
            last: Location::default(),
            last_is_open: false,
            report: Report::default(),
            leftovers: Leftovers::default(),
            on_progress: OnProgress::default(),
            progress: Recovering::default(),
        })
    }

    /// The segments in the folder, oldest first.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Has a thread of its own read what [`Pass::run`] will verify.
    pub fn read_ahead(&mut self) -> io::Result<()> {
        let segments = self.ids.iter().map(|&id| (id, self.path(id))).collect();
        self.feed = Some(Feed::start(self.fs.clone(), segments)?);
        Ok(())
    }

    pub fn run(&mut self) -> Result<(), StoreError> {
        for &id in &self.ids {
            let len = self.fs.open(&self.path(id), Access::Read).and_then(|file| file.data_end());
            self.progress.bytes_total += self.io(id, len)?;
        }
        for at in 0..self.ids.len() {
            let id = self.ids[at];
            let mut reader = match self.next.take().filter(|next| next.id == id) {
                Some(next) => next,
                None => self.reader(id)?,
            };
            reader.feed = self.feed.take();
            let next = self.segment(at, &mut reader)?;
            self.feed = reader.feed;
            if let Next::End = next {
                break;
            }
        }
        self.feed = None;
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
        SegmentReader::new(id, self.key.seed(id), file).map_err(|e| io_error("read", &path, e))
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
        let next = self.batches(at, reader, end, header.is_ok_and(|h| h.recycled))?;
        self.applier.end(self.last);
        Ok(next)
    }

    /// Where the segment ends, if the one behind it says so.
    fn end_by_next(&mut self, at: usize, id: u32) -> Result<Option<u32>, StoreError> {
        let Some(&next) = self.ids.get(at + 1).filter(|&&next| next == id + 1) else { return Ok(None) };
        let mut reader = self.reader(next)?;
        let header = self.io(next, reader.header())?;
        self.next = Some(reader);
        Ok(header.ok().map(|header| header.previous_end))
    }

    fn report_gap(&mut self, reader: &SegmentReader, missing: bool, ends_before: bool) {
        self.expected = None;
        if missing {
            let gap = format!("segments {} to {} are missing", self.last.segment + 1, reader.id - 1);
            self.damage(self.last, 0, gap, None);
            for id in self.last.segment + 1..reader.id {
                let file = reader.file.clone();
                let segment = Segment::new(id, self.key, &self.dir, self.fs.clone(), file);
                self.applier.missing_segment(segment);
            }
        } else if ends_before {
            self.damage(self.last, 0, "the end of this segment is missing".into(), None);
        }
    }

    fn as_segment(&self, reader: &SegmentReader) -> Segment {
        Segment::new(reader.id, self.key, &self.dir, self.fs.clone(), reader.file.clone())
    }

    fn push_segment(&mut self, reader: &SegmentReader) {
        let segment = self.as_segment(reader);
        self.applier.segment(Arc::new(segment), reader.len);
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
                    let noted = std::mem::take(&mut reader.noted);
                    let (window, batch) = self.io(id, reader.shared(place.offset, bytes as usize))?;
                    let records = batch.start + BATCH_HEADER_BYTES..batch.end;
                    self.applier.batch(window, Batch { records, place, noted });
                    self.expected = Some(header.sequence.saturating_add(1));
                    self.next_sequence = self.next_sequence.max(header.sequence.saturating_add(1));
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
                    self.expected = Some(header.sequence.saturating_add(1));
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
        if self.report.bytes_read >= self.progress.bytes + PROGRESS_BYTES {
            self.progress.bytes = self.report.bytes_read;
            self.progress.messages = self.applier.messages();
            (self.on_progress.0)(self.progress);
        }
    }

    /// Applies the records of a damaged batch that still verify.
    fn salvage(&mut self, reader: &mut SegmentReader, bytes: u32) -> Result<(), StoreError> {
        let (id, seed, place) = (reader.id, reader.seed, self.last);
        let batch = self.io(id, reader.bytes(place.offset, bytes as usize))?.to_vec();
        let mut at = BATCH_HEADER_BYTES;
        while at < batch.len() {
            let offset = place.offset + at as u32;
            match record::decode(&batch[at..], seed) {
                Ok((_, size)) => {
                    self.applier.record(batch[at..at + size].to_vec(), Location::new(id, offset));
                    at += size;
                }
                Err(invalid) => {
                    let next = skip_bad_record(&batch, at, seed).unwrap_or(batch.len());
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
        let segment = self.as_segment(reader);
        self.leftovers.truncate = Some((Arc::new(segment), self.last.offset));
        self.applier.file_bytes(self.last);
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

    pub fn finish(mut self, known: &dyn Fn(QueueId) -> bool) -> Outcome {
        let Replayed { mut index, next_seqs, mut details, entries_of_unknown_queues } =
            self.applier.finish().finish(known);
        details.note = self.note.take().filter(|_| self.report.clean);
        index.written = self.last;
        self.report.messages = index.messages();
        self.report.entries = index.entries();
        self.report.entries_of_unknown_queues = entries_of_unknown_queues;
        let open = self.last_is_open && index.segments().back().is_some();
        let active = index.segments().back().filter(|_| open).and_then(|last| {
            Some(Active {
                segment: last.segment.clone(),
                file: last.segment.file().ok()?,
                end: self.last.offset,
                capacity: last.file_bytes,
                header: None,
            })
        });
        Outcome {
            key: self.key,
            index,
            next_seqs,
            details,
            report: self.report,
            active,
            last: self.last,
            next_sequence: self.next_sequence,
            leftovers: self.leftovers,
            durable: self.durable,
        }
    }
}

/// The key from its file, else from any segment's header, else a new one for a new log.
fn find_key(fs: &dyn Fs, dir: &Path, ids: &[u32], repairing: bool) -> Result<LogKey, StoreError> {
    match key::read(fs, dir).map_err(|e| io_error("read the log key in", dir, e))? {
        key::Found::Key(key) => return Ok(key),
        // Before anything else is read or changed: what the segments look like is for that version to know.
        key::Found::Version(found) => {
            return Err(StoreError::Version { path: dir.join(key::FILE_NAME), found });
        }
        key::Found::Nothing => {}
    }
    let mut empty = true;
    let mut found = None;
    for &id in ids {
        let path = dir.join(file_name(id));
        let read = || {
            // The seed is not needed for headers.
            let mut reader = SegmentReader::new(id, LogKey(0).seed(id), fs.open(&path, Access::Read)?)?;
            Ok((reader.header()?, reader.is_zero_from(0)?))
        };
        let (header, zero) = read().map_err(|e| io_error("read", &path, e))?;
        empty &= zero;
        found = found.or(header.ok().map(|header| header.key));
    }
    let key = match found {
        Some(key) => key,
        None if empty => LogKey(fs.random()),
        None => return Err(StoreError::KeyLost { dir: dir.to_path_buf() }),
    };
    if repairing {
        match key::write(fs, dir, key) {
            // The headers still have it.
            Err(error) if found.is_some() => {
                tracing::warn!("cannot write the log key in {} again: {error}", dir.display());
            }
            other => other.map_err(|e| io_error("write the log key in", dir, e))?,
        }
    }
    Ok(key)
}
