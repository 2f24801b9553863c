//! Vhosts come and go while the broker runs.

use broker::amqp::queue;

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

fn declare_typed(name: &str, kind: &str) -> queue::Declare {
    queue::Declare { durable: true, ..declare_with(name, [("x-queue-type", kind.into())]) }
}

#[test]
fn a_vhost_has_a_description_tags_and_a_queue_type_for_those_who_do_not_say() {
    let mut broker = Broker::start();
    let listing = ["list_vhosts", "name", "description", "tags", "default_queue_type"];
    broker.ok(&[
        "add_vhost",
        "/shop",
        "--description",
        "the shop",
        "--tags",
        "blue,green",
        "--default-queue-type",
        "quorum",
    ]);
    let ran = broker.ctl(&["add_vhost", "/shop", "--description", "another"]);
    assert!(
        ran.code == 0 && ran.err.contains("vhost '/shop' is there already and stays as it is"),
        "{ran:?}"
    );
    broker.ok(&["-p", "/shop", "set_permissions", "guest", ".*", ".*", ".*"]);
    broker.kill9_and_start_again();
    let shop = "/shop\tthe shop\t[blue, green]\tquorum";
    assert_eq!(broker.rows(&listing), ["/\tDefault virtual host\t[]\t", shop]);

    let mut client = broker.connect_as(&in_shop());
    client.call(1, declare_durable("plain"), declare_ok("plain", 0, 0));
    client.call(1, declare_durable("plain"), declare_ok("plain", 0, 0));
    client.call(1, declare_typed("same", "quorum"), declare_ok("same", 0, 0));
    client.call(1, declare_durable("same"), declare_ok("same", 0, 0));
    client.call(1, declare_typed("own", "classic"), declare_ok("own", 0, 0));
    client.call(1, declare("transient"), declare_ok("transient", 0, 0));
    let types = ["-p", "/shop", "list_queues", "name", "type"];
    assert_eq!(broker.rows(&types), ["own\tclassic", "plain\tquorum", "same\tquorum", "transient\tclassic"]);
    client.send(1, declare_durable("own"));
    client.expect_channel_error(
        1,
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'own' in vhost '/shop': \
         received 'quorum' but current is 'classic'",
    );

    broker.ok(&["update_vhost_metadata", "/shop", "--default-queue-type", "undefined"]);
    broker.ok(&["set_vhost_tags", "/shop", "red"]);
    assert_eq!(broker.rows(&listing)[1], "/shop\tthe shop\t[red]\t");
    client.open_channel(2);
    client.call(2, declare_durable("later"), declare_ok("later", 0, 0));
    assert_eq!(broker.rows(&types)[0], "later\tclassic");
    for refused in [
        &["add_vhost", "/x", "--default-queue-type", "stream"][..],
        &["update_vhost_metadata", "/shop", "--default-queue-type", "stream"],
    ] {
        assert!(broker.refused(refused).contains("no queue type 'stream'; there are classic and quorum"));
    }
    assert!(broker.refused(&["set_vhost_tags", "/x", "a"]).contains("there is no vhost '/x'"));
    assert_eq!(broker.rows(&listing)[1], "/shop\tthe shop\t[red]\t");
}
