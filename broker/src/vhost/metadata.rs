//! What an operator says about a vhost: a description, tags, and which type queues get whose client does not say.

use crate::amqp::{FieldTable, FieldValue};
use crate::definitions::VhostRow;
use crate::queue::QueueType;

use super::{DeclareQueue, Vhost};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    pub description: String,
    pub tags: Vec<String>,
    pub default_queue_type: Option<QueueType>,
}

impl Metadata {
    /// What was stored. An unknown queue type, which no version of this broker has written, is none.
    pub fn of_row(row: &VhostRow) -> Metadata {
        Metadata {
            description: row.description.clone(),
            tags: row.tags.clone(),
            default_queue_type: row.default_queue_type.as_deref().and_then(QueueType::parse),
        }
    }

    pub fn row(&self, vhost: &str) -> VhostRow {
        VhostRow {
            name: vhost.to_owned(),
            description: self.description.clone(),
            tags: self.tags.clone(),
            default_queue_type: self.default_queue_type.map(|kind| kind.name().to_owned()),
        }
    }
}

impl Vhost {
    pub fn metadata(&self) -> Metadata {
        self.metadata.read().clone()
    }

    /// Replaces it in memory; `Broker::change_vhost` sees to the rest.
    pub fn set_metadata(&self, metadata: Metadata) {
        *self.metadata.write() = metadata;
    }

    /// The arguments with the vhost's queue type in them, where it applies: as in RabbitMQ, not to queues that a
    /// quorum queue cannot be, and also to declarations of queues that are there already.
    pub(super) fn with_default_type(&self, declare: &DeclareQueue<'_>) -> Option<FieldTable> {
        let kind = self.metadata.read().default_queue_type?;
        let may_be_any = declare.durable && !declare.exclusive && !declare.auto_delete;
        if !may_be_any || declare.arguments.contains("x-queue-type") {
            return None;
        }
        let mut arguments = declare.arguments.clone();
        arguments.insert("x-queue-type", FieldValue::LongString(kind.name().as_bytes().into()));
        Some(arguments)
    }
}
