//! Opening a connection, with errors that say what to do.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lapin::types::{LongString, ShortString};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, ErrorKind};
use thiserror::Error;
use tokio::time::timeout;

use super::failure::Failure;
use super::link::Link;
use super::server::{Server, Shared, StreamGuard, open, tapped_runtime};
use super::uri::BrokerUri;
use crate::topology::PROPERTY_SIGN_UP;

/// How to introduce oneself.
#[derive(Debug, Clone)]
pub struct Options {
    /// Shown by the broker's management, such as `chat-tui`.
    pub product: &'static str,
    pub version: &'static str,
    /// Ask for a new account with the user name and password of the URI.
    pub sign_up: Option<SignUp>,
    /// A broker that is silent for twice as long is taken for dead. The URI's `?heartbeat=` overrides it.
    pub heartbeat_s: u16,
    pub timeout: Duration,
}

impl Options {
    pub fn new(product: &'static str, version: &'static str) -> Self {
        let timeout = Duration::from_secs(15);
        Self { product, version, sign_up: None, heartbeat_s: 20, timeout }
    }

    #[must_use]
    pub fn signing_up(self, sign_up: SignUp) -> Self {
        Self { sign_up: Some(sign_up), ..self }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignUp {
    /// For brokers where anybody may.
    Open,
    /// For brokers that ask for an invitation.
    Invite(String),
}

/// Why there is no connection. The texts are for the person.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConnectError {
    #[error(
        "there is no broker at {address} ({reason}). Start one with `cargo run --release -p broker`, \
         or name another with --broker"
    )]
    Unreachable { address: String, reason: String },
    #[error("the broker at {address} did not answer within {} s", .after.as_secs())]
    Timeout { address: String, after: Duration },
    #[error("what listens at {address} does not speak AMQP 0-9-1; check the address and the port")]
    NotAmqp { address: String },
    #[error("the broker at {address} does not take this connection: {text}")]
    Unwelcome { address: String, text: String },
    #[error("what listens at {address} wants TLS: connect with amqps://{address}")]
    WantsTls { address: String },
    #[error(
        "what listens at {address} does not speak TLS: is it the broker's port for plain AMQP? The one for TLS is \
         usually 5671. Without TLS it would be amqp://{address}, and everybody on the way could read the password"
    )]
    SpeaksNoTls { address: String },
    #[error("no secure connection to {address}: {reason}")]
    Tls { address: String, reason: String },
    #[error("the broker refused the login of {user}: wrong password, or no such account ({text})")]
    LoginRefused { user: String, text: String },
    #[error("the broker did not create the account {user}: {text}")]
    SignUpRefused { user: String, text: String },
    #[error("the broker does not let {user} into the vhost {vhost}: {text}")]
    VhostRefused { user: String, vhost: String, text: String },
    #[error(transparent)]
    Failure(Failure),
}

impl ConnectError {
    /// Whether the same attempt may succeed later without anybody changing anything here.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Failure(_) => true,
            Self::NotAmqp { .. }
            | Self::Unwelcome { .. }
            | Self::WantsTls { .. }
            | Self::SpeaksNoTls { .. }
            | Self::Tls { .. }
            | Self::LoginRefused { .. }
            | Self::SignUpRefused { .. }
            | Self::VhostRefused { .. } => false,
        }
    }
}

/// Connects and signs in, once. Must be called within a multi-threaded tokio runtime. When dropped, the
/// attempt ends.
pub async fn connect(uri: &BrokerUri, options: &Options) -> Result<Link, ConnectError> {
    let ca = uri.ca_file().map(authorities).transpose();
    let ca = ca.map_err(|reason| ConnectError::Tls { address: uri.address(), reason })?;
    let guard = StreamGuard(Arc::default());
    let connecting = connect_lapin(uri.to_lapin(options.heartbeat_s), ca, options, &guard.0);
    match timeout(options.timeout, connecting).await {
        Ok(Ok(connection)) => Ok(Link::new(connection, guard, uri.user().to_owned())),
        Ok(Err(_)) if guard.0.is_tls_alert() => Err(ConnectError::WantsTls { address: uri.address() }),
        Ok(Err(error)) => Err(explain(&error, uri, options, guard.0.server())),
        Err(_) => Err(ConnectError::Timeout { address: uri.address(), after: options.timeout }),
    }
}

/// The PEM text of a file with certificates.
fn authorities(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read the authorities in {}: {error}", file.display()))?;
    match text.contains("-----BEGIN CERTIFICATE-----") {
        true => Ok(text),
        false => Err(format!("there is no certificate in {}; it has to be a PEM file", file.display())),
    }
}

async fn connect_lapin(
    uri: AMQPUri,
    ca: Option<String>,
    options: &Options,
    shared: &Arc<Shared>,
) -> lapin::Result<Connection> {
    let (tap, patience) = (Arc::clone(shared), options.timeout);
    let open = async move |uri: AMQPUri, _| {
        // `lapin` does this on a thread of its own, which would outlive our patience.
        let opened = timeout(patience, open(&uri, ca.clone(), Arc::clone(&tap))).await;
        Ok(opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?)
    };
    let runtime = tapped_runtime(Arc::clone(shared));
    Connection::connector(uri, runtime, open, properties(options)).await
}

fn properties(options: &Options) -> ConnectionProperties {
    let property = |properties: ConnectionProperties, name: &'static str, value: LongString| {
        properties.with_client_property(ShortString::from(name), value)
    };
    // Without automatic recovery: a lost connection is the caller's to see and to replace.
    let properties = ConnectionProperties::default().with_connection_name(options.product.into());
    let properties = property(properties, "product", options.product.into());
    let properties = property(properties, "version", options.version.into());
    match &options.sign_up {
        None => properties,
        Some(SignUp::Open) => property(properties, PROPERTY_SIGN_UP, "true".into()),
        Some(SignUp::Invite(token)) => property(properties, PROPERTY_SIGN_UP, token.as_str().into()),
    }
}

fn explain(
    error: &lapin::Error,
    uri: &BrokerUri,
    options: &Options,
    server: Option<&Server>,
) -> ConnectError {
    let (address, user) = (uri.address(), uri.user().to_owned());
    let failure = Failure::from(error);
    if let Failure::Channel { code, text } | Failure::Connection { code, text } = failure {
        return match code {
            // Before it has introduced itself, and before there was a login.
            _ if server.is_none() => ConnectError::Unwelcome { address, text },
            403 if options.sign_up.is_some() => ConnectError::SignUpRefused { user, text },
            403 => ConnectError::LoginRefused { user, text },
            // RabbitMQ says 530 NOT_ALLOWED for a missing vhost, 402 is the specification's.
            402 | 530 => ConnectError::VhostRefused { user, vhost: uri.vhost().to_owned(), text },
            _ => ConnectError::Failure(Failure::Connection { code, text }),
        };
    }
    match error.kind() {
        ErrorKind::InvalidProtocolVersion(_) | ErrorKind::ParsingError(_) => {
            ConnectError::NotAmqp { address }
        }
        // What `rustls` says when an answer is no TLS at all.
        ErrorKind::IOError(io) if server.is_none() && io.to_string().contains("InvalidContentType") => {
            ConnectError::SpeaksNoTls { address }
        }
        ErrorKind::IOError(io) if io.kind() == io::ErrorKind::InvalidData && server.is_none() => {
            ConnectError::Tls { address, reason: distrust(&io.to_string()) }
        }
        // Nothing came, and the stream ended: not a broker, or one that is shutting down.
        ErrorKind::IOError(io) if server.is_none() => {
            ConnectError::Unreachable { address, reason: io.to_string() }
        }
        _ => ConnectError::Failure(failure),
    }
}

/// What `rustls` says of a certificate that it does not accept, with what to do about it.
fn distrust(said: &str) -> String {
    match said {
        said if said.ends_with("UnknownIssuer") => {
            "its certificate is signed by an authority that is not known here; \
             if it is one of your own, name it with --ca-file"
                .to_owned()
        }
        said => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPHardError, AMQPSoftError};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    fn refusal(kind: AMQPErrorKind, text: &str) -> lapin::Error {
        ErrorKind::ProtocolError(AMQPError::new(kind, text.into())).into()
    }

    fn explained(error: &lapin::Error, sign_up: Option<SignUp>) -> ConnectError {
        let uri: BrokerUri = "amqp://alice:s3cret@h/chat".parse().unwrap();
        let options = Options { sign_up, ..Options::new("test", "0") };
        explain(error, &uri, &options, Some(&Server::default()))
    }

    #[test]
    fn refusals_are_told_apart() {
        let refused = refusal(AMQPSoftError::ACCESSREFUSED.into(), "ACCESS_REFUSED - no");
        assert!(matches!(explained(&refused, None), ConnectError::LoginRefused { .. }));
        let sign_up = explained(&refused, Some(SignUp::Open));
        assert!(matches!(sign_up, ConnectError::SignUpRefused { .. }));
        assert!(sign_up.to_string().contains("ACCESS_REFUSED - no"), "{sign_up}");
        let vhost = explained(&refusal(AMQPHardError::NOTALLOWED.into(), "NOT_ALLOWED - no"), None);
        assert!(matches!(vhost, ConnectError::VhostRefused { .. }));
        assert!(!vhost.may_pass());
        let forced = explained(&refusal(AMQPHardError::CONNECTIONFORCED.into(), "stopping"), None);
        assert!(forced.may_pass(), "{forced}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn where_nothing_listens_the_error_says_how_to_start_a_broker() {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let uri: BrokerUri = format!("amqp://127.0.0.1:{port}").parse().unwrap();
        let error = connect(&uri, &Options::new("test", "0")).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("cargo run --release -p broker"), "{error}");
    }

    /// Answers one connection with `bytes`; tells when the peer has gone.
    async fn answering(bytes: &'static [u8]) -> (BrokerUri, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let gone = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(bytes).await.unwrap();
            while socket.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
        });
        (format!("amqp://127.0.0.1:{port}").parse().unwrap(), gone)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn other_protocols_are_named_as_such() {
        for greeting in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"AMQP\0\x01\0\0"] {
            let (uri, _) = answering(greeting).await;
            let error = connect(&uri, &Options::new("test", "0")).await.unwrap_err();
            assert!(matches!(error, ConnectError::NotAmqp { .. }), "{error:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_port_for_tls_and_one_without_are_told_apart() {
        // What RabbitMQ's port for TLS says to plain AMQP.
        let (uri, _) = answering(b"\x15\x03\x03\0\x02\x02\x0a").await;
        let error = connect(&uri, &Options::new("test", "0")).await.unwrap_err();
        assert!(matches!(error, ConnectError::WantsTls { .. }), "{error:?}");
        assert!(error.to_string().contains("wants TLS: connect with amqps://127.0.0.1:"), "{error}");
        // What any port for plain AMQP says to TLS.
        let (uri, _) = answering(b"AMQP\0\0\x09\x01").await;
        let uri = uri.to_string().replace("amqp://", "amqps://").parse().unwrap();
        let error = connect(&uri, &Options::new("test", "0")).await.unwrap_err();
        assert!(matches!(error, ConnectError::SpeaksNoTls { .. }), "{error:?}");
        assert!(!error.may_pass());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_broker_that_does_not_even_introduce_itself_says_why() {
        let close = b"\x01\0\0\0\0\0\x16\0\x0a\0\x32\x01\xf5\x0bTLS, please\0\0\0\0\xce";
        let (uri, _) = answering(close).await;
        let error = connect(&uri, &Options::new("test", "0")).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unwelcome { .. }), "{error:?}");
        assert!(error.to_string().ends_with("does not take this connection: TLS, please"), "{error}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn silence_times_out_and_leaves_nothing_behind() {
        let (uri, gone) = answering(b"").await;
        let options = Options { timeout: Duration::from_millis(50), ..Options::new("test", "0") };
        let error = connect(&uri, &options).await.unwrap_err();
        assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
        timeout(Duration::from_secs(10), gone).await.expect("the connection is still open").unwrap();
    }
}
