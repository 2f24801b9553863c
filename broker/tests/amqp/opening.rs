//! From the first byte to connection.open-ok.

use broker::amqp::{FieldTable, FieldValue, channel, connection};

use crate::harness::*;

const REFUSED_LOGIN: &str = "ACCESS_REFUSED - Login was refused using authentication mechanism";

#[test]
fn a_connection_opens_and_closes() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "hello");
    assert_eq!(client.fetch(1, "q").text(), "hello");
    client.close_channel(1);
    client.close();
    eventually("the broker has forgotten the connection", || broker.broker().connection_count() == 0);
}

#[test]
fn the_server_says_what_it_is_and_can() {
    let broker = TestBroker::start();
    let mut client = Client::dial(broker.addr());
    client.send_bytes(PROTOCOL_HEADER);
    let start = client.expect_start();
    assert_eq!((start.version_major, start.version_minor), (0, 9));
    assert_eq!(&*start.mechanisms, b"PLAIN AMQPLAIN");
    assert_eq!(&*start.locales, b"en_US");
    let properties = start.server_properties;
    assert_eq!(properties.get("product").and_then(FieldValue::as_str), Some("Warren"));
    let capabilities = properties.get("capabilities").and_then(FieldValue::as_table).unwrap();
    for name in [
        "publisher_confirms",
        "consumer_cancel_notify",
        "consumer_priorities",
        "direct_reply_to",
        "warren.user_exclusive_queues",
    ] {
        assert_eq!(capabilities.get(name), Some(&FieldValue::Boolean(true)), "{name}");
    }
    client.send(0, Login::default().start_ok());
    let offer = client.tune(0, 0, 0);
    assert_eq!((offer.channel_max, offer.frame_max, offer.heartbeat), (2047, 131_072, 60));
}

#[test]
fn everything_may_be_sent_at_once() {
    let broker = TestBroker::start();
    let mut client = Client::dial(broker.addr());
    let mut bytes = PROTOCOL_HEADER.to_vec();
    bytes.extend(encode(0, Login::default().start_ok()));
    bytes.extend(encode(0, connection::TuneOk { channel_max: 0, frame_max: 0, heartbeat: 0 }));
    bytes.extend(encode(0, connection::Open { virtual_host: "/".into() }));
    bytes.extend(encode(1, channel::Open));
    client.send_bytes(&bytes);
    client.expect_start();
    client.method(0);
    client.expect(0, connection::OpenOk);
    client.expect(1, channel::OpenOk);
    client.close();
}

#[test]
fn other_protocols_are_told_what_is_spoken_here() {
    let broker = TestBroker::start();
    for header in [
        &b"AMQP\x00\x01\x00\x00"[..],
        b"AMQP\x03\x01\x00\x00",
        b"AMQP\x00\x00\x09\x02",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let mut client = Client::dial(broker.addr());
        client.send_bytes(header);
        assert_eq!(client.read_bytes(8), PROTOCOL_HEADER, "{header:?}");
        client.expect_end();
    }
}

#[test]
fn the_header_of_0_9_is_as_good() {
    let broker = TestBroker::start();
    let mut client = Client::dial(broker.addr());
    client.send_bytes(b"AMQP\x01\x01\x00\x09");
    client.expect_start();
}

#[test]
fn amqplain_is_as_good_as_plain() {
    let broker = TestBroker::start();
    let table: FieldTable = [("LOGIN", "guest"), ("PASSWORD", "guest")].into();
    let mut response = Vec::new();
    broker::amqp::encode_table(&table, &mut response);
    let mut client = Client::dial(broker.addr());
    client.send_bytes(PROTOCOL_HEADER);
    client.expect_start();
    // The table without its length.
    let start_ok = connection::StartOk {
        mechanism: "AMQPLAIN".into(),
        response: response[4..].into(),
        ..Login::default().start_ok()
    };
    client.send(0, start_ok);
    client.tune(0, 0, 0);
    client.send(0, connection::Open { virtual_host: "/".into() });
    client.expect(0, connection::OpenOk);
}

#[test]
fn a_wrong_login_is_told_to_clients_that_understand_it() {
    let broker = TestBroker::start();
    for (user, password) in [("guest", "wrong"), ("nobody", "guest")] {
        let mut client = Client::dial(broker.addr());
        client.log_in(&Login { user, password, ..Login::default() });
        client.expect_connection_error(403, &format!("{REFUSED_LOGIN} PLAIN. For details see the broker"));

        let mut client = Client::dial(broker.addr());
        client.log_in(&Login { user, password, capabilities: &[], ..Login::default() });
        client.expect_end();
    }
}

#[test]
fn mechanisms_are_those_that_were_offered() {
    let broker = TestBroker::start();
    for (mechanism, response) in [("EXTERNAL", &b""[..]), ("plain?", b""), ("PLAIN", b"no zero bytes")] {
        let mut client = Client::dial(broker.addr());
        client.send_bytes(PROTOCOL_HEADER);
        client.expect_start();
        let start_ok = connection::StartOk {
            mechanism: mechanism.into(),
            response: response.into(),
            ..Login::default().start_ok()
        };
        client.send(0, start_ok);
        client.expect_connection_error(403, "ACCESS_REFUSED");
    }
}

#[test]
fn tune_may_only_lower() {
    let broker = TestBroker::start();
    for (channel_max, frame_max, text) in [
        (0, 4095, "NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"),
        (
            0,
            200_000,
            "NOT_ALLOWED - negotiated frame_max = 200000 is higher than the maximum allowed value (131072)",
        ),
        (
            4000,
            0,
            "NOT_ALLOWED - negotiated channel_max = 4000 is higher than the maximum allowed value (2047)",
        ),
    ] {
        let mut client = Client::dial(broker.addr());
        client.log_in(&Login::default());
        client.tune(channel_max, frame_max, 0);
        client.expect_connection_error(530, text);
    }
    // 0 means no limit of the client's own, so the server's holds.
    let mut client = Client::dial(broker.addr());
    client.log_in(&Login::default());
    client.method(0);
    client.send(0, connection::TuneOk { channel_max: 0, frame_max: 0, heartbeat: 0 });
    client.send(0, connection::Open { virtual_host: "/".into() });
    client.expect(0, connection::OpenOk);
}

#[test]
fn frames_are_no_larger_than_tuned() {
    let broker = TestBroker::start();
    let mut client = Client::open(broker.addr(), &Login { frame_max: 4096, ..Login::default() });
    client.open_channel(1);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let body = "x".repeat(10_000);
    client.publish(1, "", "q", &body);
    assert_eq!(client.fetch(1, "q").text(), body);
    assert_eq!(client.largest_frame, 4096);
    // Eight octets are granted to clients that forget the frame's own; not one more.
    client.send_frame(3, 1, &[0; 4097]);
    client
        .expect_connection_error(501, "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,4097,4088}");
}

#[test]
fn a_vhost_has_to_exist_and_be_open_to_the_user() {
    let broker = TestBroker::start();
    broker.runtime().block_on(broker.broker().authority.add_user("bob", "bob", vec![])).unwrap();
    for (user, vhost, text) in [
        ("guest", "nosuch", "NOT_ALLOWED - vhost nosuch not found"),
        ("bob", "/", "NOT_ALLOWED - access to vhost '/' refused for user 'bob'"),
    ] {
        let mut client = Client::dial(broker.addr());
        client.log_in(&Login { user, password: user, ..Login::default() });
        client.tune(0, 0, 0);
        client.send(0, connection::Open { virtual_host: vhost.into() });
        let close = client.expect_connection_error(530, text);
        assert_eq!((close.class_id, close.method_id), (10, 40));
    }
}

#[test]
fn the_handshake_has_its_order() {
    let broker = TestBroker::start();
    let mut client = Client::dial(broker.addr());
    client.send_bytes(PROTOCOL_HEADER);
    client.expect_start();
    client.send(0, connection::Open { virtual_host: "/".into() });
    client.expect_connection_error(503, "COMMAND_INVALID - a method other than connection.start-ok");

    let mut client = Client::dial(broker.addr());
    client.log_in(&Login::default());
    client.method(0);
    client.send(1, channel::Open);
    client.expect_connection_error(503, "COMMAND_INVALID - a frame other than a method on channel 0");

    let mut client = Client::dial(broker.addr());
    client.send_bytes(PROTOCOL_HEADER);
    client.expect_start();
    // Before tune the least that everybody has to take is the most: 4096, and eight for the forgetful.
    client.send_frame(1, 0, &[0; 4097]);
    client.expect_connection_error(501, "FRAME_ERROR");

    // A client may change its mind.
    let mut client = Client::dial(broker.addr());
    client.log_in(&Login::default());
    client.method(0);
    client.close();
}

#[test]
fn a_handshake_takes_only_so_long() {
    let broker = TestBroker::with(|config| config.limits.handshake_timeout_s = 1);
    let mut silent = Client::dial(broker.addr());
    let mut slow = Client::dial(broker.addr());
    slow.log_in(&Login::default());
    silent.expect_end();
    slow.method(0);
    slow.expect_end();
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once() {
    let broker = TestBroker::with(|config| {
        config.limits.connections_max = 1;
        config.listen.push(config.listen[0]);
    });
    let first = broker.connect();
    // On whichever address.
    for addr in broker.addrs() {
        Client::dial(addr).expect_end();
    }
    first.close();
    eventually("there is room again", || {
        let mut client = Client::dial(broker.addr());
        client.try_log_in(&Login::default())
    });
}
