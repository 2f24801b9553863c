//! What can be wrong with the properties of a message that is published.

use crate::amqp::{Properties, Property, ReplyCode};
use crate::error::AmqpError;
use crate::queue::MILLISECONDS_MAX;

use super::content::Content;
use super::context::Context;
use super::rewrite::{Rewritten, rewrite};

/// The two delivery modes (AMQP 0-9-1 §1.8.1).
const TRANSIENT: u8 = 1;
const PERSISTENT: u8 = 2;

/// Longer lists of properties are likely to be different each time.
const FAMILIAR_BYTES_MAX: usize = 256;

/// Properties that were in order and meant nothing unusual: those of the message before. Most publishers send the same
/// again and again.
#[derive(Default)]
pub struct Familiar {
    raw: Vec<u8>,
    persistent: bool,
    expiration_ms: Option<u64>,
}

impl Familiar {
    #[inline]
    fn checked(&self, raw: &[u8]) -> Option<Checked> {
        // No list is as empty as one that was never kept.
        let is_same = !raw.is_empty() && *raw == *self.raw;
        let known =
            Checked { persistent: self.persistent, expiration_ms: self.expiration_ms, rewritten: None };
        is_same.then_some(known)
    }

    fn keep(&mut self, raw: &[u8], checked: &Checked) {
        self.raw.clear();
        if raw.len() <= FAMILIAR_BYTES_MAX {
            self.raw.extend_from_slice(raw);
            (self.persistent, self.expiration_ms) = (checked.persistent, checked.expiration_ms);
        }
    }
}

#[derive(Default)]
pub struct Checked {
    pub persistent: bool,
    pub expiration_ms: Option<u64>,
    /// What is unusual about the properties; boxed, for it hardly ever is there and every message is moved with it.
    pub rewritten: Option<Box<Rewritten>>,
}

impl Checked {
    /// Those to go on with.
    pub fn properties<'c>(&'c self, content: &'c Content) -> &'c [u8] {
        let other = self.rewritten.as_ref().and_then(|rewritten| rewritten.properties.as_deref());
        other.unwrap_or(content.properties())
    }
}

#[inline]
pub fn check_properties(
    cx: &mut Context,
    reply_address: Option<&str>,
    raw: &[u8],
) -> Result<Checked, AmqpError> {
    if raw == [0, 0] {
        return Ok(Checked::default());
    }
    if let Some(checked) = cx.familiar.checked(raw) {
        return Ok(checked);
    }
    let properties = Properties::parse(raw).map_err(|error| {
        AmqpError::connection(ReplyCode::SyntaxError, format!("cannot decode message properties: {error}"))
    })?;
    if let Some(user_id) = properties.user_id()
        && user_id != cx.user.name()
        && !cx.is_impersonator()
    {
        return Err(AmqpError::precondition_failed(format!(
            "user_id property set to '{user_id}' but authenticated user was '{}'",
            cx.user.name()
        )));
    }
    let expiration_ms = if properties.has(Property::Expiration) {
        Some(parse_expiration(properties.expiration().unwrap_or_default())?)
    } else {
        None
    };
    let persistent = match properties.delivery_mode() {
        None | Some(TRANSIENT) => false,
        Some(PERSISTENT) => true,
        Some(other) => {
            return Err(AmqpError::precondition_failed(format!(
                "invalid message: {{delivery_mode_unknown,{other}}}"
            )));
        }
    };
    let rewritten = rewrite(&properties, reply_address)?;
    let checked = Checked { persistent, expiration_ms, rewritten };
    // Who may say to be somebody else may not for ever.
    if checked.rewritten.is_none() && !properties.has(Property::UserId) {
        cx.familiar.keep(raw, &checked);
    }
    Ok(checked)
}

/// Milliseconds in decimal digits.
fn parse_expiration(text: &str) -> Result<u64, AmqpError> {
    let invalid = |why: String| AmqpError::precondition_failed(format!("invalid expiration '{text}': {why}"));
    let digits_at = usize::from(text.starts_with(['-', '+']));
    let digits = text[digits_at..].bytes().take_while(u8::is_ascii_digit).count();
    let (number, left_over) = text.split_at(digits_at + digits);
    if digits > 0 && !left_over.is_empty() {
        return Err(invalid(format!("{{leftover_string,\"{left_over}\"}}")));
    }
    if digits == 0 {
        return Err(invalid("no_integer".to_owned()));
    }
    if number.starts_with('-') && number.bytes().any(|digit| (b'1'..=b'9').contains(&digit)) {
        return Err(invalid(format!("{{value_negative,{number}}}")));
    }
    match number[digits_at..].parse() {
        Ok(milliseconds) if milliseconds <= MILLISECONDS_MAX => Ok(milliseconds),
        _ => Err(invalid(format!("{{value_too_large,{}}}", &number[digits_at..]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_order_is_known_again() {
        let of_one = Checked { persistent: true, expiration_ms: Some(7), rewritten: None };
        let mut familiar = Familiar::default();
        assert!(familiar.checked(b"").is_none());
        familiar.keep(b"one", &of_one);
        let known = familiar.checked(b"one").unwrap();
        assert_eq!((known.persistent, known.expiration_ms), (true, Some(7)));
        assert!(familiar.checked(b"two").is_none() && familiar.checked(b"").is_none());
        familiar.keep(&[0; FAMILIAR_BYTES_MAX + 1], &of_one);
        assert!(
            [&b""[..], b"one", &[0; FAMILIAR_BYTES_MAX + 1]]
                .iter()
                .all(|raw| familiar.checked(raw).is_none())
        );
    }

    #[test]
    fn expiration_is_a_number_of_milliseconds() {
        assert_eq!(parse_expiration("0"), Ok(0));
        assert_eq!(parse_expiration("60000"), Ok(60000));
        assert_eq!(parse_expiration("abc").unwrap_err().text, "invalid expiration 'abc': no_integer");
        assert_eq!(
            parse_expiration("12.5").unwrap_err().text,
            "invalid expiration '12.5': {leftover_string,\".5\"}"
        );
        assert_eq!(parse_expiration("-0"), Ok(0));
        assert_eq!(parse_expiration("315360000000"), Ok(315_360_000_000));
        for too_much in ["315360000001", "99999999999999999999999999999999999999999"] {
            assert_eq!(
                parse_expiration(too_much).unwrap_err().text,
                format!("invalid expiration '{too_much}': {{value_too_large,{too_much}}}")
            );
        }
        assert_eq!(parse_expiration("").unwrap_err().text, "invalid expiration '': no_integer");
        assert_eq!(parse_expiration("-1").unwrap_err().text, "invalid expiration '-1': {value_negative,-1}");
    }
}
