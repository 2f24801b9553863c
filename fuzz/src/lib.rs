//! What targets share: logs as fuzzer input.

use std::path::Path;

use broker::store::key::{self, LogKey, Seed};
use broker::store::record::{self, SEGMENT_HEADER_BYTES};
use broker::store::sim::Disk;

/// Of every log here.
pub const KEY: LogKey = LogKey(7);

/// A log as bytes that a fuzzer can change: checksums are set right on the way in, so that changes reach what is
/// behind them.
///
/// ```text
/// 0  u8   segments (low 2 bits, plus 1); bit 2: segment 2 is missing
/// 1  u8   the number of a record whose checksum is left as it is; 0 for none
/// 2  u16  bytes of each segment but the last, little-endian
/// ..      the segments
/// ```
pub struct LogInput {
    pub segments: Vec<(u32, Vec<u8>)>,
    pub spoilt: u8,
}

impl LogInput {
    pub fn parse(input: &[u8]) -> Option<LogInput> {
        let (&[shape, spoilt], mut rest) = input.split_first_chunk()?;
        let count = u32::from(shape & 3) + 1;
        let mut lens = Vec::new();
        for _ in 1..count {
            let (len, behind) = rest.split_first_chunk()?;
            lens.push(usize::from(u16::from_le_bytes(*len)));
            rest = behind;
        }
        let gap = u32::from(shape >> 2 & 1);
        let mut segments = Vec::new();
        for at in 0..count {
            let len = lens.get(at as usize).map_or(rest.len(), |&len| len.min(rest.len()));
            let (bytes, behind) = rest.split_at(len);
            let id = if at == 0 { 1 } else { 1 + at + gap };
            segments.push((id, bytes.to_vec()));
            rest = behind;
        }
        Some(LogInput { segments, spoilt })
    }

    /// Puts the log on the disk, with its checksums right but for one.
    pub fn write_to(&self, disk: &Disk) {
        key::write(disk, Path::new("/log"), KEY).expect("the disk works");
        let mut left = u32::from(self.spoilt);
        for (id, bytes) in &self.segments {
            let mut bytes = bytes.clone();
            seal_segment(*id, &mut bytes, &mut left);
            // Files are preallocated.
            bytes.resize(bytes.len().max(4096), 0);
            disk.put(&format!("{id:010}.segment"), bytes);
        }
    }
}

fn seal_segment(id: u32, bytes: &mut [u8], left: &mut u32) {
    if bytes.len() >= SEGMENT_HEADER_BYTES {
        bytes[4..8].copy_from_slice(&(SEGMENT_HEADER_BYTES as u32).to_le_bytes());
        seal_record(bytes, Seed::of_header(id));
    }
    let mut at = SEGMENT_HEADER_BYTES;
    while at < bytes.len() {
        *left = left.saturating_sub(1);
        let record = &mut bytes[at..];
        // The one whose turn it is when the count gets to 1 stays as it is.
        let size =
            if *left == 1 { record::claimed_size(record).ok() } else { seal_record(record, KEY.seed(id)) };
        at += size.filter(|&size| size > 0).unwrap_or(8);
    }
}

/// Sets the checksum of the record at the start of `bytes` right; its size, if there is one.
pub fn seal_record(bytes: &mut [u8], seed: Seed) -> Option<usize> {
    let size = record::claimed_size(bytes).ok()?;
    let crc = seed.checksum(bytes.get(4..size)?);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    Some(size)
}
