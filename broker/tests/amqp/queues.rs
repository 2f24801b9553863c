//! Declaring, deleting and purging queues, their limits and times to live.

use broker::amqp::{FieldValue, Method, basic, channel, confirm, queue};

use crate::harness::*;

fn count(client: &mut Client, name: &str) -> u32 {
    client.send(1, declare_passive(name));
    match client.method(1) {
        Method::QueueDeclareOk(ok) => ok.message_count,
        other => panic!("{other:?}"),
    }
}

#[test]
fn mistakes_with_queues() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let missing = "NOT_FOUND - no queue 'nosuch' in vhost '/'";
    client.refused(1, declare_passive("nosuch"), 404, missing);
    client.refused(1, consume("nosuch", ""), 404, missing);
    client.refused(1, get("nosuch"), 404, missing);
    client.refused(1, bind("nosuch", "amq.direct", ""), 404, missing);
    client.refused(1, purge("nosuch"), 404, missing);
    client.call(1, delete("nosuch"), queue::DeleteOk { message_count: 0 });
    let reserved = "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'";
    client.refused(1, declare("amq.foo"), 403, reserved);
    for method in [get(""), get("\r\n")] {
        client.refused(1, method, 404, "NOT_FOUND - no previously declared queue");
    }

    client.call(1, declare("pq"), declare_ok("pq", 0, 0));
    let of = "for queue 'pq' in vhost '/': received";
    let ttl = |milliseconds: i32| declare_with("pq", [("x-message-ttl", FieldValue::I32(milliseconds))]);
    for (again, code, text) in [
        (
            declare_durable("pq"),
            406,
            format!("PRECONDITION_FAILED - inequivalent arg 'durable' {of} 'true' but current is 'false'"),
        ),
        (
            queue::Declare { auto_delete: true, ..declare("pq") },
            406,
            format!("PRECONDITION_FAILED - inequivalent arg 'auto_delete' {of} 'true' but current is 'false'"),
        ),
        (
            queue::Declare { exclusive: true, ..declare("pq") },
            405,
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'pq' in vhost '/'. It could be \
             originally declared on another connection or the exclusive property value does not match that of \
             the original declaration."
                .to_owned(),
        ),
        (
            ttl(100),
            406,
            format!(
                "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' {of} the value '100' of type \
                 'signedint' but current is none"
            ),
        ),
    ] {
        client.refused(1, again, code, &text);
    }
    client.call(1, declare_with("pq", [("x-unknown", FieldValue::I32(1))]), declare_ok("pq", 0, 0));
    let length = |name, max: i64| declare_with(name, [("x-max-length", FieldValue::I64(max))]);
    client.call(1, length("pql", 5), declare_ok("pql", 0, 0));
    client.call(1, declare_with("pql", [("x-max-length", FieldValue::I32(5))]), declare_ok("pql", 0, 0));
    client.refused(
        1,
        length("pql", 6),
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'pql' in vhost '/': received '6' but \
         current is '5'",
    );
    client.refused(
        1,
        declare("pql"),
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'pql' in vhost '/': received none but \
         current is the value '5' of type 'long'",
    );

    client.publish(1, "", "pq", "one");
    client.call(1, consume_no_ack("pql", "c"), consume_ok("c"));
    client.refused(
        1,
        queue::Delete { if_empty: true, ..delete("pq") },
        406,
        "PRECONDITION_FAILED - queue 'pq' in vhost '/' not empty",
    );
    client.call(1, consume("pql", "c"), consume_ok("c"));
    client.refused(
        1,
        queue::Delete { if_unused: true, ..delete("pql") },
        406,
        "PRECONDITION_FAILED - queue 'pql' in vhost '/' in use",
    );
    client.call(1, purge("pq"), queue::PurgeOk { message_count: 1 });
    client.call(1, queue::Delete { if_empty: true, ..delete("pq") }, queue::DeleteOk { message_count: 0 });
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let invalid = |name: &str, why: &str| format!("invalid arg '{name}' for queue 'pq2' in vhost '/': {why}");
    let integer = "\"expected integer, got longstr\"";
    for (name, value, text) in [
        ("x-message-ttl", FieldValue::I32(-1), invalid("x-message-ttl", "{value_negative,-1}")),
        ("x-message-ttl", "a".into(), invalid("x-message-ttl", integer)),
        ("x-expires", FieldValue::I32(0), invalid("x-expires", "{value_zero,0}")),
        ("x-expires", "a".into(), invalid("x-expires", integer)),
        ("x-max-length", FieldValue::I32(-1), invalid("x-max-length", "{value_negative,-1}")),
        ("x-max-length", "a".into(), invalid("x-max-length", integer)),
        ("x-overflow", "a".into(), invalid("x-overflow", "invalid_overflow")),
        (
            "x-dead-letter-exchange",
            FieldValue::I32(1),
            "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'pq2' in vhost '/'"
                .to_owned(),
        ),
        (
            "x-dead-letter-routing-key",
            "k".into(),
            invalid("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined"),
        ),
        ("x-max-priority", FieldValue::I32(256), invalid("x-max-priority", "{max_value_exceeded,256}")),
        ("x-max-priority", FieldValue::I32(-1), invalid("x-max-priority", "{value_negative,-1}")),
        ("x-queue-mode", "x".into(), invalid("x-queue-mode", "\"unsupported queue mode 'x'\"")),
        ("x-queue-type", "x".into(), invalid("x-queue-type", "\"unsupported queue type 'x'\"")),
        (
            "x-single-active-consumer",
            "x".into(),
            invalid("x-single-active-consumer", "{unacceptable_type,longstr}"),
        ),
        (
            "x-queue-version",
            FieldValue::I32(3),
            invalid("x-queue-version", "\"unsupported queue version '3'\""),
        ),
    ] {
        let text = format!("PRECONDITION_FAILED - {text}");
        client.refused(1, declare_with("pq2", [(name, value)]), 406, &text);
    }
    let large = declare_with("large", [("x-message-ttl", FieldValue::I64(315_360_000_000))]);
    client.call(1, large, declare_ok("large", 0, 0));
    client.publish(1, "", "large", "never expires");
    assert_eq!(client.fetch(1, "large").text(), "never expires");
}

#[test]
fn names_are_made_up_and_the_last_one_is_remembered() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let mut generated = || {
        client.send(1, declare("\n"));
        match client.method(1) {
            Method::QueueDeclareOk(ok) => ok.queue,
            other => panic!("{other:?}"),
        }
    };
    let name = generated();
    assert_ne!(generated(), name);
    assert!(name.starts_with("amq.gen-") && name.len() == "amq.gen-".len() + 22, "{name}");
    let reserved = format!("ACCESS_REFUSED - queue name '{name}' contains reserved prefix 'amq.*'");
    client.refused(1, declare(&name), 403, &reserved);
    client.call(1, declare_passive(&name), declare_ok(&name, 0, 0));
    // An empty name is the one declared last; with an empty key, that too.
    client.call(1, bind("", "amq.direct", ""), queue::BindOk);
    client.publish(1, "amq.direct", &name, "by its own name");
    assert_eq!(client.fetch(1, "").text(), "by its own name");
    client.call(1, purge(""), queue::PurgeOk { message_count: 0 });
    client.call(1, delete(""), queue::DeleteOk { message_count: 0 });
    client.refused(1, declare_passive(&name), 404, "NOT_FOUND");
}

#[test]
fn a_purge_takes_what_is_ready_and_leaves_what_is_handed_out() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    for text in ["a", "b", "c"] {
        client.publish_persistent(1, "", "q", text);
    }
    assert_eq!(client.fetch(1, "q").text(), "a");
    client.confirmed(1, 3);
    client.call(1, purge("q"), queue::PurgeOk { message_count: 2 });
    client.expect_empty(1, "q");
    client.send(1, nack(1, true));
    client.call(1, declare_passive("q"), declare_ok("q", 1, 0));
    let crashed = broker.crashed_copy();
    let mut after = crashed.connect_with_channel();
    assert_eq!(after.fetch(1, "q").text(), "a");
    after.expect_empty(1, "q");
}

#[test]
fn a_purged_queue_stays_empty_after_a_crash() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    for _ in 0..10 {
        client.publish_persistent(1, "", "q", "gone");
    }
    client.confirmed(1, 10);
    client.call(1, purge("q"), queue::PurgeOk { message_count: 10 });
    broker.crashed_copy().connect_with_channel().expect_empty(1, "q");
}

#[test]
fn deletion_counts_and_is_for_ever() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.call(1, bind("q", "amq.direct", "k"), queue::BindOk);
    client.publish_persistent(1, "", "q", "a");
    client.publish_persistent(1, "", "q", "b");
    client.fetch(1, "q");
    client.call(1, delete("q"), queue::DeleteOk { message_count: 1 });
    // What it had handed out can be acknowledged all the same.
    client.send(1, ack(1));
    client.sync(1);
    client.send_content(1, publish_mandatory("amq.direct", "k"), &persistent(), b"late");
    client.expect_returned(1, 312, "late");
    let crashed = broker.crashed_copy();
    crashed.connect_with_channel().refused(1, declare_passive("q"), 404, "NOT_FOUND");
    // The name may be used again, and is another queue.
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.send_content(1, publish_mandatory("amq.direct", "k"), &persistent(), b"not bound");
    client.expect_returned(1, 312, "not bound");
}

#[test]
fn auto_delete_goes_with_the_last_consumer() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let auto_delete = queue::Declare { auto_delete: true, ..declare("q") };
    client.call(1, auto_delete.clone(), declare_ok("q", 0, 0));
    // A fetch is no consumer.
    client.expect_empty(1, "q");
    client.call(1, declare_passive("q"), declare_ok("q", 0, 0));
    client.call(1, consume("q", "a"), consume_ok("a"));
    client.call(1, consume("q", "b"), consume_ok("b"));
    client.call(1, cancel("a"), cancel_ok("a"));
    client.call(1, declare_passive("q"), declare_ok("q", 0, 1));
    client.call(1, cancel("b"), cancel_ok("b"));
    client.refused(1, declare_passive("q"), 404, "NOT_FOUND");
    // By the end of a channel, and of a connection.
    client.call(1, auto_delete.clone(), declare_ok("q", 0, 0));
    client.open_channel(2);
    client.call(2, consume("q", "a"), consume_ok("a"));
    client.close_channel(2);
    client.refused(1, declare_passive("q"), 404, "NOT_FOUND");
    client.call(1, auto_delete, declare_ok("q", 0, 0));
    let mut other = broker.connect_with_channel();
    other.call(1, consume("q", "a"), consume_ok("a"));
    other.close();
    client.refused(1, declare_passive("q"), 404, "NOT_FOUND");
}

#[test]
fn a_full_queue_drops_its_head() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_with("n", [("x-max-length", FieldValue::I32(2))]), declare_ok("n", 0, 0));
    for text in ["a", "b", "c"] {
        client.publish(1, "", "n", text);
    }
    assert_eq!(client.fetch(1, "n").text(), "b");
    // What comes back counts, and goes first.
    client.publish(1, "", "n", "d");
    client.send(1, nack(1, true));
    client.sync(1);
    assert_eq!(client.fetch(1, "n").text(), "c");
    assert_eq!(client.fetch(1, "n").text(), "d");
    client.expect_empty(1, "n");

    let bytes = declare_with("b", [("x-max-length-bytes", FieldValue::I32(10))]);
    client.call(1, bytes, declare_ok("b", 0, 0));
    for text in ["12345", "67890", "abcdef"] {
        client.publish(1, "", "b", text);
    }
    assert_eq!(client.fetch(1, "b").text(), "abcdef");
    client.publish(1, "", "b", "longer than it may be");
    client.expect_empty(1, "b");
}

/// As RabbitMQ does, whatever their order in the table.
#[test]
fn of_several_mistakes_in_arguments_the_same_is_named_as_by_rabbitmq() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let bad = |name: &str| match name {
        "x-dead-letter-exchange" => FieldValue::I32(5),
        "x-max-priority" => FieldValue::I32(300),
        name if name.starts_with("x-max-") => FieldValue::I32(-1),
        _ => "bad".into(),
    };
    let classic = [
        "x-dead-letter-exchange",
        "x-queue-type",
        "x-expires",
        "x-message-ttl",
        "x-dead-letter-routing-key",
        "x-max-length",
        "x-max-priority",
        "x-overflow",
        "x-single-active-consumer",
        // Of the right kind of value, but not for a classic queue.
        "x-max-in-memory-length",
    ];
    for pair in classic.windows(2) {
        for arguments in [[pair[0], pair[1]], [pair[1], pair[0]]] {
            client.send(1, declare_with("q", arguments.map(|name| (name, bad(name)))));
            let Method::ChannelClose(close) = client.method(1) else { panic!("{arguments:?} are accepted") };
            client.send(1, channel::CloseOk);
            client.open_channel(1);
            assert!(close.reply_text.contains(&format!("arg '{}'", pair[0])), "{arguments:?}: {close:?}");
        }
    }
    // Of a queue that is there, they are compared and not judged.
    client.call(1, declare("there"), declare_ok("there", 0, 0));
    let other = "PRECONDITION_FAILED - inequivalent arg 'x-expires' for queue 'there' in vhost '/': received the value";
    client.refused(1, declare_with("there", [("x-expires", FieldValue::I32(-1))]), 406, other);
}

#[test]
fn a_full_queue_may_refuse_instead() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let arguments = [("x-max-length", FieldValue::I32(1)), ("x-overflow", "reject-publish".into())];
    client.call(1, declare_with("q", arguments), declare_ok("q", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    client.publish(1, "", "q", "a");
    client.expect(1, basic::Ack { delivery_tag: 1, multiple: false });
    client.publish(1, "", "q", "b");
    client.expect(1, basic::Nack { delivery_tag: 2, multiple: false, requeue: false });
    // It is refused, not unroutable: nothing is returned.
    client.send_content(1, publish_mandatory("", "q"), &persistent(), b"c");
    client.expect(1, basic::Nack { delivery_tag: 3, multiple: false, requeue: false });
    // What comes back is never dropped for it.
    assert_eq!(client.fetch(1, "q").text(), "a");
    client.publish(1, "", "q", "d");
    client.expect(1, basic::Ack { delivery_tag: 4, multiple: false });
    client.send(1, nack(1, true));
    assert_eq!(count(&mut client, "q"), 2);
}

#[test]
fn messages_expire_by_themselves() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "stays");
    client.send_content(1, publish("", "q"), &expiring("20"), b"behind one that stays");
    client.send_content(1, publish("", "q"), &expiring("86400000"), b"tomorrow");
    client.send_content(1, publish("", "q"), &expiring("0"), b"at once");
    eventually("two are left", || count(&mut client, "q") == 2);
    assert_eq!(client.fetch(1, "q").text(), "stays");
    let tomorrow = client.fetch(1, "q");
    assert_eq!(tomorrow.text(), "tomorrow");
    assert_eq!(tomorrow.properties.expiration.as_deref(), Some("86400000"));
    // The lower of both counts.
    let ttl = declare_with("ttl", [("x-message-ttl", FieldValue::I32(20))]);
    client.call(1, ttl, declare_ok("ttl", 0, 0));
    client.publish(1, "", "ttl", "by the queue");
    client.send_content(1, publish("", "ttl"), &expiring("86400000"), b"by the queue too");
    eventually("none is left", || count(&mut client, "ttl") == 0);
}

#[test]
fn a_ttl_of_zero_means_now_or_never() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.send_content(1, publish("", "q"), &expiring("0"), b"never");
    assert_eq!(count(&mut client, "q"), 0);
    client.call(1, consume("q", "c"), consume_ok("c"));
    client.send_content(1, publish("", "q"), &expiring("0"), b"now");
    client.expect_deliveries(1, ["now"]);
}

#[test]
fn a_message_that_comes_back_expires_when_it_would_have() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.send_content(1, publish("", "q"), &expiring("50"), b"short");
    client.fetch(1, "q");
    client.send(1, nack(1, true));
    eventually("it has expired", || count(&mut client, "q") == 0);
}

#[test]
fn an_expiry_survives_a_crash() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    let short = broker::amqp::BasicProperties { expiration: Some("200".into()), ..persistent() };
    client.send_content(1, publish("", "q"), &short, b"short");
    client.publish_persistent(1, "", "q", "stays");
    client.confirmed(1, 2);
    let crashed = broker.crashed_copy();
    let mut after = crashed.connect_with_channel();
    eventually("it has expired", || count(&mut after, "q") == 1);
    assert_eq!(after.fetch(1, "q").text(), "stays");
}
