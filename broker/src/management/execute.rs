//! What each request does.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::amqp::ReplyCode;
use crate::auth::Permission;
use crate::broker::Broker;
use crate::definitions::Ticket;
use crate::error::AmqpError;
use crate::health::Ailment;
use crate::message::resident_bytes;
use crate::store::{DurableListener, Round};
use crate::vhost::{DeleteQueue, Vhost};

use super::control_socket::Output;
use super::list;
use super::reply::{Failure, Line};
use super::request::{Act, Envelope, Look, Request, UserCommand, VhostCommand};

pub async fn execute(broker: &Arc<Broker>, envelope: Envelope, output: &Output) -> Result<(), Failure> {
    let vhost = envelope.vhost;
    match envelope.request {
        Request::Look(look) => self::look(broker, &look, output).await,
        Request::List(list) => {
            let (broker, output) = (broker.clone(), output.clone());
            // Sorting and printing a hundred thousand rows would keep a thread from its sockets.
            let listed = tokio::task::spawn_blocking(move || list::run(&broker, &vhost, &list, output)).await;
            listed.map_err(|error| Failure::new(format!("the listing failed: {error}")))?
        }
        Request::User(command) => user(broker, &vhost, command, output).await,
        Request::Vhost(VhostCommand::AddVhost { name }) => {
            broker.add_vhost(&name).await.map_err(Failure::new)?;
            tracing::info!("vhost '{name}' added by an operator");
            Ok(())
        }
        Request::Vhost(VhostCommand::DeleteVhost { name }) => {
            broker.delete_vhost(&name).await.map_err(Failure::new)?;
            tracing::info!("vhost '{name}' deleted by an operator");
            Ok(())
        }
        Request::Act(act) => self::act(broker, &vhost, act, output).await,
    }
}

async fn look(broker: &Arc<Broker>, look: &Look, output: &Output) -> Result<(), Failure> {
    match look {
        Look::Status => {
            output.line(&Line::Facts(status(broker))).await;
            Ok(())
        }
        Look::Health => {
            let (passing, lasting) = ailments(broker);
            for warning in passing {
                output.line(&Line::Note(format!("warning: {warning}"))).await;
            }
            match lasting.is_empty() {
                true => Ok(()),
                false => Err(Failure::new(lasting.join("; "))),
            }
        }
    }
}

/// What ends by itself, and what makes health red: it does not.
fn ailments(broker: &Broker) -> (Vec<String>, Vec<String>) {
    let (passing, lasting): (Vec<_>, Vec<_>) = broker.health().into_iter().partition(Ailment::ends_by_itself);
    let texts = |ailments: Vec<Ailment>| ailments.iter().map(Ailment::to_string).collect();
    (texts(passing), texts(lasting))
}

fn status(broker: &Broker) -> Vec<(String, Value)> {
    let (alarms, failures) = ailments(broker);
    let stats = broker.store.stats();
    let limits = &broker.config.limits;
    let vhosts = broker.vhosts();
    let queues: usize = vhosts.iter().map(|vhost| vhost.read().queues.len()).sum();
    let uptime_s = crate::clock::now_ms().saturating_sub(broker.started_at_ms) / 1000;
    let facts = [
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("pid", json!(std::process::id())),
        ("uptime_seconds", json!(uptime_s)),
        ("listeners", json!(broker.addresses())),
        ("data_dir", json!(broker.config.data_dir.display().to_string())),
        ("healthy", json!(failures.is_empty())),
        ("failures", json!(failures)),
        ("alarms", json!(alarms)),
        ("connections", json!(broker.connection_count())),
        ("connections_max", json!(limits.connections_max)),
        ("users", json!(broker.authority.list_users().len())),
        ("vhosts", json!(vhosts.len())),
        ("queues", json!(queues)),
        ("stored_messages", json!(stats.messages)),
        ("message_log_bytes", json!(stats.disk_bytes)),
        ("message_log_segments", json!(stats.segments)),
        ("message_bytes_in_memory", json!(resident_bytes())),
        ("memory_bytes_high_watermark", json!(limits.memory_high_watermark())),
        ("resident_memory_bytes", json!(resident_memory_bytes())),
        ("disk_free_min_bytes", json!(limits.disk_free_min_bytes)),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Of this process; `None` where the operating system does not tell.
pub fn resident_memory_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

async fn user(
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
            let ticket = authority.change_password(&user, &given(password)?).await;
            committed(broker, ticket.map_err(Failure::new)?).await?;
            tracing::info!("password of user '{user}' changed by an operator");
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
            for (kind, pattern) in permission.unanchored() {
                let note = format!(
                    "warning: the {kind} pattern '{pattern}' is unanchored: it matches in the middle of names too. \
                     Begin it with ^ if that is not meant"
                );
                output.line(&Line::Note(note)).await;
            }
            find_vhost(broker, vhost)?;
            let ticket = authority.set_permissions(&user, vhost, permission).map_err(Failure::new)?;
            // Deleted meanwhile: nothing of it may come back with a new vhost of that name.
            if broker.vhost(vhost).is_none() {
                authority.forget_vhost(vhost);
            }
            committed(broker, ticket).await
        }
        UserCommand::ClearPermissions { user } => {
            find_vhost(broker, vhost)?;
            broker.clear_permissions(&user, vhost).await.map_err(Failure::new)
        }
    }
}

async fn act(broker: &Arc<Broker>, vhost: &str, act: Act, output: &Output) -> Result<(), Failure> {
    match act {
        Act::CloseConnection { pid, explanation } => {
            let text = format!("connection closed by an operator: {explanation}");
            let error = AmqpError::connection(ReplyCode::ConnectionForced, text);
            match broker.close_connections(&error, |info| info.id == pid) {
                0 => {
                    Err(Failure::new(format!("there is no connection {pid}; see list_connections pid name")))
                }
                _ => Ok(()),
            }
        }
        Act::DeleteQueue { name, if_empty, if_unused } => {
            let vhost = find_vhost(broker, vhost)?;
            let delete = DeleteQueue { name: &name, if_unused, if_empty };
            let done = vhost.delete_queue_of_anybody(&delete).map_err(|error| Failure::new(error.text))?;
            if let Some(ticket) = done.ticket {
                committed(broker, ticket).await?;
            }
            tracing::info!("queue '{name}' in vhost '{}' deleted by an operator", vhost.name);
            let note = format!("{} messages deleted", done.value.messages);
            output.line(&Line::Note(note)).await;
            Ok(())
        }
        Act::PurgeQueue { name } => {
            let vhost = find_vhost(broker, vhost)?;
            let queue = vhost.queue(&name).map_err(|error| Failure::new(error.text))?;
            let (count, round) = queue.purge();
            if let Some(round) = round {
                durable(broker, round).await?;
            }
            tracing::info!("queue '{name}' in vhost '{}' purged by an operator", vhost.name);
            output.line(&Line::Note(format!("{count} messages deleted"))).await;
            Ok(())
        }
    }
}

pub fn find_vhost(broker: &Broker, name: &str) -> Result<Arc<Vhost>, Failure> {
    broker.vhost(name).ok_or_else(|| Failure::new(format!("there is no vhost '{name}'; see list_vhosts")))
}

fn given(password: Option<String>) -> Result<String, Failure> {
    password.ok_or_else(|| Failure::new("no password was given"))
}

async fn committed(broker: &Broker, ticket: Ticket) -> Result<(), Failure> {
    broker.definitions.wait(ticket).await.map_err(Failure::new)
}

/// Returns when the round is on disk.
async fn durable(broker: &Broker, round: Round) -> Result<(), Failure> {
    let reached = Arc::new(Reached(Notify::new()));
    while broker.store.durable_round() < round {
        if let Some(failure) = broker.store.failure() {
            return Err(Failure::new(failure));
        }
        broker.store.on_durable(round, reached.clone());
        reached.0.notified().await;
    }
    Ok(())
}

struct Reached(Notify);

impl DurableListener for Reached {
    fn durable(&self, _: Round) {
        self.0.notify_one();
    }
}
