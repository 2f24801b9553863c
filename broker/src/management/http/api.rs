//! `GET /api/...`: listings in the shape of RabbitMQ's management plugin.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use data_encoding::BASE64;
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::alarm::Alarm;
use crate::auth::User;
use crate::broker::Broker;
use crate::management::list::{
    self, Column, bindings, channels, connections, consumers, exchanges, limits, policies, queues,
};
use crate::management::objects::{Objects, resident_memory_bytes};
use crate::management::transfer::export;
use crate::vhost::Vhost;

use super::body::{Body, Pieces};
use super::{json_answer, not_found, refusal, response};

/// Bytes that are sent together.
const PIECE_BYTES: usize = 64 << 10;

/// Tags that let a user look.
const TAGS: [&str; 2] = [crate::auth::ADMINISTRATOR, "monitoring"];

/// Whoever asks, if he may. The error is for the peer.
pub async fn authorized<B>(
    broker: &Broker,
    peer: SocketAddr,
    request: &Request<B>,
) -> Result<Arc<User>, &'static str> {
    if !broker.authority.takes_passwords(peer.ip(), false) {
        return Err(
            "passwords are taken from this machine only: put a proxy with TLS in front, on this machine",
        );
    }
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (user, password) =
        header.and_then(credentials).ok_or("log in with basic authentication as a user of the broker")?;
    let response = format!("\0{user}\0{password}");
    let decided = broker.authority.authenticate("PLAIN", response.as_bytes(), peer.ip(), None).await;
    let user = decided.map_err(|error| {
        tracing::warn!(%peer, "management: {error}");
        "login failed"
    })?;
    match user.tags().iter().any(|tag| TAGS.contains(&tag.as_str())) {
        true => Ok(user),
        false => Err("this needs a user with the tag administrator or monitoring"),
    }
}

fn credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    let decoded = BASE64.decode(encoded.trim().as_bytes()).ok()?;
    let text = String::from_utf8(decoded).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

pub fn answer<B>(broker: &Arc<Broker>, user: &User, request: &Request<B>) -> Response<Body> {
    let path = request.uri().path();
    let parts: Option<Vec<Cow<'_, str>>> = path
        .trim_start_matches("/api/")
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| percent_decode_str(part).decode_utf8().ok())
        .collect();
    let Some(parts) = parts else { return not_found() };
    let parts: Vec<&str> = parts.iter().map(|part| &**part).collect();
    let wanted = wanted(request.uri().query());
    match parts.as_slice() {
        ["overview"] => overview(broker.clone()),
        ["whoami"] => json_answer(StatusCode::OK, &json!({"name": user.name(), "tags": user.tags()})),
        ["connections"] => {
            let broker = broker.clone();
            array(connections::TABLE.columns, wanted, move || connections::rows(&broker))
        }
        ["channels"] => {
            let broker = broker.clone();
            array(channels::API, wanted, move || channels::rows(&broker))
        }
        ["vhosts"] => {
            let broker = broker.clone();
            array(list::users::VHOSTS.columns, wanted.without_nulls(), move || list::users::vhosts(&broker))
        }
        ["users"] => {
            let broker = broker.clone();
            array(list::users::API_USERS, wanted, move || list::users::users(&broker))
        }
        ["permissions"] => {
            let broker = broker.clone();
            let rows = move || broker.authority.list_permissions().into_iter();
            array(list::users::PERMISSIONS.columns, wanted.without_nulls(), rows)
        }
        ["topic-permissions"] => {
            let broker = broker.clone();
            array(limits::TOPICS.columns, wanted, move || {
                limits::topics(&broker, |_| true).collect::<Vec<_>>().into_iter()
            })
        }
        ["vhost-limits"] => {
            let broker = broker.clone();
            array(limits::API_VHOSTS, wanted, move || {
                limits::vhosts(&broker, None).collect::<Vec<_>>().into_iter()
            })
        }
        ["user-limits"] => {
            let broker = broker.clone();
            array(limits::API_USERS, wanted, move || {
                limits::users(&broker, None).collect::<Vec<_>>().into_iter()
            })
        }
        ["definitions"] if !user.is_administrator() => refusal(
            StatusCode::FORBIDDEN,
            "this needs a user with the tag administrator: there are password hashes in it",
        ),
        ["definitions"] => definitions(broker.clone()),
        ["nodes"] => json_answer(StatusCode::OK, &json!([node(broker)])),
        // There are none, and nothing that would read any.
        ["parameters" | "global-parameters"] => json_answer(StatusCode::OK, &json!([])),
        [what, vhost @ ..] => of_vhosts(broker, what, vhost, wanted),
        [] => not_found(),
    }
}

/// What is in vhosts: in all, or in the one that is named, or one thing in it.
fn of_vhosts(broker: &Arc<Broker>, what: &str, rest: &[&str], wanted: Wanted) -> Response<Body> {
    let (vhosts, name) = match rest {
        [] => (broker.vhosts(), None),
        [vhost, name @ ..] if name.len() <= 1 => match broker.vhost(vhost) {
            Some(vhost) => (vec![vhost], name.first().map(|name| (*name).to_owned())),
            None => return refusal(StatusCode::NOT_FOUND, &format!("there is no vhost '{vhost}'")),
        },
        _ => return not_found(),
    };
    match (what, name) {
        ("queues", None) => in_each(queues::TABLE.columns, wanted, vhosts, queues::rows),
        ("exchanges", None) => {
            in_each(exchanges::TABLE.columns, wanted.without_nulls(), vhosts, exchanges::rows)
        }
        ("bindings", None) => in_each(bindings::API, wanted, vhosts, bindings::rows),
        ("consumers", None) => in_each(consumers::API, wanted, vhosts, |vhost| consumers::rows(vhost)),
        ("policies", None) => {
            in_each(policies::TABLE.columns, wanted, vhosts, |vhost| policies::rows(vhost, false))
        }
        ("operator-policies", None) => {
            in_each(policies::TABLE.columns, wanted, vhosts, |vhost| policies::rows(vhost, true))
        }
        ("queues", Some(name)) => {
            let queue = vhosts.first().and_then(|vhost| queues::row(vhost, &name));
            one(queues::TABLE.columns, &wanted, queue.as_ref())
        }
        ("exchanges", Some(name)) => {
            let exchange = vhosts.first().and_then(|vhost| exchanges::row(vhost, &name));
            one(exchanges::TABLE.columns, &wanted.without_nulls(), exchange.as_ref())
        }
        _ => not_found(),
    }
}

/// What to show of a row.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// `?columns=name,messages`; without it, everything.
    columns: Option<Vec<String>>,
    /// As RabbitMQ does here and there; rabbitmqadmin cannot print a null.
    leaves_out_nulls: bool,
}

impl Wanted {
    fn without_nulls(self) -> Wanted {
        Wanted { leaves_out_nulls: true, ..self }
    }
}

fn wanted(query: Option<&str>) -> Wanted {
    let columns = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("columns=")));
    let columns = columns.map(|columns| {
        let columns = percent_decode_str(columns).decode_utf8_lossy();
        columns.split(',').map(str::to_owned).collect()
    });
    Wanted { columns, ..Wanted::default() }
}

fn object<R>(columns: &[Column<R>], wanted: &Wanted, row: &R) -> Value {
    let is_wanted =
        |name: &str| wanted.columns.as_ref().is_none_or(|wanted| wanted.iter().any(|w| w == name));
    let columns = columns.iter().filter(|column| is_wanted(column.name));
    let members = columns.map(|column| (column.name.to_owned(), (column.value)(row)));
    Value::Object(
        members.filter(|(_, value)| !(wanted.leaves_out_nulls && value.is_null())).collect::<Map<_, _>>(),
    )
}

fn one<R>(columns: &[Column<R>], wanted: &Wanted, row: Option<&R>) -> Response<Body> {
    match row {
        Some(row) => json_answer(StatusCode::OK, &object(columns, wanted, row)),
        None => not_found(),
    }
}

fn in_each<R, I: Iterator<Item = R>>(
    columns: &'static [Column<R>],
    wanted: Wanted,
    vhosts: Vec<Arc<Vhost>>,
    rows: impl Fn(&Arc<Vhost>) -> I + Send + 'static,
) -> Response<Body> {
    array(columns, wanted, move || vhosts.into_iter().flat_map(move |vhost| rows(&vhost)))
}

/// Made while it is read, on a thread that may block.
fn array<R, I: Iterator<Item = R>>(
    columns: &'static [Column<R>],
    wanted: Wanted,
    rows: impl FnOnce() -> I + Send + 'static,
) -> Response<Body> {
    let make = move |pieces: Pieces| {
        let mut text = "[".to_owned();
        for (at, row) in rows().enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(&object(columns, &wanted, &row).to_string());
            if text.len() >= PIECE_BYTES && !pieces.send(std::mem::take(&mut text).into_bytes()) {
                return;
            }
        }
        text.push(']');
        pieces.send(text.into_bytes());
    };
    response(StatusCode::OK, "application/json", Body::made_by(make))
}

/// What `broker ctl export_definitions` writes.
fn definitions(broker: Arc<Broker>) -> Response<Body> {
    let make = move |pieces: Pieces| {
        export(&broker, |piece| pieces.send(piece.into_bytes()));
    };
    response(StatusCode::OK, "application/json", Body::made_by(make))
}

fn overview(broker: Arc<Broker>) -> Response<Body> {
    let make = move |pieces: Pieces| {
        pieces.send(overview_of(&broker).to_string().into_bytes());
    };
    response(StatusCode::OK, "application/json", Body::made_by(make))
}

fn overview_of(broker: &Broker) -> Value {
    let (objects, totals) = (Objects::count(broker), broker.totals());
    let listeners: Vec<_> = broker
        .listeners()
        .iter()
        .map(|listener| {
            let ip = listener.address.ip().to_string();
            json!({"protocol": listener.protocol.uri_scheme(), "ip_address": ip, "port": listener.address.port()})
        })
        .collect();
    json!({
        "product_name": "Warren",
        "product_version": env!("CARGO_PKG_VERSION"),
        "cluster_name": broker.cluster_name,
        "exchange_types": crate::vhost::routing::Kind::ALL.map(|kind| json!({"name": kind.name()})),
        "object_totals": {
            "connections": objects.connections,
            "channels": objects.channels,
            "exchanges": objects.exchanges,
            "queues": objects.queues,
            "consumers": objects.consumers,
        },
        "queue_totals": {
            "messages": objects.messages_ready + objects.messages_unacknowledged + objects.dead_letters,
            "messages_ready": objects.messages_ready,
            "messages_unacknowledged": objects.messages_unacknowledged,
        },
        "message_stats": {
            "publish": totals.published,
            "deliver_get": totals.delivered,
            "ack": totals.acknowledged,
        },
        "listeners": listeners,
    })
}

/// The one there is.
fn node(broker: &Broker) -> Value {
    let alarm = broker.alarms.raised();
    json!({
        "name": broker.cluster_name,
        "type": "disc",
        "running": true,
        "os_pid": std::process::id().to_string(),
        "uptime": crate::clock::now_ms().saturating_sub(broker.started_at_ms),
        "mem_used": resident_memory_bytes(),
        "mem_limit": broker.alarms.memory_bytes_max(),
        "mem_alarm": alarm == Some(Alarm::Memory),
        "disk_free_limit": broker.store.disk_free_min_bytes(),
        "disk_free_alarm": alarm == Some(Alarm::Disk),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_authentication_is_read() {
        assert_eq!(credentials("Basic Z3Vlc3Q6Z3U6ZXN0"), Some(("guest".into(), "gu:est".into())));
        assert_eq!(credentials("basic Z3Vlc3Q6"), Some(("guest".into(), String::new())));
        for bad in ["", "Basic", "Basic !", "Bearer Z3Vlc3Q6Z3Vlc3Q=", "Basic Z3Vlc3Q="] {
            assert_eq!(credentials(bad), None, "{bad}");
        }
    }

    #[test]
    fn columns_can_be_chosen() {
        assert_eq!(
            wanted(Some("disable_stats=true&columns=name,a%20b")),
            Wanted { columns: Some(vec!["name".into(), "a b".into()]), leaves_out_nulls: false }
        );
        assert_eq!(wanted(Some("page=1")), Wanted::default());
        assert_eq!(wanted(None), Wanted::default());
    }
}
