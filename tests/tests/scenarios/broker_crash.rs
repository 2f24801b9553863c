//! The broker dies in the middle of a conversation.

use std::thread;

use e2e::{Broker, World, eventually};

/// Alice sends one message after the other; when some of them are through, `interrupt` does something to the broker.
fn alice_goes_on_talking(interrupt: fn(&mut Broker)) {
    let mut world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    let at_bobs = bob.listen();
    let said: Vec<String> = (1..=15).map(|number| format!("message {number}")).collect();
    thread::scope(|scope| {
        let talking = scope.spawn(|| said.iter().for_each(|text| alice.send("bob", text)));
        at_bobs.hear_all("message", 4, |_| true);
        interrupt(&mut world.broker);
        talking.join().unwrap_or_else(|_| panic!("alice could not go on"));
    });
    let heard = at_bobs.hear_all("message", said.len(), |_| true);
    let heard: Vec<&str> = heard.iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(heard, said, "on the screen");
    assert_eq!(bob.heard_from("alice"), said, "in the history");

    // They are still friends, in both directions.
    bob.send("alice", "that was close");
    eventually("alice has the answer", || {
        alice.must(&["friends"]);
        (alice.heard_from("bob") == ["that was close"]).then_some(())
    });
}

#[test]
fn killed_and_started_again_nothing_is_lost_or_doubled() {
    alice_goes_on_talking(Broker::kill9_and_start_again);
}

#[test]
fn stopped_and_started_again_nothing_is_lost_or_doubled() {
    alice_goes_on_talking(|broker| {
        assert!(broker.terminate().success());
        broker.start_again();
    });
}

#[test]
fn requests_and_friendships_survive() {
    let mut world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    let carol = world.user("carol");
    carol.must(&["befriend", "alice"]);
    alice.send("bob", "before the crash");
    world.broker.kill9_and_start_again();

    let at_bobs = bob.listen();
    at_bobs.hear_message("alice", "before the crash");
    alice.must(&["accept", "carol"]);
    alice.send("carol", "hello carol");
    let at_carols = carol.listen();
    at_carols.hear_message("alice", "hello carol");
}

#[test]
fn an_unfriending_survives() {
    let mut world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    bob.must(&["unfriend", "alice"]);
    world.broker.kill9_and_start_again();
    let said = alice.must_fail(&["send", "bob", "hello?"]);
    assert!(said.contains("no longer your friend"), "the queue came back: {said}");
}
