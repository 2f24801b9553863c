//! What the broker promised survives a `kill -9`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::{Broker, Peer, amqp};
use futures_lite::StreamExt;
use lapin::options::{
    BasicAckOptions, ConfirmSelectOptions, ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Confirmation, ExchangeKind};

async fn confirming_channel(url: &str) -> (lapin::Connection, Channel) {
    let connection = amqp::connect(url).await;
    let channel = amqp::channel(&connection).await;
    let selected = channel.confirm_select(ConfirmSelectOptions::default()).await;
    selected.unwrap_or_else(|error| panic!("no confirms: {error}"));
    (connection, channel)
}

fn number(delivery: &lapin::message::Delivery) -> usize {
    let text = String::from_utf8_lossy(&delivery.data);
    text.trim().parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

/// A body of `bytes` that begins with its number.
fn body(number: usize, bytes: usize) -> Vec<u8> {
    let mut body = number.to_string().into_bytes();
    body.resize(bytes.max(body.len()), b' ');
    body
}

const QUEUES: [&str; 3] = ["one", "two", "three"];

/// Publishes until the connection breaks, up to a window of unconfirmed messages; returns the numbers that were
/// confirmed. `confirmed` counts along.
async fn publish_until_it_breaks(url: &str, confirmed: &AtomicUsize) -> BTreeSet<usize> {
    let (_connection, channel) = confirming_channel(url).await;
    for queue in QUEUES {
        amqp::declare_durable(&channel, queue, FieldTable::default()).await;
    }
    let mut under_way = tokio::task::JoinSet::new();
    let mut done = BTreeSet::new();
    let mut broken = false;
    for number in 0.. {
        while under_way.len() >= 200 || (broken && !under_way.is_empty()) {
            match under_way.join_next().await {
                Some(Ok((number, Ok(Confirmation::Ack(None))))) => {
                    done.insert(number);
                    confirmed.fetch_add(1, Ordering::Relaxed);
                }
                Some(Ok((number, Ok(other)))) => panic!("message {number} was not taken: {other:?}"),
                _ => broken = true,
            }
        }
        if broken {
            break;
        }
        let channel = channel.clone();
        // In this order: the first poll of the task would be too late.
        let (key, bytes) = (QUEUES[number % QUEUES.len()], body(number, 1 + number * 37 % 2000));
        let sent = channel
            .basic_publish("".into(), key.into(), Default::default(), &bytes, amqp::persistent())
            .await;
        match sent {
            Ok(confirm) => {
                under_way.spawn(async move { (number, confirm.await) });
            }
            Err(_) => broken = true,
        }
    }
    done
}

#[test]
fn every_confirmed_message_survives_a_kill_in_the_middle() {
    let mut broker = Broker::start();
    amqp::run(async {
        let url = broker.guest_url();
        let confirmed = AtomicUsize::new(0);
        let mut all = BTreeSet::new();
        let publishing = publish_until_it_breaks(&url, &confirmed);
        let killing = async {
            amqp::soon("2000 confirms", async {
                while confirmed.load(Ordering::Relaxed) < 2000 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            tokio::task::block_in_place(|| broker.kill9());
        };
        let (done, ()) = tokio::join!(publishing, killing);
        all.extend(done);
        broker.start_again();

        let connection = amqp::connect(&url).await;
        let channel = amqp::channel(&connection).await;
        let mut found = BTreeSet::new();
        for queue in QUEUES {
            let drained = amqp::drain(&channel, queue).await;
            let numbers: Vec<usize> = drained.iter().map(number).collect();
            assert!(numbers.is_sorted(), "{queue} is out of order");
            for delivery in &drained {
                assert!(found.insert(number(delivery)), "{} is there twice", number(delivery));
                assert_eq!(delivery.data, body(number(delivery), delivery.data.len()));
            }
        }
        let lost: Vec<_> = all.difference(&found).collect();
        assert!(lost.is_empty(), "{} of {} confirmed messages are lost: {lost:?}", lost.len(), all.len());
    });
}

#[test]
fn what_a_consumer_had_comes_back_marked_or_not_at_all() {
    let mut broker = Broker::start();
    amqp::run(async {
        let url = broker.guest_url();
        let confirmed = AtomicUsize::new(0);
        let publishing = publish_until_it_breaks(&url, &confirmed);
        let (_consuming, channel) = confirming_channel(&url).await;
        amqp::declare_durable(&channel, QUEUES[0], FieldTable::default()).await;
        let mut consumer = amqp::consume(&channel, QUEUES[0]).await;
        let seen_before = AtomicUsize::new(0);
        let consuming = async {
            let mut seen: BTreeMap<usize, bool> = BTreeMap::new();
            while let Some(Ok(delivery)) = consumer.next().await {
                assert!(!delivery.redelivered, "{} is new", number(&delivery));
                // Every other one is acknowledged, the rest stays in hand.
                let acked = number(&delivery).is_multiple_of(2);
                if acked && delivery.acker.ack(BasicAckOptions::default()).await.is_err() {
                    break;
                }
                seen.insert(number(&delivery), acked);
                seen_before.fetch_add(1, Ordering::Relaxed);
            }
            seen
        };
        let killing = async {
            amqp::soon("500 deliveries", async {
                while seen_before.load(Ordering::Relaxed) < 500 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            tokio::task::block_in_place(|| broker.kill9());
        };
        let (done, seen, ()) = tokio::join!(publishing, consuming, killing);
        broker.start_again();

        let connection = amqp::connect(&url).await;
        let channel = amqp::channel(&connection).await;
        let again = amqp::drain(&channel, QUEUES[0]).await;
        let found: BTreeSet<usize> = again.iter().map(number).collect();
        assert_eq!(found.len(), again.len(), "a message is there twice");
        for delivery in &again {
            if seen.contains_key(&number(delivery)) {
                assert!(delivery.redelivered, "{} was delivered before, and is not marked", number(delivery));
            }
        }
        let in_hand = |number: &usize| seen.get(number) == Some(&false);
        let of_this_queue = done.iter().filter(|number| *number % QUEUES.len() == 0);
        for number in of_this_queue {
            let acked = seen.get(number) == Some(&true);
            assert!(acked || found.contains(number), "{number} is lost (in hand: {})", in_hand(number));
        }
    });
}

#[test]
fn transient_messages_and_queues_do_not_survive() {
    let mut broker = Broker::start();
    amqp::run(async {
        let url = broker.guest_url();
        let (_connection, channel) = confirming_channel(&url).await;
        amqp::declare_durable(&channel, "q", FieldTable::default()).await;
        let transient =
            channel.queue_declare("t".into(), QueueDeclareOptions::default(), FieldTable::default());
        transient.await.unwrap_or_else(|error| panic!("{error}"));
        for (queue, properties) in
            [("q", Default::default()), ("q", amqp::persistent()), ("t", amqp::persistent())]
        {
            let confirmed = amqp::publish(&channel, "", queue, b"0", properties).await;
            assert!(matches!(confirmed, Ok(Confirmation::Ack(None))), "{confirmed:?}");
        }
        broker.kill9_and_start_again();
        let connection = amqp::connect(&url).await;
        let channel = amqp::channel(&connection).await;
        assert_eq!(amqp::drain(&channel, "q").await.len(), 1, "the persistent one, and it alone");
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let gone = channel.queue_declare("t".into(), passive, FieldTable::default()).await;
        assert!(gone.is_err_and(|error| error.to_string().contains("NOT_FOUND")));
    });
}

#[test]
fn what_was_deleted_or_purged_does_not_come_back() {
    let mut broker = Broker::start();
    amqp::run(async {
        let url = broker.guest_url();
        let (_connection, channel) = confirming_channel(&url).await;
        for queue in ["deleted", "purged", "new"] {
            amqp::declare_durable(&channel, queue, FieldTable::default()).await;
            for _ in 0..10 {
                let confirmed = amqp::publish(&channel, "", queue, b"0", amqp::persistent()).await;
                assert!(matches!(confirmed, Ok(Confirmation::Ack(None))), "{confirmed:?}");
            }
        }
        let purged = channel.queue_purge("purged".into(), QueuePurgeOptions::default()).await;
        assert_eq!(purged.unwrap_or_else(|error| panic!("{error}")), 10);
        for queue in ["deleted", "new"] {
            let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await;
            assert_eq!(deleted.unwrap_or_else(|error| panic!("{error}")), 10);
        }
        // A new queue of the same name does not inherit.
        amqp::declare_durable(&channel, "new", FieldTable::default()).await;
        broker.kill9_and_start_again();

        let connection = amqp::connect(&url).await;
        let channel = amqp::channel(&connection).await;
        assert!(amqp::drain(&channel, "purged").await.is_empty());
        assert!(amqp::drain(&channel, "new").await.is_empty());
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let gone = channel.queue_declare("deleted".into(), passive, FieldTable::default()).await;
        assert!(gone.is_err_and(|error| error.to_string().contains("NOT_FOUND")));
    });
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert((*name).into(), value.clone());
    }
    table
}

/// Declares one of everything. Declaring again asserts that it is still the same.
async fn declare_topology(channel: &Channel) {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let kinds = [ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Topic, ExchangeKind::Headers];
    for (name, kind) in ["d", "f", "t", "h"].into_iter().zip(kinds) {
        let arguments = match name {
            "d" => table(&[("alternate-exchange", text("f"))]),
            _ => FieldTable::default(),
        };
        let declared = channel.exchange_declare(name.into(), kind, durable, arguments).await;
        declared.unwrap_or_else(|error| panic!("exchange {name}: {error}"));
    }
    for queue in ["by-key", "by-pattern", "by-header", "rest"] {
        let limits =
            table(&[("x-max-length", AMQPValue::LongInt(1000)), ("x-overflow", text("reject-publish"))]);
        amqp::declare_durable(channel, queue, limits).await;
    }
}

async fn bind_topology(channel: &Channel) {
    let all = table(&[("x-match", text("all")), ("colour", text("red")), ("size", AMQPValue::LongInt(3))]);
    for (queue, exchange, key, arguments) in [
        ("by-key", "d", "k", FieldTable::default()),
        ("by-pattern", "t", "a.*.#", FieldTable::default()),
        ("by-header", "h", "", all),
        ("rest", "f", "", FieldTable::default()),
    ] {
        let bound = channel.queue_bind(
            queue.into(),
            exchange.into(),
            key.into(),
            QueueBindOptions::default(),
            arguments,
        );
        bound.await.unwrap_or_else(|error| panic!("{queue}: {error}"));
    }
    let bound = channel.exchange_bind(
        "d".into(),
        "t".into(),
        "to.d".into(),
        ExchangeBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn exchanges_queues_and_bindings_survive() {
    let mut broker = Broker::start();
    amqp::run(async {
        let url = broker.guest_url();
        let (_connection, channel) = confirming_channel(&url).await;
        declare_topology(&channel).await;
        bind_topology(&channel).await;
        broker.kill9_and_start_again();

        let (_connection, channel) = confirming_channel(&url).await;
        declare_topology(&channel).await;
        let red = table(&[("colour", text("red")), ("size", AMQPValue::LongInt(3))]);
        for (exchange, key, headers, arrives) in [
            ("d", "k", None, "by-key"),
            ("d", "unknown", None, "rest"),
            ("t", "a.b", None, "by-pattern"),
            ("t", "a.b.c.d", None, "by-pattern"),
            ("t", "to.d", None, "rest"),
            ("h", "", Some(red), "by-header"),
            ("f", "", None, "rest"),
        ] {
            let properties = match headers {
                Some(headers) => amqp::persistent().with_headers(headers),
                None => amqp::persistent(),
            };
            let confirmed = amqp::publish(&channel, exchange, key, b"0", properties).await;
            assert!(matches!(confirmed, Ok(Confirmation::Ack(None))), "{exchange} {key}: {confirmed:?}");
            let drained = amqp::drain(&channel, arrives).await;
            assert_eq!(drained.len(), 1, "{exchange} {key} did not arrive at {arrives}");
        }
        let returned = amqp::publish(&channel, "t", "b", b"0", amqp::persistent()).await;
        assert!(matches!(returned, Ok(Confirmation::Ack(Some(_)))), "{returned:?}");
    });
}

#[test]
fn a_users_queue_stays_the_users() {
    let mut broker = Broker::start();
    amqp::run(async {
        let alice = Peer::signed_up(&broker, "alice").await;
        let queue = alice.friend_queue().await;
        let bob = Peer::signed_up(&broker, "bob").await;
        let message = shared::message::Body::Message { text: "kept".into(), reply_to_id: None };
        bob.tell(&queue, shared::message::Envelope::new(message)).await;
        broker.kill9_and_start_again();

        let (alice, bob) = (Peer::signed_in(&broker, "alice").await, Peer::signed_in(&broker, "bob").await);
        let locked = bob.channel.queue_purge(queue.as_str().into(), QueuePurgeOptions::default()).await;
        assert!(locked.is_err_and(|error| error.to_string().contains("RESOURCE_LOCKED")));
        assert_eq!(amqp::drain(&alice.channel, &queue).await.len(), 1);
        // What a user may do survived, too.
        let bob = Peer::signed_in(&broker, "bob").await;
        let refusal = amqp::refusal(&bob.channel, "amq.fanout", "", b"0", amqp::persistent()).await;
        assert!(refusal.contains("ACCESS_REFUSED"), "{refusal}");
    });
}
