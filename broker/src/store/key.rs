//! The log's key: a random number that its checksums depend on.

use std::io;
use std::path::Path;

use super::fs::{Access, Fs, read_full, write_full};
use super::record::FORMAT_VERSION;

pub const FILE_NAME: &str = "log-key";
const MAGIC: [u8; 8] = *b"WARRENKY";
const FILE_BYTES: usize = 24;
const FILE_BYTES_MAX: u64 = 4096;

/// Chosen when a log is created, never changed. Not a secret worth stealing: it only keeps publishers, who
/// cannot read it, from making up bytes that would pass for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogKey(pub u64);

/// Where the checksums of one segment begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seed(u32);

impl LogKey {
    pub fn seed(self, segment: u32) -> Seed {
        Seed(crc32c::crc32c_append(segment, &self.0.to_le_bytes()))
    }
}

impl Seed {
    /// For the segment header, which must be readable before the key is known.
    pub fn of_header(segment: u32) -> Seed {
        Seed(segment)
    }

    /// CRC32C of the bytes.
    pub fn checksum(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.0, bytes)
    }
}

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Key(LogKey),
    /// The log has another format.
    Version(u32),
    /// There is none, or none that verifies.
    Nothing,
}

pub fn read(fs: &dyn Fs, dir: &Path) -> io::Result<Found> {
    let file = match fs.open(&dir.join(FILE_NAME), Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    // Another format may have more in it.
    let mut bytes = vec![0; file.len()?.min(FILE_BYTES_MAX) as usize];
    let got = read_full(&*file, &mut bytes, 0)?;
    Ok(decode(&bytes[..got]))
}

/// Must be on disk before the first record is.
pub fn write(fs: &dyn Fs, dir: &Path, key: LogKey) -> io::Result<()> {
    let path = dir.join(FILE_NAME);
    match fs.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = fs.open(&path, Access::CreateNew)?;
    write_full(&*file, &encode(key), 0)?;
    file.sync_data()?;
    fs.sync_dir(dir)
}

fn encode(key: LogKey) -> [u8; FILE_BYTES] {
    let mut bytes = [0; FILE_BYTES];
    bytes[4..12].copy_from_slice(&MAGIC);
    bytes[12..16].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[16..].copy_from_slice(&key.0.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// In every format checksum, magic and version are where they are in this one.
fn decode(bytes: &[u8]) -> Found {
    let u32_at = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (Some(crc), Some(version)) = (u32_at(0), u32_at(12)) else { return Found::Nothing };
    if crc != crc32c::crc32c(&bytes[4..]) || bytes[4..12] != MAGIC {
        return Found::Nothing;
    }
    if version != FORMAT_VERSION {
        return Found::Version(version);
    }
    match bytes[16..].try_into() {
        Ok(key) => Found::Key(LogKey(u64::from_le_bytes(key))),
        Err(_) => Found::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_unless_damaged() {
        let bytes = encode(LogKey(0x0123_4567_89AB_CDEF));
        assert_eq!(decode(&bytes), Found::Key(LogKey(0x0123_4567_89AB_CDEF)));
        for at in 0..FILE_BYTES * 8 {
            let mut damaged = bytes;
            damaged[at / 8] ^= 1 << (at % 8);
            assert_eq!(decode(&damaged), Found::Nothing);
        }
    }

    #[test]
    fn seeds_differ_by_key_and_segment() {
        let seed = LogKey(7).seed(1);
        for other in [LogKey(7).seed(2), LogKey(8).seed(1), Seed::of_header(1)] {
            assert_ne!(seed, other);
            assert_ne!(seed.checksum(b"x"), other.checksum(b"x"));
        }
    }
}
