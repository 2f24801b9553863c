//! Adding and deleting virtual hosts while the broker runs.

use std::sync::Arc;

use crate::amqp::ReplyCode;
use crate::definitions::{Change, DefinitionsError, Ticket};
use crate::error::AmqpError;
use crate::vhost::{Metadata, Vhost};

use super::{Broker, ConnectionInfo};

/// AMQP sends the name as a short string.
const NAME_BYTES_MAX: usize = 255;

/// A change of vhosts that was not made.
#[derive(Debug, thiserror::Error)]
pub enum VhostError {
    #[error("there is no vhost '{0}'")]
    NoSuchVhost(String),
    #[error("vhost '{0}' exists already")]
    Exists(String),
    #[error("vhost '{0}' is being deleted; try again in a moment")]
    BeingDeleted(String),
    #[error("a vhost name has 1 to {NAME_BYTES_MAX} bytes and no control characters")]
    BadName,
    #[error(transparent)]
    Definitions(#[from] DefinitionsError),
}

impl Broker {
    /// A vhost with the predeclared exchanges, which nobody may open yet. Returns when it is durable.
    pub async fn add_vhost(&self, name: &str, metadata: Metadata) -> Result<(), VhostError> {
        check_vhost_name(name)?;
        let ticket = {
            let mut vhosts = self.vhosts.write();
            if vhosts.contains_key(name) {
                return Err(VhostError::Exists(name.to_owned()));
            }
            if self.vhosts_being_deleted.lock().iter().any(|deleted| deleted == name) {
                return Err(VhostError::BeingDeleted(name.to_owned()));
            }
            let row = metadata.row(name);
            let vhost = self.new_vhost(name);
            vhost.set_metadata(metadata);
            vhosts.insert(name.into(), Arc::new(vhost));
            self.definitions.submit(Change::PutVhost(row))
        };
        let stored = self.definitions.wait(ticket).await;
        if stored.is_err() {
            self.vhosts.write().remove(name);
        }
        Ok(stored?)
    }

    /// Changes what is said about a vhost. Returns what to wait for.
    pub fn change_vhost(&self, name: &str, change: impl FnOnce(&mut Metadata)) -> Result<Ticket, VhostError> {
        // So that the row changes in the order memory does, and never after that of a vhost that is deleted.
        let vhosts = self.vhosts.write();
        let Some(vhost) = vhosts.get(name) else {
            return Err(VhostError::NoSuchVhost(name.to_owned()));
        };
        let mut metadata = vhost.metadata();
        change(&mut metadata);
        let row = metadata.row(name);
        vhost.set_metadata(metadata);
        Ok(self.definitions.submit(Change::PutVhost(row)))
    }

    /// Deletes a vhost with all that is in it; its connections are closed with 320. Returns when that is durable and
    /// the connections are gone. Until then nobody can make a new one of the same name: what the old connections
    /// still declare would end up in it.
    pub async fn delete_vhost(&self, name: &str) -> Result<(), VhostError> {
        let (vhost, ticket, _reserved) = {
            let mut vhosts = self.vhosts.write();
            let Some(vhost) = vhosts.remove(name) else {
                return Err(VhostError::NoSuchVhost(name.to_owned()));
            };
            let reserved = Reserved::new(self, name);
            (vhost, self.definitions.submit(Change::DeleteVhost { name: name.to_owned() }), reserved)
        };
        self.authority.forget_vhost(name);
        let of_vhost = |info: &ConnectionInfo| *info.vhost == *name;
        self.close_connections(&vhost_deleted(name), of_vhost);
        vhost.drop_all_queues();
        self.no_connection_left(of_vhost).await;
        // Again: until they were closed they may have declared more.
        vhost.drop_all_queues();
        Ok(self.definitions.wait(ticket).await?)
    }

    /// Whether the vhost that a connection has opened is still there. A new one of the same name is another.
    pub fn is_current_vhost(&self, vhost: &Arc<Vhost>) -> bool {
        self.vhosts.read().get(&*vhost.name).is_some_and(|current| Arc::ptr_eq(current, vhost))
    }

    fn new_vhost(&self, name: &str) -> Vhost {
        let limits = self.vhost_limits.clone();
        Vhost::new(name.into(), self.definitions.clone(), self.environment.clone(), limits)
    }
}

pub fn check_vhost_name(name: &str) -> Result<(), VhostError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
        return Err(VhostError::BadName);
    }
    Ok(())
}

/// What the connections of a deleted vhost are closed with.
pub fn vhost_deleted(name: &str) -> AmqpError {
    AmqpError::connection(ReplyCode::ConnectionForced, format!("vhost '{name}' is deleted"))
}

/// Keeps the name of a vhost from being used again as long as it lives.
struct Reserved<'a> {
    broker: &'a Broker,
    name: String,
}

impl Reserved<'_> {
    fn new<'a>(broker: &'a Broker, name: &str) -> Reserved<'a> {
        broker.vhosts_being_deleted.lock().push(name.to_owned());
        Reserved { broker, name: name.to_owned() }
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.broker.vhosts_being_deleted.lock().retain(|name| *name != self.name);
    }
}
