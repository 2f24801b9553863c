//! The methods the broker sends for every message, as whole frames, encoded without a [`Method`](super::Method).
//!
//! Strings are at most 255 octets; all of them came from the wire or were made as short strings.

use super::frame::{FRAME_END, FRAME_OVERHEAD, FrameKind, frame_header};
use super::reader::{put_short_octets, put_short_str};

const CLASS_BASIC: u16 = 60;
const RETURN: u16 = 50;
const DELIVER: u16 = 60;
const GET_OK: u16 = 71;
const ACK: u16 = 80;
const NACK: u16 = 120;

/// Octets of class and method id.
const IDS: usize = 4;

#[inline]
fn ids(method: u16) -> [u8; IDS] {
    let [c0, c1] = CLASS_BASIC.to_be_bytes();
    let [m0, m1] = method.to_be_bytes();
    [c0, c1, m0, m1]
}

/// Octets of a short string as [`put_short_str`] writes it.
#[inline]
fn short_len(text: &str) -> usize {
    1 + if text.len() <= usize::from(u8::MAX) {
        text.len()
    } else {
        text.floor_char_boundary(usize::from(u8::MAX))
    }
}

/// Reserves the frame and appends everything before the arguments, which have `arguments` octets.
#[inline]
fn begin(out: &mut Vec<u8>, channel: u16, method: u16, arguments: usize) {
    out.reserve(FRAME_OVERHEAD + IDS + arguments);
    out.extend_from_slice(&frame_header(FrameKind::Method, channel, IDS + arguments));
    out.extend_from_slice(&ids(method));
}

/// Appends basic.deliver. The content follows by [`write_content`](super::write_content). Exchange and routing key are
/// the octets of short strings, as they came: to look at them again whether they are UTF-8 would cost as much as the rest.
#[inline]
pub fn write_deliver(
    out: &mut Vec<u8>,
    channel: u16,
    consumer_tag: &str,
    delivery_tag: u64,
    redelivered: bool,
    exchange: &[u8],
    routing_key: &[u8],
) {
    let arguments = short_len(consumer_tag) + 9 + 1 + exchange.len() + 1 + routing_key.len();
    begin(out, channel, DELIVER, arguments);
    put_short_str(out, consumer_tag);
    put_tag_and_bits(out, delivery_tag, u8::from(redelivered));
    put_short_octets(out, exchange);
    put_short_octets(out, routing_key);
    out.push(FRAME_END);
}

/// Appends basic.get-ok. The content follows by [`write_content`](super::write_content).
pub fn write_get_ok(
    out: &mut Vec<u8>,
    channel: u16,
    delivery_tag: u64,
    redelivered: bool,
    exchange: &str,
    routing_key: &str,
    message_count: u32,
) {
    begin(out, channel, GET_OK, 9 + short_len(exchange) + short_len(routing_key) + 4);
    put_tag_and_bits(out, delivery_tag, u8::from(redelivered));
    put_short_str(out, exchange);
    put_short_str(out, routing_key);
    out.extend_from_slice(&message_count.to_be_bytes());
    out.push(FRAME_END);
}

/// Appends basic.return. The content follows by [`write_content`](super::write_content).
pub fn write_return(
    out: &mut Vec<u8>,
    channel: u16,
    code: u16,
    text: &str,
    exchange: &str,
    routing_key: &str,
) {
    begin(out, channel, RETURN, 2 + short_len(text) + short_len(exchange) + short_len(routing_key));
    out.extend_from_slice(&code.to_be_bytes());
    put_short_str(out, text);
    put_short_str(out, exchange);
    put_short_str(out, routing_key);
    out.push(FRAME_END);
}

/// Appends basic.ack: a publisher's message, or all up to it, is confirmed.
#[inline]
pub fn write_ack(out: &mut Vec<u8>, channel: u16, delivery_tag: u64, multiple: bool) {
    begin(out, channel, ACK, 9);
    put_tag_and_bits(out, delivery_tag, u8::from(multiple));
    out.push(FRAME_END);
}

/// Appends basic.nack: a publisher's message, or all up to it, could not be taken. `requeue` is not set, as it
/// has no meaning for a publisher.
#[inline]
pub fn write_nack(out: &mut Vec<u8>, channel: u16, delivery_tag: u64, multiple: bool) {
    begin(out, channel, NACK, 9);
    put_tag_and_bits(out, delivery_tag, u8::from(multiple));
    out.push(FRAME_END);
}

#[inline]
fn put_tag_and_bits(out: &mut Vec<u8>, delivery_tag: u64, bits: u8) {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = delivery_tag.to_be_bytes();
    out.extend_from_slice(&[t0, t1, t2, t3, t4, t5, t6, t7, bits]);
}
