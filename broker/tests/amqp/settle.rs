//! get, ack, nack, reject and recover.

use broker::amqp::{Method, basic};

use crate::harness::*;

fn with_messages<const N: usize>(broker: &TestBroker, texts: [&str; N]) -> Client {
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    for text in texts {
        client.publish(1, "", "q", text);
    }
    client
}

#[test]
fn get_takes_the_first_and_says_how_many_are_left() {
    let broker = TestBroker::start();
    let mut client = with_messages(&broker, ["a", "b"]);
    client.send(1, get("q"));
    let a = client.content(1);
    let Method::BasicGetOk(ok) = &a.method else { panic!("{a:?}") };
    assert_eq!(
        ok,
        &basic::GetOk {
            delivery_tag: 1,
            redelivered: false,
            exchange: "".into(),
            routing_key: "q".into(),
            message_count: 1
        }
    );
    client.send(1, get_no_ack("q"));
    assert_eq!(client.content(1).text(), "b");
    client.expect_empty(1, "q");
    client.send(1, ack(1));
    client.sync(1);
    // What was fetched without acknowledgement has nothing to be acknowledged.
    client.refused(1, ack(2), 406, "PRECONDITION_FAILED - unknown delivery tag 2");
}

#[test]
fn tags_have_to_be_outstanding() {
    let broker = TestBroker::start();
    let mut client = with_messages(&broker, ["a", "b", "c"]);
    let unknown = |tag: u64| format!("PRECONDITION_FAILED - unknown delivery tag {tag}");
    for method in [
        Method::from(ack(99)),
        ack_up_to(99).into(),
        ack(0).into(),
        nack(0, true).into(),
        nack(99, false).into(),
        nack_up_to(99, false).into(),
        reject(99, true).into(),
        reject(0, false).into(),
    ] {
        let tag = if format!("{method:?}").contains("99") { 99 } else { 0 };
        client.refused(1, method, 406, &unknown(tag));
    }
    // All of nothing.
    client.send(1, ack_up_to(0));
    client.send(1, nack_up_to(0, true));
    client.sync(1);
    // Twice.
    client.fetch(1, "q");
    client.send(1, ack(1));
    client.refused(1, ack(1), 406, &unknown(1));
    // Tags are those of the channel.
    client.open_channel(2);
    client.fetch(1, "q");
    client.refused(2, ack(1), 406, &unknown(1));
    client.send(1, ack(1));
    client.sync(1);
}

#[test]
fn several_are_acknowledged_at_once() {
    let broker = TestBroker::start();
    let mut client = with_messages(&broker, ["a", "b", "c", "d"]);
    for _ in 0..4 {
        client.fetch(1, "q");
    }
    client.send(1, ack(2));
    client.send(1, ack_up_to(3));
    client.refused(1, ack(1), 406, "PRECONDITION_FAILED - unknown delivery tag 1");
    assert_eq!(client.fetch(1, "q").text(), "d");
    client.send(1, ack_up_to(0));
    client.expect_empty(1, "q");
    client.close_channel(1);
    client.open_channel(1);
    client.expect_empty(1, "q");
}

#[test]
fn rejected_messages_go_or_come_back_to_their_place() {
    let broker = TestBroker::start();
    let mut client = with_messages(&broker, ["a", "b", "c", "d", "e"]);
    for _ in 0..4 {
        client.fetch(1, "q");
    }
    client.send(1, reject(1, false));
    client.send(1, nack(3, true));
    client.send(1, reject(2, true));
    client.send(1, nack(4, false));
    for (text, redelivered) in [("b", true), ("c", true), ("e", false)] {
        let message = client.fetch(1, "q");
        assert_eq!((message.text(), message.redelivered()), (text, redelivered));
    }
    client.send(1, nack_up_to(0, true));
    for text in ["b", "c", "e"] {
        assert_eq!(client.fetch(1, "q").text(), text);
    }
    client.send(1, nack_up_to(0, false));
    client.expect_empty(1, "q");
}

#[test]
fn a_channel_with_many_messages_gives_all_back_in_order() {
    const COUNT: usize = 3000;
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.open_channel(2);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    for number in 0..COUNT {
        client.publish(1, "", "q", &number.to_string());
    }
    client.call(2, consume("q", "c"), consume_ok("c"));
    for number in 0..COUNT {
        assert_eq!(client.delivery(2).text(), number.to_string());
    }
    client.close_channel(2);
    client.call(1, consume_no_ack("q", "c"), consume_ok("c"));
    for number in 0..COUNT {
        let delivery = client.delivery(1);
        assert_eq!((delivery.text(), delivery.redelivered()), (&*number.to_string(), true));
    }
}

#[test]
fn a_rejected_message_goes_to_the_next_consumer_too() {
    let broker = TestBroker::start();
    let mut client = with_messages(&broker, []);
    client.open_channel(2);
    client.call(1, consume("q", "one"), consume_ok("one"));
    client.call(2, consume("q", "two"), consume_ok("two"));
    client.publish(1, "", "q", "a");
    client.expect_deliveries(1, ["a"]);
    client.send(1, reject(1, true));
    let again = client.delivery(2);
    assert_eq!((again.text(), again.redelivered()), ("a", true));
}

#[test]
fn recover_gives_all_back_to_the_queue() {
    let broker = TestBroker::start();
    let mut client = with_messages(&broker, ["a", "b", "c"]);
    client.call(1, consume("q", "c"), consume_ok("c"));
    let [_, b, _] = client.expect_deliveries(1, ["a", "b", "c"]);
    client.send(1, ack(b));
    client.call(1, basic::Recover { requeue: true }, basic::RecoverOk);
    for (text, tag) in [("a", 4), ("c", 5)] {
        let delivery = client.delivery(1);
        assert_eq!((delivery.text(), delivery.tag(), delivery.redelivered()), (text, tag, true));
    }
    client.refused(1, ack(1), 406, "PRECONDITION_FAILED - unknown delivery tag 1");
}

#[test]
fn recover_without_requeue_is_for_the_same_consumer() {
    let broker = TestBroker::start();
    let mut client = with_messages(&broker, ["a", "b", "c"]);
    client.call(1, qos(2), basic::QosOk);
    client.call(1, consume("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["a", "b"]);
    // Another one waits for them in vain.
    client.open_channel(2);
    client.call(2, qos(1), basic::QosOk);
    client.call(2, consume("q", "other"), consume_ok("other"));
    client.expect_deliveries(2, ["c"]);
    client.call(1, basic::Recover { requeue: false }, basic::RecoverOk);
    for (text, tag) in [("a", 3), ("b", 4)] {
        let delivery = client.delivery(1);
        assert_eq!((delivery.text(), delivery.tag(), delivery.redelivered()), (text, tag, true));
    }
    client.expect_silence(1);
    client.expect_silence(2);
    client.send(1, ack_up_to(4));
    client.sync(1);
    // What get fetched, or whose consumer is cancelled, has no consumer to go to.
    client.publish(1, "", "q", "d");
    client.expect_deliveries(1, ["d"]);
    client.call(1, cancel("c"), cancel_ok("c"));
    client.call(1, basic::Recover { requeue: false }, basic::RecoverOk);
    client.call(1, declare_passive("q"), declare_ok("q", 1, 1));
}

#[test]
fn a_delivery_that_is_never_settled_is_no_burden() {
    let broker = TestBroker::start();
    let mut client = with_messages(&broker, ["kept"]);
    client.call(1, consume("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["kept"]);
    for number in 2..2000 {
        client.publish(1, "", "q", "x");
        assert_eq!(client.delivery(1).tag(), number);
        client.send(1, ack(number));
    }
    client.send(1, nack(1, true));
    assert_eq!(client.delivery(1).text(), "kept");
}
