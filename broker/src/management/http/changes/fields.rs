//! What a request's body says. Pure.

use serde_json::{Map, Value};

use crate::management::transfer::{Entry, Findings};

use super::{Refusal, bad_request};

/// They travel as short strings.
pub const NAME_BYTES_MAX: usize = 255;

/// No body at all is an empty object.
pub fn object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(bad_request("not_json: the body has to be a JSON object")),
        Err(error) => Err(bad_request(format!("not_json: {error}"))),
    }
}

/// Reads an object, or says all that is wrong with it.
pub fn read<T>(
    object: &Map<String, Value>,
    read: impl FnOnce(&Entry<'_>) -> Option<T>,
) -> Result<T, Refusal> {
    let findings = Findings::default();
    let value = read(&Entry::alone("the body", object, &findings));
    let wrong = findings.wrong.into_inner();
    match value {
        Some(value) if wrong.is_empty() => Ok(value),
        _ => Err(bad_request(wrong.join("; "))),
    }
}

/// rabbitmqadmin sends everything as text.
pub fn flag(entry: &Entry<'_>, key: &'static str) -> Option<bool> {
    match entry.get(key).and_then(Value::as_str) {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => entry.flag_or(key, false),
    }
}

/// As [`flag`].
pub fn number_or(entry: &Entry<'_>, key: &'static str, missing: i64) -> Option<i64> {
    match entry.get(key).and_then(Value::as_str).and_then(|text| text.parse().ok()) {
        Some(number) => Some(number),
        None => entry.number_or(key, missing),
    }
}

/// A short string, if it is given; the inner `None`: it is not.
pub fn short(entry: &Entry<'_>, key: &'static str) -> Option<Option<Box<str>>> {
    if entry.get(key).is_none() {
        return Some(None);
    }
    let text = entry.text_if_given(key)?;
    if text.len() > NAME_BYTES_MAX {
        entry.wrong(format!("\"{key}\" has {} bytes, more than {NAME_BYTES_MAX}", text.len()));
        return None;
    }
    Some(Some(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T>(result: Result<T, Refusal>) -> String {
        result.err().expect("a refusal").reason
    }

    #[test]
    fn a_body_is_an_object_or_nothing() {
        assert!(object(b" \n").is_ok_and(|object| object.is_empty()));
        assert!(object(br#"{"a": 1}"#).is_ok_and(|object| object.len() == 1));
        assert_eq!(refusal(object(b"[]")), "not_json: the body has to be a JSON object");
        assert!(refusal(object(b"{")).starts_with("not_json: EOF"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let body = |text: &str| object(text.as_bytes()).ok().expect("an object");
        let flags = |text: &str| read(&body(text), |entry| flag(entry, "durable"));
        assert!(flags("{}").is_ok_and(|flag| !flag));
        assert!(flags(r#"{"durable": "true"}"#).is_ok_and(|flag| flag));
        assert_eq!(
            refusal(flags(r#"{"durable": "x"}"#)),
            "the body: \"durable\" has to be true or false, not \"x\""
        );
        let counts = |text: &str| read(&body(text), |entry| number_or(entry, "count", 7));
        assert!(counts("{}").is_ok_and(|count| count == 7));
        assert!(counts(r#"{"count": "3"}"#).is_ok_and(|count| count == 3));
        let shorts = |text: &str| read(&body(text), |entry| short(entry, "type"));
        assert!(shorts("{}").is_ok_and(|text| text.is_none()));
        let long = format!(r#"{{"type": "{}"}}"#, "x".repeat(256));
        assert_eq!(refusal(shorts(&long)), "the body: \"type\" has 256 bytes, more than 255");
    }
}
