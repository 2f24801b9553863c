//! Vhosts and their limits.

use std::sync::Arc;

use crate::broker::{Broker, VhostError};
use crate::management::control_socket::Output;
use crate::management::limits;
use crate::management::reply::{Failure, Line};
use crate::management::request::VhostCommand;
use crate::vhost::Vhost;

use super::{committed, find_vhost};

pub async fn execute(
    broker: &Arc<Broker>,
    vhost: &str,
    command: VhostCommand,
    output: &Output,
) -> Result<(), Failure> {
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
        VhostCommand::TraceOn => trace(find_vhost(broker, vhost)?, true, output).await,
        VhostCommand::TraceOff => trace(find_vhost(broker, vhost)?, false, output).await,
        VhostCommand::ClearVhostLimits => {
            let ticket = find_vhost(broker, vhost)?.set_limits(None, None);
            committed(broker, ticket).await
        }
    }
}

async fn trace(vhost: Arc<Vhost>, is_traced: bool, output: &Output) -> Result<(), Failure> {
    let name = vhost.name.clone();
    // There may be many queues to tell.
    let set = tokio::task::spawn_blocking(move || vhost.set_traced(is_traced)).await;
    set.map_err(Failure::new)?;
    let done = if is_traced { "enabled" } else { "disabled" };
    tracing::info!("tracing of vhost '{name}' {done} by an operator");
    output.line(&Line::Note(format!("Trace {done} for vhost {name}"))).await;
    Ok(())
}
