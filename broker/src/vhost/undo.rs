//! Taking out of memory what the definitions refused: a queue whose owner was deleted meanwhile, say.
//!
//! Memory runs ahead of the disk, and nearly always the disk agrees. Where it does not, the thing leaves memory
//! before anybody is told that it is there.

use crate::definitions::{BindingRow, Change, ExchangeRow, QueueRow, Ticket};

use super::Vhost;
use super::exchange::{Binding, DestinationName};
use super::recovery::arguments_of;

/// The vhost in which a rejected change has to be undone.
pub fn vhost_of(change: &Change) -> Option<&str> {
    match change {
        Change::PutQueue(row) => Some(&row.vhost),
        Change::PutExchange(row) => Some(&row.vhost),
        Change::PutBinding(row) => Some(&row.vhost),
        _ => None,
    }
}

impl Vhost {
    /// Undoes a change of this vhost that was rejected. What has changed again since stays.
    pub fn undo(&self, ticket: Ticket, change: &Change) {
        match change {
            Change::PutQueue(row) => self.undo_queue(row),
            Change::PutExchange(row) => self.undo_exchange(ticket, row),
            Change::PutBinding(row) => self.undo_binding(row),
            _ => {}
        }
    }

    fn undo_queue(&self, row: &QueueRow) {
        let queue = self.read().queues.get(row.name.as_str()).filter(|q| q.spec.id.0 == row.id).cloned();
        if let Some(queue) = queue {
            self.drop_queue(&queue, false);
        }
    }

    fn undo_exchange(&self, ticket: Ticket, row: &ExchangeRow) {
        let mut topology = self.topology.write();
        if topology.exchanges.get(row.name.as_str()).is_some_and(|x| x.spec.ticket == Some(ticket)) {
            let mut cascade = topology.remove_exchange(&row.name);
            self.changed();
            self.submit(self.cascade_changes(&mut topology, &mut cascade));
            drop(topology);
        }
    }

    fn undo_binding(&self, row: &BindingRow) {
        let Ok(arguments) = arguments_of("a binding", &row.arguments) else { return };
        let destination = row.destination.as_str().into();
        let binding = Binding {
            source: row.source.as_str().into(),
            destination: match row.destination_is_queue {
                true => DestinationName::Queue(destination),
                false => DestinationName::Exchange(destination),
            },
            routing_key: row.routing_key.as_str().into(),
            arguments,
        };
        let mut topology = self.topology.write();
        if let Some(mut cascade) = topology.unbind(&binding) {
            self.changed();
            self.submit(self.cascade_changes(&mut topology, &mut cascade));
            drop(topology);
        }
    }
}
