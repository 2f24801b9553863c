//! One published message, shared by every queue that holds it.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::amqp::{Properties, short_prefix};

/// Bytes of all messages in memory, and of the places they have in queues and with consumers.
static RESIDENT_BYTES: AtomicU64 = AtomicU64::new(0);

/// What a message takes beside its block, with its place in one queue.
const OVERHEAD_BYTES: u64 = 192;

/// Bytes of all messages in memory, in queues, handed out and on their way in.
pub fn resident_bytes() -> u64 {
    RESIDENT_BYTES.load(Ordering::Relaxed)
}

/// Bytes that are in memory for the sake of messages and not in one: messages in the making, and many places for the same
/// message. Counted as long as this lives.
#[derive(Debug, Default)]
pub struct Resident(u64);

impl Resident {
    pub fn bytes(&self) -> u64 {
        self.0
    }

    /// For what grows in steps: nothing is to be done while `bytes` stays the same.
    pub fn set(&mut self, bytes: u64) {
        match bytes.checked_sub(self.0) {
            Some(0) => {}
            Some(more) => self.add(more),
            None => self.remove(self.0 - bytes),
        }
    }

    pub fn add(&mut self, bytes: u64) {
        self.0 += bytes;
        RESIDENT_BYTES.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn remove(&mut self, bytes: u64) {
        self.0 -= bytes;
        RESIDENT_BYTES.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.remove(self.0);
    }
}

/// A message as it was published: one block of bytes, never decoded.
///
/// The block holds, one behind the other, the exchange name, the routing key, the content header's property
/// flags and property list exactly as they came off the wire, and the body. A fanout to a thousand queues
/// shares one `Arc<Message>`.
#[derive(Debug)]
pub struct Message {
    data: Box<[u8]>,
    properties_len: u32,
    exchange_len: u8,
    routing_key_len: u8,
    /// delivery-mode 2 was set.
    pub persistent: bool,
    /// There is a BCC header, which nobody may see.
    pub has_blind_copies: bool,
    /// The connection that published it; 0 where that is not known (any more).
    pub publisher: u64,
    pub disk: DiskState,
}

/// What the store knows about a message. Written by the store and by the queues through it.
#[derive(Debug, Default)]
pub struct DiskState {
    /// Durable queues that hold the message and have not seen it acked. At zero nothing needs to be written.
    pub refs: AtomicU32,
    /// Where the store's index holds the message, if `id` is still its place in the log.
    pub slot: AtomicU32,
    /// The message's place in the log; 0 as long as it was never written.
    pub id: AtomicU64,
}

impl DiskState {
    pub fn is_written(&self) -> bool {
        self.id.load(Ordering::Acquire) != 0
    }

    /// One durable queue gave the message up.
    pub fn release(&self) {
        self.refs.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Message {
    /// `exchange` and `routing_key` are short strings (at most 255 bytes). What is longer is cut: nothing of a name may
    /// come to stand where the properties are looked for, which the broker vouches for.
    pub fn new(
        exchange: &str,
        routing_key: &str,
        properties: &[u8],
        body: &[u8],
        persistent: bool,
    ) -> Message {
        let (exchange, routing_key) = (short_prefix(exchange), short_prefix(routing_key));
        let mut data = Vec::with_capacity(exchange.len() + routing_key.len() + properties.len() + body.len());
        data.extend_from_slice(exchange.as_bytes());
        data.extend_from_slice(routing_key.as_bytes());
        data.extend_from_slice(properties);
        data.extend_from_slice(body);
        Message::from_block(
            data,
            exchange.len() as u8,
            routing_key.len() as u8,
            properties.len() as u32,
            persistent,
        )
    }

    /// A message from its block; the lengths say where its parts end.
    pub fn from_block(
        data: Vec<u8>,
        exchange_len: u8,
        routing_key_len: u8,
        properties_len: u32,
        persistent: bool,
    ) -> Message {
        assert!(exchange_len as usize + routing_key_len as usize + properties_len as usize <= data.len());
        RESIDENT_BYTES.fetch_add(data.len() as u64 + OVERHEAD_BYTES, Ordering::Relaxed);
        Message {
            data: data.into_boxed_slice(),
            properties_len,
            exchange_len,
            routing_key_len,
            persistent,
            has_blind_copies: false,
            publisher: 0,
            disk: DiskState::default(),
        }
    }

    pub fn exchange(&self) -> &str {
        // Checked to be UTF-8 where the message was published or recovered.
        std::str::from_utf8(self.exchange_octets()).unwrap_or("")
    }

    pub fn exchange_octets(&self) -> &[u8] {
        &self.data[..self.exchange_len as usize]
    }

    pub fn routing_key(&self) -> &str {
        std::str::from_utf8(self.routing_key_octets()).unwrap_or("")
    }

    pub fn routing_key_octets(&self) -> &[u8] {
        let start = self.exchange_len as usize;
        &self.data[start..start + self.routing_key_len as usize]
    }

    /// Property flags and property list, as in the content header frame behind the body size.
    pub fn properties(&self) -> &[u8] {
        let start = self.exchange_len as usize + self.routing_key_len as usize;
        &self.data[start..start + self.properties_len as usize]
    }

    /// The properties as clients may see them: without BCC.
    #[inline]
    pub fn shown_properties(&self) -> Cow<'_, [u8]> {
        match self.has_blind_copies {
            false => Cow::Borrowed(self.properties()),
            true => Cow::Owned(without_blind_copies(self.properties())),
        }
    }

    /// Bytes of what clients may see of the properties.
    #[inline]
    pub fn shown_properties_len(&self) -> usize {
        match self.has_blind_copies {
            false => self.properties_len as usize,
            true => self.shown_properties().len(),
        }
    }

    /// Looks whether there is a BCC header, as in a message that was read from disk.
    pub fn look_for_blind_copies(&mut self) {
        self.has_blind_copies = memchr::memmem::find(self.properties(), BLIND_COPIES_KEY).is_some();
    }

    pub fn body(&self) -> &[u8] {
        &self.data
            [self.exchange_len as usize + self.routing_key_len as usize + self.properties_len as usize..]
    }

    /// The whole block and the lengths of exchange name, routing key and properties in it.
    pub fn block(&self) -> (&[u8], u8, u8, u32) {
        (&self.data, self.exchange_len, self.routing_key_len, self.properties_len)
    }
}

/// The header's name as a table has it.
const BLIND_COPIES_KEY: &[u8] = b"\x03BCC";

#[cold]
fn without_blind_copies(raw: &[u8]) -> Vec<u8> {
    // A message is checked when it is published, so that there are properties to read.
    let Ok(properties) = Properties::parse(raw) else { return raw.to_vec() };
    let mut headers = properties.headers().unwrap_or_default();
    headers.remove("BCC");
    let mut shown = Vec::with_capacity(raw.len());
    properties.encode_with_headers(&headers, true, &mut shown);
    shown
}

impl Drop for Message {
    fn drop(&mut self) {
        RESIDENT_BYTES.fetch_sub(self.data.len() as u64 + OVERHEAD_BYTES, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_too_long_leave_the_properties_alone() {
        let long = "é".repeat(300);
        let message = Message::new("x", &long, b"\0\0", b"body", false);
        assert_eq!((message.exchange(), message.routing_key()), ("x", &*"é".repeat(127)));
        assert_eq!((message.properties(), message.body()), (&b"\0\0"[..], &b"body"[..]));
    }
}
