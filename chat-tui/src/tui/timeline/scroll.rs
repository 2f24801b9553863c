//! ★ The view on a timeline: an anchor, and the rows around it.

use super::{Line, Timeline, Viewport, is_unseen};
use crate::session::api::{Delivery, Span};
use crate::tui::text::{self, Row};

/// In place of the text of a message that was taken back.
pub const DELETED: &str = "deleted";
/// Columns between a text and its notes.
const NOTES_GAP: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// The view follows the newest message.
    Newest,
    /// This row of the message (by its row in the history) is on top of the view, whatever is added before or behind. `line` counts from the first
    /// row of the message's text; what stands above the text (day, sender) is negative.
    Top { message: i64, line: isize },
}

impl Timeline {
    /// What is in view, from the top.
    pub fn visible(&self) -> &[Line] {
        &self.visible
    }

    /// Rows of the view that stay blank, above the first message.
    pub fn blank(&self) -> usize {
        self.blank
    }

    /// Whether the newest message is in view.
    pub fn is_at_newest(&self) -> bool {
        self.anchor == Anchor::Newest && !self.newer
    }

    /// How many messages that were not seen are below the view.
    pub fn new_below(&self) -> usize {
        let last = self.visible.iter().rev().find_map(|line| match line {
            Line::Text { entry, last, .. } => Some(if *last { *entry } else { entry.saturating_sub(1) }),
            _ => None,
        });
        let first_below = last.map_or(0, |last| last + 1).min(self.entries.len());
        self.entries[first_below..].iter().filter(|e| is_unseen(&e.message)).count() + self.unseen_beyond
    }

    /// How many messages that were not seen are known of.
    pub fn unseen(&self) -> usize {
        self.entries.iter().filter(|e| is_unseen(&e.message)).count() + self.unseen_beyond
    }

    /// The newest message of which something is in view.
    pub fn newest_visible(&self) -> Option<usize> {
        self.visible.iter().rev().find_map(|line| match line {
            Line::Text { entry, .. } => Some(*entry),
            _ => None,
        })
    }

    /// Lays out what is in view. Cheap when nothing has changed.
    pub fn lay_out(&mut self, viewport: Viewport) {
        self.viewport = viewport;
        let top = match self.anchor {
            Anchor::Newest => None,
            Anchor::Top { message, line } => self.index_of(message).map(|index| (index, line)),
        };
        match top.and_then(|(index, line)| self.lay_out_from(index, line)) {
            Some(rows) => {
                self.blank = 0;
                self.visible = rows;
            }
            None => {
                self.anchor = Anchor::Newest;
                self.visible = self.lay_out_newest();
                self.blank = self.viewport.height - self.visible.len();
            }
        }
    }

    /// Moves the view up (negative) or down by `rows`.
    pub fn scroll(&mut self, rows: isize) {
        match rows {
            0 => {}
            up if up < 0 => self.scroll_up(up.unsigned_abs()),
            down => self.scroll_down(down.unsigned_abs()),
        }
        self.lay_out(self.viewport);
    }

    pub fn scroll_to_newest(&mut self) {
        self.anchor = Anchor::Newest;
        self.target = None;
        self.wanted = self.newer.then_some(Span::Newest);
        self.lay_out(self.viewport);
    }

    /// To the oldest message.
    pub fn scroll_to_oldest(&mut self) {
        if self.older {
            // There is nothing before row 0.
            (self.wanted, self.target) = (Some(Span::Around(0)), None);
            return;
        }
        self.wanted = None;
        self.show_oldest();
    }

    pub(super) fn show_oldest(&mut self) {
        if let Some(first) = self.entries.first() {
            let message = first.message.row;
            let line = -(self.lines_above(0).len() as isize);
            self.anchor = Anchor::Top { message, line };
        }
        self.lay_out(self.viewport);
    }

    /// The message on top of the view.
    pub(super) fn top_index(&self) -> Option<usize> {
        match self.anchor {
            Anchor::Top { message, .. } => self.index_of(message),
            Anchor::Newest => self.visible.iter().find_map(|line| line.entry()),
        }
    }

    /// Whether the view comes within its own height of the newest message at hand.
    pub(super) fn is_near_newest(&self) -> bool {
        let last = self.visible.iter().rev().find_map(|line| line.entry());
        last.is_none_or(|last| last + self.viewport.height + 1 >= self.entries.len())
    }

    /// Whether the view comes within its own height of the oldest message at hand.
    pub(super) fn is_near_oldest(&self) -> bool {
        let first = self.visible.iter().find_map(|line| match line {
            Line::Text { entry, .. } => Some(*entry),
            _ => None,
        });
        first.is_none_or(|first| first <= self.viewport.height)
    }

    fn scroll_up(&mut self, mut rows: usize) {
        let Some((mut index, offset)) = self.top() else { return };
        let mut offset = offset;
        while rows > offset {
            rows -= offset;
            let Some(previous) = index.checked_sub(1) else {
                return self.set_top(index, 0);
            };
            index = previous;
            offset = self.block(index).len();
        }
        self.set_top(index, offset - rows);
    }

    fn scroll_down(&mut self, mut rows: usize) {
        if self.is_at_newest() {
            return;
        }
        let Some((mut index, mut offset)) = self.top() else { return };
        while index < self.entries.len() {
            let left = self.block(index).len() - offset;
            if rows < left {
                return self.set_top(index, offset + rows);
            }
            rows -= left;
            (index, offset) = (index + 1, 0);
        }
        self.anchor = Anchor::Newest;
    }

    /// The row on top of the view, as an entry and the row in its block.
    fn top(&mut self) -> Option<(usize, usize)> {
        let (index, skipped) = match (self.anchor, self.visible.first().copied()?) {
            (Anchor::Top { message, line }, _) => {
                let index = self.index_of(message)?;
                (index, self.lines_above(index).len() as isize + line)
            }
            (Anchor::Newest, _) => return self.top_at_newest(),
        };
        let rows = self.block(index).len();
        Some((index, usize::try_from(skipped).unwrap_or(0).min(rows.saturating_sub(1))))
    }

    fn top_at_newest(&mut self) -> Option<(usize, usize)> {
        // With blank rows above, everything is in view.
        if self.blank > 0 {
            return None;
        }
        let mut left = self.visible.len().saturating_sub(self.remark_lines().len());
        let mut index = self.entries.len();
        if left == 0 {
            index = index.checked_sub(1)?;
            return Some((index, self.block(index).len()));
        }
        while left > 0 {
            index = index.checked_sub(1)?;
            let rows = self.block(index).len();
            if rows >= left {
                return Some((index, rows - left));
            }
            left -= rows;
        }
        None
    }

    fn set_top(&mut self, index: usize, row: usize) {
        let line = row as isize - self.lines_above(index).len() as isize;
        self.anchor = Anchor::Top { message: self.entries[index].message.row, line };
    }

    /// The rows from row `line` of entry `index` on; `None` when they do not fill the view, so that
    /// its end is the newest message.
    fn lay_out_from(&mut self, index: usize, line: isize) -> Option<Vec<Line>> {
        let height = self.viewport.height;
        let skipped = usize::try_from(self.lines_above(index).len() as isize + line).unwrap_or(0);
        let first = self.block(index);
        let skipped = skipped.min(first.len().saturating_sub(1));
        let mut rows: Vec<Line> = first[skipped..].to_vec();
        for next in index + 1..self.entries.len() {
            if rows.len() > height {
                break;
            }
            rows.extend(self.block(next));
        }
        if rows.len() <= height {
            rows.extend(self.remark_lines());
        }
        // Exactly filled by the end of the timeline: that is the newest message in view.
        if rows.len() <= height {
            return None;
        }
        rows.truncate(height);
        Some(rows)
    }

    fn lay_out_newest(&mut self) -> Vec<Line> {
        let height = self.viewport.height;
        let mut blocks = vec![self.remark_lines()];
        let mut total = blocks[0].len();
        for index in (0..self.entries.len()).rev() {
            if total >= height {
                break;
            }
            let block = self.block(index);
            total += block.len();
            blocks.push(block);
        }
        let surplus = total.saturating_sub(height);
        blocks.into_iter().rev().flatten().skip(surplus).collect()
    }

    /// All rows of one entry: what stands above it, then its text.
    pub(super) fn block(&mut self, index: usize) -> Vec<Line> {
        let mut lines = self.lines_above(index);
        let rows = self.text_rows(index);
        let last = rows.len() - 1;
        let last_row = rows[last];
        lines.extend(rows.iter().enumerate().map(|(n, row)| Line::Text {
            entry: index,
            row: *row,
            first: n == 0,
            last: n == last,
        }));
        if self.notes(index).is_some() && self.notes_beside(index, last_row).is_none() {
            lines.push(Line::Notes(index));
        }
        if let Delivery::Failed(reason) = &self.entries[index].message.state {
            let rows = text::wrap(reason, self.viewport.width);
            lines.extend(rows.into_iter().map(|row| Line::Reason { entry: index, row }));
        }
        lines
    }

    /// The notes of the entry, if they fit behind the last row of its text, and the columns before them.
    pub fn notes_beside(&self, index: usize, last_row: Row) -> Option<(usize, String)> {
        let entry = self.entries.get(index)?;
        let notes = self.notes(index)?;
        let text = match entry.message.deleted {
            true => DELETED,
            false => entry.message.text[last_row.start..last_row.end].trim_end(),
        };
        let before = text::columns(text) + NOTES_GAP;
        (before + text::columns(&notes) <= self.viewport.width).then_some((before, notes))
    }

    pub(super) fn lines_above(&self, index: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        if self.starts_day(index) {
            lines.push(Line::Day(index));
        }
        if self.is_first_new(index) {
            lines.push(Line::New);
        }
        if self.viewport.stacked && self.starts_group(index) {
            lines.push(Line::Sender(index));
        }
        if self.entries[index].message.answers.is_some() {
            lines.push(Line::Quote(index));
        }
        lines
    }

    fn remark_lines(&self) -> Vec<Line> {
        match &self.remark {
            Some(remark) => text::wrap(remark, self.viewport.width).into_iter().map(Line::Remark).collect(),
            None => Vec::new(),
        }
    }
}
