//! ★ Choosing which link of a message to open.

use crossterm::event::KeyCode;

use super::{Input, Intent, Reply, passes_through};

#[derive(Debug, Clone)]
pub struct Links {
    pub links: Vec<String>,
    /// An index into `links`.
    pub chosen: usize,
}

impl Links {
    pub fn new(links: Vec<String>) -> Self {
        Links { links, chosen: 0 }
    }

    pub(super) fn handle(&mut self, input: Input<'_>) -> Reply {
        let Input::Key(chord, action) = input else {
            if let Input::Wheel(rows) = input {
                self.choose(rows.signum());
            }
            return Reply::Consumed;
        };
        if passes_through(action) {
            return Reply::Ignored;
        }
        let number = chord.typed().and_then(|c| c.to_digit(10)).unwrap_or(0) as usize;
        match () {
            _ if chord.is(KeyCode::Esc) => Reply::Close,
            _ if chord.is(KeyCode::Enter) => self.open(self.chosen),
            _ if number > 0 => self.open(number - 1),
            _ if chord.is(KeyCode::Up) || chord.is(KeyCode::BackTab) => self.choose(-1),
            _ if chord.is(KeyCode::Down) || chord.is(KeyCode::Tab) => self.choose(1),
            _ => Reply::Consumed,
        }
    }

    fn choose(&mut self, step: isize) -> Reply {
        let count = self.links.len().max(1);
        self.chosen = (self.chosen + count).saturating_add_signed(step) % count;
        Reply::Consumed
    }

    fn open(&self, index: usize) -> Reply {
        match self.links.get(index) {
            Some(link) => Reply::CloseAnd(Intent::OpenLink(link.clone())),
            None => Reply::Consumed,
        }
    }
}
