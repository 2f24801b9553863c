//! One client, queue or message does not stand in the way of the others.

use broker::amqp::{BasicProperties, FieldValue, Method, basic, confirm, connection, queue};
use broker::auth::Permission;

use crate::harness::*;

#[test]
fn queues_that_share_a_prefetch_take_turns() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("deep"), declare_ok("deep", 0, 0));
    client.call(1, declare("other"), declare_ok("other", 0, 0));
    for number in 0..50 {
        client.publish(1, "", "deep", &number.to_string());
    }
    for number in 0..5 {
        client.publish(1, "", "other", &number.to_string());
    }
    client.call(1, qos_of_channel(1), basic::QosOk);
    client.call(1, consume("deep", "deep"), consume_ok("deep"));
    let mut tag = client.delivery(1).tag();
    client.call(1, consume("other", "other"), consume_ok("other"));
    // By ten acknowledgements the five of the other queue had their turn.
    let mut others = 0;
    for _ in 0..10 {
        client.send(1, ack(tag));
        let delivery = client.delivery(1);
        others += usize::from(delivery.consumer_tag() == "other");
        tag = delivery.tag();
    }
    assert_eq!(others, 5);
}

#[test]
fn queues_that_share_an_outbox_take_turns() {
    let broker = TestBroker::with(|config| config.limits.outbox_bytes_max = 128 * 1024);
    let mut publisher = broker.connect_with_channel();
    for (name, count) in [("deep", 400), ("a", 3), ("b", 3)] {
        publisher.call(1, declare(name), declare_ok(name, 0, 0));
        for _ in 0..count {
            publisher.publish(1, "", name, &"x".repeat(20_000));
        }
    }
    publisher.sync(1);
    // The client does not read yet: what is sent fills the socket, then the outbox.
    let mut client = Client::dial_with_small_buffer(broker.addr());
    client.finish_opening(&Login::default());
    client.open_channel(1);
    for name in ["deep", "a", "b"] {
        client.send(1, consume_no_ack(name, name));
    }
    let mut last_of_others = 0;
    for number in 0..406 {
        let delivery = loop {
            match client.receive(1) {
                Received::Content(content) => break content,
                Received::Method(Method::BasicConsumeOk(_)) => {}
                Received::Method(other) => panic!("{other:?}"),
            }
        };
        if delivery.consumer_tag() != "deep" {
            last_of_others = number;
        }
    }
    assert!(last_of_others < 390, "the others had to wait for the end of the deep queue: {last_of_others}");
}

#[test]
fn others_have_their_turn_while_small_messages_go_to_many_queues() {
    const QUEUES: usize = 400;
    const MESSAGES: usize = 2500;
    // As many as the broker has threads here.
    const PUBLISHERS: usize = 2;
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    for number in 0..QUEUES {
        let name = number.to_string();
        client.call(1, declare(&name), declare_ok(&name, 0, 0));
        client.call(1, bind(&name, "amq.fanout", ""), queue::BindOk);
    }
    let one = encode_content(1, publish("amq.fanout", ""), &BasicProperties::default(), b"x", 4096);
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|_| {
            let mut publisher = broker.connect_with_channel();
            // At once, so that the broker finds much in one read.
            let all = one.repeat(MESSAGES);
            std::thread::spawn(move || {
                publisher.send_bytes(&all);
                publisher.sync(1);
            })
        })
        .collect();
    let (mut seen, mut longest_wait) = (0, 0);
    while seen < PUBLISHERS * MESSAGES {
        client.send(1, declare_passive("0"));
        let Received::Method(Method::QueueDeclareOk(answer)) = client.receive(1) else { panic!("no answer") };
        let count = answer.message_count as usize;
        longest_wait = longest_wait.max(count - seen);
        seen = count;
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
    assert!(longest_wait < 2000, "{longest_wait} messages went by between a question and its answer");
}

#[test]
fn properties_larger_than_a_frame_end_the_connection_that_cannot_take_them() {
    let broker = TestBroker::start();
    let mut publisher = broker.connect_with_channel();
    publisher.call(1, declare("q"), declare_ok("q", 0, 0));
    let mut small = Client::open(broker.addr(), &Login { frame_max: 4096, ..Login::default() });
    small.open_channel(1);
    small.call(1, consume("q", "c"), consume_ok("c"));
    let properties = BasicProperties {
        headers: Some([("large", FieldValue::from("x".repeat(5000)))].into()),
        ..Default::default()
    };
    publisher.send_content(1, publish("", "q"), &properties, b"x");
    small.expect_connection_error(506, "RESOURCE_ERROR - a message in queue 'q' has 5");
    assert!(small.largest_frame <= 4096, "{}", small.largest_frame);
    let mut small = Client::open(broker.addr(), &Login { frame_max: 4096, ..Login::default() });
    small.open_channel(1);
    small.send(1, get("q"));
    small.expect_connection_error(506, "RESOURCE_ERROR - a message in queue 'q' has 5");
    // Nothing is lost: who can take it gets it.
    assert_eq!(publisher.fetch(1, "q").text(), "x");
}

#[test]
fn a_get_waits_for_the_disk_and_what_is_behind_it_for_the_get() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    client.call(1, declare_durable("r"), declare_ok("r", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    for number in 0..20 {
        client.publish_persistent(1, "", "q", &number.to_string());
    }
    client.confirmed(1, 20);
    let broker = broker.restarted();
    let mut client = broker.connect_with_channel();
    client.open_channel(2);
    // All at once: every body is only on disk, and answers come in the order of the questions.
    for _ in 0..21 {
        client.send(1, get("q"));
    }
    client.send(1, declare_passive("q"));
    client.send(2, get("r"));
    for number in 0..20 {
        let content = client.content(1);
        assert_eq!(content.text(), number.to_string());
    }
    client.expect(1, basic::GetEmpty);
    client.expect(1, declare_ok("q", 0, 0));
    client.expect(2, basic::GetEmpty);
}

#[test]
fn who_does_not_acknowledge_in_time_loses_the_channel() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.open_channel(2);
    let declare = declare_with("q", [("x-consumer-timeout", FieldValue::I32(300))]);
    client.call(1, declare, declare_ok("q", 0, 0));
    client.call(1, declare_with("patient", []), declare_ok("patient", 0, 0));
    client.publish(1, "", "q", "x");
    client.publish(1, "", "patient", "y");
    client.fetch(2, "patient");
    client.call(1, consume("q", "c"), consume_ok("c"));
    client.expect_deliveries(1, ["x"]);
    client.expect_channel_error(
        1,
        406,
        "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 300 ms. This \
         timeout value can be configured, see consumers doc guide to learn more",
    );
    // It comes back, and other channels go on.
    assert!(client.fetch(2, "q").redelivered());
}

#[test]
fn consumers_end_with_the_right_to_read() {
    let broker = TestBroker::start();
    broker.add_user("bob", FULL);
    let mut bob = broker.connect_as("bob");
    let mut deaf = Client::open(
        broker.addr(),
        &Login { user: "bob", password: "bob", capabilities: &[], ..Login::default() },
    );
    deaf.open_channel(1);
    for name in ["kept", "lost"] {
        bob.call(1, declare(name), declare_ok(name, 0, 0));
        bob.call(1, consume(name, name), consume_ok(name));
    }
    deaf.call(1, consume("lost", "c"), consume_ok("c"));
    let narrow = Permission::new(".*", ".*", "^kept$", None).unwrap();
    broker.broker().set_permissions("bob", "/", narrow).unwrap();
    bob.expect(1, basic::Cancel { consumer_tag: "lost".into(), no_wait: true });
    deaf.expect_channel_error(1, 403, "ACCESS_REFUSED - read access to queue 'lost'");
    let mut admin = broker.connect_with_channel();
    admin.publish(1, "", "lost", "not for bob");
    admin.publish(1, "", "kept", "for bob");
    bob.expect_deliveries(1, ["for bob"]);
    assert_eq!(admin.fetch(1, "lost").text(), "not for bob");
}

#[test]
fn a_changed_password_ends_connections() {
    let broker = TestBroker::start();
    broker.add_user("bob", FULL);
    let mut bob = broker.connect_as("bob");
    let mut other = broker.connect_with_channel();
    // It has proven the old one, and takes its time with the rest.
    let mut slow = Client::dial(broker.addr());
    slow.log_in(&Login { user: "bob", password: "bob", ..Login::default() });
    slow.method(0);
    broker.runtime().block_on(broker.broker().change_password("bob", "new")).unwrap();
    bob.expect_connection_error(320, "CONNECTION_FORCED - the password of user 'bob' was changed");
    slow.send(0, connection::TuneOk { channel_max: 0, frame_max: 0, heartbeat: 0 });
    slow.call(0, connection::Open { virtual_host: "/".into() }, connection::OpenOk);
    slow.expect_connection_error(320, "CONNECTION_FORCED - the password of user 'bob' was changed");
    other.sync(1);
}

#[test]
fn there_may_be_so_many_queues_exchanges_and_bindings() {
    let broker = TestBroker::with(|config| {
        config.limits.queues_per_vhost_max = 2;
        config.limits.exchanges_per_vhost_max = 9;
        config.limits.bindings_per_vhost_max = 2;
    });
    let mut client = broker.connect_with_channel();
    client.call(1, declare("a"), declare_ok("a", 0, 0));
    client.call(1, declare("b"), declare_ok("b", 0, 0));
    let text = "PRECONDITION_FAILED - cannot declare queue 'c': queue limit in vhost '/' (2) is reached";
    client.refused(1, declare("c"), 406, text);
    client.call(1, declare("a"), declare_ok("a", 0, 0));
    client.call(1, declare_exchange("x", "fanout"), broker::amqp::exchange::DeclareOk);
    let text =
        "PRECONDITION_FAILED - cannot declare exchange 'y': exchange limit in vhost '/' (9) is reached";
    client.refused(1, declare_exchange("y", "fanout"), 406, text);
    for key in ["1", "2"] {
        client.call(1, bind("a", "x", key), queue::BindOk);
    }
    let text = "PRECONDITION_FAILED - cannot bind to exchange 'x': binding limit in vhost '/' (2) is reached";
    client.refused(1, bind("b", "x", ""), 406, text);
    // What is there may be said again, and what goes makes room.
    client.call(1, bind("a", "x", "1"), queue::BindOk);
    client.call(1, unbind("a", "x", "1"), queue::UnbindOk);
    client.call(1, bind("b", "x", ""), queue::BindOk);
    client.call(1, delete_exchange("x"), broker::amqp::exchange::DeleteOk);
    client.call(1, declare_exchange("y", "fanout"), broker::amqp::exchange::DeclareOk);
    for name in ["a", "b"] {
        client.call(1, bind(name, "y", ""), queue::BindOk);
    }
    client.call(1, delete("a"), queue::DeleteOk { message_count: 0 });
    client.call(1, bind("b", "y", "more"), queue::BindOk);
}

#[test]
fn what_the_broker_adds_never_makes_a_frame_too_large() {
    const FRAME_MAX: usize = 4096;
    let broker = TestBroker::start();
    let mut client = Client::open(broker.addr(), &Login { frame_max: FRAME_MAX as u32, ..Login::default() });
    client.open_channel(1);
    // As large as the client may send it.
    let filled = |properties: BasicProperties| {
        let with = |filling: usize| BasicProperties {
            headers: Some([("filling", "x".repeat(filling).as_str())].into()),
            ..properties.clone()
        };
        let header_len = |properties: &BasicProperties| {
            let mut raw = Vec::new();
            properties.encode(&mut raw);
            broker::amqp::header_frame_size(raw.len())
        };
        let full = with(FRAME_MAX - header_len(&with(0)));
        assert_eq!(header_len(&full), FRAME_MAX);
        full
    };
    let quorum =
        queue::Declare { durable: true, ..declare_with("q", [("x-queue-type", FieldValue::from("quorum"))]) };
    client.call(1, quorum, declare_ok("q", 0, 0));
    client.send_content(1, publish("", "q"), &filled(BasicProperties::default()), b"x");
    assert_eq!(client.fetch(1, "q").text(), "x");
    client.send(1, nack(1, true));
    client.call(1, consume("q", "c"), consume_ok("c"));
    assert_eq!(client.delivery(1).text(), "x");
    // The address for direct replies is longer than the name that the client gave.
    let pseudo = "amq.rabbitmq.reply-to";
    client.call(1, consume_no_ack(pseudo, "r"), consume_ok("r"));
    let question = filled(BasicProperties { reply_to: Some(pseudo.into()), ..Default::default() });
    client.send_content(1, publish_mandatory("", "nowhere"), &question, b"y");
    let returned = client.content(1);
    assert_eq!((returned.text(), returned.properties.reply_to.as_deref()), ("y", Some(pseudo)));
    assert_eq!(client.largest_frame, FRAME_MAX);
}
