//! What hostile peers send.

use broker::amqp::{self, FieldTable, FieldValue, FrameKind, PROTOCOL_HEADER, channel, queue};
use fastrand::Rng;

use super::{QUEUE, session};

/// Tables and arrays in one another, more than the broker follows.
const DEEP: usize = 2000;

/// More than the broker offers.
const CHANNELS: u16 = 3000;

pub fn bytes(rng: &mut Rng, password: &str) -> Vec<u8> {
    match rng.u8(..100) {
        0..15 => noise(rng, 4096),
        15..25 => [&PROTOCOL_HEADER[..], &noise(rng, 4096)].concat(),
        25..30 => lying_frame(rng),
        30..33 => logged_in(rng, password, &channels()),
        33..36 => logged_in(rng, password, &nested()),
        36..40 => {
            let frame = lying_frame(rng);
            logged_in(rng, password, &frame)
        }
        40..45 => greetings_of_others(rng),
        _ => mutated_session(rng, password),
    }
}

fn noise(rng: &mut Rng, max: usize) -> Vec<u8> {
    let len = rng.usize(..max);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

/// A frame that announces more than will ever come.
fn lying_frame(rng: &mut Rng) -> Vec<u8> {
    let size = *rng.choice(&[u32::MAX, 0x7FFF_FFFF, 131_064, 131_065, 1 << 20]).unwrap_or(&0);
    let mut out = vec![*rng.choice(&[1, 2, 3, 8, 9]).unwrap_or(&1)];
    out.extend_from_slice(&rng.u16(..3).to_be_bytes());
    out.extend_from_slice(&size.to_be_bytes());
    out.extend(noise(rng, 2000));
    out
}

fn greetings_of_others(rng: &mut Rng) -> Vec<u8> {
    let greetings: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"AMQP\x03\x01\x00\x00",
        b"AMQP\x01\x01\x09\x01",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nAMQP\x00\x00\x09\x01",
        b"AMQ",
    ];
    rng.choice(&greetings).map_or_else(Vec::new, |greeting| greeting.to_vec())
}

/// A session up to its open channel, then this.
fn logged_in(rng: &mut Rng, password: &str, then: &[u8]) -> Vec<u8> {
    let (mut out, login) = session::recorded(0, password);
    // connection.tune-ok, connection.open, channel.open.
    let opening = out[login..].split_inclusive(|&octet| octet == amqp::FRAME_END).take(3).map(<[u8]>::len);
    out.truncate(login + opening.sum::<usize>());
    out.extend_from_slice(then);
    if rng.bool() {
        out.truncate(rng.usize(..=out.len()));
    }
    out
}

fn channels() -> Vec<u8> {
    let mut out = Vec::new();
    for channel in 2..CHANNELS {
        amqp::write_method(&mut out, channel, &channel::Open.into());
    }
    out
}

fn nested() -> Vec<u8> {
    let mut value = FieldValue::Void;
    for depth in 0..DEEP {
        value = match depth % 2 {
            0 => FieldValue::Array(vec![value]),
            _ => FieldValue::Table([("k", value)].into()),
        };
    }
    let arguments: FieldTable = [("x-deep", value)].into();
    let declare = queue::Declare { queue: QUEUE.into(), arguments, ..Default::default() };
    let mut out = Vec::new();
    amqp::write_method(&mut out, 1, &declare.into());
    amqp::write_frame(&mut out, FrameKind::Heartbeat, 0, &[]);
    out
}

fn mutated_session(rng: &mut Rng, password: &str) -> Vec<u8> {
    let (mut out, login) = session::recorded(rng.usize(..3), password);
    // One in eight has its login mutated too.
    let first = if rng.u8(..8) == 0 { 0 } else { login };
    for _ in 0..rng.usize(1..6) {
        if out.len() <= first + 1 {
            break;
        }
        // Bodies are most of the bytes and none of the meaning: stay near the beginning.
        let span = if rng.bool() { (out.len() - first).min(600) } else { out.len() - first };
        let at = first + rng.usize(..span);
        let len = rng.usize(1..=(out.len() - at).min(64));
        match rng.u8(..6) {
            0 | 1 => out[at] ^= 1 << rng.u8(..8),
            2 => out[at] = rng.u8(..),
            3 => drop(out.drain(at..at + len)),
            4 => {
                let again = out[at..at + len].to_vec();
                out.splice(at..at, again);
            }
            _ => {
                let more = noise(rng, 64);
                out.splice(at..at, more);
            }
        }
    }
    if rng.u8(..4) == 0 {
        out.truncate(rng.usize(..=out.len()));
    }
    out
}
