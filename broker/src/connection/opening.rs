//! Opening a connection: protocol header, start, tune, open; the socket's side of `handshake`.

use std::sync::Arc;
use std::time::Duration;

use crate::amqp::{self, FrameKind, Method, PROTOCOL_HEADER, ReplyCode, Version, connection};
use crate::auth::{
    AuthError, CertificateError, EXTERNAL, PASSWORD_MECHANISMS, Permission, SignUp, User, certificate,
};
use crate::broker::{Broker, ConnectionInfo, Traffic, vhost_deleted};
use crate::capacity::{Full, Seat};
use crate::clock;
use crate::error::AmqpError;
use crate::outbox::Outbox;
use crate::vhost::Vhost;

use super::Connection;
use super::arrival::Arrival;
use super::context::{Capabilities, Context, Opened};
use super::crowd::Waiting;
use super::handshake::{self, Limits};
use super::stream::Stream;
use super::stream::tls::TlsStream;

/// Largest frame before tune: the specification's frame-min-size, and what RabbitMQ 3 takes.
const FRAME_MAX_BEFORE_TUNE: u32 = amqp::FRAME_MIN_SIZE;

/// Taken from the socket at once during the handshake.
const READ_BYTES: usize = 1024;

/// A connection ready to run.
pub struct Established {
    /// In a box: on the way to its task it would take room for each place that it passes.
    pub connection: Box<Connection>,
    /// Agreed interval; `None` without heartbeats.
    pub heartbeat: Option<Duration>,
    /// Bytes behind `connection.open` that are already here.
    pub unread: Vec<u8>,
}

/// Why a connection was not opened, for the log.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    #[error("the client closed the connection")]
    Closed,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("it took more than {0} s (limits.handshake_timeout_s)")]
    Timeout(u64),
    #[error(
        "{0} others had not sent their login yet, and it had taken longest of those from the address with the most (limits.handshakes_max)"
    )]
    Crowded(usize),
    #[error("TLS: {}{}", .0, tls_hint(.0))]
    Tls(std::io::Error),
    #[error("WebSocket: {0}")]
    WebSocket(std::io::Error),
    #[error("not AMQP 0-9-1: the first bytes are {0}")]
    NotAmqp(String),
    #[error("{0}")]
    Refused(AmqpError),
    #[error("{0}")]
    Login(AuthError),
}

/// What the client is likely to mean.
fn tls_hint(error: &std::io::Error) -> &'static str {
    let text = error.to_string();
    if ["UnknownCA", "BadCertificate", "CertificateUnknown"].iter().any(|alert| text.ends_with(alert)) {
        " (the client does not trust the broker's certificate: it needs the certificate of the authority that signed it)"
    } else if text.contains("InvalidContentType") {
        " (the client speaks something else than TLS)"
    } else {
        ""
    }
}

/// How long a refused client has to say `close-ok`, and then to close its socket.
const HANG_UP_PATIENCE: Duration = Duration::from_secs(2);

/// The socket and what was read from it.
struct Wire<'s> {
    stream: &'s mut Stream,
    arrival: &'s mut Arrival,
    version: Version,
    input: Vec<u8>,
    frame_max: u32,
    traffic: Arc<Traffic>,
}

impl<'s> Wire<'s> {
    fn new(stream: &'s mut Stream, arrival: &'s mut Arrival) -> Wire<'s> {
        Wire {
            stream,
            arrival,
            version: Version::default(),
            input: Vec::new(),
            frame_max: FRAME_MAX_BEFORE_TUNE,
            traffic: Arc::default(),
        }
    }

    async fn fill(&mut self) -> Result<(), OpeningError> {
        let mut buffer = [0; READ_BYTES];
        let read = self.stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(OpeningError::Closed);
        }
        self.traffic.received(read, 1);
        self.input.extend_from_slice(&buffer[..read]);
        Ok(())
    }

    /// The next method on channel 0, which should be `expected`.
    async fn method(&mut self, expected: &'static str) -> Result<Method, OpeningError> {
        self.arrival.stage = expected;
        loop {
            match amqp::next_frame(&self.input, self.frame_max) {
                Err(error) => return Err(OpeningError::Refused(frame_error(error.to_string()))),
                Ok(None) => self.fill().await?,
                Ok(Some((frame, size))) => {
                    let method = match (frame.kind, frame.channel) {
                        (FrameKind::Heartbeat, 0) => None,
                        (FrameKind::Method, 0) => Some(self.version.decode(frame.payload)),
                        _ => {
                            return Err(OpeningError::Refused(unexpected(
                                "a frame other than a method on channel 0",
                            )));
                        }
                    };
                    self.input.drain(..size);
                    match method {
                        None => {}
                        Some(Ok(Method::ConnectionClose(_))) => {
                            self.send(connection::CloseOk).await?;
                            return Err(OpeningError::Closed);
                        }
                        Some(Ok(method)) => return Ok(method),
                        Some(Err(error)) => {
                            return Err(OpeningError::Refused(frame_error(error.to_string())));
                        }
                    }
                }
            }
        }
    }

    async fn send(&mut self, method: impl Into<Method>) -> Result<(), OpeningError> {
        let mut out = Vec::new();
        self.version.write_method(&mut out, 0, &method.into());
        self.stream.write_all(&out).await?;
        self.traffic.sent(out.len());
        Ok(())
    }

    /// Says why, and gives the client a moment to read it: a socket closed on unread input would be reset,
    /// and the reason lost with it.
    async fn refuse(&mut self, error: &AmqpError) -> Result<(), OpeningError> {
        let (class_id, method_id) = error.caused_by.unwrap_or_default();
        self.send(connection::Close {
            reply_code: error.code.code(),
            reply_text: error.reply_text().into(),
            class_id,
            method_id,
        })
        .await?;
        // Clients that find the end of the stream before they have sent close-ok (php-amqplib) report that instead.
        let _ = tokio::time::timeout(HANG_UP_PATIENCE, self.close_ok()).await;
        self.hang_up().await
    }

    /// Reads until the client has sent `close-ok`, or has ended; whatever came before it is of no interest.
    async fn close_ok(&mut self) {
        let mut close_ok = Vec::new();
        self.version.write_method(&mut close_ok, 0, &connection::CloseOk.into());
        let (mut last, mut buffer) = (Vec::new(), [0; READ_BYTES]);
        while let Ok(read @ 1..) = self.stream.read(&mut buffer).await {
            last.extend_from_slice(&buffer[..read]);
            last.drain(..last.len().saturating_sub(close_ok.len()));
            if last == close_ok {
                return;
            }
        }
    }

    async fn hang_up(&mut self) -> Result<(), OpeningError> {
        self.stream.finish_writing().await?;
        let mut rest = [0; 1024];
        let drained = async { while self.stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
        // Whether the client reads it is up to the client.
        let _ = tokio::time::timeout(HANG_UP_PATIENCE, drained).await;
        Ok(())
    }
}

fn frame_error(text: String) -> AmqpError {
    AmqpError::connection(ReplyCode::FrameError, text)
}

fn unexpected(what: &str) -> AmqpError {
    AmqpError::connection(ReplyCode::CommandInvalid, format!("{what} during the handshake"))
}

pub async fn open(
    broker: &Arc<Broker>,
    stream: &mut Stream,
    arrival: &mut Arrival,
    waiting: Waiting,
) -> Result<Established, OpeningError> {
    let mut wire = Wire::new(stream, arrival);
    match negotiate(broker, &mut wire, waiting).await {
        Err(OpeningError::Refused(error)) => {
            wire.refuse(&error).await?;
            Err(OpeningError::Refused(error))
        }
        other => other,
    }
}

/// Answers a client that speaks AMQP without TLS on a listener for AMQP over TLS, before it sends its password.
pub async fn refuse_plain(stream: &mut Stream, arrival: &mut Arrival) -> Result<OpeningError, OpeningError> {
    let error = frame_error(
        "this port is for TLS, and the client speaks plain AMQP: connect with amqps://, or to a port without TLS"
            .to_owned(),
    )
    .caused_by((0, 0));
    let mut wire = Wire::new(stream, arrival);
    wire.refuse(&error).await?;
    Ok(OpeningError::Refused(error))
}

async fn negotiate(
    broker: &Arc<Broker>,
    wire: &mut Wire<'_>,
    waiting: Waiting,
) -> Result<Established, OpeningError> {
    let (id, peer) = (wire.arrival.id, wire.arrival.peer);
    protocol_header(wire).await?;
    let mechanisms = mechanisms(broker, wire).map_err(OpeningError::Refused)?;
    wire.send(handshake::start(wire.version, &mechanisms, &broker.cluster_name)).await?;
    let Method::ConnectionStartOk(start_ok) = wire.method("connection.start-ok").await? else {
        return Err(OpeningError::Refused(unexpected("a method other than connection.start-ok")));
    };
    drop(waiting);
    let capabilities = handshake::capabilities(&start_ok.client_properties);
    wire.arrival.stage = "the decision on the login";
    let user = log_in(broker, wire, &start_ok, capabilities).await?;
    let agreed = tune(broker, wire).await?;
    wire.frame_max = agreed.frame_max;
    let Method::ConnectionOpen(open) = wire.method("connection.open").await? else {
        return Err(OpeningError::Refused(unexpected("a method other than connection.open")));
    };
    let opened = open_vhost(broker, &user, &open.virtual_host).map_err(OpeningError::Refused)?;
    let OpenedVhost { vhost, permission, seats } = opened;
    wire.send(connection::OpenOk).await?;
    let outbox = Arc::new(Outbox::new(id, broker.config.limits.outbox_bytes_max));
    outbox.lock().frame_max = agreed.frame_max;
    let traffic = wire.traffic.clone();
    let peer_certificate =
        wire.stream.tls().and_then(TlsStream::client_certificate).and_then(certificate::facts);
    let info = ConnectionInfo {
        id,
        peer,
        local: wire.stream.local_addr()?,
        protocol: wire.arrival.listener.protocol,
        version: wire.version,
        tls: wire.stream.tls().map(TlsStream::details),
        peer_certificate: peer_certificate.map(Box::new),
        user: user.clone(),
        vhost: vhost.name.clone(),
        outbox: outbox.clone(),
        client_properties: start_ok.client_properties,
        mechanism: start_ok.mechanism,
        channel_max: agreed.channel_max,
        frame_max: agreed.frame_max,
        heartbeat_s: agreed.heartbeat_s,
        opened_at_ms: clock::now_ms(),
        traffic: traffic.clone(),
    };
    admit(broker, info, &vhost).map_err(OpeningError::Refused)?;
    let cx = Context::new(Opened {
        broker: broker.clone(),
        id,
        peer,
        user,
        vhost,
        outbox,
        traffic,
        capabilities,
        version: wire.version,
        channel_max: agreed.channel_max,
        permission,
        seats,
    });
    Ok(Established {
        connection: Box::new(Connection::new(cx, agreed.frame_max)),
        heartbeat: (agreed.heartbeat_s > 0).then(|| Duration::from_secs(agreed.heartbeat_s.into())),
        unread: std::mem::take(&mut wire.input),
    })
}

/// Any other header is answered with the one that is spoken here (AMQP 0-9-1 §4.2.2).
async fn protocol_header(wire: &mut Wire<'_>) -> Result<(), OpeningError> {
    wire.arrival.stage = "the protocol header";
    while wire.input.len() < PROTOCOL_HEADER.len() {
        // Not even the beginning of a header: no point in waiting for eight bytes.
        if !b"AMQP".starts_with(&wire.input[..wire.input.len().min(4)]) {
            break;
        }
        wire.fill().await?;
    }
    let version = wire.input.get(..PROTOCOL_HEADER.len()).and_then(Version::of_header);
    if let Some(version) = version {
        wire.version = version;
        wire.input.drain(..PROTOCOL_HEADER.len());
        return Ok(());
    }
    wire.stream.write_all(&PROTOCOL_HEADER).await?;
    wire.hang_up().await?;
    let shown = &wire.input[..wire.input.len().min(8)];
    let hint = match shown {
        [0x16, 0x03, ..] => {
            " (TLS: the client wants amqps, for which there is listen_tls; without TLS its address begins with amqp://)"
        }
        [b'G', b'E', b'T', b' ', ..] => " (HTTP; for WebSockets there is listen_ws)",
        _ => "",
    };
    Err(OpeningError::NotAmqp(format!("{}{hint}", amqp::Octets(shown))))
}

/// The mechanisms offered to this client. None at all is no offer: a client that sends its password regardless would
/// show it to everybody on the way.
fn mechanisms(broker: &Broker, wire: &Wire<'_>) -> Result<String, AmqpError> {
    let passwords = broker.authority.takes_passwords(wire.arrival.peer.ip(), wire.arrival.is_encrypted);
    let certificate = wire.stream.tls().is_some_and(|tls| tls.client_certificate().is_some());
    let offers = [(passwords, PASSWORD_MECHANISMS), (certificate, EXTERNAL)];
    let offers: Vec<&str> =
        offers.into_iter().filter(|(offered, _)| *offered).map(|(_, name)| name).collect();
    if offers.is_empty() {
        return Err(AmqpError::connection(
            ReplyCode::AccessRefused,
            "without TLS, logins are taken from this machine only: connect with amqps, or set \
             auth.plain_without_tls to \"all\" in the broker's configuration",
        )
        .caused_by((0, 0)));
    }
    Ok(offers.join(" "))
}

async fn log_in(
    broker: &Arc<Broker>,
    wire: &mut Wire<'_>,
    start_ok: &connection::StartOk,
    capabilities: Capabilities,
) -> Result<Arc<User>, OpeningError> {
    let sign_up = SignUp::from_client_properties(&start_ok.client_properties);
    let wants_account = !matches!(sign_up, Ok(None));
    let decided = match sign_up {
        Ok(sign_up) => authenticate(broker, wire, start_ok, sign_up).await,
        Err(error) => Err(AuthError::SignUp(error)),
    };
    let error = match decided {
        Ok(user) => return Ok(user),
        Err(error) => error,
    };
    // Clients that cannot tell a refusal from a lost connection expect the socket to close.
    if capabilities.authentication_failure_close || wants_account {
        let refused = AmqpError::connection(ReplyCode::AccessRefused, error.for_peer(&start_ok.mechanism))
            .caused_by((0, 0));
        wire.refuse(&refused).await?;
    }
    Err(OpeningError::Login(error))
}

async fn authenticate(
    broker: &Broker,
    wire: &Wire<'_>,
    start_ok: &connection::StartOk,
    sign_up: Option<SignUp>,
) -> Result<Arc<User>, AuthError> {
    let (mechanism, response, peer) = (&*start_ok.mechanism, &start_ok.response, wire.arrival.peer.ip());
    let certificate = wire.stream.tls().and_then(|tls| tls.client_certificate());
    match (mechanism, certificate) {
        (EXTERNAL, Some(_)) if sign_up.is_some() => Err(CertificateError::CannotSignUp.into()),
        (EXTERNAL, Some(certificate)) => {
            let name = certificate::user_name(certificate, &broker.config.tls);
            broker.authority.authenticate_by_certificate(name, response, peer)
        }
        _ => broker.authority.authenticate(mechanism, response, peer, sign_up).await,
    }
}

async fn tune(broker: &Broker, wire: &mut Wire<'_>) -> Result<Limits, OpeningError> {
    let limits = &broker.config.limits;
    let offered = Limits {
        channel_max: limits.channel_max,
        frame_max: limits.frame_max,
        heartbeat_s: limits.heartbeat_s,
    };
    wire.send(connection::Tune {
        channel_max: offered.channel_max,
        frame_max: offered.frame_max,
        heartbeat: offered.heartbeat_s,
    })
    .await?;
    let Method::ConnectionTuneOk(ok) = wire.method("connection.tune-ok").await? else {
        return Err(OpeningError::Refused(unexpected("a method other than connection.tune-ok")));
    };
    handshake::negotiate(offered, &ok).map_err(OpeningError::Refused)
}

/// Makes the connection known, unless it has come too late.
pub fn admit(broker: &Broker, info: ConnectionInfo, vhost: &Arc<Vhost>) -> Result<(), AmqpError> {
    let (id, user) = (info.id, info.user.clone());
    broker.remember_connection(info);
    // Whoever deletes a user closes the connections that are known: this one may have come too late for that.
    if !broker.authority.is_current(&user) {
        broker.forget_connection(id);
        return Err(crate::broker::deleted(user.name()));
    }
    // The same for whoever changes a password,
    if !broker.authority.is_current_password(&user) {
        broker.forget_connection(id);
        return Err(crate::broker::password_changed(user.name()));
    }
    // or deletes a vhost.
    if !broker.is_current_vhost(vhost) {
        broker.forget_connection(id);
        return Err(vhost_deleted(&vhost.name));
    }
    Ok(())
}

pub struct OpenedVhost {
    pub vhost: Arc<Vhost>,
    pub permission: Arc<Permission>,
    pub seats: [Seat; 2],
}

pub fn open_vhost(broker: &Broker, user: &User, name: &str) -> Result<OpenedVhost, AmqpError> {
    let refused = |text: String| AmqpError::connection(ReplyCode::NotAllowed, text).caused_by((10, 40));
    let vhost = broker.vhost(name).ok_or_else(|| refused(format!("vhost {name} not found")))?;
    let no_access = format!("access to vhost '{name}' refused for user '{}'", user.name());
    let of_vhost = vhost
        .connections
        .take()
        .map_err(|Full(max)| refused(format!("{no_access}: connection limit ({max}) is reached")))?;
    let of_user = user.connections().take().map_err(|Full(max)| {
        let user = user.name();
        refused(format!("connection refused for user '{user}': user connection limit ({max}) is reached"))
    })?;
    let permission = broker.authority.permission(user.name(), name).ok_or_else(|| refused(no_access))?;
    Ok(OpenedVhost { vhost, permission, seats: [of_vhost, of_user] })
}
