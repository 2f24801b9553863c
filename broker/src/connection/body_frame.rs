//! Large body frames: their octets go into the message as they come, instead of waiting for the end of the frame, and
//! can be read from the socket right into it.

use crate::amqp;
use crate::error::AmqpError;

use super::{BASIC_PUBLISH, Connection, ReplyCode, blame};

/// Smaller ones wait until they are whole.
const STREAMED_BYTES_MIN: usize = 16 << 10;

/// Reading less than this right into the message is not worth a system call of its own.
const DIRECT_READ_BYTES_MIN: usize = 8 << 10;

/// A body frame on its way in.
pub struct BodyFrame {
    channel: u16,
    size: usize,
    /// Octets of the payload that have not come; then comes the frame end.
    left: usize,
}

impl Connection {
    /// Where the next bytes of the connection belong and how many: a message's block. `None` for all but large bodies.
    pub fn body_room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let frame = self.body_frame.as_ref().filter(|frame| frame.left >= DIRECT_READ_BYTES_MIN)?;
        let content = self.channels.get_mut(&frame.channel)?.content.as_mut()?;
        Some((&mut content.block, frame.left))
    }

    /// So many bytes have been put there.
    pub fn body_came(&mut self, bytes: usize) {
        if let Some(frame) = &mut self.body_frame {
            frame.left -= bytes;
        }
    }

    /// Whether what comes next is likely to be, or to lead to, the body of a large message.
    pub fn reads_large(&self) -> bool {
        self.reads_large
    }

    /// What was read has been handled.
    pub fn note_large(&mut self) {
        self.reads_large = self.body_frame.is_some();
    }

    /// The rest of `input`, which is no whole frame: takes what there is of a large body frame. Returns how many
    /// bytes that were.
    pub(super) fn begin_body_frame(&mut self, input: &[u8]) -> usize {
        let Some((id, size, payload)) = amqp::begun_body_frame(input) else { return 0 };
        if size < STREAMED_BYTES_MIN {
            return 0;
        }
        let Some(channel) = self.channels.get_mut(&id).filter(|channel| !channel.closing) else { return 0 };
        // What is wrong is said when the frame is whole.
        let Some(content) = channel.content.as_mut().filter(|c| c.expect_body(size).is_ok()) else {
            return 0;
        };
        content.block.extend_from_slice(payload);
        self.body_frame = Some(BodyFrame { channel: id, size, left: size - payload.len() });
        amqp::FRAME_HEADER_SIZE + payload.len()
    }

    /// Goes on with a body frame that has begun. Returns how many bytes that took.
    pub(super) fn continue_body_frame(&mut self, input: &[u8]) -> usize {
        let Some(frame) = &mut self.body_frame else { return 0 };
        let (id, size) = (frame.channel, frame.size);
        let payload = &input[..frame.left.min(input.len())];
        frame.left -= payload.len();
        // The channel may have been closed meanwhile: then the bytes are of no use to anybody.
        let content = self.channels.get_mut(&id).and_then(|channel| channel.content.as_mut());
        let Some(&end) = input.get(payload.len()) else {
            if let Some(content) = content {
                content.block.extend_from_slice(payload);
            }
            return payload.len();
        };
        self.body_frame = None;
        let Some(content) = content else { return payload.len() + 1 };
        content.block.extend_from_slice(payload);
        if end != amqp::FRAME_END {
            let whole = &content.block[content.block.len() - size..];
            let error = amqp::bad_end_of_body_frame(id, whole, end).to_string();
            self.fail(0, AmqpError::connection(ReplyCode::FrameError, error).caused_by((0, 0)));
            return input.len();
        }
        let progress = content.end_body(size);
        if let Err(error) = self.on_body(id, size, progress) {
            self.fail(id, blame(error, BASIC_PUBLISH));
        }
        payload.len() + 1
    }
}
