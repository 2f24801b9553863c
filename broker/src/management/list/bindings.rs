//! `list_bindings`

use std::sync::Arc;

use serde_json::json;

use crate::amqp::FieldTable;
use crate::management::show;
use crate::vhost::{Binding, DestinationName, Vhost};

use super::{Column, Table, column, queues};

pub struct Row {
    binding: Binding,
    vhost: Arc<str>,
}

pub const TABLE: Table<Row> = Table {
    columns: &COLUMNS,
    usual: &[
        "source_name",
        "source_kind",
        "destination_name",
        "destination_kind",
        "routing_key",
        "arguments",
    ],
};

const COLUMNS: [Column<Row>; 7] = [
    column("source_name", |row| json!(&*row.binding.source)),
    column("source_kind", |_| json!("exchange")),
    column("destination_name", |row| match &row.binding.destination {
        DestinationName::Queue(name) | DestinationName::Exchange(name) => json!(&**name),
    }),
    column("destination_kind", |row| match &row.binding.destination {
        DestinationName::Queue(_) => json!("queue"),
        DestinationName::Exchange(_) => json!("exchange"),
    }),
    column("routing_key", |row| json!(&*row.binding.routing_key)),
    column("arguments", |row| show::table(&row.binding.arguments)),
    column("vhost", |row| json!(&*row.vhost)),
];

/// As RabbitMQ's management plugin names them.
pub const API: &[Column<Row>] = &[
    column("source", |row| json!(&*row.binding.source)),
    column("vhost", |row| json!(&*row.vhost)),
    column("destination", COLUMNS[2].value),
    column("destination_type", COLUMNS[3].value),
    column("routing_key", |row| json!(&*row.binding.routing_key)),
    column("arguments", |row| show::table(&row.binding.arguments)),
];

/// First what the default exchange does by itself, then the rest by destination. The lock is taken anew for each
/// destination: there may be many bindings.
pub fn rows(vhost: &Arc<Vhost>) -> impl Iterator<Item = Row> + use<> {
    let queues: Vec<Arc<str>> = queues::sorted(vhost).iter().map(|queue| queue.spec.name.clone()).collect();
    let mut exchanges: Vec<Arc<str>> = vhost.read().exchanges.keys().cloned().collect();
    exchanges.sort_unstable();
    let implicit: Vec<Binding> = queues
        .iter()
        .map(|name| Binding {
            source: "".into(),
            destination: DestinationName::Queue(name.clone()),
            routing_key: (**name).into(),
            arguments: FieldTable::default(),
        })
        .collect();
    let destinations = queues
        .into_iter()
        .map(DestinationName::Queue)
        .chain(exchanges.into_iter().map(DestinationName::Exchange));
    let name = vhost.name.clone();
    let vhost = vhost.clone();
    let declared = destinations.flat_map(move |destination| {
        let mut bindings = vhost.read().bindings_to(&destination).to_vec();
        bindings.sort_unstable_by(|a, b| (&a.source, &a.routing_key).cmp(&(&b.source, &b.routing_key)));
        bindings
    });
    implicit.into_iter().chain(declared).map(move |binding| Row { binding, vhost: name.clone() })
}
