//! What is to be sent on one connection: encoded frames, and large bodies that are written from where they are.
//! Pure.

use std::io::IoSlice;

use crate::amqp;
use crate::message::Message;

/// Bodies from this size on are not copied: writing them from their message costs a few more slices in the system
/// call, which is less than the copy.
const SHARED_BODY_BYTES_MIN: usize = 8 << 10;

/// Slices given to one system call at most.
pub const SLICES_MAX: usize = 64;

/// Bytes to be sent, in order.
#[derive(Default)]
pub struct Output {
    /// Encoded frames, without the bodies in `shared`.
    pub frames: Vec<u8>,
    /// Parts of bodies that go in between, by their places.
    shared: Vec<Shared>,
    shared_bytes: usize,
}

/// A part of a message's body.
struct Shared {
    message: Message,
    /// It goes before this byte of `frames`.
    at: usize,
    from: usize,
    to: usize,
}

impl Shared {
    fn bytes(&self) -> &[u8] {
        &self.message.body()[self.from..self.to]
    }
}

impl Output {
    pub fn len(&self) -> usize {
        self.frames.len() + self.shared_bytes
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub fn clear(&mut self) {
        self.frames.clear();
        self.shared.clear();
        self.shared_bytes = 0;
    }

    /// Appends a message's header and body. `properties` take the place of the message's own.
    pub fn content(&mut self, channel: u16, message: &Message, properties: Option<&[u8]>, frame_max: u32) {
        let shown;
        let properties = match properties {
            Some(others) => others,
            None => {
                shown = message.shown_properties();
                &shown
            }
        };
        let body = message.body();
        if body.len() < SHARED_BODY_BYTES_MIN {
            amqp::write_content(&mut self.frames, channel, properties, body, frame_max);
            return;
        }
        amqp::write_content_header(&mut self.frames, channel, properties, body.len());
        let mut from = 0;
        for part in body.chunks(amqp::body_frame_max(frame_max)) {
            amqp::write_body_frame_start(&mut self.frames, channel, part.len());
            let to = from + part.len();
            self.shared.push(Shared { message: message.clone(), at: self.frames.len(), from, to });
            from = to;
            self.frames.push(amqp::FRAME_END);
        }
        self.shared_bytes += body.len();
    }
}

/// An output on its way to the socket.
#[derive(Default)]
pub struct Writing {
    output: Output,
    /// Bytes of `output.frames` that are written.
    frames_written: usize,
    /// Parts of `output.shared` that are written, and bytes of the next one.
    shared_written: usize,
    part_written: usize,
    /// Bytes left to write.
    left: usize,
}

impl Writing {
    /// Bytes left to write.
    pub fn left(&self) -> usize {
        self.left
    }

    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Takes what is to be written, and leaves an empty buffer in its place. Only when all is written.
    pub fn take(&mut self, output: &mut Output) {
        debug_assert!(self.is_done());
        std::mem::swap(output, &mut self.output);
        self.left = self.output.len();
    }

    /// Gives the memory of the buffer back. Only when all is written.
    pub fn shrink(&mut self) {
        if self.is_done() {
            *self = Writing::default();
        }
    }

    /// Fills in what comes next and returns how many slices that is; at least one unless all is written.
    pub fn next<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let frames = &self.output.frames;
        let mut at = self.frames_written;
        let mut skip = self.part_written;
        let mut count = 0;
        for part in &self.output.shared[self.shared_written..] {
            if count + 2 > SLICES_MAX {
                return count;
            }
            if at < part.at {
                slices[count] = IoSlice::new(&frames[at..part.at]);
                count += 1;
                at = part.at;
            }
            slices[count] = IoSlice::new(&part.bytes()[skip..]);
            count += 1;
            skip = 0;
        }
        if count < SLICES_MAX && at < frames.len() {
            slices[count] = IoSlice::new(&frames[at..]);
            count += 1;
        }
        count
    }

    /// So many bytes of what came next are written.
    pub fn advance(&mut self, mut written: usize) {
        self.left -= written;
        while let Some(part) = self.output.shared.get(self.shared_written) {
            let before = (part.at - self.frames_written).min(written);
            self.frames_written += before;
            written -= before;
            let rest = part.to - part.from - self.part_written;
            if written < rest {
                self.part_written += written;
                return;
            }
            written -= rest;
            self.shared_written += 1;
            self.part_written = 0;
        }
        self.frames_written += written;
        if self.left == 0 {
            // Lets go of the messages.
            self.output.clear();
            (self.frames_written, self.shared_written) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &[u8]) -> Message {
        Message::new("", "key", &[0, 0], body, false)
    }

    fn body(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (at % 251) as u8).collect()
    }

    /// Small and large messages, as they go over the wire and as they are to be written.
    fn sample(frame_max: u32) -> (Vec<u8>, Output) {
        let mut wire = Vec::new();
        let mut output = Output::default();
        let large = SHARED_BODY_BYTES_MIN;
        for bytes in [0, 10, large - 1, large, 3 * large + 1, 5, 2 * large] {
            let message = message(&body(bytes));
            amqp::write_deliver(&mut wire, 1, "tag", 7, false, b"", b"key");
            amqp::write_content(&mut wire, 1, message.properties(), message.body(), frame_max);
            amqp::write_deliver(&mut output.frames, 1, "tag", 7, false, b"", b"key");
            output.content(1, &message, None, frame_max);
        }
        (wire, output)
    }

    fn written_in_steps(mut output: Output, step: usize) -> Vec<u8> {
        let mut writing = Writing::default();
        writing.take(&mut output);
        assert!(output.is_empty());
        let mut written = Vec::new();
        while !writing.is_done() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = writing.next(&mut slices);
            let mut taken = 0;
            for slice in &slices[..count] {
                let part = slice.len().min(step - taken);
                written.extend_from_slice(&slice[..part]);
                taken += part;
            }
            assert!(taken > 0, "{} bytes left, none offered", writing.left());
            writing.advance(taken);
        }
        written
    }

    #[test]
    fn the_bytes_are_the_same_however_they_are_written() {
        for frame_max in [4096, 131_072, 0] {
            for step in [7, 4096, 1 << 20] {
                let (wire, output) = sample(frame_max);
                assert_eq!(output.len(), wire.len());
                assert!(written_in_steps(output, step) == wire, "frame_max {frame_max}, {step} bytes a time");
            }
        }
    }

    #[test]
    fn more_parts_than_slices_go_in_several_calls() {
        let mut wire = Vec::new();
        let mut output = Output::default();
        let message = message(&body(SHARED_BODY_BYTES_MIN));
        for _ in 0..2 * SLICES_MAX {
            amqp::write_content(&mut wire, 1, message.properties(), message.body(), 0);
            output.content(1, &message, None, 0);
        }
        assert!(written_in_steps(output, usize::MAX) == wire);
    }

    #[test]
    fn large_bodies_are_shared_until_they_are_written() {
        let message = message(&body(SHARED_BODY_BYTES_MIN));
        let mut output = Output::default();
        output.content(1, &message, None, 0);
        assert_eq!(message.handles(), 2);
        assert!(output.frames.len() < 100);
        output.clear();
        assert_eq!((output.len(), message.handles()), (0, 1));
    }
}
