//! ★ Carrying out actions.

use jiff::Timestamp;
use ratatui::layout::Position;
use shared::message::TEXT_BYTES_MAX;

use super::{Effect, after, complain, complete, inform, message, words};
use crate::session::api::{Command, Direction, FriendStatus};
use crate::tui::action::Action;
use crate::tui::editor::Edit;
use crate::tui::layer::befriend::Befriend;
use crate::tui::layer::command::CommandLine;
use crate::tui::layer::confirm::Confirm;
use crate::tui::layer::help::Help;
use crate::tui::layer::palette::Palette;
use crate::tui::layer::switcher::Switcher;
use crate::tui::layer::{Context, Intent, Layer};
use crate::tui::layout::{self, Pane};
use crate::tui::model::{Closed, Entry, Model, Purpose};

/// A draft is kept when typing has paused for this long.
const DRAFT_SECONDS: i64 = 1;

/// The session is told of typing at most this often.
const TYPING_SECONDS: i64 = 2;

/// A text a little too long can be shortened in place; a book is not taken in.
pub const DRAFT_BYTES_MAX: usize = 4 * TEXT_BYTES_MAX;

const INTERRUPT_SECONDS: i64 = 3;

pub fn perform(model: &mut Model, action: Action, now: Timestamp, effects: &mut Vec<Effect>) {
    match action {
        Action::Quit => leave(model, effects),
        Action::Interrupt => interrupt(model, now, effects),
        Action::Redraw => effects.push(Effect::Redraw),
        // On the way out nothing else is started.
        _ if model.leaving => {}
        Action::Send => send(model, now, effects),
        Action::Newline => type_char(model, '\n', now, effects),
        Action::Up => up_or_down(model, -1),
        Action::Down => up_or_down(model, 1),
        Action::Edit(edit) => edit_message(model, edit, now),
        Action::Command => model.layers.push(Layer::Command(CommandLine::new(""))),
        Action::CompleteTake => {
            if complete::take(model) {
                written(model, now, effects);
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
        Action::Outside => edit_outside(model, now, effects),
        Action::NormalMode => model.normal = model.keymap.has_modes(),
        Action::InsertMode => model.normal = false,
        Action::AppendMode => {
            model.normal = false;
            edit_message(model, Edit::End, now);
        }
        Action::Palette => model.layers.push(Layer::Palette(Palette::new())),
        Action::Befriend => model.layers.push(Layer::Befriend(Befriend::new(&former_shown(model)))),
        Action::Switch => model.layers.push(Layer::Switcher(Switcher::new(&Context::of(model)))),
        Action::Help => model.layers.push(Layer::Help(Help::default())),
        Action::Previous => step(model, -1, effects),
        Action::Next => step(model, 1, effects),
        Action::NextUnread => next_unread(model, now, effects),
        Action::Open => {
            if model.selected.is_some() {
                model.pane = Pane::Conversation;
            }
        }
        Action::Accept
        | Action::Decline
        | Action::Block
        | Action::Unblock
        | Action::Withdraw
        | Action::Mute
        | Action::Archive
        | Action::Unfriend => {
            if let Some(name) = model.selected.as_ref().map(|e| e.name().to_owned()) {
                about(model, action, name, now, effects);
            }
        }
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
        Action::ChooseUp => message::step(model, -1),
        Action::ChooseDown => message::step(model, 1),
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
        Intent::Session(command) => tell(model, command, now, effects),
        Intent::Select(entry) => {
            select(model, entry, effects);
            model.pane = Pane::Conversation;
        }
        Intent::GoTo { friend, row } => go_to(model, &friend, row, effects),
        Intent::OpenLink(link) => message::open(model, link, now, effects),
        Intent::TypeSlash => type_char(model, '/', now, effects),
        Intent::TypeCommand(line) => model.layers.push(Layer::Command(CommandLine::new(&line))),
        Intent::Perform { action: Action::Befriend, name: Some(name), note } => {
            tell(model, Command::Befriend { name, note }, now, effects);
        }
        Intent::Perform { action, name: Some(name), .. } => about(model, action, name, now, effects),
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

/// Actions about one person.
fn about(model: &mut Model, action: Action, name: String, now: Timestamp, effects: &mut Vec<Effect>) {
    let is_friend = model.friend(&name).is_some_and(|f| f.status == FriendStatus::Friend);
    match action {
        Action::Switch => {
            let listed = model.entries().into_iter().find(|entry| entry.name() == name);
            let entry =
                listed.or_else(|| model.friend(&name).map(|friend| Entry::Friend(friend.name.clone())));
            if let Some(entry) = entry {
                select(model, entry, effects);
                model.pane = Pane::Conversation;
            }
        }
        Action::Accept if model.request(&name, Direction::Incoming).is_some() => {
            model.expected = Some(name.clone());
            tell(model, Command::Accept { name }, now, effects);
        }
        Action::Decline => tell(model, Command::Decline { name }, now, effects),
        Action::Withdraw => tell(model, Command::Withdraw { name }, now, effects),
        Action::Unblock => tell(model, Command::Unblock { name }, now, effects),
        Action::Mute => {
            let muted = !model.friend(&name).is_some_and(|f| f.muted);
            let text = match muted {
                true => format!("{name} no longer calls for your attention. /mute lifts it."),
                false => format!("{name} calls for your attention again."),
            };
            inform(model, text, now);
            effects.push(Effect::Session(Command::Mute { name, muted }));
        }
        Action::Archive => {
            let archived = !model.friend(&name).is_some_and(|f| f.archived);
            let text = match archived {
                true => format!("{name} is hidden until something new comes. /archived shows who is."),
                false => format!("{name} is back in the list."),
            };
            inform(model, text, now);
            effects.push(Effect::Session(Command::Archive { name, archived }));
        }
        Action::Block => model.layers.push(Layer::Confirm(Confirm::block(&name))),
        Action::Unfriend if is_friend => model.layers.push(Layer::Confirm(Confirm::unfriend(&name))),
        _ => {}
    }
}

fn tell(model: &mut Model, command: Command, now: Timestamp, effects: &mut Vec<Effect>) {
    if let Command::Delete { .. } = &command {
        message::stop(model);
    }
    if let Command::Befriend { name, .. } = &command {
        inform(
            model,
            format!("Your request to {name} is on its way. The answer will show in the list."),
            now,
        );
    }
    effects.push(Effect::Session(command));
}

pub fn leave(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.leaving {
        effects.push(Effect::Abandon);
        return;
    }
    save_draft(model, effects);
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
    save_draft(model, effects);
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

pub fn save_draft(model: &mut Model, effects: &mut Vec<Effect>) {
    model.draft_due = None;
    // A message that is being changed is no draft.
    if model.conversation().is_some_and(|c| matches!(c.purpose, Purpose::Edit { .. })) {
        return;
    }
    let Some(friend) = model.shown_friend().map(str::to_owned) else { return };
    if let Some(text) = model.conversation_mut().and_then(|c| c.composer.draft_to_save()) {
        effects.push(Effect::Session(Command::SaveDraft { friend, text }));
    }
}

pub fn type_char(model: &mut Model, c: char, now: Timestamp, effects: &mut Vec<Effect>) {
    if !writable(model, now) {
        return;
    }
    if let Some(conversation) = model.conversation_mut() {
        conversation.composer.type_char(c);
    }
    if c == ':' {
        complete::replace_shortcode(model);
    }
    written(model, now, effects);
}

pub fn paste(model: &mut Model, text: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    if text.is_empty() || !writable(model, now) {
        return;
    }
    let Some(conversation) = model.conversation_mut() else { return };
    if text.len() + conversation.composer.text().len() > DRAFT_BYTES_MAX {
        let (size, most) = (text.len() / 1024, TEXT_BYTES_MAX / 1024);
        let problem =
            format!("That is too much: {size} KiB, and one message holds {most} KiB. Send it in parts.");
        return complain(model, problem, now);
    }
    conversation.composer.paste(text);
    written(model, now, effects);
}

fn edit_message(model: &mut Model, edit: Edit, now: Timestamp) {
    if !model.can_write() {
        return;
    }
    let Model { conversations, kills, selected: Some(Entry::Friend(name)), .. } = model else { return };
    let changed = conversations.get_mut(name).is_some_and(|c| c.composer.apply(edit, kills));
    if changed && !edit.only_moves() {
        model.draft_due = Some(after(now, DRAFT_SECONDS));
    }
}

fn edit_outside(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    if !writable(model, now) || model.outside.is_some() {
        return;
    }
    save_draft(model, effects);
    model.outside = model.shown_friend().map(str::to_owned);
    let text = model.conversation().map_or("", |c| c.composer.text()).to_owned();
    effects.push(Effect::EditOutside(text));
}

/// Takes in what was written outside.
pub fn edited(model: &mut Model, result: Result<String, String>, now: Timestamp, effects: &mut Vec<Effect>) {
    let Some(friend) = model.outside.take() else { return };
    match result {
        Ok(text) => {
            let composer = &mut model.open(&friend).composer;
            if composer.text() != text {
                composer.replace(&text);
            }
            if let Some(text) = composer.draft_to_save() {
                effects.push(Effect::Session(Command::SaveDraft { friend, text }));
            }
        }
        Err(problem) => complain(model, problem, now),
    }
}

fn do_not_disturb(model: &mut Model, now: Timestamp) {
    model.notify.do_not_disturb = !model.notify.do_not_disturb;
    let text = match model.notify.do_not_disturb {
        true => "Nothing rings any more. /do-not-disturb brings the bell back.",
        false => "The bell and notifications are back.",
    };
    inform(model, text, now);
}

/// Whether something can be written here; if not, says why.
pub fn writable(model: &mut Model, now: Timestamp) -> bool {
    if model.leaving {
        return false;
    }
    if model.can_write() {
        return true;
    }
    match (model.closed(), model.shown_friend()) {
        (Some(closed), Some(name)) => {
            let text = closed_explanation(model, closed, name);
            complain(model, text, now);
        }
        _ if model.selected.is_none() => {
            let key = model.key(Action::Befriend);
            inform(
                model,
                format!("There is nobody to write to yet. {key} asks somebody to be friends."),
                now,
            );
        }
        _ => {}
    }
    false
}

/// Why nothing can be written to `name`, and what to do.
pub fn closed_explanation(model: &Model, closed: Closed, name: &str) -> String {
    match closed {
        Closed::Former => {
            format!(
                "{name} is no longer your friend. {} asks to be friends again.",
                model.key(Action::Befriend)
            )
        }
        Closed::Blocked => format!("You have blocked {name}. /unblock {name} lifts it."),
    }
}

fn written(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    model.draft_due = Some(after(now, DRAFT_SECONDS));
    model.interrupt_until = None;
    // Where it is written stays before their eyes when the terminal gets too narrow for the list beside it.
    model.pane = Pane::Conversation;
    let told_lately = model.typing_told.is_some_and(|told| after(told, TYPING_SECONDS) > now);
    if !told_lately && let Some(friend) = model.shown_friend().map(str::to_owned) {
        model.typing_told = Some(now);
        effects.push(Effect::Session(Command::Typing { friend }));
    }
}

fn send(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    let Some(to) = model.shown_friend().map(str::to_owned) else { return };
    if model.conversation().is_none_or(|c| c.composer.is_blank()) || !writable(model, now) {
        return;
    }
    if let Some(left @ ..0) = model.bytes_left() {
        let over = -left;
        let most = TEXT_BYTES_MAX / 1024;
        return complain(
            model,
            format!(
                "This is {over} bytes longer than one message can be ({most} KiB). Shorten it, or send it in parts."
            ),
            now,
        );
    }
    let Some(conversation) = model.conversation_mut() else { return };
    let Some(text) = conversation.composer.take() else { return };
    conversation.timeline.forget_new();
    conversation.timeline.scroll_to_newest();
    let purpose = std::mem::take(&mut conversation.purpose);
    if let Purpose::Edit { kept, .. } = &purpose {
        conversation.composer.replace(kept);
    }
    effects.push(Effect::Session(match purpose {
        Purpose::New => Command::Send { to, text },
        Purpose::Reply { row, .. } => Command::Reply { to, row, text },
        Purpose::Edit { row, .. } => Command::Edit { friend: to, row, text },
    }));
    model.typing_told = None;
    model.notice = None;
    save_draft(model, effects);
}

fn up_or_down(model: &mut Model, direction: isize) {
    let columns = layout::composer_columns(model.size.0);
    if !model.can_write() {
        return scroll(model, direction);
    }
    if let Some(conversation) = model.conversation_mut() {
        match direction {
            ..0 => conversation.composer.up(columns),
            _ => conversation.composer.down(columns),
        };
    }
}

/// Puts the cursor where the person points in what is being written.
pub fn point(model: &mut Model, at: Position) {
    if !model.can_write() {
        return;
    }
    let (width, area) = (layout::composer_columns(model.size.0), model.areas().composer);
    if let Some(conversation) = model.conversation_mut() {
        let row = usize::from(at.y.saturating_sub(area.y));
        let column = usize::from(at.x.saturating_sub(area.x + layout::COMPOSER_INDENT));
        conversation.composer.point(width, usize::from(area.height), row, column);
    }
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

fn scroll(model: &mut Model, rows: isize) {
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
        effects.push(Effect::Session(Command::SetAway(false)));
    }
}

fn away(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    model.away = !model.away;
    model.auto_away = false;
    effects.push(Effect::Session(Command::SetAway(model.away)));
    inform(
        model,
        if model.away { "You are shown as away. /away brings you back." } else { "You are back." },
        now,
    );
}

/// Whom the befriend dialog should name: the friend shown, when that one no longer is.
fn former_shown(model: &Model) -> String {
    match (model.closed(), model.shown_friend()) {
        (Some(Closed::Former), Some(name)) => name.to_owned(),
        _ => String::new(),
    }
}
