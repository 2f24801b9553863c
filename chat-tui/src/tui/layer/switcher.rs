//! ★ Going to somebody by a few letters of the name.

use crossterm::event::KeyCode;

use super::{Context, Input, Intent, Person, Reply, edit_line, passes_through};
use crate::tui::action::Action;
use crate::tui::editor::Editor;
use crate::tui::text;

#[derive(Debug, Clone)]
pub struct Switcher {
    pub filter: Editor,
    pub matches: Vec<Person>,
    /// An index into `matches`.
    pub chosen: usize,
}

impl Switcher {
    pub fn new(context: &Context) -> Self {
        let mut switcher = Switcher { filter: Editor::default(), matches: Vec::new(), chosen: 0 };
        switcher.find(context);
        switcher
    }

    pub(super) fn handle(&mut self, input: Input<'_>, context: &Context, kills: &mut String) -> Reply {
        if let Input::Key(chord, action) = input {
            if passes_through(action) {
                return Reply::Ignored;
            }
            match () {
                _ if chord.is(KeyCode::Esc)
                    || action == Some(Action::Edit(crate::tui::editor::Edit::DeleteToLineEnd)) =>
                {
                    return Reply::Close;
                }
                _ if chord.is(KeyCode::Enter) => {
                    return match self.matches.get(self.chosen) {
                        Some(person) => Reply::CloseAnd(Intent::Select(person.entry.clone())),
                        None => Reply::Consumed,
                    };
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
            self.find(context);
        }
        Reply::Consumed
    }

    fn choose(&mut self, step: isize) -> Reply {
        let count = self.matches.len().max(1);
        self.chosen = (self.chosen + count).saturating_add_signed(step) % count;
        Reply::Consumed
    }

    fn find(&mut self, context: &Context) {
        let mut found: Vec<(i32, &Person)> = context
            .people
            .iter()
            .filter_map(|p| text::score(self.filter.text(), p.entry.name()).map(|score| (score, p)))
            .collect();
        // Stable: equals stay in the order of the list.
        found.sort_by_key(|(score, _)| -score);
        self.matches = found.into_iter().map(|(_, p)| p.clone()).collect();
        self.chosen = 0;
    }
}
