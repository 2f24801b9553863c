//! ★ What was said, told part by part.

use jiff::Timestamp;

use super::{Plain, Said, Turn};
use crate::session::api::{Command, Message, Page, Span};
use crate::tui::action::Action;
use crate::tui::layer::{Context, Intent, command};

/// Of a history, at a time.
const MESSAGES_AT_ONCE: usize = 10;
/// Of what was not seen, when somebody is switched to.
const UNSEEN_AT_ONCE: usize = 30;

impl Plain {
    /// What was said last with the one who was switched to, as soon as it is here. True if that is all there is.
    pub(super) fn tell_opening(&mut self, said: &mut Vec<Said>) -> bool {
        let Some(timeline) = self.model.conversation().map(|c| &c.timeline) else { return false };
        if !self.opening || !timeline.is_loaded() {
            return false;
        }
        self.opening = false;
        let messages = timeline.messages();
        let unseen = timeline.first_new().and_then(|row| messages.iter().position(|m| m.row == row));
        let from = messages.len().saturating_sub(MESSAGES_AT_ONCE);
        let from = unseen.map_or(from, |unseen| unseen.min(from));
        let to = messages.len().min(from + UNSEEN_AT_ONCE);
        let (told, rest) = (&messages[from..to], messages.len() - to);
        self.told = told.first().zip(told.last()).map(|(first, last)| (first.row, last.row));
        said.extend(
            told.iter()
                .map(|message| Said::Message { message: Box::new((*message).clone()), numbered: false }),
        );
        let more = rest > 0 || timeline.has_newer();
        if more {
            said.push(Said::Info("There is more: /page-down goes on, /newest goes to the end.".to_owned()));
        }
        !more
    }

    /// The part of the history that a line asks for.
    pub(super) fn part_asked_for(&self, line: &str) -> Option<Span> {
        self.shown()?;
        if !self.model.layers.is_empty() {
            return None;
        }
        let line = line.strip_prefix('/')?.trim_end();
        let Ok(Intent::Perform { action, name: None, .. }) = command::parse(line, &Context::of(&self.model))
        else {
            return None;
        };
        match (action, self.told) {
            (Action::PageUp, Some((first, _))) => Some(Span::Before(first)),
            (Action::PageDown, Some((_, last))) => Some(Span::After(last)),
            (Action::Oldest, _) => Some(Span::After(0)),
            (Action::Newest | Action::PageUp | Action::PageDown, _) => Some(Span::Newest),
            _ => None,
        }
    }

    pub(super) fn ask(&mut self, span: Span) -> Turn {
        let Some(friend) = self.shown().map(str::to_owned) else { return Turn::default() };
        self.opening = false;
        self.asked = Some((friend.clone(), span));
        let command = Command::LoadHistory { friend, span, limit: MESSAGES_AT_ONCE };
        Turn { commands: vec![command], ..Turn::default() }
    }

    pub(super) fn tell_page(&mut self, friend: &str, span: Span, page: Page, now: Timestamp) -> Turn {
        let mut turn = Turn::default();
        if self.shown() != Some(friend) {
            return turn;
        }
        let Page { mut messages, newer, .. } = page;
        // More of it may have come than was asked for here.
        match span {
            Span::After(_) => messages.truncate(MESSAGES_AT_ONCE),
            _ => drop(messages.drain(..messages.len().saturating_sub(MESSAGES_AT_ONCE))),
        }
        match messages.first().zip(messages.last()) {
            Some((first, last)) => self.told = Some((first.row, last.row)),
            None => turn.said.push(Said::Info(match span {
                Span::Before(_) => "There is nothing older.".to_owned(),
                Span::After(0) | Span::Newest => "Nothing was said yet.".to_owned(),
                _ => "There is nothing newer.".to_owned(),
            })),
        }
        turn.said.extend(
            messages.into_iter().map(|message| Said::Message { message: Box::new(message), numbered: true }),
        );
        if !newer && !matches!(span, Span::Before(_)) {
            turn.commands.extend(self.see_newest(now));
        }
        turn
    }
}

/// The oldest first, as in a conversation.
pub(super) fn found(query: &str, messages: Vec<Message>, more: bool) -> Vec<Said> {
    let count = messages.len();
    let hits = messages.into_iter().rev();
    let mut said: Vec<Said> =
        hits.map(|message| Said::Message { message: Box::new(message), numbered: true }).collect();
    said.push(Said::Info(match (count, more) {
        (0, _) => format!("Nothing found for {query}."),
        (_, true) => format!(
            "These are the newest {count} of more; add a word to find fewer. /choose NUMBER goes to one."
        ),
        (1, false) => "One found. /choose NUMBER goes there.".to_owned(),
        (_, false) => format!("{count} found. /choose NUMBER goes to one."),
    }));
    said
}
