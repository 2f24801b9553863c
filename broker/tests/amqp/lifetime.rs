//! Heartbeats, slow clients, and the end of the broker.

use std::time::{Duration, Instant};

use broker::amqp::{BasicProperties, FieldValue, connection, queue};
use broker::config::Config;

use crate::harness::*;

const HEARTBEAT: &[u8] = &[8, 0, 0, 0, 0, 0, 0, 0xCE];

fn beating(broker: &TestBroker) -> Client {
    Client::open(broker.addr(), &Login { heartbeat_s: 1, ..Login::default() })
}

#[test]
fn a_silent_client_is_given_up_after_two_intervals() {
    let broker = TestBroker::start();
    let mut client = beating(&broker);
    let begin = Instant::now();
    // Meanwhile the broker beats.
    client.wait_for_heartbeat();
    client.expect_end();
    assert!(begin.elapsed() >= Duration::from_secs(2), "given up after {:?}", begin.elapsed());
}

#[test]
fn heartbeats_and_any_other_traffic_keep_a_connection() {
    let broker = TestBroker::start();
    let mut beats = beating(&broker);
    let mut works = beating(&broker);
    works.open_channel(1);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(4) {
        beats.wait_for_heartbeat();
        beats.send_bytes(HEARTBEAT);
        works.sync(1);
    }
    beats.close();
    works.close();
}

/// A queue that keeps one message, and five thousand to send to it.
fn many_for_a_small_queue(client: &mut Client) -> Vec<u8> {
    let small = declare_with("q", [("x-max-length", FieldValue::I32(1))]);
    client.call(1, small, declare_ok("q", 0, 0));
    encode_content(1, publish("", "q"), &BasicProperties::default(), &[0; 100], client.frame_max).repeat(5000)
}

#[test]
fn a_client_that_never_stops_sending_gets_heartbeats_too() {
    let broker = TestBroker::start();
    let mut client = beating(&broker);
    client.open_channel(1);
    let many = many_for_a_small_queue(&mut client);
    let (mut reader, mut writer) = client.split();
    std::thread::scope(|scope| {
        scope.spawn(move || while writer.try_send_bytes(&many) {});
        reader.wait_for_heartbeat();
        reader.wait_for_heartbeat();
        reader.hang_up();
    });
}

#[test]
fn a_client_that_never_stops_sending_gets_answers_that_wait_for_the_disk_too() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.open_channel(2);
    let many = many_for_a_small_queue(&mut client);
    let (mut reader, mut writer) = client.split();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            writer.send_bytes(&many);
            writer.send(2, declare_durable("d"));
            // Where that is not answered, the test ends all the same.
            let end = Instant::now() + 2 * PATIENCE;
            while Instant::now() < end && writer.try_send_bytes(&many) {}
        });
        reader.expect(2, declare_ok("d", 0, 0));
        reader.hang_up();
    });
}

/// The least that the broker keeps for a client that does not read.
fn small_outbox(config: &mut Config) {
    config.limits.outbox_bytes_max = config.limits.frame_max as usize;
}

#[test]
fn a_slow_consumer_is_passed_over_until_it_reads() {
    const COUNT: usize = 300;
    let broker = TestBroker::with(small_outbox);
    let mut publisher = broker.connect_with_channel();
    publisher.call(1, declare("q"), declare_ok("q", 0, 0));
    let mut slow = Client::dial_with_small_buffer(broker.addr());
    slow.finish_opening(&Login::default());
    slow.open_channel(1);
    slow.call(1, consume_no_ack("q", "c"), consume_ok("c"));
    let body = "x".repeat(100_000);
    for number in 0..COUNT {
        publisher.publish(1, "", "q", &format!("{number} {body}"));
    }
    publisher.sync(1);
    let queue = broker.broker().vhost("/").unwrap().queue("q").unwrap();
    // 30 MB do not fit into what the kernel and the broker keep for it.
    assert!(queue.counts().ready > 0, "everything was pushed to a client that does not read");
    let mut quick = broker.connect_with_channel();
    quick.call(1, consume("q", "c"), consume_ok("c"));
    let next: usize = quick.delivery(1).text().split(' ').next().unwrap().parse().unwrap();
    assert!(next > 0);
    quick.close();
    // It reads again and gets all the others, in order, and those that came back.
    let mut expected = 0;
    for _ in 0..COUNT {
        let delivery = slow.delivery(1);
        let number: usize = delivery.text().split(' ').next().unwrap().parse().unwrap();
        assert!(delivery.redelivered() || number >= expected, "{number} behind {expected}");
        expected = number;
    }
    eventually("nothing is left", || queue.counts().ready == 0);
}

#[test]
fn a_client_that_asks_and_does_not_listen_costs_little() {
    const COUNT: usize = 64;
    let broker = TestBroker::with(small_outbox);
    let mut publisher = broker.connect_with_channel();
    publisher.call(1, declare("q"), declare_ok("q", 0, 0));
    for _ in 0..COUNT {
        publisher.publish(1, "", "q", &"x".repeat(1 << 20));
    }
    publisher.sync(1);
    let mut client = Client::dial_with_small_buffer(broker.addr());
    client.finish_opening(&Login::default());
    client.open_channel(1);
    client.send_bytes(&encode(1, get("q")).repeat(COUNT));
    assert_eq!(client.content(1).tag(), 1);
    let counts = broker.broker().vhost("/").unwrap().queue("q").unwrap().counts();
    assert!(counts.unacked < COUNT / 2, "{} messages fetched for a client that has read one", counts.unacked);
    for tag in 2..=COUNT as u64 {
        assert_eq!(client.content(1).tag(), tag);
    }
    client.expect_empty(1, "q");
}

#[test]
fn who_has_closed_and_reads_no_more_does_not_keep_the_broker_from_its_end() {
    let broker = TestBroker::with(small_outbox);
    let mut publisher = broker.connect_with_channel();
    publisher.call(1, declare("q"), declare_ok("q", 0, 0));
    let mut client = Client::dial_with_small_buffer(broker.addr());
    client.finish_opening(&Login::default());
    client.open_channel(1);
    client.call(1, consume_no_ack("q", "c"), consume_ok("c"));
    for _ in 0..100 {
        publisher.publish(1, "", "q", &"x".repeat(100_000));
    }
    publisher.sync(1);
    client.send(0, connection::Close::default());
    let queue = broker.broker().vhost("/").unwrap().queue("q").unwrap();
    eventually("its consumer is gone", || queue.counts().consumers == 0);
    let begun = Instant::now();
    broker.stop_in_background().join().unwrap();
    // By itself, five seconds behind its end; what has not ended is cut off after ten.
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
}

#[test]
fn everybody_is_told_of_the_end() {
    let broker = TestBroker::start();
    let mut clients: Vec<Client> = (0..5).map(|_| broker.connect_with_channel()).collect();
    // In the middle of something.
    clients[0].call(1, declare_durable("q"), declare_ok("q", 0, 0));
    clients[0].send(1, publish("", "q"));
    clients[1].call(1, consume("q", "c"), consume_ok("c"));
    let _handshake = Client::dial(broker.addr());
    let begin = Instant::now();
    let stopping = broker.stop_in_background();
    for client in &mut clients {
        client.expect_connection_error(
            320,
            "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
        );
    }
    stopping.join().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(4), "it took {:?}", begin.elapsed());
}

#[test]
fn the_end_does_not_wait_for_clients_that_do_not_answer() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let flood = encode_content(1, publish("", "q"), &BasicProperties::default(), &[0; 100], client.frame_max);
    let (mut reader, mut writer) = client.split();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let many = flood.repeat(1000);
            while writer.try_send_bytes(&many) {}
        });
        let stopping = broker.stop_in_background();
        reader.expect_connection_close(320, "CONNECTION_FORCED");
        stopping.join().unwrap();
    });
    assert!(begin.elapsed() < Duration::from_secs(9), "it took {:?}", begin.elapsed());
}

#[test]
fn a_broker_that_ends_in_order_remembers_what_was_delivered() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    for text in ["a", "b", "c", "d"] {
        client.publish_persistent(1, "", "q", text);
    }
    client.publish(1, "", "q", "transient");
    for _ in 0..3 {
        client.fetch(1, "q");
    }
    client.send(1, ack(2));
    client.sync(1);
    let expect = |broker: &TestBroker, expected: [(&str, bool); 3]| {
        let mut client = broker.connect_with_channel();
        for (text, redelivered) in expected {
            let message = client.fetch(1, "q");
            assert_eq!((message.text(), message.redelivered()), (text, redelivered));
        }
        client.expect_empty(1, "q");
    };
    let broker = broker.restarted();
    expect(&broker, [("a", true), ("c", true), ("d", false)]);
    let broker = broker.restarted();
    expect(&broker, [("a", true), ("c", true), ("d", true)]);
}

#[test]
fn a_second_broker_on_the_same_folder_is_refused() {
    let broker = TestBroker::start();
    let again = broker.runtime().block_on(broker::Broker::start(broker.config().clone()));
    let error = again.err().expect("two brokers on one folder").to_string();
    assert!(error.contains("in use"), "{error}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let broker = TestBroker::start();
    let dir = tempfile::TempDir::new().unwrap();
    let config =
        Config { data_dir: dir.path().to_owned(), listen: broker.addrs(), ..broker.config().clone() };
    let error = broker.runtime().block_on(broker::Broker::start(config)).err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot listen on {}", broker.addr())), "{error}");
}

#[test]
fn a_connection_may_end_at_any_octet() {
    let broker = TestBroker::start();
    let mut bytes = PROTOCOL_HEADER.to_vec();
    bytes.extend(encode(0, Login::default().start_ok()));
    bytes.extend(encode(0, connection::TuneOk { channel_max: 0, frame_max: 0, heartbeat: 0 }));
    bytes.extend(encode(0, connection::Open { virtual_host: "/".into() }));
    bytes.extend(encode(1, broker::amqp::channel::Open));
    bytes.extend(encode(1, queue::Declare { exclusive: true, ..declare("q") }));
    bytes.extend(encode(1, consume("q", "c")));
    bytes.extend(encode_content(1, publish("", "q"), &persistent(), b"body", 4096));
    for end in (0..bytes.len()).step_by(3) {
        Client::dial(broker.addr()).send_bytes(&bytes[..end]);
    }
    eventually("all connections are gone", || broker.broker().connection_count() == 0);
    let mut client = broker.connect_with_channel();
    client.refused(1, declare_passive("q"), 404, "NOT_FOUND");
}
