//! ★ The places in a text that an edit goes to.

use unicode_segmentation::UnicodeSegmentation;

use super::Editor;

impl Editor {
    /// What is inserted may join with what follows (a combining mark, a flag's other half): the nearest
    /// boundary at or behind `at`.
    pub(super) fn boundary_from(&self, at: usize) -> usize {
        self.text
            .grapheme_indices(true)
            .map(|(start, _)| start)
            .find(|start| *start >= at)
            .unwrap_or(self.text.len())
    }

    /// The nearest boundary at or before `at`.
    pub(super) fn boundary_to(&self, at: usize) -> usize {
        let starts = self.text.grapheme_indices(true).map(|(start, _)| start);
        starts.take_while(|start| *start <= at).last().unwrap_or(0)
    }

    pub(super) fn grapheme_left(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    pub(super) fn grapheme_right(&self) -> usize {
        self.text[self.cursor..].graphemes(true).next().map_or(self.cursor, |g| self.cursor + g.len())
    }

    pub(super) fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    pub(super) fn line_end(&self) -> usize {
        self.text[self.cursor..].find('\n').map_or(self.text.len(), |at| self.cursor + at)
    }

    pub(super) fn word_left(&self) -> usize {
        let start = self.text[..self.cursor].unicode_word_indices().next_back().map_or(0, |(at, _)| at);
        self.boundary_to(start)
    }

    pub(super) fn word_right(&self) -> usize {
        let next = self.text[self.cursor..].unicode_word_indices().next();
        self.boundary_from(next.map_or(self.text.len(), |(at, word)| self.cursor + at + word.len()))
    }

    /// The beginning of the word before the cursor where only white space parts words (Ctrl-W).
    pub(super) fn white_word_left(&self) -> usize {
        let before = self.text[..self.cursor].trim_end();
        let start = before.rfind(char::is_whitespace);
        let start = start.map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8));
        self.boundary_to(start)
    }
}
