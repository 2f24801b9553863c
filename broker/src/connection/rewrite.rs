//! What the broker reads and changes in the properties of a message that is published: CC and BCC, reply-to.

use crate::amqp::{FieldTable, FieldValue, Properties, Property};
use crate::error::AmqpError;
use crate::vhost::PSEUDO_QUEUE;

/// Routing keys beside the message's own, and the properties to go on with if they are not the ones that came.
#[derive(Debug, Default, PartialEq)]
pub struct Rewritten {
    pub more_keys: Vec<Box<str>>,
    pub properties: Option<Vec<u8>>,
    /// There is a BCC header. It stays with the message, for the keys in it count again where the message dies; but
    /// nobody is shown it.
    pub has_blind_copies: bool,
}

/// What is to be done about the properties, if anything. `reply_address` is where the channel awaits direct replies.
#[inline]
pub fn rewrite(
    properties: &Properties<'_>,
    reply_address: Option<&str>,
) -> Result<Option<Box<Rewritten>>, AmqpError> {
    let is_question = properties.has(Property::ReplyTo) && properties.reply_to() == Some(PSEUDO_QUEUE);
    let has_copies = properties.headers_raw().is_some_and(may_have_copies);
    if !is_question && !has_copies {
        return Ok(None);
    }
    let rewritten = rewrite_unusual(properties, reply_address, is_question)?;
    Ok((rewritten != Rewritten::default()).then(|| Box::new(rewritten)))
}

#[cold]
fn rewrite_unusual(
    properties: &Properties<'_>,
    reply_address: Option<&str>,
    is_question: bool,
) -> Result<Rewritten, AmqpError> {
    let mut rewritten = Rewritten::default();
    if is_question {
        let address = reply_address
            .ok_or_else(|| AmqpError::precondition_failed("fast reply consumer does not exist"))?;
        let mut raw = Vec::new();
        properties.encode_with_reply_to(address, &mut raw);
        rewritten.properties = Some(raw);
    }
    if let Some(headers) = properties.headers() {
        copies(&headers, "CC", &mut rewritten.more_keys)?;
        copies(&headers, "BCC", &mut rewritten.more_keys)?;
        rewritten.has_blind_copies = headers.contains("BCC");
    }
    Ok(rewritten)
}

/// What a table with CC or BCC must contain; most messages need no more than this look.
fn may_have_copies(headers: &[u8]) -> bool {
    memchr::memmem::find(headers, b"CC").is_some()
}

fn copies(headers: &FieldTable, name: &str, keys: &mut Vec<Box<str>>) -> Result<(), AmqpError> {
    match headers.get(name) {
        None => Ok(()),
        Some(FieldValue::Array(values)) => {
            keys.extend(values.iter().filter_map(FieldValue::as_str).map(Box::from));
            Ok(())
        }
        Some(other) => Err(AmqpError::precondition_failed(format!(
            "invalid message: {{unacceptable_type_in_header,\"{name}\",{}}}",
            other.type_name()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amqp::BasicProperties;

    fn encoded(properties: BasicProperties) -> Vec<u8> {
        let mut raw = Vec::new();
        properties.encode(&mut raw);
        raw
    }

    fn keys(keys: &[&str]) -> FieldValue {
        FieldValue::Array(keys.iter().copied().map(FieldValue::from).collect())
    }

    fn rewritten(properties: BasicProperties, address: Option<&str>) -> Result<Rewritten, String> {
        let raw = encoded(properties);
        let rewritten = rewrite(&Properties::parse(&raw).unwrap(), address);
        rewritten.map(|rewritten| *rewritten.unwrap_or_default()).map_err(|error| error.text)
    }

    #[test]
    fn most_messages_stay_as_they_are() {
        for properties in [
            BasicProperties::default(),
            BasicProperties { reply_to: Some("q".into()), ..Default::default() },
            BasicProperties { headers: Some([("CCC", "x")].into()), ..Default::default() },
        ] {
            assert_eq!(rewritten(properties, Some("a")), Ok(Rewritten::default()));
        }
    }

    #[test]
    fn copies_are_found() {
        let properties = BasicProperties {
            headers: Some([("CC", keys(&["a", "b"])), ("k", "v".into()), ("BCC", keys(&["c"]))].into()),
            reply_to: Some(PSEUDO_QUEUE.into()),
            app_id: Some("app".into()),
            ..Default::default()
        };
        let rewritten = rewritten(properties, Some("address")).unwrap();
        assert_eq!(rewritten.more_keys, ["a".into(), "b".into(), "c".into()]);
        assert!(rewritten.has_blind_copies);
        let raw = rewritten.properties.unwrap();
        let expected = BasicProperties {
            headers: Some([("CC", keys(&["a", "b"])), ("k", "v".into()), ("BCC", keys(&["c"]))].into()),
            reply_to: Some("address".into()),
            app_id: Some("app".into()),
            ..Default::default()
        };
        assert_eq!(Properties::parse(&raw).unwrap().to_owned(), expected);
    }

    #[test]
    fn mistakes_are_named() {
        let with = |name: &str| BasicProperties {
            headers: Some([(name, FieldValue::from("x"))].into()),
            ..Default::default()
        };
        for name in ["CC", "BCC"] {
            let text = format!("invalid message: {{unacceptable_type_in_header,\"{name}\",longstr}}");
            assert_eq!(rewritten(with(name), None), Err(text));
        }
        let asking = BasicProperties { reply_to: Some(PSEUDO_QUEUE.into()), ..Default::default() };
        assert_eq!(rewritten(asking, None), Err("fast reply consumer does not exist".to_owned()));
    }
}
