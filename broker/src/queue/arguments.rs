//! Arguments of `queue.declare`: checking, meaning, equivalence. Pure.

use crate::amqp::{FieldTable, FieldValue};
use crate::error::AmqpError;

/// `x-exclusive-scope: "user"`: the queue belongs to the user that declared it, not to the connection.
pub const EXCLUSIVE_SCOPE: &str = "x-exclusive-scope";

/// Arguments that are part of a queue's identity: a redeclaration must agree on them.
const EQUIVALENCE: &[&str] = &[
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-overflow",
    "x-max-priority",
    "x-queue-mode",
    "x-queue-type",
    "x-queue-version",
    "x-single-active-consumer",
    EXCLUSIVE_SCOPE,
];

/// What happens to a message that a full queue cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The oldest messages make room.
    #[default]
    DropHead,
    /// The new message is refused; a publisher with confirms gets `basic.nack`.
    RejectPublish,
}

/// The arguments that this broker acts on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueArguments {
    pub message_ttl_ms: Option<u64>,
    pub length_max: Option<u64>,
    pub body_bytes_max: Option<u64>,
    pub overflow: Overflow,
    pub owned_by_user: bool,
    /// Arguments that are accepted and have no effect; the log names them.
    pub without_effect: Vec<Box<str>>,
}

struct Context<'a> {
    queue: &'a str,
    vhost: &'a str,
}

impl Context<'_> {
    fn invalid(&self, name: &str, why: impl std::fmt::Display) -> AmqpError {
        AmqpError::precondition_failed(format!(
            "invalid arg '{name}' for queue '{}' in vhost '{}': {why}",
            self.queue, self.vhost
        ))
    }

    fn integer(&self, name: &str, value: &FieldValue) -> Result<u64, AmqpError> {
        let Some(number) = value.as_i64() else {
            return Err(self.invalid(name, format_args!("\"expected integer, got {}\"", value.type_name())));
        };
        u64::try_from(number).map_err(|_| self.invalid(name, format_args!("{{value_negative,{number}}}")))
    }

    fn text<'v>(&self, name: &str, value: &'v FieldValue) -> Result<&'v str, AmqpError> {
        value.as_str().ok_or_else(|| {
            AmqpError::precondition_failed(format!(
                "invalid type '{}' for arg '{name}' in queue '{}' in vhost '{}'",
                value.type_name(),
                self.queue,
                self.vhost
            ))
        })
    }

    fn one_of(&self, name: &str, what: &str, value: &FieldValue, allowed: &[&str]) -> Result<(), AmqpError> {
        let text = self.text(name, value)?;
        if allowed.contains(&text) {
            return Ok(());
        }
        Err(self.invalid(name, format_args!("\"unsupported {what} '{text}'\"")))
    }
}

/// Checks every argument and reads those that this broker acts on.
pub fn parse(queue: &str, vhost: &str, arguments: &FieldTable) -> Result<QueueArguments, AmqpError> {
    let context = Context { queue, vhost };
    let mut parsed = QueueArguments::default();
    for (name, value) in arguments.iter() {
        if !apply(&context, &mut parsed, name, value)? {
            parsed.without_effect.push(name.into());
        }
    }
    if arguments.get("x-dead-letter-routing-key").is_some()
        && arguments.get("x-dead-letter-exchange").is_none()
    {
        return Err(context.invalid("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined"));
    }
    Ok(parsed)
}

/// Returns whether the argument has an effect here.
fn apply(
    context: &Context,
    parsed: &mut QueueArguments,
    name: &str,
    value: &FieldValue,
) -> Result<bool, AmqpError> {
    match name {
        "x-message-ttl" => parsed.message_ttl_ms = Some(context.integer(name, value)?),
        "x-max-length" => parsed.length_max = Some(context.integer(name, value)?),
        "x-max-length-bytes" => parsed.body_bytes_max = Some(context.integer(name, value)?),
        "x-overflow" => {
            parsed.overflow = match context.text(name, value)? {
                "drop-head" => Overflow::DropHead,
                "reject-publish" | "reject-publish-dlx" => Overflow::RejectPublish,
                _ => return Err(context.invalid(name, "invalid_overflow")),
            }
        }
        EXCLUSIVE_SCOPE => {
            context.one_of(name, "exclusive scope", value, &["user", "connection"])?;
            parsed.owned_by_user = value.as_str() == Some("user");
        }
        "x-expires" => {
            if context.integer(name, value)? == 0 {
                return Err(context.invalid(name, "{value_zero,0}"));
            }
            return Ok(false);
        }
        "x-max-priority" => {
            let maximum = context.integer(name, value)?;
            if maximum > 255 {
                return Err(context.invalid(name, format_args!("{{max_value_exceeded,{maximum}}}")));
            }
            return Ok(maximum == 0);
        }
        "x-dead-letter-exchange" | "x-dead-letter-routing-key" => {
            context.text(name, value)?;
            return Ok(false);
        }
        "x-queue-mode" => context.one_of(name, "queue mode", value, &["default", "lazy"])?,
        "x-queue-type" => context.one_of(name, "queue type", value, &["classic", "quorum"])?,
        "x-queue-version" => {
            let version = context.integer(name, value)?;
            if !(1..=2).contains(&version) {
                return Err(context.invalid(name, format_args!("\"unsupported queue version '{version}'\"")));
            }
        }
        "x-single-active-consumer" => {
            if !matches!(value, FieldValue::Boolean(_)) {
                return Err(
                    context.invalid(name, format_args!("{{unacceptable_type,{}}}", value.type_name()))
                );
            }
            return Ok(matches!(value, FieldValue::Boolean(false)));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Whether a redeclaration asks for the same; the error names the argument and both values.
pub fn check_equivalent(
    kind: &str,
    name: &str,
    vhost: &str,
    received: &FieldTable,
    current: &FieldTable,
) -> Result<(), AmqpError> {
    for argument in EQUIVALENCE {
        check_argument(kind, name, vhost, argument, received.get(argument), current.get(argument))?;
    }
    Ok(())
}

/// One argument of a queue or exchange, as received and as it is.
pub fn check_argument(
    kind: &str,
    name: &str,
    vhost: &str,
    argument: &str,
    received: Option<&FieldValue>,
    current: Option<&FieldValue>,
) -> Result<(), AmqpError> {
    let same = match (received, current) {
        (None, None) => true,
        (Some(a), Some(b)) => a == b || (a.as_i64().is_some() && a.as_i64() == b.as_i64()),
        _ => false,
    };
    if same {
        return Ok(());
    }
    let (received, current) = match (received, current) {
        (Some(a), Some(b)) if a.type_name() == b.type_name() => {
            (format!("'{}'", show(a)), format!("'{}'", show(b)))
        }
        _ => (with_type(received), with_type(current)),
    };
    Err(inequivalent(kind, name, vhost, argument, &received, &current))
}

/// `PRECONDITION_FAILED - inequivalent arg ...` with both values as they are to be shown.
pub fn inequivalent(
    kind: &str,
    name: &str,
    vhost: &str,
    argument: &str,
    received: &str,
    current: &str,
) -> AmqpError {
    AmqpError::precondition_failed(format!(
        "inequivalent arg '{argument}' for {kind} '{name}' in vhost '{vhost}': received {received} but current is {current}"
    ))
}

fn with_type(value: Option<&FieldValue>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => format!("the value '{}' of type '{}'", show(value), value.type_name()),
    }
}

fn show(value: &FieldValue) -> String {
    match (value.as_i64(), value.as_str(), value) {
        (Some(number), _, _) => number.to_string(),
        (_, Some(text), _) => text.to_owned(),
        (_, _, FieldValue::Boolean(flag)) => flag.to_string(),
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, FieldValue)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in entries {
            table.insert(*name, value.clone());
        }
        table
    }

    fn text(value: &str) -> FieldValue {
        FieldValue::LongString(value.as_bytes().into())
    }

    #[test]
    fn mistakes_are_answered_with_the_texts_that_clients_know() {
        let cases: &[(&[(&str, FieldValue)], &str)] = &[
            (
                &[("x-message-ttl", FieldValue::I32(-1))],
                "invalid arg 'x-message-ttl' for queue 'q' in vhost '/': {value_negative,-1}",
            ),
            (
                &[("x-message-ttl", text("1"))],
                "invalid arg 'x-message-ttl' for queue 'q' in vhost '/': \"expected integer, got longstr\"",
            ),
            (
                &[("x-expires", FieldValue::I32(0))],
                "invalid arg 'x-expires' for queue 'q' in vhost '/': {value_zero,0}",
            ),
            (
                &[("x-overflow", text("x"))],
                "invalid arg 'x-overflow' for queue 'q' in vhost '/': invalid_overflow",
            ),
            (
                &[("x-dead-letter-exchange", FieldValue::I32(1))],
                "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
            ),
            (
                &[("x-dead-letter-routing-key", text("k"))],
                "invalid arg 'x-dead-letter-routing-key' for queue 'q' in vhost '/': routing_key_but_no_dlx_defined",
            ),
            (
                &[("x-max-priority", FieldValue::I32(256))],
                "invalid arg 'x-max-priority' for queue 'q' in vhost '/': {max_value_exceeded,256}",
            ),
            (
                &[("x-queue-mode", text("x"))],
                "invalid arg 'x-queue-mode' for queue 'q' in vhost '/': \"unsupported queue mode 'x'\"",
            ),
            (
                &[("x-single-active-consumer", text("x"))],
                "invalid arg 'x-single-active-consumer' for queue 'q' in vhost '/': {unacceptable_type,longstr}",
            ),
        ];
        for (arguments, expected) in cases {
            let error = parse("q", "/", &table(arguments)).unwrap_err();
            assert_eq!(error.text, *expected);
        }
    }

    #[test]
    fn equivalence_names_both_values() {
        let check = |a: &[(&str, FieldValue)], b: &[(&str, FieldValue)]| {
            check_equivalent("queue", "q", "/", &table(a), &table(b)).map_err(|error| error.text)
        };
        let five = [("x-max-length", FieldValue::I32(5))];
        assert_eq!(check(&five, &[("x-max-length", FieldValue::I64(5))]), Ok(()));
        assert_eq!(check(&[("x-unknown", text("1"))], &[]), Ok(()));
        let start = "inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received ";
        assert_eq!(
            check(&[("x-max-length", FieldValue::I32(6))], &five),
            Err(format!("{start}'6' but current is '5'"))
        );
        assert_eq!(
            check(&five, &[]),
            Err(format!("{start}the value '5' of type 'signedint' but current is none"))
        );
        assert_eq!(
            check(&[], &five),
            Err(format!("{start}none but current is the value '5' of type 'signedint'"))
        );
    }
}
