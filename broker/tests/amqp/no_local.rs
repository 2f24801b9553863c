//! `no-local`: consumers that do not want what their own connection publishes.

use broker::amqp::{BasicProperties, FieldValue, basic, confirm, queue};

use crate::harness::*;

fn consume_others(queue: &str, consumer_tag: &str) -> basic::Consume {
    basic::Consume { no_local: true, ..consume(queue, consumer_tag) }
}

#[test]
fn own_messages_stay_for_others_and_hold_nobody_up() {
    let broker = TestBroker::start();
    let mut own = broker.connect_with_channel();
    let mut other = broker.connect_with_channel();
    own.call(1, declare("q"), declare_ok("q", 0, 0));
    // Published before anybody consumes, and after.
    own.publish(1, "", "q", "own 1");
    own.call(1, consume_others("q", "c"), consume_ok("c"));
    own.publish(1, "", "q", "own 2");
    own.sync(1);
    other.publish(1, "", "q", "other 1");
    own.expect_deliveries(1, ["other 1"]);
    // Another channel of the same connection makes no difference.
    own.open_channel(2);
    own.publish(2, "", "q", "own 3");
    own.sync(2);
    own.expect_silence(1);
    own.call(2, declare_passive("q"), declare_ok("q", 3, 1));
    let fetched = own.fetch(2, "q");
    assert_eq!((fetched.text(), fetched.redelivered()), ("own 1", false));
    own.send(2, nack(1, true));
    own.sync(2);
    other.call(1, consume("q", "d"), consume_ok("d"));
    let tags = other.expect_deliveries(1, ["own 1", "own 2", "own 3"]);
    other.send(1, ack_up_to(tags[2]));
    other.call(1, cancel("d"), cancel_ok("d"));
    // Who has subscribed without it gets his own.
    own.call(1, cancel("c"), cancel_ok("c"));
    own.call(1, consume("q", "e"), consume_ok("e"));
    own.publish(1, "", "q", "own 4");
    own.expect_deliveries(1, ["own 4"]);
}

#[test]
fn what_comes_back_comes_again() {
    let broker = TestBroker::start();
    let mut own = broker.connect_with_channel();
    let mut other = broker.connect_with_channel();
    let priorities = [("x-max-priority", FieldValue::from(2))];
    own.call(1, declare_with("q", priorities), declare_ok("q", 0, 0));
    own.call(1, consume_others("q", "c"), consume_ok("c"));
    let send = |client: &mut Client, priority: u8, text: &str| {
        let properties = BasicProperties { priority: Some(priority), ..Default::default() };
        client.send_content(1, publish("", "q"), &properties, text.as_bytes());
        client.sync_among_deliveries(1);
    };
    own.call(1, basic::Qos { prefetch_count: 2, global: true, ..Default::default() }, basic::QosOk);
    send(&mut own, 2, "own high");
    send(&mut own, 0, "own low");
    send(&mut other, 0, "low");
    send(&mut other, 2, "high");
    let tags = own.expect_deliveries(1, ["low", "high"]);
    send(&mut own, 1, "own");
    send(&mut other, 0, "last");
    own.send(1, nack_up_to(tags[1], true));
    let tags = own.expect_deliveries(1, ["high", "low"]);
    own.send(1, ack_up_to(tags[1]));
    own.expect_deliveries(1, ["last"]);
    own.call(1, declare_passive("q"), declare_ok("q", 3, 1));
    other.call(1, consume_no_ack("q", "d"), consume_ok("d"));
    other.expect_deliveries(1, ["own high", "own", "own low"]);
    own.call(1, purge("q"), queue::PurgeOk { message_count: 0 });
}

#[test]
fn thousands_of_its_own_are_passed_in_pieces() {
    let broker = TestBroker::start();
    let mut own = broker.connect_with_channel();
    let mut other = broker.connect_with_channel();
    own.call(1, declare("q"), declare_ok("q", 0, 0));
    for _ in 0..5000 {
        own.publish(1, "", "q", "own");
    }
    own.sync(1);
    other.publish(1, "", "q", "other");
    other.sync(1);
    own.call(1, consume_others("q", "c"), consume_ok("c"));
    own.expect_deliveries(1, ["other"]);
    own.call(1, declare_passive("q"), declare_ok("q", 5000, 1));
}

#[test]
fn immediate_and_stored_messages() {
    let broker = TestBroker::start();
    let mut own = broker.connect_with_channel();
    let mut other = broker.connect_with_channel();
    own.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    own.call(1, consume_others("q", "c"), consume_ok("c"));
    let immediate = || basic::Publish { immediate: true, ..publish("", "q") };
    own.send_content(1, immediate(), &persistent(), b"own");
    own.expect_returned(1, 313, "own");
    own.call(1, confirm::Select::default(), confirm::SelectOk);
    own.publish_persistent(1, "", "q", "own");
    own.confirmed(1, 1);
    other.send_content(1, immediate(), &persistent(), b"other");
    let tags = own.expect_deliveries(1, ["other"]);
    own.send(1, ack(tags[0]));
    own.sync(1);
    let broker = broker.restarted();
    let mut client = broker.connect_with_channel();
    // Nobody knows any more whose it was: it is delivered.
    client.call(1, consume_others("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["own"]);
}
