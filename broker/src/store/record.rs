//! The records of the log: bytes in, values out. Pure.
//!
//! A segment is a [`SegmentHeader`] followed by batches; a batch is a [`BatchHeader`] followed by its
//! records. Everything is little-endian and padded to 8 bytes, and begins with
//!
//! ```text
//! 0  u32  crc    CRC32C over the bytes from 4 to the end of the padding, begun at the segment's seed
//! 4  u32  len    bytes of the record from offset 0, without the padding
//! 8  u8   kind
//! ```
//!
//! The seed ([`LogKey::seed`]) differs per segment, which makes the bytes of a recycled segment invalid in its
//! next life, and per log by a random key, which makes it impossible to publish a message whose body looks
//! like records: after damage, where the next record begins has to be searched for.

use std::fmt;

use super::key::{LogKey, Seed};
use super::{Entry, EntryMeta, QueueId};

/// Version of everything in this file. A log of another version is refused, never guessed at.
pub const FORMAT_VERSION: u32 = 1;

/// Bytes of a segment header, padding included.
pub const SEGMENT_HEADER_BYTES: usize = 40;
/// Bytes of a batch header, padding included.
pub const BATCH_HEADER_BYTES: usize = 40;

const PREFIX_BYTES: usize = 9;
const MESSAGE_FIXED_BYTES: usize = 20;
const REF_FIXED_BYTES: usize = 24;
const ACKS_FIXED_BYTES: usize = 16;
const PURGE_BYTES: usize = 32;
const ENTRY_BYTES: usize = 16;
const ENTRY_META_BYTES: usize = 25;
/// Bytes of one run in an acks record.
pub const ACK_RUN_BYTES: usize = 20;

const MAGIC: [u8; 8] = *b"WARRENLG";
const FLAG_META: u8 = 1;
const FLAG_RECYCLED: u8 = 1;

const KIND_SEGMENT: u8 = 1;
const KIND_BATCH: u8 = 2;
const KIND_MESSAGE: u8 = 3;
const KIND_REF: u8 = 4;
const KIND_ACKS: u8 = 5;
const KIND_PURGE: u8 = 6;

/// Rounds up to the 8 bytes that every record starts at.
pub const fn padded(len: usize) -> usize {
    (len + 7) & !7
}

/// A place in the log. Never used twice, so it also names what was written there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    pub segment: u32,
    pub offset: u32,
}

impl Location {
    pub const fn new(segment: u32, offset: u32) -> Location {
        Location { segment, offset }
    }

    /// As one number; never 0, because segments count from 1.
    pub const fn to_u64(self) -> u64 {
        (self.segment as u64) << 32 | self.offset as u64
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} offset {}", self.segment, self.offset)
    }
}

/// The first bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    pub version: u32,
    pub id: u32,
    /// Where the segment before this one ended; 0 for the first.
    pub previous_end: u32,
    /// A copy of the log's key, in case the file with it is lost.
    pub key: LogKey,
    /// The file held another segment before: bytes behind the end are leftovers, not a torn write.
    pub recycled: bool,
}

/// The first bytes of a batch: what one write to the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Counts all batches of the log without gaps.
    pub sequence: u64,
    /// Bytes of the records behind this header.
    pub payload_bytes: u32,
    pub records: u32,
    /// Everything in the log before this place was synced when the batch was written.
    pub durable: Location,
}

/// One run of consecutive acks of a queue: `count` entries from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckRun {
    pub queue: QueueId,
    pub first: u64,
    pub count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    Segment(SegmentHeader),
    Batch(BatchHeader),
    Message(MessageRecord<'a>),
    /// Further entries that hold the message whose record is at `target`.
    Ref {
        target: Location,
        entries: Entries<'a>,
    },
    Acks(AckRuns<'a>),
    /// Every entry of `queue` up to and including `up_to` is gone.
    Purge {
        queue: QueueId,
        up_to: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRecord<'a> {
    pub exchange_len: u8,
    pub routing_key_len: u8,
    pub properties_len: u32,
    pub entries: Entries<'a>,
    /// As in [`crate::message::Message::block`].
    pub block: &'a [u8],
}

impl MessageRecord<'_> {
    pub fn body_len(&self) -> u32 {
        let named = u32::from(self.exchange_len) + u32::from(self.routing_key_len) + self.properties_len;
        self.block.len() as u32 - named
    }
}

/// The entries named in a message or ref record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    with_meta: bool,
}

impl<'a> Entries<'a> {
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry> + use<'a> {
        let with_meta = self.with_meta;
        self.bytes.chunks_exact(entry_bytes(with_meta)).map(move |b| Entry {
            queue: QueueId(get_u64(b, 0)),
            seq: get_u64(b, 8),
            meta: if with_meta {
                EntryMeta { expires_at_ms: get_u64(b, 16), priority: b[24] }
            } else {
                EntryMeta::default()
            },
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckRuns<'a>(&'a [u8]);

impl<'a> AckRuns<'a> {
    pub fn iter(&self) -> impl ExactSizeIterator<Item = AckRun> + use<'a> {
        self.0.chunks_exact(ACK_RUN_BYTES).map(|b| AckRun {
            queue: QueueId(get_u64(b, 0)),
            first: get_u64(b, 8),
            count: get_u32(b, 16),
        })
    }
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("fewer bytes than a record needs")]
    Short,
    #[error("checksum mismatch")]
    Checksum,
    #[error("impossible length")]
    Length,
    #[error("unknown record kind {0}")]
    Kind(u8),
    #[error("contents do not fit the record's length")]
    Contents,
}

/// The record at the start of `bytes`, and its bytes with padding.
pub fn decode(bytes: &[u8], seed: Seed) -> Result<(Record<'_>, usize), Invalid> {
    let (record, size) = checked(bytes, seed)?;
    Ok((contents(record)?, size))
}

/// Like [`decode`] for bytes that were verified before.
pub fn decode_verified(bytes: &[u8]) -> Result<(Record<'_>, usize), Invalid> {
    let size = claimed_size(bytes)?;
    let whole = bytes.get(..get_u32(bytes, 4) as usize).ok_or(Invalid::Short)?;
    Ok((contents(whole)?, size))
}

fn contents(record: &[u8]) -> Result<Record<'_>, Invalid> {
    Ok(match record[8] {
        KIND_SEGMENT => decode_segment(record)?,
        KIND_BATCH => decode_batch(record)?,
        KIND_MESSAGE => decode_message(record)?,
        KIND_REF => decode_ref(record)?,
        KIND_ACKS => decode_acks(record)?,
        KIND_PURGE if record.len() == PURGE_BYTES => {
            Record::Purge { queue: QueueId(get_u64(record, 16)), up_to: get_u64(record, 24) }
        }
        KIND_PURGE => return Err(Invalid::Contents),
        kind => return Err(Invalid::Kind(kind)),
    })
}

/// Bytes with padding that the record at the start of `bytes` claims to have; not verified.
pub fn claimed_size(bytes: &[u8]) -> Result<usize, Invalid> {
    if bytes.len() < 8 {
        return Err(Invalid::Short);
    }
    let len = get_u32(bytes, 4) as usize;
    if (PREFIX_BYTES..=u32::MAX as usize - 8).contains(&len) { Ok(padded(len)) } else { Err(Invalid::Length) }
}

/// The batch header at the start of `bytes`, if there is a valid one.
pub fn decode_batch_header(bytes: &[u8], seed: Seed) -> Result<BatchHeader, Invalid> {
    if bytes.len() < BATCH_HEADER_BYTES {
        return Err(Invalid::Short);
    }
    // Cheap tests first: looking for the next header tries this at every 8 bytes.
    if get_u32(bytes, 4) as usize != BATCH_HEADER_BYTES {
        return Err(Invalid::Length);
    }
    if bytes[8] != KIND_BATCH {
        return Err(Invalid::Kind(bytes[8]));
    }
    match decode(&bytes[..BATCH_HEADER_BYTES], seed)? {
        (Record::Batch(header), _) => Ok(header),
        _ => Err(Invalid::Kind(bytes[8])),
    }
}

fn checked(bytes: &[u8], seed: Seed) -> Result<(&[u8], usize), Invalid> {
    let size = claimed_size(bytes)?;
    let whole = bytes.get(..size).ok_or(Invalid::Short)?;
    if get_u32(whole, 0) != seed.checksum(&whole[4..]) {
        return Err(Invalid::Checksum);
    }
    Ok((&whole[..get_u32(whole, 4) as usize], size))
}

fn decode_segment(record: &[u8]) -> Result<Record<'_>, Invalid> {
    if record.len() != SEGMENT_HEADER_BYTES || record[12..20] != MAGIC {
        return Err(Invalid::Contents);
    }
    Ok(Record::Segment(SegmentHeader {
        version: get_u32(record, 20),
        id: get_u32(record, 24),
        previous_end: get_u32(record, 28),
        key: LogKey(get_u64(record, 32)),
        recycled: record[9] & FLAG_RECYCLED != 0,
    }))
}

fn decode_batch(record: &[u8]) -> Result<Record<'_>, Invalid> {
    if record.len() != BATCH_HEADER_BYTES {
        return Err(Invalid::Contents);
    }
    Ok(Record::Batch(BatchHeader {
        payload_bytes: get_u32(record, 12),
        sequence: get_u64(record, 16),
        durable: Location::new(get_u32(record, 24), get_u32(record, 28)),
        records: get_u32(record, 32),
    }))
}

fn decode_message(record: &[u8]) -> Result<Record<'_>, Invalid> {
    if record.len() < MESSAGE_FIXED_BYTES {
        return Err(Invalid::Contents);
    }
    let (entries, block) = split_entries(record, MESSAGE_FIXED_BYTES, get_u32(record, 16))?;
    let message = MessageRecord {
        exchange_len: record[10],
        routing_key_len: record[11],
        properties_len: get_u32(record, 12),
        entries,
        block,
    };
    let named =
        message.exchange_len as u64 + message.routing_key_len as u64 + u64::from(message.properties_len);
    if named > block.len() as u64 {
        return Err(Invalid::Contents);
    }
    Ok(Record::Message(message))
}

fn decode_ref(record: &[u8]) -> Result<Record<'_>, Invalid> {
    if record.len() < REF_FIXED_BYTES {
        return Err(Invalid::Contents);
    }
    let (entries, rest) = split_entries(record, REF_FIXED_BYTES, get_u32(record, 20))?;
    if !rest.is_empty() {
        return Err(Invalid::Contents);
    }
    Ok(Record::Ref { target: Location::new(get_u32(record, 12), get_u32(record, 16)), entries })
}

fn decode_acks(record: &[u8]) -> Result<Record<'_>, Invalid> {
    let runs = record.get(ACKS_FIXED_BYTES..).ok_or(Invalid::Contents)?;
    if runs.len() as u64 != u64::from(get_u32(record, 12)) * ACK_RUN_BYTES as u64 {
        return Err(Invalid::Contents);
    }
    Ok(Record::Acks(AckRuns(runs)))
}

fn split_entries(record: &[u8], fixed: usize, count: u32) -> Result<(Entries<'_>, &[u8]), Invalid> {
    let with_meta = record[9] & FLAG_META != 0;
    let bytes = u64::from(count) * entry_bytes(with_meta) as u64;
    if bytes > (record.len() - fixed) as u64 {
        return Err(Invalid::Contents);
    }
    let (entries, rest) = record[fixed..].split_at(bytes as usize);
    Ok((Entries { bytes: entries, with_meta }, rest))
}

/// Bytes with padding of a message record.
pub fn message_size(entries: &[Entry], block_len: usize) -> usize {
    padded(MESSAGE_FIXED_BYTES + entries.len() * entry_bytes(any_meta(entries)) + block_len)
}

/// Bytes with padding of a ref record.
pub fn ref_size(entries: &[Entry]) -> usize {
    padded(REF_FIXED_BYTES + entries.len() * entry_bytes(any_meta(entries)))
}

/// Bytes with padding of an acks record.
pub fn acks_size(runs: usize) -> usize {
    padded(ACKS_FIXED_BYTES + runs * ACK_RUN_BYTES)
}

/// Bytes with padding of a purge record.
pub fn purge_size() -> usize {
    PURGE_BYTES
}

pub fn encode_segment_header(out: &mut Vec<u8>, header: &SegmentHeader) {
    let start = begin(out, KIND_SEGMENT, if header.recycled { FLAG_RECYCLED } else { 0 }, 0, 0);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&header.version.to_le_bytes());
    out.extend_from_slice(&header.id.to_le_bytes());
    out.extend_from_slice(&header.previous_end.to_le_bytes());
    out.extend_from_slice(&header.key.0.to_le_bytes());
    finish(out, start, Seed::of_header(header.id));
}

/// Reserves a batch header; [`finish_batch_header`] fills it in when the batch is known.
pub fn begin_batch_header(out: &mut Vec<u8>) {
    out.resize(out.len() + BATCH_HEADER_BYTES, 0);
}

pub fn finish_batch_header(out: &mut [u8], start: usize, header: &BatchHeader, seed: Seed) {
    let b = &mut out[start..start + BATCH_HEADER_BYTES];
    b[4..8].copy_from_slice(&(BATCH_HEADER_BYTES as u32).to_le_bytes());
    b[8] = KIND_BATCH;
    b[12..16].copy_from_slice(&header.payload_bytes.to_le_bytes());
    b[16..24].copy_from_slice(&header.sequence.to_le_bytes());
    b[24..28].copy_from_slice(&header.durable.segment.to_le_bytes());
    b[28..32].copy_from_slice(&header.durable.offset.to_le_bytes());
    b[32..36].copy_from_slice(&header.records.to_le_bytes());
    let crc = seed.checksum(&b[4..]);
    b[..4].copy_from_slice(&crc.to_le_bytes());
}

/// Parts of a message beside its entries, as [`crate::message::Message::block`] gives them.
pub type Block<'a> = (&'a [u8], u8, u8, u32);

pub fn encode_message(out: &mut Vec<u8>, entries: &[Entry], block: Block<'_>, seed: Seed) {
    let (data, exchange_len, routing_key_len, properties_len) = block;
    let with_meta = any_meta(entries);
    let start = begin(out, KIND_MESSAGE, flag_meta(with_meta), exchange_len, routing_key_len);
    out.extend_from_slice(&properties_len.to_le_bytes());
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    push_entries(out, entries, with_meta);
    out.extend_from_slice(data);
    finish(out, start, seed);
}

pub fn encode_ref(out: &mut Vec<u8>, target: Location, entries: &[Entry], seed: Seed) {
    let with_meta = any_meta(entries);
    let start = begin(out, KIND_REF, flag_meta(with_meta), 0, 0);
    out.extend_from_slice(&target.segment.to_le_bytes());
    out.extend_from_slice(&target.offset.to_le_bytes());
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    push_entries(out, entries, with_meta);
    finish(out, start, seed);
}

pub fn encode_acks(out: &mut Vec<u8>, runs: &[AckRun], seed: Seed) {
    let start = begin(out, KIND_ACKS, 0, 0, 0);
    out.extend_from_slice(&(runs.len() as u32).to_le_bytes());
    for run in runs {
        out.extend_from_slice(&run.queue.0.to_le_bytes());
        out.extend_from_slice(&run.first.to_le_bytes());
        out.extend_from_slice(&run.count.to_le_bytes());
    }
    finish(out, start, seed);
}

pub fn encode_purge(out: &mut Vec<u8>, queue: QueueId, up_to: u64, seed: Seed) {
    let start = begin(out, KIND_PURGE, 0, 0, 0);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&queue.0.to_le_bytes());
    out.extend_from_slice(&up_to.to_le_bytes());
    finish(out, start, seed);
}

fn begin(out: &mut Vec<u8>, kind: u8, flags: u8, a: u8, b: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, kind, flags, a, b]);
    start
}

fn finish(out: &mut Vec<u8>, start: usize, seed: Seed) {
    let len = (out.len() - start) as u32;
    out.resize(start + padded(len as usize), 0);
    out[start + 4..start + 8].copy_from_slice(&len.to_le_bytes());
    let crc = seed.checksum(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

fn push_entries(out: &mut Vec<u8>, entries: &[Entry], with_meta: bool) {
    for entry in entries {
        out.extend_from_slice(&entry.queue.0.to_le_bytes());
        out.extend_from_slice(&entry.seq.to_le_bytes());
        if with_meta {
            out.extend_from_slice(&entry.meta.expires_at_ms.to_le_bytes());
            out.push(entry.meta.priority);
        }
    }
}

fn any_meta(entries: &[Entry]) -> bool {
    entries.iter().any(|e| e.meta != EntryMeta::default())
}

fn flag_meta(with_meta: bool) -> u8 {
    if with_meta { FLAG_META } else { 0 }
}

const fn entry_bytes(with_meta: bool) -> usize {
    if with_meta { ENTRY_META_BYTES } else { ENTRY_BYTES }
}

fn get_u32(bytes: &[u8], at: usize) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(raw)
}

fn get_u64(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}
