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

fn from_servers(body: Body) -> Envelope {
    Envelope { user_id: Some("servers".into()), ..Envelope::new(body) }
}

fn request(n: u128, queue: &str) -> Envelope {
    let body = Body::IncomingRequest { from: "bob".into(), note: "hi".into() };
    from_servers(body).with_id(id(n)).with_reply_to(queue)
}

fn from_bob(body: Body) -> Envelope {
    Envelope { user_id: Some("bob".into()), ..Envelope::new(body) }.with_id(id(5)).with_reply_to(QB)
}

macro_rules! about_bob {
    ($command:ident) => {
        Command::$command { name: "bob".into() }
    };
}

// Behind the macro, which they use.
mod changes;
mod commands;
mod crossing;
mod friend_queue;
mod inbox;
