//! What the bytes of a connection travel through.
//!
//! Everything goes by readiness, as with the socket itself: wait until something may be read or written, then try.
//! What is between the connection and its socket keeps bytes of its own; `try_flush` says whether it still does.

use std::io;
use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A client's byte stream.
pub enum Stream {
    Tcp(TcpStream),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Stream::Tcp(socket) => socket,
        }
    }

    /// Our end, for listings.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
    }

    /// Returns when `try_read` is worth a try.
    pub async fn readable(&self) -> io::Result<()> {
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
            Stream::Tcp(socket) => socket.try_read(buffer),
        }
    }

    /// Takes what it can; `WouldBlock` when that is nothing.
    #[inline]
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => socket.try_write(bytes),
        }
    }

    /// Hands on to the kernel what was taken before. False when some of it is left.
    #[inline]
    pub fn try_flush(&mut self) -> io::Result<bool> {
        match self {
            Stream::Tcp(_) => Ok(true),
        }
    }

    /// Reads at least one byte, unless the stream is at its end: 0.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
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

    /// Says that nothing more will be written; the client may still write.
    pub async fn finish_writing(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(socket) => socket.shutdown().await,
        }
    }
}
