//! Frames written out by hand from the specification.

use super::super::*;

fn wire(channel: u16, method: impl Into<Method>) -> Vec<u8> {
    let mut out = Vec::new();
    write_method(&mut out, channel, &method.into());
    out
}

#[test]
fn connection_tune() {
    let tune = connection::Tune { channel_max: 2047, frame_max: 131_072, heartbeat: 60 };
    assert_eq!(wire(0, tune), b"\x01\0\0\0\0\0\x0C\0\x0A\0\x1E\x07\xFF\0\x02\0\0\0\x3C\xCE");
}

#[test]
fn connection_start() {
    let start = connection::Start {
        version_major: 0,
        version_minor: 9,
        server_properties: FieldTable::from([("product", "Warren")]),
        mechanisms: b"PLAIN".as_slice().into(),
        locales: b"en_US".as_slice().into(),
    };
    let expected = b"\x01\0\0\0\0\0\x2F\0\x0A\0\x0A\0\x09\
        \0\0\0\x13\x07productS\0\0\0\x06Warren\
        \0\0\0\x05PLAIN\0\0\0\x05en_US\xCE";
    assert_eq!(wire(0, start), expected);
}

#[test]
fn channel_open_ok() {
    assert_eq!(wire(1, channel::OpenOk), b"\x01\0\x01\0\0\0\x08\0\x14\0\x0B\0\0\0\0\xCE");
}

#[test]
fn queue_declare() {
    let declare = queue::Declare {
        queue: "jobs".into(),
        durable: true,
        auto_delete: true,
        arguments: FieldTable::from([("x-message-ttl", 60_000)]),
        ..Default::default()
    };
    let expected = b"\x01\0\x01\0\0\0\x23\0\x32\0\x0A\0\0\x04jobs\x0A\
        \0\0\0\x13\x0Dx-message-ttlI\0\0\xEA\x60\xCE";
    assert_eq!(wire(1, declare), expected);
}

#[test]
fn exchange_declare_packs_five_bits() {
    let declare = exchange::Declare {
        exchange: "x".into(),
        kind: "topic".into(),
        passive: true,
        internal: true,
        no_wait: true,
        ..Default::default()
    };
    let expected = b"\x01\0\x01\0\0\0\x13\0\x28\0\x0A\0\0\x01x\x05topic\x19\0\0\0\0\xCE";
    assert_eq!(wire(1, declare), expected);
}

#[test]
fn basic_publish_with_content() {
    let mut out = wire(
        1,
        basic::Publish { exchange: "".into(), routing_key: "q".into(), mandatory: true, immediate: false },
    );
    let mut properties = Vec::new();
    BasicProperties { content_type: Some("a/b".into()), delivery_mode: Some(2), ..Default::default() }
        .encode(&mut properties);
    write_content(&mut out, 1, &properties, b"hello", 4096);
    let expected = b"\x01\0\x01\0\0\0\x0A\0\x3C\0\x28\0\0\0\x01q\x01\xCE\
        \x02\0\x01\0\0\0\x13\0\x3C\0\0\0\0\0\0\0\0\0\x05\x90\0\x03a/b\x02\xCE\
        \x03\0\x01\0\0\0\x05hello\xCE";
    assert_eq!(out, expected);
}

#[test]
fn basic_deliver() {
    let mut out = Vec::new();
    write_deliver(&mut out, 2, "ct", 7, true, b"amq.direct", b"k");
    let expected = b"\x01\0\x02\0\0\0\x1D\0\x3C\0\x3C\x02ct\0\0\0\0\0\0\0\x07\x01\x0Aamq.direct\x01k\xCE";
    assert_eq!(out, expected);
}

#[test]
fn confirm_ack() {
    let mut out = Vec::new();
    write_ack(&mut out, 3, 258, true);
    assert_eq!(out, b"\x01\0\x03\0\0\0\x0D\0\x3C\0\x50\0\0\0\0\0\0\x01\x02\x01\xCE");
}
