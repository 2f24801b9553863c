//! Content: the header frame and the body frames behind a method that carries a message (section 4.2.6).

use super::error::DecodeError;
use super::frame::{FRAME_END, FRAME_OVERHEAD, FrameKind, frame_header, next_frame, put_frame};
use super::reader::Reader;

/// Octets of a content header in front of the property flags.
pub const CONTENT_HEADER_SIZE: usize = 12;
const CLASS_BASIC: u16 = 60;

/// The payload of a header frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    pub class_id: u16,
    /// Must be zero.
    pub weight: u16,
    /// Octets of all body frames together.
    pub body_size: u64,
    /// Property flags and property list, unchecked; see [`Properties`](super::Properties).
    pub properties: &'a [u8],
}

impl<'a> ContentHeader<'a> {
    /// # Errors
    /// If the payload ends before the property flags.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<ContentHeader<'a>, DecodeError> {
        let mut reader = Reader::new(payload);
        let header = ContentHeader {
            class_id: reader.u16()?,
            weight: reader.u16()?,
            body_size: reader.u64()?,
            properties: reader.rest(),
        };
        if header.properties.len() < 2 {
            return Err(DecodeError::Truncated);
        }
        Ok(header)
    }
}

/// Header, body and size in octets of a content that `input` begins with, if all of it is there and the body is in
/// one frame. `None` for anything else, errors included.
#[inline]
pub fn whole_content(
    input: &[u8],
    channel: u16,
    frame_max: u32,
) -> Option<(ContentHeader<'_>, &[u8], usize)> {
    let (frame, size) = next_frame(input, frame_max).ok()??;
    if frame.kind != FrameKind::Header || frame.channel != channel {
        return None;
    }
    let header = ContentHeader::decode(frame.payload).ok()?;
    if header.body_size == 0 {
        return Some((header, &[], size));
    }
    let (frame, body_frame_size) = next_frame(&input[size..], frame_max).ok()??;
    let is_whole = frame.kind == FrameKind::Body
        && frame.channel == channel
        && frame.payload.len() as u64 == header.body_size;
    is_whole.then_some((header, frame.payload, size + body_frame_size))
}

/// Octets of the header frame for a property list.
#[inline]
pub fn header_frame_size(properties_len: usize) -> usize {
    CONTENT_HEADER_SIZE + properties_len + FRAME_OVERHEAD
}

/// The most body octets one frame may carry.
#[inline]
pub fn body_frame_max(frame_max: u32) -> usize {
    if frame_max == 0 {
        return u32::MAX as usize;
    }
    (frame_max as usize).saturating_sub(FRAME_OVERHEAD).max(1)
}

/// The octets [`write_content`] appends.
#[inline]
pub fn content_size(properties_len: usize, body_len: usize, frame_max: u32) -> usize {
    let body_frames = body_len.div_ceil(body_frame_max(frame_max));
    CONTENT_HEADER_SIZE + properties_len + body_len + (1 + body_frames) * FRAME_OVERHEAD
}

/// Appends the header frame and the body frames of a message, none larger than `frame_max` octets (0 is no
/// limit). An empty body has no body frame. `properties` are flags and list as they go over the wire.
#[inline]
pub fn write_content(out: &mut Vec<u8>, channel: u16, properties: &[u8], body: &[u8], frame_max: u32) {
    out.reserve(content_size(properties.len(), body.len(), frame_max));
    write_content_header(out, channel, properties, body.len());
    for part in body.chunks(body_frame_max(frame_max)) {
        put_frame(out, FrameKind::Body, channel, part);
    }
}

/// Appends the header frame alone.
#[inline]
pub fn write_content_header(out: &mut Vec<u8>, channel: u16, properties: &[u8], body_len: usize) {
    out.extend_from_slice(&frame_header(FrameKind::Header, channel, CONTENT_HEADER_SIZE + properties.len()));
    let mut header = [0; CONTENT_HEADER_SIZE];
    header[..2].copy_from_slice(&CLASS_BASIC.to_be_bytes());
    header[4..].copy_from_slice(&(body_len as u64).to_be_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(properties);
    out.push(FRAME_END);
}

/// Appends what is in front of a body frame's payload, for a body that is written from elsewhere. Behind it goes
/// [`FRAME_END`].
#[inline]
pub fn write_body_frame_start(out: &mut Vec<u8>, channel: u16, payload_len: usize) {
    out.extend_from_slice(&frame_header(FrameKind::Body, channel, payload_len));
}
