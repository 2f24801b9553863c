//! The file operations the store needs, so that a simulation can stand in for the disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// A file system. Paths are inside the store's folder.
pub trait Fs: Send + Sync + 'static {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Names of the files in `dir`.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FsFile>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in `dir` survive a power cut.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that may still be allocated where `dir` is.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// A number nobody can guess.
    fn random(&self) -> u64;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    ReadWrite,
    /// Must not exist yet.
    CreateNew,
}

/// What the system may read ahead by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOrder {
    /// What it thinks best.
    Any,
    FrontToBack,
    /// Nothing: all that is to be read ahead is asked for by [`FsFile::will_read`].
    AsAsked,
}

/// An open file. Positions are bytes from the start.
pub trait FsFile: Send + Sync + 'static {
    /// May read less than asked for; 0 at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// May write less than given.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;
    fn sync_data(&self) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves space up to `len` and makes the file that long; new bytes read as zeros.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// How the file will be read from now on.
    fn will_be_read(&self, _order: ReadOrder) {}
    /// These bytes will be read soon: the disk may begin with them. Does not wait for it, but for what the kernel has to
    /// do for each page.
    fn will_read(&self, _offset: u64, _len: u64) {}
}

/// Reads until `buf` is full or the file ends; the bytes read.
pub fn read_full(file: &dyn FsFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

pub fn write_full(file: &dyn FsFile, buf: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buf.len() {
        match file.write_at(&buf[done..], offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// No space, or no quota for it: the disk works, there is just nothing left.
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl Fs for RealFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            // A name that is not UTF-8 is not one of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FsFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match access {
            Access::Read => {}
            Access::ReadWrite => {
                options.write(true);
            }
            Access::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn random(&self) -> u64 {
        uuid::Uuid::new_v4().as_u64_pair().1
    }
}

struct RealFile(File);

impl FsFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        allocate(&self.0, len)
    }

    fn will_be_read(&self, order: ReadOrder) {
        advise_order(&self.0, order);
    }

    fn will_read(&self, offset: u64, len: u64) {
        advise_needed(&self.0, offset, len);
    }
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, len: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, len) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => allocate_by_writing(file, len),
        other => Ok(other?),
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(file: &File, len: u64) -> io::Result<()> {
    allocate_by_writing(file, len)
}

/// Where there is no fallocate, writing zeros is the only way to own the space.
fn allocate_by_writing(file: &File, len: u64) -> io::Result<()> {
    let zeros = [0; 64 * 1024];
    let mut at = file.metadata()?.len();
    while at < len {
        let n = zeros.len().min((len - at) as usize);
        file.write_all_at(&zeros[..n], at)?;
        at += n as u64;
    }
    Ok(())
}

// Only hints: reading works without them, so that they fail does not matter.
#[cfg(target_os = "linux")]
fn advise_order(file: &File, order: ReadOrder) {
    use rustix::fs::Advice;
    let advice = match order {
        ReadOrder::Any => Advice::Normal,
        ReadOrder::FrontToBack => Advice::Sequential,
        ReadOrder::AsAsked => Advice::Random,
    };
    let _ = rustix::fs::fadvise(file, 0, None, advice);
}

#[cfg(target_os = "linux")]
fn advise_needed(file: &File, offset: u64, len: u64) {
    // One call makes Linux read no more than it would ahead by itself, often as little as 128 KiB.
    const PIECE: u64 = 128 << 10;
    for at in (offset..offset + len).step_by(PIECE as usize) {
        let piece = std::num::NonZeroU64::new(PIECE.min(offset + len - at));
        let _ = rustix::fs::fadvise(file, at, piece, rustix::fs::Advice::WillNeed);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_order(_file: &File, _order: ReadOrder) {}

#[cfg(not(target_os = "linux"))]
fn advise_needed(_file: &File, _offset: u64, _len: u64) {}
