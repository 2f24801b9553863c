//! Messages that wait as long as their `x-delay` says, and what they are afterwards. Pure.

use crate::amqp::{Properties, TableView};
use crate::message::{Facts, Message};

use super::death::all_copies;

const X_DELAY: &str = "x-delay";

/// Milliseconds that a message is to wait: a number above 0 in `x-delay`.
pub fn delay_ms(headers: &TableView<'_>) -> Option<u64> {
    let delay = headers.get(X_DELAY)?.as_i64()?;
    u64::try_from(delay).ok().filter(|&delay| delay > 0)
}

/// The same from a property list that was checked before.
pub fn delay_of_properties(properties: &[u8]) -> Option<u64> {
    delay_ms(&Properties::view_headers(properties)?)
}

/// A message that has waited.
pub struct Released {
    /// As it was published, but for the delay.
    pub message: Message,
    /// Routing keys beside its own: those of its CC and BCC headers.
    pub more_keys: Vec<Box<str>>,
    /// Its time to live, which begins now.
    pub expiration_ms: Option<u64>,
}

/// Ends the wait of a message whose body is in memory.
pub fn release(message: &Message) -> Released {
    // A message is checked when it is published, so that there are properties to read.
    let properties = Properties::parse(message.properties()).ok();
    let mut headers = properties.as_ref().and_then(Properties::headers).unwrap_or_default();
    headers.remove(X_DELAY);
    let mut encoded = Vec::new();
    match &properties {
        Some(properties) => properties.encode_with_headers(&headers, true, &mut encoded),
        None => encoded.extend_from_slice(message.properties()),
    }
    let expiration = properties.as_ref().and_then(Properties::expiration);
    let facts = Facts {
        persistent: message.is_persistent(),
        has_blind_copies: message.has_blind_copies(),
        publisher: message.publisher,
    };
    let released =
        Message::with_facts(message.exchange(), message.routing_key(), &encoded, message.body(), facts);
    Released {
        message: released,
        more_keys: all_copies(&headers),
        expiration_ms: expiration.and_then(|text| text.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amqp::{BasicProperties, FieldTable, FieldValue};

    #[test]
    fn delays() {
        let delay = |value: FieldValue| delay_ms(&(&FieldTable::from([(X_DELAY, value)])).into());
        assert_eq!(delay(FieldValue::I32(5)), Some(5));
        assert_eq!(delay(FieldValue::I64(1 << 40)), Some(1 << 40));
        for none in [FieldValue::I32(0), FieldValue::I32(-5), "5".into()] {
            assert_eq!(delay(none), None);
        }
        assert_eq!(delay_of_properties(&[0, 0]), None);
    }

    #[test]
    fn what_has_waited_is_as_it_was_but_for_the_delay() {
        let mut raw = Vec::new();
        let cc = FieldValue::Array(vec!["c".into()]);
        BasicProperties {
            headers: Some([(X_DELAY, FieldValue::I32(5)), ("CC", cc.clone()), ("k", "v".into())].into()),
            expiration: Some("60".into()),
            app_id: Some("app".into()),
            ..Default::default()
        }
        .encode(&mut raw);
        let released = release(&Message::new("x", "key", &raw, b"body", true));
        let message = &released.message;
        assert_eq!((message.exchange(), message.routing_key(), message.body()), ("x", "key", &b"body"[..]));
        assert!(message.is_persistent());
        let properties = Properties::parse(message.properties()).unwrap().to_owned();
        assert_eq!(properties.headers, Some([("CC", cc), ("k", "v".into())].into()));
        assert_eq!(
            (properties.expiration.as_deref(), properties.app_id.as_deref()),
            (Some("60"), Some("app"))
        );
        assert_eq!(released.more_keys, ["c".into()]);
        assert_eq!(released.expiration_ms, Some(60));
    }
}
