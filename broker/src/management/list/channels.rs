//! `list_channels`

use std::sync::Arc;

use hashbrown::HashMap;
use serde_json::json;

use crate::broker::{Broker, ConnectionInfo};
use crate::outbox::ChannelSetup;

use super::{Column, Table, column, queues};

pub struct Row {
    connection: Arc<ConnectionInfo>,
    number: u16,
    unacked: usize,
    prefetch_global: u32,
    paused: bool,
    setup: ChannelSetup,
    consumers: usize,
}

pub const TABLE: Table<Row> =
    Table { columns: &COLUMNS, usual: &["pid", "user", "consumer_count", "messages_unacknowledged"] };

const COLUMNS: [Column<Row>; 16] = [
    column("pid", |row| json!(format!("{}.{}", row.connection.id, row.number))),
    column("connection", |row| json!(row.connection.id)),
    column("name", |row| json!(row.name())),
    column("number", |row| json!(row.number)),
    column("user", |row| json!(row.connection.user.name())),
    column("vhost", |row| json!(&*row.connection.vhost)),
    column("state", |row| json!(if row.paused { "flow" } else { "running" })),
    column("transactional", |row| json!(row.setup.transactional)),
    column("confirm", |row| json!(row.setup.confirms)),
    column("consumer_count", |row| json!(row.consumers)),
    column("messages_unacknowledged", |row| json!(row.unacked)),
    column("messages_unconfirmed", |row| json!(row.setup.unconfirmed)),
    column("messages_uncommitted", |row| json!(row.setup.uncommitted)),
    column("acks_uncommitted", |row| json!(row.setup.uncommitted_acks)),
    column("prefetch_count", |row| json!(row.setup.prefetch)),
    column("global_prefetch_count", |row| json!(row.prefetch_global)),
];

/// As RabbitMQ's management plugin has it.
pub const API: &[Column<Row>] = &[
    column("name", |row| json!(row.name())),
    column("number", |row| json!(row.number)),
    column("user", |row| json!(row.connection.user.name())),
    column("vhost", |row| json!(&*row.connection.vhost)),
    column("state", COLUMNS[6].value),
    column("transactional", |row| json!(row.setup.transactional)),
    column("confirm", |row| json!(row.setup.confirms)),
    column("consumer_count", |row| json!(row.consumers)),
    column("messages_unacknowledged", |row| json!(row.unacked)),
    column("messages_unconfirmed", |row| json!(row.setup.unconfirmed)),
    column("prefetch_count", |row| json!(row.setup.prefetch)),
    column("global_prefetch_count", |row| json!(row.prefetch_global)),
    column("connection_details", |row| {
        let (name, peer) = (row.connection.name(), row.connection.peer);
        json!({"name": name, "peer_host": peer.ip().to_canonical().to_string(), "peer_port": peer.port()})
    }),
];

impl Row {
    pub fn name(&self) -> String {
        format!("{} ({})", self.connection.name(), self.number)
    }

    pub fn connection_id(&self) -> u64 {
        self.connection.id
    }

    pub fn is_in(&self, vhost: &str) -> bool {
        *self.connection.vhost == *vhost
    }
}

/// Consumers by connection and channel. Counted here, so that nobody has to keep count.
fn consumers(broker: &Broker) -> HashMap<(u64, u16), usize> {
    let mut counts = HashMap::new();
    for vhost in broker.vhosts() {
        for queue in queues::sorted(&vhost) {
            for consumer in queue.consumers() {
                *counts.entry((consumer.outbox.connection_id, consumer.channel)).or_default() += 1;
            }
        }
    }
    counts
}

pub fn rows(broker: &Broker) -> impl Iterator<Item = Row> + use<> {
    let consumers = consumers(broker);
    broker.connections().into_iter().flat_map(move |connection| {
        let out = connection.outbox.lock();
        let channels: Vec<Row> = out
            .channels()
            .map(|(number, channel)| Row {
                connection: connection.clone(),
                number,
                unacked: channel.unacked.len(),
                prefetch_global: channel.prefetch_global,
                paused: channel.paused,
                setup: channel.setup,
                consumers: consumers.get(&(connection.id, number)).copied().unwrap_or(0),
            })
            .collect();
        drop(out);
        channels
    })
}
