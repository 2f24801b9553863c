//! `list_queues`

use std::sync::Arc;

use serde_json::{Value, json};

use crate::amqp::Properties;
use crate::broker::NODE;
use crate::management::show;
use crate::policy::{Matching, Subject};
use crate::queue::{Consumer, Owner, Queue, QueueCounts};
use crate::vhost::Vhost;

use super::{Column, Table, column};

/// A queue at the moment its row is made.
pub struct Row {
    vhost: Arc<Vhost>,
    queue: Arc<Queue>,
    counts: QueueCounts,
}

pub const TABLE: Table<Row> = Table { columns: &COLUMNS, usual: &["name", "messages"] };

const COLUMNS: [Column<Row>; 44] = [
    column("name", |row| json!(row.queue.name())),
    column("vhost", |row| json!(&*row.queue.spec.vhost)),
    column("durable", |row| json!(row.queue.spec.durable)),
    column("auto_delete", |row| json!(row.queue.spec.auto_delete)),
    column("exclusive", |row| json!(row.queue.spec.owner != Owner::Anyone)),
    column("arguments", |row| show::table(&row.queue.spec.arguments)),
    column("policy", |row| row.policy(|matching| matching.policy.map(|policy| json!(policy.name)))),
    column("operator_policy", |row| {
        row.policy(|matching| matching.operator.map(|policy| json!(policy.name)))
    }),
    column("effective_policy_definition", |row| {
        row.policy(|matching| Some(Value::Object(matching.definition().object().clone())))
    }),
    column("type", |row| queue_type(&row.queue)),
    column("state", |row| json!(if row.counts.read_failed { "crashed" } else { "running" })),
    column("pid", |row| json!(row.queue.spec.id.0)),
    column("owner_pid", |row| match row.queue.spec.owner {
        Owner::Connection(id) => json!(id),
        _ => Value::Null,
    }),
    column("owner_user", |row| match &row.queue.spec.owner {
        Owner::User(user) => json!(&**user),
        _ => Value::Null,
    }),
    column("messages", |row| json!(row.counts.ready + row.counts.unacked + row.counts.unburied.count)),
    column("messages_ready", |row| json!(row.counts.ready)),
    column("messages_unacknowledged", |row| json!(row.counts.unacked)),
    column("messages_dlx", |row| json!(row.counts.unburied.count)),
    column("messages_persistent", |row| json!(row.counts.persistent().count)),
    column("messages_ram", |row| json!(row.counts.in_memory().count)),
    column("messages_ready_ram", |row| json!(row.counts.ready_in_memory.count)),
    column("messages_unacknowledged_ram", |row| json!(row.counts.handed_out.in_memory.count)),
    column("message_bytes", |row| {
        json!(row.counts.ready_body_bytes + row.counts.handed_out.bytes + row.counts.unburied.bytes)
    }),
    column("message_bytes_dlx", |row| json!(row.counts.unburied.bytes)),
    column("message_bytes_ready", |row| json!(row.counts.ready_body_bytes)),
    column("message_bytes_unacknowledged", |row| json!(row.counts.handed_out.bytes)),
    column("message_bytes_ram", |row| json!(row.counts.in_memory().bytes)),
    column("message_bytes_persistent", |row| json!(row.counts.persistent().bytes)),
    column("head_message_timestamp", head_timestamp),
    column("consumers", |row| json!(row.counts.consumers)),
    column("consumer_capacity", capacity),
    column("consumer_utilisation", capacity),
    column("exclusive_consumer_pid", |row| exclusive_consumer(&row.queue, pid)),
    column("exclusive_consumer_tag", |row| exclusive_consumer(&row.queue, |c| json!(&*c.tag))),
    column("single_active_consumer_pid", |row| {
        row.queue.single_active_consumer().map_or(Value::Null, |consumer| pid(&consumer))
    }),
    column("single_active_consumer_tag", |row| {
        row.queue.single_active_consumer().map_or(Value::Null, |consumer| json!(&*consumer.tag))
    }),
    column("memory", |row| json!(row.memory_bytes())),
    // What there is not, for scripts that ask for it.
    column("leader", |_| Value::Null),
    column("members", |_| Value::Null),
    column("online", |_| Value::Null),
    column("slave_pids", |_| Value::Null),
    column("synchronised_slave_pids", |_| Value::Null),
    column("disk_reads", |_| Value::Null),
    column("disk_writes", |_| Value::Null),
];

/// As RabbitMQ's management plugin has it: with the node.
pub const API: &[Column<Row>] = &{
    let mut columns = [column("node", |_| json!(NODE)); COLUMNS.len() + 1];
    let mut at = 0;
    while at < COLUMNS.len() {
        columns[at] = COLUMNS[at];
        at += 1;
    }
    columns
};

impl Row {
    fn policy(&self, show: impl FnOnce(Matching<'_>) -> Option<Value>) -> Value {
        let subject = Subject::Queue(self.queue.spec.parsed.kind);
        show(self.vhost.policies().matching(subject, self.queue.name())).unwrap_or(Value::Null)
    }

    /// Without bodies, which many queues may share.
    fn memory_bytes(&self) -> usize {
        let spec = &self.queue.spec;
        let messages = self.counts.ready + self.counts.unacked + self.counts.unburied.count;
        size_of::<Queue>() + spec.name.len() + messages * size_of::<crate::queue::Entry>()
    }
}

/// Each queue is looked at when its turn comes.
pub fn rows(vhost: &Arc<Vhost>) -> impl Iterator<Item = Row> + use<> {
    let of_vhost = vhost.clone();
    sorted(vhost).into_iter().map(move |queue| Row { vhost: of_vhost.clone(), counts: queue.counts(), queue })
}

/// One queue, if it is there.
pub fn row(vhost: &Arc<Vhost>, name: &str) -> Option<Row> {
    let queue = vhost.queue(name).ok()?;
    Some(Row { vhost: vhost.clone(), counts: queue.counts(), queue })
}

/// By name. The lock is held for a copy of the references.
pub fn sorted(vhost: &Vhost) -> Vec<Arc<Queue>> {
    let mut queues: Vec<Arc<Queue>> = vhost.read().queues.values().cloned().collect();
    queues.sort_unstable_by(|a, b| a.spec.name.cmp(&b.spec.name));
    queues
}

/// In seconds since the epoch. Unknown while the message is only on disk.
fn head_timestamp(row: &Row) -> Value {
    let head = row.queue.head();
    let properties = head.as_ref().and_then(|message| Properties::parse(message.properties()).ok());
    properties.and_then(|properties| properties.timestamp()).map_or(Value::Null, |at| json!(at))
}

/// RabbitMQ averages for how much of the time a message could be delivered at once. Here it is how it stands now.
fn capacity(row: &Row) -> Value {
    json!(u8::from(row.queue.has_room()))
}

fn queue_type(queue: &Queue) -> Value {
    let declared = queue.spec.arguments.get("x-queue-type").and_then(|value| value.as_str());
    json!(declared.unwrap_or("classic"))
}

/// Of the consumer's channel, as list_channels has it.
fn pid(consumer: &Consumer) -> Value {
    json!(format!("{}.{}", consumer.outbox.connection_id, consumer.channel))
}

fn exclusive_consumer(queue: &Queue, show: impl FnOnce(&Consumer) -> Value) -> Value {
    queue.consumers().iter().find(|consumer| consumer.exclusive).map_or(Value::Null, |c| show(c))
}
