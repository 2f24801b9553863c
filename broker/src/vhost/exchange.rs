//! Exchanges and their bindings, as one vhost holds them.

use std::sync::Arc;

use hashbrown::HashMap;

use super::delay::DELAYED;
use super::routing::{HashOn, Identify, Kind, Router, hash};
use crate::amqp::FieldTable;
use crate::definitions::Ticket;
use crate::queue::Queue;

/// How an exchange was declared.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeSpec {
    pub name: Arc<str>,
    pub kind: Kind,
    /// Messages with `x-delay` wait before they are routed.
    pub delayed: bool,
    pub durable: bool,
    pub auto_delete: bool,
    pub internal: bool,
    pub arguments: FieldTable,
    /// The commit of its definition.
    pub ticket: Option<Ticket>,
}

impl ExchangeSpec {
    /// The argument for where messages go that this exchange routes nowhere.
    pub fn alternate(&self) -> Option<&str> {
        self.arguments.get("alternate-exchange").and_then(|value| value.as_str())
    }

    /// The type that it was declared with.
    pub fn type_name(&self) -> &'static str {
        if self.delayed && self.arguments.contains("x-delayed-type") { DELAYED } else { self.kind.name() }
    }

    /// Made by the broker itself; cannot be deleted.
    pub fn is_predeclared(&self) -> bool {
        self.name.is_empty() || self.name.starts_with("amq.")
    }
}

/// What a binding points at, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DestinationName {
    Queue(Arc<str>),
    Exchange(Arc<str>),
}

/// What a binding points at, ready to be used.
#[derive(Clone)]
pub enum Destination {
    Queue(Arc<Queue>),
    Exchange(Arc<str>),
}

impl PartialEq for Destination {
    fn eq(&self, other: &Destination) -> bool {
        match (self, other) {
            (Destination::Queue(a), Destination::Queue(b)) => Arc::ptr_eq(a, b),
            (Destination::Exchange(a), Destination::Exchange(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Destination {}

impl Identify for Destination {
    fn identity(&self) -> u64 {
        match self {
            Destination::Queue(queue) => hash(format!("queue {}", queue.name()).as_bytes()),
            Destination::Exchange(name) => hash(format!("exchange {name}").as_bytes()),
        }
    }
}

/// One binding, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    pub source: Arc<str>,
    pub destination: DestinationName,
    pub routing_key: Box<str>,
    pub arguments: FieldTable,
}

/// How a binding stands to those with the same destination and routing key, which differ in arguments only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Nothing was changed.
    Same,
    /// There is no other.
    Alone,
    /// There are others.
    Besides,
}

impl Bound {
    /// Whether routing changes: but for headers exchanges, arguments do not matter to it.
    pub fn alters_routes(self, kind: Kind) -> bool {
        self == Bound::Alone || (self == Bound::Besides && kind == Kind::Headers)
    }
}

pub struct Exchange {
    pub spec: ExchangeSpec,
    pub router: Router<Destination>,
    /// What a consistent-hash exchange hashes.
    pub hash_on: HashOn,
    /// By destination and routing key, the arguments of each binding between them.
    bindings: HashMap<(DestinationName, Box<str>), Vec<FieldTable>>,
    /// Something was bound once; auto-delete waits for the first.
    pub had_binding: bool,
    /// From a policy.
    pub policy_alternate: Option<Arc<str>>,
}

impl Exchange {
    pub fn new(spec: ExchangeSpec) -> Exchange {
        let router = Router::new(spec.kind);
        // Checked when it was declared.
        let hash_on = HashOn::parse(&spec.arguments).unwrap_or_default();
        Exchange {
            spec,
            router,
            hash_on,
            bindings: HashMap::new(),
            had_binding: false,
            policy_alternate: None,
        }
    }

    /// Where messages go that this exchange routes nowhere: its argument counts before a policy, as in RabbitMQ.
    pub fn alternate(&self) -> Option<&str> {
        self.spec.alternate().or(self.policy_alternate.as_deref())
    }

    pub fn has_bindings(&self) -> bool {
        !self.bindings.is_empty()
    }

    /// Adds the binding unless it exists.
    pub fn add(&mut self, binding: &Binding) -> Bound {
        let key = (binding.destination.clone(), binding.routing_key.clone());
        let existing = self.bindings.entry(key).or_default();
        if existing.contains(&binding.arguments) {
            return Bound::Same;
        }
        existing.push(binding.arguments.clone());
        self.had_binding = true;
        if existing.len() == 1 { Bound::Alone } else { Bound::Besides }
    }

    /// Removes the binding, `Same` as which there may be none.
    pub fn remove(&mut self, binding: &Binding) -> Bound {
        let key = (binding.destination.clone(), binding.routing_key.clone());
        let Some(existing) = self.bindings.get_mut(&key) else { return Bound::Same };
        let Some(at) = existing.iter().position(|arguments| *arguments == binding.arguments) else {
            return Bound::Same;
        };
        existing.swap_remove(at);
        if !existing.is_empty() {
            return Bound::Besides;
        }
        self.bindings.remove(&key);
        Bound::Alone
    }

    /// What it is bound to, once for each routing key.
    pub fn destinations(&self) -> impl Iterator<Item = &DestinationName> {
        self.bindings.keys().map(|(destination, _)| destination)
    }

    pub fn bindings(&self) -> impl Iterator<Item = Binding> + '_ {
        self.bindings.iter().flat_map(|((destination, routing_key), each)| {
            each.iter().map(|arguments| Binding {
                source: self.spec.name.clone(),
                destination: destination.clone(),
                routing_key: routing_key.clone(),
                arguments: arguments.clone(),
            })
        })
    }
}
