//! Limits of vhosts and users, and routing keys that users may use.

use broker::amqp::{channel, exchange, queue};

use crate::harness::*;
use crate::process::Broker;

fn alice() -> Login<'static> {
    Login { user: "alice", password: "secret", ..Login::default() }
}

fn with_alice() -> Broker {
    let broker = Broker::start();
    broker.ok(&["add_user", "alice", "secret"]);
    broker.ok(&["set_permissions", "alice", ".*", ".*", ".*"]);
    broker
}

#[test]
fn a_vhost_has_so_many_connections_and_queues_and_no_more() {
    let mut broker = Broker::start();
    broker.ok(&["set_vhost_limits", r#"{"max-connections": 1, "max-queues": 1}"#]);
    broker.kill9_and_start_again();
    assert_eq!(broker.rows(&["list_vhost_limits"]), ["/\t{\"max-connections\":1,\"max-queues\":1}"]);
    let mut client = broker.connect();
    let refused =
        "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (1) is reached";
    broker.refuses(&Login::default(), 530, refused);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let full = "PRECONDITION_FAILED - cannot declare queue 'r': queue limit in vhost '/' (1) is reached";
    client.refused(1, declare("r"), 406, full);
    client.call(1, delete("q"), queue::DeleteOk { message_count: 0 });
    client.call(1, declare("r"), declare_ok("r", 0, 0));
    client.close();
    // Who was refused holds no place, and who has left none any more.
    eventually("the place is free", || broker.rows(&["list_vhosts", "connections"]) == ["0"]);
    let mut client = broker.connect();
    broker.ok(&["clear_vhost_limits"]);
    assert!(broker.rows(&["list_vhost_limits", "--global"]).is_empty());
    broker.connect();
    client.call(1, declare("s"), declare_ok("s", 0, 0));

    let error = broker.refused(&["set_vhost_limits", r#"{"max-channels": 1}"#]);
    assert!(
        error.contains("there is no limit 'max-channels'; there are max-connections and max-queues"),
        "{error}"
    );
}

#[test]
fn a_user_has_so_many_connections_and_channels_and_no_more() {
    let mut broker = with_alice();
    broker.ok(&["set_user_limits", "alice", r#"{"max-connections": 2}"#]);
    broker.ok(&["set_user_limits", "alice", r#"{"max-channels": 3}"#]);
    broker.kill9_and_start_again();
    let limits = "alice\t{\"max-channels\":3,\"max-connections\":2}";
    assert_eq!(broker.rows(&["list_user_limits"]), [limits]);
    let mut one = broker.connect_as(&alice());
    let mut two = broker.connect_as(&alice());
    let refused = "NOT_ALLOWED - connection refused for user 'alice': user connection limit (2) is reached";
    broker.refuses(&alice(), 530, refused);
    one.open_channel(2);
    // A channel that was closed for an error counts no more.
    one.send(2, declare_passive("none"));
    one.expect_channel_error(2, 404, "NOT_FOUND");
    two.open_channel(2);
    let full = "NOT_ALLOWED - number of channels opened for user 'alice' has reached the maximum allowed user limit \
                of (3)";
    two.send(3, channel::Open);
    two.expect_connection_error(530, full);
    eventually("its channels are gone", || broker.rows(&["list_users", "user", "channels"])[0] == "alice\t1");
    broker.connect();

    broker.ok(&["clear_user_limits", "alice", "max-connections"]);
    assert_eq!(broker.rows(&["list_user_limits", "--user", "alice"]), ["alice\t{\"max-channels\":3}"]);
    broker.ok(&["clear_user_limits", "alice", "all"]);
    assert!(broker.rows(&["list_user_limits"]).is_empty());
    assert!(broker.refused(&["clear_user_limits", "alice", "max-queues"]).contains("no limit 'max-queues'"));
    assert!(broker.refused(&["list_user_limits", "--user", "bob"]).contains("no user 'bob'"));
}

#[test]
fn routing_keys_on_a_topic_exchange_are_restricted() {
    let mut broker = with_alice();
    broker.ok(&["set_topic_permissions", "alice", "amq.topic", r"^{username}\.", "^news$"]);
    broker.kill9_and_start_again();
    assert_eq!(broker.rows(&["list_topic_permissions"]), ["alice\tamq.topic\t^{username}\\.\t^news$"]);
    let mut client = broker.connect_as(&alice());
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, declare_exchange("x", "topic"), exchange::DeclareOk);
    client.publish(1, "amq.topic", "alice.a", "allowed");
    client.publish(1, "amq.fanout", "bob.a", "not a topic exchange");
    client.call(1, bind("q", "x", "anything"), queue::BindOk);
    client.call(1, bind("q", "amq.topic", "news"), queue::BindOk);
    client.publish(1, "amq.topic", "bob.a", "refused");
    let text = "ACCESS_REFUSED - write access to topic 'bob.a' in exchange 'amq.topic' in vhost '/' refused for \
                user 'alice'";
    client.expect_channel_error(1, 403, text);
    client.open_channel(1);
    let text = "ACCESS_REFUSED - read access to topic '#' in exchange 'amq.topic'";
    client.refused(1, bind("q", "amq.topic", "#"), 403, text);
    client.refused(1, bind_exchange("x", "amq.topic", "#"), 403, text);
    // At once, also where the way of a message is remembered.
    client.publish(1, "amq.topic", "alice.a", "remembered");
    client.sync(1);
    broker.ok(&["set_topic_permissions", "alice", "amq.topic", "^$", ".*"]);
    client.publish(1, "amq.topic", "alice.a", "refused");
    client.expect_channel_error(1, 403, "ACCESS_REFUSED - write access to topic 'alice.a'");
    client.open_channel(1);
    broker.ok(&["clear_topic_permissions", "alice"]);
    assert!(broker.rows(&["list_user_topic_permissions", "alice"]).is_empty());
    client.publish(1, "amq.topic", "bob.a", "allowed");
    client.call(1, bind("q", "amq.topic", "#"), queue::BindOk);
}
