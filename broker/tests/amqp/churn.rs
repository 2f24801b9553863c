//! Everything at once, for races: whoever comes and goes, nothing is lost and nothing doubled unsaid.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use broker::amqp::{Method, basic, exchange, queue};

use crate::harness::*;

/// Consumers that lose their sockets, close their channels or cancel in the middle, while others publish.
#[test]
fn consumers_that_come_and_go_lose_nothing() {
    const COUNT: usize = 3000;
    let broker = TestBroker::start();
    let mut publisher = broker.connect_with_channel();
    publisher.call(1, declare("q"), declare_ok("q", 0, 0));
    let acked: Mutex<BTreeSet<usize>> = Mutex::default();
    let seen: Mutex<BTreeSet<usize>> = Mutex::default();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for worker in 0..3_usize {
            let (broker, acked, seen, done) = (&broker, &acked, &seen, &done);
            scope.spawn(move || {
                let mut life = worker;
                while !done.load(Ordering::Relaxed) {
                    life += 1;
                    let mut client = broker.connect_with_channel();
                    client.call(1, qos(1 + (life % 9) as u16), basic::QosOk);
                    client.call(1, consume("q", "c"), consume_ok("c"));
                    for _ in 0..20 + life % 30 {
                        // The end wakes those that wait.
                        let delivery = client.delivery(1);
                        let Ok(number) = delivery.text().parse::<usize>() else { break };
                        let is_new = seen.lock().unwrap().insert(number);
                        assert!(is_new || delivery.redelivered(), "{number} came twice and nobody says so");
                        if number.is_multiple_of(5) && !delivery.redelivered() {
                            // This one is left open, with whatever else is on its way here.
                            break;
                        }
                        client.send(1, ack(delivery.tag()));
                        client.sync_among_deliveries(1);
                        assert!(acked.lock().unwrap().insert(number), "{number} was acknowledged twice");
                    }
                    match life % 4 {
                        0 => drop(client),
                        1 => client.close(),
                        2 => {
                            client.send(1, cancel("c"));
                            client.send(1, nack_up_to(0, true));
                            client.close();
                        }
                        _ => {
                            client.send(1, ack(u64::MAX));
                            drop(client);
                        }
                    }
                }
            });
        }
        for number in 0..COUNT {
            publisher.publish(1, "", "q", &number.to_string());
            if number.is_multiple_of(50) {
                publisher.sync(1);
            }
        }
        eventually("all is acknowledged", || acked.lock().unwrap().len() == COUNT);
        done.store(true, Ordering::Relaxed);
        // Whoever still waits gets one; they come back and go round.
        for _ in 0..3 {
            publisher.publish(1, "", "q", "end");
        }
        publisher.sync(1);
    });
    assert_eq!(acked.lock().unwrap().len(), COUNT);
}

/// Declaring, binding, publishing and deleting the same few names from several connections.
#[test]
fn topology_under_fire_stays_consistent() {
    let broker = TestBroker::start();
    std::thread::scope(|scope| {
        for worker in 0..3_u32 {
            let broker = &broker;
            scope.spawn(move || {
                let mut client = broker.connect_with_channel();
                let mut random = worker + 1;
                for _ in 0..400 {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let (q, x, y) = (
                        format!("q{}", (random >> 8) % 3),
                        format!("x{}", (random >> 12) % 3),
                        format!("x{}", (random >> 16) % 3),
                    );
                    let method: Method = match (random >> 24) % 9 {
                        0 => queue::Declare { auto_delete: true, ..declare_durable(&q) }.into(),
                        1 => delete(&q).into(),
                        2 => exchange::Declare {
                            durable: true,
                            auto_delete: true,
                            ..declare_exchange(&x, "topic")
                        }
                        .into(),
                        3 => delete_exchange(&x).into(),
                        4 => bind(&q, &x, "#").into(),
                        5 => unbind(&q, &x, "#").into(),
                        6 => bind_exchange(&x, &y, "#").into(),
                        7 => consume(&q, "").into(),
                        _ => {
                            client.send_content(1, publish(&x, "k"), &persistent(), b"x");
                            get(&q).into()
                        }
                    };
                    client.send(1, method);
                    client.next_reply(1);
                }
            });
        }
    });
    // Everything durable that is left is there again, and nothing else.
    let list = |broker: &TestBroker| {
        let vhost = broker.broker().vhost("/").unwrap();
        let topology = vhost.read();
        let mut queues: Vec<String> = topology.queues.values().map(|queue| queue.name().to_owned()).collect();
        let mut bindings: Vec<String> = topology
            .exchanges
            .values()
            .flat_map(|exchange| exchange.bindings())
            .map(|binding| format!("{binding:?}"))
            .collect();
        let mut exchanges: Vec<String> = topology.exchanges.keys().map(ToString::to_string).collect();
        queues.sort();
        bindings.sort();
        exchanges.sort();
        (queues, exchanges, bindings)
    };
    eventually("the connections are gone", || broker.broker().connection_count() == 0);
    let before = list(&broker);
    assert_eq!(list(&broker.restarted()), before);
}
