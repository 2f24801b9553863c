//! ★ Choosing from a list by a few letters: what the switcher and the palette have in common.

use crossterm::event::KeyCode;

use super::{Input, edit_line, passes_through};
use crate::tui::editor::Editor;
use crate::tui::text;

#[derive(Debug, Clone, Default)]
pub struct Picker {
    pub filter: Editor,
    /// Indices of the items that fit, the best first.
    pub found: Vec<usize>,
    /// An index into `found`.
    pub chosen: usize,
}

pub(super) enum Pick {
    Ignored,
    Consumed,
    Close,
    /// The index of the item taken.
    Taken(usize),
}

impl Picker {
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut picker = Picker::default();
        picker.find(names);
        picker
    }

    /// `names` are those of all items, in the same order each time.
    pub(super) fn handle<'a>(
        &mut self,
        input: Input<'_>,
        names: impl IntoIterator<Item = &'a str>,
        kills: &mut String,
    ) -> Pick {
        if let Input::Key(chord, action) = input {
            if passes_through(action) {
                return Pick::Ignored;
            }
            match () {
                _ if chord.is(KeyCode::Esc) => return Pick::Close,
                _ if chord.is(KeyCode::Enter) => {
                    return self.found.get(self.chosen).map_or(Pick::Consumed, |item| Pick::Taken(*item));
                }
                _ if chord.is(KeyCode::Up) || chord.is(KeyCode::BackTab) => return self.choose(-1),
                _ if chord.is(KeyCode::Down) || chord.is(KeyCode::Tab) => return self.choose(1),
                _ => {}
            }
        }
        if let Input::Wheel(rows) = input {
            return self.choose(rows.signum());
        }
        if edit_line(&mut self.filter, input, kills) {
            self.find(names);
        }
        Pick::Consumed
    }

    fn choose(&mut self, step: isize) -> Pick {
        let count = self.found.len().max(1);
        self.chosen = (self.chosen + count).saturating_add_signed(step) % count;
        Pick::Consumed
    }

    fn find<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.found = text::ranked(self.filter.text(), names);
        self.chosen = 0;
    }
}
