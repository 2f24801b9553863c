//! Sign-up: what the client asks for, and the rules for it. Pure.

use std::net::IpAddr;
use std::time::Duration;

use hmac::digest::CtOutput;
use sha2::{Digest, Sha256};

use super::error::seconds;
use super::options::{OpenFor, SignUpMode, SignUpOptions};
use crate::amqp::{FieldTable, FieldValue};
use crate::definitions::DefinitionsError;

/// The client property that asks for a new account.
pub const CLIENT_PROPERTY: &str = "warren.sign_up";

pub const NAME_CHARS_MAX: usize = 32;
pub const PASSWORD_CHARS_MIN: usize = 8;

/// A wish for a new account.
#[derive(Clone, PartialEq, Eq)]
pub enum SignUp {
    Open,
    Invite(Vec<u8>),
}

/// A token lets anyone in: it never reaches a log.
impl std::fmt::Debug for SignUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SignUp::Open => "Open",
            SignUp::Invite(_) => "Invite(..)",
        })
    }
}

impl SignUp {
    /// Reads `warren.sign_up` from the client properties: `true` (the boolean or the word), or an invite token as a long
    /// string. Absent or
    /// `false`: an ordinary login.
    pub fn from_client_properties(properties: &FieldTable) -> Result<Option<SignUp>, SignUpError> {
        match properties.get(CLIENT_PROPERTY) {
            None | Some(FieldValue::Void | FieldValue::Boolean(false)) => Ok(None),
            Some(FieldValue::Boolean(true)) => Ok(Some(SignUp::Open)),
            // Some client libraries can only put strings into client-properties.
            Some(FieldValue::LongString(text)) if &**text == b"true" => Ok(Some(SignUp::Open)),
            Some(FieldValue::LongString(token)) => Ok(Some(SignUp::Invite(token.to_vec()))),
            Some(other) => Err(SignUpError::Malformed { found: other.type_name() }),
        }
    }
}

/// Why there is no new account. Each text is for the person who asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SignUpError {
    #[error("the name '{name}' is taken; choose another, or log in without signing up if it is yours")]
    NameTaken { name: String },
    #[error("sign-up is closed here; ask the operator of this broker for an account")]
    Closed,
    #[error("sign-up here needs an invite token; ask the operator of this broker for one")]
    TokenNeeded,
    #[error("this invite token is not valid; check that it was copied whole, or ask for a new one")]
    BadToken,
    #[error(
        "the name '{name}' cannot be used: {reason}. A name has 1 to {NAME_CHARS_MAX} characters out of a-z, 0-9, '.', '_' and '-', and starts with a letter or digit"
    )]
    BadName { name: String, reason: &'static str },
    #[error("the password is too short: it needs at least {PASSWORD_CHARS_MIN} characters")]
    WeakPassword,
    #[error("the password must not be the name")]
    PasswordIsName,
    #[error("too many sign-ups from your address; try again in {}", seconds(*retry_after))]
    TooMany { retry_after: Duration },
    #[error(
        "the client property {CLIENT_PROPERTY} must be a boolean or an invite token (long string), not a {found}"
    )]
    Malformed { found: &'static str },
    #[error("the account could not be stored: {0}")]
    NotStored(#[from] DefinitionsError),
}

/// The configured rules.
pub struct SignUpRules {
    mode: SignUpMode,
    open_for: OpenFor,
    tokens: Vec<CtOutput<Sha256>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("an invite token is empty")]
    Empty,
    #[error(
        "the invite token '{0}' is not 'sha256:' and 64 hexadecimal digits; write the output of: printf %s TOKEN | sha256sum"
    )]
    BadHash(String),
}

impl SignUpRules {
    pub fn new(options: &SignUpOptions) -> Result<SignUpRules, TokenError> {
        let tokens = options.tokens.iter().map(|token| token_hash(token)).collect::<Result<_, _>>()?;
        Ok(SignUpRules { mode: options.mode, open_for: options.open_for, tokens })
    }

    /// Whether this peer may sign up at all.
    pub fn admit(&self, wish: &SignUp, peer: IpAddr) -> Result<(), SignUpError> {
        let is_open = self.mode == SignUpMode::Open
            && (self.open_for == OpenFor::All || peer.to_canonical().is_loopback());
        match (self.mode, wish) {
            _ if is_open => Ok(()),
            (SignUpMode::Closed, _) => Err(SignUpError::Closed),
            (SignUpMode::Open, _) if self.tokens.is_empty() => Err(SignUpError::Closed),
            (_, SignUp::Open) => Err(SignUpError::TokenNeeded),
            (_, SignUp::Invite(token)) => self.check_token(token),
        }
    }

    /// Looks at every token, and at all of each, so that the time says nothing.
    fn check_token(&self, token: &[u8]) -> Result<(), SignUpError> {
        let given = CtOutput::new(Sha256::digest(token));
        let known = self.tokens.iter().fold(false, |known, token| known | (*token == given));
        if known { Ok(()) } else { Err(SignUpError::BadToken) }
    }
}

fn token_hash(token: &str) -> Result<CtOutput<Sha256>, TokenError> {
    if token.is_empty() {
        return Err(TokenError::Empty);
    }
    let Some(digits) = token.strip_prefix("sha256:") else {
        return Ok(CtOutput::new(Sha256::digest(token)));
    };
    let hash = parse_hex(digits).ok_or_else(|| TokenError::BadHash(token.to_owned()))?;
    Ok(CtOutput::new(hash.into()))
}

fn parse_hex(digits: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = digits.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        *byte = (nibble(pair[0])? << 4 | nibble(pair[1])?) as u8;
    }
    Some(bytes)
}

/// The rule for names people choose: so narrow that no two look alike, and that one fits into queue names, file
/// names and a terminal.
pub fn check_name(name: &str) -> Result<(), SignUpError> {
    match name_problem(name) {
        None => Ok(()),
        Some(reason) => {
            Err(SignUpError::BadName { name: name.chars().take(NAME_CHARS_MAX).collect(), reason })
        }
    }
}

fn name_problem(name: &str) -> Option<&'static str> {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.chars().any(|c| c.is_ascii_uppercase()) {
        return Some("it has upper-case letters");
    }
    if !name.chars().all(|c| is_alphanumeric(c) || "._-".contains(c)) {
        return Some("it has other characters");
    }
    if name.len() > NAME_CHARS_MAX {
        return Some("it is too long");
    }
    if !name.starts_with(is_alphanumeric) {
        return Some("it starts with neither a letter nor a digit");
    }
    if name == "guest" || name.starts_with("amq") {
        return Some("it is reserved");
    }
    None
}

pub fn check_password(name: &str, password: &[u8]) -> Result<(), SignUpError> {
    // Octets that are no text count one each.
    let chars = std::str::from_utf8(password).map_or(password.len(), |text| text.chars().count());
    if chars < PASSWORD_CHARS_MIN {
        return Err(SignUpError::WeakPassword);
    }
    if password == name.as_bytes() {
        return Err(SignUpError::PasswordIsName);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: &str = "127.0.0.1";
    const FAR: &str = "192.0.2.7";
    /// printf %s let-me-in | sha256sum
    const HASHED: &str = "sha256:a3ee786b5707c27d42570785081ec17f5c7db9262a01366af362a1aa61a420b9";

    fn admit(mode: SignUpMode, open_for: OpenFor, tokens: &[&str], wish: SignUp, peer: &str) -> String {
        let tokens = tokens.iter().map(|token| token.to_string()).collect();
        let options = SignUpOptions { mode, open_for, tokens, ..SignUpOptions::default() };
        match SignUpRules::new(&options).unwrap().admit(&wish, peer.parse().unwrap()) {
            Ok(()) => "ok".into(),
            Err(e) => format!("{e:?}"),
        }
    }

    #[test]
    fn the_modes_admit_whom_they_say() {
        use OpenFor::*;
        use SignUpMode::*;
        let open = || SignUp::Open;
        let good = || SignUp::Invite(b"let-me-in".to_vec());
        let bad = || SignUp::Invite(b"let-me-on".to_vec());
        let tokens = ["other", "let-me-in"];
        for (mode, open_for, tokens, wish, peer, expected) in [
            (Closed, All, tokens.as_slice(), good(), NEAR, "Closed"),
            (Closed, All, &tokens, open(), NEAR, "Closed"),
            (Invite, All, &tokens, open(), NEAR, "TokenNeeded"),
            (Invite, All, &tokens, bad(), NEAR, "BadToken"),
            (Invite, Loopback, &tokens, good(), FAR, "ok"),
            (Invite, Loopback, &tokens, good(), NEAR, "ok"),
            (Invite, All, &[], good(), NEAR, "BadToken"),
            (Open, Loopback, &[], open(), NEAR, "ok"),
            (Open, Loopback, &[], open(), "127.8.9.1", "ok"),
            (Open, Loopback, &[], open(), "::1", "ok"),
            (Open, Loopback, &[], open(), "::ffff:127.0.0.1", "ok"),
            (Open, Loopback, &[], open(), FAR, "Closed"),
            (Open, Loopback, &[], open(), "::ffff:192.0.2.7", "Closed"),
            (Open, Loopback, &[], good(), FAR, "Closed"),
            (Open, Loopback, &tokens, open(), FAR, "TokenNeeded"),
            (Open, Loopback, &tokens, good(), FAR, "ok"),
            (Open, Loopback, &tokens, bad(), FAR, "BadToken"),
            (Open, Loopback, &tokens, bad(), NEAR, "ok"),
            (Open, All, &[], open(), FAR, "ok"),
        ] {
            let case = format!("{mode:?} {open_for:?} {tokens:?} {wish:?} {peer}");
            assert_eq!(admit(mode, open_for, tokens, wish, peer), expected, "{case}");
        }
    }

    #[test]
    fn a_token_may_be_given_as_its_hash() {
        let upper = HASHED.to_uppercase().replace("SHA", "sha");
        for token in [HASHED, &upper] {
            let wish = SignUp::Invite(b"let-me-in".to_vec());
            assert_eq!(admit(SignUpMode::Invite, OpenFor::All, &[token], wish, FAR), "ok");
            // Whoever reads the configuration does not learn the token.
            let wish = SignUp::Invite(token.into());
            assert_eq!(admit(SignUpMode::Invite, OpenFor::All, &[token], wish, FAR), "BadToken");
        }
    }

    #[test]
    fn unreadable_tokens_are_refused_at_the_start() {
        let rules = |token: &str| {
            let options = SignUpOptions { tokens: vec![token.into()], ..SignUpOptions::default() };
            SignUpRules::new(&options).map(|_| ())
        };
        assert_eq!(rules(""), Err(TokenError::Empty));
        let digits = "0123456789abcdef".repeat(4);
        assert_eq!(rules(&format!("sha256:{digits}")), Ok(()));
        for bad in
            [format!("sha256:{digits}0"), "sha256:".into(), format!("sha256:{}", digits.replace('0', "g"))]
        {
            assert_eq!(rules(&bad), Err(TokenError::BadHash(bad.clone())));
        }
        assert_eq!(rules(HASHED), Ok(()));
    }

    #[test]
    fn names_people_may_choose() {
        for good in ["a", "7", "alice", "a.b_c-d", "0x", "guest2", "am", &"a".repeat(32)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for (bad, reason) in [
            ("", "it is empty"),
            ("Alice", "it has upper-case letters"),
            ("zoë", "it has other characters"),
            ("a b", "it has other characters"),
            ("a/b", "it has other characters"),
            ("a\n", "it has other characters"),
            ("аlice", "it has other characters"), // A Cyrillic а.
            (".alice", "it starts with neither a letter nor a digit"),
            ("-rf", "it starts with neither a letter nor a digit"),
            ("_", "it starts with neither a letter nor a digit"),
            ("guest", "it is reserved"),
            ("amq", "it is reserved"),
            ("amq.gen", "it is reserved"),
        ] {
            let Err(SignUpError::BadName { reason: found, .. }) = check_name(bad) else {
                panic!("'{bad}' was accepted")
            };
            assert_eq!(found, reason, "{bad}");
        }
        let Err(error) = check_name(&"a".repeat(300)) else { panic!() };
        assert!(error.to_string().contains("it is too long") && error.to_string().len() < 255);
    }

    #[test]
    fn passwords_need_eight_characters() {
        for good in ["12345678", "pässwör", "correct horse battery staple"] {
            let enough = good.chars().count() >= 8;
            assert_eq!(check_password("alice", good.as_bytes()).is_ok(), enough, "{good}");
        }
        assert!(matches!(check_password("alice", b""), Err(SignUpError::WeakPassword)));
        assert!(matches!(check_password("alicealice", b"alicealice"), Err(SignUpError::PasswordIsName)));
        assert!(check_password("alice", &[0xff; 8]).is_ok());
        assert!(check_password("alice", &[0xff; 7]).is_err());
    }

    #[test]
    fn the_client_property_is_a_boolean_or_a_token() {
        let read =
            |value: FieldValue| SignUp::from_client_properties(&FieldTable::from([(CLIENT_PROPERTY, value)]));
        assert_eq!(SignUp::from_client_properties(&FieldTable::default()).unwrap(), None);
        assert_eq!(read(false.into()).unwrap(), None);
        assert_eq!(read(true.into()).unwrap(), Some(SignUp::Open));
        assert_eq!(read("true".into()).unwrap(), Some(SignUp::Open));
        assert_eq!(read("token".into()).unwrap(), Some(SignUp::Invite(b"token".to_vec())));
        assert!(matches!(read(1i32.into()), Err(SignUpError::Malformed { found: "signedint" })));
    }

    #[test]
    fn a_token_does_not_reach_a_log() {
        assert_eq!(format!("{:?}", SignUp::Invite(b"secret".to_vec())), "Invite(..)");
        let options = SignUpOptions { tokens: vec!["secret".into()], ..SignUpOptions::default() };
        assert!(!format!("{options:?}").contains("secret"));
    }

    #[test]
    fn every_text_fits_a_reply() {
        let name = "a".repeat(NAME_CHARS_MAX);
        for error in [
            SignUpError::NameTaken { name: name.clone() },
            SignUpError::Closed,
            SignUpError::TokenNeeded,
            SignUpError::BadToken,
            SignUpError::BadName { name, reason: "it starts with neither a letter nor a digit" },
            SignUpError::WeakPassword,
            SignUpError::PasswordIsName,
            SignUpError::TooMany { retry_after: Duration::from_secs(3599) },
            SignUpError::Malformed { found: "unsignedshort" },
        ] {
            let text = format!("ACCESS_REFUSED - {error}");
            assert!(text.len() <= 255, "{} bytes: {text}", text.len());
        }
    }
}
