//! Users and what they may do.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::auth::Permission;
use crate::broker::Broker;
use crate::definitions::TopicPermissionRow;
use crate::management::control_socket::Output;
use crate::management::limits;
use crate::management::reply::{Failure, Line};
use crate::management::request::UserCommand;

use super::{committed, find_vhost};

pub async fn execute(
    broker: &Arc<Broker>,
    vhost: &str,
    command: UserCommand,
    output: &Output,
) -> Result<(), Failure> {
    let authority = &broker.authority;
    match command {
        UserCommand::AddUser { user, password } => {
            let ticket = authority.add_user(&user, &given(password)?, Vec::new()).await;
            committed(broker, ticket.map_err(Failure::new)?).await?;
            tracing::info!("user '{user}' added by an operator");
            let note = "The user may not open any vhost yet: see set_permissions.";
            output.line(&Line::Note(note.to_owned())).await;
            Ok(())
        }
        UserCommand::ChangePassword { user, password } => {
            let ticket = broker.change_password(&user, &given(password)?).await;
            committed(broker, ticket.map_err(Failure::new)?).await?;
            tracing::info!("password of user '{user}' changed by an operator");
            Ok(())
        }
        UserCommand::ClearPassword { user } => {
            let ticket = broker.clear_password(&user).map_err(Failure::new)?;
            committed(broker, ticket).await?;
            tracing::info!("password of user '{user}' taken away by an operator");
            Ok(())
        }
        UserCommand::DeleteUser { user } => {
            broker.delete_user(&user).await.map_err(Failure::new)?;
            tracing::info!("user '{user}' deleted by an operator");
            Ok(())
        }
        UserCommand::SetUserTags { user, tags } => {
            let ticket = authority.set_tags(&user, tags).map_err(Failure::new)?;
            committed(broker, ticket).await
        }
        UserCommand::AuthenticateUser { user, password } => {
            let response = format!("\0{user}\0{}", given(password)?);
            let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let decided = authority.authenticate("PLAIN", response.as_bytes(), here, None).await;
            decided.map(drop).map_err(Failure::new)
        }
        UserCommand::SetPermissions { user, configure, write, read, publish_keys } => {
            let permission = Permission::new(&configure, &write, &read, publish_keys.as_deref());
            let permission = permission.map_err(Failure::new)?;
            warn_of_unanchored(&permission, output).await;
            find_vhost(broker, vhost)?;
            set_permissions(broker, &user, vhost, permission).await
        }
        UserCommand::SetPermissionsGlobally { user, configure, write, read } => {
            let permission = Permission::new(&configure, &write, &read, None).map_err(Failure::new)?;
            warn_of_unanchored(&permission, output).await;
            for vhost in broker.vhosts() {
                set_permissions(broker, &user, &vhost.name, permission.clone()).await?;
            }
            Ok(())
        }
        UserCommand::ClearPermissions { user } => {
            find_vhost(broker, vhost)?;
            broker.clear_permissions(&user, vhost).await.map_err(Failure::new)
        }
        UserCommand::SetTopicPermissions { user, exchange, write, read } => {
            find_vhost(broker, vhost)?;
            let row = TopicPermissionRow { user, vhost: vhost.to_owned(), exchange, write, read };
            let ticket = authority.set_topic_permission(row).map_err(Failure::new)?;
            forget_if_deleted(broker, vhost);
            committed(broker, ticket).await
        }
        UserCommand::ClearTopicPermissions { user, exchange } => {
            find_vhost(broker, vhost)?;
            let ticket = authority.clear_topic_permissions(&user, vhost, exchange.as_deref());
            committed(broker, ticket.map_err(Failure::new)?).await
        }
        UserCommand::SetUserLimits { user, definition } => {
            let [connections_max, channels_max] = limits::parse(&definition, limits::OF_USER)?;
            let ticket = authority.change_limits(&user, |row| {
                row.connections_max = connections_max.unwrap_or(row.connections_max);
                row.channels_max = channels_max.unwrap_or(row.channels_max);
            });
            committed(broker, ticket.map_err(Failure::new)?).await
        }
        UserCommand::ClearUserLimits { user, limit } => {
            let clears = |name: &str| limit == "all" || limit == name;
            if limit != "all" && !limits::OF_USER.contains(&&*limit) {
                let known = limits::OF_USER.join(", ");
                return Err(Failure::new(format!("there is no limit '{limit}'; there are {known} and all")));
            }
            let ticket = authority.change_limits(&user, |row| {
                row.connections_max = row.connections_max.filter(|_| !clears(limits::OF_USER[0]));
                row.channels_max = row.channels_max.filter(|_| !clears(limits::OF_USER[1]));
            });
            committed(broker, ticket.map_err(Failure::new)?).await
        }
    }
}

async fn set_permissions(
    broker: &Arc<Broker>,
    user: &str,
    vhost: &str,
    permission: Permission,
) -> Result<(), Failure> {
    let ticket = broker.set_permissions(user, vhost, permission).map_err(Failure::new)?;
    forget_if_deleted(broker, vhost);
    committed(broker, ticket).await
}

async fn warn_of_unanchored(permission: &Permission, output: &Output) {
    for (kind, pattern) in permission.unanchored() {
        let note = format!(
            "warning: the {kind} pattern '{pattern}' is unanchored: it matches in the middle of names too. Begin it \
             with ^ if that is not meant"
        );
        output.line(&Line::Note(note)).await;
    }
}

/// The vhost was deleted meanwhile: nothing of it may come back with a new one of that name.
fn forget_if_deleted(broker: &Broker, vhost: &str) {
    if broker.vhost(vhost).is_none() {
        broker.authority.forget_vhost(vhost);
    }
}

fn given(password: Option<String>) -> Result<String, Failure> {
    password.ok_or_else(|| Failure::new("no password was given"))
}
