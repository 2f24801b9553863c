//! What the person wants.

use super::*;

#[test]
fn what_the_person_wants() {
    let decline = "publish decline to B re 2";
    let accept = "publish accept to B from new re 2";
    let request = "publish friend-request to friends from new";
    for (before, command, expected) in [
        (stranger(), befriend(), vec!["own new", "save stranger asked Queued", request]),
        (former(true), befriend(), vec!["own new", "save former by_us=true asked Queued", request]),
        (asked(RequestState::Declined), befriend(), vec!["own new", "save stranger asked Queued", request]),
        (asks(), befriend(), vec!["own new", "save friend new/B", accept]),
        (asks(), about_bob!(Accept), vec!["own new", "save friend new/B", accept]),
        (asks(), about_bob!(Decline), vec!["save stranger", decline]),
        (asks(), about_bob!(Block), vec!["save stranger blocked"]),
        (
            asked(RequestState::Forwarded),
            about_bob!(Withdraw),
            vec!["unpublish 1", "delete A", "publish withdraw to friends", "save stranger"],
        ),
        (asked(RequestState::Declined), about_bob!(Withdraw), vec!["save stranger"]),
        (
            asked(RequestState::Pending),
            about_bob!(Block),
            vec!["unpublish 1", "delete A", "save stranger blocked"],
        ),
        (blocked(), about_bob!(Unblock), vec!["save stranger"]),
        (
            friend(),
            about_bob!(Unfriend),
            vec![
                "delete A",
                "abandon Failed(\"you unfriended bob before it was sent\")",
                "save former by_us=true",
            ],
        ),
        (
            friend(),
            about_bob!(Block),
            vec![
                "delete A",
                "abandon Failed(\"you unfriended bob before it was sent\")",
                "save former by_us=true blocked",
            ],
        ),
        (friend(), send("yo"), vec!["out 99 \"yo\" Queued", "publish message to B from A"]),
    ] {
        let effects = command::decide("alice", &before, None, &command, &now());
        assert_eq!(short(&effects), expected, "{command:?} given {before:?}");
    }
}

#[test]
fn what_cannot_be_done_says_what_can() {
    for (before, command, reason) in [
        (friend(), befriend(), "is your friend already"),
        (asked(RequestState::Pending), befriend(), "withdraw the request first"),
        (blocked(), befriend(), "unblock bob first"),
        (stranger(), about_bob!(Withdraw), "no request"),
        (stranger(), about_bob!(Accept), "ask with befriend bob"),
        (friend(), about_bob!(Accept), "is your friend already"),
        (stranger(), about_bob!(Decline), "no request"),
        (stranger(), about_bob!(Unblock), "is not blocked"),
        (stranger(), about_bob!(Unfriend), "is not your friend"),
        (former(false), about_bob!(Unfriend), "is no longer your friend"),
        (former(false), send("yo"), "bob is no longer your friend"),
        (former(true), send("yo"), "you unfriended bob"),
        (asks(), send("yo"), "accept bob first"),
        (asked(RequestState::Forwarded), send("yo"), "has not accepted"),
        (friend(), send(""), "the text is empty"),
        (friend(), send(&"x".repeat(shared::message::TEXT_BYTES_MAX + 1)), "send it in parts"),
        (Peer::stranger("alice"), befriend(), "that is you"),
        (Peer::stranger("Bob!"), befriend(), "no capitals"),
        (Peer::stranger("alice"), about_bob!(Block), "that is you"),
    ] {
        let effects = command::decide("alice", &before, None, &command, &now());
        let Some(Effect::Refuse { reason: given, .. }) = effects.last() else {
            panic!("{command:?} given {before:?}: {effects:?}");
        };
        assert!(given.contains(reason), "{given:?} does not say {reason:?}");
        if let Command::Send { text, .. } = &command {
            assert_eq!(effects[0], Effect::KeepAsDraft(text.clone()), "what was typed is kept");
        }
    }
}
