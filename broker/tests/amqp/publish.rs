//! Publishing: what comes back, what is confirmed, what is refused.

use std::collections::BTreeSet;

use broker::amqp::{BasicProperties, FieldTable, FieldValue, Method, basic, confirm, exchange, queue};

use crate::harness::*;

fn confirming(broker: &TestBroker) -> Client {
    let mut client = broker.connect_with_channel();
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    client
}

fn single_ack(delivery_tag: u64) -> basic::Ack {
    basic::Ack { delivery_tag, multiple: false }
}

fn immediate(routing_key: &str, mandatory: bool) -> basic::Publish {
    basic::Publish { immediate: true, mandatory, ..publish("", routing_key) }
}

#[test]
fn a_message_arrives_as_it_was_sent() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let headers: FieldTable = [
        ("text", FieldValue::from("ä")),
        ("list", vec![FieldValue::I32(1), FieldValue::Void].into()),
        ("table", FieldTable::from([("inner", true)]).into()),
        ("time", FieldValue::Timestamp(1)),
    ]
    .into();
    let properties = BasicProperties {
        content_type: Some("text/plain".into()),
        content_encoding: Some("utf-8".into()),
        headers: Some(headers),
        delivery_mode: Some(1),
        priority: Some(3),
        correlation_id: Some("c".into()),
        reply_to: Some("r".into()),
        expiration: Some("60000".into()),
        message_id: Some("m".into()),
        timestamp: Some(1_700_000_000),
        kind: Some("k".into()),
        user_id: Some("guest".into()),
        app_id: Some("a".into()),
        cluster_id: Some("x".into()),
    };
    let body: Vec<u8> = (0..300_000_u32).map(|at| at as u8).collect();
    client.call(1, bind("q", "amq.direct", "key"), queue::BindOk);
    client.send_content(1, publish("amq.direct", "key"), &properties, &body);
    let message = client.fetch(1, "q");
    assert_eq!(message.properties, properties);
    assert_eq!(message.body, body);
    let Method::BasicGetOk(ok) = message.method else { panic!() };
    assert_eq!((&*ok.exchange, &*ok.routing_key), ("amq.direct", "key"));
}

#[test]
fn mistakes_with_publishing() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let user = BasicProperties { user_id: Some("mallory".into()), ..Default::default() };
    let mode = |mode: u8| BasicProperties { delivery_mode: Some(mode), ..Default::default() };
    for (exchange, properties, code, text) in [
        ("", mode(0), 406, "PRECONDITION_FAILED - invalid message: {delivery_mode_unknown,0}"),
        ("", mode(3), 406, "PRECONDITION_FAILED - invalid message: {delivery_mode_unknown,3}"),
        (
            "",
            expiring("315360000001"),
            406,
            "PRECONDITION_FAILED - invalid expiration '315360000001': {value_too_large,315360000001}",
        ),
        // The exchange comes first.
        ("nosuch", expiring("abc"), 404, "NOT_FOUND - no exchange 'nosuch' in vhost '/'"),
        (
            "amq.rabbitmq.log",
            mode(0),
            403,
            "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.log' in vhost '/'",
        ),
        ("nosuch", BasicProperties::default(), 404, "NOT_FOUND - no exchange 'nosuch' in vhost '/'"),
        ("", expiring("abc"), 406, "PRECONDITION_FAILED - invalid expiration 'abc': no_integer"),
        ("", expiring("-1"), 406, "PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1}"),
        (
            "",
            user,
            406,
            "PRECONDITION_FAILED - user_id property set to 'mallory' but authenticated user was 'guest'",
        ),
    ] {
        client.send_content(1, publish(exchange, "q"), &properties, b"wrong");
        client.expect_channel_error(1, code, text);
        client.open_channel(1);
    }
    client.expect_empty(1, "q");
}

#[test]
fn a_mandatory_message_that_reaches_no_queue_comes_back_before_its_confirm() {
    let broker = TestBroker::start();
    let mut client = confirming(&broker);
    for (exchange, code) in [("", 312), ("amq.fanout", 312), ("amq.topic", 312)] {
        client.send_content(1, publish_mandatory(exchange, "nosuch"), &persistent(), b"back");
        let returned = client.content(1);
        let Method::BasicReturn(method) = &returned.method else { panic!("{returned:?}") };
        let expected = basic::Return {
            reply_code: code,
            reply_text: "NO_ROUTE".into(),
            exchange: exchange.into(),
            routing_key: "nosuch".into(),
        };
        assert_eq!(method, &expected);
        assert_eq!((returned.text(), returned.properties.delivery_mode), ("back", Some(2)));
        let Method::BasicAck(_) = client.method(1) else { panic!("no confirm") };
    }
    // Without the flag it is only confirmed.
    client.publish(1, "", "nosuch", "dropped");
    client.expect(1, single_ack(4));
}

#[test]
fn an_immediate_message_needs_a_consumer_that_takes_it_now() {
    let broker = TestBroker::start();
    let mut client = confirming(&broker);
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.send_content(1, immediate("q", false), &persistent(), b"no consumer");
    client.expect_returned(1, 313, "no consumer");
    client.confirmed(1, 1);
    client.call(1, declare_passive("q"), declare_ok("q", 0, 0));
    client.call(1, qos(1), basic::QosOk);
    client.call(1, consume("q", "c"), consume_ok("c"));
    client.send_content(1, immediate("q", false), &persistent(), b"now");
    client.expect_deliveries(1, ["now"]);
    client.confirmed_of(1, &mut BTreeSet::from([2]));
    client.send_content(1, immediate("q", true), &persistent(), b"no credit");
    client.expect_returned(1, 313, "no credit");
    client.confirmed_of(1, &mut BTreeSet::from([3]));
    // Behind others it is not now either.
    client.publish(1, "", "q", "waits");
    client.confirmed_of(1, &mut BTreeSet::from([4]));
    client.send_content(1, immediate("q", false), &persistent(), b"behind");
    client.expect_returned(1, 313, "behind");
    client.confirmed_of(1, &mut BTreeSet::from([5]));
    // Nobody at all is nobody now.
    for (mandatory, code) in [(false, 313), (true, 312)] {
        client.send_content(1, immediate("nosuch", mandatory), &persistent(), b"nowhere");
        client.expect_returned(1, code, "nowhere");
        assert!(matches!(client.method(1), Method::BasicAck(_)));
    }
}

#[test]
fn an_immediate_message_that_comes_back_is_like_any_other() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let with_priorities = declare_with("q", [("x-max-priority", FieldValue::I32(5))]);
    client.call(1, with_priorities, declare_ok("q", 0, 0));
    client.call(1, qos(1), basic::QosOk);
    client.call(1, consume("q", "c"), consume_ok("c"));
    let high = BasicProperties { priority: Some(5), ..Default::default() };
    client.send_content(1, immediate("q", true), &high, b"high");
    let [tag] = client.expect_deliveries(1, ["high"]);
    let low = BasicProperties { priority: Some(1), ..Default::default() };
    client.send_content(1, publish("", "q"), &low, b"low");
    client.call(1, cancel("c"), cancel_ok("c"));
    client.send(1, reject(tag, true));
    for text in ["high", "low"] {
        assert_eq!(client.fetch(1, "q").text(), text, "its priority counts");
    }
    client.call(1, consume("q", "c"), consume_ok("c"));
    let short = BasicProperties { expiration: Some("1".into()), ..Default::default() };
    client.send_content(1, immediate("q", true), &short, b"short");
    let [tag] = client.expect_deliveries(1, ["short"]);
    client.call(1, cancel("c"), cancel_ok("c"));
    client.send(1, reject(tag, true));
    let queue = broker.broker().vhost("/").unwrap().queue("q").unwrap();
    eventually("it expires", || queue.counts().ready == 0 && queue.counts().unacked == 2);
}

#[test]
fn every_publish_is_confirmed_once() {
    let broker = TestBroker::start();
    let mut client = confirming(&broker);
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.open_channel(2);
    client.call(2, confirm::Select::default(), confirm::SelectOk);
    let mut bytes = Vec::new();
    for number in 0..300 {
        let properties = if number % 3 == 0 { persistent() } else { BasicProperties::default() };
        for channel in [1, 2] {
            bytes.extend(encode_content(channel, publish("", "q"), &properties, b"x", client.frame_max));
        }
    }
    client.send_bytes(&bytes);
    client.confirmed(1, 300);
    client.confirmed(2, 300);
    client.expect_silence(1);
    client.expect_silence(2);
    client.call(1, declare_passive("q"), declare_ok("q", 600, 0));
}

#[test]
fn a_transient_message_is_confirmed_without_the_disk() {
    let broker = TestBroker::start();
    let mut client = confirming(&broker);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    // Nothing of this touches a durable queue.
    client.publish_persistent(1, "", "q", "a");
    client.expect(1, single_ack(1));
    client.publish(1, "", "q", "b");
    client.expect(1, single_ack(2));
}

#[test]
fn confirms_are_sent_before_the_channel_closes() {
    let broker = TestBroker::start();
    let mut client = confirming(&broker);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let mut bytes = encode_content(1, publish("", "q"), &BasicProperties::default(), b"x", client.frame_max);
    bytes.extend(encode(1, broker::amqp::channel::Close::default()));
    client.send_bytes(&bytes);
    client.expect(1, single_ack(1));
    client.expect(1, broker::amqp::channel::CloseOk);
}

#[test]
fn confirms_continue_with_the_smallest_window() {
    let broker = TestBroker::with(|config| config.limits.unconfirmed_max = 1);
    let mut client = confirming(&broker);
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    let message = encode_content(1, publish("", "q"), &persistent(), &[b'x'; 1000], client.frame_max);
    // Many reads' worth, none of them before the last was confirmed.
    client.send_bytes(&message.repeat(1000));
    client.confirmed(1, 1000);
    client.call(1, declare_passive("q"), declare_ok("q", 1000, 0));
}

#[test]
fn one_message_in_many_queues_is_confirmed_when_it_is_in_all_of_them() {
    let broker = TestBroker::start();
    let mut client = confirming(&broker);
    for number in 0..50 {
        let name = format!("q{number}");
        let declare = if number % 2 == 0 { declare_durable(&name) } else { declare(&name) };
        client.call(1, declare, declare_ok(&name, 0, 0));
        client.call(1, bind(&name, "amq.fanout", ""), queue::BindOk);
    }
    client.publish_persistent(1, "amq.fanout", "", "to all");
    client.expect(1, single_ack(1));
    let crashed = broker.crashed_copy();
    let mut after = crashed.connect_with_channel();
    for number in 0..50 {
        let name = format!("q{number}");
        assert_eq!(client.fetch(1, &name).text(), "to all");
        if number % 2 == 0 {
            assert_eq!(after.fetch(1, &name).text(), "to all");
        }
    }
}

/// The promise that friendship stands on: a mandatory message is returned, or was in the queue when it was deleted.
#[test]
fn a_mandatory_message_is_returned_or_was_in_the_deleted_queue() {
    let broker = TestBroker::start();
    for round in 0..20 {
        let mut owner = broker.connect_with_channel();
        owner.call(1, declare_durable("q"), declare_ok("q", 0, 0));
        let mut publisher = confirming(&broker);
        let count: u32 = 200;
        let (returned, deleted) = std::thread::scope(|scope| {
            let publishing = scope.spawn(move || {
                let mut open: BTreeSet<u64> = (1..=u64::from(count)).collect();
                let mut returned = 0;
                for _ in 0..count {
                    publisher.send_content(1, publish_mandatory("", "q"), &persistent(), b"x");
                }
                while !open.is_empty() {
                    match publisher.receive(1) {
                        Received::Content(content) => {
                            assert!(matches!(content.method, Method::BasicReturn(_)));
                            returned += 1;
                        }
                        Received::Method(Method::BasicAck(ack)) if ack.multiple => {
                            open = open.split_off(&(ack.delivery_tag + 1));
                        }
                        Received::Method(Method::BasicAck(ack)) => {
                            open.remove(&ack.delivery_tag);
                        }
                        other => panic!("{other:?}"),
                    }
                }
                returned
            });
            eventually("something has arrived", || {
                round % 2 == 0 || broker.broker().vhost("/").unwrap().queue("q").unwrap().counts().ready > 10
            });
            owner.send(1, delete("q"));
            let Method::QueueDeleteOk(ok) = owner.method(1) else { panic!("not deleted") };
            (publishing.join().unwrap(), ok.message_count)
        });
        assert_eq!(returned + deleted, count);
    }
}

#[test]
fn incomplete_messages_have_a_limit() {
    let broker = TestBroker::with(|config| {
        config.limits.message_bytes_max = 300_000;
        config.limits.pending_bytes_max = 300_000;
    });
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let begin = |client: &mut Client, channel: u16| {
        client.send(channel, publish("", "q"));
        let header = [&60_u16.to_be_bytes()[..], &[0, 0], &200_000_u64.to_be_bytes(), &[0, 0]].concat();
        client.send_frame(2, channel, &header);
        client.send_frame(3, channel, &[b'x'; 100_000]);
    };
    for channel in 1..=4 {
        if channel > 1 {
            client.open_channel(channel);
        }
        begin(&mut client, channel);
    }
    client.expect_channel_error(
        4,
        311,
        "CONTENT_TOO_LARGE - this connection has more than 300000 bytes of messages that are incomplete",
    );
    // Those that go on, and those given up, make room.
    client.send_frame(3, 1, &[b'x'; 100_000]);
    assert_eq!(client.fetch(1, "q").body.len(), 200_000);
    client.send(2, broker::amqp::channel::Close::default());
    client.expect_connection_error(505, "UNEXPECTED_FRAME");
    let mut client = broker.connect_with_channel();
    begin(&mut client, 1);
    client.send_frame(3, 1, &[b'x'; 100_000]);
    assert_eq!(client.fetch(1, "q").body.len(), 200_000);
}

#[test]
fn what_is_unroutable_is_forgotten_when_a_binding_comes() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let mut other = broker.connect_with_channel();
    client.call(1, declare_exchange("x", "direct"), exchange::DeclareOk);
    // The way of a message is remembered until anything changes, on whichever connection.
    client.publish(1, "x", "k", "nowhere");
    client.publish(1, "", "q", "nowhere");
    client.sync(1);
    other.call(1, declare("q"), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "by name");
    client.sync(1);
    other.call(1, bind("q", "x", "k"), queue::BindOk);
    client.publish(1, "x", "k", "by key");
    client.sync(1);
    other.call(1, unbind("q", "x", "k"), queue::UnbindOk);
    client.publish(1, "x", "k", "nowhere again");
    client.sync(1);
    other.call(1, delete_exchange("x"), exchange::DeleteOk);
    client.publish(1, "x", "k", "no exchange");
    client.expect_channel_error(1, 404, "NOT_FOUND - no exchange 'x'");
    for text in ["by name", "by key"] {
        assert_eq!(other.fetch(1, "q").text(), text);
    }
    other.expect_empty(1, "q");
}
