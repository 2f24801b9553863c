//! Peers that do what no client should, and a pair of honest clients that must not notice.
//!
//! Everything a hostile connection does comes from a seed and its number, so that a run can be had again.

mod honest;
mod mutate;
mod session;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use lapin::options::QueueDeleteOptions;
use socket2::{Domain, Socket, Type};

use crate::process::Process;
use crate::{Broker, BrokerConfig, ChatUser, amqp};

pub use honest::Honest;

/// Hostile peers at once.
const THREADS: u64 = 16;

/// Connections held open that say nothing: more than the broker lets wait.
const SILENT: usize = 150;
const HANDSHAKES_MAX: usize = 100;

/// How long a peer listens to what the broker answers before it goes.
const LISTENS: Duration = Duration::from_millis(20);

/// The account that mutated sessions log in with: whatever becomes of them, they can name one queue and no other.
const USER: &str = "mallory";
const QUEUE: &str = "hostile";

#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub connections: u64,
    pub seed: u64,
}

/// What was seen.
#[derive(Debug)]
pub struct Report {
    pub connections: u64,
    pub took: Duration,
    /// Of the broker, in KiB: after the first tenth, at most, and at the end.
    pub rss_kib: [u64; 3],
    pub open_files: [usize; 2],
    pub honest: Honest,
    pub log_lines: usize,
    /// Lines of the broker's log that tell of a panic.
    pub panics: Vec<String>,
}

/// A broker for hostile peers, with limits that they reach.
pub fn broker() -> Broker {
    let broker = Broker::configured(&BrokerConfig {
        toml: format!(
            "[limits]\nhandshake_timeout_s = 5\nhandshakes_max = {HANDSHAKES_MAX}\n\
             [auth.sign_up.profile]\nconfigure = '^{QUEUE}$'\nwrite = '^({QUEUE}|amq\\.default)$'\n\
             read = '^{QUEUE}$'\npublish_keys = '^{QUEUE}$'\n"
        ),
        ..BrokerConfig::default()
    });
    ChatUser::without_account(&broker, USER).must(&["sign-up"]);
    broker
}

/// Lets hostile peers at the broker while honest clients use it.
pub fn run(broker: &Broker, options: Options) -> Report {
    let next = AtomicU64::new(0);
    let process = broker.process();
    let began = Instant::now();
    let honest = honest::Pair::start(broker);
    let files_before = open_files(process);
    let mut rss = [0; 3];
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.connections {
                        return;
                    }
                    attack(broker.address(), options.seed, number);
                }
            });
        }
        let mut silent = Vec::new();
        while next.load(Ordering::Relaxed) < options.connections {
            keep_silent(broker.address(), &mut silent);
            if next.load(Ordering::Relaxed) >= options.connections / 10 {
                let now = rss_kib(process);
                rss[0] = if rss[0] == 0 { now } else { rss[0] };
                rss[1] = rss[1].max(now);
            }
            delete_what_was_left(broker);
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let took = began.elapsed();
    let honest = honest.stop();
    crate::eventually("the broker lets go of all hostile connections", || {
        (open_files(process) <= files_before).then_some(())
    });
    rss[2] = rss_kib(process);
    let log = process.stderr();
    Report {
        connections: options.connections,
        took,
        rss_kib: rss,
        open_files: [files_before, open_files(process)],
        honest,
        log_lines: log.len(),
        panics: log.into_iter().filter(|line| tells_of_panic(line)).collect(),
    }
}

fn tells_of_panic(line: &str) -> bool {
    line.contains("panicked") || line.contains("task failed")
}

/// One hostile connection from its first byte to its last.
fn attack(broker: SocketAddr, seed: u64, number: u64) {
    let mut rng = Rng::with_seed(seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    let Some(mut stream) = dial(broker, &mut rng) else { return };
    let bytes = mutate::bytes(&mut rng, ChatUser::PASSWORD);
    let piece = if rng.u8(..) < 32 { rng.usize(1..=bytes.len().max(1)) } else { bytes.len().max(1) };
    for piece in bytes.chunks(piece) {
        // The broker may have closed it long before.
        if stream.write_all(piece).is_err() {
            return;
        }
    }
    if rng.bool() {
        listen(&mut stream);
    }
}

/// From any of this machine's addresses. Ends with a reset, so that no port of ours waits for its time.
fn dial(broker: SocketAddr, rng: &mut Rng) -> Option<TcpStream> {
    dial_from(Ipv4Addr::new(127, rng.u8(..), rng.u8(..), rng.u8(1..=254)), broker)
}

fn dial_from(from: Ipv4Addr, broker: SocketAddr) -> Option<TcpStream> {
    let connect = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_linger(Some(Duration::ZERO))?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        socket.connect_timeout(&broker.into(), Duration::from_secs(5))?;
        socket.set_write_timeout(Some(Duration::from_millis(200)))?;
        socket.set_read_timeout(Some(LISTENS))?;
        Ok::<_, std::io::Error>(TcpStream::from(socket))
    };
    connect().ok()
}

fn listen(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let end = Instant::now() + 4 * LISTENS;
    while Instant::now() < end {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
            Err(_) => return,
        }
    }
}

/// Keeps so many connections open that have sent half a header at most.
fn keep_silent(broker: SocketAddr, silent: &mut Vec<TcpStream>) {
    silent.retain_mut(|stream| {
        let mut octet = [0];
        !matches!(stream.read(&mut octet), Ok(0)) && stream.write_all(b"").is_ok()
    });
    while silent.len() < SILENT {
        // All from one address, which is not the honest clients'.
        let Some(mut stream) = dial_from(Ipv4Addr::new(127, 66, 66, 66), broker) else { return };
        let is_set_up = stream.set_read_timeout(Some(Duration::from_millis(1))).is_ok()
            && stream.write_all(&b"AMQP"[..silent.len() % 5]).is_ok();
        if !is_set_up {
            return;
        }
        silent.push(stream);
    }
}

/// The one queue that mutated sessions can name may have become durable, or full.
fn delete_what_was_left(broker: &Broker) {
    amqp::run(async {
        let connection = amqp::connect(&broker.guest_url()).await;
        let channel = amqp::channel(&connection).await;
        // Locked by a session that is open, or just not there.
        let _ = channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await;
        let _ = connection.close(200, "".into()).await;
    });
}

fn rss_kib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn open_files(process: &Process) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", process.id())).map_or(0, Iterator::count)
}
