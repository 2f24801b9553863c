//! ★ Looking for words in everything that was said.

use crossterm::event::KeyCode;

use super::{Input, Intent, Reply, edit_line, passes_through};
use crate::session::api::{Command, Message};
use crate::tui::editor::Editor;
use crate::tui::text;

/// Shorter words are in nearly every message. One character of a wide script is a word.
const QUERY_COLUMNS_MIN: usize = 2;
const HITS_AT_ONCE: usize = 50;
const PAGE_HITS: isize = 10;

#[derive(Debug, Clone)]
pub struct Search {
    pub editor: Editor,
    /// The friend who was shown when this was opened.
    shown: Option<String>,
    /// Only what was said with that friend.
    pub here: bool,
    pub found: Vec<Message>,
    /// There is more below what was found.
    pub more: bool,
    /// An index into `found`.
    pub chosen: usize,
    /// What `found` is an answer to.
    pub answered: Option<(String, Option<String>)>,
    /// A question is on its way: the next one waits for the answer.
    waiting: bool,
}

impl Search {
    pub fn new(query: &str, shown: Option<&str>) -> Self {
        Search {
            editor: Editor::new(query),
            shown: shown.map(str::to_owned),
            here: false,
            found: Vec::new(),
            more: false,
            chosen: 0,
            answered: None,
            waiting: false,
        }
    }

    /// The friend to whom the search is limited, or would be.
    pub fn shown(&self) -> Option<&str> {
        self.shown.as_deref()
    }

    pub fn is_too_short(&self) -> bool {
        text::columns(&self.query()) < QUERY_COLUMNS_MIN
    }

    /// Whether what is shown is what was asked for.
    pub fn is_current(&self) -> bool {
        self.answered == Some((self.query(), self.limit()))
    }

    pub fn query(&self) -> String {
        self.editor.text().trim().to_owned()
    }

    fn limit(&self) -> Option<String> {
        self.shown.clone().filter(|_| self.here)
    }

    /// The question to ask now, if any.
    pub fn question(&mut self) -> Option<Command> {
        if self.waiting || self.is_current() {
            return None;
        }
        if self.is_too_short() {
            self.take(self.query(), self.limit(), Vec::new(), false);
            return None;
        }
        self.waiting = true;
        Some(self.command(None))
    }

    fn command(&self, before: Option<i64>) -> Command {
        Command::Search { query: self.query(), friend: self.limit(), before, limit: HITS_AT_ONCE }
    }

    /// Takes in an answer.
    pub fn take(&mut self, query: String, friend: Option<String>, messages: Vec<Message>, more: bool) {
        self.waiting = false;
        let answered = Some((query, friend));
        if self.answered == answered {
            let last = self.found.last().map(|m| m.row);
            self.found.extend(messages.into_iter().filter(|m| last.is_none_or(|last| m.row < last)));
        } else {
            (self.found, self.chosen) = (messages, 0);
        }
        (self.answered, self.more) = (answered, more);
    }

    /// There will be no answer.
    pub fn failed(&mut self) {
        self.waiting = false;
    }

    pub(super) fn handle(&mut self, input: Input<'_>, kills: &mut String) -> Reply {
        if let Input::Key(chord, action) = input {
            if passes_through(action) {
                return Reply::Ignored;
            }
            match () {
                _ if chord.is(KeyCode::Esc) => return Reply::Close,
                _ if chord.is(KeyCode::Enter) => {
                    return match self.found.get(self.chosen).filter(|_| self.is_current()) {
                        Some(hit) => {
                            Reply::CloseAnd(Intent::GoTo { friend: hit.friend.clone(), row: hit.row })
                        }
                        None => Reply::Consumed,
                    };
                }
                _ if chord.is(KeyCode::Up) => return self.choose(-1),
                _ if chord.is(KeyCode::Down) => return self.choose(1),
                _ if chord.is(KeyCode::PageUp) => return self.choose(-PAGE_HITS),
                _ if chord.is(KeyCode::PageDown) => return self.choose(PAGE_HITS),
                _ if chord.is(KeyCode::Tab) && self.shown.is_some() => {
                    self.here = !self.here;
                    return self.ask();
                }
                _ => {}
            }
        }
        if let Input::Wheel(rows) = input {
            return self.choose(rows.signum());
        }
        if edit_line(&mut self.editor, input, kills) {
            return self.ask();
        }
        Reply::Consumed
    }

    fn ask(&mut self) -> Reply {
        self.question().map_or(Reply::Consumed, |command| Reply::Do(Intent::Session(command)))
    }

    /// Moves to another hit, and asks for more near the last.
    fn choose(&mut self, by: isize) -> Reply {
        self.chosen = self.chosen.saturating_add_signed(by).min(self.found.len().max(1) - 1);
        let near_last = self.chosen + HITS_AT_ONCE / 2 >= self.found.len();
        match self.found.last().map(|m| m.row) {
            Some(last) if self.more && near_last && !self.waiting && self.is_current() => {
                self.waiting = true;
                Reply::Do(Intent::Session(self.command(Some(last))))
            }
            _ => Reply::Consumed,
        }
    }
}
