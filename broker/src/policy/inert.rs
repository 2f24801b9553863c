//! Keys of RabbitMQ's policies that are about what is not here: mirrors, streams, other ways to keep messages. They are
//! accepted, so that an operator's scripts need no change, and whoever sets one is told. Pure.

use serde_json::Value;

/// A key that changes nothing.
pub struct Inert {
    pub key: &'static str,
    takes: Takes,
    /// Why it changes nothing.
    pub why: &'static str,
}

enum Takes {
    Text,
    OneOf(&'static [&'static str]),
    /// At least so much.
    Number(u64),
    NumberOrList,
}

const MEMORY: &str = "bodies leave memory by themselves when it gets short";
const ONE_NODE: &str = "there is one broker, and none to mirror to";
const NO_STREAMS: &str = "there are no streams here";

const INERT: [Inert; 15] = [
    inert("ha-mode", Takes::OneOf(&["all", "exactly", "nodes"]), ONE_NODE),
    inert("ha-params", Takes::NumberOrList, ONE_NODE),
    inert("ha-promote-on-failure", Takes::OneOf(&["always", "when-synced"]), ONE_NODE),
    inert("ha-promote-on-shutdown", Takes::OneOf(&["always", "when-synced"]), ONE_NODE),
    inert("ha-sync-batch-size", Takes::Number(1), ONE_NODE),
    inert("ha-sync-mode", Takes::OneOf(&["manual", "automatic"]), ONE_NODE),
    inert("initial-cluster-size", Takes::Number(1), NO_STREAMS),
    inert("max-age", Takes::Text, NO_STREAMS),
    inert("max-in-memory-bytes", Takes::Number(0), MEMORY),
    inert("max-in-memory-length", Takes::Number(0), MEMORY),
    inert("queue-leader-locator", Takes::Text, "there is one broker to choose from"),
    inert("queue-master-locator", Takes::Text, "there is one broker to choose from"),
    inert("queue-mode", Takes::OneOf(&["default", "lazy"]), MEMORY),
    inert("queue-version", Takes::Number(1), "there is one way to store queues"),
    inert("stream-max-segment-size-bytes", Takes::Number(0), NO_STREAMS),
];

const fn inert(key: &'static str, takes: Takes, why: &'static str) -> Inert {
    Inert { key, takes, why }
}

impl Inert {
    pub fn find(key: &str) -> Option<&'static Inert> {
        INERT.iter().find(|inert| inert.key == key)
    }

    /// Whether it is set to something that can be meant, or else what it has to be.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let (is_right, wanted) = match self.takes {
            Takes::Text => (value.is_string(), "a text".to_owned()),
            Takes::OneOf(texts) => {
                (value.as_str().is_some_and(|text| texts.contains(&text)), texts.join(" or "))
            }
            Takes::Number(least) => (
                value.as_u64().is_some_and(|number| number >= least),
                format!("a whole number of at least {least}"),
            ),
            Takes::NumberOrList => {
                (value.is_u64() || value.is_array(), "a number, or a list of nodes".to_owned())
            }
        };
        if is_right { Ok(()) } else { Err(wanted) }
    }
}
