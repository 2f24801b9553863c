//! ★ The conversation: who it is with, and the messages.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::paint::{
    below, inset, put, put_all, put_centred, put_clipped, put_right, put_wrapped, rows, shorten,
};
use super::sidebar::presence_role;
use super::{Scene, request};
use crate::session::api::{Amending, Answered, Delivery, Direction, Friend, FriendStatus, Presence};
use crate::tui::action::Action;
use crate::tui::layout::{self, MessageColumns};
use crate::tui::marks;
use crate::tui::model::Conversation;
use crate::tui::text::{self, Emphasis, Row};
use crate::tui::theme::Role;
use crate::tui::timeline::{DELETED, Entry, Line, day_label, local, moment, time_label};

pub fn draw(scene: &Scene<'_>, buffer: &mut Buffer) {
    if scene.areas.timeline.width == 0 {
        return;
    }
    title(scene, buffer);
    if let Some(shown) = scene.model.shown_request() {
        return request::draw(shown, scene, buffer);
    }
    match scene.model.conversation() {
        Some(conversation) => messages(scene, conversation, buffer),
        None => nobody(scene, buffer),
    }
}

fn title(scene: &Scene<'_>, buffer: &mut Buffer) {
    let Scene { model, theme, .. } = scene;
    let mut area = shorten(inset(scene.areas.title, 1), 1);
    if !layout::has_two_panes(model.size.0) && scene.areas.title.height > 0 {
        let news = model.unread_elsewhere() + model.open_requests();
        if news > 0 {
            let used = put_right(buffer, area, &format!("+{news}"), theme.style(Role::News));
            area = shorten(area, used + 1);
        }
        let used = put(buffer, area, "‹ ", theme.style(Role::Quiet));
        area = inset(area, used);
    }
    let Some(selected) = &model.selected else {
        put(buffer, area, "Warren", theme.style(Role::Title));
        return;
    };
    let Some(friend) = model.shown_friend().and_then(|name| model.friend(name)) else {
        put(buffer, area, selected.name(), theme.style(Role::Title));
        return;
    };
    let (mark, state, role) = match friend.status {
        FriendStatus::Friend => match model.presence(friend) {
            Some(presence) => {
                (marks::presence(presence), presence_text(scene, friend, presence), presence_role(presence))
            }
            None => (marks::PRESENCE_UNKNOWN, String::new(), Role::Quiet),
        },
        FriendStatus::Former if friend.ended_by_us => ("×", "unfriended by you".to_owned(), Role::Quiet),
        FriendStatus::Former => ("×", "no longer your friend".to_owned(), Role::Quiet),
        FriendStatus::Blocked => ("×", "blocked".to_owned(), Role::Quiet),
    };
    let mark_style = theme.style(role);
    let known_as = match &friend.nickname {
        Some(_) => format!(" ({})", friend.name),
        None => String::new(),
    };
    put_all(
        buffer,
        area,
        &[
            (friend.called(), theme.style(Role::Title)),
            (&known_as, theme.style(Role::Quiet)),
            ("  ", mark_style),
            (mark, mark_style),
            (" ", mark_style),
            (&state, theme.style(Role::Quiet)),
        ],
    );
}

fn presence_text(scene: &Scene<'_>, friend: &Friend, presence: Presence) -> String {
    match presence {
        Presence::Away if !friend.away_note.is_empty() => format!("away: {}", friend.away_note),
        Presence::Offline { last_seen: Some(at) } => {
            format!("last seen {}", moment(local(at, &scene.model.zone), scene.local))
        }
        other => marks::presence_name(other).to_owned(),
    }
}

/// There is nobody to show.
fn nobody(scene: &Scene<'_>, buffer: &mut Buffer) {
    let Scene { model, theme, areas, .. } = scene;
    let quiet = theme.style(Role::Quiet);
    if !model.friends_known {
        put_centred(buffer, middle(areas.timeline, 1), "Looking up your friends…", quiet);
        return;
    }
    let key = model.key(Action::Befriend);
    let hint = format!("Press {key} to befriend someone.");
    let name = format!("Your own name is {}: give it to your friends.", model.user);
    if usize::from(areas.timeline.width) < text::columns(&name) + 2 || areas.timeline.height < 4 {
        let area = shorten(inset(areas.timeline, 1), 1);
        put_wrapped(buffer, area, &format!("No friends yet. {hint}"), quiet);
        return;
    }
    let area = middle(areas.timeline, 6);
    put_centred(buffer, area, "No friends yet.", theme.style(Role::Title));
    put_centred(buffer, below(area, 1), &hint, theme.style(Role::Text));
    put_centred(buffer, below(area, 3), &name, quiet);
    let others = format!(
        "{} finds everything that can be done, {} shows all keys, {} leaves.",
        model.key(Action::Palette),
        model.key(Action::Help),
        model.key(Action::Quit)
    );
    if text::columns(&others) + 2 <= usize::from(areas.timeline.width) && areas.timeline.height > 8 {
        put_centred(buffer, below(area, 5), &others, quiet);
    }
}

/// A block of `height` rows in the upper middle of `area`.
fn middle(area: Rect, height: u16) -> Rect {
    below(area, area.height.saturating_sub(height) / 3)
}

fn messages(scene: &Scene<'_>, conversation: &Conversation, buffer: &mut Buffer) {
    let timeline = &conversation.timeline;
    let area = scene.areas.timeline;
    if timeline.is_empty() && timeline.remark().is_none() {
        let name = scene.model.called(scene.model.shown_friend().unwrap_or_default());
        let text = if timeline.is_loaded() {
            format!("This is the beginning of your chat with {name}. Say hello.")
        } else {
            "Looking up your messages…".to_owned()
        };
        let area = shorten(inset(middle(area, 1), 1), 1);
        if text::columns(&text) <= usize::from(area.width) {
            put_centred(buffer, area, &text, scene.theme.style(Role::Quiet));
        } else {
            put_wrapped(buffer, area, &text, scene.theme.style(Role::Quiet));
        }
        return;
    }
    let columns = scene.model.message_columns();
    let blank = u16::try_from(timeline.blank()).unwrap_or(u16::MAX);
    for (line, area) in timeline.visible().iter().zip(rows(below(area, blank))) {
        self::line(scene, conversation, *line, columns, area, buffer);
        selected(scene, conversation, *line, columns, area, buffer);
    }
}

/// Marks what is selected with the mouse.
fn selected(
    scene: &Scene<'_>,
    conversation: &Conversation,
    line: Line,
    columns: MessageColumns,
    area: Rect,
    buffer: &mut Buffer,
) {
    let (Some(selection), Line::Text { entry, row, .. }) = (scene.model.selection, line) else { return };
    let Some(message) = conversation.timeline.entry(entry).map(|e| &e.message) else { return };
    let Some((from, to)) = selection.part(message.row, row.start, row.end) else { return };
    let width = |from: usize, to: usize| {
        let part = message.text.get(from..to).unwrap_or_default();
        u16::try_from(text::columns(part)).unwrap_or(u16::MAX)
    };
    let whole = Rect { width: columns.text_width, ..inset(area, columns.text) }.intersection(area);
    let rest = inset(whole, width(row.start, from));
    let marked = Rect { width: width(from, to).min(rest.width), ..rest };
    buffer.set_style(marked, scene.theme.style(Role::Chosen));
}

fn line(
    scene: &Scene<'_>,
    conversation: &Conversation,
    line: Line,
    columns: MessageColumns,
    area: Rect,
    buffer: &mut Buffer,
) {
    let theme = scene.theme;
    let entry = |index: usize| conversation.timeline.entry(index);
    let text_area = Rect { width: columns.text_width, ..inset(area, columns.text) }.intersection(area);
    let chosen = conversation.timeline.chosen().map(|e| e.message.row);
    if chosen.is_some() && line.entry().and_then(entry).map(|e| e.message.row) == chosen {
        put(buffer, area, "▌", theme.style(Role::Key));
    }
    match line {
        Line::Day(index) => {
            if let Some(entry) = entry(index) {
                let label = day_label(entry.at.date(), scene.local.date());
                labelled_rule(buffer, area, &label, theme.style(Role::Quiet));
            }
        }
        Line::New => labelled_rule(buffer, area, "new", theme.style(Role::NewLine)),
        Line::Sender(index) => {
            if let Some(entry) = entry(index) {
                let (name, role) = sender(scene, entry);
                let time = time_label(entry.at);
                let pieces = [
                    (if entry.is_deed() { "* " } else { "" }, theme.style(role)),
                    (name, theme.style(role)),
                    (" ", theme.style(Role::Text)),
                    (&time, theme.style(Role::Quiet)),
                ];
                put_all(buffer, inset(area, 1), &pieces);
            }
        }
        Line::Quote(index) => {
            if let Some(answered) = entry(index).and_then(|e| e.message.answers.as_deref()) {
                put(buffer, text_area, &quote(answered), theme.style(Role::Quiet));
            }
        }
        Line::Text { entry: index, row, first, last } => {
            let Some(entry) = entry(index) else { return };
            if first {
                head(scene, conversation, index, entry, columns, area, buffer);
            }
            body(scene, entry, row, text_area, buffer);
            if last && let Some((before, notes)) = conversation.timeline.notes_beside(index, row) {
                let before = u16::try_from(before).unwrap_or(u16::MAX);
                put(buffer, inset(text_area, before), &notes, theme.style(notes_role(entry)));
            }
        }
        Line::Notes(index) => {
            if let Some((entry, notes)) = entry(index).zip(conversation.timeline.notes(index)) {
                put(buffer, text_area, &notes, theme.style(notes_role(entry)));
            }
        }
        Line::Reason { entry: index, row } => {
            if let Some(Delivery::Failed(reason)) = entry(index).map(|e| &e.message.state) {
                put(buffer, text_area, reason[row.start..row.end].trim_end(), theme.style(Role::Error));
            }
        }
        Line::Remark(row) => {
            if let Some(remark) = conversation.timeline.remark() {
                put(buffer, text_area, remark[row.start..row.end].trim_end(), theme.style(Role::Notice));
            }
        }
    }
}

fn sender<'a>(scene: &Scene<'a>, entry: &'a Entry) -> (&'a str, Role) {
    match entry.message.direction {
        Direction::Outgoing => ("you", Role::Own),
        Direction::Incoming => (scene.model.called(&entry.message.friend), Role::Friend),
    }
}

/// What stands left of the first row of a message: time, sender, delivery.
fn head(
    scene: &Scene<'_>,
    conversation: &Conversation,
    index: usize,
    entry: &Entry,
    columns: MessageColumns,
    area: Rect,
    buffer: &mut Buffer,
) {
    let theme = scene.theme;
    if !columns.stacked {
        if conversation.timeline.shows_time(index) {
            put(buffer, inset(area, 1), &time_label(entry.at), theme.style(Role::Quiet));
        }
        if conversation.timeline.starts_group(index) {
            let (name, role) = sender(scene, entry);
            if entry.is_deed() {
                put(buffer, inset(area, 7), "*", theme.style(role));
            }
            let area = Rect { width: columns.sender, ..inset(area, 8) }.intersection(area);
            put(buffer, area, name, theme.style(role));
        }
    }
    if entry.message.direction == Direction::Outgoing {
        let state = &entry.message.state;
        let area = Rect { width: 2, ..inset(area, columns.state) }.intersection(area);
        put_right(buffer, area, marks::delivery(state), theme.style(delivery_role(state)));
    }
}

fn delivery_role(state: &Delivery) -> Role {
    match state {
        Delivery::Queued | Delivery::Sent | Delivery::Delivered => Role::Quiet,
        Delivery::Read => Role::Online,
        Delivery::Returned => Role::NewLine,
        Delivery::Failed(_) => Role::Error,
    }
}

/// What a message answers, on one line.
fn quote(answered: &Answered) -> String {
    match &answered.known {
        None => "╭ a message that is not here".to_owned(),
        Some(known) if known.text.is_empty() => "╭ a deleted message".to_owned(),
        Some(known) => {
            let whose = if known.direction == Direction::Outgoing { "you: " } else { "" };
            format!("╭ {whose}{}", known.text.trim())
        }
    }
}

fn notes_role(entry: &Entry) -> Role {
    if entry.message.amending == Amending::Lost { Role::Error } else { Role::Quiet }
}

fn body(scene: &Scene<'_>, entry: &Entry, row: Row, area: Rect, buffer: &mut Buffer) {
    let text = &entry.message.text;
    if entry.message.deleted {
        put(buffer, area, DELETED, scene.theme.style(Role::Quiet));
        return;
    }
    if text::is_code(text, row.start) {
        put_clipped(buffer, area, &text[row.start..row.end], scene.theme.style(Role::Code));
        return;
    }
    let undelivered = matches!(entry.message.state, Delivery::Returned | Delivery::Failed(_));
    let role =
        if undelivered && entry.message.direction == Direction::Outgoing { Role::Quiet } else { Role::Text };
    let plain = scene.theme.style(role);
    // Only white space hangs over the edge; a row is never shortened with an ellipsis.
    let end = row.start + text[row.start..row.end].trim_end().len();
    let mut area = area;
    for (part, style) in styled(text, row.start..end, plain, scene) {
        area = inset(area, put_clipped(buffer, area, &text[part], style));
    }
}

/// The parts of `text` within `within` that look different from each other.
fn styled(text: &str, within: Range<usize>, plain: Style, scene: &Scene<'_>) -> Vec<(Range<usize>, Style)> {
    let links = text::links(text).into_iter().map(|range| (range, scene.theme.style(Role::Link)));
    let emphases = text::emphases(text).into_iter().map(|(range, emphasis)| {
        let style = match emphasis {
            Emphasis::Bold => Style::new().add_modifier(Modifier::BOLD),
            Emphasis::Italic => Style::new().add_modifier(Modifier::ITALIC),
            Emphasis::Struck => Style::new().add_modifier(Modifier::CROSSED_OUT),
            Emphasis::Code => scene.theme.style(Role::Code),
        };
        (range, style)
    });
    let ranges: Vec<(Range<usize>, Style)> = links.chain(emphases).collect();
    let ends = ranges.iter().flat_map(|(range, _)| [range.start, range.end]);
    let mut cuts: Vec<usize> =
        ends.filter(|at| within.contains(at)).chain([within.start, within.end]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let style = |at: usize| {
        let covering = ranges.iter().filter(|(range, _)| range.contains(&at));
        covering.fold(plain, |style, (_, over)| style.patch(*over))
    };
    cuts.windows(2).map(|ends| (ends[0]..ends[1], style(ends[0]))).collect()
}

/// `──── label ────`
fn labelled_rule(buffer: &mut Buffer, area: Rect, label: &str, style: ratatui::style::Style) {
    let area = shorten(inset(area, 1), 1);
    super::paint::rule(buffer, area, style);
    put_centred(buffer, area, &text::fit(&format!(" {label} "), usize::from(area.width)), style);
}
