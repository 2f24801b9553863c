//! Users and permissions: at once, and for good.

use crate::harness::*;
use crate::process::Broker;

fn alice() -> Login<'static> {
    Login { user: "alice", password: "secret", ..Login::default() }
}

#[test]
fn a_user_is_added_and_survives_a_crash() {
    let mut broker = Broker::start();
    let ran = broker.ctl_with_input(&["add_user", "alice"], "secret\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    broker.ok(&["set_permissions", "alice", "^a", "", "-.*"]);
    broker.ok(&["set_user_tags", "alice", "monitoring", "policymaker"]);
    broker.kill9_and_start_again();
    assert_eq!(broker.rows(&["list_users"]), ["alice\t[monitoring, policymaker]", "guest\t[administrator]"]);
    assert_eq!(broker.rows(&["list_permissions"]), ["alice\t^a\t\t-.*\t", "guest\t.*\t.*\t.*\t"]);
    assert_eq!(broker.rows(&["list_user_permissions", "alice"]), ["/\t^a\t\t-.*\t"]);
    let mut client = broker.connect_as(&alice());
    client.call(1, declare("a"), declare_ok("a", 0, 0));
    client.refused(1, declare("b"), 403, "ACCESS_REFUSED - configure access to queue 'b'");

    broker.ok(&["authenticate_user", "alice", "secret"]);
    assert!(broker.refused(&["authenticate_user", "alice", "Secret"]).contains("the password is wrong"));
    assert!(broker.refused(&["add_user", "alice", "x"]).contains("user 'alice' exists already"));
    assert!(broker.refused(&["set_permissions", "alice", "(", "", ""]).contains("unclosed group"));
    assert!(broker.refused(&["set_permissions", "bob", "", "", ""]).contains("no user 'bob'"));
    assert!(broker.refused(&["add_user", "bob", ""]).contains("must not be empty"));
}

#[test]
fn a_changed_password_ends_what_was_opened_with_the_old_one() {
    let broker = Broker::start();
    broker.ok(&["add_user", "alice", "secret"]);
    broker.ok(&["set_permissions", "alice", ".*", ".*", ".*"]);
    let mut before = broker.connect_as(&alice());
    broker.ok(&["change_password", "alice", "other"]);
    before.expect_connection_error(320, "CONNECTION_FORCED - the password of user 'alice' was changed");
    let mut refused = Client::dial(broker.address());
    assert!(!refused.try_log_in(&alice()), "the old password");
    broker.connect_as(&Login { password: "other", ..alice() });
}

#[test]
fn without_a_password_nobody_logs_in_with_one() {
    let mut broker = Broker::start();
    broker.ok(&["add_user", "alice", "secret"]);
    broker.ok(&["set_permissions", "alice", ".*", ".*", ".*"]);
    let mut before = broker.connect_as(&alice());
    broker.ok(&["clear_password", "alice"]);
    before.expect_connection_error(320, "CONNECTION_FORCED - user 'alice' has no password any more");
    broker.kill9_and_start_again();
    for password in ["secret", ""] {
        let mut refused = Client::dial(broker.address());
        assert!(!refused.try_log_in(&Login { password, ..alice() }), "{password:?}");
    }
    broker.ok(&["change_password", "alice", "other"]);
    broker.connect_as(&Login { password: "other", ..alice() });
    assert!(broker.refused(&["clear_password", "bob"]).contains("no user 'bob'"));
}

#[test]
fn permissions_are_set_in_all_vhosts_that_there_are() {
    let broker = Broker::start();
    broker.ok(&["add_user", "alice", "secret"]);
    broker.ok(&["add_vhost", "/shop"]);
    broker.ok(&["set_permissions", "alice", "", "", ""]);
    broker.ok(&["set_permissions_globally", "alice", "^a", "^b", "-.*"]);
    broker.ok(&["add_vhost", "/later"]);
    let everywhere = ["/\t^a\t^b\t-.*\t", "/shop\t^a\t^b\t-.*\t"];
    assert_eq!(broker.rows(&["list_user_permissions", "alice"]), everywhere);
    assert!(broker.refused(&["set_permissions_globally", "bob", "", "", ""]).contains("no user 'bob'"));
    assert!(broker.refused(&["set_permissions_globally", "alice", "(", "", ""]).contains("unclosed group"));
    assert_eq!(broker.rows(&["list_user_permissions", "alice"]), everywhere);
}

#[test]
fn permissions_are_read_again_by_open_connections() {
    let broker = Broker::start();
    broker.ok(&["add_user", "alice", "secret"]);
    broker.ok(&["set_permissions", "alice", ".*", ".*", ".*"]);
    let mut client = broker.connect_as(&alice());
    client.call(1, declare("a"), declare_ok("a", 0, 0));
    broker.ok(&["set_permissions", "alice", "^$", ".*", ".*", "--publish-keys", "^a$"]);
    client.refused(1, declare("b"), 403, "ACCESS_REFUSED - configure access to queue 'b'");
    client.publish(1, "", "b", "elsewhere");
    client.expect_channel_error(
        1,
        403,
        "ACCESS_REFUSED - write access to exchange 'amq.default' with routing key",
    );
    broker.ok(&["clear_permissions", "alice"]);
    client.expect_connection_error(320, "CONNECTION_FORCED - user 'alice' lost all permissions in vhost '/'");
    broker.refuses(&alice(), 530, "NOT_ALLOWED - access to vhost '/' refused for user 'alice'");
}

#[test]
fn a_deleted_user_takes_his_connections_and_queues_along() {
    let broker = Broker::start();
    broker.ok(&["add_user", "alice", "secret"]);
    broker.ok(&["set_permissions", "alice", ".*", ".*", ".*"]);
    let mut client = broker.connect_as(&alice());
    client.call(1, declare_owned("own"), declare_ok("own", 0, 0));
    assert_eq!(broker.rows(&["list_queues", "name", "owner_user"]), ["own\talice"]);
    // The command returns when the connection is gone, so the client has to answer meanwhile.
    std::thread::scope(|scope| {
        scope.spawn(|| broker.ok(&["delete_user", "alice"]));
        client.expect_connection_error(320, "CONNECTION_FORCED - user 'alice' is deleted");
    });
    assert!(broker.rows(&["list_queues"]).is_empty());
    assert_eq!(broker.rows(&["list_users", "user"]), ["guest"]);
    assert!(broker.refused(&["delete_user", "alice"]).contains("there is no user 'alice'"));
}
