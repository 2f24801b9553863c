//! ★ What was told before, to be read again.

use crossterm::event::KeyCode;

use super::{Context, Input, Reply, passes_through};
use crate::tui::action::Action;
use crate::tui::notice::{Past, PastNotices};
use crate::tui::text;

/// Rows of the screen that show something else.
const OTHER_ROWS: u16 = 3;
/// Narrower screens do not say when.
const ROOMY_COLUMNS_MIN: u16 = 50;
/// For the time, as `yesterday 09:05`.
pub const TIME_COLUMNS: u16 = 16;
/// For the mark, with what is left free at the edges.
const OTHER_COLUMNS: u16 = 5;

#[derive(Debug, Clone)]
pub struct Notices {
    /// The oldest first.
    past: Vec<Past>,
    /// Rows scrolled up from the newest.
    up: usize,
}

/// A row of the screen.
pub struct Row<'a> {
    pub notice: &'a Past,
    pub text: &'a str,
    /// Whether the notice begins here.
    pub first: bool,
}

/// Whether there is room for saying when.
pub fn says_when(width: u16) -> bool {
    width >= ROOMY_COLUMNS_MIN
}

impl Notices {
    pub fn new(past: &PastNotices) -> Self {
        Notices { past: past.iter().cloned().collect(), up: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.past.is_empty()
    }

    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.past.iter().map(|notice| notice.text.as_str())
    }

    /// The rows in view on a screen of this size, from the top.
    pub fn visible(&self, (width, height): (u16, u16)) -> Vec<Row<'_>> {
        let mut rows = self.rows(width);
        let below = self.up.min(self.most_up(rows.len(), height));
        rows.truncate(rows.len() - below);
        rows.split_off(rows.len().saturating_sub(room(height)))
    }

    fn rows(&self, width: u16) -> Vec<Row<'_>> {
        let other = OTHER_COLUMNS + if says_when(width) { TIME_COLUMNS } else { 0 };
        let columns = usize::from(width.saturating_sub(other)).max(1);
        self.past.iter().flat_map(|notice| rows_of(notice, columns)).collect()
    }

    fn most_up(&self, rows: usize, height: u16) -> usize {
        rows.saturating_sub(room(height))
    }

    pub(super) fn handle(&mut self, input: Input<'_>, context: &Context) -> Reply {
        let page = room(context.size.1) as isize;
        match input {
            Input::Key(_, action) if passes_through(action) => return Reply::Ignored,
            Input::Key(chord, _) => {
                let closes = [KeyCode::Esc, KeyCode::Enter, KeyCode::Char('q')];
                if context.keymap.binds(chord, Action::Notices) || closes.into_iter().any(|key| chord.is(key))
                {
                    return Reply::Close;
                }
                let steps = [
                    (KeyCode::Up, 1),
                    (KeyCode::Down, -1),
                    (KeyCode::PageUp, page),
                    (KeyCode::PageDown, -page),
                    (KeyCode::Home, isize::MAX / 2),
                    (KeyCode::End, isize::MIN / 2),
                ];
                let step = steps.into_iter().find(|(key, _)| chord.is(*key)).map_or(0, |(_, step)| step);
                self.scroll_up(step, context);
            }
            Input::Wheel(rows) => self.scroll_up(-rows, context),
            Input::Paste(_) => {}
        }
        Reply::Consumed
    }

    fn scroll_up(&mut self, rows: isize, context: &Context) {
        let (width, height) = context.size;
        let most = self.most_up(self.rows(width).len(), height);
        // The screen may have become smaller meanwhile.
        self.up = self.up.min(most).saturating_add_signed(rows).min(most);
    }
}

fn rows_of(notice: &Past, columns: usize) -> Vec<Row<'_>> {
    let rows = text::wrap(&notice.text, columns).into_iter().enumerate();
    rows.map(|(n, row)| Row { notice, text: notice.text[row.start..row.end].trim_end(), first: n == 0 })
        .collect()
}

fn room(height: u16) -> usize {
    usize::from(height.saturating_sub(OTHER_ROWS)).max(1)
}
