//! Exchanges, their bindings and where messages go.

use broker::amqp::{BasicProperties, FieldTable, FieldValue, exchange, queue};

use crate::harness::*;

fn auto_delete(name: &str) -> exchange::Declare {
    exchange::Declare { auto_delete: true, ..declare_exchange(name, "fanout") }
}

fn passive(name: &str) -> exchange::Declare {
    exchange::Declare { passive: true, ..declare_exchange(name, "") }
}

fn with_alternate(name: &str, kind: &str, alternate: &str) -> exchange::Declare {
    exchange::Declare {
        arguments: [("alternate-exchange", alternate)].into(),
        ..declare_exchange(name, kind)
    }
}

fn setup(client: &mut Client, queues: &[&str]) {
    for name in queues {
        client.call(1, declare(name), declare_ok(name, 0, 0));
    }
}

/// The texts in a queue, all of them.
fn drained(client: &mut Client, name: &str) -> Vec<String> {
    client.send(1, queue::Declare { passive: true, ..declare(name) });
    let broker::amqp::Method::QueueDeclareOk(ok) = client.method(1) else { panic!("no queue {name}") };
    (0..ok.message_count)
        .map(|_| {
            let message = client.fetch(1, name);
            client.send(1, ack(message.tag()));
            message.text().to_owned()
        })
        .collect()
}

#[test]
fn mistakes_with_exchanges() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    setup(&mut client, &["q"]);
    client.call(1, declare_exchange("px", "direct"), exchange::DeclareOk);
    client.call(1, declare_exchange("px", "direct"), exchange::DeclareOk);
    client.call(1, bind("q", "px", "k"), queue::BindOk);

    let missing = "NOT_FOUND - no exchange 'nosuch' in vhost '/'";
    client.refused(1, passive("nosuch"), 404, missing);
    client.refused(1, bind("q", "nosuch", ""), 404, missing);
    client.refused(1, bind_exchange("px", "nosuch", ""), 404, missing);
    client.refused(1, bind_exchange("nosuch", "px", ""), 404, missing);
    client.call(1, delete_exchange("nosuch"), exchange::DeleteOk);
    client.call(1, unbind_exchange("nosuch", "px", ""), exchange::UnbindOk);
    client.call(1, unbind("q", "px", "never bound"), queue::UnbindOk);
    client.call(1, unbind("nosuch", "px", ""), queue::UnbindOk);

    let default = "ACCESS_REFUSED - operation not permitted on the default exchange";
    client.refused(1, bind("q", "", "k"), 403, default);
    client.refused(1, unbind("q", "", "k"), 403, default);
    client.refused(1, bind_exchange("px", "", "k"), 403, default);
    client.refused(1, bind_exchange("", "px", "k"), 403, default);
    client.refused(1, declare_exchange("", "direct"), 403, default);
    client.refused(1, passive(""), 403, default);
    client.refused(1, delete_exchange(""), 403, default);
    client.refused(
        1,
        delete_exchange("amq.direct"),
        403,
        "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    );
    client.refused(
        1,
        declare_exchange("amq.foo", "direct"),
        403,
        "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'",
    );
    client.call(1, declare_exchange_durable("amq.direct", "direct"), exchange::DeclareOk);
    // As in names of queues, line breaks do not count.
    client.call(1, declare_exchange("line\r\nx", "direct"), exchange::DeclareOk);
    client.call(1, declare_exchange("linex\n", "direct"), exchange::DeclareOk);
    client.call(1, bind("q", "linex", "k"), queue::BindOk);
    client.call(1, delete_exchange("\nlinex"), exchange::DeleteOk);
    client.refused(1, bind("noqueue", "linex", "k"), 404, "NOT_FOUND - no exchange 'linex' in vhost '/'");
    client.refused(1, bind("q", "linex", "k"), 404, "NOT_FOUND - no exchange 'linex' in vhost '/'");

    let inequivalent = "PRECONDITION_FAILED - inequivalent arg";
    let of = "for exchange 'px' in vhost '/': received";
    let declare = declare_exchange("px", "direct");
    for (again, text) in [
        (declare_exchange("px", "fanout"), format!("'type' {of} 'fanout' but current is 'direct'")),
        (
            exchange::Declare { durable: true, ..declare.clone() },
            format!("'durable' {of} 'true' but current is 'false'"),
        ),
        (
            exchange::Declare { auto_delete: true, ..declare.clone() },
            format!("'auto_delete' {of} 'true' but current is 'false'"),
        ),
        (
            exchange::Declare { internal: true, ..declare.clone() },
            format!("'internal' {of} 'true' but current is 'false'"),
        ),
        (
            with_alternate("px", "direct", "z"),
            format!("'alternate-exchange' {of} the value 'z' of type 'longstr' but current is none"),
        ),
    ] {
        client.refused(1, again, 406, &format!("{inequivalent} {text}"));
    }
    client.refused(
        1,
        exchange::Delete { if_unused: true, ..delete_exchange("px") },
        406,
        "PRECONDITION_FAILED - exchange 'px' in vhost '/' in use",
    );
    client.call(1, delete_exchange("px"), exchange::DeleteOk);
    client.refused(1, passive("px"), 404, "NOT_FOUND - no exchange 'px' in vhost '/'");

    client.call(
        1,
        exchange::Declare { internal: true, ..declare_exchange("pint", "direct") },
        exchange::DeclareOk,
    );
    client.publish(1, "pint", "k", "");
    client.expect_channel_error(
        1,
        403,
        "ACCESS_REFUSED - cannot publish to internal exchange 'pint' in vhost '/'",
    );
    client.open_channel(1);
    for (x_match, text) in [
        (
            FieldValue::from("foo"),
            "Invalid x-match field value <<\"foo\">>; expected all, any, all-with-x, or any-with-x",
        ),
        (FieldValue::I32(1), "Invalid x-match field type signedint (value 1); expected longstr"),
    ] {
        let bind = queue::Bind { arguments: [("x-match", x_match)].into(), ..bind("q", "amq.headers", "") };
        client.refused(1, bind, 406, &format!("PRECONDITION_FAILED - {text}"));
    }
    client.send(1, declare_exchange("bad", "nosuchtype"));
    client.expect_connection_error(503, "COMMAND_INVALID - unknown exchange type 'nosuchtype'");
}

fn declare_exchange_durable(name: &str, kind: &str) -> exchange::Declare {
    exchange::Declare { durable: true, ..declare_exchange(name, kind) }
}

#[test]
fn each_type_routes_its_own_way() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    setup(&mut client, &["a", "b"]);
    client.call(1, bind("a", "amq.direct", "k"), queue::BindOk);
    client.call(1, bind("b", "amq.direct", "other"), queue::BindOk);
    client.call(1, bind("a", "amq.fanout", "ignored"), queue::BindOk);
    client.call(1, bind("b", "amq.fanout", ""), queue::BindOk);
    client.call(1, bind("a", "amq.topic", "stock.*.nyse"), queue::BindOk);
    client.call(1, bind("b", "amq.topic", "stock.#"), queue::BindOk);
    let headers = queue::Bind { arguments: [("colour", "red")].into(), ..bind("a", "amq.headers", "") };
    client.call(1, headers, queue::BindOk);

    client.publish(1, "amq.direct", "k", "direct");
    client.publish(1, "amq.fanout", "k", "fanout");
    client.publish(1, "amq.topic", "stock.usd.nyse", "topic 1");
    client.publish(1, "amq.topic", "stock", "topic 2");
    client.publish(1, "amq.topic", "bond.usd", "nowhere");
    let red: FieldTable = [("colour", "red")].into();
    let red = BasicProperties { headers: Some(red), ..Default::default() };
    client.send_content(1, publish("amq.headers", ""), &red, b"headers");
    client.publish(1, "amq.match", "", "nowhere");
    assert_eq!(drained(&mut client, "a"), ["direct", "fanout", "topic 1", "headers"]);
    assert_eq!(drained(&mut client, "b"), ["fanout", "topic 1", "topic 2"]);
}

/// The broker remembers where messages went; each of these takes its own way all the same.
#[test]
fn headers_count_for_each_message_anew() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    setup(&mut client, &["red", "blue", "late"]);
    client.call(1, declare_exchange("f", "fanout"), exchange::DeclareOk);
    client.call(1, bind_exchange("amq.headers", "f", ""), exchange::BindOk);
    let by_colour = |queue, colour| queue::Bind {
        arguments: [("colour", colour)].into(),
        ..bind(queue, "amq.headers", "")
    };
    client.call(1, by_colour("red", "red"), queue::BindOk);
    client.call(1, by_colour("blue", "blue"), queue::BindOk);
    let send = |client: &mut Client, exchange: &str, colour: Option<&str>, body: &str| {
        let headers = colour.map(|colour| [("colour", colour)].into());
        let properties = BasicProperties { headers, ..Default::default() };
        client.send_content(1, publish(exchange, "k"), &properties, body.as_bytes());
    };
    for (exchange, text) in [("amq.headers", "1"), ("amq.headers", "2"), ("f", "3"), ("f", "4")] {
        for colour in [Some("red"), Some("blue"), None, Some("redder")] {
            send(&mut client, exchange, colour, text);
        }
    }
    assert_eq!(drained(&mut client, "red"), ["1", "2", "3", "4"]);
    assert_eq!(drained(&mut client, "blue"), ["1", "2", "3", "4"]);
    client.call(1, by_colour("late", "red"), queue::BindOk);
    let unbind =
        queue::Unbind { arguments: [("colour", "blue")].into(), ..unbind("blue", "amq.headers", "") };
    client.call(1, unbind, queue::UnbindOk);
    send(&mut client, "amq.headers", Some("red"), "bound");
    send(&mut client, "amq.headers", Some("blue"), "unbound");
    assert_eq!(drained(&mut client, "red"), ["bound"]);
    assert_eq!(drained(&mut client, "late"), ["bound"]);
    assert_eq!(drained(&mut client, "blue"), [""; 0]);
}

#[test]
fn a_message_enters_a_queue_once_however_many_ways_lead_there() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    setup(&mut client, &["q"]);
    for exchange in ["amq.direct", "amq.fanout", "amq.topic"] {
        // The same but for their arguments: two bindings, one way.
        let plain = bind("q", exchange, "k");
        let other = queue::Bind { arguments: [("x", 1)].into(), ..plain.clone() };
        client.call(1, plain.clone(), queue::BindOk);
        client.call(1, other.clone(), queue::BindOk);
        client.publish(1, exchange, "k", "once");
        assert_eq!(drained(&mut client, "q"), ["once"], "{exchange}");
        client.call(1, unbind("q", exchange, "k"), queue::UnbindOk);
        client.publish(1, exchange, "k", "still bound");
        assert_eq!(drained(&mut client, "q"), ["still bound"], "{exchange}");
        let unbind = queue::Unbind { arguments: other.arguments, ..unbind("q", exchange, "k") };
        client.call(1, unbind, queue::UnbindOk);
        client.publish(1, exchange, "k", "gone");
        assert_eq!(drained(&mut client, "q"), [""; 0], "{exchange}");
    }
    for key in ["a.b", "a.*", "#", "*.b"] {
        client.call(1, bind("q", "amq.topic", key), queue::BindOk);
    }
    client.publish(1, "amq.topic", "a.b", "topic");
    for (header, mode) in [("a", "all"), ("b", "any")] {
        let arguments: FieldTable = [("x-match", mode), (header, "1")].into();
        client.call(1, queue::Bind { arguments, ..bind("q", "amq.headers", "") }, queue::BindOk);
    }
    let both: FieldTable = [("a", "1"), ("b", "1")].into();
    let both = BasicProperties { headers: Some(both), ..Default::default() };
    client.send_content(1, publish("amq.headers", ""), &both, b"headers");
    assert_eq!(drained(&mut client, "q"), ["topic", "headers"]);
}

#[test]
fn exchanges_may_be_bound_to_exchanges_also_in_circles() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    setup(&mut client, &["q", "r"]);
    for name in ["a", "b", "c"] {
        client.call(1, declare_exchange(name, "fanout"), exchange::DeclareOk);
    }
    for (destination, source) in [("b", "a"), ("c", "b"), ("a", "c"), ("c", "a"), ("a", "a")] {
        client.call(1, bind_exchange(destination, source, ""), exchange::BindOk);
    }
    client.call(1, bind("q", "c", ""), queue::BindOk);
    client.call(1, bind("q", "b", ""), queue::BindOk);
    client.call(1, bind("r", "a", ""), queue::BindOk);
    for entry in ["a", "b", "c"] {
        client.publish(1, entry, "", entry);
    }
    assert_eq!(drained(&mut client, "q"), ["a", "b", "c"]);
    assert_eq!(drained(&mut client, "r"), ["a", "b", "c"]);
    client.call(1, unbind_exchange("a", "c", ""), exchange::UnbindOk);
    client.publish(1, "c", "", "no way back");
    assert_eq!(drained(&mut client, "q"), ["no way back"]);
    assert_eq!(drained(&mut client, "r"), [""; 0]);
    // A deleted exchange takes its bindings along, and they do not return with its name.
    client.call(1, delete_exchange("b"), exchange::DeleteOk);
    client.call(1, declare_exchange("b", "fanout"), exchange::DeclareOk);
    client.publish(1, "a", "", "around");
    client.publish(1, "b", "", "nowhere");
    assert_eq!(drained(&mut client, "q"), ["around"]);
}

#[test]
fn an_alternate_exchange_gets_what_nothing_else_does() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    setup(&mut client, &["q", "rest"]);
    client.call(1, with_alternate("main", "direct", "other"), exchange::DeclareOk);
    client.send_content(1, publish_mandatory("main", "k"), &BasicProperties::default(), b"there is no other");
    client.expect_returned(1, 312, "there is no other");
    client.call(1, with_alternate("other", "direct", "main"), exchange::DeclareOk);
    client.send_content(1, publish_mandatory("main", "k"), &BasicProperties::default(), b"in circles");
    client.expect_returned(1, 312, "in circles");
    client.call(1, bind("rest", "other", "k"), queue::BindOk);
    client.call(1, bind("q", "main", "known"), queue::BindOk);
    for (key, text) in [("k", "one"), ("known", "two")] {
        client.send_content(1, publish_mandatory("main", key), &BasicProperties::default(), text.as_bytes());
    }
    assert_eq!(drained(&mut client, "rest"), ["one"]);
    assert_eq!(drained(&mut client, "q"), ["two"]);
    // The default exchange may be one.
    client.call(1, with_alternate("by name", "fanout", ""), exchange::DeclareOk);
    client.publish(1, "by name", "q", "three");
    assert_eq!(drained(&mut client, "q"), ["three"]);
    client.refused(
        1,
        exchange::Declare {
            arguments: [("alternate-exchange", 1)].into(),
            ..declare_exchange("bad", "fanout")
        },
        406,
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'bad' in vhost '/'",
    );
}

#[test]
fn auto_delete_waits_for_the_first_binding_and_goes_with_the_last() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    setup(&mut client, &["q", "r"]);
    client.call(1, auto_delete("x"), exchange::DeclareOk);
    client.call(1, passive("x"), exchange::DeclareOk);
    client.call(1, bind("q", "x", "1"), queue::BindOk);
    client.call(1, bind("q", "x", "2"), queue::BindOk);
    client.call(1, unbind("q", "x", "1"), queue::UnbindOk);
    client.call(1, passive("x"), exchange::DeclareOk);
    client.call(1, unbind("q", "x", "2"), queue::UnbindOk);
    client.refused(1, passive("x"), 404, "NOT_FOUND");
    // By the deletion of a queue.
    client.call(1, auto_delete("x"), exchange::DeclareOk);
    client.call(1, bind("q", "x", ""), queue::BindOk);
    client.call(1, bind("r", "x", ""), queue::BindOk);
    client.call(1, delete("q"), queue::DeleteOk { message_count: 0 });
    client.call(1, passive("x"), exchange::DeclareOk);
    client.call(1, delete("r"), queue::DeleteOk { message_count: 0 });
    client.refused(1, passive("x"), 404, "NOT_FOUND");
}

#[test]
fn auto_delete_cascades_along_a_chain_of_any_length() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    const LENGTH: usize = 3000;
    let name = |at: usize| format!("x{at}");
    let no_wait = |declare: exchange::Declare| exchange::Declare { no_wait: true, ..declare };
    for at in 0..LENGTH {
        client.send(1, no_wait(auto_delete(&name(at))));
        if at > 0 {
            let bind = bind_exchange(&name(at), &name(at - 1), "");
            client.send(1, exchange::Bind { no_wait: true, ..bind });
        }
    }
    setup(&mut client, &["q"]);
    client.call(1, bind("q", &name(LENGTH - 1), ""), queue::BindOk);
    client.publish(1, "x0", "", "through all of them");
    assert_eq!(drained(&mut client, "q"), ["through all of them"]);
    client.call(1, delete("q"), queue::DeleteOk { message_count: 0 });
    for at in [0, LENGTH / 2, LENGTH - 1] {
        client.refused(1, passive(&name(at)), 404, "NOT_FOUND");
    }
}

#[test]
fn durable_exchanges_and_bindings_come_back() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_exchange_durable("d", "topic"), exchange::DeclareOk);
    client.call(1, declare_exchange_durable("d2", "headers"), exchange::DeclareOk);
    client.call(1, declare_exchange("t", "topic"), exchange::DeclareOk);
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.call(1, declare("tq"), declare_ok("tq", 0, 0));
    client.call(1, bind("q", "d", "a.#"), queue::BindOk);
    client.call(1, bind("q", "d", "gone"), queue::BindOk);
    client.call(1, unbind("q", "d", "gone"), queue::UnbindOk);
    client.call(1, bind("q", "t", "a.#"), queue::BindOk);
    client.call(1, bind("tq", "d", "a.#"), queue::BindOk);
    client.call(1, bind_exchange("d2", "d", "h.#"), exchange::BindOk);
    let headers = queue::Bind { arguments: [("colour", "red")].into(), ..bind("q", "d2", "") };
    client.call(1, headers, queue::BindOk);
    for broker in [broker.crashed_copy(), broker.restarted()] {
        let mut client = broker.connect_with_channel();
        client.refused(1, passive("t"), 404, "NOT_FOUND");
        client.refused(1, declare_passive("tq"), 404, "NOT_FOUND");
        client.call(1, declare_exchange_durable("d", "topic"), exchange::DeclareOk);
        client.publish(1, "d", "a.b", "routed");
        client.publish(1, "d", "gone", "not routed");
        let red = BasicProperties { headers: Some([("colour", "red")].into()), ..Default::default() };
        client.send_content(1, publish("d", "h.1"), &red, b"by headers");
        assert_eq!(drained(&mut client, "q"), ["routed", "by headers"]);
    }
}
