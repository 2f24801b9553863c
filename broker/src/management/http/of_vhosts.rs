//! `GET` of what is in vhosts: in all, in the one that is named, or one thing in it.

use std::sync::Arc;

use hyper::Response;

use crate::broker::Broker;
use crate::management::list::{bindings, consumers, exchanges, policies, queues};
use crate::vhost::{DestinationName, Vhost};

use super::body::Body;
use super::listing::{Wanted, array, in_each, one};
use super::{no_vhost, not_found};

pub async fn answer(broker: &Arc<Broker>, what: &str, rest: &[&str], wanted: Wanted) -> Response<Body> {
    let [vhost, rest @ ..] = rest else { return listed(what, broker.vhosts(), wanted).await };
    let Some(vhost) = broker.vhost(vhost) else { return no_vhost(vhost) };
    match (what, rest) {
        (_, []) => listed(what, vec![vhost], wanted).await,
        ("queues", [name]) => one(queues::API, &wanted, queues::row(&vhost, name).as_ref()),
        ("queues", [name, "bindings"]) if vhost.queue(name).is_ok() => {
            let destination = DestinationName::Queue((*name).into());
            array(bindings::API, wanted, move || bindings::to(&vhost, destination)).await
        }
        ("exchanges", [name]) => {
            let found = exchanges::row(&vhost, exchange(name));
            one(exchanges::TABLE.columns, &wanted.without_nulls(), found.as_ref())
        }
        // Without an exchange of that name, too, as RabbitMQ has it: who waits for bindings to go asks for none.
        ("exchanges", [name, "bindings", side]) => of_exchange(vhost, exchange(name), side, wanted).await,
        ("bindings", ["e", source, kind, destination, key @ ..]) => {
            let Some(destination) = end(kind, destination) else { return not_found() };
            let source = exchange(source).to_owned();
            let rows = move || bindings::to(&vhost, destination).filter(move |row| row.source() == source);
            match key {
                [] => array(bindings::API, wanted, rows).await,
                [key] => {
                    let key = bindings::key_meant(key);
                    one(bindings::API, &wanted, rows().find(|row| row.key() == key).as_ref())
                }
                _ => not_found(),
            }
        }
        ("policies" | "operator-policies", [name]) => {
            let found = policies::rows(&vhost, what == "operator-policies").find(|row| row.name() == *name);
            one(policies::TABLE.columns, &wanted, found.as_ref())
        }
        _ => not_found(),
    }
}

async fn listed(what: &str, vhosts: Vec<Arc<Vhost>>, wanted: Wanted) -> Response<Body> {
    match what {
        "queues" => in_each(queues::API, wanted, vhosts, queues::rows).await,
        "exchanges" => {
            in_each(exchanges::TABLE.columns, wanted.without_nulls(), vhosts, exchanges::rows).await
        }
        "bindings" => in_each(bindings::API, wanted, vhosts, bindings::rows).await,
        "consumers" => in_each(consumers::API, wanted, vhosts, |vhost| consumers::rows(vhost)).await,
        "policies" => {
            in_each(policies::TABLE.columns, wanted, vhosts, |vhost| policies::rows(vhost, false)).await
        }
        "operator-policies" => {
            in_each(policies::TABLE.columns, wanted, vhosts, |vhost| policies::rows(vhost, true)).await
        }
        _ => not_found(),
    }
}

async fn of_exchange(vhost: Arc<Vhost>, name: &str, side: &str, wanted: Wanted) -> Response<Body> {
    let name = name.to_owned();
    match side {
        "source" => {
            array(bindings::API, wanted, move || {
                bindings::rows(&vhost).filter(move |row| row.source() == name)
            })
            .await
        }
        "destination" => {
            let destination = DestinationName::Exchange(name.as_str().into());
            array(bindings::API, wanted, move || bindings::to(&vhost, destination)).await
        }
        _ => not_found(),
    }
}

/// The default exchange has another name in paths, where an empty one is hard to write.
pub fn exchange(name: &str) -> &str {
    if name == "amq.default" { "" } else { name }
}

/// Of a binding: `q` and the name of a queue, or `e` and that of an exchange.
pub fn end(kind: &str, name: &str) -> Option<DestinationName> {
    match kind {
        "q" => Some(DestinationName::Queue(name.into())),
        "e" => Some(DestinationName::Exchange(exchange(name).into())),
        _ => None,
    }
}
