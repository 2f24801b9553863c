//! Sessions as honest clients send them, all of it at once.

use broker::amqp::{
    self, BasicProperties, FieldTable, FieldValue, FrameKind, Method, PROTOCOL_HEADER, basic, channel,
    confirm, connection, exchange, queue, tx,
};

use super::{QUEUE, USER};

/// One of several, and how many of its bytes are the login: those are mutated less, or few would come further.
pub fn recorded(which: usize, password: &str) -> (Vec<u8>, usize) {
    let mut out = Session(PROTOCOL_HEADER.to_vec());
    out.method(0, login(password));
    let login = out.0.len();
    out.method(0, connection::TuneOk { channel_max: 0, frame_max: 131_072, heartbeat: 1 });
    out.method(0, connection::Open { virtual_host: "/".into() });
    out.method(1, channel::Open);
    match which % 3 {
        0 => consuming(&mut out),
        1 => confirming(&mut out),
        _ => in_transactions(&mut out),
    }
    out.method(1, channel::Close { reply_code: 200, ..Default::default() });
    out.method(0, connection::Close { reply_code: 200, ..Default::default() });
    (out.0, login)
}

fn login(password: &str) -> connection::StartOk {
    let capabilities: FieldTable = [("basic.nack", true), ("consumer_cancel_notify", true)].into();
    connection::StartOk {
        client_properties: [("capabilities", FieldValue::Table(capabilities))].into(),
        mechanism: "PLAIN".into(),
        response: format!("\0{USER}\0{password}").into_bytes().into(),
        locale: "en_US".into(),
    }
}

fn declare() -> queue::Declare {
    let nested: FieldTable =
        [("deeper", FieldValue::Array(vec![FieldValue::I64(-1), FieldValue::Void]))].into();
    queue::Declare {
        queue: QUEUE.into(),
        exclusive: true,
        auto_delete: true,
        arguments: [("x-max-length", FieldValue::I32(100)), ("x-nested", FieldValue::Table(nested))].into(),
        ..Default::default()
    }
}

fn consuming(out: &mut Session) {
    out.method(1, declare());
    out.method(1, basic::Qos { prefetch_count: 3, ..Default::default() });
    out.method(1, basic::Consume { queue: QUEUE.into(), consumer_tag: "c".into(), ..Default::default() });
    for size in [0, 10, 5000] {
        out.publish(1, size);
    }
    out.method(1, basic::Ack { delivery_tag: 1, multiple: false });
    out.method(1, basic::Nack { delivery_tag: 2, multiple: false, requeue: true });
    out.method(1, basic::Recover { requeue: true });
    out.method(1, channel::Flow { active: false });
    out.method(1, channel::Flow { active: true });
    out.method(1, basic::Cancel { consumer_tag: "c".into(), no_wait: false });
    out.method(1, basic::Get { queue: QUEUE.into(), no_ack: true });
    out.method(1, queue::Purge { queue: QUEUE.into(), no_wait: true });
}

fn confirming(out: &mut Session) {
    out.method(1, confirm::Select { no_wait: false });
    out.method(1, declare());
    out.method(
        1,
        exchange::Declare { exchange: "hostile".into(), kind: "topic".into(), ..Default::default() },
    );
    out.method(1, queue::Bind { queue: QUEUE.into(), exchange: "hostile".into(), ..Default::default() });
    for size in [1, 300_000, 2] {
        out.publish(1, size);
    }
    out.method(2, channel::Open);
    out.publish(2, 10);
    out.method(1, basic::Reject { delivery_tag: 9, requeue: true });
}

fn in_transactions(out: &mut Session) {
    out.method(1, tx::Select);
    out.method(1, declare());
    for size in [3, 4000] {
        out.publish(1, size);
    }
    out.method(1, tx::Commit);
    out.publish(1, 5);
    out.method(1, tx::Rollback);
}

struct Session(Vec<u8>);

impl Session {
    fn method(&mut self, channel: u16, method: impl Into<Method>) {
        amqp::write_method(&mut self.0, channel, &method.into());
    }

    fn publish(&mut self, channel: u16, size: usize) {
        self.method(
            channel,
            basic::Publish { routing_key: QUEUE.into(), mandatory: true, ..Default::default() },
        );
        let properties = BasicProperties {
            content_type: Some("text/plain".into()),
            headers: Some([("n", 1i32)].into()),
            delivery_mode: Some(2),
            ..Default::default()
        };
        let mut raw = Vec::new();
        properties.encode(&mut raw);
        amqp::write_content(&mut self.0, channel, &raw, &vec![b'x'; size], 131_072);
        amqp::write_frame(&mut self.0, FrameKind::Heartbeat, 0, &[]);
    }
}
