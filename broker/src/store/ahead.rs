//! Asks the disk for what recovery will read soon, on a thread of its own: what the kernel does for each page takes as
//! long as verifying what is in it.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use super::fs::FsFile;

/// Ends its thread when it is dropped.
pub struct Ahead(Sender<(Arc<dyn FsFile>, Range<u32>)>);

impl Ahead {
    pub fn start() -> io::Result<Ahead> {
        let (send, wanted) = channel::<(Arc<dyn FsFile>, Range<u32>)>();
        std::thread::Builder::new().name("store-ahead".into()).spawn(move || {
            for (file, bytes) in wanted {
                file.will_read(u64::from(bytes.start), u64::from(bytes.end - bytes.start));
            }
        })?;
        Ok(Ahead(send))
    }

    pub fn will_read(&self, file: Arc<dyn FsFile>, bytes: Range<u32>) {
        // Without it recovery is slower and nothing else.
        let _ = self.0.send((file, bytes));
    }
}
