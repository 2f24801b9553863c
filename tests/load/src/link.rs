//! One connection under load: what it publishes, what it does with deliveries, and its buffers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use broker::amqp::{self, BasicProperties, ContentHeader, FrameKind, Method, basic};

use crate::client::Client;
use crate::confirmed::Confirmed;
use crate::stats::Stats;

/// Bytes put into the output at a time.
const BATCH_BYTES: usize = 64 << 10;
/// Of a body: when it was sent, in nanoseconds, and where the reply goes.
const STAMP_BYTES: usize = 12;

/// An encoded publish; only the beginning of its body changes.
pub struct Template {
    bytes: Vec<u8>,
    body_at: usize,
    stamped: bool,
}

impl Template {
    pub fn new(
        publish: basic::Publish,
        properties: &BasicProperties,
        size: usize,
        frame_max: u32,
    ) -> Template {
        let mut bytes = Vec::new();
        amqp::write_method(&mut bytes, 1, &publish.into());
        let mut list = Vec::new();
        properties.encode(&mut list);
        let body_at = bytes.len() + amqp::CONTENT_HEADER_SIZE + list.len() + amqp::FRAME_OVERHEAD + 7;
        amqp::write_content(&mut bytes, 1, &list, &vec![b'x'; size], frame_max);
        Template { bytes, body_at, stamped: size >= STAMP_BYTES }
    }

    fn put(&self, out: &mut Vec<u8>, now_ns: u64, reply_to: u32) {
        let start = out.len() + self.body_at;
        out.extend_from_slice(&self.bytes);
        if self.stamped {
            out[start..start + 8].copy_from_slice(&now_ns.to_be_bytes());
            out[start + 8..start + STAMP_BYTES].copy_from_slice(&reply_to.to_be_bytes());
        }
    }
}

/// When a connection publishes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Never by itself.
    Never,
    /// As fast as it goes, so many unconfirmed at most (0: no limit).
    Flood(u64),
    /// One for each delivery; the first by itself.
    Answer,
    /// One for each delivery, with the template that the delivery names.
    Reply,
    /// When it is told to.
    Told,
}

/// What a connection is for.
pub struct Role {
    pub templates: Vec<Template>,
    pub pace: Pace,
    /// In the stamps of what it publishes.
    pub number: u32,
    pub confirms: bool,
    /// Acknowledges so many at a time; 0 for no acknowledgements.
    pub ack_every: u32,
}

impl Role {
    pub fn consumer(ack_every: u32) -> Role {
        Role { templates: Vec::new(), pace: Pace::Never, number: 0, confirms: false, ack_every }
    }

    /// What it publishes is still missing.
    pub fn publisher(pace: Pace, confirms: bool) -> Role {
        Role { templates: Vec::new(), pace, number: 0, confirms, ack_every: 0 }
    }
}

pub struct Link {
    pub socket: TcpStream,
    pub role: Role,
    carry: Vec<u8>,
    out: Vec<u8>,
    written: usize,
    /// The socket takes no more for now.
    pub stuck: bool,
    pub sent: u64,
    /// Whose turn it is among the templates.
    next: usize,
    confirmed: Confirmed,
    /// Of the delivery that is coming in, and of the last that has come.
    tag: u64,
    last_tag: u64,
    unacked: u32,
    body_left: u64,
    stamp: [u8; STAMP_BYTES],
    stamp_len: usize,
}

impl Link {
    pub fn new(client: Client, role: Role) -> io::Result<Link> {
        client.socket.set_nonblocking(true)?;
        Ok(Link {
            socket: client.socket,
            role,
            carry: client.input,
            out: Vec::new(),
            written: 0,
            stuck: false,
            sent: 0,
            next: 0,
            confirmed: Confirmed::default(),
            tag: 0,
            last_tag: 0,
            unacked: 0,
            body_left: 0,
            stamp: [0; STAMP_BYTES],
            stamp_len: 0,
        })
    }

    pub fn is_flooding(&self) -> bool {
        matches!(self.role.pace, Pace::Flood(_))
    }

    /// How many it may publish now, of `most`.
    fn allowance(&self, most: u64) -> u64 {
        match self.role.pace {
            Pace::Flood(0) => most,
            Pace::Flood(window) => most.min(window - (self.sent - self.confirmed.count()).min(window)),
            _ => 0,
        }
    }

    /// Fills the output with what it may publish, at most `most` messages.
    pub fn flood(&mut self, most: u64, now_ns: u64, stats: &mut Stats) {
        if self.stuck {
            return;
        }
        let mut left = self.allowance(most);
        while left > 0 && self.out.len() < BATCH_BYTES {
            self.publish_next(now_ns, stats);
            left -= 1;
        }
    }

    /// With the next template in turn.
    pub fn publish_next(&mut self, now_ns: u64, stats: &mut Stats) {
        let template = self.next;
        self.next = if template + 1 < self.role.templates.len() { template + 1 } else { 0 };
        self.publish(template, now_ns, stats);
    }

    pub fn publish(&mut self, template: usize, now_ns: u64, stats: &mut Stats) {
        self.role.templates[template].put(&mut self.out, now_ns, self.role.number);
        self.sent += 1;
        stats.published += 1;
    }

    /// Writes what it can.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stuck = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        self.stuck = false;
        Ok(())
    }

    /// Reads once and handles what is whole. Says whether there may be more.
    pub fn read(&mut self, buffer: &mut [u8], epoch: Instant, stats: &mut Stats) -> io::Result<bool> {
        let had = self.carry.len();
        buffer[..had].copy_from_slice(&self.carry);
        let read = match self.socket.read(&mut buffer[had..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let input = &buffer[..had + read];
        let taken = self.take(input, epoch.elapsed().as_nanos() as u64, stats)?;
        self.carry.clear();
        self.carry.extend_from_slice(&input[taken..]);
        Ok(had + read == buffer.len())
    }

    /// Handles what came during the set-up.
    pub fn catch_up(&mut self, stats: &mut Stats) -> io::Result<()> {
        let mut input = std::mem::take(&mut self.carry);
        let taken = self.take(&input, 0, stats)?;
        self.carry = input.split_off(taken);
        Ok(())
    }

    /// Handles what is whole; how many bytes that was.
    fn take(&mut self, input: &[u8], now_ns: u64, stats: &mut Stats) -> io::Result<usize> {
        let mut at = 0;
        while let Some((frame, size)) = amqp::next_frame(&input[at..], 0).map_err(io::Error::other)? {
            at += size;
            match frame.kind {
                FrameKind::Method => self.method(frame.payload, stats)?,
                FrameKind::Header => {
                    self.body_left =
                        ContentHeader::decode(frame.payload).map_err(io::Error::other)?.body_size;
                    self.stamp_len = 0;
                    if self.body_left == 0 {
                        self.message(now_ns, stats);
                    }
                }
                FrameKind::Body => {
                    let part = frame.payload.len().min(STAMP_BYTES - self.stamp_len);
                    self.stamp[self.stamp_len..self.stamp_len + part].copy_from_slice(&frame.payload[..part]);
                    self.stamp_len += part;
                    self.body_left -= frame.payload.len() as u64;
                    if self.body_left == 0 {
                        self.message(now_ns, stats);
                    }
                }
                FrameKind::Heartbeat => {}
            }
        }
        Ok(at)
    }

    fn method(&mut self, payload: &[u8], stats: &mut Stats) -> io::Result<()> {
        match amqp::peek_method_id(payload) {
            // basic.deliver: the tag stands behind the consumer's.
            Some((60, 60)) => {
                let at = 5 + usize::from(payload[4]);
                let tag = payload.get(at..at + 8).and_then(|tag| tag.try_into().ok());
                self.tag = u64::from_be_bytes(tag.ok_or(ErrorKind::InvalidData)?);
            }
            Some((60, 80)) => {
                let (tag, multiple) = amqp::decode_ack(payload).map_err(io::Error::other)?;
                let before = self.confirmed.count();
                self.confirmed.add(tag, multiple);
                stats.confirmed += self.confirmed.count() - before;
            }
            _ => match Method::decode(payload).map_err(io::Error::other)? {
                Method::BasicReturn(_) => stats.returned += 1,
                Method::BasicNack(_) => stats.nacked += 1,
                Method::ChannelClose(close) => return Err(io::Error::other(String::from(close.reply_text))),
                Method::ConnectionClose(close) => {
                    return Err(io::Error::other(String::from(close.reply_text)));
                }
                _ => {}
            },
        }
        Ok(())
    }

    fn message(&mut self, now_ns: u64, stats: &mut Stats) {
        stats.delivered += 1;
        self.last_tag = self.tag;
        let [s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3] = self.stamp;
        if self.stamp_len == STAMP_BYTES {
            let sent_ns = u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
            stats.latency.record(now_ns.saturating_sub(sent_ns));
        }
        if self.role.ack_every > 0 {
            self.unacked += 1;
            if self.unacked >= self.role.ack_every {
                self.acknowledge();
            }
        }
        if stats.is_draining {
            return;
        }
        match self.role.pace {
            Pace::Answer => self.publish(0, now_ns, stats),
            Pace::Reply => self.publish(u32::from_be_bytes([n0, n1, n2, n3]) as usize, now_ns, stats),
            _ => {}
        }
    }

    /// Acknowledges all that came.
    pub fn acknowledge(&mut self) {
        if self.unacked > 0 {
            amqp::write_ack(&mut self.out, 1, self.last_tag, self.unacked > 1);
            self.unacked = 0;
        }
    }

    pub fn unconfirmed(&self) -> u64 {
        if self.role.confirms { self.sent - self.confirmed.count() } else { 0 }
    }
}
