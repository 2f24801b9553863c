//! Bringing back what was durable, from rows and from the store.

use std::sync::Arc;

use crate::amqp::{FieldTable, Reader, decode_table};
use crate::definitions::{BindingRow, ExchangeRow, QueueRow};
use crate::queue::{Owner, Queue, QueueSpec, arguments};
use crate::store::QueueId;

use super::Vhost;
use super::delay;
use super::exchange::{Binding, DestinationName, ExchangeSpec};

/// A definition that makes no sense; the data folder was written by something else.
#[derive(Debug, thiserror::Error)]
#[error("the definition of {what} cannot be read: {why}")]
pub struct BadDefinition {
    what: String,
    why: String,
}

pub(super) fn arguments_of(what: &str, encoded: &[u8]) -> Result<FieldTable, BadDefinition> {
    decode_table(&mut Reader::new(encoded))
        .map_err(|error| BadDefinition { what: what.to_owned(), why: format!("its arguments: {error}") })
}

impl Vhost {
    pub fn recover_exchange(&self, row: &ExchangeRow) -> Result<(), BadDefinition> {
        let what = format!("exchange '{}' in vhost '{}'", row.name, row.vhost);
        let arguments = arguments_of(&what, &row.arguments)?;
        let (kind, delayed) = delay::parse_type(&row.kind, &arguments).ok().flatten().ok_or_else(|| {
            BadDefinition { what: what.clone(), why: format!("unknown type '{}'", row.kind) }
        })?;
        self.topology.write().add_exchange(ExchangeSpec {
            name: row.name.as_str().into(),
            kind,
            delayed,
            durable: true,
            auto_delete: row.auto_delete,
            internal: row.internal,
            arguments,
            ticket: None,
        });
        Ok(())
    }

    pub fn recover_queue(&self, row: &QueueRow) -> Result<Arc<Queue>, BadDefinition> {
        let what = format!("queue '{}' in vhost '{}'", row.name, row.vhost);
        let arguments = arguments_of(&what, &row.arguments)?;
        let is_delay = delay::is_queue_name(&row.name);
        let parsed = match is_delay {
            true => delay::delay_arguments(&row.name, &row.vhost, &arguments),
            false => arguments::parse(&row.name, &row.vhost, &arguments)
                .map_err(|error| BadDefinition { what, why: error.text })?,
        };
        let owner = match &row.owner {
            Some(user) => Owner::User(user.as_str().into()),
            None if is_delay => Owner::Broker,
            None => Owner::Anyone,
        };
        let spec = QueueSpec {
            id: QueueId(row.id),
            name: row.name.as_str().into(),
            vhost: self.name.clone(),
            durable: true,
            auto_delete: row.auto_delete,
            owner,
            arguments,
            parsed,
            ticket: None,
        };
        let queue = Queue::new(spec, self.environment.clone());
        self.topology.write().add_queue(queue.clone());
        Ok(queue)
    }

    /// After exchanges and queues.
    pub fn recover_binding(&self, row: &BindingRow) -> Result<(), BadDefinition> {
        let what =
            format!("the binding of '{}' to '{}' in vhost '{}'", row.destination, row.source, row.vhost);
        let arguments = arguments_of(&what, &row.arguments)?;
        let destination = row.destination.as_str().into();
        let binding = Binding {
            source: row.source.as_str().into(),
            destination: if row.destination_is_queue {
                DestinationName::Queue(destination)
            } else {
                DestinationName::Exchange(destination)
            },
            routing_key: row.routing_key.as_str().into(),
            arguments,
        };
        self.topology.write().bind(binding).map_err(|error| BadDefinition { what, why: error.0 })?;
        Ok(())
    }
}
