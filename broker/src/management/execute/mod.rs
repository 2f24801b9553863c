//! What each request does.

mod policies;
mod run;
mod transfer;
mod users;
mod vhosts;

use std::cell::Cell;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::amqp::ReplyCode;
use crate::broker::{Broker, ConnectionInfo};
use crate::config::Listener;
use crate::definitions::Ticket;
use crate::error::AmqpError;
use crate::health::Ailment;
use crate::message::resident_bytes;
use crate::store::{DurableListener, Round};
use crate::vhost::{DeleteQueue, Vhost};

use super::control_socket::Output;
use super::list;
use super::objects::{Objects, resident_memory_bytes};
use super::reply::{Failure, Line};
use super::request::{Act, Envelope, Look, Request};

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
        Request::User(command) => users::execute(broker, &vhost, command, output).await,
        Request::Vhost(command) => vhosts::execute(broker, &vhost, command, output).await,
        Request::Policy(command) => policies::execute(broker, &vhost, command, output).await,
        Request::Act(act) => self::act(broker, &vhost, act, output).await,
        Request::Transfer(command) => transfer::execute(broker, command, output).await,
        Request::Run(command) => run::execute(broker, command, output).await,
    }
}

async fn look(broker: &Arc<Broker>, look: &Look, output: &Output) -> Result<(), Failure> {
    match look {
        Look::Status => {
            let broker = broker.clone();
            // Looks at every queue.
            let facts = tokio::task::spawn_blocking(move || status(&broker)).await.map_err(Failure::new)?;
            output.line(&Line::Facts(facts)).await;
            Ok(())
        }
        // That it is answered is the answer.
        Look::Ping => Ok(()),
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
    let (objects, totals) = (Objects::count(broker), broker.totals());
    let uptime_s = crate::clock::now_ms().saturating_sub(broker.started_at_ms) / 1000;
    let facts = [
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("pid", json!(std::process::id())),
        ("uptime_seconds", json!(uptime_s)),
        ("listeners", json!(broker.listeners().iter().map(Listener::to_string).collect::<Vec<_>>())),
        ("data_dir", json!(broker.config.data_dir.display().to_string())),
        ("healthy", json!(failures.is_empty())),
        ("failures", json!(failures)),
        ("alarms", json!(alarms)),
        ("connections", json!(objects.connections)),
        ("connections_max", json!(limits.connections_max)),
        ("channels", json!(objects.channels)),
        ("users", json!(broker.authority.list_users().len())),
        ("vhosts", json!(vhosts.len())),
        ("exchanges", json!(objects.exchanges)),
        ("queues", json!(objects.queues)),
        ("consumers", json!(objects.consumers)),
        ("messages_ready", json!(objects.messages_ready)),
        ("messages_unacknowledged", json!(objects.messages_unacknowledged)),
        ("messages_published_total", json!(totals.published)),
        ("messages_delivered_total", json!(totals.delivered)),
        ("messages_acknowledged_total", json!(totals.acknowledged)),
        ("received_bytes_total", json!(totals.received_bytes)),
        ("sent_bytes_total", json!(totals.sent_bytes)),
        ("stored_messages", json!(stats.messages)),
        ("message_log_bytes", json!(stats.disk_bytes)),
        ("message_log_segments", json!(stats.segments)),
        ("message_bytes_in_memory", json!(resident_bytes())),
        ("memory_bytes_high_watermark", json!(broker.alarms.memory_bytes_max())),
        ("resident_memory_bytes", json!(resident_memory_bytes())),
        ("disk_free_min_bytes", json!(broker.store.disk_free_min_bytes())),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).into()
}

async fn act(broker: &Arc<Broker>, vhost: &str, act: Act, output: &Output) -> Result<(), Failure> {
    match act {
        Act::CloseConnection { pid, explanation } => {
            match broker.close_connections(&closed(&explanation), |info| info.id == pid) {
                0 => {
                    Err(Failure::new(format!("there is no connection {pid}; see list_connections pid name")))
                }
                _ => Ok(()),
            }
        }
        Act::CloseAllConnections { global, limit, explanation } => {
            if !global {
                find_vhost(broker, vhost)?;
            }
            let left = Cell::new(if limit == 0 { usize::MAX } else { limit });
            let count = broker.close_connections(&closed(&explanation), |info| {
                let is_picked = left.get() > 0 && (global || *info.vhost == *vhost);
                left.set(left.get() - usize::from(is_picked));
                is_picked
            });
            output.line(&Line::Note(format!("{count} connections closed"))).await;
            Ok(())
        }
        Act::CloseAllUserConnections { user, explanation } => {
            list::users::find(broker, &user)?;
            let of_user = |info: &ConnectionInfo| info.user.name() == user;
            let count = broker.close_connections(&closed(&explanation), of_user);
            output.line(&Line::Note(format!("{count} connections closed"))).await;
            Ok(())
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

/// What a client is told whose connection an operator closes.
fn closed(explanation: &str) -> AmqpError {
    let text = format!("connection closed by an operator: {explanation}");
    AmqpError::connection(ReplyCode::ConnectionForced, text)
}

pub fn find_vhost(broker: &Broker, name: &str) -> Result<Arc<Vhost>, Failure> {
    broker.vhost(name).ok_or_else(|| Failure::new(format!("there is no vhost '{name}'; see list_vhosts")))
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
