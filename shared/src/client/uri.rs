//! Where the broker is, and as whom to sign in.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lapin::uri::{AMQPScheme, AMQPUri};
use thiserror::Error;
use url::Url;

/// `amqp://user:password@host:port/vhost`, or `amqps` for TLS. All parts but the scheme and host may be
/// left out: guest, guest, 5672 (5671), and the vhost `/`. `Display` and `Debug` hide the password.
///
/// `amqps://host?cacertfile=/path/ca.pem` trusts the authorities of that PEM file besides those of the system.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUri {
    // Large, and kept in many places.
    uri: Box<AMQPUri>,
    ca_file: Option<PathBuf>,
}

/// The parameter's name, as other clients know it.
const CA_FILE: &str = "cacertfile";

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the broker URI {given:?} is not right: {reason}. Write it like amqp://user:password@host:5672/vhost"
)]
pub struct UriError {
    /// What was given, without the password.
    given: String,
    reason: String,
}

impl BrokerUri {
    /// The same broker, as somebody else.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &str) -> Self {
        user.clone_into(&mut self.uri.authority.userinfo.username);
        password.clone_into(&mut self.uri.authority.userinfo.password);
        self
    }

    /// Trusts the authorities of this PEM file too. Only `amqps` asks for trust.
    pub fn with_ca_file(mut self, file: &Path) -> Result<Self, UriError> {
        if self.uri.scheme != AMQPScheme::AMQPS {
            let reason = format!("the authorities of {} are for TLS, with amqps://", file.display());
            return Err(UriError { given: self.without_login(), reason });
        }
        // What is remembered is used from other folders.
        self.ca_file = Some(std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
        Ok(self)
    }

    pub(super) fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    pub fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    pub fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    /// `host:port`
    pub fn address(&self) -> String {
        let (host, port) = (&self.uri.authority.host, self.uri.authority.port);
        match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }
    }

    /// Where it is, as a URI without the login.
    pub fn without_login(&self) -> String {
        let vhost = match self.vhost() {
            "/" => String::new(),
            vhost => escaped(vhost.as_bytes()),
        };
        let query = match &self.ca_file {
            None => String::new(),
            Some(file) => format!("?{CA_FILE}={}", escaped(file.as_os_str().as_encoded_bytes())),
        };
        format!("{}://{}/{vhost}{query}", self.uri.scheme, self.address())
    }

    pub(super) fn to_lapin(&self, heartbeat_s: u16) -> AMQPUri {
        let mut uri = (*self.uri).clone();
        uri.query.heartbeat.get_or_insert(heartbeat_s);
        uri
    }
}

impl FromStr for BrokerUri {
    type Err = UriError;

    fn from_str(given: &str) -> Result<Self, UriError> {
        let wrong = |reason: String| {
            let shown = without_password(given);
            UriError { reason: reason.replace(given, &shown), given: shown }
        };
        let mut uri: AMQPUri = given.parse().map_err(wrong)?;
        if let Some(host) = ipv6_host(given) {
            // The parser knows names and IPv4 only, and would say localhost.
            host.clone_into(&mut uri.authority.host);
        }
        if uri.vhost.is_empty() {
            // By the letter, a trailing slash names the vhost "". Nobody has one; everybody types it.
            uri.vhost = "/".to_owned();
        }
        let found = Self { uri: Box::new(uri), ca_file: None };
        match ca_file(given).map_err(|error| wrong(error.to_string()))? {
            None => Ok(found),
            Some(file) => found.with_ca_file(&file),
        }
    }
}

impl fmt::Display for BrokerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vhost = match self.vhost() {
            "/" => String::new(),
            vhost => format!("/{vhost}"),
        };
        write!(f, "{}://{}@{}{vhost}", self.uri.scheme, self.user(), self.address())
    }
}

impl fmt::Debug for BrokerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUri({self})")
    }
}

/// The parser of `AMQPUri` passes over parameters that it does not know.
fn ca_file(uri: &str) -> Result<Option<PathBuf>, url::ParseError> {
    let url = Url::parse(uri)?;
    let found = url.query_pairs().find(|(name, _)| name == CA_FILE);
    Ok(found.map(|(_, file)| PathBuf::from(file.into_owned())))
}

/// What means something in a URI is written as %xx.
fn escaped(bytes: &[u8]) -> String {
    let escape = |&byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    bytes.iter().map(escape).collect()
}

fn ipv6_host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some(host.strip_prefix('[')?.split_once(']')?.0)
}

fn without_password(uri: &str) -> String {
    let start = uri.find("://").map_or(0, |at| at + 3);
    match uri.rfind('@') {
        Some(at) if at >= start => format!("{}…{}", &uri[..start], &uri[at..]),
        _ => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str) -> BrokerUri {
        uri.parse().unwrap()
    }

    #[test]
    fn what_is_left_out_has_defaults() {
        for uri in ["amqp://127.0.0.1", "amqp://127.0.0.1/", "amqp://guest:guest@127.0.0.1:5672/%2f"] {
            assert_eq!(parse(uri), parse("amqp://guest:guest@127.0.0.1:5672/%2F"), "{uri}");
        }
        assert_eq!(parse("amqp://h/chat").vhost(), "chat");
        assert_eq!(parse("amqps://h").address(), "h:5671");
    }

    #[test]
    fn authorities_are_for_tls() {
        let uri = parse("amqps://h/chat?cacertfile=/etc/my%20ca.pem&heartbeat=3");
        assert_eq!(uri.ca_file(), Some(Path::new("/etc/my ca.pem")));
        assert_eq!(uri.vhost(), "chat");
        assert_eq!(uri.without_login(), "amqps://h:5671/chat?cacertfile=%2fetc%2fmy%20ca.pem");
        assert_eq!(parse(&uri.without_login()).ca_file(), uri.ca_file());
        let relative = parse("amqps://h").with_ca_file(Path::new("ca.pem")).unwrap();
        assert_eq!(relative.ca_file(), Some(&*std::path::absolute("ca.pem").unwrap()));
        for error in [
            "amqp://alice:s3cret@h?cacertfile=ca.pem".parse::<BrokerUri>().unwrap_err(),
            parse("amqp://alice:s3cret@h").with_ca_file(Path::new("ca.pem")).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains("with amqps://") && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn ipv6_addresses_are_kept() {
        assert_eq!(parse("amqp://a:b@[::1]:5673/").address(), "[::1]:5673");
        assert_eq!(parse("amqp://[fe80::1]").address(), "[fe80::1]:5672");
    }

    #[test]
    fn without_its_login_a_broker_is_the_same() {
        for uri in ["amqp://h:1", "amqps://h", "amqp://[::1]:5673/a%2fb", "amqp://h/my%20chat"] {
            let broker = parse(uri).with_login("alice", "s3cret");
            let again = parse(&broker.without_login()).with_login("alice", "s3cret");
            assert_eq!(again, broker, "{uri}");
        }
    }

    #[test]
    fn passwords_do_not_show() {
        let uri = parse("amqp://h:1/v").with_login("alice", "s3cret");
        assert_eq!(uri.to_string(), "amqp://alice@h:1/v");
        assert_eq!(format!("{uri:?}"), "BrokerUri(amqp://alice@h:1/v)");
        for bad in ["http://alice:s3cret@h", "amqp://alice:s3cret@h:port", "alice:s3cret@h"] {
            let error = bad.parse::<BrokerUri>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_login_with_any_characters_survives() {
        let uri = parse("amqp://h").with_login("a@b/c", "p@ss:w/rd?");
        assert_eq!(uri.user(), "a@b/c");
        assert_eq!(uri.to_lapin(7).authority.userinfo.password, "p@ss:w/rd?");
        assert_eq!(uri.to_lapin(7).query.heartbeat, Some(7));
        assert_eq!(parse("amqp://h?heartbeat=3").to_lapin(7).query.heartbeat, Some(3));
    }
}
