//! ★ Actions about one message: the one chosen, or else the newest that they can be about.

use jiff::Timestamp;

use super::write::{self, save_draft};
use super::{Effect, act, complain, inform};
use crate::session::api::{Amending, Command, Delivery, Direction, Message};
use crate::tui::action::Action;
use crate::tui::layer::Layer;
use crate::tui::layer::confirm::Confirm;
use crate::tui::layer::links::Links;
use crate::tui::layer::react::{self, React};
use crate::tui::model::{Model, Purpose};
use crate::tui::text;

/// On smaller screens the messages matter more than what can be done with them.
const HINT_ROWS_MIN: u16 = 10;

/// Columns of a text that is repeated in a question.
const EXCERPT_COLUMNS: usize = 40;

pub fn choose(model: &mut Model, now: Timestamp) {
    let visible = model.conversation_is_visible();
    let chosen = visible && model.conversation_mut().is_some_and(|c| c.timeline.start_choosing());
    if !chosen {
        return complain(model, "There is no message to choose.", now);
    }
    if model.size.1 < HINT_ROWS_MIN {
        return;
    }
    let does = [
        (Action::Reply, "answers"),
        (Action::EditMessage, "changes"),
        (Action::DeleteMessage, "deletes"),
        (Action::React, "marks"),
        (Action::Copy, "copies"),
    ];
    let retry = chosen_is(model, is_undelivered).then_some((Action::Retry, "sends it again"));
    let hints = retry.into_iter().chain(does).filter_map(|(action, does)| {
        let key = model.keymap.keys(action).into_iter().find(|key| key.is_plain())?;
        Some(format!("{key} {does}"))
    });
    let hints: Vec<String> = hints.collect();
    inform(model, hints.join(" · "), now);
}

pub fn step(model: &mut Model, by: isize, now: Timestamp) {
    if let Some(conversation) = model.conversation_mut() {
        conversation.timeline.choose(by);
    }
    if chosen_is(model, is_undelivered) {
        let key = model.key(Action::Retry);
        inform(model, format!("{key} sends it again."), now);
    }
}

fn chosen_is(model: &Model, is: impl Fn(&Message) -> bool) -> bool {
    model.conversation().and_then(|c| c.timeline.chosen()).is_some_and(|entry| is(&entry.message))
}

fn is_undelivered(message: &Message) -> bool {
    message.direction == Direction::Outgoing
        && (matches!(message.state, Delivery::Returned | Delivery::Failed(_))
            || message.amending == Amending::Lost)
}

pub fn stop(model: &mut Model) {
    if let Some(conversation) = model.conversation_mut() {
        conversation.timeline.stop_choosing();
    }
}

/// The friend shown, and the message that is chosen, or else the newest at hand that `fits`.
fn target(model: &Model, fits: impl Fn(&Message) -> bool) -> Option<(String, Message)> {
    let friend = model.shown_friend()?.to_owned();
    let timeline = &model.conversation()?.timeline;
    let message = match timeline.chosen() {
        Some(entry) => &entry.message,
        None => timeline.newest_that(fits)?,
    };
    Some((friend, message.clone()))
}

fn is_ours(message: &Message) -> bool {
    message.direction == Direction::Outgoing && !message.deleted
}

fn is_theirs(message: &Message) -> bool {
    message.direction == Direction::Incoming && !message.deleted
}

pub fn reply(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    let Some((_, message)) = target(model, is_theirs) else {
        return complain(model, "There is no message to answer.", now);
    };
    if message.deleted {
        return complain(model, "That message is deleted.", now);
    }
    if !write::writable(model, now) {
        return;
    }
    begin(model, effects);
    let quote = text::fit(message.text.trim(), EXCERPT_COLUMNS);
    if let Some(conversation) = model.conversation_mut() {
        conversation.purpose = Purpose::Reply { row: message.row, quote };
    }
}

pub fn edit(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    let Some((_, message)) = target(model, is_ours) else {
        return complain(model, "There is no message of yours to change.", now);
    };
    if !is_ours(&message) {
        return complain(model, "Only your own messages can be changed.", now);
    }
    if !write::writable(model, now) {
        return;
    }
    begin(model, effects);
    if let Some(conversation) = model.conversation_mut() {
        let kept = conversation.composer.text().to_owned();
        conversation.purpose = Purpose::Edit { row: message.row, kept };
        conversation.composer.replace(&message.text);
    }
}

/// Leaves what was begun before; what was being written is kept.
fn begin(model: &mut Model, effects: &mut Vec<Effect>) {
    model.notice = None;
    stop(model);
    forget_purpose(model);
    save_draft(model, effects);
}

/// No longer answers or changes a message; true if it did.
pub fn forget_purpose(model: &mut Model) -> bool {
    let Some(conversation) = model.conversation_mut() else { return false };
    match std::mem::take(&mut conversation.purpose) {
        Purpose::New => false,
        Purpose::Reply { .. } => true,
        Purpose::Edit { kept, .. } => {
            conversation.composer.replace(&kept);
            true
        }
    }
}

pub fn delete(model: &mut Model, now: Timestamp) {
    match target(model, is_ours) {
        Some((friend, message)) if is_ours(&message) => {
            let excerpt = text::fit(message.text.trim(), EXCERPT_COLUMNS);
            model.layers.push(Layer::Confirm(Confirm::delete(
                &friend,
                model.called(&friend),
                message.row,
                &excerpt,
            )));
        }
        Some(_) => complain(model, "Only your own messages can be taken back, and only once.", now),
        None => complain(model, "There is no message of yours to take back.", now),
    }
}

pub fn retry(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    match target(model, is_undelivered) {
        Some((friend, message)) => {
            stop(model);
            effects.push(Effect::Session(Command::Retry { friend, row: message.row }));
        }
        None => inform(model, "Nothing came back or failed.", now),
    }
}

pub fn copy(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    let text = model.conversation().and_then(|c| {
        let newest = || c.timeline.newest_visible().and_then(|index| c.timeline.entry(index));
        let entry = c.timeline.chosen().or_else(newest)?;
        Some(entry.message.text.clone()).filter(|text| !text.is_empty())
    });
    let Some(text) = text else { return complain(model, "There is no text to copy.", now) };
    effects.push(Effect::Copy(text));
    let what = if model.is_choosing() { "Copied the message." } else { "Copied the newest message in view." };
    stop(model);
    inform(model, what, now);
}

/// Opens the link, or of several the one of this number; without a number, asks which.
pub fn open_link(model: &mut Model, number: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    let found = target(model, |message| !text::links(&message.text).is_empty());
    let links = found.map_or(Vec::new(), |(_, message)| {
        let mut links: Vec<String> = Vec::new();
        for range in text::links(&message.text) {
            let link = &message.text[range];
            if !links.iter().any(|known| known == link) {
                links.push(link.to_owned());
            }
        }
        links
    });
    let numbered = || number.parse::<usize>().ok()?.checked_sub(1);
    match links.len() {
        0 => complain(model, "There is no link to open.", now),
        1 if number.is_empty() => open(model, links[0].clone(), now, effects),
        _ if number.is_empty() => model.layers.push(Layer::Links(Links::new(links))),
        count => match numbered().and_then(|at| links.get(at)) {
            Some(link) => open(model, link.clone(), now, effects),
            None => complain(model, format!("Which link? Type a number from 1 to {count}."), now),
        },
    }
}

pub fn open(model: &mut Model, link: String, now: Timestamp, effects: &mut Vec<Effect>) {
    stop(model);
    inform(model, format!("Opening {link}."), now);
    effects.push(Effect::Open(link));
}

/// Chooses the message `row`, of whoever is shown or of those that were found last.
pub fn choose_row(model: &mut Model, row: i64, now: Timestamp, effects: &mut Vec<Effect>) {
    let found = model.found.iter().find(|(_, hit)| *hit == row).map(|(friend, _)| friend.clone());
    match found.or_else(|| model.shown_friend().map(str::to_owned)) {
        Some(friend) => act::go_to(model, &friend, row, effects),
        None => complain(model, "There is no message to choose.", now),
    }
}

pub fn go_to_answered(model: &mut Model, now: Timestamp) {
    let row = target(model, |message| message.answers.is_some())
        .and_then(|(_, message)| message.answers.and_then(|answered| answered.known))
        .map(|known| known.row);
    match (row, model.conversation_mut()) {
        (Some(row), Some(conversation)) => conversation.timeline.go_to(row),
        _ => complain(model, "It answers no message that is here.", now),
    }
}

/// Puts `mark` on the message, or takes ours back if that says `off`; without one, asks which.
pub fn react(model: &mut Model, mark: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    match target(model, is_theirs) {
        Some((_, message)) if message.deleted => complain(model, "That message is deleted.", now),
        Some((friend, message)) => {
            stop(model);
            if mark.is_empty() {
                let dialog = React::new(&friend, message.row, message.our_mark);
                return model.layers.push(Layer::React(dialog));
            }
            let mark = (mark != "off").then(|| react::of(mark));
            effects.push(Effect::Session(Command::React { friend, row: message.row, mark }));
        }
        None => complain(model, "There is no message to mark.", now),
    }
}
