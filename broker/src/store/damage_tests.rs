//! Logs that were cut or damaged at every possible place.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::key::{LogKey, Seed};
use super::record::{self, Location, Record};
use super::sim::Disk;
use super::*;
use crate::test_log::log_of;

const QUEUE: QueueId = QueueId(7);
const FIRST: &str = "0000000001.segment";

fn options() -> StoreOptions {
    StoreOptions { segment_bytes: 4096, disk_free_min_bytes: 0, ..StoreOptions::default() }
}

/// Opens it on one thread, and before that a copy of it on three, as the broker does: they find the same.
fn open(disk: &Disk) -> Result<(Store, Committer, Recovered), StoreError> {
    let copy = Disk::new(3, 1 << 20);
    for (name, contents) in disk.files() {
        copy.put(&name, contents);
    }
    let dir = Path::new("/log");
    let beside = recovery::open(Arc::new(copy.clone()), dir, options(), &|_| true, true);
    let opened = Store::open_manual(Arc::new(disk.clone()), dir, options(), &|_| true);
    match (&beside, &opened) {
        (Ok((_, _, beside)), Ok((_, _, here))) => {
            assert_eq!(beside.report, here.report);
            assert_eq!(beside.next_seqs, here.next_seqs);
            assert_eq!(beside.entries(QUEUE), here.entries(QUEUE));
        }
        (Err(beside), Err(here)) => assert_eq!(beside.to_string(), here.to_string()),
        _ => panic!("{:?} and {:?}", beside.map(drop), opened.map(drop)),
    }
    opened
}

fn body(seq: u64) -> Vec<u8> {
    format!("body of {seq} {}", "#".repeat(seq as usize * 7)).into_bytes()
}

/// One batch per message; the last batch has three and an ack.
fn small_log() -> Disk {
    let disk = Disk::new(1, 1 << 20);
    let (store, mut committer, _) = open(&disk).expect("it opens");
    for seq in 1..=9 {
        let message = Message::new("x", "k", b"\0\0", &body(seq), true);
        store.enqueue(QUEUE, seq, &message, EntryMeta::default());
        if seq <= 6 {
            committer.run_round();
        }
    }
    store.ack(QUEUE, 2, None);
    committer.run_round();
    assert!(store.failure().is_none());
    disk
}

/// The files as a crash would leave them, with the first segment replaced.
fn with_first(log: &Disk, bytes: Vec<u8>) -> Disk {
    let disk = Disk::new(2, 1 << 20);
    for (name, contents) in log.files() {
        disk.put(&name, contents);
    }
    disk.put(FIRST, bytes);
    disk
}

/// The seed of the first segment, from its header.
fn seed(bytes: &[u8]) -> Seed {
    match record::decode(bytes, Seed::of_header(1)) {
        Ok((Record::Segment(header), _)) => header.key.seed(1),
        other => panic!("no segment header: {other:?}"),
    }
}

/// Where the batches begin, and where the last one ends.
fn batches(bytes: &[u8]) -> Vec<usize> {
    let mut at = record::SEGMENT_HEADER_BYTES;
    let mut starts = vec![at];
    while let Ok(header) = record::decode_batch_header(&bytes[at..], seed(bytes)) {
        at += record::BATCH_HEADER_BYTES + header.payload_bytes as usize;
        starts.push(at);
    }
    starts
}

fn seqs(recovered: &Recovered) -> Vec<u64> {
    recovered.entries(QUEUE).iter().map(|e| e.seq).collect()
}

/// Every entry that was found has the body it was given.
fn check_bodies(store: &Store, recovered: &Recovered) {
    for seq in seqs(recovered) {
        let read = store.read(QUEUE, &[seq]).expect("readable");
        assert_eq!(read[0].1.body(), body(seq), "entry {seq}");
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_nothing_else() {
    let log = small_log();
    let whole = &log.files()[FIRST];
    let starts = batches(whole);
    let (last, end) = (starts[starts.len() - 2], starts[starts.len() - 1]);
    for at in last..=end {
        for garbage in [0u8, 0xA5] {
            let mut torn = whole.clone();
            torn[at..end].fill(garbage);
            // The last bytes may be zeros anyway.
            let complete = torn == *whole;
            let disk = with_first(&log, torn);
            let (store, mut committer, recovered) = open(&disk).expect("it opens");
            let expected: &[u64] = if complete { &[1, 3, 4, 5, 6, 7, 8, 9] } else { &[1, 2, 3, 4, 5, 6] };
            assert_eq!(seqs(&recovered), expected, "torn at {at}");
            assert_eq!(recovered.report.damage, [], "torn at {at}");
            let nothing_there = at == last && garbage == 0;
            assert_eq!(recovered.report.cut.is_some(), !complete && !nothing_there, "torn at {at}");
            check_bodies(&store, &recovered);

            // What comes next is in the log for good, and the cut is not found again.
            let message = Message::new("x", "k", b"\0\0", &body(20), true);
            store.enqueue(QUEUE, 20, &message, EntryMeta::default());
            committer.run_round();
            assert_eq!(store.durable_round(), 1);
            drop((store, committer));
            disk.restart();
            let (store, _committer, again) = open(&disk).expect("it opens");
            assert_eq!(seqs(&again), [expected, &[20]].concat(), "torn at {at}");
            check_bodies(&store, &again);
            assert_eq!((again.report.damage, again.report.cut), (Vec::new(), None), "torn at {at}");
        }
    }
}

/// The entries whose record holds this byte.
fn entries_at(bytes: &[u8], offset: usize) -> Vec<u64> {
    let mut at = record::SEGMENT_HEADER_BYTES;
    while let Ok((record, size)) = record::decode(&bytes[at..], seed(bytes)) {
        if (at..at + size).contains(&offset) {
            return match record {
                Record::Message(m) => m.entries.iter().map(|e| e.seq).collect(),
                _ => Vec::new(),
            };
        }
        at += size;
    }
    Vec::new()
}

#[test]
fn a_bit_flipped_anywhere_is_reported_and_costs_one_message_at_most() {
    let log = small_log();
    let whole = &log.files()[FIRST];
    let starts = batches(whole);
    let (last, end) = (starts[starts.len() - 2], starts[starts.len() - 1]);
    for offset in 0..end {
        let disk = with_first(&log, whole.clone());
        disk.flip_bit(FIRST, offset, offset as u8);
        let (store, _committer, recovered) = open(&disk).unwrap_or_else(|e| panic!("flip at {offset}: {e}"));
        let report = &recovered.report;
        let found = seqs(&recovered);
        if offset >= last {
            // No later batch says that this one was durable: it looks like a torn write.
            assert!(report.cut.is_some() && report.damage.is_empty(), "flip at {offset}: {report:?}");
            assert_eq!(found, [1, 2, 3, 4, 5, 6], "flip at {offset}");
        } else {
            assert!(report.cut.is_none() && report.damage.len() == 1, "flip at {offset}: {report:?}");
            let lost = if starts.iter().any(|&s| (s..s + record::BATCH_HEADER_BYTES).contains(&offset)) {
                let start = starts.iter().rev().find(|&&s| s <= offset).copied().unwrap_or(0);
                entries_at(whole, start + record::BATCH_HEADER_BYTES)
            } else {
                entries_at(whole, offset)
            };
            let expected: Vec<u64> =
                [1, 3, 4, 5, 6, 7, 8, 9].into_iter().filter(|seq| !lost.contains(seq)).collect();
            assert_eq!(found, expected, "flip at {offset}");
            let aside = report.damage[0].set_aside.as_ref().expect("bad bytes are kept");
            let name = aside.file_name().and_then(|n| n.to_str()).expect("a name");
            let kept = &disk.files()[name];
            let from = report.damage[0].offset as usize;
            assert_eq!(kept[..], disk.files()[FIRST][from..from + kept.len()], "flip at {offset}");
        }
        check_bodies(&store, &recovered);
    }
}

#[test]
fn after_a_clean_shutdown_a_bad_tail_is_corruption() {
    let disk = small_log();
    let (_, committer, _) = open(&disk).expect("it opens");
    committer.close(std::iter::empty()).expect("it closes");
    let whole = &disk.files()[FIRST];
    let starts = batches(whole);
    let last = starts[starts.len() - 2];
    disk.flip_bit(FIRST, last + record::BATCH_HEADER_BYTES + 30, 0);
    let (store, _committer, recovered) = open(&disk).expect("it opens");
    assert!(!recovered.report.clean);
    assert_eq!(recovered.report.cut, None);
    assert_eq!(recovered.report.damage.len(), 1);
    assert_eq!(seqs(&recovered), [1, 3, 4, 5, 6, 8, 9]);
    check_bodies(&store, &recovered);
}

#[test]
fn what_was_cut_and_what_is_damaged_is_logged() {
    let log = small_log();
    let whole = &log.files()[FIRST];
    let starts = batches(whole);
    let (second, last) = (starts[1], starts[starts.len() - 2]);

    let mut torn = whole.clone();
    torn[last + 20..].fill(0);
    let disk = with_first(&log, torn);
    let text = log_of(|| drop(open(&disk).expect("it opens")));
    assert!(text.contains("WARN"), "{text}");
    assert!(text.contains(&format!("segment 1 from offset {last} on")), "{text}");

    let mut damaged = whole.clone();
    damaged[second + record::BATCH_HEADER_BYTES + 30] ^= 1;
    let disk = with_first(&log, damaged);
    let text = log_of(|| drop(open(&disk).expect("it opens")));
    assert!(text.contains("ERROR"), "{text}");
    assert!(text.contains("segment 1 offset") && text.contains("kept in /log/"), "{text}");
    assert!(text.contains("`broker store check`"), "{text}");
}

#[test]
fn a_missing_segment_is_reported_and_the_others_kept() {
    let disk = Disk::new(1, 1 << 20);
    let (store, mut committer, _) = open(&disk).expect("it opens");
    let mut segment_of = BTreeMap::new();
    for seq in 1..=60 {
        let message = Message::new("x", "k", b"\0\0", &body(seq), true);
        store.enqueue(QUEUE, seq, &message, EntryMeta::default());
        committer.run_round();
        segment_of
            .insert(seq, Location::new((message.disk.id.load(Ordering::Relaxed) >> 32) as u32, 0).segment);
    }
    drop((store, committer));
    assert!(segment_of[&60] > 4);
    let without = Disk::new(2, 1 << 20);
    for (name, contents) in disk.files() {
        if name != segment::file_name(2) {
            without.put(&name, contents);
        }
    }
    let (store, mut committer, recovered) = open(&without).expect("it opens");
    assert_eq!(recovered.report.damage.len(), 1, "{:?}", recovered.report);
    let expected: Vec<u64> = (1..=60).filter(|seq| segment_of[seq] != 2).collect();
    assert_eq!(seqs(&recovered), expected);
    check_bodies(&store, &recovered);
    for seq in expected {
        store.ack(QUEUE, seq, None);
    }
    while committer.run_round() == Progress::Worked || committer.run_file_job() {}
    assert_eq!(store.failure(), None);
    assert_eq!(store.stats().segments, 1);
}

#[test]
fn a_log_of_another_version_is_refused() {
    let disk = small_log();
    let mut bytes = disk.files()[FIRST].clone();
    bytes[20] = 9;
    let crc = Seed::of_header(1).checksum(&bytes[4..record::SEGMENT_HEADER_BYTES]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    let disk = with_first(&disk, bytes);
    let Err(error) = open(&disk) else { panic!("a log of version 9 was opened") };
    assert!(matches!(error, StoreError::Version { found: 9, .. }), "{error}");
    assert!(error.to_string().contains("A newer broker wrote it"), "{error}");
}

/// A newer broker's files may look like anything behind the version: none of them is touched.
#[test]
fn a_log_whose_key_has_another_version_is_refused_and_left_alone() {
    let disk = small_log();
    let mut key = disk.files()[key::FILE_NAME].clone();
    key[12] = 9;
    key.extend_from_slice(b"more than we know");
    let crc = crc32c::crc32c(&key[4..]);
    key[..4].copy_from_slice(&crc.to_le_bytes());
    disk.put(key::FILE_NAME, key);
    disk.put(FIRST, b"unlike any segment".to_vec());
    let before = disk.files();
    let Err(error) = open(&disk) else { panic!("a log of version 9 was opened") };
    assert!(matches!(error, StoreError::Version { found: 9, .. }), "{error}");
    assert_eq!(disk.files(), before);
}

#[test]
fn the_key_is_kept_twice() {
    let log = small_log();
    let original = log.files()[key::FILE_NAME].clone();
    for damaged in [Vec::new(), vec![0; 24]] {
        let disk = with_first(&log, log.files()[FIRST].clone());
        disk.put(key::FILE_NAME, damaged);
        let (store, _committer, recovered) = open(&disk).expect("it opens");
        assert_eq!(recovered.report.damage, []);
        assert_eq!(seqs(&recovered), [1, 3, 4, 5, 6, 7, 8, 9]);
        check_bodies(&store, &recovered);
        assert_eq!(disk.files()[key::FILE_NAME], original);
    }
    let mut both = log.files()[FIRST].clone();
    both[30] ^= 1;
    let disk = with_first(&log, both);
    disk.put(key::FILE_NAME, Vec::new());
    let Err(error) = open(&disk) else { panic!("opened without a key") };
    assert!(matches!(error, StoreError::KeyLost { .. }), "{error}");
}

/// A publisher who knows the format writes records into a message's body; then that message is damaged.
#[test]
fn records_inside_a_body_are_never_taken_for_records() {
    let disk = Disk::new(1, 1 << 20);
    let (store, mut committer, _) = open(&disk).expect("it opens");
    let mut forged = Vec::new();
    for guess in [Seed::of_header(1), LogKey(0).seed(1), LogKey(1).seed(1)] {
        let mut batch = Vec::new();
        record::begin_batch_header(&mut batch);
        record::encode_purge(&mut batch, QUEUE, 100, guess);
        let durable = Location::new(9, 0);
        let header = record::BatchHeader { sequence: 3, payload_bytes: 32, records: 1, durable };
        record::finish_batch_header(&mut batch, 0, &header, guess);
        forged.extend(batch);
    }
    for seq in 1..=5 {
        let body = if seq == 3 { forged.clone() } else { body(seq) };
        let message = Message::new("xxxx", "kkkk", b"\0\0\0\0", &body, true);
        store.enqueue(QUEUE, seq, &message, EntryMeta::default());
        committer.run_round();
    }
    drop((store, committer));
    let third = batches(&disk.files()[FIRST])[2];
    disk.flip_bit(FIRST, third, 3);
    let (_store, _committer, recovered) = open(&disk).expect("it opens");
    assert_eq!(seqs(&recovered), [1, 2, 4, 5]);
    assert_eq!(recovered.report.damage.len(), 1);
}

fn text(act: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    act(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn check_says_what_is_wrong_and_repair_mends_it() {
    let disk = small_log();
    let fs: Arc<Disk> = Arc::new(disk.clone());
    let dir = Path::new("/log");
    let sound = text(|out| assert!(tool::check(fs.clone(), dir, out).expect("readable")));
    assert!(sound.contains("queue 7: 8 messages") && sound.ends_with("no damage\n"), "{sound}");
    let before = disk.files();
    let third = batches(&before[FIRST])[2];
    disk.flip_bit(FIRST, third + record::BATCH_HEADER_BYTES + 50, 1);
    let bad = text(|out| assert!(!tool::check(fs.clone(), dir, out).expect("readable")));
    let place = format!("DAMAGED: segment 1 offset {}", third + record::BATCH_HEADER_BYTES);
    assert!(bad.contains(&place) && bad.contains("queue 7: 7 messages"), "{bad}");
    assert_eq!(
        disk.files().keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>(),
        "check only reads"
    );

    let done = text(|out| assert!(tool::repair(fs.clone(), dir, options(), out).expect("it can be")));
    assert!(done.contains("repaired"), "{done}");
    let sound = text(|out| assert!(tool::check(fs.clone(), dir, out).expect("readable")));
    assert!(sound.contains("queue 7: 7 messages"), "{sound}");
    assert!(disk.files().keys().any(|name| name.starts_with("damaged-")), "the bad bytes are kept");
    let (store, _committer, recovered) = open(&disk).expect("it opens");
    assert_eq!(seqs(&recovered), [1, 4, 5, 6, 7, 8, 9]);
    assert!(recovered.entries(QUEUE).iter().all(|entry| entry.redelivered));
    check_bodies(&store, &recovered);
    // Nothing to do a second time.
    drop(store);
    assert!(!tool::repair(fs, dir, options(), &mut Vec::new()).expect("it opens"));
}

#[test]
fn dump_shows_every_record() {
    let disk = small_log();
    let starts = batches(&disk.files()[FIRST]);
    disk.flip_bit(FIRST, starts[1] + record::BATCH_HEADER_BYTES + 50, 1);
    let fs: Arc<Disk> = Arc::new(disk);
    let shown = text(|out| tool::dump(fs, Path::new("/log"), out).expect("readable"));
    for expected in [
        "segment 1: format 1, the one before ended at 0\n",
        "segment 1 offset 40: batch 1, 1 records",
        "message, exchange \"x\", key \"k\", body 17 bytes, queue 7 message 1\n",
        "BAD bytes (checksum mismatch)\n",
        "acks, queue 7 from 2 on 1\n",
        "segment 1 offset 1160: end\n",
    ] {
        assert!(shown.contains(expected), "{expected:?} in:\n{shown}");
    }
}
