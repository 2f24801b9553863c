//! The methods a busy client sends, decoded without allocating. `Method::decode` reads the same bytes.

use super::error::DecodeError;
use super::reader::Reader;

/// The arguments of basic.publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishArgs<'a> {
    pub exchange: &'a [u8],
    pub routing_key: &'a [u8],
    pub mandatory: bool,
    pub immediate: bool,
}

impl PublishArgs<'_> {
    /// Names are UTF-8.
    pub fn check(&self) -> Result<(), DecodeError> {
        let is_text = |octets| std::str::from_utf8(octets).is_ok();
        if is_text(self.exchange) && is_text(self.routing_key) { Ok(()) } else { Err(DecodeError::BadString) }
    }
}

/// Class and method id of a method frame's payload, if it is long enough to have them.
#[inline]
pub fn peek_method_id(payload: &[u8]) -> Option<(u16, u16)> {
    let &[c0, c1, m0, m1] = payload.first_chunk::<4>()?;
    Some((u16::from_be_bytes([c0, c1]), u16::from_be_bytes([m0, m1])))
}

/// Decodes the payload of a basic.publish frame. That it is one is the caller's to know, by
/// [`peek_method_id`].
///
/// # Errors
/// As [`Method::decode`](super::Method::decode).
pub fn decode_publish(payload: &[u8]) -> Result<PublishArgs<'_>, DecodeError> {
    let publish = split_publish(payload)?;
    publish.check()?;
    Ok(publish)
}

/// Like [`decode_publish`], but without a look at the octets of the names: for who knows them, or checks them later.
#[inline]
pub fn split_publish(payload: &[u8]) -> Result<PublishArgs<'_>, DecodeError> {
    let mut reader = Reader::new(payload);
    let _ids_and_ticket = reader.array::<6>()?;
    let exchange = reader.short_bytes()?;
    let routing_key = reader.short_bytes()?;
    let bits = reader.u8()?;
    reader.finish()?;
    Ok(PublishArgs { exchange, routing_key, mandatory: bits & 1 != 0, immediate: bits & 2 != 0 })
}

/// Decodes the payload of a basic.ack frame into delivery tag and `multiple`. That it is one is the caller's to
/// know, by [`peek_method_id`].
///
/// # Errors
/// As [`Method::decode`](super::Method::decode).
#[inline]
pub fn decode_ack(payload: &[u8]) -> Result<(u64, bool), DecodeError> {
    let mut reader = Reader::new(payload);
    let _ids = reader.array::<4>()?;
    let delivery_tag = reader.u64()?;
    let bits = reader.u8()?;
    reader.finish()?;
    Ok((delivery_tag, bits & 1 != 0))
}
