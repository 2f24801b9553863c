//! ★ One message of the conversation is chosen: to answer, change, copy it.

use super::scroll::Anchor;
use super::{Entry, Timeline};

impl Timeline {
    pub fn chosen(&self) -> Option<&Entry> {
        let row = self.chosen?;
        self.entries.iter().find(|e| e.message.row == row)
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
}
