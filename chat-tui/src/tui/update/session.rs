//! ★ What the session reports.

use std::cmp::Reverse;

use jiff::Timestamp;

use super::{Effect, after, complain, inform};
use crate::session::api::{
    Command, Connection, Direction, Event, Friend, FriendStatus, Message, Page, Request, RequestState, Span,
};
use crate::session::protocol::command::subject;
use crate::tui::layer::Layer;
use crate::tui::model::Model;
use crate::tui::notice::{NoticeKind, sentence};
use crate::tui::timeline::deed;

/// Shown that long after the last sign of typing.
const TYPING_SECONDS: i64 = 6;

/// Older messages, arriving after a time offline, do not ring.
const BELL_SECONDS_MAX: i64 = 120;

pub fn event(model: &mut Model, event: Event, now: Timestamp, effects: &mut Vec<Effect>) {
    match event {
        Event::Connection(connection) => {
            match &connection {
                Connection::Offline { reason, .. } => model.past_notices.went_offline(reason, now),
                Connection::Online { .. } => model.past_notices.came_online(now),
                Connection::Connecting { .. } => {}
            }
            model.connection = connection;
        }
        Event::Friends(friends) => {
            tell_new_friends(model, &friends, now);
            set_friends(model, friends);
        }
        Event::Requests(mut requests) => {
            requests.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.name.cmp(&b.name)));
            call_for_requests(model, &requests, effects);
            tell_answers(model, &requests, now);
            (model.requests, model.requests_known) = (requests, true);
        }
        Event::History { friend, span, page } => add_history(model, &friend, span, page),
        Event::Found { query, friend, messages, more } => {
            model.found = messages.iter().map(|m| (m.friend.clone(), m.row)).collect();
            if let Some(Layer::Search(search)) = model.layers.last_mut() {
                search.take(query, friend, messages, more);
                effects.extend(search.question().map(Effect::Session));
            }
        }
        Event::Forgotten => model.conversations.values_mut().for_each(|c| c.timeline.refresh()),
        Event::Message(message) => add_message(model, message, now, effects),
        Event::MessageChanged(message) => {
            if let Some(conversation) = model.conversations.get_mut(&message.friend) {
                conversation.timeline.change(&message);
            }
        }
        Event::MessageState { friend, id, state } => {
            if let Some(conversation) = model.conversations.get_mut(&friend) {
                conversation.timeline.set_state(id, state);
            }
        }
        Event::Typing { friend } => {
            if let Some(conversation) = model.conversations.get_mut(&friend) {
                conversation.typing_until = Some(after(now, TYPING_SECONDS));
            }
        }
        Event::Unfriended { by } => unfriended(model, &by, now),
        Event::Failed { command, reason } => failed(model, command, reason, now),
        Event::Notice(text) => {
            let text = sentence(&text, None);
            // What went wrong stays readable.
            if model.notice.as_ref().is_none_or(|n| n.kind == NoticeKind::Info) {
                inform(model, text, now);
            } else {
                model.past_notices.remember(NoticeKind::Info, &text, now);
            }
        }
        Event::Ended { reason } => effects.push(Effect::Exit(reason)),
    }
}

/// Those with the newest messages come first.
fn set_friends(model: &mut Model, mut friends: Vec<Friend>) {
    friends.sort_by_key(|f| (Reverse(f.last_message.as_ref().map(|m| m.at)), f.name.clone()));
    for friend in &friends {
        if let Some(conversation) = model.conversations.get_mut(&friend.name) {
            conversation.composer.offer_draft(&friend.draft);
        }
    }
    model.friends = friends;
    model.friends_known = true;
}

fn add_history(model: &mut Model, friend: &str, span: Span, page: Page) {
    let conversation = model.open(friend);
    if conversation.composer.recalls_nothing() {
        let sent = page.messages.iter().filter(|m| m.direction == Direction::Outgoing && !m.deleted);
        sent.for_each(|m| conversation.composer.remember(m.text.clone()));
    }
    conversation.timeline.add_page(span, page);
}

fn add_message(model: &mut Model, message: Message, now: Timestamp, effects: &mut Vec<Effect>) {
    let incoming = message.direction == Direction::Incoming;
    let watched = model.shown_friend() == Some(&message.friend) && model.sees_newest();
    let (friend, row, at) = (message.friend.clone(), message.row, message.at);
    let text = if incoming { message.text.clone() } else { String::new() };
    let conversation = model.open(&friend);
    let is_new = conversation.timeline.add(message);
    if !(incoming && is_new) {
        return;
    }
    conversation.typing_until = None;
    if watched {
        // Seen as it came: no line is drawn above it.
        conversation.timeline.mark_seen(row);
        conversation.marked = Some(row);
        effects.push(Effect::Session(Command::MarkRead { friend, up_to: row }));
    } else if Timestamp::try_from(at).is_ok_and(|at| after(at, BELL_SECONDS_MAX) > now) {
        call(model, &friend, &text, effects);
    }
}

/// Calls the person, unless nothing is to disturb them.
fn call(model: &Model, who: &str, text: &str, effects: &mut Vec<Effect>) {
    let notify = &model.notify;
    // Who is only away from the keyboard is called; who said so wants to be left alone.
    let left_alone = notify.do_not_disturb || (model.away && !model.auto_away);
    if left_alone || model.friend(who).is_some_and(|friend| friend.muted) {
        return;
    }
    if notify.bell {
        effects.push(Effect::Bell);
    }
    if !model.terminal_focused {
        let name = model.called(who);
        let body = match deed(text) {
            _ if !notify.text => "a new message".to_owned(),
            Some(deed) => format!("* {name} {deed}"),
            None => text.to_owned(),
        };
        effects.push(Effect::Notify { title: name.to_owned(), body });
    }
}

/// Requests from others that were not known before call the person too.
fn call_for_requests(model: &Model, requests: &[Request], effects: &mut Vec<Effect>) {
    let known = |r: &Request| model.request(&r.name, Direction::Incoming).is_some_and(|k| k.state == r.state);
    let new =
        |r: &&Request| r.direction == Direction::Incoming && r.state == RequestState::Pending && !known(r);
    if let Some(request) = requests.iter().find(new).filter(|_| model.friends_known) {
        call(model, &request.name, "asks to be your friend", effects);
    }
}

/// Says who has accepted.
fn tell_new_friends(model: &mut Model, friends: &[Friend], now: Timestamp) {
    let is_friend = |f: &Friend| f.status == FriendStatus::Friend;
    let asked = |f: &&Friend| is_friend(f) && model.request(&f.name, Direction::Outgoing).is_some();
    let new = friends.iter().filter(asked).find(|f| !model.friend(&f.name).is_some_and(is_friend));
    if let Some(name) = new.filter(|_| model.friends_known).map(|f| f.name.clone()) {
        inform(model, format!("{name} has accepted: you are friends."), now);
    }
}

/// Says at once what became of requests of one's own.
fn tell_answers(model: &mut Model, requests: &[Request], now: Timestamp) {
    let answer = requests.iter().filter(|r| r.direction == Direction::Outgoing).find_map(|request| {
        let before = model.request(&request.name, Direction::Outgoing)?;
        if before.state == request.state {
            return None;
        }
        match &request.state {
            RequestState::Failed(reason) => {
                Some(format!("Your request did not reach {}: {reason}.", request.name))
            }
            RequestState::Declined => Some(format!("{} has declined your request.", request.name)),
            _ => None,
        }
    });
    if let Some(answer) = answer {
        complain(model, answer, now);
    }
}

fn unfriended(model: &mut Model, by: &str, now: Timestamp) {
    if let Some(friend) = model.friends.iter_mut().find(|f| f.name == by) {
        friend.status = FriendStatus::Former;
    }
    if model.shown_friend() != Some(by) {
        let text = format!("{} is no longer your friend.", model.called(by));
        inform(model, text, now);
    }
}

fn failed(model: &mut Model, command: Command, reason: String, now: Timestamp) {
    let reason = sentence(&reason, subject(&command));
    match command {
        Command::Send { to, text } | Command::Reply { to, text, .. } => {
            model.open(&to).composer.give_back(&text);
        }
        Command::Edit { friend, text, .. } => model.open(&friend).composer.give_back(&text),
        Command::LoadHistory { friend, .. } => model.open(&friend).timeline.page_failed(),
        Command::Search { .. } => {
            if let Some(Layer::Search(search)) = model.layers.last_mut() {
                search.failed();
            }
        }
        _ => {}
    }
    complain(model, reason, now);
}
