//! Methods as tests write them: what is not named has the value that tests nearly always want.

use broker::amqp::{BasicProperties, FieldTable, basic, exchange, queue};

pub fn declare(queue: &str) -> queue::Declare {
    queue::Declare { queue: queue.into(), ..Default::default() }
}

pub fn declare_durable(queue: &str) -> queue::Declare {
    queue::Declare { durable: true, ..declare(queue) }
}

pub fn declare_with<const N: usize>(
    queue: &str,
    arguments: [(&str, broker::amqp::FieldValue); N],
) -> queue::Declare {
    queue::Declare { arguments: FieldTable::from(arguments), ..declare(queue) }
}

pub fn declare_passive(queue: &str) -> queue::Declare {
    queue::Declare { passive: true, ..declare(queue) }
}

/// A queue that belongs to the user.
pub fn declare_owned(queue: &str) -> queue::Declare {
    queue::Declare {
        durable: true,
        exclusive: true,
        arguments: [("x-exclusive-scope", "user")].into(),
        ..declare(queue)
    }
}

pub fn declare_ok(queue: &str, message_count: u32, consumer_count: u32) -> queue::DeclareOk {
    queue::DeclareOk { queue: queue.into(), message_count, consumer_count }
}

pub fn delete(queue: &str) -> queue::Delete {
    queue::Delete { queue: queue.into(), ..Default::default() }
}

pub fn purge(queue: &str) -> queue::Purge {
    queue::Purge { queue: queue.into(), ..Default::default() }
}

pub fn bind(queue: &str, exchange: &str, routing_key: &str) -> queue::Bind {
    queue::Bind {
        queue: queue.into(),
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        ..Default::default()
    }
}

pub fn unbind(queue: &str, exchange: &str, routing_key: &str) -> queue::Unbind {
    queue::Unbind {
        queue: queue.into(),
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        ..Default::default()
    }
}

pub fn declare_exchange(exchange: &str, kind: &str) -> exchange::Declare {
    exchange::Declare { exchange: exchange.into(), kind: kind.into(), ..Default::default() }
}

pub fn delete_exchange(exchange: &str) -> exchange::Delete {
    exchange::Delete { exchange: exchange.into(), ..Default::default() }
}

pub fn bind_exchange(destination: &str, source: &str, routing_key: &str) -> exchange::Bind {
    exchange::Bind {
        destination: destination.into(),
        source: source.into(),
        routing_key: routing_key.into(),
        ..Default::default()
    }
}

pub fn unbind_exchange(destination: &str, source: &str, routing_key: &str) -> exchange::Unbind {
    exchange::Unbind {
        destination: destination.into(),
        source: source.into(),
        routing_key: routing_key.into(),
        ..Default::default()
    }
}

pub fn qos(prefetch_count: u16) -> basic::Qos {
    basic::Qos { prefetch_count, ..Default::default() }
}

pub fn qos_of_channel(prefetch_count: u16) -> basic::Qos {
    basic::Qos { prefetch_count, global: true, ..Default::default() }
}

/// Acknowledging.
pub fn consume(queue: &str, consumer_tag: &str) -> basic::Consume {
    basic::Consume { queue: queue.into(), consumer_tag: consumer_tag.into(), ..Default::default() }
}

pub fn consume_no_ack(queue: &str, consumer_tag: &str) -> basic::Consume {
    basic::Consume { no_ack: true, ..consume(queue, consumer_tag) }
}

pub fn consume_ok(consumer_tag: &str) -> basic::ConsumeOk {
    basic::ConsumeOk { consumer_tag: consumer_tag.into() }
}

pub fn cancel(consumer_tag: &str) -> basic::Cancel {
    basic::Cancel { consumer_tag: consumer_tag.into(), no_wait: false }
}

pub fn cancel_ok(consumer_tag: &str) -> basic::CancelOk {
    basic::CancelOk { consumer_tag: consumer_tag.into() }
}

/// Acknowledging.
pub fn get(queue: &str) -> basic::Get {
    basic::Get { queue: queue.into(), no_ack: false }
}

pub fn get_no_ack(queue: &str) -> basic::Get {
    basic::Get { queue: queue.into(), no_ack: true }
}

pub fn ack(delivery_tag: u64) -> basic::Ack {
    basic::Ack { delivery_tag, multiple: false }
}

pub fn ack_up_to(delivery_tag: u64) -> basic::Ack {
    basic::Ack { delivery_tag, multiple: true }
}

pub fn nack(delivery_tag: u64, requeue: bool) -> basic::Nack {
    basic::Nack { delivery_tag, multiple: false, requeue }
}

pub fn nack_up_to(delivery_tag: u64, requeue: bool) -> basic::Nack {
    basic::Nack { delivery_tag, multiple: true, requeue }
}

pub fn reject(delivery_tag: u64, requeue: bool) -> basic::Reject {
    basic::Reject { delivery_tag, requeue }
}

pub fn publish(exchange: &str, routing_key: &str) -> basic::Publish {
    basic::Publish { exchange: exchange.into(), routing_key: routing_key.into(), ..Default::default() }
}

pub fn publish_mandatory(exchange: &str, routing_key: &str) -> basic::Publish {
    basic::Publish { mandatory: true, ..publish(exchange, routing_key) }
}

pub fn persistent() -> BasicProperties {
    BasicProperties { delivery_mode: Some(2), ..Default::default() }
}

pub fn expiring(milliseconds: &str) -> BasicProperties {
    BasicProperties { expiration: Some(milliseconds.into()), ..Default::default() }
}
