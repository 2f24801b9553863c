//! TLS between a connection and its socket.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};
use tokio::net::TcpStream;

/// Plaintext taken at once; with its records it fits what `rustls` keeps.
const PLAINTEXT_BYTES_AT_ONCE: usize = 32 * 1024;

/// Ciphertext read at once. `rustls` itself would ask the kernel for 4 KiB at a time.
const CIPHERTEXT_BYTES_AT_ONCE: usize = 32 * 1024;

/// What was agreed on, for listings. Its parts are called as RabbitMQ calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsDetails {
    /// Such as `TLSv1_3`.
    version: &'static str,
    /// Such as `TLS13_AES_256_GCM_SHA384` or `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`.
    cipher_suite: &'static str,
}

impl TlsDetails {
    /// Such as `tlsv1.3`.
    pub fn protocol(&self) -> String {
        self.version.to_lowercase().replace('_', ".")
    }

    /// Such as `ecdhe_rsa`; `any` where the suite does not say it.
    pub fn key_exchange(&self) -> String {
        self.suite_parts().0.map_or("any".to_owned(), str::to_lowercase)
    }

    /// Such as `aes_256_gcm`.
    pub fn cipher(&self) -> String {
        let (_, cipher) = self.suite_parts();
        cipher.rsplit_once("_SHA").map_or(cipher, |(cipher, _)| cipher).to_lowercase()
    }

    /// Every suite that there is here authenticates with its cipher.
    pub fn hash(&self) -> String {
        "aead".to_owned()
    }

    /// The key exchange, if it is a matter of the suite, and the rest.
    fn suite_parts(&self) -> (Option<&'static str>, &'static str) {
        match self.cipher_suite.split_once("_WITH_") {
            Some((exchange, rest)) => (Some(exchange.trim_start_matches("TLS_")), rest),
            None => (None, self.cipher_suite.trim_start_matches("TLS13_")),
        }
    }
}

pub struct TlsStream {
    socket: TcpStream,
    session: ServerConnection,
    /// Read from the socket, not yet given to the session.
    ciphertext: Vec<u8>,
    /// The reader's buffer was full: there may be more where that came from.
    has_more: bool,
}

impl TlsStream {
    /// The handshake. On an error the client has been sent the alert.
    pub async fn accept(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<TlsStream> {
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut stream = TlsStream { socket, session, ciphertext: Vec::new(), has_more: false };
        loop {
            let flushed = stream.try_flush()?;
            if !stream.session.is_handshaking() && flushed {
                return Ok(stream);
            }
            if !flushed {
                stream.socket.writable().await?;
                continue;
            }
            match stream.take_in() {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.socket.readable().await?,
                Err(error) => return Err(error),
            }
        }
    }

    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    pub fn details(&self) -> TlsDetails {
        let version = self.session.protocol_version().and_then(|version| version.as_str());
        let suite = self.session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        TlsDetails { version: version.unwrap_or("unknown"), cipher_suite: suite.unwrap_or("unknown") }
    }

    /// Whether something can be read although the socket has nothing.
    pub fn has_input(&self) -> bool {
        self.has_more
    }

    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        self.has_more = false;
        while filled < buffer.len() {
            match self.session.reader().read(&mut buffer[filled..]) {
                Ok(0) => return Ok(filled),
                Ok(read) => {
                    filled += read;
                    continue;
                }
                // The socket ended without a close_notify. AMQP says itself where a connection ends.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(filled),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) => {}
            }
            match self.take_in() {
                Ok(_) => {}
                // An error that is more than that will come again.
                Err(_) if filled > 0 => return Ok(filled),
                Err(error) => return Err(error),
            }
        }
        self.has_more = true;
        Ok(filled)
    }

    /// Gives the session what the socket has. 0 at the end of the stream.
    fn take_in(&mut self) -> io::Result<usize> {
        if self.ciphertext.is_empty() {
            let mut buffer = [0; CIPHERTEXT_BYTES_AT_ONCE];
            let read = self.socket.try_read(&mut buffer)?;
            let taken = take(&mut self.session, &self.socket, &buffer[..read])?;
            self.ciphertext.extend_from_slice(&buffer[taken..read]);
            return Ok(read);
        }
        let taken = take(&mut self.session, &self.socket, &self.ciphertext)?;
        self.ciphertext.drain(..taken);
        if self.ciphertext.is_empty() {
            self.ciphertext = Vec::new();
        }
        Ok(taken)
    }

    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(PLAINTEXT_BYTES_AT_ONCE)];
        self.try_flush()?;
        let taken = self.session.writer().write(bytes)?;
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.try_flush()?;
        Ok(taken)
    }

    pub fn try_flush(&mut self) -> io::Result<bool> {
        send(&mut self.session, &self.socket)
    }

    /// Says that nothing more will be written.
    pub fn close_notify(&mut self) {
        self.session.send_close_notify();
    }

    /// The client's certificate (DER), if it has shown one; it has been verified.
    pub fn client_certificate(&self) -> Option<&[u8]> {
        Some(self.session.peer_certificates()?.first()?)
    }
}

/// Returns how much the session took: all, unless its plaintext has to be read first. Gives it an end of the stream
/// as it is.
fn take(session: &mut ServerConnection, socket: &TcpStream, ciphertext: &[u8]) -> io::Result<usize> {
    let mut rest = ciphertext;
    // An error here says that plaintext has to be read first.
    while session.read_tls(&mut rest).is_ok() {
        let state = session.process_new_packets().map_err(|error| {
            // The alert, as far as it goes.
            let _ = send(session, socket);
            io::Error::new(io::ErrorKind::InvalidData, error)
        })?;
        if rest.is_empty() || state.peer_has_closed() {
            break;
        }
    }
    Ok(ciphertext.len() - rest.len())
}

fn send(session: &mut ServerConnection, socket: &TcpStream) -> io::Result<bool> {
    while session.wants_write() {
        match session.write_tls(&mut NonBlocking(socket)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

struct NonBlocking<'s>(&'s TcpStream);

impl Write for NonBlocking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_shown_in_parts() {
        for (version, cipher_suite, expected) in [
            ("TLSv1_3", "TLS13_AES_256_GCM_SHA384", ["tlsv1.3", "any", "aes_256_gcm", "aead"]),
            ("TLSv1_3", "TLS13_CHACHA20_POLY1305_SHA256", ["tlsv1.3", "any", "chacha20_poly1305", "aead"]),
            (
                "TLSv1_2",
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                ["tlsv1.2", "ecdhe_ecdsa", "aes_128_gcm", "aead"],
            ),
        ] {
            let tls = TlsDetails { version, cipher_suite };
            assert_eq!([tls.protocol(), tls.key_exchange(), tls.cipher(), tls.hash()], expected);
        }
    }
}
