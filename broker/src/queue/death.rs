//! What a dead-lettered message says about its death: the `x-death` header and its kin. Pure.
//!
//! Fields and their order are those of RabbitMQ 3.x, which client frameworks read.

use hashbrown::HashMap;

use crate::amqp::{FieldTable, FieldValue, Properties};
use crate::message::{Facts, Message};

const X_DEATH: &str = "x-death";

/// Why a message died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A consumer gave it back for good.
    Rejected,
    Expired,
    /// The queue was full.
    MaxLen,
    /// It came back too often.
    DeliveryLimit,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Reason::Rejected => "rejected",
            Reason::Expired => "expired",
            Reason::MaxLen => "maxlen",
            Reason::DeliveryLimit => "delivery_limit",
        }
    }

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Reason> {
        let all = [Reason::Rejected, Reason::Expired, Reason::MaxLen, Reason::DeliveryLimit];
        all.into_iter().find(|reason| reason.name() == name)
    }
}

/// Where and when a message died, and where it goes.
pub struct Death<'a> {
    pub queue: &'a str,
    pub reason: Reason,
    /// Seconds since the epoch.
    pub at_s: u64,
    pub exchange: &'a str,
    /// `None`: the keys that the message was published with.
    pub routing_key: Option<&'a str>,
}

/// The message that goes to the dead-letter exchange.
pub struct DeadLetter {
    pub message: Message,
    /// Routing keys beside the message's own: those of its CC and BCC headers.
    pub more_keys: Vec<Box<str>>,
    /// What is known of earlier deaths, this one first.
    deaths: Vec<FieldValue>,
}

impl Death<'_> {
    /// Buries a message whose body is in memory.
    pub fn letter(&self, message: &Message) -> DeadLetter {
        // A message is checked when it is published, so that there are properties to read.
        let properties = Properties::parse(message.properties()).ok();
        let mut headers = properties.as_ref().and_then(Properties::headers).unwrap_or_default();
        let copies = copies(&headers, "CC");
        let info = self.info(message, &copies, properties.as_ref().and_then(Properties::expiration));
        let deaths = self.add_to(&mut headers, info, message.exchange());
        let more_keys = match self.routing_key {
            Some(_) => {
                headers.remove("CC");
                headers.remove("BCC");
                Vec::new()
            }
            None => all_copies(&headers),
        };
        let has_blind_copies = headers.contains("BCC");
        headers.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut encoded = Vec::new();
        match &properties {
            Some(properties) => properties.encode_with_headers(&headers, false, &mut encoded),
            None => encoded.extend_from_slice(message.properties()),
        }
        let message = Message::with_facts(
            self.exchange,
            self.routing_key.unwrap_or(message.routing_key()),
            &encoded,
            message.body(),
            Facts { persistent: message.is_persistent(), has_blind_copies, publisher: 0 },
        );
        DeadLetter { message, more_keys, deaths }
    }

    fn info(&self, message: &Message, copies: &[Box<str>], expiration: Option<&str>) -> FieldTable {
        let keys = std::iter::once(message.routing_key()).chain(copies.iter().map(|key| &**key));
        let mut info = FieldTable::default();
        info.insert("count", FieldValue::I64(1));
        info.insert("reason", self.reason.name());
        info.insert("queue", self.queue);
        info.insert("time", FieldValue::Timestamp(self.at_s));
        info.insert("exchange", message.exchange());
        info.insert("routing-keys", FieldValue::Array(keys.map(FieldValue::from).collect()));
        if let Some(expiration) = expiration {
            info.insert("original-expiration", expiration);
        }
        info
    }

    /// Counts this death among earlier ones of the same queue and reason, or puts it before them.
    fn add_to(&self, headers: &mut FieldTable, info: FieldTable, exchange: &str) -> Vec<FieldValue> {
        let before = headers.get(X_DEATH);
        let (is_first, is_known) =
            (before.is_none(), before.is_some_and(|deaths| deaths.as_array().is_some()));
        let mut deaths = grouped(before.and_then(FieldValue::as_array).unwrap_or_default());
        let known = deaths.iter().position(|death| {
            death.as_table().is_some_and(|death| {
                text(death, "queue") == Some(self.queue) && text(death, "reason") == Some(self.reason.name())
            })
        });
        let mut latest = match known.map(|at| deaths.remove(at)) {
            Some(FieldValue::Table(mut known)) => {
                let count = known.get("count").and_then(FieldValue::as_i64).unwrap_or(0);
                known.insert("count", FieldValue::I64(count.saturating_add(1)));
                known
            }
            _ => info,
        };
        if is_first {
            headers.insert("x-first-death-reason", self.reason.name());
            headers.insert("x-first-death-queue", self.queue);
            headers.insert("x-first-death-exchange", exchange);
        }
        if is_known {
            latest.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        deaths.insert(0, FieldValue::Table(latest));
        headers.insert(X_DEATH, FieldValue::Array(deaths.clone()));
        deaths
    }
}

impl DeadLetter {
    /// Whether the message was in this queue before and came back without anybody's doing: it would go round for
    /// ever. A rejection in between is somebody's doing.
    pub fn cycles(&self, reason: Reason, queue: &str) -> bool {
        if reason == Reason::Rejected {
            return false;
        }
        let tables = || self.deaths.iter().filter_map(FieldValue::as_table);
        let Some(before) = tables().position(|death| text(death, "queue") == Some(queue)) else {
            return false;
        };
        tables().take(before + 1).all(|death| text(death, "reason") != Some(Reason::Rejected.name()))
    }
}

/// Deaths in one queue for one reason are one entry with a count. Brokers of long ago wrote an entry for each, without
/// one, and clients may have written anything: only a table can be a death.
fn grouped(before: &[FieldValue]) -> Vec<FieldValue> {
    let tables = || before.iter().filter_map(FieldValue::as_table);
    let mut times: HashMap<_, i64> = HashMap::new();
    for death in tables() {
        *times.entry((text(death, "queue"), text(death, "reason"))).or_default() += 1;
    }
    let mut groups = Vec::with_capacity(times.len());
    for death in tables() {
        // The first of a group stands for all.
        let Some(count) = times.remove(&(text(death, "queue"), text(death, "reason"))) else { continue };
        let mut death = death.clone();
        if !death.contains("count") {
            death.insert("count", FieldValue::I64(count));
        }
        groups.push(FieldValue::Table(death));
    }
    groups
}

fn text<'t>(table: &'t FieldTable, name: &str) -> Option<&'t str> {
    table.get(name).and_then(FieldValue::as_str)
}

/// The routing keys in the CC and BCC headers.
pub(super) fn all_copies(headers: &FieldTable) -> Vec<Box<str>> {
    let mut keys = copies(headers, "CC");
    keys.extend(copies(headers, "BCC"));
    keys
}

fn copies(headers: &FieldTable, name: &str) -> Vec<Box<str>> {
    let Some(keys) = headers.get(name).and_then(FieldValue::as_array) else { return Vec::new() };
    keys.iter().filter_map(FieldValue::as_str).map(Box::from).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::amqp::BasicProperties;

    fn message(properties: BasicProperties) -> Message {
        let mut raw = Vec::new();
        properties.encode(&mut raw);
        Message::new("x", "key", &raw, b"body", true)
    }

    fn death<'a>(queue: &'a str, reason: Reason) -> Death<'a> {
        Death { queue, reason, at_s: 7, exchange: "dlx", routing_key: None }
    }

    fn headers(message: &Message) -> FieldTable {
        Properties::parse(message.properties()).unwrap().headers().unwrap()
    }

    fn deaths(message: &Message) -> Vec<FieldTable> {
        let headers = headers(message);
        let deaths = headers.get("x-death").unwrap().as_array().unwrap();
        deaths.iter().map(|death| death.as_table().unwrap().clone()).collect()
    }

    /// As RabbitMQ 3.10.8 wrote it down.
    #[test]
    fn the_first_death() {
        let cc = FieldValue::Array(vec!["c1".into(), "c2".into()]);
        let died = message(BasicProperties {
            headers: Some([("k", FieldValue::I32(1)), ("CC", cc.clone())].into()),
            expiration: Some("100000".into()),
            priority: Some(3),
            ..Default::default()
        });
        let letter = death("q", Reason::Rejected).letter(&died);
        assert_eq!((letter.message.exchange(), letter.message.routing_key()), ("dlx", "key"));
        assert_eq!(letter.more_keys, ["c1".into(), "c2".into()]);
        assert!(letter.message.is_persistent());
        assert_eq!(letter.message.body(), b"body");
        let properties = Properties::parse(letter.message.properties()).unwrap();
        assert_eq!((properties.expiration(), properties.priority()), (None, Some(3)));
        let info: FieldTable = [
            ("count", FieldValue::I64(1)),
            ("reason", "rejected".into()),
            ("queue", "q".into()),
            ("time", FieldValue::Timestamp(7)),
            ("exchange", "x".into()),
            ("routing-keys", FieldValue::Array(vec!["key".into(), "c1".into(), "c2".into()])),
            ("original-expiration", "100000".into()),
        ]
        .into();
        let expected: FieldTable = [
            ("CC", cc),
            ("k", FieldValue::I32(1)),
            ("x-death", FieldValue::Array(vec![FieldValue::Table(info)])),
            ("x-first-death-exchange", "x".into()),
            ("x-first-death-queue", "q".into()),
            ("x-first-death-reason", "rejected".into()),
        ]
        .into();
        assert_eq!(headers(&letter.message), expected);
    }

    #[test]
    fn a_key_of_the_queue_replaces_all_keys() {
        let cc = FieldValue::Array(vec!["c1".into()]);
        let died = message(BasicProperties { headers: Some([("CC", cc)].into()), ..Default::default() });
        let letter = Death { routing_key: Some("new"), ..death("q", Reason::MaxLen) }.letter(&died);
        assert_eq!(letter.message.routing_key(), "new");
        assert!(letter.more_keys.is_empty());
        assert!(headers(&letter.message).get("CC").is_none());
        let keys = deaths(&letter.message)[0].get("routing-keys").cloned();
        assert_eq!(keys, Some(FieldValue::Array(vec!["key".into(), "c1".into()])));
    }

    #[test]
    fn deaths_are_counted_by_queue_and_reason_latest_first() {
        let first = death("a", Reason::Rejected).letter(&message(BasicProperties::default()));
        let second = death("b", Reason::Expired).letter(&first.message);
        let third = death("a", Reason::Rejected).letter(&second.message);
        let told: Vec<(String, i64)> = deaths(&third.message)
            .iter()
            .map(|death| {
                let queue = text(death, "queue").unwrap_or_default().to_owned();
                (queue, death.get("count").and_then(FieldValue::as_i64).unwrap())
            })
            .collect();
        assert_eq!(told, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
        let latest = &deaths(&third.message)[0];
        let names: Vec<&str> = latest.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["count", "exchange", "queue", "reason", "routing-keys", "time"]);
        let headers = headers(&third.message);
        assert_eq!(text(&headers, "x-first-death-queue"), Some("a"));
        assert_eq!(text(&headers, "x-first-death-reason"), Some("rejected"));
    }

    #[test]
    fn deaths_that_an_old_broker_wrote_down_one_by_one_are_counted() {
        let old = |queue: &str| {
            let fields: [(&str, FieldValue); 2] = [("reason", "expired".into()), ("queue", queue.into())];
            FieldValue::Table(fields.into())
        };
        let before = FieldValue::Array(["a", "a", "b", "a", "c"].map(old).into());
        let headers = [("x-death", before)].into();
        let died = message(BasicProperties { headers: Some(headers), ..Default::default() });
        let letter = death("a", Reason::Expired).letter(&died);
        let counts: Vec<_> = deaths(&letter.message)
            .iter()
            .map(|death| {
                (text(death, "queue").map(str::to_owned), death.get("count").and_then(FieldValue::as_i64))
            })
            .collect();
        let expected = [("a", Some(4)), ("b", Some(1)), ("c", Some(1))];
        assert_eq!(counts, expected.map(|(queue, count)| (Some(queue.to_owned()), count)));
    }

    #[test]
    fn what_clients_wrote_into_the_header_does_no_harm() {
        let odd = [
            FieldValue::from("text"),
            FieldValue::Array(vec![FieldValue::I32(1)]),
            FieldValue::Array(vec![FieldValue::Table([("queue", FieldValue::I32(1))].into())]),
        ];
        for odd in odd {
            let headers = [("x-death", odd)].into();
            let died = message(BasicProperties { headers: Some(headers), ..Default::default() });
            let letter = death("q", Reason::Expired).letter(&died);
            assert_eq!(text(&deaths(&letter.message)[0], "queue"), Some("q"));
        }
    }

    #[test]
    fn a_message_without_anybodys_doing_does_not_return() {
        let once = death("q", Reason::Expired).letter(&message(BasicProperties::default()));
        assert!(once.cycles(Reason::Expired, "q"));
        assert!(!once.cycles(Reason::Expired, "other"));
        assert!(!once.cycles(Reason::Rejected, "q"), "somebody rejected it just now");
        // q by expiry, r by rejection, s by expiry: back to s is a cycle, back to r or q is somebody's doing.
        let second = death("r", Reason::Rejected).letter(&once.message);
        let third = death("s", Reason::Expired).letter(&second.message);
        assert!(third.cycles(Reason::Expired, "s"));
        assert!(!third.cycles(Reason::Expired, "r"));
        assert!(!third.cycles(Reason::Expired, "q"));
    }

    proptest! {
        /// However often a message dies, each pair of queue and reason stands once, and the counts add up.
        #[test]
        fn counts_add_up(died in proptest::collection::vec((0..3usize, 0..4usize), 1..20)) {
            let reasons = [Reason::Rejected, Reason::Expired, Reason::MaxLen, Reason::DeliveryLimit];
            let mut message = message(BasicProperties::default());
            for &(queue, reason) in &died {
                message = death(["a", "b", "c"][queue], reasons[reason]).letter(&message).message;
            }
            let told = deaths(&message);
            let count: i64 = told.iter().map(|d| d.get("count").and_then(FieldValue::as_i64).unwrap()).sum();
            prop_assert_eq!(count, died.len() as i64);
            let mut pairs: Vec<_> =
                told.iter().map(|d| (text(d, "queue").unwrap(), text(d, "reason").unwrap())).collect();
            let last = died[died.len() - 1];
            prop_assert_eq!(pairs[0], (["a", "b", "c"][last.0], reasons[last.1].name()));
            pairs.sort_unstable();
            pairs.dedup();
            prop_assert_eq!(pairs.len(), told.len());
        }
    }
}
