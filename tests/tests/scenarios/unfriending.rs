//! The end of a friendship: nobody is told, but a message comes back.

use e2e::World;

#[test]
fn a_message_to_somebody_who_ended_the_friendship_comes_back() {
    let world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    alice.send("bob", "lunch?");
    bob.must(&["friends"]);
    bob.must(&["unfriend", "alice"]);

    let said = alice.must_fail(&["send", "bob", "are you angry?"]);
    assert!(said.contains("bob is no longer your friend"), "{said}");
    let friends = alice.must(&["friends"]).events();
    assert!(
        friends.iter().any(|friend| friend["name"] == "bob" && friend["status"] == "former"),
        "{friends:?}"
    );
    let history = alice.must(&["history", "bob"]).events();
    assert_eq!(history.len(), 2, "the history is kept: {history:?}");
    let last = &history[1];
    assert_eq!((&last["text"], &last["state"]), (&"are you angry?".into(), &"returned".into()));
    assert_eq!(bob.heard_from("alice"), ["lunch?"]);
    // It is over on both sides.
    assert!(bob.must_fail(&["send", "alice", "no"]).contains("you unfriended alice"));
}

#[test]
fn she_learns_it_without_typing() {
    let world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    bob.must(&["unfriend", "alice"]);
    let at_alices = alice.listen();
    at_alices.hear("unfriended", |event| event["by"] == "bob");
}

#[test]
fn blocking_a_friend_looks_like_unfriending() {
    let world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    bob.must(&["block", "alice"]);
    let said = alice.must_fail(&["send", "bob", "hello?"]);
    assert!(said.contains("no longer your friend"), "{said}");
}

#[test]
fn every_message_under_way_when_it_ended_has_a_fate() {
    let world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    let mut sending: Vec<_> =
        (0..6).map(|n| alice.spawn(&["send", "bob", &format!("message {n}")])).collect();
    bob.must(&["unfriend", "alice"]);
    let mut kept = 0;
    for command in &mut sending {
        let sent = command.wait().success();
        let said = command.stderr().join("\n");
        // Too late to be tried: the text is kept as a draft.
        let refused = said.contains("ask again with befriend");
        assert!(sent || refused || said.contains("the message came back"), "{said}");
        kept += usize::from(!refused);
    }
    let history = alice.must(&["history", "bob"]).events();
    assert_eq!(history.len(), kept, "{history:?}");
    for message in &history {
        let state = message["state"].as_str().unwrap_or_default();
        assert!(["sent", "delivered", "returned"].contains(&state), "{message}");
    }
}

#[test]
fn they_can_become_friends_again() {
    let world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    alice.send("bob", "before");
    bob.must(&["friends"]);
    bob.must(&["unfriend", "alice"]);
    alice.must_fail(&["send", "bob", "gone?"]);
    alice.becomes_friend_of(&bob);
    alice.send("bob", "after");
    let at_bobs = bob.listen();
    at_bobs.hear_message("alice", "after");
    assert_eq!(bob.heard_from("alice"), ["before", "after"]);
}
