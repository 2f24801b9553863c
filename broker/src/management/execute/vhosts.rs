//! Vhosts and their limits.

use std::sync::Arc;

use crate::broker::{Broker, VhostError};
use crate::management::control_socket::Output;
use crate::management::limits;
use crate::management::reply::{Failure, Line};
use crate::management::request::{VhostCommand, VhostMetadata};
use crate::queue::QueueType;
use crate::vhost::{Metadata, Vhost};

use super::{committed, find_vhost};

pub async fn execute(
    broker: &Arc<Broker>,
    vhost: &str,
    command: VhostCommand,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        VhostCommand::AddVhost { name, metadata } => {
            let wanted = changed(Metadata::default(), &metadata)?;
            match broker.add_vhost(&name, wanted).await {
                Ok(()) => tracing::info!("vhost '{name}' added by an operator"),
                // Scripts add what they need again and again, as rabbitmqctl lets them.
                Err(VhostError::Exists(_)) if metadata == VhostMetadata::default() => {}
                Err(VhostError::Exists(_)) => {
                    let note = format!(
                        "vhost '{name}' is there already and stays as it is: see update_vhost_metadata"
                    );
                    output.line(&Line::Note(note)).await;
                }
                Err(error) => return Err(Failure::new(error)),
            }
            Ok(())
        }
        VhostCommand::UpdateVhostMetadata { name, metadata } => {
            // What is wrong in it is found before anything is changed.
            changed(Metadata::default(), &metadata)?;
            let ticket = broker.change_vhost(&name, |known| {
                if let Ok(wanted) = changed(known.clone(), &metadata) {
                    *known = wanted;
                }
            });
            committed(broker, ticket.map_err(Failure::new)?).await
        }
        VhostCommand::SetVhostTags { name, tags } => {
            let ticket = broker.change_vhost(&name, |known| known.tags = tags).map_err(Failure::new)?;
            committed(broker, ticket).await
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

/// What is given in place of what is known.
fn changed(known: Metadata, given: &VhostMetadata) -> Result<Metadata, Failure> {
    let default_queue_type = match given.default_queue_type.as_deref() {
        None => known.default_queue_type,
        Some("undefined") => None,
        Some(name) => Some(QueueType::parse(name).ok_or_else(|| {
            Failure::new(format!("there is no queue type '{name}'; there are classic and quorum"))
        })?),
    };
    let tags = given.tags.clone().map(|tags| tags.into_iter().filter(|tag| !tag.is_empty()).collect());
    Ok(Metadata {
        description: given.description.clone().unwrap_or(known.description),
        tags: tags.unwrap_or(known.tags),
        default_queue_type,
    })
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
