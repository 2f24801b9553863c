//! Consumers: whose turn it is, how much they get, and how they end.

use broker::amqp::{FieldValue, basic, channel, queue};

use crate::harness::*;

#[test]
fn mistakes_with_consumers() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.open_channel(2);
    client.call(1, declare("pq"), declare_ok("pq", 0, 0));
    client.call(1, consume("pq", "a"), consume_ok("a"));
    let in_use = "ACCESS_REFUSED - queue 'pq' in vhost '/' in exclusive use";
    client.refused(2, basic::Consume { exclusive: true, ..consume("pq", "b") }, 403, in_use);
    client.call(1, cancel("a"), cancel_ok("a"));
    let exclusive = basic::Consume { exclusive: true, ..consume("pq", "a") };
    client.call(1, exclusive.clone(), consume_ok("a"));
    client.refused(2, consume("pq", "b"), 403, in_use);
    client.refused(2, exclusive, 403, in_use);
    client.call(1, cancel("a"), cancel_ok("a"));
    // The exclusive one is gone, and so is its claim.
    client.call(1, consume("pq", "a"), consume_ok("a"));
    client.call(2, consume("pq", "a"), consume_ok("a"));
    client.call(1, cancel("nosuch"), cancel_ok("nosuch"));
    for (name, why) in [
        ("x-priority", ": \"expected integer, got longstr\""),
        ("x-cancel-on-ha-failover", ": {unacceptable_type,longstr}"),
        ("x-stream-offset", " of queue type rabbit_classic_queue"),
    ] {
        let consume = basic::Consume { arguments: [(name, "high")].into(), ..consume("pq", "p") };
        let text = format!("PRECONDITION_FAILED - invalid arg '{name}' for queue 'pq' in vhost '/'{why}");
        client.refused(2, consume, 406, &text);
    }
    client.send(1, consume("pq", "a"));
    client.expect_connection_error(530, "NOT_ALLOWED - attempt to reuse consumer tag 'a'");
}

#[test]
fn consumers_take_turns() {
    let broker = TestBroker::start();
    let mut publisher = broker.connect_with_channel();
    publisher.call(1, declare("q"), declare_ok("q", 0, 0));
    let mut consumers: Vec<Client> = (0..3).map(|_| broker.connect_with_channel()).collect();
    for consumer in &mut consumers {
        consumer.call(1, consume("q", "c"), consume_ok("c"));
    }
    for number in 0..9 {
        publisher.publish(1, "", "q", &number.to_string());
    }
    for (place, consumer) in consumers.iter_mut().enumerate() {
        for round in 0..3 {
            assert_eq!(consumer.delivery(1).text(), (round * 3 + place).to_string());
        }
    }
    // The next turn is that of the one behind the one that left.
    publisher.publish(1, "", "q", "x");
    consumers[0].expect_deliveries(1, ["x"]);
    consumers[1].call(1, cancel("c"), cancel_ok("c"));
    publisher.publish(1, "", "q", "y");
    consumers[2].expect_deliveries(1, ["y"]);
    publisher.publish(1, "", "q", "z");
    consumers[0].expect_deliveries(1, ["z"]);
}

#[test]
fn prefetch_is_of_each_consumer() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    for text in ["1", "2", "3", "4", "5", "6", "7"] {
        client.publish(1, "", "q", text);
    }
    client.call(1, qos(2), basic::QosOk);
    client.call(1, consume("q", "two"), consume_ok("two"));
    let [first, _] = client.expect_deliveries(1, ["1", "2"]);
    // For consumers to come: the one that is there keeps its own.
    client.call(1, qos(1), basic::QosOk);
    client.call(1, consume("q", "one"), consume_ok("one"));
    let [third] = client.expect_deliveries(1, ["3"]);
    client.expect_silence(1);
    client.send(1, ack(first));
    let four = client.delivery(1);
    assert_eq!((four.text(), four.consumer_tag()), ("4", "two"));
    client.send(1, ack(third));
    let five = client.delivery(1);
    assert_eq!((five.text(), five.consumer_tag()), ("5", "one"));
    // Both at once; what get fetches does not count.
    assert_eq!(client.fetch(1, "q").text(), "6");
    client.send(1, ack_up_to(five.tag()));
    client.expect_deliveries(1, ["7"]);
    client.expect_silence(1);
}

#[test]
fn prefetch_may_be_shared_by_the_channel() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    for name in ["q", "r"] {
        client.call(1, declare(name), declare_ok(name, 0, 0));
        for number in 1..=3 {
            client.publish(1, "", name, &format!("{name}{number}"));
        }
    }
    client.call(1, qos_of_channel(2), basic::QosOk);
    client.call(1, consume("q", "q"), consume_ok("q"));
    let [q1, q2] = client.expect_deliveries(1, ["q1", "q2"]);
    client.call(1, consume("r", "r"), consume_ok("r"));
    client.expect_silence(1);
    // Room made on one queue is room for the other, in turn.
    let mut came = [q1, q2].map(|tag| {
        client.send(1, ack(tag));
        let delivery = client.delivery(1);
        (delivery.text().to_owned(), delivery.tag())
    });
    came.sort();
    let [(q3, _), (r1_text, r1)] = came;
    assert_eq!((&*q3, &*r1_text), ("q3", "r1"));
    // More for everybody, at once.
    client.call(1, qos_of_channel(3), basic::QosOk);
    let [_] = client.expect_deliveries(1, ["r2"]);
    client.send(1, nack(r1, true));
    client.expect_deliveries(1, ["r1"]);
    client.call(1, qos_of_channel(0), basic::QosOk);
    client.expect_deliveries(1, ["r3"]);
}

#[test]
fn prefetch_may_be_in_octets() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    for text in ["12345", "67890", "abcde", "f"] {
        client.publish(1, "", "q", text);
    }
    client.call(1, basic::Qos { prefetch_size: 10, ..Default::default() }, basic::QosOk);
    client.call(1, consume("q", "c"), consume_ok("c"));
    let [first, _] = client.expect_deliveries(1, ["12345", "67890"]);
    client.expect_silence(1);
    client.send(1, ack(first));
    client.expect_deliveries(1, ["abcde"]);
    client.expect_silence(1);
    client.send(1, ack_up_to(0));
    client.expect_deliveries(1, ["f"]);
}

#[test]
fn a_message_larger_than_the_prefetch_size_comes_alone() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    for text in ["1", "larger than ten octets", "2"] {
        client.publish(1, "", "q", text);
    }
    client.call(1, basic::Qos { prefetch_size: 10, ..Default::default() }, basic::QosOk);
    client.call(1, consume("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["1"]);
    client.expect_silence(1);
    client.send(1, ack_up_to(0));
    client.expect_deliveries(1, ["larger than ten octets"]);
    client.expect_silence(1);
    client.send(1, ack_up_to(0));
    client.expect_deliveries(1, ["2"]);
}

#[test]
fn a_cancelled_consumer_keeps_what_it_holds() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "held");
    client.call(1, consume("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["held"]);
    client.call(1, cancel("c"), cancel_ok("c"));
    client.publish(1, "", "q", "waits");
    client.call(1, declare_passive("q"), declare_ok("q", 1, 0));
    client.send(1, nack(1, true));
    client.call(1, declare_passive("q"), declare_ok("q", 2, 0));
    // The tag may be used again.
    client.call(1, consume("q", "c"), consume_ok("c"));
    let again = client.delivery(1);
    assert_eq!((again.text(), again.redelivered(), again.tag()), ("held", true, 2));
    client.expect_deliveries(1, ["waits"]);
}

#[test]
fn a_consumer_is_told_that_its_queue_is_gone() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let mut deaf = Client::open(broker.addr(), &Login { capabilities: &[], ..Login::default() });
    deaf.open_channel(1);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, consume("q", "c"), consume_ok("c"));
    deaf.call(1, consume("q", "c"), consume_ok("c"));
    let mut other = broker.connect_with_channel();
    other.call(1, delete("q"), queue::DeleteOk { message_count: 0 });
    client.expect(1, basic::Cancel { consumer_tag: "c".into(), no_wait: true });
    client.send(1, basic::CancelOk { consumer_tag: "c".into() });
    deaf.expect_silence(1);
    // The tag is free, for another queue of the same name too.
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, consume("q", "c"), consume_ok("c"));
    client.call(1, cancel("c"), cancel_ok("c"));
}

#[test]
fn a_prefetch_of_the_channel_holds_back_consumers_without_acknowledgement_too() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    for queue in ["q", "r"] {
        client.call(1, declare(queue), declare_ok(queue, 0, 0));
    }
    client.call(1, basic::Qos { prefetch_count: 1, global: true, ..Default::default() }, basic::QosOk);
    client.call(1, consume("q", "acks"), consume_ok("acks"));
    client.publish(1, "", "q", "held");
    let held = client.delivery(1);
    let no_ack = basic::Consume { no_ack: true, ..consume("r", "does not") };
    client.call(1, no_ack, consume_ok("does not"));
    client.publish(1, "", "r", "waits");
    // The specification has it otherwise; RabbitMQ does it, and its clients' tests insist.
    client.expect_silence(1);
    client.send(1, ack(held.tag()));
    assert_eq!(client.delivery(1).text(), "waits");
}

#[test]
fn who_deletes_the_queue_it_consumes_from_gets_the_reply_first() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, consume("q", "c"), consume_ok("c"));
    // py-amqp raises what it meets while it waits for delete-ok.
    client.call(1, delete("q"), queue::DeleteOk { message_count: 0 });
    client.expect(1, basic::Cancel { consumer_tag: "c".into(), no_wait: true });
}

#[test]
fn consume_ok_comes_before_the_first_delivery() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "a");
    client.send(1, consume("q", ""));
    let broker::amqp::Method::BasicConsumeOk(ok) = client.method(1) else { panic!("no consume-ok") };
    assert!(ok.consumer_tag.starts_with("amq.ctag-") && ok.consumer_tag.len() == "amq.ctag-".len() + 22);
    assert_eq!(client.delivery(1).consumer_tag(), &*ok.consumer_tag);
    client.send(1, basic::Consume { no_wait: true, ..consume("q", "quiet") });
    client.send(1, basic::Cancel { consumer_tag: ok.consumer_tag, no_wait: true });
    client.publish(1, "", "q", "b");
    assert_eq!(client.delivery(1).consumer_tag(), "quiet");
}

#[test]
fn a_channel_may_be_paused() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, consume_no_ack("q", "c"), consume_ok("c"));
    client.call(1, channel::Flow { active: false }, channel::FlowOk { active: false });
    client.publish(1, "", "q", "a");
    client.publish(1, "", "q", "b");
    client.call(1, declare_passive("q"), declare_ok("q", 2, 1));
    // Others get them meanwhile.
    client.open_channel(2);
    client.call(2, qos(1), basic::QosOk);
    client.call(2, consume("q", "c"), consume_ok("c"));
    client.expect_deliveries(2, ["a"]);
    client.call(1, channel::Flow { active: true }, channel::FlowOk { active: true });
    client.expect_deliveries(1, ["b"]);
}

#[test]
fn consuming_while_others_publish_loses_and_doubles_nothing() {
    const EACH: usize = 2000;
    let broker = TestBroker::start();
    broker.connect_with_channel().call(1, declare("q"), declare_ok("q", 0, 0));
    let received = std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..3)
            .map(|_| {
                let mut client = broker.connect_with_channel();
                client.call(1, qos(7), basic::QosOk);
                client.call(1, consume("q", "c"), consume_ok("c"));
                scope.spawn(move || {
                    let mut texts = Vec::new();
                    loop {
                        let delivery = client.delivery(1);
                        if delivery.text() == "end" {
                            return texts;
                        }
                        texts.push(delivery.text().to_owned());
                        client.send(1, ack(delivery.tag()));
                    }
                })
            })
            .collect();
        let publishers: Vec<_> = (0..2)
            .map(|publisher| {
                let mut client = broker.connect_with_channel();
                scope.spawn(move || {
                    for number in 0..EACH {
                        client.publish(1, "", "q", &format!("{publisher} {number}"));
                    }
                    client.sync(1);
                    client
                })
            })
            .collect();
        let mut publishers: Vec<Client> = publishers.into_iter().map(|p| p.join().unwrap()).collect();
        let queue = broker.broker().vhost("/").unwrap().queue("q").unwrap();
        eventually("all is acknowledged", || queue.counts().ready == 0 && queue.counts().unacked == 0);
        for _ in 0..3 {
            publishers[0].publish(1, "", "q", "end");
        }
        let mut all: Vec<String> = consumers.into_iter().flat_map(|c| c.join().unwrap()).collect();
        all.sort();
        all
    });
    let mut expected: Vec<String> =
        (0..2).flat_map(|p| (0..EACH).map(move |number| format!("{p} {number}"))).collect();
    expected.sort();
    assert_eq!(received, expected);
}

#[test]
fn unacknowledged_messages_come_back_in_order_to_others() {
    let broker = TestBroker::start();
    let mut publisher = broker.connect_with_channel();
    publisher.call(1, declare("q"), declare_ok("q", 0, 0));
    let mut first = broker.connect_with_channel();
    first.call(1, consume("q", "c"), consume_ok("c"));
    for text in ["a", "b", "c", "d"] {
        publisher.publish(1, "", "q", text);
    }
    let [_, b, ..] = first.expect_deliveries(1, ["a", "b", "c", "d"]);
    first.send(1, ack(b));
    let mut second = broker.connect_with_channel();
    second.call(1, consume("q", "c"), consume_ok("c"));
    // The socket is lost, not closed; what is acknowledged by then stays so.
    first.sync(1);
    drop(first);
    for text in ["a", "c", "d"] {
        let delivery = second.delivery(1);
        assert_eq!((delivery.text(), delivery.redelivered()), (text, true));
    }
    second.expect_silence(1);
}

#[test]
fn arguments_without_effect_are_accepted() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let consume = basic::Consume {
        arguments: [("x-cancel-on-ha-failover", FieldValue::from(true))].into(),
        ..consume("q", "c")
    };
    client.call(1, consume, consume_ok("c"));
    client.publish(1, "", "q", "x");
    client.expect_deliveries(1, ["x"]);
}

#[test]
fn who_wants_a_queue_alone_does_not_get_one_with_a_single_active_consumer() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let single = [("x-single-active-consumer", FieldValue::from(true))];
    client.call(1, declare_with("q", single), declare_ok("q", 0, 0));
    let exclusive = basic::Consume { exclusive: true, ..consume("q", "c") };
    client.refused(1, exclusive, 403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use");
    client.call(1, consume("q", "c"), consume_ok("c"));
}
