//! `list_connections`

use std::sync::Arc;

use serde_json::{Value, json};

use crate::amqp::Version;
use crate::auth::CertificateFacts;
use crate::broker::{Broker, ConnectionInfo};
use crate::config::Protocol;
use crate::connection::TlsDetails;
use crate::management::show;

use super::{Column, Table, column};

pub struct Row {
    info: Arc<ConnectionInfo>,
    channels: usize,
    waiting_bytes: usize,
}

pub const TABLE: Table<Row> =
    Table { columns: &COLUMNS, usual: &["user", "peer_host", "peer_port", "state"] };

const COLUMNS: [Column<Row>; 31] = [
    column("pid", |row| json!(row.info.id)),
    column("name", |row| json!(row.info.name())),
    column("user", |row| json!(row.info.user.name())),
    column("vhost", |row| json!(&*row.info.vhost)),
    column("peer_host", |row| json!(row.info.peer.ip().to_canonical().to_string())),
    column("peer_port", |row| json!(row.info.peer.port())),
    column("host", |row| json!(row.info.local.ip().to_canonical().to_string())),
    column("port", |row| json!(row.info.local.port())),
    column("state", state),
    column("channels", |row| json!(row.channels)),
    column("protocol", |row| json!(protocol(row.info.version, row.info.protocol))),
    column("ssl", |row| json!(row.info.tls.is_some())),
    column("ssl_protocol", |row| of_tls(row, |tls| tls.protocol())),
    column("ssl_key_exchange", |row| of_tls(row, |tls| tls.key_exchange())),
    column("ssl_cipher", |row| of_tls(row, |tls| tls.cipher())),
    column("ssl_hash", |row| of_tls(row, |tls| tls.hash())),
    column("peer_cert_subject", |row| of_certificate(row, |facts| facts.subject.as_deref())),
    column("peer_cert_issuer", |row| of_certificate(row, |facts| facts.issuer.as_deref())),
    column("peer_cert_validity", |row| of_certificate(row, |facts| Some(&facts.validity))),
    column("auth_mechanism", |row| json!(&*row.info.mechanism)),
    column("channel_max", |row| json!(row.info.channel_max)),
    column("frame_max", |row| json!(row.info.frame_max)),
    column("timeout", |row| json!(row.info.heartbeat_s)),
    column("client_properties", |row| show::table(&row.info.client_properties)),
    column("connected_at", |row| json!(row.info.opened_at_ms)),
    column("recv_oct", |row| json!(row.info.traffic.received_bytes())),
    column("recv_cnt", |row| json!(row.info.traffic.reads())),
    column("send_oct", |row| json!(row.info.traffic.sent_bytes())),
    column("send_cnt", |row| json!(row.info.traffic.writes())),
    column("send_pend", |row| json!(row.waiting_bytes)),
    column("connection_name", |row| {
        let name = row.info.client_properties.get("connection_name").and_then(|value| value.as_str());
        name.map_or(Value::Null, |name| json!(name))
    }),
];

fn of_tls(row: &Row, show: fn(&TlsDetails) -> String) -> Value {
    row.info.tls.as_ref().map_or(Value::Null, |tls| json!(show(tls)))
}

fn of_certificate(row: &Row, show: fn(&CertificateFacts) -> Option<&str>) -> Value {
    json!(row.info.peer_certificate.as_deref().and_then(show))
}

fn protocol(version: Version, protocol: Protocol) -> &'static str {
    match (version, protocol.uses_web_socket()) {
        (Version::V0_9_1, false) => "AMQP 0-9-1",
        (Version::V0_9_1, true) => "AMQP 0-9-1 over WebSocket",
        (Version::V0_8, false) => "AMQP 0-8",
        (Version::V0_8, true) => "AMQP 0-8 over WebSocket",
    }
}

fn state(row: &Row) -> Value {
    if row.is_told_to_close() {
        return json!("closing");
    }
    json!(if row.info.traffic.is_held() { "blocked" } else { "running" })
}

impl Row {
    fn of(info: Arc<ConnectionInfo>) -> Row {
        let out = info.outbox.lock();
        let (channels, waiting_bytes) = (out.channels().count(), out.output.len() + out.in_flight);
        drop(out);
        Row { info, channels, waiting_bytes }
    }

    pub fn id(&self) -> u64 {
        self.info.id
    }

    /// By somebody else than its client, who may not have answered yet.
    pub fn is_told_to_close(&self) -> bool {
        self.info.outbox.evicted().is_some()
    }

    pub fn is_in(&self, vhost: &str) -> bool {
        *self.info.vhost == *vhost
    }
}

pub fn rows(broker: &Broker) -> impl Iterator<Item = Row> + use<> {
    broker.connections().into_iter().map(Row::of)
}

/// The one of this name, if it is open.
pub fn row(broker: &Broker, name: &str) -> Option<Row> {
    broker.connections().into_iter().find(|info| info.name() == name).map(Row::of)
}
