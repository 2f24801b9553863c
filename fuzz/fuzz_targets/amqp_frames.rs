//! A byte stream as frames: what is taken is exactly what was there, and fewer bytes only mean "more, please".
#![no_main]

use broker::amqp::{ContentHeader, FrameKind, Method, Properties, next_frame, peek_method_id, write_frame};
use libfuzzer_sys::fuzz_target;

const FRAME_MAX: u32 = 4096;

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    while let Ok(Some((frame, size))) = next_frame(rest, FRAME_MAX) {
        let mut written = Vec::new();
        write_frame(&mut written, frame.kind, frame.channel, frame.payload);
        assert_eq!(written, rest[..size]);
        assert!(matches!(next_frame(&rest[..size - 1], FRAME_MAX), Ok(None)));
        match frame.kind {
            FrameKind::Method => {
                let method = Method::decode(frame.payload);
                assert!(method.is_err() || peek_method_id(frame.payload) == method.ok().map(|m| m.id()));
            }
            FrameKind::Header => {
                if let Ok(header) = ContentHeader::decode(frame.payload) {
                    let _ = Properties::parse(header.properties);
                }
            }
            FrameKind::Body | FrameKind::Heartbeat => {}
        }
        rest = &rest[size..];
    }
});
