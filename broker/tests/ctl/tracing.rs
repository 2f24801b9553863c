//! The firehose: copies of what goes in and out, as long as an operator wants them.

use broker::amqp::{BasicProperties, FieldTable, FieldValue, Method, basic, exchange, queue, tx};

use crate::harness::*;
use crate::process::Broker;

const TRACE: &str = "amq.rabbitmq.trace";

/// A queue for copies of everything in the vhost, `q` bound to `x` by `k`, and tracing on.
fn traced() -> (Broker, Client) {
    let broker = Broker::start();
    let mut client = broker.connect();
    client.call(1, declare("copies"), declare_ok("copies", 0, 0));
    client.call(1, bind("copies", TRACE, "#"), queue::BindOk);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, declare_exchange("x", "direct"), exchange::DeclareOk);
    client.call(1, bind("q", "x", "k"), queue::BindOk);
    client.publish(1, "x", "k", "too early");
    client.fetch(1, "q");
    broker.ok(&["trace_on"]);
    (broker, client)
}

/// The next copy: its routing key and its headers.
#[track_caller]
fn copy(client: &mut Client, body: &str) -> (String, FieldTable) {
    let copy = client.fetch(1, "copies");
    assert_eq!(copy.text(), body);
    let Method::BasicGetOk(get_ok) = copy.method else { panic!("{:?}", copy.method) };
    assert_eq!(&*get_ok.exchange, TRACE);
    (get_ok.routing_key.into(), copy.properties.headers.expect("headers"))
}

#[track_caller]
fn expect_copies<const N: usize>(client: &mut Client, expected: [(&str, &str); N]) {
    for (key, body) in expected {
        assert_eq!(copy(client, body).0, key);
    }
    client.expect_empty(1, "copies");
}

fn texts(texts: &[&str]) -> FieldValue {
    FieldValue::Array(texts.iter().copied().map(FieldValue::from).collect())
}

#[test]
fn what_is_published_and_fetched_is_copied_with_all_there_is_to_say() {
    let (broker, mut client) = traced();
    let properties =
        BasicProperties { content_type: Some("text/plain".into()), priority: Some(3), ..persistent() };
    client.send_content(1, publish("x", "k"), &properties, b"order");
    let connection = broker.rows(&["list_connections", "name"]).remove(0);
    let (key, mut headers) = copy(&mut client, "order");
    assert_eq!(key, "publish.x");
    let shown = FieldTable::from([
        ("content_type", FieldValue::from("text/plain")),
        ("delivery_mode", 2.into()),
        ("priority", 3.into()),
    ]);
    let mut expected: FieldTable = [
        ("exchange_name", FieldValue::from("x")),
        ("routing_keys", texts(&["k"])),
        ("properties", shown.into()),
        ("node", "warren".into()),
        ("vhost", "/".into()),
        ("connection", connection.into()),
        ("channel", 1.into()),
        ("user", "guest".into()),
        ("routed_queues", texts(&["q"])),
    ]
    .into();
    assert_eq!(headers, expected);
    let tag = client.fetch(1, "q").tag();
    (_, headers) = copy(&mut client, "order");
    expected.remove("routed_queues");
    expected.insert("redelivered", 0);
    assert_eq!(headers, expected);
    client.send(1, nack(tag, true));
    client.fetch(1, "q");
    let (key, headers) = copy(&mut client, "order");
    assert_eq!((&*key, headers.get("redelivered")), ("deliver.q", Some(&1.into())));
    client.expect_empty(1, "copies");
}

#[test]
fn deliveries_to_consumers_of_others_are_copied_under_their_own_connection() {
    let (broker, mut client) = traced();
    let mut consumer = broker.connect();
    consumer.open_channel(9);
    consumer.call(9, consume_no_ack("q", "c"), consume_ok("c"));
    client.publish(1, "x", "k", "order");
    consumer.expect_deliveries(9, ["order"]);
    assert_eq!(copy(&mut client, "order").0, "publish.x");
    let (key, headers) = copy(&mut client, "order");
    assert_eq!((&*key, headers.get("channel")), ("deliver.q", Some(&9.into())));
    let connections = broker.rows(&["list_connections", "name"]);
    assert_eq!(headers.get("connection"), Some(&FieldValue::from(&*connections[1])));
    // Queues that come later are no exception, nor is what waits until there is a consumer.
    client.call(1, declare("late"), declare_ok("late", 0, 0));
    client.publish(1, "", "late", "waits");
    client.sync(1);
    consumer.call(9, consume("late", "d"), consume_ok("d"));
    consumer.expect_deliveries(9, ["waits"]);
    consumer.call(9, basic::Recover { requeue: false }, basic::RecoverOk);
    consumer.expect_deliveries(9, ["waits"]);
    let expected = [("publish.", "waits"), ("deliver.late", "waits"), ("deliver.late", "waits")];
    expect_copies(&mut client, expected);
}

#[test]
fn copies_are_not_copied_and_other_vhosts_are_left_alone() {
    let (broker, mut client) = traced();
    broker.ok(&["add_vhost", "/shop"]);
    broker.ok(&["-p", "/shop", "set_permissions", "guest", ".*", ".*", ".*"]);
    assert_eq!(broker.rows(&["list_vhosts", "name", "tracing"]), ["/\ttrue", "/shop\tfalse"]);
    let mut elsewhere = broker.connect_as(&Login { vhost: "/shop", ..Login::default() });
    elsewhere.call(1, declare("copies"), declare_ok("copies", 0, 0));
    elsewhere.call(1, bind("copies", TRACE, "#"), queue::BindOk);
    elsewhere.publish(1, "", "copies", "order");
    assert_eq!(elsewhere.fetch(1, "copies").text(), "order");
    elsewhere.expect_empty(1, "copies");

    client.publish(1, "x", "k", "order");
    client.publish(1, "", "copies", "not a copy");
    expect_copies_after_what_is_none(&mut client);
    let error = broker.refused(&["-p", "/elsewhere", "trace_on"]);
    assert!(error.contains("there is no vhost '/elsewhere'"), "{error}");
    broker.ok(&["trace_off"]);
    client.publish(1, "x", "k", "later");
    client.fetch(1, "q");
    client.expect_empty(1, "copies");
}

/// A message that came to the queue of copies by its name is traced as any other.
#[track_caller]
fn expect_copies_after_what_is_none(client: &mut Client) {
    assert_eq!(copy(client, "order").0, "publish.x");
    assert_eq!(copy(client, "not a copy").0, "publish.");
    assert_eq!(client.fetch(1, "copies").text(), "not a copy");
    expect_copies(client, [("deliver.copies", "not a copy")]);
}

#[test]
fn what_a_transaction_publishes_is_copied_at_once_and_what_is_refused_never() {
    let (_broker, mut client) = traced();
    client.open_channel(2);
    client.call(2, tx::Select, tx::SelectOk);
    client.publish(2, "x", "k", "taken back");
    client.call(2, tx::Rollback, tx::RollbackOk);
    expect_copies(&mut client, [("publish.x", "taken back")]);
    client.publish(2, "x", "k", "committed");
    client.call(2, tx::Commit, tx::CommitOk);
    expect_copies(&mut client, [("publish.x", "committed")]);
    client.publish(2, "nowhere", "k", "refused");
    client.expect_channel_error(2, 404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'");
    client.publish(1, "x", "other", "unroutable");
    expect_copies(&mut client, [("publish.x", "unroutable")]);
}

#[test]
fn copies_of_copies_by_way_of_dead_letters_come_to_an_end() {
    let (_broker, mut client) = traced();
    let limits = [("x-max-length", 0.into()), ("x-dead-letter-exchange", "amq.fanout".into())];
    client.call(1, declare_with("small", limits), declare_ok("small", 0, 0));
    client.call(1, bind("small", TRACE, "deliver.#"), queue::BindOk);
    client.call(1, declare("dead"), declare_ok("dead", 0, 0));
    client.call(1, bind("dead", "amq.fanout", ""), queue::BindOk);
    client.open_channel(2);
    client.call(2, consume_no_ack("dead", "d"), consume_ok("d"));
    client.publish(1, "x", "k", "order");
    client.fetch(1, "q");
    client.expect_deliveries(2, ["order"]);
    client.sync(1);
    client.expect_silence(2);
}
