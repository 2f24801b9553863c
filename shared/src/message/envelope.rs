//! A body with the AMQP properties it travels with.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::ShortString;
use uuid::Uuid;

use super::{Body, DecodeError, EncodeError};

const CONTENT_TYPE: &str = "application/json";
const PERSISTENT: u8 = 2;
const TRANSIENT: u8 = 1;
/// Presence is said again before this is over.
const PRESENCE_EXPIRES_AFTER: Duration = Duration::from_secs(90);
const TYPING_EXPIRES_AFTER: Duration = Duration::from_secs(8);
const TAKE_OVER_EXPIRES_AFTER: Duration = Duration::from_secs(10);

/// A chat message on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// UUIDv7; the same message keeps its id however often it is sent, and receivers keep it once.
    pub id: Uuid,
    pub body: Body,
    /// The sender's account. The broker refuses anything but the truth here, but does not ask for it:
    /// see [`sender`](Self::sender). Filled in by the publisher on the way out.
    pub user_id: Option<String>,
    /// The queue for an answer.
    pub reply_to: Option<String>,
    /// The id of what this answers.
    pub correlation_id: Option<Uuid>,
    /// When it was first sent, in whole seconds, by the sender's clock.
    pub timestamp: Option<SystemTime>,
    pub lifetime: Lifetime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// On disk until acknowledged.
    Persistent,
    /// Worthless after a while; dropped from the queue of a friend who is offline (whole milliseconds).
    Transient { expires_after: Duration },
}

impl Lifetime {
    /// What is said of the moment is transient, all else is persistent.
    pub fn of(body: &Body) -> Self {
        match body {
            Body::Presence { .. } => Self::Transient { expires_after: PRESENCE_EXPIRES_AFTER },
            Body::Typing {} => Self::Transient { expires_after: TYPING_EXPIRES_AFTER },
            Body::TakeOver {} => Self::Transient { expires_after: TAKE_OVER_EXPIRES_AFTER },
            _ => Self::Persistent,
        }
    }
}

impl Envelope {
    /// A new message, with a new id, sent now.
    pub fn new(body: Body) -> Self {
        Self {
            id: Uuid::now_v7(),
            lifetime: Lifetime::of(&body),
            body,
            user_id: None,
            reply_to: None,
            correlation_id: None,
            timestamp: Some(SystemTime::now()),
        }
    }

    #[must_use]
    pub fn with_id(self, id: Uuid) -> Self {
        Self { id, ..self }
    }

    #[must_use]
    pub fn with_reply_to(self, queue: impl Into<String>) -> Self {
        Self { reply_to: Some(queue.into()), ..self }
    }

    #[must_use]
    pub fn answering(self, id: Uuid) -> Self {
        Self { correlation_id: Some(id), ..self }
    }

    /// The sender as the broker vouches for it.
    pub fn sender(&self) -> Result<&str, DecodeError> {
        self.user_id.as_deref().ok_or(DecodeError::Missing("user-id"))
    }

    /// Properties and body for `basic.publish`.
    pub fn to_amqp(&self) -> Result<(BasicProperties, Vec<u8>), EncodeError> {
        let body = self.body.encode()?;
        let mut properties = BasicProperties::default()
            .with_content_type(CONTENT_TYPE.into())
            .with_type(self.body.kind().into())
            .with_message_id(self.id.to_string().into());
        properties = match self.lifetime {
            Lifetime::Persistent => properties.with_delivery_mode(PERSISTENT),
            Lifetime::Transient { expires_after } => properties
                .with_delivery_mode(TRANSIENT)
                .with_expiration(expires_after.as_millis().to_string().into()),
        };
        if let Some(user) = &self.user_id {
            properties = properties.with_user_id(short("the user name", user)?);
        }
        if let Some(queue) = &self.reply_to {
            properties = properties.with_reply_to(short("the name of the reply-to queue", queue)?);
        }
        if let Some(id) = self.correlation_id {
            properties = properties.with_correlation_id(id.to_string().into());
        }
        if let Some(Ok(since_epoch)) = self.timestamp.map(|at| at.duration_since(UNIX_EPOCH)) {
            properties = properties.with_timestamp(since_epoch.as_secs());
        }
        Ok((properties, body))
    }

    pub fn from_delivery(delivery: &Delivery) -> Result<Self, DecodeError> {
        Self::from_amqp(&delivery.properties, &delivery.data)
    }

    pub fn from_amqp(properties: &BasicProperties, body: &[u8]) -> Result<Self, DecodeError> {
        if let Some(content_type) = properties.content_type()
            && content_type.as_str() != CONTENT_TYPE
        {
            return Err(property("content-type", content_type, CONTENT_TYPE));
        }
        let id = properties.message_id().as_ref().ok_or(DecodeError::Missing("message-id"))?;
        let id = uuid("message-id", id)?;
        let body = Body::decode(body)?;
        if let Some(kind) = properties.kind()
            && kind.as_str() != body.kind()
        {
            let (property, body) = (kind.to_string(), body.kind().to_owned());
            return Err(DecodeError::Kind { property, body });
        }
        Ok(Self {
            id,
            lifetime: lifetime(properties)?,
            body,
            user_id: properties.user_id().as_ref().map(ShortString::to_string),
            reply_to: properties.reply_to().as_ref().map(ShortString::to_string),
            correlation_id: properties
                .correlation_id()
                .as_ref()
                .map(|id| uuid("correlation-id", id))
                .transpose()?,
            timestamp: properties
                .timestamp()
                .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds))),
        })
    }
}

fn lifetime(properties: &BasicProperties) -> Result<Lifetime, DecodeError> {
    let Some(expiration) = properties.expiration() else { return Ok(Lifetime::Persistent) };
    match expiration.as_str().parse() {
        Ok(ms) => Ok(Lifetime::Transient { expires_after: Duration::from_millis(ms) }),
        Err(_) => Err(property("expiration", expiration, "a number of milliseconds")),
    }
}

fn short(what: &'static str, value: &str) -> Result<ShortString, EncodeError> {
    ShortString::try_new(value).map_err(|_| EncodeError::Property { what, bytes: value.len() })
}

fn uuid(what: &'static str, value: &ShortString) -> Result<Uuid, DecodeError> {
    Uuid::try_parse(value.as_str()).map_err(|_| property(what, value, "a UUID"))
}

fn property(what: &'static str, value: &ShortString, expected: &'static str) -> DecodeError {
    DecodeError::Property { what, value: value.to_string(), expected }
}
