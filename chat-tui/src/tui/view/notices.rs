//! ★ What was told before.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::paint::{below, clear, inset, put, put_right, rows, shorten};
use super::{Scene, notice_look};
use crate::tui::layer::notices::{Notices, TIME_COLUMNS, says_when};
use crate::tui::theme::Role;
use crate::tui::timeline::moment;

pub fn draw(layer: &Notices, scene: &Scene<'_>, buffer: &mut Buffer) {
    let screen = Rect { height: scene.areas.status.y, ..scene.areas.screen };
    clear(buffer, screen);
    let quiet = scene.theme.style(Role::Quiet);
    let head = shorten(inset(screen, 2), 2);
    let used = put(buffer, head, "What you were told", scene.theme.style(Role::Title));
    put_right(buffer, inset(head, used + 2), "Esc closes, Up and Down scroll", quiet);
    let area = shorten(inset(below(screen, 2), 2), 1);
    if layer.is_empty() {
        put(buffer, area, "Nothing yet.", quiet);
        return;
    }
    for (row, area) in layer.visible(scene.model.size).iter().zip(rows(area)) {
        let (mark, role) = notice_look(row.notice.kind);
        let mut area = area;
        if says_when(screen.width) {
            if row.first {
                let at = moment(scene.model.local(row.notice.at), scene.local);
                put(buffer, Rect { width: TIME_COLUMNS - 1, ..area }, &at, quiet);
            }
            area = inset(area, TIME_COLUMNS);
        }
        let style = scene.theme.style(role);
        put(buffer, area, if row.first { mark } else { "" }, style);
        put(buffer, inset(area, 2), row.text, style);
    }
}
