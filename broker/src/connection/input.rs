//! Reading: from the socket into a buffer that connections share, or right into a large message.

use std::io;

use super::Connection;
use super::stream::Stream;

/// A read takes at most this much, plus what a frame in the making already had.
pub const READ_BYTES: usize = 256 * 1024;

/// Where large bodies come: room for the frames up to the next one's body, and a small part of that.
const READ_BYTES_BEHIND_BODY: usize = 4 * 1024;

/// What one read found.
pub enum Read {
    End,
    /// So many bytes, and that was all.
    Done(usize),
    /// So many bytes, and the rest of a large message is likely to be here too.
    Go(usize),
}

impl Read {
    pub fn bytes(&self) -> usize {
        match *self {
            Read::End => 0,
            Read::Done(bytes) | Read::Go(bytes) => bytes,
        }
    }
}

/// A connection's input side.
pub struct Input<'d> {
    pub stream: &'d mut Stream,
    pub connection: &'d mut Connection,
    /// The beginning of a frame whose rest has not come.
    pub unread: &'d mut Vec<u8>,
}

impl Input<'_> {
    /// One read, into the buffer or right into a large message. What is whole is handled.
    pub fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<Read> {
        if let Some((block, room)) = self.connection.body_room() {
            return match no_wait(self.stream.try_read_into(block, room))? {
                None => Ok(Read::Done(0)),
                Some(0) => Ok(Read::End),
                Some(bytes) => {
                    self.connection.body_came(bytes);
                    Ok(if bytes == room { Read::Go(bytes) } else { Read::Done(bytes) })
                }
            };
        }
        // Behind one large message there is likely another: most of that shall not come to the buffer first.
        let room = if self.connection.reads_large() { READ_BYTES_BEHIND_BODY } else { READ_BYTES };
        let had = self.unread.len();
        if buffer.len() < had + room {
            buffer.resize(had + READ_BYTES, 0);
        }
        buffer[..had].copy_from_slice(self.unread);
        let bytes = match no_wait(self.stream.try_read(&mut buffer[had..had + room]))? {
            None => return Ok(Read::Done(0)),
            Some(0) => return Ok(Read::End),
            Some(bytes) => bytes,
        };
        let input = &buffer[..had + bytes];
        let consumed = self.connection.on_input(input);
        self.connection.note_large();
        self.unread.clear();
        self.unread.extend_from_slice(&input[consumed..]);
        let is_more_likely = bytes == room && self.connection.body_room().is_some();
        Ok(if is_more_likely { Read::Go(bytes) } else { Read::Done(bytes) })
    }
}

/// `None` where there is nothing to read yet.
fn no_wait(read: io::Result<usize>) -> io::Result<Option<usize>> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
