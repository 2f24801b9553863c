//! `PUT`, `POST` and `DELETE` below `/api/`, where `management.changes` allows them.
//!
//! What clients can do too is done as a client would, over a connection without a socket ([`crate::connection::direct`]): the
//! same checks, and an answer that comes when it is on disk. What operators do is done by what `broker ctl` asks.

mod fields;
mod messages;
mod operate;
mod topology;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value};

use crate::amqp;
use crate::broker::Broker;
use crate::connection::direct::{Asking, Direct, Refused};
use crate::vhost::Vhost;

use super::api::Path;
use super::body::{Body, read_whole};
use super::query::Query;
use super::{json_answer, refused_as};

/// Of a request; messages come in base64.
const BODY_BYTES_MAX: usize = 16 << 20;

/// What was done.
enum Done {
    Created,
    /// Where it is found, seen from the request's path.
    CreatedAt(String),
    NoContent,
    Value(Value),
}

/// Why nothing was done, in RabbitMQ's shape.
struct Refusal {
    status: StatusCode,
    error: &'static str,
    reason: String,
}

type Outcome = Result<Done, Refusal>;

/// What there was before is changed, else made.
fn created_unless(is_there: bool) -> Done {
    if is_there { Done::NoContent } else { Done::Created }
}

fn refuse(status: StatusCode, error: &'static str, reason: impl ToString) -> Refusal {
    Refusal { status, error, reason: reason.to_string() }
}

fn bad_request(reason: impl ToString) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, "bad_request", reason)
}

fn absent(reason: impl ToString) -> Refusal {
    refuse(StatusCode::NOT_FOUND, "Object Not Found", reason)
}

fn not_authorised(reason: impl ToString) -> Refusal {
    refuse(StatusCode::UNAUTHORIZED, "not_authorised", reason)
}

/// What a client's channel or connection would have been closed with.
impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        let text = refused.text.split_once(" - ").map_or(&*refused.text, |(_, text)| text);
        match refused.code {
            403 | 530 => not_authorised(text),
            404 => refuse(StatusCode::NOT_FOUND, "not_found", text),
            541 => refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", text),
            _ => bad_request(text),
        }
    }
}

/// A request, and who makes it.
struct Change<'a> {
    broker: &'a Arc<Broker>,
    asking: &'a Asking<'a>,
    query: Query<'a>,
    /// `X-Reason`
    reason: Option<&'a str>,
    body: Map<String, Value>,
}

impl Change<'_> {
    fn check_administrator(&self) -> Result<(), Refusal> {
        match self.asking.user.is_administrator() {
            true => Ok(()),
            false => Err(not_authorised("this needs a user with the tag administrator")),
        }
    }

    fn vhost(&self, name: &str) -> Result<Arc<Vhost>, Refusal> {
        let missing = || refuse(StatusCode::NOT_FOUND, "not_found", format!("there is no vhost '{name}'"));
        self.broker.vhost(name).ok_or_else(missing)
    }

    async fn connect(&self, vhost: &Vhost) -> Result<Direct, Refusal> {
        Ok(Direct::open(self.broker, self.asking, &vhost.name).await?)
    }

    /// Calls one method of the broker's, as a client that came for nothing else.
    async fn call(&self, vhost: &Vhost, method: impl Into<amqp::Method>) -> Result<(), Refusal> {
        self.connect(vhost).await?.call(method).await?;
        Ok(())
    }
}

pub async fn answer(broker: &Arc<Broker>, asking: &Asking<'_>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Some(path) = Path::of(head.uri.path()) else { return super::not_found() };
    let body = match read_whole(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return refused(&refuse(error.status(), "bad_request", error)),
    };
    let outcome = match fields::object(&body) {
        Ok(object) => {
            drop(body);
            let query = Query::of(head.uri.query());
            let reason = head.headers.get("x-reason").and_then(|reason| reason.to_str().ok());
            let change = Change { broker, asking, query, reason, body: object };
            make(&change, &head.method, &path.parts()).await
        }
        Err(refusal) => Err(refusal),
    };
    match outcome {
        Ok(done) => {
            let (user, path) = (asking.user.name(), head.uri.path());
            tracing::info!(user, peer = %asking.peer, "over HTTP: {} {path}", head.method);
            done_answer(done)
        }
        Err(refusal) => refused(&refusal),
    }
}

async fn make(change: &Change<'_>, method: &Method, path: &[&str]) -> Outcome {
    if path.iter().any(|part| part.len() > fields::NAME_BYTES_MAX) {
        return Err(bad_request(format!("a name has more than {} bytes", fields::NAME_BYTES_MAX)));
    }
    match (method.as_str(), path) {
        ("PUT", ["queues", vhost, name]) => topology::put_queue(change, vhost, name).await,
        ("DELETE", ["queues", vhost, name]) => topology::delete_queue(change, vhost, name).await,
        ("DELETE", ["queues", vhost, name, "contents"]) => topology::purge(change, vhost, name).await,
        ("POST", ["queues", vhost, name, "get"]) => messages::get(change, vhost, name).await,
        ("PUT", ["exchanges", vhost, name]) => topology::put_exchange(change, vhost, name).await,
        ("DELETE", ["exchanges", vhost, name]) => topology::delete_exchange(change, vhost, name).await,
        ("POST", ["exchanges", vhost, name, "publish"]) => messages::publish(change, vhost, name).await,
        ("POST", ["bindings", vhost, "e", source, kind, destination]) => {
            topology::bind(change, vhost, source, kind, destination).await
        }
        ("DELETE", ["bindings", vhost, "e", source, kind, destination, key]) => {
            topology::unbind(change, vhost, source, kind, destination, key).await
        }
        ("PUT" | "POST" | "DELETE", path) => {
            change.check_administrator()?;
            operate::operate(change, method.as_str(), path).await
        }
        _ => Err(nothing_to_do()),
    }
}

fn nothing_to_do() -> Refusal {
    refuse(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this cannot be done to what has this path")
}

fn refused(refusal: &Refusal) -> Response<Body> {
    refused_as(refusal.status, refusal.error, &refusal.reason)
}

fn done_answer(done: Done) -> Response<Body> {
    let (status, location) = match done {
        Done::Value(value) => return json_answer(StatusCode::OK, &value),
        Done::Created => (StatusCode::CREATED, None),
        Done::CreatedAt(location) => (StatusCode::CREATED, HeaderValue::try_from(location).ok()),
        Done::NoContent => (StatusCode::NO_CONTENT, None),
    };
    let mut response = Response::new(Body::whole(String::new()));
    *response.status_mut() = status;
    if status == StatusCode::CREATED {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if let Some(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
