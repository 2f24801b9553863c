//! The log as messages: every log event is published to `amq.rabbitmq.log` in vhost `/`, with its level as the
//! routing key (`error`, `warning`, `info`, `debug`). Bind a queue to the exchange with `#` or `error` to read along.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::amqp::BasicProperties;
use crate::auth::DEFAULT_VHOST;
use crate::broker::Broker;
use crate::outbox::Wakes;

pub const LOG_EXCHANGE: &str = "amq.rabbitmq.log";

/// Events that may wait to be published; more are dropped, the log itself has them.
const WAITING_MAX: usize = 1024;

/// Collects log events; part of the `tracing` subscriber.
pub struct LogLayer {
    lines: Sender<Line>,
}

/// Where the events come out; to be given to [`publish`].
pub struct LogLines(Receiver<Line>);

struct Line {
    level: &'static str,
    text: String,
    at_s: u64,
}

/// A layer, and what it collects.
pub fn log_layer() -> (LogLayer, LogLines) {
    let (lines, out) = channel(WAITING_MAX);
    (LogLayer { lines }, LogLines(out))
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let at_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        // Full: nobody waits for a log line, least of all under a lock.
        let _ =
            self.lines.try_send(Line { level: routing_key(*event.metadata().level()), text: text.0, at_s });
    }
}

fn routing_key(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

/// The message first, then `name=value` for each field, as in the log.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let written = match field.name() {
            "message" => {
                let rest = std::mem::take(&mut self.0);
                write!(self.0, "{value:?}{rest}")
            }
            name => write!(self.0, " {name}={value:?}"),
        };
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
}

/// Publishes the lines until the layer is gone.
pub async fn publish(broker: Arc<Broker>, mut lines: LogLines) {
    while let Some(line) = lines.0.recv().await {
        publish_line(&broker, &line);
    }
}

fn publish_line(broker: &Broker, line: &Line) {
    let Some(vhost) = broker.vhost(DEFAULT_VHOST) else { return };
    let mut properties = Vec::new();
    BasicProperties {
        content_type: Some("text/plain".into()),
        timestamp: Some(line.at_s),
        ..BasicProperties::default()
    }
    .encode(&mut properties);
    let text = line.text.as_bytes();
    vhost.publish_own(LOG_EXCHANGE, line.level, &properties, text, &mut Wakes::default());
}
