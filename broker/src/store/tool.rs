//! `broker store check`, `repair` and `dump`: for operators, on the folder of a broker that is not running.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::fs::{Access, Fs};
use super::pass::Pass;
use super::record::{BATCH_HEADER_BYTES, Location, Record, SEGMENT_HEADER_BYTES};
use super::recovery::io_error;
use super::scan::{Found, SegmentReader, skip_bad_record};
use super::segment::file_name;
use super::{Progress, QueueId, Report, Store, StoreError, StoreOptions, record};

/// Reads the whole log without changing anything and says what an open would find. True if nothing confirmed
/// is damaged.
pub fn check(fs: Arc<dyn Fs>, dir: &Path, out: &mut dyn Write) -> Result<bool, StoreError> {
    let mut pass = Pass::new(fs, dir, false)?;
    pass.run()?;
    let found = pass.finish(&|_| true);
    let mut queues: Vec<_> = found.next_seqs.keys().filter(|&&id| found.index.queue_len(id) > 0).collect();
    queues.sort_unstable();
    print(out, |out| {
        for &&id in &queues {
            let mut bytes = 0;
            found.details.each_entry(&found.index, id, |entry| bytes += u64::from(entry.body_len));
            writeln!(out, "queue {}: {} messages, {bytes} bytes", id.0, found.index.queue_len(id))?;
        }
        print_report(out, &found.report)
    })?;
    Ok(found.report.damage.is_empty())
}

fn print_report(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let shutdown = if report.clean { "clean" } else { "unclean" };
    writeln!(
        out,
        "{} messages in {} entries, {} segments, {} bytes; the last shutdown was {shutdown}",
        report.messages, report.entries, report.segments, report.bytes_read
    )?;
    if let Some(cut) = &report.cut {
        let place = Location::new(cut.segment, cut.offset);
        writeln!(
            out,
            "an interrupted, never confirmed write at {place} and {} segments behind it; the next start cuts it",
            cut.segments
        )?;
    }
    for damage in &report.damage {
        let place = Location::new(damage.segment, damage.offset);
        writeln!(out, "DAMAGED: {place}, {} bytes: {}", damage.bytes, damage.reason)?;
    }
    match report.damage.len() {
        0 => writeln!(out, "no damage"),
        n => writeln!(
            out,
            "{n} damaged places: confirmed messages may be missing and acked ones may come again. Check the disk, \
             restore from a backup what matters, then run `broker store repair`"
        ),
    }
}

/// Rewrites what is good in damaged segments and takes those out of the log; the bad bytes stay beside it in
/// `damaged-*` files. True if there was something to repair.
pub fn repair(
    fs: Arc<dyn Fs>,
    dir: &Path,
    options: StoreOptions,
    out: &mut dyn Write,
) -> Result<bool, StoreError> {
    let (store, mut committer, recovered) = Store::open_manual(fs, dir, options, &|_| true)?;
    let mut delivered: Vec<(QueueId, u64)> = Vec::new();
    for &id in recovered.next_seqs.keys() {
        recovered.each_entry(id, |entry| delivered.extend(entry.redelivered.then_some((id, entry.seq))));
    }
    print(out, |out| print_report(out, &recovered.report))?;
    let last_damaged = recovered.report.damage.iter().map(|damage| damage.segment).max();
    if let Some(segment) = last_damaged {
        committer.clean_through(segment);
        // Something to write, so that the log goes on in another segment even if nothing is alive.
        store.purge(QueueId(0), 0);
        while committer.run_round() == Progress::Worked || committer.run_file_job() {}
        if let Some(failure) = store.failure() {
            return Err(failure.into());
        }
        if committer.oldest_segment() <= segment {
            return Err(StoreError::NoSpaceToRepair { dir: dir.to_path_buf() });
        }
        print(out, |out| writeln!(out, "repaired: segments up to {segment} were rewritten"))?;
    }
    committer.close(delivered.into_iter())?;
    Ok(last_damaged.is_some())
}

/// Prints every record of the log, bad places too.
pub fn dump(fs: Arc<dyn Fs>, dir: &Path, out: &mut dyn Write) -> Result<(), StoreError> {
    let pass = Pass::new(fs.clone(), dir, false)?;
    for &id in pass.ids() {
        let path = dir.join(file_name(id));
        let io = |error| io_error("read", &path, error);
        let file = fs.open(&path, Access::Read).map_err(io)?;
        let mut reader = SegmentReader::new(id, pass.key.seed(id), file).map_err(io)?;
        dump_segment(&mut reader, out).map_err(io)?;
    }
    Ok(())
}

fn dump_segment(reader: &mut SegmentReader, out: &mut dyn Write) -> io::Result<()> {
    let id = reader.id;
    match reader.header()? {
        Ok(header) => writeln!(
            out,
            "segment {id}: format {}, the one before ended at {}{}",
            header.version,
            header.previous_end,
            if header.recycled { ", recycled file" } else { "" }
        )?,
        Err(_) if reader.is_zero_from(0)? => return writeln!(out, "segment {id}: prepared, not used yet"),
        Err(invalid) => writeln!(out, "segment {id}: no valid header ({invalid})")?,
    }
    let mut at = SEGMENT_HEADER_BYTES as u32;
    loop {
        match reader.find(at)? {
            Found::Batch { header, bytes } | Found::BadBatch { header, bytes } => {
                let place = Location::new(id, at);
                let record::BatchHeader { sequence, records, durable, .. } = header;
                writeln!(
                    out,
                    "{place}: batch {sequence}, {records} records, {bytes} bytes, synced to {durable}"
                )?;
                let seed = reader.seed;
                let batch = reader.bytes(at, bytes as usize)?;
                dump_records(batch, place, seed, out)?;
                at += bytes;
            }
            Found::BadHeader => match reader.search(at + 8)? {
                Some((next, _)) => {
                    writeln!(out, "{}: {} bytes that are no batch", Location::new(id, at), next - at)?;
                    at = next;
                }
                None => return writeln!(out, "{}: leftovers until the end", Location::new(id, at)),
            },
            Found::End => return writeln!(out, "{}: end", Location::new(id, at)),
        }
    }
}

fn dump_records(
    batch: &[u8],
    place: Location,
    seed: super::key::Seed,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut at = BATCH_HEADER_BYTES;
    while at < batch.len() {
        write!(out, "  {}: ", place.offset as usize + at)?;
        match record::decode(&batch[at..], seed) {
            Ok((record, size)) => {
                dump_record(&record, out)?;
                at += size;
            }
            Err(invalid) => {
                let next = skip_bad_record(batch, at, seed).unwrap_or(batch.len());
                writeln!(out, "{} BAD bytes ({invalid})", next - at)?;
                at = next;
            }
        }
    }
    Ok(())
}

fn dump_record(record: &Record<'_>, out: &mut dyn Write) -> io::Result<()> {
    match record {
        Record::Message(message) => {
            let (exchange, rest) = message.block.split_at(usize::from(message.exchange_len));
            let (key, rest) = rest.split_at(usize::from(message.routing_key_len));
            let body = rest.len() - message.properties_len as usize;
            write!(out, "message, exchange {:?}, key {:?}, body {body} bytes", lossy(exchange), lossy(key))?;
            dump_entries(message.entries, out)
        }
        Record::Ref { target, entries } => {
            write!(out, "also holding the message at {target}")?;
            dump_entries(*entries, out)
        }
        Record::Acks(runs) => {
            write!(out, "acks")?;
            for run in runs.iter() {
                write!(out, ", queue {} from {} on {}", run.queue.0, run.first, run.count)?;
            }
            writeln!(out)
        }
        Record::Purge { queue, up_to } => writeln!(out, "purge, queue {} up to {up_to}", queue.0),
        Record::Segment(_) | Record::Batch(_) => writeln!(out, "header out of place"),
    }
}

fn dump_entries(entries: record::Entries<'_>, out: &mut dyn Write) -> io::Result<()> {
    for entry in entries.iter() {
        write!(out, ", queue {} message {}", entry.queue.0, entry.seq)?;
    }
    writeln!(out)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn print(out: &mut dyn Write, act: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), StoreError> {
    act(out).map_err(|source| io_error("write the report on", Path::new("standard output"), source))
}
