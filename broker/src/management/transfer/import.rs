//! `import_definitions`, and the file that is loaded at the start.
//!
//! A file is done as a whole or, if anything in it is wrong, not at all. What is there already is changed as far as
//! operators could change it (users, permissions, policies, limits), and stays as it is otherwise (exchanges, queues).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::broker::Broker;
use crate::definitions::Ticket;
use crate::management::reply::Failure;
use crate::management::show;
use crate::queue::Owner;
use crate::vhost::{Asker, BindRequest, DestinationName, Metadata, Vhost, predeclared};

use super::check::check;
use super::document::{BindingEntry, Document, Limits, VhostEntry};
use super::fields::Findings;

/// How much of what is wrong is told at once.
const WRONG_MAX: usize = 10;

/// No connection has this number.
const NO_CONNECTION: u64 = u64::MAX;

/// Why a broker did not start with a file of definitions.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read the definitions in {} (load_definitions): {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot load the definitions in {} (load_definitions): {reason}", path.display())]
    Import { path: PathBuf, reason: String },
}

/// Imports a file before clients come.
pub async fn load(broker: &Arc<Broker>, path: &Path) -> Result<(), LoadError> {
    let file = path.to_owned();
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(file)).await;
    let read = read.map_err(std::io::Error::other).flatten();
    let text = read.map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    match import(broker, text).await {
        Ok(notes) => {
            notes.iter().for_each(|note| tracing::warn!("load_definitions: {note}"));
            tracing::info!("definitions loaded from {}", path.display());
            Ok(())
        }
        Err(Failure { reason }) => Err(LoadError::Import { path: path.to_owned(), reason }),
    }
}

/// Does what the file asks for, and returns what is worth knowing of it, when all of it is durable.
pub async fn import(broker: &Arc<Broker>, text: String) -> Result<Vec<String>, Failure> {
    let checked = {
        let broker = broker.clone();
        // There may be many entries.
        tokio::task::spawn_blocking(move || checked(&broker, &text)).await.map_err(Failure::new)?
    };
    let (document, mut notes) = checked?;
    let mut tickets = put_vhosts(broker, &document).await?;
    tickets.extend(put_users(broker, &document).await?);
    let (more, declared) = {
        let broker = broker.clone();
        tokio::task::spawn_blocking(move || declare(&broker, &document)).await.map_err(Failure::new)?
    };
    tickets.extend(more);
    notes.extend(declared);
    for ticket in tickets {
        broker.definitions.wait(ticket).await.map_err(Failure::new)?;
    }
    Ok(notes)
}

fn checked(broker: &Broker, text: &str) -> Result<(Document, Vec<String>), Failure> {
    let findings = Findings::default();
    let mut document = Document::read(text, &findings);
    let mut possible = Vec::new();
    if findings.wrong.borrow().is_empty() {
        possible = check(broker, &document, &findings);
    }
    let wrong = findings.wrong.into_inner();
    if wrong.is_empty() {
        let mut possible = possible.into_iter();
        document.bindings.retain(|_| possible.next().unwrap_or(false));
        return Ok((document, findings.warnings.into_inner()));
    }
    let mut reason = format!("nothing was imported. {}", wrong[..wrong.len().min(WRONG_MAX)].join("\n"));
    if wrong.len() > WRONG_MAX {
        reason.push_str(&format!("\nand {} more", wrong.len() - WRONG_MAX));
    }
    Err(Failure::new(reason))
}

async fn put_vhosts(broker: &Arc<Broker>, document: &Document) -> Result<Vec<Ticket>, Failure> {
    let mut tickets = Vec::new();
    for entry in &document.vhosts {
        match broker.vhost(&entry.name) {
            None => {
                let metadata = changed(Metadata::default(), entry);
                broker.add_vhost(&entry.name, metadata).await.map_err(Failure::new)?;
            }
            Some(vhost) => {
                let known = vhost.metadata();
                if changed(known.clone(), entry) != known {
                    let change = |metadata: &mut Metadata| *metadata = changed(metadata.clone(), entry);
                    tickets.push(broker.change_vhost(&entry.name, change).map_err(Failure::new)?);
                }
            }
        }
    }
    for (_, vhost, limits) in &document.vhost_limits {
        let Some(vhost) = broker.vhost(vhost) else { continue };
        let known = vhost.limits();
        let [connections_max, queues_max] = merged(*limits, [known.connections_max, known.queues_max]);
        tickets.push(vhost.set_limits(connections_max, queues_max));
    }
    Ok(tickets)
}

fn changed(known: Metadata, entry: &VhostEntry) -> Metadata {
    Metadata {
        description: entry.description.clone().unwrap_or(known.description),
        tags: entry.tags.clone().unwrap_or(known.tags),
        default_queue_type: entry.default_queue_type.or(known.default_queue_type),
    }
}

/// What is not mentioned stays.
fn merged(limits: Limits, known: [Option<u64>; 2]) -> [Option<u64>; 2] {
    [limits[0].unwrap_or(known[0]), limits[1].unwrap_or(known[1])]
}

async fn put_users(broker: &Arc<Broker>, document: &Document) -> Result<Vec<Ticket>, Failure> {
    let authority = &broker.authority;
    let mut tickets = Vec::new();
    for entry in &document.users {
        let put = authority.put_user(&entry.name, &entry.password, entry.tags.clone()).await;
        tickets.push(put.map_err(Failure::new)?);
        if entry.limits != [None, None] {
            let changed = authority.change_limits(&entry.name, |row| {
                [row.connections_max, row.channels_max] =
                    merged(entry.limits, [row.connections_max, row.channels_max]);
            });
            tickets.push(changed.map_err(Failure::new)?);
        }
    }
    for entry in &document.permissions {
        let set = broker.set_permissions(&entry.user, &entry.vhost, entry.permission.clone());
        tickets.push(set.map_err(Failure::new)?);
    }
    for (_, row) in &document.topic_permissions {
        tickets.push(authority.set_topic_permission(row.clone()).map_err(Failure::new)?);
    }
    Ok(tickets)
}

/// Policies first, so that what is new has them from the start.
fn declare(broker: &Broker, document: &Document) -> (Vec<Ticket>, Vec<String>) {
    let (mut tickets, mut notes) = (Vec::new(), Vec::new());
    // Somebody may delete a vhost meanwhile: then there is nothing to declare in it.
    for (_, row, policy) in &document.policies {
        if let Some(vhost) = broker.vhost(&row.vhost) {
            tickets.push(vhost.set_policy(policy.clone(), row.clone()));
        }
    }
    for entry in document.exchanges.iter().filter(|entry| predeclared(&entry.name).is_none()) {
        let Some(vhost) = broker.vhost(&entry.vhost) else { continue };
        let (wanted, is_new) = (entry.declaration(), vhost.exchange(&entry.name).is_err());
        match vhost.declare_exchange(&wanted) {
            Ok(done) => {
                tickets.extend(done.ticket);
                if is_new && wanted.unknown_arguments().next().is_some() {
                    vhost.warn_of_unknown_arguments(&wanted, "");
                }
            }
            Err(error) => notes.push(stays(&entry.place, &error.text)),
        }
    }
    for entry in &document.queues {
        let Some(vhost) = broker.vhost(&entry.vhost) else { continue };
        let user = entry.owner_user.as_deref().unwrap_or_default();
        let is_new = vhost.queue(&entry.name).is_err();
        match vhost.declare_typed_queue(&entry.declaration(), Asker { connection_id: NO_CONNECTION, user }) {
            Ok(done) => {
                tickets.extend(done.ticket);
                if is_new && !done.value.spec.parsed.without_effect.is_empty() {
                    vhost.warn_of_arguments_without_effect(&done.value, user);
                }
            }
            Err(error) => notes.push(stays(&entry.place, &error.text)),
        }
    }
    for entry in &document.bindings {
        let Some(vhost) = broker.vhost(&entry.vhost) else { continue };
        match bind(&vhost, entry) {
            Ok(ticket) => tickets.extend(ticket),
            Err(why) => notes.push(format!("{}: left out: {why}", entry.place)),
        }
    }
    (tickets, notes)
}

fn stays(place: &str, why: &str) -> String {
    format!("{place}: what is there already stays as it is: {why}")
}

fn bind(vhost: &Vhost, entry: &BindingEntry) -> Result<Option<Ticket>, String> {
    // Without any, there is nothing to take for something else.
    if !entry.arguments.is_empty() && is_bound(vhost, entry) {
        return Ok(None);
    }
    let owner = match &entry.destination {
        DestinationName::Queue(name) => vhost.queue(name).ok().map(|queue| queue.spec.owner.clone()),
        DestinationName::Exchange(_) => None,
    };
    let user = match &owner {
        Some(Owner::User(user)) => user,
        _ => "",
    };
    let request = BindRequest {
        source: &entry.source,
        destination: entry.destination.clone(),
        routing_key: &entry.routing_key,
        arguments: &entry.arguments,
    };
    let asker = Asker { connection_id: NO_CONNECTION, user };
    vhost.bind(&request, asker).map(|done| done.ticket).map_err(|error| error.text)
}

/// A client may have bound the same with other types of numbers, which a file cannot tell apart.
pub(super) fn is_bound(vhost: &Vhost, entry: &BindingEntry) -> bool {
    let wanted = show::table(&entry.arguments);
    vhost.read().bindings_to(&entry.destination).iter().any(|binding| {
        *binding.source == *entry.source
            && *binding.routing_key == *entry.routing_key
            && show::table(&binding.arguments) == wanted
    })
}
