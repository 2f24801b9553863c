//! What friends say, and what became of what was said to them.

use super::*;

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
        (friend(), QB, ours(PresenceState::Online.into()), ended.to_vec()),
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
