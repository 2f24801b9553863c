//! lapin, the client most used from Rust, on tokio.

use std::env;
use std::error::Error;
use std::io::{Read, Write, stdout};
use std::net::TcpStream;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use async_rs::{Runtime, Tokio};
use futures_lite::StreamExt;
use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::*;
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ErrorKind, ExchangeKind};

type Outcome = Result<(), Box<dyn Error>>;
type Scenario = fn(Connection, Channel) -> Pin<Box<dyn Future<Output = Outcome>>>;

/// How long anything may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

macro_rules! scenarios {
    ($($name:literal: $play:ident,)*) => {
        [$(($name, (|connection, channel| Box::pin($play(connection, channel))) as Scenario)),*]
    };
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut scenarios = scenarios![
        "connect: and learn what the server can": connect_and_learn,
        "connect: with a wrong password is refused": connect_with_a_wrong_password,
        "declare: tells what is in the queue": declare,
        "direct: goes by the key": direct,
        "fanout: goes to all, also from another exchange": fanout,
        "topic: goes by patterns": topic,
        "headers: go by all or any": headers,
        "confirm: for every message": confirm,
        "confirm: is negative where the queue is full": confirm_negative,
        "return: of what goes nowhere": returned,
        "qos: holds back what is not acknowledged": qos,
        "ack: of all so far": ack,
        "nack: puts all so far back in their place": nack,
        "reject: to a dead-letter exchange": reject,
        "recover: brings back what is not acknowledged": recover,
        "tx: commits and rolls back": tx,
        "get: keeps every property": get,
        "rpc: by reply-to": rpc,
        "rpc: by direct reply-to": direct_rpc,
        "consumer: ends when its queue is deleted": cancelled,
        "errors: name what is missing, what differs and what is reserved": errors,
        "reconnect: finds what is durable": reconnect,
    ]
    .to_vec();
    if env::var("AMQPS_URL").is_ok() {
        scenarios.extend(scenarios![
            "tls: with a certificate of the client": tls,
            "tls: with an unknown authority is refused by the client": tls_unknown,
        ]);
    }
    let mut failed = 0;
    for (number, (name, play)) in scenarios.iter().enumerate().map(|(index, scenario)| (index + 1, scenario))
    {
        match played(*play).await {
            Ok(()) => println!("ok {number} - {name}"),
            Err(error) => {
                failed += 1;
                println!("not ok {number} - {name}\n#   {}", error.to_string().replace('\n', "\n#   "));
            }
        }
        // Whoever reads along sees how far it came.
        let _ = stdout().flush();
    }
    println!("1..{}", scenarios.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// On a connection of its own.
async fn played(play: Scenario) -> Outcome {
    let connection = connect(&setting("AMQP_URL")?).await?;
    let channel = connection.create_channel().await?;
    tokio::time::timeout(2 * PATIENCE, play(connection, channel)).await?
}

fn setting(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set"))
}

async fn connect(url: &str) -> lapin::Result<Connection> {
    Connection::connect(url, ConnectionProperties::default()).await
}

fn equal<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("expected {expected:?}, found {found:?}").into()) }
}

/// A queue of this connection with these arguments.
async fn queue(channel: &Channel, arguments: &[(&str, AMQPValue)]) -> lapin::Result<String> {
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, table(arguments)).await?;
    Ok(queue.name().to_string())
}

fn table(fields: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in fields {
        table.insert((*name).into(), value.clone());
    }
    table
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

async fn exchange(channel: &Channel, kind: ExchangeKind) -> lapin::Result<String> {
    let name = format!("lapin.{}", uuid::Uuid::new_v4());
    let options = ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(name.as_str().into(), kind, options, FieldTable::default()).await?;
    Ok(name)
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default()).await
}

async fn send(channel: &Channel, exchange: &str, key: &str, body: &str) -> lapin::Result<()> {
    send_with(channel, exchange, key, body, BasicProperties::default()).await
}

async fn send_with(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &str,
    properties: BasicProperties,
) -> lapin::Result<()> {
    let options = BasicPublishOptions::default();
    channel.basic_publish(exchange.into(), key.into(), options, body.as_bytes(), properties).await?.await?;
    Ok(())
}

async fn fetch(channel: &Channel, queue: &str, no_ack: bool) -> Result<BasicGetMessage, Box<dyn Error>> {
    let message = channel.basic_get(queue.into(), BasicGetOptions { no_ack }).await?;
    message.ok_or_else(|| format!("{queue} is empty").into())
}

fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.data).into_owned()
}

/// The bodies of everything that is ready.
async fn bodies(channel: &Channel, queue: &str) -> lapin::Result<Vec<String>> {
    let mut bodies = Vec::new();
    while let Some(message) = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await? {
        bodies.push(body(&message.delivery));
    }
    Ok(bodies)
}

async fn consume(channel: &Channel, queue: &str, no_ack: bool) -> lapin::Result<Consumer> {
    let options = BasicConsumeOptions { no_ack, ..BasicConsumeOptions::default() };
    channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await
}

async fn next(consumer: &mut Consumer) -> Result<Delivery, Box<dyn Error>> {
    let next = tokio::time::timeout(PATIENCE, consumer.next()).await.map_err(|_| "nothing came")?;
    Ok(next.ok_or("the consumer was cancelled")??)
}

/// A queue with these messages in it.
async fn filled(channel: &Channel, bodies: &[&str]) -> lapin::Result<String> {
    let queue = queue(channel, &[]).await?;
    for body in bodies {
        send(channel, "", &queue, body).await?;
    }
    Ok(queue)
}

async fn connect_and_learn(connection: Connection, _: Channel) -> Outcome {
    equal(connection.status().connected(), true)?;
    connection.close(200, "done".into()).await?;
    equal(connection.status().connected(), false)
}

async fn connect_with_a_wrong_password(_: Connection, _: Channel) -> Outcome {
    match connect(&setting("AMQP_URL")?.replace("guest:guest", "guest:wrong")).await {
        Err(error) => equal(reply_code(&error), Some(403)),
        Ok(_) => Err("not refused".into()),
    }
}

async fn declare(_: Connection, channel: Channel) -> Outcome {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let name = queue(&channel, &[]).await?;
    equal(name.starts_with("amq.gen-"), true)?;
    send(&channel, "", &name, "1").await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let there = channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await?;
    equal((there.message_count(), there.consumer_count()), (1, 0))?;
    equal(channel.queue_purge(name.as_str().into(), QueuePurgeOptions::default()).await?, 1)?;
    equal(channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?, 0)
}

async fn direct(_: Connection, channel: Channel) -> Outcome {
    let exchange = exchange(&channel, ExchangeKind::Direct).await?;
    let (first, second) = (queue(&channel, &[]).await?, queue(&channel, &[]).await?);
    bind(&channel, &first, &exchange, "red").await?;
    bind(&channel, &second, &exchange, "blue").await?;
    for key in ["red", "green"] {
        send(&channel, &exchange, key, key).await?;
    }
    equal(bodies(&channel, &first).await?, vec!["red".into()])?;
    equal(bodies(&channel, &second).await?, vec![])
}

async fn fanout(_: Connection, channel: Channel) -> Outcome {
    let source = exchange(&channel, ExchangeKind::Direct).await?;
    let target = exchange(&channel, ExchangeKind::Fanout).await?;
    let (from, to, options) = (source.as_str(), target.as_str(), ExchangeBindOptions::default());
    channel.exchange_bind(to.into(), from.into(), "on".into(), options, FieldTable::default()).await?;
    let (first, second) = (queue(&channel, &[]).await?, queue(&channel, &[]).await?);
    for queue in [&first, &second] {
        bind(&channel, queue, &target, "").await?;
    }
    send(&channel, &source, "on", "all").await?;
    for queue in [&first, &second] {
        equal(bodies(&channel, queue).await?, vec!["all".into()])?;
    }
    Ok(())
}

async fn topic(_: Connection, channel: Channel) -> Outcome {
    let exchange = exchange(&channel, ExchangeKind::Topic).await?;
    let (first, second) = (queue(&channel, &[]).await?, queue(&channel, &[]).await?);
    bind(&channel, &first, &exchange, "*.error").await?;
    bind(&channel, &second, &exchange, "disk.#").await?;
    for key in ["disk.error", "disk", "net.error"] {
        send(&channel, &exchange, key, key).await?;
    }
    equal(bodies(&channel, &first).await?, vec!["disk.error".into(), "net.error".into()])?;
    equal(bodies(&channel, &second).await?, vec!["disk.error".into(), "disk".into()])
}

async fn headers(_: Connection, channel: Channel) -> Outcome {
    let exchange = exchange(&channel, ExchangeKind::Headers).await?;
    let wanted = [("os", text("linux")), ("cores", AMQPValue::LongInt(8))];
    let mut queues = Vec::new();
    for how in ["all", "any"] {
        let name = queue(&channel, &[]).await?;
        let mut arguments = table(&wanted);
        arguments.insert("x-match".into(), text(how));
        let (to, from, options) = (name.as_str(), exchange.as_str(), QueueBindOptions::default());
        channel.queue_bind(to.into(), from.into(), "".into(), options, arguments).await?;
        queues.push(name);
    }
    for (body, headers) in [("both", &wanted[..]), ("one", &wanted[1..]), ("none", &[])] {
        let properties = BasicProperties::default().with_headers(table(headers));
        send_with(&channel, &exchange, "", body, properties).await?;
    }
    equal(bodies(&channel, &queues[0]).await?, vec!["both".into()])?;
    equal(bodies(&channel, &queues[1]).await?, vec!["both".into(), "one".into()])
}

async fn confirm(_: Connection, channel: Channel) -> Outcome {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let name = queue(&channel, &[]).await?;
    let mut confirms = Vec::new();
    for n in 0..100 {
        let (options, properties) =
            (BasicPublishOptions::default(), BasicProperties::default().with_delivery_mode(2));
        let body = n.to_string();
        confirms.push(
            channel
                .basic_publish("".into(), name.as_str().into(), options, body.as_bytes(), properties)
                .await?,
        );
    }
    for confirm in confirms {
        equal(confirm.await?.is_ack(), true)?;
    }
    equal(bodies(&channel, &name).await?.len(), 100)
}

async fn confirm_negative(_: Connection, channel: Channel) -> Outcome {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let full = [("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", text("reject-publish"))];
    let name = queue(&channel, &full).await?;
    for expected in [true, false] {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let confirm =
            channel.basic_publish("".into(), name.as_str().into(), options, b"x", properties).await?.await?;
        equal((confirm.is_ack(), confirm.is_nack()), (expected, !expected))?;
    }
    Ok(())
}

async fn returned(_: Connection, channel: Channel) -> Outcome {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm =
        channel.basic_publish("".into(), "nowhere".into(), options, b"lost", BasicProperties::default());
    let confirm = confirm.await?.await?;
    equal(confirm.is_ack(), true)?;
    let message = confirm.take_message().ok_or("it was not returned")?;
    equal(
        (message.reply_code, message.reply_text.as_str(), body(&message.delivery)),
        (312, "NO_ROUTE", "lost".into()),
    )
}

async fn qos(_: Connection, channel: Channel) -> Outcome {
    let name = filled(&channel, &["1", "2", "3"]).await?;
    channel.basic_qos(2, BasicQosOptions::default()).await?;
    let mut consumer = consume(&channel, &name, false).await?;
    let first = next(&mut consumer).await?;
    equal(body(&next(&mut consumer).await?), "2".into())?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let there = channel.queue_declare(name.into(), passive, FieldTable::default()).await?;
    equal(there.message_count(), 1)?;
    first.acker.ack(BasicAckOptions::default()).await?;
    equal(body(&next(&mut consumer).await?), "3".into())
}

async fn ack(connection: Connection, channel: Channel) -> Outcome {
    let name = filled(&channel, &["1", "2", "3"]).await?;
    fetch(&channel, &name, false).await?;
    fetch(&channel, &name, false).await?.delivery.acker.ack(BasicAckOptions { multiple: true }).await?;
    channel.close(200, "done".into()).await?;
    equal(bodies(&connection.create_channel().await?, &name).await?, vec!["3".into()])
}

async fn nack(_: Connection, channel: Channel) -> Outcome {
    let name = filled(&channel, &["1", "2", "3"]).await?;
    fetch(&channel, &name, false).await?;
    let second = fetch(&channel, &name, false).await?;
    second.delivery.acker.nack(BasicNackOptions { multiple: true, requeue: true }).await?;
    let again = fetch(&channel, &name, true).await?;
    equal((body(&again.delivery), again.delivery.redelivered), ("1".into(), true))?;
    equal(bodies(&channel, &name).await?, vec!["2".into(), "3".into()])
}

async fn reject(_: Connection, channel: Channel) -> Outcome {
    let dead = queue(&channel, &[]).await?;
    let arguments = [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text(&dead))];
    let name = queue(&channel, &arguments).await?;
    send(&channel, "", &name, "bad").await?;
    let mut deaths = consume(&channel, &dead, true).await?;
    fetch(&channel, &name, false).await?.delivery.acker.reject(BasicRejectOptions { requeue: false }).await?;
    let death = next(&mut deaths).await?;
    let headers = death.properties.headers().as_ref().ok_or("no headers")?;
    let Some(AMQPValue::FieldArray(died)) = headers.inner().get("x-death") else {
        return Err("no x-death".into());
    };
    let Some(AMQPValue::FieldTable(died)) = died.as_slice().first() else {
        return Err("x-death is empty".into());
    };
    equal(died.inner().get("queue"), Some(&text(&name)))?;
    equal(died.inner().get("reason"), Some(&text("rejected")))?;
    equal(body(&death), "bad".into())
}

async fn recover(_: Connection, channel: Channel) -> Outcome {
    let name = filled(&channel, &["1"]).await?;
    let mut consumer = consume(&channel, &name, false).await?;
    equal(next(&mut consumer).await?.redelivered, false)?;
    channel.basic_recover(BasicRecoverOptions { requeue: true }).await?;
    equal(next(&mut consumer).await?.redelivered, true)
}

async fn tx(_: Connection, channel: Channel) -> Outcome {
    let name = queue(&channel, &[]).await?;
    channel.tx_select().await?;
    send(&channel, "", &name, "undone").await?;
    channel.tx_rollback().await?;
    send(&channel, "", &name, "done").await?;
    channel.tx_commit().await?;
    equal(bodies(&channel, &name).await?, vec!["done".into()])
}

async fn get(_: Connection, channel: Channel) -> Outcome {
    let name = queue(&channel, &[]).await?;
    let list = AMQPValue::FieldArray(vec![AMQPValue::LongInt(1), text("a"), AMQPValue::Void].into());
    let deeper = AMQPValue::FieldTable(table(&[("double", AMQPValue::Double(1.5)), ("list", list)]));
    let properties = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_content_encoding("utf-8".into())
        .with_headers(table(&[("deeper", deeper), ("yes", AMQPValue::Boolean(true))]))
        .with_delivery_mode(2)
        .with_priority(3)
        .with_correlation_id("c".into())
        .with_reply_to("r".into())
        .with_expiration("60000".into())
        .with_message_id("m".into())
        .with_timestamp(1_700_000_000)
        .with_type("t".into())
        .with_user_id("guest".into())
        .with_app_id("a".into());
    send_with(&channel, "", &name, &"x".repeat(300_000), properties.clone()).await?;
    let message = fetch(&channel, &name, true).await?;
    equal(&message.delivery.properties, &properties)?;
    equal((message.delivery.data.len(), message.message_count), (300_000, 0))?;
    equal(bodies(&channel, &name).await?, vec![])
}

/// Answers one request.
async fn serve(channel: &Channel, requests: &str) -> Outcome {
    let request = fetch(channel, requests, true).await?;
    let reply_to = request.delivery.properties.reply_to().clone().ok_or("no reply-to")?;
    let mut properties = BasicProperties::default();
    if let Some(id) = request.delivery.properties.correlation_id() {
        properties = properties.with_correlation_id(id.clone());
    }
    send_with(channel, "", reply_to.as_str(), &body(&request.delivery).to_uppercase(), properties).await?;
    Ok(())
}

async fn rpc(_: Connection, channel: Channel) -> Outcome {
    let (requests, replies) = (queue(&channel, &[]).await?, queue(&channel, &[]).await?);
    let mut answers = consume(&channel, &replies, true).await?;
    let asking = BasicProperties::default().with_reply_to(replies.into()).with_correlation_id("42".into());
    send_with(&channel, "", &requests, "hello", asking).await?;
    serve(&channel, &requests).await?;
    let answer = next(&mut answers).await?;
    equal(body(&answer), "HELLO".into())?;
    equal(answer.properties.correlation_id().as_ref().map(|id| id.as_str()), Some("42"))
}

async fn direct_rpc(connection: Connection, channel: Channel) -> Outcome {
    let requests = queue(&channel, &[]).await?;
    let mut answers = consume(&channel, "amq.rabbitmq.reply-to", true).await?;
    let asking = BasicProperties::default().with_reply_to("amq.rabbitmq.reply-to".into());
    send_with(&channel, "", &requests, "hello", asking).await?;
    serve(&connection.create_channel().await?, &requests).await?;
    equal(body(&next(&mut answers).await?), "HELLO".into())
}

async fn cancelled(connection: Connection, channel: Channel) -> Outcome {
    let name = queue(&channel, &[]).await?;
    let mut consumer = consume(&channel, &name, true).await?;
    connection.create_channel().await?.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
    let ended = tokio::time::timeout(PATIENCE, consumer.next()).await?;
    equal(ended.is_none(), true)
}

fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

async fn errors(connection: Connection, channel: Channel) -> Outcome {
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let name = format!("lapin.differs.{}", uuid::Uuid::new_v4());
    channel.queue_declare(name.as_str().into(), exclusive, FieldTable::default()).await?;
    let limited = table(&[("x-max-length", AMQPValue::LongInt(1))]);
    let differs =
        format!("PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '{name}' in vhost '/'");
    for (code, text, name, options, arguments) in [
        (404, "NOT_FOUND - no queue 'nosuch' in vhost '/'", "nosuch", passive, FieldTable::default()),
        (406, differs.as_str(), name.as_str(), exclusive, limited),
        (
            403,
            "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
            "amq.mine",
            exclusive,
            FieldTable::default(),
        ),
    ] {
        let failing = connection.create_channel().await?;
        let Err(error) = failing.queue_declare(name.into(), options, arguments).await else {
            return Err(format!("{text}: not refused").into());
        };
        equal(reply_code(&error), Some(code))?;
        equal(error.to_string().contains(text), true)
            .map_err(|_| format!("expected {text}, found {error}"))?;
    }
    // Other channels do not notice.
    equal(bodies(&channel, &name).await?, vec![])
}

/// Cuts every connection through the proxy, as a broken network would; returns when that is done.
fn cut() -> Outcome {
    let mut cutter = TcpStream::connect(("127.0.0.1", setting("CUTTER_PORT")?.parse()?))?;
    equal(cutter.read(&mut [0])?, 0)
}

async fn reconnect(_: Connection, _: Channel) -> Outcome {
    let lossy = connect(&setting("CUT_URL")?).await?;
    let channel = lossy.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let name = format!("lapin.kept.{}", uuid::Uuid::new_v4());
    channel
        .queue_declare(name.as_str().into(), QueueDeclareOptions::durable(), FieldTable::default())
        .await?;
    send_with(&channel, "", &name, "kept", BasicProperties::default().with_delivery_mode(2)).await?;
    cut()?;
    if send(&channel, "", &name, "lost").await.is_ok() {
        return Err("the connection is still there".into());
    }
    let again = connect(&setting("CUT_URL")?).await?;
    let channel = again.create_channel().await?;
    equal(bodies(&channel, &name).await?, vec!["kept".into()])?;
    channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
    Ok(())
}

async fn connect_over_tls(tls: OwnedTLSConfig) -> Result<Connection, Box<dyn Error>> {
    let (url, properties) = (setting("AMQPS_URL")?, ConnectionProperties::default());
    Ok(Connection::connect_with_config(&url, properties, tls, Runtime::new(Tokio::current())).await?)
}

async fn tls(_: Connection, _: Channel) -> Outcome {
    let identity = OwnedIdentity::PKCS8 {
        pem: std::fs::read(setting("TLS_CERTIFICATE")?)?,
        key: std::fs::read(setting("TLS_KEY")?)?,
    };
    let ca = std::fs::read_to_string(setting("TLS_CA")?)?;
    let connection =
        connect_over_tls(OwnedTLSConfig { identity: Some(identity), cert_chain: Some(ca) }).await?;
    let channel = connection.create_channel().await?;
    let name = filled(&channel, &["x".repeat(300_000).as_str()]).await?;
    equal(fetch(&channel, &name, true).await?.delivery.data.len(), 300_000)
}

async fn tls_unknown(_: Connection, _: Channel) -> Outcome {
    match connect_over_tls(OwnedTLSConfig::default()).await {
        Err(_) => Ok(()),
        Ok(_) => Err("not refused".into()),
    }
}
