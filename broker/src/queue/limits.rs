//! What bounds a queue and where its dead messages go: set by arguments, by a policy, or by both. Pure.

use std::sync::{Arc, LazyLock};

/// What happens to a message that a full queue cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The oldest messages make room.
    #[default]
    DropHead,
    /// The new message is refused; a publisher with confirms gets `basic.nack`.
    RejectPublish,
    /// Refused, and dead-lettered.
    RejectPublishDlx,
}

impl Overflow {
    /// As arguments and policies name it.
    pub fn parse(name: &str) -> Option<Overflow> {
        match name {
            "drop-head" => Some(Overflow::DropHead),
            "reject-publish" => Some(Overflow::RejectPublish),
            "reject-publish-dlx" => Some(Overflow::RejectPublishDlx),
            _ => None,
        }
    }

    pub fn refuses(self) -> bool {
        self != Overflow::DropHead
    }
}

/// What becomes of a dead letter that no queue takes (`x-dead-letter-strategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeadLetterStrategy {
    /// It is dropped.
    #[default]
    AtMostOnce,
    /// A quorum queue keeps it and tries again.
    AtLeastOnce,
}

impl DeadLetterStrategy {
    /// As arguments and policies name it.
    pub fn parse(name: &str) -> Option<DeadLetterStrategy> {
        match name {
            "at-most-once" => Some(DeadLetterStrategy::AtMostOnce),
            "at-least-once" => Some(DeadLetterStrategy::AtLeastOnce),
            _ => None,
        }
    }
}

/// `None` is not set. A queue has these from its arguments; a policy may set the same ones, and [`Limits::under`]
/// gives what then counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    pub message_ttl_ms: Option<u64>,
    /// Unused for so long the queue goes.
    pub expires_ms: Option<u64>,
    pub length_max: Option<u64>,
    pub body_bytes_max: Option<u64>,
    pub overflow: Option<Overflow>,
    pub dead_letter_exchange: Option<Arc<str>>,
    /// `None`: the keys that the message was published with.
    pub dead_letter_routing_key: Option<Arc<str>>,
    pub dead_letter_strategy: Option<DeadLetterStrategy>,
    /// How often a message may come back before it is dead.
    pub delivery_limit: Option<u64>,
    /// How long a consumer may take to acknowledge; `None`: as configured for the broker.
    pub consumer_timeout_ms: Option<u64>,
}

static UNLIMITED: LazyLock<Arc<Limits>> = LazyLock::new(Arc::default);

impl Limits {
    /// Shared where nothing is set, as with nearly all queues.
    pub fn shared(self) -> Arc<Limits> {
        if self == **UNLIMITED { UNLIMITED.clone() } else { Arc::new(self) }
    }

    /// What counts for a queue with these arguments under a policy: of two numbers the smaller one, of two others
    /// the argument (as in RabbitMQ).
    pub fn under(&self, policy: &Limits) -> Limits {
        Limits {
            message_ttl_ms: smaller(self.message_ttl_ms, policy.message_ttl_ms),
            expires_ms: smaller(self.expires_ms, policy.expires_ms),
            length_max: smaller(self.length_max, policy.length_max),
            body_bytes_max: smaller(self.body_bytes_max, policy.body_bytes_max),
            overflow: self.overflow.or(policy.overflow),
            dead_letter_exchange: self
                .dead_letter_exchange
                .clone()
                .or_else(|| policy.dead_letter_exchange.clone()),
            dead_letter_routing_key: self
                .dead_letter_routing_key
                .clone()
                .or_else(|| policy.dead_letter_routing_key.clone()),
            dead_letter_strategy: self.dead_letter_strategy.or(policy.dead_letter_strategy),
            delivery_limit: smaller(self.delivery_limit, policy.delivery_limit),
            consumer_timeout_ms: smaller(self.consumer_timeout_ms, policy.consumer_timeout_ms),
        }
    }

    pub fn overflow(&self) -> Overflow {
        self.overflow.unwrap_or_default()
    }

    /// Whether dead letters stay until other queues have them. As in RabbitMQ only where a full queue refuses: one
    /// that drops its oldest messages to make room would not have any by keeping them.
    pub fn keeps_dead_letters(&self) -> bool {
        self.dead_letter_strategy == Some(DeadLetterStrategy::AtLeastOnce)
            && self.dead_letter_exchange.is_some()
            && self.overflow() == Overflow::RejectPublish
    }

    /// Whether there is a bound that a publish could reach.
    pub fn is_bounded(&self) -> bool {
        self.length_max.is_some() || self.body_bytes_max.is_some()
    }

    /// Whether so many messages with so many body bytes are too many.
    pub fn exceeded_by(&self, messages: u64, body_bytes: u64) -> bool {
        self.length_max.is_some_and(|max| messages > max)
            || self.body_bytes_max.is_some_and(|max| body_bytes > max)
    }
}

fn smaller(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_numbers_the_smaller_counts_and_of_two_others_the_argument() {
        let arguments = Limits {
            length_max: Some(5),
            message_ttl_ms: Some(10),
            overflow: Some(Overflow::RejectPublish),
            dead_letter_exchange: Some("a".into()),
            ..Limits::default()
        };
        let policy = Limits {
            length_max: Some(3),
            message_ttl_ms: Some(20),
            expires_ms: Some(7),
            overflow: Some(Overflow::DropHead),
            dead_letter_exchange: Some("p".into()),
            dead_letter_routing_key: Some("k".into()),
            ..Limits::default()
        };
        let both = arguments.under(&policy);
        assert_eq!((both.length_max, both.message_ttl_ms, both.expires_ms), (Some(3), Some(10), Some(7)));
        assert_eq!(both.overflow(), Overflow::RejectPublish);
        assert_eq!(both.dead_letter_exchange.as_deref(), Some("a"));
        assert_eq!(both.dead_letter_routing_key.as_deref(), Some("k"));
        assert_eq!(arguments.under(&Limits::default()), arguments);
        assert_eq!(Limits::default().under(&policy), policy);
    }

    #[test]
    fn dead_letters_are_kept_only_by_a_queue_that_refuses() {
        let limits = Limits {
            dead_letter_strategy: Some(DeadLetterStrategy::AtLeastOnce),
            dead_letter_exchange: Some("".into()),
            overflow: Some(Overflow::RejectPublish),
            ..Limits::default()
        };
        assert!(limits.keeps_dead_letters());
        for other in [
            Limits { dead_letter_strategy: Some(DeadLetterStrategy::AtMostOnce), ..limits.clone() },
            Limits { dead_letter_strategy: None, ..limits.clone() },
            Limits { dead_letter_exchange: None, ..limits.clone() },
            Limits { overflow: None, ..limits.clone() },
            Limits { overflow: Some(Overflow::RejectPublishDlx), ..limits.clone() },
        ] {
            assert!(!other.keeps_dead_letters(), "{other:?}");
        }
    }

    #[test]
    fn bounds_are_reached_when_there_is_more() {
        let limits = Limits { length_max: Some(2), body_bytes_max: Some(10), ..Limits::default() };
        assert!(limits.is_bounded());
        assert!(!limits.exceeded_by(2, 10));
        assert!(limits.exceeded_by(3, 0));
        assert!(limits.exceeded_by(0, 11));
        assert!(!Limits::default().is_bounded());
        assert!(!Limits::default().exceeded_by(u64::MAX, u64::MAX));
    }

    #[test]
    fn unlimited_queues_share_one() {
        assert!(Arc::ptr_eq(&Limits::default().shared(), &Limits::default().shared()));
    }
}
