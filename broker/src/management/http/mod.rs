//! Metrics, health and listings over HTTP/1.1, where `management.listen` says; off unless it is set.
//!
//! - `GET /metrics`: totals, for Prometheus; `GET /metrics/per-object`: each queue too.
//! - `GET /health`: 200 or 503, and why.
//! - `GET /api/...`: listings in the shape of RabbitMQ's management plugin, for users with the tag administrator or
//!   monitoring (basic authentication).
//!
//! - `PUT`, `POST` and `DELETE` below `/api/`, if `management.changes` is set; else nothing is changed over HTTP.
//!
//! Bounds: so many connections, so long for a request to come, so large a body, so long for the whole connection, and an
//! answer is made as fast as it is read.

mod api;
mod body;
mod changes;
mod listing;
mod metrics;
mod of_users;
mod of_vhosts;
mod overview;
mod query;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::broker::Broker;
use crate::connection::direct::Asking;
use crate::health::Ailment;
use body::Body;

/// Connections at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 64;

/// For the head of a request to come.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// For a connection with all its requests: whoever reads too slowly comes again.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);

/// Of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Serves one listener until the task is dropped.
pub(crate) async fn serve(broker: Arc<Broker>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let broker = broker.clone();
                tokio::spawn(async move {
                    serve_one(broker, stream, peer).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::error!("cannot accept a management connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_one(broker: Arc<Broker>, stream: tokio::net::TcpStream, peer: SocketAddr) {
    let Ok(local) = stream.local_addr() else { return };
    let service = service_fn(move |request| {
        let broker = broker.clone();
        async move { Ok::<_, Infallible>(answer(&broker, (peer, local), request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%peer, "a management connection ended: {error}"),
        Err(_) => tracing::debug!(%peer, "a management connection took too long"),
    }
}

async fn answer(
    broker: &Arc<Broker>,
    (peer, local): (SocketAddr, SocketAddr),
    request: Request<Incoming>,
) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return change(broker, (peer, local), request).await;
    }
    let path = request.uri().path();
    match path {
        "/metrics" => text(metrics::totals(broker.clone()).await),
        "/metrics/per-object" => metrics::per_object(broker),
        "/health" => health(broker),
        _ if path.starts_with("/api/") => {
            // Who somebody is, is his own business.
            let tags = if path == "/api/whoami" { api::WHO_MAY_CHANGE } else { api::WHO_MAY_LOOK };
            match api::authorized(broker, peer, &request, tags).await {
                Ok(user) => api::answer(broker, &user, local, &request).await,
                Err(reason) => unauthorized(&reason),
            }
        }
        _ => not_found(),
    }
}

async fn change(
    broker: &Arc<Broker>,
    (peer, local): (SocketAddr, SocketAddr),
    request: Request<Incoming>,
) -> Response<Body> {
    if !broker.config.management.changes || !request.uri().path().starts_with("/api/") {
        let reason = match broker.config.management.changes {
            true => "only GET is possible here",
            false => {
                "only GET is possible here; changes are made with broker ctl, or over HTTP where the broker's \
                 configuration has management.changes = true"
            }
        };
        let mut refused = refusal(StatusCode::METHOD_NOT_ALLOWED, reason);
        refused.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    if !is_of_this_site(&request) {
        return refusal(StatusCode::FORBIDDEN, "pages of other sites may not change anything here");
    }
    match api::authorized(broker, peer, &request, api::WHO_MAY_CHANGE).await {
        Ok(user) => changes::answer(broker, &Asking { user: &user, peer, local }, request).await,
        Err(reason) => unauthorized(&reason),
    }
}

/// A browser that somebody has told his password sends it along with what pages of other sites ask for, and says which
/// site that is. Other clients say nothing.
fn is_of_this_site(request: &Request<Incoming>) -> bool {
    let header = |name| request.headers().get(name).map(hyper::header::HeaderValue::as_bytes);
    let Some(origin) = header(ORIGIN) else { return true };
    let host = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    host.is_some() && host == header(HOST)
}

/// For whoever watches the broker: what does not end by itself, and what does.
fn health(broker: &Broker) -> Response<Body> {
    let (mut body, warnings) = state(broker);
    body["warnings"] = warnings;
    of_state(&body)
}

/// The shape of RabbitMQ's health checks, which clients compare as a whole.
fn alive(broker: &Broker) -> Response<Body> {
    of_state(&state(broker).0)
}

fn of_state(state: &Value) -> Response<Body> {
    let status = match state["status"] == "ok" {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    json_answer(status, state)
}

/// How it stands, and what may be worth a warning.
fn state(broker: &Broker) -> (Value, Value) {
    let (passing, lasting): (Vec<_>, Vec<_>) = broker.health().into_iter().partition(Ailment::ends_by_itself);
    let texts = |ailments: Vec<Ailment>| ailments.iter().map(Ailment::to_string).collect::<Vec<_>>();
    let (warnings, reasons) = (texts(passing), texts(lasting));
    let state = match reasons.is_empty() {
        true => json!({"status": "ok"}),
        false => json!({"status": "failed", "reason": reasons.join("; ")}),
    };
    (state, json!(warnings))
}

fn json_answer(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    response(status, "application/json", Body::whole(value.to_string()))
}

fn text(text: String) -> Response<Body> {
    response(StatusCode::OK, metrics::CONTENT_TYPE_TEXT, Body::whole(text))
}

fn response(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}

fn refusal(status: StatusCode, reason: &str) -> Response<Body> {
    refused_as(status, status.canonical_reason().unwrap_or_default(), reason)
}

/// With RabbitMQ's word for what is wrong.
fn refused_as(status: StatusCode, error: &str, reason: &str) -> Response<Body> {
    json_answer(status, &json!({"error": error, "reason": reason}))
}

fn not_found() -> Response<Body> {
    refused_as(StatusCode::NOT_FOUND, "Object Not Found", "there is nothing of that name here")
}

fn no_vhost(name: &str) -> Response<Body> {
    refused_as(StatusCode::NOT_FOUND, "not_found", &format!("there is no vhost '{name}'"))
}

fn unauthorized(reason: &str) -> Response<Body> {
    let body = json!({"error": "not_authorized", "reason": reason});
    let mut response = json_answer(StatusCode::UNAUTHORIZED, &body);
    // RabbitMQ's: Perl's LWP, for one, keeps passwords by realm, and checks for Nagios name this one.
    let realm = hyper::header::HeaderValue::from_static("Basic realm=\"RabbitMQ Management\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, realm);
    response
}
