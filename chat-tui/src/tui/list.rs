//! ★ The rows of the list at the left, and which of them are in view.

use std::collections::HashMap;

use super::model::{Entry, Model};
use crate::session::api::{Friend, FriendStatus};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A heading, and how many below it wait for an answer.
    Heading(&'static str, usize),
    Entry(Entry),
    /// What was said last with the one above.
    Preview(Entry),
    /// How many requests of others are not in the list, where there are many.
    MoreRequests {
        hidden: usize,
    },
    /// How many are put away, and whether they follow.
    Archive {
        count: usize,
        open: bool,
    },
    Blank,
}

/// All rows, from the top.
pub fn rows(model: &Model) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut heading = None;
    let (count, open) = (model.archived(), model.archive_open);
    // Looking each of them up in the list would take ever longer with more friends.
    let friends: HashMap<&str, &Friend> = model.friends.iter().map(|f| (f.name.as_str(), f)).collect();
    let mut archive = (count > 0).then_some(Row::Archive { count, open });
    let mut more = model.requests_hidden().map(|hidden| Row::MoreRequests { hidden });
    for entry in model.entries() {
        if !matches!(entry, Entry::Incoming(_)) {
            rows.extend(more.take());
        }
        let title = title(&friends, &entry);
        if heading != Some(title) {
            // Those put away stand between friends and those who no longer are, even if none of them is listed.
            if [ARCHIVED, FORMER, BLOCKED].contains(&title) {
                begin(&mut rows, archive.take());
            }
            if title != ARCHIVED {
                let badge = if title == REQUESTS { model.open_requests() } else { 0 };
                begin(&mut rows, Some(Row::Heading(title, badge)));
            }
            heading = Some(title);
        }
        rows.push(Row::Entry(entry));
    }
    rows.extend(more);
    begin(&mut rows, archive);
    with_previews(model, &friends, rows)
}

/// Begins a part of the list.
fn begin(rows: &mut Vec<Row>, heading: Option<Row>) {
    if let Some(heading) = heading {
        if !rows.is_empty() {
            rows.push(Row::Blank);
        }
        rows.push(heading);
    }
}

/// Shows what friends said last, where there is room for all of it.
fn with_previews(model: &Model, friends: &HashMap<&str, &Friend>, rows: Vec<Row>) -> Vec<Row> {
    let height = usize::from(model.areas().list.height);
    if rows.len() >= height {
        return rows;
    }
    let has_preview = |row: &Row| match row {
        Row::Entry(Entry::Friend(name)) => friends
            .get(name.as_str())
            .is_some_and(|f| f.status == FriendStatus::Friend && !f.archived && f.last_message.is_some()),
        _ => false,
    };
    let previews = rows.iter().filter(|row| has_preview(row)).count();
    if rows.len() + previews > height {
        return rows;
    }
    let preview = |row: Row| {
        let below = match &row {
            Row::Entry(entry) if has_preview(&row) => Some(Row::Preview(entry.clone())),
            _ => None,
        };
        std::iter::once(row).chain(below)
    };
    rows.into_iter().flat_map(preview).collect()
}

const REQUESTS: &str = "Requests";
const ARCHIVED: &str = "Archived";
const FORMER: &str = "No longer friends";
const BLOCKED: &str = "Blocked";

fn title(friends: &HashMap<&str, &Friend>, entry: &Entry) -> &'static str {
    let Entry::Friend(name) = entry else { return REQUESTS };
    let friend = friends.get(name.as_str());
    match friend.map(|f| f.status) {
        _ if friend.is_some_and(|f| f.archived) => ARCHIVED,
        Some(FriendStatus::Former) => FORMER,
        Some(FriendStatus::Blocked) => BLOCKED,
        Some(FriendStatus::Friend) | None => "Friends",
    }
}

/// The first row in view.
pub fn first(model: &Model, rows: &[Row]) -> usize {
    let height = usize::from(model.areas().list.height);
    match model.list_from {
        Some(from) => from.min(rows.len().saturating_sub(height)),
        None => offset(rows, model.selected.as_ref(), height),
    }
}

/// The first row in view, such that the selected one is in view with its surroundings.
fn offset(rows: &[Row], selected: Option<&Entry>, height: usize) -> usize {
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
