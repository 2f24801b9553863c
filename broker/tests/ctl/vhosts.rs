//! Vhosts come and go while the broker runs.

use crate::harness::*;
use crate::process::Broker;

fn in_shop() -> Login<'static> {
    Login { vhost: "/shop", ..Login::default() }
}

#[test]
fn a_vhost_is_added_and_survives_a_crash() {
    let mut broker = Broker::start();
    broker.ok(&["add_vhost", "/shop"]);
    broker.ok(&["add_vhost", "/shop"]);
    assert!(broker.refused(&["add_vhost", ""]).contains("a vhost name has 1 to 255 bytes"));
    broker.ok(&["-p", "/shop", "set_permissions", "guest", ".*", ".*", ".*"]);
    broker.connect_as(&in_shop()).call(1, declare_durable("orders"), declare_ok("orders", 0, 0));
    broker.kill9_and_start_again();
    assert_eq!(broker.rows(&["list_vhosts"]), ["/", "/shop"]);
    assert_eq!(broker.rows(&["list_queues", "-p", "/shop", "name", "vhost"]), ["orders\t/shop"]);
    assert!(broker.rows(&["list_queues"]).is_empty(), "of the default vhost");
}

#[test]
fn a_deleted_vhost_takes_everything_along() {
    let mut broker = Broker::start();
    broker.ok(&["add_vhost", "/shop"]);
    broker.ok(&["-p", "/shop", "set_permissions", "guest", ".*", ".*", ".*"]);
    let mut client = broker.connect_as(&in_shop());
    client.call(1, declare_durable("orders"), declare_ok("orders", 0, 0));
    client.publish_persistent(1, "", "orders", "lost with it");
    client.sync(1);
    let mut elsewhere = broker.connect();
    std::thread::scope(|scope| {
        scope.spawn(|| broker.ok(&["delete_vhost", "/shop"]));
        client.expect_connection_error(320, "CONNECTION_FORCED - vhost '/shop' is deleted");
    });
    elsewhere.sync(1);
    assert_eq!(broker.rows(&["list_vhosts"]), ["/"]);
    assert_eq!(broker.rows(&["list_user_permissions", "guest", "vhost"]), ["/"]);
    assert!(broker.refused(&["delete_vhost", "/shop"]).contains("there is no vhost '/shop'"));
    broker.refuses(&in_shop(), 530, "NOT_ALLOWED - vhost /shop not found");
    // A new one of that name has nothing of it, now or after a crash.
    broker.ok(&["add_vhost", "/shop"]);
    for _ in 0..2 {
        assert!(broker.rows(&["-p", "/shop", "list_queues"]).is_empty());
        assert!(broker.rows(&["-p", "/shop", "list_permissions"]).is_empty());
        broker.kill9_and_start_again();
    }
}
