//! What each method asks for, and whom it is refused to.

use broker::amqp::{FieldValue, exchange};
use broker::auth::Permission;

use crate::harness::*;

#[test]
fn permissions_are_asked_for_by_each_method() {
    let broker = TestBroker::start();
    let mut admin = broker.connect_with_channel();
    admin.call(1, declare("q"), declare_ok("q", 0, 0));
    admin.call(1, declare_exchange("x", "fanout"), exchange::DeclareOk);
    admin.call(1, declare_exchange("y", "fanout"), exchange::DeclareOk);
    let none = ["^$", "^$", "^$"];
    // The permission that a method asks for, and the name it asks it for.
    type Case = (fn(&mut Client), &'static str, &'static str, &'static str);
    let cases: &[Case] = &[
        (|c| c.send(1, declare("q")), "configure", "queue", "q"),
        (|c| c.send(1, delete("q")), "configure", "queue", "q"),
        (|c| c.send(1, declare_passive("q")), "configure", "queue", "q"),
        (|c| c.send(1, bind("q", "x", "")), "write", "queue", "q"),
        (|c| c.send(1, unbind("q", "x", "")), "write", "queue", "q"),
        (|c| c.send(1, consume("q", "")), "read", "queue", "q"),
        (|c| c.send(1, get("q")), "read", "queue", "q"),
        (|c| c.send(1, purge("q")), "read", "queue", "q"),
        (|c| c.send(1, declare_exchange("x", "fanout")), "configure", "exchange", "x"),
        (|c| c.send(1, delete_exchange("x")), "configure", "exchange", "x"),
        (|c| c.send(1, bind_exchange("y", "x", "")), "write", "exchange", "y"),
        (|c| c.send(1, unbind_exchange("y", "x", "")), "write", "exchange", "y"),
        (|c| c.publish(1, "x", "", ""), "write", "exchange", "x"),
        (|c| c.publish(1, "", "q", ""), "write", "exchange", "amq.default"),
    ];
    broker.add_user("bob", none);
    let mut bob = broker.connect_as("bob");
    for (send, access, kind, name) in cases {
        send(&mut bob);
        let text = format!(
            "ACCESS_REFUSED - {access} access to {kind} '{name}' in vhost '/' refused for user 'bob'"
        );
        bob.expect_channel_error(1, 403, &text);
        bob.open_channel(1);
    }
    // The second of two.
    let allow = |configure: &str, write: &str, read: &str| {
        let permission = Permission::new(configure, write, read, None).unwrap();
        broker.broker().authority.set_permissions("bob", "/", permission).unwrap();
    };
    allow("^$", "^(q|y)$", "^$");
    bob.refused(1, bind("q", "x", ""), 403, "ACCESS_REFUSED - read access to exchange 'x'");
    bob.refused(1, unbind("q", "x", ""), 403, "ACCESS_REFUSED - read access to exchange 'x'");
    bob.refused(1, bind_exchange("y", "x", ""), 403, "ACCESS_REFUSED - read access to exchange 'x'");
    bob.refused(1, unbind_exchange("y", "x", ""), 403, "ACCESS_REFUSED - read access to exchange 'x'");
    // One of the three will do to look.
    bob.call(1, declare_passive("q"), declare_ok("q", 0, 0));
    let with_alternate = exchange::Declare {
        arguments: [("alternate-exchange", "y")].into(),
        ..declare_exchange("new", "fanout")
    };
    allow("^new$", "^y$", "^$");
    bob.refused(1, with_alternate.clone(), 403, "ACCESS_REFUSED - read access to exchange 'new'");
    allow("^new$", "^$", "^new$");
    bob.refused(1, with_alternate.clone(), 403, "ACCESS_REFUSED - write access to exchange 'y'");
    allow("^new$", "^y$", "^new$");
    bob.call(1, with_alternate, exchange::DeclareOk);
    let with_dead_letters = declare_with("new", [("x-dead-letter-exchange", FieldValue::from("y"))]);
    allow("^new$", "^y$", "^$");
    bob.refused(1, with_dead_letters.clone(), 403, "ACCESS_REFUSED - read access to queue 'new'");
    allow("^new$", "^$", "^new$");
    bob.refused(1, with_dead_letters.clone(), 403, "ACCESS_REFUSED - write access to exchange 'y'");
    allow("^new$", "^y$", "^new$");
    bob.call(1, with_dead_letters, declare_ok("new", 0, 0));
}

#[test]
fn a_user_may_be_restricted_to_some_queues_on_the_default_exchange() {
    let broker = TestBroker::start();
    let permission = Permission::new(".*", ".*", ".*", Some(r"^friend\.")).unwrap();
    broker.add_user_with("bob", permission);
    let mut bob = broker.connect_as("bob");
    bob.call(1, declare("friend.a"), declare_ok("friend.a", 0, 0));
    bob.call(1, declare("victim"), declare_ok("victim", 0, 0));
    bob.publish(1, "", "friend.a", "allowed");
    assert_eq!(bob.fetch(1, "friend.a").text(), "allowed");
    let refused = "ACCESS_REFUSED - write access to exchange 'amq.default' with routing key 'victim'";
    bob.publish(1, "", "victim", "refused");
    bob.expect_channel_error(1, 403, refused);
    bob.open_channel(1);
    // Nor by way of another exchange, or by letting messages die.
    let around = exchange::Declare {
        arguments: [("alternate-exchange", "")].into(),
        ..declare_exchange("x", "fanout")
    };
    bob.refused(1, around, 403, "ACCESS_REFUSED - alternate exchange 'amq.default' of exchange 'x'");
    bob.refused(1, bind_exchange("", "amq.direct", "victim"), 403, "ACCESS_REFUSED");
    let dead_letters = |key: Option<&str>| {
        let mut declare = declare_with("d", [("x-dead-letter-exchange", FieldValue::from(""))]);
        if let Some(key) = key {
            declare.arguments.insert("x-dead-letter-routing-key", key);
        }
        declare
    };
    bob.refused(1, dead_letters(Some("victim")), 403, "ACCESS_REFUSED - dead-lettering from queue 'd'");
    bob.refused(1, dead_letters(None), 403, "ACCESS_REFUSED - dead-lettering from queue 'd'");
    bob.call(1, dead_letters(Some("friend.a")), declare_ok("d", 0, 0));
}

#[test]
fn permissions_change_under_an_open_connection() {
    let broker = TestBroker::start();
    broker.add_user("bob", FULL);
    let mut bob = broker.connect_as("bob");
    bob.call(1, declare("q"), declare_ok("q", 0, 0));
    bob.publish(1, "", "q", "before");
    bob.sync(1);
    let allow = |[configure, write, read]: [&str; 3]| {
        let permission = Permission::new(configure, write, read, None).unwrap();
        broker.broker().authority.set_permissions("bob", "/", permission).unwrap();
    };
    // Also where the way of a message is remembered.
    allow([".*", "^$", ".*"]);
    bob.publish(1, "", "q", "refused");
    bob.expect_channel_error(1, 403, "ACCESS_REFUSED - write access to exchange 'amq.default'");
    bob.open_channel(1);
    allow(FULL);
    bob.publish(1, "", "q", "after");
    assert_eq!(bob.fetch(1, "q").text(), "before");
    assert_eq!(bob.fetch(1, "q").text(), "after");
}
