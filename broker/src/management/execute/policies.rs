//! Policies and operator policies.

use std::sync::Arc;

use crate::broker::Broker;
use crate::definitions::PolicyRow;
use crate::management::control_socket::Output;
use crate::management::reply::{Failure, Line};
use crate::management::request::{PolicyCommand, SetPolicy};
use crate::policy::Policy;

use super::{committed, find_vhost};

pub async fn execute(
    broker: &Arc<Broker>,
    vhost: &str,
    command: PolicyCommand,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        PolicyCommand::SetPolicy(policy) => set(broker, vhost, policy, false, output).await,
        PolicyCommand::SetOperatorPolicy(policy) => set(broker, vhost, policy, true, output).await,
        PolicyCommand::ClearPolicy { name } => clear(broker, vhost, name, false).await,
        PolicyCommand::ClearOperatorPolicy { name } => clear(broker, vhost, name, true).await,
    }
}

async fn set(
    broker: &Arc<Broker>,
    vhost: &str,
    set: SetPolicy,
    is_operator: bool,
    output: &Output,
) -> Result<(), Failure> {
    let vhost = find_vhost(broker, vhost)?;
    let row = PolicyRow {
        vhost: vhost.name.to_string(),
        is_operator,
        name: set.name,
        pattern: set.pattern,
        apply_to: set.apply_to,
        priority: set.priority,
        definition: set.definition,
    };
    let policy = Policy::new(&row).map_err(Failure::new)?;
    for inert in policy.definition.inert() {
        output.line(&Line::Note(format!("{} changes nothing here: {}", inert.key, inert.why))).await;
    }
    tracing::info!("policy '{}' in vhost '{}' set by an operator", row.name, row.vhost);
    // There may be many queues to put it on.
    let set = tokio::task::spawn_blocking(move || vhost.set_policy(policy, row)).await;
    committed(broker, set.map_err(Failure::new)?).await
}

async fn clear(broker: &Arc<Broker>, vhost: &str, name: String, is_operator: bool) -> Result<(), Failure> {
    let vhost = find_vhost(broker, vhost)?;
    let missing = Failure::new(format!("there is no such policy '{name}' in vhost '{}'", vhost.name));
    tracing::info!("policy '{name}' in vhost '{}' cleared by an operator", vhost.name);
    let cleared = tokio::task::spawn_blocking(move || vhost.clear_policy(is_operator, &name)).await;
    committed(broker, cleared.map_err(Failure::new)?.ok_or(missing)?).await
}
