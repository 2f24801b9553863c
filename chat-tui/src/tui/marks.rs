//! ★ Signs with a meaning. None of them depends on colour.

use crate::session::api::{Delivery, Presence};

/// Every state, in the order in which a message goes through them.
pub const DELIVERY: [Delivery; 6] = [
    Delivery::Queued,
    Delivery::Sent,
    Delivery::Delivered,
    Delivery::Read,
    Delivery::Returned,
    Delivery::Failed(String::new()),
];

/// At most two columns.
pub fn delivery(state: &Delivery) -> &'static str {
    match state {
        Delivery::Queued => "…",
        Delivery::Sent => "✓",
        Delivery::Delivered => "✓✓",
        Delivery::Read => "◉",
        Delivery::Returned => "↩",
        Delivery::Failed(_) => "✗",
    }
}

pub fn delivery_meaning(state: &Delivery) -> &'static str {
    match state {
        Delivery::Queued => "Waiting here, until you are online",
        Delivery::Sent => "Sent: safe with Warren, on its way",
        Delivery::Delivered => "Delivered: your friend's Warren has it",
        Delivery::Read => "Read: your friend has seen it",
        Delivery::Returned => "Came back: you are no longer friends",
        Delivery::Failed(_) => "Not sent; the reason stands below it",
    }
}

pub fn presence(presence: Presence) -> &'static str {
    match presence {
        Presence::Online => "●",
        Presence::Away => "◐",
        Presence::Offline { .. } => "○",
    }
}

/// In place of a presence while this side is offline.
pub const PRESENCE_UNKNOWN: &str = "·";

pub fn presence_name(presence: Presence) -> &'static str {
    match presence {
        Presence::Online => "online",
        Presence::Away => "away",
        Presence::Offline { .. } => "offline",
    }
}
