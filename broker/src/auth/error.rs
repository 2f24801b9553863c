//! Why somebody was not let in, for the log and for the peer.

use std::time::Duration;

use super::certificate::CertificateError;
use super::mechanism::MechanismError;
use super::password::PasswordError;
use super::permission::PatternError;
use super::sign_up::{SignUpError, TokenError};
use crate::definitions::DefinitionsError;

/// A login that did not succeed. `Display` is for the log; the peer is told [`AuthError::for_peer`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthError {
    #[error("login of user '{user}' refused: {reason}")]
    Refused { user: String, reason: RefusedReason },
    #[error("login of user '{user}' refused: too many failures from its address; next try in {}", seconds(*retry_after))]
    Throttled { user: String, retry_after: Duration },
    #[error("unknown authentication mechanism '{mechanism}'")]
    UnknownMechanism { mechanism: String },
    #[error("malformed login: {0}")]
    Malformed(MechanismError),
    #[error("login by certificate refused: {0}")]
    Certificate(#[from] CertificateError),
    #[error("sign-up refused: {0}")]
    SignUp(#[from] SignUpError),
    #[error("a login could not be decided: {0}")]
    Password(#[from] PasswordError),
}

/// Never told to the peer, who could learn from it which users exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedReason {
    #[error("there is no such user")]
    NoSuchUser,
    #[error("the password is wrong")]
    WrongPassword,
    #[error("the user has no password")]
    NoPassword,
    #[error("the user may log in only from this machine (auth.loopback_users)")]
    NotLoopback,
}

impl AuthError {
    /// The reply text, without `ACCESS_REFUSED - `. What RabbitMQ says, but for what the person has to know.
    pub fn for_peer(&self, mechanism: &str) -> String {
        match self {
            AuthError::Refused { .. } | AuthError::Password(_) => {
                let mechanism: String = mechanism.chars().take(32).collect();
                format!(
                    "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
                )
            }
            AuthError::Throttled { retry_after, .. } => {
                format!("too many failed logins from your address; try again in {}", seconds(*retry_after))
            }
            AuthError::UnknownMechanism { mechanism } => {
                MechanismError::Unknown(mechanism.clone()).to_string()
            }
            AuthError::Malformed(e) => e.to_string(),
            AuthError::Certificate(e) => e.to_string(),
            AuthError::SignUp(SignUpError::NotStored(_)) => {
                "the account could not be stored; the operator finds the reason in the broker's log".into()
            }
            AuthError::SignUp(e) => e.to_string(),
        }
    }
}

impl From<MechanismError> for AuthError {
    fn from(error: MechanismError) -> AuthError {
        match error {
            MechanismError::Unknown(mechanism) => AuthError::UnknownMechanism { mechanism },
            error => AuthError::Malformed(error),
        }
    }
}

/// A change of users or permissions that was not made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UserError {
    #[error("there is no user '{0}'")]
    NoSuchUser(String),
    #[error("user '{0}' exists already")]
    Exists(String),
    #[error("a user name has 1 to {max} bytes and no control characters", max = super::mechanism::USER_NAME_BYTES_MAX)]
    BadName,
    #[error("a password must not be empty")]
    EmptyPassword,
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Definitions(#[from] DefinitionsError),
}

/// Why the users could not be loaded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    #[error("auth.sign_up.profile: {0}")]
    Profile(#[from] PatternError),
    #[error("auth.sign_up.tokens: {0}")]
    Token(#[from] TokenError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Definitions(#[from] DefinitionsError),
}

/// Whole seconds, rounded up, for people.
pub(super) fn seconds(duration: Duration) -> String {
    let secs = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    match secs {
        0 | 1 => "1 second".into(),
        2..=120 => format!("{secs} seconds"),
        _ => format!("{} minutes", secs.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_does_not_say_why() {
        for reason in [
            RefusedReason::NoSuchUser,
            RefusedReason::WrongPassword,
            RefusedReason::NoPassword,
            RefusedReason::NotLoopback,
        ] {
            let error = AuthError::Refused { user: "alice".into(), reason };
            assert_eq!(
                error.for_peer("PLAIN"),
                "Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
            );
            assert!(error.to_string().contains(&reason.to_string()));
        }
    }

    #[test]
    fn durations_are_rounded_up() {
        for (millis, text) in [
            (0, "1 second"),
            (900, "1 second"),
            (1001, "2 seconds"),
            (120_000, "120 seconds"),
            (120_001, "3 minutes"),
            (3_600_000, "60 minutes"),
        ] {
            assert_eq!(seconds(Duration::from_millis(millis)), text);
        }
    }
}
