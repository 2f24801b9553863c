//! Messages between friends: order, receipts, waiting.

use e2e::World;

#[test]
fn receipts_tell_what_became_of_a_message() {
    let world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    let at_alices = alice.listen();

    let sent = alice.must(&["send", "bob", "are you there?"]).events().swap_remove(0);
    assert_eq!(sent["state"], "sent", "bob is offline");

    let _at_bobs = bob.listen();
    at_alices.hear("state", |event| event["id"] == sent["id"] && event["state"] == "delivered");
    // Being read takes a person: chat-tui/demos/becoming-friends.warren has one.
}

#[test]
fn what_was_said_to_somebody_offline_arrives_in_order() {
    let world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    let said: Vec<String> = (1..=12).map(|number| format!("message {number}")).collect();
    for text in &said {
        alice.send("bob", text);
    }

    let at_bobs = bob.listen();
    let heard = at_bobs.hear_all("message", said.len(), |event| event["direction"] == "incoming");
    let heard: Vec<&str> = heard.iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(heard, said);
    assert_eq!(bob.heard_from("alice"), said, "the history differs from the screen");
}

#[test]
fn what_is_said_without_a_broker_waits_in_the_outbox() {
    let mut world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    world.broker.kill9();

    let at_alices = alice.start_listening();
    at_alices.hear("connection", |event| event["state"] == "offline");
    let mut sending = alice.spawn(&["send", "bob", "written in the dark"]);
    at_alices.hear("message", |event| event["text"] == "written in the dark" && event["state"] == "queued");
    // The outbox survives whoever wrote into it.
    sending.kill9();
    drop(at_alices);

    world.broker.start_again();
    let _at_alices = alice.listen();
    let at_bobs = bob.listen();
    at_bobs.hear_message("alice", "written in the dark");
    assert_eq!(bob.heard_from("alice"), ["written in the dark"]);
}

#[test]
fn a_receiver_that_is_killed_again_and_again_misses_nothing_and_doubles_nothing() {
    let world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    let said: Vec<String> = (1..=10).map(|number| format!("message {number}")).collect();
    for (index, text) in said.iter().enumerate() {
        let mut at_bobs = bob.listen();
        alice.send("bob", text);
        if index % 2 == 0 {
            at_bobs.hear_message("alice", text);
        }
        at_bobs.kill9();
    }
    let at_bobs = bob.listen();
    alice.send("bob", "the last one");
    at_bobs.hear_message("alice", "the last one");
    let all: Vec<String> = said.into_iter().chain(["the last one".to_owned()]).collect();
    assert_eq!(bob.heard_from("alice"), all);
}

#[test]
fn texts_arrive_as_they_were_typed() {
    let world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    let texts = ["zwei\nZeilen", "👩‍👩‍👧 e\u{301} \u{202e}mirror", "\"quoted\" \\ \t tab", " spaces "];
    for text in texts {
        alice.send("bob", text);
    }
    let at_bobs = bob.listen();
    at_bobs.hear_all("message", texts.len(), |event| event["direction"] == "incoming");
    assert_eq!(bob.heard_from("alice"), texts);
}
