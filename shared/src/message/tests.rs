use std::time::{Duration, UNIX_EPOCH};

use lapin::BasicProperties;

use super::*;

const ID: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001);
const INBOX: &str = "inbox.nkefdrmq3xvvulvauubxi6mlz2rt432x5dp2zd5nimwwadrncdvq";

fn s(text: &str) -> String {
    text.to_owned()
}

/// Every kind with the exact JSON that goes over the wire. Changing one of these lines breaks clients
/// that are out there: raise `VERSION` or add a kind instead.
fn golden() -> Vec<(Body, &'static str)> {
    vec![
        (Body::Hello {}, r#"{"v":1,"type":"hello"}"#),
        (
            Body::Welcome { inbox: s(INBOX) },
            r#"{"v":1,"type":"welcome","inbox":"inbox.nkefdrmq3xvvulvauubxi6mlz2rt432x5dp2zd5nimwwadrncdvq"}"#,
        ),
        (
            Body::FriendRequest { to: s("bob"), note: s("hi \"bob\"\n👋") },
            r#"{"v":1,"type":"friend-request","to":"bob","note":"hi \"bob\"\n👋"}"#,
        ),
        (
            Body::IncomingRequest { from: s("alice"), note: s("") },
            r#"{"v":1,"type":"incoming-request","from":"alice","note":""}"#,
        ),
        (
            Body::Withdraw { to: s("bob"), request_id: ID },
            r#"{"v":1,"type":"withdraw","to":"bob","request_id":"01920000-0000-7000-8000-000000000001"}"#,
        ),
        (
            Body::Withdrawn { from: s("alice"), request_id: ID },
            r#"{"v":1,"type":"withdrawn","from":"alice","request_id":"01920000-0000-7000-8000-000000000001"}"#,
        ),
        (Body::RequestForwarded { to: s("bob") }, r#"{"v":1,"type":"request-forwarded","to":"bob"}"#),
        (
            Body::RequestFailed { to: s("bob"), reason: s("no such user") },
            r#"{"v":1,"type":"request-failed","to":"bob","reason":"no such user"}"#,
        ),
        (
            Body::RequestRejected { to: s("B B"), reason: s("slow down"), retry_after_s: Some(60) },
            r#"{"v":1,"type":"request-rejected","to":"B B","reason":"slow down","retry_after_s":60}"#,
        ),
        (Body::Accept {}, r#"{"v":1,"type":"accept"}"#),
        (Body::Decline {}, r#"{"v":1,"type":"decline"}"#),
        (Body::Message { text: s("hi"), reply_to_id: None }, r#"{"v":1,"type":"message","text":"hi"}"#),
        (
            Body::Message { text: s("hi"), reply_to_id: Some(ID) },
            r#"{"v":1,"type":"message","text":"hi","reply_to_id":"01920000-0000-7000-8000-000000000001"}"#,
        ),
        (
            Body::Edit { id: ID, revision: 2, text: s("hi!") },
            r#"{"v":1,"type":"edit","id":"01920000-0000-7000-8000-000000000001","revision":2,"text":"hi!"}"#,
        ),
        (Body::Delete { id: ID }, r#"{"v":1,"type":"delete","id":"01920000-0000-7000-8000-000000000001"}"#),
        (
            Body::Reaction { id: ID, revision: 1, mark: Some(s("👍")) },
            r#"{"v":1,"type":"reaction","id":"01920000-0000-7000-8000-000000000001","revision":1,"mark":"👍"}"#,
        ),
        (
            Body::Reaction { id: ID, revision: 2, mark: None },
            r#"{"v":1,"type":"reaction","id":"01920000-0000-7000-8000-000000000001","revision":2}"#,
        ),
        (
            Body::Receipt { ids: vec![ID], state: ReceiptState::Read },
            r#"{"v":1,"type":"receipt","ids":["01920000-0000-7000-8000-000000000001"],"state":"read"}"#,
        ),
        (PresenceState::Away.into(), r#"{"v":1,"type":"presence","state":"away"}"#),
        (
            Body::Presence { state: PresenceState::Away, note: "lunch".into() },
            r#"{"v":1,"type":"presence","state":"away","note":"lunch"}"#,
        ),
        (Body::Typing {}, r#"{"v":1,"type":"typing"}"#),
        (Body::TakeOver {}, r#"{"v":1,"type":"take-over"}"#),
    ]
}

#[test]
fn golden_json_both_ways() {
    let mut kinds: Vec<_> = Vec::new();
    for (body, json) in golden() {
        assert_eq!(String::from_utf8(body.encode().unwrap()).unwrap(), json);
        assert_eq!(Body::decode(json.as_bytes()).unwrap(), body);
        kinds.push(s(body.kind()));
    }
    kinds.dedup();
    assert_eq!(kinds, KINDS, "every kind has its golden line");
}

#[test]
fn the_future_is_unknown_instead_of_an_error() {
    for (json, version, kind) in [
        (r#"{"v":1,"type":"poll","question":"x"}"#, 1, "poll"),
        (r#"{"v":2,"type":"message","text":{"rich":[]}}"#, 2, "message"),
        (r#"{"type":"unknown","v":1,"version":7,"kind":"x"}"#, 1, "unknown"),
    ] {
        let unknown = Body::Unknown { version, kind: s(kind) };
        assert_eq!(Body::decode(json.as_bytes()).unwrap(), unknown, "{json}");
        assert!(matches!(unknown.encode(), Err(EncodeError::Unknown(_))));
    }
    let with_more = r#"{"v":1,"type":"message","text":"hi","mood":"sunny"}"#;
    assert!(matches!(Body::decode(with_more.as_bytes()).unwrap(), Body::Message { .. }));
}

#[test]
fn what_is_not_a_message_is_refused_with_a_reason() {
    for (json, reason) in [
        ("", "EOF"),
        ("[]", "JSON"),
        ("{}", "missing field `v`"),
        (r#"{"v":1}"#, "missing field `type`"),
        (r#"{"v":0,"type":"hello"}"#, "version is 0"),
        (r#"{"v":-1,"type":"hello"}"#, "invalid value"),
        (r#"{"v":1,"type":"message"}"#, "missing field `text`"),
        (r#"{"v":1,"type":"message","text":""}"#, "the text is empty"),
        (r#"{"v":1,"type":"message","text":7}"#, "expected a string"),
        (r#"{"v":1,"type":"receipt","ids":[],"state":"read"}"#, "receipt is empty"),
        (r#"{"v":1,"type":"receipt","ids":["x"],"state":"read"}"#, "UUID"),
        (r#"{"v":1,"type":"presence","state":"asleep"}"#, "asleep"),
        (
            r#"{"v":1,"type":"edit","id":"01920000-0000-7000-8000-000000000001","revision":0,"text":"x"}"#,
            "revision is 0",
        ),
        (
            r#"{"v":1,"type":"edit","id":"01920000-0000-7000-8000-000000000001","revision":1,"text":""}"#,
            "the text is empty",
        ),
        (
            r#"{"v":1,"type":"reaction","id":"01920000-0000-7000-8000-000000000001","revision":1,"mark":""}"#,
            "mark of a reaction is empty",
        ),
        (r#"{"v":1,"type":"delete","id":7}"#, "UUID"),
        (r#"{"v":1,"type":"welcome","inbox":"amq.gen-1"}"#, "name of the inbox"),
        (r#"{"v":1,"type":"incoming-request","from":"A!"}"#, "not a user name"),
    ] {
        let error = Body::decode(json.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(reason), "{json}: {error}");
    }
    assert!(Body::decode(&[0xff, 0xfe]).is_err());
}

#[test]
fn limits_hold_on_the_way_out_and_in() {
    let fits = [
        Body::Message { text: "\u{1}".repeat(TEXT_BYTES_MAX), reply_to_id: Some(ID) },
        Body::FriendRequest { to: s("bob"), note: "n".repeat(NOTE_BYTES_MAX) },
        Body::RequestFailed { to: s("bob"), reason: "r".repeat(REASON_BYTES_MAX) },
        Body::Receipt { ids: vec![ID; RECEIPT_IDS_MAX], state: ReceiptState::Delivered },
    ];
    for body in fits {
        let json = body.encode().unwrap_or_else(|error| panic!("{}: {error}", body.kind()));
        assert_eq!(Body::decode(&json).unwrap(), body);
    }
    let too_much = [
        Body::Message { text: "x".repeat(TEXT_BYTES_MAX + 1), reply_to_id: None },
        Body::Edit { id: ID, revision: 1, text: "x".repeat(TEXT_BYTES_MAX + 1) },
        Body::Reaction { id: ID, revision: 1, mark: Some("x".repeat(MARK_BYTES_MAX + 1)) },
        Body::FriendRequest { to: s("bob"), note: "n".repeat(NOTE_BYTES_MAX + 1) },
        Body::FriendRequest { to: "n".repeat(NAME_BYTES_MAX + 1), note: s("") },
        Body::RequestFailed { to: s("bob"), reason: "r".repeat(REASON_BYTES_MAX + 1) },
        Body::Receipt { ids: vec![ID; RECEIPT_IDS_MAX + 1], state: ReceiptState::Delivered },
    ];
    for body in too_much {
        let kind = s(body.kind());
        assert!(matches!(body.encode(), Err(EncodeError::Invalid(_))), "{kind} out");
        let json = serde_json::to_vec(&Versioned { v: VERSION, body: &body }).unwrap();
        assert!(matches!(Body::decode(&json), Err(DecodeError::Invalid(_))), "{kind} in");
    }
    let mut padded = Body::Hello {}.encode().unwrap();
    padded.resize(BODY_BYTES_MAX + 1, b' ');
    assert!(matches!(Body::decode(&padded), Err(DecodeError::Invalid(_))));
}

#[test]
fn requests_to_impossible_names_cannot_be_sent_but_can_be_answered() {
    let request = Body::FriendRequest { to: s("Bob!"), note: s("") };
    assert!(matches!(request.encode(), Err(EncodeError::UserName(..))));
    let json = br#"{"v":1,"type":"friend-request","to":"Bob!"}"#;
    assert_eq!(Body::decode(json).unwrap(), request);
    let answer = Body::RequestRejected { to: s("Bob!"), reason: s("no"), retry_after_s: None };
    assert_eq!(Body::decode(&answer.encode().unwrap()).unwrap(), answer);
}

fn full() -> Envelope {
    Envelope {
        id: ID,
        body: Body::Message { text: s("hi"), reply_to_id: None },
        user_id: Some(s("alice")),
        reply_to: Some(s("friend.a")),
        correlation_id: Some(Uuid::from_u128(7)),
        timestamp: Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
        lifetime: Lifetime::Persistent,
    }
}

#[test]
fn envelopes_travel_as_properties() {
    let (properties, body) = full().to_amqp().unwrap();
    assert_eq!(properties.kind().as_ref().unwrap().as_str(), "message");
    assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
    assert_eq!(properties.message_id().as_ref().unwrap().as_str(), ID.to_string());
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert_eq!(*properties.expiration(), None);
    assert_eq!(*properties.timestamp(), Some(1_700_000_000));
    assert_eq!(Envelope::from_amqp(&properties, &body).unwrap(), full());

    let bare = Envelope { user_id: None, reply_to: None, correlation_id: None, timestamp: None, ..full() };
    let (properties, body) = bare.to_amqp().unwrap();
    assert_eq!(Envelope::from_amqp(&properties, &body).unwrap(), bare);
    assert_eq!(bare.sender(), Err(DecodeError::Missing("user-id")));
    assert_eq!(full().sender(), Ok("alice"));
}

#[test]
fn presence_and_typing_expire_and_nothing_else_does() {
    for (body, _) in golden() {
        let transient = matches!(body, Body::Presence { .. } | Body::Typing {} | Body::TakeOver {});
        let envelope = Envelope::new(body);
        let (properties, body) = envelope.to_amqp().unwrap();
        assert_eq!(properties.expiration().is_some(), transient);
        assert_eq!(*properties.delivery_mode(), Some(if transient { 1 } else { 2 }));
        assert_eq!(Envelope::from_amqp(&properties, &body).unwrap().lifetime, envelope.lifetime);
    }
}

#[test]
fn broken_properties_are_named() {
    let (good, body) = full().to_amqp().unwrap();
    let refused = |properties: BasicProperties, reason: &str| {
        let error = Envelope::from_amqp(&properties, &body).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    refused(BasicProperties::default(), "message-id is missing");
    refused(good.clone().with_message_id("7".into()), "message-id");
    refused(good.clone().with_correlation_id("7".into()), "correlation-id");
    refused(good.clone().with_content_type("text/plain".into()), "content-type");
    refused(good.clone().with_type("typing".into()), "type says");
    refused(good.clone().with_expiration("soon".into()), "milliseconds");
    let far = good.with_timestamp(u64::MAX);
    assert_eq!(Envelope::from_amqp(&far, &body).unwrap().timestamp, None);
    let long = Envelope { reply_to: Some("x".repeat(256)), ..full() };
    assert!(matches!(long.to_amqp(), Err(EncodeError::Property { bytes: 256, .. })));
}

#[test]
fn new_envelopes_have_ids_in_order_of_time() {
    let (first, second) = (Envelope::new(Body::Typing {}), Envelope::new(Body::Typing {}));
    assert_eq!(first.id.get_version_num(), 7);
    assert!(first.id < second.id);
}
