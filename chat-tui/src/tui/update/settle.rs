//! ★ What follows from the state, whatever brought it about: run after every message.

use jiff::Timestamp;

use super::{Effect, act, after, complete, write};
use crate::session::api::{Command, FriendStatus};
use crate::tui::layout;
use crate::tui::model::{Closed, Entry, Model};

/// Messages of history asked for at once.
const PAGE_MESSAGES: usize = 100;

/// When a request comes into view by itself, keys do not answer it for this long.
const UNCHOSEN_SECONDS: i64 = 1;

pub fn settle(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    expire(model, now);
    keep_selection(model, now, effects);
    if !model.leaving {
        go_away(model, now, effects);
        save_due_draft(model, now, effects);
    }
    complete::offer(model);
    set_remark(model);
    model.lay_out();
    if !model.leaving {
        ask_for_history(model, effects);
        see(model, effects);
    }
    set_title(model, effects);
}

/// When the person counts as away, if nothing happens before.
pub fn away_at(model: &Model) -> Option<Timestamp> {
    let minutes = model.away_after_minutes.filter(|_| !model.away && !model.leaving)?;
    Some(after(model.last_input?, i64::from(minutes) * 60))
}

fn go_away(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    if away_at(model).is_some_and(|at| at <= now) {
        (model.away, model.auto_away) = (true, true);
        effects.push(Effect::Session(Command::SetAway(Some(String::new()))));
    }
}

fn expire(model: &mut Model, now: Timestamp) {
    let expired = |until: Option<Timestamp>| until.is_some_and(|until| until <= now);
    if expired(model.notice.as_ref().map(|n| n.until)) {
        model.notice = None;
    }
    if expired(model.interrupt_until) {
        model.interrupt_until = None;
    }
    for conversation in model.conversations.values_mut().filter(|c| expired(c.typing_until)) {
        conversation.typing_until = None;
    }
}

/// Somebody is selected as long as there is anybody to select.
fn keep_selection(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    if let Some(name) = model.expected.clone()
        && model.friend(&name).is_some_and(|f| f.status == FriendStatus::Friend)
        && !model.choose_nobody
    {
        model.expected = None;
        act::select(model, Entry::Friend(name), effects);
    }
    let entries = model.entries();
    if model.selected.as_ref().is_some_and(|selected| entries.contains(selected)) {
        return;
    }
    let same_name = model.selected.as_ref().map(|old| Entry::Friend(old.name().to_owned()));
    let next = match same_name.filter(|entry| entries.contains(entry)) {
        Some(entry) => Some(entry),
        None if model.friends_known && !model.choose_nobody => {
            entries.iter().find(|e| matches!(e, Entry::Friend(_))).or(entries.first()).cloned()
        }
        None => None,
    };
    match next {
        Some(entry) => {
            act::select(model, entry, effects);
            model.unchosen_until = Some(after(now, UNCHOSEN_SECONDS));
        }
        None => model.selected = None,
    }
    if model.selected.is_none() && !layout::has_two_panes(model.size.0) {
        model.pane = layout::Pane::List;
    }
}

fn save_due_draft(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    if model.draft_due.is_some_and(|due| due <= now) {
        write::save_draft(model, effects);
    }
}

/// Who ended the friendship with `name`, as far as the person is to be told.
pub fn former_text(model: &Model, name: &str) -> String {
    let called = model.called(name);
    match model.friend(name).is_some_and(|friend| friend.ended_by_us) {
        true => format!("You have ended the friendship with {called}."),
        false => format!("{called} is no longer your friend."),
    }
}

fn set_remark(model: &mut Model) {
    let remark = match (model.closed(), model.shown_friend()) {
        (Some(Closed::Former), Some(name)) => Some(former_text(model, name)),
        (Some(Closed::Blocked), Some(name)) => Some(format!("You have blocked {name}.")),
        _ => None,
    };
    if let Some(conversation) = model.conversation_mut() {
        conversation.timeline.set_remark(remark);
    }
}

fn ask_for_history(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(friend) = model.shown_friend().map(str::to_owned) else { return };
    let Some(span) = model.open(&friend).timeline.page_to_ask() else { return };
    effects.push(Effect::Session(Command::LoadHistory { friend, span, limit: PAGE_MESSAGES }));
}

/// Tells the session what was seen: only what the person has before their eyes.
fn see(model: &mut Model, effects: &mut Vec<Effect>) {
    if !model.conversation_is_visible() {
        return;
    }
    if let Some(conversation) = model.conversation_mut() {
        conversation.timeline.note_unseen();
    }
    if !model.sees_newest() {
        return;
    }
    let Some(name) = model.shown_friend().map(str::to_owned) else { return };
    let unread = model.friend(&name).map_or(0, |f| f.unread);
    let Some(conversation) = model.conversation_mut() else { return };
    let Some(newest) = conversation.timeline.newest_incoming() else { return };
    let unseen = conversation.timeline.first_unseen().is_some();
    if !unseen && (unread == 0 || conversation.marked >= Some(newest)) {
        return;
    }
    conversation.timeline.mark_seen(newest);
    conversation.marked = Some(newest);
    if let Some(friend) = model.friends.iter_mut().find(|f| f.name == name) {
        friend.unread = 0;
    }
    effects.push(Effect::Session(Command::MarkRead { friend: name, up_to: newest }));
}

fn set_title(model: &mut Model, effects: &mut Vec<Effect>) {
    let news = model.unread() + model.open_requests();
    let title = if news == 0 { "Warren".to_owned() } else { format!("({news}) Warren") };
    if model.title != title {
        model.title.clone_from(&title);
        effects.push(Effect::Title(title));
    }
}
