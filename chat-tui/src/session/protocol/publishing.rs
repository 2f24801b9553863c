//! What became of what we published.

use shared::message::{Body, Envelope, ReceiptState};
use uuid::Uuid;

use super::incoming::close_request;
use super::{Bond, Effect, Now, Outgoing, Peer, part};
use crate::session::api::{Amending, Command, Delivery, RequestState};

/// What becomes of a change to one of our messages when its publish ends so.
pub fn amended(body: &Body, to: Amending) -> Option<Effect> {
    match body {
        Body::Edit { id, revision, .. } => Some(Effect::Amended { id: *id, revision: Some(*revision), to }),
        Body::Delete { id } => Some(Effect::Amended { id: *id, revision: None, to }),
        _ => None,
    }
}

/// The broker has it on its disk.
pub fn confirmed(peer: &Peer, envelope: &Envelope) -> Vec<Effect> {
    match envelope.body {
        Body::Message { .. } => vec![Effect::Advance { id: envelope.id, state: Delivery::Sent }],
        Body::FriendRequest { .. } => match &peer.asked {
            // The answer may have overtaken the confirm.
            Some(asked) if asked.id == envelope.id && asked.state == RequestState::Queued => {
                close_request(peer, RequestState::Pending)
            }
            _ => Vec::new(),
        },
        _ => amended(&envelope.body, Amending::Settled).into_iter().collect(),
    }
}

/// It came back (312 NO_ROUTE): the queue `key` that it was for is gone. Who deletes a friend queue ends the friendship.
pub fn returned(peer: &Peer, key: &str, envelope: &Envelope) -> Vec<Effect> {
    let mut effects = Vec::new();
    if let Body::Message { .. } = envelope.body {
        effects.push(Effect::Advance { id: envelope.id, state: Delivery::Returned });
    }
    effects.extend(amended(&envelope.body, Amending::Lost));
    let Bond::Friend { ours, theirs } = &peer.bond else { return effects };
    if theirs != key {
        return effects;
    }
    let mut peer = peer.clone();
    if let Body::Accept {} = envelope.body {
        effects.push(Effect::ReleaseQueue { name: ours.clone(), drain: true });
        effects.push(Effect::Abandon(Delivery::Returned));
        effects.push(Effect::Refuse {
            command: Command::Accept { name: peer.name.clone() },
            reason: format!(
                "{0} took the request back before your answer arrived: ask with befriend {0}",
                peer.name
            ),
        });
        peer.bond = Bond::Stranger;
    } else {
        part(&mut peer, false, &mut effects);
    }
    effects.push(Effect::Save(peer));
    effects
}

/// The broker refused it for good, and says why.
pub fn refused(peer: &Peer, envelope: &Envelope, reason: &str) -> Vec<Effect> {
    match envelope.body {
        Body::Message { .. } => {
            vec![Effect::Advance { id: envelope.id, state: Delivery::Failed(reason.to_owned()) }]
        }
        Body::FriendRequest { .. } if peer.open_request().is_some_and(|asked| asked.id == envelope.id) => {
            close_request(peer, RequestState::Failed(reason.to_owned()))
        }
        Body::Accept {} => vec![Effect::Refuse {
            command: Command::Accept { name: peer.name.clone() },
            reason: format!("the broker refused the answer: {reason}"),
        }],
        Body::Reaction { .. } => vec![Effect::Notice(format!("the broker refused your reaction: {reason}"))],
        _ => amended(&envelope.body, Amending::Lost).into_iter().collect(),
    }
}

/// Tells the friend what arrived and what was read. Nobody but a friend gets receipts.
pub fn receipt(peer: &Peer, ids: Vec<Uuid>, state: ReceiptState, now: &Now) -> Vec<Effect> {
    let Bond::Friend { ours, theirs } = &peer.bond else { return Vec::new() };
    if ids.is_empty() {
        return Vec::new();
    }
    let receipt = now.envelope(Body::Receipt { ids, state }).with_reply_to(ours);
    vec![Effect::Publish(Outgoing::to_queue(theirs, receipt))]
}
