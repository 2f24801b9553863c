//! ★ The rows of the list at the left, and which of them are in view.

use super::model::{Entry, Model};
use crate::session::api::FriendStatus;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A heading, and how many below it wait for an answer.
    Heading(&'static str, usize),
    Entry(Entry),
    Blank,
}

/// All rows, from the top.
pub fn rows(model: &Model) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut heading = None;
    for entry in model.entries() {
        let title = title(model, &entry);
        if heading != Some(title) {
            if heading.is_some() {
                rows.push(Row::Blank);
            }
            let badge = if title == REQUESTS { model.open_requests() } else { 0 };
            rows.push(Row::Heading(title, badge));
            heading = Some(title);
        }
        rows.push(Row::Entry(entry));
    }
    rows
}

const REQUESTS: &str = "Requests";

fn title(model: &Model, entry: &Entry) -> &'static str {
    let Entry::Friend(name) = entry else { return REQUESTS };
    match model.friend(name).map(|f| f.status) {
        Some(FriendStatus::Former) => "No longer friends",
        Some(FriendStatus::Blocked) => "Blocked",
        Some(FriendStatus::Friend) | None => "Friends",
    }
}

/// The first row in view, such that the selected one is in view with its surroundings.
pub fn offset(rows: &[Row], selected: Option<&Entry>, height: usize) -> usize {
    let at = rows.iter().position(|row| matches!(row, Row::Entry(e) if Some(e) == selected)).unwrap_or(0);
    let most = rows.len().saturating_sub(height);
    (at + 2).saturating_sub(height).min(at).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_row_is_in_view() {
        let rows: Vec<Row> = (0..20).map(|n| Row::Entry(Entry::Friend(n.to_string()))).collect();
        for height in 1..25 {
            for at in 0..20 {
                let first = offset(&rows, Some(&Entry::Friend(at.to_string())), height);
                assert!((first..first + height).contains(&at), "row {at} of height {height}");
            }
        }
    }
}
