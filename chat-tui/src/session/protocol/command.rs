//! What the person wants.

use shared::message::{Body, MARK_BYTES_MAX, NOTE_BYTES_MAX, TEXT_BYTES_MAX};
use shared::topology::check_user_name;

use super::amend::{delete, edit, react, retry};
use super::{Asked, Bond, Effect, Now, Outgoing, Peer, Target, part};
use crate::session::api::{Command, Delivery, RequestState};

/// A nickname, in characters: the list has room for hardly more.
pub const NICKNAME_CHARS_MAX: usize = 32;

/// The peer a command is about, if it is one that [`decide`] takes.
pub fn subject(command: &Command) -> Option<&str> {
    match command {
        Command::Befriend { name, .. }
        | Command::Withdraw { name }
        | Command::Accept { name }
        | Command::Decline { name }
        | Command::Block { name }
        | Command::Unblock { name }
        | Command::Unfriend { name }
        | Command::SetNickname { name, .. }
        | Command::Mute { name, .. }
        | Command::Archive { name, .. } => Some(name),
        Command::Send { to, .. } | Command::Reply { to, .. } => Some(to),
        Command::Edit { friend, .. }
        | Command::Delete { friend, .. }
        | Command::React { friend, .. }
        | Command::Retry { friend, .. }
        | Command::MarkRead { friend, .. }
        | Command::SaveDraft { friend, .. } => Some(friend),
        Command::LoadHistory { .. }
        | Command::Search { .. }
        | Command::Export { .. }
        | Command::SetRetention { .. }
        | Command::Typing { .. }
        | Command::SetAway(_)
        | Command::Reconnect
        | Command::TakeOver
        | Command::Shutdown => None,
    }
}

/// The row of the message a command is about, if it is about one.
pub fn target(command: &Command) -> Option<i64> {
    match command {
        Command::Reply { row, .. }
        | Command::Edit { row, .. }
        | Command::Delete { row, .. }
        | Command::React { row, .. }
        | Command::Retry { row, .. } => Some(*row),
        _ => None,
    }
}

/// What to do about `command`, given `by` whom it is, the `peer` it is about, and its `target`.
pub fn decide(me: &str, peer: &Peer, target: Option<&Target>, command: &Command, now: &Now) -> Vec<Effect> {
    let refuse = |reason: String| vec![Effect::Refuse { command: command.clone(), reason }];
    let about = || target.ok_or_else(|| "that message is not here any more".to_owned());
    let result = match command {
        Command::Befriend { note, .. } => befriend(me, peer, note, now),
        Command::Withdraw { .. } => withdraw(peer, now),
        Command::Accept { .. } => accept(peer, now),
        Command::Decline { .. } => decline(peer, now),
        Command::Block { .. } => block(me, peer),
        Command::Unblock { .. } => unblock(peer),
        Command::Unfriend { .. } => unfriend(peer),
        Command::Send { text, .. } => return send(peer, None, text, command, now),
        // The answer goes out even if what it answers is gone meanwhile.
        Command::Reply { text, .. } => return send(peer, target, text, command, now),
        Command::Edit { text, .. } => about().and_then(|target| edit(peer, target, text, now)),
        Command::Delete { .. } => about().and_then(|target| delete(peer, target, now)),
        Command::React { mark, .. } => about().and_then(|target| react(peer, target, mark.as_deref(), now)),
        Command::Retry { .. } => about().and_then(|target| retry(peer, target, now)),
        Command::MarkRead { up_to, .. } => Ok(vec![Effect::MarkRead { up_to: *up_to }]),
        Command::SaveDraft { text, .. } => Ok(vec![Effect::SaveDraft(text.clone())]),
        Command::SetNickname { nickname, .. } => set_nickname(nickname),
        Command::Mute { muted, .. } => Ok(vec![Effect::SetMuted(*muted)]),
        Command::Archive { archived, .. } => Ok(vec![Effect::SetArchived(*archived)]),
        Command::LoadHistory { .. }
        | Command::Search { .. }
        | Command::Export { .. }
        | Command::SetRetention { .. }
        | Command::Typing { .. }
        | Command::SetAway(_)
        | Command::Reconnect
        | Command::TakeOver
        | Command::Shutdown => Ok(Vec::new()),
    };
    result.unwrap_or_else(refuse)
}

pub(super) type Decision = Result<Vec<Effect>, String>;

fn befriend(me: &str, peer: &Peer, note: &str, now: &Now) -> Decision {
    let name = &peer.name;
    check_user_name(name).map_err(|error| format!("{name:?} cannot be a user: {error}"))?;
    if name == me {
        return Err("that is you: give the name of somebody else".into());
    }
    if note.len() > NOTE_BYTES_MAX {
        return Err(format!(
            "the note is {} bytes long; at most {NOTE_BYTES_MAX} go with a request",
            note.len()
        ));
    }
    if peer.blocked {
        return Err(format!("you block {name}: unblock {name} first"));
    }
    if let Bond::Friend { .. } = peer.bond {
        return Err(format!("{name} is your friend already"));
    }
    if peer.asks.is_some() {
        // They asked us first, so our asking is an answer.
        return accept(peer, now);
    }
    if peer.open_request().is_some() {
        return Err(format!("you asked {name} already: wait for the answer, or withdraw the request first"));
    }
    let mut peer = peer.clone();
    peer.asked = Some(Asked {
        id: now.message_id,
        queue: now.queue.clone(),
        note: note.to_owned(),
        at: now.at,
        state: RequestState::Queued,
    });
    let body = Body::FriendRequest { to: peer.name.clone(), note: note.to_owned() };
    let request = now.envelope(body).with_reply_to(&now.queue);
    // The queue comes first: the answer must find it.
    Ok(vec![
        Effect::OwnQueue(now.queue.clone()),
        Effect::Save(peer),
        Effect::Publish(Outgoing::to_friend_servers(request)),
    ])
}

fn withdraw(peer: &Peer, now: &Now) -> Decision {
    let Some(asked) = &peer.asked else {
        return Err(format!("there is no request to {} to take back", peer.name));
    };
    let mut effects = take_back(asked);
    if asked.is_open() {
        // A request still in the outbox may be on its way all the same: a lost confirm looks like that.
        let body = Body::Withdraw { to: peer.name.clone(), request_id: asked.id };
        effects.push(Effect::Publish(Outgoing::to_friend_servers(now.envelope(body))));
    }
    effects.push(Effect::Save(Peer { asked: None, ..peer.clone() }));
    Ok(effects)
}

/// Undoes a request at our side: no answer can come.
fn take_back(asked: &Asked) -> Vec<Effect> {
    match asked.is_open() {
        true => vec![
            Effect::Unpublish(asked.id),
            Effect::ReleaseQueue { name: asked.queue.clone(), drain: false },
        ],
        false => Vec::new(),
    }
}

fn accept(peer: &Peer, now: &Now) -> Decision {
    let Some(asks) = &peer.asks else {
        return Err(match peer.bond {
            Bond::Friend { .. } => format!("{} is your friend already", peer.name),
            _ => format!("no request from {0} is waiting: ask with befriend {0}", peer.name),
        });
    };
    let reply = now.envelope(Body::Accept {}).with_reply_to(&now.queue).answering(asks.id);
    let bond = Bond::Friend { ours: now.queue.clone(), theirs: asks.reply_to.clone() };
    Ok(vec![
        // The queue comes first: their first message must find it.
        Effect::OwnQueue(now.queue.clone()),
        Effect::Save(Peer { bond, asks: None, asked: None, ..peer.clone() }),
        Effect::Publish(Outgoing::to_queue(&asks.reply_to, reply)),
    ])
}

fn decline(peer: &Peer, now: &Now) -> Decision {
    let Some(asks) = &peer.asks else {
        return Err(format!("no request from {} is waiting", peer.name));
    };
    let reply = Outgoing::to_queue(&asks.reply_to, now.envelope(Body::Decline {}).answering(asks.id));
    Ok(vec![Effect::Save(Peer { asks: None, ..peer.clone() }), Effect::Publish(reply)])
}

/// Nothing is sent to the blocked; a friend learns of it like of being unfriended.
fn block(me: &str, peer: &Peer) -> Decision {
    let name = &peer.name;
    check_user_name(name).map_err(|error| format!("{name:?} cannot be a user: {error}"))?;
    if name == me {
        return Err("that is you: give the name of somebody else".into());
    }
    let mut effects = Vec::new();
    let mut peer = peer.clone();
    part(&mut peer, true, &mut effects);
    if let Some(asked) = peer.asked.take() {
        effects.extend(take_back(&asked));
    }
    peer.asks = None;
    peer.blocked = true;
    effects.push(Effect::Save(peer));
    Ok(effects)
}

fn unblock(peer: &Peer) -> Decision {
    if !peer.blocked {
        return Err(format!("{} is not blocked", peer.name));
    }
    Ok(vec![Effect::Save(Peer { blocked: false, ..peer.clone() })])
}

fn unfriend(peer: &Peer) -> Decision {
    let mut effects = Vec::new();
    let mut peer = peer.clone();
    part(&mut peer, true, &mut effects);
    if effects.is_empty() {
        return Err(not_a_friend(&peer));
    }
    effects.push(Effect::Save(peer));
    Ok(effects)
}

fn set_nickname(nickname: &str) -> Decision {
    let nickname = nickname.trim();
    if nickname.chars().any(char::is_control) {
        return Err("a nickname is one line of text".into());
    }
    match nickname.chars().count() {
        0 => Ok(vec![Effect::SetNickname(None)]),
        chars if chars > NICKNAME_CHARS_MAX => {
            Err(format!("the nickname has {chars} characters; {NICKNAME_CHARS_MAX} are the most"))
        }
        _ => Ok(vec![Effect::SetNickname(Some(nickname.to_owned()))]),
    }
}

/// Why `text` cannot be what a message says.
pub(super) fn check_text(text: &str) -> Result<(), String> {
    match text.len() {
        0 => Err("there is nothing to send: the text is empty".into()),
        bytes if bytes > TEXT_BYTES_MAX => {
            Err(format!("the text is {bytes} bytes long, a message holds {TEXT_BYTES_MAX}: send it in parts"))
        }
        _ => Ok(()),
    }
}

/// Why `mark` cannot be a reaction.
pub(super) fn check_mark(mark: &str) -> Result<(), String> {
    match mark {
        "" => Err("there is no mark: give one, e.g. 👍".into()),
        mark if mark.len() > MARK_BYTES_MAX => {
            Err(format!("the mark is {} bytes long; {MARK_BYTES_MAX} are the most", mark.len()))
        }
        mark if mark.chars().any(|c| c.is_control() || c.is_whitespace()) => {
            Err("a mark is one emoji or one word".into())
        }
        _ => Ok(()),
    }
}

fn send(peer: &Peer, answers: Option<&Target>, text: &str, command: &Command, now: &Now) -> Vec<Effect> {
    let refuse = |reason: String| {
        // What was typed is kept, whatever becomes of it.
        vec![Effect::KeepAsDraft(text.to_owned()), Effect::Refuse { command: command.clone(), reason }]
    };
    let Bond::Friend { ours, theirs } = &peer.bond else { return refuse(not_a_friend(peer)) };
    if let Err(reason) = check_text(text) {
        return refuse(reason);
    }
    let answers = answers.map(|target| target.id);
    let body = Body::Message { text: text.to_owned(), reply_to_id: answers };
    let message = now.envelope(body).with_reply_to(ours);
    vec![
        Effect::AddMessage {
            id: now.message_id,
            outgoing: true,
            text: text.to_owned(),
            answers,
            at: now.at,
            state: Delivery::Queued,
        },
        Effect::Publish(Outgoing::to_queue(theirs, message)),
    ]
}

pub(super) fn not_a_friend(peer: &Peer) -> String {
    let name = &peer.name;
    match &peer.bond {
        Bond::Former { by_us: false } => {
            format!("{name} is no longer your friend: ask again with befriend {name}")
        }
        Bond::Former { by_us: true } => format!("you unfriended {name}: ask again with befriend {name}"),
        _ if peer.open_request().is_some() => format!("{name} has not accepted your request yet"),
        _ if peer.asks.is_some() => format!("{name} asks to be your friend: accept {name} first"),
        _ => format!("{name} is not your friend: ask with befriend {name}"),
    }
}
