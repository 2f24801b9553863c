//! ★ What is being written to one friend: the text, the messages that can be called back, the draft.

use super::editor::{Edit, Editor};

/// Sent messages that Up calls back.
const RECALL_MAX: usize = 100;

#[derive(Debug, Clone, Default)]
pub struct Composer {
    editor: Editor,
    /// Sent before, oldest first.
    sent: Vec<String>,
    /// While looking through `sent`: the index shown, and what was being written.
    recalling: Option<(usize, String)>,
    /// The draft the session keeps, so that it is told only of changes.
    saved: String,
    /// Something was typed, sent or called back: a draft from elsewhere comes too late.
    touched: bool,
}

impl Composer {
    /// Starts with the draft that the session has kept.
    pub fn with_draft(draft: &str) -> Self {
        Composer { editor: Editor::new(draft), saved: draft.to_owned(), ..Composer::default() }
    }

    /// Takes over a draft that became known late, unless something was written meanwhile.
    pub fn offer_draft(&mut self, draft: &str) {
        if !self.touched && self.editor.is_empty() && !draft.is_empty() {
            *self = Composer { sent: std::mem::take(&mut self.sent), ..Composer::with_draft(draft) };
        }
    }

    pub fn editor(&self) -> &Editor {
        &self.editor
    }

    pub fn text(&self) -> &str {
        self.editor.text()
    }

    /// Whether there is nothing to send: no text, or white space only.
    pub fn is_blank(&self) -> bool {
        self.text().trim().is_empty()
    }

    pub fn type_char(&mut self, c: char) {
        self.adopt_recalled();
        self.editor.type_char(c);
    }

    /// Puts the cursor at this row and column of what can be seen in `height` rows.
    pub fn point(&mut self, width: usize, height: usize, row: usize, column: usize) {
        let (_, (cursor_row, _)) = self.editor.layout(width);
        // The view shows the rows that end with the cursor's.
        let first = (cursor_row + 1).saturating_sub(height);
        self.editor.go_to(width, first + row, column);
    }

    /// Puts `with` in the place of the word between `start` and the cursor.
    pub fn complete(&mut self, start: usize, with: &str) {
        self.adopt_recalled();
        self.editor.replace_before(start, with);
    }

    /// The text as it was changed elsewhere.
    pub fn replace(&mut self, text: &str) {
        self.adopt_recalled();
        self.editor.replace(text);
    }

    pub fn paste(&mut self, text: &str) {
        self.adopt_recalled();
        self.editor.paste(text);
    }

    pub fn apply(&mut self, edit: Edit, kills: &mut String) -> bool {
        if !edit.only_moves() {
            self.adopt_recalled();
        }
        self.editor.apply(edit, kills)
    }

    /// Up: the row above, or from the first row the message sent before.
    pub fn up(&mut self, width: usize) -> bool {
        self.editor.up(width) || self.recall_older()
    }

    /// Down: the row below, or from the last row the message sent after, in the end what was being written.
    pub fn down(&mut self, width: usize) -> bool {
        self.editor.down(width) || self.recall_newer()
    }

    /// Takes the message out to be sent, without the white space around it.
    pub fn take(&mut self) -> Option<String> {
        if self.is_blank() {
            return None;
        }
        self.recalling = None;
        self.touched = true;
        let text = self.editor.take();
        // Indentation of the first line may carry meaning; blank lines around the text do not.
        let text = text.trim_start_matches('\n').trim_end().to_owned();
        self.remember(text.clone());
        Some(text)
    }

    /// Lets Up call back `text`.
    pub fn remember(&mut self, text: String) {
        if self.sent.last() == Some(&text) {
            return;
        }
        if self.sent.len() == RECALL_MAX {
            self.sent.remove(0);
        }
        self.sent.push(text);
    }

    /// Whether messages from before this run should still be given to `remember`.
    pub fn recalls_nothing(&self) -> bool {
        self.sent.is_empty()
    }

    /// Gives back a text that could not be sent: into the input when that is free, otherwise by Up.
    pub fn give_back(&mut self, text: &str) {
        self.touched = true;
        if self.editor.is_empty() {
            self.editor.replace(text);
        } else {
            self.remember(text.to_owned());
        }
    }

    /// The text, if it differs from the draft that the session keeps; from now on it is the one kept.
    pub fn draft_to_save(&mut self) -> Option<String> {
        let draft = match &self.recalling {
            Some((_, written)) => written,
            None => self.editor.text(),
        };
        if *draft == self.saved {
            return None;
        }
        self.saved = draft.to_owned();
        Some(self.saved.clone())
    }

    /// A recalled message that is edited is what is being written from now on; what was being written
    /// before stays within reach of Up.
    fn adopt_recalled(&mut self) {
        self.touched = true;
        if let Some((_, written)) = self.recalling.take()
            && !written.trim().is_empty()
        {
            self.remember(written);
        }
    }

    fn recall_older(&mut self) -> bool {
        let index = match &self.recalling {
            Some((index, _)) => *index,
            None => self.sent.len(),
        };
        let Some(index) = index.checked_sub(1) else { return false };
        let written = match self.recalling.take() {
            Some((_, written)) => written,
            None => self.editor.text().to_owned(),
        };
        self.editor.replace(&self.sent[index]);
        self.recalling = Some((index, written));
        true
    }

    fn recall_newer(&mut self) -> bool {
        let Some((index, written)) = self.recalling.take() else { return false };
        match self.sent.get(index + 1) {
            Some(text) => {
                self.editor.replace(text);
                self.recalling = Some((index + 1, written));
            }
            None => self.editor.replace(&written),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composer(sent: &[&str], text: &str) -> Composer {
        let mut composer = Composer::default();
        sent.iter().for_each(|s| composer.remember((*s).to_owned()));
        composer.paste(text);
        composer
    }

    #[test]
    fn up_and_down_walk_through_what_was_sent() {
        let mut c = composer(&["one", "two"], "now");
        let mut seen = Vec::new();
        while c.up(20) {
            seen.push(c.text().to_owned());
        }
        while c.down(20) {
            seen.push(c.text().to_owned());
        }
        assert_eq!(seen, ["two", "one", "two", "now"]);
    }

    #[test]
    fn a_message_is_sent_without_white_space_around_it() {
        assert_eq!(composer(&[], "\n  code\n  more \n\n").take().as_deref(), Some("  code\n  more"));
        assert_eq!(composer(&[], " \n\t").take(), None);
    }

    #[test]
    fn a_draft_is_saved_once() {
        let mut c = Composer::with_draft("hel");
        assert_eq!(c.draft_to_save(), None);
        c.type_char('l');
        assert_eq!(c.draft_to_save().as_deref(), Some("hell"));
        assert_eq!(c.draft_to_save(), None);
        c.take();
        assert_eq!(c.draft_to_save().as_deref(), Some(""));
    }

    #[test]
    fn calling_back_an_old_message_does_not_touch_the_draft() {
        let mut c = composer(&["old"], "new");
        c.draft_to_save();
        c.up(20);
        assert_eq!(c.text(), "old");
        assert_eq!(c.draft_to_save(), None);
    }

    #[test]
    fn editing_an_old_message_keeps_what_was_being_written() {
        let mut c = composer(&["old"], "new");
        c.up(20);
        c.type_char('!');
        assert_eq!(c.draft_to_save().as_deref(), Some("old!"));
        c.up(20);
        assert_eq!(c.text(), "new");
    }

    #[test]
    fn what_could_not_be_sent_comes_back() {
        let mut c = composer(&[], "");
        c.give_back("lost?");
        assert_eq!(c.text(), "lost?");
        let mut c = composer(&[], "busy");
        c.give_back("lost?");
        assert_eq!(c.text(), "busy");
        c.up(20);
        assert_eq!(c.text(), "lost?");
    }
}
