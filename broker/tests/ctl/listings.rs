//! Listings show what clients have set up.

use broker::amqp::{basic, confirm, exchange, queue};

use crate::harness::*;
use crate::process::Broker;

#[test]
fn queues_are_listed_with_the_columns_asked_for() {
    let broker = Broker::start();
    let mut client = broker.connect();
    client.call(1, declare_with("b", [("x-max-length", 9.into())]), declare_ok("b", 0, 0));
    client.call(1, declare("a"), declare_ok("a", 0, 0));
    for text in ["one", "four", "seven"] {
        client.publish(1, "", "a", text);
    }
    client.call(1, consume("b", "c"), consume_ok("c"));
    client.fetch(1, "a");

    assert_eq!(broker.ok(&["list_queues", "-q"]), "name\tmessages\na\t3\nb\t0\n", "sorted, with a header");
    let columns = ["messages_ready", "messages_unacknowledged", "message_bytes_ready", "consumers", "name"];
    assert_eq!(broker.rows(&[&["list_queues"][..], &columns].concat()), ["2\t1\t9\t0\ta", "0\t0\t0\t1\tb"]);
    let rows = broker.json(&["list_queues", "name", "arguments", "type", "durable", "exclusive"]);
    let b = serde_json::json!({
        "name": "b", "arguments": {"x-max-length": 9}, "type": "classic", "durable": false, "exclusive": false
    });
    assert_eq!(rows[1], b);
    let error = broker.refused(&["list_queues", "name", "colour"]);
    assert!(error.contains("there is no column 'colour'; there are name, "), "{error}");
    let error = broker.refused(&["-p", "/elsewhere", "list_queues"]);
    assert!(error.contains("there is no vhost '/elsewhere'"), "{error}");
}

#[test]
fn exchanges_and_bindings_are_listed() {
    let broker = Broker::start();
    let mut client = broker.connect();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, declare_exchange("x", "topic"), exchange::DeclareOk);
    client.call(1, bind("q", "x", "a.#"), queue::BindOk);
    client.call(1, bind_exchange("amq.fanout", "x", "b"), exchange::BindOk);

    let exchanges = broker.rows(&["list_exchanges", "name", "type", "durable", "internal"]);
    assert!(exchanges.contains(&"x\ttopic\tfalse\tfalse".to_owned()), "{exchanges:?}");
    assert!(exchanges.contains(&"\tdirect\ttrue\tfalse".to_owned()), "the default one: {exchanges:?}");
    assert_eq!(
        broker.rows(&["list_bindings"]),
        [
            "\texchange\tq\tqueue\tq\t[]",
            "x\texchange\tq\tqueue\ta.#\t[]",
            "x\texchange\tamq.fanout\texchange\tb\t[]"
        ]
    );
}

#[test]
fn connections_channels_and_consumers_are_listed() {
    let broker = Broker::start();
    let mut client = broker.connect();
    client.open_channel(7);
    client.call(7, confirm::Select { no_wait: false }, confirm::SelectOk);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, qos(5), basic::QosOk);
    client.call(1, consume("q", "tag"), consume_ok("tag"));
    client.publish(1, "", "q", "held");
    client.delivery(1);

    let connections =
        broker.json(&["list_connections", "pid", "user", "vhost", "state", "channels", "recv_oct"]);
    let pid = connections[0]["pid"].as_u64().expect("a number");
    assert!(connections[0]["recv_oct"].as_u64().is_some_and(|bytes| bytes > 0), "{connections}");
    let expected = serde_json::json!({"user": "guest", "vhost": "/", "state": "running", "channels": 2});
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&connections[0][name], value, "{name}");
    }
    let columns = ["number", "consumer_count", "messages_unacknowledged", "prefetch_count", "confirm"];
    let channels = broker.rows(&[&["list_channels"][..], &columns].concat());
    assert_eq!(channels, ["1\t1\t1\t5\tfalse", "7\t0\t0\t0\ttrue"]);
    let consumers = broker.rows(&["list_consumers"]);
    assert_eq!(consumers, [format!("q\t{pid}.1\ttag\ttrue\t5\ttrue")]);
    client.close();
    eventually("the connection is no longer listed", || broker.rows(&["list_connections"]).is_empty());
}

#[test]
fn what_went_through_is_counted_also_when_its_connection_is_gone() {
    let broker = Broker::start();
    let mut client = broker.connect();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    for text in ["1", "2", "3"] {
        client.publish(1, "", "q", text);
    }
    let tag = client.fetch(1, "q").tag();
    client.fetch(1, "q");
    client.send(1, ack(tag));
    client.sync(1);
    let totals = |broker: &Broker| {
        let status = broker.json(&["status"]);
        ["published", "delivered", "acknowledged"]
            .map(|what| status[format!("messages_{what}_total")].clone())
    };
    assert_eq!(totals(&broker), [3, 2, 1]);
    client.close_channel(1);
    client.open_channel(1);
    client.fetch(1, "q");
    client.sync(1);
    assert_eq!(totals(&broker), [3, 3, 1]);
    client.close();
    eventually("it is gone", || broker.rows(&["list_connections"]).is_empty());
    assert_eq!(totals(&broker), [3, 3, 1]);
}

#[test]
fn one_consumer_of_several_is_active() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let single = [("x-single-active-consumer", true.into())];
    client.call(1, declare_with("q", single), declare_ok("q", 0, 0));
    client.call(1, consume("q", "first"), consume_ok("first"));
    client.call(1, consume("q", "second"), consume_ok("second"));
    let active = ["list_consumers", "consumer_tag", "active"];
    assert_eq!(broker.rows(&active), ["first\ttrue", "second\tfalse"]);
    assert_eq!(broker.rows(&["list_queues", "single_active_consumer_tag"]), ["first"]);
    client.call(1, cancel("first"), cancel_ok("first"));
    assert_eq!(broker.rows(&active), ["second\ttrue"]);
}

#[test]
fn names_cannot_play_tricks_on_the_terminal() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let nasty = "a\x1b]0;title\x07\tb\u{202e}";
    client.call(1, declare(nasty), declare_ok(nasty, 0, 0));
    assert_eq!(broker.rows(&["list_queues"]), [r"a\u{1b}]0;title\u{7}\tb\u{202e}	0"]);
    let out = broker.ok(&["list_queues", "--json"]);
    assert!(!out.contains(['\x1b', '\u{202e}']), "{out:?}");
    assert_eq!(broker.json(&["list_queues"])[0]["name"], nasty);
    let error = broker.refused(&["purge_queue", "\x1b[2J"]);
    assert!(!error.contains('\x1b'), "{error:?}");
}
