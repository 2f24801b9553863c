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
    let shown = match &scene.model.connection {
        Connection::Offline { reason, .. } => with_reason(scene, &variants, reason, width),
        _ => None,
    };
    let fitting = || variants.iter().find(|v| text::columns(v) <= width).or(variants.last()).cloned();
    let used = put(buffer, rest, &shown.or_else(fitting).unwrap_or_default(), quiet);
    right(scene, buffer, inset(rest, used + 2));
}

/// The connection and why it is lost: in so few words that the reason has room, or else where to read it.
fn with_reason(scene: &Scene<'_>, variants: &[String], reason: &str, width: usize) -> Option<String> {
    let whole = variants.iter().map(|v| format!("{v}: {reason}"));
    if let Some(whole) = whole.into_iter().find(|text| text::columns(text) <= width) {
        return Some(whole);
    }
    let when = variants.iter().rev().nth(1)?;
    let more = format!(" {} says more", scene.model.key(Action::Notices));
    let room = width.checked_sub(text::columns(when) + 2 + text::columns(&more))?;
    (room >= REASON_COLUMNS_MIN).then(|| format!("{when}: {}{more}", text::fit(reason, room)))
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
