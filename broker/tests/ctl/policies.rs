//! Policies count at once, for what is there and for what comes, and outlive a crash.

use broker::amqp::{exchange, queue};

use crate::harness::*;
use crate::process::Broker;

#[test]
fn a_policy_counts_for_old_and_new_queues_until_it_is_cleared() {
    let mut broker = Broker::start();
    let mut client = broker.connect();
    client.call(1, declare_durable("a.old"), declare_ok("a.old", 0, 0));
    client.call(1, declare_durable("b"), declare_ok("b", 0, 0));
    for text in ["1", "2", "3"] {
        client.publish_persistent(1, "", "a.old", text);
        client.publish_persistent(1, "", "b", text);
    }
    client.sync(1);
    broker.ok(&["set_policy", "short", r"^a\.", r#"{"max-length": 2}"#, "--apply-to", "queues"]);
    assert_eq!(broker.rows(&["list_queues"]), ["a.old\t2", "b\t3"]);
    client.call(1, declare_durable("a.new"), declare_ok("a.new", 0, 0));
    for text in ["1", "2", "3"] {
        client.publish_persistent(1, "", "a.new", text);
    }
    client.sync(1);
    let columns = ["name", "messages", "policy", "effective_policy_definition"];
    let rows =
        ["a.new\t2\tshort\t[{\"max-length\",2}]", "a.old\t2\tshort\t[{\"max-length\",2}]", "b\t3\t\t[]"];
    assert_eq!(broker.rows(&[&["list_queues"][..], &columns].concat()), rows);
    broker.kill9_and_start_again();
    let policies = ["/\tshort\t^a\\.\tqueues\t{\"max-length\":2}\t0"];
    assert_eq!(broker.rows(&["list_policies"]), policies);
    let mut client = broker.connect();
    client.publish_persistent(1, "", "a.old", "4");
    assert_eq!(client.fetch(1, "a.old").text(), "3", "still two at most");
    broker.ok(&["clear_policy", "short"]);
    for text in ["5", "6", "7"] {
        client.publish_persistent(1, "", "a.new", text);
    }
    client.call(1, declare_passive("a.new"), declare_ok("a.new", 5, 0));
    assert!(broker.rows(&["list_policies"]).is_empty());
    assert!(
        broker.refused(&["clear_policy", "short"]).contains("there is no such policy 'short' in vhost '/'")
    );
}

/// What a policy of quorum queues sets that keep their dead.
fn keeps_dead(exchange: &str) -> String {
    format!(
        r#"{{"dead-letter-exchange": "{exchange}", "dead-letter-routing-key": "dead",
            "dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}}"#
    )
}

#[test]
fn dead_letters_that_a_policy_keeps_are_listed_and_go_where_the_next_policy_says() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let mut quorum = declare_durable("q");
    quorum.arguments.insert("x-queue-type", "quorum");
    client.call(1, quorum, declare_ok("q", 0, 0));
    client.call(1, declare_durable("classic"), declare_ok("classic", 0, 0));
    broker.ok(&["set_policy", "dead", "", &keeps_dead("nosuch"), "--apply-to", "queues"]);
    for queue in ["q", "classic"] {
        client.publish_persistent(1, "", queue, "letter");
        let fetched = client.fetch(1, queue);
        client.send(1, reject(fetched.tag(), false));
    }
    client.sync(1);
    let columns =
        ["name", "messages", "messages_ready", "messages_dlx", "message_bytes", "message_bytes_dlx"];
    let list = || broker.rows(&[&["list_queues"][..], &columns].concat());
    assert_eq!(list(), ["classic\t0\t0\t0\t0\t0", "q\t1\t0\t1\t6\t6"], "a classic queue keeps none");
    client.call(1, declare("dead"), declare_ok("dead", 0, 0));
    broker.ok(&["set_policy", "dead", "", &keeps_dead(""), "--apply-to", "queues"]);
    eventually("the letter where it goes now", || list()[2] == "q\t0\t0\t0\t0\t0");
    assert_eq!(client.fetch(1, "dead").text(), "letter");
    // Without a policy there is no reason to keep it.
    broker.ok(&["set_policy", "dead", "", &keeps_dead("nosuch"), "--apply-to", "queues"]);
    client.publish_persistent(1, "", "q", "letter");
    let fetched = client.fetch(1, "q");
    client.send(1, reject(fetched.tag(), false));
    client.sync(1);
    assert_eq!(list()[2], "q\t1\t0\t1\t6\t6");
    broker.ok(&["clear_policy", "dead"]);
    eventually("the letter gone", || list()[2] == "q\t0\t0\t0\t0\t0");
}

#[test]
fn of_argument_policy_and_operator_policy_the_smallest_number_counts() {
    let broker = Broker::start();
    let mut client = broker.connect();
    client.call(1, declare_with("q", [("x-max-length", 5.into())]), declare_ok("q", 0, 0));
    let mut holds = |broker: &Broker| {
        (0..9).for_each(|_| client.publish(1, "", "q", "x"));
        client.sync(1);
        broker.rows(&["list_queues", "messages"]).remove(0)
    };
    assert_eq!(holds(&broker), "5");
    broker.ok(&["set_policy", "high", "", r#"{"max-length": 7}"#, "--priority", "9"]);
    broker.ok(&["set_policy", "low", "", r#"{"max-length": 1}"#, "--priority", "-1"]);
    assert_eq!(holds(&broker), "5", "the argument is smaller");
    broker.ok(&["set_operator_policy", "bound", "", r#"{"max-length": 3}"#]);
    assert_eq!(holds(&broker), "3");
    assert_eq!(broker.rows(&["list_queues", "policy", "operator_policy"]), ["high\tbound"]);
    assert_eq!(broker.rows(&["list_operator_policies", "name"]), ["bound"]);
    assert_eq!(broker.rows(&["list_policies", "name"]), ["high", "low"]);
    broker.ok(&["clear_operator_policy", "bound"]);
    broker.ok(&["clear_policy", "high"]);
    assert_eq!(holds(&broker), "1", "now the other one counts");
}

#[test]
fn exchanges_get_an_alternate_exchange_from_a_policy() {
    let mut broker = Broker::start();
    broker.ok(&[
        "set_policy",
        "ae",
        "^x",
        r#"{"alternate-exchange": "amq.fanout"}"#,
        "--apply-to",
        "exchanges",
    ]);
    let mut client = broker.connect();
    let mut durable = declare_exchange("x", "direct");
    durable.durable = true;
    client.call(1, durable, exchange::DeclareOk);
    client.call(1, declare_durable("lost"), declare_ok("lost", 0, 0));
    client.call(1, bind("lost", "amq.fanout", ""), queue::BindOk);
    client.publish(1, "x", "nowhere", "found");
    assert_eq!(client.fetch(1, "lost").text(), "found");
    assert!(broker.rows(&["list_exchanges", "name", "policy"]).contains(&"x\tae".to_owned()));
    broker.kill9_and_start_again();
    let mut client = broker.connect();
    client.publish(1, "x", "nowhere", "again");
    assert_eq!(client.fetch(1, "lost").text(), "again");
    broker.ok(&["clear_policy", "ae"]);
    client.publish(1, "x", "nowhere", "gone");
    client.expect_empty(1, "lost");
}

#[test]
fn a_policy_dead_letters_and_lets_queues_expire() {
    let broker = Broker::start();
    let mut client = broker.connect();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, declare("dead"), declare_ok("dead", 0, 0));
    let definition = r#"{"dead-letter-exchange": "", "dead-letter-routing-key": "dead"}"#;
    broker.ok(&["set_policy", "dlx", "^q$", definition, "--apply-to", "classic_queues"]);
    client.publish(1, "", "q", "rejected");
    let tag = client.fetch(1, "q").tag();
    client.send(1, reject(tag, false));
    client.sync(1);
    assert_eq!(client.fetch(1, "dead").text(), "rejected");
    broker.ok(&["set_policy", "gone", "^q$", r#"{"expires": 1}"#, "--priority", "5"]);
    eventually("the queue has expired", || broker.rows(&["list_queues", "name"]) == ["dead"]);
}

#[test]
fn a_policy_for_mirrors_is_kept_and_said_to_change_nothing() {
    let broker = Broker::start();
    let ran = broker.ctl(&["set_policy", "ha", "^", r#"{"ha-mode":"all","ha-sync-mode":"automatic"}"#]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("ha-mode changes nothing here: there is one broker"), "{ran:?}");
    let definition = broker.rows(&["list_policies", "definition"]);
    assert_eq!(definition, [r#"{"ha-mode":"all","ha-sync-mode":"automatic"}"#]);
}

#[test]
fn a_policy_that_cannot_be_meant_is_refused() {
    let broker = Broker::start();
    for (arguments, why) in [
        (["p", "^a", r#"{"max-lenght": 5}"#, "--apply-to=all"], "unknown key 'max-lenght'; there are "),
        (["p", "(", r#"{"max-length": 5}"#, "--apply-to=all"], "the pattern '(' is not a regular expression"),
        (["p", "^a", r#"{"max-length": 5}"#, "--apply-to=streams"], "cannot be applied to 'streams'"),
        (["p", "^a", r#"{"max-priority": 5}"#, "--apply-to=all"], "by arguments of queue.declare only"),
    ] {
        let error = broker.refused(&[&["set_policy"][..], &arguments].concat());
        assert!(error.contains(why), "{error}");
    }
    assert!(broker.rows(&["list_policies"]).is_empty());
    assert!(broker.refused(&["clear_operator_policy", "p"]).contains("there is no such policy 'p'"));
}
