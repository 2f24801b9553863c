//! ★ Showing the model. Nothing here changes anything.

mod composer;
mod conversation;
mod dialogs;
mod help;
mod hyperlinks;
mod notices;
pub(super) mod paint;
mod request;
mod search;
mod sidebar;
mod status;

use jiff::Timestamp;
use jiff::civil::DateTime;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::layer::Layer;
use super::layout::Areas;
use super::model::Model;
use super::notice::NoticeKind;
use super::theme::{Role, Theme};
pub use hyperlinks::{Hyperlink, hyperlinks};
use paint::put;

/// What every part needs to draw itself.
struct Scene<'a> {
    model: &'a Model,
    theme: &'a Theme,
    areas: Areas,
    now: Timestamp,
    /// `now` on the clock of the person.
    local: DateTime,
}

pub fn draw(frame: &mut Frame<'_>, model: &Model, theme: &Theme, now: Timestamp) {
    let areas = model.areas();
    if frame.area().intersection(areas.screen) != areas.screen {
        // The terminal has shrunk since the last message; the next one says so.
        return;
    }
    let scene = Scene { model, theme, areas, now, local: model.local(now) };
    let buffer = frame.buffer_mut();
    sidebar::draw(&scene, buffer);
    rules(&scene, buffer);
    conversation::draw(&scene, buffer);
    notice(&scene, buffer);
    let mut cursor = composer::draw(&scene, buffer);
    composer::offers(&scene, buffer);
    status::draw(&scene, buffer);
    for layer in &model.layers {
        cursor = draw_layer(layer, &scene, buffer);
    }
    if let Some((foreground, background)) = theme.ground() {
        paint::ground(buffer, foreground, background);
    }
    if let Some(cursor) = cursor.filter(|c| areas.screen.contains(*c)) {
        frame.set_cursor_position(cursor);
    }
}

fn draw_layer(layer: &Layer, scene: &Scene<'_>, buffer: &mut Buffer) -> Option<Position> {
    match layer {
        Layer::Help(layer) => help::draw(layer, scene, buffer),
        Layer::Confirm(layer) => dialogs::confirm(layer, scene, buffer),
        Layer::Befriend(layer) => return dialogs::befriend(layer, scene, buffer),
        Layer::Switcher(layer) => return dialogs::switcher(layer, scene, buffer),
        Layer::Palette(layer) => return dialogs::palette(layer, scene, buffer),
        Layer::Command(layer) => return dialogs::command(layer, scene, buffer),
        Layer::Search(layer) => return search::draw(layer, scene, buffer),
        Layer::React(layer) => return search::react(layer, scene, buffer),
        Layer::Links(layer) => dialogs::links(layer, scene, buffer),
        Layer::Notices(layer) => notices::draw(layer, scene, buffer),
    }
    None
}

/// The lines between the panes.
fn rules(scene: &Scene<'_>, buffer: &mut Buffer) {
    let Areas { divider, title_rule, rule, .. } = scene.areas;
    let quiet = scene.theme.style(Role::Quiet);
    for y in divider.top()..divider.bottom() {
        put(buffer, Rect { y, height: 1, ..divider }, "│", quiet);
    }
    if title_rule.height > 0 {
        let whole = Rect { x: 0, width: scene.areas.screen.width, ..title_rule };
        paint::rule(buffer, whole, quiet);
        put(buffer, Rect { y: title_rule.y, height: 1, ..divider }, "┼", quiet);
    }
    if rule.height > 0 && rule.width > 0 {
        paint::rule(buffer, rule, quiet);
        put(buffer, Rect { y: rule.y, height: 1, ..divider }, "├", quiet);
    }
}

/// The mark before a notice, of two columns, and its role.
fn notice_look(kind: NoticeKind) -> (&'static str, Role) {
    match kind {
        NoticeKind::Info => ("· ", Role::Notice),
        NoticeKind::Error => ("! ", Role::Error),
    }
}

fn notice(scene: &Scene<'_>, buffer: &mut Buffer) {
    let Some(notice) = &scene.model.notice else { return };
    let (mark, role) = notice_look(notice.kind);
    let style = scene.theme.style(role);
    let rows = paint::rows(scene.areas.notice);
    for (n, (area, text)) in rows.zip(scene.model.notice_rows()).enumerate() {
        put(buffer, paint::inset(area, 1), if n == 0 { mark } else { "" }, style);
        put(buffer, paint::inset(area, 3), &text, style);
    }
}
