//! ★ Dialogs over the chat.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::widgets::{Block, BorderType, Widget};

use super::Scene;
use super::composer::command_area;
use super::paint::{below, clear, input, inset, put, put_all, put_right, put_wrapped, rows, shorten};
use crate::session::api::FriendStatus;
use crate::tui::action::Spec;
use crate::tui::layer::befriend::{Befriend, Field};
use crate::tui::layer::command::{self, CommandLine};
use crate::tui::layer::confirm::Confirm;
use crate::tui::layer::links::Links;
use crate::tui::layer::palette::Palette;
use crate::tui::layer::picker::Picker;
use crate::tui::layer::switcher::Switcher;
use crate::tui::layer::{Context, Person};
use crate::tui::model::Entry;
use crate::tui::text;
use crate::tui::theme::Role;

const COMPLETIONS_MAX: usize = 8;

/// A frame of `height` rows of content in the middle; small screens are taken whole. Returns the inside.
pub(super) fn frame(scene: &Scene<'_>, buffer: &mut Buffer, title: &str, width: u16, height: u16) -> Rect {
    let screen = Rect { height: scene.areas.status.y, ..scene.areas.screen };
    if screen.width < width + 4 || screen.height < height + 2 {
        clear(buffer, screen);
        let inside = shorten(inset(screen, 1), 1);
        if screen.height <= height {
            return inside;
        }
        put(buffer, inside, title, scene.theme.style(Role::Title));
        return below(inside, 1);
    }
    let outside = Rect {
        x: (screen.width - width - 4) / 2,
        y: (screen.height - height - 2) / 3,
        width: width + 4,
        height: height + 2,
    };
    // A column of air keeps the frame apart from the text around it.
    let margin = Rect { x: outside.x.saturating_sub(1), width: outside.width + 2, ..outside };
    clear(buffer, margin);
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(scene.theme.style(Role::Quiet))
        .render(outside, buffer);
    put(buffer, shorten(inset(outside, 2), 2), &format!(" {title} "), scene.theme.style(Role::Title));
    Rect { x: outside.x + 2, y: outside.y + 1, width, height }
}

pub fn confirm(layer: &Confirm, scene: &Scene<'_>, buffer: &mut Buffer) {
    let theme = scene.theme;
    let width = 46;
    let explanation = text::wrap(&layer.explanation, usize::from(width)).len() as u16;
    let height = explanation + 3;
    let area = frame(scene, buffer, &layer.question, width, height);
    let tight = area.height < height || area.width < width;
    if tight {
        // On the smallest screens the question and the answers matter most.
        let screen = Rect { height: scene.areas.status.y, ..scene.areas.screen };
        let mut room = shorten(inset(screen, 1), 1);
        clear(buffer, screen);
        room.height = room.height.saturating_sub(1);
        let used = put_wrapped(buffer, room, &layer.question, theme.style(Role::Title));
        put_wrapped(buffer, below(room, used), &layer.explanation, theme.style(Role::Text));
        return buttons(
            layer,
            scene,
            Rect { y: room.bottom(), height: screen.height.min(1), ..room },
            buffer,
        );
    }
    put_wrapped(buffer, below(area, 1), &layer.explanation, theme.style(Role::Text));
    buttons(layer, scene, below(area, height - 1), buffer);
}

fn buttons(layer: &Confirm, scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let style = |chosen: bool| scene.theme.style(if chosen { Role::Chosen } else { Role::Text });
    let yes = format!(" {} ", layer.yes);
    let no = format!(" {} ", layer.no);
    put_all(
        buffer,
        area,
        &[(&yes, style(layer.yes_chosen)), ("  ", style(false)), (&no, style(!layer.yes_chosen))],
    );
}

pub fn befriend(layer: &Befriend, scene: &Scene<'_>, buffer: &mut Buffer) -> Option<Position> {
    let theme = scene.theme;
    let area = frame(scene, buffer, "Befriend someone", 52, 6);
    let tight = area.height < 6;
    let mut at = below(area, u16::from(!tight));
    let mut cursor = None;
    let fields = [("Name", &layer.name, Field::Name), ("Note", &layer.note, Field::Note)];
    for (label, editor, field) in fields {
        let active = layer.field == field;
        put(buffer, at, label, theme.style(if active { Role::Key } else { Role::Quiet }));
        let position = input(editor, inset(at, 6), theme.style(Role::Text), buffer);
        if editor.is_empty() {
            let hint = match field {
                Field::Name => "who it is, as they gave it to you",
                Field::Note => "shown with your request, may stay empty",
            };
            put(buffer, inset(at, 6), hint, theme.style(Role::Quiet));
        }
        if active {
            cursor = position;
        }
        at = below(at, 1);
    }
    at = below(at, u16::from(!tight));
    match &layer.problem {
        Some(problem) => put_wrapped(buffer, at, problem, theme.style(Role::Error)),
        None => put(buffer, at, "Enter asks   Tab other field   Esc cancels", theme.style(Role::Quiet)),
    };
    cursor
}

pub fn switcher(layer: &Switcher, scene: &Scene<'_>, buffer: &mut Buffer) -> Option<Position> {
    let people: Vec<(&str, String)> = layer.matches().map(|p| (p.label.as_str(), kind(p))).collect();
    let items: Vec<(&str, &str)> = people.iter().map(|(name, kind)| (*name, kind.as_str())).collect();
    picker(&layer.picker, ("Go to", "Nobody of that name", 36), &items, scene, buffer)
}

pub fn palette(layer: &Palette, scene: &Scene<'_>, buffer: &mut Buffer) -> Option<Position> {
    let keys: Vec<(&str, String)> =
        layer.matches().map(|spec| (spec.description, how(spec, scene))).collect();
    let items: Vec<(&str, &str)> = keys.iter().map(|(what, how)| (*what, how.as_str())).collect();
    picker(&layer.picker, ("What to do", "Nothing of that name", 60), &items, scene, buffer)
}

/// The key of an action, or what is typed.
fn how(spec: &Spec, scene: &Scene<'_>) -> String {
    match (scene.model.keymap.key(spec.action), spec.slash()) {
        (Some(chord), _) => chord.to_string(),
        (None, Some(slash)) => format!("/{}", slash.name),
        (None, None) => String::new(),
    }
}

/// Draws a list to choose from: what, and at the right a remark on it.
fn picker(
    layer: &Picker,
    (title, nothing, width): (&str, &str, u16),
    items: &[(&str, &str)],
    scene: &Scene<'_>,
    buffer: &mut Buffer,
) -> Option<Position> {
    let theme = scene.theme;
    let wanted = (items.len() as u16).clamp(3, 12) + 2;
    let height = wanted.min(scene.areas.status.y.saturating_sub(2)).max(2);
    let area = frame(scene, buffer, title, width, height);
    put(buffer, area, "›", theme.style(Role::Key));
    let cursor = input(&layer.filter, inset(area, 2), theme.style(Role::Text), buffer);
    let list = below(area, if area.height > 4 { 2 } else { 1 });
    if items.is_empty() {
        put(buffer, list, nothing, theme.style(Role::Quiet));
    }
    let first = (layer.chosen + 1).saturating_sub(usize::from(list.height));
    for ((n, (what, remark)), area) in items.iter().enumerate().skip(first).zip(rows(list)) {
        let chosen = n == layer.chosen;
        let style = theme.style(if chosen { Role::Chosen } else { Role::Text });
        put(buffer, area, &" ".repeat(usize::from(area.width)), style);
        let quiet = if chosen { style } else { theme.style(Role::Quiet) };
        let used = put_right(buffer, shorten(area, 1), remark, quiet);
        put(buffer, shorten(inset(area, 1), used + 2), what, style);
    }
    cursor
}

pub fn links(layer: &Links, scene: &Scene<'_>, buffer: &mut Buffer) {
    let theme = scene.theme;
    let width = scene.areas.screen.width.saturating_sub(8).clamp(36, 72);
    let height = (layer.links.len() as u16).min(scene.areas.status.y.saturating_sub(4)).max(1);
    let area = frame(scene, buffer, "Which link?", width, height);
    let first = (layer.chosen + 1).saturating_sub(usize::from(area.height));
    for ((n, link), area) in layer.links.iter().enumerate().skip(first).zip(rows(area)) {
        let chosen = n == layer.chosen;
        let style = |role| theme.style(if chosen { Role::Chosen } else { role });
        put(buffer, area, &" ".repeat(usize::from(area.width)), style(Role::Text));
        let used = put(buffer, area, &format!("{} ", n + 1), style(Role::Key));
        put(buffer, inset(area, used), link, style(Role::Link));
    }
}

fn kind(person: &Person) -> String {
    let kind = match (&person.entry, person.status) {
        (Entry::Incoming(_), _) => "asks you",
        (Entry::Outgoing(_), _) => "asked",
        (_, Some(FriendStatus::Former)) => "no longer a friend",
        (_, Some(FriendStatus::Blocked)) => "blocked",
        _ if person.archived => "archived",
        _ if person.unread > 0 => return person.unread.to_string(),
        _ => "",
    };
    kind.to_owned()
}

pub fn command(layer: &CommandLine, scene: &Scene<'_>, buffer: &mut Buffer) -> Option<Position> {
    let theme = scene.theme;
    let line = command_area(scene);
    clear(buffer, line);
    put(buffer, inset(line, 1), "/", theme.style(Role::Key));
    let cursor = input(&layer.editor, shorten(inset(line, 2), 1), theme.style(Role::Text), buffer);
    let context = Context::of(scene.model);
    let completions = command::completions(layer.editor.text(), &context);
    // The rule above stays, so that the line does not run into what is proposed.
    let rule = scene.areas.rule;
    let bottom = if rule.height > 0 && rule.width > 0 { rule.y } else { line.y };
    let room = usize::from(bottom).min(COMPLETIONS_MAX);
    if let Some(problem) = &layer.problem {
        let area = Rect { y: bottom.saturating_sub(1), height: bottom.min(1), ..line };
        clear(buffer, area);
        put(buffer, inset(area, 1), problem, theme.style(Role::Error));
        return cursor;
    }
    let shown = completions.len().min(room);
    let first = (layer.chosen + 1).saturating_sub(shown);
    let list = Rect { y: bottom - shown as u16, height: shown as u16, ..line };
    clear(buffer, list);
    let labels = completions.iter().map(|c| text::columns(&c.label)).max().unwrap_or(0) as u16 + 3;
    for ((n, completion), area) in completions.iter().enumerate().skip(first).zip(rows(list)) {
        let chosen = n == layer.chosen;
        let style = theme.style(if chosen { Role::Chosen } else { Role::Text });
        put(buffer, area, &" ".repeat(usize::from(area.width)), style);
        put(buffer, inset(area, 1), &completion.label, style);
        let quiet = if chosen { style } else { theme.style(Role::Quiet) };
        put(buffer, inset(area, labels.min(area.width)), &completion.description, quiet);
    }
    cursor
}
