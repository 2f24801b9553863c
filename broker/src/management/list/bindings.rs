//! `list_bindings`

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::amqp::{FieldTable, encode_table};
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
    column("properties_key", |row| json!(row.key())),
];

/// Bytes of a hash of arguments in a key.
const HASH_BYTES: usize = 12;

/// What is not escaped in a key.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b' ');

impl Row {
    pub fn source(&self) -> &str {
        &self.binding.source
    }

    pub fn binding(&self) -> &Binding {
        &self.binding
    }

    /// Tells it from others between the same two ends: the routing key, and a hash of the arguments if there are any.
    pub fn key(&self) -> String {
        key(&self.binding.routing_key, &self.binding.arguments)
    }
}

/// See [`Row::key`].
pub fn key(key: &str, arguments: &FieldTable) -> String {
    if key.is_empty() && arguments.0.is_empty() {
        return "~".to_owned();
    }
    let escaped = escaped(key);
    if arguments.0.is_empty() {
        return escaped;
    }
    let mut encoded = Vec::new();
    encode_table(arguments, &mut encoded);
    format!("{escaped}~{}", BASE64URL_NOPAD.encode(&Sha256::digest(&encoded)[..HASH_BYTES]))
}

fn escaped(routing_key: &str) -> String {
    utf8_percent_encode(routing_key, PLAIN).to_string().replace(' ', "+")
}

/// The key that part of a path means, which is the key, or what is left of it without escapes: clients put it into the
/// path as they got it, or the routing key.
pub fn key_meant(part: &str) -> String {
    let (routing_key, arguments) = part.split_at(part.find('~').unwrap_or(part.len()));
    let routing_key = routing_key.replace('+', " ");
    let routing_key = percent_decode_str(&routing_key).decode_utf8_lossy();
    format!("{}{arguments}", escaped(&routing_key))
}

/// First what the default exchange does by itself, then the rest by destination. The lock is taken anew for each
/// destination: there may be many bindings.
pub fn rows(vhost: &Arc<Vhost>) -> impl Iterator<Item = Row> + use<> {
    let queues: Vec<Arc<str>> = queues::sorted(vhost).iter().map(|queue| queue.spec.name.clone()).collect();
    let mut exchanges: Vec<Arc<str>> = vhost.read().exchanges.keys().cloned().collect();
    exchanges.sort_unstable();
    let implicit: Vec<Binding> = queues.iter().map(of_default_exchange).collect();
    let destinations = queues
        .into_iter()
        .map(DestinationName::Queue)
        .chain(exchanges.into_iter().map(DestinationName::Exchange));
    let name = vhost.name.clone();
    let vhost = vhost.clone();
    let declared = destinations.flat_map(move |destination| sorted(&vhost, &destination));
    implicit.into_iter().chain(declared).map(move |binding| Row { binding, vhost: name.clone() })
}

/// To one queue or exchange, in the same order.
pub fn to(vhost: &Arc<Vhost>, destination: DestinationName) -> impl Iterator<Item = Row> + use<> {
    let implicit = match &destination {
        DestinationName::Queue(name) if vhost.queue(name).is_ok() => Some(of_default_exchange(name)),
        _ => None,
    };
    let name = vhost.name.clone();
    let all = implicit.into_iter().chain(sorted(vhost, &destination));
    all.map(move |binding| Row { binding, vhost: name.clone() })
}

fn sorted(vhost: &Vhost, destination: &DestinationName) -> Vec<Binding> {
    let mut bindings = vhost.read().bindings_to(destination).to_vec();
    bindings.sort_unstable_by(|a, b| (&a.source, &a.routing_key).cmp(&(&b.source, &b.routing_key)));
    bindings
}

/// What the default exchange does by itself.
fn of_default_exchange(queue: &Arc<str>) -> Binding {
    Binding {
        source: "".into(),
        destination: DestinationName::Queue(queue.clone()),
        routing_key: (**queue).into(),
        arguments: FieldTable::default(),
    }
}
