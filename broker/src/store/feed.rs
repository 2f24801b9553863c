//! Reads the log ahead of recovery, front to back on a thread of its own: copying what the disk gives takes the kernel as
//! long as verifying what is in it. In order and in large pieces, so that the system reads ahead as far as it may.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::fs::{Access, Fs, read_full};
use super::window::{Buffers, HEADROOM_BYTES, WINDOW_BYTES, Window};

/// Windows that may wait to be verified.
const WINDOWS_AHEAD: usize = 8;

/// What was read ahead. An offer: whoever does not find here what he needs reads it himself, and gets the error that made
/// the feed end. Its thread ends when it is dropped.
pub struct Feed {
    parts: Receiver<Part>,
    front: Option<Part>,
}

struct Part {
    segment: u32,
    offset: u32,
    window: Window,
}

impl Feed {
    /// Begins to read these segments, in this order.
    pub fn start(fs: Arc<dyn Fs>, segments: Vec<(u32, PathBuf)>) -> io::Result<Feed> {
        let (send, parts) = sync_channel(WINDOWS_AHEAD);
        std::thread::Builder::new().name("store-read".into()).spawn(move || {
            let buffers = Buffers::default();
            for (segment, path) in segments {
                if read(&*fs, segment, &path, &buffers, &send).is_none() {
                    return;
                }
            }
        })?;
        Ok(Feed { parts, front: None })
    }

    /// A window with what stands at `offset`, and how far from its beginning that is; `None` if it does not come next.
    /// What comes before is dropped.
    pub fn take(&mut self, segment: u32, offset: u32) -> Option<(Window, usize)> {
        loop {
            let part = match self.front.take() {
                Some(part) => part,
                None => self.parts.recv().ok()?,
            };
            let end = u64::from(part.offset) + part.window.len() as u64;
            if (part.segment, end) <= (segment, u64::from(offset)) {
                continue;
            }
            if part.segment == segment && part.offset <= offset {
                return Some((part.window, (offset - part.offset) as usize));
            }
            self.front = Some(part);
            return None;
        }
    }
}

/// Reads one segment, up to where there are only zeros. `None` when it cannot be read, or nobody wants more.
fn read(fs: &dyn Fs, segment: u32, path: &Path, buffers: &Buffers, parts: &SyncSender<Part>) -> Option<()> {
    let file = fs.open(path, Access::Read).ok()?;
    file.will_be_read_in_order();
    let end = file.data_end().ok()?.min(u64::from(u32::MAX));
    let mut offset = 0;
    while offset < end {
        let bytes = (end - offset).min(WINDOW_BYTES as u64) as usize;
        let mut buffer = buffers.take(HEADROOM_BYTES + bytes);
        let got = read_full(&*file, &mut buffer[HEADROOM_BYTES..], offset).ok()?;
        if got == 0 {
            break;
        }
        buffer.truncate(HEADROOM_BYTES + got);
        let window = buffers.window(buffer, HEADROOM_BYTES);
        parts.send(Part { segment, offset: offset as u32, window }).ok()?;
        offset += got as u64;
    }
    Some(())
}
