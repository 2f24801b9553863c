//! The batch being encoded: a buffer that goes to the active segment with one write.

use super::Entry;
use super::key::Seed;
use super::record::{
    self, AckRun, BATCH_HEADER_BYTES, BatchHeader, Block, Location, SEGMENT_HEADER_BYTES, SegmentHeader,
};
use super::segment::Segment;

/// A batch is written once it holds this much: more would only fall out of the processor's caches, and
/// recovery reads a batch at a time.
pub const BATCH_BYTES: usize = 256 * 1024;

#[derive(Default)]
pub struct Batch {
    pub buffer: Vec<u8>,
    segment: u32,
    seed: Seed,
    /// Where the buffer will be in the segment.
    offset: u32,
    /// Where the batch header is in the buffer: behind a segment header or at 0.
    header_at: usize,
    records: u32,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Begins a batch at the end of a segment; at its start the segment header comes first.
    pub fn begin(&mut self, segment: &Segment, offset: u32, header: Option<SegmentHeader>) {
        self.buffer.clear();
        self.segment = segment.id;
        self.seed = segment.seed;
        self.offset = offset;
        self.records = 0;
        if let Some(header) = header {
            record::encode_segment_header(&mut self.buffer, &header);
        }
        self.header_at = self.buffer.len();
        record::begin_batch_header(&mut self.buffer);
    }

    /// Fills in the header; then the buffer is ready to be written.
    pub fn finish(&mut self, sequence: u64, durable: Location) {
        let header = BatchHeader {
            sequence,
            payload_bytes: (self.buffer.len() - self.header_at - BATCH_HEADER_BYTES) as u32,
            records: self.records,
            durable,
        };
        record::finish_batch_header(&mut self.buffer, self.header_at, &header, self.seed);
    }

    pub fn message(&mut self, entries: &[Entry], block: Block<'_>) -> (Location, u32) {
        let (at, location) = self.next();
        record::encode_message(&mut self.buffer, entries, block, self.seed);
        (location, (self.buffer.len() - at) as u32)
    }

    pub fn reference(&mut self, target: Location, entries: &[Entry]) {
        self.next();
        record::encode_ref(&mut self.buffer, target, entries, self.seed);
    }

    pub fn acks(&mut self, runs: &[AckRun]) {
        self.next();
        record::encode_acks(&mut self.buffer, runs, self.seed);
    }

    pub fn purge(&mut self, queue: super::QueueId, up_to: u64) {
        self.next();
        record::encode_purge(&mut self.buffer, queue, up_to, self.seed);
    }

    /// Written, or given up: the buffer is empty again. What a huge message made it grow is given back.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(4 * BATCH_BYTES);
    }

    fn next(&mut self) -> (usize, Location) {
        self.records += 1;
        let at = self.buffer.len();
        (at, Location::new(self.segment, self.offset + at as u32))
    }
}

/// Bytes that a segment needs before its first record.
pub const SEGMENT_OVERHEAD_BYTES: usize = SEGMENT_HEADER_BYTES + BATCH_HEADER_BYTES;
