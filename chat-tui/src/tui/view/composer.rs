//! ★ Where messages are written, and the line above it.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::paint::{clear, inset, put, put_clipped, put_right, rows, shorten};
use super::{Scene, request};
use crate::session::api::{Connection, Direction};
use crate::tui::action::Action;
use crate::tui::layout;
use crate::tui::model::{Closed, Conversation, Purpose};
use crate::tui::text;
use crate::tui::theme::Role;

/// Returns where the cursor stands.
pub fn draw(scene: &Scene<'_>, buffer: &mut Buffer) -> Option<Position> {
    let area = scene.areas.composer;
    if area.is_empty() {
        return None;
    }
    rule(scene, buffer);
    if let Some(shown) = scene.model.shown_request() {
        request::choices(shown, scene, area, buffer);
        return None;
    }
    let Some(conversation) = scene.model.conversation() else {
        put(buffer, inset(area, 1), "/ shows the commands", scene.theme.style(Role::Quiet));
        return None;
    };
    match scene.model.closed() {
        Some(closed) => {
            self::closed(scene, conversation, closed, buffer);
            None
        }
        None => open(scene, conversation, buffer),
    }
}

fn open(scene: &Scene<'_>, conversation: &Conversation, buffer: &mut Buffer) -> Option<Position> {
    let area = scene.areas.composer;
    let prompt = if scene.model.normal { "N" } else { "›" };
    put(buffer, inset(area, 1), prompt, scene.theme.style(Role::Key));
    let text_area = inset(area, layout::COMPOSER_INDENT);
    if conversation.composer.editor().is_empty() {
        let name = scene.model.called(scene.model.shown_friend().unwrap_or_default());
        let hint = match scene.model.connection {
            _ if scene.model.normal => {
                format!("{} writes to {name}", scene.model.key(Action::InsertMode))
            }
            Connection::Online { .. } => format!("Write to {name}"),
            _ => format!("Write to {name}; it goes out when you are online"),
        };
        put(buffer, text_area, &hint, scene.theme.style(Role::Quiet));
        return Some(Position::new(text_area.x, text_area.y));
    }
    let (row, column) = text(scene, conversation, Role::Text, buffer);
    let column = u16::try_from(column).unwrap_or(u16::MAX).min(text_area.width.saturating_sub(1));
    Some(Position::new(text_area.x + column, area.y + row))
}

/// Draws the rows around the cursor; returns the cursor's row in the area and its column.
fn text(scene: &Scene<'_>, conversation: &Conversation, role: Role, buffer: &mut Buffer) -> (u16, usize) {
    let area = scene.areas.composer;
    let editor = conversation.composer.editor();
    let (lines, (row, column)) = editor.layout(layout::composer_columns(scene.model.size.0));
    let height = usize::from(area.height);
    let first = (row + 1).saturating_sub(height);
    let text_area = inset(area, layout::COMPOSER_INDENT);
    for (line, area) in lines[first..].iter().zip(rows(text_area)) {
        put_clipped(buffer, area, &editor.text()[line.start..line.end], scene.theme.style(role));
    }
    ((row - first) as u16, column)
}

fn closed(scene: &Scene<'_>, conversation: &Conversation, closed: Closed, buffer: &mut Buffer) {
    if conversation.composer.is_blank() {
        let hint = closed_hint(scene, closed);
        put(buffer, inset(scene.areas.composer, 1), &hint, scene.theme.style(Role::Quiet));
    } else {
        put(buffer, inset(scene.areas.composer, 1), "×", scene.theme.style(Role::Quiet));
        text(scene, conversation, Role::Quiet, buffer);
    }
}

fn closed_hint(scene: &Scene<'_>, closed: Closed) -> String {
    let name = scene.model.shown_friend().unwrap_or_default();
    match closed {
        Closed::Former => match scene.model.asked_with(name) {
            None => format!("{} asks {name} again", scene.model.key(Action::Befriend)),
            Some(Direction::Incoming) => format!("{name} asks to be friends again: /accept {name}"),
            Some(Direction::Outgoing) => format!("You asked {name} to be friends again"),
        },
        Closed::Blocked => format!("/unblock {name} lifts the block"),
    }
}

/// What is offered for the word that is being typed, above the line.
pub fn offers(scene: &Scene<'_>, buffer: &mut Buffer) {
    let Some(completion) = scene.model.completion.as_ref() else { return };
    let composer = scene.areas.composer;
    let bottom = if scene.areas.rule.height > 0 { scene.areas.rule.y } else { composer.y };
    let shown = completion.offers.len().min(usize::from(bottom));
    let first = (completion.chosen + 1).saturating_sub(shown);
    let widest = completion.offers.iter().map(|offer| text::columns(&offer.label)).max().unwrap_or(0);
    let left = inset(composer, 2);
    let list = Rect {
        y: bottom - shown as u16,
        height: shown as u16,
        width: u16::try_from(widest + 2).unwrap_or(u16::MAX).min(left.width),
        ..left
    };
    // A column of air at the right keeps it apart from the messages.
    clear(buffer, Rect { width: (list.width + 1).min(left.width), ..list });
    for ((n, offer), area) in completion.offers.iter().enumerate().skip(first).zip(rows(list)) {
        let style = scene.theme.style(if n == completion.chosen { Role::Chosen } else { Role::Text });
        put(buffer, area, &" ".repeat(usize::from(area.width)), style);
        put(buffer, shorten(inset(area, 1), 1), &offer.label, style);
    }
}

/// The line above the composer carries what matters while writing.
fn rule(scene: &Scene<'_>, buffer: &mut Buffer) {
    let mut area = shorten(inset(scene.areas.rule, 1), 1);
    let Some(conversation) = scene.model.conversation() else { return };
    let mut right = |text: &str, role: Role, buffer: &mut Buffer| {
        let used = put_right(buffer, area, &format!(" {text} "), scene.theme.style(role));
        area = shorten(area, used + u16::from(used > 0));
    };
    match scene.model.bytes_left() {
        Some(left @ ..0) => right(&format!("{} bytes too long", -left), Role::Error, buffer),
        Some(left) => right(&format!("room for {left} bytes"), Role::NewLine, buffer),
        None => {}
    }
    if let Some(rows) = scene.model.hidden_rows() {
        right(&rows, Role::Quiet, buffer);
    }
    if !conversation.timeline.is_at_newest() {
        let key = scene.model.key(Action::Newest);
        match conversation.timeline.new_below() {
            0 => right(&format!("more below, {key}"), Role::Quiet, buffer),
            below => {
                // Of many only a part is here.
                let unread = scene.model.shown_friend().and_then(|name| scene.model.friend(name));
                let more = match unread.is_some_and(|f| f.unread as usize > conversation.timeline.unseen()) {
                    true if conversation.timeline.has_newer() => "+",
                    _ => "",
                };
                right(&format!("{below}{more} new below, {key}"), Role::News, buffer);
            }
        }
    }
    if let Some(text) = remark(scene, conversation) {
        put(
            buffer,
            area,
            &text::fit(&format!(" {text} "), usize::from(area.width)),
            scene.theme.style(Role::Notice),
        );
    }
}

fn remark(scene: &Scene<'_>, conversation: &Conversation) -> Option<String> {
    let name = scene.model.called(scene.model.shown_friend()?);
    let key = scene.model.key(Action::Back);
    match &conversation.purpose {
        Purpose::New => {}
        Purpose::Reply { quote, .. } => return Some(format!("answers “{quote}” · {key} leaves it")),
        Purpose::Edit { .. } => return Some(format!("changes your message · {key} leaves it")),
    }
    if let Some(closed) = scene.model.closed() {
        let kept = !conversation.composer.is_blank();
        return kept.then(|| format!("Not sent, but kept. {}", closed_hint(scene, closed)));
    }
    conversation.typing_until.is_some_and(|until| until > scene.now).then(|| format!("{name} is typing…"))
}

/// The row of the command line: the lowest of the composer, or of the list where that is all there is.
pub fn command_area(scene: &Scene<'_>) -> Rect {
    let areas = &scene.areas;
    let column = if areas.composer.width > 0 { areas.composer } else { areas.screen };
    Rect { y: areas.status.y.saturating_sub(1), height: areas.status.y.min(1), ..column }
}
