//! The publish path: a complete message is checked, routed, enqueued, and returned or confirmed.

use std::sync::Arc;

use crate::amqp::{self, Properties, ReplyCode};
use crate::auth::Access;
use crate::error::AmqpError;
use crate::firehose::{Event, Original};
use crate::message::{Facts, Message};
use crate::queue::{Publish, Queue};
use crate::store::{Round, StoreFailure};
use crate::vhost::{DependsOn, LazyHeaders, PSEUDO_QUEUE, RouteError, is_reply_address};

use super::channel::Channel;
use super::checks::{Checked, check_properties};
use super::confirms::Outcome;
use super::content::Content;
use super::context::Context;
use super::routes::Route;

/// Room for so many queues is kept from one message to the next.
const FOUND_KEPT: usize = 64;

/// A message whose last frame has come: in a transaction it waits for the commit.
pub fn complete(cx: &mut Context, channel: &mut Channel, content: Content) -> Result<(), AmqpError> {
    hold_if_alarmed(cx);
    if let Some(transaction) = &mut channel.transaction {
        let reply_address = channel.reply.as_ref().map(|reply| &*reply.address);
        let (checked, route) = check(cx, reply_address, &content)?;
        if cx.vhost.is_traced() {
            trace(cx, channel.id, &content, checked.properties(&content), &route);
        }
        return transaction.publish(cx, content);
    }
    let prepared = prepare(cx, channel.reply_address(), content)?;
    if cx.vhost.is_traced() {
        trace(cx, channel.id, &prepared.content, prepared.content.properties(), &prepared.route);
    }
    let outcome = publish(cx, channel.id, prepared);
    if let Outcome::Waits(_) = outcome
        && let Some(failure) = cx.broker.store.failure()
    {
        // Who publishes without confirms must not go on believing that it is stored either.
        return Err(store_failed(&failure));
    }
    if let Some(confirms) = &mut channel.confirms {
        confirms.published(outcome);
        channel.has_confirms = true;
    }
    Ok(())
}

/// What a channel is closed with that waits for a disk that failed.
pub fn store_failed(failure: &StoreFailure) -> AmqpError {
    AmqpError::channel(ReplyCode::InternalError, failure.to_string())
}

/// What has come is still taken; nothing more is read until the alarm is over.
fn hold_if_alarmed(cx: &mut Context) {
    if cx.held {
        return;
    }
    let Some(alarm) = cx.broker.alarms.raised() else { return };
    cx.held = true;
    cx.traffic.set_held(true);
    if cx.capabilities.connection_blocked {
        cx.send(0, amqp::connection::Blocked { reason: alarm.reason().into() });
    }
}

/// A message that may be published, and where it goes.
pub struct Prepared {
    content: Content,
    checked: Checked,
    route: Route,
}

/// Everything that can be wrong with a message.
#[inline]
fn check(
    cx: &mut Context,
    reply_address: Option<&str>,
    content: &Content,
) -> Result<(Checked, Route), AmqpError> {
    let checked = match check_properties(cx, reply_address, content.properties()) {
        Ok(checked) => checked,
        Err(error) => return Err(worse(cx, content).unwrap_or(error)),
    };
    let route = match &checked.rewritten {
        None => route(cx, content)?,
        Some(rewritten) => route_copies(cx, content, &rewritten.more_keys)?,
    };
    Ok((checked, route))
}

/// Of two mistakes, the exchange is spoken of first (as in RabbitMQ).
#[cold]
fn worse(cx: &mut Context, content: &Content) -> Option<AmqpError> {
    route(cx, content).err()
}

/// Checks and routes one message.
#[inline]
pub fn prepare(
    cx: &mut Context,
    reply_address: Option<&str>,
    mut content: Content,
) -> Result<Prepared, AmqpError> {
    let (checked, route) = check(cx, reply_address, &content)?;
    if let Some(properties) = checked.rewritten.as_ref().and_then(|r| r.properties.as_deref()) {
        content.set_properties(properties);
    }
    Ok(Prepared { content, checked, route })
}

/// Enqueues one message; returns it to the publisher where it must.
#[inline]
pub fn publish(cx: &mut Context, channel: u16, prepared: Prepared) -> Outcome {
    let Prepared { mut content, checked, route } = prepared;
    cx.published += 1;
    let (mandatory, immediate) = (content.mandatory, content.immediate);
    let facts = Facts {
        persistent: checked.persistent,
        has_blind_copies: checked.rewritten.is_some_and(|rewritten| rewritten.has_blind_copies),
        publisher: cx.id,
    };
    let layout = content.layout();
    let message = Message::from_block(&mut content.block, layout, facts);
    cx.room = content.block;
    let mut enqueued = enqueue(cx, &route, &message, checked.expiration_ms, immediate);
    if route.is_empty() && message.exchange().is_empty() && is_reply_address(message.routing_key()) {
        let vhost = cx.vhost.clone();
        enqueued.count += usize::from(vhost.replies.deliver(message.routing_key(), &message, &mut cx.wakes));
    }
    // Return precedes ack: mandatory publishers rely on it.
    if enqueued.count == 0 && (mandatory || immediate) && !enqueued.refused {
        let no_queue = mandatory && enqueued.undeliverable == 0;
        let code = if no_queue { ReplyCode::NoRoute } else { ReplyCode::NoConsumers };
        send_back(cx, channel, &message, code);
    }
    match (enqueued.refused, enqueued.round) {
        (true, round) => Outcome::Refused(round),
        (false, Some(round)) => Outcome::Waits(round),
        (false, None) => Outcome::Done,
    }
}

/// A copy for whoever traces the vhost; before the message itself goes anywhere.
#[cold]
fn trace(cx: &mut Context, channel: u16, content: &Content, properties: &[u8], route: &Route) {
    let original = Original {
        exchange: content.exchange(),
        routing_key: content.routing_key(),
        properties,
        body: content.body_so_far(),
    };
    let event = Event::Published(route.iter().map(|queue| queue.name()).collect());
    cx.broker.trace(&cx.vhost, (cx.id, channel), &event, &original, &mut cx.wakes);
}

/// Where the message goes; the right to publish there is checked with it.
fn route(cx: &mut Context, content: &Content) -> Result<Route, AmqpError> {
    // Read before routing: a change that comes between makes the entry stale, never wrong.
    let version = cx.vhost.version();
    let revision = cx.permission_revision();
    cx.routes.refresh(version, revision);
    if content.exchange_len == 0 && cx.routes.are_too_many() {
        // Most are not remembered, and their own table is as quick.
        let (exchange, name) = content.names()?;
        check_may_publish(cx, exchange, name)?;
        return Ok(Route::To(cx.vhost.read().addressed(name).cloned()));
    }
    let address = content.address();
    if let Some(route) = cx.routes.find(address, || headers_of(content)) {
        return Ok(route);
    }
    let (exchange, routing_key) = content.names()?;
    check_may_publish(cx, exchange, routing_key)?;
    Ok(match look_up(cx, content, exchange, &[routing_key])? {
        DependsOn::Address => cx.routes.keep(address, &mut cx.found),
        DependsOn::Headers => cx.routes.keep_by_headers(address, headers_of(content), &mut cx.found),
        DependsOn::Properties => Route::take(&mut cx.found),
    })
}

/// The header table as it stands in the properties; nothing if there is none.
fn headers_of(content: &Content) -> &[u8] {
    Properties::headers_octets(content.properties()).unwrap_or_default()
}

/// Where the message goes by its own key and by those of CC and BCC; to each queue once.
fn route_copies(cx: &mut Context, content: &Content, more_keys: &[Box<str>]) -> Result<Route, AmqpError> {
    if more_keys.is_empty() {
        return route(cx, content);
    }
    let (exchange, routing_key) = content.names()?;
    let mut keys = vec![routing_key];
    keys.extend(more_keys.iter().map(|key| &**key));
    for key in &keys {
        check_may_publish(cx, exchange, key)?;
    }
    look_up(cx, content, exchange, &keys)?;
    Ok(Route::take(&mut cx.found))
}

/// Puts the queues behind these keys into `cx.found`, and says what it depends on that the next message goes there, too.
fn look_up(
    cx: &mut Context,
    content: &Content,
    exchange: &str,
    keys: &[&str],
) -> Result<DependsOn, AmqpError> {
    cx.found.clear();
    cx.found.shrink_to(FOUND_KEPT);
    let headers = LazyHeaders::new(content.properties());
    let routed = cx.vhost.read().route(exchange, keys, &headers, &mut cx.found);
    let routed = routed.map_err(|error| match error {
        RouteError::NoExchange => cx.vhost.no_exchange(exchange),
        RouteError::Internal => AmqpError::access_refused(format!(
            "cannot publish to internal exchange '{exchange}' in vhost '{}'",
            cx.vhost.name
        )),
    })?;
    Ok(routed.depends_on)
}

fn check_may_publish(cx: &mut Context, exchange: &str, routing_key: &str) -> Result<(), AmqpError> {
    if !cx.routes.is_writable(exchange) {
        cx.check(Access::Write, "exchange", exchange)?;
        cx.routes.set_writable(exchange);
    }
    if !exchange.is_empty() {
        return cx.check_topic(Access::Write, exchange, routing_key);
    }
    if cx.permission().is_some_and(|permission| permission.may_address("", routing_key)) {
        return Ok(());
    }
    Err(AmqpError::access_refused(format!(
        "write access to exchange 'amq.default' with routing key '{routing_key}' in vhost '{}' refused for user '{}'",
        cx.vhost.name,
        cx.user.name()
    )))
}

#[derive(Default)]
struct Enqueued {
    count: usize,
    /// The newest commit round that has to be durable.
    round: Option<Round>,
    refused: bool,
    /// Queues without a consumer that could take it at once (immediate).
    undeliverable: usize,
}

fn enqueue(
    cx: &mut Context,
    queues: &[Arc<Queue>],
    message: &Message,
    expiration_ms: Option<u64>,
    immediate: bool,
) -> Enqueued {
    let mut enqueued = Enqueued::default();
    cx.note_taken(queues.len());
    let is_many = queues.len() > 1;
    if is_many {
        cx.wakes.hold_burials();
    }
    for queue in queues {
        let published = match immediate {
            false => queue.publish(message, expiration_ms, &mut cx.wakes),
            true => queue.publish_immediate(message, expiration_ms, &mut cx.wakes),
        };
        match published {
            Publish::Enqueued { round } => {
                enqueued.count += 1;
                enqueued.round = enqueued.round.max(round);
                if round.is_some() {
                    // A confirm also promises that the queue itself is there after a crash.
                    cx.wait_for(
                        queue.spec.ticket.filter(|ticket| ticket.0 > cx.broker.definitions.committed()),
                    );
                }
            }
            Publish::Refused => enqueued.refused = true,
            Publish::NotNow => enqueued.undeliverable += 1,
            Publish::Deleted => {}
        }
    }
    if is_many {
        cx.wakes.bury_held();
    }
    enqueued
}

fn send_back(cx: &Context, channel: u16, message: &Message, code: ReplyCode) {
    let mut properties = message.shown_properties();
    let mut out = cx.outbox.lock();
    let frame_max = out.frame_max;
    if !out.fits(properties.len()) {
        properties = with_pseudo_address(&properties).into();
    }
    amqp::write_return(
        &mut out.output.frames,
        channel,
        code.code(),
        code.name(),
        message.exchange(),
        message.routing_key(),
    );
    amqp::write_content(&mut out.output.frames, channel, &properties, message.body(), frame_max);
}

/// As the properties came: the address for direct replies, which is longer than the name that stands for it, may be what
/// does not fit into the publisher's own frames any more.
#[cold]
fn with_pseudo_address(raw: &[u8]) -> Vec<u8> {
    let Ok(properties) = Properties::parse(raw) else { return raw.to_vec() };
    let mut asked = Vec::with_capacity(raw.len());
    match properties.reply_to() {
        Some(address) if is_reply_address(address) => {
            properties.encode_with_reply_to(PSEUDO_QUEUE, &mut asked);
        }
        _ => asked.extend_from_slice(raw),
    }
    asked
}
