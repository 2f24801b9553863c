//! ★ Steps that can be taken back.

use super::{Editor, Last};

/// Steps back that are remembered.
const UNDO_STEPS_MAX: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    text: String,
    cursor: usize,
}

impl Editor {
    pub(super) fn remember(&mut self, step: Last) {
        self.last = step;
        self.redo.clear();
        if self.undo.len() == UNDO_STEPS_MAX {
            self.undo.remove(0);
        }
        self.undo.push(Snapshot { text: self.text.clone(), cursor: self.cursor });
    }

    pub(super) fn undo(&mut self) -> bool {
        let Some(snapshot) = self.undo.pop() else { return false };
        let current = self.restore(snapshot);
        self.redo.push(current);
        true
    }

    pub(super) fn redo(&mut self) -> bool {
        let Some(snapshot) = self.redo.pop() else { return false };
        let current = self.restore(snapshot);
        self.undo.push(current);
        true
    }

    pub(super) fn restore(&mut self, snapshot: Snapshot) -> Snapshot {
        self.last = Last::Moving;
        self.column = None;
        let text = std::mem::replace(&mut self.text, snapshot.text);
        let cursor = std::mem::replace(&mut self.cursor, snapshot.cursor);
        Snapshot { text, cursor }
    }
}
