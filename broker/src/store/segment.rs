//! The files of the log, and the helper that makes the next one and removes the oldest in the background.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::Mutex;

use super::fs::{Access, Fs, FsFile};
use super::key::{LogKey, Seed};

/// One file of the log. Readers hold it while they read, so it may be unlinked but not reused meanwhile.
pub struct Segment {
    pub id: u32,
    /// Where the checksums of its records begin.
    pub seed: Seed,
    pub path: PathBuf,
    fs: Arc<dyn Fs>,
    open: Mutex<Option<Arc<dyn FsFile>>>,
}

impl Segment {
    pub fn new(id: u32, key: LogKey, dir: &Path, fs: Arc<dyn Fs>, file: Arc<dyn FsFile>) -> Segment {
        Segment { id, seed: key.seed(id), path: dir.join(file_name(id)), fs, open: Mutex::new(Some(file)) }
    }

    /// The file; opened for this use alone if it was closed.
    pub fn file(&self) -> io::Result<Arc<dyn FsFile>> {
        let open = self.open.lock().clone();
        open.map_or_else(|| self.fs.open(&self.path, Access::ReadWrite), Ok)
    }

    /// Gives the descriptor back once nobody uses it.
    pub fn close(&self) {
        self.open.lock().take();
    }
}

/// `0000000042.segment`
pub fn file_name(id: u32) -> String {
    format!("{id:010}.segment")
}

/// The id in a name that [`file_name`] made.
pub fn parse_file_name(name: &str) -> Option<u32> {
    let id = name.strip_suffix(".segment")?.parse().ok()?;
    (id > 0 && file_name(id) == name).then_some(id)
}

/// What a segment is called once it was taken out of the log unread.
pub fn aside_path(path: &Path) -> PathBuf {
    path.with_extension("damaged")
}

/// A file with space of its own, not part of the log yet.
pub struct Prepared {
    pub segment: Segment,
    pub bytes: u32,
    /// It held another segment before.
    pub recycled: bool,
}

/// Why there is no next segment.
#[derive(Debug)]
pub enum Shortage {
    /// It may work later: no space, no file descriptors.
    Retry(io::Error),
    /// A sync failed: the store must stop.
    Fatal(io::Error),
}

enum Job {
    Prepare { id: u32, bytes: u32 },
    Recycle { segment: Arc<Segment>, id: u32, bytes: u32 },
    Remove(Dead),
}

struct Dead {
    segment: Arc<Segment>,
    /// Something in it could not be read: renamed instead of removed.
    keep: bool,
}

enum Outcome {
    Prepared(Result<Prepared, Shortage>),
    Removed(Result<(), Shortage>),
}

/// Where the jobs are done.
enum Worker {
    Thread {
        jobs: Sender<Job>,
        outcomes: Receiver<Outcome>,
    },
    /// Done when the driver says so, or when somebody waits for them.
    Manual {
        keeper: Keeper,
        jobs: VecDeque<Job>,
    },
}

/// The commit thread's side: asks for the next segment ahead of time and hands over dead ones.
pub struct Supply {
    worker: Worker,
    segment_bytes: u32,
    next: Option<Prepared>,
    /// Jobs without an outcome yet, and whether one of them prepares a segment.
    outstanding: usize,
    preparing: bool,
    /// The last attempt failed.
    shortage: Option<io::Error>,
    /// What the next [`Supply::poll`] has to say.
    fatal: Option<io::Error>,
}

impl Supply {
    /// `next` is a prepared file left from before.
    pub fn new(
        fs: Arc<dyn Fs>,
        dir: &Path,
        key: LogKey,
        segment_bytes: u32,
        next: Option<Prepared>,
        threaded: bool,
    ) -> io::Result<Supply> {
        let keeper = Keeper { fs, dir: dir.to_path_buf(), key, unremoved: VecDeque::new() };
        let worker = if threaded { spawn(keeper)? } else { Worker::Manual { keeper, jobs: VecDeque::new() } };
        Ok(Supply {
            worker,
            segment_bytes,
            next,
            outstanding: 0,
            preparing: false,
            shortage: None,
            fatal: None,
        })
    }

    /// Asks for segment `id` unless it is there or on its way.
    pub fn request(&mut self, id: u32) {
        if self.next.is_none() && !self.preparing {
            self.preparing = true;
            self.submit(Job::Prepare { id, bytes: self.segment_bytes });
        }
    }

    /// Gives a dead segment away: it becomes segment `next_id` if that one is wanted, else it is removed.
    pub fn retire(&mut self, segment: Arc<Segment>, file_bytes: u32, next_id: u32) {
        let wanted = self.next.is_none() && !self.preparing;
        if wanted && file_bytes == self.segment_bytes && Arc::strong_count(&segment) == 1 {
            self.preparing = true;
            self.submit(Job::Recycle { segment, id: next_id, bytes: file_bytes });
        } else {
            self.submit(Job::Remove(Dead { segment, keep: false }));
        }
    }

    /// Takes a segment out of the log like [`Supply::retire`], but keeps the file under another name.
    pub fn set_aside(&mut self, segment: Arc<Segment>) {
        self.submit(Job::Remove(Dead { segment, keep: true }));
    }

    /// Collects what the background did.
    pub fn poll(&mut self) -> io::Result<()> {
        if let Some(error) = self.fatal.take() {
            return Err(error);
        }
        while let Some(outcome) = self.try_outcome() {
            self.take_in(outcome)?;
        }
        Ok(())
    }

    /// The next segment with room for `bytes`; waits for it if it is being made. None without space for it.
    pub fn take(&mut self, bytes: u32) -> io::Result<Option<Prepared>> {
        self.wait()?;
        let Some(mut next) = self.next.take() else { return Ok(None) };
        if next.bytes < bytes {
            if let Err(error) = next.segment.file().and_then(|file| file.allocate(u64::from(bytes))) {
                self.shortage = Some(error);
                self.next = Some(next);
                return Ok(None);
            }
            next.bytes = bytes;
        }
        Ok(Some(next))
    }

    /// Waits for the next segment, if it is being made.
    pub fn wait(&mut self) -> io::Result<()> {
        while self.preparing {
            match self.wait_outcome() {
                Some(outcome) => self.take_in(outcome)?,
                None => return Err(io::Error::other("the store's file thread ended")),
            }
        }
        Ok(())
    }

    pub fn next_bytes(&self) -> u64 {
        self.next.as_ref().map_or(0, |next| u64::from(next.bytes))
    }

    /// Why the last attempt to make a segment failed, until one succeeds.
    pub fn shortage(&self) -> Option<&io::Error> {
        self.shortage.as_ref()
    }

    pub fn is_ready(&self) -> bool {
        self.next.is_some()
    }

    /// Does one background job, if they are done by hand. Says whether there was one.
    pub fn step(&mut self) -> bool {
        let Worker::Manual { keeper, jobs } = &mut self.worker else { return false };
        let Some(job) = jobs.pop_front() else { return false };
        let outcome = keeper.perform(job);
        self.outstanding -= 1;
        self.fatal = self.fatal.take().or(self.take_in_counted(outcome).err());
        true
    }

    fn submit(&mut self, job: Job) {
        match &mut self.worker {
            Worker::Thread { jobs, .. } => {
                if jobs.send(job).is_ok() {
                    self.outstanding += 1;
                }
            }
            Worker::Manual { jobs, .. } => {
                jobs.push_back(job);
                self.outstanding += 1;
            }
        }
    }

    fn try_outcome(&mut self) -> Option<Outcome> {
        match &mut self.worker {
            Worker::Thread { outcomes, .. } if self.outstanding > 0 => outcomes.try_recv().ok(),
            _ => None,
        }
    }

    fn wait_outcome(&mut self) -> Option<Outcome> {
        match &mut self.worker {
            Worker::Thread { outcomes, .. } => outcomes.recv().ok(),
            Worker::Manual { keeper, jobs } => jobs.pop_front().map(|job| keeper.perform(job)),
        }
    }

    fn take_in(&mut self, outcome: Outcome) -> io::Result<()> {
        self.outstanding -= 1;
        self.take_in_counted(outcome)
    }

    fn take_in_counted(&mut self, outcome: Outcome) -> io::Result<()> {
        match outcome {
            Outcome::Prepared(result) => {
                self.preparing = false;
                match result {
                    Ok(prepared) => {
                        self.next = Some(prepared);
                        self.shortage = None;
                        Ok(())
                    }
                    Err(Shortage::Retry(error)) => {
                        self.shortage = Some(error);
                        Ok(())
                    }
                    Err(Shortage::Fatal(error)) => Err(error),
                }
            }
            Outcome::Removed(Ok(()) | Err(Shortage::Retry(_))) => Ok(()),
            Outcome::Removed(Err(Shortage::Fatal(error))) => Err(error),
        }
    }
}

fn spawn(mut keeper: Keeper) -> io::Result<Worker> {
    let (jobs, todo) = channel::<Job>();
    let (done, outcomes) = channel();
    std::thread::Builder::new().name("store-files".into()).spawn(move || {
        // Ends when the commit thread drops its end.
        for job in todo {
            if done.send(keeper.perform(job)).is_err() {
                return;
            }
        }
    })?;
    Ok(Worker::Thread { jobs, outcomes })
}

/// Creates and removes the files.
struct Keeper {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    key: LogKey,
    /// Dead segments whose removal failed, oldest first. Removed strictly in this order: a younger one gone
    /// before an older one would take the acks of the older one's messages with it.
    unremoved: VecDeque<Dead>,
}

impl Keeper {
    fn perform(&mut self, job: Job) -> Outcome {
        match job {
            Job::Prepare { id, bytes } => Outcome::Prepared(self.prepare(id, bytes)),
            Job::Recycle { segment, id, bytes } => Outcome::Prepared(self.recycle(segment, id, bytes)),
            Job::Remove(dead) => {
                self.unremoved.push_back(dead);
                Outcome::Removed(self.remove_dead())
            }
        }
    }

    fn prepare(&mut self, id: u32, bytes: u32) -> Result<Prepared, Shortage> {
        let path = self.dir.join(file_name(id));
        let file = match self.fs.open(&path, Access::CreateNew) {
            // From an attempt that could not clean up. The log does not reach this id yet.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.fs.open(&path, Access::ReadWrite).and_then(|file| file.set_len(0).map(|()| file))
            }
            other => other,
        }
        .map_err(Shortage::Retry)?;
        if let Err(error) = file.allocate(u64::from(bytes)) {
            drop(file);
            self.fs.remove(&path).map_err(Shortage::Retry)?;
            return Err(Shortage::Retry(error));
        }
        file.sync_data().map_err(Shortage::Fatal)?;
        self.fs.sync_dir(&self.dir).map_err(Shortage::Fatal)?;
        Ok(Prepared {
            segment: Segment::new(id, self.key, &self.dir, self.fs.clone(), file),
            bytes,
            recycled: false,
        })
    }

    fn recycle(&mut self, old: Arc<Segment>, id: u32, bytes: u32) -> Result<Prepared, Shortage> {
        if !self.unremoved.is_empty() {
            self.unremoved.push_back(Dead { segment: old, keep: false });
            self.remove_dead()?;
            return self.prepare(id, bytes);
        }
        let path = self.dir.join(file_name(id));
        let renamed = old.file().and_then(|file| self.fs.rename(&old.path, &path).map(|()| file));
        let file = match renamed {
            Ok(file) => file,
            Err(error) => {
                self.unremoved.push_back(Dead { segment: old, keep: false });
                return Err(Shortage::Retry(error));
            }
        };
        self.fs.sync_dir(&self.dir).map_err(Shortage::Fatal)?;
        let segment = Segment::new(id, self.key, &self.dir, self.fs.clone(), file);
        Ok(Prepared { segment, bytes, recycled: true })
    }

    fn remove_dead(&mut self) -> Result<(), Shortage> {
        while let Some(Dead { segment, keep }) = self.unremoved.front() {
            let gone = match keep {
                true => self.fs.rename(&segment.path, &aside_path(&segment.path)),
                false => self.fs.remove(&segment.path),
            };
            if let Err(error) = gone
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::error!(
                    "cannot remove {}: {error}; its space stays taken until that works (check the folder's \
                     permissions)",
                    segment.path.display()
                );
                return Err(Shortage::Retry(error));
            }
            self.fs.sync_dir(&self.dir).map_err(Shortage::Fatal)?;
            self.unremoved.pop_front();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_read_back_and_others_left_alone() {
        assert_eq!(file_name(42), "0000000042.segment");
        assert_eq!(parse_file_name(&file_name(42)), Some(42));
        assert_eq!(parse_file_name(&file_name(u32::MAX)), Some(u32::MAX));
        for other in ["42.segment", "0000000000.segment", "LOCK", "0000000042.segment.old", "x.segment"] {
            assert_eq!(parse_file_name(other), None, "{other}");
        }
    }
}
