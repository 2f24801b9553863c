//! What operators do: connections, vhosts, users, permissions and policies, as `broker ctl` does it.

use tokio::sync::mpsc;

use crate::amqp::ReplyCode;
use crate::auth::NewPassword;
use crate::error::AmqpError;
use crate::management::control_socket::Output;
use crate::management::execute::execute;
use crate::management::http::api::open_connection;
use crate::management::list::{policies, users};
use crate::management::request::{
    Envelope, PolicyCommand, Request, SetPolicy, UserCommand, VhostCommand, VhostMetadata,
};
use crate::management::transfer::{Entry, password};

use super::fields::{flag, number_or, read};
use super::{Change, Done, Outcome, Refusal, absent, bad_request, created_unless, nothing_to_do};

/// Lines that may wait to be thrown away.
const LINES_MAX: usize = 4;

pub async fn operate(change: &Change<'_>, method: &str, path: &[&str]) -> Outcome {
    match (method, path) {
        ("DELETE", ["connections", name]) => close_connection(change, name),
        ("PUT", ["vhosts", name]) => put_vhost(change, name).await,
        ("DELETE", ["vhosts", name]) => {
            change.broker.vhost(name).ok_or_else(|| absent(format!("there is no vhost '{name}'")))?;
            run(change, "", Request::Vhost(VhostCommand::DeleteVhost { name: (*name).to_owned() })).await
        }
        ("PUT", ["users", name]) => put_user(change, name).await,
        ("DELETE", ["users", name]) => delete_user(change, name).await,
        ("POST", ["users", "bulk-delete"]) => delete_users(change).await,
        ("PUT", ["permissions", vhost, user]) => put_permissions(change, vhost, user).await,
        ("DELETE", ["permissions", vhost, user]) => {
            let found = users::permission(change.broker, vhost, user);
            found.ok_or_else(|| absent(format!("user '{user}' has no permissions in vhost '{vhost}'")))?;
            run(change, vhost, Request::User(UserCommand::ClearPermissions { user: (*user).to_owned() }))
                .await
        }
        ("PUT", ["policies", vhost, name]) => put_policy(change, vhost, name, false).await,
        ("PUT", ["operator-policies", vhost, name]) => put_policy(change, vhost, name, true).await,
        ("DELETE", ["policies", vhost, name]) => {
            check_policy(change, vhost, name, false)?;
            let clear = PolicyCommand::ClearPolicy { name: (*name).to_owned() };
            run(change, vhost, Request::Policy(clear)).await
        }
        ("DELETE", ["operator-policies", vhost, name]) => {
            check_policy(change, vhost, name, true)?;
            let clear = PolicyCommand::ClearOperatorPolicy { name: (*name).to_owned() };
            run(change, vhost, Request::Policy(clear)).await
        }
        _ => Err(nothing_to_do()),
    }
}

/// What `broker ctl` would have done; what it would have said goes nowhere.
async fn run(change: &Change<'_>, vhost: &str, request: Request) -> Outcome {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let envelope = Envelope { version, vhost: vhost.to_owned(), request };
    let (chunks, mut said) = mpsc::channel(LINES_MAX);
    let done = async {
        let output = Output::new(chunks);
        execute(change.broker, envelope, &output).await
    };
    let unheard = async { while said.recv().await.is_some() {} };
    let (done, ()) = tokio::join!(done, unheard);
    done.map(|()| Done::NoContent).map_err(bad_request)
}

fn close_connection(change: &Change<'_>, name: &str) -> Outcome {
    let found = open_connection(change.broker, name);
    let id = found.ok_or_else(|| absent(format!("there is no connection '{name}'")))?.id();
    let reason = change.reason.filter(|reason| !reason.is_empty());
    let text = reason.unwrap_or("Closed via management plugin");
    let error = AmqpError::connection(ReplyCode::ConnectionForced, text);
    change.broker.close_connections(&error, |info| info.id == id);
    Ok(Done::NoContent)
}

/// Who makes a vhost may use it, as with RabbitMQ.
fn everything(user: &str) -> UserCommand {
    let all = || ".*".to_owned();
    let (configure, write, read) = (all(), all(), all());
    UserCommand::SetPermissions { user: user.to_owned(), configure, write, read, publish_keys: None }
}

async fn put_vhost(change: &Change<'_>, name: &str) -> Outcome {
    let (metadata, tracing) = read(&change.body, |entry| {
        let metadata = VhostMetadata {
            description: entry.text_if_given("description").map(str::to_owned),
            tags: entry.get("tags").and(entry.tags("tags")),
            default_queue_type: entry.text_if_given("default_queue_type").map(str::to_owned),
        };
        let tracing = entry.get("tracing").is_some().then(|| flag(entry, "tracing"));
        Some((metadata, tracing.flatten()))
    })?;
    let is_there = change.broker.vhost(name).is_some();
    let name = name.to_owned();
    match is_there {
        false => {
            let add = VhostCommand::AddVhost { name: name.clone(), metadata };
            run(change, "", Request::Vhost(add)).await?;
            run(change, &name, Request::User(everything(change.asking.user.name()))).await?;
        }
        true if metadata != VhostMetadata::default() => {
            let update = VhostCommand::UpdateVhostMetadata { name: name.clone(), metadata };
            run(change, "", Request::Vhost(update)).await?;
        }
        true => {}
    }
    if let Some(tracing) = tracing {
        let trace = if tracing { VhostCommand::TraceOn } else { VhostCommand::TraceOff };
        run(change, &name, Request::Vhost(trace)).await?;
    }
    Ok(created_unless(is_there))
}

/// Who is given no password has none from now on, as with RabbitMQ: only a certificate is a login then.
fn password_or_none(entry: &Entry<'_>) -> Option<NewPassword> {
    if entry.get("password").is_some_and(|password| password.as_str() == Some("")) {
        return Some(NewPassword::Hash(String::new()));
    }
    match password(entry)? {
        NewPassword::Unchanged => Some(NewPassword::Hash(String::new())),
        given => Some(given),
    }
}

async fn put_user(change: &Change<'_>, name: &str) -> Outcome {
    let (password, tags) = read(&change.body, |entry| {
        if entry.get("tags").is_none() {
            entry.wrong("\"tags\" is missing; \"\" is none");
            return None;
        }
        Some((password_or_none(entry)?, entry.tags("tags")?))
    })?;
    let broker = change.broker;
    let is_there = broker.authority.user(name).is_some();
    let ticket = broker.authority.put_user(name, &password, tags).await.map_err(bad_request)?;
    broker.definitions.wait(ticket).await.map_err(bad_request)?;
    Ok(created_unless(is_there))
}

async fn delete_user(change: &Change<'_>, name: &str) -> Outcome {
    change.broker.authority.user(name).ok_or_else(|| absent(format!("there is no user '{name}'")))?;
    run(change, "", Request::User(UserCommand::DeleteUser { user: name.to_owned() })).await
}

/// Those that there are not are no mistake.
async fn delete_users(change: &Change<'_>) -> Outcome {
    let names = read(&change.body, |entry| {
        if entry.get("users").is_none() {
            entry.wrong("\"users\" is missing");
        }
        entry.tags("users")
    })?;
    for name in names {
        if change.broker.authority.user(&name).is_some() {
            delete_user(change, &name).await?;
        }
    }
    Ok(Done::NoContent)
}

async fn put_permissions(change: &Change<'_>, vhost: &str, user: &str) -> Outcome {
    let set = read(&change.body, |entry| {
        Some(UserCommand::SetPermissions {
            user: user.to_owned(),
            configure: entry.text("configure")?.to_owned(),
            write: entry.text("write")?.to_owned(),
            read: entry.text("read")?.to_owned(),
            publish_keys: entry.text_if_given("publish_keys").map(str::to_owned),
        })
    })?;
    let is_there = users::permission(change.broker, vhost, user).is_some();
    run(change, vhost, Request::User(set)).await?;
    Ok(created_unless(is_there))
}

fn has_policy(change: &Change<'_>, vhost: &str, name: &str, is_operator: bool) -> Result<bool, Refusal> {
    let vhost = change.vhost(vhost)?;
    Ok(policies::rows(&vhost, is_operator).any(|row| row.name() == name))
}

fn check_policy(change: &Change<'_>, vhost: &str, name: &str, is_operator: bool) -> Result<(), Refusal> {
    match has_policy(change, vhost, name, is_operator)? {
        true => Ok(()),
        false => Err(absent(format!("there is no such policy '{name}' in vhost '{vhost}'"))),
    }
}

async fn put_policy(change: &Change<'_>, vhost: &str, name: &str, is_operator: bool) -> Outcome {
    let is_there = has_policy(change, vhost, name, is_operator)?;
    let set = read(&change.body, |entry| {
        let pattern = entry.text("pattern")?.to_owned();
        if entry.get("definition").is_none() {
            entry.wrong("\"definition\" is missing");
        }
        Some(SetPolicy {
            name: name.to_owned(),
            pattern,
            definition: serde_json::Value::Object(entry.object("definition")?).to_string(),
            priority: number_or(entry, "priority", 0)?,
            apply_to: entry.text_if_given("apply-to").unwrap_or("all").to_owned(),
        })
    })?;
    let command =
        if is_operator { PolicyCommand::SetOperatorPolicy(set) } else { PolicyCommand::SetPolicy(set) };
    run(change, vhost, Request::Policy(command)).await?;
    Ok(created_unless(is_there))
}
