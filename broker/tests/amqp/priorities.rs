//! Whose turn it is: message priorities, consumer priorities, single active consumers.

use broker::amqp::{BasicProperties, FieldValue, basic, channel, confirm, queue};

use crate::harness::*;

fn with_priorities(name: &str) -> queue::Declare {
    declare_with(name, [("x-max-priority", FieldValue::I32(5))])
}

fn of_priority(priority: u8) -> BasicProperties {
    BasicProperties { priority: Some(priority), ..Default::default() }
}

#[test]
fn messages_of_higher_priority_go_first() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, with_priorities("q"), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "none");
    for (priority, text) in [(0, "zero"), (3, "three"), (5, "five"), (200, "capped"), (3, "three again")] {
        client.send_content(1, publish("", "q"), &of_priority(priority), text.as_bytes());
    }
    client.call(1, declare_passive("q"), declare_ok("q", 6, 0));
    let five = client.fetch(1, "q");
    assert_eq!(five.text(), "five");
    assert_eq!(client.fetch(1, "q").text(), "capped");
    client.send(1, reject(five.tag(), true));
    client.call(1, consume("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["five", "three", "three again", "none", "zero"]);
}

#[test]
fn priorities_are_stored() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let declare = queue::Declare { durable: true, ..with_priorities("q") };
    client.call(1, declare, declare_ok("q", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    for priority in [0, 2, 4, 1, 4] {
        let properties = BasicProperties { delivery_mode: Some(2), ..of_priority(priority) };
        client.send_content(1, publish("", "q"), &properties, priority.to_string().as_bytes());
    }
    client.confirmed(1, 5);
    let broker = broker.restarted();
    let mut client = broker.connect_with_channel();
    client.call(1, consume("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["4", "4", "2", "1", "0"]);
}

#[test]
fn consumers_of_lower_priority_get_what_higher_ones_have_no_room_for() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, qos(2), basic::QosOk);
    let priority = |tag: &str, priority: FieldValue| basic::Consume {
        arguments: [("x-priority", priority)].into(),
        ..consume("q", tag)
    };
    client.call(1, consume("q", "normal"), consume_ok("normal"));
    client.call(1, priority("low", FieldValue::I8(-1)), consume_ok("low"));
    client.call(1, priority("high", FieldValue::I64(10)), consume_ok("high"));
    let mut first = 0;
    for (text, tag) in
        [("1", "high"), ("2", "high"), ("3", "normal"), ("4", "normal"), ("5", "low"), ("6", "low")]
    {
        client.publish(1, "", "q", text);
        let delivery = client.delivery(1);
        assert_eq!((delivery.text(), delivery.consumer_tag()), (text, tag));
        first = if first == 0 { delivery.tag() } else { first };
    }
    client.publish(1, "", "q", "7");
    client.expect_silence(1);
    client.send(1, ack(first));
    assert_eq!(client.delivery(1).consumer_tag(), "high");
}

#[test]
fn one_consumer_is_active_and_the_next_takes_over() {
    let broker = TestBroker::start();
    let mut publisher = broker.connect_with_channel();
    let declare = declare_with("q", [("x-single-active-consumer", FieldValue::Boolean(true))]);
    publisher.call(1, declare, declare_ok("q", 0, 0));
    let mut consumers: Vec<Client> = (0..3).map(|_| broker.connect_with_channel()).collect();
    for consumer in &mut consumers {
        consumer.call(1, qos(1), basic::QosOk);
        consumer.call(1, consume("q", "c"), consume_ok("c"));
    }
    for text in ["1", "2", "3"] {
        publisher.publish(1, "", "q", text);
    }
    let [first] = consumers[0].expect_deliveries(1, ["1"]);
    // Full as it is, nobody steps in.
    consumers[1].expect_silence(1);
    consumers[0].send(1, ack(first));
    consumers[0].expect_deliveries(1, ["2"]);
    // Cancelled, what it holds stays its own.
    consumers[0].call(1, cancel("c"), cancel_ok("c"));
    consumers[1].expect_deliveries(1, ["3"]);
    consumers[2].expect_silence(1);
    // Gone, what it held comes first.
    consumers.remove(1).close();
    consumers[1].expect_deliveries(1, ["3"]);
    publisher.refused(
        1,
        basic::Consume { exclusive: true, ..consume("q", "x") },
        403,
        "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use",
    );
}

#[test]
fn who_takes_over_begins_with_what_the_one_before_held() {
    let broker = TestBroker::start();
    let mut publisher = broker.connect_with_channel();
    let declare = declare_with("q", [("x-single-active-consumer", FieldValue::Boolean(true))]);
    publisher.call(1, declare, declare_ok("q", 0, 0));
    let mut consumers: Vec<Client> = (0..3).map(|_| broker.connect_with_channel()).collect();
    for consumer in &mut consumers {
        consumer.call(1, qos(2), basic::QosOk);
        consumer.call(1, consume("q", "c"), consume_ok("c"));
    }
    for text in ["1", "2", "3", "4"] {
        publisher.publish(1, "", "q", text);
    }
    consumers[0].expect_deliveries(1, ["1", "2"]);
    // Its connection is lost; the next one closes its channel.
    drop(consumers.remove(0));
    consumers[0].expect_deliveries(1, ["1", "2"]);
    consumers[0].call(1, channel::Close::default(), channel::CloseOk);
    let tags = consumers[1].expect_deliveries(1, ["1", "2"]);
    consumers[1].send(1, basic::Ack { delivery_tag: tags[1], multiple: true });
    consumers[1].expect_deliveries(1, ["3", "4"]);
}
