//! Listings show what clients have set up.

use broker::amqp::{BasicProperties, basic, confirm, exchange, queue, tx};

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
    assert_eq!(broker.rows(&["list_queues", "name,arguments"]), ["a\t[]", "b\t[{\"x-max-length\",9}]"]);
    let csv = broker.ok(&["list_queues", "--formatter", "csv", "-q", "name", "durable"]);
    assert_eq!(csv, "\"name\",\"durable\"\n\"a\",false\n\"b\",false\n");
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
    let with_priority = basic::Consume { arguments: [("x-priority", 3)].into(), ..consume("q", "tag") };
    client.call(1, with_priority, consume_ok("tag"));
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
    assert_eq!(consumers, [format!("q\t{pid}.1\ttag\ttrue\t5\ttrue\t[{{\"x-priority\",3}}]")]);
    client.close();
    eventually("the connection is no longer listed", || broker.rows(&["list_connections"]).is_empty());
}

#[test]
fn a_connection_by_tls_shows_what_was_agreed_on_and_whose_certificate_it_was() {
    let authority = Authority::default();
    let (broker, address) = Broker::with_tls(&authority, &authority.sign("server", &["localhost"]));
    let alice = authority.sign("alice", &[]);
    let clients = [Some(&alice), None].map(|identity| {
        let mut client = Client::on(tls_socket(address, "localhost", authority.client_config(identity)));
        client.finish_opening(&Login::default());
        client
    });
    let columns = ["ssl", "ssl_protocol", "ssl_key_exchange", "ssl_cipher", "ssl_hash"];
    let tls = broker.rows(&[&["list_connections"][..], &columns].concat());
    assert_eq!(tls, ["true\ttlsv1.3\tany\taes_256_gcm\taead"; 2]);
    let columns = ["peer_cert_subject", "peer_cert_issuer", "peer_cert_validity"];
    let certificates = broker.rows(&[&["list_connections"][..], &columns].concat());
    let validity = "1975-01-01T00:00:00Z - 4096-01-01T00:00:00Z";
    assert_eq!(certificates, [format!("CN=alice\tCN=test authority\t{validity}"), "\t\t".to_owned()]);
    drop(clients);
}

#[test]
fn reads_and_writes_are_counted_from_the_first_byte_on() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let counts = |broker: &Broker| {
        let row = &broker.json(&["list_connections", "recv_oct", "recv_cnt", "send_oct", "send_cnt"])[0];
        ["recv_oct", "recv_cnt", "send_oct", "send_cnt"].map(|name| row[name].as_u64().expect("a number"))
    };
    let opened = counts(&broker);
    // connection.start alone, with the server's properties, has more octets.
    assert!(opened[2] > 400, "{opened:?}");
    // The header, start-ok, tune-ok with open or without, channel.open; start, tune, open-ok, channel.open-ok.
    assert!((4..=5).contains(&opened[1]) && opened[3] == 4, "{opened:?}");
    client.sync(1);
    let synced = counts(&broker);
    assert_eq!([synced[1] - opened[1], synced[3] - opened[3]], [1, 1]);
    assert_eq!(synced[2] - opened[2], encode(1, exchange::DeclareOk).len() as u64);
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

#[test]
fn messages_are_counted_by_where_they_are_and_whether_they_last() {
    let broker = Broker::start();
    let mut client = broker.connect();
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    let with_timestamp = BasicProperties { timestamp: Some(1_234_567), ..Default::default() };
    client.send_content(1, publish("", "q"), &with_timestamp, b"four");
    for text in ["1", "22", "333"] {
        client.publish_persistent(1, "", "q", text);
    }
    let counts = |broker: &Broker| {
        let columns = [
            "messages",
            "message_bytes",
            "messages_persistent",
            "message_bytes_persistent",
            "message_bytes_ready",
            "message_bytes_unacknowledged",
            "messages_ram",
            "message_bytes_ram",
            "messages_ready_ram",
            "messages_unacknowledged_ram",
        ];
        let row = &broker.json(&[&["list_queues"][..], &columns].concat())[0];
        columns.map(|name| row[name].as_u64().unwrap_or_else(|| panic!("{name} in {row}")))
    };
    let head = |broker: &Broker| broker.rows(&["list_queues", "head_message_timestamp"]);
    client.sync(1);
    assert_eq!(counts(&broker), [4, 10, 3, 6, 10, 0, 4, 10, 4, 0]);
    assert_eq!(head(&broker), ["1234567"]);
    let tags = ["four", "1", "22"].map(|text| {
        let fetched = client.fetch(1, "q");
        assert_eq!(fetched.text(), text);
        fetched.tag()
    });
    assert_eq!(counts(&broker), [4, 10, 3, 6, 3, 7, 4, 10, 1, 3]);
    assert_eq!(head(&broker), [""]);
    client.send(1, ack(tags[0]));
    client.send(1, reject(tags[1], false));
    client.send(1, nack(tags[2], true));
    client.sync(1);
    assert_eq!(counts(&broker), [2, 5, 2, 5, 5, 0, 2, 5, 2, 0]);
    client.call(1, consume_no_ack("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["22", "333"]);
    assert_eq!(counts(&broker), [0; 10]);
    let rows = broker.rows(&["list_queues", "consumer_capacity", "consumer_utilisation", "slave_pids"]);
    assert_eq!(rows, ["1\t1\t"]);
}

#[test]
fn a_transaction_is_counted_until_it_is_committed() {
    let broker = Broker::start();
    let mut client = broker.connect();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "x");
    let tag = client.fetch(1, "q").tag();
    client.call(1, tx::Select, tx::SelectOk);
    client.publish(1, "", "q", "y");
    client.publish(1, "", "q", "z");
    client.send(1, ack(tag));
    client.sync(1);
    let listed =
        |broker: &Broker| broker.rows(&["list_channels", "messages_uncommitted", "acks_uncommitted"]);
    assert_eq!(listed(&broker), ["2\t1"]);
    client.call(1, tx::Commit, tx::CommitOk);
    assert_eq!(listed(&broker), ["0\t0"]);
}
