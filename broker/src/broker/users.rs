//! Taking users away while they are connected.

use crate::amqp::ReplyCode;
use crate::auth::{Permission, UserError};
use crate::definitions::Ticket;
use crate::error::AmqpError;

use super::{Broker, ConnectionInfo};

impl Broker {
    /// Deletes a user with all that is his: permissions, queues, connections (closed with 320). Returns when it is
    /// durable. Until then nobody can sign up under the name: who came next would find the old account's
    /// connections on his queues.
    pub async fn delete_user(&self, name: &str) -> Result<(), UserError> {
        let Some(user) = self.authority.user(name) else {
            return Err(UserError::NoSuchUser(name.to_owned()));
        };
        let _reserved = self.authority.reserve_name(name);
        let ticket = self.authority.delete_user(name)?;
        let of_user = |info: &ConnectionInfo| info.user.is_same_account(&user);
        self.close_connections(&deleted(name), of_user);
        self.drop_queues_of(name);
        self.no_connection_left(of_user).await;
        // Again: until they were closed they may have declared more.
        self.drop_queues_of(name);
        Ok(self.definitions.wait(ticket).await?)
    }

    /// Takes every right in the vhost away from a user. His connections to it are closed with 320: their consumers
    /// would go on otherwise. Returns when it is durable.
    pub async fn clear_permissions(&self, name: &str, vhost: &str) -> Result<(), UserError> {
        let ticket = self.authority.clear_permissions(name, vhost)?;
        let error = AmqpError::connection(
            ReplyCode::ConnectionForced,
            format!("user '{name}' lost all permissions in vhost '{vhost}'"),
        );
        self.close_connections(&error, |info| info.user.name() == name && *info.vhost == *vhost);
        Ok(self.definitions.wait(ticket).await?)
    }

    /// Gives a user rights in a vhost in place of those that he has. Connections that are open follow: every method
    /// asks for the rights as they are, and consumers of queues that he may no longer read from end.
    pub fn set_permissions(
        &self,
        name: &str,
        vhost: &str,
        permission: Permission,
    ) -> Result<Ticket, UserError> {
        let ticket = self.authority.set_permissions(name, vhost, permission)?;
        for info in self.connections() {
            if info.user.name() == name && *info.vhost == *vhost {
                info.outbox.recheck_rights();
            }
        }
        Ok(ticket)
    }

    /// Changes a password. Connections that logged in with the old one are closed with 320.
    pub async fn change_password(&self, name: &str, password: &str) -> Result<Ticket, UserError> {
        let Some(user) = self.authority.user(name) else {
            return Err(UserError::NoSuchUser(name.to_owned()));
        };
        let ticket = self.authority.change_password(name, password).await?;
        self.close_connections(&password_changed(name), |info| info.user.is_same_account(&user));
        Ok(ticket)
    }

    /// Takes a password away, so that none is right any more. Connections of the user are closed with 320.
    pub fn clear_password(&self, name: &str) -> Result<Ticket, UserError> {
        let Some(user) = self.authority.user(name) else {
            return Err(UserError::NoSuchUser(name.to_owned()));
        };
        let ticket = self.authority.clear_password(name)?;
        let error = AmqpError::connection(
            ReplyCode::ConnectionForced,
            format!("user '{name}' has no password any more"),
        );
        self.close_connections(&error, |info| info.user.is_same_account(&user));
        Ok(ticket)
    }

    fn drop_queues_of(&self, user: &str) {
        for vhost in self.vhosts() {
            vhost.drop_queues_of_user(user);
        }
    }
}

/// What connections are told that logged in with a password that is not the user's any more.
pub fn password_changed(user: &str) -> AmqpError {
    let text = format!("the password of user '{user}' was changed; log in with the new one");
    AmqpError::connection(ReplyCode::ConnectionForced, text)
}

/// What the connections of a deleted user are closed with.
pub fn deleted(user: &str) -> AmqpError {
    AmqpError::connection(ReplyCode::ConnectionForced, format!("user '{user}' is deleted"))
}
