//! ★ What a search has found, and the marks that can be put on a message.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::Scene;
use super::dialogs::frame;
use super::paint::{below, input, inset, put, put_right, rows};
use crate::session::api::{Direction, Message};
use crate::tui::layer::react::{OFFERED, React};
use crate::tui::layer::search::Search;
use crate::tui::text;
use crate::tui::theme::Role;
use crate::tui::timeline::{local, moment};

/// Smaller screens are taken whole.
const WIDTH_MIN: u16 = 36;
const HEIGHT_MIN: u16 = 6;
const WIDTH_MAX: u16 = 100;
/// Narrower lists do not say when.
const ROOMY_COLUMNS_MIN: u16 = 50;
/// What stands before the word that was found, where there is not room for all.
const BEFORE_COLUMNS: usize = 16;

pub fn draw(layer: &Search, scene: &Scene<'_>, buffer: &mut Buffer) -> Option<Position> {
    let theme = scene.theme;
    let width = scene.areas.screen.width.saturating_sub(8).clamp(WIDTH_MIN, WIDTH_MAX);
    let height = scene.areas.status.y.saturating_sub(4).max(HEIGHT_MIN);
    let area = frame(scene, buffer, "Search", width, height);
    put(buffer, area, "›", theme.style(Role::Key));
    let cursor = input(&layer.editor, inset(area, 2), theme.style(Role::Text), buffer);
    let mut list = below(area, if area.height > 6 { 2 } else { 1 });
    if area.height > 3 {
        let foot = below(area, area.height - 1);
        put(buffer, foot, &legend(layer, scene), theme.style(Role::Quiet));
        list.height = list.height.saturating_sub(1);
    }
    let remark = match () {
        _ if layer.is_too_short() => "Type two letters or more; words may be left unfinished.",
        _ if !layer.is_current() => "Looking…",
        _ => "Nothing found.",
    };
    if layer.found.is_empty() || layer.is_too_short() {
        put(buffer, list, remark, theme.style(Role::Quiet));
        return cursor;
    }
    let first = (layer.chosen + 1).saturating_sub(usize::from(list.height));
    for ((n, hit), area) in layer.found.iter().enumerate().skip(first).zip(rows(list)) {
        self::hit(layer, hit, n == layer.chosen, scene, area, buffer);
    }
    cursor
}

fn legend(layer: &Search, scene: &Scene<'_>) -> String {
    let limit = match layer.shown().map(|friend| scene.model.called(friend)) {
        None => String::new(),
        Some(friend) if layer.here => format!("   Tab not only with {friend}"),
        Some(friend) => format!("   Tab only with {friend}"),
    };
    let more = if layer.more { "+" } else { "" };
    let count = match layer.is_current() && !layer.is_too_short() {
        true => format!("{}{more} found   ", layer.found.len()),
        false => String::new(),
    };
    format!("{count}Enter goes there{limit}   Esc closes")
}

fn hit(layer: &Search, hit: &Message, chosen: bool, scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let style = |role: Role| scene.theme.style(if chosen { Role::Chosen } else { role });
    put(buffer, area, &" ".repeat(usize::from(area.width)), style(Role::Text));
    let mut rest = area;
    if area.width >= ROOMY_COLUMNS_MIN {
        let at = moment(local(hit.at, &scene.model.zone), scene.local);
        put(buffer, Rect { width: 15, ..rest }, &at, style(Role::Quiet));
        rest = inset(rest, 16);
    }
    let friend = scene.model.called(&hit.friend);
    let who = match hit.direction {
        Direction::Outgoing => format!("→ {friend}"),
        Direction::Incoming => friend.to_owned(),
    };
    let columns = (area.width / 5).clamp(6, 14);
    put(buffer, Rect { width: columns.min(rest.width), ..rest }, &who, style(Role::Friend));
    rest = inset(rest, columns + 1);
    let (before, found, after) = excerpt(&hit.text, layer.editor.text(), usize::from(rest.width));
    let used = put(buffer, rest, &before, style(Role::Text));
    rest = inset(rest, used);
    let used = put(buffer, rest, found, style(Role::News));
    put(buffer, inset(rest, used), after, style(Role::Text));
}

/// The text around the first word of `query` that is found in it as it is written: before it, it, and after it. In so many
/// columns: what follows may not fit.
fn excerpt<'t>(text: &'t str, query: &str, room: usize) -> (String, &'t str, &'t str) {
    let found = query.split_whitespace().find_map(|word| find(text, word));
    let Some((start, end)) = found else { return (String::new(), "", text) };
    let before_max = room.saturating_sub(text::columns(&text[start..]) + 1).max(BEFORE_COLUMNS);
    let mut from = start;
    for (at, _) in text::graphemes(&text[..start]).rev() {
        if text::columns(&text[at..start]) > before_max {
            break;
        }
        from = at;
    }
    let dots = if from > 0 { "…" } else { "" };
    (format!("{dots}{}", &text[from..start]), &text[start..end], &text[end..])
}

/// Where `word` stands in `text`, whatever the case of its letters.
fn find(text: &str, word: &str) -> Option<(usize, usize)> {
    let lower = |c: char| c.to_lowercase().next().unwrap_or(c);
    let word: Vec<char> = word.chars().map(lower).collect();
    text.char_indices().find_map(|(start, _)| {
        let mut chars = text[start..].char_indices();
        let matches = word.iter().all(|wanted| chars.next().is_some_and(|(_, c)| lower(c) == *wanted));
        matches.then(|| (start, start + chars.offset()))
    })
}

pub fn react(layer: &React, scene: &Scene<'_>, buffer: &mut Buffer) -> Option<Position> {
    let theme = scene.theme;
    let area = frame(scene, buffer, "Mark the message", 44, 4);
    let mut offers = area;
    for (n, mark) in OFFERED.iter().enumerate() {
        let used = put(buffer, offers, &format!("{} ", n + 1), theme.style(Role::Key));
        offers = inset(offers, used);
        let used = put(buffer, offers, &format!("{mark}  "), theme.style(Role::Text));
        offers = inset(offers, used);
    }
    let line = below(area, 1);
    put(buffer, line, "›", theme.style(Role::Key));
    let field = inset(line, 2);
    let cursor = input(&layer.editor, field, theme.style(Role::Text), buffer);
    if layer.editor.is_empty() {
        put(buffer, field, "or an emoji, or its name", theme.style(Role::Quiet));
    }
    let foot = below(area, area.height.saturating_sub(1));
    match &layer.before {
        Some(mark) => {
            put(buffer, foot, &format!("Enter alone takes {mark} back"), theme.style(Role::Quiet));
        }
        None => {
            put_right(buffer, foot, "Esc closes", theme.style(Role::Quiet));
        }
    }
    cursor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_shown_where_they_are() {
        let long = format!("{}Übermut tut", "before ".repeat(10));
        let table = [
            ("see you at noon", "NOON", 20, ("see you at ", "noon", "")),
            ("see you", "zebra", 20, ("", "", "see you")),
            (long.as_str(), "über", 20, ("…e before before ", "Über", "mut tut")),
            // What stands before it takes the room that what follows leaves.
            (long.as_str(), "über", 40, ("…before before before before ", "Über", "mut tut")),
            (long.as_str(), "über", 200, (&long[..70], "Über", "mut tut")),
            ("İstanbul", "i", 20, ("", "İ", "stanbul")),
            ("", "x", 20, ("", "", "")),
        ];
        for (text, query, room, (before, found, after)) in table {
            let shown = excerpt(text, query, room);
            assert_eq!(shown, (before.to_owned(), found, after), "{query} in {text:?}, {room} columns");
        }
    }
}
