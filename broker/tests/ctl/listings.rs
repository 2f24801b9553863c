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
    assert_eq!(consumers, [format!("q\t{pid}.1\ttag\ttrue\t5\tfalse")]);
    client.close();
    eventually("the connection is no longer listed", || broker.rows(&["list_connections"]).is_empty());
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
