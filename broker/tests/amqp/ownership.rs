//! Queues that belong to a connection, and queues that belong to a user (`x-exclusive-scope: "user"`).

use broker::amqp::{FieldValue, Method, queue};
use broker::definitions::Change;

use crate::harness::*;

const LOCKED: &str = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'";

/// Every method that uses a queue is refused to others, one by one.
fn expect_locked(client: &mut Client) {
    let exclusive = queue::Declare { exclusive: true, ..declare("mine") };
    client.refused(1, declare("mine"), 405, LOCKED);
    client.refused(1, exclusive, 405, LOCKED);
    client.refused(1, declare_owned("mine"), 405, LOCKED);
    client.refused(1, declare_passive("mine"), 405, LOCKED);
    client.refused(1, bind("mine", "amq.direct", "k"), 405, LOCKED);
    client.refused(1, unbind("mine", "amq.direct", "k"), 405, LOCKED);
    client.refused(1, consume("mine", "c"), 405, LOCKED);
    client.refused(1, get("mine"), 405, LOCKED);
    client.refused(1, purge("mine"), 405, LOCKED);
    client.refused(1, delete("mine"), 405, LOCKED);
}

#[test]
fn a_queue_of_a_user_is_refused_to_others_also_after_a_restart() {
    let broker = TestBroker::start();
    broker.add_user("bob", FULL);
    broker.add_user("mallory", FULL);
    let mut bob = broker.connect_as("bob");
    bob.call(1, declare_owned("mine"), declare_ok("mine", 0, 0));
    let never_bound = unbind("mine", "amq.direct", "k");
    broker.connect_as("mallory").refused(1, never_bound, 405, LOCKED);
    bob.call(1, bind("mine", "amq.direct", "k"), queue::BindOk);
    expect_locked(&mut broker.connect_as("mallory"));
    // Publishing to it by name is everybody's right.
    let mut mallory = broker.connect_as("mallory");
    mallory.send_content(1, publish_mandatory("", "mine"), &persistent(), b"hello");
    mallory.expect_silence(1);
    drop((bob, mallory));

    let broker = broker.restarted();
    expect_locked(&mut broker.connect_as("mallory"));
    // Another connection of its owner may use it.
    let mut bob = broker.connect_as("bob");
    bob.call(1, declare_owned("mine"), declare_ok("mine", 1, 0));
    assert_eq!(bob.fetch(1, "mine").text(), "hello");
    bob.send(1, ack(1));
    bob.call(1, unbind("mine", "amq.direct", "k"), queue::UnbindOk);
    bob.call(1, purge("mine"), queue::PurgeOk { message_count: 0 });
    bob.call(1, consume("mine", "c"), consume_ok("c"));
    bob.call(1, cancel("c"), cancel_ok("c"));
    bob.call(1, delete("mine"), queue::DeleteOk { message_count: 0 });
}

#[test]
fn an_exclusive_queue_is_refused_to_other_connections_and_goes_with_its_own() {
    let broker = TestBroker::start();
    let mut owner = broker.connect_with_channel();
    let exclusive = queue::Declare { exclusive: true, durable: true, ..declare("mine") };
    owner.call(1, exclusive.clone(), declare_ok("mine", 0, 0));
    owner.call(1, exclusive, declare_ok("mine", 0, 0));
    let mut other = broker.connect_with_channel();
    // There is nothing to take away.
    other.call(1, unbind("mine", "amq.direct", "k"), queue::UnbindOk);
    owner.call(1, bind("mine", "amq.direct", "k"), queue::BindOk);
    expect_locked(&mut other);
    owner.close();
    // close-ok says that it is gone.
    other.refused(1, declare_passive("mine"), 404, "NOT_FOUND - no queue 'mine' in vhost '/'");
    other.call(1, declare("mine"), declare_ok("mine", 0, 0));
    // Durable or not, nothing of an exclusive queue outlives the broker.
    other.call(1, queue::Declare { exclusive: true, ..declare_durable("gone") }, declare_ok("gone", 0, 0));
    let broker = broker.restarted();
    let mut client = broker.connect_with_channel();
    client.refused(1, declare_passive("gone"), 404, "NOT_FOUND");
}

#[test]
fn an_exclusive_queue_goes_when_the_socket_is_lost() {
    let broker = TestBroker::start();
    let mut owner = broker.connect_with_channel();
    owner.call(1, queue::Declare { exclusive: true, ..declare("mine") }, declare_ok("mine", 0, 0));
    drop(owner);
    let mut other = broker.connect_with_channel();
    eventually("the queue is gone", || {
        other.send(1, declare_passive("mine"));
        let Method::ChannelClose(close) = other.method(1) else { panic!("it can be used") };
        other.send(1, broker::amqp::channel::CloseOk);
        other.open_channel(1);
        close.reply_code == 404
    });
}

#[test]
fn the_scope_is_part_of_the_declaration() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare_owned("mine"), declare_ok("mine", 0, 0));
    client.call(1, declare_owned("mine"), declare_ok("mine", 0, 0));
    let of_connection = queue::Declare { exclusive: true, ..declare_durable("mine") };
    client.refused(
        1,
        of_connection,
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-exclusive-scope' for queue 'mine' in vhost '/': received none \
         but current is the value 'user' of type 'longstr'",
    );
    client.refused(1, declare_durable("mine"), 405, LOCKED);
    for incomplete in [
        queue::Declare { exclusive: false, ..declare_owned("new") },
        queue::Declare { durable: false, ..declare_owned("new") },
    ] {
        client.refused(
            1,
            incomplete,
            406,
            "PRECONDITION_FAILED - invalid arg 'x-exclusive-scope' for queue 'new' in vhost '/': a queue that \
             belongs to a user is declared with exclusive=true and durable=true",
        );
    }
    client.refused(
        1,
        declare_with("new", [("x-exclusive-scope", FieldValue::from("nobody"))]),
        406,
        "PRECONDITION_FAILED - invalid arg 'x-exclusive-scope'",
    );
}

#[test]
fn a_user_owns_only_so_many_queues() {
    let broker = TestBroker::with(|config| config.limits.owned_queues_per_user_max = 2);
    broker.add_user("bob", FULL);
    let mut client = broker.connect_with_channel();
    client.call(1, declare_owned("a"), declare_ok("a", 0, 0));
    client.call(1, declare_owned("b"), declare_ok("b", 0, 0));
    client.refused(
        1,
        declare_owned("c"),
        406,
        "PRECONDITION_FAILED - user 'guest' owns 2 queues in vhost '/', as many as allowed; delete one first",
    );
    client.call(1, declare_owned("a"), declare_ok("a", 0, 0));
    broker.connect_as("bob").call(1, declare_owned("c"), declare_ok("c", 0, 0));
    client.call(1, delete("a"), queue::DeleteOk { message_count: 0 });
    client.call(1, declare_owned("d"), declare_ok("d", 0, 0));
}

#[test]
fn a_deleted_user_leaves_nothing_behind() {
    let broker = TestBroker::start();
    broker.add_user("bob", FULL);
    let mut bob = broker.connect_as("bob");
    bob.call(1, declare_owned("mine"), declare_ok("mine", 0, 0));
    let mut guest = broker.connect_with_channel();
    guest.send_content(1, publish_mandatory("", "mine"), &persistent(), b"for the old bob");
    guest.sync(1);

    let deleted = std::thread::scope(|scope| {
        let deletion = scope.spawn(|| broker.runtime().block_on(broker.broker().delete_user("bob")));
        bob.expect_connection_error(320, "CONNECTION_FORCED - user 'bob' is deleted");
        deletion.join().unwrap()
    });
    deleted.unwrap();
    guest.send_content(1, publish_mandatory("", "mine"), &persistent(), b"too late");
    guest.expect_returned(1, 312, "too late");

    // The next bob is another one.
    broker.add_user("bob", FULL);
    let mut bob = broker.connect_as("bob");
    bob.refused(1, declare_passive("mine"), 404, "NOT_FOUND");
    bob.call(1, declare_owned("mine"), declare_ok("mine", 0, 0));
    let broker = broker.restarted();
    broker.connect_as("bob").call(1, declare_owned("mine"), declare_ok("mine", 0, 0));
}

#[test]
fn nobody_gets_the_name_while_a_connection_of_the_deleted_user_is_open() {
    let broker = TestBroker::start();
    broker.add_user("bob", FULL);
    let mut bob = broker.connect_as("bob");
    std::thread::scope(|scope| {
        let deletion = scope.spawn(|| broker.runtime().block_on(broker.broker().delete_user("bob")));
        bob.expect_connection_close(320, "CONNECTION_FORCED");
        // close-ok has not been sent, so the old bob's connection is still there.
        let again = broker.runtime().block_on(broker.broker().authority.add_user("bob", "bob", vec![]));
        assert_eq!(again.unwrap_err().to_string(), "user 'bob' exists already");
        bob.send(0, broker::amqp::connection::CloseOk);
        bob.expect_end();
        deletion.join().unwrap().unwrap();
    });
    broker.add_user("bob", FULL);
}

#[test]
fn a_definition_that_is_refused_leaves_memory_and_its_client_is_told() {
    let broker = TestBroker::start();
    broker.add_user("bob", FULL);
    let mut bob = broker.connect_as("bob");
    let mut guest = broker.connect_with_channel();
    // Only the row: as if bob's declare had come in between.
    broker.broker().definitions.submit(Change::DeleteUser { name: "bob".into() });
    bob.send(1, declare_owned("mine"));
    bob.expect_connection_error(
        541,
        "INTERNAL_ERROR - a definition was refused and not stored: put queue 'mine'",
    );
    guest.refused(1, declare_passive("mine"), 404, "NOT_FOUND");
    guest.call(1, declare_durable("mine"), declare_ok("mine", 0, 0));
}

#[test]
fn lost_permissions_close_the_connections_to_the_vhost() {
    let broker = TestBroker::start();
    broker.add_user("bob", FULL);
    let mut bob = broker.connect_as("bob");
    bob.call(1, declare("q"), declare_ok("q", 0, 0));
    broker.runtime().block_on(broker.broker().clear_permissions("bob", "/")).unwrap();
    bob.expect_connection_error(320, "CONNECTION_FORCED - user 'bob' lost all permissions in vhost '/'");
}
