//! Whether all that a file of definitions asks for can be done here. Nothing is changed.

use hashbrown::{HashMap, HashSet};

use crate::broker::{Broker, check_vhost_name};
use crate::queue::arguments::EXCLUSIVE_SCOPE;
use crate::vhost::routing::Kind;
use crate::vhost::{
    DeclareExchange, DeclareQueue, DestinationName, PSEUDO_QUEUE, check_binding, check_exchange, check_queue,
    delay, is_reply_address, predeclared,
};

use super::document::{BindingEntry, Document, ExchangeEntry, QueueEntry};
use super::fields::Findings;

type Name<'a> = (&'a str, &'a str);

/// What there will be, as far as entries of the file name it.
pub(super) struct Checker<'a> {
    pub(super) broker: &'a Broker,
    pub(super) findings: &'a Findings,
    vhosts: HashSet<&'a str>,
    users: HashSet<&'a str>,
    /// Their types, and whether messages may wait before them.
    pub(super) exchanges: HashMap<Name<'a>, (Kind, bool)>,
    /// The users they belong to.
    pub(super) queues: HashMap<Name<'a>, Option<&'a str>>,
}

/// Says what is wrong. Returns the bindings that can be made: those whose ends are in the file or here.
pub fn check(broker: &Broker, document: &Document, findings: &Findings) -> Vec<bool> {
    let mut checker = Checker {
        broker,
        findings,
        vhosts: document.vhosts.iter().map(|vhost| &*vhost.name).collect(),
        users: document.users.iter().map(|user| &*user.name).collect(),
        exchanges: HashMap::new(),
        queues: HashMap::new(),
    };
    for vhost in &document.vhosts {
        checker.note(&vhost.place, check_vhost_name(&vhost.name));
    }
    for entry in &document.permissions {
        checker.user(&entry.place, &entry.user);
        checker.vhost(&entry.place, &entry.vhost);
    }
    for (place, row) in &document.topic_permissions {
        checker.user(place, &row.user);
        checker.vhost(place, &row.vhost);
    }
    document.vhost_limits.iter().for_each(|(place, vhost, _)| checker.vhost(place, vhost));
    document.policies.iter().for_each(|(place, row, _)| checker.vhost(place, &row.vhost));
    document.exchanges.iter().for_each(|exchange| checker.exchange(exchange));
    document.queues.iter().for_each(|queue| checker.queue(queue));
    let possible: Vec<bool> = document.bindings.iter().map(|binding| checker.binding(binding)).collect();
    checker.room(document, &possible);
    possible
}

impl<'a> Checker<'a> {
    fn note(&self, place: &str, checked: Result<(), impl std::fmt::Display>) {
        if let Err(error) = checked {
            self.findings.wrong(format!("{place}: {error}"));
        }
    }

    fn vhost(&self, place: &str, name: &str) {
        if !self.vhosts.contains(name) && self.broker.vhost(name).is_none() {
            self.findings.wrong(format!("{place}: there is no vhost '{name}', here or in the file"));
        }
    }

    fn user(&self, place: &str, name: &str) {
        if !self.users.contains(name) && self.broker.authority.user(name).is_none() {
            self.findings.wrong(format!("{place}: there is no user '{name}', here or in the file"));
        }
    }

    fn exchange(&mut self, entry: &'a ExchangeEntry) {
        self.vhost(&entry.place, &entry.vhost);
        if predeclared(&entry.name).is_some() {
            return;
        }
        if entry.name.starts_with("amq.") && self.kind_of(&entry.vhost, &entry.name).is_none() {
            self.findings.wrong(format!(
                "{}: exchange name '{}' contains reserved prefix 'amq.*'",
                entry.place, entry.name
            ));
            return;
        }
        match check_exchange(&entry.vhost, &entry.declaration()) {
            Ok(checked) => drop(self.exchanges.insert((&entry.vhost, &entry.name), checked)),
            Err(error) => self.findings.wrong(format!("{}: {}", entry.place, error.text)),
        }
    }

    fn queue(&mut self, entry: &'a QueueEntry) {
        self.vhost(&entry.place, &entry.vhost);
        if let Some(owner) = &entry.owner_user {
            self.user(&entry.place, owner);
        }
        let name = &*entry.name;
        let refused = match name {
            "" => Some("a queue needs a name".to_owned()),
            _ if delay::is_queue_name(name) || name == PSEUDO_QUEUE || is_reply_address(name) => {
                Some(format!("queues of the broker's own are called so: '{name}'"))
            }
            _ if entry.arguments.contains(EXCLUSIVE_SCOPE) && entry.owner_user.is_none() => Some(format!(
                "\"owner_user\" is missing: '{EXCLUSIVE_SCOPE}' is for queues that belong to a user"
            )),
            _ => check_queue(&entry.vhost, &entry.declaration()).err().map(|error| error.text),
        };
        match refused {
            Some(why) => self.findings.wrong(format!("{}: {why}", entry.place)),
            None => {
                self.queues.entry((&entry.vhost, name)).or_insert(entry.owner_user.as_deref());
            }
        }
    }

    fn binding(&self, entry: &'a BindingEntry) -> bool {
        self.vhost(&entry.place, &entry.vhost);
        let vhost = &*entry.vhost;
        // To the default exchange every queue is bound already, and nothing else can be.
        if entry.source.is_empty() {
            return false;
        }
        let Some(kind) = self.kind_of(vhost, &entry.source) else {
            return self.leave_out(entry, "exchange", &entry.source);
        };
        self.note(
            &entry.place,
            check_binding(kind, &entry.routing_key, &entry.arguments).map_err(|error| error.0),
        );
        match &entry.destination {
            DestinationName::Queue(name) if !self.has_queue(vhost, name) => {
                self.leave_out(entry, "queue", name)
            }
            DestinationName::Exchange(name) if self.kind_of(vhost, name).is_none() => {
                self.leave_out(entry, "exchange", name)
            }
            _ => true,
        }
    }

    /// RabbitMQ writes bindings of internal exchanges, and not the exchanges.
    fn leave_out(&self, entry: &BindingEntry, what: &str, name: &str) -> bool {
        self.findings.warn(format!(
            "{}: left out, for there is no {what} '{name}' in vhost '{}', here or in the file (RabbitMQ exports no \
             internal exchanges)",
            entry.place, entry.vhost
        ));
        false
    }

    fn kind_of(&self, vhost: &str, exchange: &str) -> Option<Kind> {
        let here = || self.broker.vhost(vhost)?.exchange(exchange).ok().map(|spec| spec.kind);
        self.exchanges
            .get(&(vhost, exchange))
            .map(|&(kind, _)| kind)
            .or_else(here)
            .or_else(|| predeclared(exchange))
    }

    fn has_queue(&self, vhost: &str, queue: &str) -> bool {
        let here = || self.broker.vhost(vhost).is_some_and(|vhost| vhost.queue(queue).is_ok());
        self.queues.contains_key(&(vhost, queue)) || here()
    }
}

impl ExchangeEntry {
    pub fn declaration(&self) -> DeclareExchange<'_> {
        DeclareExchange {
            name: &self.name,
            kind: &self.kind,
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal,
            arguments: &self.arguments,
        }
    }
}

impl QueueEntry {
    pub fn declaration(&self) -> DeclareQueue<'_> {
        DeclareQueue {
            name: &self.name,
            durable: self.durable,
            exclusive: self.owner_user.is_some(),
            auto_delete: self.auto_delete,
            arguments: &self.arguments,
        }
    }
}
