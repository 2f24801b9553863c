//! Declaring and deleting queues.

use std::sync::Arc;

use crate::amqp::FieldTable;
use crate::capacity::Full;
use crate::definitions::{Change, QueueRow, Ticket};
use crate::error::AmqpError;
use crate::queue::{Consumer, Owner, Queue, QueueArguments, QueueSpec, QueueType, arguments};
use crate::store::QueueId;

use super::topology::Topology;
use super::{Asker, Done, Vhost, encoded};

/// `queue.declare`, with the name made up where the client left it to the server.
pub struct DeclareQueue<'a> {
    pub name: &'a str,
    pub durable: bool,
    pub exclusive: bool,
    pub auto_delete: bool,
    pub arguments: &'a FieldTable,
}

/// `queue.delete`.
pub struct DeleteQueue<'a> {
    pub name: &'a str,
    pub if_unused: bool,
    pub if_empty: bool,
}

/// What `queue.delete` took away.
pub struct DeletedQueue {
    pub messages: usize,
    pub consumers: Vec<Arc<Consumer>>,
}

impl DeletedQueue {
    /// Tells the clients of its consumers, where they want to know.
    pub fn announce(&self) {
        for consumer in &self.consumers {
            consumer.announce_cancelled();
        }
    }
}

impl Vhost {
    /// Declares a queue, or confirms that the existing one is the same.
    pub fn declare_queue(
        &self,
        declare: &DeclareQueue<'_>,
        asker: Asker<'_>,
    ) -> Result<Done<Arc<Queue>>, AmqpError> {
        match self.with_default_type(declare) {
            Some(arguments) => {
                self.declare_typed_queue(&DeclareQueue { arguments: &arguments, ..*declare }, asker)
            }
            None => self.declare_typed_queue(declare, asker),
        }
    }

    /// [`Vhost::declare_queue`], whatever type queues of this vhost have whose client does not say.
    pub fn declare_typed_queue(
        &self,
        declare: &DeclareQueue<'_>,
        asker: Asker<'_>,
    ) -> Result<Done<Arc<Queue>>, AmqpError> {
        if let Some(queue) = self.topology.read().queues.get(declare.name).cloned() {
            return self.redeclare(queue, declare, asker);
        }
        let parsed = check_queue(&self.name, declare)?;
        let owner = owner(declare, &parsed, asker);
        let mut topology = self.topology.write();
        if let Some(queue) = topology.queues.get(declare.name).cloned() {
            drop(topology);
            return self.redeclare(queue, declare, asker);
        }
        self.check_owned_limit(&topology, &owner)?;
        self.check_count("queue", declare.name, topology.queues.len(), self.limits.queues_max)?;
        self.queues.check(topology.queues.len()).map_err(|Full(max)| {
            AmqpError::precondition_failed(format!(
                "cannot declare queue '{}': queue limit in vhost '{}' ({max}) is reached",
                declare.name, self.name
            ))
        })?;
        let id = QueueId(self.definitions.next_queue_id());
        let durable = is_durable(declare, &owner);
        let ticket = durable.then(|| {
            self.definitions.submit(Change::PutQueue(QueueRow {
                id: id.0,
                vhost: self.name.to_string(),
                name: declare.name.to_owned(),
                auto_delete: declare.auto_delete,
                owner: match &owner {
                    Owner::User(user) => Some(user.to_string()),
                    _ => None,
                },
                arguments: encoded(declare.arguments),
            }))
        });
        let spec = QueueSpec {
            id,
            name: declare.name.into(),
            vhost: self.name.clone(),
            durable,
            auto_delete: declare.auto_delete,
            owner,
            arguments: declare.arguments.clone(),
            parsed,
            ticket,
        };
        let queue = Queue::new(spec, self.environment.clone());
        self.apply_to_new_queue(&queue);
        self.trace_new_queue(&queue);
        topology.add_queue(queue.clone());
        self.changed();
        drop(topology);
        queue.touch();
        Ok(Done { value: queue, ticket })
    }

    fn redeclare(
        &self,
        queue: Arc<Queue>,
        declare: &DeclareQueue<'_>,
        asker: Asker<'_>,
    ) -> Result<Done<Arc<Queue>>, AmqpError> {
        self.check_access(&queue, asker)?;
        let spec = &queue.spec;
        if declare.exclusive != !matches!(spec.owner, Owner::Anyone) {
            return Err(self.locked(declare.name));
        }
        for (argument, received, current) in [
            ("durable", is_durable(declare, &spec.owner), spec.durable),
            ("auto_delete", declare.auto_delete, spec.auto_delete),
        ] {
            if received != current {
                let (received, current) = (format!("'{received}'"), format!("'{current}'"));
                return Err(arguments::inequivalent(
                    "queue",
                    declare.name,
                    &self.name,
                    argument,
                    &received,
                    &current,
                ));
            }
        }
        queue.touch();
        arguments::check_equivalent("queue", declare.name, &self.name, declare.arguments, &spec.arguments)?;
        let ticket = self.undecided(spec.ticket);
        Ok(Done { value: queue, ticket })
    }

    /// Whether there may be one more of what is declared.
    pub(super) fn check_count(
        &self,
        kind: &str,
        name: &str,
        count: usize,
        max: usize,
    ) -> Result<(), AmqpError> {
        if count < max {
            return Ok(());
        }
        Err(AmqpError::precondition_failed(format!(
            "cannot declare {kind} '{name}': {kind} limit in vhost '{}' ({max}) is reached",
            self.name
        )))
    }

    fn check_owned_limit(&self, topology: &Topology, owner: &Owner) -> Result<(), AmqpError> {
        let Owner::User(user) = owner else { return Ok(()) };
        let max = self.limits.owned_queues_per_user_max;
        if topology.owned.get(user).copied().unwrap_or(0) < max {
            return Ok(());
        }
        Err(AmqpError::precondition_failed(format!(
            "user '{user}' owns {max} queues in vhost '{}', as many as allowed; delete one first",
            self.name
        )))
    }

    /// For whoever declares a queue that is new, as often as he may write to the log.
    pub fn warn_of_arguments_without_effect(&self, queue: &Queue, user: &str) {
        tracing::warn!(
            queue = queue.name(),
            vhost = &*self.name,
            user,
            "declared with arguments that have no effect here: {}",
            queue.spec.parsed.without_effect.join(", ")
        );
    }

    /// Deletes a queue. Deleting what does not exist succeeds, with no messages.
    /// Consumers are not told yet: a client that consumes from what it deletes expects its `delete-ok` first, and
    /// `DeletedQueue::announce` after it.
    pub fn delete_queue(
        &self,
        delete: &DeleteQueue<'_>,
        asker: Asker<'_>,
    ) -> Result<Done<DeletedQueue>, AmqpError> {
        let Some(queue) = self.topology.read().queues.get(delete.name).cloned() else {
            return Ok(Done::at_once(DeletedQueue { messages: 0, consumers: Vec::new() }));
        };
        self.check_access(&queue, asker)?;
        self.delete_checked(&queue, delete)
    }

    /// Deletes a queue whoever it belongs to, for operators.
    pub fn delete_queue_of_anybody(&self, delete: &DeleteQueue<'_>) -> Result<Done<DeletedQueue>, AmqpError> {
        let done = self.delete_checked(&self.queue(delete.name)?, delete)?;
        done.value.announce();
        Ok(done)
    }

    fn delete_checked(
        &self,
        queue: &Arc<Queue>,
        delete: &DeleteQueue<'_>,
    ) -> Result<Done<DeletedQueue>, AmqpError> {
        self.take_queue(queue, |counts| {
            let refused = |why| {
                Err(AmqpError::precondition_failed(format!(
                    "queue '{}' in vhost '{}' {why}",
                    delete.name, self.name
                )))
            };
            if delete.if_unused && counts.consumers > 0 {
                return refused("in use");
            }
            if delete.if_empty && counts.ready + counts.unburied.count > 0 {
                return refused("not empty");
            }
            Ok(())
        })
    }

    /// Deletes a queue because its last consumer or its connection has gone.
    pub fn drop_queue(&self, queue: &Arc<Queue>, only_if_unused: bool) -> Option<Done<DeletedQueue>> {
        self.remove_queue(
            queue,
            |counts| if only_if_unused && counts.consumers > 0 { Err(()) } else { Ok(()) },
        )
        .ok()
    }

    fn remove_queue<E>(
        &self,
        queue: &Arc<Queue>,
        allowed: impl FnOnce(&crate::queue::QueueCounts) -> Result<(), E>,
    ) -> Result<Done<DeletedQueue>, E> {
        let done = self.take_queue(queue, allowed)?;
        done.value.announce();
        Ok(done)
    }

    fn take_queue<E>(
        &self,
        queue: &Arc<Queue>,
        allowed: impl FnOnce(&crate::queue::QueueCounts) -> Result<(), E>,
    ) -> Result<Done<DeletedQueue>, E> {
        let mut topology = self.topology.write();
        let deleted = queue.delete(allowed)?;
        let mut cascade = topology.remove_queue(queue);
        self.changed();
        let mut changes = self.cascade_changes(&mut topology, &mut cascade);
        if queue.is_stored() {
            changes.push(Change::DeleteQueue { id: queue.spec.id.0 });
        }
        let ticket: Option<Ticket> = self.submit(changes);
        drop(topology);
        // Not under the lock: there may be millions.
        drop(deleted.remains);
        Ok(Done { value: DeletedQueue { messages: deleted.messages, consumers: deleted.consumers }, ticket })
    }

    /// Deletes every queue of a vhost that was deleted; their rows went with the vhost's.
    pub fn drop_all_queues(&self) {
        let queues: Vec<Arc<Queue>> = self.topology.read().queues.values().cloned().collect();
        for queue in queues {
            self.drop_queue(&queue, false);
        }
    }

    /// Deletes a queue that nobody has used for as long as `x-expires` says, unless somebody does by now.
    pub fn drop_expired_queue(&self, queue: &Arc<Queue>) {
        let now_ms = crate::clock::now_ms();
        let expired = |counts: &crate::queue::QueueCounts| match counts.expires_at_ms {
            Some(at) if at <= now_ms => Ok(()),
            _ => Err(()),
        };
        if self.remove_queue(queue, expired).is_ok() {
            tracing::debug!(
                queue = queue.name(),
                vhost = &*self.name,
                "unused for too long (x-expires): deleted"
            );
        }
    }

    /// Deletes every queue that belongs to a user who was deleted; their rows went with the user's.
    pub fn drop_queues_of_user(&self, user: &str) -> usize {
        let queues: Vec<Arc<Queue>> = self
            .topology
            .read()
            .queues
            .values()
            .filter(|queue| matches!(&queue.spec.owner, Owner::User(owner) if **owner == *user))
            .cloned()
            .collect();
        queues.iter().filter(|queue| self.drop_queue(queue, false).is_some()).count()
    }
}

/// A queue that ends with its connection is never durable, even if declared so (as in RabbitMQ).
fn is_durable(declare: &DeclareQueue<'_>, owner: &Owner) -> bool {
    declare.durable && !matches!(owner, Owner::Connection(_))
}

/// What can be said against a new queue whatever else there is in the vhost.
pub fn check_queue(vhost: &str, declare: &DeclareQueue<'_>) -> Result<QueueArguments, AmqpError> {
    let parsed = arguments::parse(declare.name, vhost, declare.arguments)?;
    check_quorum(vhost, declare, &parsed)?;
    check_dead_letter_key(vhost, declare, &parsed)?;
    if parsed.owned_by_user && !(declare.exclusive && declare.durable) {
        return Err(AmqpError::precondition_failed(format!(
            "invalid arg 'x-exclusive-scope' for queue '{}' in vhost '{vhost}': a queue that belongs to a user is \
             declared with exclusive=true and durable=true",
            declare.name
        )));
    }
    Ok(parsed)
}

/// What a quorum queue cannot be (as in RabbitMQ).
fn check_quorum(vhost: &str, declare: &DeclareQueue<'_>, parsed: &QueueArguments) -> Result<(), AmqpError> {
    if parsed.kind != QueueType::Quorum {
        return Ok(());
    }
    let property = match (declare.durable, declare.exclusive, declare.auto_delete) {
        (_, _, true) => "auto-delete",
        (_, true, _) => "exclusive-owner",
        (false, ..) => "non-durable",
        _ => return Ok(()),
    };
    Err(AmqpError::precondition_failed(format!(
        "invalid property '{property}' for queue '{}' in vhost '{vhost}'",
        declare.name
    )))
}

/// A long string as an argument, it travels as a short one afterwards.
fn check_dead_letter_key(
    vhost: &str,
    declare: &DeclareQueue<'_>,
    parsed: &QueueArguments,
) -> Result<(), AmqpError> {
    let bytes = parsed.limits.dead_letter_routing_key.as_ref().map_or(0, |key| key.len());
    if bytes <= usize::from(u8::MAX) {
        return Ok(());
    }
    Err(AmqpError::precondition_failed(format!(
        "invalid arg 'x-dead-letter-routing-key' for queue '{}' in vhost '{vhost}': {bytes} bytes, more than the 255 \
         of a routing key",
        declare.name
    )))
}

fn owner(declare: &DeclareQueue<'_>, parsed: &QueueArguments, asker: Asker<'_>) -> Owner {
    match (parsed.owned_by_user, declare.exclusive) {
        (true, _) => Owner::User(asker.user.into()),
        (false, true) => Owner::Connection(asker.connection_id),
        (false, false) => Owner::Anyone,
    }
}
