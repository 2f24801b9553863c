//! A disk whose power can be cut: ext4 in a file on a loop device. Shutting the file system down drops every page that
//! was not synced. For root on Linux, with `mkfs.ext4`, `mount` and `python3`.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::eventually;
use crate::process::Process;

const BYTES: u64 = 1 << 30;
/// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH, which needs a language that may call `ioctl`.
const SHUT_DOWN: &str = "import fcntl, os, struct, sys\n\
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

pub struct LoopDisk {
    image: PathBuf,
    mount: PathBuf,
    _folder: TempDir,
}

impl LoopDisk {
    /// Fails with what is missing.
    pub fn new() -> Result<LoopDisk, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let disk = LoopDisk {
            image: folder.path().join("image"),
            mount: folder.path().join("mount"),
            _folder: folder,
        };
        let made = std::fs::File::create(&disk.image).and_then(|file| file.set_len(BYTES));
        made.and_then(|()| std::fs::create_dir(&disk.mount)).map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", "-F"], &[&disk.image])?;
        disk.mount()?;
        Ok(disk)
    }

    pub fn path(&self) -> &Path {
        &self.mount
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop"], &[&self.image, &self.mount])
    }

    /// Everything that was written so far reaches the disk, whoever wrote it.
    pub fn sync(&self) {
        run("sync", &["--file-system"], &[&self.mount]).unwrap_or_else(|error| panic!("{error}"));
    }

    /// From now on nothing reaches the disk. The process that writes to it is stopped first, between two calls of the
    /// operating system: a sync that is under way while a file system is shut down may be told that it succeeded,
    /// which no disk without power can say.
    pub fn cut_power(&self, writer: &Process) {
        writer.signal(Signal::STOP);
        eventually("the broker has stopped", || is_stopped(writer.id()).then_some(()));
        run("python3", &["-c", SHUT_DOWN], &[&self.mount]).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Whoever had files open on it must have ended.
    pub fn restore_power(&self) {
        let again = run("umount", &[], &[&self.mount]).and_then(|()| self.mount());
        again.unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &["--lazy"], &[&self.mount]) {
            eprintln!("{error}");
        }
    }
}

/// Every thread of it.
fn is_stopped(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state is behind the name, which is in parentheses and may hold any.
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    })
}

fn run(program: &str, arguments: &[&str], paths: &[&Path]) -> Result<(), String> {
    let ran = Command::new(program).args(arguments).args(paths).output();
    let ran = ran.map_err(|error| format!("cannot run {program}: {error}"))?;
    match ran.status.success() {
        true => Ok(()),
        false => Err(format!("{program} failed: {}", String::from_utf8_lossy(&ran.stderr).trim())),
    }
}
