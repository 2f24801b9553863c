//! Queues, exchanges and bindings.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::amqp::{FieldTable, Method, exchange, queue};
use crate::management::http::of_vhosts::{end, exchange as exchange_name};
use crate::management::list::bindings;
use crate::vhost::DestinationName;

use super::fields::{flag, read, short};
use super::{Change, Done, Outcome, absent, created_unless, nothing_to_do};

/// What is not escaped in a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub async fn put_queue(change: &Change<'_>, vhost: &str, name: &str) -> Outcome {
    let vhost = change.vhost(vhost)?;
    let declare = read(&change.body, |entry| {
        Some(queue::Declare {
            queue: name.into(),
            passive: false,
            durable: flag(entry, "durable")?,
            exclusive: flag(entry, "exclusive")?,
            auto_delete: flag(entry, "auto_delete")?,
            no_wait: false,
            arguments: entry.arguments()?,
        })
    })?;
    let is_there = vhost.queue(name).is_ok();
    change.call(&vhost, declare).await?;
    Ok(created_unless(is_there))
}

pub async fn delete_queue(change: &Change<'_>, vhost: &str, name: &str) -> Outcome {
    let vhost = change.vhost(vhost)?;
    vhost.queue(name).map_err(|error| absent(error.text))?;
    let (if_unused, if_empty) = (change.query.is("if-unused"), change.query.is("if-empty"));
    let delete = queue::Delete { queue: name.into(), if_unused, if_empty, no_wait: false };
    change.call(&vhost, delete).await?;
    Ok(Done::NoContent)
}

pub async fn purge(change: &Change<'_>, vhost: &str, name: &str) -> Outcome {
    let vhost = change.vhost(vhost)?;
    vhost.queue(name).map_err(|error| absent(error.text))?;
    change.call(&vhost, queue::Purge { queue: name.into(), no_wait: false }).await?;
    Ok(Done::NoContent)
}

pub async fn put_exchange(change: &Change<'_>, vhost: &str, name: &str) -> Outcome {
    let vhost = change.vhost(vhost)?;
    let name = exchange_name(name);
    let declare = read(&change.body, |entry| {
        Some(exchange::Declare {
            exchange: name.into(),
            kind: short(entry, "type")?.unwrap_or_else(|| "direct".into()),
            passive: false,
            durable: flag(entry, "durable")?,
            auto_delete: flag(entry, "auto_delete")?,
            internal: flag(entry, "internal")?,
            no_wait: false,
            arguments: entry.arguments()?,
        })
    })?;
    let is_there = vhost.exchange(name).is_ok();
    change.call(&vhost, declare).await?;
    Ok(created_unless(is_there))
}

pub async fn delete_exchange(change: &Change<'_>, vhost: &str, name: &str) -> Outcome {
    let vhost = change.vhost(vhost)?;
    let name = exchange_name(name);
    vhost.exchange(name).map_err(|error| absent(error.text))?;
    let delete =
        exchange::Delete { exchange: name.into(), if_unused: change.query.is("if-unused"), no_wait: false };
    change.call(&vhost, delete).await?;
    Ok(Done::NoContent)
}

pub async fn bind(change: &Change<'_>, vhost: &str, source: &str, kind: &str, destination: &str) -> Outcome {
    let vhost = change.vhost(vhost)?;
    let (routing_key, arguments) = read(&change.body, |entry| {
        Some((short(entry, "routing_key")?.unwrap_or_default(), entry.arguments()?))
    })?;
    let end = end(kind, destination).ok_or_else(nothing_to_do)?;
    let key = bindings::key(&routing_key, &arguments);
    let bind = bind_method(&end, exchange_name(source), routing_key, arguments);
    change.call(&vhost, bind).await?;
    let part = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
    Ok(Done::CreatedAt(format!("{}/{}", part(destination), part(&key))))
}

pub async fn unbind(
    change: &Change<'_>,
    vhost: &str,
    source: &str,
    kind: &str,
    destination: &str,
    key: &str,
) -> Outcome {
    let vhost = change.vhost(vhost)?;
    let (source, end) = (exchange_name(source), end(kind, destination).ok_or_else(nothing_to_do)?);
    let key = bindings::key_meant(key);
    let mut between = bindings::to(&vhost, end.clone()).filter(|row| row.source() == source);
    let found = between.find(|row| row.key() == key);
    let binding = found.ok_or_else(|| absent("there is no such binding"))?.binding().clone();
    let unbind = unbind_method(&end, source, binding.routing_key, binding.arguments);
    change.call(&vhost, unbind).await?;
    Ok(Done::NoContent)
}

fn bind_method(end: &DestinationName, source: &str, routing_key: Box<str>, arguments: FieldTable) -> Method {
    match end {
        DestinationName::Queue(name) => queue::Bind {
            queue: (**name).into(),
            exchange: source.into(),
            routing_key,
            no_wait: false,
            arguments,
        }
        .into(),
        DestinationName::Exchange(name) => exchange::Bind {
            destination: (**name).into(),
            source: source.into(),
            routing_key,
            no_wait: false,
            arguments,
        }
        .into(),
    }
}

fn unbind_method(
    end: &DestinationName,
    source: &str,
    routing_key: Box<str>,
    arguments: FieldTable,
) -> Method {
    match end {
        DestinationName::Queue(name) => {
            queue::Unbind { queue: (**name).into(), exchange: source.into(), routing_key, arguments }.into()
        }
        DestinationName::Exchange(name) => exchange::Unbind {
            destination: (**name).into(),
            source: source.into(),
            routing_key,
            no_wait: false,
            arguments,
        }
        .into(),
    }
}
