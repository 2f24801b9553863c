//! ★ Going to somebody by a few letters of the name.

use super::picker::{Pick, Picker};
use super::{Context, Input, Intent, Person, Reply};
use crate::tui::action::Action;

#[derive(Debug, Clone)]
pub struct Switcher {
    pub picker: Picker,
    /// As of opening: nobody moves under the cursor.
    people: Vec<Person>,
}

impl Switcher {
    pub fn new(context: &Context) -> Self {
        let people = context.people.clone();
        Switcher { picker: Picker::new(people.iter().map(|p| p.label.as_str())), people }
    }

    /// Those who fit, the best first.
    pub fn matches(&self) -> impl ExactSizeIterator<Item = &Person> {
        self.picker.found.iter().map(|item| &self.people[*item])
    }

    pub(super) fn handle(&mut self, input: Input<'_>, context: &Context, kills: &mut String) -> Reply {
        // The key that opened it closes it too.
        if let Input::Key(chord, _) = input
            && context.keymap.binds(chord, Action::Switch)
        {
            return Reply::Close;
        }
        match self.picker.handle(input, self.people.iter().map(|p| p.label.as_str()), kills) {
            Pick::Ignored => Reply::Ignored,
            Pick::Consumed => Reply::Consumed,
            Pick::Close => Reply::Close,
            Pick::Taken(item) => Reply::CloseAnd(Intent::Select(self.people[item].entry.clone())),
        }
    }
}
