//! ★ The part of a history that is here: it grows at the end that the view comes near to, and is let go at the other, so that
//! a history of millions takes no more room than one of thousands.

use uuid::Uuid;

use super::scroll::Anchor;
use super::{Entry, Timeline, is_unseen, local};
use crate::session::api::{Delivery, Direction, Message, Page, Span};

/// Messages in the window; beyond it those farthest from the view are let go.
pub(super) const WINDOW_MESSAGES_MAX: usize = 1000;

impl Timeline {
    /// Takes in a part of the history that was asked for. One that no longer fits to what is here is ignored.
    pub fn add_page(&mut self, span: Span, page: Page) {
        self.asked = None;
        let Page { messages, older, newer } = page;
        match span {
            Span::Before(row) => {
                if self.entries.first().is_some_and(|e| e.message.row == row) {
                    self.older = older;
                    self.insert(0, messages);
                    self.trim_end();
                }
            }
            Span::After(row) => {
                if self.newer && self.entries.last().is_some_and(|e| e.message.row == row) {
                    self.newer = newer;
                    self.unseen_beyond =
                        self.unseen_beyond.saturating_sub(messages.iter().filter(|m| is_unseen(m)).count());
                    if !newer {
                        self.unseen_beyond = 0;
                    }
                    self.insert(self.entries.len(), messages);
                    self.trim_start();
                }
            }
            Span::Around(0) => {
                self.replace(messages, older, newer);
                self.show_oldest();
            }
            Span::Newest | Span::Unseen | Span::Around(_) => self.replace(messages, older, newer),
        }
    }

    fn replace(&mut self, messages: Vec<Message>, older: bool, newer: bool) {
        self.entries.clear();
        self.insert(0, messages);
        (self.loaded, self.older, self.newer) = (true, older, newer);
        if !newer {
            self.unseen_beyond = 0;
        }
        // What was chosen may be gone.
        self.chosen = self.chosen.filter(|row| self.index_of(*row).is_some());
        if let Some(row) = self.target.take() {
            self.show(row);
        }
    }

    fn insert(&mut self, at: usize, messages: Vec<Message>) {
        let rows = messages.iter().map(|m| m.row);
        self.newest_row = rows.max().map_or(self.newest_row, |row| row.max(self.newest_row));
        let zone = self.zone.clone();
        let entry = |message: Message| {
            let at = local(message.at, &zone);
            Entry { message, at, revision: 0, wrapped: None }
        };
        self.entries.splice(at..at, messages.into_iter().map(entry));
    }

    /// On a screen of any height the ends stay out of view.
    fn messages_max(&self) -> usize {
        WINDOW_MESSAGES_MAX.max(4 * self.viewport.height)
    }

    /// Lets go what is too much at the end; it can be asked for again.
    fn trim_end(&mut self) {
        let most = self.messages_max();
        if self.entries.len() > most {
            let gone = self.entries.split_off(most);
            self.unseen_beyond += gone.iter().filter(|e| is_unseen(&e.message)).count();
            self.newer = true;
        }
    }

    fn trim_start(&mut self) {
        let surplus = self.entries.len().saturating_sub(self.messages_max());
        if surplus > 0 {
            self.entries.drain(..surplus);
            self.older = true;
        }
    }

    /// Lets go everything: it is asked for again when it is shown.
    pub(super) fn forget(&mut self) {
        self.entries.clear();
        (self.loaded, self.older, self.newer) = (false, false, false);
        (self.asked, self.wanted, self.target) = (None, None, None);
        self.unseen_beyond = 0;
    }

    /// Takes in a message that was just added to the history; true when it was not heard of before.
    pub fn add(&mut self, message: Message) -> bool {
        let is_new = message.row > self.newest_row;
        self.newest_row = self.newest_row.max(message.row);
        if !self.loaded {
            // It is in the part that was asked for, or will be.
            return is_new;
        }
        if let Some(entry) = self.entries.iter_mut().rev().find(|e| e.message.row == message.row) {
            entry.message.state = message.state;
            return false;
        }
        if self.newer {
            self.unseen_beyond += usize::from(is_new && is_unseen(&message));
            return is_new;
        }
        let place = self.entries.partition_point(|e| e.message.row <= message.row);
        if place > 0 || !self.older {
            self.insert(place, vec![message]);
        }
        match self.anchor {
            Anchor::Newest => self.trim_start(),
            // The view is somewhere above: what it shows stays.
            Anchor::Top { .. } if self.entries.len() > 2 * self.messages_max() => {
                match self.top_index().is_some_and(|top| top < self.messages_max()) {
                    true => self.trim_end(),
                    false => self.trim_start(),
                }
            }
            Anchor::Top { .. } => {}
        }
        is_new
    }

    /// Some of what is here may be gone: asks for it anew. What is here stays in view until that comes.
    pub fn refresh(&mut self) {
        if !self.loaded || self.wanted.is_some() {
            return;
        }
        self.wanted = Some(match self.anchor {
            Anchor::Top { message, .. } => Span::Around(message),
            Anchor::Newest if self.newer => return self.forget(),
            Anchor::Newest => Span::Newest,
        });
    }

    /// Takes in what a message is now, if it is here, and what those know that answer it.
    pub fn change(&mut self, message: &Message) {
        for entry in &mut self.entries {
            if entry.message.row == message.row {
                if entry.message.text != message.text {
                    entry.revision += 1;
                }
                let seen = entry.message.state == Delivery::Read;
                entry.message = message.clone();
                if seen && message.direction == Direction::Incoming {
                    entry.message.state = Delivery::Read;
                }
            } else if let Some(known) = entry.message.answers.as_mut().and_then(|a| a.known.as_mut())
                && known.row == message.row
            {
                known.text.clone_from(&message.text);
            }
        }
    }

    pub fn set_state(&mut self, id: Uuid, state: Delivery) {
        let ours = |e: &&mut Entry| e.message.id == id && e.message.direction == Direction::Outgoing;
        if let Some(entry) = self.entries.iter_mut().rev().find(ours) {
            entry.message.state = state;
        }
    }

    /// The part of the history to ask for now, if any. Marks it as asked for.
    pub fn page_to_ask(&mut self) -> Option<Span> {
        if self.asked.is_some() {
            return None;
        }
        let row = |entry: Option<&Entry>| entry.map(|e| e.message.row);
        self.asked = match self.wanted.take() {
            Some(span) => Some(span),
            None if !self.loaded => Some(Span::Unseen),
            None if self.older && self.is_near_oldest() => row(self.entries.first()).map(Span::Before),
            None if self.newer && self.is_near_newest() => row(self.entries.last()).map(Span::After),
            None => None,
        };
        self.asked
    }

    /// A part that was asked for will not come.
    pub fn page_failed(&mut self) {
        self.asked = None;
        self.loaded = true;
        (self.older, self.newer) = (false, false);
    }

    /// Brings the message `row` into view, and chooses it.
    pub fn go_to(&mut self, row: i64) {
        self.opening = false;
        if self.loaded && self.entries.iter().any(|e| e.message.row == row) {
            return self.show(row);
        }
        (self.wanted, self.target) = (Some(Span::Around(row)), Some(row));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::tui::timeline::Viewport;

    const HISTORY: i64 = 10_000;

    fn message(row: i64) -> Message {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(row.unsigned_abs() * 100);
        let message = Message::new(row, "bob", Direction::Incoming, &format!("message {row}"), at);
        Message { state: Delivery::Read, ..message }
    }

    /// A history of the rows 1 to `newest`, as the store would answer.
    fn answer(span: Span, newest: i64) -> Page {
        let (from, to) = match span {
            Span::Newest | Span::Unseen => (newest - 99, newest),
            Span::Before(row) => (row - 100, row - 1),
            Span::After(row) => (row + 1, row + 100),
            Span::Around(row) => (row - 50, row + 49),
        };
        let (from, to) = (from.max(1), to.min(newest));
        Page { messages: (from..=to).map(message).collect(), older: from > 1, newer: to < newest }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Scroll(isize),
        Newest,
        Oldest,
        GoTo(i64),
        Arrive,
        /// So many answers come before the next step.
        Answer(usize),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (-3000isize..3000).prop_map(Step::Scroll),
            1 => Just(Step::Newest),
            1 => Just(Step::Oldest),
            2 => (1..HISTORY).prop_map(Step::GoTo),
            2 => Just(Step::Arrive),
            4 => (1usize..4).prop_map(Step::Answer),
        ]
    }

    fn answer_one(timeline: &mut Timeline, newest: i64) -> bool {
        let Some(span) = timeline.page_to_ask() else { return false };
        timeline.add_page(span, answer(span, newest));
        timeline.lay_out(Viewport { width: 40, height: 20, stacked: false });
        true
    }

    proptest! {
        #[test]
        fn the_window_is_whole_and_bounded_and_the_end_is_always_reached(steps in proptest::collection::vec(any_step(), 1..60)) {
            let mut timeline = Timeline::new(TimeZone::UTC);
            let mut newest = HISTORY;
            timeline.lay_out(Viewport { width: 40, height: 20, stacked: false });
            for step in steps {
                match step {
                    Step::Scroll(rows) => timeline.scroll(rows),
                    Step::Newest => timeline.scroll_to_newest(),
                    Step::Oldest => timeline.scroll_to_oldest(),
                    Step::GoTo(row) => timeline.go_to(row),
                    Step::Arrive => {
                        newest += 1;
                        timeline.add(message(newest));
                        timeline.lay_out(Viewport { width: 40, height: 20, stacked: false });
                    }
                    Step::Answer(count) => {
                        for _ in 0..count {
                            answer_one(&mut timeline, newest);
                        }
                    }
                }
                let rows: Vec<i64> = timeline.entries.iter().map(|e| e.message.row).collect();
                prop_assert!(rows.windows(2).all(|pair| pair[0] + 1 == pair[1]), "a gap: {rows:?}");
                prop_assert!(rows.len() <= 2 * WINDOW_MESSAGES_MAX + 1);
                if timeline.loaded {
                    prop_assert_eq!(timeline.newer, rows.last() != Some(&newest), "below {:?}", rows.last());
                    prop_assert_eq!(timeline.older, rows.first() != Some(&1));
                }
            }
            timeline.scroll_to_newest();
            while answer_one(&mut timeline, newest) {}
            prop_assert!(timeline.is_at_newest());
            prop_assert_eq!(timeline.entries.last().map(|e| e.message.row), Some(newest));
            timeline.scroll_to_oldest();
            while answer_one(&mut timeline, newest) {}
            prop_assert_eq!(timeline.visible.first().copied(), Some(super::super::Line::Day(0)));
            prop_assert_eq!(timeline.entries.first().map(|e| e.message.row), Some(1));
            timeline.go_to(5_000);
            while answer_one(&mut timeline, newest) {}
            let chosen = timeline.visible.iter().filter_map(|l| l.entry()).any(|e| timeline.entries[e].message.row == 5_000);
            prop_assert!(chosen && timeline.chosen == Some(5_000));
        }
    }
}
