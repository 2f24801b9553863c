//! A file of definitions in RabbitMQ's shape, read and checked as far as that goes without a broker. Pure.

use serde_json::{Map, Value};

use crate::amqp::FieldTable;
use crate::auth::{NewPassword, Permission, RabbitHash, TopicPermissions, check_user_name, is_own_hash};
use crate::definitions::{PolicyRow, TopicPermissionRow};
use crate::management::limits::{OF_USER, OF_VHOST, parse};
use crate::policy::Policy;
use crate::queue::QueueType;
use crate::vhost::DestinationName;

use super::fields::{Entry, Findings, entries, object_of, tags_of};

/// What the key of a user's hash is called that RabbitMQ cannot check.
pub const OWN_HASH: &str = "warren_password_hash";

/// The limits that are mentioned, by the order of [`OF_VHOST`] or [`OF_USER`].
pub type Limits = [Option<Option<u64>>; 2];

/// What a file asks for, in its order.
#[derive(Debug, Default)]
pub struct Document {
    pub vhosts: Vec<VhostEntry>,
    pub vhost_limits: Vec<(String, String, Limits)>,
    pub users: Vec<UserEntry>,
    pub permissions: Vec<PermissionEntry>,
    pub topic_permissions: Vec<(String, TopicPermissionRow)>,
    pub policies: Vec<(String, PolicyRow, Policy)>,
    pub exchanges: Vec<ExchangeEntry>,
    pub queues: Vec<QueueEntry>,
    pub bindings: Vec<BindingEntry>,
}

/// In all of them, `place` is how the entry is called where something about it is said.
#[derive(Debug)]
pub struct VhostEntry {
    pub place: String,
    pub name: String,
    /// What is not given stays.
    pub description: Option<String>,
    pub tags: Option<Vec<String>>,
    pub default_queue_type: Option<QueueType>,
}

#[derive(Debug)]
pub struct UserEntry {
    pub name: String,
    pub password: NewPassword,
    pub tags: Vec<String>,
    pub limits: Limits,
}

#[derive(Debug)]
pub struct PermissionEntry {
    pub place: String,
    pub user: String,
    pub vhost: String,
    pub permission: Permission,
}

#[derive(Debug)]
pub struct ExchangeEntry {
    pub place: String,
    pub vhost: String,
    pub name: String,
    pub kind: String,
    pub durable: bool,
    pub auto_delete: bool,
    pub internal: bool,
    pub arguments: FieldTable,
}

#[derive(Debug)]
pub struct QueueEntry {
    pub place: String,
    pub vhost: String,
    pub name: String,
    pub durable: bool,
    pub auto_delete: bool,
    pub owner_user: Option<String>,
    pub arguments: FieldTable,
}

#[derive(Debug)]
pub struct BindingEntry {
    pub place: String,
    pub vhost: String,
    pub source: String,
    pub destination: DestinationName,
    pub routing_key: String,
    pub arguments: FieldTable,
}

/// Lists and values of a file that are read here, or mean nothing here and are known to.
const KNOWN: [&str; 18] = [
    "bindings",
    "exchanges",
    "export_source",
    "explanation",
    "global_parameters",
    "original_cluster_name",
    "original_vhost_name",
    "parameters",
    "permissions",
    "policies",
    "product_name",
    "product_version",
    "queues",
    "rabbit_version",
    "rabbitmq_version",
    "topic_permissions",
    "users",
    "vhosts",
];

impl Document {
    /// Reads all of it. What is wrong goes to the findings, and what was read is then of no use.
    pub fn read(text: &str, findings: &Findings) -> Document {
        let mut document = Document::default();
        let file: Map<String, Value> = match serde_json::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                findings.wrong(format!("this is not a JSON object of definitions: {error}"));
                return document;
            }
        };
        for key in file.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
            findings.warn(format!("\"{key}\" is not known here, and is left out"));
        }
        let names: &[&str] = &["name"];
        let mut each = |list, names: &[&'static str], read: fn(&mut Document, &Entry<'_>) -> Option<()>| {
            for entry in entries(&file, list, names, findings) {
                // What is wrong has been said, and is not to be taken for what is not known.
                if read(&mut document, &entry).is_some() {
                    entry.warn_of_unknown();
                }
            }
        };
        each("vhosts", names, Document::vhost);
        each("users", names, Document::user);
        each("permissions", &["user", "vhost"], Document::permission);
        each("topic_permissions", &["user", "exchange"], Document::topic_permission);
        each("parameters", &["component", "name"], Document::parameter);
        each("global_parameters", names, Document::global_parameter);
        each("policies", names, Document::policy);
        each("exchanges", names, Document::exchange);
        each("queues", names, Document::queue);
        each("bindings", &["source", "destination"], Document::binding);
        document
    }

    fn vhost(&mut self, entry: &Entry<'_>) -> Option<()> {
        let name = entry.text("name")?.to_owned();
        // Newer versions have all of this in `metadata`, older ones have some of it beside the name.
        let metadata = entry.object("metadata").unwrap_or_default();
        let text = |key: &'static str| {
            let text = metadata.get(key).or_else(|| entry.get(key))?.as_str()?;
            Some(text.to_owned()).filter(|text| text != "undefined")
        };
        let tags = metadata.get("tags").or_else(|| entry.get("tags"));
        let default_queue_type = match text("default_queue_type") {
            None => None,
            Some(kind) => Some(QueueType::parse(&kind).or_else(|| {
                entry.wrong(format!("there is no queue type '{kind}' here; there are classic and quorum"));
                None
            })?),
        };
        if entry.get("tracing").is_some_and(|tracing| tracing == true) {
            entry.warn("tracing is not turned on; see trace_on");
        }
        if let Some(limits) = entry.object("limits").filter(|limits| !limits.is_empty()) {
            self.vhost_limits.push((entry.place.clone(), name.clone(), limits_of(entry, limits, OF_VHOST)?));
        }
        self.vhosts.push(VhostEntry {
            place: entry.place.clone(),
            name,
            description: text("description"),
            tags: tags.and_then(tags_of),
            default_queue_type,
        });
        Some(())
    }

    fn user(&mut self, entry: &Entry<'_>) -> Option<()> {
        let name = entry.text("name")?.to_owned();
        if let Err(error) = check_user_name(&name) {
            entry.wrong(error);
            return None;
        }
        let limits = match entry.object("limits").filter(|limits| !limits.is_empty()) {
            Some(limits) => limits_of(entry, limits, OF_USER)?,
            None => [None, None],
        };
        self.users.push(UserEntry { name, password: password(entry)?, tags: entry.tags("tags")?, limits });
        Some(())
    }

    fn permission(&mut self, entry: &Entry<'_>) -> Option<()> {
        let (user, vhost) = (entry.text("user")?.to_owned(), entry.text("vhost")?.to_owned());
        let (configure, write, read) = (entry.text("configure")?, entry.text("write")?, entry.text("read")?);
        match Permission::new(configure, write, read, entry.text_if_given("publish_keys")) {
            Ok(permission) => {
                self.permissions.push(PermissionEntry {
                    place: entry.place.clone(),
                    user,
                    vhost,
                    permission,
                });
                Some(())
            }
            Err(error) => {
                entry.wrong(error);
                None
            }
        }
    }

    fn topic_permission(&mut self, entry: &Entry<'_>) -> Option<()> {
        let row = TopicPermissionRow {
            user: entry.text("user")?.to_owned(),
            vhost: entry.text("vhost")?.to_owned(),
            exchange: entry.name("exchange")?.to_owned(),
            write: entry.text("write")?.to_owned(),
            read: entry.text("read")?.to_owned(),
        };
        if let Err(error) = TopicPermissions::check(&row) {
            entry.wrong(error);
            return None;
        }
        self.topic_permissions.push((entry.place.clone(), row));
        Some(())
    }

    /// Operator policies and limits of vhosts are parameters to RabbitMQ.
    fn parameter(&mut self, entry: &Entry<'_>) -> Option<()> {
        let (component, name) = (entry.text("component")?, entry.text("name")?);
        let (vhost, value) = (entry.text("vhost")?.to_owned(), entry.get("value"));
        match component {
            "vhost-limits" => {
                let limits = entry.object("value").unwrap_or_default();
                if !limits.is_empty() {
                    self.vhost_limits.push((entry.place.clone(), vhost, limits_of(entry, limits, OF_VHOST)?));
                }
            }
            "operator_policy" => {
                let value = Value::Object(value.and_then(object_of).unwrap_or_default());
                let findings = Findings::default();
                let file = Map::from_iter([("operator_policy".to_owned(), Value::Array(vec![value]))]);
                let set = entries(&file, "operator_policy", &[], &findings)
                    .first()
                    .and_then(|inner| self.set_policy(&entry.place, inner, vhost, name, true));
                findings.wrong.borrow().iter().for_each(|why| entry.wrong(why));
                findings.warnings.borrow().iter().for_each(|why| entry.warn(why));
                set?;
            }
            _ => entry.warn(format!("left out: nothing here reads parameters of '{component}'")),
        }
        Some(())
    }

    fn global_parameter(&mut self, entry: &Entry<'_>) -> Option<()> {
        entry.get("value");
        // The first two are in every file.
        match entry.text("name")? {
            "cluster_name" | "internal_cluster_id" => {}
            _ => entry.warn("left out: nothing here reads global parameters"),
        }
        Some(())
    }

    fn policy(&mut self, entry: &Entry<'_>) -> Option<()> {
        let (vhost, name) = (entry.text("vhost")?.to_owned(), entry.text("name")?);
        self.set_policy(&entry.place, entry, vhost, name, false)
    }

    fn set_policy(
        &mut self,
        place: &str,
        entry: &Entry<'_>,
        vhost: String,
        name: &str,
        is_operator: bool,
    ) -> Option<()> {
        let definition = entry.object("definition").or_else(|| {
            entry.wrong("\"definition\" is missing");
            None
        })?;
        let row = PolicyRow {
            vhost,
            is_operator,
            name: name.to_owned(),
            pattern: entry.text("pattern")?.to_owned(),
            apply_to: entry.text_if_given("apply-to").unwrap_or("all").to_owned(),
            priority: entry.number_or("priority", 0)?,
            definition: Value::Object(definition).to_string(),
        };
        match Policy::new(&row) {
            Ok(policy) => {
                for inert in policy.definition.inert() {
                    entry.warn(format!("{} changes nothing here: {}", inert.key, inert.why));
                }
                self.policies.push((place.to_owned(), row, policy));
                Some(())
            }
            Err(error) => {
                entry.wrong(error);
                None
            }
        }
    }

    fn exchange(&mut self, entry: &Entry<'_>) -> Option<()> {
        self.exchanges.push(ExchangeEntry {
            place: entry.place.clone(),
            vhost: entry.text("vhost")?.to_owned(),
            name: entry.name("name")?.to_owned(),
            kind: entry.text("type")?.to_owned(),
            durable: entry.flag("durable")?,
            auto_delete: entry.flag("auto_delete")?,
            internal: entry.flag_or("internal", false)?,
            arguments: entry.arguments()?,
        });
        Some(())
    }

    fn queue(&mut self, entry: &Entry<'_>) -> Option<()> {
        let mut arguments = entry.arguments()?;
        if let Some(kind) = entry.text_if_given("type")
            && kind != QueueType::Classic.name()
            && !arguments.contains("x-queue-type")
        {
            arguments.insert("x-queue-type", kind);
        }
        self.queues.push(QueueEntry {
            place: entry.place.clone(),
            vhost: entry.text("vhost")?.to_owned(),
            name: entry.name("name")?.to_owned(),
            durable: entry.flag("durable")?,
            auto_delete: entry.flag("auto_delete")?,
            owner_user: entry.text_if_given("owner_user").map(str::to_owned),
            arguments,
        });
        Some(())
    }

    fn binding(&mut self, entry: &Entry<'_>) -> Option<()> {
        let destination = entry.name("destination")?.into();
        let destination = match entry.text("destination_type")? {
            "queue" => DestinationName::Queue(destination),
            "exchange" => DestinationName::Exchange(destination),
            other => {
                entry.wrong(format!("\"destination_type\" has to be queue or exchange, not '{other}'"));
                return None;
            }
        };
        self.bindings.push(BindingEntry {
            place: entry.place.clone(),
            vhost: entry.text("vhost")?.to_owned(),
            source: entry.name("source")?.to_owned(),
            destination,
            routing_key: entry.name("routing_key")?.to_owned(),
            arguments: entry.arguments()?,
        });
        Some(())
    }
}

fn limits_of(entry: &Entry<'_>, limits: Map<String, Value>, known: [&str; 2]) -> Option<Limits> {
    match parse(&Value::Object(limits).to_string(), known) {
        Ok(limits) => Some(limits),
        Err(failure) => {
            entry.wrong(format!("\"limits\": {}", failure.reason));
            None
        }
    }
}

/// Our own hash counts, then RabbitMQ's, then the password itself.
pub fn password(entry: &Entry<'_>) -> Option<NewPassword> {
    let own = entry.text_if_given(OWN_HASH);
    let plain = entry.text_if_given("password");
    let hash = entry.text_if_given("password_hash");
    let module = entry.text_if_given("hashing_algorithm").unwrap_or("rabbit_password_hashing_sha256");
    match (own, hash, plain) {
        (Some(own), ..) if is_own_hash(own) => Some(NewPassword::Hash(own.to_owned())),
        (Some(_), ..) => {
            entry.wrong(format!("\"{OWN_HASH}\" is no hash that this broker can check"));
            None
        }
        (None, Some(""), None) => Some(NewPassword::Hash(String::new())),
        (None, Some(hash), None) => match RabbitHash::imported(module, hash) {
            Ok(hash) => Some(NewPassword::Hash(hash.to_string())),
            Err(error) => {
                entry.wrong(error);
                None
            }
        },
        (None, _, Some("")) => {
            entry.wrong("\"password\" must not be empty");
            None
        }
        (None, _, Some(plain)) => Some(NewPassword::Plain(plain.to_owned())),
        (None, None, None) => Some(NewPassword::Unchanged),
    }
}
