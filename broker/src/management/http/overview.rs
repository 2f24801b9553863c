//! The broker as a whole.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::alarm::Alarm;
use crate::broker::Broker;
use crate::management::objects::{Objects, resident_memory_bytes};

use super::body::{Body, Pieces};
use super::response;

/// `local` is where it was asked.
pub fn overview(broker: Arc<Broker>, local: SocketAddr) -> Response<Body> {
    let make = move |pieces: Pieces| {
        pieces.send(overview_of(&broker, local).to_string().into_bytes());
    };
    response(StatusCode::OK, "application/json", Body::made_by(make))
}

fn overview_of(broker: &Broker, local: SocketAddr) -> Value {
    let (objects, totals) = (Objects::count(broker), broker.totals());
    let node = &broker.cluster_name;
    let listener = |protocol: &str, address: SocketAddr| json!({"node": node, "protocol": protocol, "ip_address": address.ip().to_string(), "port": address.port()});
    let listeners = broker.listeners().iter();
    let mut listeners: Vec<_> =
        listeners.map(|known| listener(known.protocol.uri_scheme(), known.address)).collect();
    listeners.push(listener("http", local));
    json!({
        "product_name": "Warren",
        "product_version": env!("CARGO_PKG_VERSION"),
        "management_version": env!("CARGO_PKG_VERSION"),
        "cluster_name": broker.cluster_name,
        "node": node,
        "exchange_types": crate::vhost::routing::Kind::ALL.map(|kind| json!({"name": kind.name()})),
        "object_totals": {
            "connections": objects.connections,
            "channels": objects.channels,
            "exchanges": objects.exchanges,
            "queues": objects.queues,
            "consumers": objects.consumers,
        },
        "queue_totals": {
            "messages": objects.messages_ready + objects.messages_unacknowledged + objects.dead_letters,
            "messages_ready": objects.messages_ready,
            "messages_unacknowledged": objects.messages_unacknowledged,
        },
        "message_stats": {
            "publish": totals.published,
            "deliver_get": totals.delivered,
            "ack": totals.acknowledged,
        },
        "listeners": listeners,
        "contexts": [{
            "node": node,
            "description": "Warren Management",
            "path": "/",
            "ip": local.ip().to_string(),
            "port": local.port().to_string(),
        }],
    })
}

/// The one there is.
pub fn node(broker: &Broker) -> Value {
    let alarm = broker.alarms.raised();
    json!({
        "name": broker.cluster_name,
        "type": "disc",
        "running": true,
        "os_pid": std::process::id().to_string(),
        "uptime": crate::clock::now_ms().saturating_sub(broker.started_at_ms),
        "mem_used": resident_memory_bytes(),
        "mem_limit": broker.alarms.memory_bytes_max(),
        "mem_alarm": alarm == Some(Alarm::Memory),
        "disk_free_limit": broker.store.disk_free_min_bytes(),
        "disk_free_alarm": alarm == Some(Alarm::Disk),
    })
}
