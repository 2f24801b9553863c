//! ★ One friend request.

use ratatui::buffer::Buffer;

use super::Scene;
use super::paint::{below, inset, put, put_all, put_wrapped, shorten};
use crate::session::api::{Direction, Request, RequestState};
use crate::tui::action::Action;
use crate::tui::theme::Role;
use crate::tui::timeline::{local, moment};

/// Narrower screens name the choices more briefly.
const CHOICES_COLUMNS_MIN: u16 = 36;

pub fn draw(request: &Request, scene: &Scene<'_>, buffer: &mut Buffer) {
    let theme = scene.theme;
    let name = &request.name;
    let mut area = shorten(inset(scene.areas.timeline, 2), 2);
    area = below(area, u16::from(area.height > 6));
    let headline = match request.direction {
        Direction::Incoming => format!("{name} asks to be friends"),
        Direction::Outgoing => format!("You asked {name} to be friends"),
    };
    let roomy = area.height > 5;
    let used = put_wrapped(buffer, area, &headline, theme.style(Role::Title));
    area = below(area, used);
    if roomy {
        put(
            buffer,
            area,
            &moment(local(request.at, &scene.model.zone), scene.local),
            theme.style(Role::Quiet),
        );
        area = below(area, 2);
    }
    if !request.note.is_empty() {
        let used = put_wrapped(buffer, area, &format!("“{}”", request.note.trim()), theme.style(Role::Text));
        area = below(area, used + u16::from(roomy));
    }
    if request.direction == Direction::Outgoing {
        put_wrapped(buffer, area, &outgoing(request), theme.style(Role::Quiet));
    }
}

fn outgoing(request: &Request) -> String {
    let name = &request.name;
    match &request.state {
        RequestState::Queued => "It waits here until you are online.".to_owned(),
        RequestState::Pending => "It is on its way.".to_owned(),
        RequestState::Forwarded => format!("It has reached {name}. Now it is for {name} to answer."),
        RequestState::Declined => format!("{name} has declined."),
        RequestState::Failed(reason) => format!("It did not reach {name}: {reason}."),
    }
}

/// What can be done with the request, in place of the composer.
pub fn choices(request: &Request, scene: &Scene<'_>, area: ratatui::layout::Rect, buffer: &mut Buffer) {
    let actions: &[(Action, &str, &str)] = match (request.direction, &request.state) {
        (Direction::Incoming, _) => &[
            (Action::Accept, "accept", "yes"),
            (Action::Decline, "decline", "no"),
            (Action::Block, "block", "block"),
        ],
        (Direction::Outgoing, RequestState::Declined | RequestState::Failed(_)) => {
            &[(Action::Withdraw, "remove", "remove")]
        }
        (Direction::Outgoing, _) => &[(Action::Withdraw, "take it back", "take back")],
    };
    let narrow = area.width < CHOICES_COLUMNS_MIN;
    let (key, text) = (scene.theme.style(Role::Key), scene.theme.style(Role::Text));
    let mut area = inset(area, 1);
    for (action, label, short) in actions {
        let (label, gap) = if narrow { (short, " ") } else { (label, "   ") };
        let used = put_all(
            buffer,
            area,
            &[(&scene.model.key(*action), key), (" ", text), (label, text), (gap, text)],
        );
        area = inset(area, used);
    }
}
