//! What holds for methods of every class: no-wait, and those that need no more than an answer.

use broker::amqp::{Method, access, basic, channel, confirm, connection, exchange, queue};

use crate::harness::*;

/// Nothing was answered to what was sent before on this channel.
fn expect_nothing_answered(client: &mut Client, what: &str) {
    client.send(1, basic::Qos::default());
    assert_eq!(client.method(1), basic::QosOk.into(), "{what}");
}

#[test]
fn no_wait_means_no_answer() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    let no_wait = true;
    let steps: [(&str, Method); 11] = [
        ("exchange.declare", exchange::Declare { no_wait, ..declare_exchange("x", "direct") }.into()),
        ("queue.declare", queue::Declare { no_wait, ..declare("q") }.into()),
        ("queue.bind", queue::Bind { no_wait, ..bind("q", "x", "k") }.into()),
        ("exchange.bind", exchange::Bind { no_wait, ..bind_exchange("x", "amq.direct", "k") }.into()),
        ("exchange.unbind", exchange::Unbind { no_wait, ..unbind_exchange("x", "amq.direct", "k") }.into()),
        ("basic.consume", basic::Consume { no_wait, ..consume("q", "c") }.into()),
        ("basic.cancel", basic::Cancel { no_wait, ..cancel("c") }.into()),
        ("confirm.select", confirm::Select { no_wait }.into()),
        ("queue.purge", queue::Purge { no_wait, ..purge("q") }.into()),
        ("queue.delete", queue::Delete { no_wait, ..delete("q") }.into()),
        ("exchange.delete", exchange::Delete { no_wait, ..delete_exchange("x") }.into()),
    ];
    for (what, method) in steps {
        client.send(1, method);
        expect_nothing_answered(&mut client, what);
        // It was done all the same.
        match what {
            "exchange.declare" => client.call(1, declare_exchange("x", "direct"), exchange::DeclareOk),
            "basic.consume" => client.call(1, declare_passive("q"), declare_ok("q", 0, 1)),
            "queue.declare" | "basic.cancel" => client.call(1, declare_passive("q"), declare_ok("q", 0, 0)),
            _ => {}
        }
    }
    client.refused(1, declare_passive("q"), 404, "NOT_FOUND");
    client.refused(
        1,
        exchange::Declare { passive: true, ..declare_exchange("x", "direct") },
        404,
        "NOT_FOUND",
    );
}

#[test]
fn flow_goes_both_ways() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, consume_no_ack("q", "c"), consume_ok("c"));
    client.call(1, channel::Flow { active: false }, channel::FlowOk { active: false });
    client.publish(1, "", "q", "waits");
    expect_nothing_answered(&mut client, "a delivery came although the channel is paused");
    client.call(1, channel::Flow { active: true }, channel::FlowOk { active: true });
    client.expect_deliveries(1, ["waits"]);
    // An answer that nobody asked for is no mistake: the broker holds publishers back without asking them.
    client.send(1, channel::FlowOk { active: true });
    expect_nothing_answered(&mut client, "channel.flow-ok");
}

#[test]
fn recover_async_gives_back_without_an_answer() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "again");
    client.fetch(1, "q");
    client.send(1, basic::RecoverAsync { requeue: true });
    expect_nothing_answered(&mut client, "basic.recover-async");
    let again = client.fetch(1, "q");
    assert!(matches!(again.method, Method::BasicGetOk(basic::GetOk { redelivered: true, .. })), "{again:?}");
}

#[test]
fn tickets_and_secrets_are_taken_at_any_time() {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    for realm in ["/data", "", "/admin"] {
        let request = access::Request { realm: realm.into(), exclusive: true, ..Default::default() };
        client.call(1, request, access::RequestOk { ticket: 1 });
    }
    for secret in [&b""[..], &[0xFF; 3000]] {
        let update = connection::UpdateSecret { new_secret: secret.into(), reason: "expires".into() };
        client.call(0, update, connection::UpdateSecretOk);
    }
    client.close();
}
