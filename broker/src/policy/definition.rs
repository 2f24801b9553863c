//! What a policy sets: reading it, and putting an operator policy over another. Pure.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::PolicyError;
use super::inert::Inert;
use crate::queue::{DeadLetterStrategy, Limits, MILLISECONDS_MAX, Overflow};

/// The keys of a policy.
const KEYS: &[&str] = &[
    "alternate-exchange",
    "consumer-timeout",
    "dead-letter-exchange",
    "dead-letter-routing-key",
    "dead-letter-strategy",
    "delivery-limit",
    "expires",
    "max-length",
    "max-length-bytes",
    "message-ttl",
    "overflow",
];

/// The keys of an operator policy: what can be bounded by a number.
const OPERATOR_KEYS: &[&str] =
    &["consumer-timeout", "delivery-limit", "expires", "max-length", "max-length-bytes", "message-ttl"];

/// Known, but not to policies.
const ARGUMENTS_ONLY: &[&str] = &["max-priority", "single-active-consumer", "queue-type"];

/// What queues and exchanges get from a policy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Definition {
    pub limits: Limits,
    pub alternate_exchange: Option<Arc<str>>,
    /// As it was set.
    object: Map<String, Value>,
}

impl Definition {
    pub fn parse(text: &str, is_operator: bool) -> Result<Definition, PolicyError> {
        let object: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| PolicyError::NotAnObject { text: text.to_owned(), why: error.to_string() })?;
        if object.is_empty() {
            return Err(PolicyError::Empty);
        }
        Definition::of(object, if is_operator { OPERATOR_KEYS } else { KEYS })
    }

    fn of(object: Map<String, Value>, known: &[&str]) -> Result<Definition, PolicyError> {
        let mut definition = Definition::default();
        for (key, value) in &object {
            check_key(key, known)?;
            match Inert::find(key) {
                Some(inert) => inert.check(value).map_err(|wanted| invalid(key, value, &wanted))?,
                None => definition.set(key, value)?,
            }
        }
        definition.object = object;
        Ok(definition)
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<(), PolicyError> {
        let limits = &mut self.limits;
        match key {
            "message-ttl" => limits.message_ttl_ms = Some(number(key, value, 0, MILLISECONDS_MAX)?),
            "expires" => limits.expires_ms = Some(number(key, value, 1, MILLISECONDS_MAX)?),
            "consumer-timeout" => {
                limits.consumer_timeout_ms = Some(number(key, value, 1, MILLISECONDS_MAX)?);
            }
            "max-length" => limits.length_max = Some(number(key, value, 0, u64::MAX)?),
            "max-length-bytes" => limits.body_bytes_max = Some(number(key, value, 0, u64::MAX)?),
            "delivery-limit" => limits.delivery_limit = number_or_unlimited(key, value)?,
            "dead-letter-exchange" => limits.dead_letter_exchange = Some(text(key, value)?.into()),
            "dead-letter-routing-key" => {
                limits.dead_letter_routing_key = Some(short_text(key, value)?.into())
            }
            "dead-letter-strategy" => {
                let strategy = DeadLetterStrategy::parse(text(key, value)?);
                limits.dead_letter_strategy =
                    Some(strategy.ok_or_else(|| invalid(key, value, "at-most-once or at-least-once"))?);
            }
            "alternate-exchange" => self.alternate_exchange = Some(text(key, value)?.into()),
            "overflow" => {
                let wanted = "drop-head, reject-publish or reject-publish-dlx";
                let overflow = Overflow::parse(text(key, value)?);
                limits.overflow = Some(overflow.ok_or_else(|| invalid(key, value, wanted))?);
            }
            _ => debug_assert!(false, "{key} is known, and sets nothing"),
        }
        Ok(())
    }

    /// Keys that were set and change nothing.
    pub fn inert(&self) -> impl Iterator<Item = &'static Inert> {
        self.object.keys().filter_map(|key| Inert::find(key))
    }

    /// As it was set, or as it came out of two.
    pub fn object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// Under an operator policy: of two numbers the smaller one counts, as in RabbitMQ.
    pub fn under(&self, operator: &Definition) -> Definition {
        let mut object = self.object.clone();
        // Below zero is no bound.
        let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
        for (key, bound) in &operator.object {
            match object.get_mut(key) {
                Some(value) if number(value) <= number(bound) => {}
                Some(value) => *value = bound.clone(),
                None => drop(object.insert(key.clone(), bound.clone())),
            }
        }
        Definition {
            limits: self.limits.under(&operator.limits),
            alternate_exchange: self.alternate_exchange.clone(),
            object,
        }
    }
}

fn check_key(key: &str, known: &[&str]) -> Result<(), PolicyError> {
    if known.contains(&key) || Inert::find(key).is_some() {
        return Ok(());
    }
    let known = known.join(", ");
    match ARGUMENTS_ONLY.contains(&key) {
        true => Err(PolicyError::ArgumentOnly { key: key.to_owned(), known }),
        false => Err(PolicyError::UnknownKey { key: key.to_owned(), known }),
    }
}

fn number(key: &str, value: &Value, least: u64, most: u64) -> Result<u64, PolicyError> {
    match value.as_u64() {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        _ if most == u64::MAX => Err(invalid(key, value, &format!("a whole number of at least {least}"))),
        _ => Err(invalid(key, value, &format!("a whole number from {least} to {most}"))),
    }
}

/// A number below zero says that there is no limit, as in RabbitMQ 4.
fn number_or_unlimited(key: &str, value: &Value) -> Result<Option<u64>, PolicyError> {
    match value.as_i64() {
        Some(..0) => Ok(None),
        _ => number(key, value, 0, u64::MAX).map(Some),
    }
}

fn text<'v>(key: &str, value: &'v Value) -> Result<&'v str, PolicyError> {
    value.as_str().ok_or_else(|| invalid(key, value, "a text"))
}

/// What is to travel as a short string.
fn short_text<'v>(key: &str, value: &'v Value) -> Result<&'v str, PolicyError> {
    let text = text(key, value)?;
    match text.len() <= usize::from(u8::MAX) {
        true => Ok(text),
        false => Err(invalid(key, value, "a text of at most 255 bytes")),
    }
}

fn invalid(key: &str, value: &Value, wanted: &str) -> PolicyError {
    PolicyError::Value { key: key.to_owned(), value: value.to_string(), wanted: wanted.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(value: &Value) -> Definition {
        Definition::parse(&value.to_string(), false).expect("a definition")
    }

    #[test]
    fn every_key_sets_what_it_says() {
        let definition = parsed(&json!({
            "message-ttl": 0, "expires": 1, "max-length": 2, "max-length-bytes": 3, "delivery-limit": 4,
            "consumer-timeout": 5, "overflow": "reject-publish", "dead-letter-exchange": "",
            "dead-letter-routing-key": "k", "dead-letter-strategy": "at-least-once", "alternate-exchange": "a"
        }));
        let limits = Limits {
            message_ttl_ms: Some(0),
            expires_ms: Some(1),
            length_max: Some(2),
            body_bytes_max: Some(3),
            delivery_limit: Some(4),
            consumer_timeout_ms: Some(5),
            overflow: Some(Overflow::RejectPublish),
            dead_letter_exchange: Some("".into()),
            dead_letter_routing_key: Some("k".into()),
            dead_letter_strategy: Some(DeadLetterStrategy::AtLeastOnce),
        };
        assert_eq!(definition.limits, limits);
        assert_eq!(definition.alternate_exchange.as_deref(), Some("a"));
        assert_eq!(definition.object().len(), KEYS.len(), "all keys are tried here");
    }

    #[test]
    fn a_delivery_limit_below_zero_is_none() {
        let definition = parsed(&json!({"delivery-limit": -1}));
        assert_eq!(definition.limits, Limits::default());
        assert_eq!(Value::Object(definition.object().clone()), json!({"delivery-limit": -1}), "shown as set");
    }

    #[test]
    fn keys_of_what_is_not_here_change_nothing() {
        let definition =
            parsed(&json!({"ha-mode": "exactly", "ha-params": 2, "queue-version": 2, "max-length": 5}));
        assert_eq!(definition.limits, parsed(&json!({"max-length": 5})).limits);
        assert_eq!(
            definition.inert().map(|inert| inert.key).collect::<Vec<_>>(),
            ["ha-mode", "ha-params", "queue-version"]
        );
        assert_eq!(definition.object().len(), 4, "shown as they were set");
    }

    #[test]
    fn mistakes_are_named() {
        let long_key =
            json!({"dead-letter-exchange": "x", "dead-letter-routing-key": "k".repeat(256)}).to_string();
        for (text, is_operator, why) in [
            ("[]", false, "is not a JSON object"),
            ("{}", false, "sets nothing"),
            (r#"{"max-lenght": 1}"#, false, "unknown key 'max-lenght'; there are alternate-exchange, "),
            (r#"{"max-priority": 1}"#, false, "'max-priority' can be set by arguments of queue.declare only"),
            (r#"{"expires": 0}"#, false, "'expires' has to be a whole number from 1 to 315360000000, not 0"),
            (r#"{"max-length": -1}"#, false, "'max-length' has to be a whole number of at least 0, not -1"),
            (r#"{"max-length": "5"}"#, false, "not \"5\""),
            (r#"{"overflow": "x"}"#, false, "drop-head, reject-publish or reject-publish-dlx, not \"x\""),
            (r#"{"dead-letter-strategy": "x"}"#, false, "at-most-once or at-least-once, not \"x\""),
            (r#"{"queue-mode": "x"}"#, false, "default or lazy, not \"x\""),
            (r#"{"ha-mode": "some"}"#, false, "'ha-mode' has to be all or exactly or nodes, not \"some\""),
            (r#"{"ha-params": "x"}"#, false, "a number, or a list of nodes, not \"x\""),
            (r#"{"ha-sync-batch-size": 0}"#, false, "a whole number of at least 1, not 0"),
            (r#"{"max-age": 5}"#, false, "a text, not 5"),
            (r#"{"alternate-exchange": 1}"#, false, "has to be a text, not 1"),
            (&long_key, false, "has to be a text of at most 255 bytes, not"),
            (
                r#"{"alternate-exchange": "x"}"#,
                true,
                "unknown key 'alternate-exchange'; there are consumer-timeout",
            ),
        ] {
            let error = Definition::parse(text, is_operator).expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_operator_policy_bounds_what_the_other_says() {
        let policy = parsed(&json!({"max-length": 10, "message-ttl": 5, "overflow": "reject-publish"}));
        let operator = json!({"max-length": 3, "message-ttl": 9, "expires": 7}).to_string();
        let operator = Definition::parse(&operator, true).expect("a definition");
        let both = policy.under(&operator);
        let expected = json!({"max-length": 3, "message-ttl": 5, "expires": 7, "overflow": "reject-publish"});
        assert_eq!(Value::Object(both.object().clone()), expected);
        assert_eq!(both.limits, parsed(&expected).limits, "what is shown is what counts");
        let policies = [("delivery-limit", -1, 3), ("delivery-limit", 3, -1)];
        for (key, policy, operator) in policies {
            let operator =
                Definition::parse(&json!({key: operator}).to_string(), true).expect("a definition");
            let both = parsed(&json!({key: policy})).under(&operator);
            assert_eq!(both, parsed(&json!({key: 3})), "below zero is no bound");
        }
        let alone = Definition::default().under(&operator);
        assert_eq!((&alone.limits, alone.object()), (&operator.limits, operator.object()));
    }
}
