//! ★ The links in view, for terminals that open them by a click (OSC 8).

use ratatui::layout::Rect;

use super::paint::{below, inset, rows};
use crate::tui::model::Model;
use crate::tui::text;
use crate::tui::timeline::Line;

/// Cells of one row that belong to a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hyperlink {
    pub area: Rect,
    /// Nothing but visible ASCII, so that it cannot end the sequence it stands in.
    pub target: String,
}

/// All links in the conversation shown; none while something lies over it.
pub fn hyperlinks(model: &Model) -> Vec<Hyperlink> {
    let Some(conversation) = model.conversation().filter(|_| model.layers.is_empty()) else {
        return Vec::new();
    };
    let (areas, columns) = (model.areas(), model.message_columns());
    let blank = u16::try_from(conversation.timeline.blank()).unwrap_or(u16::MAX);
    let mut found = Vec::new();
    for (line, area) in conversation.timeline.visible().iter().zip(rows(below(areas.timeline, blank))) {
        let Line::Text { entry, row, .. } = *line else { continue };
        let Some(entry) = conversation.timeline.entry(entry) else { continue };
        let message = &entry.message.text;
        if text::is_code(message, row.start) {
            continue;
        }
        let area = Rect { width: columns.text_width, ..inset(area, columns.text) }.intersection(area);
        for range in text::links(message) {
            let (from, to) = (range.start.max(row.start), range.end.min(row.end));
            if from >= to {
                continue;
            }
            let before = u16::try_from(text::columns(&message[row.start..from])).unwrap_or(u16::MAX);
            let width = u16::try_from(text::columns(&message[from..to])).unwrap_or(u16::MAX);
            let area = Rect { width, ..inset(area, before) }.intersection(area);
            if !area.is_empty() {
                found.push(Hyperlink { area, target: target(&message[range]) });
            }
        }
    }
    found
}

/// The address with everything but visible ASCII as percent signs and digits.
fn target(link: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'!'..=b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    link.bytes().map(encoded).collect()
}
