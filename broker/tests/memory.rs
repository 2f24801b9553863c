//! What happens when memory or disk get short: publishers are held, bodies leave memory and are read back.
//!
//! A process of its own, and one test at a time: bytes in memory are counted for the whole process.

#[path = "amqp/harness/mod.rs"]
mod harness;

use std::sync::{Mutex, MutexGuard, PoisonError};

use broker::amqp::{BasicProperties, Method, basic, confirm, connection, queue, tx};
use broker::config::Config;
use broker::message::resident_bytes;

use harness::*;

const MIB: usize = 1 << 20;

fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    eventually("the messages of earlier tests are gone", || resident_bytes() == 0);
    guard
}

fn watermark(mib: usize) -> impl FnOnce(&mut Config) {
    move |config| config.limits.memory_bytes_high_watermark = (mib * MIB) as u64
}

fn blocked(reason: &str) -> connection::Blocked {
    connection::Blocked { reason: reason.into() }
}

/// Raises the memory alarm with messages that only memory has, in queue `fill`.
fn fill_memory(broker: &TestBroker, mib: usize) -> Client {
    let mut client = broker.connect_with_channel();
    client.call(1, declare("fill"), declare_ok("fill", 0, 0));
    for _ in 0..=mib {
        client.publish(1, "", "fill", &"x".repeat(MIB));
    }
    // What has been sent by then is still taken.
    eventually("the alarm is raised", || broker.broker().alarms.raised().is_some());
    client
}

#[test]
fn publishers_are_held_while_memory_is_short_and_consumers_are_not() {
    let _alone = alone();
    let broker = TestBroker::with(watermark(4));
    let mut filler = fill_memory(&broker, 4);
    let mut consumer = broker.connect_with_channel();
    let mut publisher = broker.connect_with_channel();
    let mut deaf = Client::open(broker.addr(), &Login { capabilities: &[], ..Login::default() });
    deaf.open_channel(1);
    // Who does not publish does not notice.
    publisher.call(1, declare("q"), declare_ok("q", 0, 0));
    publisher.publish(1, "", "q", "while it is short");
    publisher.expect(0, blocked("low on memory"));
    deaf.publish(1, "", "q", "while it is short");
    deaf.send(1, declare_passive("q"));
    publisher.send(1, declare_passive("q"));
    // Consumers make room, and all goes on.
    consumer.call(1, consume_no_ack("fill", "c"), consume_ok("c"));
    for _ in 0..=4 {
        consumer.delivery(1);
    }
    publisher.expect(0, connection::Unblocked);
    // What they had sent was taken; what they ask now is answered, to the deaf one too.
    assert!(matches!(publisher.method(1), Method::QueueDeclareOk(_)));
    assert!(matches!(deaf.method(1), Method::QueueDeclareOk(_)));
    publisher.call(1, declare_passive("q"), declare_ok("q", 2, 0));
    filler.publish(1, "", "q", "again");
    eventually("all three are there", || {
        broker.broker().vhost("/").unwrap().queue("q").unwrap().counts().ready == 3
    });
}

/// `count` small messages to each of `queues` queues, shared by all of them.
fn publish_to_many(broker: &TestBroker, queues: usize, count: usize) -> Client {
    let mut client = broker.connect_with_channel();
    for number in 0..queues {
        let name = number.to_string();
        client.call(1, declare(&name), declare_ok(&name, 0, 0));
        client.call(1, bind(&name, "amq.fanout", ""), queue::BindOk);
    }
    for _ in 0..count {
        client.publish(1, "amq.fanout", "", "x");
    }
    client.sync(1);
    client
}

#[test]
fn places_in_many_queues_count_as_memory() {
    let _alone = alone();
    let broker = TestBroker::with(watermark(2));
    let client = publish_to_many(&broker, 40, 3000);
    eventually("the alarm is raised", || broker.broker().alarms.raised().is_some());
    client.close();
}

#[test]
fn what_is_not_acknowledged_counts_as_memory() {
    let _alone = alone();
    let broker = TestBroker::with(watermark(2));
    let client = publish_to_many(&broker, 20, 1500);
    assert!(broker.broker().alarms.raised().is_none());
    let mut consumer = broker.connect_with_channel();
    for number in 0..20 {
        let name = number.to_string();
        consumer.call(1, consume(&name, &name), consume_ok(&name));
        for _ in 0..1500 {
            consumer.delivery(1);
        }
    }
    eventually("the alarm is raised", || broker.broker().alarms.raised().is_some());
    consumer.close();
    client.close();
}

#[test]
fn a_connection_in_a_transaction_is_held_too() {
    let _alone = alone();
    let broker = TestBroker::with(watermark(4));
    let mut publisher = broker.connect_with_channel();
    publisher.call(1, tx::Select, tx::SelectOk);
    let filler = fill_memory(&broker, 4);
    publisher.publish(1, "", "fill", "x");
    publisher.expect(0, blocked("low on memory"));
    publisher.send(1, tx::Commit);
    let mut consumer = broker.connect_with_channel();
    consumer.call(1, purge("fill"), queue::PurgeOk { message_count: 5 });
    publisher.expect(0, connection::Unblocked);
    publisher.expect(1, tx::CommitOk);
    filler.close();
}

#[test]
fn a_held_connection_ends_with_the_broker() {
    let _alone = alone();
    let broker = TestBroker::with(watermark(4));
    let filler = fill_memory(&broker, 4);
    let mut publisher = broker.connect_with_channel();
    publisher.publish(1, "", "fill", "x");
    publisher.expect(0, blocked("low on memory"));
    let stopping = broker.stop_in_background();
    publisher.expect_connection_error(320, "CONNECTION_FORCED");
    drop(filler);
    stopping.join().unwrap();
}

#[test]
fn publishers_are_held_while_the_disk_is_short() {
    let _alone = alone();
    let broker = TestBroker::with(|config| config.limits.disk_free_min_bytes = u64::MAX);
    eventually("the alarm is raised", || broker.broker().alarms.raised().is_some());
    let mut client = broker.connect_with_channel();
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.publish_persistent(1, "", "q", "x");
    client.expect(0, blocked("low on disk"));
    let mut other = broker.connect_with_channel();
    assert_eq!(other.fetch(1, "q").text(), "x");
}

/// Publishes `count` persistent messages of `bytes` each, beginning with their number, and waits for the confirms.
fn publish_stored(client: &mut Client, count: usize, bytes: usize) {
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    for number in 0..count {
        let body = format!("{number:08}{}", "x".repeat(bytes - 8));
        client.publish_persistent(1, "", "q", &body);
    }
    client.confirmed(1, count as u64);
}

fn number(message: &Content) -> usize {
    message.text()[..8].parse().unwrap()
}

#[test]
fn stored_messages_leave_memory_and_come_back_in_order() {
    let _alone = alone();
    for (count, bytes) in [(20_000, 1000), (40, MIB)] {
        let broker = TestBroker::with(watermark(8));
        let mut publisher = broker.connect_with_channel();
        publisher.call(1, declare_durable("q"), declare_ok("q", 0, 0));
        publish_stored(&mut publisher, count, bytes);
        eventually("bodies have left memory", || resident_bytes() < 5 * MIB as u64);
        let mut consumer = broker.connect_with_channel();
        consumer.call(1, qos(100), basic::QosOk);
        consumer.call(1, consume("q", "c"), consume_ok("c"));
        for expected in 0..count {
            let delivery = consumer.delivery(1);
            assert_eq!(number(&delivery), expected);
            assert_eq!(delivery.body.len(), bytes);
            consumer.send(1, ack(delivery.tag()));
        }
        consumer.sync(1);
        publisher.call(1, declare_passive("q"), declare_ok("q", 0, 1));
    }
}

#[test]
fn a_consumer_that_never_acknowledges_does_not_bring_all_into_memory() {
    let _alone = alone();
    const COUNT: usize = 40;
    let broker = TestBroker::with(watermark(8));
    let mut publisher = broker.connect_with_channel();
    publisher.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    publish_stored(&mut publisher, COUNT, MIB);
    let broker = broker.restarted();
    let mut consumer = broker.connect_with_channel();
    consumer.call(1, consume("q", "c"), consume_ok("c"));
    for expected in 0..COUNT {
        assert_eq!(number(&consumer.delivery(1)), expected);
        assert!(resident_bytes() < 8 * MIB as u64, "{} bytes in memory", resident_bytes());
    }
    // They come back from disk once more, in order: by nack, by recover to the same consumer, by closing.
    consumer.send(1, nack_up_to(0, true));
    for expected in 0..COUNT {
        assert_eq!(number(&consumer.delivery(1)), expected);
    }
    consumer.call(1, basic::Recover { requeue: false }, basic::RecoverOk);
    for expected in 0..COUNT {
        let delivery = consumer.delivery(1);
        assert_eq!((number(&delivery), delivery.redelivered()), (expected, true));
    }
    drop(consumer);
    let mut getter = broker.connect_with_channel();
    for expected in 0..COUNT {
        let mut fetched = None;
        eventually("it is there again", || {
            getter.send(1, get("q"));
            match getter.receive(1) {
                Received::Content(content) => fetched = Some(content),
                Received::Method(method) => assert!(matches!(method, Method::BasicGetEmpty(_)), "{method:?}"),
            }
            fetched.is_some()
        });
        assert_eq!(number(&fetched.unwrap()), expected);
        assert!(resident_bytes() < 8 * MIB as u64, "{} bytes in memory", resident_bytes());
    }
}

/// Messages that are purged while they are read from disk are not missed.
#[test]
fn a_purge_while_bodies_are_read_does_no_harm() {
    let _alone = alone();
    let broker = TestBroker::with(watermark(2));
    let mut client = broker.connect_with_channel();
    let mut other = broker.connect_with_channel();
    let mut behind = broker.connect_with_channel();
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    for round in 0..5 {
        if round > 0 {
            client.close_channel(1);
            client.open_channel(1);
        }
        publish_stored(&mut client, 30, 100_000);
        eventually("bodies have left memory", || resident_bytes() < 2 * MIB as u64);
        other.call(1, qos(1), basic::QosOk);
        other.send(1, consume("q", "c"));
        client.send(1, purge("q"));
        assert!(matches!(client.method(1), Method::QueuePurgeOk(_)));
        behind.publish(1, "", "q", "behind");
        other.expect(1, consume_ok("c"));
        loop {
            let delivery = other.delivery(1);
            other.send(1, ack(delivery.tag()));
            if delivery.text() == "behind" {
                break;
            }
        }
        other.call(1, cancel("c"), cancel_ok("c"));
    }
}

#[test]
fn transient_messages_of_a_durable_queue_stay_in_memory() {
    let _alone = alone();
    let broker = TestBroker::with(watermark(8));
    let mut client = broker.connect_with_channel();
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    for number in 0..6000 {
        let body = format!("{number:08}{}", "x".repeat(1000));
        let properties = if number % 2 == 0 { persistent() } else { BasicProperties::default() };
        client.send_content(1, publish("", "q"), &properties, body.as_bytes());
    }
    client.confirmed(1, 6000);
    client.open_channel(2);
    client.call(2, consume_no_ack("q", "c"), consume_ok("c"));
    for expected in 0..6000 {
        assert_eq!(number(&client.delivery(2)), expected);
    }
}
