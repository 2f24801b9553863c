//! Reading messages back from disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::fs::read_full;
use super::record::{self, Location, Record};
use super::segment::Segment;
use super::slab::Slot;
use super::{QueueId, Shared, StoreError};
use crate::message::{self, Facts, Layout, Message};

/// Neighbours in the log are read together up to this many bytes.
const RUN_BYTES_MAX: usize = 1 << 20;
/// Bytes between two records that are worth reading over.
const RUN_GAP_MAX: usize = 4096;

struct Wanted {
    seq: u64,
    slot: Slot,
    location: Location,
    len: u32,
    segment: Arc<Segment>,
}

pub(super) fn read(shared: &Shared, queue: QueueId, seqs: &[u64]) -> Result<Vec<(u64, Message)>, StoreError> {
    let mut messages = Vec::with_capacity(seqs.len());
    let mut wanted = look_up(shared, queue, seqs)?;
    loop {
        let Err((at, error)) = read_all(queue, &wanted, &mut messages) else { return Ok(messages) };
        // Compaction may have moved the rest and removed the file before it was opened.
        let rest: Vec<u64> = wanted[at..].iter().map(|want| want.seq).collect();
        let again = look_up(shared, queue, &rest)?;
        if again.first().is_some_and(|first| first.location == wanted[at].location) {
            return Err(error);
        }
        wanted = again;
    }
}

/// On error also where among the wanted it came up; the messages before are there.
fn read_all(
    queue: QueueId,
    wanted: &[Wanted],
    messages: &mut Vec<(u64, Message)>,
) -> Result<(), (usize, StoreError)> {
    let mut buffer = Vec::new();
    let mut at = 0;
    while at < wanted.len() {
        let first = &wanted[at];
        let (run, bytes) = run_length(&wanted[at..]);
        buffer.resize(bytes, 0);
        let got = first
            .segment
            .file()
            .and_then(|file| read_full(&*file, &mut buffer, u64::from(first.location.offset)))
            .map_err(|e| (at, unreadable(queue, first, &e.to_string())))?;
        for want in &wanted[at..at + run] {
            let start = (want.location.offset - first.location.offset) as usize;
            let message = buffer[..got]
                .get(start..start + want.len as usize)
                .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof).to_string())
                .and_then(|bytes| decode(bytes, want))
                .map_err(|reason| (at, unreadable(queue, want, &reason)))?;
            messages.push((want.seq, message));
            at += 1;
        }
    }
    Ok(())
}

/// Holding the segments keeps their files readable whatever compaction does meanwhile.
fn look_up(shared: &Shared, queue: QueueId, seqs: &[u64]) -> Result<Vec<Wanted>, StoreError> {
    let mut wanted = Vec::with_capacity(seqs.len());
    let mut index = shared.index.lock();
    for &seq in seqs {
        while let Some((slot, stored)) = index.lookup(queue, seq) {
            if stored.location >= index.written {
                // Encoded, but not yet in the file: the commit thread is about to write it.
                if let Some(failure) = shared.intake.failure() {
                    return Err(failure.into());
                }
                shared.written.wait(&mut index);
                continue;
            }
            if let Some(state) = index.segment(stored.location.segment) {
                let segment = state.segment.clone();
                wanted.push(Wanted { seq, slot, location: stored.location, len: stored.len, segment });
            }
            break;
        }
    }
    Ok(wanted)
}

/// How many of the first wanted lie close together, and the bytes they span.
fn run_length(wanted: &[Wanted]) -> (usize, usize) {
    let first = &wanted[0];
    let start = first.location.offset as usize;
    let mut end = start + first.len as usize;
    let mut run = 1;
    for next in &wanted[1..] {
        let offset = next.location.offset as usize;
        let near = next.segment.id == first.segment.id && offset >= end && offset - end <= RUN_GAP_MAX;
        if !near || offset + next.len as usize - start > RUN_BYTES_MAX {
            break;
        }
        end = offset + next.len as usize;
        run += 1;
    }
    (run, end - start)
}

fn decode(bytes: &[u8], want: &Wanted) -> Result<Message, String> {
    let record = match record::decode(bytes, want.segment.seed) {
        Ok((Record::Message(record), _)) => record,
        Ok(_) => return Err("another kind of record is there".into()),
        Err(invalid) => return Err(invalid.to_string()),
    };
    let (exchange_len, routing_key_len) = (record.exchange_len, record.routing_key_len);
    let layout = Layout { exchange_len, routing_key_len, properties_len: record.properties_len };
    let has_blind_copies = message::has_blind_copies(layout.properties(record.block));
    let facts = Facts { persistent: true, has_blind_copies, publisher: 0 };
    let message = Message::from_block(&mut record.block.to_vec(), layout, facts);
    message.disk.refs.store(1, Ordering::Relaxed);
    message.disk.slot.store(want.slot, Ordering::Relaxed);
    message.disk.id.store(want.location.to_u64(), Ordering::Release);
    Ok(message)
}

fn unreadable(queue: QueueId, want: &Wanted, reason: &str) -> StoreError {
    StoreError::Unreadable {
        queue,
        seq: want.seq,
        segment: want.segment.path.display().to_string(),
        offset: want.location.offset,
        reason: reason.to_string(),
    }
}
