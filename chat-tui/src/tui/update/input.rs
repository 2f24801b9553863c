//! ★ Keys, pastes and the mouse: first to the layers, then to the chat.

use crossterm::event::{KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use jiff::{SignedDuration, Timestamp};
use ratatui::layout::Position;

use super::{Effect, act, answer, inform, write};
use crate::tui::keymap::{Chord, Meaning};
use crate::tui::layer::{Context, Input, Reply};
use crate::tui::layout::Pane;
use crate::tui::list::{self, Row};
use crate::tui::model::Model;
use crate::tui::selection::{self, Selection};

/// Rows that one notch of the wheel scrolls.
const WHEEL_ROWS: isize = 3;

/// A row at a time, while text is dragged over beyond the edge.
const DRAG_SCROLL_EVERY: SignedDuration = SignedDuration::from_millis(50);

pub fn key(model: &mut Model, key: KeyEvent, now: Timestamp, effects: &mut Vec<Effect>) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    (model.selection, model.dragged_out) = (None, None);
    let chord = Chord::of(key);
    let begun = model.begun.take();
    let action = match model.keymap.meaning(begun, chord, model.situation()) {
        Meaning::Begins => {
            model.begun = Some(chord);
            return;
        }
        Meaning::Action(action) => Some(action),
        Meaning::Nothing => None,
    };
    if answer::take(model, chord, action, now, effects)
        || offer_to_layer(model, Input::Key(chord, action), now, effects)
    {
        return;
    }
    match (action, chord.typed()) {
        (Some(action), _) => act::perform(model, action, now, effects),
        (None, Some(_)) if model.normal => {}
        // Letters are about the message that is chosen.
        (None, Some(_)) if model.is_choosing() => {}
        (None, Some(c)) => write::type_char(model, c, now, effects),
        (None, None) => {}
    }
}

pub fn paste(model: &mut Model, text: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    if !offer_to_layer(model, Input::Paste(text), now, effects) {
        write::paste(model, text, now, effects);
    }
}

pub fn mouse(model: &mut Model, mouse: MouseEvent, now: Timestamp, effects: &mut Vec<Effect>) {
    let wheel = match mouse.kind {
        MouseEventKind::ScrollUp => -WHEEL_ROWS,
        MouseEventKind::ScrollDown => WHEEL_ROWS,
        MouseEventKind::Down(MouseButton::Left) if model.layers.is_empty() => {
            return click(model, Position::new(mouse.column, mouse.row), effects);
        }
        MouseEventKind::Drag(MouseButton::Left) => {
            return drag(model, Position::new(mouse.column, mouse.row), now);
        }
        MouseEventKind::Up(MouseButton::Left) => return copy_selected(model, now, effects),
        _ => return,
    };
    if offer_to_layer(model, Input::Wheel(wheel), now, effects) {
        return;
    }
    if model.areas().list.contains(Position::new(mouse.column, mouse.row)) {
        let rows = list::rows(model);
        let from = list::first(model, &rows).saturating_add_signed(wheel);
        model.list_from = Some(from);
        model.list_from = Some(list::first(model, &rows));
    } else if let Some(conversation) = model.conversation_mut() {
        conversation.timeline.scroll(wheel);
    }
}

/// Extends what is selected; the pointer may leave the conversation, the selection does not. Above or below it, the
/// conversation scrolls for as long as the pointer stays there.
fn drag(model: &mut Model, at: Position, now: Timestamp) {
    let area = model.areas().timeline;
    if area.is_empty() || model.selection.is_none() {
        return;
    }
    let beyond = match at.y {
        y if y < area.top() => -1,
        y if y >= area.bottom() => 1,
        _ => 0,
    };
    model.dragged_out = (beyond != 0).then(|| (at, now.saturating_add(DRAG_SCROLL_EVERY).unwrap_or(now)));
    if let Some(conversation) = model.conversation_mut() {
        conversation.timeline.scroll(beyond);
    }
    let inside =
        Position::new(at.x.clamp(area.left(), area.right() - 1), at.y.clamp(area.top(), area.bottom() - 1));
    if let (Some(spot), Some(selection)) = (selection::spot_at(model, inside), &mut model.selection) {
        selection.drag_to(spot);
    }
}

/// Scrolls on when that is due, with the pointer where it was.
pub fn drag_on(model: &mut Model, now: Timestamp) {
    // Taken: what can no longer be dragged is not due for ever.
    if let Some((at, _)) = model.dragged_out.take_if(|(_, due)| *due <= now) {
        drag(model, at, now);
    }
}

fn copy_selected(model: &mut Model, now: Timestamp, effects: &mut Vec<Effect>) {
    model.dragged_out = None;
    let Some(selection) = model.selection.filter(|selection| selection.dragged) else {
        model.selection = None;
        return;
    };
    let text = model.conversation().map(|c| selection.text(&c.timeline)).unwrap_or_default();
    if text.is_empty() {
        model.selection = None;
        return;
    }
    effects.push(Effect::Copy(text));
    inform(model, "Copied what is selected.", now);
}

fn click(model: &mut Model, at: Position, effects: &mut Vec<Effect>) {
    let areas = model.areas();
    (model.selection, model.dragged_out) = (None, None);
    if areas.timeline.contains(at) {
        model.selection = selection::spot_at(model, at).map(Selection::new);
        return;
    }
    if areas.composer.contains(at) {
        return write::point(model, at);
    }
    if !areas.list.contains(at) {
        return;
    }
    let rows = list::rows(model);
    let first = list::first(model, &rows);
    match rows.get(first + usize::from(at.y - areas.list.y)) {
        Some(Row::Entry(entry) | Row::Preview(entry)) => {
            act::select(model, entry.clone(), effects);
            model.pane = Pane::Conversation;
        }
        Some(Row::MoreRequests { .. }) => model.requests_open = !model.requests_open,
        Some(Row::Archive { .. }) => model.archive_open = !model.archive_open,
        Some(Row::Heading(..) | Row::Blank) | None => {}
    }
}

/// Gives the input to the topmost layer; true when that was the end of it.
fn offer_to_layer(model: &mut Model, input: Input<'_>, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
    if model.layers.is_empty() {
        return false;
    }
    let context = Context::of(model);
    let Some(layer) = model.layers.last_mut() else { return false };
    match layer.handle(input, &context, &mut model.kills) {
        Reply::Ignored => return false,
        Reply::Consumed => {}
        Reply::Close => {
            model.layers.pop();
        }
        Reply::CloseAnd(intent) => {
            model.layers.pop();
            act::intend(model, intent, now, effects);
        }
        Reply::Do(intent) => act::intend(model, intent, now, effects),
    }
    true
}
