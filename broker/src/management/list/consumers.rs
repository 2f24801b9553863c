//! `list_consumers`

use std::sync::Arc;

use serde_json::json;

use crate::management::show;
use crate::queue::{Consumer, Queue};
use crate::vhost::Vhost;

use super::{Column, Table, column, queues};

pub struct Row {
    queue: Arc<Queue>,
    consumer: Arc<Consumer>,
    /// Gets messages: it does not wait for a single active one to go.
    is_active: bool,
}

pub const TABLE: Table<Row> = Table {
    columns: &COLUMNS,
    usual: &[
        "queue_name",
        "channel_pid",
        "consumer_tag",
        "ack_required",
        "prefetch_count",
        "active",
        "arguments",
    ],
};

const COLUMNS: [Column<Row>; 12] = [
    column("queue_name", |row| json!(row.queue.name())),
    column("channel_pid", |row| {
        json!(format!("{}.{}", row.consumer.outbox.connection_id, row.consumer.channel))
    }),
    column("consumer_tag", |row| json!(&*row.consumer.tag)),
    column("ack_required", |row| json!(!row.consumer.no_ack)),
    column("prefetch_count", |row| json!(row.consumer.prefetch)),
    column("active", |row| json!(row.is_active)),
    column("activity_status", |row| json!(activity(row))),
    column("arguments", |row| show::table(&row.consumer.arguments)),
    column("exclusive", |row| json!(row.consumer.exclusive)),
    column("priority", |row| json!(row.consumer.priority)),
    column("messages_unacknowledged", |row| json!(row.consumer.unacked())),
    column("vhost", |row| json!(&*row.queue.spec.vhost)),
];

fn activity(row: &Row) -> &'static str {
    match (row.queue.spec.parsed.single_active_consumer, row.is_active) {
        (false, _) => "up",
        (true, true) => "single_active",
        (true, false) => "waiting",
    }
}

/// As RabbitMQ's management plugin has it.
pub const API: &[Column<Row>] = &[
    column("queue", |row| json!({"name": row.queue.name(), "vhost": &*row.queue.spec.vhost})),
    column(
        "channel_details",
        |row| json!({"connection_id": row.consumer.outbox.connection_id, "number": row.consumer.channel}),
    ),
    column("consumer_tag", |row| json!(&*row.consumer.tag)),
    column("ack_required", |row| json!(!row.consumer.no_ack)),
    column("prefetch_count", |row| json!(row.consumer.prefetch)),
    column("active", |row| json!(row.is_active)),
    column("exclusive", |row| json!(row.consumer.exclusive)),
];

pub fn rows(vhost: &Vhost) -> impl Iterator<Item = Row> + use<> {
    queues::sorted(vhost).into_iter().flat_map(|queue| {
        let single = queue.single_active_consumer();
        queue.consumers().into_iter().map(move |consumer| {
            let is_active = single.as_ref().is_none_or(|single| Arc::ptr_eq(single, &consumer));
            Row { queue: queue.clone(), consumer, is_active }
        })
    })
}
