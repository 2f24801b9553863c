//! Exchanges of types beyond the specification: consistent hash, delayed messages.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use broker::amqp::{BasicProperties, FieldTable, FieldValue, basic, confirm, exchange, queue};

use crate::harness::*;

fn declare_kind<const N: usize>(
    name: &str,
    kind: &str,
    arguments: [(&str, FieldValue); N],
) -> exchange::Declare {
    exchange::Declare { arguments: arguments.into(), ..declare_exchange(name, kind) }
}

fn with_header(name: &str, value: impl Into<FieldValue>) -> BasicProperties {
    BasicProperties { headers: Some([(name, value.into())].into()), ..Default::default() }
}

/// How many messages each of these queues has.
fn counts(broker: &TestBroker, names: &[&str]) -> BTreeMap<String, usize> {
    let vhost = broker.broker().vhost("/").unwrap();
    names.iter().map(|name| ((*name).to_owned(), vhost.queue(name).unwrap().counts().ready)).collect()
}

#[test]
fn a_hash_exchange_sends_a_key_to_one_queue_by_weight() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_exchange("h", "x-consistent-hash"), exchange::DeclareOk);
    for (name, weight) in [("a", "1"), ("b", "1"), ("c", "2")] {
        client.call(1, declare(name), declare_ok(name, 0, 0));
        client.call(1, bind(name, "h", weight), queue::BindOk);
    }
    for number in 0..400 {
        client.publish(1, "h", &format!("key {number}"), "x");
        client.publish(1, "h", &format!("key {number}"), "x");
    }
    client.sync(1);
    let counts = counts(&broker, &["a", "b", "c"]);
    assert!(counts.values().all(|count| count % 2 == 0), "each key went to one queue: {counts:?}");
    assert_eq!(counts.values().sum::<usize>(), 800);
    assert!(counts["c"] > counts["a"] && counts["c"] > counts["b"], "{counts:?}");
    for (key, text) in [
        ("heavy", "PRECONDITION_FAILED - The binding key must be an integer"),
        ("0", "PRECONDITION_FAILED - The binding key must be greater than 0"),
    ] {
        client.refused(1, bind("a", "h", key), 406, text);
    }
    client.call(1, delete_exchange("h"), exchange::DeleteOk);
}

#[test]
fn a_hash_exchange_may_hash_a_header_or_a_property() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    for (exchange, argument, value) in [
        ("header", "x-hash-on", "who"),
        ("header too", "hash-header", "who"),
        ("property", "hash-property", "correlation_id"),
    ] {
        let declare = declare_kind(exchange, "x-consistent-hash", [(argument, value.into())]);
        client.call(1, declare, exchange::DeclareOk);
        let names: Vec<String> = (0..4).map(|number| format!("{exchange} {number}")).collect();
        for name in &names {
            client.call(1, declare_with(name, []), declare_ok(name, 0, 0));
            client.call(1, bind(name, exchange, "1"), queue::BindOk);
        }
        for number in 0..20 {
            let properties =
                BasicProperties { correlation_id: Some("alice".into()), ..with_header("who", "alice") };
            client.send_content(1, publish(exchange, &number.to_string()), &properties, b"x");
        }
        client.sync(1);
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let counts = counts(&broker, &names);
        assert!(counts.values().any(|&count| count == 20), "all to one queue: {counts:?}");
    }
    let both = [("hash-header", FieldValue::from("a")), ("hash-property", "app_id".into())];
    client.refused(
        1,
        declare_kind("both", "x-consistent-hash", both),
        406,
        "PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive",
    );
}

fn delayed(name: &str) -> exchange::Declare {
    declare_kind(name, "x-delayed-message", [("x-delayed-type", "direct".into())])
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis()
}

#[test]
fn a_delayed_message_comes_when_its_time_has_come() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, delayed("d"), exchange::DeclareOk);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, bind("q", "d", "k"), queue::BindOk);
    client.call(1, consume_no_ack("q", "c"), consume_ok("c"));
    let sent_ms = now_ms();
    for (delay, text) in [(400, "late"), (200, "soon"), (0, "at once")] {
        client.send_content(1, publish_mandatory("d", "k"), &with_header("x-delay", delay), text.as_bytes());
    }
    client.publish(1, "d", "k", "without");
    client.expect_deliveries(1, ["at once", "without"]);
    let soon = client.delivery(1);
    assert_eq!(soon.text(), "soon");
    assert!(now_ms() >= sent_ms + 200, "not before its time");
    assert_eq!(soon.properties.headers, Some(FieldTable::default()), "nothing tells of the delay");
    client.expect_deliveries(1, ["late"]);
    assert!(now_ms() >= sent_ms + 400, "not before its time");
}

#[test]
fn delayed_messages_are_stored_and_go_with_their_exchange() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let declare = exchange::Declare { durable: true, ..delayed("d") };
    client.call(1, declare.clone(), exchange::DeclareOk);
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.call(1, bind("q", "d", "k"), queue::BindOk);
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    for (delay, text) in [(500, "soon"), (600_000, "much later")] {
        let properties = BasicProperties { delivery_mode: Some(2), ..with_header("x-delay", delay) };
        client.send_content(1, publish("d", "k"), &properties, text.as_bytes());
    }
    client.confirmed(1, 2);
    let copy = broker.crashed_copy();
    let mut client = copy.connect_with_channel();
    client.call(1, declare, exchange::DeclareOk);
    client.call(1, consume_no_ack("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["soon"]);
    let waiting = || copy.broker().vhost("/").unwrap().queue("amq.delayed-d");
    assert_eq!(waiting().unwrap().counts().ready, 1);
    client.call(1, delete_exchange("d"), exchange::DeleteOk);
    assert!(waiting().is_err());
    let copy = copy.restarted();
    assert!(copy.broker().vhost("/").unwrap().queue("amq.delayed-d").is_err());
}

#[test]
fn what_waits_at_a_deleted_exchange_does_not_come_to_a_new_one_of_its_name() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let declare = exchange::Declare { durable: true, ..delayed("d") };
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    let send = |client: &mut Client, delay: i32, delivery_mode: u8, text: &str| {
        let properties =
            BasicProperties { delivery_mode: Some(delivery_mode), ..with_header("x-delay", delay) };
        client.send_content(1, publish("d", "k"), &properties, text.as_bytes());
    };
    client.call(1, declare.clone(), exchange::DeclareOk);
    client.call(1, bind("q", "d", "k"), queue::BindOk);
    send(&mut client, 300, 2, "of the old exchange");
    send(&mut client, 300, 1, "of the old exchange, transient");
    client.confirmed(1, 2);
    client.call(1, delete_exchange("d"), exchange::DeleteOk);
    client.call(1, declare, exchange::DeclareOk);
    client.call(1, bind("q", "d", "k"), queue::BindOk);
    send(&mut client, 400, 2, "of the new exchange");
    client.confirmed_of(1, &mut [3].into());
    // Neither here nor after a restart, in which its time passes.
    let copy = broker.crashed_copy();
    for broker in [&broker, &copy] {
        let mut client = broker.connect_with_channel();
        client.call(1, consume_no_ack("q", "c"), consume_ok("c"));
        client.expect_deliveries(1, ["of the new exchange"]);
    }
}

#[test]
fn messages_whose_time_came_while_the_broker_was_down_come_at_once_and_in_the_order_of_their_times() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, exchange::Declare { durable: true, ..delayed("d") }, exchange::DeclareOk);
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.call(1, bind("q", "d", "k"), queue::BindOk);
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    let sent_ms = now_ms();
    for (delay, text) in [(600, "third"), (200, "first"), (600_000, "much later"), (400, "second")] {
        let properties = BasicProperties { delivery_mode: Some(2), ..with_header("x-delay", delay) };
        client.send_content(1, publish("d", "k"), &properties, text.as_bytes());
    }
    client.confirmed(1, 4);
    // It is down until all three are due.
    let broker = broker.crashed(|| eventually("all are due", || now_ms() > sent_ms + 700));
    let mut client = broker.connect_with_channel();
    eventually("what is due", || counts(&broker, &["q"])["q"] == 3);
    client.call(1, consume_no_ack("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["first", "second", "third"]);
    assert_eq!(broker.broker().vhost("/").unwrap().queue("amq.delayed-d").unwrap().counts().ready, 1);
}

#[test]
fn where_messages_wait_is_nobodys_business() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, delayed("d"), exchange::DeclareOk);
    let name = "amq.delayed-d";
    let refused = "ACCESS_REFUSED - queue 'amq.delayed-d' in vhost '/' belongs to the broker";
    client.refused(1, get(name), 403, refused);
    client.refused(1, consume(name, "c"), 403, refused);
    client.refused(1, purge(name), 403, refused);
    client.refused(1, delete(name), 403, refused);
    client.refused(1, bind(name, "amq.direct", "k"), 403, refused);
    client.send_content(1, publish_mandatory("", name), &BasicProperties::default(), b"x");
    client.expect_returned(1, 312, "x");
}

#[test]
fn mistakes_with_delayed_exchanges() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let no_type =
        "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type";
    client.refused(1, declare_exchange("d", "x-delayed-message"), 406, no_type);
    client.call(1, delayed("d"), exchange::DeclareOk);
    client.call(1, delayed("d"), exchange::DeclareOk);
    client.refused(
        1,
        declare_exchange("d", "direct"),
        406,
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'd' in vhost '/': received 'direct' but current is \
         'x-delayed-message'",
    );
    let other = declare_kind("d", "x-delayed-message", [("x-delayed-type", "topic".into())]);
    client.refused(
        1,
        other,
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-delayed-type' for exchange 'd' in vhost '/': received 'topic' but \
         current is 'direct'",
    );
    // Where nothing is delayed, it is as any argument that nobody knows.
    client.call(1, declare_exchange("plain", "direct"), exchange::DeclareOk);
    let delayed_type = declare_kind("plain", "direct", [("x-delayed-type", "topic".into())]);
    client.call(1, delayed_type, exchange::DeclareOk);
    // Any exchange may delay, as in LavinMQ; what nobody is bound for is gone when its time has come.
    let any = declare_kind("any", "fanout", [("x-delayed-exchange", true.into())]);
    client.call(1, any, exchange::DeclareOk);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, bind("q", "any", ""), queue::BindOk);
    client.send_content(1, publish("any", ""), &with_header("x-delay", 600_000), b"x");
    client.expect_empty(1, "q");
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    client.send_content(1, publish("any", ""), &with_header("x-delay", -1), b"y");
    client.expect(1, basic::Ack { delivery_tag: 1, multiple: false });
    assert_eq!(client.fetch(1, "q").text(), "y");
}

#[test]
fn blind_copies_of_what_was_delayed_go_where_they_have_to() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, delayed("d"), exchange::DeclareOk);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, bind("q", "d", "blind"), queue::BindOk);
    client.call(1, consume_no_ack("q", "c"), consume_ok("c"));
    let properties = BasicProperties {
        headers: Some([("x-delay", 50.into()), ("BCC", FieldValue::Array(vec!["blind".into()]))].into()),
        ..Default::default()
    };
    client.send_content(1, publish("d", "nowhere"), &properties, b"x");
    let delivery = client.delivery(1);
    assert_eq!((delivery.text(), &delivery.properties.headers), ("x", &Some(FieldTable::default())));
}
