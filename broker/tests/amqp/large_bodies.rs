//! Large bodies go into their message as they come, however the network cuts them, and out of it without a copy.

use broker::amqp::{BasicProperties, basic};

use crate::harness::*;

const BODY: u8 = 3;

fn body(bytes: usize, seed: usize) -> Vec<u8> {
    (0..bytes).map(|at| ((at * 31 + seed * 7) % 251) as u8).collect()
}

/// A publish to `q` of which only the first `part` bytes of the body have come.
fn begun(body: &[u8], part: usize) -> (Vec<u8>, Vec<u8>) {
    let mut whole = encode_content(
        1,
        publish("", "q"),
        &BasicProperties::default(),
        body,
        broker::amqp::FRAME_MIN_SIZE << 5,
    );
    let rest = whole.split_off(whole.len() - (body.len() - part) - 1);
    (whole, rest)
}

#[test]
fn large_bodies_arrive_whole_however_they_are_cut() {
    let broker = TestBroker::start();
    let mut publisher = broker.connect_with_channel();
    let mut consumer = broker.connect_with_channel();
    let mut onlooker = broker.connect_with_channel();
    consumer.call(1, declare("q"), declare_ok("q", 0, 0));
    consumer.call(1, consume("q", "c"), consume_ok("c"));
    // Around the sizes at which bodies are treated in another way; the largest have several frames.
    let sizes = [8191, 8192, 16_383, 16_384, 0, 20_000, 65_536, 3, 131_064, 131_065, 300_000];
    let bodies: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(at, &bytes)| body(bytes, at)).collect();
    let wire: Vec<u8> = bodies
        .iter()
        .flat_map(|body| encode_content(1, publish("", "q"), &BasicProperties::default(), body, 131_072))
        .collect();
    for piece in [4099, 16_384, 61_001, wire.len()] {
        for part in wire.chunks(piece) {
            publisher.send_bytes(part);
            // The broker is likely to read it meanwhile, by itself.
            onlooker.sync(1);
        }
        for (body, bytes) in bodies.iter().zip(sizes) {
            assert!(consumer.delivery(1).body == *body, "a body of {bytes} bytes, sent in pieces of {piece}");
        }
    }
}

#[test]
fn messages_large_and_small_on_several_channels_keep_apart() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.open_channel(2);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let (large, small) = (body(50_000, 1), body(10, 2));
    let frames = |body: &[u8], channel| {
        let publish = encode_content(channel, publish("", "q"), &BasicProperties::default(), body, 0);
        let (header, body) = publish.split_at(publish.len() - body.len() - 8);
        (header.to_vec(), body.to_vec())
    };
    let (header_1, body_1) = frames(&large, 1);
    let (header_2, body_2) = frames(&small, 2);
    // The header of one, all of the other, then the body of the first, in two halves.
    client.send_bytes(&[header_1, header_2, body_2, body_1[..25_000].to_vec()].concat());
    broker.connect_with_channel().sync(1);
    client.send_bytes(&body_1[25_000..]);
    assert!(client.fetch(1, "q").body == small);
    assert!(client.fetch(1, "q").body == large);
}

#[test]
fn a_large_body_frame_with_another_end() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let (begin, mut rest) = begun(&[7; 20_000], 17_000);
    client.send_bytes(&begin);
    broker.connect_with_channel().sync(1);
    *rest.last_mut().unwrap() = 205;
    client.send_bytes(&rest);
    client.expect_connection_error(
        501,
        "FRAME_ERROR - type 3, first 16 octets = <<7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7>>: {invalid_frame_end_marker,205}",
    );
}

#[test]
fn a_large_body_frame_longer_than_its_header_said() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let publish = encode_content(1, publish("", "q"), &BasicProperties::default(), &[1; 20_000], 0);
    client.send_bytes(&publish[..publish.len() - 20_000 - 8]);
    let too_long = frame(BODY, 1, &[1; 20_001]);
    client.send_bytes(&too_long[..19_000]);
    broker.connect_with_channel().sync(1);
    client.send_bytes(&too_long[19_000..]);
    client.expect_connection_error(
        501,
        "FRAME_ERROR - content body frame of 20001 octets where 20000 are left",
    );
}

#[test]
fn a_connection_can_be_closed_in_the_middle_of_a_large_body() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let (begin, rest) = begun(&[7; 60_000], 30_000);
    client.send_bytes(&begin);
    broker.connect_with_channel().sync(1);
    let stopping = broker.stop_in_background();
    client.expect_connection_close(320, "CONNECTION_FORCED");
    // The close-ok behind the rest is found.
    client.send_bytes(&rest);
    client.send(0, broker::amqp::connection::CloseOk);
    client.expect_end();
    stopping.join().unwrap();
}

#[test]
fn a_large_message_is_fetched_and_returned_whole() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let large = body(200_000, 3);
    let mandatory = basic::Publish { mandatory: true, ..publish("", "nowhere") };
    client.send_content(1, mandatory, &BasicProperties::default(), &large);
    client.send_content(1, publish("", "q"), &BasicProperties::default(), &large);
    assert!(client.content(1).body == large);
    assert!(client.fetch(1, "q").body == large);
}
