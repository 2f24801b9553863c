//! Direct reply-to, and messages that go to several addresses.

use broker::amqp::{BasicProperties, FieldTable, FieldValue, Method, basic, confirm, exchange, queue, tx};
use broker::auth::Permission;

use crate::harness::*;

const PSEUDO: &str = "amq.rabbitmq.reply-to";

fn asking() -> BasicProperties {
    BasicProperties { reply_to: Some(PSEUDO.into()), correlation_id: Some("7".into()), ..Default::default() }
}

#[test]
fn a_question_and_its_answer() {
    let broker = TestBroker::start();
    let mut server = broker.connect_with_channel();
    server.call(1, declare("rpc"), declare_ok("rpc", 0, 0));
    server.call(1, consume_no_ack("rpc", "s"), consume_ok("s"));
    let mut client = broker.connect_with_channel();
    client.call(1, declare_passive(PSEUDO), declare_ok(PSEUDO, 0, 1));
    client.call(1, consume_no_ack(PSEUDO, "c"), consume_ok("c"));
    client.send_content(1, publish("", "rpc"), &asking(), b"question");
    let question = server.delivery(1);
    let address = question.properties.reply_to.clone().unwrap();
    let words = address.strip_prefix("amq.rabbitmq.reply-to.").and_then(|words| words.split_once('.'));
    assert!(words.is_some_and(|(one, other)| one.len() == 22 && other.len() == 24), "{address}");
    assert!(address.ends_with("=="), "{address}");
    assert_eq!(question.properties.correlation_id.as_deref(), Some("7"));
    server.call(1, declare_passive(&address), declare_ok(&address, 0, 1));
    server.call(1, confirm::Select::default(), confirm::SelectOk);
    server.send_content(1, publish_mandatory("", &address), &BasicProperties::default(), b"answer");
    server.expect(1, basic::Ack { delivery_tag: 1, multiple: false });
    let answer = client.delivery(1);
    assert_eq!((answer.text(), answer.consumer_tag(), answer.redelivered()), ("answer", "c", false));
    let Method::BasicDeliver(deliver) = &answer.method else { panic!("{answer:?}") };
    assert_eq!((&*deliver.exchange, &*deliver.routing_key), ("", &*address));
    // Nobody waits any more: mandatory comes back, anything else is gone.
    client.call(1, cancel("c"), cancel_ok("c"));
    server.open_channel(2);
    server.refused(
        2,
        declare_passive(&address),
        404,
        &format!("NOT_FOUND - no queue '{address}' in vhost '/'"),
    );
    server.send_content(1, publish_mandatory("", &address), &BasicProperties::default(), b"late");
    server.expect_returned(1, 312, "late");
    server.expect(1, basic::Ack { delivery_tag: 2, multiple: false });
    server.publish(1, "", &address, "later");
    server.expect(1, basic::Ack { delivery_tag: 3, multiple: false });
    // The same channel may ask again, under another address; the end of the channel ends it.
    client.call(1, consume_no_ack(PSEUDO, "c"), consume_ok("c"));
    client.send_content(1, publish("", "rpc"), &asking(), b"again");
    let again = server.delivery(1);
    assert_eq!(again.text(), "again");
    assert_ne!(again.properties.reply_to.as_deref(), Some(&*address));
    let address = again.properties.reply_to.clone().unwrap();
    client.close();
    server.send_content(1, publish_mandatory("", &address), &BasicProperties::default(), b"x");
    server.expect_returned(1, 312, "x");
}

#[test]
fn mistakes_with_direct_replies() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.send_content(1, publish("", "x"), &asking(), b"");
    client.expect_channel_error(1, 406, "PRECONDITION_FAILED - fast reply consumer does not exist");
    client.open_channel(1);
    let cannot = "PRECONDITION_FAILED - reply consumer cannot acknowledge";
    client.refused(1, consume(PSEUDO, "c"), 406, cannot);
    client.call(1, consume_no_ack(PSEUDO, "c"), consume_ok("c"));
    let twice = "PRECONDITION_FAILED - reply consumer already set";
    client.refused(1, consume_no_ack(PSEUDO, "d"), 406, twice);
    for method in [Method::from(get(PSEUDO)), purge(PSEUDO).into(), bind(PSEUDO, "amq.direct", "").into()] {
        client.refused(1, method, 404, &format!("NOT_FOUND - no queue '{PSEUDO}' in vhost '/'"));
    }
    client.call(1, delete(PSEUDO), queue::DeleteOk { message_count: 0 });
    client.refused(1, declare("amq.rabbitmq.reply-to.guess"), 404, "NOT_FOUND - no queue");
    client.call(1, consume_no_ack(PSEUDO, "c"), consume_ok("c"));
    client.send(1, consume_no_ack(PSEUDO, "c"));
    client.expect_connection_error(530, "NOT_ALLOWED - attempt to reuse consumer tag 'c'");
}

#[test]
fn replies_are_published_when_the_transaction_is_committed() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("rpc"), declare_ok("rpc", 0, 0));
    client.call(1, consume_no_ack(PSEUDO, "c"), consume_ok("c"));
    client.call(1, tx::Select, tx::SelectOk);
    client.send_content(1, publish("", "rpc"), &asking(), b"question");
    client.call(1, tx::Commit, tx::CommitOk);
    let question = client.fetch(1, "rpc");
    let address = question.properties.reply_to.clone().unwrap();
    client.publish(1, "", &address, "answer");
    client.send(1, tx::Commit);
    client.expect_deliveries(1, ["answer"]);
    client.expect(1, tx::CommitOk);
}

fn keys(keys: &[&str]) -> FieldValue {
    FieldValue::Array(keys.iter().copied().map(FieldValue::from).collect())
}

#[test]
fn copies_go_to_each_queue_once() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    for name in ["to", "cc", "bcc", "other"] {
        client.call(1, declare(name), declare_ok(name, 0, 0));
    }
    let properties = BasicProperties {
        headers: Some([("CC", keys(&["cc", "to", "nosuch"])), ("BCC", keys(&["bcc", "cc"]))].into()),
        ..Default::default()
    };
    client.send_content(1, publish("", "to"), &properties, b"x");
    for name in ["to", "cc", "bcc"] {
        let fetched = client.fetch(1, name);
        let headers = fetched.properties.headers.clone().unwrap();
        assert_eq!(headers.get("CC"), Some(&keys(&["cc", "to", "nosuch"])));
        assert_eq!(headers.get("BCC"), None);
        let Method::BasicGetOk(get_ok) = &fetched.method else { panic!("{fetched:?}") };
        assert_eq!(&*get_ok.routing_key, "to");
        client.expect_empty(1, name);
    }
    client.expect_empty(1, "other");
    // In a transaction too, and through other exchanges.
    client.call(1, bind("other", "amq.direct", "o"), queue::BindOk);
    client.call(1, tx::Select, tx::SelectOk);
    let properties = BasicProperties { headers: Some([("BCC", keys(&["o"]))].into()), ..Default::default() };
    client.send_content(1, publish_mandatory("amq.direct", "nowhere"), &properties, b"y");
    client.call(1, tx::Commit, tx::CommitOk);
    let fetched = client.fetch(1, "other");
    assert_eq!((fetched.text(), &fetched.properties.headers), ("y", &Some(FieldTable::default())));
}

#[test]
fn every_exchange_on_the_way_sees_all_keys() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    for (name, kind) in
        [("outer", "fanout"), ("inner", "direct"), ("rest", "fanout"), ("hash", "x-consistent-hash")]
    {
        client.call(1, declare_exchange(name, kind), exchange::DeclareOk);
    }
    let with_alternate = exchange::Declare {
        arguments: [("alternate-exchange", "rest")].into(),
        ..declare_exchange("with alternate", "topic")
    };
    client.call(1, with_alternate, exchange::DeclareOk);
    client.call(1, bind_exchange("inner", "outer", ""), exchange::BindOk);
    for (queue, exchange, key) in [
        ("own", "inner", "own"),
        ("cc", "inner", "cc"),
        ("bcc", "inner", "bcc"),
        ("matched", "with alternate", "cc"),
        ("rest", "rest", ""),
        ("hash 1", "hash", "1"),
        ("hash 2", "hash", "1"),
    ] {
        client.call(1, declare(queue), declare_ok(queue, 0, 0));
        client.call(1, bind(queue, exchange, key), queue::BindOk);
    }
    let copies = || BasicProperties {
        headers: Some([("CC", keys(&["cc", "x", "y", "z"])), ("BCC", keys(&["bcc"]))].into()),
        ..Default::default()
    };
    client.send_content(1, publish("outer", "own"), &copies(), b"x");
    for queue in ["own", "cc", "bcc"] {
        assert_eq!(client.fetch(1, queue).text(), "x", "{queue}");
        client.expect_empty(1, queue);
    }
    // An alternate exchange is for messages that no key leads anywhere.
    client.send_content(1, publish("with alternate", "nowhere"), &copies(), b"x");
    assert_eq!(client.fetch(1, "matched").text(), "x");
    client.expect_empty(1, "rest");
    client.send_content(1, publish("hash", "own"), &copies(), b"x");
    client.sync(1);
    let vhost = broker.broker().vhost("/").unwrap();
    let hashed = ["hash 1", "hash 2"].map(|name| vhost.queue(name).unwrap().counts().ready);
    assert_eq!(hashed.iter().sum::<usize>(), 1, "one message, one place: {hashed:?}");
}

#[test]
fn copies_need_the_same_rights_and_an_array() {
    let broker = TestBroker::start();
    let permission = Permission::new(".*", ".*", ".*", Some(r"^friend\.")).unwrap();
    broker.add_user_with("bob", permission);
    let mut bob = broker.connect_as("bob");
    for name in ["CC", "BCC"] {
        let properties =
            BasicProperties { headers: Some([(name, keys(&["victim"]))].into()), ..Default::default() };
        bob.send_content(1, publish("", "friend.a"), &properties, b"x");
        let refused = "ACCESS_REFUSED - write access to exchange 'amq.default' with routing key 'victim'";
        bob.expect_channel_error(1, 403, refused);
        bob.open_channel(1);
        let properties = BasicProperties { headers: Some([(name, "text")].into()), ..Default::default() };
        bob.send_content(1, publish("", "friend.a"), &properties, b"x");
        let text = format!(
            "PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,\"{name}\",longstr}}"
        );
        bob.expect_channel_error(1, 406, &text);
        bob.open_channel(1);
    }
}

#[test]
fn impersonators_write_in_any_name() {
    let broker = TestBroker::start();
    let authority = &broker.broker().authority;
    broker.runtime().block_on(authority.add_user("postman", "postman", vec!["impersonator".into()])).unwrap();
    let full = Permission::new(".*", ".*", ".*", None).unwrap();
    authority.set_permissions("postman", "/", full).unwrap();
    let mut client = broker.connect_as("postman");
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let properties = BasicProperties { user_id: Some("mallory".into()), ..Default::default() };
    client.send_content(1, publish("", "q"), &properties, b"x");
    assert_eq!(client.fetch(1, "q").properties.user_id.as_deref(), Some("mallory"));
}
