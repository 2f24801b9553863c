//! ★ The chat without a screen, for screen readers and scripts: lines in, lines out. The commands are those of the
//! screen, from the same registry, and mean the same.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::action::slash_commands;
use super::layer::Layer;
use super::model::{Entry, Model, NoticeKind};
use super::settings::Notify;
use super::update::{Effect, Msg, update};
use crate::session::api::{Command, Event};

#[derive(Debug)]
pub struct Plain {
    model: Model,
}

/// What comes of a line or an event.
#[derive(Debug, Default, PartialEq)]
pub struct Turn {
    pub commands: Vec<Command>,
    pub said: Vec<Said>,
    pub bell: bool,
    /// The session has ended.
    pub ended: bool,
}

/// A line for the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Info(String),
    /// What could not be done, and what to do.
    Problem(String),
}

impl Plain {
    pub fn new(user: &str, broker: &str, notify: Notify) -> Self {
        // Of a size at which everything has room; nobody sees it.
        let mut model = Model::new(user, broker, TimeZone::UTC, (80, 24));
        model.choose_nobody = true;
        model.notify = notify;
        Plain { model }
    }

    /// The friend who is written to.
    pub fn shown(&self) -> Option<&str> {
        self.model.shown_friend()
    }

    /// Whether it is known who there is.
    pub fn is_ready(&self) -> bool {
        self.model.friends_known
    }

    pub fn line(&mut self, text: &str, now: Timestamp) -> Turn {
        // Whoever writes has seen what was said before.
        self.model.notice = None;
        self.step(Msg::Line(text.to_owned()), now)
    }

    pub fn event(&mut self, event: Event, now: Timestamp) -> Turn {
        self.step(Msg::Session(event), now)
    }

    fn step(&mut self, msg: Msg, now: Timestamp) -> Turn {
        let selected = self.model.selected.clone();
        let notice = self.notice();
        let asked = self.model.layers.len();
        let mut turn = Turn::default();
        for effect in update(&mut self.model, msg, now) {
            match effect {
                Effect::Session(command) => turn.commands.push(command),
                Effect::Bell => turn.bell = true,
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
                // About a screen.
                _ => {}
            }
        }
        if let Some(layer) = self.model.layers.get(asked).cloned() {
            turn.said.extend(self.without_screen(&layer));
        }
        if self.notice() != notice {
            turn.said.extend(self.notice());
        }
        if self.model.selected != selected
            && let Some(entry) = &self.model.selected
        {
            turn.said.push(Said::Info(match entry {
                Entry::Friend(name) => format!("You write to {name} now."),
                Entry::Incoming(name) => {
                    format!(
                        "{name} asks to be your friend: /accept {name}, /decline {name} or /block {name}."
                    )
                }
                Entry::Outgoing(name) => format!("You asked {name}: /withdraw {name} takes that back."),
            }));
        }
        turn
    }

    fn notice(&self) -> Option<Said> {
        let notice = self.model.notice.as_ref()?;
        Some(match notice.kind {
            NoticeKind::Info => Said::Info(notice.text.clone()),
            NoticeKind::Error => Said::Problem(notice.text.clone()),
        })
    }

    /// What a layer asks or shows, as lines. Only a question stays open.
    fn without_screen(&mut self, layer: &Layer) -> Vec<Said> {
        if let Layer::Confirm(question) = layer {
            let text = format!("{} {} Type yes or no.", question.question, question.explanation);
            return vec![Said::Info(text)];
        }
        self.model.layers.clear();
        match layer {
            Layer::Help(_) => help().into_iter().map(Said::Info).collect(),
            Layer::Befriend(_) => vec![Said::Problem("Whom? /befriend NAME NOTE".to_owned())],
            Layer::Switcher(_) => self.people(),
            _ => vec![Said::Problem("That needs the screen: start chat-tui without --plain.".to_owned())],
        }
    }

    fn people(&self) -> Vec<Said> {
        let entries = self.model.entries();
        if entries.is_empty() {
            return vec![Said::Info("Nobody yet. /befriend NAME asks somebody to be friends.".to_owned())];
        }
        let line = |entry: Entry| match entry {
            Entry::Incoming(name) => format!("{name} asks to be your friend"),
            Entry::Outgoing(name) => format!("{name}, asked by you"),
            Entry::Friend(name) => match self.model.friend(&name).map_or(0, |friend| friend.unread) {
                0 => name,
                unread => format!("{name}, {unread} unread"),
            },
        };
        entries.into_iter().map(|entry| Said::Info(line(entry))).collect()
    }
}

fn help() -> Vec<String> {
    let rules = [
        "A line is a message to whom you write to; /switch NAME says who that is.".to_owned(),
        "A \\ at the end of a line goes on in the next; // begins a message with a slash.".to_owned(),
    ];
    let commands = slash_commands().map(|(spec, slash)| format!("{}: {}", slash.usage(), spec.description));
    rules.into_iter().chain(commands).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::api::*;
    use crate::tui::tests::fixture::{NOW, incoming, mark_read, request, send};

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn plain() -> Plain {
        let mut plain = Plain::new("alice", "test", Notify::default());
        assert!(!plain.is_ready());
        let friends = vec![Friend::new("bob"), Friend { unread: 2, ..Friend::new("erin") }];
        plain.event(Event::Friends(friends), now());
        plain.event(
            Event::Requests(vec![request("carol", Direction::Incoming, RequestState::Pending)]),
            now(),
        );
        plain
    }

    fn info(text: &str) -> Said {
        Said::Info(text.to_owned())
    }

    #[test]
    fn nobody_is_written_to_by_chance() {
        let mut plain = plain();
        assert_eq!(plain.shown(), None);
        let turn = plain.line("hello?", now());
        assert_eq!(turn.commands, []);
        assert!(matches!(&turn.said[..], [Said::Problem(text)] if text.contains("/switch")), "{turn:?}");
        let turn = plain.line("/switch bob", now());
        assert_eq!(turn.said, [info("You write to bob now.")]);
        let turn = plain.line("  hello  ", now());
        assert!(turn.commands.contains(&send("bob", "  hello")), "{turn:?}");
        let turn = plain.line("//usr/bin", now());
        assert!(turn.commands.contains(&send("bob", "/usr/bin")), "{turn:?}");
        assert_eq!(plain.line("   ", now()), Turn::default());
    }

    #[test]
    fn who_there_is_can_be_heard() {
        let turn = plain().line("/switch", now());
        assert_eq!(turn.said, [info("carol asks to be your friend"), info("bob"), info("erin, 2 unread")]);
        assert!(matches!(&plain().line("/switch zoe", now()).said[..], [Said::Problem(_)]));
    }

    #[test]
    fn questions_are_asked_and_answered() {
        let mut plain = plain();
        let turn = plain.line("/unfriend bob", now());
        assert_eq!(turn.commands, []);
        assert!(
            matches!(&turn.said[..], [Said::Info(text)] if text.ends_with("Type yes or no.")),
            "{turn:?}"
        );
        assert_eq!(plain.line("no", now()).said, [info("Nothing was done.")]);
        plain.line("/unfriend bob", now());
        let turn = plain.line("Yes", now());
        assert_eq!(turn.commands, [Command::Unfriend { name: "bob".into() }]);
    }

    #[test]
    fn every_command_says_something_or_does_something() {
        for (spec, slash) in slash_commands() {
            let turn = plain().line(&format!("/{}", slash.name), now());
            assert!(turn != Turn::default(), "/{} does nothing", slash.name);
            let layers = plain().model.layers.len();
            assert!(layers == 0, "/{} leaves a layer open", spec.name);
        }
        assert!(matches!(&plain().line("/nonsense", now()).said[..], [Said::Problem(_)]));
    }

    #[test]
    fn only_what_is_shown_is_read() {
        let mut plain = plain();
        plain.line("/switch bob", now());
        plain
            .event(Event::History { friend: "bob".into(), span: Span::Newest, page: Page::default() }, now());
        let turn = plain.event(Event::Message(incoming(5, "bob", "hi", 0)), now());
        assert_eq!(turn.commands, [mark_read("bob", 5)]);
        let turn = plain.event(Event::Message(incoming(6, "erin", "hi", 0)), now());
        assert_eq!((turn.commands, turn.bell), (vec![], true));
    }
}
