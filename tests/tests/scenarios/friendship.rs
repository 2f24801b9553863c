//! How friends are made and lost.

use e2e::World;

#[test]
fn two_become_friends_and_talk() {
    let world = World::new();
    let [alice, bob] = world.users(["alice", "bob"]);
    let at_bobs = bob.listen();

    alice.must(&["befriend", "bob", "we met at the fair"]);
    let request = at_bobs.hear("request", |event| event["direction"] == "incoming");
    assert_eq!((&request["name"], &request["note"]), (&"alice".into(), &"we met at the fair".into()));
    bob.must(&["accept", "alice"]);

    alice.send("bob", "hello bob");
    at_bobs.hear_message("alice", "hello bob");
    let at_alices = alice.listen();
    bob.send("alice", "hello alice");
    at_alices.hear_message("bob", "hello alice");
}
