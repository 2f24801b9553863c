//! Declaring and deleting exchanges.

use crate::amqp::{FieldTable, FieldValue, ReplyCode};
use crate::definitions::{Change, ExchangeRow};
use crate::error::AmqpError;
use crate::queue::arguments;

use super::delay;
use super::exchange::ExchangeSpec;
use super::routing::{HashOn, Kind};
use super::topology::Topology;
use super::{Done, Vhost, encoded};

/// `exchange.declare`.
pub struct DeclareExchange<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    pub durable: bool,
    pub auto_delete: bool,
    pub internal: bool,
    pub arguments: &'a FieldTable,
}

impl DeclareExchange<'_> {
    /// Arguments that have no effect here.
    pub fn unknown_arguments(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map(|(name, _)| name).filter(|name| !ARGUMENTS.contains(name))
    }
}

/// Arguments that have an effect. (`x-algorithm` has none: every algorithm sends a key to one place, and ours is one.)
const ARGUMENTS: &[&str] = &[
    "alternate-exchange",
    "x-delayed-type",
    "x-delayed-exchange",
    "x-hash-on",
    "hash-header",
    "hash-property",
];

/// Name, type and whether clients may publish to it.
const PREDECLARED: &[(&str, Kind, bool)] = &[
    ("", Kind::Direct, false),
    ("amq.direct", Kind::Direct, false),
    ("amq.fanout", Kind::Fanout, false),
    ("amq.headers", Kind::Headers, false),
    ("amq.match", Kind::Headers, false),
    ("amq.topic", Kind::Topic, false),
    ("amq.rabbitmq.log", Kind::Topic, true),
    ("amq.rabbitmq.trace", Kind::Topic, true),
];

pub(super) fn add_predeclared(topology: &mut Topology) {
    for &(name, kind, internal) in PREDECLARED {
        topology.add_exchange(ExchangeSpec {
            name: name.into(),
            kind,
            delayed: false,
            durable: true,
            auto_delete: false,
            internal,
            arguments: FieldTable::default(),
            ticket: None,
        });
    }
}

/// The default exchange can neither be declared nor deleted nor bound.
pub fn check_not_default(name: &str) -> Result<(), AmqpError> {
    if name.is_empty() {
        return Err(AmqpError::access_refused("operation not permitted on the default exchange"));
    }
    Ok(())
}

/// The type of an exchange that every vhost has.
pub fn predeclared(name: &str) -> Option<Kind> {
    PREDECLARED.iter().find(|(known, ..)| *known == name).map(|&(_, kind, _)| kind)
}

/// How many exchanges a new vhost has.
pub fn predeclared_count() -> usize {
    PREDECLARED.len()
}

/// What can be said against an exchange whatever else there is in the vhost. How it routes, and whether messages may
/// wait before.
pub fn check_exchange(vhost: &str, declare: &DeclareExchange<'_>) -> Result<(Kind, bool), AmqpError> {
    check_not_default(declare.name)?;
    let Some((kind, delayed)) = delay::parse_type(declare.kind, declare.arguments)? else {
        return Err(AmqpError::connection(
            ReplyCode::CommandInvalid,
            format!("unknown exchange type '{}'", declare.kind),
        ));
    };
    check_alternate(vhost, declare)?;
    if kind == Kind::ConsistentHash {
        HashOn::parse(declare.arguments)?;
    }
    Ok((kind, delayed))
}

fn check_alternate(vhost: &str, declare: &DeclareExchange<'_>) -> Result<(), AmqpError> {
    match declare.arguments.get("alternate-exchange") {
        None | Some(FieldValue::LongString(_)) => Ok(()),
        Some(other) => Err(AmqpError::precondition_failed(format!(
            "invalid type '{}' for arg 'alternate-exchange' in exchange '{}' in vhost '{vhost}'",
            other.type_name(),
            declare.name,
        ))),
    }
}

impl Vhost {
    pub fn declare_exchange(&self, declare: &DeclareExchange<'_>) -> Result<Done<()>, AmqpError> {
        let (kind, delayed) = check_exchange(&self.name, declare)?;
        let mut topology = self.topology.write();
        if let Some(existing) = topology.exchanges.get(declare.name) {
            self.check_equivalent(&existing.spec, declare)?;
            return Ok(Done { value: (), ticket: self.undecided(existing.spec.ticket) });
        }
        if declare.name.starts_with("amq.") {
            return Err(AmqpError::access_refused(format!(
                "exchange name '{}' contains reserved prefix 'amq.*'",
                declare.name
            )));
        }
        self.check_count("exchange", declare.name, topology.exchanges.len(), self.limits.exchanges_max)?;
        let ticket = declare.durable.then(|| {
            self.definitions.submit(Change::PutExchange(ExchangeRow {
                vhost: self.name.to_string(),
                name: declare.name.to_owned(),
                kind: declare.kind.to_owned(),
                auto_delete: declare.auto_delete,
                internal: declare.internal,
                arguments: encoded(declare.arguments),
            }))
        });
        let spec = ExchangeSpec {
            name: declare.name.into(),
            kind,
            delayed,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: declare.arguments.clone(),
            ticket,
        };
        if delayed {
            self.add_delay_queue(&mut topology, &spec);
        }
        self.apply_to_new_exchange(topology.add_exchange(spec));
        self.changed();
        Ok(Done { value: (), ticket })
    }

    /// For whoever declares an exchange that is new, as often as he may write to the log.
    pub fn warn_of_unknown_arguments(&self, declare: &DeclareExchange<'_>, user: &str) {
        tracing::warn!(
            exchange = declare.name,
            vhost = &*self.name,
            user,
            "declared with arguments that have no effect here: {}",
            declare.unknown_arguments().collect::<Vec<_>>().join(", ")
        );
    }

    fn check_equivalent(
        &self,
        current: &ExchangeSpec,
        received: &DeclareExchange<'_>,
    ) -> Result<(), AmqpError> {
        let pairs = [
            ("type", received.kind.to_owned(), current.type_name().to_owned()),
            ("durable", received.durable.to_string(), current.durable.to_string()),
            ("auto_delete", received.auto_delete.to_string(), current.auto_delete.to_string()),
            ("internal", received.internal.to_string(), current.internal.to_string()),
        ];
        for (argument, received_value, current_value) in pairs {
            if received_value != current_value {
                return Err(arguments::inequivalent(
                    "exchange",
                    received.name,
                    &self.name,
                    argument,
                    &format!("'{received_value}'"),
                    &format!("'{current_value}'"),
                ));
            }
        }
        let compared = if current.delayed {
            &["alternate-exchange", "x-delayed-type"][..]
        } else {
            &["alternate-exchange"]
        };
        for &argument in compared {
            arguments::check_argument(
                "exchange",
                received.name,
                &self.name,
                argument,
                received.arguments.get(argument),
                current.arguments.get(argument),
            )?;
        }
        Ok(())
    }

    /// Deletes an exchange. Deleting what does not exist succeeds.
    pub fn delete_exchange(&self, name: &str, if_unused: bool) -> Result<Done<()>, AmqpError> {
        check_not_default(name)?;
        let mut topology = self.topology.write();
        let Some(exchange) = topology.exchanges.get(name) else { return Ok(Done::at_once(())) };
        if exchange.spec.is_predeclared() {
            return Err(AmqpError::access_refused(format!(
                "deletion of system exchange '{name}' in vhost '{}' not allowed",
                self.name
            )));
        }
        if if_unused && exchange.has_bindings() {
            return Err(AmqpError::precondition_failed(format!(
                "exchange '{name}' in vhost '{}' in use",
                self.name
            )));
        }
        let mut cascade = topology.remove_exchange(name);
        self.changed();
        let ticket = self.submit(self.cascade_changes(&mut topology, &mut cascade));
        drop(topology);
        Ok(Done { value: (), ticket })
    }
}
