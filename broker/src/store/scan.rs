//! Reading a segment from front to back, a batch at a time, and finding the way again where bytes are bad.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::applier::Window;
use super::fs::{FsFile, read_full};
use super::key::Seed;
use super::record::{
    self, BATCH_HEADER_BYTES, BatchHeader, Invalid, Record, SEGMENT_HEADER_BYTES, SegmentHeader,
};

/// Bytes read at once.
const WINDOW_BYTES: usize = 1 << 20;
/// One to read into, and those that may be with the [`Applier`](super::applier::Applier).
const WINDOWS: usize = 5;
/// So many bytes behind those being read are asked for, so that the disk works while records are verified and applied.
const AHEAD_BYTES: u32 = 16 << 20;

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

pub struct SegmentReader {
    pub id: u32,
    pub seed: Seed,
    pub file: Arc<dyn FsFile>,
    pub len: u32,
    /// In turn: somebody may still be at work on the one before.
    windows: [Window; WINDOWS],
    current: usize,
    window_at: u32,
    /// Up to here the file was asked for ahead.
    announced: u32,
}

impl SegmentReader {
    pub fn new(id: u32, seed: Seed, file: Arc<dyn FsFile>) -> io::Result<SegmentReader> {
        let len = file.len()?.min(u64::from(u32::MAX)) as u32;
        let windows = Default::default();
        Ok(SegmentReader { id, seed, file, len, windows, current: 0, window_at: 0, announced: 0 })
    }

    /// The segment header, or why there is none.
    pub fn header(&mut self) -> io::Result<Result<SegmentHeader, Invalid>> {
        let id = self.id;
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
        let batch = self.bytes(offset, bytes as usize)?;
        let verified = count_valid(&batch[BATCH_HEADER_BYTES..], seed) == Some(header.records);
        let bytes = bytes as u32;
        Ok(if verified { Found::Batch { header, bytes } } else { Found::BadBatch { header, bytes } })
    }

    /// The next valid batch header at or behind `offset`, and where it is.
    pub fn search(&mut self, offset: u32) -> io::Result<Option<(u32, BatchHeader)>> {
        let mut at = offset;
        loop {
            let seed = self.seed;
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
    pub fn shared(&mut self, offset: u32, want: usize) -> io::Result<(&Window, Range<usize>)> {
        let want = want.min(self.len.saturating_sub(offset) as usize);
        let start = offset.wrapping_sub(self.window_at) as usize;
        if offset < self.window_at || start + want > self.windows[self.current].len() {
            self.read_window(offset, want)?;
        }
        let window = &self.windows[self.current];
        let start = (offset - self.window_at) as usize;
        Ok((window, start..(start + want).min(window.len())))
    }

    fn read_window(&mut self, offset: u32, want: usize) -> io::Result<()> {
        let read = want.max(WINDOW_BYTES).min((self.len - offset.min(self.len)) as usize);
        self.current = (self.current + 1) % WINDOWS;
        let shared = &mut self.windows[self.current];
        if Arc::get_mut(shared).is_none() {
            *shared = Window::default();
        }
        let window = Arc::make_mut(shared);
        window.resize(read, 0);
        // A window that one huge batch needed is not kept.
        window.shrink_to(WINDOW_BYTES);
        let got = read_full(&*self.file, window, u64::from(offset))?;
        window.truncate(got);
        self.window_at = offset;
        Ok(())
    }

    /// What comes behind the window and is to be asked for now, in pieces of at least half of what is to be ahead.
    pub fn ahead(&mut self) -> Option<Range<u32>> {
        let end = self.window_at.saturating_add(self.windows[self.current].len() as u32);
        let from = self.announced.max(end);
        let to = end.saturating_add(AHEAD_BYTES).min(self.len);
        let due = to > from && (to - from >= AHEAD_BYTES / 2 || to == self.len);
        due.then(|| {
            self.announced = to;
            from..to
        })
    }

    /// Whether all of it was asked for.
    pub fn is_announced(&self) -> bool {
        self.announced >= self.len
    }

    pub fn is_zero_from(&mut self, offset: u32) -> io::Result<bool> {
        let mut at = offset;
        while at < self.len {
            let bytes = self.bytes(at, WINDOW_BYTES)?;
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

/// How many records there are, if all of them verify and nothing else is there.
fn count_valid(mut bytes: &[u8], seed: Seed) -> Option<u32> {
    let mut count = 0;
    while !bytes.is_empty() {
        let (record, size) = record::decode(bytes, seed).ok()?;
        if matches!(record, Record::Batch(_) | Record::Segment(_)) {
            return None;
        }
        count += 1;
        bytes = &bytes[size..];
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::key::LogKey;

    /// A file of zeros.
    struct Zeros {
        len: u64,
    }

    impl FsFile for Zeros {
        fn read_at(&self, buf: &mut [u8], _: u64) -> io::Result<usize> {
            buf.fill(0);
            Ok(buf.len())
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
    }

    #[test]
    fn what_will_be_read_is_asked_for_ahead_once() {
        let len = (40 << 20) + 8;
        let file = Arc::new(Zeros { len: u64::from(len) });
        let mut reader = SegmentReader::new(1, LogKey(0).seed(1), file).unwrap();
        let mut announced: Vec<Range<u32>> = Vec::new();
        for offset in (0..len).step_by(1 << 18) {
            let read = reader.bytes(offset, 1 << 18).unwrap().len() as u32;
            announced.extend(reader.ahead());
            let behind = announced.last().unwrap().end - (offset + read);
            assert!(behind <= AHEAD_BYTES + WINDOW_BYTES as u32, "{behind} at {offset}");
            assert!(behind >= AHEAD_BYTES / 2 || reader.is_announced(), "{behind} at {offset}");
        }
        assert!(reader.is_announced());
        assert!(announced.len() <= 5, "{announced:?}");
        assert_eq!(announced[0].start, WINDOW_BYTES as u32, "the first window was read already");
        assert!(announced.windows(2).all(|pair| pair[0].end == pair[1].start), "{announced:?}");
        assert_eq!(announced.last().unwrap().end, len);
    }
}
