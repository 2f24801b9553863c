//! Which destinations a routing key or headers lead to. Pure; `D` is whatever a binding points at.

mod consistent_hash;
mod direct;
mod fanout;
mod headers;
mod topic;

pub use consistent_hash::{HashOn, Identify, hash};
pub use headers::HeaderMatch;

use consistent_hash::ConsistentHash;
use direct::Direct;
use fanout::Fanout;
use headers::Headers;
use topic::Topic;

use crate::amqp::{FieldTable, TableView};

/// The exchange types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Direct,
    Fanout,
    Topic,
    Headers,
    ConsistentHash,
}

/// A binding that makes no sense to the exchange; the text is as clients know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidBinding(pub String);

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Direct, Kind::Fanout, Kind::Topic, Kind::Headers, Kind::ConsistentHash];

    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Direct => "direct",
            Kind::Fanout => "fanout",
            Kind::Topic => "topic",
            Kind::Headers => "headers",
            Kind::ConsistentHash => "x-consistent-hash",
        }
    }
}

/// The bindings of one exchange, arranged for looking up.
pub enum Router<D> {
    Direct(Direct<D>),
    Fanout(Fanout<D>),
    Topic(Topic<D>),
    Headers(Headers<D>),
    ConsistentHash(ConsistentHash<D>),
}

impl<D: Clone + Eq + Identify> Router<D> {
    pub fn new(kind: Kind) -> Router<D> {
        match kind {
            Kind::Direct => Router::Direct(Direct::default()),
            Kind::Fanout => Router::Fanout(Fanout::default()),
            Kind::Topic => Router::Topic(Topic::default()),
            Kind::Headers => Router::Headers(Headers::default()),
            Kind::ConsistentHash => Router::ConsistentHash(ConsistentHash::default()),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Router::Direct(_) => Kind::Direct,
            Router::Fanout(_) => Kind::Fanout,
            Router::Topic(_) => Kind::Topic,
            Router::Headers(_) => Kind::Headers,
            Router::ConsistentHash(_) => Kind::ConsistentHash,
        }
    }

    /// Whether a binding makes sense.
    pub fn check(&self, routing_key: &str, arguments: &FieldTable) -> Result<(), InvalidBinding> {
        match self {
            Router::Headers(_) => HeaderMatch::parse(arguments).map(drop),
            Router::ConsistentHash(_) => consistent_hash::weight(routing_key).map(drop),
            _ => Ok(()),
        }
    }

    /// Adds a binding; the caller makes sure that the same one is not added twice.
    pub fn bind(
        &mut self,
        routing_key: &str,
        arguments: &FieldTable,
        destination: D,
    ) -> Result<(), InvalidBinding> {
        match self {
            Router::Direct(router) => router.bind(routing_key, destination),
            Router::Fanout(router) => router.bind(destination),
            Router::Topic(router) => router.bind(routing_key, destination),
            Router::Headers(router) => router.bind(HeaderMatch::parse(arguments)?, destination),
            Router::ConsistentHash(router) => {
                router.bind(consistent_hash::weight(routing_key)?, destination);
            }
        }
        Ok(())
    }

    pub fn unbind(&mut self, routing_key: &str, arguments: &FieldTable, destination: &D) {
        match self {
            Router::Direct(router) => router.unbind(routing_key, destination),
            Router::Fanout(router) => router.unbind(destination),
            Router::Topic(router) => router.unbind(routing_key, destination),
            Router::Headers(router) => {
                if let Ok(header_match) = HeaderMatch::parse(arguments) {
                    router.unbind(&header_match, destination);
                }
            }
            Router::ConsistentHash(router) => {
                if let Ok(weight) = consistent_hash::weight(routing_key) {
                    router.unbind(weight, destination);
                }
            }
        }
    }

    /// Calls `found` for each destination; it may come up more than once when several bindings match.
    pub fn route(&self, routing_key: &str, headers: &TableView<'_>, mut found: impl FnMut(&D)) {
        match self {
            Router::Direct(router) => router.route(routing_key).iter().for_each(found),
            Router::Fanout(router) => router.route().for_each(found),
            Router::Topic(router) => router.route(routing_key, &mut found),
            Router::Headers(router) => router.route(headers).for_each(found),
            Router::ConsistentHash(router) => router.route(routing_key).into_iter().for_each(found),
        }
    }
}
