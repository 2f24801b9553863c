//! AMQP in the binary messages of a WebSocket (RFC 6455), for clients in browsers.
//!
//! The messages are a stream of bytes: where one ends means nothing. What is sent ends with a whole frame all the
//! same; some clients cannot put the header of a frame together.

use std::io::{self, Read, Write};

use tungstenite::error::ProtocolError;
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response, ServerHandshake};
use tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Bytes, Error, Message, WebSocket};

use super::Stream;
use crate::config::WebSocketOptions;

/// The subprotocol's name, in any case (RabbitMQ and LavinMQ know no other).
const SUBPROTOCOL: &str = "amqp";

/// Sent in one message, unless a frame is larger.
const MESSAGE_BYTES: usize = 64 * 1024;

/// Read from the socket at once; each WebSocket keeps such a buffer.
const READ_BYTES: usize = 8 * 1024;

pub struct WebSocketStream {
    socket: WebSocket<NonBlocking>,
    /// Of the last message, not yet read.
    unread: Bytes,
    has_unsent: bool,
}

impl WebSocketStream {
    /// The handshake over HTTP.
    pub async fn accept(stream: Stream, options: &WebSocketOptions) -> io::Result<WebSocketStream> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(options.message_bytes_max))
            .max_frame_size(Some(options.message_bytes_max));
        let answer = Answer { origins: options.origins.clone() };
        let mut step = ServerHandshake::start(NonBlocking(stream), answer, Some(config)).handshake();
        loop {
            match step {
                Ok(socket) => return Ok(WebSocketStream { socket, unread: Bytes::new(), has_unsent: false }),
                Err(HandshakeError::Interrupted(waiting)) => {
                    // For the request: a fresh socket takes the short answer at once.
                    waiting.get_ref().get_ref().0.readable().await?;
                    step = waiting.handshake();
                }
                Err(HandshakeError::Failure(error)) => return Err(io_error(error)),
            }
        }
    }

    pub fn below(&self) -> &Stream {
        &self.socket.get_ref().0
    }

    pub fn below_mut(&mut self) -> &mut Stream {
        &mut self.socket.get_mut().0
    }

    /// Whether something can be read although the socket has nothing.
    pub fn has_input(&self) -> bool {
        !self.unread.is_empty()
    }

    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = self.take_unread(buffer);
        while filled < buffer.len() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => {
                    self.unread = bytes;
                    filled += self.take_unread(&mut buffer[filled..]);
                }
                Ok(Message::Text(_)) => {
                    return Err(invalid("a text message came; AMQP over WebSocket needs binary ones"));
                }
                // Both are to be answered, with the next flush.
                Ok(Message::Ping(_) | Message::Close(_)) => self.has_unsent = true,
                Ok(Message::Pong(_) | Message::Frame(_)) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => break,
                // AMQP says itself where a connection ends.
                Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => break,
                // Another error will come again.
                Err(_) if filled > 0 => break,
                Err(error) => return Err(io_error(error)),
            }
        }
        Ok(filled)
    }

    fn take_unread(&mut self, buffer: &mut [u8]) -> usize {
        let taken = self.unread.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&self.unread.split_to(taken));
        taken
    }

    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.try_flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes = &bytes[..whole_frames(bytes, MESSAGE_BYTES)];
        // What the kernel does not take is kept.
        is_done(self.socket.write(Message::Binary(Bytes::copy_from_slice(bytes))))?;
        self.has_unsent = true;
        self.try_flush()?;
        Ok(bytes.len())
    }

    pub fn try_flush(&mut self) -> io::Result<bool> {
        if self.has_unsent {
            self.has_unsent = !is_done(self.socket.flush())?;
        }
        Ok(!self.has_unsent && self.below_mut().try_flush()?)
    }

    /// Says that nothing more will be written.
    pub fn close(&mut self) -> io::Result<()> {
        self.has_unsent = true;
        is_done(self.socket.close(None)).map(drop)
    }
}

/// False when the rest has to wait for the socket.
fn is_done(result: tungstenite::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Ok(true),
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(io_error(error)),
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::Http(response) => {
            let body = response.into_body().unwrap_or_default();
            invalid(String::from_utf8_lossy(&body).into_owned())
        }
        other => invalid(other.to_string()),
    }
}

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

/// Bytes of the whole frames at the beginning that together have at most `max`; of the first one at least.
fn whole_frames(bytes: &[u8], max: usize) -> usize {
    let mut end = 0;
    while let Some(&[_, _, _, s0, s1, s2, s3]) = bytes[end..].first_chunk::<7>() {
        let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize + crate::amqp::FRAME_OVERHEAD;
        if bytes.len() - end < size || (end > 0 && end + size > max) {
            break;
        }
        end += size;
    }
    // The end of a frame, or a protocol header.
    if end == 0 { bytes.len() } else { end }
}

/// Decides on a request.
struct Answer {
    origins: Vec<String>,
}

impl Callback for Answer {
    #[allow(clippy::result_large_err, reason = "the trait's type")]
    fn on_request(self, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        if let Some(origin) = request.headers().get(header::ORIGIN)
            && !is_welcome(origin, &self.origins)
        {
            let text = format!(
                "pages of {} may not connect to this broker; its operator can list them in websocket.origins",
                String::from_utf8_lossy(origin.as_bytes())
            );
            return Err(refusal(StatusCode::FORBIDDEN, text));
        }
        match subprotocol(request.headers()) {
            Ok(None) => {}
            Ok(Some(chosen)) => {
                response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
            }
            Err(text) => return Err(refusal(StatusCode::BAD_REQUEST, text)),
        }
        Ok(response)
    }
}

fn refusal(status: StatusCode, text: String) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(text));
    *response.status_mut() = status;
    response
}

/// A page in the browser of somebody on this machine reaches what listens on loopback, so other sites' pages must
/// not be let in unasked. Who is no browser sends no origin.
fn is_welcome(origin: &HeaderValue, listed: &[String]) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    listed.iter().any(|entry| entry == "*" || entry.eq_ignore_ascii_case(origin))
        || is_of_this_machine(origin)
}

fn is_of_this_machine(origin: &str) -> bool {
    let Some((_, authority)) = origin.split_once("://") else { return false };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(host, _)| host),
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// What is answered to the subprotocols offered; nothing when none is.
fn subprotocol(headers: &HeaderMap) -> Result<Option<HeaderValue>, String> {
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let offers: Vec<&str> =
        offers.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).collect();
    let offers: Vec<&str> = offers.into_iter().map(str::trim).filter(|offer| !offer.is_empty()).collect();
    if offers.is_empty() {
        return Ok(None);
    }
    let chosen = offers.iter().find(|offer| offer.eq_ignore_ascii_case(SUBPROTOCOL));
    let chosen = chosen.and_then(|offer| HeaderValue::from_str(offer).ok());
    chosen.map(Some).ok_or_else(|| {
        format!("the subprotocol has to be '{SUBPROTOCOL}', or none; offered: {}", offers.join(", "))
    })
}

/// The stream below, as `tungstenite` wants it.
struct NonBlocking(Stream);

impl Read for NonBlocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for NonBlocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.0.try_flush()? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: usize) -> Vec<u8> {
        let mut out = Vec::new();
        crate::amqp::write_frame(&mut out, crate::amqp::FrameKind::Body, 1, &vec![0; payload]);
        out
    }

    #[test]
    fn messages_end_with_a_frame() {
        let frames = [frame(10), frame(20), frame(30)].concat();
        assert_eq!(whole_frames(&frames, 1000), frames.len());
        assert_eq!(whole_frames(&frames, 50), 18 + 28);
        assert_eq!(whole_frames(&frames, 18), 18);
        assert_eq!(whole_frames(&frames, 5), 18, "at least one");
        assert_eq!(whole_frames(&frames[..frames.len() - 1], 1000), 18 + 28);
        assert_eq!(whole_frames(b"AMQP\x00\x00\x09\x01", 1000), 8);
        assert_eq!(whole_frames(&frame(100)[..50], 1000), 50, "the rest comes with the next");
    }

    #[test]
    fn pages_of_this_machine_and_listed_ones_may_connect() {
        let listed = ["https://chat.example".to_owned()];
        for (origin, expected) in [
            ("http://localhost:3000", true),
            ("http://127.0.0.1", true),
            ("http://[::1]:8080", true),
            ("https://chat.example", true),
            ("HTTPS://Chat.Example", true),
            ("http://chat.example", false),
            ("https://localhost.evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("null", false),
        ] {
            assert_eq!(is_welcome(&HeaderValue::from_static(origin), &listed), expected, "{origin}");
        }
        assert!(is_welcome(&HeaderValue::from_static("null"), &["*".to_owned()]));
    }

    #[test]
    fn the_subprotocol_is_amqp_or_none() {
        let answer = |offers: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for offer in offers {
                headers.append(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offer));
            }
            subprotocol(&headers).map(|chosen| chosen.map(|value| value.to_str().unwrap().to_owned()))
        };
        assert_eq!(answer(&[]), Ok(None));
        assert_eq!(answer(&["amqp"]), Ok(Some("amqp".into())));
        assert_eq!(answer(&["mqtt, AMQP"]), Ok(Some("AMQP".into())));
        assert_eq!(answer(&["mqtt", "amqp"]), Ok(Some("amqp".into())));
        assert!(answer(&["mqtt"]).unwrap_err().contains("mqtt"));
    }
}
