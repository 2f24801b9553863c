//! ★ What is being written: the text, its draft, sending it.

use jiff::Timestamp;
use ratatui::layout::Position;
use shared::message::TEXT_BYTES_MAX;

use super::{Effect, act, after, complain, complete, inform, settle};
use crate::session::api::{Command, Direction};
use crate::tui::action::Action;
use crate::tui::editor::Edit;
use crate::tui::layout::{self, Pane};
use crate::tui::model::{Closed, Entry, Model, Purpose};

/// A draft is kept when typing has paused for this long.
const DRAFT_SECONDS: i64 = 1;

/// The session is told of typing at most this often.
const TYPING_SECONDS: i64 = 2;

/// A text a little too long can be shortened in place; a book is not taken in.
pub const DRAFT_BYTES_MAX: usize = 4 * TEXT_BYTES_MAX;

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

pub fn edit_message(model: &mut Model, edit: Edit, now: Timestamp) {
    if !model.can_write() {
        return;
    }
    let Model { conversations, kills, selected: Some(Entry::Friend(name)), .. } = model else { return };
    let changed = conversations.get_mut(name).is_some_and(|c| c.composer.apply(edit, kills));
    if changed && !edit.only_moves() {
        model.draft_due = Some(after(now, DRAFT_SECONDS));
    }
}

pub fn edit_outside(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
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
            let ended = settle::former_text(model, name);
            match model.asked_with(name) {
                None => format!("{ended} /befriend {name} asks to be friends again."),
                Some(Direction::Incoming) => {
                    format!("{ended} But {name} asks to be friends again: /accept {name}.")
                }
                Some(Direction::Outgoing) => format!("{ended} You asked {name} to be friends again."),
            }
        }
        Closed::Blocked => format!("You have blocked {name}. /unblock {name} lifts it."),
    }
}

pub fn written(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
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

pub fn send(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
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

pub fn up_or_down(model: &mut Model, direction: isize) {
    let columns = layout::composer_columns(model.size.0);
    if !model.can_write() {
        return act::scroll(model, direction);
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
