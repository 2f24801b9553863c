//! The opening of a connection, its rules (AMQP 0-9-1 §2.2.4, §4.2.2). Pure.

use crate::amqp::{FieldTable, FieldValue, ReplyCode, Version, connection};
use crate::error::AmqpError;

use super::context::Capabilities;

const CAPABILITIES: &[&str] = &[
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    // Without it, RabbitMQ federates no queue from here.
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
    "warren.user_exclusive_queues",
];

/// The smallest largest frame (AMQP 0-9-1 §4.2.3).
const FRAME_MIN_SIZE: u32 = 4096;

/// What the server offers in `connection.tune`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub channel_max: u16,
    pub frame_max: u32,
    pub heartbeat_s: u16,
}

/// The server's `connection.start`.
pub fn start(version: Version, mechanisms: &str, cluster_name: &str) -> connection::Start {
    let text = |text: &str| FieldValue::LongString(text.as_bytes().into());
    let mut capabilities = FieldTable::default();
    let announced: &[&str] = match version {
        // Clients of its time do not know the field types.
        Version::V0_8 => &[],
        Version::V0_9_1 => CAPABILITIES,
    };
    for &name in announced {
        capabilities.insert(name, FieldValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    properties.insert("capabilities", FieldValue::Table(capabilities));
    properties.insert("cluster_name", text(cluster_name));
    properties.insert("copyright", text("Copyright (c) the Warren authors"));
    properties.insert("information", text("Licensed under MIT OR Apache-2.0"));
    properties.insert("platform", text("Rust"));
    properties.insert("product", text("Warren"));
    properties.insert("version", text(env!("CARGO_PKG_VERSION")));
    let (version_major, version_minor) = version.numbers();
    connection::Start {
        version_major,
        version_minor,
        server_properties: properties,
        mechanisms: mechanisms.as_bytes().into(),
        locales: b"en_US"[..].into(),
    }
}

/// What the client announces under `capabilities` in its client-properties.
pub fn capabilities(properties: &FieldTable) -> Capabilities {
    let Some(FieldValue::Table(table)) = properties.get("capabilities") else {
        return Capabilities::default();
    };
    let has = |name: &str| matches!(table.get(name), Some(FieldValue::Boolean(true)));
    Capabilities {
        consumer_cancel_notify: has("consumer_cancel_notify"),
        connection_blocked: has("connection.blocked"),
        authentication_failure_close: has("authentication_failure_close"),
    }
}

/// Merges `connection.tune-ok` into the offer: the client may only lower, and 0 means no limit of its own for
/// channels and frames, none at all for heartbeats.
pub fn negotiate(offered: Limits, ok: &connection::TuneOk) -> Result<Limits, AmqpError> {
    let not_allowed =
        |text: String| Err(AmqpError::connection(ReplyCode::NotAllowed, text).caused_by((10, 31)));
    if ok.frame_max != 0 && ok.frame_max < FRAME_MIN_SIZE {
        return not_allowed(format!(
            "negotiated frame_max = {} is lower than the minimum allowed value ({FRAME_MIN_SIZE})",
            ok.frame_max
        ));
    }
    if ok.frame_max > offered.frame_max {
        return not_allowed(format!(
            "negotiated frame_max = {} is higher than the maximum allowed value ({})",
            ok.frame_max, offered.frame_max
        ));
    }
    if ok.channel_max > offered.channel_max {
        return not_allowed(format!(
            "negotiated channel_max = {} is higher than the maximum allowed value ({})",
            ok.channel_max, offered.channel_max
        ));
    }
    let or_offered = |value: u32, offered: u32| if value == 0 { offered } else { value };
    Ok(Limits {
        channel_max: or_offered(ok.channel_max.into(), offered.channel_max.into()) as u16,
        frame_max: or_offered(ok.frame_max, offered.frame_max),
        heartbeat_s: ok.heartbeat,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: Limits = Limits { channel_max: 2047, frame_max: 131_072, heartbeat_s: 60 };

    fn ok(channel_max: u16, frame_max: u32, heartbeat: u16) -> connection::TuneOk {
        connection::TuneOk { channel_max, frame_max, heartbeat }
    }

    #[test]
    fn the_client_may_lower_every_limit() {
        let agreed = negotiate(OFFERED, &ok(10, 4096, 5)).unwrap();
        assert_eq!(agreed, Limits { channel_max: 10, frame_max: 4096, heartbeat_s: 5 });
        assert_eq!(negotiate(OFFERED, &ok(0, 0, 0)).unwrap(), Limits { heartbeat_s: 0, ..OFFERED });
    }

    #[test]
    fn the_client_may_not_raise_them() {
        for wrong in [ok(10, 4095, 5), ok(10, 200_000, 5), ok(4000, 4096, 5)] {
            assert_eq!(negotiate(OFFERED, &wrong).unwrap_err().code, ReplyCode::NotAllowed, "{wrong:?}");
        }
    }

    #[test]
    fn capabilities_are_read_from_the_nested_table() {
        let mut inner = FieldTable::default();
        inner.insert("consumer_cancel_notify", FieldValue::Boolean(true));
        inner.insert("connection.blocked", FieldValue::Boolean(false));
        let mut properties = FieldTable::default();
        properties.insert("capabilities", FieldValue::Table(inner));
        let capabilities = capabilities(&properties);
        assert!(capabilities.consumer_cancel_notify && !capabilities.connection_blocked);
    }
}
