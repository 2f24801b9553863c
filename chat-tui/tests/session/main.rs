//! Sessions against the embedded broker: what happens when things go wrong in between.

mod user;

use std::time::Duration;

use chat_tui::embedded::Embedded;
use chat_tui::session::api::{
    Command, Connection, Delivery, Event, Friend, FriendStatus, Presence, RequestState,
};
use user::World;

fn send(to: &str, text: impl Into<String>) -> Command {
    Command::Send { to: to.into(), text: text.into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_arrives_complete_and_in_order_and_once() {
    const MESSAGES: usize = 2000;
    let world = World::new(1).await;
    let (mut alice, mut bob) = world.friends("alice", "bob").await;
    bob.leave().await;
    for n in 0..MESSAGES {
        alice.give(send("bob", n.to_string())).await;
    }
    alice.settled().await;
    let mut bob = world.user("bob");
    let mut got = Vec::new();
    while got.len() < MESSAGES {
        got.push(bob.next_text("alice").await);
    }
    assert!(got.iter().enumerate().all(|(n, text)| *text == n.to_string()), "out of order");
    bob.caught_up().await;
    assert_eq!(bob.stored("alice").await.len(), MESSAGES);
    // Receipts tell alice of every single one.
    alice.until_state("bob", &(MESSAGES - 1).to_string(), |state| *state == Delivery::Delivered).await;
    let states = alice.stored("bob").await;
    assert!(states.iter().all(|message| message.state == Delivery::Delivered));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_crashes_loses_nothing_and_repeats_nothing() {
    const MESSAGES: usize = 300;
    let world = World::new(1).await;
    let (mut alice, mut bob) = world.friends("alice", "bob").await;
    for n in 0..MESSAGES {
        alice.give(send("bob", n.to_string())).await;
        if n % 50 == 49 {
            // Whatever it was doing: nobody says goodbye.
            alice.taken_in().await;
            alice.crash().await;
            alice = world.user("alice");
        }
    }
    let mut got = Vec::new();
    while got.len() < MESSAGES {
        got.push(bob.next_text("alice").await);
    }
    got.sort_by_key(|text| text.parse::<usize>().unwrap());
    got.dedup();
    assert_eq!(got.len(), MESSAGES, "each message once");
    assert_eq!(bob.stored("alice").await.len(), MESSAGES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_crashes_gets_the_rest_and_nothing_twice() {
    const MESSAGES: usize = 300;
    let world = World::new(1).await;
    let (mut alice, mut bob) = world.friends("alice", "bob").await;
    bob.leave().await;
    for n in 0..MESSAGES {
        alice.give(send("bob", n.to_string())).await;
    }
    alice.settled().await;
    let mut bob = world.user("bob");
    for _ in 0..3 {
        bob.next_text("alice").await;
        bob.crash().await;
        bob = world.user("bob");
    }
    bob.caught_up().await;
    let stored: Vec<_> = bob.stored("alice").await.into_iter().map(|message| message.text).collect();
    let sent: Vec<_> = (0..MESSAGES).map(|n| n.to_string()).collect();
    assert_eq!(stored, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_restarts_is_found_again_and_everything_with_it() {
    let mut world = World::new(1).await;
    let (mut alice, mut bob) = world.friends("alice", "bob").await;
    world.embedded.stop_broker().await.unwrap();
    alice.until(|event| matches!(event, Event::Connection(Connection::Offline { .. }))).await;
    alice.give(send("bob", "while it was down")).await;
    alice.give(Command::Befriend { name: "carol".into(), note: String::new() }).await;
    world.embedded.start_broker().await.unwrap();
    assert_eq!(bob.next_text("alice").await, "while it was down");
    alice.until_state("bob", "while it was down", |state| *state == Delivery::Delivered).await;
    // There is no carol; the friend server, connected again as well, says so.
    alice.until_request("carol", |state| matches!(state, RequestState::Failed(_))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sessions_of_one_user_see_the_same_and_the_second_takes_over() {
    let world = World::new(1).await;
    let (mut first, mut bob) = world.friends("alice", "bob").await;
    let mut second = world.user("alice");
    second.caught_up().await;
    second.give(send("bob", "from the second")).await;
    assert_eq!(bob.next_text("alice").await, "from the second");
    second.until_state("bob", "from the second", |state| *state == Delivery::Delivered).await;
    bob.give(send("alice", "to both")).await;
    assert_eq!(first.next_text("bob").await, "to both");
    assert_eq!(second.next_text("bob").await, "to both");
    // Friends see the first, and the second does not pretend otherwise.
    second.give(Command::SetAway(Some("lunch".into()))).await;
    second.until(|event| matches!(event, Event::Notice(text) if text.contains("type /away there"))).await;

    first.crash().await;
    bob.give(send("alice", "to whoever is left")).await;
    assert_eq!(second.next_text("bob").await, "to whoever is left");
    let says_lunch = |friend: &Friend| friend.presence == Presence::Away && friend.away_note == "lunch";
    bob.until(|event| matches!(event, Event::Friends(friends) if friends.iter().any(says_lunch))).await;
    bob.give(Command::Unfriend { name: "alice".into() }).await;
    bob.settled().await;
    second.give(send("bob", "hello?")).await;
    second.until(|event| matches!(event, Event::Unfriended { by } if by == "bob")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfriended_user_learns_of_it_without_typing_and_gets_the_last_words() {
    let world = World::new(1).await;
    let (mut alice, mut bob) = world.friends("alice", "bob").await;
    alice.leave().await;
    bob.give(send("alice", "goodbye")).await;
    bob.settled().await;
    bob.give(Command::Unfriend { name: "alice".into() }).await;
    bob.settled().await;
    let mut alice = world.user("alice");
    alice.until(|event| matches!(event, Event::Unfriended { by } if by == "bob")).await;
    alice.settled().await;
    let stored: Vec<_> = alice.stored("bob").await.into_iter().map(|message| message.text).collect();
    assert_eq!(stored, ["goodbye"]);
    alice.give(send("bob", "wait")).await;
    alice
        .until(
            |event| matches!(event, Event::Failed { reason, .. } if reason.contains("no longer your friend")),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_and_typing_are_seen() {
    let world = World::new(1).await;
    let (mut alice, mut bob) = world.friends("alice", "bob").await;
    alice.until_presence(|presence| *presence == Presence::Online).await;
    bob.give(Command::SetAway(Some("lunch".into()))).await;
    let says_lunch = |friend: &Friend| friend.presence == Presence::Away && friend.away_note == "lunch";
    alice.until(|event| matches!(event, Event::Friends(friends) if friends.iter().any(says_lunch))).await;
    bob.give(Command::SetAway(Some("x".repeat(201)))).await;
    let too_long = |reason: &str| reason.contains("201 bytes long");
    bob.until(|event| matches!(event, Event::Failed { reason, .. } if too_long(reason))).await;
    bob.give(Command::SetAway(None)).await;
    alice.until_presence(|presence| *presence == Presence::Online).await;
    bob.until_presence(|presence| *presence == Presence::Online).await;
    bob.give(Command::Typing { friend: "alice".into() }).await;
    alice.until(|event| matches!(event, Event::Typing { friend } if friend == "bob")).await;
    bob.leave().await;
    alice.until_presence(|presence| matches!(presence, Presence::Offline { last_seen: Some(_) })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_waits_for_the_first_friend_server() {
    let mut world = World::new(0).await;
    let mut alice = world.user("alice");
    alice.online().await;
    alice.give(Command::Befriend { name: "bob".into(), note: String::new() }).await;
    alice.until(|event| matches!(event, Event::Notice(text) if text.contains("friend server"))).await;
    world.embedded.start_friend_server().await.unwrap();
    alice.until_request("bob", |state| matches!(state, RequestState::Failed(_))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_ends_the_session_with_a_reason() {
    let world = World::new(0).await;
    let mut alice = world.user("alice");
    alice.online().await;
    alice.leave().await;
    let mut thief = world.user_with_password("alice", "a guess");
    let end = thief.until(|event| matches!(event, Event::Ended { .. })).await;
    assert!(matches!(&end, Event::Ended { reason: Some(reason) } if reason.contains("wrong password")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_request_disappears_and_an_answer_to_it_comes_back() {
    let world = World::new(1).await;
    let (mut alice, mut bob) = (world.signed_up("alice").await, world.signed_up("bob").await);
    alice.give(Command::Befriend { name: "bob".into(), note: String::new() }).await;
    bob.until(|event| matches!(event, Event::Requests(requests) if !requests.is_empty())).await;
    alice.give(Command::Withdraw { name: "bob".into() }).await;
    bob.until(|event| matches!(event, Event::Requests(requests) if requests.is_empty())).await;
    alice.settled().await;

    // Bob, offline, does not hear of the second withdrawal before he answers.
    alice.give(Command::Befriend { name: "bob".into(), note: String::new() }).await;
    bob.until(|event| matches!(event, Event::Requests(requests) if !requests.is_empty())).await;
    bob.leave().await;
    alice.give(Command::Withdraw { name: "bob".into() }).await;
    alice.settled().await;
    let mut bob = world.user("bob");
    bob.give(Command::Accept { name: "alice".into() }).await;
    let told = bob.until(|event| matches!(event, Event::Failed { .. })).await;
    let Event::Failed { reason, .. } = told else { unreachable!() };
    assert!(reason.contains("took the request back") || reason.contains("no request from alice"), "{reason}");
    bob.settled().await;
    assert!(bob.stored_friends().iter().all(|friend| friend.status != FriendStatus::Friend));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_text_arrives_as_it_was() {
    let world = World::new(1).await;
    let (mut alice, mut bob) = world.friends("alice", "bob").await;
    let text: String = "\u{1}\"\\漢🐇\n".chars().cycle().take(5000).collect();
    assert!(text.len() < shared::message::TEXT_BYTES_MAX);
    alice.give(send("bob", text.clone())).await;
    assert_eq!(bob.next_text("alice").await, text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_will_never_take_fails_and_holds_up_nothing() {
    let mut world = World::new(1).await;
    let (mut alice, mut bob) = world.friends("alice", "bob").await;
    world.embedded.stop_broker().await.unwrap();
    alice.until(|event| matches!(event, Event::Connection(Connection::Offline { .. }))).await;
    alice.give(send("bob", "before")).await;
    alice.give(send("bob", "the bad one")).await;
    alice.give(send("bob", "after")).await;
    alice.taken_in().await;
    // As if it had been addressed to a queue that users may not write to.
    world.redirect_waiting("alice", "the bad one", "amq.gen-not-allowed");
    world.embedded.start_broker().await.unwrap();
    assert_eq!(bob.next_text("alice").await, "before");
    assert_eq!(bob.next_text("alice").await, "after");
    alice.until_state("bob", "the bad one", |state| matches!(state, Delivery::Failed(_))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_does_not_stop_commands() {
    let world = World::new(1).await;
    let (mut alice, mut bob) = world.friends("alice", "bob").await;
    // Nobody takes alice's events for a while.
    for n in 0..6000 {
        bob.give(send("alice", n.to_string())).await;
    }
    bob.settled().await;
    tokio::time::timeout(Duration::from_secs(30), alice.give(send("bob", "I am still here")))
        .await
        .expect("the command is taken");
    assert_eq!(bob.next_text("alice").await, "I am still here");
    for n in 0..6000 {
        assert_eq!(alice.next_text("bob").await, n.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_local_states_of_one_user_do_not_share_the_inbox() {
    let world = World::new(1).await;
    let (mut here, mut bob) = (world.signed_up("alice").await, world.signed_up("bob").await);
    let mut elsewhere = world.user_elsewhere("alice");
    elsewhere
        .until(|event| matches!(event, Event::Notice(text) if text.contains("signed in elsewhere")))
        .await;
    bob.give(Command::Befriend { name: "alice".into(), note: String::new() }).await;
    here.until(|event| matches!(event, Event::Requests(requests) if !requests.is_empty())).await;
    here.leave().await;
    // The inbox is free now.
    bob.give(Command::Withdraw { name: "alice".into() }).await;
    bob.give(Command::Befriend { name: "alice".into(), note: "again".into() }).await;
    elsewhere.until(|event| matches!(event, Event::Requests(requests) if !requests.is_empty())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn friend_requests_go_to_the_session_that_takes_over() {
    let world = World::new(1).await;
    let (mut here, mut bob) = (world.signed_up("alice").await, world.signed_up("bob").await);
    let mut elsewhere = world.user_elsewhere("alice");
    elsewhere.until(|event| matches!(event, Event::Notice(text) if text.contains("/take-over"))).await;
    elsewhere.give(Command::TakeOver).await;
    here.until(|event| matches!(event, Event::Notice(text) if text.contains("has taken"))).await;
    elsewhere.caught_up().await;
    bob.give(Command::Befriend { name: "alice".into(), note: String::new() }).await;
    elsewhere.until(|event| matches!(event, Event::Requests(requests) if !requests.is_empty())).await;
    assert!(!here.has_seen(|event| matches!(event, Event::Requests(requests) if !requests.is_empty())));
    // And back.
    here.give(Command::TakeOver).await;
    elsewhere.until(|event| matches!(event, Event::Notice(text) if text.contains("has taken"))).await;
    bob.give(Command::Withdraw { name: "alice".into() }).await;
    bob.give(Command::Befriend { name: "alice".into(), note: "again".into() }).await;
    here.until(|event| matches!(event, Event::Requests(requests) if !requests.is_empty())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfriending_in_the_middle_of_a_flood_leaves_the_connection_alone() {
    let world = World::new(1).await;
    let (mut alice, mut bob) = world.friends("alice", "bob").await;
    let mut carol = world.signed_up("carol").await;
    for n in 0..500 {
        bob.give(send("alice", n.to_string())).await;
    }
    assert_eq!(alice.next_text("bob").await, "0");
    alice.give(Command::Unfriend { name: "bob".into() }).await;
    alice.settled().await;
    bob.until(|event| matches!(event, Event::Unfriended { by } if by == "alice")).await;
    // Alice is still online and takes what comes.
    carol.give(Command::Befriend { name: "alice".into(), note: String::new() }).await;
    alice.until(|event| matches!(event, Event::Requests(requests) if !requests.is_empty())).await;
    assert!(!alice.has_seen(|event| matches!(event, Event::Connection(Connection::Offline { .. }))));
    // Every word of bob's is kept with what became of it, or was given back.
    bob.settled().await;
    let states: Vec<_> = bob.stored("alice").await.into_iter().map(|message| message.state).collect();
    assert!(states.iter().all(|state| *state != Delivery::Queued), "{states:?}");
    bob.leave().await;
    let given_back =
        bob.count_seen(|event| matches!(event, Event::Failed { command: Command::Send { .. }, .. }));
    assert_eq!(states.len() + given_back, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_broker_leaves_nothing_behind() {
    let embedded = Embedded::start().await.unwrap();
    let address = embedded.address();
    embedded.shutdown().await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
