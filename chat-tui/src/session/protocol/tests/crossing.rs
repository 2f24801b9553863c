//! Requests that cross.

use super::*;

/// Two clients with the pure core and a queue for each: whatever the order in which things arrive when both ask at
/// once, both end up friends who write to each other's living queue.
#[test]
fn crossing_requests_become_one_friendship_in_any_order() {
    // Which of the four messages (two forwarded requests, then two accepts) each side handles first.
    for order in 0..16u32 {
        let mut alice = Side::new("alice", "bob", QA);
        let mut bob = Side::new("bob", "alice", QB);
        let (to_bob, to_alice) = (alice.forwarded(10), bob.forwarded(11));
        alice.inbound.push((None, to_alice));
        bob.inbound.push((None, to_bob));
        for step in 0..8 {
            let (from, to) = match order >> (step % 4) & 1 {
                0 => (&mut alice, &mut bob),
                _ => (&mut bob, &mut alice),
            };
            from.handle_one(to);
        }
        alice.handle_all(&mut bob);
        bob.handle_all(&mut alice);
        alice.handle_all(&mut bob);
        let friends = |ours: &str, theirs: &str| Bond::Friend { ours: ours.into(), theirs: theirs.into() };
        assert_eq!(alice.peer.bond, friends(QA, QB), "order {order:04b}");
        assert_eq!(bob.peer.bond, friends(QB, QA), "order {order:04b}");
    }
}

struct Side {
    me: &'static str,
    peer: Peer,
    inbound: Vec<(Option<String>, Envelope)>,
}

impl Side {
    fn new(me: &'static str, other: &str, queue: &str) -> Side {
        let asked = Asked {
            id: id(if me == "alice" { 10 } else { 11 }),
            queue: queue.into(),
            note: String::new(),
            at: UNIX_EPOCH,
            state: RequestState::Pending,
        };
        Side { me, peer: Peer { asked: Some(asked), ..Peer::stranger(other) }, inbound: Vec::new() }
    }

    fn forwarded(&self, n: u128) -> Envelope {
        let queue = &self.peer.asked.as_ref().unwrap().queue;
        let body = Body::IncomingRequest { from: self.me.into(), note: String::new() };
        from_servers(body).with_id(id(n)).with_reply_to(queue)
    }

    fn handle_one(&mut self, other: &mut Side) {
        if self.inbound.is_empty() {
            return;
        }
        let (queue, envelope) = self.inbound.remove(0);
        let effects = match queue {
            None => incoming::inbox(self.me, &self.peer, &envelope, &now()),
            Some(queue) => incoming::letter(&self.peer, &queue, &envelope, &now()),
        };
        for effect in effects {
            match effect {
                Effect::Save(peer) => self.peer = peer,
                Effect::Publish(out) => {
                    let envelope = Envelope { user_id: Some(self.me.into()), ..out.envelope };
                    other.inbound.push((Some(out.routing_key), envelope));
                }
                Effect::ReleaseQueue { .. } => panic!("{} gave up a queue: {effect:?}", self.me),
                _ => {}
            }
        }
    }

    fn handle_all(&mut self, other: &mut Side) {
        while !self.inbound.is_empty() {
            self.handle_one(other);
        }
    }
}
