//! The real binary, killed in the middle of work and started again on the same folder.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use broker::amqp::{Method, basic, confirm, exchange, queue};
use tempfile::TempDir;

use crate::harness::*;

struct Process {
    child: Child,
    addr: SocketAddr,
}

impl Process {
    fn start(dir: &Path) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_broker"))
            .args(["--listen", "127.0.0.1:0", "--log", "error", "--data-dir"])
            .arg(dir)
            .env_clear()
            .env("WARREN_STORE_SEGMENT_BYTES", "1048576")
            .env("WARREN_LIMITS_DISK_FREE_MIN_BYTES", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim().strip_prefix("listening on amqp://").expect(&line).parse().unwrap();
        Process { child, addr }
    }

    fn connect(&self) -> Client {
        let mut client = Client::open(self.addr, &Login::default());
        client.open_channel(1);
        client
    }

    /// SIGKILL, in the middle of whatever it does.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is known of the messages from outside, whatever happened to the broker.
#[derive(Default)]
struct Ledger {
    next: AtomicU64,
    confirmed: Mutex<BTreeSet<u64>>,
    /// An acknowledgement was sent; whether it arrived nobody knows.
    acked: Mutex<BTreeSet<u64>>,
}

/// Publishes until the connection is lost, and notes what was confirmed.
fn publish_until_lost(mut client: Client, ledger: &Ledger) {
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    let mut open: Vec<(u64, u64)> = Vec::new();
    let mut tag = 0;
    loop {
        let mut bytes = Vec::new();
        for _ in 0..20 {
            tag += 1;
            let number = ledger.next.fetch_add(1, Ordering::Relaxed);
            open.push((tag, number));
            let body = format!("{number:08}{}", "x".repeat(number as usize % 3000));
            bytes.extend(encode_content(
                1,
                publish("", "q"),
                &persistent(),
                body.as_bytes(),
                client.frame_max,
            ));
        }
        if !client.try_send_bytes(&bytes) {
            return;
        }
        while !open.is_empty() {
            let Some((1, Received::Method(Method::BasicAck(ack)))) = client.next_if_any() else { return };
            let is_meant = |tag: u64| tag == ack.delivery_tag || (ack.multiple && tag < ack.delivery_tag);
            let mut confirmed = ledger.confirmed.lock().unwrap();
            open.retain(|&(tag, number)| {
                if is_meant(tag) {
                    confirmed.insert(number);
                }
                !is_meant(tag)
            });
        }
    }
}

/// Acknowledges about half of what comes until the connection is lost.
fn consume_until_lost(mut client: Client, ledger: &Ledger) {
    client.call(1, qos(50), basic::QosOk);
    client.send(1, consume("q", "c"));
    while let Some((_, received)) = client.next_if_any() {
        let Received::Content(delivery) = received else { continue };
        let number = number(&delivery);
        let answer = if number.is_multiple_of(2) {
            ledger.acked.lock().unwrap().insert(number);
            encode(1, ack(delivery.tag()))
        } else {
            encode(1, nack(delivery.tag(), true))
        };
        // A short backlog shows little.
        if ledger.next.load(Ordering::Relaxed) > 300 && !client.try_send_bytes(&answer) {
            return;
        }
    }
}

fn number(message: &Content) -> u64 {
    message.text()[..8].parse().unwrap()
}

/// Rejects all that comes until the connection is lost.
fn reject_until_lost(mut client: Client) {
    client.call(1, qos(50), basic::QosOk);
    client.send(1, consume("q", "c"));
    while let Some((_, received)) = client.next_if_any() {
        let Received::Content(delivery) = received else { continue };
        if !client.try_send_bytes(&encode(1, reject(delivery.tag(), false))) {
            return;
        }
    }
}

/// Every number in the queue, in the queue's order; they stay.
fn numbers(client: &mut Client, queue: &str) -> Vec<u64> {
    let mut numbers = Vec::new();
    loop {
        client.send(1, get(queue));
        match client.receive(1) {
            Received::Content(message) => numbers.push(number(&message)),
            Received::Method(_) => break,
        }
    }
    client.send(1, nack_up_to(0, true));
    client.sync(1);
    numbers
}

#[test]
fn nothing_confirmed_is_lost_when_the_broker_is_killed() {
    let dir = TempDir::new().unwrap();
    let ledger = Ledger::default();
    let mut process = Process::start(dir.path());
    process.connect().call(1, declare_durable("q"), declare_ok("q", 0, 0));
    for round in 1..=6_u64 {
        let goal = ledger.next.load(Ordering::Relaxed) + 400 * round;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let (publisher, consumer) = (process.connect(), process.connect());
                scope.spawn(|| publish_until_lost(publisher, &ledger));
                scope.spawn(|| consume_until_lost(consumer, &ledger));
            }
            grows_above("more has been published", goal, || ledger.next.load(Ordering::Relaxed));
            process.kill();
        });
        process = Process::start(dir.path());
        let found = numbers(&mut process.connect(), "q");
        let set: BTreeSet<u64> = found.iter().copied().collect();
        assert_eq!(set.len(), found.len(), "a message came back twice");
        let acked = ledger.acked.lock().unwrap().clone();
        let confirmed = ledger.confirmed.lock().unwrap().clone();
        let lost: Vec<_> = confirmed.difference(&acked).filter(|number| !set.contains(number)).collect();
        assert!(lost.is_empty(), "round {round}: confirmed and lost: {lost:?}");
        let published = ledger.next.load(Ordering::Relaxed);
        assert!(set.iter().all(|&number| number < published));
    }
}

/// A dead letter is in the queue where it died, in the one it goes to, or in both; never in neither.
#[test]
fn no_dead_letter_is_lost_when_the_broker_is_killed() {
    let dir = TempDir::new().unwrap();
    let ledger = Ledger::default();
    let mut process = Process::start(dir.path());
    let mut client = process.connect();
    client.call(1, declare_durable("dead"), declare_ok("dead", 0, 0));
    let mut with_dead_letters = declare_durable("q");
    with_dead_letters.arguments =
        [("x-dead-letter-exchange", ""), ("x-dead-letter-routing-key", "dead")].into();
    client.call(1, with_dead_letters, declare_ok("q", 0, 0));
    drop(client);
    for round in 1..=4_u64 {
        let goal = ledger.next.load(Ordering::Relaxed) + 400 * round;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let (publisher, consumer) = (process.connect(), process.connect());
                scope.spawn(|| publish_until_lost(publisher, &ledger));
                scope.spawn(|| reject_until_lost(consumer));
            }
            grows_above("more has been published", goal, || ledger.next.load(Ordering::Relaxed));
            process.kill();
        });
        process = Process::start(dir.path());
        let mut client = process.connect();
        let mut found: BTreeSet<u64> = numbers(&mut client, "q").into_iter().collect();
        let dead = numbers(&mut client, "dead");
        assert!(!dead.is_empty());
        found.extend(dead);
        let confirmed = ledger.confirmed.lock().unwrap();
        let lost: Vec<_> = confirmed.difference(&found).collect();
        assert!(lost.is_empty(), "round {round}: confirmed and lost: {lost:?}");
    }
}

#[test]
fn what_was_answered_is_there_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let mut process = Process::start(dir.path());
    for round in 0..5 {
        let mut client = process.connect();
        let (q, x) = (format!("q{round}"), format!("x{round}"));
        let durable = exchange::Declare { durable: true, ..declare_exchange(&x, "direct") };
        client.call(1, durable, exchange::DeclareOk);
        client.call(1, declare_owned(&q), declare_ok(&q, 0, 0));
        client.call(1, bind(&q, &x, "k"), queue::BindOk);
        if round > 0 {
            let (old_q, old_x) = (format!("q{}", round - 1), format!("x{}", round - 1));
            client.call(1, delete(&old_q), queue::DeleteOk { message_count: 1 });
            client.call(1, delete_exchange(&old_x), exchange::DeleteOk);
        }
        client.call(1, confirm::Select::default(), confirm::SelectOk);
        client.publish_persistent(1, &x, "k", "through the binding");
        client.confirmed(1, 1);
        process.kill();
        process = Process::start(dir.path());
        let mut client = process.connect();
        let message = client.fetch(1, &q);
        assert_eq!(message.text(), "through the binding");
        client.publish(1, &x, "k", "again");
        assert_eq!(client.fetch(1, &q).text(), "again");
        client.send(1, ack(2));
        client.send(1, nack(1, true));
        client.sync(1);
        if round > 0 {
            client.refused(1, declare_passive(&format!("q{}", round - 1)), 404, "NOT_FOUND");
            client.publish(1, &format!("x{}", round - 1), "k", "");
            client.expect_channel_error(1, 404, "NOT_FOUND");
        }
    }
}
