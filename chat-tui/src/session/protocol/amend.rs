//! Changing what was said: edits, deletions, reactions, and saying it again.

use shared::message::Body;

use super::command::{Decision, check_mark, check_text, not_a_friend};
use super::{Bond, Effect, Now, Outgoing, Peer, Target};
use crate::session::api::{Amending, Delivery};

/// `body` to the friend, behind everything said so far.
fn tell(peer: &Peer, body: Body, now: &Now) -> Result<Effect, String> {
    let Bond::Friend { ours, theirs } = &peer.bond else { return Err(not_a_friend(peer)) };
    Ok(Effect::Publish(Outgoing::to_queue(theirs, now.envelope(body).with_reply_to(ours))))
}

fn own(target: &Target) -> Result<(), String> {
    match (target.outgoing, target.deleted) {
        (false, _) => Err("that message is not yours: only who wrote it can change it".into()),
        (true, true) => Err("that message is deleted already".into()),
        (true, false) => Ok(()),
    }
}

pub(super) fn edit(peer: &Peer, target: &Target, text: &str, now: &Now) -> Decision {
    own(target)?;
    check_text(text)?;
    if text == target.text {
        return Ok(Vec::new());
    }
    let revision = next(target.revision)?;
    let publish = tell(peer, Body::Edit { id: target.id, revision, text: text.to_owned() }, now)?;
    Ok(vec![
        Effect::Rewrite { id: target.id, outgoing: true, revision, text: text.to_owned() },
        Effect::Amended { id: target.id, revision: Some(revision), to: Amending::Waiting },
        publish,
    ])
}

pub(super) fn delete(peer: &Peer, target: &Target, now: &Now) -> Decision {
    own(target)?;
    let id = target.id;
    let mut effects = vec![Effect::Erase { id, outgoing: true }];
    if target.state == Delivery::Queued {
        effects.push(Effect::Unpublish(id));
        effects.push(Effect::Advance { id, state: Delivery::Failed("deleted before it was sent".into()) });
    }
    // What is with the friend can only be taken back there by telling. A message still in the outbox may be on its way
    // all the same: a lost confirm looks like that.
    match tell(peer, Body::Delete { id }, now) {
        Ok(publish) => {
            effects.push(Effect::Amended { id, revision: None, to: Amending::Waiting });
            effects.push(publish);
        }
        // Of what is with nobody, only this side has to forget.
        Err(_) if matches!(target.state, Delivery::Returned | Delivery::Failed(_)) => {}
        Err(_) => effects.push(Effect::Amended { id, revision: None, to: Amending::Lost }),
    }
    Ok(effects)
}

pub(super) fn react(peer: &Peer, target: &Target, mark: Option<&str>, now: &Now) -> Decision {
    if target.deleted {
        return Err("that message is deleted".into());
    }
    mark.map_or(Ok(()), check_mark)?;
    if mark == target.our_mark.as_deref() {
        return Ok(Vec::new());
    }
    let (id, revision, mark) = (target.id, next(target.our_mark_revision)?, mark.map(str::to_owned));
    let publish = tell(peer, Body::Reaction { id, revision, mark: mark.clone() }, now)?;
    Ok(vec![Effect::Mark { id, by_us: true, revision, mark }, publish])
}

/// Sends again what did not reach the friend: the message under its own id, so that it is there once whatever happened, or
/// the last change to it.
pub(super) fn retry(peer: &Peer, target: &Target, now: &Now) -> Decision {
    if !target.outgoing {
        return Err("that message is not yours: there is nothing to send again".into());
    }
    let id = target.id;
    let unsent = matches!(target.state, Delivery::Returned | Delivery::Failed(_));
    match (unsent, target.amending) {
        (true, _) if target.deleted => Err("that message is deleted".into()),
        (true, _) => {
            let Bond::Friend { ours, theirs } = &peer.bond else { return Err(not_a_friend(peer)) };
            let body = Body::Message { text: target.text.clone(), reply_to_id: target.answers };
            let envelope = now.envelope(body).with_id(id).with_reply_to(ours);
            let mut effects = vec![
                Effect::Advance { id, state: Delivery::Queued },
                Effect::Publish(Outgoing::to_queue(theirs, envelope)),
            ];
            if target.revision > 0 {
                // They may have the message in its first form: a confirm can be lost as well as a message.
                let (revision, text) = (target.revision, target.text.clone());
                effects.push(Effect::Amended { id, revision: Some(revision), to: Amending::Waiting });
                effects.push(tell(peer, Body::Edit { id, revision, text }, now)?);
            }
            Ok(effects)
        }
        (false, Amending::Lost) => {
            let (revision, body) = match target.deleted {
                true => (None, Body::Delete { id }),
                false => {
                    let (revision, text) = (target.revision, target.text.clone());
                    (Some(revision), Body::Edit { id, revision, text })
                }
            };
            let publish = tell(peer, body, now)?;
            Ok(vec![Effect::Amended { id, revision, to: Amending::Waiting }, publish])
        }
        (false, Amending::Waiting) => Err("it waits here, and goes out as soon as you are online".into()),
        (false, Amending::Settled) => Err(match target.state {
            Delivery::Queued => "it waits here, and goes out as soon as you are online".into(),
            _ => "it was sent: there is nothing to send again".into(),
        }),
    }
}

fn next(revision: u32) -> Result<u32, String> {
    revision.checked_add(1).ok_or_else(|| "that message was changed too often".into())
}
