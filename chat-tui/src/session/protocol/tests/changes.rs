//! Changes of what was said.

use super::*;

fn target() -> Target {
    Target {
        id: id(5),
        outgoing: true,
        text: "yo".into(),
        answers: None,
        state: Delivery::Read,
        revision: 0,
        deleted: false,
        amending: Amending::Settled,
        our_mark: None,
        our_mark_revision: 0,
    }
}

fn edit(text: &str) -> Command {
    Command::Edit { friend: "bob".into(), row: 1, text: text.into() }
}

fn delete() -> Command {
    Command::Delete { friend: "bob".into(), row: 1 }
}

fn react(mark: Option<&str>) -> Command {
    Command::React { friend: "bob".into(), row: 1, mark: mark.map(str::to_owned) }
}

fn retry() -> Command {
    Command::Retry { friend: "bob".into(), row: 1 }
}

#[test]
fn what_was_said_can_be_changed() {
    let theirs = Target { outgoing: false, ..target() };
    let edited = Target { revision: 2, ..target() };
    let queued = Target { state: Delivery::Queued, ..target() };
    let returned = Target { state: Delivery::Returned, ..target() };
    let failed = Target { state: Delivery::Failed("no".into()), revision: 1, ..target() };
    let lost = Target { amending: Amending::Lost, ..edited.clone() };
    let undeleted = Target { deleted: true, amending: Amending::Lost, ..target() };
    let marked = Target { our_mark: Some("x".into()), our_mark_revision: 3, ..theirs.clone() };
    let (publish_edit, publish_delete) = ("publish edit to B from A", "publish delete to B from A");
    for (peer, target, command, expected) in [
        (friend(), target(), edit("hi"), vec!["rewrite ours 5 r1 \"hi\"", "r1 of 5 Waiting", publish_edit]),
        (
            friend(),
            edited.clone(),
            edit("hi"),
            vec!["rewrite ours 5 r3 \"hi\"", "r3 of 5 Waiting", publish_edit],
        ),
        (friend(), target(), edit("yo"), vec![]),
        (friend(), target(), delete(), vec!["erase ours 5", "deletion of 5 Waiting", publish_delete]),
        (
            friend(),
            queued.clone(),
            delete(),
            vec![
                "erase ours 5",
                "unpublish 5",
                "advance 5 Failed(\"deleted before it was sent\")",
                "deletion of 5 Waiting",
                publish_delete,
            ],
        ),
        (former(false), target(), delete(), vec!["erase ours 5", "deletion of 5 Lost"]),
        (former(false), returned.clone(), delete(), vec!["erase ours 5"]),
        (friend(), theirs.clone(), react(Some("x")), vec!["we mark 5 r1 x", "publish reaction to B from A"]),
        (friend(), target(), react(Some("x")), vec!["we mark 5 r1 x", "publish reaction to B from A"]),
        (friend(), marked.clone(), react(None), vec!["we mark 5 r4 -", "publish reaction to B from A"]),
        (friend(), marked, react(Some("x")), vec![]),
        (friend(), theirs.clone(), react(None), vec![]),
        (friend(), returned, retry(), vec!["advance 5 Queued", "publish message to B from A"]),
        (
            friend(),
            failed,
            retry(),
            vec!["advance 5 Queued", "publish message to B from A", "r1 of 5 Waiting", publish_edit],
        ),
        (friend(), lost, retry(), vec!["r2 of 5 Waiting", publish_edit]),
        (friend(), undeleted, retry(), vec!["deletion of 5 Waiting", publish_delete]),
    ] {
        let effects = command::decide("alice", &peer, Some(&target), &command, &now());
        assert_eq!(short(&effects), expected, "{command:?} of {target:?}");
    }
}

#[test]
fn what_cannot_be_changed_says_why() {
    let theirs = Target { outgoing: false, ..target() };
    let deleted = Target { deleted: true, ..target() };
    let often = Target { revision: u32::MAX, ..target() };
    let waiting = Target { amending: Amending::Waiting, ..target() };
    let queued = Target { state: Delivery::Queued, ..target() };
    let returned = Target { state: Delivery::Returned, ..target() };
    for (peer, target, command, reason) in [
        (friend(), Some(theirs.clone()), edit("hi"), "not yours"),
        (friend(), Some(theirs.clone()), delete(), "not yours"),
        (friend(), Some(theirs), retry(), "not yours"),
        (friend(), Some(deleted.clone()), edit("hi"), "deleted already"),
        (friend(), Some(deleted.clone()), delete(), "deleted already"),
        (friend(), Some(deleted), react(Some("x")), "is deleted"),
        (friend(), Some(target()), edit(""), "the text is empty"),
        (friend(), Some(often), edit("hi"), "too often"),
        (friend(), Some(target()), react(Some("")), "there is no mark"),
        (friend(), Some(target()), react(Some("a b")), "one emoji or one word"),
        (friend(), Some(target()), react(Some(&"x".repeat(65))), "64 are the most"),
        (former(false), Some(target()), edit("hi"), "no longer your friend"),
        (former(false), Some(target()), react(Some("x")), "no longer your friend"),
        (former(false), Some(returned), retry(), "no longer your friend"),
        (friend(), Some(target()), retry(), "it was sent"),
        (friend(), Some(queued), retry(), "it waits here"),
        (friend(), Some(waiting), retry(), "it waits here"),
        (friend(), None, edit("hi"), "not here any more"),
        (friend(), None, retry(), "not here any more"),
    ] {
        let effects = command::decide("alice", &peer, target.as_ref(), &command, &now());
        let [Effect::Refuse { reason: given, .. }] = &effects[..] else {
            panic!("{command:?} of {target:?}: {effects:?}");
        };
        assert!(given.contains(reason), "{given:?} does not say {reason:?}");
    }
}

#[test]
fn changes_of_friends_are_taken_and_those_of_others_are_not() {
    let bodies = || {
        [
            (Body::Edit { id: id(5), revision: 2, text: "hi".into() }, "rewrite theirs 5 r2 \"hi\""),
            (Body::Delete { id: id(5) }, "erase theirs 5"),
            (Body::Reaction { id: id(5), revision: 1, mark: Some("x".into()) }, "they mark 5 r1 x"),
        ]
    };
    for (body, effect) in bodies() {
        let envelope = Envelope { user_id: Some("bob".into()), ..Envelope::new(body) };
        for peer in [friend(), former(false)] {
            assert_eq!(short(&incoming::letter(&peer, QA, &envelope, &now())), [effect], "{peer:?}");
        }
        for peer in [stranger(), former(true), asks(), Peer { blocked: true, ..former(false) }] {
            assert_eq!(incoming::letter(&peer, QA, &envelope, &now()), [], "{peer:?}");
        }
        let stranger = Envelope { user_id: Some("eve".into()), ..envelope };
        let told = incoming::letter(&friend(), QA, &stranger, &now());
        assert!(matches!(&told[..], [Effect::Notice(text)] if text.contains("eve")), "{told:?}");
    }
}
