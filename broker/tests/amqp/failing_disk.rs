//! What clients see of a disk that fails or is full, and what is there after a restart.

use std::collections::BTreeSet;

use broker::Ailment;
use broker::amqp::{Method, basic, confirm, connection, queue, tx};
use broker::store::sim::{Disk, Faults};

use crate::harness::*;

const STOPPED: &str = "INTERNAL_ERROR - the message store stopped: syncing";

fn disk() -> Disk {
    Disk::new(7, 64 << 20)
}

/// From now on no sync succeeds.
fn fail_syncs(disk: &Disk) {
    disk.set_faults(Faults { failed_sync: 1000, ..Faults::default() });
}

/// Durable queue `q`, and channel 1 in confirm mode.
fn confirming(broker: &TestBroker) -> Client {
    let mut client = broker.connect_with_channel();
    client.send(1, declare_durable("q"));
    assert!(matches!(client.method(1), Method::QueueDeclareOk(_)));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    client
}

#[test]
fn publishers_are_told_and_consumers_go_on() {
    let disk = disk();
    let broker = TestBroker::on_disk(&disk, |_| ());
    let mut client = confirming(&broker);
    client.publish_persistent(1, "", "q", "kept");
    client.confirmed(1, 1);
    client.open_channel(2);
    client.call(2, consume("q", "c"), consume_ok("c"));
    client.expect_deliveries(2, ["kept"]);
    assert!(broker.broker().health().is_empty());

    fail_syncs(&disk);
    client.publish_persistent(1, "", "q", "in vain");
    client.expect_channel_error(1, 541, STOPPED);
    // The other channel lives, and new messages are delivered: that promises nothing.
    client.expect_deliveries(2, ["in vain"]);
    client.open_channel(3);
    client.publish(3, "", "q", "transient");
    client.expect_deliveries(2, ["transient"]);
    let health = broker.broker().health();
    assert!(matches!(health[..], [Ailment::StoreFailed(_)]), "{health:?}");
    assert!(health[0].to_string().contains("restart the broker"), "{}", health[0]);
}

#[test]
fn nobody_goes_on_publishing_to_a_failed_store_unknowingly() {
    let disk = disk();
    let broker = TestBroker::on_disk(&disk, |_| ());
    let mut client = confirming(&broker);
    fail_syncs(&disk);
    client.publish_persistent(1, "", "q", "x");
    client.expect_channel_error(1, 541, STOPPED);

    let mut again = confirming(&broker);
    again.publish_persistent(1, "", "q", "x");
    again.expect_channel_error(1, 541, STOPPED);
    let mut unconfirmed = broker.connect_with_channel();
    unconfirmed.publish_persistent(1, "", "q", "x");
    unconfirmed.expect_channel_error(1, 541, STOPPED);
    // What needs no disk is confirmed as ever.
    let mut transient = confirming(&broker);
    transient.publish(1, "", "q", "x");
    transient.confirmed(1, 1);
    // Replies that are held back may be on any channel: the connection ends.
    let mut transactional = broker.connect_with_channel();
    transactional.call(1, tx::Select, tx::SelectOk);
    transactional.publish_persistent(1, "", "q", "x");
    transactional.send(1, tx::Commit);
    transactional.expect_connection_error(541, STOPPED);
    let mut purging = broker.connect_with_channel();
    purging.send(1, purge("q"));
    purging.expect_connection_error(541, STOPPED);
}

#[test]
fn a_restart_brings_back_what_was_promised() {
    let disk = disk();
    let broker = TestBroker::on_disk(&disk, |_| ());
    let mut client = confirming(&broker);
    for number in 0..200 {
        client.publish_persistent(1, "", "q", &format!("{number}"));
    }
    client.confirmed(1, 200);
    fail_syncs(&disk);
    client.publish_persistent(1, "", "q", "in vain");
    client.expect_channel_error(1, 541, STOPPED);
    let broker = broker.crashed(|| {
        disk.set_faults(Faults::default());
        disk.restart();
    });
    assert!(broker.broker().health().is_empty());
    let mut client = confirming(&broker);
    for number in 0..200 {
        let fetched = client.fetch(1, "q");
        assert_eq!((fetched.text(), fetched.redelivered()), (&*number.to_string(), true));
    }
}

/// In a power cut, when a confirmed transaction is all there is.
#[test]
fn what_was_acked_in_a_transaction_stays_gone() {
    let disk = disk();
    let broker = TestBroker::on_disk(&disk, |_| ());
    let mut client = confirming(&broker);
    for text in ["acked", "stays"] {
        client.publish_persistent(1, "", "q", text);
    }
    client.confirmed(1, 2);
    client.open_channel(2);
    client.call(2, tx::Select, tx::SelectOk);
    let tag = client.fetch(2, "q").tag();
    client.send(2, ack(tag));
    client.call(2, tx::Commit, tx::CommitOk);
    let broker = broker.crashed(|| disk.restart());
    let mut client = confirming(&broker);
    assert_eq!(client.fetch(1, "q").text(), "stays");
}

/// With messages handed out, purging takes another way.
#[test]
fn what_was_purged_beside_unacked_messages_stays_gone() {
    let disk = disk();
    let broker = TestBroker::on_disk(&disk, |_| ());
    let mut client = confirming(&broker);
    for text in ["in hand", "purged", "purged too"] {
        client.publish_persistent(1, "", "q", text);
    }
    client.confirmed(1, 3);
    assert_eq!(client.fetch(1, "q").text(), "in hand");
    client.call(1, purge("q"), queue::PurgeOk { message_count: 2 });
    let broker = broker.crashed(|| disk.restart());
    let mut client = confirming(&broker);
    assert_eq!(client.fetch(1, "q").text(), "in hand");
    client.expect_empty(1, "q");
}

/// Fills the disk until the publisher is held. How many messages there are, and which were not confirmed yet.
fn fill(broker: &TestBroker, client: &mut Client) -> (u64, BTreeSet<u64>) {
    let (mut sent, mut open) = (0, BTreeSet::new());
    let mut held = false;
    while !held {
        // The one that is sent once the alarm is raised is still taken.
        held = broker.broker().alarms.raised().is_some();
        sent += 1;
        open.insert(sent);
        client.publish_persistent(1, "", "q", &"x".repeat(100_000));
        eventually("it is stored, or there is no space", || {
            broker.broker().alarms.raised().is_some() || broker.broker().store.stats().messages == sent
        });
    }
    loop {
        match client.next() {
            (0, Received::Method(Method::ConnectionBlocked(blocked))) => {
                assert_eq!(blocked, connection::Blocked { reason: "low on disk".into() });
                return (sent, open);
            }
            (1, Received::Method(Method::BasicAck(ack))) => settle(&mut open, &ack),
            other => panic!("{other:?}"),
        }
    }
}

fn settle(open: &mut BTreeSet<u64>, ack: &basic::Ack) {
    match ack.multiple {
        true => open.retain(|&tag| tag > ack.delivery_tag),
        false => assert!(open.remove(&ack.delivery_tag)),
    }
}

/// The publisher may go on, and everything it sent is confirmed.
fn expect_relief(client: &mut Client, mut open: BTreeSet<u64>) {
    let mut unblocked = false;
    while !unblocked || !open.is_empty() {
        match client.next() {
            (0, Received::Method(Method::ConnectionUnblocked(_))) => unblocked = true,
            (1, Received::Method(Method::BasicAck(ack))) => settle(&mut open, &ack),
            other => panic!("{other:?}"),
        }
    }
}

fn drain(broker: &TestBroker, count: u64) -> Client {
    let mut consumer = broker.connect_with_channel();
    consumer.call(1, qos(10), basic::QosOk);
    consumer.call(1, consume("q", "c"), consume_ok("c"));
    for _ in 0..count {
        let delivery = consumer.delivery(1);
        assert_eq!(delivery.body.len(), 100_000);
        consumer.send(1, ack(delivery.tag()));
    }
    consumer
}

#[test]
fn at_the_low_disk_mark_publishers_wait_and_consumers_make_room() {
    let disk = Disk::new(7, 16 << 20);
    let broker = TestBroker::on_disk(&disk, |config| config.limits.disk_free_min_bytes = 6 << 20);
    let mut publisher = confirming(&broker);
    let (sent, open) = fill(&broker, &mut publisher);
    assert!(sent > 20, "held after {sent} messages");
    let health = broker.broker().health();
    assert!(matches!(health[..], [Ailment::PublishersHeld(_)]), "{health:?}");
    let mut consumer = drain(&broker, sent);
    expect_relief(&mut publisher, open);
    publisher.publish_persistent(1, "", "q", "on and on");
    assert_eq!(consumer.delivery(1).text(), "on and on");
    eventually("all is well", || broker.broker().health().is_empty());
}

/// Without a mark the disk fills to the last byte; acks still find room.
#[test]
fn on_a_full_disk_consumers_make_room() {
    let disk = Disk::new(7, 8 << 20);
    let broker = TestBroker::on_disk(&disk, |_| ());
    let mut publisher = confirming(&broker);
    let (sent, open) = fill(&broker, &mut publisher);
    assert!(!open.is_empty(), "what found no space was confirmed");
    let mut consumer = drain(&broker, sent);
    expect_relief(&mut publisher, open);
    publisher.publish_persistent(1, "", "q", "on and on");
    assert_eq!(consumer.delivery(1).text(), "on and on");
    eventually("all is well", || broker.broker().health().is_empty());
}

#[test]
fn when_somebody_else_frees_the_disk_all_is_stored_after_all() {
    let disk = Disk::new(7, 8 << 20);
    let broker = TestBroker::on_disk(&disk, |_| ());
    let mut publisher = confirming(&broker);
    let (sent, open) = fill(&broker, &mut publisher);
    disk.set_capacity(64 << 20);
    expect_relief(&mut publisher, open);
    let broker = broker.crashed(|| disk.restart());
    drain(&broker, sent).expect_silence(1);
}
