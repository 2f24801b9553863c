//! Delayed-message exchanges (`x-delayed-message`): a message with the header `x-delay` waits so many milliseconds
//! before it is routed.
//!
//! It waits in a queue of the broker's own, one for each such exchange and as durable as that. Waiting is the same as
//! expiring there: the store knows when, also across a restart. What has waited is buried like a dead letter, only that
//! it goes back to its own exchange and nothing is told of its death.

use std::sync::Arc;

use crate::amqp::{FieldTable, FieldValue};
use crate::definitions::{Change, QueueRow};
use crate::error::AmqpError;
use crate::queue::{ByPriority, Owner, Queue, QueueArguments, QueueSpec, arguments};
use crate::store::QueueId;

use super::exchange::ExchangeSpec;
use super::routing::Kind;
use super::topology::Topology;
use super::{Vhost, encoded};

/// The type that such an exchange is declared with; its rules of routing are those of `x-delayed-type`.
pub const DELAYED: &str = "x-delayed-message";
const DELAYED_TYPE: &str = "x-delayed-type";
/// LavinMQ's way to have any exchange delay.
const DELAYED_EXCHANGE: &str = "x-delayed-exchange";

/// What the names of the queues begin with in which messages wait.
const QUEUE_PREFIX: &str = "amq.delayed-";

/// The queue in which messages of an exchange wait.
pub fn queue_name(exchange: &str) -> String {
    format!("{QUEUE_PREFIX}{exchange}")
}

/// Whether no client can have declared a queue of this name.
pub fn is_queue_name(name: &str) -> bool {
    name.starts_with(QUEUE_PREFIX)
}

/// How messages are routed, and whether they may wait before, from an exchange's type and arguments. `None` for a type
/// that there is not.
pub fn parse_type(name: &str, arguments: &FieldTable) -> Result<Option<(Kind, bool)>, AmqpError> {
    if name != DELAYED {
        let delayed = arguments.get(DELAYED_EXCHANGE) == Some(&FieldValue::Boolean(true));
        return Ok(Kind::parse(name).map(|kind| (kind, delayed)));
    }
    let kind = arguments.get(DELAYED_TYPE).and_then(FieldValue::as_str).and_then(Kind::parse);
    match kind {
        Some(kind) => Ok(Some((kind, true))),
        None => Err(AmqpError::precondition_failed(format!(
            "Invalid argument, '{DELAYED_TYPE}' must be an existing exchange type"
        ))),
    }
}

impl Vhost {
    /// Adds the queue in which messages of a new exchange wait.
    pub(super) fn add_delay_queue(&self, topology: &mut Topology, exchange: &ExchangeSpec) {
        let name = queue_name(&exchange.name);
        let id = QueueId(self.definitions.next_queue_id());
        let table: FieldTable = [("x-dead-letter-exchange", &*exchange.name)].into();
        let ticket = exchange.durable.then(|| {
            self.definitions.submit(Change::PutQueue(QueueRow {
                id: id.0,
                vhost: self.name.to_string(),
                name: name.clone(),
                auto_delete: false,
                owner: None,
                arguments: encoded(&table),
            }))
        });
        let spec = QueueSpec {
            id,
            name: name.as_str().into(),
            vhost: self.name.clone(),
            durable: exchange.durable,
            auto_delete: false,
            owner: Owner::Broker,
            parsed: delay_arguments(&name, &self.name, &table),
            arguments: table,
            ticket,
        };
        topology.add_queue(Queue::new(spec, self.environment.clone()));
    }

    /// Removes the queue in which messages of an exchange waited that is gone. What is in it is to be dropped without
    /// a lock.
    pub(super) fn drop_delay_queue(
        &self,
        topology: &mut Topology,
        exchange: &ExchangeSpec,
        remains: &mut Vec<ByPriority>,
    ) -> Option<Change> {
        if !exchange.delayed {
            return None;
        }
        let queue: Arc<Queue> = topology.queues.get(&queue_name(&exchange.name)).cloned()?;
        let deleted = queue.delete(|_| Ok::<(), ()>(()));
        topology.remove_queue(&queue);
        if let Ok(deleted) = deleted {
            tracing::debug!(
                exchange = &*exchange.name,
                vhost = &*self.name,
                "deleted with {} delayed messages",
                deleted.messages
            );
            remains.push(deleted.remains);
        }
        queue.is_stored().then(|| Change::DeleteQueue { id: queue.spec.id.0 })
    }
}

/// What a queue in which messages wait keeps to.
pub fn delay_arguments(name: &str, vhost: &str, table: &FieldTable) -> QueueArguments {
    let parsed = arguments::parse(name, vhost, table).unwrap_or_default();
    QueueArguments { delays: true, ..parsed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        let with = |name: &str, value: FieldValue| FieldTable::from([(name, value)]);
        let parse = |name: &str, arguments: &FieldTable| parse_type(name, arguments).map_err(|e| e.text);
        assert_eq!(parse("topic", &FieldTable::default()), Ok(Some((Kind::Topic, false))));
        assert_eq!(parse("topic", &with(DELAYED_EXCHANGE, true.into())), Ok(Some((Kind::Topic, true))));
        assert_eq!(parse("nosuch", &FieldTable::default()), Ok(None));
        assert_eq!(parse(DELAYED, &with(DELAYED_TYPE, "fanout".into())), Ok(Some((Kind::Fanout, true))));
        for wrong in [FieldTable::default(), with(DELAYED_TYPE, "x".into()), with(DELAYED_TYPE, 1.into())] {
            assert_eq!(
                parse(DELAYED, &wrong),
                Err("Invalid argument, 'x-delayed-type' must be an existing exchange type".to_owned())
            );
        }
    }
}
