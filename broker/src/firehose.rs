//! The firehose: what a copy of a message says that was published or delivered in a vhost with tracing on. Pure.
//!
//! Copies go to the topic exchange `amq.rabbitmq.trace` of the vhost, by `publish.` and the exchange's name or `deliver.`
//! and the queue's, with the headers that RabbitMQ's firehose gives them. Copies are not copied themselves.

use std::sync::Arc;

use crate::amqp::{BasicProperties, FieldTable, FieldValue, Properties, Property, header_frame_size};
use crate::message::Message;
use crate::queue::Queue;

pub const TRACE_EXCHANGE: &str = "amq.rabbitmq.trace";

/// AMQP sends a routing key as a short string.
const ROUTING_KEY_BYTES_MAX: usize = 255;

/// A message that is to be copied.
pub struct Original<'a> {
    pub exchange: &'a str,
    pub routing_key: &'a str,
    /// As the broker keeps them, with BCC.
    pub properties: &'a [u8],
    pub body: &'a [u8],
}

/// What became of it.
pub enum Event<'a> {
    /// It is routed to these queues.
    Published(Vec<&'a str>),
    Delivered {
        queue: &'a str,
        redelivered: bool,
    },
}

/// Who published it, or got it.
pub struct Client<'a> {
    pub node: &'a str,
    pub vhost: &'a str,
    /// As listings name it.
    pub connection: &'a str,
    pub user: &'a str,
    pub channel: u16,
}

/// A message that was handed to a client, noted under locks to be copied without any.
pub struct Delivery {
    pub queue: Arc<Queue>,
    pub message: Message,
    /// Those it was delivered with, if they were not its own.
    pub properties: Option<Box<[u8]>>,
    pub redelivered: bool,
    pub connection_id: u64,
    pub channel: u16,
}

/// Whether a message is to be copied at all.
pub fn is_original(exchange: &str) -> bool {
    exchange != TRACE_EXCHANGE
}

/// Cut where it would be longer than a routing key may be.
pub fn routing_key(event: &Event<'_>, original: &Original<'_>) -> String {
    let mut key = match event {
        Event::Published(_) => format!("publish.{}", original.exchange),
        Event::Delivered { queue, .. } => format!("deliver.{queue}"),
    };
    key.truncate(key.floor_char_boundary(ROUTING_KEY_BYTES_MAX));
    key
}

/// The copy's properties. What a consumer with frames of `frame_max` could not be sent is left out: the original's
/// headers first, then the queues it went to.
pub fn properties(
    event: &Event<'_>,
    original: &Original<'_>,
    client: &Client<'_>,
    frame_max: u32,
) -> Vec<u8> {
    let mut headers = headers(event, original, client);
    let mut encoded = encode(&headers);
    let fits = |encoded: &[u8]| header_frame_size(encoded.len()) <= frame_max as usize;
    if !fits(&encoded) {
        if let Some((_, FieldValue::Table(shown))) =
            headers.0.iter_mut().find(|(name, _)| &**name == "properties")
        {
            shown.remove("headers");
        }
        encoded = encode(&headers);
    }
    if !fits(&encoded) {
        headers.remove("routed_queues");
        encoded = encode(&headers);
    }
    if !fits(&encoded) {
        headers.remove("routing_keys");
        encoded = encode(&headers);
    }
    encoded
}

fn encode(headers: &FieldTable) -> Vec<u8> {
    let mut out = Vec::new();
    BasicProperties { headers: Some(headers.clone()), ..BasicProperties::default() }.encode(&mut out);
    out
}

fn headers(event: &Event<'_>, original: &Original<'_>, client: &Client<'_>) -> FieldTable {
    let own = Properties::parse(original.properties).ok();
    let own_headers = own.as_ref().and_then(Properties::headers).unwrap_or_default();
    let mut headers: FieldTable = [
        ("exchange_name", FieldValue::from(original.exchange)),
        ("routing_keys", routing_keys(original.routing_key, &own_headers)),
        ("properties", own.map(|own| shown(&own, own_headers)).unwrap_or_default().into()),
        ("node", client.node.into()),
        ("vhost", client.vhost.into()),
        ("connection", client.connection.into()),
        ("channel", i32::from(client.channel).into()),
        ("user", client.user.into()),
    ]
    .into();
    match event {
        Event::Published(queues) => headers.insert("routed_queues", texts(queues)),
        Event::Delivered { redelivered, .. } => headers.insert("redelivered", i32::from(*redelivered)),
    }
    headers
}

fn texts(texts: &[&str]) -> FieldValue {
    FieldValue::Array(texts.iter().copied().map(FieldValue::from).collect())
}

/// Its own, and those of CC and BCC.
fn routing_keys(own: &str, headers: &FieldTable) -> FieldValue {
    let copies = ["CC", "BCC"].into_iter().filter_map(|name| headers.get(name)?.as_array()).flatten();
    let mut keys = vec![own];
    keys.extend(copies.filter_map(FieldValue::as_str));
    texts(&keys)
}

/// What is set, by the names that the properties have in the specification.
fn shown(properties: &Properties<'_>, mut headers: FieldTable) -> FieldTable {
    headers.remove("BCC");
    let mut shown = FieldTable::default();
    for property in Property::ALL.into_iter().filter(|&property| properties.has(property)) {
        let value = match property {
            Property::Headers => std::mem::take(&mut headers).into(),
            Property::DeliveryMode => i32::from(properties.delivery_mode().unwrap_or_default()).into(),
            Property::Priority => i32::from(properties.priority().unwrap_or_default()).into(),
            Property::Timestamp => {
                let seconds = properties.timestamp().unwrap_or_default();
                i32::try_from(seconds).map_or(FieldValue::I64(seconds as i64), FieldValue::I32)
            }
            // Behind its length.
            _ => {
                let octets = properties.octets(property).and_then(|octets| octets.get(1..));
                FieldValue::LongString(octets.unwrap_or_default().into())
            }
        };
        shown.insert(name(property), value);
    }
    shown
}

fn name(property: Property) -> &'static str {
    match property {
        Property::ContentType => "content_type",
        Property::ContentEncoding => "content_encoding",
        Property::Headers => "headers",
        Property::DeliveryMode => "delivery_mode",
        Property::Priority => "priority",
        Property::CorrelationId => "correlation_id",
        Property::ReplyTo => "reply_to",
        Property::Expiration => "expiration",
        Property::MessageId => "message_id",
        Property::Timestamp => "timestamp",
        Property::Kind => "type",
        Property::UserId => "user_id",
        Property::AppId => "app_id",
        Property::ClusterId => "cluster_id",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Client<'_> =
        Client { node: "warren", vhost: "/", connection: "a -> b", user: "guest", channel: 7 };

    fn keys(keys: &[&str]) -> FieldValue {
        texts(keys)
    }

    fn copied_headers(event: &Event<'_>, original: &Original<'_>, frame_max: u32) -> FieldTable {
        let encoded = properties(event, original, &CLIENT, frame_max);
        Properties::parse(&encoded).unwrap().headers().unwrap()
    }

    #[test]
    fn a_copy_shows_every_property_but_bcc() {
        let mut own = Vec::new();
        let headers = [("a", 1.into()), ("CC", keys(&["cc"])), ("BCC", keys(&["bcc"]))];
        BasicProperties {
            content_type: Some("text/plain".into()),
            headers: Some(headers.into()),
            delivery_mode: Some(2),
            timestamp: Some(1 << 40),
            kind: Some("order".into()),
            ..BasicProperties::default()
        }
        .encode(&mut own);
        let original = Original { exchange: "x", routing_key: "k", properties: &own, body: b"" };
        let headers = copied_headers(&Event::Published(vec!["q", "r"]), &original, 4096);
        let shown: FieldTable = [
            ("content_type", FieldValue::from("text/plain")),
            ("headers", FieldTable::from([("a", 1.into()), ("CC", keys(&["cc"]))]).into()),
            ("delivery_mode", 2.into()),
            ("timestamp", FieldValue::I64(1 << 40)),
            ("type", "order".into()),
        ]
        .into();
        let expected: FieldTable = [
            ("exchange_name", FieldValue::from("x")),
            ("routing_keys", keys(&["k", "cc", "bcc"])),
            ("properties", shown.into()),
            ("node", "warren".into()),
            ("vhost", "/".into()),
            ("connection", "a -> b".into()),
            ("channel", 7.into()),
            ("user", "guest".into()),
            ("routed_queues", keys(&["q", "r"])),
        ]
        .into();
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_delivery_says_whether_it_is_one_more() {
        let original = Original { exchange: "", routing_key: "q", properties: &[0, 0], body: b"" };
        for (redelivered, number) in [(false, 0), (true, 1)] {
            let headers = copied_headers(&Event::Delivered { queue: "q", redelivered }, &original, 4096);
            assert_eq!(headers.get("redelivered"), Some(&FieldValue::I32(number)));
            assert_eq!(headers.get("properties"), Some(&FieldTable::default().into()));
            assert!(!headers.contains("routed_queues"));
        }
    }

    #[test]
    fn a_copy_fits_into_a_frame_whatever_the_original_was() {
        let mut own = Vec::new();
        let headers = [("a", "x".repeat(4000))].into();
        BasicProperties { headers: Some(headers), priority: Some(3), ..BasicProperties::default() }
            .encode(&mut own);
        let original = Original { exchange: "x", routing_key: "k", properties: &own, body: b"" };
        let headers = copied_headers(&Event::Published(vec!["q"]), &original, 4096);
        assert_eq!(headers.get("properties"), Some(&FieldTable::from([("priority", 3)]).into()));
        assert_eq!(headers.get("routed_queues"), Some(&keys(&["q"])));
        let queue = "q".repeat(255);
        let headers = copied_headers(&Event::Published(vec![&queue; 20]), &original, 4096);
        assert!(!headers.contains("routed_queues"));
    }

    #[test]
    fn a_routing_key_is_cut_between_characters() {
        let queue = "ü".repeat(127);
        let event = Event::Delivered { queue: &queue, redelivered: false };
        let original = Original { exchange: "", routing_key: &queue, properties: &[0, 0], body: b"" };
        let key = routing_key(&event, &original);
        assert_eq!(key, format!("deliver.{}", "ü".repeat(123)));
        assert_eq!(routing_key(&Event::Published(vec![]), &original), "publish.");
    }
}
