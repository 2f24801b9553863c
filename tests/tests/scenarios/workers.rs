//! Friend servers: any number of them, and each may die at any time.

use std::collections::BTreeMap;

use e2e::{FriendServer, Peer, World, amqp};
use rustix::process::Signal;
use shared::message::Body;

const ASKERS: usize = 40;

/// `ASKERS` users ask bob, `while_working` does something to the friend servers when some of the requests are through,
/// and then bob must have seen every request once.
fn everybody_asks_bob(mut world: World, while_working: impl FnOnce(&mut World)) {
    let bob = world.user("bob");
    let at_bobs = bob.listen();
    amqp::run(async {
        let mut askers = Vec::new();
        for number in 0..ASKERS {
            let asker = Peer::signed_up(&world.broker, &format!("asker{number}")).await;
            let queue = asker.friend_queue().await;
            askers.push((asker, queue));
        }
        for (asker, queue) in &askers {
            asker.ask("bob", queue).await;
        }
        at_bobs.hear_all("request", 3, |_| true);
        while_working(&mut world);
        let seen = at_bobs.hear_all("request", ASKERS, |_| true);
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for request in &seen {
            *times.entry(request["name"].to_string()).or_default() += 1;
        }
        assert_eq!(times.len(), ASKERS, "somebody's request is missing: {times:?}");
        assert!(times.values().all(|count| *count == 1), "a request is shown twice: {times:?}");
        assert_eq!(bob.must(&["requests"]).events().len(), ASKERS);
    });
}

#[test]
fn several_share_the_work() {
    everybody_asks_bob(World::with_friend_servers(3), |_| {});
}

#[test]
fn one_that_is_killed_loses_nothing_and_doubles_nothing() {
    let world = World::with_friend_servers(3);
    everybody_asks_bob(world, |world| world.friend_servers[0].kill9());
}

#[test]
fn one_that_hangs_with_requests_in_hand_loses_nothing_when_it_dies() {
    let mut world = World::with_friend_servers(1);
    let bob = world.user("bob");
    let at_bobs = bob.listen();
    // It gets requests, and cannot even begin.
    world.friend_servers[0].process().signal(Signal::STOP);
    amqp::run(async {
        let asker = Peer::signed_up(&world.broker, "alice").await;
        let queue = asker.friend_queue().await;
        asker.ask("bob", &queue).await;
        world.friend_servers[0].kill9();
        world.friend_servers.push(FriendServer::start(&world.broker));
        at_bobs.hear("request", |event| event["name"] == "alice");
    });
}

#[test]
fn all_of_them_give_the_same_answers() {
    let world = World::with_friend_servers(3);
    amqp::run(async {
        let alice = Peer::signed_up(&world.broker, "alice").await;
        let mut inboxes = Vec::new();
        for _ in 0..9 {
            let Body::Welcome { inbox } = alice.hello().await.body else { panic!("no welcome") };
            inboxes.push(inbox);
        }
        inboxes.dedup();
        assert_eq!(inboxes.len(), 1, "{inboxes:?}");
    });
}

#[test]
fn requests_wait_until_there_is_one() {
    let mut world = World::new();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let at_bobs = bob.listen();
    assert!(world.friend_servers[0].terminate().success());

    let mut asking = alice.spawn(&["befriend", "bob"]);
    world.friend_servers.push(FriendServer::start(&world.broker));
    assert!(asking.wait().success(), "{:?}", asking.stderr());
    at_bobs.hear("request", |event| event["name"] == "alice");
}

#[test]
fn friends_need_none() {
    let mut world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    world.friend_servers.clear();
    let at_bobs = bob.listen();
    alice.send("bob", "still here?");
    at_bobs.hear_message("alice", "still here?");
}

#[test]
fn one_waits_for_its_broker_and_comes_back_after_a_crash() {
    let mut world = World::new();
    world.broker.kill9();
    let waiting = FriendServer::spawn(&world.broker.guest_url(), &e2e::secret_file(&world.broker));
    waiting.process().await_stderr("line about the broker that is not there", |lines| {
        lines.iter().any(|line| line.contains("no broker at")).then_some(())
    });
    world.broker.start_again();
    waiting.await_ready();
    // And the one that was connected before works, too.
    drop(waiting);
    world.user("alice");
}
