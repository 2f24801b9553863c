//! Exchanges, queues and bindings of one vhost: data and its rules. Pure apart from the queues it points at.

use std::cell::OnceCell;
use std::sync::Arc;

use hashbrown::HashMap;

use super::by_name::{ByName, Named};
use super::delay;
use super::exchange::{Binding, Bound, Destination, DestinationName, Exchange, ExchangeSpec};
use super::routing::{HashOn, InvalidBinding, Kind};
use crate::amqp::{Properties, TableView};
use crate::queue::{ByPriority, Owner, Queue, delay_ms};

#[derive(Default)]
pub struct Topology {
    pub exchanges: HashMap<Arc<str>, Exchange>,
    pub queues: ByName<Queue>,
    /// Bindings that end at a destination, so that deleting it costs no search.
    by_destination: HashMap<DestinationName, Vec<Binding>>,
    binding_count: usize,
    /// Queues that belong to a user, by user.
    pub owned: HashMap<Arc<str>, usize>,
}

impl Named for Queue {
    fn name(&self) -> &str {
        &self.spec.name
    }
}

/// A message's headers, decoded when an exchange asks for them.
pub struct LazyHeaders<'a> {
    properties: &'a [u8],
    decoded: OnceCell<TableView<'a>>,
}

impl<'a> LazyHeaders<'a> {
    pub fn new(properties: &'a [u8]) -> LazyHeaders<'a> {
        LazyHeaders { properties, decoded: OnceCell::new() }
    }

    pub fn get(&self) -> &TableView<'a> {
        self.decoded.get_or_init(|| Properties::view_headers(self.properties).unwrap_or_default())
    }
}

impl HashOn {
    fn depends_on(&self) -> DependsOn {
        match self {
            HashOn::RoutingKey => DependsOn::Address,
            HashOn::Header(_) => DependsOn::Headers,
            HashOn::MessageId | HashOn::CorrelationId | HashOn::AppId | HashOn::Timestamp => {
                DependsOn::Properties
            }
        }
    }
}

impl LazyHeaders<'_> {
    /// What a consistent-hash exchange hashes; nothing where the message does not have it.
    fn hashed(&self, on: &HashOn) -> String {
        let properties = || Properties::parse(self.properties).ok();
        let of = |text: Option<std::borrow::Cow<'_, str>>| text.map(std::borrow::Cow::into_owned);
        let hashed = match on {
            HashOn::RoutingKey => None,
            HashOn::Header(name) => self.get().get(name).and_then(|value| {
                value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|number| number.to_string()))
            }),
            HashOn::MessageId => properties().and_then(|p| of(p.message_id())),
            HashOn::CorrelationId => properties().and_then(|p| of(p.correlation_id())),
            HashOn::AppId => properties().and_then(|p| of(p.app_id())),
            HashOn::Timestamp => properties().and_then(|p| p.timestamp()).map(|at| at.to_string()),
        };
        hashed.unwrap_or_default()
    }
}

/// What routing found, besides the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routed {
    /// What the next message must have in common with this one to go to the same queues, until the topology changes.
    pub depends_on: DependsOn,
}

/// The more, the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DependsOn {
    /// Exchange and routing key.
    Address,
    /// Those, and the headers.
    Headers,
    /// Those, and any of the properties.
    Properties,
}

/// Why a message cannot even be routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteError {
    NoExchange,
    Internal,
}

/// What a deletion set in motion: auto-delete exchanges that lost their last binding.
#[derive(Default)]
pub struct Cascade {
    pub exchanges: Vec<ExchangeSpec>,
    /// Messages that waited at delayed-message exchanges among them. Long to drop when there are many: let go of the
    /// topology's lock first.
    pub remains: Vec<ByPriority>,
}

impl Topology {
    pub fn add_exchange(&mut self, spec: ExchangeSpec) -> &mut Exchange {
        let name = spec.name.clone();
        self.exchanges.entry(name).insert(Exchange::new(spec)).into_mut()
    }

    pub fn add_queue(&mut self, queue: Arc<Queue>) {
        if let Owner::User(user) = &queue.spec.owner {
            *self.owned.entry(user.clone()).or_default() += 1;
        }
        self.queues.insert(queue);
    }

    fn destination(&self, name: &DestinationName) -> Option<Destination> {
        match name {
            DestinationName::Queue(queue) => self.queues.get(queue).cloned().map(Destination::Queue),
            DestinationName::Exchange(exchange) => {
                self.exchanges.contains_key(exchange).then(|| Destination::Exchange(exchange.clone()))
            }
        }
    }

    /// Adds a binding whose ends exist. False when the same one exists already.
    pub fn bind(&mut self, binding: Binding) -> Result<bool, InvalidBinding> {
        let Some(destination) = self.destination(&binding.destination) else { return Ok(false) };
        let Some(exchange) = self.exchanges.get_mut(&binding.source) else { return Ok(false) };
        exchange.router.check(&binding.routing_key, &binding.arguments)?;
        let bound = exchange.add(&binding);
        if bound == Bound::Same {
            return Ok(false);
        }
        if bound.alters_routes(exchange.spec.kind) {
            exchange.router.bind(&binding.routing_key, &binding.arguments, destination)?;
        }
        self.by_destination.entry_ref(&binding.destination).or_default().push(binding);
        self.binding_count += 1;
        Ok(true)
    }

    /// Removes a binding. `None` when there is none such.
    pub fn unbind(&mut self, binding: &Binding) -> Option<Cascade> {
        let destination = self.destination(&binding.destination)?;
        if !self.unbind_from_source(binding, &destination) {
            return None;
        }
        if let Some(bindings) = self.by_destination.get_mut(&binding.destination) {
            if let Some(at) = bindings.iter().position(|b| b == binding) {
                bindings.swap_remove(at);
            }
            if bindings.is_empty() {
                self.by_destination.remove(&binding.destination);
            }
        }
        let mut cascade = Cascade::default();
        if self.is_unused(&binding.source) {
            self.remove_exchanges(vec![binding.source.clone()], &mut cascade);
        }
        Some(cascade)
    }

    /// False when there is no such binding.
    fn unbind_from_source(&mut self, binding: &Binding, destination: &Destination) -> bool {
        let Some(exchange) = self.exchanges.get_mut(&binding.source) else { return false };
        let bound = exchange.remove(binding);
        if bound.alters_routes(exchange.spec.kind) {
            exchange.router.unbind(&binding.routing_key, &binding.arguments, destination);
        }
        self.binding_count -= usize::from(bound != Bound::Same);
        bound != Bound::Same
    }

    /// Removes a queue and every binding to it.
    pub fn remove_queue(&mut self, queue: &Arc<Queue>) -> Cascade {
        let name = &queue.spec.name;
        let mut cascade = Cascade::default();
        if !self.queues.get(name).is_some_and(|q| Arc::ptr_eq(q, queue)) {
            return cascade;
        }
        let mut unused = Vec::new();
        self.remove_bindings_to(
            &DestinationName::Queue(name.clone()),
            &Destination::Queue(queue.clone()),
            &mut unused,
        );
        self.remove_exchanges(unused, &mut cascade);
        self.queues.remove(name);
        if let Owner::User(user) = &queue.spec.owner
            && let Some(count) = self.owned.get_mut(user)
        {
            *count -= 1;
            if *count == 0 {
                self.owned.remove(user);
            }
        }
        cascade
    }

    /// Removes an exchange with the bindings from it and to it.
    pub fn remove_exchange(&mut self, name: &str) -> Cascade {
        let mut cascade = Cascade::default();
        self.remove_exchanges(vec![name.into()], &mut cascade);
        cascade
    }

    /// A chain of auto-delete exchanges may be of any length: no recursion.
    fn remove_exchanges(&mut self, mut names: Vec<Arc<str>>, cascade: &mut Cascade) {
        while let Some(name) = names.pop() {
            let Some(exchange) = self.exchanges.remove(&name) else { continue };
            self.forget_bindings_from(&exchange);
            cascade.exchanges.push(exchange.spec);
            let to = DestinationName::Exchange(name.clone());
            self.remove_bindings_to(&to, &Destination::Exchange(name), &mut names);
        }
    }

    fn forget_bindings_from(&mut self, exchange: &Exchange) {
        self.binding_count -= exchange.bindings().count();
        for destination in exchange.destinations() {
            if let Some(bindings) = self.by_destination.get_mut(destination) {
                bindings.retain(|binding| binding.source != exchange.spec.name);
                if bindings.is_empty() {
                    self.by_destination.remove(destination);
                }
            }
        }
    }

    /// Auto-delete exchanges that lost their last binding are added to `unused`.
    fn remove_bindings_to(
        &mut self,
        name: &DestinationName,
        destination: &Destination,
        unused: &mut Vec<Arc<str>>,
    ) {
        for binding in self.by_destination.remove(name).unwrap_or_default() {
            self.unbind_from_source(&binding, destination);
            if self.is_unused(&binding.source) {
                unused.push(binding.source);
            }
        }
    }

    fn is_unused(&self, name: &str) -> bool {
        self.exchanges.get(name).is_some_and(|x| x.spec.auto_delete && x.had_binding && !x.has_bindings())
    }

    /// Bindings of all exchanges.
    pub fn binding_count(&self) -> usize {
        self.binding_count
    }

    /// Whether it is a queue that goes with its connection.
    pub fn is_of_connection(&self, name: &DestinationName) -> bool {
        let DestinationName::Queue(name) = name else { return false };
        self.queues.get(name).is_some_and(|queue| matches!(queue.spec.owner, Owner::Connection(_)))
    }

    /// Whether there is this very binding.
    pub fn is_bound(&self, binding: &Binding) -> bool {
        self.bindings_to(&binding.destination).contains(binding)
    }

    /// Whether anything is bound to the exchange as a source.
    pub fn bindings_to(&self, name: &DestinationName) -> &[Binding] {
        self.by_destination.get(name).map_or(&[], Vec::as_slice)
    }

    /// Collects the queues that a message goes to by all its routing keys, each once. Its own key comes first, those of
    /// CC and BCC behind it: every exchange on the way sees all of them.
    pub fn route(
        &self,
        exchange: &str,
        routing_keys: &[&str],
        headers: &LazyHeaders<'_>,
        queues: &mut Vec<Arc<Queue>>,
    ) -> Result<Routed, RouteError> {
        if exchange.is_empty() {
            self.address(routing_keys, queues);
            return Ok(Routed { depends_on: DependsOn::Address });
        }
        let first = self.exchanges.get(exchange).ok_or(RouteError::NoExchange)?;
        if first.spec.internal {
            return Err(RouteError::Internal);
        }
        Ok(self.walk(&first.spec.name, routing_keys, headers, queues))
    }

    /// The queue that a routing key on the default exchange is the name of.
    #[inline]
    pub fn addressed(&self, name: &str) -> Option<&Arc<Queue>> {
        self.queues.get(name).filter(|queue| queue.spec.owner != Owner::Broker)
    }

    /// The queues that routing keys on the default exchange are the names of.
    fn address(&self, names: &[&str], queues: &mut Vec<Arc<Queue>>) {
        queues.extend(names.iter().filter_map(|name| self.addressed(name)).cloned());
        if names.len() > 1 {
            each_once(queues);
        }
    }

    /// Like `route`, for a message that has waited at the exchange as it had to.
    pub fn route_delayed(
        &self,
        exchange: &str,
        routing_keys: &[&str],
        headers: &LazyHeaders<'_>,
        queues: &mut Vec<Arc<Queue>>,
    ) -> bool {
        let Some(first) = self.exchanges.get(exchange) else { return false };
        self.walk_from(&first.spec.name, Some(&first.spec.name), routing_keys, headers, queues);
        true
    }

    /// Like `route`, for messages of the broker itself, which may go to internal exchanges. False when there is no
    /// such exchange.
    pub fn route_internal(
        &self,
        exchange: &str,
        routing_keys: &[&str],
        headers: &LazyHeaders<'_>,
        queues: &mut Vec<Arc<Queue>>,
    ) -> bool {
        let Some(first) = self.exchanges.get(exchange) else { return false };
        self.walk(&first.spec.name, routing_keys, headers, queues);
        true
    }

    fn walk<'t>(
        &'t self,
        first: &'t str,
        routing_keys: &[&str],
        headers: &LazyHeaders<'_>,
        queues: &mut Vec<Arc<Queue>>,
    ) -> Routed {
        self.walk_from(first, None, routing_keys, headers, queues)
    }

    /// `waited_at` is the exchange at which the message has waited already.
    fn walk_from<'t>(
        &'t self,
        first: &'t str,
        waited_at: Option<&'t str>,
        routing_keys: &[&str],
        headers: &LazyHeaders<'_>,
        queues: &mut Vec<Arc<Queue>>,
    ) -> Routed {
        let mut walk = Walk {
            visited: vec![first],
            waited_at,
            depends_on: DependsOn::Address,
            may_repeat: routing_keys.len() > 1,
        };
        let mut at = 0;
        while at < walk.visited.len() {
            let name = walk.visited[at];
            at += 1;
            if name.is_empty() {
                self.address(routing_keys, queues);
            } else if let Some((_, exchange)) = self.exchanges.get_key_value(name) {
                self.visit(exchange, routing_keys, headers, queues, &mut walk);
            }
        }
        if walk.may_repeat || walk.visited.len() > 1 {
            each_once(queues);
        }
        Routed { depends_on: walk.depends_on }
    }

    /// One exchange: its queues are collected, its exchanges and, where nothing matched, its alternate
    /// come next. No exchange is visited twice, so cycles are safe.
    fn visit<'t>(
        &'t self,
        exchange: &'t Exchange,
        routing_keys: &[&str],
        headers: &LazyHeaders<'_>,
        queues: &mut Vec<Arc<Queue>>,
        walk: &mut Walk<'t>,
    ) {
        if exchange.spec.delayed && walk.waited_at != Some(&*exchange.spec.name) {
            walk.depends_on(DependsOn::Headers);
            if delay_ms(headers.get()).is_some() {
                queues.extend(self.queues.get(&delay::queue_name(&exchange.spec.name)).cloned());
                return;
            }
        }
        let own_key = &routing_keys[..routing_keys.len().min(1)];
        let no_headers = TableView::default();
        let hashed;
        let hashed_key;
        let (keys, headers) = match exchange.spec.kind {
            Kind::Headers => {
                walk.depends_on(DependsOn::Headers);
                (own_key, headers.get())
            }
            Kind::ConsistentHash if exchange.hash_on != HashOn::RoutingKey => {
                walk.depends_on(exchange.hash_on.depends_on());
                hashed = headers.hashed(&exchange.hash_on);
                hashed_key = [&*hashed];
                (&hashed_key[..], &no_headers)
            }
            // One message, one place; and a fanout does not look at keys.
            Kind::ConsistentHash | Kind::Fanout => (own_key, &no_headers),
            Kind::Direct | Kind::Topic => (routing_keys, &no_headers),
        };
        walk.may_repeat |= matches!(exchange.spec.kind, Kind::Topic | Kind::Headers);
        let mut matched = false;
        let mut further: Vec<Arc<str>> = Vec::new();
        for key in keys {
            exchange.router.route(key, headers, |destination| {
                matched = true;
                match destination {
                    Destination::Queue(queue) => queues.push(queue.clone()),
                    Destination::Exchange(name) => further.push(name.clone()),
                }
            });
        }
        for name in further {
            if let Some((name, _)) = self.exchanges.get_key_value(&name) {
                walk.enqueue(name);
            }
        }
        if !matched
            && let Some((name, _)) = exchange.alternate().and_then(|name| self.exchanges.get_key_value(name))
        {
            walk.enqueue(name);
        }
    }
}

/// Drops queues that were found more than once.
fn each_once(queues: &mut Vec<Arc<Queue>>) {
    if queues.len() > 1 {
        queues.sort_unstable_by_key(|queue| Arc::as_ptr(queue) as usize);
        queues.dedup_by(|a, b| Arc::ptr_eq(a, b));
    }
}

struct Walk<'t> {
    visited: Vec<&'t str>,
    waited_at: Option<&'t str>,
    depends_on: DependsOn,
    may_repeat: bool,
}

impl<'t> Walk<'t> {
    fn depends_on(&mut self, what: DependsOn) {
        self.depends_on = self.depends_on.max(what);
    }

    fn enqueue(&mut self, name: &'t str) {
        if !self.visited.contains(&name) {
            self.visited.push(name);
        }
    }
}
