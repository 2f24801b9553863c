//! A person at a terminal of a fixed size, on a Monday morning in UTC.

use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::CellWidth;
use ratatui::style::Style;

use crate::session::api::*;
use crate::tui::keymap::Chord;
use crate::tui::model::Model;
use crate::tui::theme::Theme;
use crate::tui::update::{Effect, Msg, next_wake, update};
use crate::tui::view;

/// Monday 24 November 2025, 10:45 UTC.
pub const NOW: i64 = 1_763_981_100;

/// The system time `minutes` before `NOW`.
pub fn ago(minutes: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW as u64 - minutes * 60)
}

pub fn friend(name: &str, presence: Presence) -> Friend {
    let name = name.to_owned();
    Friend {
        name,
        status: FriendStatus::Friend,
        presence,
        away_note: String::new(),
        unread: 0,
        last_message: None,
        draft: String::new(),
        nickname: None,
        muted: false,
        ended_by_us: false,
        archived: false,
    }
}

pub fn incoming(row: i64, friend: &str, text: &str, minutes_ago: u64) -> Message {
    Message::new(row, friend, Direction::Incoming, text, ago(minutes_ago))
}

pub fn outgoing(row: i64, friend: &str, text: &str, minutes_ago: u64, state: Delivery) -> Message {
    Message { direction: Direction::Outgoing, state, ..incoming(row, friend, text, minutes_ago) }
}

pub fn seen(message: Message) -> Message {
    Message { state: Delivery::Read, ..message }
}

pub fn request(name: &str, direction: Direction, state: RequestState) -> Request {
    Request {
        name: name.to_owned(),
        note: "We met at the conference.".to_owned(),
        at: ago(60),
        direction,
        state,
    }
}

pub struct Ui {
    pub model: Model,
    pub now: Timestamp,
    /// What was to be done outside since it was last taken.
    pub effects: Vec<Effect>,
}

impl Ui {
    pub fn new(width: u16, height: u16) -> Self {
        let now = Timestamp::from_second(NOW).unwrap();
        let model = Model::new("alice", "localhost:5672", TimeZone::UTC, (width, height));
        let mut ui = Ui { model, now, effects: Vec::new() };
        ui.event(Event::Connection(Connection::Online { since: ago(5) }));
        ui
    }

    /// With bob, who is shown, and erin; bob's history is read.
    pub fn with_bob(width: u16, height: u16) -> Self {
        let mut ui = Ui::new(width, height);
        ui.event(Event::Friends(vec![friend("bob", Presence::Online), friend("erin", Presence::Away)]));
        let messages = vec![
            seen(incoming(1, "bob", "Good morning", 60)),
            outgoing(2, "bob", "Hello bob", 58, Delivery::Read),
        ];
        ui.event(history("bob", messages, false));
        ui.take();
        ui
    }

    pub fn msg(&mut self, msg: Msg) -> &mut Self {
        self.effects.extend(update(&mut self.model, msg, self.now));
        self
    }

    pub fn event(&mut self, event: Event) -> &mut Self {
        self.msg(Msg::Session(event))
    }

    /// Presses keys, e.g. `"alt-up enter"`.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        for key in keys.split(' ') {
            let chord: Chord = key.parse().unwrap();
            self.msg(Msg::Key(chord.press()));
        }
        self
    }

    pub fn types(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            let key = crossterm::event::KeyCode::Char(c);
            self.msg(Msg::Key(key.into()));
        }
        self
    }

    /// Lets time pass, with every tick that was asked for.
    pub fn pass(&mut self, seconds: i64) -> &mut Self {
        let end = self.now + SignedDuration::from_secs(seconds);
        while let Some(wake) = next_wake(&self.model, self.now).filter(|wake| *wake <= end) {
            self.now = wake.max(self.now);
            self.msg(Msg::Tick);
        }
        self.now = end;
        self
    }

    pub fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The commands since the last time, but for those about typing.
    pub fn commands(&mut self) -> Vec<Command> {
        let commands = self.take().into_iter().filter_map(|effect| match effect {
            Effect::Session(command) => Some(command),
            _ => None,
        });
        commands.filter(|c| !matches!(c, Command::Typing { .. })).collect()
    }

    pub fn written(&self) -> &str {
        self.model.conversation().map_or("", |c| c.composer.text())
    }

    /// The screen, row by row, without the blanks at the right.
    pub fn screen(&self) -> String {
        let (width, height) = self.model.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view::draw(frame, &self.model, &Theme::default(), self.now)).unwrap();
        let buffer = terminal.backend().buffer();
        let row = |y| {
            let mut row = String::new();
            let mut x = 0;
            while x < width {
                let cell = &buffer[(x, y)];
                row.push_str(cell.symbol());
                x += cell.cell_width().max(1);
            }
            row.trim_end().to_owned() + "\n"
        };
        (0..height).map(row).collect()
    }

    /// The style of the cell where `text` begins, in the last row that shows it.
    #[track_caller]
    pub fn style_of(&self, text: &str, theme: &Theme) -> Style {
        let (width, height) = self.model.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view::draw(frame, &self.model, theme, self.now)).unwrap();
        let buffer = terminal.backend().buffer();
        for y in (0..height).rev() {
            let cells: Vec<&str> = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
            let row = cells.concat();
            if let Some(at) = row.rfind(text) {
                let mut bytes = 0;
                let x = cells.iter().position(|cell| {
                    bytes += cell.len();
                    bytes > at
                });
                return buffer[(x.unwrap() as u16, y)].style();
            }
        }
        panic!("{text:?} is not on the screen:\n{}", self.screen());
    }

    #[track_caller]
    pub fn shows(&mut self, text: &str) -> &mut Self {
        let screen = self.screen();
        assert!(screen.contains(text), "{text:?} is not on the screen:\n{screen}");
        self
    }

    #[track_caller]
    pub fn shows_not(&mut self, text: &str) -> &mut Self {
        let screen = self.screen();
        assert!(!screen.contains(text), "{text:?} is on the screen:\n{screen}");
        self
    }
}

pub fn send(to: &str, text: &str) -> Command {
    Command::Send { to: to.to_owned(), text: text.to_owned() }
}

pub fn draft(friend: &str, text: &str) -> Command {
    Command::SaveDraft { friend: friend.to_owned(), text: text.to_owned() }
}

pub fn mark_read(friend: &str, up_to: i64) -> Command {
    Command::MarkRead { friend: friend.to_owned(), up_to }
}

/// The newest part of a history; `older` tells whether there is more above.
pub fn history(friend: &str, messages: Vec<Message>, older: bool) -> Event {
    let page = Page { messages, older, newer: false };
    Event::History { friend: friend.to_owned(), span: Span::Newest, page }
}

/// What is above the row `before`.
pub fn history_before(friend: &str, before: i64, messages: Vec<Message>, older: bool) -> Event {
    let page = Page { messages, older, newer: true };
    Event::History { friend: friend.to_owned(), span: Span::Before(before), page }
}
