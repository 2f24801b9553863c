//! A disk in memory that fails in the ways disks do.
//!
//! What was written but not synced survives a crash sector by sector or not at all; so do creations, renames
//! and removals before the folder is synced. A failed sync loses pages for good while reads still show them,
//! and the next sync succeeds, as on Linux.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::rng::Rng;
use crate::store::fs::{Access, Fs, FsFile};

const SECTOR: usize = 512;

/// How likely things go wrong, per mille of the operations concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub short_transfer: u32,
    pub interrupted: u32,
    pub failed_sync: u32,
    pub failed_write: u32,
    /// Syncs that report success and do nothing. No store can keep its promise on such a disk.
    pub lying_sync: u32,
}

/// The whole disk; clones share it.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

struct State {
    inodes: Vec<Inode>,
    folder: BTreeMap<String, usize>,
    durable_folder: BTreeMap<String, usize>,
    pending: Vec<FolderOp>,
    faults: Faults,
    rng: Rng,
    capacity_bytes: u64,
    /// How often the fuse blew.
    cuts: u64,
    /// Operations left until the power goes.
    fuse: Option<u64>,
    /// Counts power cuts: handles from before one are dead.
    epoch: u64,
    dead: bool,
}

#[derive(Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    current: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

#[derive(Clone)]
enum FolderOp {
    Link(String, usize),
    Unlink(String),
    Rename(String, String),
}

impl Disk {
    pub fn new(seed: u64, capacity_bytes: u64) -> Disk {
        Disk(Arc::new(Mutex::new(State {
            inodes: Vec::new(),
            folder: BTreeMap::new(),
            durable_folder: BTreeMap::new(),
            pending: Vec::new(),
            faults: Faults::default(),
            rng: Rng::new(seed),
            capacity_bytes,
            cuts: 0,
            fuse: None,
            epoch: 0,
            dead: false,
        })))
    }

    pub fn set_faults(&self, faults: Faults) {
        self.0.lock().faults = faults;
    }

    pub fn set_capacity(&self, bytes: u64) {
        self.0.lock().capacity_bytes = bytes;
    }

    pub fn used_bytes(&self) -> u64 {
        self.0.lock().used_bytes()
    }

    /// How often [`Disk::cut_power_after`] has cut it.
    pub fn cuts(&self) -> u64 {
        self.0.lock().cuts
    }

    /// Cuts the power in the middle of the operation after `operations` more.
    pub fn cut_power_after(&self, operations: u64) {
        self.0.lock().fuse = Some(operations);
    }

    /// Takes [`Disk::cut_power_after`] back.
    pub fn keep_power(&self) {
        self.0.lock().fuse = None;
    }

    pub fn is_dead(&self) -> bool {
        self.0.lock().dead
    }

    /// The power comes back: what of the unsynced changes survived is decided now. Handles opened before
    /// fail from here on.
    pub fn restart(&self) {
        let mut state = self.0.lock();
        state.settle();
        state.epoch += 1;
        state.dead = false;
        state.fuse = None;
    }

    /// The process is killed: the operating system keeps everything it was handed.
    pub fn kill_process(&self) {
        let mut state = self.0.lock();
        state.epoch += 1;
        state.dead = false;
        state.fuse = None;
    }

    /// Inverts one bit of a file.
    pub fn flip_bit(&self, name: &str, offset: usize, bit: u8) {
        let mut state = self.0.lock();
        let Some(&inode) = state.folder.get(name) else { return };
        let inode = &mut state.inodes[inode];
        for bytes in [&mut inode.durable, &mut inode.current] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// The files and what is in them.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.0.lock();
        state
            .folder
            .iter()
            .map(|(name, &inode)| (name.clone(), state.inodes[inode].current.clone()))
            .collect()
    }

    /// Replaces a file's contents, as if they had always been there.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.0.lock();
        let inode = Inode { durable: bytes.clone(), current: bytes, unsynced: Vec::new() };
        state.inodes.push(inode);
        let number = state.inodes.len() - 1;
        state.folder.insert(name.into(), number);
        state.durable_folder.insert(name.into(), number);
    }

    fn file(&self, inode: usize, epoch: u64) -> Arc<dyn FsFile> {
        Arc::new(SimFile { disk: self.clone(), inode, epoch })
    }
}

impl State {
    /// Every operation passes here first.
    fn begin(&mut self) -> io::Result<()> {
        if self.dead {
            return Err(power_is_gone());
        }
        if let Some(left) = &mut self.fuse {
            if *left == 0 {
                self.dead = true;
                self.cuts += 1;
                return Err(power_is_gone());
            }
            *left -= 1;
        }
        if self.rng.per_mille(self.faults.interrupted) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(())
    }

    /// Like `begin` for operations that are never interrupted by signals.
    fn begin_whole(&mut self) -> io::Result<()> {
        let faults = std::mem::take(&mut self.faults);
        let result = self.begin();
        self.faults = faults;
        result
    }

    fn used_bytes(&self) -> u64 {
        self.folder.values().map(|&inode| self.inodes[inode].current.len() as u64).sum()
    }

    fn grow(&self, inode: usize, len: usize) -> io::Result<()> {
        let more = len.saturating_sub(self.inodes[inode].current.len()) as u64;
        if more > 0 && self.used_bytes() + more > self.capacity_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn settle(&mut self) {
        let mut rng = self.rng.fork();
        for inode in &mut self.inodes {
            inode.settle(&mut rng);
        }
        let luck = rng.below(4);
        for op in std::mem::take(&mut self.pending) {
            if luck == 0 || (luck > 1 && rng.below(2) == 0) {
                apply(&mut self.durable_folder, &op);
            }
        }
        self.folder = self.durable_folder.clone();
    }
}

impl Inode {
    /// Some of the unsynced changes make it to the disk. A sector is written as a whole: one that shows a change also
    /// shows those before it.
    fn settle(&mut self, rng: &mut Rng) {
        let luck = rng.below(4);
        let changes = std::mem::take(&mut self.unsynced);
        // How many of the changes to each sector make it.
        let mut made = BTreeMap::<usize, u64>::new();
        for (sector, _) in changes.iter().flat_map(Change::sectors) {
            *made.entry(sector).or_default() += 1;
        }
        made.values_mut().for_each(|count| *count = rng.below(*count + 1));
        for change in changes {
            match luck {
                0 => {}
                1 => change.apply(&mut self.durable),
                _ => change.apply_partly(&mut self.durable, &mut made, rng),
            }
        }
        self.current = self.durable.clone();
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::SetLen(len) => bytes.resize(*len, 0),
            Change::Write { offset, bytes: new } => write(bytes, *offset, new),
        }
    }

    /// The sectors it writes to, and which of its bytes.
    fn sectors(&self) -> Vec<(usize, Range<usize>)> {
        let Change::Write { offset, bytes } = self else { return Vec::new() };
        let (mut sectors, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let end = (at + SECTOR - (offset + at) % SECTOR).min(bytes.len());
            sectors.push(((offset + at) / SECTOR, at..end));
            at = end;
        }
        sectors
    }

    /// What of it is among the changes `made` to its sectors; whether the file is cut or grows is one decision.
    fn apply_partly(&self, bytes: &mut Vec<u8>, made: &mut BTreeMap<usize, u64>, rng: &mut Rng) {
        let Change::Write { offset, bytes: new } = self else {
            if rng.below(2) == 0 {
                self.apply(bytes);
            }
            return;
        };
        for (sector, part) in self.sectors() {
            if let Some(left) = made.get_mut(&sector).filter(|left| **left > 0) {
                *left -= 1;
                write(bytes, offset + part.start, &new[part]);
            }
        }
    }
}

fn write(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    if bytes.len() < offset + new.len() {
        bytes.resize(offset + new.len(), 0);
    }
    bytes[offset..offset + new.len()].copy_from_slice(new);
}

fn apply(folder: &mut BTreeMap<String, usize>, op: &FolderOp) {
    match op {
        FolderOp::Link(name, inode) => {
            folder.insert(name.clone(), *inode);
        }
        FolderOp::Unlink(name) => {
            folder.remove(name);
        }
        FolderOp::Rename(from, to) => {
            if let Some(inode) = folder.remove(from) {
                folder.insert(to.clone(), inode);
            }
        }
    }
}

fn power_is_gone() -> io::Error {
    io::Error::other("the power is gone")
}

fn name_of(path: &Path) -> io::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_string).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

impl Fs for Disk {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        self.0.lock().begin_whole()
    }

    fn list(&self, _dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.0.lock();
        state.begin_whole()?;
        Ok(state.folder.keys().cloned().collect())
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FsFile>> {
        let name = name_of(path)?;
        let mut state = self.0.lock();
        state.begin_whole()?;
        let inode = match (state.folder.get(&name), access) {
            (Some(_), Access::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(&inode), _) => inode,
            (None, Access::CreateNew) => {
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.folder.insert(name.clone(), inode);
                state.pending.push(FolderOp::Link(name, inode));
                inode
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(self.file(inode, state.epoch))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (name_of(from)?, name_of(to)?);
        let mut state = self.0.lock();
        state.begin_whole()?;
        if !state.folder.contains_key(&from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let op = FolderOp::Rename(from, to);
        apply(&mut state.folder, &op);
        state.pending.push(op);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let name = name_of(path)?;
        let mut state = self.0.lock();
        state.begin_whole()?;
        if state.folder.remove(&name).is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.pending.push(FolderOp::Unlink(name));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin_whole()?;
        let faults = state.faults;
        if state.rng.per_mille(faults.failed_sync) {
            return Err(io::Error::other("sync of the folder failed"));
        }
        if !state.rng.per_mille(faults.lying_sync) {
            state.pending.clear();
            state.durable_folder = state.folder.clone();
        }
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.0.lock();
        Ok(state.capacity_bytes.saturating_sub(state.used_bytes()))
    }

    fn random(&self) -> u64 {
        self.0.lock().rng.draw()
    }
}

struct SimFile {
    disk: Disk,
    inode: usize,
    epoch: u64,
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.0.lock();
        if state.epoch != self.epoch {
            return Err(power_is_gone());
        }
        act(&mut state)
    }
}

impl FsFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|state| {
            state.begin()?;
            let faults = state.faults;
            let short = state.rng.per_mille(faults.short_transfer);
            let current = &state.inodes[self.inode].current;
            let from = current.get(offset as usize..).unwrap_or(&[]);
            let mut n = buf.len().min(from.len());
            if short && n > 1 {
                n = 1 + state.rng.below(n as u64 - 1) as usize;
            }
            buf[..n].copy_from_slice(&state.inodes[self.inode].current[offset as usize..][..n]);
            Ok(n)
        })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.with(|state| {
            let begun = state.begin();
            let faults = state.faults;
            let mut n = buf.len();
            // The power may go, or a write fail, with some of it done.
            let broken = begun.is_err() || state.rng.per_mille(faults.failed_write);
            if broken {
                n = state.rng.below(n as u64 + 1) as usize;
            } else if n > 1 && state.rng.per_mille(faults.short_transfer) {
                n = 1 + state.rng.below(n as u64 - 1) as usize;
            }
            if let Err(error) = &begun
                && error.kind() == io::ErrorKind::Interrupted
            {
                return begun.map(|()| 0);
            }
            state.grow(self.inode, offset as usize + n)?;
            if n > 0 {
                let inode = &mut state.inodes[self.inode];
                let change = Change::Write { offset: offset as usize, bytes: buf[..n].to_vec() };
                change.apply(&mut inode.current);
                inode.unsynced.push(change);
            }
            begun?;
            if broken { Err(io::Error::other("the write failed")) } else { Ok(n) }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state| {
            state.begin_whole()?;
            let faults = state.faults;
            if state.rng.per_mille(faults.failed_sync) {
                let mut rng = state.rng.fork();
                let inode = &mut state.inodes[self.inode];
                let shown = inode.current.clone();
                inode.settle(&mut rng);
                inode.current = shown;
                return Err(io::Error::other("the sync failed"));
            }
            if !state.rng.per_mille(faults.lying_sync) {
                let inode = &mut state.inodes[self.inode];
                // Not all that reads show: what an earlier failed sync lost stays lost.
                for change in std::mem::take(&mut inode.unsynced) {
                    change.apply(&mut inode.durable);
                }
            }
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|state| {
            state.begin_whole()?;
            Ok(state.inodes[self.inode].current.len() as u64)
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|state| {
            state.begin_whole()?;
            let inode = &mut state.inodes[self.inode];
            let change = Change::SetLen(len as usize);
            change.apply(&mut inode.current);
            inode.unsynced.push(change);
            Ok(())
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.with(|state| {
            state.begin_whole()?;
            state.grow(self.inode, len as usize)?;
            let inode = &mut state.inodes[self.inode];
            if inode.current.len() < len as usize {
                let change = Change::SetLen(len as usize);
                change.apply(&mut inode.current);
                inode.unsynced.push(change);
            }
            Ok(())
        })
    }

    fn data_end(&self) -> io::Result<u64> {
        self.with(|state| {
            state.begin_whole()?;
            let current = &state.inodes[self.inode].current;
            Ok(current.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1))
        })
    }
}
