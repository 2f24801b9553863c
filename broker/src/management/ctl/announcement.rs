//! What a command says before it asks the broker. Pure.

use crate::management::request::{
    Act, List, Look, PolicyCommand, Request, Run, SetPolicy, Transfer, UserCommand, VhostCommand,
};

/// What is about to be done, as `rabbitmqctl` says it.
pub fn announcement(request: &Request, vhost: &str) -> String {
    match request {
        Request::Look(Look::Status) => "Status of the broker ...".to_owned(),
        Request::Look(Look::Health) => "Asking the broker for its health ...".to_owned(),
        Request::Look(Look::Ping) => "Asking the broker whether it is there ...".to_owned(),
        Request::List(list) => match list {
            List::ListQueues(_) => format!("Listing queues for vhost {vhost} ..."),
            List::ListExchanges(_) => format!("Listing exchanges for vhost {vhost} ..."),
            List::ListBindings(_) => format!("Listing bindings for vhost {vhost} ..."),
            List::ListConsumers(_) => format!("Listing consumers in vhost {vhost} ..."),
            List::ListConnections(_) => "Listing connections ...".to_owned(),
            List::ListChannels(_) => "Listing channels ...".to_owned(),
            List::ListUsers(_) => "Listing users ...".to_owned(),
            List::ListVhosts(_) => "Listing vhosts ...".to_owned(),
            List::ListPermissions(_) => format!("Listing permissions for vhost \"{vhost}\" ..."),
            List::ListUserPermissions { user, .. } => format!("Listing permissions for user \"{user}\" ..."),
            List::ListTopicPermissions(_) => format!("Listing topic permissions for vhost \"{vhost}\" ..."),
            List::ListUserTopicPermissions { user, .. } => {
                format!("Listing topic permissions for user \"{user}\" ...")
            }
            List::ListPolicies(_) => format!("Listing policies for vhost \"{vhost}\" ..."),
            List::ListOperatorPolicies(_) => {
                format!("Listing operator policy overrides for vhost \"{vhost}\" ...")
            }
            List::ListVhostLimits { global: true, .. } => "Listing limits for all vhosts ...".to_owned(),
            List::ListVhostLimits { .. } => format!("Listing limits for vhost \"{vhost}\" ..."),
            List::ListUserLimits { user: Some(user), .. } => {
                format!("Listing limits for user \"{user}\" ...")
            }
            List::ListUserLimits { .. } => "Listing limits for all users ...".to_owned(),
        },
        Request::User(command) => match command {
            UserCommand::AddUser { user, .. } => format!("Adding user \"{user}\" ..."),
            UserCommand::ChangePassword { user, .. } => format!("Changing password for user \"{user}\" ..."),
            UserCommand::ClearPassword { user } => format!("Clearing password for user \"{user}\" ..."),
            UserCommand::DeleteUser { user } => format!("Deleting user \"{user}\" ..."),
            UserCommand::SetUserTags { user, tags } => {
                format!("Setting tags for user \"{user}\" to [{}] ...", tags.join(", "))
            }
            UserCommand::AuthenticateUser { user, .. } => format!("Authenticating user \"{user}\" ..."),
            UserCommand::SetPermissions { user, .. } => {
                format!("Setting permissions for user \"{user}\" in vhost \"{vhost}\" ...")
            }
            UserCommand::SetPermissionsGlobally { user, .. } => {
                format!("Setting permissions for user \"{user}\" in all virtual hosts ...")
            }
            UserCommand::ClearPermissions { user } => {
                format!("Clearing permissions for user \"{user}\" in vhost \"{vhost}\" ...")
            }
            UserCommand::SetTopicPermissions { user, exchange, .. } => format!(
                "Setting topic permissions on \"{exchange}\" for user \"{user}\" in vhost \"{vhost}\" ..."
            ),
            UserCommand::ClearTopicPermissions { user, .. } => {
                format!("Clearing topic permissions for user \"{user}\" in vhost \"{vhost}\" ...")
            }
            UserCommand::SetUserLimits { user, definition } => {
                format!("Setting user limits to \"{definition}\" for user \"{user}\" ...")
            }
            UserCommand::ClearUserLimits { user, limit } => {
                format!("Clearing \"{limit}\" limit for user \"{user}\" ...")
            }
        },
        Request::Vhost(command) => match command {
            VhostCommand::AddVhost { name, .. } => format!("Adding vhost \"{name}\" ..."),
            VhostCommand::UpdateVhostMetadata { name, .. } => {
                format!("Updating metadata of vhost \"{name}\" ...")
            }
            VhostCommand::SetVhostTags { name, tags } => {
                format!("Setting tags for virtual host \"{name}\" to [{}] ...", tags.join(", "))
            }
            VhostCommand::DeleteVhost { name } => format!("Deleting vhost \"{name}\" ..."),
            VhostCommand::SetVhostLimits { definition } => {
                format!("Setting vhost limits to \"{definition}\" for vhost \"{vhost}\" ...")
            }
            VhostCommand::TraceOn => format!("Starting tracing for vhost \"{vhost}\" ..."),
            VhostCommand::TraceOff => format!("Stopping tracing for vhost \"{vhost}\" ..."),
            VhostCommand::ClearVhostLimits => format!("Clearing vhost \"{vhost}\" limits ..."),
        },
        Request::Policy(command) => match command {
            PolicyCommand::SetPolicy(SetPolicy { name, pattern, definition, priority, .. }) => format!(
                "Setting policy \"{name}\" for pattern \"{pattern}\" to \"{definition}\" with priority \"{priority}\" \
                 for vhost \"{vhost}\" ..."
            ),
            PolicyCommand::SetOperatorPolicy(SetPolicy { name, pattern, definition, priority, .. }) => {
                format!(
                    "Setting operator policy override \"{name}\" for pattern \"{pattern}\" to \"{definition}\" with \
                 priority \"{priority}\" for vhost \"{vhost}\" ..."
                )
            }
            PolicyCommand::ClearPolicy { name } => {
                format!("Clearing policy \"{name}\" on vhost \"{vhost}\" ...")
            }
            PolicyCommand::ClearOperatorPolicy { name } => {
                format!("Clearing operator policy \"{name}\" on vhost \"{vhost}\" ...")
            }
        },
        Request::Act(act) => match act {
            Act::CloseConnection { pid, explanation } => {
                format!("Closing connection {pid}, reason: {explanation} ...")
            }
            Act::CloseAllConnections { global: true, explanation, .. } => {
                format!("Closing all connections, reason: {explanation} ...")
            }
            Act::CloseAllConnections { explanation, .. } => {
                format!("Closing all connections in vhost {vhost}, reason: {explanation} ...")
            }
            Act::CloseAllUserConnections { user, explanation } => {
                format!("Closing connections of user {user}, reason: {explanation} ...")
            }
            Act::DeleteQueue { name, .. } => format!("Deleting queue '{name}' on vhost '{vhost}' ..."),
            Act::PurgeQueue { name } => format!("Purging queue '{name}' in vhost '{vhost}' ..."),
        },
        Request::Transfer(transfer) => match transfer {
            Transfer::ExportDefinitions { file, .. } if file == "-" => {
                "Exporting definitions in JSON to standard output ...".to_owned()
            }
            Transfer::ExportDefinitions { file, .. } => {
                format!("Exporting definitions in JSON to a file at \"{file}\" ...")
            }
            Transfer::ImportDefinitions { file: Some(file), .. } if file != "-" => {
                format!("Importing definitions in JSON from a file at \"{file}\" ...")
            }
            Transfer::ImportDefinitions { .. } => {
                "Importing definitions in JSON from standard input ...".to_owned()
            }
        },
        Request::Run(run) => match run {
            Run::Stop => "Stopping and halting the broker ...".to_owned(),
            Run::SetVmMemoryHighWatermark { watermark } => {
                format!("Setting memory threshold of the broker to {} ...", watermark.join(" "))
            }
            Run::SetDiskFreeLimit { limit } => {
                format!("Setting disk free limit of the broker to {} ...", limit.join(" "))
            }
            Run::SetLogLevel { level } => format!("Setting log level to \"{level}\" ..."),
        },
    }
}
