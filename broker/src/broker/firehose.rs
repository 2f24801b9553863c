//! Copies of what clients publish and get, for vhosts with tracing on (`firehose.rs` says what is in them).

use crate::firehose::{self, Client, Delivery, Event, Original, TRACE_EXCHANGE};
use crate::outbox::Wakes;
use crate::vhost::Vhost;

use super::Broker;

impl Broker {
    /// Without locks.
    pub fn trace(
        &self,
        vhost: &Vhost,
        (connection_id, channel): (u64, u16),
        event: &Event<'_>,
        original: &Original<'_>,
        wakes: &mut Wakes,
    ) {
        let info = self.connection(connection_id);
        let (connection, user) = match &info {
            Some(info) => (info.name(), info.user.name()),
            // It has ended meanwhile.
            None => (String::new(), ""),
        };
        let client =
            Client { node: &self.cluster_name, vhost: &vhost.name, connection: &connection, user, channel };
        let key = firehose::routing_key(event, original);
        let properties = firehose::properties(event, original, &client, self.config.limits.frame_max);
        vhost.publish_own(TRACE_EXCHANGE, &key, &properties, original.body, wakes);
    }

    pub(super) fn trace_one_delivery(&self, delivery: &Delivery, wakes: &mut Wakes) {
        let Delivery { queue, message, properties, redelivered, connection_id, channel } = delivery;
        let Some(vhost) = self.vhost(&queue.spec.vhost) else { return };
        let original = Original {
            exchange: message.exchange(),
            routing_key: message.routing_key(),
            properties: properties.as_deref().unwrap_or(message.properties()),
            body: message.body(),
        };
        let event = Event::Delivered { queue: queue.name(), redelivered: *redelivered };
        self.trace(&vhost, (*connection_id, *channel), &event, &original, wakes);
    }
}
