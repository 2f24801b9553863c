//! Parts of a segment in memory. They are handed from thread to thread, and their buffers are used again: pages that are
//! new to the process cost as much as reading into them.

use std::ops::Deref;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Bytes read at once.
pub const WINDOW_BYTES: usize = 1 << 20;
/// Room before what is read ahead, for the beginning of a batch that the window before has the rest of.
pub const HEADROOM_BYTES: usize = 384 << 10;

/// Bytes of a segment that were read together.
pub struct Window {
    buffer: Vec<u8>,
    start: usize,
    home: Sender<Vec<u8>>,
}

impl Window {
    /// Makes it begin with `known` and go on with what stands at `skip`.
    pub fn begin_with(&mut self, known: &[u8], skip: usize) {
        let at = self.start + skip;
        if let Some(start) = at.checked_sub(known.len()) {
            self.buffer[start..at].copy_from_slice(known);
            self.start = start;
        } else {
            let own = &self.buffer[at..];
            let mut joined = Vec::with_capacity(known.len() + own.len());
            joined.extend_from_slice(known);
            joined.extend_from_slice(own);
            self.buffer = joined;
            self.start = 0;
        }
    }

    pub fn append(&mut self, more: &[u8]) {
        self.buffer.extend_from_slice(more);
    }
}

impl Deref for Window {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // What one huge batch needed is not kept. Without a home it was the last one's.
        if self.buffer.capacity() <= HEADROOM_BYTES + WINDOW_BYTES {
            let _ = self.home.send(std::mem::take(&mut self.buffer));
        }
    }
}

/// Where windows come from, and their buffers go back to.
pub struct Buffers {
    home: Sender<Vec<u8>>,
    spare: Receiver<Vec<u8>>,
}

impl Default for Buffers {
    fn default() -> Buffers {
        let (home, spare) = channel();
        Buffers { home, spare }
    }
}

impl Buffers {
    /// So many bytes, of any content.
    pub fn take(&self, len: usize) -> Vec<u8> {
        let mut buffer = self.spare.try_recv().unwrap_or_default();
        if buffer.capacity() < len {
            buffer = Vec::new();
            buffer.reserve_exact(len.max(HEADROOM_BYTES + WINDOW_BYTES));
        }
        buffer.resize(len, 0);
        buffer
    }

    /// A window of what stands in `buffer` from `start` on.
    pub fn window(&self, buffer: Vec<u8>, start: usize) -> Window {
        Window { buffer, start, home: self.home.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_with_what_was_left_of_the_one_before() {
        let buffers = Buffers::default();
        for (known, skip, whole) in
            [(&b"xy"[..], 0, &b"xyabcd"[..]), (b"xy", 3, b"xyd"), (b"", 2, b"cd"), (b"12345", 1, b"12345bcd")]
        {
            let mut window = buffers.window(b"...abcd".to_vec(), 3);
            window.begin_with(known, skip);
            assert_eq!(&window[..], whole);
        }
    }

    #[test]
    fn a_buffer_is_used_again_unless_it_is_huge() {
        let buffers = Buffers::default();
        let huge = buffers.take(HEADROOM_BYTES + WINDOW_BYTES + 1);
        drop(buffers.window(huge, 0));
        let mut buffer = buffers.take(10);
        buffer[9] = 7;
        drop(buffers.window(buffer, 3));
        assert_eq!(buffers.take(10)[9], 7);
        assert_eq!(buffers.take(10)[9], 0, "there was one to be used again");
    }
}
