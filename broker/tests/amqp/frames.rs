//! What is answered to frames that are wrong, line by line as in `observed/rabbitmq-3.10.8-frames.txt`.
//!
//! Where we differ from RabbitMQ on purpose:
//!
//! | mistake | RabbitMQ | here | why |
//! |---|---|---|---|
//! | tune-ok with 0 for frame or channel max | resets | takes what it offered | 0 means "no limit of my own" (§2.2.5) |
//! | other tune-ok violations | resets | 530 and why | a reset says nothing |
//! | malformed PLAIN, unknown mechanism | resets | 403 and why, if the client can tell | likewise |
//! | channel_max exceeded | allowed on the last id | 530 by number of open channels | ids are the client's affair |
//! | unknown class, bad table type | resets | 501 and why | likewise |
//! | oversize or badly ended frame | close, then resets | close, and waits for close-ok | the reason arrives |
//! | body larger than its header said | ignored | 501 | the next frame could be taken for anything |
//! | properties that cannot be decoded | 541 | 502 | it is the client's mistake |

use broker::amqp::{Method, access, basic, channel, confirm, connection, tx};

use crate::harness::*;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;

fn method(class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat()
}

fn header(class: u16, weight: u16, size: u64, properties: &[u8]) -> Vec<u8> {
    [&class.to_be_bytes()[..], &weight.to_be_bytes(), &size.to_be_bytes(), properties].concat()
}

/// A message of one byte with these names.
fn whole_publish(names: &[u8], properties: &[u8]) -> Vec<u8> {
    let publish = method(60, 40, &[&[0, 0][..], names, &[0]].concat());
    [frame(METHOD, 1, &publish), frame(HEADER, 1, &header(60, 0, 1, properties)), frame(BODY, 1, b"a")]
        .concat()
}

/// basic.publish to the default exchange with the key `q`.
fn publish_frame() -> Vec<u8> {
    encode(1, publish("", "q"))
}

/// Channel 1 is open and queue `q` exists.
fn fresh(broker: &TestBroker) -> Client {
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client
}

#[test]
fn mistakes_that_close_the_connection() {
    let broker = TestBroker::start();
    type Case = (&'static str, fn(&mut Client), u16, &'static str, (u16, u16));
    let cases: &[Case] = &[
        (
            "a method on a channel that is not open",
            |c| c.send(2, declare("q")),
            504,
            "CHANNEL_ERROR - expected 'channel.open'",
            (50, 10),
        ),
        (
            "channel.open on channel 0",
            |c| c.send(0, channel::Open),
            504,
            "CHANNEL_ERROR - unexpected method in connection state running",
            (20, 10),
        ),
        (
            "queue.declare on channel 0",
            |c| c.send(0, declare("q")),
            504,
            "CHANNEL_ERROR - unexpected method in connection state running",
            (50, 10),
        ),
        (
            "a frame with another end",
            |c| c.send_bytes(&[1, 0, 0, 0, 0, 0, 4, 0, 90, 0, 10, 205]),
            501,
            "FRAME_ERROR - type 1, all octets = <<0,90,0,10>>: {invalid_frame_end_marker,205}",
            (0, 0),
        ),
        (
            "a frame of type 9",
            |c| c.send_frame(9, 0, b"abc"),
            501,
            "FRAME_ERROR - type 9, all octets = <<\"abc\">>: unknown_frame",
            (0, 0),
        ),
        (
            "a frame of type 4",
            |c| c.send_frame(4, 0, b""),
            501,
            "FRAME_ERROR - type 4, all octets = <<>>: unknown_frame",
            (0, 0),
        ),
        (
            "a heartbeat on channel 1",
            |c| c.send_frame(8, 1, b""),
            505,
            "UNEXPECTED_FRAME - type 8, all octets = <<>>",
            (0, 0),
        ),
        (
            "a frame larger than was tuned",
            |c| c.send_frame(BODY, 0, &vec![0; 200_000]),
            501,
            "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,200000,131064}",
            (0, 0),
        ),
        (
            "a class that does not exist",
            |c| c.send_frame(METHOD, 1, &method(99, 10, b"")),
            501,
            "FRAME_ERROR - cannot decode <<>>",
            (99, 10),
        ),
        (
            "a method that its class does not have",
            |c| c.send_frame(METHOD, 1, &method(60, 200, b"")),
            501,
            "FRAME_ERROR - cannot decode <<>>",
            (60, 200),
        ),
        (
            "arguments that end too early",
            |c| c.send_frame(METHOD, 1, &method(50, 10, &[0])),
            501,
            "FRAME_ERROR - cannot decode <<0>>",
            (50, 10),
        ),
        (
            "a table with a type that does not exist",
            |c| {
                let arguments = [&[0, 0, 1, b'q', 0][..], &[0, 0, 0, 5, 1, b'k', b'?', 0, 0]].concat();
                c.send_frame(METHOD, 1, &method(50, 10, &arguments));
            },
            501,
            "FRAME_ERROR - cannot decode",
            (50, 10),
        ),
        (
            "a header without its method",
            |c| c.send_frame(HEADER, 1, &header(60, 0, 1, &[0, 0])),
            505,
            "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
            (0, 0),
        ),
        (
            "a body without its header",
            |c| c.send_frame(BODY, 1, b"a"),
            505,
            "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
            (0, 0),
        ),
        (
            "a method where the header is due",
            |c| {
                c.send_bytes(&publish_frame());
                c.send(1, qos(1));
            },
            505,
            "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
            (60, 40),
        ),
        (
            "a body where the header is due",
            |c| {
                c.send_bytes(&publish_frame());
                c.send_frame(BODY, 1, b"a");
            },
            505,
            "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
            (60, 40),
        ),
        (
            "a method where the body is due",
            |c| {
                c.send_bytes(&publish_frame());
                c.send_frame(HEADER, 1, &header(60, 0, 1, &[0, 0]));
                c.send(1, qos(1));
            },
            505,
            "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
            (60, 40),
        ),
        (
            "a second header",
            |c| {
                c.send_bytes(&publish_frame());
                c.send_frame(HEADER, 1, &header(60, 0, 1, &[0, 0]));
                c.send_frame(HEADER, 1, &header(60, 0, 1, &[0, 0]));
            },
            505,
            "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
            (60, 40),
        ),
        (
            "a header of another class",
            |c| {
                c.send_bytes(&publish_frame());
                c.send_frame(HEADER, 1, &header(50, 0, 1, &[0, 0]));
            },
            505,
            "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
            (60, 40),
        ),
        (
            "a header with a weight",
            |c| {
                c.send_bytes(&publish_frame());
                c.send_frame(HEADER, 1, &header(60, 1, 1, &[0, 0]));
            },
            505,
            "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
            (60, 40),
        ),
        (
            "more body than was announced",
            |c| {
                c.send_bytes(&publish_frame());
                c.send_frame(HEADER, 1, &header(60, 0, 1, &[0, 0]));
                c.send_frame(BODY, 1, b"ab");
            },
            501,
            "FRAME_ERROR - content body frame of 2 octets where 1 are left of what the header announced",
            (60, 40),
        ),
        (
            "properties that cannot be decoded",
            |c| {
                c.send_bytes(&publish_frame());
                c.send_frame(HEADER, 1, &header(60, 0, 0, &[0x80, 0]));
            },
            502,
            "SYNTAX_ERROR - cannot decode message properties",
            (60, 40),
        ),
        (
            "a routing key that is no text, its message in one piece",
            |c| c.send_bytes(&whole_publish(b"\x00\x01\xFF", &[0, 0])),
            501,
            "FRAME_ERROR - cannot decode <<0,0,0,1,255,0>>",
            (60, 40),
        ),
        (
            "an exchange that is no text, and properties that cannot be decoded",
            |c| c.send_bytes(&whole_publish(b"\x02x\xFF\x01k", &[0x80, 0])),
            501,
            "FRAME_ERROR - cannot decode <<0,0,2,120,255,1,107,0>>",
            (60, 40),
        ),
        (
            "content on channel 0",
            |c| c.send_frame(BODY, 0, b"a"),
            505,
            "UNEXPECTED_FRAME - type 3, all octets = <<\"a\">>",
            (0, 0),
        ),
        (
            "connection.start-ok again",
            |c| c.send(0, Login::default().start_ok()),
            504,
            "CHANNEL_ERROR - unexpected method in connection state running",
            (10, 11),
        ),
        (
            "a method of the connection on a channel",
            |c| c.send(1, connection::Close::default()),
            503,
            "COMMAND_INVALID - unimplemented method",
            (10, 50),
        ),
        (
            "a method that only servers send",
            |c| c.send(1, basic::GetEmpty),
            503,
            "COMMAND_INVALID - unimplemented method",
            (60, 72),
        ),
        (
            "channel.close-ok that nobody asked for",
            |c| c.send(1, channel::CloseOk),
            503,
            "COMMAND_INVALID - unimplemented method",
            (20, 41),
        ),
        (
            "opening a channel twice",
            |c| c.send(1, channel::Open),
            504,
            "CHANNEL_ERROR - second 'channel.open' seen",
            (20, 10),
        ),
    ];
    for (what, send, code, text, id) in cases {
        println!("{what}");
        let mut client = fresh(&broker);
        send(&mut client);
        let close = client.expect_connection_error(*code, text);
        assert_eq!((close.class_id, close.method_id), *id, "{what}");
    }
}

#[test]
fn what_is_fine_although_it_looks_odd() {
    let broker = TestBroker::start();
    let mut client = fresh(&broker);
    client.send_frame(8, 0, b"");
    // Split anywhere, and with an empty frame in between.
    client.send_bytes(&publish_frame());
    client.send_frame(HEADER, 1, &header(60, 0, 4, &[0, 0]));
    for part in [&b"a"[..], b"", b"bcd"] {
        client.send_frame(BODY, 1, part);
    }
    assert_eq!(client.fetch(1, "q").text(), "abcd");
    // Nothing follows a header that announces nothing.
    client.send_bytes(&publish_frame());
    client.send_frame(HEADER, 1, &header(60, 0, 0, &[0, 0]));
    client.call(1, tx::Select, tx::SelectOk);
    assert_eq!(client.fetch(1, "q").text(), "");

    client.open_channel(2);
    client.call(2, access::Request::default(), access::RequestOk { ticket: 1 });
    client.call(2, qos(1), basic::QosOk);
    client.send(2, basic::RecoverAsync { requeue: true });
    client.call(2, basic::Recover { requeue: true }, basic::RecoverOk);
    client.call(2, channel::Flow { active: true }, channel::FlowOk { active: true });
    client.call(2, confirm::Select::default(), confirm::SelectOk);
    let secret = connection::UpdateSecret { new_secret: b"x"[..].into(), reason: "renewed".into() };
    client.call(0, secret, connection::UpdateSecretOk);
    client.call(2, declare("with\r\nbreaks"), declare_ok("withbreaks", 0, 0));
    client.close();
}

#[test]
fn an_announced_body_costs_nothing_until_it_comes() {
    let broker = TestBroker::with(|config| config.limits.message_bytes_max = 1000);
    let mut client = fresh(&broker);
    client.send_bytes(&publish_frame());
    client.send_frame(HEADER, 1, &header(60, 0, 1001, &[0, 0]));
    client.expect_channel_error(
        1,
        406,
        "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000",
    );
    client.open_channel(1);
    client.send_bytes(&publish_frame());
    client.send_frame(HEADER, 1, &header(60, 0, u64::MAX, &[0, 0]));
    client.expect_channel_error(1, 406, "PRECONDITION_FAILED - message size 18446744073709551615");
    client.open_channel(1);
    client.publish(1, "", "q", &"x".repeat(1000));
    assert_eq!(client.fetch(1, "q").body.len(), 1000);
}

#[test]
fn errors_come_with_no_wait_too() {
    let broker = TestBroker::start();
    let mut client = fresh(&broker);
    client.send(1, broker::amqp::queue::Declare { no_wait: true, ..declare_passive("nosuch") });
    client.expect_channel_error(1, 404, "NOT_FOUND - no queue 'nosuch' in vhost '/'");
}

#[test]
fn octets_may_come_one_by_one() {
    let broker = TestBroker::start();
    let mut client = fresh(&broker);
    let bytes = encode_content(1, publish("", "q"), &persistent(), b"slowly", client.frame_max);
    for byte in bytes {
        client.send_bytes(&[byte]);
    }
    assert_eq!(client.fetch(1, "q").text(), "slowly");
}

#[test]
fn channels_of_one_connection_may_interleave_their_content() {
    let broker = TestBroker::start();
    let mut client = fresh(&broker);
    client.open_channel(2);
    client.send(1, publish("", "q"));
    client.send(2, publish("", "q"));
    client.send_frame(HEADER, 1, &header(60, 0, 2, &[0, 0]));
    client.send_frame(HEADER, 2, &header(60, 0, 2, &[0, 0]));
    client.send_frame(BODY, 1, b"a");
    client.send_frame(BODY, 2, b"b");
    client.call(0, connection::UpdateSecret::default(), connection::UpdateSecretOk);
    client.send_frame(BODY, 2, b"B");
    client.send_frame(BODY, 1, b"A");
    assert_eq!(client.fetch(1, "q").text(), "bB");
    assert_eq!(client.fetch(1, "q").text(), "aA");
}

#[test]
fn after_connection_close_nothing_but_close_ok_counts() {
    let broker = TestBroker::start();
    let mut client = fresh(&broker);
    client.send(0, declare("x"));
    client.expect_connection_close(504, "CHANNEL_ERROR");
    client.send(1, declare("late"));
    client.send_frame(9, 0, b"rubbish");
    client.send(0, connection::CloseOk);
    client.expect_end();
    let mut client = fresh(&broker);
    client.refused(1, declare_passive("late"), 404, "NOT_FOUND");
    // Both close at once.
    client.send(0, declare("x"));
    client.expect_connection_close(504, "CHANNEL_ERROR");
    client.send(0, connection::Close::default());
    assert!(matches!(client.method(0), Method::ConnectionCloseOk(_)));
    client.expect_end();
}

#[test]
fn a_second_connection_close_is_answered_too() {
    let broker = TestBroker::start();
    let mut client = fresh(&broker);
    client.send(0, connection::Close::default());
    client.expect(0, connection::CloseOk);
    // Clients whose threads all close the connection wait for as many answers.
    client.send(1, declare("late"));
    client.send(0, connection::Close::default());
    client.expect(0, connection::CloseOk);
    client.hang_up();
    fresh(&broker).refused(1, declare_passive("late"), 404, "NOT_FOUND");
}
