//! Clients over WebSockets.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use tungstenite::client::IntoClientRequest;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::{Bytes, Error, HandshakeError, Message, WebSocket};

use super::Socket;

/// A WebSocket as a stream of bytes; each write is one message.
pub struct WebSocketClient<S> {
    pub socket: WebSocket<S>,
    unread: Bytes,
    pub messages_received: usize,
}

/// Asks for a WebSocket with these headers. The answer's headers are the second value.
pub fn try_web_socket<S: Read + Write>(
    stream: S,
    headers: &[(&'static str, &str)],
) -> Result<(WebSocketClient<S>, tungstenite::handshake::client::Response), Error> {
    let mut request = "ws://localhost/ws/amqp".into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    match tungstenite::client::client(request, stream) {
        Ok((socket, response)) => {
            Ok((WebSocketClient { socket, unread: Bytes::new(), messages_received: 0 }, response))
        }
        Err(HandshakeError::Failure(error)) => Err(error),
        Err(HandshakeError::Interrupted(_)) => panic!("no answer to the WebSocket's handshake"),
    }
}

pub fn web_socket(addr: SocketAddr) -> WebSocketClient<TcpStream> {
    let socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(super::PATIENCE)).unwrap();
    try_web_socket(socket, &[]).unwrap().0
}

impl<S: Read + Write> Read for WebSocketClient<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => {
                    self.unread = bytes;
                    self.messages_received += 1;
                }
                Ok(_) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(0),
                Err(Error::Io(error)) => return Err(error),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        let read = self.unread.len().min(buffer.len());
        buffer[..read].copy_from_slice(&self.unread.split_to(read));
        Ok(read)
    }
}

impl<S: Read + Write> Write for WebSocketClient<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(Message::Binary(Bytes::copy_from_slice(bytes))).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Socket> Socket for WebSocketClient<S> {
    fn tcp(&self) -> &TcpStream {
        self.socket.get_ref().tcp()
    }

    fn finish(&mut self) {
        self.socket.close(None).unwrap();
    }
}
