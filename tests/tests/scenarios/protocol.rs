//! The messages of chat, and what the broker and the friend servers do not let a dishonest client do.

use std::time::Duration;

use e2e::{Peer, World, amqp};
use shared::client::Outcome;
use shared::message::{Body, Envelope, Lifetime};
use shared::topology::{DEFAULT_EXCHANGE, FRIENDS_EXCHANGE, friend_queue_name};

#[test]
fn hello_is_answered_with_an_inbox_by_the_account_of_the_friend_servers() {
    let world = World::new();
    amqp::run(async {
        let alice = Peer::signed_up(&world.broker, "alice").await;
        let welcome = alice.hello().await;
        assert_eq!(welcome.user_id.as_deref(), Some("guest"));
        assert!(welcome.correlation_id.is_some());
        let Body::Welcome { inbox } = welcome.body else { panic!("{:?}", welcome.body) };
        let bob = Peer::signed_up(&world.broker, "bob").await;
        let Body::Welcome { inbox: bobs } = bob.hello().await.body else { panic!() };
        assert_ne!(inbox, bobs);
    });
}

#[test]
fn a_request_is_forwarded_with_its_verified_sender_and_its_way_back() {
    let world = World::new();
    amqp::run(async {
        let (alice, bob) =
            (Peer::signed_up(&world.broker, "alice").await, Peer::signed_up(&world.broker, "bob").await);
        let (mut at_alices, mut at_bobs) = (alice.inbox().await, bob.inbox().await);
        let queue = alice.friend_queue().await;
        let request = alice.ask("bob", &queue).await;

        let incoming = at_bobs.next().await;
        assert_eq!(incoming.body, Body::IncomingRequest { from: "alice".into(), note: String::new() });
        assert_eq!((incoming.id, incoming.reply_to.as_deref()), (request.id, Some(queue.as_str())));
        assert_eq!(incoming.lifetime, Lifetime::Persistent);
        let forwarded = at_alices.next().await;
        assert_eq!(forwarded.body, Body::RequestForwarded { to: "bob".into() });
        assert_eq!(forwarded.correlation_id, Some(request.id));
    });
}

#[test]
fn a_request_to_nobody_is_told_to_have_failed() {
    let world = World::new();
    amqp::run(async {
        let alice = Peer::signed_up(&world.broker, "alice").await;
        let mut inbox = alice.inbox().await;
        let queue = alice.friend_queue().await;
        alice.ask("nobody", &queue).await;
        let failed = inbox.next().await;
        assert!(
            matches!(failed.body, Body::RequestFailed { ref to, .. } if to == "nobody"),
            "{:?}",
            failed.body
        );
    });
}

#[test]
fn whoever_asks_too_often_is_told_when_to_try_again() {
    let world = World::new();
    amqp::run(async {
        let alice = Peer::signed_up(&world.broker, "alice").await;
        let mut inbox = alice.inbox().await;
        let queue = alice.friend_queue().await;
        for _ in 0..40 {
            alice.ask("nobody", &queue).await;
        }
        let rejected = inbox.next_that(|body| matches!(body, Body::RequestRejected { .. })).await;
        let Body::RequestRejected { retry_after_s, .. } = rejected.body else { panic!() };
        assert!(retry_after_s.is_some_and(|seconds| seconds > 0));
    });
}

#[test]
fn nobody_can_write_in_somebody_elses_name() {
    let world = World::new();
    amqp::run(async {
        let mallory = Peer::signed_up(&world.broker, "mallory").await;
        let mut forged = Envelope::new(Body::Hello {});
        forged.user_id = Some("alice".into());
        let (properties, body) = forged.to_amqp().unwrap_or_else(|error| panic!("{error}"));
        let refusal = amqp::refusal(&mallory.channel, FRIENDS_EXCHANGE, "", &body, properties).await;
        assert!(
            refusal.contains("user_id property set to 'alice' but authenticated user was 'mallory'"),
            "{refusal}"
        );
    });
}

#[test]
fn users_write_to_friend_queues_and_the_friends_exchange_and_nowhere_else() {
    let world = World::new();
    amqp::run(async {
        let alice = Peer::signed_up(&world.broker, "alice").await;
        let inbox = alice.inbox().await;
        drop(Peer::signed_up(&world.broker, "mallory").await);
        for (exchange, key) in [
            (DEFAULT_EXCHANGE, inbox.name.as_str()),
            (DEFAULT_EXCHANGE, "friends"),
            (DEFAULT_EXCHANGE, "x.friend.y"),
            ("amq.fanout", ""),
        ] {
            let mallory = Peer::signed_in(&world.broker, "mallory").await;
            let refusal = amqp::refusal(&mallory.channel, exchange, key, b"{}", amqp::persistent()).await;
            assert!(refusal.contains("ACCESS_REFUSED"), "'{exchange}' with '{key}': {refusal}");
        }
    });
}

#[test]
fn a_message_to_a_queue_that_is_gone_is_returned_and_one_to_a_queue_that_waits_is_not() {
    let world = World::new();
    amqp::run(async {
        let (alice, bob) =
            (Peer::signed_up(&world.broker, "alice").await, Peer::signed_up(&world.broker, "bob").await);
        let queue = bob.friend_queue().await;
        let message = || Envelope::new(Body::Message { text: "hi".into(), reply_to_id: None });
        assert_eq!(alice.tell(&queue, message()).await, Outcome::Confirmed);
        let deleted = bob.channel.queue_delete(queue.as_str().into(), Default::default()).await;
        assert_eq!(deleted.unwrap_or_else(|error| panic!("{error}")), 1);
        let returned = alice.tell(&queue, message()).await;
        assert!(matches!(returned, Outcome::Returned { code: 312, .. }), "{returned:?}");
        let never_was = alice.tell(&friend_queue_name(), message()).await;
        assert!(matches!(never_was, Outcome::Returned { code: 312, .. }), "{never_was:?}");
    });
}

#[test]
fn what_expires_is_not_delivered() {
    let world = World::new();
    amqp::run(async {
        let (alice, bob) =
            (Peer::signed_up(&world.broker, "alice").await, Peer::signed_up(&world.broker, "bob").await);
        let queue = bob.friend_queue().await;
        let mut typing = Envelope::new(Body::Typing {});
        typing.lifetime = Lifetime::Transient { expires_after: Duration::from_millis(20) };
        assert_eq!(alice.tell(&queue, typing).await, Outcome::Confirmed);
        let message = Envelope::new(Body::Message { text: "stays".into(), reply_to_id: None });
        assert_eq!(alice.tell(&queue, message).await, Outcome::Confirmed);
        amqp::becomes(&bob.channel, &queue, 1).await;
        let left = amqp::drain(&bob.channel, &queue).await;
        assert_eq!(left[0].properties.kind().as_ref().map(|kind| kind.as_str()), Some("message"));
    });
}
