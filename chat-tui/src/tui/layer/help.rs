//! ★ The help: written by the registry of actions.

use crossterm::event::KeyCode;

use super::{Context, Input, Reply, passes_through};
use crate::session::api::Presence;
use crate::tui::action::{ACTIONS, Action, Group, slash_commands};
use crate::tui::keymap::{Chord, Keymap};
use crate::tui::marks;

#[derive(Debug, Clone, Default)]
pub struct Help {
    /// Rows scrolled down.
    pub scroll: usize,
}

pub struct Section {
    pub title: &'static str,
    /// A key, command or mark, and what it means.
    pub rows: Vec<(String, &'static str)>,
}

impl Section {
    /// Rows on the screen, with the title and the blank line that follows.
    pub fn height(&self) -> usize {
        self.rows.len() + 2
    }
}

/// Everything the help says.
pub fn sections(keymap: &Keymap) -> Vec<Section> {
    let mut sections: Vec<Section> = Group::ALL.into_iter().map(|group| keys(group, keymap)).collect();
    sections.insert(
        2,
        Section {
            title: "Commands",
            rows: slash_commands().map(|(spec, slash)| (slash.usage(), spec.description)).collect(),
        },
    );
    sections.push(Section {
        title: "Marks at your messages",
        rows: marks::DELIVERY
            .iter()
            .map(|d| (marks::delivery(d).to_owned(), marks::delivery_meaning(d)))
            .collect(),
    });
    sections.push(Section {
        title: "Marks at friends",
        rows: [Presence::Online, Presence::Away, Presence::Offline { last_seen: None }]
            .into_iter()
            .map(|p| (marks::presence(p).to_owned(), marks::presence_name(p)))
            .chain([(marks::PRESENCE_UNKNOWN.to_owned(), "not known while you are offline")])
            .collect(),
    });
    sections
}

fn keys(group: Group, keymap: &Keymap) -> Section {
    let rows = ACTIONS
        .iter()
        .filter(|spec| spec.group == group && !spec.description.is_empty())
        .filter_map(|spec| keymap.key(spec.action).map(|key| (key.to_string(), spec.description)))
        .collect();
    Section { title: group.title(), rows }
}

/// Rows of the whole help in one column.
pub fn height(keymap: &Keymap) -> usize {
    sections(keymap).iter().map(Section::height).sum()
}

impl Help {
    pub(super) fn handle(&mut self, input: Input<'_>, context: &Context) -> Reply {
        let page = usize::from(context.size.1.saturating_sub(4)).max(1) as isize;
        match input {
            Input::Key(_, action) if passes_through(action) => return Reply::Ignored,
            Input::Key(_, Some(Action::Help)) => return Reply::Close,
            Input::Key(chord, _) if closes(chord) => return Reply::Close,
            Input::Key(chord, _) => {
                let steps = [
                    (KeyCode::Up, -1),
                    (KeyCode::Down, 1),
                    (KeyCode::PageUp, -page),
                    (KeyCode::PageDown, page),
                    (KeyCode::Char(' '), page),
                    (KeyCode::Home, isize::MIN / 2),
                    (KeyCode::End, isize::MAX / 2),
                ];
                let step = steps.into_iter().find(|(key, _)| chord.is(*key)).map_or(0, |(_, step)| step);
                self.scroll_by(step, context);
            }
            Input::Wheel(rows) => self.scroll_by(rows, context),
            Input::Paste(_) => {}
        }
        Reply::Consumed
    }

    fn scroll_by(&mut self, rows: isize, context: &Context) {
        let most = height(&context.keymap).saturating_sub(usize::from(context.size.1.saturating_sub(4)));
        self.scroll = self.scroll.saturating_add_signed(rows).min(most);
    }
}

fn closes(chord: Chord) -> bool {
    [KeyCode::Esc, KeyCode::Enter, KeyCode::Char('q'), KeyCode::Char('?')]
        .into_iter()
        .any(|key| chord.is(key))
}
