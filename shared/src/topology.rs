//! The names and arguments of everything chat declares on a broker.
//!
//! | thing | name | declared by |
//! |---|---|---|
//! | friends exchange | `friends` (fanout, durable) | friend servers |
//! | request queue | `friends.<uuid v4>` (durable) | friend servers |
//! | inbox | `inbox.<base32 of HMAC-SHA256(secret, user)>` | its user's client |
//! | friend queue | `friend.<uuid v4>` | its user's client, one per friend |
//! | takeover queue | `friend.takeover-<as in the inbox>` | a client that consumes the inbox, while it does |
//! | reply queue | `reply.<uuid v4>` | a client, for one question |
//!
//! A queue name is a capability: who knows it can write to it. Names must never be logged.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use sha2::Sha256;
use thiserror::Error;
use uuid::Uuid;

/// Requests for the friend servers are published here, with an empty routing key.
pub const FRIENDS_EXCHANGE: &str = "friends";
/// The exchange that routes to the queue named by the routing key (AMQP 0-9-1 §3.1.3.1).
pub const DEFAULT_EXCHANGE: &str = "";

pub const REQUEST_QUEUE_PREFIX: &str = "friends.";
pub const INBOX_PREFIX: &str = "inbox.";
pub const FRIEND_QUEUE_PREFIX: &str = "friend.";
pub const REPLY_QUEUE_PREFIX: &str = "reply.";

/// Server capability: the broker knows `x-exclusive-scope: "user"`.
pub const CAPABILITY_USER_EXCLUSIVE_QUEUES: &str = "warren.user_exclusive_queues";
/// Client property that asks for a new account: `"true"`, or an invite token.
pub const PROPERTY_SIGN_UP: &str = "warren.sign_up";

/// Queue argument: an exclusive queue belongs to the user instead of the connection.
pub const ARGUMENT_EXCLUSIVE_SCOPE: &str = "x-exclusive-scope";
pub const EXCLUSIVE_SCOPE_USER: &str = "user";

pub const USER_NAME_CHARS_MAX: usize = 32;

/// The secret name of the queue behind the `friends` exchange. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestQueue(String);

impl RequestQueue {
    pub fn generate() -> Self {
        Self(random_name(REQUEST_QUEUE_PREFIX))
    }

    /// Takes back a name that [`generate`](Self::generate) once gave; `None` if it is not one.
    pub fn parse(name: &str) -> Option<Self> {
        is_random_name(REQUEST_QUEUE_PREFIX, name).then(|| Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RequestQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestQueue(secret)")
    }
}

/// A new name for a queue that one friend will write to.
pub fn friend_queue_name() -> String {
    random_name(FRIEND_QUEUE_PREFIX)
}

/// A new name for a queue that takes the answer to one question.
pub fn reply_queue_name() -> String {
    random_name(REPLY_QUEUE_PREFIX)
}

/// Whether `name` is `friend.<uuid v4>`, the only place a friend request may ask to be answered at.
pub fn is_friend_queue(name: &str) -> bool {
    is_random_name(FRIEND_QUEUE_PREFIX, name)
}

/// Whether `name` is `reply.<uuid v4>`, the only place a hello may ask to be answered at.
pub fn is_reply_queue(name: &str) -> bool {
    is_random_name(REPLY_QUEUE_PREFIX, name)
}

/// Whether `name` has the shape of an inbox. Only a holder of the secret can tell whose.
pub fn is_inbox(name: &str) -> bool {
    let hash = name.strip_prefix(INBOX_PREFIX).unwrap_or_default();
    hash.len() == 52 && hash.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
}

/// The name of `user`'s inbox: the same from every friend server that holds `secret`, and not to be
/// guessed by anybody else.
pub fn inbox_name(secret: &[u8], user: &str) -> String {
    // RFC 2104 takes keys of any length, so this cannot fail.
    let mut mac = match Hmac::<Sha256>::new_from_slice(secret) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    };
    mac.update(user.as_bytes());
    let hash = BASE32_NOPAD.encode(&mac.finalize().into_bytes()).to_ascii_lowercase();
    format!("{INBOX_PREFIX}{hash}")
}

/// Where the session that consumes `inbox` hears of another one of the same user. Users may write to what begins like a
/// friend queue; only who knows the inbox knows this name.
pub fn takeover_queue_name(inbox: &str) -> String {
    format!("{FRIEND_QUEUE_PREFIX}takeover-{}", inbox.strip_prefix(INBOX_PREFIX).unwrap_or(inbox))
}

fn random_name(prefix: &str) -> String {
    format!("{prefix}{}", Uuid::new_v4())
}

fn is_random_name(prefix: &str, name: &str) -> bool {
    let Some(uuid) = name.strip_prefix(prefix) else { return false };
    // Only the one canonical spelling, so that one queue has one name.
    Uuid::try_parse(uuid)
        .is_ok_and(|parsed| parsed.get_version_num() == 4 && parsed.hyphenated().to_string() == uuid)
}

/// How queues that belong to a user are declared on the broker at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// The broker announced [`CAPABILITY_USER_EXCLUSIVE_QUEUES`].
    UserExclusive,
    /// RabbitMQ: a durable quorum queue with one active consumer, guarded by per-user permissions.
    Permissions,
}

impl Ownership {
    /// Options for declaring an inbox or a friend queue.
    pub fn declare_options(self) -> QueueDeclareOptions {
        QueueDeclareOptions {
            durable: true,
            exclusive: self == Self::UserExclusive,
            ..QueueDeclareOptions::default()
        }
    }

    /// Arguments for declaring an inbox or a friend queue.
    pub fn declare_arguments(self) -> FieldTable {
        let mut arguments = FieldTable::default();
        match self {
            Self::UserExclusive => {
                let scope = AMQPValue::LongString(EXCLUSIVE_SCOPE_USER.into());
                arguments.insert(ARGUMENT_EXCLUSIVE_SCOPE.into(), scope);
            }
            Self::Permissions => {
                arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
                arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
            }
        }
        arguments
    }
}

/// Options for declaring a reply queue: gone with the connection, or with its consumer.
pub fn reply_queue_options() -> QueueDeclareOptions {
    QueueDeclareOptions::exclusive().auto_delete()
}

/// Options for declaring the request queue.
pub fn request_queue_options() -> QueueDeclareOptions {
    QueueDeclareOptions::durable()
}

/// Arguments for declaring the request queue: on a RabbitMQ cluster it survives the loss of a node.
pub fn request_queue_arguments(ownership: Ownership) -> FieldTable {
    let mut arguments = FieldTable::default();
    if ownership == Ownership::Permissions {
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    }
    arguments
}

/// Why a string is not a user name. The text is for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UserNameError {
    #[error("a user name cannot be empty")]
    Empty,
    #[error("a user name has at most {USER_NAME_CHARS_MAX} characters; this one has {0}")]
    TooLong(usize),
    #[error("a user name cannot contain {0:?}: use a to z, 0 to 9, '.', '_' and '-' (no capitals)")]
    Character(char),
    #[error("a user name starts with a letter or a digit, not with {0:?}")]
    Start(char),
}

/// Checks that `name` is 1 to 32 of `[a-z0-9._-]` and starts with a letter or a digit.
pub fn check_user_name(name: &str) -> Result<(), UserNameError> {
    let first = name.chars().next().ok_or(UserNameError::Empty)?;
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
    if let Some(c) = name.chars().find(|&c| !allowed(c)) {
        return Err(UserNameError::Character(c));
    }
    if !first.is_ascii_alphanumeric() {
        return Err(UserNameError::Start(first));
    }
    match name.chars().count() {
        count if count > USER_NAME_CHARS_MAX => Err(UserNameError::TooLong(count)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_names_are_stable_and_differ_by_user_and_secret() {
        // Computed with: printf alice | openssl dgst -sha256 -mac HMAC -macopt hexkey:07…07 -binary | base32
        let name = inbox_name(&[7; 32], "alice");
        assert_eq!(name, "inbox.nkefdrmq3xvvulvauubxi6mlz2rt432x5dp2zd5nimwwadrncdvq");
        assert!(is_inbox(&name));
        assert_ne!(name, inbox_name(&[7; 32], "bob"));
        assert_ne!(name, inbox_name(&[8; 32], "alice"));
    }

    #[test]
    fn generated_names_are_recognised_and_others_are_not() {
        assert!(is_friend_queue(&friend_queue_name()));
        assert!(is_reply_queue(&reply_queue_name()));
        assert!(!is_friend_queue(&reply_queue_name()));
        assert!(!is_friend_queue(&takeover_queue_name(&inbox_name(b"x", "alice"))));
        for name in [
            "",
            "friend.",
            "friend.x",
            "friends.9b2c1f0e-8f4f-4f5e-9a83-4bd8c9a3c001",
            "friend.9B2C1F0E-8F4F-4F5E-9A83-4BD8C9A3C001",
            "friend.9b2c1f0e8f4f4f5e9a834bd8c9a3c001",
            "friend.{9b2c1f0e-8f4f-4f5e-9a83-4bd8c9a3c001}",
            "friend.00000000-0000-0000-0000-000000000000",
        ] {
            assert!(!is_friend_queue(name), "{name:?}");
        }
        let queue = RequestQueue::generate();
        assert_eq!(RequestQueue::parse(queue.as_str()), Some(queue.clone()));
        assert!(!format!("{queue:?}").contains(queue.as_str()));
        assert_eq!(RequestQueue::parse("friend.9b2c1f0e-8f4f-4f5e-9a83-4bd8c9a3c001"), None);
    }

    #[test]
    fn user_names() {
        for good in ["a", "0", "alice", "a.b_c-d", "x".repeat(32).as_str()] {
            assert_eq!(check_user_name(good), Ok(()), "{good:?}");
        }
        let long = "x".repeat(33);
        for (bad, why) in [
            ("", UserNameError::Empty),
            (long.as_str(), UserNameError::TooLong(33)),
            ("Alice", UserNameError::Character('A')),
            ("al ice", UserNameError::Character(' ')),
            ("zoë", UserNameError::Character('ë')),
            ("a/b", UserNameError::Character('/')),
            (".a", UserNameError::Start('.')),
            ("-a", UserNameError::Start('-')),
        ] {
            assert_eq!(check_user_name(bad), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn owned_queues_are_always_durable_and_exclusive_only_where_the_broker_keeps_them() {
        let ours = Ownership::UserExclusive;
        assert!(ours.declare_options().durable && ours.declare_options().exclusive);
        assert!(ours.declare_arguments().contains_key(ARGUMENT_EXCLUSIVE_SCOPE));
        let rabbit = Ownership::Permissions;
        assert!(rabbit.declare_options().durable && !rabbit.declare_options().exclusive);
        assert!(rabbit.declare_arguments().contains_key("x-single-active-consumer"));
        assert!(!rabbit.declare_arguments().contains_key(ARGUMENT_EXCLUSIVE_SCOPE));
    }
}
