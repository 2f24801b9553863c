//! `list_consumers`

use std::sync::Arc;

use serde_json::json;

use crate::queue::{Consumer, Queue};
use crate::vhost::Vhost;

use super::{Column, Table, column, queues};

pub struct Row {
    queue: Arc<Queue>,
    consumer: Arc<Consumer>,
}

pub const TABLE: Table<Row> = Table {
    columns: &COLUMNS,
    usual: &["queue_name", "channel_pid", "consumer_tag", "ack_required", "prefetch_count", "exclusive"],
};

const COLUMNS: [Column<Row>; 8] = [
    column("queue_name", |row| json!(row.queue.name())),
    column("channel_pid", |row| {
        json!(format!("{}.{}", row.consumer.outbox.connection_id, row.consumer.channel))
    }),
    column("consumer_tag", |row| json!(&*row.consumer.tag)),
    column("ack_required", |row| json!(!row.consumer.no_ack)),
    column("prefetch_count", |row| json!(row.consumer.prefetch)),
    column("exclusive", |row| json!(row.consumer.exclusive)),
    column("messages_unacknowledged", |row| json!(row.consumer.unacked())),
    column("vhost", |row| json!(&*row.queue.spec.vhost)),
];

pub fn rows(vhost: &Vhost) -> impl Iterator<Item = Row> + use<> {
    queues::sorted(vhost).into_iter().flat_map(|queue| {
        queue.consumers().into_iter().map(move |consumer| Row { queue: queue.clone(), consumer })
    })
}
