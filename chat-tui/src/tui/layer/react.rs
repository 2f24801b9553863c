//! ★ Putting a mark on a message.

use crossterm::event::KeyCode;

use super::{Input, Intent, Reply, edit_line, passes_through};
use crate::session::api::Command;
use crate::tui::editor::Editor;

/// Offered by their numbers, from 1.
pub const OFFERED: [&str; 7] = ["👍", "🙂", "😂", "😮", "😢", "🎉", "✅"];

#[derive(Debug, Clone)]
pub struct React {
    pub editor: Editor,
    friend: String,
    row: i64,
    /// The mark that is there.
    pub before: Option<String>,
}

impl React {
    pub fn new(friend: &str, row: i64, before: Option<String>) -> Self {
        React { editor: Editor::default(), friend: friend.to_owned(), row, before }
    }

    pub(super) fn handle(&mut self, input: Input<'_>, kills: &mut String) -> Reply {
        if let Input::Key(chord, action) = input {
            if passes_through(action) {
                return Reply::Ignored;
            }
            let number = chord.typed().and_then(|c| c.to_digit(10)).unwrap_or(0) as usize;
            match () {
                _ if chord.is(KeyCode::Esc) => return Reply::Close,
                _ if chord.is(KeyCode::Enter) => {
                    let typed = self.editor.text().trim();
                    return self.mark(Some(of(typed)).filter(|mark| !mark.is_empty()));
                }
                _ if self.editor.is_empty() && (1..=OFFERED.len()).contains(&number) => {
                    return self.mark(Some(OFFERED[number - 1].to_owned()));
                }
                _ => {}
            }
        }
        edit_line(&mut self.editor, input, kills);
        Reply::Consumed
    }

    fn mark(&self, mark: Option<String>) -> Reply {
        let (friend, row) = (self.friend.clone(), self.row);
        Reply::CloseAnd(Intent::Session(Command::React { friend, row, mark }))
    }
}

/// The emoji of a shortcode, with or without its colons; anything else as it is.
pub fn of(typed: &str) -> String {
    let name = typed.trim_matches(':');
    emojis::get_by_shortcode(name).map_or_else(|| typed.to_owned(), |emoji| emoji.as_str().to_owned())
}
