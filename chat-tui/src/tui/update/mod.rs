//! ★ What happens next: the model changes by messages, and says what is to be done outside.

mod act;
mod answer;
mod complete;
mod input;
mod line;
mod message;
mod people;
mod session;
mod settle;
mod words;
mod write;

use crossterm::event::{KeyEvent, MouseEvent};
use jiff::{SignedDuration, Timestamp};

pub use write::DRAFT_BYTES_MAX;

use super::model::Model;
use super::notice::{Notice, NoticeKind};
use super::theme::Look;
use crate::session::api::{Command, Connection, Event};

#[derive(Debug, Clone)]
pub enum Msg {
    Key(KeyEvent),
    Paste(String),
    Mouse(MouseEvent),
    Focus(bool),
    Resize(u16, u16),
    Session(Event),
    /// A moment that `next_wake` named has come.
    Tick,
    /// The editor outside has ended: with the text, or with why there is none.
    Edited(Result<String, String>),
    /// A whole line, where there is no screen.
    Line(String),
    /// The system asks us to end.
    Terminate,
}

/// What the shell is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Session(Command),
    /// The session was told to end: wait for it, but not forever.
    Leave,
    /// End without waiting for the session any longer.
    Abandon,
    /// The session has ended; with the reason if it did so by itself.
    Exit(Option<String>),
    Bell,
    /// Something for a person who looks elsewhere.
    Notify {
        title: String,
        body: String,
    },
    /// Open this text in the person's own editor; `Msg::Edited` follows.
    EditOutside(String),
    /// Open the link with what the system has for it.
    Open(String),
    /// To the clipboard.
    Copy(String),
    /// The terminal's title.
    Title(String),
    Mouse(bool),
    /// Other colours.
    Theme(Look),
    /// Draw everything anew.
    Redraw,
    /// Stop, and give the terminal to the shell meanwhile.
    Suspend,
}

const INFO_SECONDS: i64 = 6;
const ERROR_SECONDS: i64 = 15;

/// Applies `msg` at the time `now`.
pub fn update(model: &mut Model, msg: Msg, now: Timestamp) -> Vec<Effect> {
    let mut effects = Vec::new();
    model.clock_is(now);
    if matches!(msg, Msg::Key(_) | Msg::Paste(_) | Msg::Mouse(_) | Msg::Edited(_)) {
        act::come_back(model, now, &mut effects);
    }
    if matches!(msg, Msg::Key(_) | Msg::Paste(_)) {
        // Who types here looks here, whatever was heard of the focus: some terminals and multiplexers lose that.
        model.terminal_focused = true;
    }
    answer::accept_due(model, now, &mut effects);
    match msg {
        Msg::Key(key) => input::key(model, key, now, &mut effects),
        Msg::Paste(text) => input::paste(model, &text, now, &mut effects),
        Msg::Mouse(mouse) => input::mouse(model, mouse, now, &mut effects),
        Msg::Focus(focused) => model.terminal_focused = focused,
        Msg::Resize(width, height) => model.size = (width, height),
        Msg::Session(event) => session::event(model, event, now, &mut effects),
        Msg::Tick => input::drag_on(model, now),
        Msg::Line(text) => line::line(model, &text, now, &mut effects),
        Msg::Edited(result) => write::edited(model, result, now, &mut effects),
        Msg::Terminate => act::leave(model, &mut effects),
    }
    settle::settle(model, now, &mut effects);
    effects
}

/// When the screen changes by itself or something is due; `None` when everything waits for input.
pub fn next_wake(model: &Model, now: Timestamp) -> Option<Timestamp> {
    let retry = match &model.connection {
        Connection::Offline { retry_at, .. } if model.areas().status.height > 0 => {
            Timestamp::try_from(*retry_at).ok().and_then(|at| next_second(at, now))
        }
        _ => None,
    };
    let typing = model.conversations.values().filter_map(|c| c.typing_until).min();
    let notice = model.notice.as_ref().map(|n| n.until);
    let dragging = model.dragged_out.map(|(_, due)| due);
    let accept = answer::accept_at(model);
    [retry, typing, notice, dragging, accept, model.draft_due, model.interrupt_until, settle::away_at(model)]
        .into_iter()
        .flatten()
        .min()
}

/// Whole seconds from `now` until `at`, rounded up.
pub fn seconds_until(at: Timestamp, now: Timestamp) -> i64 {
    let millis = now.duration_until(at).as_millis().clamp(0, i64::MAX.into()) as i64;
    millis.div_euclid(1000) + i64::from(millis % 1000 > 0)
}

/// When `seconds_until(at, …)` falls next, if it is not 0 yet.
fn next_second(at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let left = seconds_until(at, now);
    (left > 0).then(|| after(at, -(left - 1)))
}

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(at)
}

fn inform(model: &mut Model, text: impl Into<String>, now: Timestamp) {
    tell(model, NoticeKind::Info, text.into(), INFO_SECONDS, now);
}

fn complain(model: &mut Model, text: impl Into<String>, now: Timestamp) {
    tell(model, NoticeKind::Error, text.into(), ERROR_SECONDS, now);
}

fn tell(model: &mut Model, kind: NoticeKind, text: String, seconds: i64, now: Timestamp) {
    model.past_notices.remember(kind, &text, now);
    model.notice = Some(Notice { kind, text, until: after(now, seconds) });
}
