//! The `[auth]` section of the configuration.

use serde::{Deserialize, Serialize};

use super::password::Cost;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthOptions {
    /// Users that may log in only from this machine.
    pub loopback_users: Vec<String>,
    /// Password checks that run at once; each takes 19 MiB for tens of milliseconds. 0: one per processor.
    pub password_checks_at_once_max: usize,
    /// Whose password may travel unencrypted.
    pub plain_without_tls: PlainWithoutTls,
    pub sign_up: SignUpOptions,
    /// Not in the file: weak hashes would be nobody's wish but a test's.
    #[serde(skip)]
    pub password_cost: Cost,
    /// A new data folder gets no `guest`: a file of definitions says who there is.
    #[serde(skip)]
    pub starts_empty: bool,
}

impl Default for AuthOptions {
    fn default() -> AuthOptions {
        AuthOptions {
            loopback_users: vec!["guest".into()],
            password_checks_at_once_max: 0,
            plain_without_tls: PlainWithoutTls::Loopback,
            sign_up: SignUpOptions::default(),
            password_cost: Cost::default(),
            starts_empty: false,
        }
    }
}

/// Whether and how people may make an account of their own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SignUpOptions {
    pub mode: SignUpMode,
    /// Whom `mode = "open"` is open for; others then need a token, if there are any.
    pub open_for: OpenFor,
    /// Invite tokens, good for any number of accounts: the token itself, or `sha256:` and the 64 hexadecimal digits
    /// of its hash.
    pub tokens: Vec<String>,
    /// Attempts from one address (an IPv6 /64); 0: no limit.
    pub per_hour_max: u32,
    pub profile: Profile,
}

/// A token lets anyone in: it never reaches a log.
impl std::fmt::Debug for SignUpOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignUpOptions")
            .field("mode", &self.mode)
            .field("open_for", &self.open_for)
            .field("tokens", &format_args!("{} hidden", self.tokens.len()))
            .field("per_hour_max", &self.per_hour_max)
            .field("profile", &self.profile)
            .finish()
    }
}

impl Default for SignUpOptions {
    fn default() -> SignUpOptions {
        SignUpOptions {
            mode: SignUpMode::Open,
            open_for: OpenFor::Loopback,
            tokens: Vec::new(),
            per_hour_max: 100,
            profile: Profile::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignUpMode {
    Closed,
    Invite,
    Open,
}

/// Where logins with a password are taken from without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlainWithoutTls {
    Loopback,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpenFor {
    Loopback,
    All,
}

/// The permissions of a user that signed up, in vhost `/`: regular expressions.
///
/// The default is for chat users: their own queues by prefix, publishing to the `friends` exchange, and to friends'
/// queues by name. It lets nobody bind: that needs write permission on the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    pub configure: String,
    pub write: String,
    pub read: String,
    /// The routing keys that may be published with on the default exchange.
    pub publish_keys: String,
}

impl Default for Profile {
    fn default() -> Profile {
        Profile {
            configure: r"^(inbox|friend|reply)\.".into(),
            write: r"^(friends|amq\.default)$".into(),
            read: r"^(inbox|friend|reply)\.".into(),
            publish_keys: r"^friend\.".into(),
        }
    }
}
