//! ★ Text selected with the mouse: within the conversation only, message by message.

use ratatui::layout::Position;

use super::model::Model;
use super::text;
use super::timeline::{Line, Timeline};

/// A place in the text of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The row of the message in the history.
    pub message: i64,
    /// A byte offset into its text.
    pub at: usize,
}

/// What lies under the pointer: one grapheme, or nothing between two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    start: Place,
    end: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    from: Spot,
    to: Spot,
    /// The pointer has moved: it is no mere click.
    pub dragged: bool,
}

impl Selection {
    pub fn new(spot: Spot) -> Self {
        Selection { from: spot, to: spot, dragged: false }
    }

    pub fn drag_to(&mut self, spot: Spot) {
        self.dragged |= spot != self.from;
        self.to = spot;
    }

    /// Its beginning and its end.
    pub fn range(&self) -> (Place, Place) {
        (self.from.start.min(self.to.start), self.from.end.max(self.to.end))
    }

    /// The part of a message's text that is selected: of the bytes from `start` to `end`.
    pub fn part(&self, message: i64, start: usize, end: usize) -> Option<(usize, usize)> {
        let (first, last) = self.range();
        if !self.dragged || message < first.message || message > last.message {
            return None;
        }
        let from = if message == first.message { first.at.clamp(start, end) } else { start };
        let to = if message == last.message { last.at.clamp(start, end) } else { end };
        (from < to).then_some((from, to))
    }

    /// The text that is selected.
    pub fn text(&self, timeline: &Timeline) -> String {
        let parts = (0..).map_while(|index| timeline.entry(index)).filter(|entry| !entry.message.deleted);
        let parts = parts.filter_map(|entry| {
            let text = &entry.message.text;
            let (from, to) = self.part(entry.message.row, 0, text.len())?;
            text.get(from..to)
        });
        parts.collect::<Vec<_>>().join("\n")
    }
}

/// What lies at `at` in the conversation shown; beside the text, what is next to it.
pub fn spot_at(model: &Model, at: Position) -> Option<Spot> {
    let area = model.areas().timeline;
    let timeline = &model.conversation()?.timeline;
    let columns = model.message_columns();
    let pointed = usize::from(at.y.saturating_sub(area.y)).saturating_sub(timeline.blank());
    let lines = timeline.visible();
    let is_text = |line: &Line| matches!(line, Line::Text { .. });
    let below = lines.iter().enumerate().skip(pointed).find(|(_, line)| is_text(line));
    let (index, line) = below.or_else(|| lines.iter().enumerate().rfind(|(_, line)| is_text(line)))?;
    let Line::Text { entry, row, .. } = *line else { return None };
    let message = &timeline.entry(entry)?.message;
    let place = |at: usize| Place { message: message.row, at };
    let column = usize::from(at.x.saturating_sub(area.x + columns.text));
    if index != pointed || at.x < area.x + columns.text {
        // Above the row everything of it is behind the pointer, below it nothing.
        let at = if index < pointed { row.end } else { row.start };
        return Some(Spot { start: place(at), end: place(at) });
    }
    let mut used = 0;
    for (offset, grapheme) in text::graphemes(message.text.get(row.start..row.end)?) {
        used += text::glyph(grapheme).1;
        if used > column {
            let start = row.start + offset;
            return Some(Spot { start: place(start), end: place(start + grapheme.len()) });
        }
    }
    Some(Spot { start: place(row.end), end: place(row.end) })
}
