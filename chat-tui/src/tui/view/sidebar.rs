//! ★ The list of requests and friends.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Scene;
use super::paint::{inset, put, put_right, put_wrapped, rows, shorten};
use crate::session::api::{Direction, Friend, FriendStatus, Presence, RequestState};
use crate::tui::action::Action;
use crate::tui::list::{self, Row};
use crate::tui::marks;
use crate::tui::model::Entry;
use crate::tui::text;
use crate::tui::theme::Role;
use crate::tui::timeline::deed;

const ASKS: &str = "asks you";

pub fn draw(scene: &Scene<'_>, buffer: &mut Buffer) {
    let areas = &scene.areas;
    if areas.list.width == 0 {
        return;
    }
    title(scene, buffer, areas.list_title);
    let entries = list::rows(scene.model);
    if entries.is_empty() {
        return empty(scene, buffer);
    }
    let first = list::first(scene.model, &entries);
    for (row, area) in entries[first..].iter().zip(rows(areas.list)) {
        match row {
            Row::Blank => {}
            Row::Heading(title, badge) => heading(scene, buffer, area, title, *badge),
            Row::Entry(entry) => self::entry(scene, buffer, area, entry),
            Row::Preview(entry) => preview(scene, buffer, area, entry),
            Row::MoreRequests { hidden } => more_requests(scene, buffer, area, *hidden),
            Row::Archive { count, open } => archive(scene, buffer, area, *count, *open),
        }
    }
}

fn title(scene: &Scene<'_>, buffer: &mut Buffer, area: Rect) {
    let area = shorten(inset(area, 1), 1);
    let state = match (scene.model.away, scene.model.notify.do_not_disturb) {
        (true, _) => "away",
        (false, true) => "quiet",
        (false, false) => "",
    };
    let away =
        if state.is_empty() { 0 } else { put_right(buffer, area, state, scene.theme.style(Role::Away)) + 1 };
    put(buffer, shorten(area, away), &scene.model.user, scene.theme.style(Role::Title));
}

fn empty(scene: &Scene<'_>, buffer: &mut Buffer) {
    let area = shorten(inset(scene.areas.list, 1), 1);
    let quiet = scene.theme.style(Role::Quiet);
    if !scene.model.friends_known {
        put(buffer, area, "…", quiet);
        return;
    }
    if scene.areas.timeline.width > 0 {
        put(buffer, area, "No friends yet", quiet);
        return;
    }
    let key = scene.model.key(Action::Befriend);
    put_wrapped(buffer, area, &format!("No friends yet. Press {key} to befriend someone."), quiet);
}

fn heading(scene: &Scene<'_>, buffer: &mut Buffer, area: Rect, title: &str, badge: usize) {
    let area = shorten(inset(area, 1), 1);
    put(buffer, area, title, scene.theme.style(Role::Heading));
    if badge > 0 {
        put_right(buffer, area, &badge.to_string(), scene.theme.style(Role::News));
    }
}

/// What was said last.
fn preview(scene: &Scene<'_>, buffer: &mut Buffer, area: Rect, entry: &Entry) {
    if scene.model.selected.as_ref() == Some(entry) {
        put(buffer, area, "▌", scene.theme.style(Role::Key));
    }
    let Some(message) = scene.model.friend(entry.name()).and_then(|f| f.last_message.as_ref()) else {
        return;
    };
    let text = match (message.deleted, message.direction, deed(&message.text)) {
        (true, ..) => "deleted".to_owned(),
        (false, Direction::Outgoing, Some(deed)) => format!("* you {deed}"),
        (false, Direction::Outgoing, None) => format!("you: {}", message.text.trim()),
        (false, Direction::Incoming, Some(deed)) => format!("* {deed}"),
        (false, Direction::Incoming, None) => message.text.trim().to_owned(),
    };
    put(buffer, shorten(inset(area, 3), 1), &text, scene.theme.style(Role::Quiet));
}

fn more_requests(scene: &Scene<'_>, buffer: &mut Buffer, area: Rect, hidden: usize) {
    let text = match hidden {
        0 => "▾ fewer".to_owned(),
        hidden => format!("▸ {hidden} more"),
    };
    put(buffer, shorten(inset(area, 1), 1), &text, scene.theme.style(Role::Quiet));
}

fn archive(scene: &Scene<'_>, buffer: &mut Buffer, area: Rect, count: usize, open: bool) {
    let area = shorten(inset(area, 1), 1);
    let mark = if open { "▾" } else { "▸" };
    put(buffer, area, &format!("{mark} Archived"), scene.theme.style(Role::Heading));
    put_right(buffer, area, &count.to_string(), scene.theme.style(Role::Quiet));
}

fn entry(scene: &Scene<'_>, buffer: &mut Buffer, area: Rect, entry: &Entry) {
    let selected = scene.model.selected.as_ref() == Some(entry);
    if selected {
        put(buffer, area, "▌", scene.theme.style(Role::Key));
    }
    let area = shorten(inset(area, 1), 1);
    match entry {
        Entry::Friend(name) => {
            if let Some(friend) = scene.model.friend(name) {
                self::friend(scene, buffer, area, friend, selected);
            }
        }
        Entry::Incoming(name) => {
            // The mark says the same: who it is matters more.
            let room = usize::from(area.width).saturating_sub(2 + text::columns(name));
            let used = match room > text::columns(ASKS) {
                true => put_right(buffer, area, ASKS, scene.theme.style(Role::News)) + 1,
                false => 0,
            };
            name_row(scene, buffer, shorten(area, used), ("+", Role::News), name, Role::Title, selected);
        }
        Entry::Outgoing(name) => {
            let state = scene.model.request(name, Direction::Outgoing).map_or("", |r| outgoing(&r.state));
            let used = put_right(buffer, area, state, scene.theme.style(Role::Quiet));
            name_row(scene, buffer, shorten(area, used + 1), ("→", Role::Quiet), name, Role::Text, selected);
        }
    }
}

fn outgoing(state: &RequestState) -> &'static str {
    match state {
        RequestState::Queued => "waiting",
        RequestState::Pending | RequestState::Forwarded => "asked",
        RequestState::Declined => "declined",
        RequestState::Failed(_) => "failed",
    }
}

fn friend(scene: &Scene<'_>, buffer: &mut Buffer, area: Rect, friend: &Friend, selected: bool) {
    let theme = scene.theme;
    let is_friend = friend.status == FriendStatus::Friend;
    let conversation = scene.model.conversations.get(&friend.name);
    let typing = conversation.is_some_and(|c| c.typing_until.is_some_and(|until| until > scene.now));
    let drafted = match conversation {
        Some(conversation) => !conversation.composer.is_blank(),
        None => !friend.draft.is_empty(),
    };
    let used = match () {
        _ if friend.unread > 0 && is_friend => {
            let role = if friend.muted { Role::Quiet } else { Role::News };
            put_right(buffer, area, &unread(friend), theme.style(role)) + 1
        }
        _ if typing && is_friend => put_right(buffer, area, "typing", theme.style(Role::Quiet)) + 1,
        _ if friend.muted && !drafted => put_right(buffer, area, "muted", theme.style(Role::Quiet)) + 1,
        _ if drafted && !selected => put_right(buffer, area, "draft", theme.style(Role::Quiet)) + 1,
        _ => 0,
    };
    let mark = if is_friend {
        match scene.model.presence(friend) {
            Some(presence) => (marks::presence(presence), presence_role(presence)),
            None => (marks::PRESENCE_UNKNOWN, Role::Quiet),
        }
    } else {
        ("×", Role::Quiet)
    };
    let role = match () {
        _ if friend.unread > 0 && is_friend && !friend.muted => Role::Title,
        _ if is_friend => Role::Text,
        _ => Role::Quiet,
    };
    name_row(scene, buffer, shorten(area, used), mark, friend.called(), role, selected);
}

pub fn presence_role(presence: Presence) -> Role {
    match presence {
        Presence::Online => Role::Online,
        Presence::Away => Role::Away,
        Presence::Offline { .. } => Role::Offline,
    }
}

/// In brackets if the friend is muted.
fn unread(friend: &Friend) -> String {
    let count = if friend.unread > 999 { "999+".to_owned() } else { friend.unread.to_string() };
    if friend.muted { format!("({count})") } else { count }
}

fn name_row(
    scene: &Scene<'_>,
    buffer: &mut Buffer,
    area: Rect,
    (mark, mark_role): (&str, Role),
    name: &str,
    role: Role,
    selected: bool,
) {
    put(buffer, area, mark, scene.theme.style(mark_role));
    let role = if selected { Role::Selected } else { role };
    put(buffer, inset(area, 2), name, scene.theme.style(role));
}
