//! What was said: changes to it, searching, forgetting.

use std::time::{Duration, SystemTime};

use shared::message::{Body, Envelope};
use uuid::Uuid;

use super::tests::{Bench, text};
use super::*;
use crate::session::api::{Amending, Command, Event, Message, Span};
use crate::session::protocol::Now;

fn all(bench: &Bench, friend: &str) -> Vec<Message> {
    bench.store.history(friend, Span::Newest, 1000).unwrap().messages
}

fn only(bench: &Bench) -> Message {
    let messages = all(bench, "bob");
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages[0].clone()
}

/// A friend bob, and a letter of his that says "one".
fn letter() -> (Bench, (String, String), Uuid) {
    let bench = Bench::new();
    let queues = bench.befriend("bob");
    let id = bench.arrive(&queues.0, "bob", text("one"), &queues.1);
    (bench, queues, id)
}

fn edit(id: Uuid, revision: u32, text: &str) -> Body {
    Body::Edit { id, revision, text: text.into() }
}

fn mark(id: Uuid, revision: u32, mark: Option<&str>) -> Body {
    Body::Reaction { id, revision, mark: mark.map(str::to_owned) }
}

#[test]
fn what_came_last_counts_in_whatever_order_it_arrives() {
    let id = Uuid::now_v7();
    let message = |id| Envelope { user_id: Some("bob".into()), ..Envelope::new(text("one")) }.with_id(id);
    let bodies = [
        edit(id, 1, "two"),
        edit(id, 2, "three"),
        mark(id, 1, Some("x")),
        mark(id, 2, Some("y")),
        mark(id, 3, None),
        mark(id, 4, Some("z")),
    ];
    // The letter itself comes at any place among them, and everything comes twice in the end.
    for place in 0..=bodies.len() {
        for backwards in [false, true] {
            let bench = Bench::new();
            let (ours, theirs) = bench.befriend("bob");
            let mut envelopes: Vec<Envelope> = bodies
                .iter()
                .map(|body| Envelope { user_id: Some("bob".into()), ..Envelope::new(body.clone()) })
                .collect();
            if backwards {
                envelopes.reverse();
            }
            envelopes.insert(place, message(id));
            envelopes.extend(envelopes.clone());
            for envelope in envelopes {
                let envelope = envelope.with_reply_to(&theirs);
                bench.store.arrived("alice", &[Arrival { queue: ours.clone(), envelope }]).unwrap();
            }
            let message = only(&bench);
            let seen = (message.text.as_str(), message.revision, message.their_mark.as_deref());
            assert_eq!(seen, ("three", 2, Some("z")), "at {place}, backwards: {backwards}");
            let early: i64 =
                bench.store.connection.query_row("SELECT count(*) FROM early", [], |row| row.get(0)).unwrap();
            assert_eq!(early, 0, "nothing is left over");
        }
    }
}

#[test]
fn a_deleted_message_stays_deleted_whatever_comes_after() {
    for early in [false, true] {
        let bench = Bench::new();
        let (ours, theirs) = bench.befriend("bob");
        let id = Uuid::now_v7();
        let letter = Envelope { user_id: Some("bob".into()), ..Envelope::new(text("secret")) }.with_id(id);
        let arrival = Arrival { queue: ours.clone(), envelope: letter.with_reply_to(&theirs) };
        if !early {
            bench.store.arrived("alice", std::slice::from_ref(&arrival)).unwrap();
            bench.run(Command::React { friend: "bob".into(), row: only(&bench).row, mark: Some("x".into()) });
        }
        bench.arrive(&ours, "bob", Body::Delete { id }, &theirs);
        bench.store.arrived("alice", &[arrival]).unwrap();
        bench.arrive(&ours, "bob", edit(id, 9, "secret again"), &theirs);
        bench.arrive(&ours, "bob", mark(id, 1, Some("x")), &theirs);
        let message = only(&bench);
        assert!(message.deleted && message.text.is_empty(), "{message:?}");
        assert_eq!((message.our_mark, message.their_mark), (None, None));
        assert_eq!(bench.store.search("secret", None, None, 10).unwrap().0, []);
    }
}

#[test]
fn nobody_changes_the_words_of_somebody_else() {
    let bench = Bench::new();
    let (ours, theirs) = bench.befriend("bob");
    let (carols, theirs_too) = bench.befriend("carol");
    let id = bench.send("bob", "mine");
    bench.arrive(&ours, "bob", edit(id, 1, "forged"), &theirs);
    bench.arrive(&ours, "bob", Body::Delete { id }, &theirs);
    bench.arrive(&carols, "carol", edit(id, 2, "forged too"), &theirs_too);
    assert_eq!(only(&bench).text, "mine");
    // Somebody who learned the name of the queue.
    let forged = Envelope { user_id: Some("carol".into()), ..Envelope::new(edit(id, 3, "forged")) };
    let events = bench.store.arrived("alice", &[Arrival { queue: ours, envelope: forged }]).unwrap();
    assert!(matches!(&events[..], [Event::Notice(text)] if text.contains("carol")));
    assert_eq!(only(&bench).text, "mine");
    let (bench, _, _) = letter();
    let row = only(&bench).row;
    for command in [
        Command::Edit { friend: "bob".into(), row, text: "forged".into() },
        Command::Delete { friend: "bob".into(), row },
    ] {
        let events = bench.run(command);
        assert!(matches!(&events[..], [Event::Failed { reason, .. }] if reason.contains("not yours")));
    }
    assert_eq!(only(&bench).text, "one");
    let elsewhere = Command::React { friend: "carol".into(), row, mark: Some("x".into()) };
    assert!(matches!(&bench.run(elsewhere)[..], [Event::Failed { .. }]), "a row of another conversation");
}

#[test]
fn what_is_kept_about_unknown_messages_is_bounded() {
    let (bench, (ours, theirs), _) = letter();
    let ids: Vec<Uuid> = (0..300).map(|_| Uuid::now_v7()).collect();
    for id in &ids {
        bench.arrive(&ours, "bob", Body::Delete { id: *id }, &theirs);
    }
    let kept = |sql: &str| -> i64 { bench.store.connection.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(kept("SELECT count(*) FROM early"), 256);
    assert_eq!(kept("SELECT min(seq) FROM early"), 45, "the oldest go");
}

#[test]
fn a_change_shows_whether_it_arrived() {
    let bench = Bench::new();
    bench.befriend("bob");
    bench.settle_all(Fate::Confirmed);
    bench.send("bob", "one");
    bench.settle_all(Fate::Confirmed);
    let row = only(&bench).row;
    let edit = |text: &str| bench.run(Command::Edit { friend: "bob".into(), row, text: text.into() });
    assert_eq!(edit("two"), []);
    assert_eq!((only(&bench).revision, only(&bench).amending), (1, Amending::Waiting));
    let first = bench.outbox().remove(0);
    assert_eq!(edit("three"), []);
    bench.store.settled(&[(first.seq, first.outgoing.routing_key, Fate::Confirmed)]).unwrap();
    assert_eq!(only(&bench).amending, Amending::Waiting, "the newest edit is what counts");
    bench.settle_all(Fate::Confirmed);
    assert_eq!((only(&bench).revision, only(&bench).amending), (2, Amending::Settled));

    edit("four");
    bench.settle_all(Fate::Returned);
    assert_eq!((only(&bench).text.as_str(), only(&bench).amending), ("four", Amending::Lost));
    let refused = bench.run(Command::Retry { friend: "bob".into(), row });
    assert!(
        matches!(&refused[..], [Event::Failed { reason, .. }] if reason.contains("no longer your friend"))
    );
    bench.befriend("bob");
    bench.settle_all(Fate::Confirmed);
    assert_eq!(bench.run(Command::Retry { friend: "bob".into(), row }), []);
    assert!(matches!(
        &bench.outbox()[0].outgoing.envelope.body,
        Body::Edit { revision: 3, text, .. } if text == "four"
    ));
    bench.settle_all(Fate::Confirmed);
    assert_eq!(only(&bench).amending, Amending::Settled);
}

#[test]
fn a_change_that_waits_when_the_friendship_ends_is_lost_and_says_so() {
    let bench = Bench::new();
    bench.befriend("bob");
    bench.settle_all(Fate::Confirmed);
    bench.send("bob", "one");
    bench.settle_all(Fate::Confirmed);
    let row = only(&bench).row;
    bench.run(Command::Edit { friend: "bob".into(), row, text: "two".into() });
    bench.run(Command::Unfriend { name: "bob".into() });
    assert!(bench.store.friends().unwrap().iter().any(|friend| friend.name == "bob" && friend.ended_by_us));
    assert_eq!((bench.outbox(), only(&bench).amending), (vec![], Amending::Lost));
    bench.run(Command::Delete { friend: "bob".into(), row });
    let message = only(&bench);
    assert!(message.deleted && message.amending == Amending::Lost, "{message:?}");
}

#[test]
fn a_message_deleted_before_it_was_sent_is_not_sent() {
    let bench = Bench::new();
    bench.befriend("bob");
    bench.settle_all(Fate::Confirmed);
    let id = bench.send("bob", "a mistake");
    bench.run(Command::Delete { friend: "bob".into(), row: only(&bench).row });
    let bodies: Vec<Body> = bench.outbox().into_iter().map(|w| w.outgoing.envelope.body).collect();
    // A copy may be on its way all the same.
    assert_eq!(bodies, [Body::Delete { id }]);
}

#[test]
fn what_came_back_is_sent_again_under_its_own_id() {
    let bench = Bench::new();
    bench.befriend("bob");
    bench.settle_all(Fate::Confirmed);
    let id = bench.send("bob", "one");
    bench.settle_all(Fate::Returned);
    let row = only(&bench).row;
    bench.befriend("bob");
    bench.settle_all(Fate::Confirmed);
    assert_eq!(bench.run(Command::Retry { friend: "bob".into(), row }), []);
    assert_eq!(only(&bench).state, crate::session::api::Delivery::Queued);
    let waiting = bench.outbox();
    assert_eq!((waiting.len(), waiting[0].outgoing.envelope.id), (1, id));
    assert_eq!(waiting[0].outgoing.envelope.body, text("one"));
    bench.settle_all(Fate::Confirmed);
    let again = bench.run(Command::Retry { friend: "bob".into(), row });
    assert!(matches!(&again[..], [Event::Failed { reason, .. }] if reason.contains("it was sent")));
}

#[test]
fn answers_know_what_they_answer() {
    let (bench, (ours, theirs), id) = letter();
    bench.run(Command::Reply { to: "bob".into(), row: only(&bench).row, text: "two".into() });
    let reply = all(&bench, "bob").remove(1);
    let known = reply.answers.unwrap().known.unwrap();
    assert_eq!(known.text, "one");
    let body = bench.outbox().pop().unwrap().outgoing.envelope.body;
    assert_eq!(body, Body::Message { text: "two".into(), reply_to_id: Some(id) });
    // The friend answers our answer, and something that we do not have.
    for answered in [reply.id, Uuid::now_v7()] {
        let body = Body::Message { text: "three".into(), reply_to_id: Some(answered) };
        bench.arrive(&ours, "bob", body, &theirs);
    }
    let messages = all(&bench, "bob");
    assert_eq!(messages[2].answers.as_ref().unwrap().known.as_ref().unwrap().text, "two");
    assert_eq!(messages[3].answers.as_ref().unwrap().known, None);
    assert_eq!(bench.run(Command::Reply { to: "bob".into(), row: 12345, text: "gone".into() }), []);
}

#[test]
fn searching_finds_words_and_their_beginnings_newest_first() {
    let (bench, (ours, theirs), id) = letter();
    bench.befriend("carol");
    bench.send("carol", "Über die Brücke gehen");
    bench.send("bob", "see you at noon, AND bring an umbrella");
    bench.send("bob", "100% \"sure\"? 日本語のメッセージ");
    bench.send("bob", "noon it is 👍");
    let found = |query: &str, friend: Option<&str>| -> Vec<String> {
        let (messages, _) = bench.store.search(query, friend, None, 10).unwrap();
        messages.into_iter().map(|message| message.text).collect()
    };
    assert_eq!(found("noon", None), ["noon it is 👍", "see you at noon, AND bring an umbrella"]);
    assert_eq!(found("umbr noon", None), ["see you at noon, AND bring an umbrella"]);
    assert_eq!(found("uber brucke", None), ["Über die Brücke gehen"]);
    assert_eq!(found("brücke", Some("bob")), Vec::<String>::new());
    for literal in ["\"sure\"?", "本語", "100%", "メッセージ sure"] {
        assert_eq!(found(literal, None).len(), 1, "{literal}");
    }
    assert_eq!(found("👍", None), ["noon it is 👍"]);
    for nothing in ["", "  ", "NOT noon", "text : noon", "noon OR zebra", "*", "mbrella"] {
        assert_eq!(found(nothing, None), Vec::<String>::new(), "{nothing}");
    }
    bench.arrive(&ours, "bob", edit(id, 1, "changed to zebra"), &theirs);
    assert_eq!((found("one", None).len(), found("zebra", None).len()), (0, 1));

    let (page, more) = bench.store.search("noon", None, None, 1).unwrap();
    assert!(more);
    let (rest, more) = bench.store.search("noon", None, Some(page[0].row), 1).unwrap();
    assert_eq!((rest[0].text.as_str(), more), ("see you at noon, AND bring an umbrella", false));
}

#[test]
fn old_messages_are_forgotten_when_that_is_wished_and_nothing_depends_on_them() {
    let (bench, _, _) = letter();
    bench.settle_all(Fate::Confirmed);
    bench.send("bob", "not sent yet");
    let later = |days: u64| SystemTime::now() + Duration::from_secs(days * 24 * 3600 + 10);
    assert_eq!(bench.store.forget_old(later(10_000)).unwrap(), 0, "all is kept unless it is wished");
    bench.store.set_retention_days(Some(30)).unwrap();
    assert_eq!(bench.store.forget_old(later(29)).unwrap(), 0);
    assert_eq!(bench.store.forget_old(later(31)).unwrap(), 0, "not seen, and not sent");
    bench.run(Command::MarkRead { friend: "bob".into(), up_to: i64::MAX });
    assert_eq!(
        bench.store.forget_old(later(31)).unwrap(),
        0,
        "the friend is still to be told that it was seen"
    );
    bench.store.write_receipts().unwrap();
    bench.settle_all(Fate::Confirmed);
    assert_eq!(bench.store.forget_old(later(31)).unwrap(), 2);
    let feed = &mut crate::session::feed::Feed::default();
    assert!(feed.read(&bench.store).unwrap().events.contains(&Event::Forgotten), "it is told once");
    assert!(!feed.read(&bench.store).unwrap().events.contains(&Event::Forgotten));
    assert_eq!(all(&bench, "bob"), []);
    assert_eq!(bench.store.friends().unwrap()[0].last_message, None);
    assert_eq!(bench.store.search("one", None, None, 10).unwrap().0, []);
    let file = std::fs::read(bench.dir.path().join("state.sqlite")).unwrap();
    bench.store.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let after = std::fs::read(bench.dir.path().join("state.sqlite")).unwrap();
    let holds = |file: &[u8]| file.windows(12).any(|part| part == b"not sent yet");
    assert!(!holds(&after), "overwritten, not only unlinked ({})", holds(&file));
    bench.store.set_retention_days(None).unwrap();
    assert_eq!(bench.store.retention_days().unwrap(), None);
}

#[test]
fn what_was_seen_is_marked_up_to_there() {
    let (bench, (ours, theirs), _) = letter();
    bench.arrive(&ours, "bob", text("two"), &theirs);
    let first = all(&bench, "bob")[0].row;
    bench.run(Command::MarkRead { friend: "bob".into(), up_to: first });
    assert_eq!(bench.store.friends().unwrap()[0].unread, 1);
    bench.run(Command::MarkRead { friend: "bob".into(), up_to: first + 1 });
    assert_eq!(bench.store.friends().unwrap()[0].unread, 0);
}

#[test]
fn a_conversation_opens_where_the_person_left_off() {
    let (bench, (ours, theirs), _) = letter();
    bench.run(Command::MarkRead { friend: "bob".into(), up_to: i64::MAX });
    let page = |limit| bench.store.history("bob", Span::Unseen, limit).unwrap();
    assert_eq!(page(10).messages.len(), 1);
    let seen = only(&bench).row;
    for n in 0..50 {
        bench.arrive(&ours, "bob", text(&n.to_string()), &theirs);
    }
    let newest = page(100);
    assert_eq!((newest.messages.len(), newest.older, newest.newer), (51, false, false));
    let part = page(8);
    assert_eq!(
        (part.messages[0].row, part.messages[1].text.as_str()),
        (seen, "0"),
        "what was seen stands above"
    );
    assert_eq!((part.messages.len(), part.older, part.newer), (8, false, true));
}

#[test]
fn friends_are_called_muted_and_put_away() {
    let (bench, (ours, theirs), _) = letter();
    let name = || "bob".to_owned();
    let friend = || bench.store.friends().unwrap().remove(0);
    bench.run(Command::SetNickname { name: name(), nickname: " Bobby ".into() });
    assert_eq!((friend().called(), friend().nickname.as_deref()), ("Bobby", Some("Bobby")));
    for bad in ["a\nb", &"x".repeat(33)] {
        let refused = bench.run(Command::SetNickname { name: name(), nickname: bad.into() });
        assert!(matches!(&refused[..], [Event::Failed { .. }]), "{bad:?}");
    }
    bench.run(Command::SetNickname { name: name(), nickname: String::new() });
    assert_eq!(friend().called(), "bob");
    let refused = bench.run(Command::Mute { name: "nobody".into(), muted: true });
    assert!(
        matches!(&refused[..], [Event::Notice(text)] if text.contains("nobody called nobody in your list"))
    );

    bench.run(Command::Archive { name: name(), archived: true });
    bench.send("bob", "from here");
    assert!(friend().archived, "what we write does not bring somebody back");
    bench.arrive(&ours, "bob", text("news"), &theirs);
    assert!(!friend().archived, "what they write does");
    bench.run(Command::Mute { name: name(), muted: true });
    bench.run(Command::Archive { name: name(), archived: true });
    bench.arrive(&ours, "bob", text("more"), &theirs);
    assert!(friend().archived && friend().muted, "unless they are muted");
    bench.run(Command::Unfriend { name: name() });
    assert!(friend().archived);
    bench.befriend("bob");
    assert!(!friend().archived, "who becomes a friend again is back");
}

#[test]
fn a_state_of_the_first_version_is_brought_up_to_date() {
    let dir = tempfile::TempDir::new().unwrap();
    let old = rusqlite::Connection::open(dir.path().join("state.sqlite")).unwrap();
    old.execute_batch(schema::MIGRATIONS[0]).unwrap();
    old.execute_batch(
        "PRAGMA user_version = 1;
         INSERT INTO peer (id, name, bond, last_row) VALUES (7, 'bob', 3, 1);
         INSERT INTO message (id, peer, outgoing, text, at, state, change)
         VALUES (x'01920000000070008000000000000001', 7, 1, 'an old story 昔話', 1000, 3, 1);",
    )
    .unwrap();
    drop(old);
    let store = Store::open(dir.path()).unwrap();
    let (found, _) = store.search("old sto", None, None, 10).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(store.search("話", None, None, 10).unwrap().0, found);
    let message = &store.history("bob", Span::Newest, 10).unwrap().messages[0];
    assert_eq!((message, message.revision, message.deleted), (&found[0], 0, false));
    let friend = &store.friends().unwrap()[0];
    assert!(!friend.muted && !friend.archived);
    let _ = store.command("alice", &Command::Delete { friend: "bob".into(), row: 1 }, &Now::new()).unwrap();
    assert_eq!(store.search("old", None, None, 10).unwrap().0, []);
    assert_eq!(store.search("昔", None, None, 10).unwrap().0, []);
}

#[test]
fn writing_without_spaces_is_found_by_any_part_of_it() {
    let (bench, (ours, theirs), id) = letter();
    for text in ["東京タワーに行きたい", "京東商城", "東西京", "ช่วยด้วย", "東 京", "👩‍👩‍👧 家族"]
    {
        bench.send("bob", text);
    }
    let found = |query: &str| -> Vec<String> {
        let (messages, _) = bench.store.search(query, None, None, 10).unwrap();
        messages.into_iter().map(|message| message.text).collect()
    };
    assert_eq!(found("東京"), ["東京タワーに行きたい"]);
    assert_eq!(found("京"), ["東 京", "東西京", "京東商城", "東京タワーに行きたい"]);
    assert_eq!(found("タワー 行き"), ["東京タワーに行きたい"]);
    assert_eq!(found("ด้วย"), ["ช่วยด้วย"]);
    assert_eq!(found("👩‍👧"), ["👩‍👩‍👧 家族"]);
    assert_eq!(found("👩 族"), ["👩‍👩‍👧 家族"]);
    assert_eq!(found("都"), Vec::<String>::new());
    let edits = [("大阪城", "大阪", 1), ("plain", "大阪", 0), ("plain 大阪", "大阪", 1)];
    for (revision, (text, query, count)) in (1..).zip(edits) {
        bench.arrive(&ours, "bob", edit(id, revision, text), &theirs);
        assert_eq!(found(query).len(), count, "{text}");
    }
    bench.arrive(&ours, "bob", Body::Delete { id }, &theirs);
    assert_eq!(found("大阪"), Vec::<String>::new());
    // The index says so itself, not only what is looked at behind it.
    let rows: i64 = bench
        .store
        .connection
        .query_row("SELECT count(*) FROM message_signs WHERE message_signs MATCH 's5927'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(rows, 0);
}

#[test]
fn a_search_beside_everything_else_finds_what_was_committed() {
    let (bench, ..) = letter();
    let beside = Store::open_to_read(bench.dir.path()).unwrap();
    assert_eq!(beside.search("umbrella", None, None, 10).unwrap().0, []);
    bench.send("bob", "my umbrella");
    assert_eq!(beside.search("umbrella", None, None, 10).unwrap().0.len(), 1);
}
