//! Consistent-hash exchanges: a message goes to one destination, the same for the same key, and the binding key is
//! the destination's weight (RabbitMQ's and LavinMQ's `x-consistent-hash`).
//!
//! By rendezvous: every destination draws a number from the key and its own name, and the one that waits least for
//! its weight wins. When one comes or goes, only its own keys move. It needs no ring and remembers nothing, so
//! that a key leads to the same place after a restart.

use super::InvalidBinding;
use crate::amqp::{FieldTable, FieldValue};
use crate::error::AmqpError;

/// What tells a destination from others, now and after a restart.
pub trait Identify {
    fn identity(&self) -> u64;
}

pub struct ConsistentHash<D> {
    destinations: Vec<Weighted<D>>,
}

struct Weighted<D> {
    identity: u64,
    /// Of all its bindings.
    weight: u64,
    destination: D,
}

impl<D> Default for ConsistentHash<D> {
    fn default() -> ConsistentHash<D> {
        ConsistentHash { destinations: Vec::new() }
    }
}

/// The weight that a binding key stands for.
pub fn weight(routing_key: &str) -> Result<u64, InvalidBinding> {
    match routing_key.parse::<u32>() {
        Ok(0) => Err(InvalidBinding("The binding key must be greater than 0".to_owned())),
        Ok(weight) => Ok(weight.into()),
        Err(_) => Err(InvalidBinding(format!(
            "The binding key must be an integer: '{routing_key}' is no weight for a consistent hash exchange"
        ))),
    }
}

impl<D: Eq + Identify> ConsistentHash<D> {
    pub fn bind(&mut self, weight: u64, destination: D) {
        match self.destinations.iter_mut().find(|known| known.destination == destination) {
            Some(known) => known.weight += weight,
            None => {
                let identity = destination.identity();
                self.destinations.push(Weighted { identity, weight, destination });
            }
        }
    }

    pub fn unbind(&mut self, weight: u64, destination: &D) {
        let Some(at) = self.destinations.iter().position(|known| known.destination == *destination) else {
            return;
        };
        let known = &mut self.destinations[at];
        known.weight = known.weight.saturating_sub(weight);
        if known.weight == 0 {
            self.destinations.swap_remove(at);
        }
    }

    pub fn route(&self, key: &str) -> Option<&D> {
        let key = hash(key.as_bytes());
        let wait = |known: &Weighted<D>| exponential(mix(key ^ known.identity)) / known.weight as f64;
        let least = self.destinations.iter().min_by(|a, b| {
            // Of two that wait as long, which does not happen, the same one each time.
            wait(a).total_cmp(&wait(b)).then(a.identity.cmp(&b.identity))
        });
        least.map(|known| &known.destination)
    }
}

/// FNV-1a.
pub fn hash(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Every bit of the result depends on every bit of the number (the finalizer of SplitMix64).
fn mix(mut number: u64) -> u64 {
    number ^= number >> 30;
    number = number.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number ^= number >> 27;
    number = number.wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A waiting time with mean 1 from a number that is equally likely to be any.
fn exponential(number: u64) -> f64 {
    let uniform = ((number >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -uniform.ln()
}

/// What of a message is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HashOn {
    #[default]
    RoutingKey,
    Header(Box<str>),
    MessageId,
    CorrelationId,
    AppId,
    Timestamp,
}

impl HashOn {
    /// From the arguments of the exchange: LavinMQ's `x-hash-on`, RabbitMQ's `hash-header` and `hash-property`.
    pub fn parse(arguments: &FieldTable) -> Result<HashOn, AmqpError> {
        let text = |name: &str| match arguments.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| {
                AmqpError::precondition_failed(format!(
                    "invalid type '{}' for arg '{name}' of a consistent hash exchange: expected longstr",
                    value.type_name()
                ))
            }),
        };
        if let Some(FieldValue::LongString(algorithm)) = arguments.get("x-algorithm")
            && ![&b"ring"[..], b"jump"].contains(&&**algorithm)
        {
            return Err(AmqpError::precondition_failed(format!(
                "invalid arg 'x-algorithm': unknown algorithm '{}', expected ring or jump",
                String::from_utf8_lossy(algorithm)
            )));
        }
        let header = text("x-hash-on")?.or(text("hash-header")?);
        match (header, text("hash-property")?) {
            (None, None) => Ok(HashOn::RoutingKey),
            (Some(header), None) => Ok(HashOn::Header(header.into())),
            (None, Some("message_id")) => Ok(HashOn::MessageId),
            (None, Some("correlation_id")) => Ok(HashOn::CorrelationId),
            (None, Some("app_id")) => Ok(HashOn::AppId),
            (None, Some("timestamp")) => Ok(HashOn::Timestamp),
            (None, Some(other)) => Err(AmqpError::precondition_failed(format!(
                "Unsupported property: {other}; expected message_id, correlation_id, app_id or timestamp"
            ))),
            (Some(_), Some(_)) => {
                Err(AmqpError::precondition_failed("hash-header and hash-property are mutually exclusive"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Identify for &str {
        fn identity(&self) -> u64 {
            hash(self.as_bytes())
        }
    }

    fn exchange(destinations: &[(&'static str, u64)]) -> ConsistentHash<&'static str> {
        let mut exchange = ConsistentHash::default();
        for &(name, weight) in destinations {
            exchange.bind(weight, name);
        }
        exchange
    }

    fn routed(exchange: &ConsistentHash<&'static str>) -> Vec<&'static str> {
        (0..10_000).map(|key| *exchange.route(&format!("key-{key}")).unwrap()).collect()
    }

    #[test]
    fn messages_are_shared_out_by_weight() {
        let routed = routed(&exchange(&[("a", 1), ("b", 1), ("c", 2)]));
        let count = |name: &str| routed.iter().filter(|&&to| to == name).count();
        for (name, expected) in [("a", 2500), ("b", 2500), ("c", 5000)] {
            let count = count(name);
            assert!(count.abs_diff(expected) < 250, "{name}: {count}");
        }
        assert!(exchange(&[]).route("x").is_none());
    }

    #[test]
    fn only_the_keys_of_who_comes_or_goes_move() {
        let before = routed(&exchange(&[("a", 1), ("b", 2), ("c", 3)]));
        let mut with_d = exchange(&[("c", 3), ("a", 1), ("b", 2)]);
        with_d.bind(2, "d");
        let after = routed(&with_d);
        assert!(before.iter().zip(&after).all(|(before, after)| before == after || *after == "d"));
        assert!(after.contains(&"d"));
        with_d.unbind(2, &"d");
        assert_eq!(routed(&with_d), before);
    }

    #[test]
    fn a_key_leads_to_the_same_place_in_every_version() {
        let exchange = exchange(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
        let routed: String = (0..16).map(|key| *exchange.route(&key.to_string()).unwrap()).collect();
        assert_eq!(routed, EXPECTED);
    }

    /// Written down once; another hash would send messages of one key to two queues across an upgrade.
    const EXPECTED: &str = "bcaaacccccbdacdd";

    #[test]
    fn weights_add_up() {
        let mut exchange = exchange(&[("a", 2), ("a", 3)]);
        exchange.unbind(3, &"a");
        assert!(exchange.route("x").is_some());
        exchange.unbind(2, &"a");
        assert!(exchange.route("x").is_none());
        assert_eq!(weight("12"), Ok(12));
        for wrong in ["", "x", "-1", "1.5", "0"] {
            assert!(weight(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_hashed_is_said_by_arguments() {
        let parse = |entries: &[(&str, &str)]| {
            HashOn::parse(&entries.iter().map(|&(name, value)| (name, value)).collect())
                .map_err(|error| error.text)
        };
        assert_eq!(parse(&[]), Ok(HashOn::RoutingKey));
        assert_eq!(parse(&[("x-hash-on", "h"), ("x-algorithm", "jump")]), Ok(HashOn::Header("h".into())));
        assert_eq!(parse(&[("hash-header", "h")]), Ok(HashOn::Header("h".into())));
        assert_eq!(parse(&[("hash-property", "message_id")]), Ok(HashOn::MessageId));
        assert!(parse(&[("hash-property", "priority")]).unwrap_err().starts_with("Unsupported property"));
        assert!(parse(&[("hash-property", "app_id"), ("hash-header", "h")]).is_err());
        assert!(parse(&[("x-algorithm", "dice")]).is_err());
    }
}
