//! Frames (section 4.2.3): type, channel, size of the payload, payload, end octet.

use super::error::FrameError;
use super::methods::Method;
use super::octets::Preview;

/// The octet behind every payload.
pub const FRAME_END: u8 = 0xCE;
/// Octets of a frame that are not payload.
pub const FRAME_OVERHEAD: usize = 8;
/// The frame size every peer must accept, and the limit until connection.tune-ok has set one.
pub const FRAME_MIN_SIZE: u32 = 4096;
/// Octets by which a frame may exceed frame-max. Many clients forget the overhead when they compute the size of
/// the payload; RabbitMQ grants them as much.
pub const FRAME_SIZE_LEEWAY: u32 = FRAME_OVERHEAD as u32;

/// Octets of a frame in front of its payload.
pub const FRAME_HEADER_SIZE: usize = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    Method = 1,
    Header = 2,
    Body = 3,
    Heartbeat = 8,
}

impl FrameKind {
    #[inline]
    fn from_octet(octet: u8) -> Option<FrameKind> {
        match octet {
            1 => Some(FrameKind::Method),
            2 => Some(FrameKind::Header),
            3 => Some(FrameKind::Body),
            8 => Some(FrameKind::Heartbeat),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub kind: FrameKind,
    pub channel: u16,
    pub payload: &'a [u8],
}

/// The first frame of `input` and its size in octets, or `None` if more octets are needed.
///
/// `frame_max` counts the whole frame; 0 is no limit. The size is judged as soon as it has arrived, so that
/// nobody needs to buffer a frame that will be refused.
///
/// # Errors
/// If the frame is larger than `frame_max` (and its leeway), of no known type, or ends with another octet than
/// [`FRAME_END`].
#[inline]
pub fn next_frame(input: &[u8], frame_max: u32) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some((&[kind, c0, c1, s0, s1, s2, s3], rest)) = input.split_first_chunk::<FRAME_HEADER_SIZE>() else {
        return Ok(None);
    };
    let channel = u16::from_be_bytes([c0, c1]);
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    let payload_max = frame_max.saturating_sub(FRAME_OVERHEAD as u32);
    if frame_max != 0 && size > payload_max.saturating_add(FRAME_SIZE_LEEWAY) {
        return Err(FrameError::TooLarge { kind, channel, size, max: payload_max });
    }
    let size = size as usize;
    let Some((payload, rest)) = rest.split_at_checked(size) else { return Ok(None) };
    match (rest.first(), FrameKind::from_octet(kind)) {
        (None, _) => Ok(None),
        (Some(&FRAME_END), Some(kind)) => Ok(Some((Frame { kind, channel, payload }, size + FRAME_OVERHEAD))),
        (Some(&octet), _) => Err(malformed(kind, channel, payload, octet)),
    }
}

/// A content body frame whose end has not come: its channel, the size of its payload, and what is here of that.
/// The size is to have been judged by [`next_frame`].
#[inline]
pub fn begun_body_frame(input: &[u8]) -> Option<(u16, usize, &[u8])> {
    let (&[kind, c0, c1, s0, s1, s2, s3], rest) = input.split_first_chunk::<FRAME_HEADER_SIZE>()?;
    if kind != FrameKind::Body as u8 {
        return None;
    }
    let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
    Some((u16::from_be_bytes([c0, c1]), size, &rest[..size.min(rest.len())]))
}

/// What [`next_frame`] says of a body frame that ends with `octet`.
#[cold]
pub fn bad_end_of_body_frame(channel: u16, payload: &[u8], octet: u8) -> FrameError {
    malformed(FrameKind::Body as u8, channel, payload, octet)
}

#[cold]
fn malformed(kind: u8, channel: u16, payload: &[u8], octet: u8) -> FrameError {
    let payload = Preview::new(payload);
    if octet == FRAME_END {
        FrameError::UnknownKind { kind, channel, payload }
    } else {
        FrameError::BadEnd { kind, channel, octet, payload }
    }
}

#[inline]
pub(super) fn frame_header(kind: FrameKind, channel: u16, size: usize) -> [u8; FRAME_HEADER_SIZE] {
    let [c0, c1] = channel.to_be_bytes();
    let [s0, s1, s2, s3] = (size as u32).to_be_bytes();
    [kind as u8, c0, c1, s0, s1, s2, s3]
}

/// Appends a frame. The payload must fit the connection's frame-max.
#[inline]
pub fn write_frame(out: &mut Vec<u8>, kind: FrameKind, channel: u16, payload: &[u8]) {
    out.reserve(payload.len() + FRAME_OVERHEAD);
    put_frame(out, kind, channel, payload);
}

/// [`write_frame`] where the room is reserved already.
#[inline]
pub(super) fn put_frame(out: &mut Vec<u8>, kind: FrameKind, channel: u16, payload: &[u8]) {
    out.extend_from_slice(&frame_header(kind, channel, payload.len()));
    out.extend_from_slice(payload);
    out.push(FRAME_END);
}

/// Appends a method frame.
pub fn write_method(out: &mut Vec<u8>, channel: u16, method: &Method) {
    let start = out.len();
    out.extend_from_slice(&frame_header(FrameKind::Method, channel, 0));
    method.encode(out);
    let size = (out.len() - start - FRAME_HEADER_SIZE) as u32;
    out[start + 3..start + FRAME_HEADER_SIZE].copy_from_slice(&size.to_be_bytes());
    out.push(FRAME_END);
}

/// Appends a heartbeat frame.
pub fn write_heartbeat(out: &mut Vec<u8>) {
    write_frame(out, FrameKind::Heartbeat, 0, &[]);
}
