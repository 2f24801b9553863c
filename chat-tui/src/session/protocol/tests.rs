//! Each test is a table: what we knew, what happened, what is to be done.

use std::time::{Duration, UNIX_EPOCH};

use shared::message::ReceiptState;

use super::*;

const QA: &str = "friend.aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
const QB: &str = "friend.bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb";
const QC: &str = "friend.cccccccc-cccc-4ccc-8ccc-cccccccccccc";
const QNEW: &str = "friend.dddddddd-dddd-4ddd-8ddd-dddddddddddd";

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn now() -> Now {
    Now { at: UNIX_EPOCH + Duration::from_secs(1000), message_id: id(99), queue: QNEW.into() }
}

fn stranger() -> Peer {
    Peer::stranger("bob")
}

/// We (alice) asked bob with message 1, answers go to QA.
fn asked(state: RequestState) -> Peer {
    let asked = Asked { id: id(1), queue: QA.into(), note: "hi".into(), at: UNIX_EPOCH, state };
    Peer { asked: Some(asked), ..stranger() }
}

/// Bob asked us with message 2, answers go to QB.
fn asks() -> Peer {
    let asks = Asks { id: id(2), reply_to: QB.into(), note: "hi".into(), at: UNIX_EPOCH };
    Peer { asks: Some(asks), newest_ask: Some(id(2)), ..stranger() }
}

fn friend() -> Peer {
    Peer { bond: Bond::Friend { ours: QA.into(), theirs: QB.into() }, ..stranger() }
}

fn former(by_us: bool) -> Peer {
    Peer { bond: Bond::Former { by_us }, ..stranger() }
}

fn blocked() -> Peer {
    Peer { blocked: true, ..stranger() }
}

/// The effects in short, one line each: tables stay readable, and every field that matters is in them.
fn short(effects: &[Effect]) -> Vec<String> {
    effects.iter().map(short_effect).collect()
}

fn queue_letter(name: &str) -> &str {
    match name {
        QA => "A",
        QB => "B",
        QC => "C",
        QNEW => "new",
        other => other,
    }
}

fn short_effect(effect: &Effect) -> String {
    match effect {
        Effect::Save(peer) => {
            let bond = match &peer.bond {
                Bond::Stranger => "stranger".to_owned(),
                Bond::Friend { ours, theirs } => {
                    format!("friend {}/{}", queue_letter(ours), queue_letter(theirs))
                }
                Bond::Former { by_us } => format!("former by_us={by_us}"),
            };
            let asked = peer.asked.as_ref().map(|asked| format!(" asked {:?}", asked.state));
            let asks = peer.asks.as_ref().map(|asks| format!(" asks {}", queue_letter(&asks.reply_to)));
            let blocked = if peer.blocked { " blocked" } else { "" };
            format!("save {bond}{}{}{blocked}", asked.unwrap_or_default(), asks.unwrap_or_default())
        }
        Effect::OwnQueue(name) => format!("own {}", queue_letter(name)),
        Effect::ReleaseQueue { name, drain } => {
            format!("{} {}", if *drain { "drain" } else { "delete" }, queue_letter(name))
        }
        Effect::Publish(out) => {
            let reply = out.envelope.reply_to.as_deref().map(|name| format!(" from {}", queue_letter(name)));
            let answers = out.envelope.correlation_id.map(|id| format!(" re {}", id.as_u128()));
            let to = if out.exchange.is_empty() { queue_letter(&out.routing_key) } else { out.exchange };
            format!(
                "publish {} to {to}{}{}",
                out.envelope.body.kind(),
                reply.unwrap_or_default(),
                answers.unwrap_or_default()
            )
        }
        Effect::Retarget { old, new } => format!("retarget {} {}", queue_letter(old), queue_letter(new)),
        Effect::Abandon(state) => format!("abandon {state:?}"),
        Effect::Unpublish(id) => format!("unpublish {}", id.as_u128()),
        Effect::AddMessage { id, outgoing, text, state, .. } => {
            format!("{} {} {text:?} {state:?}", if *outgoing { "out" } else { "in" }, id.as_u128())
        }
        Effect::Advance { id, state } => format!("advance {} {state:?}", id.as_u128()),
        Effect::Rewrite { id, outgoing, revision, text } => {
            let whose = if *outgoing { "ours" } else { "theirs" };
            format!("rewrite {whose} {} r{revision} {text:?}", id.as_u128())
        }
        Effect::Erase { id, outgoing } => {
            format!("erase {} {}", if *outgoing { "ours" } else { "theirs" }, id.as_u128())
        }
        Effect::Mark { id, by_us, revision, mark } => {
            let who = if *by_us { "we" } else { "they" };
            format!("{who} mark {} r{revision} {}", id.as_u128(), mark.as_deref().unwrap_or("-"))
        }
        Effect::Amended { id, revision, to } => {
            let what = revision.map_or("deletion".to_owned(), |revision| format!("r{revision}"));
            format!("{what} of {} {to:?}", id.as_u128())
        }
        Effect::Refuse { reason, .. } => format!("refuse: {reason}"),
        Effect::KeepAsDraft(text) => format!("draft {text:?}"),
        other => format!("{other:?}"),
    }
}

fn befriend() -> Command {
    Command::Befriend { name: "bob".into(), note: "hi".into() }
}

fn send(text: &str) -> Command {
    Command::Send { to: "bob".into(), text: text.into() }
}

macro_rules! about_bob {
    ($command:ident) => {
        Command::$command { name: "bob".into() }
    };
}

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

fn from_servers(body: Body) -> Envelope {
    Envelope { user_id: Some("servers".into()), ..Envelope::new(body) }
}

fn request(n: u128, queue: &str) -> Envelope {
    let body = Body::IncomingRequest { from: "bob".into(), note: "hi".into() };
    from_servers(body).with_id(id(n)).with_reply_to(queue)
}

fn about_request_1(body: Body) -> Envelope {
    from_servers(body).answering(id(1))
}

#[test]
fn what_arrives_in_the_inbox() {
    let seen = |n, peer: Peer| Peer { newest_ask: Some(id(n)), ..peer };
    let forwarded = || about_request_1(Body::RequestForwarded { to: "bob".into() });
    let failed = || about_request_1(Body::RequestFailed { to: "bob".into(), reason: "no user".into() });
    let rejected = || {
        let retry_after_s = Some(60);
        about_request_1(Body::RequestRejected { to: "bob".into(), reason: "slow".into(), retry_after_s })
    };
    let withdrawn = |n| from_servers(Body::Withdrawn { from: "bob".into(), request_id: id(n) });
    let no_more = "drain A";
    for (before, envelope, expected) in [
        (stranger(), request(2, QB), vec!["save stranger asks B"]),
        (former(false), request(2, QB), vec!["save former by_us=false asks B"]),
        (asks(), request(2, QB), vec![]),
        (asks(), request(3, QC), vec!["save stranger asks C"]),
        (seen(4, asks()), request(3, QC), vec![]),
        (blocked(), request(2, QB), vec!["save stranger blocked"]),
        (
            asked(RequestState::Pending),
            request(2, QB),
            vec!["unpublish 1", "save friend A/B", "publish accept to B from A re 2"],
        ),
        (asked(RequestState::Declined), request(2, QB), vec!["save stranger asked Declined asks B"]),
        (friend(), request(2, QB), vec!["save friend A/B"]),
        (friend(), request(2, QC), vec![no_more, "abandon Returned", "save former by_us=false asks C"]),
        (seen(5, friend()), request(2, QC), vec!["save friend A/B"]),
        (asked(RequestState::Pending), forwarded(), vec!["save stranger asked Forwarded"]),
        (asked(RequestState::Queued), forwarded(), vec!["save stranger asked Forwarded"]),
        (asked(RequestState::Declined), forwarded(), vec![]),
        (stranger(), forwarded(), vec![]),
        (asked(RequestState::Pending), failed(), vec!["delete A", "save stranger asked Failed(\"no user\")"]),
        (
            asked(RequestState::Pending),
            rejected(),
            vec!["delete A", "save stranger asked Failed(\"slow (ask again in 60 s)\")"],
        ),
        (friend(), failed(), vec![]),
        (asks(), withdrawn(2), vec!["save stranger"]),
        (asks(), withdrawn(1), vec!["save stranger asks B"]),
    ] {
        let effects = incoming::inbox("alice", &before, &envelope, &now());
        assert_eq!(short(&effects), expected, "{:?} given {before:?}", envelope.body);
    }
}

#[test]
fn a_request_overtaken_by_its_withdrawal_does_not_show_up() {
    let body = Body::Withdrawn { from: "bob".into(), request_id: id(2) };
    let effects = incoming::inbox("alice", &stranger(), &from_servers(body), &now());
    let [Effect::Save(after)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(incoming::inbox("alice", after, &request(2, QB), &now()), []);
}

#[test]
fn a_request_older_than_their_accept_does_not_end_the_friendship() {
    let accept = from_bob(Body::Accept {}).answering(id(1)).with_id(id(5));
    let effects = incoming::letter(&asked(RequestState::Forwarded), QA, &accept, &now());
    let Some(Effect::Save(after)) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(short(&incoming::inbox("alice", after, &request(4, QC), &now())), ["save friend A/B"]);
    let newer = incoming::inbox("alice", after, &request(6, QC), &now());
    assert_eq!(short(&newer)[2], "save former by_us=false asks C");
}

#[test]
fn a_request_that_names_no_friend_queue_cannot_make_us_write_elsewhere() {
    for reply_to in [None, Some("friends.x"), Some("inbox.x"), Some("friend.x"), Some("")] {
        let envelope = Envelope { reply_to: reply_to.map(Into::into), ..request(2, QB) };
        let effects = incoming::inbox("alice", &stranger(), &envelope, &now());
        assert!(matches!(&effects[..], [Effect::Notice(_)]), "{reply_to:?}: {effects:?}");
    }
}

#[test]
fn only_the_friend_servers_write_to_the_inbox() {
    let request = request(2, QB);
    assert_eq!(incoming::inbox_subject(&request, "servers"), Ok("bob"));
    assert!(incoming::inbox_subject(&request, "others").is_err());
    assert!(incoming::inbox_subject(&request, "").is_err());
    let nameless = Envelope { user_id: None, ..request };
    assert!(incoming::inbox_subject(&nameless, "servers").is_err());
    assert!(incoming::inbox_subject(&nameless, "").is_err());
    assert!(incoming::inbox_subject(&from_servers(Body::Accept {}), "servers").is_err());
}

fn from_bob(body: Body) -> Envelope {
    Envelope { user_id: Some("bob".into()), ..Envelope::new(body) }.with_id(id(5)).with_reply_to(QB)
}

#[test]
fn what_arrives_in_a_friend_queue() {
    let accept = || from_bob(Body::Accept {}).answering(id(1));
    let decline = || from_bob(Body::Decline {}).answering(id(1));
    let message = || from_bob(Body::Message { text: "yo".into(), reply_to_id: None });
    let receipt = || from_bob(Body::Receipt { ids: vec![id(7), id(8)], state: ReceiptState::Read });
    let moved = || message().with_reply_to(QC);
    let open = || asked(RequestState::Forwarded);
    let yo = "in 5 \"yo\" Delivered";
    for (before, envelope, expected) in [
        (open(), accept(), vec!["unpublish 1", "save friend A/B"]),
        (asked(RequestState::Queued), accept(), vec!["unpublish 1", "save friend A/B"]),
        (friend(), accept(), vec![]),
        (friend(), accept().with_reply_to(QC), vec!["save friend A/C", "retarget B C"]),
        (open(), accept().with_reply_to("inbox.x"), vec![]),
        (stranger(), accept(), vec![]),
        (open(), decline(), vec!["delete A", "save stranger asked Declined"]),
        (open(), from_bob(Body::Decline {}).answering(id(9)), vec![]),
        (friend(), decline(), vec![]),
        (friend(), message(), vec![yo]),
        (friend(), moved(), vec!["save friend A/C", "retarget B C", yo]),
        (open(), message(), vec!["unpublish 1", "save friend A/B", yo]),
        (former(false), message(), vec![yo]),
        (former(true), message(), vec![]),
        (stranger(), message(), vec![]),
        (friend(), receipt(), vec!["advance 7 Read", "advance 8 Read"]),
        (stranger(), receipt(), vec![]),
        (friend(), from_bob(Body::Typing {}), vec!["ShowTyping"]),
        (former(false), from_bob(Body::Typing {}), vec![]),
    ] {
        let effects = incoming::letter(&before, QA, &envelope, &now());
        assert_eq!(short(&effects), expected, "{:?} given {before:?}", envelope.body);
    }
}

#[test]
fn a_friend_queue_takes_nothing_from_others() {
    for sender in [None, Some("eve"), Some("servers"), Some("Bob")] {
        let message = Body::Message { text: "I am bob".into(), reply_to_id: None };
        for body in [Body::Accept {}, message, Body::Decline {}] {
            let envelope = Envelope { user_id: sender.map(Into::into), ..from_bob(body).answering(id(1)) };
            for before in [friend(), asked(RequestState::Pending)] {
                let effects = incoming::letter(&before, QA, &envelope, &now());
                assert!(matches!(&effects[..], [Effect::Notice(_)]), "{sender:?}: {effects:?}");
            }
        }
    }
}

#[test]
fn a_message_from_the_future_is_from_now() {
    let mut envelope = from_bob(Body::Message { text: "yo".into(), reply_to_id: None });
    envelope.timestamp = Some(now().at + Duration::from_secs(3600));
    let effects = incoming::letter(&friend(), QA, &envelope, &now());
    assert!(matches!(&effects[..], [Effect::AddMessage { at, .. }] if *at == now().at), "{effects:?}");
}

fn ours(body: Body) -> Envelope {
    Envelope::new(body).with_id(id(1))
}

#[test]
fn what_became_of_what_we_published() {
    let message = || ours(Body::Message { text: "yo".into(), reply_to_id: None });
    let request = || ours(Body::FriendRequest { to: "bob".into(), note: String::new() });
    let accept = || ours(Body::Accept {});
    let receipt = || ours(Body::Receipt { ids: vec![id(3)], state: ReceiptState::Read });
    for (before, envelope, expected) in [
        (friend(), message(), vec!["advance 1 Sent"]),
        (asked(RequestState::Queued), request(), vec!["save stranger asked Pending"]),
        (asked(RequestState::Forwarded), request(), vec![]),
        (friend(), receipt(), vec![]),
    ] {
        let effects = publishing::confirmed(&before, &envelope);
        assert_eq!(short(&effects), expected, "{:?} given {before:?}", envelope.body);
    }
    let ended = ["drain A", "abandon Returned", "save former by_us=false"];
    let took_back = "refuse: bob took the request back before your answer arrived: ask with befriend bob";
    for (before, key, envelope, expected) in [
        (friend(), QB, message(), [&["advance 1 Returned"][..], &ended].concat()),
        (friend(), QB, receipt(), ended.to_vec()),
        (friend(), QB, ours(Body::Presence { state: PresenceState::Online }), ended.to_vec()),
        (friend(), QC, receipt(), vec![]),
        (friend(), QC, message(), vec!["advance 1 Returned"]),
        (former(true), QB, message(), vec!["advance 1 Returned"]),
        (stranger(), QB, ours(Body::Decline {}), vec![]),
        (friend(), QB, accept(), vec!["drain A", "abandon Returned", took_back, "save stranger"]),
    ] {
        let effects = publishing::returned(&before, key, &envelope);
        assert_eq!(short(&effects), expected, "{:?} given {before:?}", envelope.body);
    }
    for (before, envelope, expected) in [
        (friend(), message(), vec!["advance 1 Failed(\"why\")"]),
        (asked(RequestState::Queued), request(), vec!["delete A", "save stranger asked Failed(\"why\")"]),
        (friend(), accept(), vec!["refuse: the broker refused the answer: why"]),
    ] {
        let effects = publishing::refused(&before, &envelope, "why");
        assert_eq!(short(&effects), expected, "{:?} given {before:?}", envelope.body);
    }
}

#[test]
fn receipts_go_to_friends_alone() {
    let read = |peer: &Peer, ids| short(&publishing::receipt(peer, ids, ReceiptState::Read, &now()));
    assert_eq!(read(&friend(), vec![id(3)]), ["publish receipt to B from A"]);
    assert!(read(&friend(), vec![]).is_empty());
    for peer in [stranger(), former(false), former(true), asks(), blocked()] {
        assert!(read(&peer, vec![id(3)]).is_empty(), "{peer:?}");
    }
}

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
