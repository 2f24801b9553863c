//! What friend servers say.

use super::*;

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
