use std::time::SystemTime;

use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
use shared::message::{Body, Envelope, PresenceState, ReceiptState};
use shared::topology::{DEFAULT_EXCHANGE, FRIENDS_EXCHANGE, friend_queue_name};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::session::api::{Command, Delivery, Direction, Event, FriendStatus, Page, Span};
use crate::session::protocol::{Bond, Now};

/// A user's store, with another session of the same user next to it.
pub(crate) struct Bench {
    pub store: Store,
    pub dir: TempDir,
}

impl Bench {
    pub fn new() -> Bench {
        let dir = TempDir::new().unwrap();
        Bench { store: Store::open(dir.path()).unwrap(), dir }
    }

    fn other_session(&self) -> Store {
        Store::open(self.dir.path()).unwrap()
    }

    pub fn run(&self, command: Command) -> Vec<Event> {
        self.store.command("alice", &command, &Now::new()).unwrap()
    }

    /// Makes `name` a friend; returns our queue for them and theirs for us.
    pub fn befriend(&self, name: &str) -> (String, String) {
        let theirs = friend_queue_name();
        self.run(Command::Befriend { name: name.into(), note: String::new() });
        let ours = self.store.peer(name).unwrap().asked.unwrap().queue;
        self.arrive(&ours, name, Body::Accept {}, &theirs);
        (ours, theirs)
    }

    pub fn arrive(&self, queue: &str, from: &str, body: Body, reply_to: &str) -> Uuid {
        let envelope = Envelope { user_id: Some(from.into()), ..Envelope::new(body) }.with_reply_to(reply_to);
        let id = envelope.id;
        let events = self.store.arrived("alice", &[Arrival { queue: queue.into(), envelope }]).unwrap();
        assert_eq!(events, []);
        id
    }

    pub fn send(&self, to: &str, text: &str) -> Uuid {
        assert_eq!(self.run(Command::Send { to: to.into(), text: text.into() }), []);
        self.store.history(to, Span::Newest, 1).unwrap().messages[0].id
    }

    pub fn outbox(&self) -> Vec<Waiting> {
        outbox(&self.store)
    }

    pub fn settle_all(&self, fate: Fate) {
        let fates: Vec<_> = self
            .outbox()
            .into_iter()
            .map(|waiting| (waiting.seq, waiting.outgoing.routing_key, fate.clone()))
            .collect();
        self.store.settled(&fates).unwrap();
    }

    fn texts(&self, friend: &str) -> Vec<(String, Delivery)> {
        let page = self.store.history(friend, Span::Newest, 100).unwrap();
        page.messages.into_iter().map(|message| (message.text, message.state)).collect()
    }
}

/// What waits, whatever for, in order, once the broker has all queues.
fn outbox(store: &Store) -> Vec<Waiting> {
    for queue in store.queues().unwrap() {
        store.queue_declared(&queue.name).unwrap();
    }
    let mut all = store.outbox(FRIENDS_EXCHANGE, 0, 100).unwrap().waiting;
    all.extend(store.outbox(DEFAULT_EXCHANGE, 0, 100).unwrap().waiting);
    all.sort_by_key(|waiting| waiting.seq);
    all
}

pub(crate) fn text(text: &str) -> Body {
    Body::Message { text: text.into(), reply_to_id: None }
}

#[test]
fn a_message_is_kept_once_however_often_it_arrives() {
    let bench = Bench::new();
    let (ours, theirs) = bench.befriend("bob");
    let envelope =
        Envelope { user_id: Some("bob".into()), ..Envelope::new(text("hi")) }.with_reply_to(&theirs);
    let arrival = Arrival { queue: ours, envelope };
    bench.store.arrived("alice", &[arrival.clone(), arrival.clone()]).unwrap();
    bench.store.arrived("alice", &[arrival]).unwrap();
    assert_eq!(bench.texts("bob"), [("hi".into(), Delivery::Delivered)]);
    assert_eq!(bench.store.friends().unwrap()[0].unread, 1);
}

#[test]
fn a_friend_cannot_pass_a_message_off_as_a_copy_of_ours() {
    let bench = Bench::new();
    let (ours, theirs) = bench.befriend("bob");
    let id = bench.send("bob", "mine");
    let envelope = Envelope { user_id: Some("bob".into()), ..Envelope::new(text("theirs")) }
        .with_id(id)
        .with_reply_to(&theirs);
    bench.store.arrived("alice", &[Arrival { queue: ours, envelope }]).unwrap();
    assert_eq!(bench.texts("bob").len(), 2);
}

#[test]
fn the_outbox_keeps_its_order_across_sessions_and_restarts() {
    let bench = Bench::new();
    bench.befriend("bob");
    bench.settle_all(Fate::Confirmed);
    bench.send("bob", "one");
    let other = bench.other_session();
    other.command("alice", &Command::Send { to: "bob".into(), text: "two".into() }, &Now::new()).unwrap();
    bench.send("bob", "three");
    drop(other);
    let reopened = bench.other_session();
    let bodies: Vec<_> =
        outbox(&reopened).into_iter().map(|waiting| waiting.outgoing.envelope.body).collect();
    assert_eq!(bodies, [text("one"), text("two"), text("three")]);
    assert_eq!(reopened.pending().unwrap(), 3);
}

#[test]
fn confirmed_messages_leave_the_outbox_and_move_on_only_forward() {
    let bench = Bench::new();
    let (ours, theirs) = bench.befriend("bob");
    let id = bench.send("bob", "hi");
    let read = Body::Receipt { ids: vec![id], state: ReceiptState::Read };
    bench.arrive(&ours, "bob", read, &theirs);
    bench.settle_all(Fate::Confirmed);
    let delivered = Body::Receipt { ids: vec![id], state: ReceiptState::Delivered };
    bench.arrive(&ours, "bob", delivered, &theirs);
    assert_eq!(bench.texts("bob"), [("hi".into(), Delivery::Read)], "a receipt may overtake the confirm");
    assert_eq!(bench.outbox(), []);
}

#[test]
fn a_return_ends_the_friendship_and_keeps_every_word() {
    let bench = Bench::new();
    let (ours, _) = bench.befriend("bob");
    bench.settle_all(Fate::Confirmed);
    bench.run(Command::SaveDraft { friend: "bob".into(), text: "half a thou".into() });
    bench.send("bob", "one");
    bench.send("bob", "two");
    let first = bench.outbox().remove(0);
    let fate = (first.seq, first.outgoing.routing_key, Fate::Returned);
    bench.store.settled(&[fate]).unwrap();
    let returned = |text: &str| (text.to_owned(), Delivery::Returned);
    assert_eq!(bench.texts("bob"), [returned("one"), returned("two")]);
    assert_eq!(bench.outbox(), []);
    assert_eq!(bench.store.peer("bob").unwrap().bond, Bond::Former { by_us: false });
    assert!(!bench.store.friends().unwrap()[0].ended_by_us);
    let friends = bench.store.friends().unwrap();
    assert_eq!((friends[0].status, friends[0].draft.as_str()), (FriendStatus::Former, "half a thou"));
    let queues = bench.store.queues().unwrap();
    assert_eq!((queues[0].name.as_str(), queues[0].state), (ours.as_str(), QueueState::ToDrain));

    let refused = bench.run(Command::Send { to: "bob".into(), text: "three".into() });
    assert!(matches!(&refused[..], [Event::Failed { .. }]));
    assert_eq!(bench.store.friends().unwrap()[0].draft, "half a thou", "an older draft is not overwritten");
}

#[test]
fn a_message_returned_from_a_queue_that_the_friend_has_left_goes_to_the_new_one() {
    let bench = Bench::new();
    let (ours, old) = bench.befriend("bob");
    bench.settle_all(Fate::Confirmed);
    bench.send("bob", "hi");
    let seq = bench.outbox()[0].seq;
    let new = friend_queue_name();
    bench.arrive(&ours, "bob", text("I moved"), &new);
    let settled = bench.store.settled(&[(seq, old, Fate::Returned)]).unwrap();
    assert!(settled.again);
    let waiting = bench.outbox();
    assert_eq!((waiting.len(), waiting[0].outgoing.routing_key.as_str()), (1, new.as_str()));
    assert!(matches!(bench.store.peer("bob").unwrap().bond, Bond::Friend { .. }));
}

#[test]
fn a_sign_of_life_that_comes_back_before_our_answer_does_not_speak_for_it() {
    let bench = Bench::new();
    bench.store.welcome(&format!("inbox.{}", "a".repeat(52)), "servers").unwrap();
    let theirs = friend_queue_name();
    let body = Body::IncomingRequest { from: "bob".into(), note: String::new() };
    let inbox = bench.store.queues().unwrap()[0].name.clone();
    bench.arrive(&inbox, "servers", body, &theirs);
    bench.run(Command::Accept { name: "bob".into() });
    let sign = Envelope::new(PresenceState::Online.into());
    bench.store.beat_returned("bob", &theirs, &sign).unwrap();
    assert!(matches!(bench.store.peer("bob").unwrap().bond, Bond::Friend { .. }));

    let accept = bench.outbox().remove(0);
    let settled = bench.store.settled(&[(accept.seq, theirs.clone(), Fate::Returned)]).unwrap();
    assert!(
        matches!(&settled.events[..], [Event::Failed { reason, .. }] if reason.contains("took the request back"))
    );
    assert_eq!(bench.store.friends().unwrap(), []);
}

#[test]
fn why_a_friend_is_away_is_known_as_long_as_they_are() {
    let bench = Bench::new();
    let (ours, theirs) = bench.befriend("bob");
    let say = |state, note: &str| {
        bench.arrive(&ours, "bob", Body::Presence { state, note: note.into() }, &theirs);
        bench.store.friends().unwrap().remove(0).away_note
    };
    assert_eq!(say(PresenceState::Away, "lunch"), "lunch");
    assert_eq!(say(PresenceState::Away, "tea"), "tea");
    assert_eq!(say(PresenceState::Online, "never mind"), "");
    assert_eq!(say(PresenceState::Away, ""), "");
    say(PresenceState::Away, "lunch");
    bench.store.forget_presence().unwrap();
    assert_eq!(bench.store.friends().unwrap().remove(0).away_note, "");
}

#[test]
fn a_request_waits_for_the_first_friend_server() {
    let bench = Bench::new();
    bench.run(Command::Befriend { name: "bob".into(), note: String::new() });
    let seq = bench.outbox()[0].seq;
    let settled = bench.store.settled(&[(seq, String::new(), Fate::Returned)]).unwrap();
    assert!(settled.no_friend_server);
    assert_eq!(bench.outbox().len(), 1);
}

#[test]
fn what_asks_for_an_answer_is_held_until_the_answer_can_come() {
    let bench = Bench::new();
    bench.run(Command::Befriend { name: "carol".into(), note: String::new() });
    bench.run(Command::Befriend { name: "dave".into(), note: String::new() });
    let queue = |name| bench.store.peer(name).unwrap().asked.unwrap().queue;
    let page = bench.store.outbox(FRIENDS_EXCHANGE, 0, 10).unwrap();
    assert_eq!(page.waiting, []);
    bench.store.queue_declared(&queue("dave")).unwrap();
    let page = bench.store.outbox(FRIENDS_EXCHANGE, 0, 10).unwrap();
    assert_eq!(page.waiting.iter().map(|waiting| &waiting.peer).collect::<Vec<_>>(), ["dave"]);
    assert!(page.first_held.is_some_and(|held| held < page.waiting[0].seq));
    bench.store.queue_declared(&queue("carol")).unwrap();
    let page = bench.store.outbox(FRIENDS_EXCHANGE, 0, 10).unwrap();
    assert_eq!((page.waiting.len(), page.first_held), (2, None));
}

#[test]
fn receipts_are_batched_and_owed_until_they_are_in_the_outbox() {
    let bench = Bench::new();
    let (ours, theirs) = bench.befriend("bob");
    bench.settle_all(Fate::Confirmed);
    let ids: Vec<_> = (0..300).map(|n| bench.arrive(&ours, "bob", text(&n.to_string()), &theirs)).collect();
    assert!(bench.store.write_receipts().unwrap());
    assert!(!bench.store.write_receipts().unwrap(), "nothing is owed twice");
    bench.run(Command::MarkRead { friend: "bob".into(), up_to: i64::MAX });
    assert_eq!(bench.store.friends().unwrap()[0].unread, 0);
    assert!(bench.store.write_receipts().unwrap());
    let mut told = [Vec::new(), Vec::new()];
    for waiting in bench.outbox() {
        assert_eq!(waiting.outgoing.routing_key, theirs);
        match waiting.outgoing.envelope.body {
            Body::Receipt { ids, state: ReceiptState::Delivered } => told[0].extend(ids),
            Body::Receipt { ids, state: ReceiptState::Read } => told[1].extend(ids),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, [ids.clone(), ids]);
}

#[test]
fn history_comes_in_pages() {
    let bench = Bench::new();
    bench.befriend("bob");
    bench.befriend("carol");
    for n in 0..25 {
        bench.send("bob", &n.to_string());
        bench.send("carol", "between");
    }
    let (mut seen, mut span, mut pages) = (Vec::new(), Span::Newest, 0);
    loop {
        let Page { messages, older, newer } = bench.store.history("bob", span, 10).unwrap();
        assert_eq!(newer, pages > 0);
        span = Span::Before(messages[0].row);
        seen.splice(0..0, messages.into_iter().map(|message| message.text));
        pages += 1;
        if !older {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (25, 3));
    assert!(seen.iter().enumerate().all(|(n, text)| *text == n.to_string()));
    let mut span = Span::After(0);
    for (from, older, newer) in [(0, false, true), (10, true, true), (20, true, false)] {
        let page = bench.store.history("bob", span, 10).unwrap();
        assert_eq!(
            (page.messages[0].text.as_str(), page.older, page.newer),
            (&*from.to_string(), older, newer)
        );
        span = Span::After(page.messages.last().unwrap().row);
    }
    let row = |text: &str| -> i64 {
        let all = bench.store.history("bob", Span::Newest, 100).unwrap().messages;
        all.iter().find(|message| message.text == text).unwrap().row
    };
    for (middle, first, last, older, newer) in
        [("12", "7", "16", true, true), ("0", "0", "9", false, true), ("24", "19", "24", true, false)]
    {
        let page = bench.store.history("bob", Span::Around(row(middle)), 10).unwrap();
        let texts = (page.messages[0].text.as_str(), page.messages.last().unwrap().text.as_str());
        assert_eq!((texts, page.older, page.newer), ((first, last), older, newer), "around {middle}");
    }
    assert_eq!(bench.store.history("nobody", Span::Newest, 10).unwrap(), Page::default());
}

#[test]
fn sessions_follow_each_other() {
    let bench = Bench::new();
    bench.befriend("bob");
    let mut other = bench.other_session();
    let (change, row) = other.newest_change().unwrap();
    assert!(!other.changed_elsewhere().unwrap());
    let id = bench.send("bob", "hi");
    assert!(other.changed_elsewhere().unwrap());
    assert!(!other.changed_elsewhere().unwrap());
    let messages = other.newer(row, 10).unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!((messages[0].id, messages[0].direction), (id, Direction::Outgoing));
    let known = messages[0].row;
    bench.settle_all(Fate::Confirmed);
    let changes = other.changes((change, i64::MAX), known, 10).unwrap();
    assert_eq!((changes.len(), &changes[0].message.state), (1, &Delivery::Sent));
    assert_eq!(other.changes((changes[0].number, known), known, 10).unwrap(), []);
}

#[test]
fn one_session_talks_to_the_broker() {
    let bench = Bench::new();
    let other = bench.other_session();
    let held = bench.store.try_lock_link().unwrap().expect("nobody holds it");
    assert!(other.try_lock_link().unwrap().is_none());
    drop(held);
    assert!(other.try_lock_link().unwrap().is_some());
}

#[test]
fn a_state_from_the_future_is_refused_untouched() {
    let bench = Bench::new();
    bench.store.connection.execute_batch("PRAGMA user_version = 99").unwrap();
    let Err(error) = Store::open(bench.dir.path()) else { panic!("opened") };
    assert!(matches!(error, StoreError::Newer { found: 99, known: 4 }));
    assert!(error.to_string().contains("update chat-tui"));
}

#[test]
fn what_is_wrong_with_the_file_is_said_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    let file = folder.path().join("state.sqlite");
    std::fs::write(&file, "this is no database at all, and longer than its header would be: ".repeat(3))
        .unwrap();
    let error = Store::open(folder.path()).map(drop).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()) && error.contains("damaged"), "{error}");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let error = Store::open(folder.path()).map(drop).unwrap_err().to_string();
    assert!(error.contains("may you write to it?"), "{error}");
    // As where the disk is full, and the index of the log cannot be made.
    let source = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(SQLITE_IOERR_SHMSIZE), None);
    let error = StoreError::Open { path: "/state".into(), source }.to_string();
    assert!(error.contains("/state") && error.contains("is the disk full?"), "{error}");
}

#[test]
fn a_full_disk_refuses_what_is_new_and_harms_nothing() {
    let bench = Bench::new();
    bench.befriend("bob");
    let pages = |most: i64| {
        let sql = format!("PRAGMA max_page_count = {most}");
        bench.store.connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let send = Command::Send { to: "bob".into(), text: "x".repeat(10_000) };
    pages(1);
    let full = |n: &usize| (0..*n).find_map(|_| bench.store.command("alice", &send, &Now::new()).err());
    let error = full(&50).expect("a limit of pages was reached");
    assert!(error.to_string().contains("make room on the disk"), "{error}");
    let said = bench.store.history("bob", Span::Newest, 100).unwrap().messages.len();
    let waiting = bench.outbox().len();
    assert!(full(&3).is_some());
    assert_eq!(bench.store.history("bob", Span::Newest, 100).unwrap().messages.len(), said);
    assert_eq!(bench.outbox().len(), waiting, "both or none");
    pages(1_000_000);
    bench.send("bob", "room again");
}

#[test]
fn a_new_inbox_replaces_the_old_one() {
    let bench = Bench::new();
    let names = |n: &str| format!("inbox.{}", n.repeat(52));
    bench.store.welcome(&names("a"), "servers").unwrap();
    bench.store.queue_declared(&names("a")).unwrap();
    bench.store.welcome(&names("a"), "servers").unwrap();
    assert_eq!(bench.store.queues().unwrap()[0].state, QueueState::Declared);
    bench.store.welcome(&names("b"), "servers").unwrap();
    let states: Vec<_> =
        bench.store.queues().unwrap().into_iter().map(|queue| (queue.name, queue.state)).collect();
    assert_eq!(states, [(names("a"), QueueState::ToDrain), (names("b"), QueueState::ToDeclare)]);
}

#[test]
fn the_inbox_takes_nothing_from_strangers() {
    let bench = Bench::new();
    let inbox = format!("inbox.{}", "a".repeat(52));
    bench.store.welcome(&inbox, "servers").unwrap();
    let request = |sender: &str| {
        let body = Body::IncomingRequest { from: "bob".into(), note: String::new() };
        let envelope = Envelope { user_id: Some(sender.into()), ..Envelope::new(body) };
        Arrival { queue: inbox.clone(), envelope: envelope.with_reply_to(friend_queue_name()) }
    };
    let events = bench.store.arrived("alice", &[request("eve")]).unwrap();
    assert!(matches!(&events[..], [Event::Notice(text)] if text.contains("eve")));
    assert_eq!(bench.store.requests().unwrap(), []);
    bench.store.arrived("alice", &[request("servers")]).unwrap();
    assert_eq!(bench.store.requests().unwrap()[0].name, "bob");
}

#[test]
fn times_survive_to_the_millisecond() {
    for at in [0, 1, 1_764_000_000_123] {
        assert_eq!(millis(from_millis(at)), at);
    }
    assert_eq!(from_millis(-1), SystemTime::UNIX_EPOCH);
}
