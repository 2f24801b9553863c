//! Class queue (AMQP 0-9-1 §1.7).

use crate::amqp;
use crate::auth::Access;
use crate::connection::channel::Channel;
use crate::connection::context::Context;
use crate::connection::names;
use crate::error::AmqpError;
use crate::queue::{Owner, Queue};
use crate::vhost::{BindRequest, DeclareQueue, DeleteQueue, DestinationName, PSEUDO_QUEUE, is_reply_address};

/// `queue.declare`
pub fn declare(cx: &mut Context, ch: &mut Channel, declare: &amqp::queue::Declare) -> Result<(), AmqpError> {
    if is_reply_queue(&declare.queue) {
        return declare_reply_queue(cx, ch, declare);
    }
    let queue = if declare.passive { declare_passive(cx, declare)? } else { declare_active(cx, declare)? };
    ch.last_queue = Some(queue.name().into());
    if !declare.no_wait {
        let counts = queue.counts();
        cx.send(
            ch.id,
            amqp::queue::DeclareOk {
                queue: queue.name().into(),
                message_count: counts.ready as u32,
                consumer_count: counts.consumers as u32,
            },
        );
    }
    Ok(())
}

/// The pseudo-queue of direct replies, or the address of somebody who awaits them.
fn is_reply_queue(name: &str) -> bool {
    name == PSEUDO_QUEUE || is_reply_address(name)
}

/// Whether somebody still awaits replies is asked by declaring his address.
fn declare_reply_queue(
    cx: &mut Context,
    ch: &Channel,
    declare: &amqp::queue::Declare,
) -> Result<(), AmqpError> {
    let name = &*declare.queue;
    if is_reply_address(name) && !cx.vhost.replies.is_awaited(name) {
        return Err(cx.vhost.no_queue(name));
    }
    if !declare.no_wait {
        let queue = name.into();
        cx.send(ch.id, amqp::queue::DeclareOk { queue, message_count: 0, consumer_count: 1 });
    }
    Ok(())
}

fn declare_passive(
    cx: &mut Context,
    declare: &amqp::queue::Declare,
) -> Result<std::sync::Arc<Queue>, AmqpError> {
    let name = names::without_line_breaks(&declare.queue);
    cx.check_any("queue", &name)?;
    let queue = cx.vhost.queue_for(&name, cx.asker())?;
    queue.touch();
    cx.wait_for(cx.vhost.undecided(queue.spec.ticket));
    Ok(queue)
}

fn declare_active(
    cx: &mut Context,
    declare: &amqp::queue::Declare,
) -> Result<std::sync::Arc<Queue>, AmqpError> {
    let name = match names::without_line_breaks(&declare.queue) {
        given if given.is_empty() => names::generated_queue(),
        // Also if it is there: who got a generated name asks for it passively.
        given if given.starts_with("amq.") => {
            return Err(AmqpError::access_refused(format!(
                "queue name '{given}' contains reserved prefix 'amq.*'"
            )));
        }
        given => given.into_owned(),
    };
    cx.check(Access::Configure, "queue", &name)?;
    check_dead_letter_exchange(cx, &name, declare)?;
    // Asked only where there may be something to say: who declares many queues is not to look for each twice.
    let is_new = !declare.arguments.0.is_empty() && cx.vhost.queue(&name).is_err();
    let done = cx.vhost.declare_queue(
        &DeclareQueue {
            name: &name,
            durable: declare.durable,
            exclusive: declare.exclusive,
            auto_delete: declare.auto_delete,
            arguments: &declare.arguments,
        },
        cx.asker(),
    )?;
    let queue = cx.finish(done);
    if matches!(queue.spec.owner, Owner::Connection(_)) {
        cx.own_queues.add(queue.clone());
    }
    if is_new && !queue.spec.parsed.without_effect.is_empty() && cx.broker.client_log.admits(cx.peer) {
        cx.vhost.warn_of_arguments_without_effect(&queue, cx.user.name());
    }
    Ok(queue)
}

/// Dead-lettering publishes: whoever sets it up must be allowed to publish there. Through the default exchange
/// that means to the queue named by the key, which a user restricted to some keys must be allowed to use.
fn check_dead_letter_exchange(
    cx: &mut Context,
    queue: &str,
    declare: &amqp::queue::Declare,
) -> Result<(), AmqpError> {
    let Some(exchange) = declare.arguments.get("x-dead-letter-exchange").and_then(|value| value.as_str())
    else {
        return Ok(());
    };
    cx.check(Access::Read, "queue", queue)?;
    cx.check(Access::Write, "exchange", exchange)?;
    if !exchange.is_empty() {
        return Ok(());
    }
    let key = declare.arguments.get("x-dead-letter-routing-key").and_then(|value| value.as_str());
    let allowed = cx.permission().is_some_and(|permission| {
        permission.publish_keys.is_none() || key.is_some_and(|key| permission.may_address("", key))
    });
    if allowed {
        return Ok(());
    }
    Err(AmqpError::access_refused(format!(
        "dead-lettering from queue '{queue}' through exchange 'amq.default' in vhost '{}' refused for user '{}': \
         set an x-dead-letter-routing-key that this user may publish to",
        cx.vhost.name,
        cx.user.name()
    )))
}

/// `queue.bind`
pub fn bind(cx: &mut Context, ch: &mut Channel, bind: &amqp::queue::Bind) -> Result<(), AmqpError> {
    let (queue, routing_key) = names::queue_and_key(ch, &bind.queue, &bind.routing_key)?;
    check_binding(cx, &queue, &bind.exchange, &routing_key)?;
    let request = BindRequest {
        source: &bind.exchange,
        destination: DestinationName::Queue((*queue).into()),
        routing_key: &routing_key,
        arguments: &bind.arguments,
    };
    let done = cx.vhost.bind(&request, cx.asker())?;
    cx.finish(done);
    if !bind.no_wait {
        cx.send(ch.id, amqp::queue::BindOk);
    }
    Ok(())
}

/// `queue.unbind`
pub fn unbind(cx: &mut Context, ch: &mut Channel, unbind: &amqp::queue::Unbind) -> Result<(), AmqpError> {
    let (queue, routing_key) = names::queue_and_key(ch, &unbind.queue, &unbind.routing_key)?;
    check_binding(cx, &queue, &unbind.exchange, &routing_key)?;
    let request = BindRequest {
        source: &unbind.exchange,
        destination: DestinationName::Queue((*queue).into()),
        routing_key: &routing_key,
        arguments: &unbind.arguments,
    };
    let done = cx.vhost.unbind(&request, cx.asker())?;
    cx.finish(done);
    cx.send(ch.id, amqp::queue::UnbindOk);
    Ok(())
}

fn check_binding(cx: &mut Context, queue: &str, exchange: &str, routing_key: &str) -> Result<(), AmqpError> {
    cx.check(Access::Write, "queue", queue)?;
    cx.check(Access::Read, "exchange", exchange)?;
    cx.check_topic(Access::Read, exchange, routing_key)
}

/// `queue.purge`
pub fn purge(cx: &mut Context, ch: &mut Channel, purge: &amqp::queue::Purge) -> Result<(), AmqpError> {
    let name = names::queue(ch, &purge.queue)?;
    cx.check(Access::Read, "queue", &name)?;
    let (count, round) = cx.vhost.queue_for(&name, cx.asker())?.purge();
    // Purged messages never come back, also not after a crash right behind purge-ok.
    cx.gate_round = cx.gate_round.max(round);
    if !purge.no_wait {
        cx.send(ch.id, amqp::queue::PurgeOk { message_count: count as u32 });
    }
    Ok(())
}

/// `queue.delete`
pub fn delete(cx: &mut Context, ch: &mut Channel, delete: &amqp::queue::Delete) -> Result<(), AmqpError> {
    let name = names::queue(ch, &delete.queue)?;
    cx.check(Access::Configure, "queue", &name)?;
    let request = DeleteQueue { name: &name, if_unused: delete.if_unused, if_empty: delete.if_empty };
    let done = cx.vhost.delete_queue(&request, cx.asker())?;
    let deleted = cx.finish(done);
    cx.own_queues.remove(&name);
    if !delete.no_wait {
        cx.send(ch.id, amqp::queue::DeleteOk { message_count: deleted.messages as u32 });
    }
    deleted.announce();
    Ok(())
}
