//! One broker per data folder.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::StoreError;

/// The data folder is ours as long as this lives.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

/// Creates the folder if needed and locks it; the file `LOCK` in it names our process. The operating system
/// releases the lock with the process, however that ends.
pub fn lock_data_dir(dir: &Path) -> Result<DataDirLock, StoreError> {
    let io = |what| move |source| StoreError::Io { what, path: dir.to_path_buf(), source };
    std::fs::create_dir_all(dir).map_err(io("create the data folder"))?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join("LOCK"))
        .map_err(io("open the LOCK file in"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            // The number only helps the message.
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim();
            let holder = if holder.is_empty() { "unknown" } else { holder };
            return Err(StoreError::Locked { dir: dir.to_path_buf(), holder: holder.to_string() });
        }
        Err(error) => return Err(io("lock")(error.into())),
    }
    // On a full disk the number may be missing; the lock holds all the same.
    let _ = file
        .set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| writeln!(file, "{}", std::process::id()));
    Ok(DataDirLock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_broker_is_told_who_holds_the_folder() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let lock = lock_data_dir(dir.path()).expect("free");
        let error = lock_data_dir(dir.path()).expect_err("taken").to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(error.contains(&dir.path().display().to_string()), "{error}");
        drop(lock);
        lock_data_dir(dir.path()).expect("free again");
    }
}
