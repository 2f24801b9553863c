//! tx.select, tx.commit and tx.rollback.

use broker::amqp::{BasicProperties, basic, confirm, exchange, tx};

use crate::harness::*;

fn transactional(broker: &TestBroker) -> Client {
    let mut client = broker.connect_with_channel();
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.call(1, tx::Select, tx::SelectOk);
    client
}

#[test]
fn mistakes_with_transactions() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let not = "PRECONDITION_FAILED - channel is not transactional";
    client.refused(1, tx::Commit, 406, not);
    client.refused(1, tx::Rollback, 406, not);
    client.call(1, tx::Select, tx::SelectOk);
    client.call(1, tx::Select, tx::SelectOk);
    client.refused(
        1,
        confirm::Select::default(),
        406,
        "PRECONDITION_FAILED - cannot switch from tx to confirm mode",
    );
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    client.refused(1, tx::Select, 406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode");
}

#[test]
fn what_is_published_is_there_from_the_commit_on_and_durable() {
    let broker = TestBroker::start();
    let mut client = transactional(&broker);
    let mut other = broker.connect_with_channel();
    for text in ["a", "b"] {
        client.publish_persistent(1, "", "q", text);
    }
    client.sync(1);
    other.expect_empty(1, "q");
    client.call(1, tx::Commit, tx::CommitOk);
    let crashed = broker.crashed_copy();
    let mut after = crashed.connect_with_channel();
    for client in [&mut other, &mut after] {
        for text in ["a", "b"] {
            assert_eq!(client.fetch(1, "q").text(), text);
        }
    }
    // The next one begins by itself.
    client.publish(1, "", "q", "forgotten");
    client.call(1, tx::Rollback, tx::RollbackOk);
    client.call(1, tx::Commit, tx::CommitOk);
    other.expect_empty(1, "q");
}

#[test]
fn acknowledgements_count_from_the_commit_on() {
    let broker = TestBroker::start();
    let mut client = transactional(&broker);
    for text in ["a", "b", "c"] {
        client.publish(1, "", "q", text);
    }
    client.call(1, tx::Commit, tx::CommitOk);
    for _ in 0..3 {
        client.fetch(1, "q");
    }
    client.send(1, ack(1));
    client.send(1, nack(2, true));
    client.send(1, reject(3, false));
    // Settled twice is wrong also before the commit.
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.call(1, tx::Rollback, tx::RollbackOk);
    // Taken back: they are outstanding again.
    client.send(1, nack(2, true));
    client.send(1, ack(1));
    client.call(1, tx::Commit, tx::CommitOk);
    let b = client.fetch(1, "q");
    assert_eq!((b.text(), b.redelivered()), ("b", true));
    client.close_channel(1);
    client.open_channel(1);
    for text in ["b", "c"] {
        assert_eq!(client.fetch(1, "q").text(), text);
    }
    client.expect_empty(1, "q");
}

#[test]
fn what_is_not_committed_ends_with_the_channel() {
    let broker = TestBroker::start();
    let mut client = transactional(&broker);
    client.publish(1, "", "q", "a");
    client.call(1, tx::Commit, tx::CommitOk);
    client.fetch(1, "q");
    client.send(1, ack(1));
    client.publish(1, "", "q", "never");
    client.close_channel(1);
    client.open_channel(1);
    let a = client.fetch(1, "q");
    assert_eq!((a.text(), a.redelivered()), ("a", true));
    client.expect_empty(1, "q");
}

#[test]
fn what_was_settled_and_not_committed_comes_back_before_what_came_later() {
    let broker = TestBroker::start();
    let mut client = transactional(&broker);
    client.call(1, declare("r"), declare_ok("r", 0, 0));
    let mut other = broker.connect_with_channel();
    for text in ["1", "2"] {
        for queue in ["q", "r"] {
            other.publish(1, "", queue, text);
        }
    }
    other.sync(1);
    for text in ["1", "2"] {
        for queue in ["q", "r"] {
            assert_eq!(client.fetch(1, queue).text(), text);
        }
    }
    client.send(1, basic::Ack { delivery_tag: 1, multiple: false });
    other.call(1, consume("q", "c"), consume_ok("c"));
    client.close_channel(1);
    other.expect_deliveries(1, ["1", "2"]);
}

#[test]
fn returns_come_before_commit_ok() {
    let broker = TestBroker::start();
    let mut client = transactional(&broker);
    client.send_content(1, publish_mandatory("", "nosuch"), &BasicProperties::default(), b"back");
    client.publish(1, "", "q", "a");
    client.expect_silence(1);
    client.send(1, tx::Commit);
    client.expect_returned(1, 312, "back");
    client.expect(1, tx::CommitOk);
    assert_eq!(client.fetch(1, "q").text(), "a");
}

#[test]
fn a_mistake_is_told_when_it_is_published() {
    let broker = TestBroker::start();
    let mut client = transactional(&broker);
    client.publish(1, "", "q", "given up with the channel");
    client.publish(1, "nosuch", "", "");
    client.expect_channel_error(1, 404, "NOT_FOUND - no exchange 'nosuch'");
    client.open_channel(1);
    client.expect_empty(1, "q");
}

#[test]
fn a_commit_is_all_or_nothing() {
    let broker = TestBroker::start();
    let mut client = transactional(&broker);
    client.call(1, declare_exchange("x", "fanout"), exchange::DeclareOk);
    client.publish(1, "", "q", "held");
    client.call(1, tx::Commit, tx::CommitOk);
    client.fetch(1, "q");
    client.send(1, ack(1));
    client.publish(1, "", "q", "first");
    client.publish(1, "x", "", "second");
    client.sync(1);
    broker.connect_with_channel().call(1, delete_exchange("x"), exchange::DeleteOk);
    client.send(1, tx::Commit);
    client.expect_channel_error(1, 404, "NOT_FOUND - no exchange 'x' in vhost '/'");
    client.open_channel(1);
    // Neither what was published before the mistake, nor the acknowledgement.
    let held = client.fetch(1, "q");
    assert_eq!((held.text(), held.redelivered()), ("held", true));
    client.expect_empty(1, "q");
}

#[test]
fn what_waits_for_a_commit_has_a_limit() {
    let broker = TestBroker::with(|config| {
        config.limits.message_bytes_max = 10_000;
        config.limits.pending_bytes_max = 10_000;
    });
    let mut client = transactional(&broker);
    client.open_channel(2);
    client.call(2, tx::Select, tx::SelectOk);
    let body = "x".repeat(4000);
    client.publish(1, "", "q", &body);
    client.publish(2, "", "q", &body);
    client.publish(2, "", "q", &body);
    client.expect_channel_error(
        2,
        311,
        "CONTENT_TOO_LARGE - this connection has more than 10000 bytes of messages that are incomplete or \
         wait for tx.commit; commit more often",
    );
    client.publish(1, "", "q", &body);
    client.call(1, tx::Commit, tx::CommitOk);
    client.publish(1, "", "q", &body);
    client.publish(1, "", "q", &body);
    client.call(1, tx::Rollback, tx::RollbackOk);
    client.publish(1, "", "q", &body);
    client.publish(1, "", "q", &body);
    client.call(1, tx::Commit, tx::CommitOk);
    client.call(1, declare_durable("q"), declare_ok("q", 4, 0));
    // Small ones are not for free.
    for _ in 0..100 {
        client.publish(1, "", "q", "");
    }
    client.expect_channel_error(1, 311, "CONTENT_TOO_LARGE");
}

#[test]
fn settled_and_not_committed_still_counts_against_prefetch() {
    let broker = TestBroker::start();
    let mut client = transactional(&broker);
    client.call(1, qos_of_channel(1), basic::QosOk);
    for text in ["a", "b"] {
        client.publish(1, "", "q", text);
    }
    client.call(1, tx::Commit, tx::CommitOk);
    client.call(1, consume("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["a"]);
    client.send(1, ack(1));
    let mut other = broker.connect_with_channel();
    other.publish(1, "", "q", "c");
    other.sync(1);
    client.expect_silence(1);
    client.call(1, tx::Commit, tx::CommitOk);
    client.expect_deliveries(1, ["b"]);
    client.expect_silence(1);
}

#[test]
fn a_commit_of_which_a_full_queue_refuses_a_part_is_said_to_be_partial() {
    let broker = TestBroker::start();
    let mut client = transactional(&broker);
    let arguments = [("x-max-length", 1.into()), ("x-overflow", "reject-publish".into())];
    client.call(1, declare_with("small", arguments), declare_ok("small", 0, 0));
    for (queue, text) in [("small", "a"), ("small", "b"), ("q", "c")] {
        client.publish(1, "", queue, text);
    }
    client.refused(1, tx::Commit, 406, "PRECONDITION_FAILED - partial tx completion: 1 of 3 messages");
    for (queue, text) in [("small", "a"), ("q", "c")] {
        assert_eq!(client.fetch(1, queue).text(), text);
        client.expect_empty(1, queue);
    }
}
