//! AMQP 0-8, octet by octet as PyPI's amqplib 1.0.2 sends it.

use crate::harness::*;

/// Both are sent for 0-8: the second by amqplib.
const HEADERS: [&[u8; 8]; 2] = [b"AMQP\x01\x01\x08\x00", b"AMQP\x01\x01\x09\x01"];

const START_OK: &[u8] = b"\0\x0A\0\x0B\0\0\0\0\x08AMQPLAIN\0\0\0\x23\
    \x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x05guest\x05en_US";

/// The next frame of a method on the channel: its payload.
fn answer(client: &mut Client, channel: u16) -> Vec<u8> {
    let header = client.read_bytes(7);
    assert_eq!((header[0], u16::from_be_bytes([header[1], header[2]])), (1, channel), "{header:?}");
    let size = u32::from_be_bytes(header[3..7].try_into().unwrap()) as usize;
    let mut payload = client.read_bytes(size + 1);
    assert_eq!(payload.pop(), Some(0xCE));
    payload
}

fn call(client: &mut Client, channel: u16, payload: &[u8], expected: &[u8]) {
    client.send_frame(1, channel, payload);
    let answer = answer(client, channel);
    assert_eq!(answer, expected, "to {}", payload.escape_ascii());
}

fn opened(broker: &TestBroker, header: &[u8]) -> Client {
    let mut client = Client::dial(broker.addr());
    client.send_bytes(header);
    let start = answer(&mut client, 0);
    assert_eq!(start[..6], [0, 10, 0, 10, 8, 0], "connection.start of version 8-0");
    call(&mut client, 0, START_OK, b"\0\x0A\0\x1E\x07\xFF\0\x02\0\0\0\x3C");
    client.send_frame(1, 0, b"\0\x0A\0\x1F\x07\xFF\0\x02\0\0\0\0");
    // With capabilities and insist.
    call(&mut client, 0, b"\0\x0A\0\x28\x01/\0\0", b"\0\x0A\0\x29\0");
    call(&mut client, 1, b"\0\x14\0\x0A\0", b"\0\x14\0\x0B");
    client
}

#[test]
fn a_session_of_amqplib() {
    let broker = TestBroker::start();
    for header in HEADERS {
        let mut client = opened(&broker, header);
        let c = &mut client;
        call(c, 1, b"\0\x1E\0\x0A\x05/data\x1C", b"\0\x1E\0\x0B\0\x01");
        call(c, 1, b"\0\x28\0\x0A\0\x01\x06events\x06fanout\x04\0\0\0\0", b"\0\x28\0\x0B");
        call(c, 1, b"\0\x32\0\x0A\0\x01\x01q\x08\0\0\0\0", b"\0\x32\0\x0B\x01q\0\0\0\0\0\0\0\0");
        call(c, 1, b"\0\x32\0\x14\0\x01\x01q\x06events\0\0\0\0\0\0", b"\0\x32\0\x15");
        // basic.consume without a table of arguments, basic.publish with a ticket.
        call(c, 1, b"\0\x3C\0\x14\0\x01\x01q\x01c\0", b"\0\x3C\0\x15\x01c");
        c.send_frame(1, 1, b"\0\x3C\0\x28\0\x01\x06events\0\0");
        c.send_frame(2, 1, b"\0\x3C\0\0\0\0\0\0\0\0\0\x05\x80\0\x0Atext/plain");
        c.send_frame(3, 1, b"hello");
        assert_eq!(answer(c, 1), b"\0\x3C\0\x3C\x01c\0\0\0\0\0\0\0\x01\0\x06events\0");
        let content = c.read_bytes(8 + 14 + 11 + 8 + 5);
        assert!(content.ends_with(b"hello\xCE"), "{}", content.escape_ascii());
        // basic.recover has no answer in 0-8; the message comes again.
        c.send_frame(1, 1, b"\0\x3C\0\x64\x01");
        assert_eq!(answer(c, 1), b"\0\x3C\0\x3C\x01c\0\0\0\0\0\0\0\x02\x01\x06events\0");
        c.read_bytes(8 + 14 + 11 + 8 + 5);
        c.send_frame(1, 1, b"\0\x3C\0\x50\0\0\0\0\0\0\0\x02\0");
        call(c, 1, b"\0\x3C\0\x1E\x01c\0", b"\0\x3C\0\x1F\x01c");
        call(c, 1, b"\0\x32\0\x28\0\x01\x01q\0", b"\0\x32\0\x29\0\0\0\0");
        call(c, 1, b"\0\x28\0\x14\0\x01\x06events\0", b"\0\x28\0\x15");
        call(c, 1, b"\0\x14\0\x28\0\0\0\0\0\0\0", b"\0\x14\0\x29");
        call(c, 0, b"\0\x0A\0\x3C\0\0\0\0\0\0\0", b"\0\x0A\0\x3D");
        client.expect_end();
    }
}

#[test]
fn errors_close_with_the_methods_of_0_8() {
    let broker = TestBroker::start();
    let mut client = opened(&broker, HEADERS[0]);
    // The default exchange cannot be deleted.
    client.send_frame(1, 1, b"\0\x28\0\x14\0\x01\0\0");
    let close = answer(&mut client, 1);
    assert_eq!(close[..6], [0, 20, 0, 40, 0x01, 0x93], "channel.close with 403");
    client.send_frame(1, 1, b"\0\x14\0\x29");
    call(&mut client, 1, b"\0\x14\0\x0A\0", b"\0\x14\0\x0B");
    // connection.redirect is nothing a client sends.
    client.send_frame(1, 0, b"\0\x0A\0\x32\0\0");
    let close = answer(&mut client, 0);
    assert_eq!(close[..6], [0, 10, 0, 60, 0x01, 0xF5], "connection.close with 501");
    client.send_frame(1, 0, b"\0\x0A\0\x3D");
    client.expect_end();
}

/// What a client is told that asks for class file, which 0-8 had.
pub fn code_for_class_file(broker: &TestBroker) -> u16 {
    let mut client = opened(broker, HEADERS[1]);
    client.send_frame(1, 1, &[0, 70, 0, 10]);
    let close = answer(&mut client, 0);
    assert_eq!(close[..4], [0, 10, 0, 60], "connection.close");
    client.send_frame(1, 0, b"\0\x0A\0\x3D");
    client.expect_end();
    u16::from_be_bytes([close[4], close[5]])
}

#[test]
fn classes_that_nobody_had_are_not_implemented() {
    let broker = TestBroker::start();
    for class in [70, 80, 100, 110, 120] {
        let mut client = opened(&broker, HEADERS[1]);
        client.send_frame(1, 1, &[0, class, 0, 10]);
        let close = answer(&mut client, 0);
        assert_eq!(close[..6], [0, 10, 0, 60, 0x02, 0x1C], "connection.close with 540");
        assert!(close.ends_with(&[0, class, 0, 10]), "blames the method");
        client.send_frame(1, 0, b"\0\x0A\0\x3D");
        client.expect_end();
    }
}
