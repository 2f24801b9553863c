//! Binding and unbinding.

use crate::amqp::{FieldTable, ReplyCode};
use crate::definitions::{BindingRow, Change};
use crate::error::AmqpError;

use super::exchange::{Binding, Destination, DestinationName};
use super::exchanges::check_not_default;
use super::routing::{InvalidBinding, Kind, Router};
use super::topology::Topology;
use super::{Asker, Done, Vhost, encoded};

/// `queue.bind`, `exchange.bind` and their opposites.
pub struct BindRequest<'a> {
    pub source: &'a str,
    pub destination: DestinationName,
    pub routing_key: &'a str,
    pub arguments: &'a FieldTable,
}

impl BindRequest<'_> {
    fn binding(&self) -> Binding {
        Binding {
            source: self.source.into(),
            destination: self.destination.clone(),
            routing_key: self.routing_key.into(),
            arguments: self.arguments.clone(),
        }
    }
}

/// What can be said against a binding to an exchange of this kind.
pub fn check_binding(kind: Kind, routing_key: &str, arguments: &FieldTable) -> Result<(), InvalidBinding> {
    Router::<Destination>::new(kind).check(routing_key, arguments)
}

impl Vhost {
    pub fn bind(&self, request: &BindRequest<'_>, asker: Asker<'_>) -> Result<Done<()>, AmqpError> {
        let mut topology = self.topology.write();
        self.check_ends(&topology, request, asker)?;
        let binding = request.binding();
        self.check_binding_count(&topology, &binding)?;
        let row = self.row(&topology, &binding);
        let added = topology.bind(binding).map_err(|error| AmqpError::precondition_failed(error.0))?;
        if !added {
            return Ok(Done::at_once(()));
        }
        self.changed();
        let ticket = self.submit(row.map(Change::PutBinding).into_iter().collect());
        Ok(Done { value: (), ticket })
    }

    /// Removes a binding; one that does not exist is no error.
    pub fn unbind(&self, request: &BindRequest<'_>, asker: Asker<'_>) -> Result<Done<()>, AmqpError> {
        let mut topology = self.topology.write();
        let binding = request.binding();
        match self.check_ends(&topology, request, asker) {
            Err(error) if error.code == ReplyCode::NotFound => return Ok(Done::at_once(())),
            // Another connection's queue, but there is nothing to take away: RabbitMQ does not mind.
            Err(error)
                if error.code == ReplyCode::ResourceLocked
                    && topology.is_of_connection(&request.destination)
                    && !topology.is_bound(&binding) =>
            {
                return Ok(Done::at_once(()));
            }
            checked => checked?,
        }
        let row = self.row(&topology, &binding);
        let Some(mut cascade) = topology.unbind(&binding) else { return Ok(Done::at_once(())) };
        self.changed();
        let mut changes: Vec<Change> = row.map(Change::DeleteBinding).into_iter().collect();
        changes.extend(self.cascade_changes(&mut topology, &mut cascade));
        let ticket = self.submit(changes);
        drop(topology);
        Ok(Done { value: (), ticket })
    }

    fn check_binding_count(&self, topology: &Topology, binding: &Binding) -> Result<(), AmqpError> {
        let max = self.limits.bindings_max;
        if topology.binding_count() < max || topology.is_bound(binding) {
            return Ok(());
        }
        Err(AmqpError::precondition_failed(format!(
            "cannot bind to exchange '{}': binding limit in vhost '{}' ({max}) is reached",
            binding.source, self.name
        )))
    }

    fn check_ends(
        &self,
        topology: &Topology,
        request: &BindRequest<'_>,
        asker: Asker<'_>,
    ) -> Result<(), AmqpError> {
        check_not_default(request.source)?;
        if let DestinationName::Exchange(name) = &request.destination {
            check_not_default(name)?;
        }
        topology.exchanges.get(request.source).ok_or_else(|| self.no_exchange(request.source))?;
        match &request.destination {
            DestinationName::Queue(name) => {
                let queue = topology.queues.get(name).ok_or_else(|| self.no_queue(name))?;
                self.check_access(queue, asker)?;
            }
            DestinationName::Exchange(name) => {
                topology.exchanges.get(name).ok_or_else(|| self.no_exchange(name))?;
            }
        }
        Ok(())
    }

    /// The definition of a binding; `None` when an end is not durable.
    fn row(&self, topology: &Topology, binding: &Binding) -> Option<BindingRow> {
        let (destination, destination_is_queue, durable) = match &binding.destination {
            DestinationName::Queue(name) => (name, true, topology.queues.get(name)?.is_stored()),
            DestinationName::Exchange(name) => (name, false, topology.exchanges.get(name)?.spec.durable),
        };
        let durable = durable && topology.exchanges.get(&binding.source)?.spec.durable;
        durable.then(|| BindingRow {
            vhost: self.name.to_string(),
            source: binding.source.to_string(),
            destination: destination.to_string(),
            destination_is_queue,
            routing_key: binding.routing_key.to_string(),
            arguments: encoded(&binding.arguments),
        })
    }
}
