//! Messages as the test client sends and receives them.

use broker::amqp::{BasicProperties, Method};

/// A method that carries a message, and the message.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    pub method: Method,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
}

impl Content {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The tag of a delivery, or of a fetched message.
    pub fn tag(&self) -> u64 {
        match &self.method {
            Method::BasicDeliver(deliver) => deliver.delivery_tag,
            Method::BasicGetOk(get_ok) => get_ok.delivery_tag,
            other => panic!("{} has no delivery tag", other.name()),
        }
    }

    pub fn redelivered(&self) -> bool {
        match &self.method {
            Method::BasicDeliver(deliver) => deliver.redelivered,
            Method::BasicGetOk(get_ok) => get_ok.redelivered,
            other => panic!("{} is no delivery", other.name()),
        }
    }

    pub fn consumer_tag(&self) -> &str {
        match &self.method {
            Method::BasicDeliver(deliver) => &deliver.consumer_tag,
            other => panic!("{} has no consumer tag", other.name()),
        }
    }
}
