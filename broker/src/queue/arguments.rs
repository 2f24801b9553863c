//! Arguments of `queue.declare`: checking, meaning, equivalence. Pure.

use std::sync::Arc;

use crate::amqp::{FieldTable, FieldValue};
use crate::error::AmqpError;

use super::limits::{DeadLetterStrategy, Limits, Overflow};

/// `x-exclusive-scope: "user"`: the queue belongs to the user that declared it, not to the connection.
pub const EXCLUSIVE_SCOPE: &str = "x-exclusive-scope";

/// Arguments that are part of a queue's identity: a redeclaration must agree on them.
const EQUIVALENCE: &[&str] = &[
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-queue-type",
    "x-quorum-initial-group-size",
    "x-queue-leader-locator",
    "x-delivery-limit",
    "x-consumer-timeout",
    EXCLUSIVE_SCOPE,
];

/// What kind of queue was asked for (`x-queue-type`). There is only one kind here; a quorum queue keeps the rules of
/// RabbitMQ's, and counts deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueType {
    #[default]
    Classic,
    Quorum,
}

impl QueueType {
    /// By the value of `x-queue-type`.
    pub fn parse(name: &str) -> Option<QueueType> {
        [QueueType::Classic, QueueType::Quorum].into_iter().find(|kind| kind.name() == name)
    }

    fn has_no_use_for(self, argument: &str) -> bool {
        match self {
            QueueType::Classic => NOT_FOR_CLASSIC.contains(&argument),
            QueueType::Quorum => NOT_FOR_QUORUM.contains(&argument),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            QueueType::Classic => "classic",
            QueueType::Quorum => "quorum",
        }
    }

    /// What RabbitMQ's errors call it.
    pub fn module(self) -> &'static str {
        match self {
            QueueType::Classic => "rabbit_classic_queue",
            QueueType::Quorum => "rabbit_quorum_queue",
        }
    }
}

/// The arguments that this broker acts on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueArguments {
    pub limits: Arc<Limits>,
    pub kind: QueueType,
    pub owned_by_user: bool,
    /// Priorities above 0; 0 where messages have none.
    pub priority_max: u8,
    pub single_active_consumer: bool,
    /// Messages wait here as long as their `x-delay` says: a queue of the broker's own.
    pub delays: bool,
    /// Arguments that are accepted and have no effect; the log names them.
    pub without_effect: Vec<Box<str>>,
}

/// Longest time that an argument, a policy or a message may set, in milliseconds: ten years, as in RabbitMQ.
pub const MILLISECONDS_MAX: u64 = 315_360_000_000;

/// Arguments that a quorum queue has no use for.
const NOT_FOR_QUORUM: &[&str] = &[
    "x-initial-cluster-size",
    "x-max-age",
    "x-max-priority",
    "x-queue-mode",
    "x-queue-version",
    "x-queue-master-locator",
    "x-stream-max-segment-size-bytes",
    EXCLUSIVE_SCOPE,
];

/// Arguments that only other queue types know (as in RabbitMQ, but for `x-delivery-limit`, which works here).
const NOT_FOR_CLASSIC: &[&str] = &[
    "x-dead-letter-strategy",
    "x-initial-cluster-size",
    "x-max-age",
    "x-max-in-memory-bytes",
    "x-max-in-memory-length",
    "x-queue-leader-locator",
    "x-quorum-initial-group-size",
    "x-stream-max-segment-size-bytes",
];

/// The order in which values are checked, so that of several mistakes the same one is named as by RabbitMQ. Before
/// these come the dead-letter exchange and the queue's type, behind them what RabbitMQ does not know, and then what the
/// type has no use for.
const CHECKED: &[&str] = &[
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-quorum-initial-group-size",
    "x-queue-leader-locator",
];

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

    /// A number below zero says that there is no limit, as in RabbitMQ 4.
    fn integer_or_unlimited(&self, name: &str, value: &FieldValue) -> Result<Option<u64>, AmqpError> {
        match value.as_i64() {
            Some(..0) => Ok(None),
            _ => self.integer(name, value).map(Some),
        }
    }

    fn milliseconds(&self, name: &str, value: &FieldValue) -> Result<u64, AmqpError> {
        let number = self.integer(name, value)?;
        if number > MILLISECONDS_MAX {
            return Err(self.invalid(name, format_args!("{{value_too_large,{number}}}")));
        }
        Ok(number)
    }

    fn above_zero(&self, name: &str, number: u64) -> Result<u64, AmqpError> {
        if number == 0 { Err(self.invalid(name, "{value_zero,0}")) } else { Ok(number) }
    }

    fn text<'v>(&self, name: &str, value: &'v FieldValue) -> Result<&'v str, AmqpError> {
        value.as_str().ok_or_else(|| self.unacceptable_type(name, value))
    }

    fn flag(&self, name: &str, value: &FieldValue) -> Result<bool, AmqpError> {
        value.as_bool().ok_or_else(|| self.unacceptable_type(name, value))
    }

    fn unacceptable_type(&self, name: &str, value: &FieldValue) -> AmqpError {
        self.invalid(name, format_args!("{{unacceptable_type,{}}}", value.type_name()))
    }

    fn exchange<'v>(&self, name: &str, value: &'v FieldValue) -> Result<&'v str, AmqpError> {
        value.as_str().ok_or_else(|| {
            AmqpError::precondition_failed(format!(
                "invalid type '{}' for arg '{name}' in queue '{}' in vhost '{}'",
                value.type_name(),
                self.queue,
                self.vhost
            ))
        })
    }

    fn one_of<'v>(
        &self,
        name: &str,
        what: &str,
        value: &'v FieldValue,
        allowed: &[&str],
    ) -> Result<&'v str, AmqpError> {
        let text = self.text(name, value)?;
        if allowed.contains(&text) {
            return Ok(text);
        }
        Err(self.invalid(name, format_args!("\"unsupported {what} '{text}'\"")))
    }

    fn queue_type(&self, name: &str, value: &FieldValue) -> Result<QueueType, AmqpError> {
        let text = self.text(name, value)?;
        match QueueType::parse(text) {
            Some(kind) => Ok(kind),
            None if text == "stream" => Err(self.invalid(
                name,
                "\"unsupported queue type 'stream'\": there are no streams here, declare a classic or quorum queue",
            )),
            None => Err(self.invalid(name, format_args!("\"unsupported queue type '{text}'\""))),
        }
    }

    fn check_type(&self, kind: QueueType, arguments: &FieldTable) -> Result<(), AmqpError> {
        match arguments.iter().find(|(name, _)| kind.has_no_use_for(name)) {
            None => Ok(()),
            Some((name, _)) => Err(AmqpError::precondition_failed(format!(
                "invalid arg '{name}' for queue '{}' in vhost '{}' of queue type {}",
                self.queue,
                self.vhost,
                kind.module()
            ))),
        }
    }
}

/// Checks every argument and reads those that this broker acts on.
pub fn parse(queue: &str, vhost: &str, arguments: &FieldTable) -> Result<QueueArguments, AmqpError> {
    let context = Context { queue, vhost };
    let mut parsed = QueueArguments::default();
    let mut limits = Limits::default();
    if let Some(exchange) = arguments.get("x-dead-letter-exchange") {
        limits.dead_letter_exchange = Some(context.exchange("x-dead-letter-exchange", exchange)?.into());
    }
    if let Some(kind) = arguments.get("x-queue-type") {
        parsed.kind = context.queue_type("x-queue-type", kind)?;
    }
    let mut ordered: Vec<_> =
        arguments.iter().filter(|(name, _)| !parsed.kind.has_no_use_for(name)).collect();
    ordered.sort_by_key(|(name, _)| CHECKED.iter().position(|known| known == name).unwrap_or(CHECKED.len()));
    for (name, value) in ordered {
        if !apply(&context, &mut parsed, &mut limits, name, value)? {
            parsed.without_effect.push(name.into());
        }
    }
    context.check_type(parsed.kind, arguments)?;
    parsed.limits = limits.shared();
    Ok(parsed)
}

/// Returns whether the argument has an effect here.
fn apply(
    context: &Context,
    parsed: &mut QueueArguments,
    limits: &mut Limits,
    name: &str,
    value: &FieldValue,
) -> Result<bool, AmqpError> {
    match name {
        "x-message-ttl" => limits.message_ttl_ms = Some(context.milliseconds(name, value)?),
        "x-expires" => {
            limits.expires_ms = Some(context.above_zero(name, context.milliseconds(name, value)?)?);
        }
        "x-max-length" => limits.length_max = Some(context.integer(name, value)?),
        "x-max-length-bytes" => limits.body_bytes_max = Some(context.integer(name, value)?),
        "x-overflow" => {
            let overflow = Overflow::parse(context.text(name, value)?);
            limits.overflow = Some(overflow.ok_or_else(|| context.invalid(name, "invalid_overflow"))?);
        }
        "x-dead-letter-routing-key" => {
            limits.dead_letter_routing_key = Some(context.text(name, value)?.into());
            if limits.dead_letter_exchange.is_none() {
                return Err(context.invalid(name, "routing_key_but_no_dlx_defined"));
            }
        }
        "x-delivery-limit" => limits.delivery_limit = context.integer_or_unlimited(name, value)?,
        "x-consumer-timeout" => {
            limits.consumer_timeout_ms = Some(context.above_zero(name, context.milliseconds(name, value)?)?);
        }
        "x-max-priority" => {
            let maximum = context.integer(name, value)?;
            parsed.priority_max = u8::try_from(maximum)
                .map_err(|_| context.invalid(name, format_args!("{{max_value_exceeded,{maximum}}}")))?;
        }
        "x-single-active-consumer" => parsed.single_active_consumer = context.flag(name, value)?,
        // Known already.
        "x-dead-letter-exchange" | "x-queue-type" => {}
        "x-dead-letter-strategy" => {
            let strategy = DeadLetterStrategy::parse(context.text(name, value)?);
            limits.dead_letter_strategy =
                Some(strategy.ok_or_else(|| context.invalid(name, "invalid_dlx_strategy"))?);
        }
        EXCLUSIVE_SCOPE => {
            let scope = context.one_of(name, "exclusive scope", value, &["user", "connection"])?;
            parsed.owned_by_user = scope == "user";
        }
        // What they ask for is always so here.
        "x-queue-mode" => drop(context.one_of(name, "queue mode", value, &["default", "lazy"])?),
        "x-queue-version" => {
            let version = context.integer(name, value)?;
            if !(1..=2).contains(&version) {
                return Err(context.invalid(name, format_args!("\"unsupported queue version '{version}'\"")));
            }
        }
        _ => {
            check_without_effect(context, name, value)?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// Arguments about a cluster's members and their memory, which have no effect here; their values are checked even so.
fn check_without_effect(context: &Context, name: &str, value: &FieldValue) -> Result<(), AmqpError> {
    match name {
        "x-max-in-memory-length" | "x-max-in-memory-bytes" => drop(context.integer(name, value)?),
        "x-quorum-initial-group-size" => drop(context.above_zero(name, context.integer(name, value)?)?),
        "x-queue-leader-locator"
            if !["client-local", "random", "least-leaders", "balanced"]
                .contains(&context.text(name, value)?) =>
        {
            return Err(context.invalid(name, "invalid_queue_locator_arg"));
        }
        _ => {}
    }
    Ok(())
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
        if *argument == "x-queue-type" && is_classic(received) && is_classic(current) {
            continue;
        }
        check_argument(kind, name, vhost, argument, received.get(argument), current.get(argument))?;
    }
    Ok(())
}

/// Classic is what a queue is when nobody says what it shall be.
fn is_classic(arguments: &FieldTable) -> bool {
    arguments.get("x-queue-type").is_none_or(|kind| kind.as_str() == Some("classic"))
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
                &[("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", FieldValue::I32(3))],
                "invalid arg 'x-dead-letter-routing-key' for queue 'q' in vhost '/': {unacceptable_type,signedint}",
            ),
            (
                &[("x-expires", FieldValue::I64(1 << 40))],
                "invalid arg 'x-expires' for queue 'q' in vhost '/': {value_too_large,1099511627776}",
            ),
            (
                &[("x-queue-type", FieldValue::I32(3))],
                "invalid arg 'x-queue-type' for queue 'q' in vhost '/': {unacceptable_type,signedint}",
            ),
            (
                &[("x-queue-type", text("stream"))],
                "invalid arg 'x-queue-type' for queue 'q' in vhost '/': \"unsupported queue type 'stream'\": there are \
                 no streams here, declare a classic or quorum queue",
            ),
            (
                &[("x-queue-type", text("quorum")), ("x-max-priority", FieldValue::I32(5))],
                "invalid arg 'x-max-priority' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue",
            ),
            (
                &[("x-max-in-memory-length", text("a")), ("x-queue-type", text("quorum"))],
                "invalid arg 'x-max-in-memory-length' for queue 'q' in vhost '/': \"expected integer, got longstr\"",
            ),
            (
                &[("x-quorum-initial-group-size", FieldValue::I32(0)), ("x-queue-type", text("quorum"))],
                "invalid arg 'x-quorum-initial-group-size' for queue 'q' in vhost '/': {value_zero,0}",
            ),
            (
                &[("x-queue-leader-locator", text("bogus")), ("x-queue-type", text("quorum"))],
                "invalid arg 'x-queue-leader-locator' for queue 'q' in vhost '/': invalid_queue_locator_arg",
            ),
            (
                &[("x-initial-cluster-size", FieldValue::I32(1)), ("x-queue-type", text("quorum"))],
                "invalid arg 'x-initial-cluster-size' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue",
            ),
            (
                &[("x-max-in-memory-length", text("a"))],
                "invalid arg 'x-max-in-memory-length' for queue 'q' in vhost '/' of queue type rabbit_classic_queue",
            ),
            (
                &[("x-dead-letter-strategy", text("at-least-once"))],
                "invalid arg 'x-dead-letter-strategy' for queue 'q' in vhost '/' of queue type rabbit_classic_queue",
            ),
            (
                &[("x-dead-letter-strategy", text("bogus")), ("x-queue-type", text("quorum"))],
                "invalid arg 'x-dead-letter-strategy' for queue 'q' in vhost '/': invalid_dlx_strategy",
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
    fn what_has_no_effect_is_named() {
        let parsed = parse(
            "q",
            "/",
            &table(&[
                ("x-max-length", FieldValue::I32(1)),
                ("x-queue-mode", text("lazy")),
                ("x-dead-letter-exchange", text("")),
                ("x-expires", FieldValue::I32(1)),
                ("x-max-priority", FieldValue::I32(9)),
                ("x-single-active-consumer", FieldValue::Boolean(true)),
                ("x-delivery-limit", FieldValue::I32(0)),
                ("x-queue-master-locator", text("min-masters")),
                ("app", text("x")),
            ]),
        )
        .unwrap();
        assert_eq!(parsed.without_effect, ["x-queue-master-locator".into(), "app".into()]);
        assert_eq!((parsed.priority_max, parsed.single_active_consumer), (9, true));
        assert_eq!((parsed.limits.length_max, parsed.limits.delivery_limit), (Some(1), Some(0)));
        assert_eq!(parsed.kind, QueueType::Classic);
    }

    #[test]
    fn classic_is_the_same_as_nothing() {
        let kind = |kind: &str| table(&[("x-queue-type", text(kind))]);
        let check = |a: &FieldTable, b: &FieldTable| check_equivalent("queue", "q", "/", a, b);
        assert_eq!(check(&kind("classic"), &FieldTable::default()), Ok(()));
        assert_eq!(check(&FieldTable::default(), &kind("classic")), Ok(()));
        assert_eq!(
            check(&kind("quorum"), &FieldTable::default()).unwrap_err().text,
            "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received the value 'quorum' of type \
             'longstr' but current is none"
        );
    }

    #[test]
    fn equivalence_names_both_values() {
        let check = |a: &[(&str, FieldValue)], b: &[(&str, FieldValue)]| {
            check_equivalent("queue", "q", "/", &table(a), &table(b)).map_err(|error| error.text)
        };
        let five = [("x-max-length", FieldValue::I32(5))];
        assert_eq!(check(&five, &[("x-max-length", FieldValue::I64(5))]), Ok(()));
        assert_eq!(check(&[("x-unknown", text("1"))], &[]), Ok(()));
        for name in [
            "x-dead-letter-strategy",
            "x-max-in-memory-length",
            "x-max-in-memory-bytes",
            "x-quorum-initial-group-size",
            "x-queue-leader-locator",
        ] {
            assert_eq!(
                check(&[(name, text("1"))], &[(name, text("2"))]),
                Err(format!(
                    "inequivalent arg '{name}' for queue 'q' in vhost '/': received '1' but current is '2'"
                ))
            );
        }
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
