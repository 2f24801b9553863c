//! Publishing a message, and getting some.

use data_encoding::BASE64;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use crate::amqp::{BasicProperties, Method, Properties, basic};
use crate::connection::direct::{Answer, Direct, Published};
use crate::management::http::of_vhosts::exchange as exchange_name;
use crate::management::show;
use crate::management::transfer::Entry;

use super::fields::{flag, number_or, read, short};
use super::{Change, Done, Outcome, Refusal, bad_request, refuse};

/// Of messages in one answer: no further one is got then.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// What is said of a message beside its properties and its body, about.
const MESSAGE_BYTES: usize = 256;

struct Publish {
    routing_key: Box<str>,
    properties: Vec<u8>,
    payload: Vec<u8>,
}

pub async fn publish(change: &Change<'_>, vhost: &str, exchange: &str) -> Outcome {
    let vhost = change.vhost(vhost)?;
    if let Some(alarm) = change.broker.alarms.raised() {
        // A client would be held; whoever asks over HTTP can ask again.
        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "resource_alarm", alarm.reason()));
    }
    let wanted = read(&change.body, to_publish)?;
    let max = change.broker.config.limits.message_bytes_max;
    if wanted.payload.len() as u64 > max {
        return Err(bad_request(format!("the payload is larger than limits.message_bytes_max ({max})")));
    }
    let mut direct = change.connect(&vhost).await?;
    let published = direct
        .publish(exchange_name(exchange), &wanted.routing_key, &wanted.properties, &wanted.payload)
        .await;
    // As RabbitMQ answers here, whatever the code.
    match published.map_err(|refused| bad_request(format!("{} {}", refused.code, refused.text)))? {
        Published::Routed => Ok(Done::Value(json!({"routed": true}))),
        Published::Returned => Ok(Done::Value(json!({"routed": false}))),
        Published::Rejected => Err(bad_request("rejected: a queue that is to get the message is full")),
    }
}

fn to_publish(entry: &Entry<'_>) -> Option<Publish> {
    let routing_key = entry.name("routing_key")?.into();
    let (payload, encoding) = (entry.text("payload")?, entry.text("payload_encoding")?);
    let payload = match encoding {
        "string" => payload.as_bytes().to_vec(),
        "base64" => match BASE64.decode(payload.as_bytes()) {
            Ok(payload) => payload,
            Err(error) => {
                entry.wrong(format!("\"payload\" is no base64: {error}"));
                return None;
            }
        },
        other => {
            entry.wrong(format!("\"payload_encoding\" has to be string or base64, not \"{other}\""));
            return None;
        }
    };
    let given = entry.object("properties").unwrap_or_default();
    let properties = match read(&given, properties) {
        Ok(properties) => properties,
        Err(refusal) => {
            entry.wrong(format!("\"properties\": {}", refusal.reason));
            return None;
        }
    };
    let mut encoded = Vec::new();
    properties.encode(&mut encoded);
    Some(Publish { routing_key, properties: encoded, payload })
}

fn properties(entry: &Entry<'_>) -> Option<BasicProperties> {
    Some(BasicProperties {
        content_type: short(entry, "content_type")?,
        content_encoding: short(entry, "content_encoding")?,
        headers: entry.table("headers").filter(|headers| !headers.0.is_empty()),
        delivery_mode: octet(entry, "delivery_mode")?,
        priority: octet(entry, "priority")?,
        correlation_id: short(entry, "correlation_id")?,
        reply_to: short(entry, "reply_to")?,
        expiration: short(entry, "expiration")?,
        message_id: short(entry, "message_id")?,
        timestamp: natural(entry, "timestamp", u64::MAX)?,
        kind: short(entry, "type")?,
        user_id: short(entry, "user_id")?,
        app_id: short(entry, "app_id")?,
        cluster_id: short(entry, "cluster_id")?,
    })
}

fn octet(entry: &Entry<'_>, key: &'static str) -> Option<Option<u8>> {
    Some(natural(entry, key, u8::MAX.into())?.map(|number| number as u8))
}

fn natural(entry: &Entry<'_>, key: &'static str, max: u64) -> Option<Option<u64>> {
    if entry.get(key).is_none() {
        return Some(None);
    }
    let number = number_or(entry, key, 0)?;
    match u64::try_from(number) {
        Ok(number) if number <= max => Some(Some(number)),
        _ => {
            entry.wrong(format!("\"{key}\" has to be from 0 to {max}, not {number}"));
            None
        }
    }
}

/// What becomes of messages that were got.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Gone,
    Back,
    /// As after `basic.reject`: dead-lettered, where the queue says so.
    Rejected,
}

struct Get {
    count: usize,
    fate: Fate,
    is_base64: bool,
    truncate: usize,
}

pub async fn get(change: &Change<'_>, vhost: &str, name: &str) -> Outcome {
    let vhost = change.vhost(vhost)?;
    let wanted = read(&change.body, to_get)?;
    let mut direct = change.connect(&vhost).await?;
    let mut messages = Vec::new();
    let (mut last, mut bytes) = (None, 0);
    while messages.len() < wanted.count && bytes < ANSWER_BYTES_MAX {
        let get = basic::Get { queue: name.into(), no_ack: wanted.fate == Fate::Gone };
        let answers = direct.call(get).await?;
        let found = answers.iter().find_map(|answer| match &answer.method {
            Method::BasicGetOk(ok) => Some((answer, ok)),
            _ => None,
        });
        let Some((answer, ok)) = found else { break };
        last = Some(ok.delivery_tag);
        bytes += MESSAGE_BYTES + answer.properties.len() + answer.body.len().min(wanted.truncate);
        messages.push(message(answer, ok, &wanted));
    }
    if let Some(delivery_tag) = last {
        settle(&mut direct, delivery_tag, wanted.fate).await?;
    }
    Ok(Done::Value(Value::Array(messages)))
}

async fn settle(direct: &mut Direct, delivery_tag: u64, fate: Fate) -> Result<(), Refusal> {
    if fate != Fate::Gone {
        direct.call(basic::Nack { delivery_tag, multiple: true, requeue: fate == Fate::Back }).await?;
    }
    Ok(())
}

fn to_get(entry: &Entry<'_>) -> Option<Get> {
    let count = number_or(entry, "count", 1)?;
    let fate = match entry.text("ackmode")? {
        "ack_requeue_false" => Fate::Gone,
        "ack_requeue_true" | "reject_requeue_true" => Fate::Back,
        "reject_requeue_false" => Fate::Rejected,
        other => {
            entry.wrong(format!(
                "\"ackmode\" has to be ack_requeue_true, ack_requeue_false, reject_requeue_true or \
                 reject_requeue_false, not \"{other}\""
            ));
            return None;
        }
    };
    let is_base64 = match entry.text("encoding")? {
        "auto" => false,
        "base64" => true,
        other => {
            entry.wrong(format!("\"encoding\" has to be auto or base64, not \"{other}\""));
            return None;
        }
    };
    // An older way to say it, which says nothing more.
    flag(entry, "requeue")?;
    let truncate = natural(entry, "truncate", usize::MAX as u64)?;
    Some(Get {
        count: usize::try_from(count).unwrap_or(0),
        fate,
        is_base64,
        truncate: truncate.map_or(usize::MAX, |bytes| bytes as usize),
    })
}

fn message(answer: &Answer, ok: &basic::GetOk, wanted: &Get) -> Value {
    let body = &answer.body[..answer.body.len().min(wanted.truncate)];
    let text = std::str::from_utf8(body).ok().filter(|_| !wanted.is_base64);
    let (payload, encoding) = match text {
        Some(text) => (text.to_owned(), "string"),
        None => (BASE64.encode(body), "base64"),
    };
    json!({
        "payload_bytes": answer.body.len(),
        "redelivered": ok.redelivered,
        "exchange": &*ok.exchange,
        "routing_key": &*ok.routing_key,
        "message_count": ok.message_count,
        "properties": shown(&answer.properties),
        "payload": payload,
        "payload_encoding": encoding,
    })
}

/// Those that the message has.
fn shown(raw: &[u8]) -> Value {
    let Ok(properties) = Properties::parse(raw) else { return json!({}) };
    let text = |text: Option<&str>| text.map(|text| json!(text));
    let all = [
        ("content_type", text(properties.content_type().as_deref())),
        ("content_encoding", text(properties.content_encoding().as_deref())),
        ("headers", properties.headers().map(|headers| show::table(&headers))),
        ("delivery_mode", properties.delivery_mode().map(|mode| json!(mode))),
        ("priority", properties.priority().map(|priority| json!(priority))),
        ("correlation_id", text(properties.correlation_id().as_deref())),
        ("reply_to", text(properties.reply_to())),
        ("expiration", text(properties.expiration())),
        ("message_id", text(properties.message_id().as_deref())),
        ("timestamp", properties.timestamp().map(|at| json!(at))),
        ("type", text(properties.kind().as_deref())),
        ("user_id", text(properties.user_id())),
        ("app_id", text(properties.app_id().as_deref())),
        ("cluster_id", text(properties.cluster_id().as_deref())),
    ];
    let given = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}
