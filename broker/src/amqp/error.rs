//! What can be wrong with bytes from the wire.

use thiserror::Error;

use super::octets::Preview;

/// Why a method payload, a table or a property list cannot be decoded.
///
/// The class and method of a payload that failed are those of [`peek_method_id`](super::peek_method_id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("there is no method with class id {class} and method id {method}")]
    UnknownMethod { class: u16, method: u16 },
    #[error("the octets end before the value does")]
    Truncated,
    #[error("octets are left over behind the last value")]
    TrailingBytes,
    #[error("a short string is not valid UTF-8")]
    BadString,
    #[error("field values of type {0} do not exist; see section 4.2.1 of the specification and its errata")]
    BadFieldType(u8),
    #[error("tables and arrays are nested more than {} deep", super::MAX_TABLE_DEPTH)]
    TooDeep,
    #[error("a property flag is set that class basic does not define")]
    UnknownProperty,
}

/// Why a frame was refused. All of these end the connection with 501 FRAME_ERROR, and `Display` is the text
/// RabbitMQ gives behind `FRAME_ERROR - `.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    #[error("type {kind}, {payload}: {{invalid_frame_end_marker,{octet}}}")]
    BadEnd { kind: u8, channel: u16, octet: u8, payload: Preview },
    #[error("type {kind}, {payload}: unknown_frame")]
    UnknownKind { kind: u8, channel: u16, payload: Preview },
    /// `size` and `max` count octets of payload.
    #[error("type {kind}, all octets = <<>>: {{frame_too_large,{size},{max}}}")]
    TooLarge { kind: u8, channel: u16, size: u32, max: u32 },
}
