//! What the bytes of a connection travel through: a socket, TLS over it, a WebSocket over either.
//!
//! Everything goes by readiness, as with the socket itself: wait until something may be read or written, then try.
//! What is between the connection and its socket keeps bytes of its own; `try_flush` says whether it still does.

pub mod proxy;
pub mod tls;
pub mod web_socket;

use std::io::{self, IoSlice};
use std::net::SocketAddr;

use bytes::BufMut;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use tls::TlsStream;
use web_socket::WebSocketStream;

/// What a layer over the socket is asked for at a time: a TLS record.
const LAYERED_READ_BYTES: usize = 16 << 10;

/// A client's byte stream.
pub enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream>),
    WebSocket(Box<WebSocketStream>),
}

impl Stream {
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Stream::Tcp(socket) => socket,
            Stream::Tls(stream) => stream.socket(),
            Stream::WebSocket(stream) => stream.below().socket(),
        }
    }

    /// The TLS session, if there is one.
    pub fn tls(&self) -> Option<&TlsStream> {
        match self {
            Stream::Tcp(_) => None,
            Stream::Tls(stream) => Some(stream),
            Stream::WebSocket(stream) => stream.below().tls(),
        }
    }

    /// Whether something can be read although the socket has nothing.
    fn has_input(&self) -> bool {
        match self {
            Stream::Tcp(_) => false,
            Stream::Tls(stream) => stream.has_input(),
            Stream::WebSocket(stream) => stream.has_input() || stream.below().has_input(),
        }
    }

    /// Our end, for listings.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
    }

    /// Returns when `try_read` is worth a try.
    pub async fn readable(&self) -> io::Result<()> {
        if self.has_input() {
            return Ok(());
        }
        self.socket().readable().await
    }

    /// Returns when `try_write` and `try_flush` are worth a try.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket().writable().await
    }

    /// Reads what there is; 0 at the end, `WouldBlock` when nothing has come.
    #[inline]
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => try_read_socket(socket, buffer),
            Stream::Tls(stream) => stream.try_read(buffer),
            Stream::WebSocket(stream) => stream.try_read(buffer),
        }
    }

    /// Like `try_read`, to the end of a vector, at most `room` bytes.
    pub fn try_read_into(&mut self, vector: &mut Vec<u8>, room: usize) -> io::Result<usize> {
        if let Stream::Tcp(socket) = self {
            return socket.try_read_buf(&mut vector.limit(room));
        }
        let had = vector.len();
        vector.resize(had + room.min(LAYERED_READ_BYTES), 0);
        let read = self.try_read(&mut vector[had..]);
        vector.truncate(had + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Takes what it can; `WouldBlock` when that is nothing.
    #[inline]
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => socket.try_write(bytes),
            Stream::Tls(stream) => stream.try_write(bytes),
            Stream::WebSocket(stream) => stream.try_write(bytes),
        }
    }

    /// Like `try_write` for what lies in several places.
    #[inline]
    pub fn try_write_slices(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => socket.try_write_vectored(slices),
            _ => self.try_write(slices.iter().find(|slice| !slice.is_empty()).map_or(&[], |slice| slice)),
        }
    }

    /// Hands on to the kernel what was taken before. False when some of it is left.
    #[inline]
    pub fn try_flush(&mut self) -> io::Result<bool> {
        match self {
            Stream::Tcp(_) => Ok(true),
            Stream::Tls(stream) => stream.try_flush(),
            Stream::WebSocket(stream) => stream.try_flush(),
        }
    }

    /// Reads at least one byte, unless the stream is at its end: 0.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            // What the layers have to answer meanwhile (a ping).
            self.try_flush()?;
            self.readable().await?;
        }
    }

    /// Returns when all of it is with the kernel.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
        while !self.try_flush()? {
            self.writable().await?;
        }
        Ok(())
    }

    /// The layers' goodbyes, as far as the socket takes them.
    pub fn say_goodbye(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(_) => return Ok(()),
            Stream::Tls(stream) => stream.close_notify(),
            Stream::WebSocket(stream) => {
                stream.close()?;
                stream.try_flush()?;
                return stream.below_mut().say_goodbye();
            }
        }
        self.try_flush().map(drop)
    }

    /// Says that nothing more will be written; the client may still write.
    pub async fn finish_writing(&mut self) -> io::Result<()> {
        self.say_goodbye()?;
        self.shut_down().await
    }

    async fn shut_down(&mut self) -> io::Result<()> {
        let mut at = self;
        loop {
            match at {
                Stream::Tcp(socket) => return socket.shutdown().await,
                Stream::Tls(stream) => return stream.socket_mut().shutdown().await,
                Stream::WebSocket(stream) => at = stream.below_mut(),
            }
        }
    }
}

/// A read that leaves room in the buffer has emptied the socket. The runtime is told so at once; else it would take
/// another read, which finds nothing, to find out.
fn try_read_socket(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut partly = None;
    let read = socket.try_io(Interest::READABLE, || {
        let read = rustix::io::read(socket, &mut *buffer)?;
        if read > 0 && read < buffer.len() {
            partly = Some(read);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(read)
    });
    partly.map_or(read, Ok)
}
