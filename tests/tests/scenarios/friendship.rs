//! How friendships begin, and how they do not.

use e2e::World;
use serde_json::Value;

fn incoming_from(name: &str) -> impl Fn(&Value) -> bool {
    move |event| event["direction"] == "incoming" && event["name"] == name
}

#[test]
fn two_become_friends_and_talk() {
    let world = World::new();
    let [alice, bob] = world.users(["alice", "bob"]);
    let at_bobs = bob.listen();

    alice.must(&["befriend", "bob", "we met at the fair"]);
    let request = at_bobs.hear("request", incoming_from("alice"));
    assert_eq!(request["note"], "we met at the fair");
    bob.must(&["accept", "alice"]);

    alice.send("bob", "hello bob");
    at_bobs.hear_message("alice", "hello bob");
    let at_alices = alice.listen();
    bob.send("alice", "hello alice");
    at_alices.hear_message("bob", "hello alice");
}

#[test]
fn a_request_and_its_answer_wait_for_whoever_is_offline() {
    let world = World::new();
    let [alice, bob] = world.users(["alice", "bob"]);

    alice.must(&["befriend", "bob", "remember me?"]);
    let requests = bob.must(&["requests"]).events();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!((&requests[0]["name"], &requests[0]["note"]), (&"alice".into(), &"remember me?".into()));
    bob.must(&["accept", "alice"]);

    let friends = alice.must(&["friends"]).events();
    assert!(friends.iter().any(|friend| friend["name"] == "bob" && friend["status"] == "friend"));
    assert!(bob.must(&["requests"]).events().is_empty(), "an answered request is still shown");
}

#[test]
fn a_declined_request_is_told_and_makes_no_friends() {
    let world = World::new();
    let [alice, bob] = world.users(["alice", "bob"]);

    alice.must(&["befriend", "bob"]);
    bob.must(&["decline", "alice"]);

    let requests = alice.must(&["requests"]).events();
    assert!(requests.iter().any(|request| request["name"] == "bob" && request["state"] == "declined"));
    assert!(alice.must_fail(&["send", "bob", "please"]).contains("not your friend"));
    assert!(bob.must_fail(&["accept", "alice"]).contains("no request"));
}

#[test]
fn whoever_is_blocked_does_not_learn_it_and_is_not_heard() {
    let world = World::new();
    let [alice, bob, carol] = world.users(["alice", "bob", "carol"]);
    bob.must(&["block", "alice"]);

    alice.must(&["befriend", "bob"]);
    carol.must(&["befriend", "bob"]);
    let at_bobs = bob.listen();
    // Carol asked after Alice, so by now Alice's request has been there.
    at_bobs.hear("request", incoming_from("carol"));
    let requests = at_bobs.heard().into_iter().filter(|event| event["event"] == "request");
    assert!(requests.into_iter().all(|request| request["name"] != "alice"), "a blocked request is shown");
    let requests = alice.must(&["requests"]).events();
    assert!(requests.iter().any(|request| request["name"] == "bob" && request["state"] == "forwarded"));
}

#[test]
fn requests_that_cross_make_one_friendship() {
    let world = World::new();
    let [alice, bob] = world.users(["alice", "bob"]);
    let (at_alices, at_bobs) = (alice.listen(), bob.listen());

    let mut asking = [alice.spawn(&["befriend", "bob"]), bob.spawn(&["befriend", "alice"])];
    for command in &mut asking {
        assert!(command.wait().success(), "{:?}", command.stderr());
    }
    at_alices.hear("friend", |event| event["name"] == "bob" && event["status"] == "friend");
    at_bobs.hear("friend", |event| event["name"] == "alice" && event["status"] == "friend");

    alice.send("bob", "hello bob");
    bob.send("alice", "hello alice");
    at_bobs.hear_message("alice", "hello bob");
    at_alices.hear_message("bob", "hello alice");
    assert_eq!(alice.heard_from("bob"), ["hello alice"]);
    assert_eq!(bob.heard_from("alice"), ["hello bob"]);
}

#[test]
fn a_request_can_be_taken_back() {
    let world = World::new();
    let [alice, bob] = world.users(["alice", "bob"]);

    alice.must(&["befriend", "bob"]);
    assert_eq!(bob.must(&["requests"]).events().len(), 1);
    alice.must(&["withdraw", "bob"]);
    let at_bobs = bob.listen();
    // What is behind the withdrawal in the inbox has come, so the withdrawal has.
    let carol = world.user("carol");
    carol.must(&["befriend", "bob"]);
    at_bobs.hear("request", incoming_from("carol"));
    let requests = bob.must(&["requests"]).events();
    assert!(requests.iter().all(|request| request["name"] != "alice"), "{requests:?}");
}

#[test]
fn requests_that_cannot_be_say_why() {
    let world = World::new();
    let alice = world.user("alice");
    assert!(alice.must_fail(&["befriend", "nobody"]).contains("nobody"));
    assert!(alice.must_fail(&["befriend", "alice"]).contains("that is you"));
    assert!(alice.must_fail(&["befriend", "Bob"]).contains("cannot be a user"));
    assert!(alice.must_fail(&["send", "bob", "hi"]).contains("not your friend"));
}
