//! Dead-lettering: where dead messages go, what they say about their death, and that none gets lost.

use broker::amqp::{BasicProperties, FieldTable, FieldValue, Method, basic, confirm, exchange, queue, tx};

use crate::harness::*;

/// A queue whose dead go to `exchange`.
fn with_dlx<const N: usize>(name: &str, exchange: &str, more: [(&str, FieldValue); N]) -> queue::Declare {
    let mut declare = declare_with(name, more);
    declare.arguments.insert("x-dead-letter-exchange", exchange);
    declare
}

/// A queue whose dead go to another one, through the default exchange.
fn with_dlq<const N: usize>(name: &str, to: &str, more: [(&str, FieldValue); N]) -> queue::Declare {
    let mut declare = with_dlx(name, "", more);
    declare.arguments.insert("x-dead-letter-routing-key", to);
    declare
}

fn durable(declare: queue::Declare) -> queue::Declare {
    queue::Declare { durable: true, ..declare }
}

fn headers(content: &Content) -> &FieldTable {
    content.properties.headers.as_ref().expect("a dead letter has headers")
}

fn deaths(content: &Content) -> Vec<&FieldTable> {
    let deaths = headers(content).get("x-death").and_then(FieldValue::as_array).expect("x-death");
    deaths.iter().filter_map(FieldValue::as_table).collect()
}

fn text<'t>(table: &'t FieldTable, name: &str) -> &'t str {
    table.get(name).and_then(FieldValue::as_str).unwrap_or_else(|| panic!("no {name} in {table:?}"))
}

/// Reason, queue, exchange and count of each death, latest first.
fn told(content: &Content) -> Vec<(String, String, String, i64)> {
    let count = |death: &FieldTable| match death.get("count") {
        Some(FieldValue::I64(count)) => *count,
        other => panic!("count is {other:?}"),
    };
    deaths(content)
        .iter()
        .map(|death| {
            let [reason, queue, exchange] =
                ["reason", "queue", "exchange"].map(|name| text(death, name).to_owned());
            (reason, queue, exchange, count(death))
        })
        .collect()
}

fn death(reason: &str, queue: &str, exchange: &str, count: i64) -> (String, String, String, i64) {
    (reason.into(), queue.into(), exchange.into(), count)
}

/// The next message of a queue, which may take a while to come.
fn fetch_soon(client: &mut Client, queue: &str) -> Content {
    let mut fetched = None;
    eventually(&format!("a message in {queue}"), || {
        client.send(1, get_no_ack(queue));
        match client.receive(1) {
            Received::Content(content) => fetched = Some(content),
            Received::Method(Method::BasicGetEmpty(_)) => {}
            Received::Method(other) => panic!("{other:?}"),
        }
        fetched.is_some()
    });
    fetched.unwrap()
}

#[test]
fn a_rejected_message_tells_its_story() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_exchange("dlx", "fanout"), exchange::DeclareOk);
    client.call(1, declare("dead"), declare_ok("dead", 0, 0));
    client.call(1, bind("dead", "dlx", ""), queue::BindOk);
    client.call(1, with_dlx("q", "dlx", []), declare_ok("q", 0, 0));
    client.call(1, bind("q", "amq.topic", "a.*"), queue::BindOk);
    let properties = BasicProperties {
        headers: Some([("k", FieldValue::I32(1))].into()),
        expiration: Some("100000".into()),
        message_id: Some("m".into()),
        ..persistent()
    };
    client.send_content(1, publish("amq.topic", "a.b"), &properties, b"x");
    let fetched = client.fetch(1, "q");
    client.send(1, reject(fetched.tag(), false));
    let dead = client.fetch(1, "dead");
    assert!(!dead.redelivered());
    let Method::BasicGetOk(get_ok) = &dead.method else { panic!("{dead:?}") };
    assert_eq!((&*get_ok.exchange, &*get_ok.routing_key), ("dlx", "a.b"));
    assert_eq!(dead.text(), "x");
    assert_eq!(dead.properties.expiration, None);
    assert_eq!((dead.properties.message_id.as_deref(), dead.properties.delivery_mode), (Some("m"), Some(2)));
    assert_eq!(told(&dead), [death("rejected", "q", "amq.topic", 1)]);
    let first = deaths(&dead)[0];
    assert_eq!(text(first, "original-expiration"), "100000");
    assert_eq!(first.get("routing-keys"), Some(&FieldValue::Array(vec!["a.b".into()])));
    assert!(matches!(first.get("time"), Some(FieldValue::Timestamp(at)) if *at > 1_600_000_000));
    assert_eq!(headers(&dead).get("k"), Some(&FieldValue::I32(1)));
    for (name, value) in [("reason", "rejected"), ("queue", "q"), ("exchange", "amq.topic")] {
        assert_eq!(text(headers(&dead), &format!("x-first-death-{name}")), value);
    }
    // Acknowledged, it does not.
    client.publish(1, "amq.topic", "a.b", "y");
    let fetched = client.fetch(1, "q");
    client.send(1, ack(fetched.tag()));
    client.expect_empty(1, "dead");
    // Nor do purged and deleted messages.
    client.publish(1, "amq.topic", "a.b", "z");
    client.call(1, purge("q"), queue::PurgeOk { message_count: 1 });
    client.publish(1, "amq.topic", "a.b", "z");
    client.call(1, delete("q"), queue::DeleteOk { message_count: 1 });
    client.expect_empty(1, "dead");
}

#[test]
fn expired_messages_and_those_a_full_queue_drops_are_dead() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("dead"), declare_ok("dead", 0, 0));
    client.call(1, with_dlq("e", "dead", []), declare_ok("e", 0, 0));
    client.send_content(1, publish("", "e"), &expiring("1"), b"by itself");
    let dead = fetch_soon(&mut client, "dead");
    assert_eq!((dead.text(), told(&dead)), ("by itself", vec![death("expired", "e", "", 1)]));
    assert_eq!(text(deaths(&dead)[0], "original-expiration"), "1");
    client.call(1, with_dlq("t", "dead", [("x-message-ttl", FieldValue::I32(1))]), declare_ok("t", 0, 0));
    client.publish(1, "", "t", "by its queue");
    let dead = fetch_soon(&mut client, "dead");
    assert_eq!((dead.text(), told(&dead)), ("by its queue", vec![death("expired", "t", "", 1)]));
    assert_eq!(deaths(&dead)[0].get("original-expiration"), None);
    client.call(1, with_dlq("m", "dead", [("x-max-length", FieldValue::I32(1))]), declare_ok("m", 0, 0));
    client.publish(1, "", "m", "first");
    client.publish(1, "", "m", "second");
    let dead = client.fetch(1, "dead");
    assert_eq!((dead.text(), told(&dead)), ("first", vec![death("maxlen", "m", "", 1)]));
    assert_eq!(client.fetch(1, "m").text(), "second");
}

#[test]
fn a_refused_message_is_dead_only_where_that_was_asked_for() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("dead"), declare_ok("dead", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    let mut tag = 0;
    for (name, overflow) in [("r", "reject-publish"), ("d", "reject-publish-dlx")] {
        let limits = [("x-max-length", FieldValue::I32(1)), ("x-overflow", overflow.into())];
        client.call(1, with_dlq(name, "dead", limits), declare_ok(name, 0, 0));
        client.publish(1, "", name, "fits");
        client.expect(1, basic::Ack { delivery_tag: tag + 1, multiple: false });
        client.publish(1, "", name, "too much");
        let refused = basic::Nack { delivery_tag: tag + 2, multiple: false, requeue: false };
        client.expect(1, refused);
        tag += 2;
        match overflow {
            "reject-publish" => client.expect_empty(1, "dead"),
            _ => {
                let dead = client.fetch(1, "dead");
                assert_eq!((dead.text(), told(&dead)), ("too much", vec![death("maxlen", "d", "", 1)]));
            }
        }
        assert_eq!(client.fetch(1, name).text(), "fits");
    }
}

#[test]
fn deaths_are_counted_and_a_rejection_may_go_round() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, with_dlq("work", "wait", []), declare_ok("work", 0, 0));
    client.call(
        1,
        with_dlq("wait", "work", [("x-message-ttl", FieldValue::I32(1))]),
        declare_ok("wait", 0, 0),
    );
    client.call(1, consume("work", "c"), consume_ok("c"));
    client.publish(1, "", "work", "again and again");
    let first = client.delivery(1);
    client.send(1, nack(first.tag(), false));
    for count in 1..4 {
        let delivery = client.delivery(1);
        let expected = [death("expired", "wait", "", count), death("rejected", "work", "", count)];
        assert_eq!(told(&delivery), expected);
        assert_eq!(text(headers(&delivery), "x-first-death-queue"), "work");
        client.send(1, nack(delivery.tag(), false));
    }
}

#[test]
fn a_message_that_would_go_round_by_itself_is_dropped() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("witness"), declare_ok("witness", 0, 0));
    client.call(1, declare_exchange("dlx", "fanout"), exchange::DeclareOk);
    for name in ["a", "b"] {
        let declare = with_dlx(name, "dlx", [("x-message-ttl", FieldValue::I32(1))]);
        client.call(1, declare, declare_ok(name, 0, 0));
        client.call(1, bind(name, "dlx", ""), queue::BindOk);
    }
    client.call(1, bind("witness", "dlx", ""), queue::BindOk);
    client.publish(1, "", "a", "x");
    // From a to b, and from there no further: neither to b itself nor back to a.
    let first = fetch_soon(&mut client, "witness");
    assert_eq!(told(&first), [death("expired", "a", "", 1)]);
    let second = fetch_soon(&mut client, "witness");
    assert_eq!(told(&second), [death("expired", "b", "dlx", 1), death("expired", "a", "", 1)]);
    for name in ["witness", "a", "b"] {
        client.expect_empty(1, name);
    }
}

#[test]
fn a_chain_of_queues_may_be_long() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    const LENGTH: usize = 300;
    for at in 0..LENGTH {
        let (name, next) = (format!("q{at}"), format!("q{}", at + 1));
        let declare = with_dlq(&name, &next, [("x-max-length", FieldValue::I32(0))]);
        client.call(1, declare, declare_ok(&name, 0, 0));
    }
    let last = format!("q{LENGTH}");
    client.call(1, declare(&last), declare_ok(&last, 0, 0));
    client.publish(1, "", "q0", "x");
    let dead = client.fetch(1, &last);
    assert_eq!(told(&dead).len(), LENGTH);
    assert_eq!(text(headers(&dead), "x-first-death-queue"), "q0");
}

#[test]
fn without_the_exchange_or_a_queue_the_dead_are_gone() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, with_dlx("q", "nosuch", []), declare_ok("q", 0, 0));
    client.call(1, with_dlq("r", "nosuch", []), declare_ok("r", 0, 0));
    for name in ["q", "r"] {
        client.publish(1, "", name, "x");
        let fetched = client.fetch(1, name);
        client.send(1, reject(fetched.tag(), false));
        client.call(1, declare_passive(name), declare_ok(name, 0, 0));
    }
    // An internal exchange will do.
    let internal = exchange::Declare { internal: true, ..declare_exchange("nosuch", "fanout") };
    client.call(1, internal, exchange::DeclareOk);
    client.call(1, declare("dead"), declare_ok("dead", 0, 0));
    client.call(1, bind("dead", "nosuch", ""), queue::BindOk);
    client.publish(1, "", "q", "y");
    let fetched = client.fetch(1, "q");
    client.send(1, reject(fetched.tag(), false));
    assert_eq!(client.fetch(1, "dead").text(), "y");
}

#[test]
fn a_rejection_in_a_transaction_waits_for_the_commit() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.open_channel(2);
    client.call(1, declare("dead"), declare_ok("dead", 0, 0));
    client.call(1, with_dlq("q", "dead", []), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "x");
    client.call(2, tx::Select, tx::SelectOk);
    let fetched = client.fetch(2, "q");
    client.send(2, reject(fetched.tag(), false));
    client.sync(2);
    client.expect_empty(1, "dead");
    client.call(2, tx::Commit, tx::CommitOk);
    assert_eq!(client.fetch(1, "dead").text(), "x");
}

#[test]
fn what_came_back_too_often_is_dead() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("dead"), declare_ok("dead", 0, 0));
    client.call(1, with_dlq("q", "dead", [("x-delivery-limit", FieldValue::I32(1))]), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "x");
    let fetched = client.fetch(1, "q");
    client.send(1, reject(fetched.tag(), true));
    client.open_channel(2);
    assert!(client.fetch(2, "q").redelivered());
    // However it comes back.
    client.close_channel(2);
    let dead = client.fetch(1, "dead");
    assert_eq!(told(&dead), [death("delivery_limit", "q", "", 1)]);
    client.expect_empty(1, "q");
}

#[test]
fn with_a_delivery_limit_below_zero_nothing_comes_back_too_often() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("dead"), declare_ok("dead", 0, 0));
    client.call(1, with_dlq("q", "dead", [("x-delivery-limit", FieldValue::I32(-1))]), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "x");
    for _ in 0..30 {
        let fetched = client.fetch(1, "q");
        client.send(1, reject(fetched.tag(), true));
    }
    assert!(client.fetch(1, "q").redelivered());
    client.expect_empty(1, "dead");
}

#[test]
fn stored_dead_letters_survive_a_crash() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_durable("dead"), declare_ok("dead", 0, 0));
    client.call(1, durable(with_dlq("q", "dead", [])), declare_ok("q", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    for number in 0..50 {
        client.publish_persistent(1, "", "q", &number.to_string());
    }
    client.confirmed(1, 50);
    let mut last = 0;
    for _ in 0..50 {
        last = client.fetch(1, "q").tag();
    }
    client.send(1, nack_up_to(last, false));
    client.call(1, declare_passive("dead"), declare_ok("dead", 50, 0));
    // A round behind all of it.
    client.publish_persistent(1, "", "dead", "last");
    client.expect(1, basic::Ack { delivery_tag: 51, multiple: false });
    let copy = broker.crashed_copy();
    let mut client = copy.connect_with_channel();
    client.call(1, declare_passive("q"), declare_ok("q", 0, 0));
    for number in 0..50 {
        let dead = client.fetch(1, "dead");
        assert_eq!((dead.text(), told(&dead).len()), (&*number.to_string(), 1));
    }
    assert_eq!(client.fetch(1, "dead").text(), "last");
}

/// Bodies that are only on disk have to be read before they can be published again.
#[test]
fn messages_that_expired_while_the_broker_was_down_are_dead_when_it_is_back() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_durable("dead"), declare_ok("dead", 0, 0));
    client.call(1, durable(with_dlq("q", "dead", [])), declare_ok("q", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    let properties = BasicProperties { delivery_mode: Some(2), ..expiring("3000") };
    for number in 0..600 {
        client.send_content(1, publish("", "q"), &properties, number.to_string().as_bytes());
    }
    client.confirmed(1, 600);
    let broker = broker.restarted();
    let mut client = broker.connect_with_channel();
    for number in 0..600 {
        let dead = fetch_soon(&mut client, "dead");
        assert_eq!((dead.text(), told(&dead)), (&*number.to_string(), vec![death("expired", "q", "", 1)]));
    }
    client.call(1, declare_passive("q"), declare_ok("q", 0, 0));
}

#[test]
fn rejected_bodies_are_read_from_disk() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_durable("dead"), declare_ok("dead", 0, 0));
    client.call(1, durable(with_dlq("q", "dead", [])), declare_ok("q", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    client.publish_persistent(1, "", "q", "x");
    client.confirmed(1, 1);
    let broker = broker.restarted();
    let mut client = broker.connect_with_channel();
    let fetched = client.fetch(1, "q");
    client.send(1, reject(fetched.tag(), false));
    assert_eq!(fetch_soon(&mut client, "dead").text(), "x");
}

#[test]
fn blind_copies_count_where_a_message_dies_too_and_nobody_sees_them() {
    let keys = |keys: &[&str]| FieldValue::Array(keys.iter().copied().map(FieldValue::from).collect());
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let dlx = exchange::Declare { durable: true, ..declare_exchange("dlx", "direct") };
    client.call(1, dlx, exchange::DeclareOk);
    for (name, key) in [("own", "k"), ("cc", "c"), ("bcc", "b"), ("other", "new")] {
        client.call(1, declare_durable(name), declare_ok(name, 0, 0));
        client.call(1, bind(name, "dlx", key), queue::BindOk);
    }
    client.call(1, durable(with_dlx("q", "dlx", [])), declare_ok("q", 0, 0));
    let new_key = [("x-dead-letter-routing-key", FieldValue::from("new"))];
    client.call(1, durable(with_dlx("r", "dlx", new_key)), declare_ok("r", 0, 0));
    for name in ["q", "r"] {
        client.call(1, bind(name, "amq.direct", "k"), queue::BindOk);
    }
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    let properties = BasicProperties {
        headers: Some([("CC", keys(&["c"])), ("BCC", keys(&["b"]))].into()),
        ..persistent()
    };
    client.send_content(1, publish("amq.direct", "k"), &properties, b"x");
    client.confirmed(1, 1);
    // What was read from disk, and what is in memory.
    for broker in [&broker.crashed_copy(), &broker] {
        let mut client = broker.connect_with_channel();
        for name in ["q", "r"] {
            let fetched = client.fetch(1, name);
            assert_eq!(headers(&fetched).iter().map(|(name, _)| name).collect::<Vec<_>>(), ["CC"]);
            client.send(1, reject(fetched.tag(), false));
        }
        for name in ["own", "cc", "bcc"] {
            let letter = fetch_soon(&mut client, name);
            assert_eq!(headers(&letter).get("BCC"), None, "{name}");
            assert_eq!(deaths(&letter)[0].get("routing-keys"), Some(&keys(&["k", "c"])), "{name}");
            client.expect_empty(1, name);
        }
        let letter = fetch_soon(&mut client, "other");
        assert_eq!((headers(&letter).get("CC"), headers(&letter).get("BCC")), (None, None));
    }
}

/// A quorum queue of at most three messages that keeps its dead until others have them.
fn keeping(name: &str, exchange: &str) -> queue::Declare {
    let arguments = [
        ("x-queue-type", "quorum".into()),
        ("x-dead-letter-strategy", "at-least-once".into()),
        ("x-overflow", "reject-publish".into()),
        ("x-max-length", FieldValue::I32(3)),
    ];
    durable(with_dlx(name, exchange, arguments))
}

fn reject_one(client: &mut Client, queue: &str) {
    let fetched = client.fetch(1, queue);
    client.send(1, reject(fetched.tag(), false));
    client.sync(1);
}

#[test]
fn with_at_least_once_the_dead_stay_until_a_queue_takes_them() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, keeping("q", "dlx"), declare_ok("q", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    client.publish_persistent(1, "", "q", "stored");
    client.publish(1, "", "q", "in memory");
    client.confirmed(1, 2);
    reject_one(&mut client, "q");
    reject_one(&mut client, "q");
    // They are no messages that anybody gets, and yet the queue is full of them.
    client.expect_empty(1, "q");
    client.call(1, declare_passive("q"), declare_ok("q", 0, 0));
    client.publish_persistent(1, "", "q", "fits");
    client.expect(1, basic::Ack { delivery_tag: 3, multiple: false });
    client.publish(1, "", "q", "too much");
    client.expect(1, basic::Nack { delivery_tag: 4, multiple: false, requeue: false });
    client.call(1, purge("q"), queue::PurgeOk { message_count: 1 });
    client.open_channel(2);
    let delete_if_empty = queue::Delete { if_empty: true, ..delete("q") };
    client.refused(2, delete_if_empty, 406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty");
    client.call(1, declare_durable("dead"), declare_ok("dead", 0, 0));
    client.call(1, declare_exchange("dlx", "fanout"), exchange::DeclareOk);
    client.call(1, bind("dead", "dlx", ""), queue::BindOk);
    for text in ["stored", "in memory"] {
        let dead = fetch_soon(&mut client, "dead");
        assert_eq!((dead.text(), told(&dead)), (text, vec![death("rejected", "q", "", 1)]));
    }
    client.publish(1, "", "q", "fits again");
    client.expect(1, basic::Ack { delivery_tag: 5, multiple: false });
    client.expect_empty(1, "dead");
}

#[test]
fn with_at_least_once_each_queue_gets_the_dead_once_and_the_full_one_when_it_has_room() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_exchange("dlx", "fanout"), exchange::DeclareOk);
    let full = [("x-max-length", FieldValue::I32(1)), ("x-overflow", "reject-publish".into())];
    client.call(1, declare("roomy"), declare_ok("roomy", 0, 0));
    client.call(1, declare_with("full", full), declare_ok("full", 0, 0));
    for name in ["roomy", "full"] {
        client.call(1, bind(name, "dlx", ""), queue::BindOk);
    }
    client.call(1, keeping("q", "dlx"), declare_ok("q", 0, 0));
    client.publish(1, "", "full", "in the way");
    client.publish_persistent(1, "", "q", "x");
    reject_one(&mut client, "q");
    assert_eq!(client.fetch(1, "roomy").text(), "x");
    assert_eq!(client.fetch(1, "full").text(), "in the way");
    assert_eq!(fetch_soon(&mut client, "full").text(), "x");
    client.expect_empty(1, "roomy");
    // It has left its queue.
    let delete_if_empty = queue::Delete { if_empty: true, ..delete("q") };
    client.call(1, delete_if_empty, queue::DeleteOk { message_count: 0 });
}

#[test]
fn with_at_least_once_the_dead_are_dead_after_a_restart_too() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, keeping("q", "dlx"), declare_ok("q", 0, 0));
    client.call(1, confirm::Select::default(), confirm::SelectOk);
    client.publish_persistent(1, "", "q", "rejected");
    let properties = BasicProperties { delivery_mode: Some(2), ..expiring("1") };
    client.send_content(1, publish("", "q"), &properties, b"expired");
    client.confirmed(1, 2);
    reject_one(&mut client, "q");
    client.expect_empty(1, "q");
    let broker = broker.restarted();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_passive("q"), declare_ok("q", 0, 0));
    client.expect_empty(1, "q");
    client.call(1, declare("dead"), declare_ok("dead", 0, 0));
    client.call(1, declare_exchange("dlx", "fanout"), exchange::DeclareOk);
    client.call(1, bind("dead", "dlx", ""), queue::BindOk);
    let mut dead: Vec<_> = (0..2).map(|_| fetch_soon(&mut client, "dead")).collect();
    dead.sort_by_key(|dead| dead.text().to_owned());
    for (dead, reason) in dead.iter().zip(["expired", "rejected"]) {
        assert_eq!((dead.text(), told(dead)), (reason, vec![death(reason, "q", "", 1)]));
    }
    client.expect_empty(1, "dead");
}

#[test]
fn a_queue_that_drops_its_oldest_messages_keeps_no_dead() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let mut declare_q = keeping("q", "");
    declare_q.arguments.insert("x-overflow", "drop-head");
    declare_q.arguments.insert("x-dead-letter-routing-key", "nosuch");
    client.call(1, declare_q, declare_ok("q", 0, 0));
    client.publish_persistent(1, "", "q", "x");
    reject_one(&mut client, "q");
    let delete_if_empty = queue::Delete { if_empty: true, ..delete("q") };
    client.call(1, delete_if_empty, queue::DeleteOk { message_count: 0 });
}

#[test]
fn a_message_is_in_all_its_queues_before_what_dies_of_it_comes_to_one_of_them() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, with_dlq("short", "both", [("x-max-length", 1.into())]), declare_ok("short", 0, 0));
    client.call(1, with_dlq("brief", "both", [("x-message-ttl", 0.into())]), declare_ok("brief", 0, 0));
    client.call(1, declare("both"), declare_ok("both", 0, 0));
    for queue in ["short", "brief", "both"] {
        client.call(1, bind(queue, "amq.fanout", ""), queue::BindOk);
    }
    for body in ["one", "two"] {
        client.publish(1, "amq.fanout", "", body);
        client.sync(1);
    }
    let mut came = Vec::new();
    for _ in 0..5 {
        let content = fetch_soon(&mut client, "both");
        let is_dead = content.properties.headers.is_some();
        came.push((content.text().to_owned(), is_dead));
    }
    let (one, two) = (|is_dead| ("one".to_owned(), is_dead), |is_dead| ("two".to_owned(), is_dead));
    assert_eq!(came[..3], [one(false), one(true), two(false)]);
    came[3..].sort();
    assert_eq!(came[3..], [one(true), two(true)]);
}

/// Else the end of it would be taken for the message's properties: its publisher could be anybody.
#[test]
fn a_dead_letter_routing_key_is_no_longer_than_routing_keys_are() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("dead"), declare_ok("dead", 0, 0));
    let longest = "k".repeat(255);
    client.call(1, with_dlq("q", &longest, []), declare_ok("q", 0, 0));
    // The name of the queue, as a length of 260 comes to 4; then properties with the flag of user-id.
    let forged = format!("dead\0\x10\x07mallory{}", "x".repeat(246));
    assert_eq!(forged.len(), 260);
    let text =
        "PRECONDITION_FAILED - invalid arg 'x-dead-letter-routing-key' for queue 'p' in vhost '/': 260 bytes";
    client.refused(1, with_dlq("p", &forged, []), 406, text);
}
