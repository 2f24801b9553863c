//! What the broker says about itself in `connection.start` (AMQP 0-9-1 §1.4.2.1).
//!
//! `lapin` reads the server properties and forgets them, so the stream it reads from is tapped: the
//! first frame is looked at as it passes, under TLS too. The tap also lets go of a peer that is silent,
//! for which `lapin` would keep a thread and a socket for ever.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::{DummyIO, RuntimeParts};
use async_rs::{Runtime, Tokio};
use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_lite::stream::Stream;
use lapin::AsyncTcpStream;
use lapin::protocol::connection::{AMQPMethod, Start};
use lapin::protocol::{AMQPClass, parse_class};
use lapin::tcp::{AMQPUriTcpExt, OwnedTLSConfig};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;

use crate::topology::{CAPABILITY_USER_EXCLUSIVE_QUEUES, Ownership};

/// The first frame of a broker is well under this; a peer that sends more does not speak AMQP.
const START_BYTES_MAX: usize = 64 * 1024;
const FRAME_HEADER_BYTES: usize = 7;
/// The record type of an alert, and the major version of all of TLS.
const TLS_ALERT: [u8; 2] = [0x15, 3];

/// A broker, as it announced itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Server {
    /// Such as `RabbitMQ`; empty if not announced.
    pub product: String,
    pub version: String,
    /// Whether queues can belong to users ([`CAPABILITY_USER_EXCLUSIVE_QUEUES`]).
    pub user_exclusive_queues: bool,
}

impl Server {
    /// How queues that belong to a user are declared here.
    pub fn ownership(&self) -> Ownership {
        match self.user_exclusive_queues {
            true => Ownership::UserExclusive,
            false => Ownership::Permissions,
        }
    }

    fn from_properties(properties: &FieldTable) -> Self {
        let text = |name: &str| match properties.inner().get(name) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            _ => String::new(),
        };
        let capable = match properties.inner().get("capabilities") {
            Some(AMQPValue::FieldTable(table)) => table.inner().get(CAPABILITY_USER_EXCLUSIVE_QUEUES),
            _ => None,
        };
        Self {
            product: text("product"),
            version: text("version"),
            user_exclusive_queues: capable == Some(&AMQPValue::Boolean(true)),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.product.as_str() {
            "" => f.write_str("a broker that does not name itself"),
            product => write!(f, "{product} {}", self.version),
        }
    }
}

/// What connects a tap with those who made it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Filled in when `connection.start` has passed.
    server: OnceLock<Server>,
    /// The first that came was an alert of TLS.
    is_tls_alert: AtomicBool,
    dropped: AtomicBool,
    /// Guards nothing but the handover; held for no longer than that.
    reader: Mutex<Option<Waker>>,
}

impl Shared {
    pub fn server(&self) -> Option<&Server> {
        self.server.get()
    }

    /// Whether the peer speaks TLS, and we do not.
    pub fn is_tls_alert(&self) -> bool {
        self.is_tls_alert.load(Ordering::Acquire)
    }

    fn check_dropped(&self) -> io::Result<()> {
        match self.dropped.load(Ordering::Acquire) {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }

    fn wait(&self, waker: &Waker) {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *reader {
            Some(reader) => reader.clone_from(waker),
            None => *reader = Some(waker.clone()),
        }
    }
}

/// Ends the stream when dropped, whatever `lapin` still waits for.
#[derive(Debug)]
pub(super) struct StreamGuard(pub Arc<Shared>);

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::Release);
        let reader = self.0.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

type TcpStream = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;
pub(super) type TappedRuntime = Runtime<RuntimeParts<Tokio, TappedReactor>>;

/// A runtime for `lapin` on the current tokio runtime, whose streams are tapped.
pub(super) fn tapped_runtime(shared: Arc<Shared>) -> TappedRuntime {
    let tokio = Tokio::current();
    Runtime::new(RuntimeParts::new(tokio.clone(), TappedReactor { tokio, shared }))
}

/// `ca` is a PEM text with authorities to trust besides those of the system.
pub(super) async fn open(
    uri: &AMQPUri,
    ca: Option<String>,
    shared: Arc<Shared>,
) -> io::Result<AsyncTcpStream<Tap>> {
    let tls = OwnedTLSConfig { cert_chain: ca, ..OwnedTLSConfig::default() };
    let stream = uri.connect_with_config_async(tls.as_ref(), &Runtime::new(Tokio::current())).await?;
    Ok(AsyncTcpStream::Plain(Tap::new(stream, shared)))
}

/// Like tokio's reactor in all but the type of its streams.
#[derive(Debug, Clone)]
pub(super) struct TappedReactor {
    tokio: Tokio,
    shared: Arc<Shared>,
}

impl Reactor for TappedReactor {
    type TcpStream = Tap;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<DummyIO, _>(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn sleep(&self, dur: Duration) -> Self::Sleep {
        self.tokio.sleep(dur)
    }

    fn interval(&self, dur: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(dur)
    }

    fn tcp_connect_addr(
        &self,
        addr: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let (connecting, shared) = (self.tokio.tcp_connect_addr(addr), Arc::clone(&self.shared));
        async move { Ok(Tap::new(AsyncTcpStream::Plain(connecting.await?), shared)) }
    }
}

/// A stream that notes what `connection.start` says when it passes.
pub(super) struct Tap {
    stream: TcpStream,
    /// What was read so far, until the first frame is complete.
    first_frame: Option<Vec<u8>>,
    shared: Arc<Shared>,
}

impl Tap {
    fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        Self { stream, first_frame: Some(Vec::new()), shared }
    }

    fn note(&mut self, bytes: &[u8]) {
        let Some(frame) = &mut self.first_frame else { return };
        frame.extend_from_slice(bytes);
        match parse_start(frame) {
            Parsed::Incomplete => {}
            Parsed::Other => {
                self.shared.is_tls_alert.store(frame.starts_with(&TLS_ALERT), Ordering::Release);
                self.first_frame = None;
            }
            Parsed::Start(server) => {
                // Filled only once: a stream begins once.
                let _ = self.shared.server.set(server);
                self.first_frame = None;
            }
        }
    }
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        // In this order, or a guard that is dropped in between would wake nobody.
        self.shared.wait(cx.waker());
        self.shared.check_dropped()?;
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(count)) = read {
            self.note(&buf[..count]);
        }
        read
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.check_dropped()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.check_dropped()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

#[derive(Debug, PartialEq)]
enum Parsed {
    Incomplete,
    Start(Server),
    Other,
}

/// One frame: type, channel (2 bytes), payload size (4 bytes), payload, end (AMQP 0-9-1 §4.2.3).
fn parse_start(bytes: &[u8]) -> Parsed {
    let &[kind, _, _, a, b, c, d, ref rest @ ..] = bytes else { return Parsed::Incomplete };
    let size = u32::from_be_bytes([a, b, c, d]) as usize;
    if kind != 1 || size > START_BYTES_MAX - FRAME_HEADER_BYTES {
        return Parsed::Other;
    }
    let Some(payload) = rest.get(..size) else { return Parsed::Incomplete };
    match parse_class(payload) {
        Ok((_, AMQPClass::Connection(AMQPMethod::Start(Start { server_properties, .. })))) => {
            Parsed::Start(Server::from_properties(&server_properties))
        }
        _ => Parsed::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `connection.start` by hand: class 10, method 10, version, properties, mechanisms, locales.
    fn start(properties: &[u8]) -> Vec<u8> {
        let mut payload = vec![0, 10, 0, 10, 0, 9];
        payload.extend(u32::try_from(properties.len()).unwrap().to_be_bytes());
        payload.extend(properties);
        payload.extend(b"\0\0\0\x05PLAIN\0\0\0\x05en_US");
        let mut frame = vec![1, 0, 0];
        frame.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        frame.extend(payload);
        frame.push(0xce);
        frame
    }

    fn capabilities(value: u8) -> Vec<u8> {
        let name = CAPABILITY_USER_EXCLUSIVE_QUEUES.as_bytes();
        let mut table = vec![u8::try_from(name.len()).unwrap()];
        table.extend(name);
        table.extend([b't', value]);
        let mut properties = b"\x07productS\0\0\0\x06Warren\x0ccapabilitiesF".to_vec();
        properties.extend(u32::try_from(table.len()).unwrap().to_be_bytes());
        properties.extend(table);
        properties
    }

    fn server(user_exclusive_queues: bool, product: &str) -> Parsed {
        let (product, version) = (product.to_owned(), String::new());
        Parsed::Start(Server { product, version, user_exclusive_queues })
    }

    #[test]
    fn the_capability_must_be_announced_as_true() {
        assert_eq!(parse_start(&start(&capabilities(1))), server(true, "Warren"));
        assert_eq!(parse_start(&start(&capabilities(0))), server(false, "Warren"));
        assert_eq!(parse_start(&start(b"")), server(false, ""));
    }

    #[test]
    fn a_frame_is_read_when_it_is_whole_and_not_before() {
        let frame = start(&capabilities(1));
        for length in 0..frame.len() - 1 {
            assert_eq!(parse_start(&frame[..length]), Parsed::Incomplete, "{length} bytes");
        }
    }

    #[test]
    fn other_protocols_are_not_waited_for() {
        assert_eq!(parse_start(b"AMQP\0\0\x09\x01"), Parsed::Other);
        assert_eq!(parse_start(b"HTTP/1.1 400 Bad Request"), Parsed::Other);
        assert_eq!(parse_start(&[1, 0, 0, 255, 255, 255, 255, 0]), Parsed::Other);
        assert_eq!(parse_start(&[1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 11, 0xce]), Parsed::Other);
    }
}
