//! From an accepted socket to an open connection: PROXY protocol, TLS, WebSocket, then the handshake of AMQP, all of
//! it within one time limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::broker::Broker;
use crate::config::Listener;

use super::crowd::Waiting;
use super::driver;
use super::opening::{self, Established, OpeningError};
use super::stream::Stream;
use super::stream::proxy;
use super::stream::tls::TlsStream;
use super::stream::web_socket::WebSocketStream;

/// A client that is on its way in.
pub struct Arrival {
    pub id: u64,
    /// The client's own address, also behind a proxy that says it.
    pub peer: SocketAddr,
    pub listener: Listener,
    /// Nobody on the way can read what it sends, as far as is known.
    pub is_encrypted: bool,
    /// What it is waited for, for the log.
    pub stage: &'static str,
}

/// Serves one client from its first byte to its last.
pub async fn serve(broker: Arc<Broker>, socket: TcpStream, peer: SocketAddr, listener: Listener) {
    let id = broker.next_connection_id();
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(connection = id, %peer, "cannot set TCP_NODELAY: {error}");
    }
    let is_encrypted = listener.protocol.uses_tls();
    let mut arrival = Arrival { id, peer, listener, is_encrypted, stage: "the first bytes" };
    let limit = Duration::from_secs(broker.config.limits.handshake_timeout_s);
    let waiting = broker.crowd.join(id, peer.ip());
    let pushed_out = waiting.pushed_out();
    let mut shutdown = broker.shutdown_signal();
    let opened = tokio::select! {
        // In a box: the task is to be no larger than what an open connection needs.
        opened = tokio::time::timeout(limit, Box::pin(arrive(&broker, socket, &mut arrival, waiting))) => {
            opened.unwrap_or(Err(OpeningError::Timeout(limit.as_secs())))
        }
        () = pushed_out.notified() => Err(OpeningError::Crowded(broker.config.limits.handshakes_max)),
        _ = shutdown.wait_for(|&down| down) => return,
    };
    match opened {
        Ok((established, stream)) => driver::run(established, stream).await,
        Err(error) if broker.client_log.admits(arrival.peer) => {
            let via = (arrival.peer != peer).then(|| tracing::field::display(peer));
            tracing::info!(
                connection = id,
                peer = %arrival.peer,
                via,
                protocol = listener.protocol.uri_scheme(),
                waited_for = arrival.stage,
                "not opened: {error}"
            );
        }
        Err(_) => {}
    }
}

async fn arrive(
    broker: &Arc<Broker>,
    socket: TcpStream,
    arrival: &mut Arrival,
    waiting: Waiting,
) -> Result<(Established, Stream), OpeningError> {
    if arrival.listener.expects_proxy {
        arrival.stage = "the PROXY protocol header";
        let proxied = proxy::read_header(&socket).await?;
        arrival.peer = proxied.client.unwrap_or(arrival.peer);
        arrival.is_encrypted |= proxied.is_encrypted;
    }
    let mut stream = Stream::Tcp(socket);
    if arrival.listener.protocol.uses_tls() {
        arrival.stage = "the TLS handshake";
        refuse_plain(&mut stream, arrival).await?;
        stream = over_tls(broker, stream).await?;
    }
    if arrival.listener.protocol.uses_web_socket() {
        arrival.stage = "the WebSocket handshake";
        let accepted = WebSocketStream::accept(stream, &broker.config.websocket).await;
        stream = Stream::WebSocket(Box::new(accepted.map_err(OpeningError::WebSocket)?));
    }
    let established = opening::open(broker, &mut stream, arrival, waiting).await?;
    Ok((established, stream))
}

/// A client that speaks AMQP where TLS is expected is told so, in AMQP: it could make nothing of an alert.
async fn refuse_plain(stream: &mut Stream, arrival: &mut Arrival) -> Result<(), OpeningError> {
    let mut first = [0; 4];
    let read = stream.socket().peek(&mut first).await?;
    match &first[..read] == b"AMQP" {
        true => Err(opening::refuse_plain(stream, arrival).await?),
        false => Ok(()),
    }
}

async fn over_tls(broker: &Broker, stream: Stream) -> Result<Stream, OpeningError> {
    let (Stream::Tcp(socket), Some(tls)) = (stream, &broker.tls) else {
        return Err(OpeningError::Tls(std::io::Error::other("TLS is not configured")));
    };
    let accepted = TlsStream::accept(socket, tls.current()).await;
    Ok(Stream::Tls(Box::new(accepted.map_err(OpeningError::Tls)?)))
}
