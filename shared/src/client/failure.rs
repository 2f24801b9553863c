//! What went wrong on a connection, sorted by what still lives.

use lapin::ErrorKind;
use lapin::protocol::AMQPErrorKind;
use thiserror::Error;

use crate::topology::{FRIEND_QUEUE_PREFIX, INBOX_PREFIX, REPLY_QUEUE_PREFIX, REQUEST_QUEUE_PREFIX};

/// An error of the broker or the connection. Names of queues are already hidden in its texts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// The broker closed the channel (AMQP 0-9-1 §1.5.2.5); the connection lives.
    #[error("the broker closed the channel: {text} ({code})")]
    Channel { code: u16, text: String },
    /// The broker closed the connection (§1.4.2.9).
    #[error("the broker closed the connection: {text} ({code})")]
    Connection { code: u16, text: String },
    /// The connection is gone, or was closed on this side.
    #[error("the connection to the broker is lost: {0}")]
    Lost(String),
}

impl Failure {
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Channel { code, .. } | Self::Connection { code, .. } => Some(*code),
            Self::Lost(_) => None,
        }
    }

    /// There is no such queue or exchange. For [`FRIENDS_EXCHANGE`](crate::topology::FRIENDS_EXCHANGE):
    /// no friend server was ever started on this broker.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The user's permissions do not allow it.
    pub fn is_access_refused(&self) -> bool {
        self.code() == Some(403)
    }

    /// The queue belongs to another user, or another connection.
    pub fn is_resource_locked(&self) -> bool {
        self.code() == Some(405)
    }

    /// Whether other channels of the same connection go on.
    pub fn spares_the_connection(&self) -> bool {
        matches!(self, Self::Channel { .. })
    }
}

impl From<&lapin::Error> for Failure {
    fn from(error: &lapin::Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(amqp) => {
                let (code, text) = (amqp.get_id(), hide_names(amqp.get_message().as_str()));
                match amqp.kind() {
                    AMQPErrorKind::Soft(_) => Self::Channel { code, text },
                    AMQPErrorKind::Hard(_) => Self::Connection { code, text },
                }
            }
            ErrorKind::IOError(error) => Self::Lost(error.to_string()),
            ErrorKind::MissingHeartbeatError => {
                Self::Lost("the broker was silent for two heartbeats".to_owned())
            }
            ErrorKind::InvalidConnectionState(_) | ErrorKind::InvalidChannelState(..) => {
                Self::Lost("it was closed".to_owned())
            }
            _ => Self::Lost(hide_names(&error.to_string())),
        }
    }
}

impl From<lapin::Error> for Failure {
    fn from(error: lapin::Error) -> Self {
        Self::from(&error)
    }
}

/// Replaces every queue name of ours by its prefix and `…`: who knows a name can write to the queue.
fn hide_names(text: &str) -> String {
    const PREFIXES: [&str; 4] = [REQUEST_QUEUE_PREFIX, FRIEND_QUEUE_PREFIX, INBOX_PREFIX, REPLY_QUEUE_PREFIX];
    let mut hidden = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, prefix)) =
        PREFIXES.iter().filter_map(|prefix| Some((rest.find(prefix)?, prefix))).min()
    {
        let name = &rest[at + prefix.len()..];
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(name.len());
        hidden.push_str(&rest[..at + prefix.len()]);
        hidden.push('…');
        rest = &name[end..];
    }
    hidden.push_str(rest);
    hidden
}

#[cfg(test)]
mod tests {
    use lapin::protocol::{AMQPError, AMQPHardError, AMQPSoftError};

    use super::*;

    fn failure(kind: AMQPErrorKind, text: &str) -> Failure {
        Failure::from(lapin::Error::from(ErrorKind::ProtocolError(AMQPError::new(kind, text.into()))))
    }

    #[test]
    fn soft_errors_spare_the_connection_and_hard_ones_do_not() {
        let soft = failure(AMQPSoftError::NOTFOUND.into(), "NOT_FOUND - no exchange 'friends' in vhost '/'");
        assert!(soft.is_not_found() && soft.spares_the_connection());
        assert!(soft.to_string().contains("no exchange 'friends'"), "{soft}");
        let hard = failure(AMQPHardError::CONNECTIONFORCED.into(), "CONNECTION_FORCED - shutdown");
        assert_eq!(hard.code(), Some(320));
        assert!(!hard.spares_the_connection());
        let io = lapin::Error::from(std::io::Error::other("broken pipe"));
        assert_eq!(Failure::from(io), Failure::Lost("broken pipe".to_owned()));
    }

    #[test]
    fn queue_names_are_hidden() {
        for (text, shown) in [
            ("no queue 'inbox.abc2' in vhost '/'", "no queue 'inbox.…' in vhost '/'"),
            ("friend.1-2 and friends.3-4, reply.5", "friend.… and friends.…, reply.…"),
            ("exchange 'friends' is fine", "exchange 'friends' is fine"),
            ("friend.", "friend.…"),
            ("", ""),
        ] {
            assert_eq!(hide_names(text), shown);
        }
    }
}
