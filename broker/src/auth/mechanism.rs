//! SASL mechanisms: what the client's `response` of connection.start-ok says. Pure.

use crate::amqp::{FieldValue, Reader, decode_table, put_long_str};

/// The mechanisms that send a password, as `connection.start` lists them.
pub const PASSWORD_MECHANISMS: &str = "PLAIN AMQPLAIN";

/// The mechanism for who has shown a certificate (RFC 4422, appendix A).
pub const EXTERNAL: &str = "EXTERNAL";

/// Longer user names do not exist: they could not stand in the `user-id` of a message, a short string.
pub const USER_NAME_BYTES_MAX: usize = 255;

/// Who the client says it is. Not checked yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Not empty, at most [`USER_NAME_BYTES_MAX`].
    pub user: String,
    /// Any octets, not empty.
    pub password: Vec<u8>,
}

/// The password never reaches a log.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MechanismError {
    #[error(
        "unknown authentication mechanism '{0}'; this broker offers {PASSWORD_MECHANISMS}, and EXTERNAL with a client certificate"
    )]
    Unknown(String),
    #[error("a PLAIN response is authorization identity, NUL, user, NUL, password; this one has {nuls} NULs")]
    PlainFields { nuls: usize },
    #[error("the authorization identity differs from the user; acting for others is not supported")]
    OtherIdentity,
    #[error("an AMQPLAIN response is a field table without its length: {0}")]
    AmqplainTable(#[from] crate::amqp::DecodeError),
    #[error("an AMQPLAIN response needs a field {0} that is a long string")]
    AmqplainField(&'static str),
    #[error("the user name is not UTF-8")]
    UserNotUtf8,
    #[error("the user name has {0} bytes; it needs 1 to {USER_NAME_BYTES_MAX}")]
    UserLength(usize),
    #[error("the password is empty; a blank password never logs in")]
    NoPassword,
}

/// Reads the response of a mechanism by its name (case matters, as in RFC 4422).
pub fn credentials(mechanism: &str, response: &[u8]) -> Result<Credentials, MechanismError> {
    match mechanism {
        "PLAIN" => plain(response),
        "AMQPLAIN" => amqplain(response),
        _ => Err(MechanismError::Unknown(mechanism.chars().take(32).collect())),
    }
}

/// RFC 4616: `[authzid] NUL authcid NUL passwd`, none of them with a NUL inside.
fn plain(response: &[u8]) -> Result<Credentials, MechanismError> {
    let mut fields = response.split(|&octet| octet == 0);
    let (Some(identity), Some(user), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(MechanismError::PlainFields { nuls: response.iter().filter(|&&o| o == 0).count() });
    };
    if !identity.is_empty() && identity != user {
        return Err(MechanismError::OtherIdentity);
    }
    checked(user, password)
}

/// RabbitMQ's and Qpid's own: the fields LOGIN and PASSWORD of a table whose length is left out.
fn amqplain(response: &[u8]) -> Result<Credentials, MechanismError> {
    let mut table = Vec::with_capacity(response.len() + 4);
    put_long_str(&mut table, response);
    let table = decode_table(&mut Reader::new(&table))?;
    let field = |name| match table.get(name) {
        Some(FieldValue::LongString(octets)) => Ok(octets),
        _ => Err(MechanismError::AmqplainField(name)),
    };
    checked(field("LOGIN")?, field("PASSWORD")?)
}

fn checked(user: &[u8], password: &[u8]) -> Result<Credentials, MechanismError> {
    if user.is_empty() || user.len() > USER_NAME_BYTES_MAX {
        return Err(MechanismError::UserLength(user.len()));
    }
    if password.is_empty() {
        return Err(MechanismError::NoPassword);
    }
    let user = std::str::from_utf8(user).map_err(|_| MechanismError::UserNotUtf8)?;
    Ok(Credentials { user: user.to_owned(), password: password.to_vec() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::amqp::{FieldTable, encode_table};

    fn ok(user: &str, password: &str) -> Result<Credentials, MechanismError> {
        Ok(Credentials { user: user.into(), password: password.into() })
    }

    fn amqplain_response(fields: FieldTable) -> Vec<u8> {
        let mut out = Vec::new();
        encode_table(&fields, &mut out);
        out.split_off(4)
    }

    #[test]
    fn plain_yields_user_and_password() {
        assert_eq!(credentials("PLAIN", b"\0alice\0secret"), ok("alice", "secret"));
        assert_eq!(credentials("PLAIN", b"alice\0alice\0secret"), ok("alice", "secret"));
        assert_eq!(credentials("PLAIN", "\0zoë\0pässword".as_bytes()), ok("zoë", "pässword"));
        let any = credentials("PLAIN", b"\0alice\0\xff\xfe").unwrap();
        assert_eq!(any.password, b"\xff\xfe");
    }

    #[test]
    fn plain_names_what_is_wrong() {
        use MechanismError::*;
        let long = [b"\0".as_slice(), &[b'a'; 256], b"\0secret"].concat();
        for (response, error) in [
            (b"".as_slice(), PlainFields { nuls: 0 }),
            (b"alice", PlainFields { nuls: 0 }),
            (b"alice\0secret", PlainFields { nuls: 1 }),
            (b"\0alice\0sec\0ret", PlainFields { nuls: 3 }),
            (b"\0alice\0secret\0", PlainFields { nuls: 3 }),
            (b"bob\0alice\0secret", OtherIdentity),
            (b"\0\0secret", UserLength(0)),
            (&long, UserLength(256)),
            (b"\0alice\0", NoPassword),
            (b"\0\xff\0secret", UserNotUtf8),
        ] {
            assert_eq!(credentials("PLAIN", response), Err(error), "{}", response.escape_ascii());
        }
        let longest = [b"\0".as_slice(), &[b'a'; 255], b"\0secret"].concat();
        assert!(credentials("PLAIN", &longest).is_ok());
    }

    #[test]
    fn amqplain_yields_user_and_password() {
        // As pika sends it, octet by octet.
        let response = b"\x05LOGINS\x00\x00\x00\x05guest\x08PASSWORDS\x00\x00\x00\x05guest";
        assert_eq!(credentials("AMQPLAIN", response), ok("guest", "guest"));
        let reversed = amqplain_response([("extra", "x"), ("PASSWORD", "secret"), ("LOGIN", "alice")].into());
        assert_eq!(credentials("AMQPLAIN", &reversed), ok("alice", "secret"));
    }

    #[test]
    fn amqplain_names_what_is_wrong() {
        use MechanismError::*;
        let number: FieldTable = [("LOGIN", 5i32)].into();
        for (response, error) in [
            (vec![], AmqplainField("LOGIN")),
            (amqplain_response([("LOGIN", "alice")].into()), AmqplainField("PASSWORD")),
            (amqplain_response([("login", "alice"), ("password", "x")].into()), AmqplainField("LOGIN")),
            (amqplain_response(number), AmqplainField("LOGIN")),
            (amqplain_response([("LOGIN", "alice"), ("PASSWORD", "")].into()), NoPassword),
            (b"\x05LOGINS\x00\x00\x00\x09gu".to_vec(), AmqplainTable(crate::amqp::DecodeError::Truncated)),
        ] {
            assert_eq!(credentials("AMQPLAIN", &response), Err(error));
        }
    }

    #[test]
    fn other_mechanisms_are_unknown() {
        for mechanism in ["EXTERNAL", "plain", "", "RABBIT-CR-DEMO"] {
            assert_eq!(credentials(mechanism, b"\0a\0b"), Err(MechanismError::Unknown(mechanism.into())));
        }
        let Err(error) = credentials(&"é".repeat(10_000), b"") else { panic!() };
        assert!(error.to_string().len() < 200, "a reply text must stay short");
    }

    #[test]
    fn a_password_does_not_reach_a_log() {
        let credentials = credentials("PLAIN", b"\0alice\0hunter22").unwrap();
        assert!(!format!("{credentials:?}").contains("hunter22"));
    }

    proptest! {
        #[test]
        fn no_response_panics(response: Vec<u8>) {
            let _ = credentials("PLAIN", &response);
            let _ = credentials("AMQPLAIN", &response);
        }

        #[test]
        fn both_mechanisms_agree(user in "[^\0]{1,60}", password in "[^\0]{1,60}") {
            let plain = [b"\0", user.as_bytes(), b"\0", password.as_bytes()].concat();
            let amqplain = amqplain_response([("LOGIN", &*user), ("PASSWORD", &*password)].into());
            prop_assert_eq!(credentials("PLAIN", &plain), ok(&user, &password));
            prop_assert_eq!(credentials("AMQPLAIN", &amqplain), ok(&user, &password));
        }
    }
}
