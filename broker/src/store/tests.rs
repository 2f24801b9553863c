//! The store on real files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use super::fs::RealFs;
use super::*;

const A: QueueId = QueueId(11);
const B: QueueId = QueueId(12);

fn options() -> StoreOptions {
    StoreOptions { segment_bytes: 64 << 10, disk_free_min_bytes: 0, ..StoreOptions::default() }
}

fn open(dir: &Path) -> (Store, Recovered) {
    Store::open(Arc::new(RealFs), dir, options(), &|_| true).expect("the store opens")
}

fn open_manual(dir: &Path) -> (Store, Committer, Recovered) {
    Store::open_manual(Arc::new(RealFs), dir, options(), &|_| true).expect("the store opens")
}

fn message(body: &str) -> Message {
    Message::new("x", "key", b"\x00\x00", body.as_bytes(), true)
}

struct Tell(Sender<Round>);

impl DurableListener for Tell {
    fn durable(&self, durable: Round) {
        self.0.send(durable).expect("the test waits");
    }
}

fn wait_durable(store: &Store, round: Round) {
    let (tell, told) = channel();
    store.on_durable(round, Arc::new(Tell(tell)));
    let durable = told.recv().expect("the listener is called");
    assert!(durable >= round, "{:?}", store.failure());
}

fn run(committer: &mut Committer) {
    loop {
        let worked = committer.run_round() == Progress::Worked;
        if !(committer.run_file_job() || worked) {
            return;
        }
    }
}

fn seqs(recovered: &Recovered, queue: QueueId) -> Vec<u64> {
    recovered.entries(queue).iter().map(|e| e.seq).collect()
}

fn body(store: &Store, queue: QueueId, seq: u64) -> String {
    let read = store.read(queue, &[seq]).expect("it is readable");
    assert_eq!(read.len(), 1, "entry {seq} is there");
    String::from_utf8(read[0].1.body().to_vec()).expect("UTF-8")
}

#[test]
fn a_confirmed_message_survives_and_an_acked_one_does_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, recovered) = open(dir.path());
    assert!(recovered.next_seqs.is_empty());
    store.enqueue(A, 1, &message("one"), EntryMeta { expires_at_ms: 77, priority: 3 });
    let two = message("two");
    let round = store.enqueue(A, 2, &two, EntryMeta::default());
    wait_durable(&store, round);
    assert_eq!(body(&store, A, 1), "one");
    wait_durable(&store, store.ack(A, 2, Some(&two)));
    drop(store);

    let (store, recovered) = open(dir.path());
    assert!(!recovered.report.clean);
    assert_eq!(recovered.next_seqs[&A], 3);
    let entry = RecoveredEntry {
        seq: 1,
        body_len: 3,
        redelivered: true,
        meta: EntryMeta { expires_at_ms: 77, priority: 3 },
    };
    assert_eq!(recovered.entries(A), [entry]);
    assert_eq!(body(&store, A, 1), "one");
    assert!(store.read(A, &[2]).expect("no error").is_empty());
}

#[test]
fn a_clean_shutdown_remembers_exactly_what_was_delivered() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(dir.path());
    for seq in 1..=5 {
        store.enqueue(A, seq, &message("m"), EntryMeta::default());
    }
    store.close([(A, 2), (A, 3)].into_iter()).expect("it closes");
    let redelivered =
        |recovered: &Recovered| -> Vec<bool> { recovered.entries(A).iter().map(|e| e.redelivered).collect() };
    let (store, recovered) = open(dir.path());
    assert!(recovered.report.clean);
    assert_eq!(redelivered(&recovered), [false, true, true, false, false]);
    // Now without a clean shutdown: the old note must not count.
    drop(store);
    let (_store, recovered) = open(dir.path());
    assert!(!recovered.report.clean);
    assert_eq!(redelivered(&recovered), [true; 5]);
}

#[test]
fn a_fanout_is_written_once_and_each_queue_gives_it_up_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut committer, _) = open_manual(dir.path());
    let shared = message(&"x".repeat(10_000));
    for queue in 1..=10 {
        store.enqueue(QueueId(queue), 1, &shared, EntryMeta::default());
    }
    run(&mut committer);
    // Later, in another round, and mixed with another message.
    store.enqueue(QueueId(11), 1, &shared, EntryMeta::default());
    store.enqueue(QueueId(11), 2, &message("other"), EntryMeta::default());
    store.enqueue(QueueId(12), 1, &shared, EntryMeta { expires_at_ms: 5, priority: 0 });
    run(&mut committer);
    assert!(store.stats().bytes_written < 12_000, "{:?}", store.stats());
    assert_eq!((store.stats().messages, store.stats().entries), (2, 13));
    for queue in 1..=10 {
        store.ack(QueueId(queue), 1, Some(&shared));
    }
    run(&mut committer);
    drop((store, committer));

    let (store, _committer, recovered) = open_manual(dir.path());
    assert!(seqs(&recovered, QueueId(1)).is_empty());
    assert_eq!(seqs(&recovered, QueueId(11)), [1, 2]);
    assert_eq!(recovered.entries(QueueId(12))[0].meta.expires_at_ms, 5);
    assert_eq!(body(&store, QueueId(12), 1).len(), 10_000);
}

#[test]
fn what_is_acked_before_its_round_is_never_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut committer, _) = open_manual(dir.path());
    for seq in 1..=100 {
        let m = message("gone at once");
        store.enqueue(A, seq, &m, EntryMeta::default());
        store.ack(A, seq, Some(&m));
    }
    run(&mut committer);
    let stats = store.stats();
    assert_eq!((stats.bytes_written, stats.syncs, stats.elided), (0, 0, 100));
    assert_eq!(store.durable_round(), 1);
}

#[test]
fn acks_alone_are_written_without_a_sync() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut committer, _) = open_manual(dir.path());
    store.enqueue(A, 1, &message("m"), EntryMeta::default());
    run(&mut committer);
    let before = store.stats();
    let round = store.ack(A, 1, None);
    run(&mut committer);
    let after = store.stats();
    assert_eq!(store.durable_round(), round);
    assert_eq!(after.syncs, before.syncs);
    assert!(after.bytes_written > before.bytes_written);
}

/// What tx.commit-ok and purge-ok promise beside acks.
#[test]
fn behind_a_barrier_acks_are_synced() {
    let disk = sim::Disk::new(3, 4 << 20);
    let open = || {
        Store::open_manual(Arc::new(disk.clone()), Path::new("/log"), options(), &|_| true).expect("opens")
    };
    let (store, mut committer, _) = open();
    store.enqueue(A, 1, &message("m"), EntryMeta::default());
    run(&mut committer);
    store.ack(A, 1, None);
    run(&mut committer);
    let before = store.stats();
    let round = store.barrier();
    assert!(store.durable_round() < round);
    run(&mut committer);
    assert_eq!(store.durable_round(), round);
    assert_eq!(store.stats().syncs, before.syncs + 1);
    drop((store, committer));
    disk.restart();
    let (_store, _committer, recovered) = open();
    assert!(seqs(&recovered, A).is_empty());
}

#[test]
fn a_barrier_waits_for_acks_that_found_no_space() {
    let disk = sim::Disk::new(3, 64 << 10);
    let (store, mut committer, _) =
        Store::open_manual(Arc::new(disk.clone()), Path::new("/log"), options(), &|_| true).expect("opens");
    let mut seq = 0;
    while !store.blocked() {
        seq += 1;
        store.enqueue(A, seq, &message(&"x".repeat(200)), EntryMeta::default());
        run(&mut committer);
    }
    // Acks that are each a run of their own, more than the reserve takes.
    for queue in 0..2000 {
        let message = message("y");
        store.enqueue(QueueId(100 + queue), 1, &message, EntryMeta::default());
    }
    for queue in 0..2000 {
        store.ack(QueueId(100 + queue), 1, None);
    }
    let round = store.barrier();
    run(&mut committer);
    assert!(store.blocked());
    assert!(store.durable_round() < round, "the barrier came before what it stands behind");
    disk.set_capacity(64 << 20);
    run(&mut committer);
    run(&mut committer);
    assert_eq!(store.durable_round(), round);
}

#[test]
fn on_a_full_disk_there_is_room_for_what_makes_space() {
    let disk = sim::Disk::new(5, 8 * (64 << 10));
    let (store, mut committer, _) =
        Store::open_manual(Arc::new(disk), Path::new("/log"), options(), &|_| true).expect("opens");
    let mut seq = 0;
    while !store.blocked() {
        // More at once than what is left of a file would take.
        for _ in 0..500 {
            seq += 1;
            store.enqueue(A, seq, &message(&"x".repeat(200)), EntryMeta::default());
        }
        run(&mut committer);
    }
    // One of four stays: no file becomes free without copies.
    for acked in (1..=seq).filter(|seq| seq % 4 != 0) {
        store.ack(A, acked, None);
    }
    let round = store.enqueue(B, 1, &message("new"), EntryMeta::default());
    for _ in 0..3 {
        run(&mut committer);
    }
    assert!(!store.blocked(), "{committer:?}");
    assert!(store.durable_round() >= round);
    assert_eq!(store.stats().entries, seq / 4 + 1);
}

/// Also while nobody hands anything in: publishers, who would, are held.
#[test]
fn space_that_comes_back_and_a_limit_that_is_lowered_are_noticed() {
    let disk = sim::Disk::new(7, 1 << 20);
    let options = StoreOptions { disk_free_min_bytes: 8 << 20, ..options() };
    let (store, _) =
        Store::open(Arc::new(disk.clone()), Path::new("/log"), options, &|_| true).expect("opens");
    let mut blocked = store.watch_blocked();
    let mut wait_for = |wanted: bool| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let changed = blocked.wait_for(|&blocked| blocked == wanted);
        let waited =
            async { tokio::time::timeout(std::time::Duration::from_secs(20), changed).await.is_ok() };
        assert!(runtime.block_on(waited), "blocked is never {wanted}");
    };
    store.enqueue(A, 1, &message("m"), EntryMeta::default());
    wait_for(true);
    disk.set_capacity(64 << 20);
    wait_for(false);
    store.set_disk_free_min_bytes(65 << 20);
    wait_for(true);
    store.set_disk_free_min_bytes(0);
    wait_for(false);
}

#[test]
fn a_purge_and_an_unknown_queue_stay_gone() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut committer, _) = open_manual(dir.path());
    let shared = message("shared");
    // The message came into the log through a queue that is deleted later.
    store.enqueue(B, 1, &shared, EntryMeta::default());
    run(&mut committer);
    store.enqueue(A, 1, &shared, EntryMeta::default());
    for seq in 2..=5 {
        store.enqueue(A, seq, &message("m"), EntryMeta::default());
    }
    store.purge(A, 3);
    store.enqueue(A, 6, &shared, EntryMeta::default());
    store.delete_queue(B);
    run(&mut committer);
    assert_eq!(store.stats().entries, 3);
    drop((store, committer));

    let known = |queue| queue != B;
    let (store, _committer, recovered) =
        Store::open_manual(Arc::new(RealFs), dir.path(), options(), &known).expect("it opens");
    assert_eq!(seqs(&recovered, A), [4, 5, 6]);
    assert!(!recovered.next_seqs.contains_key(&B));
    assert_eq!(recovered.report.entries_of_unknown_queues, 1);
    assert_eq!(body(&store, A, 6), "shared");
    assert_eq!(store.stats().entries, 3);
}

#[test]
fn messages_larger_than_a_segment_get_one_of_their_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut committer, _) = open_manual(dir.path());
    let sizes = [10, 200_000, 63 << 10, 64 << 10, 1_000_000, 10];
    for (seq, size) in sizes.into_iter().enumerate() {
        store.enqueue(A, seq as u64 + 1, &message(&"y".repeat(size)), EntryMeta::default());
    }
    run(&mut committer);
    for (seq, size) in sizes.into_iter().enumerate() {
        assert_eq!(body(&store, A, seq as u64 + 1).len(), size);
    }
    drop((store, committer));
    let (store, _committer, recovered) = open_manual(dir.path());
    assert_eq!(seqs(&recovered, A), [1, 2, 3, 4, 5, 6]);
    for (seq, size) in sizes.into_iter().enumerate() {
        assert_eq!(body(&store, A, seq as u64 + 1).len(), size);
    }
}

/// What is on disk now is at most twice what is alive and two segments.
fn assert_within_factor(store: &Store) {
    let stats = store.stats();
    let limit = 2 * stats.live_bytes + 2 * u64::from(options().segment_bytes);
    assert!(stats.disk_bytes <= limit, "{stats:?}");
}

#[test]
fn one_old_message_in_each_queue_does_not_pin_the_disk() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut committer, _) = open_manual(dir.path());
    let mut alive = BTreeMap::new();
    let mut seq = 0;
    for round in 0..200 {
        for queue in 1..=20 {
            for _ in 0..5 {
                seq += 1;
                let text = format!("{queue}/{seq}/{}", "z".repeat(200));
                let old = round == 0 || round % 50 == queue % 50;
                let m = message(&text);
                store.enqueue(QueueId(queue), seq, &m, EntryMeta::default());
                if old {
                    alive.insert((queue, seq), text);
                }
            }
        }
        run(&mut committer);
        for queue in 1..=20 {
            for s in seq - 99..=seq {
                if !alive.contains_key(&(queue, s)) {
                    store.ack(QueueId(queue), s, None);
                }
            }
        }
        run(&mut committer);
        assert_within_factor(&store);
    }
    assert!(store.stats().compaction_bytes > 0);
    assert_eq!(store.stats().entries, alive.len() as u64);
    drop((store, committer));
    let (store, mut committer, recovered) = open_manual(dir.path());
    let mut found: HashMap<u64, Vec<u64>> = HashMap::new();
    for &(queue, seq) in alive.keys() {
        found.entry(queue).or_default().push(seq);
        assert_eq!(body(&store, QueueId(queue), seq), alive[&(queue, seq)]);
    }
    for (queue, expected) in found {
        assert_eq!(seqs(&recovered, QueueId(queue)), expected);
    }
    // Everything goes: what stays is the newest segment and one in reserve.
    for &(queue, seq) in alive.keys() {
        store.ack(QueueId(queue), seq, None);
    }
    run(&mut committer);
    assert!(store.stats().disk_bytes <= 2 * u64::from(options().segment_bytes), "{:?}", store.stats());
}

#[test]
fn compaction_keeps_up_with_rounds_of_many_batches() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = StoreOptions {
        segment_bytes: 1 << 20,
        compaction_slice_bytes: 4 << 10,
        disk_free_min_bytes: 0,
        ..StoreOptions::default()
    };
    let limit = |stats: &StoreStats| 2 * stats.live_bytes + 2 * u64::from(options.segment_bytes);
    let (store, mut committer, _) =
        Store::open_manual(Arc::new(RealFs), dir.path(), options.clone(), &|_| true)
            .expect("the store opens");
    // Old messages all over the first 20 MiB of the log.
    for seq in 1..=20_000 {
        let queue = if seq % 10 == 0 { A } else { B };
        store.enqueue(queue, seq, &message(&"o".repeat(1000)), EntryMeta::default());
    }
    committer.run_round();
    store.purge(B, 20_000);
    // Then rounds of 2 MiB, one directly after the other, each acked in the next one.
    for round in 0..40u64 {
        let first = 20_001 + round * 2000;
        for seq in first..first + 2000 {
            store.enqueue(B, seq, &message(&"n".repeat(1000)), EntryMeta::default());
        }
        store.purge(B, first - 1);
        committer.run_round();
        while committer.run_file_job() {}
    }
    let stats = store.stats();
    assert!(stats.disk_bytes <= limit(&stats), "{stats:?}");
}

#[test]
fn a_store_without_batch_numbers_left_confirms_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut committer, _) = open_manual(dir.path());
    committer.batch_sequence = u64::MAX;
    let round = store.enqueue(A, 1, &message("m"), EntryMeta::default());
    assert_eq!(committer.run_round(), Progress::Failed);
    assert!(store.durable_round() < round);
    assert!(store.failure().expect("it failed").reason.contains("batch numbers"));
    drop((store, committer));
    let (_store, _committer, recovered) = open_manual(dir.path());
    assert!(recovered.next_seqs.is_empty());
}

#[test]
fn many_threads_hand_in_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(dir.path());
    std::thread::scope(|scope| {
        for queue in 1..=4 {
            let store = &store;
            scope.spawn(move || {
                let mut last = 0;
                for seq in 1..=2000 {
                    let _cork = (seq % 2 == 0).then(|| store.cork());
                    let m = message(&format!("{queue}:{seq}"));
                    last = store.enqueue(QueueId(queue), seq, &m, EntryMeta::default());
                    if seq % 3 != 0 {
                        last = store.ack(QueueId(queue), seq, (seq % 3 == 1).then_some(&m));
                    }
                }
                wait_durable(store, last);
            });
        }
    });
    drop(store);
    let (store, recovered) = open(dir.path());
    for queue in 1..=4 {
        let expected: Vec<u64> = (1..=2000).filter(|seq| seq % 3 == 0).collect();
        assert_eq!(seqs(&recovered, QueueId(queue)), expected);
        let read = store.read(QueueId(queue), &expected).expect("readable");
        for (seq, m) in read {
            assert_eq!(m.body(), format!("{queue}:{seq}").as_bytes());
        }
    }
}
