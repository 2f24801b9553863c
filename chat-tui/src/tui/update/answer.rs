//! ★ Single letters that answer a friend request. One alone is an answer. Several in a row are a text, by somebody who
//! looked at the keys and not at the screen: such a text answers nothing, whatever letters are in it.

use jiff::{SignedDuration, Timestamp};

use super::{Effect, act, inform, people};
use crate::session::api::Direction;
use crate::tui::action::Action;
use crate::tui::keymap::Chord;
use crate::tui::layer::Layer;
use crate::tui::model::{Model, SingleLetter};

/// Letters that follow each other faster are a text.
const APART: SignedDuration = SignedDuration::from_millis(500);

/// Enter so soon after a text was meant to send it.
const SEND: SignedDuration = SignedDuration::from_secs(3);

/// Takes the key if it answers a request, or belongs to a text that was meant for somebody; true if it did.
pub fn take(
    model: &mut Model,
    chord: Chord,
    action: Option<Action>,
    now: Timestamp,
    effects: &mut Vec<Effect>,
) -> bool {
    let before = model.letter.take();
    let letter = chord.typed().is_some();
    let answers = action.is_some_and(is_answer);
    if let Some(before) = &before
        && ((letter && before.until > now) || (answers && !letter && before.sends_until > now))
    {
        if before.asks && matches!(model.layers.last(), Some(Layer::Confirm(_))) {
            model.layers.pop();
        }
        note_text(model, now);
        return true;
    }
    if let Some(name) = before.and_then(|before| before.accepts)
        && !matches!(action, Some(Action::Back | Action::Interrupt | Action::Quit))
    {
        people::about(model, Action::Accept, name, now, effects);
    }
    if !model.layers.is_empty() || !request_is_shown(model) {
        return false;
    }
    let unchosen = model.unchosen_until.is_some_and(|until| until > now);
    match action {
        Some(_) if answers && unchosen => {
            if letter {
                note(model, None, false, now);
            }
        }
        Some(Action::Accept) if letter => {
            let name = model.shown_request().map(|request| request.name.clone());
            note(model, name, false, now);
        }
        Some(action) if answers && letter => {
            act::perform(model, action, now, effects);
            note(model, None, !model.layers.is_empty(), now);
        }
        None if letter && !model.normal => note_text(model, now),
        _ => return false,
    }
    true
}

/// When the letter that was typed accepts a request, if it stays alone.
pub fn accept_at(model: &Model) -> Option<Timestamp> {
    model.letter.as_ref().filter(|letter| letter.accepts.is_some()).map(|letter| letter.until)
}

/// Accepts if that is due.
pub fn accept_due(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    if accept_at(model).is_some_and(|at| at <= now)
        && let Some(name) = model.letter.take().and_then(|letter| letter.accepts)
    {
        people::about(model, Action::Accept, name, now, effects);
    }
}

fn note(model: &mut Model, accepts: Option<String>, asks: bool, now: Timestamp) {
    let until = now.saturating_add(APART).unwrap_or(now);
    model.letter = Some(SingleLetter { until, sends_until: until, accepts, asks });
}

/// What is typed is a text, and has nobody to go to.
fn note_text(model: &mut Model, now: Timestamp) {
    let until = now.saturating_add(APART).unwrap_or(now);
    let sends_until = now.saturating_add(SEND).unwrap_or(now);
    model.letter = Some(SingleLetter { until, sends_until, accepts: None, asks: false });
    explain(model, now);
}

fn is_answer(action: Action) -> bool {
    matches!(action, Action::Accept | Action::Decline | Action::Block | Action::Withdraw)
}

fn request_is_shown(model: &Model) -> bool {
    model.shown_request().is_some() && model.conversation_is_visible()
}

fn explain(model: &mut Model, now: Timestamp) {
    let Some(request) = model.shown_request() else { return };
    let (name, direction) = (&request.name, request.direction);
    let does = |action, does| format!("{} {does}", model.key(action));
    let text = match direction {
        Direction::Incoming => format!(
            "You and {name} are not friends yet, so nothing can be written here. A letter alone answers: {}, {}, {}.",
            does(Action::Accept, "accepts"),
            does(Action::Decline, "declines"),
            does(Action::Block, "blocks"),
        ),
        Direction::Outgoing => {
            format!("You and {name} are not friends yet, so nothing can be written here.")
        }
    };
    inform(model, text, now);
}
