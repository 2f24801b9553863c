//! ★ One message of the conversation is chosen: to answer, change, copy it.

use super::scroll::Anchor;
use super::{Entry, Timeline};
use crate::session::api::Message;

impl Timeline {
    pub fn chosen(&self) -> Option<&Entry> {
        let row = self.chosen?;
        self.entries.iter().find(|e| e.message.row == row)
    }

    /// The newest message at hand that `fits`.
    pub fn newest_that(&self, fits: impl Fn(&Message) -> bool) -> Option<&Message> {
        self.entries.iter().rev().map(|e| &e.message).find(|message| fits(message))
    }

    pub fn is_choosing(&self) -> bool {
        self.chosen.is_some()
    }

    /// Chooses the newest message in view; false if there is none.
    pub fn start_choosing(&mut self) -> bool {
        self.chosen = self.newest_visible().map(|index| self.entries[index].message.row);
        self.chosen.is_some()
    }

    pub fn stop_choosing(&mut self) {
        self.chosen = None;
    }

    /// Chooses the message so many above (negative) or below the chosen one, and keeps it in view.
    pub fn choose(&mut self, by: isize) {
        let Some(at) = self.chosen.and_then(|row| self.index_of(row)) else { return };
        let next = at.saturating_add_signed(by).min(self.entries.len() - 1);
        self.chosen = Some(self.entries[next].message.row);
        self.keep_in_view(next);
    }

    pub(super) fn index_of(&self, row: i64) -> Option<usize> {
        self.entries.binary_search_by_key(&row, |e| e.message.row).ok()
    }

    /// Brings the message `row`, which is here, into view, and chooses it.
    pub(super) fn show(&mut self, row: i64) {
        // It may have been forgotten meanwhile: then its neighbour.
        let index = self.entries.partition_point(|e| e.message.row < row).min(self.entries.len().max(1) - 1);
        let Some(entry) = self.entries.get(index) else { return };
        let message = entry.message.row;
        self.chosen = Some(message);
        self.anchor = Anchor::Top { message, line: 0 };
        self.lay_out(self.viewport);
        self.scroll(-isize::try_from(self.viewport.height / 3).unwrap_or(0));
    }

    fn keep_in_view(&mut self, index: usize) {
        let height = isize::try_from(self.viewport.height).unwrap_or(isize::MAX);
        let mut in_view = self.visible.iter().enumerate().filter(|(_, line)| line.entry() == Some(index));
        let first = in_view.next().map(|(row, _)| row as isize);
        let last = in_view.next_back().map(|(row, _)| row as isize).or(first);
        let rows = self.block(index).len() as isize;
        match (first, last) {
            (Some(first), Some(last)) if last - first + 1 >= rows.min(height) => {}
            // Cut off above, or below.
            (Some(0), Some(last)) => self.scroll(last + 1 - rows.min(height)),
            (Some(first), Some(_)) => self.scroll((rows - (height - first)).min(first)),
            _ => {
                let message = self.entries[index].message.row;
                let above = self.top_index().is_some_and(|top| index <= top);
                let line = -(self.lines_above(index).len() as isize);
                self.anchor = Anchor::Top { message, line };
                self.lay_out(self.viewport);
                if !above {
                    self.scroll((rows - height).min(0));
                }
            }
        }
    }
}
