//! ★ A text with a cursor: what every input of the TUI edits.
//!
//! The cursor is a byte offset at a grapheme boundary. Keys are those of readline.

use unicode_segmentation::UnicodeSegmentation;

use super::text::{self, Row};

/// Steps back that are remembered.
const UNDO_STEPS_MAX: usize = 200;

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

#[derive(Debug, Clone, PartialEq, Eq)]
struct Snapshot {
    text: String,
    cursor: usize,
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

    /// What is inserted may join with what follows (a combining mark, a flag's other half): the nearest
    /// boundary at or behind `at`.
    fn boundary_from(&self, at: usize) -> usize {
        self.text
            .grapheme_indices(true)
            .map(|(start, _)| start)
            .find(|start| *start >= at)
            .unwrap_or(self.text.len())
    }

    /// The nearest boundary at or before `at`.
    fn boundary_to(&self, at: usize) -> usize {
        let starts = self.text.grapheme_indices(true).map(|(start, _)| start);
        starts.take_while(|start| *start <= at).last().unwrap_or(0)
    }

    fn remember(&mut self, step: Last) {
        self.last = step;
        self.redo.clear();
        if self.undo.len() == UNDO_STEPS_MAX {
            self.undo.remove(0);
        }
        self.undo.push(Snapshot { text: self.text.clone(), cursor: self.cursor });
    }

    fn undo(&mut self) -> bool {
        let Some(snapshot) = self.undo.pop() else { return false };
        let current = self.restore(snapshot);
        self.redo.push(current);
        true
    }

    fn redo(&mut self) -> bool {
        let Some(snapshot) = self.redo.pop() else { return false };
        let current = self.restore(snapshot);
        self.undo.push(current);
        true
    }

    fn restore(&mut self, snapshot: Snapshot) -> Snapshot {
        self.last = Last::Moving;
        self.column = None;
        let text = std::mem::replace(&mut self.text, snapshot.text);
        let cursor = std::mem::replace(&mut self.cursor, snapshot.cursor);
        Snapshot { text, cursor }
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

    fn grapheme_left(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn grapheme_right(&self) -> usize {
        self.text[self.cursor..].graphemes(true).next().map_or(self.cursor, |g| self.cursor + g.len())
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.cursor..].find('\n').map_or(self.text.len(), |at| self.cursor + at)
    }

    fn word_left(&self) -> usize {
        let start = self.text[..self.cursor].unicode_word_indices().next_back().map_or(0, |(at, _)| at);
        self.boundary_to(start)
    }

    fn word_right(&self) -> usize {
        let next = self.text[self.cursor..].unicode_word_indices().next();
        self.boundary_from(next.map_or(self.text.len(), |(at, word)| self.cursor + at + word.len()))
    }

    /// The beginning of the word before the cursor where only white space parts words (Ctrl-W).
    fn white_word_left(&self) -> usize {
        let before = self.text[..self.cursor].trim_end();
        let start = before.rfind(char::is_whitespace);
        let start = start.map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8));
        self.boundary_to(start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edited(text: &str, edits: &[Edit]) -> (String, usize) {
        let mut editor = Editor::new(text);
        let mut kills = String::new();
        for edit in edits {
            editor.apply(*edit, &mut kills);
        }
        (editor.text().to_owned(), editor.cursor())
    }

    #[test]
    fn edits_as_readline_does() {
        use Edit::*;
        let table: &[(&str, &[Edit], &str, usize)] = &[
            ("hello there", &[DeleteWordLeft], "hello ", 6),
            ("hello there ", &[DeleteWordLeft], "hello ", 6),
            ("hello there", &[WordLeft, DeleteToLineStart], "there", 0),
            ("hello there", &[WordLeft, DeleteToLineEnd], "hello ", 6),
            ("one\ntwo", &[LineStart, DeleteToLineStart], "onetwo", 3),
            ("one\ntwo", &[Start, LineEnd, DeleteToLineEnd], "onetwo", 3),
            ("one two", &[DeleteWordLeft, Start, Yank], "twoone ", 3),
            ("one two", &[DeleteWordLeft, DeleteWordLeft, Yank], "one two", 7),
            ("one two", &[Start, DeleteWordRight], " two", 0),
            ("a👨‍👩‍👧b", &[Left, DeleteLeft], "ab", 1),
            ("ae\u{301}", &[DeleteLeft], "a", 1),
            ("日本", &[Left, DeleteRight], "日", 3),
            ("ab", &[DeleteLeft, DeleteLeft, Undo], "ab", 2),
            ("ab", &[DeleteLeft, Undo, Redo], "a", 1),
            ("", &[DeleteLeft, DeleteRight, DeleteWordLeft, Undo, Yank], "", 0),
            ("a\nb\nc", &[Left, Left, DeleteLine], "a\nc", 2),
            ("a\nb", &[DeleteLine], "a", 1),
            ("a\nb", &[DeleteLine, DeleteLine, DeleteLine], "", 0),
            ("a\nb", &[Left, DeleteLine, Yank], "a\nb", 3),
        ];
        for (text, edits, want, cursor) in table {
            assert_eq!(edited(text, edits), ((*want).to_owned(), *cursor), "{text:?} {edits:?}");
        }
    }

    #[test]
    fn undo_takes_back_words() {
        let mut editor = Editor::default();
        "hello there".chars().for_each(|c| editor.type_char(c));
        editor.apply(Edit::Undo, &mut String::new());
        assert_eq!(editor.text(), "hello");
        editor.apply(Edit::Undo, &mut String::new());
        assert_eq!(editor.text(), "");
        editor.apply(Edit::Redo, &mut String::new());
        editor.apply(Edit::Redo, &mut String::new());
        assert_eq!(editor.text(), "hello there");
    }

    #[test]
    fn a_paste_is_one_step_and_harmless() {
        let mut editor = Editor::new("x");
        editor.paste("a\r\nb\rc\td\u{1b}[2J");
        assert_eq!(editor.text(), "xa\nb\nc\td[2J");
        editor.apply(Edit::Undo, &mut String::new());
        assert_eq!(editor.text(), "x");
    }

    #[test]
    fn moves_between_rows_keeping_the_column() {
        let mut editor = Editor::new("long line\nx\nanother");
        assert!(editor.up(20));
        assert_eq!(editor.cursor(), 11);
        assert!(editor.up(20));
        assert_eq!(editor.cursor(), 7);
        assert!(!editor.up(20));
        assert!(editor.down(20));
        assert!(editor.down(20));
        assert_eq!(editor.cursor(), 19);
        assert!(!editor.down(20));
    }

    #[test]
    fn every_row_of_a_wrapped_word_can_be_reached() {
        let mut editor = Editor::new("abcdefghij");
        assert_eq!(editor.layout(4).1, (2, 2));
        assert!(editor.up(4));
        assert_eq!(editor.layout(4).1, (1, 2));
        assert!(editor.up(4));
        assert_eq!(editor.layout(4).1, (0, 2));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Type(char),
        Paste(String),
        Edit(Edit),
        Up(usize),
        Down(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        use Edit::*;
        let edit = proptest::sample::select(vec![
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
            Yank,
            Undo,
            Redo,
        ]);
        let odd = proptest::sample::select(vec![
            '\u{301}', '\u{200d}', '👩', '🇩', '\n', ' ', '日', '\u{202e}', '\r',
        ]);
        let step = prop_oneof![
            any::<char>().prop_map(Step::Type),
            odd.prop_map(Step::Type),
            any::<String>().prop_map(Step::Paste),
            edit.prop_map(Step::Edit),
            (0usize..=200).prop_map(Step::Up),
            (0usize..=200).prop_map(Step::Down),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn the_cursor_stays_on_a_grapheme(steps in steps(), width in 0usize..=200) {
            let mut editor = Editor::default();
            let mut kills = String::new();
            for step in steps {
                match step {
                    Step::Type(c) => editor.type_char(c),
                    Step::Paste(text) => editor.paste(&text),
                    Step::Edit(edit) => { editor.apply(edit, &mut kills); }
                    Step::Up(width) => { editor.up(width); }
                    Step::Down(width) => { editor.down(width); }
                }
                let text = editor.text();
                let boundary = editor.cursor() == text.len()
                    || text.grapheme_indices(true).any(|(at, _)| at == editor.cursor());
                prop_assert!(boundary, "{:?} at {}", text, editor.cursor());
                let (rows, (row, column)) = editor.layout(width);
                prop_assert!(row < rows.len() && column <= width);
            }
        }

        #[test]
        fn undoing_everything_brings_back_the_beginning(steps in steps()) {
            let mut editor = Editor::default();
            let mut kills = String::new();
            for step in steps {
                match step {
                    Step::Type(c) => editor.type_char(c),
                    Step::Paste(text) => editor.paste(&text),
                    Step::Edit(edit) => { editor.apply(edit, &mut kills); }
                    Step::Up(width) => { editor.up(width); }
                    Step::Down(width) => { editor.down(width); }
                }
            }
            while editor.apply(Edit::Undo, &mut kills) {}
            prop_assert_eq!(editor.text(), "");
        }
    }
}
