//! ★ The chat without a screen, for screen readers and scripts: lines in, lines out. The commands are those of the
//! screen, from the same registry, and mean the same.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::action::{Action, slash_commands};
use super::layer::search::Search;
use super::layer::{Context, Intent, Layer, command};
use super::model::{Entry, Model, NoticeKind, Purpose};
use super::settings::Notify;
use super::update::{Effect, Msg, update};
use crate::session::api::{Command, Event, Message, Page, Span};

/// Of a history, at a time.
const MESSAGES_AT_ONCE: usize = 10;
/// Of what was not seen, when somebody is switched to.
const UNSEEN_AT_ONCE: usize = 30;

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
        model.notify = notify;
        Plain { model, opening: false, told: None, asked: None, searching: None }
    }

    /// The friend who is written to.
    pub fn shown(&self) -> Option<&str> {
        self.model.shown_friend()
    }

    /// Whether it is known who there is.
    pub fn is_ready(&self) -> bool {
        self.model.friends_known
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

    /// What was said last with the one who was switched to, as soon as it is here. True if that is all there is.
    fn tell_opening(&mut self, said: &mut Vec<Said>) -> bool {
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
    fn part_asked_for(&self, line: &str) -> Option<Span> {
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

    fn ask(&mut self, span: Span) -> Turn {
        let Some(friend) = self.shown().map(str::to_owned) else { return Turn::default() };
        self.opening = false;
        self.asked = Some((friend.clone(), span));
        let command = Command::LoadHistory { friend, span, limit: MESSAGES_AT_ONCE };
        Turn { commands: vec![command], ..Turn::default() }
    }

    fn tell_page(&mut self, friend: &str, span: Span, page: Page, now: Timestamp) -> Turn {
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
            Layer::Search(search) => self.look_for(search),
            Layer::React(_) => {
                let text = "Which mark? /react 👍 or /react thumbsup; /react off takes yours back.";
                vec![Said::Problem(text.to_owned())]
            }
            Layer::Links(links) => {
                let numbered = links.links.iter().zip(1..).map(|(link, n)| Said::Info(format!("{n} {link}")));
                let how = Said::Info("Which one? /open-link NUMBER opens it.".to_owned());
                numbered.chain([how]).collect()
            }
            Layer::Palette(_) | Layer::Command(_) | Layer::Confirm(_) => {
                vec![Said::Problem("That needs the screen: start chat-tui without --plain.".to_owned())]
            }
        }
    }

    /// The question is on its way already.
    fn look_for(&mut self, search: &Search) -> Vec<Said> {
        if search.is_too_short() {
            return vec![Said::Problem("What? /search WORDS, with two letters or more.".to_owned())];
        }
        self.searching = Some(search.query());
        Vec::new()
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

fn shown(entry: &Entry) -> String {
    match entry {
        Entry::Friend(name) => format!("You write to {name} now."),
        Entry::Incoming(name) => {
            format!("{name} asks to be your friend: /accept {name}, /decline {name} or /block {name}.")
        }
        Entry::Outgoing(name) => format!("You asked {name}: /withdraw {name} takes that back."),
    }
}

/// The oldest first, as in a conversation.
fn found(query: &str, messages: Vec<Message>, more: bool) -> Vec<Said> {
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

fn help() -> Vec<String> {
    let rules = [
        "A line is a message to whom you write to; /switch NAME says who that is.".to_owned(),
        "A \\ at the end of a line goes on in the next; // begins a message with a slash.".to_owned(),
        "/reply, /edit, /delete, /react, /copy, /open-link and /retry are about the message chosen, or the newest. \
         /newest, /page-up and /search show numbers to choose by."
            .to_owned(),
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
    fn what_cannot_be_done_is_a_problem_and_hides_nothing_that_is_told_after_it() {
        let mut plain = plain();
        plain.line("/switch bob", now());
        let turn = plain.line("/react 👍", now());
        assert!(matches!(&turn.said[..], [Said::Problem(_)]), "a script has to hear of it: {turn:?}");
        let told = || Event::Notice("the broker takes no messages for now".to_owned());
        for _ in 0..2 {
            let turn = plain.event(told(), now());
            assert_eq!(turn.said, [info("the broker takes no messages for now")]);
        }
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

    fn history(plain: &mut Plain, friend: &str, span: Span, messages: Vec<Message>, newer: bool) -> Turn {
        let page = Page { messages, older: true, newer };
        plain.event(Event::History { friend: friend.into(), span, page }, now())
    }

    fn read(row: i64, text: &str) -> Message {
        Message { state: Delivery::Read, ..incoming(row, "bob", text, 0) }
    }

    fn rows(turn: &Turn) -> Vec<i64> {
        let row = |said: &Said| match said {
            Said::Message { message, .. } => Some(message.row),
            _ => None,
        };
        turn.said.iter().filter_map(row).collect()
    }

    #[test]
    fn a_history_is_told_part_by_part() {
        let mut plain = plain();
        plain.line("/switch bob", now());
        let turn = history(&mut plain, "bob", Span::Unseen, (50..80).map(|n| read(n, "x")).collect(), false);
        assert_eq!(rows(&turn), (70..80).collect::<Vec<_>>());
        let load = |span| vec![Command::LoadHistory { friend: "bob".into(), span, limit: 10 }];
        assert_eq!(plain.line("/page-up", now()).commands, load(Span::Before(70)));
        assert!(plain.is_waiting());
        let turn =
            history(&mut plain, "bob", Span::Before(70), (40..70).map(|n| read(n, "x")).collect(), true);
        assert_eq!(rows(&turn), (60..70).collect::<Vec<_>>());
        assert!(!plain.is_waiting());
        assert_eq!(plain.line("/page-down", now()).commands, load(Span::After(69)));
        let turn = history(&mut plain, "bob", Span::After(69), vec![], false);
        assert_eq!(turn.said, [info("There is nothing newer.")]);
        assert_eq!(plain.line("/oldest", now()).commands, load(Span::After(0)));
    }

    #[test]
    fn what_was_not_seen_is_told_from_where_it_begins() {
        let mut plain = plain();
        plain.line("/switch bob", now());
        let messages = (1..20).map(|n| read(n, "x")).chain((20..100).map(|n| incoming(n, "bob", "new", 0)));
        let turn = history(&mut plain, "bob", Span::Unseen, messages.collect(), false);
        assert_eq!(rows(&turn), (20..50).collect::<Vec<_>>());
        assert!(
            matches!(turn.said.last(), Some(Said::Info(text)) if text.contains("/page-down")),
            "{turn:?}"
        );
        assert_eq!(turn.commands, [], "nothing is seen that was not told");
        plain.line("/newest", now());
        let told = (90..100).map(|n| incoming(n, "bob", "new", 0)).collect();
        let turn = history(&mut plain, "bob", Span::Newest, told, false);
        assert!(turn.commands.contains(&mark_read("bob", 99)), "{turn:?}");
    }

    #[test]
    fn what_a_search_finds_is_told_and_can_be_chosen() {
        let mut plain = plain();
        let turn = plain.line("/search umbrella", now());
        assert!(
            matches!(&turn.commands[..], [Command::Search { query, .. }] if query == "umbrella"),
            "{turn:?}"
        );
        assert!(plain.is_waiting());
        let messages = vec![read(9, "umbrella"), read(4, "my umbrella")];
        let query = "umbrella".to_owned();
        let turn = plain.event(Event::Found { query, friend: None, messages, more: false }, now());
        assert_eq!((rows(&turn), plain.is_waiting()), (vec![4, 9], false));
        let turn = plain.line("/choose 4", now());
        assert!(turn.said.contains(&info("You write to bob now.")), "{turn:?}");
        let turn = history(&mut plain, "bob", Span::Around(4), (1..30).map(|n| read(n, "x")).collect(), true);
        assert_eq!(rows(&turn), [4]);
        let turn = plain.line("/react off", now());
        let off = Command::React { friend: "bob".into(), row: 4, mark: None };
        assert!(turn.commands.contains(&off), "{turn:?}");
        assert!(matches!(&plain.line("/search", now()).said[..], [Said::Problem(_)]));
        assert!(!plain.is_waiting());
    }

    #[test]
    fn it_is_said_what_the_next_line_is() {
        let mut plain = plain();
        plain.line("/switch bob", now());
        let messages = vec![read(1, "one https://a.example https://b.example"), read(2, "two")];
        history(&mut plain, "bob", Span::Unseen, messages, false);
        plain.line("/choose 1", now());
        let turn = plain.line("/open-link", now());
        assert_eq!(turn.said[..2], [info("1 https://a.example"), info("2 https://b.example")]);
        assert_eq!(plain.line("/open-link 2", now()).open.as_deref(), Some("https://b.example"));
        plain.line("/choose 1", now());
        assert_eq!(
            plain.line("/copy", now()).copy.as_deref(),
            Some("one https://a.example https://b.example")
        );
        let turn = plain.line("/reply", now());
        assert!(matches!(&turn.said[..], [Said::Info(text)] if text.contains("answers “two”")), "{turn:?}");
        assert_eq!(plain.line("/back", now()).said, [info("Your next line is a new message again.")]);
        plain.line("/reply", now());
        let turn = plain.line("indeed", now());
        let reply = Command::Reply { to: "bob".into(), row: 2, text: "indeed".into() };
        assert!(turn.commands.contains(&reply) && turn.said.is_empty(), "{turn:?}");
    }
}
