//! ★ The chat without a screen, for screen readers and scripts: lines in, lines out. The commands are those of the
//! screen, from the same registry, and mean the same.

mod history;
mod layers;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::model::{Entry, Model, Purpose};
use super::notice::NoticeKind;
use super::settings::Notify;
use super::update::{Effect, Msg, update};
use crate::session::api::{Command, Event, Message, Span};
use history::found;

#[derive(Debug)]
pub struct Plain {
    model: Model,
    /// Who was switched to, until what was said last is told.
    opening: bool,
    /// The rows of the oldest and the newest message told of the one who is shown.
    told: Option<(i64, i64)>,
    /// The part of the history that the person asked for, and that is not here yet.
    asked: Option<(String, Span)>,
    /// What is being looked for.
    searching: Option<String>,
}

/// What comes of a line or an event.
#[derive(Debug, Default, PartialEq)]
pub struct Turn {
    pub commands: Vec<Command>,
    pub said: Vec<Said>,
    pub bell: bool,
    /// For the clipboard.
    pub copy: Option<String>,
    /// A link to open.
    pub open: Option<String>,
    /// The session has ended.
    pub ended: bool,
}

/// A line for the person.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Info(String),
    /// What could not be done, and what to do.
    Problem(String),
    /// A message, with its number before it if it can be chosen by that.
    Message {
        message: Box<Message>,
        numbered: bool,
    },
}

/// What of the model is heard of when it changes.
#[derive(PartialEq)]
struct Before {
    selected: Option<Entry>,
    notice: Option<Said>,
    layers: usize,
    chosen: Option<i64>,
    purpose: Purpose,
}

impl Plain {
    pub fn new(user: &str, broker: &str, notify: Notify) -> Self {
        // Of a size at which everything has room; nobody sees it.
        let mut model = Model::new(user, broker, TimeZone::UTC, (80, 24));
        model.choose_nobody = true;
        model.requests_open = true;
        model.notify = notify;
        Plain { model, opening: false, told: None, asked: None, searching: None }
    }

    /// The friend who is written to.
    pub fn shown(&self) -> Option<&str> {
        self.model.shown_friend()
    }

    /// Whether it is known who there is.
    pub fn is_ready(&self) -> bool {
        self.model.friends_known && self.model.requests_known
    }

    /// Whether an answer is still to come to what was typed.
    pub fn is_waiting(&self) -> bool {
        self.searching.is_some() || self.asked.is_some()
    }

    pub fn line(&mut self, text: &str, now: Timestamp) -> Turn {
        // Whoever writes has seen what was said before.
        self.model.notice = None;
        if let Some(span) = self.part_asked_for(text) {
            return self.ask(span);
        }
        let mut turn = self.step(Msg::Line(text.to_owned()), true, now);
        if turn == Turn::default() && text.starts_with('/') {
            turn.said.push(Said::Info("There was nothing to do.".to_owned()));
        }
        turn
    }

    pub fn event(&mut self, event: Event, now: Timestamp) -> Turn {
        match event {
            Event::History { friend, span, page } if self.asked == Some((friend.clone(), span)) => {
                self.asked = None;
                self.tell_page(&friend, span, page, now)
            }
            Event::Found { query, messages, more, .. } if self.searching.as_ref() == Some(&query) => {
                self.searching = None;
                self.model.found = messages.iter().map(|m| (m.friend.clone(), m.row)).collect();
                Turn { said: found(&query, messages, more), ..Turn::default() }
            }
            event => {
                // What was told is told: nothing has to wait until it was seen.
                self.model.notice = None;
                match &event {
                    Event::Failed { command: Command::Search { .. }, .. } => self.searching = None,
                    Event::Failed { command: Command::LoadHistory { .. }, .. } => self.asked = None,
                    _ => {}
                }
                let added = match &event {
                    Event::Message(message) if self.shown() == Some(&message.friend) => Some(message.row),
                    _ => None,
                };
                // The others are told as what they are.
                let notices = matches!(event, Event::Failed { .. } | Event::Notice(_) | Event::Ended { .. });
                let turn = self.step(Msg::Session(event), notices, now);
                if let (Some(row), Some((first, last))) = (added, self.told) {
                    self.told = Some((first, last.max(row)));
                }
                turn
            }
        }
    }

    fn step(&mut self, msg: Msg, notices: bool, now: Timestamp) -> Turn {
        let before = self.before();
        let mut turn = Turn::default();
        for effect in update(&mut self.model, msg, now) {
            match effect {
                Effect::Session(command) => turn.commands.push(command),
                Effect::Bell => turn.bell = true,
                Effect::Copy(text) => turn.copy = Some(text),
                Effect::Open(link) => turn.open = Some(link),
                Effect::Exit(reason) => {
                    turn.ended = true;
                    turn.said.extend(reason.map(Said::Problem));
                }
                Effect::EditOutside(_) => {
                    self.model.outside = None;
                    turn.said.push(Said::Problem(
                        "There is no editor here: write on, a \\ at the end of a line goes on in the next."
                            .to_owned(),
                    ));
                }
                Effect::Suspend => turn
                    .said
                    .push(Said::Problem("That needs the screen: start chat-tui without --plain.".to_owned())),
                // About a screen.
                _ => {}
            }
        }
        if let Some(layer) = self.model.layers.get(before.layers).cloned() {
            turn.said.extend(self.without_screen(&layer));
        }
        self.tell_what_changed(&before, notices, &mut turn);
        let left = before.chosen.is_some() && self.before().chosen.is_none();
        if self.tell_opening(&mut turn.said) || left {
            turn.commands.extend(self.see_newest(now));
        }
        turn
    }

    /// What was told up to the end was seen up to the end.
    fn see_newest(&mut self, now: Timestamp) -> Vec<Command> {
        self.step(Msg::Line("/newest".to_owned()), false, now).commands
    }

    fn before(&self) -> Before {
        let conversation = self.model.conversation();
        Before {
            selected: self.model.selected.clone(),
            notice: self.notice(),
            layers: self.model.layers.len(),
            chosen: conversation.and_then(|c| c.timeline.chosen()).map(|entry| entry.message.row),
            purpose: conversation.map_or(Purpose::New, |c| c.purpose.clone()),
        }
    }

    fn notice(&self) -> Option<Said> {
        let notice = self.model.notice.as_ref()?;
        Some(match notice.kind {
            NoticeKind::Info => Said::Info(notice.text.clone()),
            NoticeKind::Error => Said::Problem(notice.text.clone()),
        })
    }

    fn tell_what_changed(&mut self, before: &Before, notices: bool, turn: &mut Turn) {
        let after = self.before();
        let said = &mut turn.said;
        // Which keys are about a message that is chosen does not matter here.
        if notices
            && after.notice != before.notice
            && (after.chosen == before.chosen || after.chosen.is_none())
        {
            said.extend(after.notice);
        }
        if after.selected != before.selected {
            self.opening = matches!(after.selected, Some(Entry::Friend(_)));
            (self.told, self.asked) = (None, None);
            said.extend(after.selected.as_ref().map(|entry| Said::Info(shown(entry))));
        }
        if after.chosen != before.chosen
            && let Some(entry) = self.model.conversation().and_then(|c| c.timeline.chosen())
        {
            let message = entry.message.clone();
            self.opening = false;
            self.told = Some((message.row, message.row));
            said.push(Said::Info("You chose this message, /back leaves it:".to_owned()));
            said.push(Said::Message { message: Box::new(message), numbered: true });
        }
        if after.purpose != before.purpose {
            let is_sent = turn.commands.iter().any(|command| !matches!(command, Command::SaveDraft { .. }));
            let what = match after.purpose {
                Purpose::Reply { quote, .. } => {
                    format!("Your next line answers “{quote}”. /back leaves that.")
                }
                Purpose::Edit { row, .. } => {
                    let old = self.model.conversation().and_then(|c| c.timeline.text_of(row)).unwrap_or("");
                    format!("Your next line takes the place of “{old}”. /back leaves that.")
                }
                Purpose::New if is_sent || after.selected != before.selected => return,
                Purpose::New => "Your next line is a new message again.".to_owned(),
            };
            said.push(Said::Info(what));
        }
    }
}

fn shown(entry: &Entry) -> String {
    match entry {
        Entry::Friend(name) => format!("You write to {name} now."),
        Entry::Incoming(name) => {
            format!("{name} asks to be your friend: /accept {name}, /decline {name} or /block {name}.")
        }
        Entry::Outgoing(name) => format!("You asked {name}: /withdraw {name} takes that back."),
    }
}
