//! Putting a published message together from its frames (AMQP 0-9-1 §4.2.6). Pure.

use crate::amqp::{ContentHeader, DecodeError, PublishArgs, ReplyCode};
use crate::error::AmqpError;
use crate::message::{Layout, Message};

use super::routes::Address;

const CLASS_BASIC: u16 = 60;
const PUBLISH: (u16, u16) = (60, 40);

/// Bodies are given room as announced up to here, and as they arrive beyond: an announcement costs nothing.
const RESERVE_BYTES_MAX: u64 = 128 << 10;

/// A message whose frames are arriving. `block` is laid out as `Message` keeps it.
#[derive(Debug)]
pub struct Content {
    pub block: Vec<u8>,
    pub exchange_len: u8,
    pub routing_key_len: u8,
    pub properties_len: u32,
    pub mandatory: bool,
    pub immediate: bool,
    /// Counted in `Context::pending`.
    pub pending_bytes: u64,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    Body { left: u64 },
}

/// Whether more frames belong to the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Incomplete,
    Complete,
}

impl Content {
    pub fn begin(publish: &PublishArgs<'_>) -> Content {
        // Room for a small message; the header says how much is really needed.
        let mut block = Vec::new();
        block.reserve_exact(publish.exchange.len() + publish.routing_key.len());
        block.extend_from_slice(publish.exchange);
        block.extend_from_slice(publish.routing_key);
        Content {
            block,
            exchange_len: publish.exchange.len() as u8,
            routing_key_len: publish.routing_key.len() as u8,
            properties_len: 0,
            mandatory: publish.mandatory,
            immediate: publish.immediate,
            pending_bytes: 0,
            stage: Stage::Header,
        }
    }

    /// A message that has come in one piece, put together in `room` unless it is large. `None` if its header is wrong.
    pub fn whole(
        publish: &PublishArgs<'_>,
        header: &ContentHeader<'_>,
        body: &[u8],
        body_bytes_max: u64,
        room: &mut Vec<u8>,
    ) -> Option<Content> {
        if header.class_id != CLASS_BASIC || header.weight != 0 || header.body_size > body_bytes_max {
            return None;
        }
        let parts = [publish.exchange, publish.routing_key, header.properties, body];
        let len = parts.iter().map(|part| part.len()).sum();
        let mut block = if Message::leaves_room(len) { std::mem::take(room) } else { Vec::new() };
        block.clear();
        block.reserve(len);
        parts.iter().for_each(|part| block.extend_from_slice(part));
        Some(Content {
            block,
            exchange_len: publish.exchange.len() as u8,
            routing_key_len: publish.routing_key.len() as u8,
            properties_len: header.properties.len() as u32,
            mandatory: publish.mandatory,
            immediate: publish.immediate,
            pending_bytes: 0,
            stage: Stage::Body { left: 0 },
        })
    }

    /// A content header frame has come.
    pub fn header(&mut self, payload: &[u8], body_bytes_max: u64) -> Result<Progress, AmqpError> {
        if self.stage != Stage::Header {
            return Err(self.unexpected("non content body"));
        }
        let header = ContentHeader::decode(payload).map_err(|error| {
            AmqpError::connection(ReplyCode::FrameError, format!("cannot decode content header: {error}"))
                .caused_by(PUBLISH)
        })?;
        if header.class_id != CLASS_BASIC {
            return Err(expected_header(&format!("one for class {}", header.class_id)));
        }
        if header.weight != 0 {
            return Err(expected_header("non content header frame"));
        }
        if header.body_size > body_bytes_max {
            return Err(AmqpError::precondition_failed(format!(
                "message size {} is larger than configured max size {body_bytes_max}",
                header.body_size
            ))
            .caused_by(PUBLISH));
        }
        let room = header.properties.len() + header.body_size.min(RESERVE_BYTES_MAX) as usize;
        self.block.reserve_exact(room);
        self.block.extend_from_slice(header.properties);
        self.properties_len = header.properties.len() as u32;
        if header.body_size == 0 {
            return Ok(Progress::Complete);
        }
        self.stage = Stage::Body { left: header.body_size };
        Ok(Progress::Incomplete)
    }

    /// A content body frame has come.
    pub fn body(&mut self, payload: &[u8]) -> Result<Progress, AmqpError> {
        self.expect_body(payload.len())?;
        self.block.extend_from_slice(payload);
        Ok(self.end_body(payload.len()))
    }

    /// Whether a body frame of so many octets may come next.
    pub fn expect_body(&self, len: usize) -> Result<(), AmqpError> {
        let Stage::Body { left } = self.stage else {
            return Err(expected_header("non content header frame"));
        };
        if len as u64 > left {
            return Err(AmqpError::connection(
                ReplyCode::FrameError,
                format!(
                    "content body frame of {len} octets where {left} are left of what the header announced"
                ),
            )
            .caused_by(PUBLISH));
        }
        Ok(())
    }

    /// The payload of an expected body frame is in the block.
    pub fn end_body(&mut self, len: usize) -> Progress {
        let Stage::Body { left } = &mut self.stage else { return Progress::Incomplete };
        *left -= len as u64;
        if *left == 0 { Progress::Complete } else { Progress::Incomplete }
    }

    /// What is answered to a frame that does not belong to the message.
    pub fn unexpected(&self, got: &str) -> AmqpError {
        match self.stage {
            Stage::Header => expected_header("non content header frame"),
            Stage::Body { .. } => AmqpError::connection(
                ReplyCode::UnexpectedFrame,
                format!("expected content body, got {got} frame instead"),
            )
            .caused_by(PUBLISH),
        }
    }

    pub fn layout(&self) -> Layout {
        Layout {
            exchange_len: self.exchange_len,
            routing_key_len: self.routing_key_len,
            properties_len: self.properties_len,
        }
    }

    pub fn address(&self) -> Address<'_> {
        Address { exchange_len: self.exchange_len, octets: &self.block[..self.address_len()] }
    }

    /// Exchange and routing key, of which nobody may have looked yet whether they are UTF-8.
    pub fn names(&self) -> Result<(&str, &str), AmqpError> {
        let (exchange, routing_key) =
            self.block[..self.address_len()].split_at(usize::from(self.exchange_len));
        match (std::str::from_utf8(exchange), std::str::from_utf8(routing_key)) {
            (Ok(exchange), Ok(routing_key)) => Ok((exchange, routing_key)),
            _ => Err(AmqpError::connection(ReplyCode::FrameError, DecodeError::BadString.to_string())),
        }
    }

    pub fn exchange(&self) -> &str {
        std::str::from_utf8(&self.block[..usize::from(self.exchange_len)]).unwrap_or("")
    }

    pub fn routing_key(&self) -> &str {
        let start = usize::from(self.exchange_len);
        std::str::from_utf8(&self.block[start..start + usize::from(self.routing_key_len)]).unwrap_or("")
    }

    pub fn properties(&self) -> &[u8] {
        let start = self.address_len();
        &self.block[start..start + self.properties_len as usize]
    }

    /// As much of the body as has come.
    pub fn body_so_far(&self) -> &[u8] {
        &self.block[self.address_len() + self.properties_len as usize..]
    }

    /// Puts other properties in the place of those that came.
    pub fn set_properties(&mut self, properties: &[u8]) {
        let start = self.address_len();
        self.block.splice(start..start + self.properties_len as usize, properties.iter().copied());
        self.properties_len = properties.len() as u32;
    }

    /// Bytes of exchange and routing key, which stand first.
    fn address_len(&self) -> usize {
        usize::from(self.exchange_len) + usize::from(self.routing_key_len)
    }
}

fn expected_header(got: &str) -> AmqpError {
    AmqpError::connection(
        ReplyCode::UnexpectedFrame,
        format!("expected content header for class {CLASS_BASIC}, got {got} instead"),
    )
    .caused_by(PUBLISH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Content {
        Content::begin(&PublishArgs {
            exchange: b"x",
            routing_key: b"key",
            mandatory: true,
            immediate: false,
        })
    }

    fn header(class: u16, weight: u16, size: u64) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&class.to_be_bytes());
        out.extend_from_slice(&weight.to_be_bytes());
        out.extend_from_slice(&size.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out
    }

    #[test]
    fn a_body_in_two_frames() {
        let mut content = begun();
        assert_eq!(content.header(&header(60, 0, 5), 100), Ok(Progress::Incomplete));
        assert_eq!(content.body(b"abc"), Ok(Progress::Incomplete));
        assert_eq!(content.body(b""), Ok(Progress::Incomplete));
        assert_eq!(content.body(b"de"), Ok(Progress::Complete));
        assert_eq!((content.exchange(), content.routing_key()), ("x", "key"));
        assert_eq!(content.properties(), [0, 0]);
        assert!(content.block.ends_with(b"abcde"));
    }

    #[test]
    fn properties_can_be_replaced() {
        let mut content = begun();
        content.header(&header(60, 0, 3), 100).unwrap();
        content.body(b"abc").unwrap();
        content.set_properties(b"longer");
        assert_eq!((content.routing_key(), content.properties()), ("key", &b"longer"[..]));
        assert_eq!(content.block, b"xkeylongerabc");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let text = |error: AmqpError| (error.code, error.text);
        let wrong_class = begun().header(&header(50, 0, 0), 100).unwrap_err();
        assert_eq!(
            text(wrong_class),
            (
                ReplyCode::UnexpectedFrame,
                "expected content header for class 60, got one for class 50 instead".to_owned()
            )
        );
        let body_first = begun().body(b"x").unwrap_err();
        assert_eq!(
            text(body_first),
            (
                ReplyCode::UnexpectedFrame,
                "expected content header for class 60, got non content header frame instead".to_owned()
            )
        );
        let mut content = begun();
        content.header(&header(60, 0, 2), 100).unwrap();
        assert_eq!(content.body(b"abc").unwrap_err().code, ReplyCode::FrameError);
        assert_eq!(begun().header(&header(60, 0, 101), 100).unwrap_err().code, ReplyCode::PreconditionFailed);
    }
}
