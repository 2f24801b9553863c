use proptest::collection::vec;
use proptest::prelude::*;

use super::short_text;
use crate::amqp::{
    ContentHeader, DecodeError, Frame, FrameKind, Method, basic, content_size, next_frame, write_ack,
    write_content, write_deliver, write_get_ok, write_method, write_nack, write_return,
};

fn frames(mut wire: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let Some((frame, size)) = next_frame(wire, 0).expect("frames") {
        frames.push(frame);
        wire = &wire[size..];
    }
    assert!(wire.is_empty(), "an incomplete frame is left over");
    frames
}

fn method_frame(channel: u16, method: impl Into<Method>) -> Vec<u8> {
    let mut wire = Vec::new();
    write_method(&mut wire, channel, &method.into());
    wire
}

proptest! {
    #[test]
    fn content_is_a_header_and_bodies_within_frame_max(
        channel: u16,
        properties in vec(any::<u8>(), 2..40),
        body in vec(any::<u8>(), 0..300),
        frame_max in prop_oneof![Just(0), 9..400u32],
    ) {
        let mut wire = Vec::new();
        write_content(&mut wire, channel, &properties, &body, frame_max);
        prop_assert_eq!(wire.len(), content_size(properties.len(), body.len(), frame_max));

        let frames = frames(&wire);
        let (header, bodies) = frames.split_first().expect("a header");
        prop_assert_eq!((header.kind, header.channel), (FrameKind::Header, channel));
        let expected = ContentHeader {
            class_id: 60,
            weight: 0,
            body_size: body.len() as u64,
            properties: &properties,
        };
        prop_assert_eq!(ContentHeader::decode(header.payload), Ok(expected));

        let mut joined = Vec::new();
        for (i, frame) in bodies.iter().enumerate() {
            prop_assert_eq!((frame.kind, frame.channel), (FrameKind::Body, channel));
            let size = frame.payload.len() + 8;
            prop_assert!(frame_max == 0 || size <= frame_max as usize);
            prop_assert!(i + 1 == bodies.len() || size == frame_max as usize, "only the last may be short");
            prop_assert!(!frame.payload.is_empty());
            joined.extend_from_slice(frame.payload);
        }
        prop_assert_eq!(joined, body);
    }

    #[test]
    fn what_the_broker_sends_is_what_the_table_encodes(
        channel: u16,
        delivery_tag: u64,
        bit: bool,
        texts in (short_text(), short_text(), short_text()),
        reply_code: u16,
        message_count: u32,
    ) {
        let (text, exchange, routing_key) = texts;

        let mut wire = Vec::new();
        write_deliver(&mut wire, channel, &text, delivery_tag, bit, exchange.as_bytes(), routing_key.as_bytes());
        let deliver = basic::Deliver {
            consumer_tag: text.clone(),
            delivery_tag,
            redelivered: bit,
            exchange: exchange.clone(),
            routing_key: routing_key.clone(),
        };
        prop_assert_eq!(wire, method_frame(channel, deliver));

        let mut wire = Vec::new();
        write_get_ok(&mut wire, channel, delivery_tag, bit, &exchange, &routing_key, message_count);
        let get_ok = basic::GetOk {
            delivery_tag,
            redelivered: bit,
            exchange: exchange.clone(),
            routing_key: routing_key.clone(),
            message_count,
        };
        prop_assert_eq!(wire, method_frame(channel, get_ok));

        let mut wire = Vec::new();
        write_return(&mut wire, channel, reply_code, &text, &exchange, &routing_key);
        let returned = basic::Return { reply_code, reply_text: text, exchange, routing_key };
        prop_assert_eq!(wire, method_frame(channel, returned));

        let mut wire = Vec::new();
        write_ack(&mut wire, channel, delivery_tag, bit);
        prop_assert_eq!(wire, method_frame(channel, basic::Ack { delivery_tag, multiple: bit }));

        let mut wire = Vec::new();
        write_nack(&mut wire, channel, delivery_tag, bit);
        let nack = basic::Nack { delivery_tag, multiple: bit, requeue: false };
        prop_assert_eq!(wire, method_frame(channel, nack));
    }

    #[test]
    fn arbitrary_octets_never_panic(payload in vec(any::<u8>(), 0..40)) {
        let decoded = ContentHeader::decode(&payload);
        prop_assert_eq!(decoded.is_ok(), payload.len() >= 14);
    }
}

#[test]
fn an_empty_body_has_no_frame() {
    let mut wire = Vec::new();
    write_content(&mut wire, 1, &[0, 0], &[], 4096);
    assert_eq!(frames(&wire).len(), 1);
}

#[test]
fn a_header_without_flags_is_truncated() {
    assert_eq!(ContentHeader::decode(&[0; 13]), Err(DecodeError::Truncated));
}

#[test]
fn texts_too_long_are_cut_and_the_frame_stays_whole() {
    let text = "é".repeat(200);
    let mut wire = Vec::new();
    write_return(&mut wire, 1, 312, &text, "x", "k");
    match Method::decode(frames(&wire)[0].payload) {
        Ok(Method::BasicReturn(returned)) => assert_eq!(&*returned.reply_text, "é".repeat(127)),
        other => panic!("{other:?}"),
    }
}
