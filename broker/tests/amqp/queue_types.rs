//! `x-queue-type`, and queues that go by themselves.

use std::collections::BTreeSet;

use broker::amqp::{FieldValue, Method, confirm, queue};

use crate::harness::*;

fn quorum(name: &str) -> queue::Declare {
    queue::Declare { durable: true, ..declare_with(name, [("x-queue-type", FieldValue::from("quorum"))]) }
}

#[test]
fn a_quorum_queue_keeps_its_rules() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    for (declare, property) in [
        (queue::Declare { durable: false, ..quorum("q") }, "non-durable"),
        (queue::Declare { exclusive: true, ..quorum("q") }, "exclusive-owner"),
        (queue::Declare { auto_delete: true, ..quorum("q") }, "auto-delete"),
    ] {
        let text = format!("PRECONDITION_FAILED - invalid property '{property}' for queue 'q' in vhost '/'");
        client.refused(1, declare, 406, &text);
    }
    let mut with_priorities = quorum("q");
    with_priorities.arguments.insert("x-max-priority", 5);
    client.refused(
        1,
        with_priorities,
        406,
        "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'q' in vhost '/' of queue type \
         rabbit_quorum_queue",
    );
    client.call(1, quorum("q"), declare_ok("q", 0, 0));
    client.refused(
        1,
        declare_durable("q"),
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received none but current \
         is the value 'quorum' of type 'longstr'",
    );
    let stream = declare_with("s", [("x-queue-type", FieldValue::from("stream"))]);
    client.refused(
        1,
        stream,
        406,
        "PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue 's' in vhost '/': \"unsupported queue type \
         'stream'\": there are no streams here",
    );
}

fn count(content: &Content) -> Option<FieldValue> {
    content.properties.headers.as_ref()?.get("x-delivery-count").cloned()
}

#[test]
fn a_quorum_queue_counts_deliveries() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, quorum("q"), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "x");
    for returns in 0..3 {
        let fetched = client.fetch(1, "q");
        assert_eq!(count(&fetched), Some(FieldValue::I64(returns)));
        assert_eq!(fetched.redelivered(), returns > 0);
        client.send(1, reject(fetched.tag(), true));
    }
    client.call(1, consume("q", "c"), consume_ok("c"));
    let delivery = client.delivery(1);
    assert_eq!(count(&delivery), Some(FieldValue::I64(3)));
    client.send(1, nack(delivery.tag(), true));
    assert_eq!(count(&client.delivery(1)), Some(FieldValue::I64(4)));
    // A consumer is told once there is something to tell.
    client.publish(1, "", "q", "y");
    let first = client.delivery(1);
    assert_eq!((first.text(), &first.properties.headers), ("y", &None));
    client.send(1, nack(first.tag(), true));
    assert_eq!(count(&client.delivery(1)), Some(FieldValue::I64(1)));
}

#[test]
fn a_quorum_queue_with_a_single_active_consumer_is_for_that_one() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let mut declare = quorum("q");
    declare.arguments.insert("x-single-active-consumer", true);
    client.call(1, declare, declare_ok("q", 0, 0));
    client.publish(1, "", "q", "x");
    client.refused(
        1,
        get("q"),
        405,
        "RESOURCE_LOCKED - cannot obtain access to locked queue 'q' in vhost '/'. basic.get operations are not \
         supported by quorum queues with single active consumer",
    );
    client.call(1, consume("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["x"]);
}

#[test]
fn a_quorum_queue_counts_on_after_a_restart() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let limited = |name: &str| {
        let mut declare = quorum(name);
        declare.arguments.insert("x-delivery-limit", 3);
        declare
    };
    client.call(1, limited("q"), declare_ok("q", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    for text in ["bad", "good"] {
        client.publish_persistent(1, "", "q", text);
    }
    client.confirmed(1, 2);
    for _ in 0..2 {
        let fetched = client.fetch(1, "q");
        assert_eq!(fetched.text(), "bad");
        client.send(1, reject(fetched.tag(), true));
    }
    client.sync(1);
    let mut restarted = broker.restarted();
    let mut client = restarted.connect_with_channel();
    let fetched = client.fetch(1, "q");
    assert_eq!((fetched.text(), count(&fetched)), ("bad", Some(FieldValue::I64(2))));
    // Comes back when the broker ends.
    client.sync(1);
    restarted = restarted.restarted();
    let mut client = restarted.connect_with_channel();
    let fetched = client.fetch(1, "q");
    assert_eq!((fetched.text(), count(&fetched)), ("bad", Some(FieldValue::I64(3))));
    client.send(1, reject(fetched.tag(), true));
    let fetched = client.fetch(1, "q");
    assert_eq!((fetched.text(), count(&fetched)), ("good", Some(FieldValue::I64(0))));
    // As much as was written down counts after a crash too.
    client.send(1, reject(fetched.tag(), true));
    client.sync(1);
    restarted.broker().save_delivery_counts();
    let copy = restarted.crashed_copy();
    let mut client = copy.connect_with_channel();
    assert_eq!(count(&client.fetch(1, "q")), Some(FieldValue::I64(1)));
}

/// Positions in a queue begin anew once nothing in the log names any of it.
#[test]
fn what_is_known_of_a_message_that_is_gone_is_not_taken_for_another_s() {
    let mut broker = TestBroker::with(|config| config.store.segment_bytes = 64 << 10);
    let mut client = broker.connect_with_channel();
    client.call(1, quorum("q"), declare_ok("q", 0, 0));
    client.call(1, declare_durable("filler"), declare_ok("filler", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    client.publish_persistent(1, "", "q", "returned");
    client.confirmed(1, 1);
    let fetched = client.fetch(1, "q");
    client.send(1, reject(fetched.tag(), true));
    client.sync(1);
    broker = broker.restarted();
    let mut client = broker.connect_with_channel();
    let fetched = client.fetch(1, "q");
    assert_eq!(count(&fetched), Some(FieldValue::I64(1)));
    client.send(1, ack(fetched.tag()));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    let messages = broker.broker().config.data_dir.join("messages");
    let segments = || std::fs::read_dir(&messages).unwrap().count();
    for tag in 1..=64 {
        client.publish_persistent(1, "", "filler", &"x".repeat(8 << 10));
        client.confirmed_of(1, &mut BTreeSet::from([tag]));
    }
    let before = segments();
    client.call(1, purge("filler"), queue::PurgeOk { message_count: 64 });
    eventually("the log is short again", || segments() < before.min(5));
    broker = broker.restarted();
    let mut client = broker.connect_with_channel();
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    client.publish_persistent(1, "", "q", "new");
    client.confirmed(1, 1);
    broker = broker.restarted();
    let fetched = broker.connect_with_channel().fetch(1, "q");
    assert_eq!((fetched.text(), count(&fetched)), ("new", Some(FieldValue::I64(0))));
}

#[test]
fn asking_for_a_queue_is_using_it() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let declare = declare_with("q", [("x-expires", FieldValue::I32(600_000))]);
    client.call(1, declare, declare_ok("q", 0, 0));
    let queue = broker.broker().vhost("/").unwrap().queue("q").unwrap();
    let expires_at = || queue.counts().expires_at_ms.expect("it expires");
    let first = expires_at();
    eventually("a passive declaration extends its time", || {
        client.call(1, declare_passive("q"), declare_ok("q", 0, 0));
        expires_at() > first
    });
}

#[test]
fn a_queue_that_nobody_uses_goes() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_with("used", [("x-expires", FieldValue::I32(600_000))]), declare_ok("used", 0, 0));
    let declare = declare_with("q", [("x-expires", FieldValue::I32(1))]);
    client.send(1, queue::Declare { durable: true, ..declare });
    assert!(matches!(client.method(1), Method::QueueDeclareOk(_)));
    let is_there = |name: &str| broker.broker().vhost("/").unwrap().queue(name).is_ok();
    eventually("the queue is gone", || !is_there("q"));
    assert!(is_there("used"));
    // Its definition too.
    let broker = broker.restarted();
    let mut client = broker.connect_with_channel();
    client.refused(1, declare_passive("q"), 404, "NOT_FOUND - no queue 'q' in vhost '/'");
}

#[test]
fn the_time_of_an_unused_queue_runs_on_after_a_restart() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let declare = declare_with("q", [("x-expires", FieldValue::I32(600_000))]);
    client.call(1, queue::Declare { durable: true, ..declare }, declare_ok("q", 0, 0));
    let broker = broker.restarted();
    let queue = broker.broker().vhost("/").unwrap().queue("q").unwrap();
    assert!(queue.counts().expires_at_ms.is_some(), "the clock runs again");
}
