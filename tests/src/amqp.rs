//! A stock AMQP client, for what people cannot do.

use futures_lite::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use tokio::time::timeout;

use crate::PATIENCE;

/// Runs a test of async code.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap_or_else(|error| panic!("no runtime: {error}")).block_on(test)
}

/// Waits no longer than [`PATIENCE`].
pub async fn soon<T>(what: &str, task: impl Future<Output = T>) -> T {
    let done = timeout(PATIENCE, task).await;
    done.unwrap_or_else(|_| panic!("{what}: not within {} s", PATIENCE.as_secs()))
}

pub async fn connect(url: &str) -> Connection {
    let connected = Connection::connect(url, ConnectionProperties::default());
    soon("a connection", connected).await.unwrap_or_else(|error| panic!("cannot connect: {error}"))
}

pub async fn channel(connection: &Connection) -> Channel {
    let opened = soon("a channel", connection.create_channel()).await;
    opened.unwrap_or_else(|error| panic!("cannot open a channel: {error}"))
}

/// Declares a durable queue with these arguments.
pub async fn declare_durable(channel: &Channel, queue: &str, arguments: FieldTable) {
    let declared = channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments);
    soon("a queue", declared).await.unwrap_or_else(|error| panic!("cannot declare {queue}: {error}"));
}

pub fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

/// Publishes without waiting for the confirm, which the result is.
pub async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
    properties: BasicProperties,
) -> lapin::Result<lapin::Confirmation> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let sent = channel.basic_publish(exchange.into(), key.into(), options, body, properties).await?;
    sent.await
}

/// Publishes with confirms what the broker has to refuse; returns how it put that.
pub async fn refusal(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
    properties: BasicProperties,
) -> String {
    let selected = soon("confirm.select", channel.confirm_select(ConfirmSelectOptions::default())).await;
    selected.unwrap_or_else(|error| panic!("no confirms: {error}"));
    match soon("a refusal", publish(channel, exchange, key, body, properties)).await {
        Ok(confirmed) => panic!("not refused: {confirmed:?}"),
        Err(error) => error.to_string(),
    }
}

pub async fn consume(channel: &Channel, queue: &str) -> Consumer {
    let options = BasicConsumeOptions::default();
    let consuming = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default());
    soon("a consumer", consuming).await.unwrap_or_else(|error| panic!("cannot consume {queue}: {error}"))
}

/// The next delivery.
pub async fn next(consumer: &mut Consumer) -> Delivery {
    let delivery = soon("a delivery", consumer.next()).await;
    let delivery = delivery.unwrap_or_else(|| panic!("the consumer was cancelled"));
    delivery.unwrap_or_else(|error| panic!("consuming failed: {error}"))
}

/// All messages that are ready in a queue, in order; they are gone then.
pub async fn drain(channel: &Channel, queue: &str) -> Vec<Delivery> {
    let mut drained = Vec::new();
    loop {
        let got = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true });
        let got =
            soon("basic.get", got).await.unwrap_or_else(|error| panic!("cannot get from {queue}: {error}"));
        match got {
            Some(message) => drained.push(message.delivery),
            None => return drained,
        }
    }
}

/// Waits until `count` messages are ready in a queue.
pub async fn becomes(channel: &Channel, queue: &str, count: u32) {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let counting = async {
        loop {
            let declared = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
            let declared = declared.unwrap_or_else(|error| panic!("cannot look at {queue}: {error}"));
            if declared.message_count() == count {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    soon(&format!("{count} messages in {queue}"), counting).await;
}
