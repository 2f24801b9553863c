//! Reading a segment from front to back, a batch at a time, and finding the way again where bytes are bad.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::feed::Feed;
use super::fs::{FsFile, read_full};
use super::key::Seed;
use super::record::{
    self, BATCH_HEADER_BYTES, BatchHeader, Invalid, Record, SEGMENT_HEADER_BYTES, SegmentHeader,
};
use super::window::{Buffers, WINDOW_BYTES, Window};
use super::{Entry, EntryMeta, QueueId};

/// Bytes read for a header: one page.
const HEADER_READ_BYTES: usize = 4096;

/// The next valid batch header in `bytes` at or behind `from`; both count from an 8-byte boundary.
pub fn next_batch_header(bytes: &[u8], from: usize, seed: Seed) -> Option<(usize, BatchHeader)> {
    (from..bytes.len().saturating_sub(BATCH_HEADER_BYTES - 1))
        .step_by(8)
        .find_map(|at| Some((at, record::decode_batch_header(&bytes[at..], seed).ok()?)))
}

/// Where to go on behind the bad record at `at`: at the next record if the length can be trusted because
/// something valid is there, else at the next batch.
pub fn skip_bad_record(bytes: &[u8], at: usize, seed: Seed) -> Option<usize> {
    if let Ok(size) = record::claimed_size(&bytes[at..])
        && let Some(rest) = bytes.get(at + size..)
        && (rest.is_empty() || record::decode(rest, seed).is_ok())
    {
        return Some(at + size);
    }
    next_batch_header(bytes, at + 8, seed).map(|(next, _)| next)
}

/// What is at a place in a segment.
#[derive(Debug)]
pub enum Found {
    /// A whole batch; all its records verify.
    Batch { header: BatchHeader, bytes: u32 },
    /// A batch header that verifies, but not all its records do.
    BadBatch { header: BatchHeader, bytes: u32 },
    /// Something else than a batch header.
    BadHeader,
    /// Nothing but zeros until the end of the file.
    End,
}

/// A verified record, with what the index needs of it, so that whoever applies it need not read it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// A message in one queue with nothing special about it, as nearly all are. `size` counts the padding.
    Message { size: u32, body_len: u32, queue: QueueId, seq: u64 },
    /// Any other, of so many bytes with padding.
    Other { size: u32 },
}

pub struct SegmentReader {
    pub id: u32,
    pub seed: Seed,
    pub file: Arc<dyn FsFile>,
    pub len: u32,
    /// From here on there are only zeros, as the system says.
    data_end: u32,
    window: Arc<Window>,
    window_at: u32,
    buffers: Buffers,
    /// What was read ahead, if this is the segment that is being read as a whole.
    pub feed: Option<Feed>,
    /// The records of the batch that was found last.
    pub noted: Vec<Noted>,
}

impl SegmentReader {
    pub fn new(id: u32, seed: Seed, file: Arc<dyn FsFile>) -> io::Result<SegmentReader> {
        let len = file.len()?.min(u64::from(u32::MAX)) as u32;
        let data_end = file.data_end()?.min(u64::from(len)) as u32;
        let buffers = Buffers::default();
        let window = Arc::new(buffers.window(Vec::new(), 0));
        Ok(SegmentReader {
            id,
            seed,
            file,
            len,
            data_end,
            window,
            window_at: 0,
            buffers,
            feed: None,
            noted: Vec::new(),
        })
    }

    /// The segment header, or why there is none.
    pub fn header(&mut self) -> io::Result<Result<SegmentHeader, Invalid>> {
        let id = self.id;
        // Often it is all that is wanted for now.
        self.window = Arc::new(self.read(0, &[], HEADER_READ_BYTES)?);
        self.window_at = 0;
        let bytes = self.bytes(0, SEGMENT_HEADER_BYTES)?;
        Ok(match record::decode(bytes, Seed::of_header(id)) {
            Ok((Record::Segment(header), _)) if header.id == id => Ok(header),
            Ok(_) => Err(Invalid::Contents),
            Err(invalid) => Err(invalid),
        })
    }

    /// What begins at `offset`. A batch's bytes can then be had from [`SegmentReader::bytes`].
    pub fn find(&mut self, offset: u32) -> io::Result<Found> {
        let seed = self.seed;
        let Ok(header) = record::decode_batch_header(self.bytes(offset, BATCH_HEADER_BYTES)?, seed) else {
            return Ok(if self.is_zero_from(offset)? { Found::End } else { Found::BadHeader });
        };
        let bytes = BATCH_HEADER_BYTES as u64 + u64::from(header.payload_bytes);
        if bytes > u64::from(self.len - offset) {
            return Ok(Found::BadBatch { header, bytes: self.len - offset });
        }
        let mut noted = std::mem::take(&mut self.noted);
        let batch = self.bytes(offset, bytes as usize)?;
        let verified = note_valid(&batch[BATCH_HEADER_BYTES..], seed, &mut noted)
            && noted.len() == header.records as usize;
        self.noted = noted;
        let bytes = bytes as u32;
        Ok(if verified { Found::Batch { header, bytes } } else { Found::BadBatch { header, bytes } })
    }

    /// The next valid batch header at or behind `offset`, and where it is.
    pub fn search(&mut self, offset: u32) -> io::Result<Option<(u32, BatchHeader)>> {
        let mut at = offset;
        loop {
            let seed = self.seed;
            if at >= self.data_end {
                return Ok(None);
            }
            let bytes = self.bytes(at, WINDOW_BYTES)?;
            if let Some((found, header)) = next_batch_header(bytes, 0, seed) {
                return Ok(Some((at + found as u32, header)));
            }
            if bytes.len() < WINDOW_BYTES {
                return Ok(None);
            }
            // A header may begin in the last bytes of this window.
            at += (WINDOW_BYTES - BATCH_HEADER_BYTES) as u32;
        }
    }

    /// Up to `want` bytes from `offset` on; fewer at the end of the file.
    pub fn bytes(&mut self, offset: u32, want: usize) -> io::Result<&[u8]> {
        let (window, range) = self.shared(offset, want)?;
        Ok(&window[range])
    }

    /// Like [`SegmentReader::bytes`], as a part of a window that may be kept.
    pub fn shared(&mut self, offset: u32, want: usize) -> io::Result<(&Arc<Window>, Range<usize>)> {
        let want = want.min(self.len.saturating_sub(offset) as usize);
        let start = offset.wrapping_sub(self.window_at) as usize;
        if offset < self.window_at || start + want > self.window.len() {
            self.read_window(offset, want)?;
        }
        let start = (offset - self.window_at) as usize;
        Ok((&self.window, start..(start + want).min(self.window.len())))
    }

    /// Makes a window that begins at `offset`. What the window before has of it, a batch that did not fit, is copied from
    /// there instead of being read again.
    fn read_window(&mut self, offset: u32, want: usize) -> io::Result<()> {
        let before = self.window.clone();
        let known = match offset.checked_sub(self.window_at) {
            Some(start) => before.get(start as usize..).unwrap_or_default(),
            None => &[],
        };
        self.window = Arc::new(match self.fed(offset, known, want) {
            Some(window) => window,
            None => self.read(offset, known, want.max(WINDOW_BYTES))?,
        });
        self.window_at = offset;
        Ok(())
    }

    /// A window of what was read ahead, if that is where it goes on and there is as much of it.
    fn fed(&mut self, offset: u32, known: &[u8], want: usize) -> Option<Window> {
        let feed = self.feed.as_mut()?;
        let (mut window, skip) = feed.take(self.id, offset + known.len() as u32)?;
        window.begin_with(known, skip);
        while window.len() < want {
            let (more, skip) = feed.take(self.id, offset + window.len() as u32)?;
            window.append(&more[skip..]);
        }
        Some(window)
    }

    /// A window of `len` bytes, or up to the end of the file, of which the first are known.
    fn read(&self, offset: u32, known: &[u8], len: usize) -> io::Result<Window> {
        let len = len.min(self.len.saturating_sub(offset) as usize);
        let known = &known[..known.len().min(len)];
        let mut buffer = self.buffers.take(len);
        buffer[..known.len()].copy_from_slice(known);
        let got = read_full(&*self.file, &mut buffer[known.len()..], u64::from(offset) + known.len() as u64)?;
        buffer.truncate(known.len() + got);
        Ok(self.buffers.window(buffer, 0))
    }

    /// As many bytes from `offset` on as the window has, at least one before the end of the file.
    fn some_bytes(&mut self, offset: u32) -> io::Result<&[u8]> {
        let start = self.shared(offset, 1)?.1.start;
        Ok(&self.window[start..])
    }

    pub fn is_zero_from(&mut self, offset: u32) -> io::Result<bool> {
        let mut at = offset;
        // What is at hand is looked at whatever the system says.
        while at < self.data_end || (at == offset && at < self.len) {
            let bytes = self.some_bytes(at)?;
            if bytes.is_empty() {
                break;
            }
            if bytes.iter().any(|&b| b != 0) {
                return Ok(false);
            }
            at += bytes.len() as u32;
        }
        Ok(true)
    }
}

/// Whether all records verify and nothing else is there; notes them.
fn note_valid(mut bytes: &[u8], seed: Seed, noted: &mut Vec<Noted>) -> bool {
    noted.clear();
    while !bytes.is_empty() {
        let Ok((record, size)) = record::decode(bytes, seed) else { return false };
        if matches!(record, Record::Batch(_) | Record::Segment(_)) {
            return false;
        }
        noted.push(note(record, size as u32));
        bytes = &bytes[size..];
    }
    true
}

fn note(record: Record<'_>, size: u32) -> Noted {
    if let Record::Message(message) = record {
        let mut entries = message.entries.iter();
        if let (Some(Entry { queue, seq, meta }), None) = (entries.next(), entries.next())
            && meta == EntryMeta::default()
        {
            return Noted::Message { size, body_len: message.body_len(), queue, seq };
        }
    }
    Noted::Other { size }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::store::fs::RealFs;
    use crate::store::key::LogKey;

    /// A file of which each eight bytes say where they are, in units of eight; or nothing but zeros, and the system
    /// knows it.
    #[derive(Default)]
    struct Counted {
        len: u64,
        is_empty: bool,
        bytes_read: AtomicU64,
    }

    impl FsFile for Counted {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            let n = buf.len().min(self.len.saturating_sub(offset) as usize);
            for (byte, at) in buf[..n].iter_mut().zip(offset..) {
                *byte = if self.is_empty { 0 } else { (at / 8).to_le_bytes()[at as usize % 8] };
            }
            self.bytes_read.fetch_add(n as u64, Ordering::Relaxed);
            Ok(n)
        }
        fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
        fn len(&self) -> io::Result<u64> {
            Ok(self.len)
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn allocate(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn data_end(&self) -> io::Result<u64> {
            Ok(if self.is_empty { 0 } else { self.len })
        }
    }

    #[test]
    fn what_the_system_knows_to_be_zeros_is_not_read() {
        let len = 64 << 20;
        let file = Arc::new(Counted { len, is_empty: true, ..Counted::default() });
        let mut reader = SegmentReader::new(1, LogKey(0).seed(1), file.clone()).unwrap();
        assert!(reader.is_zero_from(32).unwrap());
        assert_eq!(reader.search(32).unwrap(), None);
        let read = file.bytes_read.load(Ordering::Relaxed);
        assert_eq!(read, WINDOW_BYTES as u64, "what is at hand is looked at, and no more");
    }

    #[test]
    fn what_did_not_fit_into_a_window_is_not_read_again() {
        let len = 10 * WINDOW_BYTES as u32;
        let file = Arc::new(Counted { len: u64::from(len), ..Counted::default() });
        let mut reader = SegmentReader::new(1, LogKey(0).seed(1), file.clone()).unwrap();
        let batch = WINDOW_BYTES as u32 / 3 + 8;
        for offset in (0..len).step_by(batch as usize) {
            assert_eq!(reader.bytes(offset, batch as usize).unwrap().len() as u32, batch.min(len - offset));
        }
        assert_eq!(file.bytes_read.load(Ordering::Relaxed), u64::from(len));
    }

    fn assert_counted(reader: &mut SegmentReader, offset: u32, want: usize) {
        let bytes = reader.bytes(offset, want).unwrap();
        assert_eq!(bytes.len(), want, "{offset}");
        let first = u64::from(offset) / 8;
        assert!(bytes.chunks(8).zip(first..).all(|(chunk, at)| chunk == at.to_le_bytes()), "{offset}");
    }

    #[test]
    fn a_window_begins_with_what_the_one_before_had() {
        let file = Arc::new(Counted { len: 3 * WINDOW_BYTES as u64, ..Counted::default() });
        let mut reader = SegmentReader::new(1, LogKey(0).seed(1), file).unwrap();
        for (offset, want) in [(0, 8), (8, WINDOW_BYTES), (16, 2 * WINDOW_BYTES), (8, 24), (1 << 20, 16)] {
            assert_counted(&mut reader, offset, want);
        }
    }

    /// Two segments of `len` bytes that count, as files and as a feed of them.
    fn fed(len: usize) -> (Vec<(SegmentReader, Arc<Counted>)>, Feed, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counted");
        let bytes: Vec<u8> = (0..len as u64 / 8).flat_map(u64::to_le_bytes).collect();
        std::fs::write(&path, bytes).unwrap();
        let feed = Feed::start(Arc::new(RealFs), vec![(1, path.clone()), (2, path)]).unwrap();
        let reader = |id| {
            let file = Arc::new(Counted { len: len as u64, ..Counted::default() });
            (SegmentReader::new(id, LogKey(0).seed(id), file.clone()).unwrap(), file)
        };
        (vec![reader(1), reader(2)], feed, dir)
    }

    #[test]
    fn what_is_read_in_order_was_read_ahead() {
        let len = 5 * WINDOW_BYTES;
        for batch in [4096, 300_000, WINDOW_BYTES, 2 * WINDOW_BYTES + 800] {
            let (readers, feed, _dir) = fed(len);
            let mut feed = Some(feed);
            for (mut reader, file) in readers {
                reader.feed = feed.take();
                for offset in (0..len).step_by(batch) {
                    assert_counted(&mut reader, offset as u32, batch.min(len - offset));
                }
                feed = reader.feed;
                assert_eq!(file.bytes_read.load(Ordering::Relaxed), 0, "{batch}");
            }
        }
    }

    #[test]
    fn what_does_not_come_next_is_read_all_the_same() {
        let len = 5 * WINDOW_BYTES;
        let (mut readers, feed, _dir) = fed(len);
        let (second, first) = (&mut readers.pop().unwrap().0, &mut readers.pop().unwrap().0);
        first.feed = Some(feed);
        for (offset, want) in [
            (800, 8),
            (0, 16),
            (3 << 20, 800),
            (8, 24),
            (1 << 20, 3 << 20),
            ((5 << 20) - 8, 8),
            (2 << 20, 3 << 20),
        ] {
            assert_counted(first, offset, want);
        }
        second.feed = first.feed.take();
        assert_counted(second, 4096, 8);
        assert_counted(first, 0, 5 << 20);
        assert_counted(second, 4096, 2 << 20);
    }

    #[test]
    fn a_feed_that_cannot_read_is_no_loss() {
        let file = Arc::new(Counted { len: 3 << 20, ..Counted::default() });
        let mut reader = SegmentReader::new(1, LogKey(0).seed(1), file).unwrap();
        let missing = vec![(1, "/nowhere/at/all".into())];
        reader.feed = Some(Feed::start(Arc::new(RealFs), missing).unwrap());
        assert_counted(&mut reader, 0, 8);
        assert_counted(&mut reader, 8, 3 << 19);
    }
}
