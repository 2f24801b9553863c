//! Writing: from the outbox to the socket.

use std::io::{self, IoSlice};

use crate::output::SLICES_MAX;

use super::{Driver, READ_BYTES};

/// Bytes written before the connection's other work gets its turn: who reads as fast as we write must not keep
/// the task, and its thread, for himself.
const WRITE_BYTES_AT_ONCE: usize = 4 * READ_BYTES;

impl Driver {
    pub(super) fn unread_output_bytes(&self) -> usize {
        self.connection.cx.outbox.lock().output.len() + self.writing.left()
    }

    pub(super) fn has_output(&self) -> bool {
        !self.connection.cx.outbox.lock().output.is_empty()
    }

    pub(super) fn is_all_written(&mut self) -> bool {
        self.writing.is_done() && !(self.can_flush() && self.has_output())
    }

    /// Writes until nothing is left, or until the socket takes no more or has taken its share; then `true`.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        let mut share = WRITE_BYTES_AT_ONCE;
        loop {
            if self.writing.is_done() && !self.refill() {
                return Ok(!self.stream.try_flush()?);
            }
            match self.try_write() {
                Ok(written) => {
                    self.writing.advance(written);
                    self.connection.cx.traffic.sent(written);
                    self.wrote_since_tick = true;
                    if written >= share {
                        return Ok(true);
                    }
                    share -= written;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    fn try_write(&mut self) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        match self.writing.next(&mut slices) {
            1 => self.stream.try_write(&slices[0]),
            count => self.stream.try_write_slices(&slices[..count]),
        }
    }

    /// Takes what waits in the outbox. False when that is nothing.
    fn refill(&mut self) -> bool {
        let can_flush = self.can_flush();
        loop {
            let outbox = &self.connection.cx.outbox;
            let is_taken = outbox.refill(&mut self.writing, can_flush);
            // Not only when nothing is left to write: one busy queue may see to it that there always is.
            let has_room = outbox.has_room_for_waiting(&outbox.lock());
            if has_room {
                self.connection.resume_consumers();
            }
            if is_taken {
                return true;
            }
            if !has_room || !can_flush || !self.has_output() {
                return false;
            }
        }
    }

    pub(super) fn give_buffers_back(&mut self) {
        self.writing.shrink();
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
        self.connection.cx.room = Vec::new();
        self.connection.cx.outbox.lock().shrink();
    }
}
