//! Opening, closing and the life of channels.

use broker::amqp::{BasicProperties, basic, channel, queue};

use crate::harness::*;

#[test]
fn a_closed_channel_may_be_opened_again() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, qos(1), basic::QosOk);
    client.close_channel(1);
    client.open_channel(1);
    // As new: neither the queue declared last nor the prefetch is remembered.
    client.refused(1, get(""), 404, "NOT_FOUND - no previously declared queue");
    for text in ["a", "b"] {
        client.publish(1, "", "q", text);
    }
    client.call(1, consume("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["a", "b"]);
}

#[test]
fn after_an_error_frames_are_ignored_until_close_ok() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.send(1, get("nosuch"));
    client.send(1, declare("late"));
    client.publish(1, "", "late", "ignored");
    client.send(1, channel::Flow { active: true });
    client.expect_channel_error(1, 404, "NOT_FOUND - no queue 'nosuch' in vhost '/'");
    client.open_channel(1);
    client.refused(1, declare_passive("late"), 404, "NOT_FOUND");
    // Another channel does not notice.
    client.open_channel(2);
    client.send(1, get("nosuch"));
    client.call(2, declare("q"), declare_ok("q", 0, 0));
    client.expect_channel_error(1, 404, "NOT_FOUND");
}

/// Other threads of the client may not know yet that one of them has closed it.
#[test]
fn what_was_sent_before_close_ok_could_be_read_is_dropped() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.open_channel(2);
    let message = |channel| {
        encode_content(channel, publish("", "late"), &BasicProperties::default(), b"dropped", 131_072)
    };
    let close = || encode(1, channel::Close::default());
    client.send_bytes(&[close(), encode(1, declare("late")), message(1), message(1), close()].concat());
    client.expect(1, channel::CloseOk);
    client.expect(1, channel::CloseOk);
    client.open_channel(1);
    client.refused(1, declare_passive("late"), 404, "NOT_FOUND");
    // The rest of a message may come with the next read.
    let (whole, last) = (message(1), message(1).len() - 3);
    client.send_bytes(&[close(), whole[..last].to_vec()].concat());
    client.expect(1, channel::CloseOk);
    client.send_bytes(&whole[last..]);
    client.sync(2);
    // So may that of a large one, in many pieces, and the messages behind it.
    client.open_channel(1);
    client.send_bytes(&close());
    client.expect(1, channel::CloseOk);
    for piece in
        encode_content(1, publish("", "late"), &BasicProperties::default(), &[7; 4000], 131_072).chunks(9)
    {
        client.send_bytes(piece);
    }
    client.send_bytes(&encode_content(
        1,
        publish("", "late"),
        &BasicProperties::default(),
        &[7; 2_000_000],
        131_072,
    ));
    client.sync(2);
    // It is open again as soon as that is asked for.
    client.open_channel(1);
    client.send_bytes(&[close(), encode(1, channel::Open), encode(1, declare("q"))].concat());
    client.expect(1, channel::CloseOk);
    client.expect(1, channel::OpenOk);
    client.expect(1, declare_ok("q", 0, 0));
    // Whoever has had the time to read close-ok has made a mistake.
    client.close_channel(1);
    client.sync(2);
    client.sync(2);
    client.send(1, declare("late"));
    client.expect_connection_error(504, "CHANNEL_ERROR - expected 'channel.open'");
}

#[test]
fn a_channel_in_error_cannot_be_opened_before_close_ok() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.send(1, get("nosuch"));
    client.send(1, channel::Open);
    client.expect_connection_error(504, "CHANNEL_ERROR - second 'channel.open' seen");
}

#[test]
fn both_may_close_a_channel_at_once() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.send(1, get("nosuch"));
    client.send(1, channel::Close::default());
    client.expect_channel_error(1, 404, "NOT_FOUND");
    client.expect(1, channel::CloseOk);
    client.open_channel(1);
}

#[test]
fn channel_max_counts_open_channels_and_not_ids() {
    let broker = TestBroker::start();
    let mut client = Client::open(broker.addr(), &Login { channel_max: 2, ..Login::default() });
    client.open_channel(10);
    client.open_channel(65_535);
    client.close_channel(10);
    client.open_channel(11);
    client.send(12, channel::Open);
    client.expect_connection_error(
        530,
        "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)",
    );
}

#[test]
fn as_many_channels_as_offered_can_be_used() {
    let broker = TestBroker::with(|config| config.limits.channel_max = 2047);
    let mut client = broker.connect();
    for id in 1..=2047 {
        client.send(id, channel::Open);
        client.send(id, declare("q"));
        client.send(id, consume("q", "c"));
    }
    for id in 1..=2047 {
        client.expect(id, channel::OpenOk);
        client.expect(id, declare_ok("q", 0, u32::from(id) - 1));
        client.expect(id, consume_ok("c"));
    }
    client.publish(1000, "", "q", "once around");
    assert_eq!(client.delivery(1).text(), "once around");
    client.close();
    broker.connect_with_channel().call(1, declare("q"), declare_ok("q", 1, 0));
}

#[test]
fn what_a_closed_channel_held_comes_back_in_order() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.open_channel(2);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    for text in ["a", "b", "c", "d"] {
        client.publish(1, "", "q", text);
    }
    client.call(2, qos(3), basic::QosOk);
    client.call(2, consume("q", "c"), consume_ok("c"));
    let [_, b, _] = client.expect_deliveries(2, ["a", "b", "c"]);
    client.send(2, ack(b));
    client.expect_deliveries(2, ["d"]);
    client.close_channel(2);
    client.call(1, declare_passive("q"), declare_ok("q", 3, 0));
    for text in ["a", "c", "d"] {
        let message = client.fetch(1, "q");
        assert_eq!((message.text(), message.redelivered()), (text, true));
    }
}

#[test]
fn an_error_of_the_channel_gives_back_what_it_held() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.open_channel(2);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "a");
    client.call(2, consume("q", "c"), consume_ok("c"));
    client.expect_deliveries(2, ["a"]);
    client.send(2, ack(99));
    client.expect_channel_error(2, 406, "PRECONDITION_FAILED - unknown delivery tag 99");
    client.call(1, declare_passive("q"), declare_ok("q", 1, 0));
}

/// What one channel of a closing connection gives back must not go to another one of it, whose client no longer
/// listens: with no_ack it would be lost.
#[test]
fn a_closing_connection_gives_nothing_back_to_itself() {
    let broker = TestBroker::start();
    let mut keeper = broker.connect_with_channel();
    keeper.call(1, declare("q"), declare_ok("q", 0, 0));
    for _ in 0..20 {
        let mut client = broker.connect_with_channel();
        client.call(1, consume("q", "holds"), consume_ok("holds"));
        keeper.publish(1, "", "q", "precious");
        client.expect_deliveries(1, ["precious"]);
        for id in 2..6 {
            client.open_channel(id);
            client.call(id, consume_no_ack("q", "takes"), consume_ok("takes"));
        }
        client.close();
        keeper.call(1, declare_passive("q"), declare_ok("q", 1, 0));
        keeper.call(1, purge("q"), queue::PurgeOk { message_count: 1 });
    }
}
