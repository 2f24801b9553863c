//! What arrived: in the inbox, from the friend servers; in friend queues, from friends.
//!
//! Everything here may arrive twice, and what several friend servers forward may arrive out of order.

use shared::message::{Body, Envelope, ReceiptState};
use shared::topology::is_friend_queue;
use uuid::Uuid;

use super::{Asks, Bond, Effect, Now, Outgoing, Peer, part};
use crate::session::api::{Delivery, RequestState};

/// The user whom a message in the inbox is about. An error says why the message is to be dropped.
///
/// `account` is the friend servers' account, learned from their answer to our hello; nobody else writes there.
pub fn inbox_subject<'e>(envelope: &'e Envelope, account: &str) -> Result<&'e str, String> {
    match envelope.user_id.as_deref() {
        Some(sender) if sender == account => {}
        Some(sender) => return Err(format!("{sender} wrote to the inbox, but is not a friend server")),
        None => return Err("somebody wrote to the inbox without a name".into()),
    }
    match &envelope.body {
        Body::IncomingRequest { from: name, .. }
        | Body::Withdrawn { from: name, .. }
        | Body::RequestForwarded { to: name }
        | Body::RequestFailed { to: name, .. }
        | Body::RequestRejected { to: name, .. } => Ok(name),
        body => Err(format!("a friend server sent a message of the unexpected kind {:?}", body.kind())),
    }
}

/// What to do about a message in the inbox that is about `peer`.
pub fn inbox(me: &str, peer: &Peer, envelope: &Envelope, now: &Now) -> Vec<Effect> {
    let answers = |id: Uuid| envelope.correlation_id == Some(id);
    let open = peer.open_request().filter(|asked| answers(asked.id));
    match &envelope.body {
        Body::IncomingRequest { note, .. } => incoming_request(me, peer, envelope, note, now),
        Body::Withdrawn { request_id, .. } => withdrawn(peer, *request_id),
        Body::RequestForwarded { .. } if open.is_some() => close_request(peer, RequestState::Forwarded),
        Body::RequestFailed { reason, .. } if open.is_some() => {
            close_request(peer, RequestState::Failed(reason.clone()))
        }
        Body::RequestRejected { reason, retry_after_s, .. } if open.is_some() => {
            let reason = match retry_after_s {
                Some(seconds) => format!("{reason} (ask again in {seconds} s)"),
                None => reason.clone(),
            };
            close_request(peer, RequestState::Failed(reason))
        }
        _ => Vec::new(),
    }
}

/// Moves our open request on, and gives its queue up if no answer can come any more.
pub(super) fn close_request(peer: &Peer, state: RequestState) -> Vec<Effect> {
    let mut peer = peer.clone();
    let Some(asked) = &mut peer.asked else { return Vec::new() };
    asked.state = state;
    let mut effects = Vec::new();
    if !asked.is_open() {
        effects.push(Effect::ReleaseQueue { name: asked.queue.clone(), drain: false });
    }
    effects.push(Effect::Save(peer));
    effects
}

fn incoming_request(me: &str, peer: &Peer, envelope: &Envelope, note: &str, now: &Now) -> Vec<Effect> {
    let Some(reply_to) = friend_queue(envelope) else {
        return vec![Effect::Notice(format!("a request of {} cannot be answered", peer.name))];
    };
    if peer.name == me || peer.newest_ask == Some(envelope.id) {
        return Vec::new();
    }
    // Requests have ids in order of time: an older one than one we know was overtaken by it.
    let stale = peer.newest_ask.is_some_and(|newest| newest > envelope.id);
    let mut effects = Vec::new();
    let mut peer = peer.clone();
    if !stale {
        peer.newest_ask = Some(envelope.id);
    }
    match &peer.bond {
        _ if peer.blocked => return vec![Effect::Save(peer)],
        Bond::Friend { theirs, .. } if stale || theirs == reply_to => return vec![Effect::Save(peer)],
        // Nobody asks a friend: they gave up the friendship, and we had not noticed yet.
        Bond::Friend { .. } => part(&mut peer, false, &mut effects),
        _ if stale && peer.asks.is_some() => return Vec::new(),
        _ => {}
    }
    if let Some(asked) = peer.open_request().cloned() {
        // The requests crossed. Theirs needs no answer if ours reaches them, but ours may still fail.
        let accept = now.envelope(Body::Accept {}).with_reply_to(&asked.queue).answering(envelope.id);
        peer.bond = Bond::Friend { ours: asked.queue, theirs: reply_to.to_owned() };
        peer.asked = None;
        peer.asks = None;
        effects.push(Effect::Unpublish(asked.id));
        effects.push(Effect::Save(peer));
        effects.push(Effect::Publish(Outgoing::to_queue(reply_to, accept)));
        return effects;
    }
    peer.asks = Some(Asks {
        id: envelope.id,
        reply_to: reply_to.to_owned(),
        note: note.to_owned(),
        at: sent_at(envelope, now),
    });
    effects.push(Effect::Save(peer));
    effects
}

fn withdrawn(peer: &Peer, request_id: Uuid) -> Vec<Effect> {
    let mut peer = peer.clone();
    // If this overtook the request itself, the request must not show up later.
    peer.newest_ask = peer.newest_ask.max(Some(request_id));
    if peer.asks.as_ref().is_some_and(|asks| asks.id == request_id) {
        peer.asks = None;
    }
    vec![Effect::Save(peer)]
}

/// What to do about a message that arrived in `queue`, which we own for `peer`.
///
/// Who knows the name of the queue can write to it; only what the broker vouches to be from `peer` counts.
pub fn letter(peer: &Peer, queue: &str, envelope: &Envelope, now: &Now) -> Vec<Effect> {
    if envelope.user_id.as_deref() != Some(&peer.name) {
        let sender = envelope.user_id.as_deref().unwrap_or("somebody without a name");
        return vec![Effect::Notice(format!("dropped a message of {sender} in the queue for {}", peer.name))];
    }
    let mut effects = Vec::new();
    let mut peer = peer.clone();
    if matches!(envelope.body, Body::Accept {} | Body::Message { .. }) {
        // A message answers a request as well as an accept does.
        become_friends(&mut peer, queue, envelope, &mut effects);
    }
    let friend = matches!(&peer.bond, Bond::Friend { ours, .. } if ours == queue);
    // Their last words, while we empty the queue of a friendship that they ended.
    let last_words = matches!(&peer.bond, Bond::Former { by_us: false }) && !peer.blocked;
    match &envelope.body {
        Body::Decline {} => effects.extend(declined(&peer, queue, envelope)),
        Body::Message { text, reply_to_id } if friend || last_words => {
            follow_rotation(&mut peer, queue, envelope, &mut effects);
            effects.push(Effect::AddMessage {
                id: envelope.id,
                outgoing: false,
                text: text.clone(),
                answers: *reply_to_id,
                at: sent_at(envelope, now),
                state: Delivery::Delivered,
            });
        }
        // Of what the friend wrote: nobody changes the words of somebody else.
        Body::Edit { id, revision, text } if friend || last_words => {
            let (id, revision, text) = (*id, *revision, text.clone());
            effects.push(Effect::Rewrite { id, outgoing: false, revision, text });
        }
        Body::Delete { id } if friend || last_words => {
            effects.push(Effect::Erase { id: *id, outgoing: false });
        }
        Body::Reaction { id, revision, mark } if friend || last_words => {
            let (id, revision, mark) = (*id, *revision, mark.clone());
            effects.push(Effect::Mark { id, by_us: false, revision, mark });
        }
        Body::Receipt { ids, state } if friend || last_words => {
            let state = match state {
                ReceiptState::Delivered => Delivery::Delivered,
                ReceiptState::Read => Delivery::Read,
            };
            effects.extend(ids.iter().map(|&id| Effect::Advance { id, state: state.clone() }));
        }
        Body::Presence { state, note } if friend => {
            follow_rotation(&mut peer, queue, envelope, &mut effects);
            effects.push(Effect::SetPresence { presence: *state, note: note.clone(), at: now.at });
        }
        Body::Typing {} if friend => effects.push(Effect::ShowTyping),
        Body::Accept {} if friend => follow_rotation(&mut peer, queue, envelope, &mut effects),
        Body::Unknown { kind, .. } if friend => effects.push(Effect::Notice(format!(
            "{} sent a {kind:?}, which this version does not know: update chat-tui to see it",
            peer.name
        ))),
        _ => {}
    }
    effects
}

fn become_friends(peer: &mut Peer, queue: &str, envelope: &Envelope, effects: &mut Vec<Effect>) {
    let Some(theirs) = friend_queue(envelope) else { return };
    if peer.open_request().is_none_or(|asked| asked.queue != queue) {
        return;
    }
    if let Some(asked) = peer.asked.take() {
        effects.push(Effect::Unpublish(asked.id));
    }
    peer.bond = Bond::Friend { ours: queue.to_owned(), theirs: theirs.to_owned() };
    peer.asks = None;
    // Whatever they asked before they answered is settled by it, even if it arrives later.
    peer.newest_ask = peer.newest_ask.max(Some(envelope.id));
    effects.push(Effect::Save(peer.clone()));
}

fn declined(peer: &Peer, queue: &str, envelope: &Envelope) -> Vec<Effect> {
    let ours =
        peer.open_request().filter(|asked| asked.queue == queue && envelope.correlation_id == Some(asked.id));
    match ours {
        Some(_) => close_request(peer, RequestState::Declined),
        None => Vec::new(),
    }
}

/// A friend may move to another queue: `reply-to` always names the newest.
fn follow_rotation(peer: &mut Peer, queue: &str, envelope: &Envelope, effects: &mut Vec<Effect>) {
    let Some(newest) = friend_queue(envelope) else { return };
    let Bond::Friend { ours, theirs } = &mut peer.bond else { return };
    if ours == queue && theirs != newest {
        let old = std::mem::replace(theirs, newest.to_owned());
        effects.push(Effect::Save(peer.clone()));
        effects.push(Effect::Retarget { old, new: newest.to_owned() });
    }
}

/// Where to answer, if that is a friend queue: nothing else may be written to at a stranger's word.
fn friend_queue(envelope: &Envelope) -> Option<&str> {
    envelope.reply_to.as_deref().filter(|name| is_friend_queue(name))
}

/// The sender's clock, but never later than ours.
fn sent_at(envelope: &Envelope, now: &Now) -> std::time::SystemTime {
    envelope.timestamp.map_or(now.at, |at| at.min(now.at))
}
