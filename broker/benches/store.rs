//! The store beside what the disk can do, in the same run: `cargo bench -p broker --bench store [-- DIR]`.
//!
//! Prints ratios to the raw figures, because machines differ and their neighbours too. The folder should be on
//! the disk in question; `/tmp` may be memory.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use broker::message::Message;
use broker::store::fs::RealFs;
use broker::store::{DurableListener, EntryMeta, QueueId, Round, Store, StoreOptions, StoreStats};

/// As the broker has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const QUEUE: QueueId = QueueId(1);

struct Tell(Sender<()>);

impl DurableListener for Tell {
    fn durable(&self, _durable: Round) {
        // The bench may be done with waiting.
        let _ = self.0.send(());
    }
}

struct Bench {
    store: Store,
    listener: Arc<dyn DurableListener>,
    told: Receiver<()>,
    seq: u64,
}

impl Bench {
    fn open(dir: &Path) -> Bench {
        let (store, _) =
            Store::open(Arc::new(RealFs), dir, StoreOptions::default(), &|_| true).expect("opens");
        let (tell, told) = channel();
        Bench { store, listener: Arc::new(Tell(tell)), told, seq: 0 }
    }

    fn wait(&self, round: Round) {
        self.store.on_durable(round, self.listener.clone());
        self.told.recv().expect("the store tells");
        assert!(self.store.failure().is_none());
    }

    /// Enqueues one batch of new messages as a connection does with one socket read; the last round.
    fn publish(&mut self, count: usize, body: &[u8]) -> Round {
        let _cork = self.store.cork();
        let mut round = 0;
        for _ in 0..count {
            self.seq += 1;
            let message = Message::new("", "queue", b"\x10\x00\x02", body, true);
            round = self.store.enqueue(QUEUE, self.seq, &message, EntryMeta::default());
        }
        round
    }
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn fresh(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).expect("the folder can be emptied");
    }
    std::fs::create_dir_all(&path).expect("the folder can be made");
    path
}

/// Append and fdatasync into a preallocated file, alternating with the store so that both see the same disk.
fn commit_latency(dir: &Path, batch: usize, body_len: usize, rounds: usize) {
    let body = vec![7u8; body_len];
    let raw_path = fresh(dir, "raw").join("file");
    let raw = OpenOptions::new().create(true).truncate(true).write(true).open(&raw_path).expect("raw file");
    let record = vec![9u8; batch * (body_len + 48)];
    rustix::fs::fallocate(&raw, rustix::fs::FallocateFlags::empty(), 0, (record.len() * (rounds + 1)) as u64)
        .expect("space");
    raw.sync_all().expect("sync");
    let mut bench = Bench::open(&fresh(dir, "store"));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let first = bench.publish(1, &body);
    bench.wait(first);
    let before = bench.store.stats();
    for i in 0..rounds {
        let start = Instant::now();
        let round = bench.publish(batch, &body);
        bench.wait(round);
        ours.push(start.elapsed());
        let start = Instant::now();
        raw.write_all_at(&record, (i * record.len()) as u64).expect("raw write");
        raw.sync_data().expect("raw sync");
        theirs.push(start.elapsed());
    }
    let after = bench.store.stats();
    let (p50, raw50) = (percentile(&mut ours, 50), percentile(&mut theirs, 50));
    println!(
        "commit {batch:>4} x {body_len} B: p50 {:>7.0} us, raw {:>7.0} us, ratio {:.2}; p99 {:.0} us, raw {:.0} us; \
         {:.2} syncs per batch, {:.2} bytes written per payload byte",
        micros(p50),
        micros(raw50),
        micros(p50) / micros(raw50),
        micros(percentile(&mut ours, 99)),
        micros(percentile(&mut theirs, 99)),
        (after.syncs - before.syncs) as f64 / rounds as f64,
        (after.bytes_written - before.bytes_written) as f64 / (rounds * batch * body_len) as f64,
    );
}

/// Groups as they come from a publisher that does not stop: the next is made while one is synced. In turns with raw
/// appends of as many bytes, each synced.
fn commit_rate(dir: &Path, batch: usize, body_len: usize, turns: usize) {
    const GROUPS: usize = 25;
    let body = vec![7u8; body_len];
    let record = vec![9u8; batch * (body_len + 48)];
    let path = fresh(dir, "raw").join("file");
    let raw = OpenOptions::new().create(true).truncate(true).write(true).open(path).expect("raw file");
    let size = (record.len() * GROUPS * turns) as u64;
    rustix::fs::fallocate(&raw, rustix::fs::FallocateFlags::empty(), 0, size).expect("space");
    raw.sync_all().expect("sync");
    let mut bench = Bench::open(&fresh(dir, "store"));
    let first = bench.publish(1, &body);
    bench.wait(first);
    let before = bench.store.stats();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..turns {
        let start = Instant::now();
        let mut before_last = bench.publish(batch, &body);
        for _ in 1..GROUPS {
            let last = bench.publish(batch, &body);
            bench.wait(before_last);
            before_last = last;
        }
        bench.wait(before_last);
        ours.push(start.elapsed());
        let start = Instant::now();
        for group in 0..GROUPS {
            raw.write_all_at(&record, ((turn * GROUPS + group) * record.len()) as u64).expect("raw write");
            raw.sync_data().expect("raw sync");
        }
        theirs.push(start.elapsed());
    }
    let after = bench.store.stats();
    let per_second = |time: Duration| (GROUPS * batch) as f64 / time.as_secs_f64();
    let (p50, raw50) = (per_second(percentile(&mut ours, 50)), per_second(percentile(&mut theirs, 50)));
    println!(
        "commits of {batch} x {body_len} B in a row: {:.0} k/s, raw {:.0} k/s, ratio {:.2}; {:.2} syncs per group",
        p50 / 1e3,
        raw50 / 1e3,
        p50 / raw50,
        (after.syncs - before.syncs) as f64 / (GROUPS * turns) as f64,
    );
}

/// Processor time of this process.
fn cpu() -> Duration {
    let usage = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = usage.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap_or(0) + fields[12].parse::<u64>().unwrap_or(0);
    Duration::from_millis(ticks * 10)
}

fn raw_sequential_write(dir: &Path, bytes: usize) -> f64 {
    let path = fresh(dir, "raw").join("file");
    let mut file = std::fs::File::create(path).expect("raw file");
    let block = vec![5u8; 1 << 20];
    let start = Instant::now();
    for i in 0..bytes / block.len() {
        file.write_all(&block).expect("raw write");
        if i % 8 == 7 {
            file.sync_data().expect("raw sync");
        }
    }
    file.sync_all().expect("raw sync");
    bytes as f64 / start.elapsed().as_secs_f64() / 1e6
}

/// The log's own files, because one that was written at another time or otherwise may be read at twice the speed.
fn raw_sequential_read(log: &Path) -> f64 {
    let entries = std::fs::read_dir(log).expect("the log's folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    paths.sort();
    let mut block = vec![0u8; 1 << 20];
    let (start, mut bytes) = (Instant::now(), 0);
    for path in paths {
        let mut file = std::fs::File::open(path).expect("a segment");
        // As for recovery, which says so too.
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential).expect("Linux");
        loop {
            match file.read(&mut block).expect("raw read") {
                0 => break,
                n => bytes += n,
            }
        }
    }
    bytes as f64 / start.elapsed().as_secs_f64() / 1e6
}

/// Says whether files are read from the disk from now on. Only root may.
fn drop_caches() -> bool {
    let synced = std::process::Command::new("sync").status();
    synced.is_ok_and(|status| status.success()) && std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// A backlog as fast as it goes: filled, recovered, drained.
fn backlog(dir: &Path, messages: usize, body_len: usize) {
    let payload = messages * body_len;
    let raw_write = raw_sequential_write(dir, payload);
    let path = fresh(dir, "store");
    let mut bench = Bench::open(&path);
    let body = vec![7u8; body_len];
    let (start, cpu_start) = (Instant::now(), cpu());
    let mut last = 0;
    for _ in 0..messages / 512 {
        last = bench.publish(512, &body);
        while bench.store.backlog_bytes() > 64 << 20 {
            std::thread::yield_now();
        }
    }
    bench.wait(last);
    let fill = start.elapsed();
    let cpu_fill = cpu() - cpu_start;
    let stats = bench.store.stats();
    let fill_rate = payload as f64 / fill.as_secs_f64() / 1e6;
    println!(
        "fill {messages} x {body_len} B: {:.0} k/s, {fill_rate:.0} MB/s, raw {raw_write:.0} MB/s, ratio {:.2}; \
         {:.2} us CPU per message, {:.2} bytes written per payload byte, {:.1} index bytes per message",
        messages as f64 / fill.as_secs_f64() / 1e3,
        fill_rate / raw_write,
        micros(cpu_fill) / messages as f64,
        stats.bytes_written as f64 / payload as f64,
        bench.store.index_memory_bytes() as f64 / messages as f64,
    );
    drop(bench);
    recover(&path, &stats);
    drain(&path, messages, fill);
}

/// From the disk, and from the operating system's memory as after a crash of the broker alone; in turns with reading
/// the same files and nothing else.
fn recover(path: &Path, stats: &StoreStats) {
    const TURNS: usize = 5;
    for (from, cold) in [("disk", true), ("memory", false)] {
        if cold && !drop_caches() {
            println!("recover from disk: not measured, only root may empty the system's caches");
            continue;
        }
        let (mut ours, mut raw) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let prepare = || if cold { drop_caches() } else { raw_sequential_read(path) > 0.0 };
            prepare();
            raw.push(raw_sequential_read(path));
            prepare();
            ours.push(recover_once(path, stats));
        }
        let median = |rates: &mut Vec<f64>| {
            rates.sort_by(f64::total_cmp);
            rates[TURNS / 2]
        };
        let (ours, raw) = (median(&mut ours), median(&mut raw));
        println!(
            "recover {} messages from {from}: {ours:.0} MB/s, raw {raw:.0} MB/s, ratio {:.2}",
            stats.messages,
            ours / raw
        );
    }
}

/// MB/s.
fn recover_once(path: &Path, stats: &StoreStats) -> f64 {
    let start = Instant::now();
    let (store, recovered) =
        Store::open(Arc::new(RealFs), path, StoreOptions::default(), &|_| true).expect("it opens");
    let time = start.elapsed();
    assert_eq!(recovered.report.messages, stats.messages);
    drop(store);
    recovered.report.bytes_read as f64 / time.as_secs_f64() / 1e6
}

/// Reads and acks everything in order.
fn drain(path: &Path, messages: usize, fill: Duration) {
    let bench = Bench::open(path);
    let start = Instant::now();
    let mut round = 0;
    let all: Vec<u64> = (1..=messages as u64).collect();
    for seqs in all.chunks(512) {
        let read = bench.store.read(QUEUE, seqs).expect("readable");
        round = bench.store.ack_many(QUEUE, read.iter().map(|(seq, message)| (*seq, Some(message))));
    }
    bench.wait(round);
    let time = start.elapsed();
    let settle = Instant::now();
    while bench.store.stats().segments > 1 && settle.elapsed() < Duration::from_secs(10) {
        std::thread::yield_now();
    }
    let stats = bench.store.stats();
    println!(
        "drain: {:.0} k/s, ratio to fill {:.2}; {} segments and {} MiB left, {} MiB copied",
        messages as f64 / time.as_secs_f64() / 1e3,
        fill.as_secs_f64() / time.as_secs_f64(),
        stats.segments,
        stats.disk_bytes >> 20,
        stats.compaction_bytes >> 20,
    );
}

fn many_queues(dir: &Path, queues: u64) {
    let (store, _) = Store::open(Arc::new(RealFs), &fresh(dir, "store"), StoreOptions::default(), &|_| true)
        .expect("opens");
    let mut round = 0;
    let start = Instant::now();
    for seq in 1..=3 {
        for i in 0..queues {
            // Visits every queue in an order that looks random.
            let queue = QueueId(1 + i.wrapping_mul(2_654_435_761) % queues);
            let message = Message::new("", "q", b"", &[1; 300], true);
            round = store.enqueue(queue, seq, &message, EntryMeta::default());
        }
    }
    let (tell, told) = channel();
    store.on_durable(round, Arc::new(Tell(tell)));
    told.recv().expect("the store tells");
    let time = start.elapsed();
    println!(
        "{queues} queues x 3: {:.0} k/s, {:.0} index bytes per queue beside 16 per message",
        3.0 * queues as f64 / time.as_secs_f64() / 1e3,
        store.index_memory_bytes() as f64 / queues as f64 - 3.0 * 16.0,
    );
}

/// A flow through one queue, each batch acked once it is durable: the times of its commits, and the largest size of
/// the log beside what it may be.
fn flow(bench: &mut Bench, batches: usize) -> (Vec<Duration>, f64) {
    let segment_bytes = u64::from(StoreOptions::default().segment_bytes);
    let (mut times, mut worst) = (Vec::new(), 0.0f64);
    for _ in 0..batches {
        let start = Instant::now();
        let first = bench.seq + 1;
        let round = bench.publish(512, &[7; 300]);
        bench.wait(round);
        times.push(start.elapsed());
        bench.store.ack_many(QUEUE, (first..=bench.seq).map(|seq| (seq, None)));
        let stats = bench.store.stats();
        let limit = 2 * stats.live_bytes + 2 * segment_bytes;
        worst = worst.max(stats.disk_bytes as f64 / limit as f64);
    }
    (times, worst)
}

/// One old message that nobody acks in every queue, and a flow through another queue that would leave them behind in
/// ever more files.
fn compaction(dir: &Path, queues: u64, batches: usize) {
    let mut bench = Bench::open(&fresh(dir, "store"));
    let (mut alone, _) = flow(&mut bench, batches);
    let mut round = 0;
    for (done, queue) in (2..queues + 2).enumerate() {
        let message = Message::new("", "q", b"", &[1; 300], true);
        round = bench.store.enqueue(QueueId(queue), 1, &message, EntryMeta::default());
        // A few of them in each file: all over the log.
        if done % (queues as usize / 50) == 0 {
            flow(&mut bench, batches / 50);
        }
    }
    bench.wait(round);
    let before = bench.store.stats();
    let (mut beside, worst) = flow(&mut bench, batches);
    let after = bench.store.stats();
    let payload = (batches * 512 * 300) as f64;
    println!(
        "compaction with an old message in {queues} queues: the log took at most {:.0} % of its bound (2x what is alive \
         and 2 files); {:.2} bytes copied per payload byte; commit p50 {:.0} us (without old messages {:.0}), p99 {:.0} \
         us ({:.0})",
        worst * 100.0,
        (after.compaction_bytes - before.compaction_bytes) as f64 / payload,
        micros(percentile(&mut beside, 50)),
        micros(percentile(&mut alone, 50)),
        micros(percentile(&mut beside, 99)),
        micros(percentile(&mut alone, 99)),
    );
}

fn main() {
    // cargo passes `--bench`.
    let dir = std::env::args().skip(1).find(|word| !word.starts_with("--"));
    let dir =
        dir.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("store-bench"), PathBuf::from);
    std::fs::create_dir_all(&dir).expect("the folder can be made");
    println!("in {}", dir.display());
    for (batch, rounds) in [(1, 2000), (32, 2000), (512, 500)] {
        commit_latency(&dir, batch, 300, rounds);
    }
    commit_rate(&dir, 512, 300, 20);
    backlog(&dir, 2_000_384, 300);
    backlog(&dir, 1_000_448, 1024);
    many_queues(&dir, 100_000);
    compaction(&dir, 100_000, 4000);
    std::fs::remove_dir_all(&dir).expect("the folder can be removed");
}
