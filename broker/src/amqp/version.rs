//! The versions of AMQP that are spoken: 0-9-1 and, where it differs on the wire, 0-8.
//!
//! The differences of 0-8, as far as brokers and clients ever used it (RabbitMQ's `amqp-0.8.json`): connection.close
//! and close-ok have other numbers, basic.consume has no arguments, channel.open-ok has none either, and
//! basic.recover is what 0-9-1 calls recover-async. Access tickets stand where 0-9-1 has reserved fields.

use super::decode::peek_method_id;
use super::error::DecodeError;
use super::frame::{FrameKind, write_frame, write_method};
use super::methods::Method;

/// What a client must send first (AMQP 0-9-1 §4.2.2), and what is answered to anything else.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// Other headers that clients send, and what RabbitMQ up to 3.x has taken them for: AMQP 0-9 can be spoken as 0-9-1,
/// and 0-8, which calls itself 8-0, was published with a header that says 9-1.
const OTHER_HEADERS: [([u8; 8], Version); 3] = [
    (*b"AMQP\x01\x01\x00\x09", Version::V0_9_1),
    (*b"AMQP\x01\x01\x08\x00", Version::V0_8),
    (*b"AMQP\x01\x01\x09\x01", Version::V0_8),
];

const CONNECTION_CLOSE: (u16, u16) = (10, 50);
const CONNECTION_CLOSE_OK: (u16, u16) = (10, 51);
const CONNECTION_CLOSE_0_8: (u16, u16) = (10, 60);
const CONNECTION_CLOSE_OK_0_8: (u16, u16) = (10, 61);
const CHANNEL_OPEN_OK: (u16, u16) = (20, 11);
const BASIC_CONSUME: (u16, u16) = (60, 20);

/// file, stream, dtx, tunnel, test.
const UNSPOKEN_CLASSES_0_8: [u16; 5] = [70, 80, 100, 110, 120];

/// Octets of a method frame's payload before the arguments.
const IDS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    V0_8,
    #[default]
    V0_9_1,
}

impl Version {
    /// What a protocol header asks for, if it is spoken here.
    pub fn of_header(header: &[u8]) -> Option<Version> {
        if header == PROTOCOL_HEADER {
            return Some(Version::V0_9_1);
        }
        OTHER_HEADERS.iter().find(|(known, _)| header == known).map(|(_, version)| *version)
    }

    /// Major and minor, as connection.start states them.
    pub fn numbers(self) -> (u8, u8) {
        match self {
            Version::V0_8 => (8, 0),
            Version::V0_9_1 => (0, 9),
        }
    }

    /// Whether the version has a class that is not spoken here: files, streams, distributed transactions and tunnels
    /// were published with 0-8, and left out of 0-9-1 for want of anybody who had them.
    pub fn has_unspoken_class(self, class: u16) -> bool {
        self == Version::V0_8 && UNSPOKEN_CLASSES_0_8.contains(&class)
    }

    /// Decodes the payload of a method frame.
    ///
    /// # Errors
    /// As [`Method::decode`].
    pub fn decode(self, payload: &[u8]) -> Result<Method, DecodeError> {
        match self {
            Version::V0_8 => decode_0_8(payload),
            Version::V0_9_1 => Method::decode(payload),
        }
    }

    /// Appends a method frame.
    pub fn write_method(self, out: &mut Vec<u8>, channel: u16, method: &Method) {
        match self {
            Version::V0_8 => write_method_0_8(out, channel, method),
            Version::V0_9_1 => write_method(out, channel, method),
        }
    }
}

fn decode_0_8(payload: &[u8]) -> Result<Method, DecodeError> {
    let renumbered = |id| Method::decode(&with_id(id, &payload[IDS..]));
    match peek_method_id(payload) {
        Some(CONNECTION_CLOSE_0_8) => renumbered(CONNECTION_CLOSE),
        Some(CONNECTION_CLOSE_OK_0_8) => renumbered(CONNECTION_CLOSE_OK),
        // Redirection, which a server asks of a client.
        Some((class, method))
            if (class, method) == CONNECTION_CLOSE || (class, method) == CONNECTION_CLOSE_OK =>
        {
            Err(DecodeError::UnknownMethod { class, method })
        }
        // An empty table.
        Some(BASIC_CONSUME) => Method::decode(&[payload, &[0; 4]].concat()),
        _ => Method::decode(payload),
    }
}

fn write_method_0_8(out: &mut Vec<u8>, channel: u16, method: &Method) {
    let arguments = |method: &Method| {
        let mut payload = Vec::new();
        method.encode(&mut payload);
        payload.split_off(IDS)
    };
    let payload = match method {
        Method::ConnectionClose(_) => with_id(CONNECTION_CLOSE_0_8, &arguments(method)),
        Method::ConnectionCloseOk(_) => with_id(CONNECTION_CLOSE_OK_0_8, &[]),
        Method::ChannelOpenOk(_) => with_id(CHANNEL_OPEN_OK, &[]),
        _ => return write_method(out, channel, method),
    };
    write_frame(out, FrameKind::Method, channel, &payload);
}

fn with_id((class, method): (u16, u16), arguments: &[u8]) -> Vec<u8> {
    [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amqp::{basic, channel, connection};

    fn written(version: Version, method: impl Into<Method>) -> Vec<u8> {
        let mut out = Vec::new();
        version.write_method(&mut out, 0, &method.into());
        out
    }

    #[test]
    fn headers_are_taken_as_rabbitmq_takes_them() {
        for (header, version) in [
            (b"AMQP\x00\x00\x09\x01", Some(Version::V0_9_1)),
            (b"AMQP\x01\x01\x00\x09", Some(Version::V0_9_1)),
            (b"AMQP\x01\x01\x08\x00", Some(Version::V0_8)),
            (b"AMQP\x01\x01\x09\x01", Some(Version::V0_8)),
            (b"AMQP\x01\x01\x00\x0A", None),
            (b"AMQP\x00\x01\x00\x00", None),
            (b"AMQP\x03\x01\x00\x00", None),
        ] {
            assert_eq!(Version::of_header(header), version, "{}", header.escape_ascii());
        }
    }

    #[test]
    fn what_0_8_numbers_otherwise() {
        let close =
            connection::Close { reply_code: 200, reply_text: "bye".into(), class_id: 0, method_id: 0 };
        let frame = written(Version::V0_8, close.clone());
        assert_eq!(frame, b"\x01\0\0\0\0\0\x0E\0\x0A\0\x3C\0\xC8\x03bye\0\0\0\0\xCE");
        assert_eq!(Version::V0_8.decode(&frame[7..frame.len() - 1]), Ok(close.into()));
        assert_eq!(written(Version::V0_8, connection::CloseOk), b"\x01\0\0\0\0\0\x04\0\x0A\0\x3D\xCE");
        assert_eq!(Version::V0_8.decode(b"\0\x0A\0\x3D"), Ok(connection::CloseOk.into()));
        let redirect = DecodeError::UnknownMethod { class: 10, method: 50 };
        assert_eq!(Version::V0_8.decode(b"\0\x0A\0\x32\0\0"), Err(redirect));
        assert_eq!(Version::V0_8.decode(b"\0\x0A"), Err(DecodeError::Truncated));
    }

    #[test]
    fn what_0_8_leaves_out() {
        assert_eq!(written(Version::V0_8, channel::OpenOk), b"\x01\0\0\0\0\0\x04\0\x14\0\x0B\xCE");
        let consume = basic::Consume { queue: "q".into(), no_ack: true, ..Default::default() };
        let payload = b"\0\x3C\0\x14\0\x01\x01q\0\x02";
        assert_eq!(Version::V0_8.decode(payload), Ok(consume.into()));
        assert_eq!(Version::V0_9_1.decode(payload), Err(DecodeError::Truncated));
    }

    #[test]
    fn the_rest_is_the_same() {
        let recover = basic::RecoverAsync { requeue: true };
        assert_eq!(Version::V0_8.decode(b"\0\x3C\0\x64\x01"), Ok(recover.clone().into()));
        for method in [Method::from(recover), basic::QosOk.into(), channel::CloseOk.into()] {
            assert_eq!(written(Version::V0_8, method.clone()), written(Version::V0_9_1, method));
        }
    }
}
