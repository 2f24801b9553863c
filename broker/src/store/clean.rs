//! The note of a clean shutdown: where the log ended, and which entries had been delivered before.
//!
//! A file of its own: reading it is the first thing and removing it the last thing an open does, so a crash
//! later finds none and counts every message as possibly delivered.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::fs::{Access, Fs, read_full, write_full};
use super::record::{FORMAT_VERSION, Location};
use super::{QueueId, StoreError};

pub const FILE_NAME: &str = "clean-shutdown";
const NEW_NAME: &str = "clean-shutdown.new";
const MAGIC: [u8; 8] = *b"WARRENCS";
const FIXED_BYTES: usize = 28;
const RUN_BYTES: usize = 24;

pub struct CleanShutdown {
    /// Where the log ended.
    pub end: Location,
    /// Runs of (first, count) by queue, sorted.
    delivered: HashMap<QueueId, Vec<(u64, u64)>>,
}

impl CleanShutdown {
    pub fn was_delivered(&self, queue: QueueId, seq: u64) -> bool {
        let Some(runs) = self.delivered.get(&queue) else { return false };
        let behind = runs.partition_point(|&(first, _)| first <= seq);
        behind > 0 && seq - runs[behind - 1].0 < runs[behind - 1].1
    }
}

pub fn write(
    fs: &dyn Fs,
    dir: &Path,
    end: Location,
    delivered: impl Iterator<Item = (QueueId, u64)>,
) -> Result<(), StoreError> {
    let bytes = encode(end, delivered);
    let (new, path) = (dir.join(NEW_NAME), dir.join(FILE_NAME));
    let io =
        |source| StoreError::Io { what: "write the note of a clean shutdown", path: path.clone(), source };
    match fs.remove(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let file = fs.open(&new, Access::CreateNew).map_err(io)?;
    write_full(&*file, &bytes, 0).map_err(io)?;
    file.sync_data().map_err(io)?;
    fs.rename(&new, &path).map_err(io)?;
    fs.sync_dir(dir).map_err(io)
}

/// None if there is none, or none that verifies.
pub fn read(fs: &dyn Fs, dir: &Path) -> io::Result<Option<CleanShutdown>> {
    let file = match fs.open(&dir.join(FILE_NAME), Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; file.len()? as usize];
    let got = read_full(&*file, &mut bytes, 0)?;
    Ok(decode(&bytes[..got]))
}

/// From here on a crash counts as one.
pub fn remove(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    match fs.remove(&dir.join(FILE_NAME)) {
        Ok(()) => fs.sync_dir(dir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn encode(end: Location, delivered: impl Iterator<Item = (QueueId, u64)>) -> Vec<u8> {
    let mut entries: Vec<_> = delivered.collect();
    entries.sort_unstable();
    entries.dedup();
    let mut bytes = vec![0; FIXED_BYTES];
    bytes[4..12].copy_from_slice(&MAGIC);
    bytes[12..16].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[16..20].copy_from_slice(&end.segment.to_le_bytes());
    bytes[20..24].copy_from_slice(&end.offset.to_le_bytes());
    for run in entries.chunk_by(|a, b| a.0 == b.0 && a.1 + 1 == b.1) {
        bytes.extend_from_slice(&run[0].0.0.to_le_bytes());
        bytes.extend_from_slice(&run[0].1.to_le_bytes());
        bytes.extend_from_slice(&(run.len() as u64).to_le_bytes());
    }
    let crc = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<CleanShutdown> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let valid = bytes.len() >= FIXED_BYTES
        && u32_at(0)? == crc32c::crc32c(&bytes[4..])
        && bytes[4..12] == MAGIC
        && u32_at(12)? == FORMAT_VERSION;
    if !valid {
        return None;
    }
    let mut delivered: HashMap<QueueId, Vec<(u64, u64)>> = HashMap::new();
    for at in (FIXED_BYTES..bytes.len()).step_by(RUN_BYTES) {
        delivered.entry(QueueId(u64_at(at)?)).or_default().push((u64_at(at + 8)?, u64_at(at + 16)?));
    }
    Some(CleanShutdown { end: Location::new(u32_at(16)?, u32_at(20)?), delivered })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exactly_the_delivered_are_found_again(
            delivered in prop::collection::hash_set((0..4u64, 0..60u64), 0..100),
        ) {
            let bytes = encode(Location::new(7, 48), delivered.iter().map(|&(q, s)| (QueueId(q), s)));
            let note = decode(&bytes).expect("it was just made");
            prop_assert_eq!(note.end, Location::new(7, 48));
            for queue in 0..4 {
                for seq in 0..60 {
                    let expected = delivered.contains(&(queue, seq));
                    prop_assert_eq!(note.was_delivered(QueueId(queue), seq), expected);
                }
            }
        }
    }

    #[test]
    fn a_damaged_note_is_no_note() {
        let bytes = encode(Location::new(1, 80), [(QueueId(3), 5)].into_iter());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode(&damaged).is_none(), "flip at {at}");
        }
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_none(), "cut at {len}");
        }
    }
}
