//! Vhosts and their limits.

use std::sync::Arc;

use crate::broker::{Broker, VhostError};
use crate::management::limits;
use crate::management::reply::Failure;
use crate::management::request::VhostCommand;

use super::{committed, find_vhost};

pub async fn execute(broker: &Arc<Broker>, vhost: &str, command: VhostCommand) -> Result<(), Failure> {
    match command {
        VhostCommand::AddVhost { name } => {
            match broker.add_vhost(&name).await {
                Ok(()) => tracing::info!("vhost '{name}' added by an operator"),
                // Scripts add what they need again and again, as rabbitmqctl lets them.
                Err(VhostError::Exists(_)) => {}
                Err(error) => return Err(Failure::new(error)),
            }
            Ok(())
        }
        VhostCommand::DeleteVhost { name } => {
            broker.delete_vhost(&name).await.map_err(Failure::new)?;
            tracing::info!("vhost '{name}' deleted by an operator");
            Ok(())
        }
        VhostCommand::SetVhostLimits { definition } => {
            let [connections_max, queues_max] = limits::parse(&definition, limits::OF_VHOST)?;
            let ticket =
                find_vhost(broker, vhost)?.set_limits(connections_max.flatten(), queues_max.flatten());
            committed(broker, ticket).await
        }
        VhostCommand::ClearVhostLimits => {
            let ticket = find_vhost(broker, vhost)?.set_limits(None, None);
            committed(broker, ticket).await
        }
    }
}
