//! `export_definitions`: everything that is declared, in RabbitMQ's shape, one entry a line.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::auth::RabbitHash;
use crate::broker::Broker;
use crate::definitions::{PermissionRow, UserLimitsRow, UserRow};
use crate::management::limits::{OF_USER, OF_VHOST, show as show_limits};
use crate::management::show;
use crate::policy::Policy;
use crate::queue::{Owner, Queue};
use crate::vhost::{Binding, DestinationName, Vhost};

use super::document::OWN_HASH;

/// The version of RabbitMQ whose shape this is; it decides by it how to read a file.
const SHAPE_OF: &str = "3.10.8";

/// Pieces of this size are given away.
const PIECE_BYTES: usize = 64 << 10;

/// Gives the text away piece by piece, until `take` wants no more. Returns what is worth knowing of it.
pub fn export(broker: &Broker, take: impl FnMut(String) -> bool) -> Vec<String> {
    let mut writer = Writer { text: String::new(), take, is_wanted: true };
    writer.text.push_str("{\n");
    for (key, value) in [
        ("rabbit_version", SHAPE_OF),
        ("rabbitmq_version", SHAPE_OF),
        ("product_name", "Warren"),
        ("product_version", env!("CARGO_PKG_VERSION")),
    ] {
        writer.text.push_str(&format!("\"{key}\":{},\n", json!(value)));
    }
    let vhosts = broker.vhosts();
    let users = broker.authority.user_rows();
    let limits = broker.authority.list_limits();
    writer.list("users", users.iter().map(|row| user(row, &limits)));
    writer.list("vhosts", vhosts.iter().map(|vhost| self::vhost(vhost)));
    writer.list("permissions", broker.authority.list_permissions().iter().map(permission));
    writer.list(
        "topic_permissions",
        broker.authority.list_topic_permissions().into_iter().map(|row| {
            json!({
                "user": row.user, "vhost": row.vhost, "exchange": row.exchange, "write": row.write, "read": row.read,
            })
        }),
    );
    writer.list("parameters", vhosts.iter().flat_map(|vhost| parameters(vhost)));
    writer.list("global_parameters", std::iter::empty());
    writer.list(
        "policies",
        vhosts.iter().flat_map(|vhost| policies(vhost, false)).map(|(vhost, policy)| {
            let mut value = policy_value(&policy);
            value["vhost"] = json!(&*vhost);
            value["name"] = json!(policy.name);
            value
        }),
    );
    writer.list("exchanges", vhosts.iter().flat_map(|vhost| exchanges(vhost)));
    writer.list("queues", vhosts.iter().flat_map(|vhost| queues(vhost)).map(|queue| self::queue(&queue)));
    writer.list("bindings", vhosts.iter().flat_map(bindings));
    writer.end();
    notes(&users)
}

struct Writer<F> {
    text: String,
    take: F,
    is_wanted: bool,
}

impl<F: FnMut(String) -> bool> Writer<F> {
    fn list(&mut self, name: &str, entries: impl Iterator<Item = Value>) {
        self.text.push_str(&format!("\"{name}\":["));
        for (at, entry) in entries.enumerate() {
            self.text.push_str(if at == 0 { "\n" } else { ",\n" });
            self.text.push_str(&entry.to_string());
            if self.text.len() >= PIECE_BYTES {
                self.give();
            }
            if !self.is_wanted {
                return;
            }
        }
        self.text.push_str("],\n");
    }

    fn give(&mut self) {
        self.is_wanted = self.is_wanted && (self.take)(std::mem::take(&mut self.text));
    }

    fn end(mut self) {
        self.text.truncate(self.text.trim_end_matches(",\n").len());
        self.text.push_str("\n}\n");
        self.give();
    }
}

fn notes(users: &[UserRow]) -> Vec<String> {
    let is_own =
        |row: &&UserRow| !row.password_hash.is_empty() && RabbitHash::stored(&row.password_hash).is_none();
    let own: Vec<&str> = users.iter().filter(is_own).map(|row| &*row.name).collect();
    if own.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "the passwords of {} are argon2id hashes, which only this broker can check: imported into RabbitMQ, these \
         users have no password until change_password gives them one, also where they had one. The file is as secret as the hashes in it",
        own.join(", ")
    )]
}

fn user(row: &UserRow, limits: &[UserLimitsRow]) -> Value {
    let limits = limits.iter().find(|limits| limits.user == row.name);
    let limits = limits.map_or([None, None], |row| [row.connections_max, row.channels_max]);
    let imported = RabbitHash::stored(&row.password_hash);
    let algorithm =
        imported.as_ref().map_or("rabbit_password_hashing_sha256", |hash| hash.algorithm().module());
    let mut value = json!({
        "name": row.name,
        "password_hash": imported.as_ref().map(RabbitHash::base64).unwrap_or_default(),
        "hashing_algorithm": algorithm,
        "tags": row.tags,
        "limits": show_limits(OF_USER, limits),
    });
    if imported.is_none() && !row.password_hash.is_empty() {
        value[OWN_HASH] = json!(row.password_hash);
    }
    value
}

fn vhost(vhost: &Vhost) -> Value {
    let metadata = vhost.metadata();
    let mut value = json!({
        "name": &*vhost.name,
        "metadata": {"description": metadata.description, "tags": metadata.tags},
        "limits": [],
    });
    if let Some(kind) = metadata.default_queue_type {
        value["metadata"]["default_queue_type"] = json!(kind.name());
    }
    value
}

fn permission(row: &PermissionRow) -> Value {
    let mut value = json!({
        "user": row.user, "vhost": row.vhost, "configure": row.configure, "write": row.write, "read": row.read,
    });
    if let Some(keys) = &row.publish_keys {
        value["publish_keys"] = json!(keys);
    }
    value
}

fn parameters(vhost: &Vhost) -> Vec<Value> {
    let operator = policies(vhost, true).into_iter().map(|(vhost, policy)| {
        let value = policy_value(&policy);
        json!({"component": "operator_policy", "vhost": &*vhost, "name": policy.name, "value": value})
    });
    let mut parameters: Vec<Value> = operator.collect();
    let limits = vhost.limits();
    let limits = show_limits(OF_VHOST, [limits.connections_max, limits.queues_max]);
    if limits.as_object().is_some_and(|limits| !limits.is_empty()) {
        let vhost = &*vhost.name;
        parameters
            .push(json!({"component": "vhost-limits", "vhost": vhost, "name": "limits", "value": limits}));
    }
    parameters
}

fn policies(vhost: &Vhost, is_operator: bool) -> Vec<(Arc<str>, Policy)> {
    let policies = vhost.policies();
    let wanted = policies.iter().filter(|policy| policy.is_operator == is_operator);
    wanted.map(|policy| (vhost.name.clone(), policy.clone())).collect()
}

fn policy_value(policy: &Policy) -> Value {
    json!({
        "pattern": policy.pattern.text(),
        "apply-to": policy.apply_to.to_string(),
        "definition": policy.definition.object(),
        "priority": policy.priority,
    })
}

fn exchanges(vhost: &Vhost) -> Vec<Value> {
    let topology = vhost.read();
    let mut specs: Vec<_> = topology.exchanges.values().map(|exchange| exchange.spec.clone()).collect();
    drop(topology);
    specs.retain(|spec| !spec.is_predeclared());
    specs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let shown = specs.into_iter().map(|spec| {
        json!({
            "vhost": &*vhost.name,
            "name": &*spec.name,
            "type": spec.type_name(),
            "durable": spec.durable,
            "auto_delete": spec.auto_delete,
            "internal": spec.internal,
            "arguments": show::table(&spec.arguments),
        })
    });
    shown.collect()
}

/// Without those that go with their connection, and the broker's own.
fn queues(vhost: &Vhost) -> Vec<Arc<Queue>> {
    let topology = vhost.read();
    let lasts = |queue: &&Arc<Queue>| matches!(queue.spec.owner, Owner::Anyone | Owner::User(_));
    let mut queues: Vec<_> = topology.queues.values().filter(lasts).cloned().collect();
    drop(topology);
    queues.sort_unstable_by(|a, b| a.spec.name.cmp(&b.spec.name));
    queues
}

fn queue(queue: &Queue) -> Value {
    let spec = &queue.spec;
    let mut value = json!({
        "vhost": &*spec.vhost,
        "name": &*spec.name,
        "type": spec.parsed.kind.name(),
        "durable": spec.durable,
        "auto_delete": spec.auto_delete,
        "arguments": show::table(&spec.arguments),
    });
    if let Owner::User(user) = &spec.owner {
        value["owner_user"] = json!(&**user);
    }
    value
}

/// To what is exported or predeclared. The lock is taken anew for each destination: there may be many.
fn bindings(vhost: &Arc<Vhost>) -> impl Iterator<Item = Value> + use<> {
    let queues = queues(vhost).into_iter().map(|queue| DestinationName::Queue(queue.spec.name.clone()));
    let mut exchanges: Vec<Arc<str>> = vhost.read().exchanges.keys().cloned().collect();
    exchanges.sort_unstable();
    let destinations = queues.chain(exchanges.into_iter().map(DestinationName::Exchange));
    let vhost = vhost.clone();
    destinations.flat_map(move |destination| {
        let mut bindings = vhost.read().bindings_to(&destination).to_vec();
        bindings.sort_unstable_by(|a, b| (&a.source, &a.routing_key).cmp(&(&b.source, &b.routing_key)));
        bindings.into_iter().map(|binding| self::binding(&vhost, &binding)).collect::<Vec<_>>()
    })
}

fn binding(vhost: &Vhost, binding: &Binding) -> Value {
    let (destination, kind) = match &binding.destination {
        DestinationName::Queue(name) => (name, "queue"),
        DestinationName::Exchange(name) => (name, "exchange"),
    };
    json!({
        "vhost": &*vhost.name,
        "source": &*binding.source,
        "destination": &**destination,
        "destination_type": kind,
        "routing_key": &*binding.routing_key,
        "arguments": show::table(&binding.arguments),
    })
}
