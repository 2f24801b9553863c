//! ★ A text with a cursor: what every input of the TUI edits.
//!
//! The cursor is a byte offset at a grapheme boundary. Keys are those of readline.

mod places;
#[cfg(test)]
mod tests;
mod undo;

use unicode_segmentation::UnicodeSegmentation;

use super::text::{self, Row};

use undo::Snapshot;

/// One thing done to the text or the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    Left,
    Right,
    WordLeft,
    WordRight,
    LineStart,
    LineEnd,
    Start,
    End,
    DeleteLeft,
    DeleteRight,
    DeleteWordLeft,
    DeleteWordRight,
    DeleteToLineStart,
    DeleteToLineEnd,
    DeleteLine,
    Yank,
    Undo,
    Redo,
}

/// Line breaks become LF; other control characters, tabs aside, are left out: nobody means to send them.
fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

impl Edit {
    pub fn only_moves(self) -> bool {
        use Edit::*;
        matches!(self, Left | Right | WordLeft | WordRight | LineStart | LineEnd | Start | End)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Typing,
    Deleting,
    Killing,
    Moving,
}

#[derive(Debug, Clone)]
pub struct Editor {
    text: String,
    cursor: usize,
    undo: Vec<Snapshot>,
    redo: Vec<Snapshot>,
    last: Last,
    /// The column that moving up and down tries to keep.
    column: Option<usize>,
}

impl Default for Editor {
    fn default() -> Self {
        Editor {
            text: String::new(),
            cursor: 0,
            undo: Vec::new(),
            redo: Vec::new(),
            last: Last::Moving,
            column: None,
        }
    }
}

impl Editor {
    pub fn new(text: &str) -> Self {
        let mut editor = Editor::default();
        editor.insert_silently(&clean(text));
        editor
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// A byte offset into the text.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub fn at_end(&self) -> bool {
        self.cursor == self.text.len()
    }

    /// Replaces the whole text as one step that can be undone; the cursor goes to the end.
    pub fn replace(&mut self, text: &str) {
        self.remember(Last::Moving);
        self.text.clear();
        self.cursor = 0;
        self.insert_silently(&clean(text));
    }

    /// Replaces the bytes from `start` to the cursor as one step that can be undone.
    pub fn replace_before(&mut self, start: usize, with: &str) {
        self.remember(Last::Moving);
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
        self.insert_silently(&clean(with));
    }

    /// Takes the text out, and forgets the steps that led to it.
    pub fn take(&mut self) -> String {
        std::mem::take(self).text
    }

    pub fn type_char(&mut self, c: char) {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            return;
        }
        // A new word is a new step, so that undo takes back words, not letters or paragraphs.
        let starts_word = c.is_whitespace() && !self.text[..self.cursor].ends_with(char::is_whitespace);
        if self.last != Last::Typing || starts_word {
            self.remember(Last::Typing);
        }
        self.redo.clear();
        let mut buffer = [0; 4];
        self.insert_silently(c.encode_utf8(&mut buffer));
    }

    /// Inserts pasted text as one step.
    pub fn paste(&mut self, text: &str) {
        let clean = clean(text);
        if clean.is_empty() {
            return;
        }
        self.remember(Last::Moving);
        self.insert_silently(&clean);
    }

    /// Carries out `edit`; `kills` is what was cut last, shared by all inputs. Returns whether anything,
    /// be it the cursor only, changed.
    pub fn apply(&mut self, edit: Edit, kills: &mut String) -> bool {
        match edit {
            Edit::Left => self.move_to(self.grapheme_left()),
            Edit::Right => self.move_to(self.grapheme_right()),
            Edit::WordLeft => self.move_to(self.word_left()),
            Edit::WordRight => self.move_to(self.word_right()),
            Edit::LineStart => self.move_to(self.line_start()),
            Edit::LineEnd => self.move_to(self.line_end()),
            Edit::Start => self.move_to(0),
            Edit::End => self.move_to(self.text.len()),
            Edit::DeleteLeft => self.delete(self.grapheme_left(), self.cursor),
            Edit::DeleteRight => self.delete(self.cursor, self.grapheme_right()),
            Edit::DeleteWordLeft => self.kill(self.white_word_left(), self.cursor, kills),
            Edit::DeleteWordRight => self.kill(self.cursor, self.word_right(), kills),
            Edit::DeleteToLineStart => {
                let start = self.line_start();
                let from = if start == self.cursor { self.grapheme_left() } else { start };
                self.kill(from, self.cursor, kills)
            }
            Edit::DeleteToLineEnd => {
                let end = self.line_end();
                let to = if end == self.cursor { self.grapheme_right() } else { end };
                self.kill(self.cursor, to, kills)
            }
            Edit::DeleteLine => {
                let (start, end) = (self.line_start(), self.line_end());
                // With its line break: the one behind it, or for the last line the one before it.
                let to = (end + 1).min(self.text.len());
                let from = if to == end { start.saturating_sub(1) } else { start };
                self.kill(from, to, kills)
            }
            Edit::Yank => self.yank(kills),
            Edit::Undo => self.undo(),
            Edit::Redo => self.redo(),
        }
    }

    /// Moves one row up in the text wrapped at `width`; false when it is in the first row already.
    pub fn up(&mut self, width: usize) -> bool {
        self.move_rows(width, |row, _| row.checked_sub(1))
    }

    /// Moves one row down in the text wrapped at `width`; false when it is in the last row already.
    pub fn down(&mut self, width: usize) -> bool {
        self.move_rows(width, |row, rows| Some(row + 1).filter(|next| *next < rows))
    }

    /// The rows of the text and the cursor's place in them, as (row, column). The column never passes
    /// `width`: the cursor behind a full row stands on the right edge.
    pub fn layout(&self, width: usize) -> (Vec<Row>, (usize, usize)) {
        let rows = text::wrap(&self.text, width);
        let row = self.row_of(&rows);
        let column = text::columns(&self.text[rows[row].start..self.cursor]);
        (rows, (row, column.min(width)))
    }

    fn row_of(&self, rows: &[Row]) -> usize {
        // Where rows touch, the cursor belongs to the beginning of the later one.
        rows.partition_point(|r| r.start <= self.cursor).saturating_sub(1)
    }

    fn move_rows(&mut self, width: usize, target: impl Fn(usize, usize) -> Option<usize>) -> bool {
        let (rows, (row, column)) = self.layout(width);
        let Some(target) = target(row, rows.len()) else { return false };
        let wanted = self.column.unwrap_or(column);
        self.move_to(self.place(&rows, target, wanted));
        self.column = Some(wanted);
        true
    }

    /// Goes to this row and column, or as near as there is text.
    pub fn go_to(&mut self, width: usize, row: usize, column: usize) {
        let rows = text::wrap(&self.text, width);
        self.move_to(self.place(&rows, row.min(rows.len() - 1), column));
    }

    /// The place in the row `target` at or before the column `wanted`.
    fn place(&self, rows: &[Row], target: usize, wanted: usize) -> usize {
        let Row { start, end } = rows[target];
        let mut at = start;
        let mut used = 0;
        for (offset, grapheme) in self.text[start..end].grapheme_indices(true) {
            let next = used + text::glyph(grapheme).1;
            if next > wanted {
                break;
            }
            (at, used) = (start + offset + grapheme.len(), next);
        }
        // The end of a broken row is the beginning of the next one: stay before it.
        if at == end && rows.get(target + 1).is_some_and(|next| next.start == end) {
            at = start + self.text[start..end].grapheme_indices(true).next_back().map_or(0, |(o, _)| o);
        }
        at
    }

    fn insert_silently(&mut self, inserted: &str) {
        self.text.insert_str(self.cursor, inserted);
        self.cursor += inserted.len();
        self.cursor = self.boundary_from(self.cursor);
        self.column = None;
    }

    fn move_to(&mut self, at: usize) -> bool {
        let moved = at != self.cursor;
        (self.cursor, self.last, self.column) = (at, Last::Moving, None);
        moved
    }

    fn delete(&mut self, from: usize, to: usize) -> bool {
        if from == to {
            return false;
        }
        if self.last != Last::Deleting {
            self.remember(Last::Deleting);
        }
        self.redo.clear();
        self.remove(from, to);
        true
    }

    fn kill(&mut self, from: usize, to: usize, kills: &mut String) -> bool {
        if from == to {
            return false;
        }
        // Cuts in a row are one cut, as in readline.
        let killed = &self.text[from..to];
        match (self.last, from < self.cursor) {
            (Last::Killing, true) => kills.insert_str(0, killed),
            (Last::Killing, false) => kills.push_str(killed),
            _ => *kills = killed.to_owned(),
        }
        self.remember(Last::Killing);
        self.remove(from, to);
        true
    }

    fn yank(&mut self, kills: &str) -> bool {
        if kills.is_empty() {
            return false;
        }
        self.remember(Last::Moving);
        self.insert_silently(kills);
        true
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.cursor = self.boundary_from(from);
        self.column = None;
    }
}
