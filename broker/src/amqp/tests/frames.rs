use proptest::collection::vec;
use proptest::prelude::*;

use super::payload_of;
use crate::amqp::{
    FRAME_END, FRAME_OVERHEAD, Frame, FrameError, FrameKind, basic, next_frame, write_frame, write_heartbeat,
    write_method,
};

const FRAME_MAX: u32 = 131_072;

fn kind() -> impl Strategy<Value = FrameKind> {
    proptest::sample::select(
        &[FrameKind::Method, FrameKind::Header, FrameKind::Body, FrameKind::Heartbeat][..],
    )
}

fn frame_of(kind: u8, channel: u16, payload: &[u8], end: u8) -> Vec<u8> {
    let size = (payload.len() as u32).to_be_bytes();
    [&[kind][..], &channel.to_be_bytes(), &size, payload, &[end]].concat()
}

proptest! {
    #[test]
    fn frames_survive_the_wire_in_any_pieces(
        frames in vec((kind(), any::<u16>(), vec(any::<u8>(), 0..100)), 1..5),
    ) {
        let mut wire = Vec::new();
        for (kind, channel, payload) in &frames {
            write_frame(&mut wire, *kind, *channel, payload);
        }
        let mut expected = frames.iter();
        let mut buffer = Vec::new();
        for octet in wire {
            buffer.push(octet);
            let Some((frame, size)) = next_frame(&buffer, FRAME_MAX).expect("these are frames") else { continue };
            let (kind, channel, payload) = expected.next().expect("no more frames than were written");
            prop_assert_eq!(frame, Frame { kind: *kind, channel: *channel, payload });
            prop_assert_eq!(size, buffer.len(), "a frame ends with its last octet");
            buffer.clear();
        }
        prop_assert!(expected.next().is_none());
    }

    #[test]
    fn what_follows_a_frame_does_not_matter(payload in vec(any::<u8>(), 0..100), next in vec(any::<u8>(), 0..20)) {
        let mut wire = Vec::new();
        write_frame(&mut wire, FrameKind::Body, 7, &payload);
        let len = wire.len();
        wire.extend_from_slice(&next);
        let frame = Frame { kind: FrameKind::Body, channel: 7, payload: &payload };
        prop_assert_eq!(next_frame(&wire, FRAME_MAX), Ok(Some((frame, len))));
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in vec(any::<u8>(), 0..64), frame_max: u32) {
        if let Ok(Some((frame, size))) = next_frame(&octets, frame_max) {
            prop_assert_eq!(size, frame.payload.len() + FRAME_OVERHEAD);
        }
    }
}

#[test]
fn an_oversized_frame_is_refused_by_its_header_alone() {
    let header = [3, 0, 1, 0, 3, 0x0D, 0x40];
    let refused = FrameError::TooLarge { kind: 3, channel: 1, size: 200_000, max: 131_064 };
    assert_eq!(next_frame(&header, FRAME_MAX), Err(refused));
    assert_eq!(next_frame(&header[..6], FRAME_MAX), Ok(None));
    assert_eq!(refused.to_string(), "type 3, all octets = <<>>: {frame_too_large,200000,131064}");
}

#[test]
fn the_size_may_exceed_frame_max_by_its_overhead() {
    let fits = frame_of(3, 1, &[b'x'; 4096], FRAME_END);
    assert!(matches!(next_frame(&fits, 4096), Ok(Some((frame, 4104))) if frame.payload.len() == 4096));
    let too_large = frame_of(3, 1, &[b'x'; 4097], FRAME_END);
    assert_eq!(
        next_frame(&too_large, 4096),
        Err(FrameError::TooLarge { kind: 3, channel: 1, size: 4097, max: 4088 })
    );
}

#[test]
fn no_frame_max_is_no_limit() {
    let header = [3, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF];
    assert_eq!(next_frame(&header, 0), Ok(None));
    assert_eq!(next_frame(&header, u32::MAX), Ok(None));
}

#[test]
fn a_wrong_end_is_refused_in_rabbitmqs_words() {
    let error = next_frame(&frame_of(1, 0, &[0, 90, 0, 10], 205), FRAME_MAX).unwrap_err();
    assert_eq!(error.to_string(), "type 1, all octets = <<0,90,0,10>>: {invalid_frame_end_marker,205}");
}

#[test]
fn an_unknown_type_is_refused_in_rabbitmqs_words() {
    let refused = |frame: &[u8]| next_frame(frame, FRAME_MAX).unwrap_err().to_string();
    let end = FRAME_END;
    assert_eq!(refused(&frame_of(9, 0, b"abc", end)), "type 9, all octets = <<\"abc\">>: unknown_frame");
    assert_eq!(refused(&frame_of(4, 0, b"", end)), "type 4, all octets = <<>>: unknown_frame");
    assert_eq!(
        refused(&frame_of(0, 0, b"0123456789abcdefg", end)),
        "type 0, first 16 octets = <<\"0123456789abcdef\">>: unknown_frame"
    );
    // The end comes first: without it nothing is known about the rest.
    assert_eq!(refused(&frame_of(9, 0, b"", 0)), "type 9, all octets = <<>>: {invalid_frame_end_marker,0}");
}

#[test]
fn a_method_frame_is_its_payload_in_a_frame() {
    let method = basic::ConsumeOk { consumer_tag: "ct".into() };
    let mut wire = b"before".to_vec();
    write_method(&mut wire, 9, &method.clone().into());
    assert_eq!(wire[..6], *b"before");
    assert_eq!(wire[6..], frame_of(1, 9, &payload_of(method), FRAME_END));
}

#[test]
fn a_heartbeat_is_empty_and_on_channel_zero() {
    let mut wire = Vec::new();
    write_heartbeat(&mut wire);
    assert_eq!(wire, [8, 0, 0, 0, 0, 0, 0, 0xCE]);
}
