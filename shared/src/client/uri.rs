//! Where the broker is, and as whom to sign in.

use std::fmt;
use std::str::FromStr;

use lapin::uri::AMQPUri;
use thiserror::Error;

/// `amqp://user:password@host:port/vhost`, or `amqps` for TLS. All parts but the scheme and host may be
/// left out: guest, guest, 5672 (5671), and the vhost `/`. `Display` and `Debug` hide the password.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUri(AMQPUri);

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
        user.clone_into(&mut self.0.authority.userinfo.username);
        password.clone_into(&mut self.0.authority.userinfo.password);
        self
    }

    pub fn user(&self) -> &str {
        &self.0.authority.userinfo.username
    }

    pub fn vhost(&self) -> &str {
        &self.0.vhost
    }

    /// `host:port`
    pub fn address(&self) -> String {
        let (host, port) = (&self.0.authority.host, self.0.authority.port);
        match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }
    }

    /// Where it is, as a URI without the login.
    pub fn without_login(&self) -> String {
        let vhost = match self.vhost() {
            "/" => String::new(),
            // What would end the name in a URI is written as %xx.
            vhost => vhost
                .bytes()
                .map(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                        char::from(byte).to_string()
                    }
                    byte => format!("%{byte:02x}"),
                })
                .collect(),
        };
        format!("{}://{}/{vhost}", self.0.scheme, self.address())
    }

    pub(super) fn to_lapin(&self, heartbeat_s: u16) -> AMQPUri {
        let mut uri = self.0.clone();
        uri.query.heartbeat.get_or_insert(heartbeat_s);
        uri
    }
}

impl FromStr for BrokerUri {
    type Err = UriError;

    fn from_str(given: &str) -> Result<Self, UriError> {
        let parsed: Result<AMQPUri, String> = given.parse();
        let mut uri = parsed.map_err(|reason| {
            let shown = without_password(given);
            UriError { reason: reason.replace(given, &shown), given: shown }
        })?;
        if let Some(host) = ipv6_host(given) {
            // The parser knows names and IPv4 only, and would say localhost.
            host.clone_into(&mut uri.authority.host);
        }
        if uri.vhost.is_empty() {
            // By the letter, a trailing slash names the vhost "". Nobody has one; everybody types it.
            uri.vhost = "/".to_owned();
        }
        Ok(Self(uri))
    }
}

impl fmt::Display for BrokerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vhost = match self.vhost() {
            "/" => String::new(),
            vhost => format!("/{vhost}"),
        };
        write!(f, "{}://{}@{}{vhost}", self.0.scheme, self.user(), self.address())
    }
}

impl fmt::Debug for BrokerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUri({self})")
    }
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
