//! ★ Everything the TUI knows. Changed by `update` only, shown by `view`.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use ratatui::layout::Position;
use shared::message::TEXT_BYTES_MAX;

use super::action::Action;
use super::complete::Completion;
use super::composer::Composer;
use super::keymap::{Chord, Keymap, Situation};
use super::layer::Layer;
use super::layout::{self, Areas, Pane, Shape};
use super::notice::{Notice, PastNotices};
use super::selection::Selection;
use super::settings::Notify;
use super::text;
use super::timeline::{Timeline, Viewport};
use crate::session::api::{Connection, Direction, Friend, FriendStatus, Presence, Request, RequestState};

/// From here on the room that is left is shown.
const MESSAGE_BYTES_WARN: usize = TEXT_BYTES_MAX / 8 * 7;

const NOTICE_ROWS_MAX: usize = 3;

/// Of the requests of others, unless the person wants to see all.
const REQUESTS_LISTED: usize = 3;

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    Incoming(String),
    Outgoing(String),
    Friend(String),
}

impl Entry {
    pub fn name(&self) -> &str {
        match self {
            Entry::Incoming(name) | Entry::Outgoing(name) | Entry::Friend(name) => name,
        }
    }
}

/// One friend's messages, and what is being written to them.
#[derive(Debug, Clone)]
pub struct Conversation {
    pub timeline: Timeline,
    pub composer: Composer,
    pub typing_until: Option<Timestamp>,
    /// The newest row that the session was told is seen.
    pub marked: Option<i64>,
    /// What becomes of the text when it is sent.
    pub purpose: Purpose,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Purpose {
    #[default]
    New,
    /// It answers the message `row`, which begins so.
    Reply { row: i64, quote: String },
    /// It replaces the message `row`; what was being written before is kept.
    Edit { row: i64, kept: String },
}

/// A letter that was typed where a friend request is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleLetter {
    /// Another one before that makes a text of the two, which is no answer.
    pub until: Timestamp,
    /// Enter before that was meant to send the text.
    pub sends_until: Timestamp,
    /// Whose request it accepts then, if it stays alone.
    pub accepts: Option<String>,
    /// It has opened a question.
    pub asks: bool,
}

/// Why nothing can be written to the friend shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    Former,
    Blocked,
}

#[derive(Debug, Clone)]
pub struct Model {
    pub user: String,
    /// For display.
    pub broker: String,
    pub zone: TimeZone,
    pub keymap: Keymap,
    /// With vim-like keys: letters are commands.
    pub normal: bool,
    /// The first of two keys was pressed.
    pub begun: Option<Chord>,
    pub size: (u16, u16),
    pub connection: Connection,
    pub friends: Vec<Friend>,
    pub requests: Vec<Request>,
    /// The session has told whether there are friends.
    pub friends_known: bool,
    /// The session has told whether there are requests.
    pub requests_known: bool,
    pub conversations: BTreeMap<String, Conversation>,
    pub selected: Option<Entry>,
    /// What is shown was not chosen by the person: until then keys that answer it were meant for something else.
    pub unchosen_until: Option<Timestamp>,
    /// The last key was a letter where a request is shown.
    pub letter: Option<SingleLetter>,
    /// Whose request was just accepted: the conversation is shown as soon as it is there.
    pub expected: Option<String>,
    /// Nobody is shown who was not asked for.
    pub choose_nobody: bool,
    /// Text selected with the mouse.
    pub selection: Option<Selection>,
    /// Where the pointer holds the end of the selection outside of the conversation, and when that scrolls on.
    pub dragged_out: Option<(Position, Timestamp)>,
    /// The list was scrolled: the first row in view. Otherwise it follows the selection.
    pub list_from: Option<usize>,
    pub pane: Pane,
    /// Rows of the text being written, as of the last layout.
    composer_rows: u16,
    pub layers: Vec<Layer>,
    /// Offered for the word that is being typed.
    pub completion: Option<Completion>,
    /// Where the word begins for which nothing is to be offered any more.
    pub completion_refused: Option<usize>,
    /// Whose message is open in an editor outside.
    pub outside: Option<String>,
    pub notice: Option<Notice>,
    /// What was told before, and what is told now.
    pub past_notices: PastNotices,
    /// What the last search found: with whom, and the row.
    pub found: Vec<(String, i64)>,
    /// What was cut last, in whichever input.
    pub kills: String,
    pub terminal_focused: bool,
    pub mouse: bool,
    pub notify: Notify,
    pub away: bool,
    /// Away because nothing was typed for a while.
    pub auto_away: bool,
    /// When there was last a sign of the person.
    pub last_input: Option<Timestamp>,
    /// Away after so many minutes without one.
    pub away_after_minutes: Option<u32>,
    /// Those who were put away are in the list.
    pub archive_open: bool,
    /// All requests of others are in the list, however many.
    pub requests_open: bool,
    pub draft_due: Option<Timestamp>,
    pub typing_told: Option<Timestamp>,
    /// Until then a second Ctrl-C leaves.
    pub interrupt_until: Option<Timestamp>,
    /// When something happened last; the clock may be set back after it.
    pub last_now: Option<Timestamp>,
    /// The session was told to end.
    pub leaving: bool,
    /// The terminal's title as it was last set.
    pub title: String,
}

impl Model {
    pub fn new(user: &str, broker: &str, zone: TimeZone, size: (u16, u16)) -> Self {
        Model {
            user: user.to_owned(),
            broker: broker.to_owned(),
            zone,
            keymap: Keymap::default(),
            normal: false,
            begun: None,
            size,
            connection: Connection::Connecting { attempt: 1 },
            friends: Vec::new(),
            requests: Vec::new(),
            friends_known: false,
            requests_known: false,
            conversations: BTreeMap::new(),
            selected: None,
            unchosen_until: None,
            letter: None,
            expected: None,
            choose_nobody: false,
            selection: None,
            dragged_out: None,
            list_from: None,
            pane: Pane::List,
            composer_rows: 1,
            layers: Vec::new(),
            completion: None,
            completion_refused: None,
            outside: None,
            notice: None,
            past_notices: PastNotices::default(),
            found: Vec::new(),
            kills: String::new(),
            terminal_focused: true,
            mouse: false,
            notify: Notify::default(),
            away: false,
            auto_away: false,
            last_input: None,
            away_after_minutes: None,
            archive_open: false,
            requests_open: false,
            draft_due: None,
            typing_told: None,
            interrupt_until: None,
            last_now: None,
            leaving: false,
            title: String::new(),
        }
    }

    /// The clock shows `now`. If it was set back, everything that is due later is due as much later as it would have been.
    pub fn clock_is(&mut self, now: Timestamp) {
        let back = self.last_now.replace(now).map(|last| last.duration_until(now));
        let Some(back) = back.filter(SignedDuration::is_negative) else { return };
        let typing = self.conversations.values_mut().map(|c| &mut c.typing_until);
        let own = [
            &mut self.unchosen_until,
            &mut self.draft_due,
            &mut self.typing_told,
            &mut self.interrupt_until,
            &mut self.last_input,
        ];
        for at in own.into_iter().chain(typing).filter_map(Option::as_mut) {
            *at = at.saturating_add(back).unwrap_or(now);
        }
        if let Some(notice) = &mut self.notice {
            notice.until = notice.until.saturating_add(back).unwrap_or(now);
        }
        if let Some(letter) = &mut self.letter {
            letter.until = letter.until.saturating_add(back).unwrap_or(now);
            letter.sends_until = letter.sends_until.saturating_add(back).unwrap_or(now);
        }
        if let Some((_, due)) = &mut self.dragged_out {
            *due = due.saturating_add(back).unwrap_or(now);
        }
    }

    /// The list from the top: requests, friends, then those who no longer are.
    pub fn entries(&self) -> Vec<Entry> {
        let requests = |direction: Direction| self.requests.iter().filter(move |r| r.direction == direction);
        let friends = |status: FriendStatus| self.friends.iter().filter(move |f| f.status == status);
        let mut entries: Vec<Entry> = Vec::new();
        let incoming =
            requests(Direction::Incoming).filter(|r| is_open(r)).map(|r| Entry::Incoming(r.name.clone()));
        let shown = self.requests_listed();
        entries.extend(
            incoming
                .enumerate()
                .filter(|(n, entry)| *n < shown || self.selected.as_ref() == Some(entry))
                .map(|(_, entry)| entry),
        );
        entries.extend(requests(Direction::Outgoing).map(|r| Entry::Outgoing(r.name.clone())));
        let entry = |f: &Friend| Entry::Friend(f.name.clone());
        entries.extend(friends(FriendStatus::Friend).filter(|f| !f.archived).map(entry));
        // Whoever is shown stays in the list.
        let listed = |f: &&Friend| f.archived && (self.archive_open || self.shown_friend() == Some(&f.name));
        entries.extend(self.friends.iter().filter(listed).map(entry));
        for status in [FriendStatus::Former, FriendStatus::Blocked] {
            entries.extend(friends(status).filter(|f| !f.archived).map(entry));
        }
        entries
    }

    /// How many requests of others are in the list: many strangers must not push friends out of view.
    fn requests_listed(&self) -> usize {
        let count = self.open_requests();
        if self.requests_open || !has_many(count) { count } else { REQUESTS_LISTED }
    }

    /// How many requests of others are not in the list; `None` if there are not so many that any would be hidden.
    pub fn requests_hidden(&self) -> Option<usize> {
        let listed = |entry: &Entry| matches!(entry, Entry::Incoming(_));
        let count = self.open_requests();
        has_many(count).then(|| count - self.entries().iter().filter(|entry| listed(entry)).count())
    }

    /// How many are put away.
    pub fn archived(&self) -> usize {
        self.friends.iter().filter(|f| f.archived).count()
    }

    pub fn friend(&self, name: &str) -> Option<&Friend> {
        self.friends.iter().find(|f| f.name == name)
    }

    /// How the person calls `name`.
    pub fn called<'a>(&'a self, name: &'a str) -> &'a str {
        self.friend(name).map_or(name, Friend::called)
    }

    /// How `friend` is, as far as that can be known now.
    pub fn presence(&self, friend: &Friend) -> Option<Presence> {
        matches!(self.connection, Connection::Online { .. }).then_some(friend.presence)
    }

    pub fn request(&self, name: &str, direction: Direction) -> Option<&Request> {
        self.requests.iter().find(|r| r.name == name && r.direction == direction)
    }

    pub fn shown_request(&self) -> Option<&Request> {
        match self.selected.as_ref()? {
            Entry::Incoming(name) => self.request(name, Direction::Incoming),
            Entry::Outgoing(name) => self.request(name, Direction::Outgoing),
            Entry::Friend(_) => None,
        }
    }

    /// The name of the friend whose conversation is selected.
    pub fn shown_friend(&self) -> Option<&str> {
        match self.selected.as_ref()? {
            Entry::Friend(name) => Some(name),
            _ => None,
        }
    }

    pub fn conversation(&self) -> Option<&Conversation> {
        self.conversations.get(self.shown_friend()?)
    }

    pub fn conversation_mut(&mut self) -> Option<&mut Conversation> {
        let Some(Entry::Friend(name)) = &self.selected else { return None };
        self.conversations.get_mut(name)
    }

    /// The conversation with `name`, opened with the kept draft when this is the first time.
    pub fn open(&mut self, name: &str) -> &mut Conversation {
        let draft = self.friend(name).map_or(String::new(), |f| f.draft.clone());
        let zone = self.zone.clone();
        self.conversations.entry(name.to_owned()).or_insert_with(|| Conversation {
            timeline: Timeline::new(zone),
            composer: Composer::with_draft(&draft),
            typing_until: None,
            marked: None,
            purpose: Purpose::New,
        })
    }

    /// Why nothing can be written in the conversation shown, if so.
    pub fn closed(&self) -> Option<Closed> {
        match self.friend(self.shown_friend()?)?.status {
            FriendStatus::Friend => None,
            FriendStatus::Former => Some(Closed::Former),
            FriendStatus::Blocked => Some(Closed::Blocked),
        }
    }

    /// Who has asked whom to be friends, if that is still to be answered.
    pub fn asked_with(&self, name: &str) -> Option<Direction> {
        let open = |direction| self.request(name, direction).is_some_and(is_open).then_some(direction);
        open(Direction::Incoming).or_else(|| open(Direction::Outgoing))
    }

    pub fn can_write(&self) -> bool {
        self.shown_friend().is_some() && self.closed().is_none() && self.conversation_is_visible()
    }

    pub fn conversation_is_visible(&self) -> bool {
        layout::has_two_panes(self.size.0) || self.pane == Pane::Conversation
    }

    /// Whether the person has the newest messages of the conversation before their eyes.
    pub fn sees_newest(&self) -> bool {
        // Not every terminal tells of its focus, but nobody looks for minutes without a key.
        self.terminal_focused
            && !self.auto_away
            && self.outside.is_none()
            && self.layers.is_empty()
            && self.conversation_is_visible()
            && self.areas().timeline.height > 0
            && self.conversation().is_some_and(|c| c.timeline.is_at_newest())
    }

    /// Messages of friends that were not read, but for those of muted ones.
    pub fn unread(&self) -> usize {
        self.unread_but(None)
    }

    /// The same, without those of the friend shown.
    pub fn unread_elsewhere(&self) -> usize {
        self.unread_but(self.shown_friend())
    }

    fn unread_but(&self, but: Option<&str>) -> usize {
        let counted =
            |f: &&Friend| f.status == FriendStatus::Friend && !f.muted && Some(f.name.as_str()) != but;
        self.friends.iter().filter(counted).map(|f| f.unread as usize).sum()
    }

    /// Requests that wait for an answer of this person.
    pub fn open_requests(&self) -> usize {
        self.requests.iter().filter(|r| r.direction == Direction::Incoming && is_open(r)).count()
    }

    pub fn situation(&self) -> Situation {
        let editor = self.conversation().map(|c| c.composer.editor());
        let writes = self.can_write();
        Situation {
            layer_open: !self.layers.is_empty(),
            choosing: self.is_choosing(),
            completing: self.completion.is_some() && !self.is_choosing(),
            normal: self.normal,
            incoming_shown: matches!(self.selected, Some(Entry::Incoming(_))),
            outgoing_shown: matches!(self.selected, Some(Entry::Outgoing(_))),
            list_only: !layout::has_two_panes(self.size.0) && self.pane == Pane::List,
            nothing_typed: !writes || editor.is_none_or(|e| e.is_empty()),
            cursor_at_end: !writes || editor.is_none_or(|e| e.at_end()),
        }
    }

    /// Whether a message is chosen.
    pub fn is_choosing(&self) -> bool {
        self.conversation_is_visible() && self.conversation().is_some_and(|c| c.timeline.is_choosing())
    }

    /// How the key for `action` is called.
    pub fn key(&self, action: Action) -> String {
        self.keymap.key(action).map_or(String::new(), |chord| chord.to_string())
    }

    /// Bytes of the message being written that are still free, when that is worth showing; negative when
    /// it is too long.
    pub fn bytes_left(&self) -> Option<i64> {
        let used = self.conversation()?.composer.text().len();
        (used >= MESSAGE_BYTES_WARN).then_some(TEXT_BYTES_MAX as i64 - used as i64)
    }

    /// Where the cursor is in what is being written, when not all of it can be seen.
    pub fn hidden_rows(&self) -> Option<String> {
        if self.composer_rows <= self.areas().composer.height {
            return None;
        }
        let editor = self.conversation()?.composer.editor();
        let line = editor.text()[..editor.cursor()].matches('\n').count() + 1;
        let lines = editor.text().matches('\n').count() + 1;
        (lines > 1).then(|| format!("line {line} of {lines}"))
    }

    pub fn local(&self, at: Timestamp) -> DateTime {
        self.zone.to_datetime(at)
    }

    pub fn areas(&self) -> Areas {
        let (width, height) = self.size;
        layout::areas(Shape {
            width,
            height,
            pane: self.pane,
            composer_rows: self.composer_rows,
            notice_rows: self.notice_rows().len() as u16,
        })
    }

    /// The notice, broken into the rows that show it.
    pub fn notice_rows(&self) -> Vec<String> {
        let Some(notice) = &self.notice else { return Vec::new() };
        let width = usize::from(layout::conversation_columns(self.size.0).saturating_sub(4)).max(1);
        let rows = text::wrap(&notice.text, width);
        let mut shown: Vec<String> = rows
            .iter()
            .take(NOTICE_ROWS_MAX)
            .map(|r| notice.text[r.start..r.end].trim_end().to_owned())
            .collect();
        if let (true, Some(last)) = (rows.len() > NOTICE_ROWS_MAX, shown.last_mut()) {
            *last = text::fit(&format!("{last} …"), width);
        }
        shown
    }

    /// The columns of the messages shown.
    pub fn message_columns(&self) -> layout::MessageColumns {
        let name = self.shown_friend().map_or(0, |name| text::columns(self.called(name)));
        let name = name.max(text::columns("you"));
        layout::message_columns(self.areas().timeline.width, name)
    }

    /// Lays out the conversation shown, and what is being written in it.
    pub fn lay_out(&mut self) {
        let columns = layout::composer_columns(self.size.0);
        let rows = self.conversation().map_or(1, |c| text::wrap(c.composer.text(), columns).len());
        self.composer_rows = u16::try_from(rows).unwrap_or(u16::MAX);
        let columns = self.message_columns();
        let height = usize::from(self.areas().timeline.height);
        let called = self.shown_friend().map_or(String::new(), |name| self.called(name).to_owned());
        if let Some(conversation) = self.conversation_mut() {
            conversation.timeline.call(&called);
            conversation.timeline.lay_out(Viewport {
                width: usize::from(columns.text_width),
                height,
                stacked: columns.stacked,
            });
        }
    }
}

/// Whether so many requests wait that only the newest are in the list. Hiding a single one would save no row.
fn has_many(requests: usize) -> bool {
    requests > REQUESTS_LISTED + 1
}

/// Whether a request still waits for an answer.
pub fn is_open(request: &Request) -> bool {
    !matches!(request.state, RequestState::Declined | RequestState::Failed(_))
}
