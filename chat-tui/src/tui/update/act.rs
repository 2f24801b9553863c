//! ★ Carrying out actions.

use jiff::Timestamp;

use super::{Effect, after, complete, inform, message, people, words, write};
use crate::session::api::{Command, Connection};
use crate::tui::action::Action;
use crate::tui::editor::Edit;
use crate::tui::layer::befriend::Befriend;
use crate::tui::layer::command::CommandLine;
use crate::tui::layer::help::Help;
use crate::tui::layer::notices::Notices;
use crate::tui::layer::palette::Palette;
use crate::tui::layer::switcher::Switcher;
use crate::tui::layer::{Context, Intent, Layer};
use crate::tui::layout::{self, Pane};
use crate::tui::model::{Entry, Model};

const INTERRUPT_SECONDS: i64 = 3;

pub fn perform(model: &mut Model, action: Action, now: Timestamp, effects: &mut Vec<Effect>) {
    match action {
        Action::Quit => leave(model, effects),
        Action::Interrupt => interrupt(model, now, effects),
        Action::Redraw => effects.push(Effect::Redraw),
        Action::Suspend => effects.push(Effect::Suspend),
        // On the way out nothing else is started.
        _ if model.leaving => {}
        Action::Send => write::send(model, now, effects),
        Action::Newline => write::type_char(model, '\n', now, effects),
        Action::Up => write::up_or_down(model, -1),
        Action::Down => write::up_or_down(model, 1),
        Action::Edit(edit) => write::edit_message(model, edit, now),
        Action::Command => model.layers.push(Layer::Command(CommandLine::new(""))),
        Action::CompleteTake => {
            if complete::take(model) {
                write::written(model, now, effects);
            }
        }
        Action::CompleteNext | Action::CompletePrevious => {
            let step = if action == Action::CompleteNext { 1 } else { -1 };
            if let Some(completion) = &mut model.completion {
                completion.choose(step);
            }
        }
        Action::CompleteCancel => {
            model.completion_refused = model.completion.as_ref().map(|completion| completion.start);
        }
        Action::Outside => write::edit_outside(model, now, effects),
        Action::NormalMode => model.normal = model.keymap.has_modes(),
        Action::InsertMode => model.normal = false,
        Action::AppendMode => {
            model.normal = false;
            write::edit_message(model, Edit::End, now);
        }
        Action::Palette => model.layers.push(Layer::Palette(Palette::new())),
        Action::Befriend => model.layers.push(Layer::Befriend(Befriend::new(&people::former_shown(model)))),
        Action::Switch => model.layers.push(Layer::Switcher(Switcher::new(&Context::of(model)))),
        Action::Notices => model.layers.push(Layer::Notices(Notices::new(&model.past_notices))),
        Action::Help => model.layers.push(Layer::Help(Help::default())),
        Action::Previous => step(model, -1, effects),
        Action::Next => step(model, 1, effects),
        Action::NextUnread => next_unread(model, now, effects),
        Action::Open => {
            if model.selected.is_some() {
                model.pane = Pane::Conversation;
            }
        }
        Action::Decline | Action::Withdraw => {
            if let Some(name) = model.selected.as_ref().map(|e| e.name().to_owned()) {
                people::ask_about(model, action, name, now, effects);
            }
        }
        Action::Accept
        | Action::Block
        | Action::Unblock
        | Action::Mute
        | Action::Archive
        | Action::Unfriend => {
            if let Some(name) = model.selected.as_ref().map(|e| e.name().to_owned()) {
                people::about(model, action, name, now, effects);
            }
        }
        Action::Reconnect if matches!(model.connection, Connection::Online { .. }) => {
            inform(model, "You are online.", now);
        }
        Action::Reconnect => effects.push(Effect::Session(Command::Reconnect)),
        Action::TakeOver => effects.push(Effect::Session(Command::TakeOver)),
        Action::Away => away(model, now, effects),
        Action::DoNotDisturb => do_not_disturb(model, now),
        Action::PageUp => scroll_pages(model, -1),
        Action::PageDown => scroll_pages(model, 1),
        Action::LineUp => scroll(model, -1),
        Action::LineDown => scroll(model, 1),
        Action::Oldest => {
            if let Some(conversation) = model.conversation_mut() {
                conversation.timeline.scroll_to_oldest();
            }
        }
        Action::Newest => newest(model),
        Action::Back => back(model),
        Action::Copy => message::copy(model, now, effects),
        Action::ChooseUp => message::step(model, -1, now),
        Action::ChooseDown => message::step(model, 1, now),
        Action::ChooseEnd => message::stop(model),
        Action::Reply => message::reply(model, now, effects),
        Action::EditMessage => message::edit(model, now, effects),
        Action::DeleteMessage => message::delete(model, now),
        Action::Retry => message::retry(model, now, effects),
        Action::GoToAnswered => message::go_to_answered(model, now),
        Action::React
        | Action::Choose
        | Action::OpenLink
        | Action::Theme
        | Action::Search
        | Action::Me
        | Action::Export
        | Action::Retention
        | Action::Nickname => words::perform(model, action, "", now, effects),
        Action::ShowArchived => {
            model.archive_open = !model.archive_open;
            let text = if model.archive_open {
                "Archived friends are in the list."
            } else {
                "Archived friends are hidden."
            };
            inform(model, text, now);
        }
        Action::ShowRequests => {
            model.requests_open = !model.requests_open;
            let text = match model.requests_open {
                true => "All friend requests are in the list.",
                false => "Only the newest friend requests are in the list.",
            };
            inform(model, text, now);
        }
        Action::Mouse => {
            model.mouse = !model.mouse;
            effects.push(Effect::Mouse(model.mouse));
            let text = if model.mouse {
                "The mouse works Warren: wheel and clicks."
            } else {
                "The mouse is free to select text."
            };
            inform(model, text, now);
        }
    }
}

/// Carries out what was decided in a layer.
pub fn intend(model: &mut Model, intent: Intent, now: Timestamp, effects: &mut Vec<Effect>) {
    match intent {
        Intent::Session(command) => people::tell(model, command, now, effects),
        Intent::Select(entry) => {
            select(model, entry, effects);
            model.pane = Pane::Conversation;
        }
        Intent::GoTo { friend, row } => go_to(model, &friend, row, effects),
        Intent::OpenLink(link) => message::open(model, link, now, effects),
        Intent::TypeSlash => write::type_char(model, '/', now, effects),
        Intent::TypeCommand(line) => model.layers.push(Layer::Command(CommandLine::new(&line))),
        Intent::Perform { action: Action::Befriend, name: Some(name), note } => {
            people::tell(model, Command::Befriend { name, note }, now, effects);
        }
        Intent::Perform { action, name: Some(name), .. } => people::about(model, action, name, now, effects),
        Intent::Perform { action, name: None, note } if !note.is_empty() => {
            words::perform(model, action, &note, now, effects);
        }
        Intent::Perform { action, name: None, .. } => perform(model, action, now, effects),
    }
}

/// Shows the message `row` among what was said around it.
pub fn go_to(model: &mut Model, friend: &str, row: i64, effects: &mut Vec<Effect>) {
    select(model, Entry::Friend(friend.to_owned()), effects);
    model.pane = Pane::Conversation;
    model.open(friend).timeline.go_to(row);
}

pub fn leave(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.leaving {
        effects.push(Effect::Abandon);
        return;
    }
    write::save_draft(model, effects);
    model.layers.clear();
    model.leaving = true;
    effects.push(Effect::Session(Command::Shutdown));
    effects.push(Effect::Leave);
}

fn interrupt(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    let unsent = model.conversation().is_some_and(|c| !c.composer.is_blank());
    if !unsent || model.interrupt_until.is_some() || model.leaving {
        return leave(model, effects);
    }
    model.interrupt_until = Some(after(now, INTERRUPT_SECONDS));
    inform(model, "Press Ctrl-C again to leave. What you have not sent is kept.", now);
}

/// Shows `entry`. What was being written elsewhere is kept.
pub fn select(model: &mut Model, entry: Entry, effects: &mut Vec<Effect>) {
    if model.selected.as_ref() == Some(&entry) {
        return;
    }
    write::save_draft(model, effects);
    if let Some(conversation) = model.conversation_mut() {
        conversation.timeline.open();
    }
    if let Entry::Friend(name) = &entry {
        model.open(name).timeline.open();
    }
    model.selected = Some(entry);
    (model.list_from, model.dragged_out) = (None, None);
    model.unchosen_until = None;
    model.typing_told = None;
}

fn do_not_disturb(model: &mut Model, now: Timestamp) {
    model.notify.do_not_disturb = !model.notify.do_not_disturb;
    let text = match model.notify.do_not_disturb {
        true => "Nothing rings any more. /do-not-disturb brings the bell back.",
        false => "The bell and notifications are back.",
    };
    inform(model, text, now);
}

fn step(model: &mut Model, by: isize, effects: &mut Vec<Effect>) {
    let entries = model.entries();
    let at = entries.iter().position(|e| Some(e) == model.selected.as_ref());
    let next = match at {
        Some(at) => at.saturating_add_signed(by).min(entries.len() - 1),
        None => 0,
    };
    if let Some(entry) = entries.into_iter().nth(next) {
        select(model, entry, effects);
    }
}

/// The next one below with unread messages or an open request, from the top again after the last.
fn next_unread(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    let entries = model.entries();
    let at = entries.iter().position(|e| Some(e) == model.selected.as_ref()).map_or(0, |at| at + 1);
    let is_news = |entry: &&Entry| match entry {
        Entry::Incoming(_) => model.selected.as_ref() != Some(entry),
        Entry::Outgoing(_) => false,
        Entry::Friend(name) => model.friend(name).is_some_and(|f| f.unread > 0),
    };
    let split = at.min(entries.len());
    let found = entries[split..].iter().chain(&entries[..split]).find(is_news).cloned();
    match found {
        Some(entry) => {
            select(model, entry, effects);
            model.pane = Pane::Conversation;
        }
        None => inform(model, "Nothing new from anybody else.", now),
    }
}

pub fn scroll(model: &mut Model, rows: isize) {
    if let Some(conversation) = model.conversation_mut() {
        conversation.timeline.scroll(rows);
    }
}

fn scroll_pages(model: &mut Model, pages: isize) {
    let rows = isize::try_from(model.areas().timeline.height).unwrap_or(isize::MAX);
    scroll(model, pages * (rows - 1).max(1));
}

fn newest(model: &mut Model) {
    if let Some(conversation) = model.conversation_mut() {
        conversation.timeline.scroll_to_newest();
    }
}

/// One step back: away with the notice, down to the newest message, out to the list.
fn back(model: &mut Model) {
    if model.notice.take().is_some() {
        return;
    }
    if model.is_choosing() {
        return message::stop(model);
    }
    if message::forget_purpose(model) {
        return;
    }
    if model.conversation().is_some_and(|c| !c.timeline.is_at_newest()) && model.conversation_is_visible() {
        return newest(model);
    }
    if !layout::has_two_panes(model.size.0) {
        model.pane = Pane::List;
    }
}

/// The person has given a sign.
pub fn come_back(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    model.last_input = Some(now);
    if std::mem::take(&mut model.auto_away) && model.away {
        model.away = false;
        effects.push(Effect::Session(Command::SetAway(None)));
    }
}

fn away(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    model.away = !model.away;
    model.auto_away = false;
    effects.push(Effect::Session(Command::SetAway(model.away.then(String::new))));
    inform(
        model,
        if model.away { "You are shown as away. /away brings you back." } else { "You are back." },
        now,
    );
}
