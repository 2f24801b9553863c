//! One published message, shared by every queue that holds it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use triomphe::ThinArc;

use crate::amqp::{Properties, short_prefix};
use crate::striped::Striped;

/// Bytes of all messages in memory, and of the places they have in queues and with consumers.
static RESIDENT_BYTES: Striped = Striped::new();

/// What a message takes beside its block, with its place in one queue.
const OVERHEAD_BYTES: u64 = 192;

/// Bytes of all messages in memory, in queues, handed out and on their way in.
pub fn resident_bytes() -> u64 {
    RESIDENT_BYTES.sum()
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
        RESIDENT_BYTES.add(bytes);
    }

    pub fn remove(&mut self, bytes: u64) {
        self.0 -= bytes;
        RESIDENT_BYTES.remove(bytes);
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.remove(self.0);
    }
}

/// Blocks up to here stand in one allocation with what is known of their message; larger ones are written where they are
/// read to, and copying them costs more than a second allocation.
const SMALL_BYTES_MAX: usize = 2 << 10;

/// A message as it was published: one block of bytes, never decoded. A handle: clones are the same message.
///
/// The block holds, one behind the other, the exchange name, the routing key, the content header's property
/// flags and property list exactly as they came off the wire, and the body. A fanout to a thousand queues
/// shares one block.
#[derive(Clone)]
pub struct Message(ThinArc<Head, u8>);

/// What is known of a message beside its block.
#[derive(Debug)]
pub struct Head {
    /// A large block; a small one stands behind this.
    large: Option<Box<Large>>,
    properties_len: u32,
    /// The length of a small block, and what is known in single bits: eight bytes more would put small messages into the
    /// allocator's next size.
    small_len_and_bits: u16,
    exchange_len: u8,
    routing_key_len: u8,
    /// The connection that published it; 0 where that is not known (any more).
    pub publisher: u64,
    pub disk: DiskState,
}

/// delivery-mode 2 was set.
const PERSISTENT: u16 = 1 << 15;
/// There is a BCC header, which nobody may see.
const HAS_BLIND_COPIES: u16 = 1 << 14;
const SMALL_LEN: u16 = HAS_BLIND_COPIES - 1;

const _: () = assert!(size_of::<Head>() == 40 && SMALL_BYTES_MAX <= SMALL_LEN as usize);

#[derive(Debug)]
struct Large(Box<[u8]>);

/// What is to be known of a message that its block does not say.
#[derive(Debug, Default, Clone, Copy)]
pub struct Facts {
    pub persistent: bool,
    pub has_blind_copies: bool,
    pub publisher: u64,
}

impl Facts {
    fn bits(self) -> u16 {
        u16::from(self.persistent) * PERSISTENT + u16::from(self.has_blind_copies) * HAS_BLIND_COPIES
    }
}

impl Head {
    /// delivery-mode 2 was set.
    #[inline]
    pub fn is_persistent(&self) -> bool {
        self.small_len_and_bits & PERSISTENT != 0
    }

    /// There is a BCC header, which nobody may see.
    #[inline]
    pub fn has_blind_copies(&self) -> bool {
        self.small_len_and_bits & HAS_BLIND_COPIES != 0
    }
}

/// Where the parts of a block end.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub exchange_len: u8,
    pub routing_key_len: u8,
    pub properties_len: u32,
}

impl Layout {
    /// The properties of a message with this block.
    pub fn properties(self, block: &[u8]) -> &[u8] {
        let start = usize::from(self.exchange_len) + usize::from(self.routing_key_len);
        &block[start..start + self.properties_len as usize]
    }
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
        let facts = Facts { persistent, ..Facts::default() };
        Message::with_facts(exchange, routing_key, properties, body, facts)
    }

    pub fn with_facts(
        exchange: &str,
        routing_key: &str,
        properties: &[u8],
        body: &[u8],
        facts: Facts,
    ) -> Message {
        let (exchange, routing_key) = (short_prefix(exchange), short_prefix(routing_key));
        let layout = Layout {
            exchange_len: exchange.len() as u8,
            routing_key_len: routing_key.len() as u8,
            properties_len: properties.len() as u32,
        };
        let mut block = [exchange.as_bytes(), routing_key.as_bytes(), properties, body].concat();
        Message::from_block(&mut block, layout, facts)
    }

    /// A message from its block. A large block is taken; what is left of a small one is its room, for the next message.
    pub fn from_block(block: &mut Vec<u8>, layout: Layout, facts: Facts) -> Message {
        let Layout { exchange_len, routing_key_len, properties_len } = layout;
        assert!(
            usize::from(exchange_len) + usize::from(routing_key_len) + properties_len as usize <= block.len()
        );
        RESIDENT_BYTES.add(block.len() as u64 + OVERHEAD_BYTES);
        let (small_len, large) = match block.len() {
            len @ ..=SMALL_BYTES_MAX => (len as u16, None),
            _ => (0, Some(Box::new(Large(std::mem::take(block).into_boxed_slice())))),
        };
        let head = Head {
            large,
            properties_len,
            exchange_len,
            routing_key_len,
            small_len_and_bits: small_len | facts.bits(),
            publisher: facts.publisher,
            disk: DiskState::default(),
        };
        Message(ThinArc::from_header_and_slice(head, block))
    }

    /// Whether a block of so many bytes leaves its room behind.
    #[inline]
    pub fn leaves_room(block_len: usize) -> bool {
        block_len <= SMALL_BYTES_MAX
    }

    #[inline]
    fn data(&self) -> &[u8] {
        match &self.large {
            None => &self.0.slice,
            Some(large) => &large.0,
        }
    }

    pub fn exchange(&self) -> &str {
        // Checked to be UTF-8 where the message was published or recovered.
        std::str::from_utf8(self.exchange_octets()).unwrap_or("")
    }

    pub fn exchange_octets(&self) -> &[u8] {
        &self.data()[..self.exchange_len as usize]
    }

    pub fn routing_key(&self) -> &str {
        std::str::from_utf8(self.routing_key_octets()).unwrap_or("")
    }

    pub fn routing_key_octets(&self) -> &[u8] {
        let start = self.exchange_len as usize;
        &self.data()[start..start + self.routing_key_len as usize]
    }

    /// Property flags and property list, as in the content header frame behind the body size.
    pub fn properties(&self) -> &[u8] {
        let start = self.exchange_len as usize + self.routing_key_len as usize;
        &self.data()[start..start + self.properties_len as usize]
    }

    /// The properties as clients may see them: without BCC.
    #[inline]
    pub fn shown_properties(&self) -> Cow<'_, [u8]> {
        match self.has_blind_copies() {
            false => Cow::Borrowed(self.properties()),
            true => Cow::Owned(without_blind_copies(self.properties())),
        }
    }

    /// Bytes of what clients may see of the properties.
    #[inline]
    pub fn shown_properties_len(&self) -> usize {
        match self.has_blind_copies() {
            false => self.properties_len as usize,
            true => self.shown_properties().len(),
        }
    }

    pub fn body(&self) -> &[u8] {
        &self.data()
            [self.exchange_len as usize + self.routing_key_len as usize + self.properties_len as usize..]
    }

    /// The whole block and the lengths of exchange name, routing key and properties in it.
    pub fn block(&self) -> (&[u8], u8, u8, u32) {
        (self.data(), self.exchange_len, self.routing_key_len, self.properties_len)
    }

    /// Whether the two are one message, not only alike.
    pub fn is(&self, other: &Message) -> bool {
        std::ptr::eq(&**self, &**other)
    }

    /// Who holds it.
    #[cfg(test)]
    pub fn handles(&self) -> usize {
        ThinArc::strong_count(&self.0)
    }
}

impl Deref for Message {
    type Target = Head;

    #[inline]
    fn deref(&self) -> &Head {
        &self.0.header.header
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("head", &**self).field("block", &self.data()).finish()
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        let small_len = usize::from(self.small_len_and_bits & SMALL_LEN);
        let block_len = self.large.as_ref().map_or(small_len, |large| large.0.len());
        RESIDENT_BYTES.remove(block_len as u64 + OVERHEAD_BYTES);
    }
}

/// Looks whether there is a BCC header in a message's properties, as in one that was read from disk.
pub fn has_blind_copies(properties: &[u8]) -> bool {
    memchr::memmem::find(properties, BLIND_COPIES_KEY).is_some()
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

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { exchange_len: 1, routing_key_len: 3, properties_len: 2 };

    fn message(block: &mut Vec<u8>) -> Message {
        Message::from_block(block, LAYOUT, Facts { persistent: true, publisher: 7, ..Facts::default() })
    }

    fn block(len: usize) -> Vec<u8> {
        let mut block = b"xkey\0\0".to_vec();
        block.extend((block.len()..len).map(|at| at as u8));
        block
    }

    #[test]
    fn parts_stand_where_the_layout_says_in_small_and_in_large_messages() {
        for len in [6, 7, SMALL_BYTES_MAX, SMALL_BYTES_MAX + 1, 100_000] {
            let whole = block(len);
            let message = message(&mut whole.clone());
            assert_eq!((message.exchange(), message.routing_key()), ("x", "key"));
            assert_eq!((message.properties(), message.body()), (&b"\0\0"[..], &whole[6..]));
            assert_eq!(message.block(), (&whole[..], 1, 3, 2));
            assert_eq!(
                (message.is_persistent(), message.has_blind_copies(), message.publisher),
                (true, false, 7)
            );
            let new = Message::new("x", "key", b"\0\0", &whole[6..], true);
            assert_eq!(new.block(), message.block());
            assert!(message.is(&message.clone()) && !message.is(&new));
        }
    }

    #[test]
    fn a_small_block_leaves_its_room_and_a_large_one_is_not_copied() {
        let mut small = block(SMALL_BYTES_MAX);
        assert!(Message::leaves_room(small.len()));
        message(&mut small);
        assert_eq!(small.len(), SMALL_BYTES_MAX);
        let mut large = block(SMALL_BYTES_MAX + 1);
        large.shrink_to_fit();
        assert!(!Message::leaves_room(large.len()));
        let at = large.as_ptr();
        let message = message(&mut large);
        assert_eq!((large.capacity(), message.block().0.as_ptr()), (0, at));
    }

    #[test]
    #[should_panic = "assertion failed"]
    fn a_layout_that_does_not_fit_is_refused() {
        message(&mut vec![0; 5]);
    }

    #[test]
    fn names_that_are_too_long_leave_the_properties_alone() {
        let long = "é".repeat(300);
        let message = Message::new("x", &long, b"\0\0", b"body", false);
        assert_eq!((message.exchange(), message.routing_key()), ("x", &*"é".repeat(127)));
        assert_eq!((message.properties(), message.body()), (&b"\0\0"[..], &b"body"[..]));
    }
}
