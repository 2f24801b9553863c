//! ★ The lowest line: the connection, always.

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Scene;
use super::paint::{inset, put, put_right, shorten};
use crate::session::api::Connection;
use crate::tui::action::Action;
use crate::tui::text;
use crate::tui::theme::Role;
use crate::tui::timeline::{local, moment};
use crate::tui::update::seconds_until;

/// Less of a reason than this says nothing.
const REASON_COLUMNS_MIN: usize = 16;

pub fn draw(scene: &Scene<'_>, buffer: &mut Buffer) {
    let area = shorten(inset(scene.areas.status, 1), 1);
    let quiet = scene.theme.style(Role::Quiet);
    let (mark, role, variants) = connection(scene);
    put(buffer, area, mark, scene.theme.style(role));
    let rest = inset(area, 2);
    let width = usize::from(rest.width);
    let fitting = variants.iter().find(|v| text::columns(v) <= width).or(variants.last());
    let mut shown = fitting.cloned().unwrap_or_default();
    if let Connection::Offline { reason, .. } = &scene.model.connection {
        let room = width.saturating_sub(text::columns(&shown) + 2);
        if shown == variants[0] && room >= REASON_COLUMNS_MIN {
            shown = format!("{shown}: {}", text::fit(reason, room));
        }
    }
    let used = put(buffer, rest, &shown, quiet);
    right(scene, buffer, inset(rest, used + 2));
}

fn right(scene: &Scene<'_>, buffer: &mut Buffer, area: Rect) {
    let quiet = scene.theme.style(Role::Quiet);
    if scene.model.leaving {
        put_right(buffer, area, "leaving…", scene.theme.style(Role::Notice));
        return;
    }
    let help = format!("{} help", scene.model.key(Action::Help));
    let wide = format!("{} · {help}", text::fit(&scene.model.broker, 40));
    if put_right(buffer, area, &wide, quiet) == 0 {
        put_right(buffer, area, &help, quiet);
    }
}

/// The mark, its role, and what to say: the first that fits is shown.
fn connection(scene: &Scene<'_>) -> (&'static str, Role, Vec<String>) {
    match &scene.model.connection {
        Connection::Connecting { attempt: 0 | 1 } => ("◌", Role::Away, vec!["connecting".to_owned()]),
        Connection::Connecting { attempt } => {
            ("◌", Role::Away, vec![format!("connecting, attempt {attempt}"), "connecting".to_owned()])
        }
        Connection::Online { since } => {
            let since = moment(local(*since, &scene.model.zone), scene.local);
            ("●", Role::Online, vec![format!("online since {since}"), "online".to_owned()])
        }
        Connection::Offline { since, retry_at, .. } => {
            let since = moment(local(*since, &scene.model.zone), scene.local);
            let left = Timestamp::try_from(*retry_at).map_or(0, |at| seconds_until(at, scene.now));
            let (again, short) = match left {
                0 => ("trying again now".to_owned(), "now".to_owned()),
                left => (format!("trying again in {left} s"), format!("{left} s")),
            };
            let variants = vec![
                format!("offline since {since}, {again}"),
                format!("offline, {again}"),
                format!("offline, {short}"),
                "offline".to_owned(),
            ];
            ("○", Role::Error, variants)
        }
    }
}
