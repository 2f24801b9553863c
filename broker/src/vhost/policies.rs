//! Policies of a vhost: kept here, and put on its queues and exchanges.
//!
//! A change first becomes what new things get, and is then put on those that are there, one after the other; so none
//! is missed. `changes` keeps two changes from overtaking each other. What is new reads the policies under the
//! topology's write lock, so whoever lists the queues afterwards finds it.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::definitions::{Change, PolicyRow, Ticket};
use crate::policy::{Definition, Policy, PolicySet, Subject};
use crate::queue::Queue;

use super::Vhost;
use super::exchange::Exchange;

#[derive(Default)]
pub struct Policies {
    /// Held for a look-up. A leaf: no other lock is taken under it.
    set: RwLock<PolicySet>,
    /// Held by operators alone, for as long as a change takes. Ranks above the topology.
    changes: Mutex<()>,
}

impl Vhost {
    /// Held briefly.
    pub fn policies(&self) -> RwLockReadGuard<'_, PolicySet> {
        self.policies.set.read()
    }

    /// Adds a policy or replaces the one of the same name. In force when it returns, which may take a while where
    /// there are many queues; durable once the ticket is committed.
    pub fn set_policy(&self, policy: Policy, row: PolicyRow) -> Ticket {
        let _change = self.policies.changes.lock();
        self.policies.set.write().set(policy);
        let ticket = self.definitions.submit(Change::PutPolicy(row));
        self.apply_policies();
        ticket
    }

    /// `None` when there is no policy of that name.
    pub fn clear_policy(&self, is_operator: bool, name: &str) -> Option<Ticket> {
        let _change = self.policies.changes.lock();
        if !self.policies.set.write().clear(is_operator, name) {
            return None;
        }
        let vhost = self.name.to_string();
        let ticket =
            self.definitions.submit(Change::DeletePolicy { vhost, is_operator, name: name.to_owned() });
        self.apply_policies();
        Some(ticket)
    }

    /// What it is about gets it from `apply_policies`, when all is recovered.
    pub fn recover_policy(&self, row: &PolicyRow) {
        match Policy::new(row) {
            Ok(policy) => self.policies.set.write().set(policy),
            Err(error) => tracing::error!(
                "policy '{}' in vhost '{}' has no effect until it is set again: {error}",
                row.name,
                row.vhost
            ),
        }
    }

    /// Puts what counts now on everything that is there.
    pub fn apply_policies(&self) {
        self.apply_to_exchanges();
        let queues: Vec<Arc<Queue>> = self.read().queues.values().cloned().collect();
        for queue in queues {
            queue.set_policy(&self.policy_of_queue(&queue).limits);
        }
    }

    fn apply_to_exchanges(&self) {
        let names: Vec<Arc<str>> = self.read().exchanges.keys().cloned().collect();
        let alternates: Vec<_> =
            names.into_iter().map(|name| (self.policy_of_exchange(&name).alternate_exchange, name)).collect();
        let mut topology = self.topology.write();
        for (alternate, name) in alternates {
            if let Some(exchange) = topology.exchanges.get_mut(&name) {
                exchange.policy_alternate = alternate;
            }
        }
        self.changed();
    }

    /// For a queue that nobody can reach yet.
    pub(super) fn apply_to_new_queue(&self, queue: &Arc<Queue>) {
        if !self.policies().is_empty() {
            queue.set_policy(&self.policy_of_queue(queue).limits);
        }
    }

    /// For an exchange that was just made.
    pub(super) fn apply_to_new_exchange(&self, exchange: &mut Exchange) {
        exchange.policy_alternate = self.policy_of_exchange(&exchange.spec.name).alternate_exchange;
    }

    fn policy_of_queue(&self, queue: &Queue) -> Definition {
        let subject = Subject::Queue(queue.spec.parsed.kind);
        self.policies().matching(subject, queue.name()).definition()
    }

    /// The default exchange has none: it routes by rules of its own.
    fn policy_of_exchange(&self, name: &str) -> Definition {
        if name.is_empty() {
            return Definition::default();
        }
        self.policies().matching(Subject::Exchange, name).definition()
    }
}
