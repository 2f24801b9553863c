//! ★ The lowest line: the connection, always.

use jiff::Timestamp;
use ratatui::buffer::Buffer;

use super::Scene;
use super::paint::{inset, put, put_right, shorten};
use crate::session::api::Connection;
use crate::tui::action::Action;
use crate::tui::text;
use crate::tui::theme::Role;
use crate::tui::timeline::{local, moment};
use crate::tui::update::seconds_until;

pub fn draw(scene: &Scene<'_>, buffer: &mut Buffer) {
    let area = shorten(inset(scene.areas.status, 1), 1);
    let width = usize::from(area.width);
    let (mark, role, variants) = connection(scene);
    let fitting = variants.iter().position(|v| text::columns(v) + 2 <= width);
    // The longest one may lose its end: that is the reason, and the rest of it is in the help of the CLI.
    let shown = match fitting {
        Some(n) => &variants[n],
        None => &variants[variants.len() - 1],
    };
    put(buffer, area, mark, scene.theme.style(role));
    let used = 2 + put(buffer, inset(area, 2), shown, scene.theme.style(Role::Quiet));
    let help = format!("{} help", scene.model.key(Action::Help));
    let quiet = scene.theme.style(Role::Quiet);
    let rest = inset(area, used + 2);
    let wide = format!("{} · {help}", text::fit(&scene.model.broker, 40));
    if put_right(buffer, rest, &wide, quiet) == 0 {
        put_right(buffer, rest, &help, quiet);
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
        Connection::Offline { since, reason, retry_at } => {
            let since = moment(local(*since, &scene.model.zone), scene.local);
            let left = Timestamp::try_from(*retry_at).map_or(0, |at| seconds_until(at, scene.now));
            let again =
                if left > 0 { format!("trying again in {left} s") } else { "trying again".to_owned() };
            let variants = vec![
                format!("offline since {since}, {again}: {reason}"),
                format!("offline since {since}, {again}"),
                format!("offline, {again}"),
                format!("offline, {left} s"),
                "offline".to_owned(),
            ];
            ("○", Role::Error, variants)
        }
    }
}
