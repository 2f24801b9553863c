//! Signs of life: shown at once, and worthless after a while.

use e2e::{Peer, World, amqp};
use shared::message::{Body, Envelope};
use shared::topology::is_friend_queue;

#[test]
fn friends_see_each_other_come_and_go() {
    let world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    let at_alices = alice.listen();
    let bob_is = |presence: &'static str| {
        move |event: &serde_json::Value| event["name"] == "bob" && event["presence"] == presence
    };

    let mut at_bobs = bob.listen();
    at_alices.hear("friend", bob_is("online"));
    at_bobs.hear("friend", |event| event["name"] == "alice" && event["presence"] == "online");
    assert!(at_bobs.stop().success());
    at_alices.hear("friend", |event| bob_is("offline")(event) && !event["last_seen"].is_null());
}

#[test]
fn signs_of_life_do_not_pile_up_for_somebody_offline() {
    let mut world = World::new();
    let alice = world.user("alice");
    amqp::run(async {
        // Bob is friends with Alice, and then does not read what she sends.
        let bob = Peer::signed_up(&world.broker, "bob").await;
        let mut inbox = bob.inbox().await;
        let asked = std::thread::spawn({
            let alice = alice.clone();
            move || alice.must(&["befriend", "bob"])
        });
        let request = inbox.next().await;
        let ours = bob.friend_queue().await;
        let accept = Envelope::new(Body::Accept {}).with_reply_to(&ours).answering(request.id);
        let theirs = request.reply_to.unwrap_or_default();
        assert!(is_friend_queue(&theirs));
        bob.tell(&theirs, accept).await;
        asked.join().unwrap_or_else(|_| panic!("alice could not ask"));

        alice.must(&["friends"]);
        alice.send("bob", "first");
        for _ in 0..3 {
            alice.must(&["friends"]);
        }
        alice.send("bob", "second");
        let waiting = amqp::drain(&bob.channel, &ours).await;
        let (signs, messages): (Vec<_>, Vec<_>) = waiting
            .iter()
            .map(|delivery| (delivery, Envelope::from_delivery(delivery)))
            .filter_map(|(delivery, envelope)| Some((delivery, envelope.ok()?)))
            .partition(|(_, envelope)| matches!(envelope.body, Body::Presence { .. }));
        assert!(signs.len() >= 4, "each time Alice is online she says so: {signs:?}");
        for (delivery, _) in &signs {
            let expiration =
                delivery.properties.expiration().as_ref().and_then(|ms| ms.as_str().parse().ok());
            assert!(
                expiration.is_some_and(|ms: u64| ms <= 120_000),
                "a sign of life that stays: {delivery:?}"
            );
            assert_eq!(*delivery.properties.delivery_mode(), Some(1));
        }
        let texts: Vec<&Body> = messages.iter().map(|(_, envelope)| &envelope.body).collect();
        assert!(matches!(texts[..], [Body::Message { .. }, Body::Message { .. }]), "{texts:?}");

        // They are not worth the disk either.
        alice.must(&["friends"]);
        alice.send("bob", "third");
        drop(bob);
        world.broker.kill9_and_start_again();
        let bob = Peer::signed_in(&world.broker, "bob").await;
        let waiting = amqp::drain(&bob.channel, &ours).await;
        let kinds: Vec<_> = waiting.iter().map(|delivery| delivery.properties.kind().clone()).collect();
        assert_eq!(kinds, [Some("message".into())]);
    });
}
