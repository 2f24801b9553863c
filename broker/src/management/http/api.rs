//! `GET /api/...`: listings in the shape of RabbitMQ's management plugin.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use data_encoding::BASE64;
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::auth::User;
use crate::broker::Broker;
use crate::management::list::{channels, connections};
use crate::management::transfer::export;

use super::body::{Body, Pieces};
use super::listing::{Wanted, array, one};
use super::query::Query;
use super::{alive, json_answer, not_found, of_users, of_vhosts, overview, refusal, response};

/// Tags that let a user look.
pub const WHO_MAY_LOOK: &[&str] = &[crate::auth::ADMINISTRATOR, "monitoring"];

/// Tags that let a user change what his permissions let him change as a client.
pub const WHO_MAY_CHANGE: &[&str] = &[crate::auth::ADMINISTRATOR, "monitoring", "policymaker", "management"];

/// Whoever asks, if he may: he has one of these tags. The error is for the peer.
pub async fn authorized<B>(
    broker: &Broker,
    peer: SocketAddr,
    request: &Request<B>,
    tags: &[&str],
) -> Result<Arc<User>, String> {
    if !broker.authority.takes_passwords(peer.ip(), false) {
        return Err(
            "passwords are taken from this machine only: put a proxy with TLS in front, on this machine"
                .to_owned(),
        );
    }
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (user, password) =
        header.and_then(credentials).ok_or("log in with basic authentication as a user of the broker")?;
    let response = format!("\0{user}\0{password}");
    let decided = broker.authority.authenticate("PLAIN", response.as_bytes(), peer.ip(), None).await;
    let user = decided.map_err(|error| {
        tracing::warn!(%peer, "management: {error}");
        "login failed".to_owned()
    })?;
    match user.tags().iter().any(|tag| tags.contains(&tag.as_str())) {
        true => Ok(user),
        false => Err(format!("this needs a user with the tag {}", tags.join(" or "))),
    }
}

fn credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    let decoded = BASE64.decode(encoded.trim().as_bytes()).ok()?;
    let text = String::from_utf8(decoded).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// What stands between the slashes behind `/api/`, decoded. Names may be empty: the default exchange's is.
pub struct Path<'a>(Vec<Cow<'a, str>>);

impl<'a> Path<'a> {
    /// `None` if it begins otherwise, or is no UTF-8.
    pub fn of(path: &'a str) -> Option<Path<'a>> {
        let path = path.strip_prefix("/api/")?;
        let path = path.strip_suffix('/').unwrap_or(path);
        path.split('/')
            .map(|part| percent_decode_str(part).decode_utf8().ok())
            .collect::<Option<_>>()
            .map(Path)
    }

    pub fn parts(&self) -> Vec<&str> {
        self.0.iter().map(|part| &**part).collect()
    }
}

/// `local` is where it was asked.
pub async fn answer<B>(
    broker: &Arc<Broker>,
    user: &User,
    local: SocketAddr,
    request: &Request<B>,
) -> Response<Body> {
    let Some(path) = Path::of(request.uri().path()) else { return not_found() };
    let wanted = match Wanted::of(&Query::of(request.uri().query())) {
        Ok(wanted) => wanted,
        Err(bad) => return bad.answer(),
    };
    match *path.parts() {
        ["overview"] => overview::overview(broker.clone(), local),
        ["whoami"] => json_answer(StatusCode::OK, &json!({"name": user.name(), "tags": user.tags()})),
        ["cluster-name"] => json_answer(StatusCode::OK, &json!({"name": broker.cluster_name})),
        ["nodes"] => json_answer(StatusCode::OK, &json!([overview::node(broker)])),
        ["nodes", name] if name == broker.cluster_name => {
            json_answer(StatusCode::OK, &overview::node(broker))
        }
        ["healthchecks", "node"] | ["health", "checks", "alarms" | "local-alarms"] => alive(broker),
        ["healthchecks", "node", name] if name == broker.cluster_name => alive(broker),
        // Whoever may open the vhost can use it as long as the broker is healthy; no queue is made to find out.
        ["aliveness-test", vhost] if broker.vhost(vhost).is_some() => alive(broker),
        ["connections"] => {
            let broker = broker.clone();
            array(connections::TABLE.columns, wanted, move || open_connections(&broker)).await
        }
        ["connections", name] => {
            one(connections::TABLE.columns, &wanted, open_connection(broker, name).as_ref())
        }
        ["connections", name, "channels"] => {
            let Some(connection) = open_connection(broker, name) else { return not_found() };
            let (broker, id) = (broker.clone(), connection.id());
            let rows = move || channels::rows(&broker).filter(move |row| row.connection_id() == id);
            array(channels::API, wanted, rows).await
        }
        ["channels"] => {
            let broker = broker.clone();
            array(channels::API, wanted, move || channels::rows(&broker)).await
        }
        ["channels", name] => {
            let found = channels::rows(broker).find(|row| row.name() == name);
            one(channels::API, &wanted, found.as_ref())
        }
        ["vhosts", vhost, "connections"] if broker.vhost(vhost).is_some() => {
            let (broker, vhost) = (broker.clone(), vhost.to_owned());
            let rows = move || open_connections(&broker).filter(move |row| row.is_in(&vhost));
            array(connections::TABLE.columns, wanted, rows).await
        }
        ["vhosts", vhost, "channels"] if broker.vhost(vhost).is_some() => {
            let (broker, vhost) = (broker.clone(), vhost.to_owned());
            let rows = move || channels::rows(&broker).filter(move |row| row.is_in(&vhost));
            array(channels::API, wanted, rows).await
        }
        ["definitions"] if !user.is_administrator() => refusal(
            StatusCode::FORBIDDEN,
            "this needs a user with the tag administrator: there are password hashes in it",
        ),
        ["definitions"] => definitions(broker.clone()),
        // There are none, and nothing that would read any.
        ["parameters" | "global-parameters"] => json_answer(StatusCode::OK, &json!([])),
        ["vhosts" | "users" | "permissions" | "topic-permissions" | "vhost-limits" | "user-limits", ..] => {
            of_users::answer(broker, &path.parts(), wanted).await
        }
        [what, ref rest @ ..] => of_vhosts::answer(broker, what, rest, wanted).await,
        [] => not_found(),
    }
}

/// Who closes a connection over HTTP waits until it is not listed any more; RabbitMQ leaves it out at once.
fn open_connections(broker: &Broker) -> impl Iterator<Item = connections::Row> + use<> {
    connections::rows(broker).filter(|row| !row.is_told_to_close())
}

pub fn open_connection(broker: &Broker, name: &str) -> Option<connections::Row> {
    connections::row(broker, name).filter(|row| !row.is_told_to_close())
}

/// What `broker ctl export_definitions` writes.
fn definitions(broker: Arc<Broker>) -> Response<Body> {
    let make = move |pieces: Pieces| {
        export(&broker, |piece| pieces.send(piece.into_bytes()));
    };
    response(StatusCode::OK, "application/json", Body::made_by(make))
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
    fn parts_of_a_path_are_decoded_one_by_one() {
        let parts = |path| Path::of(path).map(|path| path.0.join("|"));
        assert_eq!(parts("/api/queues/%2F/a%2Fb"), Some("queues|/|a/b".into()));
        assert_eq!(parts("/api/bindings/%2F/e//q/q/"), Some("bindings|/|e||q|q".into()));
        assert_eq!(parts("/api/queues/%ff"), None);
        assert_eq!(parts("/other"), None);
    }
}
