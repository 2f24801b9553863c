//! Class basic (AMQP 0-9-1 §1.8), but for publish, which `connection/publish.rs` handles.

use std::sync::Arc;

use crate::amqp::{self, ReplyCode};
use crate::auth::Access;
use crate::connection::channel::{Channel, ReplyTo, Subscription};
use crate::connection::context::Context;
use crate::connection::names;
use crate::connection::settle::{self, Verdict};
use crate::error::AmqpError;
use crate::queue::{ConsumeError, Consumer, ConsumerOptions, Fetched, Queue, QueueType};
use crate::unacked::UnackedDelivery;
use crate::vhost::{PSEUDO_QUEUE, ReplyConsumer};

/// `basic.qos`: per consumer for consumers to come, or with global shared by the channel (as RabbitMQ reads it).
pub fn qos(cx: &mut Context, ch: &mut Channel, qos: &amqp::basic::Qos) -> Result<(), AmqpError> {
    if qos.global {
        if let Some(out) = cx.outbox.lock().channel(ch.id) {
            out.prefetch_global = u32::from(qos.prefetch_count);
            out.prefetch_size_global = u64::from(qos.prefetch_size);
        }
    } else {
        ch.prefetch = u32::from(qos.prefetch_count);
        ch.prefetch_size = u64::from(qos.prefetch_size);
    }
    cx.send(ch.id, amqp::basic::QosOk);
    if qos.global {
        settle::resume_all(cx, ch);
    }
    Ok(())
}

/// `basic.consume`
pub fn consume(cx: &mut Context, ch: &mut Channel, consume: amqp::basic::Consume) -> Result<(), AmqpError> {
    let name = names::queue(ch, &consume.queue)?.into_owned();
    if name == PSEUDO_QUEUE {
        return consume_replies(cx, ch, consume);
    }
    cx.check(Access::Read, "queue", &name)?;
    let queue = cx.vhost.queue_for(&name, cx.asker())?;
    let tag = match &*consume.consumer_tag {
        "" => names::generated_consumer_tag().into(),
        _ => consume.consumer_tag,
    };
    check_is_new(ch, &tag)?;
    let priority = priority(cx, &name, &consume.arguments)?;
    check_arguments(cx, &queue, &consume.arguments)?;
    warn_of_arguments_without_effect(cx, &name, &consume.arguments);
    let options = ConsumerOptions {
        tag: tag.clone(),
        channel: ch.id,
        no_ack: consume.no_ack,
        exclusive: consume.exclusive,
        no_local: consume.no_local,
        wants_cancel: cx.capabilities.consumer_cancel_notify,
        prefetch: ch.prefetch,
        prefetch_size: ch.prefetch_size,
        priority,
        arguments: consume.arguments,
    };
    let consumer = Arc::new(Consumer::new(cx.outbox.clone(), options));
    let outbox = cx.outbox.clone();
    let announce = || {
        if !consume.no_wait {
            let ok = amqp::basic::ConsumeOk { consumer_tag: tag.clone() };
            amqp::write_method(&mut outbox.lock().output.frames, ch.id, &ok.into());
        }
    };
    queue.consume(&consumer, announce, &mut cx.wakes).map_err(|error| match error {
        ConsumeError::Deleted => cx.vhost.no_queue(&name),
        ConsumeError::ExclusiveUse => {
            AmqpError::access_refused(format!("queue '{name}' in vhost '{}' in exclusive use", cx.vhost.name))
        }
    })?;
    // Those whose queues were deleted are of no use any more; looked for when the map would have to grow.
    if ch.consumers.len() == ch.consumers.capacity() {
        ch.consumers.retain(|_, known| !known.consumer.is_cancelled());
    }
    if !consumer.no_ack {
        cx.watch_acknowledgements(&queue);
    }
    ch.consumers.insert(tag, Subscription { consumer, queue });
    Ok(())
}

fn check_is_new(ch: &Channel, tag: &str) -> Result<(), AmqpError> {
    let is_known = ch.consumers.get(tag).is_some_and(|known| !known.consumer.is_cancelled());
    if is_known || ch.reply.as_ref().is_some_and(|reply| *reply.tag == *tag) {
        return Err(AmqpError::connection(
            ReplyCode::NotAllowed,
            format!("attempt to reuse consumer tag '{tag}'"),
        ));
    }
    Ok(())
}

/// Direct reply-to: the channel gets an address for replies (RabbitMQ's extension).
fn consume_replies(
    cx: &mut Context,
    ch: &mut Channel,
    consume: amqp::basic::Consume,
) -> Result<(), AmqpError> {
    let tag: Box<str> = match &*consume.consumer_tag {
        "" => names::generated_consumer_tag().into(),
        _ => consume.consumer_tag,
    };
    check_is_new(ch, &tag)?;
    if ch.reply.is_some() {
        return Err(AmqpError::precondition_failed("reply consumer already set"));
    }
    if !consume.no_ack {
        return Err(AmqpError::precondition_failed("reply consumer cannot acknowledge"));
    }
    let address = names::generated_reply_address();
    let consumer = ReplyConsumer { outbox: cx.outbox.clone(), channel: ch.id, tag: tag.clone() };
    cx.vhost.replies.add(&address, consumer);
    if !consume.no_wait {
        cx.send(ch.id, amqp::basic::ConsumeOk { consumer_tag: tag.clone() });
    }
    ch.reply = Some(ReplyTo { address, tag });
    Ok(())
}

/// `x-priority`, 0 if it is not set.
fn priority(cx: &Context, queue: &str, arguments: &amqp::FieldTable) -> Result<i32, AmqpError> {
    let Some(value) = arguments.get("x-priority") else { return Ok(0) };
    match value.as_i64() {
        Some(number) => Ok(number.clamp(i32::MIN.into(), i32::MAX.into()) as i32),
        None => Err(AmqpError::precondition_failed(format!(
            "invalid arg 'x-priority' for queue '{queue}' in vhost '{}': \"expected integer, got {}\"",
            cx.vhost.name,
            value.type_name()
        ))),
    }
}

/// Arguments for mirrored queues and for streams have no effect here, and have to be right even so.
fn check_arguments(cx: &Context, queue: &Queue, arguments: &amqp::FieldTable) -> Result<(), AmqpError> {
    let invalid = |name: &str, why: String| {
        let (queue, vhost) = (queue.name(), &cx.vhost.name);
        Err(AmqpError::precondition_failed(format!(
            "invalid arg '{name}' for queue '{queue}' in vhost '{vhost}'{why}"
        )))
    };
    if let Some(value) = arguments.get("x-cancel-on-ha-failover").filter(|value| value.as_bool().is_none()) {
        return invalid("x-cancel-on-ha-failover", format!(": {{unacceptable_type,{}}}", value.type_name()));
    }
    if arguments.contains("x-stream-offset") {
        return invalid("x-stream-offset", format!(" of queue type {}", queue.spec.parsed.kind.module()));
    }
    Ok(())
}

fn warn_of_arguments_without_effect(cx: &Context, queue: &str, arguments: &amqp::FieldTable) {
    let unknown: Vec<&str> =
        arguments.iter().map(|(name, _)| name).filter(|name| *name != "x-priority").collect();
    if !unknown.is_empty() && cx.broker.client_log.admits(cx.peer) {
        tracing::warn!(
            queue,
            vhost = &*cx.vhost.name,
            user = cx.user.name(),
            "consumed with arguments that have no effect here: {}",
            unknown.join(", ")
        );
    }
}

/// `basic.cancel`: unknown tags are no error; messages already handed out stay handed out.
pub fn cancel(cx: &mut Context, ch: &mut Channel, cancel: &amqp::basic::Cancel) -> Result<(), AmqpError> {
    if let Some(subscription) = ch.consumers.remove(&cancel.consumer_tag) {
        unsubscribe(cx, &subscription);
    } else if let Some(reply) = ch.reply.take_if(|reply| reply.tag == cancel.consumer_tag) {
        cx.vhost.replies.remove(&reply.address);
    }
    if !cancel.no_wait {
        cx.send(ch.id, amqp::basic::CancelOk { consumer_tag: cancel.consumer_tag.clone() });
    }
    Ok(())
}

/// Takes a consumer off its queue; an auto-delete queue goes with its last one.
pub fn unsubscribe(cx: &mut Context, subscription: &Subscription) {
    subscription.consumer.set_cancelled();
    if subscription.queue.cancel(&subscription.consumer, &mut cx.wakes) {
        drop_unused(cx, &subscription.queue);
    }
}

/// Deletes an auto-delete queue, unless somebody has subscribed to it meanwhile.
pub fn drop_unused(cx: &mut Context, queue: &Arc<Queue>) {
    if let Some(done) = cx.vhost.drop_queue(queue, true) {
        cx.finish(done);
        cx.own_queues.remove(queue.name());
    }
}

/// A quorum queue with a single active consumer is for that one alone (as in RabbitMQ).
fn check_may_get(cx: &Context, queue: &Queue) -> Result<(), AmqpError> {
    let parsed = &queue.spec.parsed;
    if parsed.kind != QueueType::Quorum || !parsed.single_active_consumer {
        return Ok(());
    }
    Err(AmqpError::resource_locked(format!(
        "cannot obtain access to locked queue '{}' in vhost '{}'. basic.get operations are not supported by quorum \
         queues with single active consumer",
        queue.name(),
        cx.vhost.name
    )))
}

/// `basic.get`
pub fn get(cx: &mut Context, ch: &mut Channel, get: &amqp::basic::Get) -> Result<(), AmqpError> {
    let name = names::queue(ch, &get.queue)?.into_owned();
    cx.check(Access::Read, "queue", &name)?;
    let queue = cx.vhost.queue_for(&name, cx.asker())?;
    check_may_get(cx, &queue)?;
    let (entry, left) = match queue.get(&cx.outbox, &mut cx.wakes) {
        Fetched::Message(entry, left) => (entry, left),
        Fetched::Empty => {
            cx.send(ch.id, amqp::basic::GetEmpty);
            return Ok(());
        }
        Fetched::Loading => {
            cx.waiting_get = Some((ch.id, get.clone()));
            return Ok(());
        }
        Fetched::Unreadable => {
            return Err(AmqpError::connection(
                ReplyCode::InternalError,
                format!("cannot read the next message of queue '{name}' from disk: see the broker's log"),
            ));
        }
    };
    let too_small = {
        let out = cx.outbox.lock();
        let message = entry.message.as_ref().filter(|message| !out.takes(message));
        message.map(|message| out.too_small_for(&name, message))
    };
    if let Some(error) = too_small {
        queue.requeue(std::iter::once(entry), &mut cx.wakes);
        return Err(error);
    }
    if !get.no_ack {
        cx.watch_acknowledgements(&queue);
    }
    let counted = queue.counted_properties(&entry);
    let settled = {
        let mut out = cx.outbox.lock();
        // A count for which there is no room is left out.
        let counted = counted.filter(|properties| out.fits(properties.len()));
        if cx.vhost.is_traced() {
            cx.wakes.trace(&queue, &entry, counted.as_deref(), (cx.id, ch.id));
        }
        out.deliver_get(ch.id, &queue, entry, left as u32, get.no_ack, counted.as_deref())
    };
    if let Some(entry) = settled {
        queue.settle_fetched(&entry);
    }
    cx.pause_if_unread();
    Ok(())
}

/// `basic.ack`
pub fn ack(cx: &mut Context, ch: &mut Channel, ack: &amqp::basic::Ack) -> Result<(), AmqpError> {
    settle::settle(cx, ch, ack.delivery_tag, ack.multiple, Verdict::Gone)
}

/// `basic.reject`
pub fn reject(cx: &mut Context, ch: &mut Channel, reject: &amqp::basic::Reject) -> Result<(), AmqpError> {
    settle::settle(cx, ch, reject.delivery_tag, false, verdict(reject.requeue))
}

/// `basic.nack` (RabbitMQ's extension)
pub fn nack(cx: &mut Context, ch: &mut Channel, nack: &amqp::basic::Nack) -> Result<(), AmqpError> {
    settle::settle(cx, ch, nack.delivery_tag, nack.multiple, verdict(nack.requeue))
}

fn verdict(requeue: bool) -> Verdict {
    if requeue { Verdict::Requeue } else { Verdict::Rejected }
}

/// `basic.recover`: everything unacknowledged on the channel is delivered again, to anybody with requeue, to
/// the same consumer without. What the consumer's connection has no room for, or whose body is only on disk,
/// goes back to the queue all the same.
pub fn recover(cx: &mut Context, ch: &mut Channel, requeue: bool, answer: bool) -> Result<(), AmqpError> {
    let taken = cx.outbox.lock().channel(ch.id).map(|out| out.unacked.take_all()).unwrap_or_default();
    if answer {
        cx.send(ch.id, amqp::basic::RecoverOk);
    }
    if requeue {
        settle::apply(&mut cx.wakes, taken, Verdict::Requeue, true);
    } else {
        redeliver(cx, taken);
    }
    settle::resume_all(cx, ch);
    Ok(())
}

fn redeliver(cx: &mut Context, taken: Vec<UnackedDelivery>) {
    let (same, others): (Vec<_>, Vec<_>) =
        taken.into_iter().partition(|d| d.consumer.as_ref().is_some_and(|consumer| !consumer.is_cancelled()));
    // A quorum queue counts: as if they had come back.
    let (counted, same): (Vec<_>, Vec<_>) =
        same.into_iter().partition(|d| d.queue.spec.parsed.kind == QueueType::Quorum);
    let mut back = others;
    back.extend(counted);
    let mut out = cx.outbox.lock();
    for mut delivery in same {
        let Some(consumer) = &delivery.consumer else { continue };
        if delivery.entry.message.is_none() || cx.outbox.is_full(&out) {
            back.push(delivery);
            continue;
        }
        consumer.settled(1, u64::from(delivery.entry.body_len));
        delivery.entry.redelivered = true;
        if cx.vhost.is_traced() {
            cx.wakes.trace(&delivery.queue, &delivery.entry, None, (cx.id, consumer.channel));
        }
        out.deliver(consumer, &delivery.queue, delivery.entry, None);
    }
    drop(out);
    settle::apply(&mut cx.wakes, back, Verdict::Requeue, true);
}
