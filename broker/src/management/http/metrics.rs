//! Metrics in Prometheus' text format. Those that mean what a metric of RabbitMQ's plugin means have its name, so that
//! dashboards made for it show them.

use std::fmt::Write;
use std::sync::Arc;

use hyper::{Response, StatusCode};

use crate::alarm::Alarm;
use crate::broker::Broker;
use crate::health::Ailment;
use crate::management::list::queues;
use crate::management::objects::{Objects, resident_memory_bytes};
use crate::message::resident_bytes;
use crate::queue::QueueCounts;

use super::body::{Body, Pieces};
use super::response;

pub const CONTENT_TYPE_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bytes that are sent together.
const PIECE_BYTES: usize = 64 << 10;

/// Looks at every queue: not on a task's thread.
pub async fn totals(broker: Arc<Broker>) -> String {
    tokio::task::spawn_blocking(move || totals_now(&broker)).await.unwrap_or_default()
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn metric(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.metric(name, "gauge", help, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.metric(name, "counter", help, value);
    }
}

fn totals_now(broker: &Broker) -> String {
    let (objects, totals, store) = (Objects::count(broker), broker.totals(), broker.store.stats());
    let alarm = broker.alarms.raised();
    let mut text = Text::default();
    let healthy = broker.health().iter().all(Ailment::ends_by_itself);
    let uptime_s = crate::clock::now_ms().saturating_sub(broker.started_at_ms) / 1000;
    text.gauge("warren_healthy", "1 as long as the broker keeps its promises", u64::from(healthy));
    text.gauge("warren_uptime_seconds", "Since the start", uptime_s);
    let t = &mut text;
    t.gauge("rabbitmq_connections", "Connections currently open", objects.connections as u64);
    t.gauge("rabbitmq_channels", "Channels currently open", objects.channels as u64);
    t.gauge("rabbitmq_consumers", "Consumers currently connected", objects.consumers as u64);
    t.gauge("rabbitmq_queues", "Queues available", objects.queues as u64);
    t.gauge("warren_exchanges", "Exchanges available", objects.exchanges as u64);
    let (ready, unacked) = (objects.messages_ready as u64, objects.messages_unacknowledged as u64);
    t.gauge("rabbitmq_queue_messages_ready", "Messages ready to be delivered to consumers", ready);
    t.gauge("rabbitmq_queue_messages_unacked", "Messages delivered and not yet acknowledged", unacked);
    let dead_letters = objects.dead_letters as u64;
    t.gauge("warren_queue_dead_letters", DEAD_LETTERS, dead_letters);
    t.gauge("rabbitmq_queue_messages", "Sum of all of these", ready + unacked + dead_letters);
    t.counter("rabbitmq_connections_opened_total", "Connections accepted", broker.connections_accepted());
    t.counter(
        "rabbitmq_global_messages_received_total",
        "Messages received from publishers",
        totals.published,
    );
    t.counter("rabbitmq_global_messages_delivered_total", "Messages delivered to clients", totals.delivered);
    t.counter("rabbitmq_global_messages_acknowledged_total", "Messages acknowledged", totals.acknowledged);
    t.counter("rabbitmq_connection_incoming_bytes_total", "Bytes received", totals.received_bytes);
    t.counter("rabbitmq_connection_outgoing_bytes_total", "Bytes sent", totals.sent_bytes);
    if let Some(bytes) = resident_memory_bytes() {
        t.gauge("rabbitmq_process_resident_memory_bytes", "Memory of the process", bytes);
    }
    t.gauge(
        "rabbitmq_resident_memory_limit_bytes",
        "Bytes of messages in memory at which publishers are held",
        broker.alarms.memory_bytes_max(),
    );
    t.gauge("warren_message_memory_bytes", "Bytes of messages in memory", resident_bytes());
    t.gauge(
        "rabbitmq_disk_space_available_limit_bytes",
        "Free bytes below which publishers are held",
        broker.store.disk_free_min_bytes(),
    );
    let raised = |wanted| u64::from(alarm == Some(wanted));
    t.gauge(
        "rabbitmq_alarms_memory_used_watermark",
        "1 while publishers are held for memory",
        raised(Alarm::Memory),
    );
    t.gauge(
        "rabbitmq_alarms_free_disk_space_watermark",
        "1 while publishers are held for disk",
        raised(Alarm::Disk),
    );
    t.gauge("warren_store_messages", "Messages stored", store.messages);
    t.gauge("warren_store_live_bytes", "Bytes of stored messages", store.live_bytes);
    t.gauge("warren_store_disk_bytes", "Bytes of the message log's files", store.disk_bytes);
    t.gauge("warren_store_segments", "Files of the message log", store.segments);
    t.counter("warren_store_rounds_total", "Commit rounds", store.rounds);
    t.counter("warren_store_syncs_total", "Syncs to disk", store.syncs);
    t.counter("warren_store_written_bytes_total", "Bytes written to the log", store.bytes_written);
    t.counter(
        "warren_store_compaction_bytes_total",
        "Bytes of them that were copies",
        store.compaction_bytes,
    );
    t.counter("warren_store_elided_total", "Messages acknowledged before they were written", store.elided);
    t.counter(
        "warren_definitions_commits_total",
        "Transactions of definitions",
        broker.definitions.transactions(),
    );
    text.0
}

/// One line for each queue and metric.
pub fn per_object(broker: &Arc<Broker>) -> Response<Body> {
    let broker = broker.clone();
    response(StatusCode::OK, CONTENT_TYPE_TEXT, Body::made_by(move |pieces| write_queues(&broker, &pieces)))
}

type Value = fn(&QueueCounts) -> u64;

const DEAD_LETTERS: &str = "Dead letters that no queue has taken yet";

const OF_QUEUES: [(&str, &str, Value); 5] = [
    ("rabbitmq_queue_messages_ready", "Messages ready to be delivered to consumers", |c| c.ready as u64),
    ("rabbitmq_queue_messages_unacked", "Messages delivered and not yet acknowledged", |c| c.unacked as u64),
    ("warren_queue_dead_letters", DEAD_LETTERS, |c| c.unburied.count as u64),
    ("rabbitmq_queue_message_bytes_ready", "Body bytes of ready messages", |c| c.ready_body_bytes),
    ("rabbitmq_queue_consumers", "Consumers on a queue", |c| c.consumers as u64),
];

/// The lines of one metric have to stand together, so every queue is looked at first, once.
fn write_queues(broker: &Broker, pieces: &Pieces) {
    let mut rows: Vec<(String, QueueCounts)> = Vec::new();
    for vhost in broker.vhosts() {
        let of_vhost = label(&vhost.name);
        rows.extend(queues::sorted(&vhost).iter().map(|queue| {
            let labels = format!("vhost=\"{of_vhost}\",queue=\"{}\"", label(queue.name()));
            (labels, queue.counts())
        }));
    }
    let mut text = String::new();
    for (name, help, value) in OF_QUEUES {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, counts) in &rows {
            let _ = writeln!(text, "{name}{{{labels}}} {}", value(counts));
            if text.len() >= PIECE_BYTES && !pieces.send(std::mem::take(&mut text).into_bytes()) {
                return;
            }
        }
    }
    pieces.send(text.into_bytes());
}

/// Escaped as the format wants it.
fn label(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(label("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }

    #[test]
    fn a_metric_has_help_type_and_value() {
        let mut text = Text::default();
        text.counter("x_total", "How many", 3);
        assert_eq!(text.0, "# HELP x_total How many\n# TYPE x_total counter\nx_total 3\n");
    }
}
