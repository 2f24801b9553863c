//! ★ Where everything is on a screen of any size.

use ratatui::layout::Rect;

/// Narrower screens show the list or the conversation, not both.
pub const TWO_PANES_COLUMNS_MIN: u16 = 50;

/// Longer lines are hard to read, so text stops here even if the screen goes on.
const TEXT_COLUMNS_MAX: u16 = 100;

/// Narrower conversations show sender and time in a row of their own.
const COLUMNS_COLUMNS_MIN: u16 = 40;

const COMPOSER_ROWS_MAX: u16 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    List,
    Conversation,
}

/// What the screen has to hold.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub width: u16,
    pub height: u16,
    /// The pane to show where there is room for one.
    pub pane: Pane,
    /// Rows of the text being written, at the width of `composer_columns`.
    pub composer_rows: u16,
    pub notice_rows: u16,
}

/// The parts of the screen; those that are not shown have no area.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Areas {
    pub screen: Rect,
    pub list_title: Rect,
    pub list: Rect,
    /// The line between list and conversation.
    pub divider: Rect,
    pub title: Rect,
    pub title_rule: Rect,
    pub timeline: Rect,
    pub notice: Rect,
    /// The line above the composer.
    pub rule: Rect,
    pub composer: Rect,
    pub status: Rect,
}

/// Whether list and conversation are both shown.
pub fn has_two_panes(width: u16) -> bool {
    width >= TWO_PANES_COLUMNS_MIN
}

fn list_columns(width: u16) -> u16 {
    (width / 4).clamp(20, 32)
}

/// The columns of the conversation pane.
pub fn conversation_columns(width: u16) -> u16 {
    if has_two_panes(width) { width - list_columns(width) - 1 } else { width }
}

/// Columns left of the text being written.
pub const COMPOSER_INDENT: u16 = 3;

/// The columns for text being written.
pub fn composer_columns(width: u16) -> usize {
    usize::from(conversation_columns(width).saturating_sub(4)).max(1)
}

pub fn areas(shape: Shape) -> Areas {
    let Shape { width, height, .. } = shape;
    let status_rows = height.min(1);
    let body_rows = height - status_rows;
    let two = has_two_panes(width);
    let list_width = match (two, shape.pane) {
        (true, _) => list_columns(width),
        (false, Pane::List) => width,
        (false, Pane::Conversation) => 0,
    };
    let divider_width = u16::from(two);
    let chat_x = list_width + divider_width;
    let chat_width = if two || shape.pane == Pane::Conversation { width - chat_x } else { 0 };

    let title_rows = body_rows.min(u16::from(height >= 8));
    let title_rule_rows = u16::from(height >= 14);
    let rule_rows = u16::from(height >= 7);
    let head_rows = title_rows + title_rule_rows;
    let room = body_rows - head_rows.min(body_rows);
    let composer_rows = shape.composer_rows.clamp(1, COMPOSER_ROWS_MAX).min((body_rows / 3).max(1)).min(room);
    let room = room - composer_rows;
    let rule_rows = rule_rows.min(room);
    let room = room - rule_rows;
    let notice_rows = shape.notice_rows.min(room);
    let timeline_rows = room - notice_rows;

    let list_only = !two && shape.pane == Pane::List;
    let list_notice_rows =
        if list_only { shape.notice_rows.min(body_rows.saturating_sub(head_rows)) } else { 0 };
    let list_rows = body_rows.saturating_sub(head_rows) - list_notice_rows;

    let mut y = 0;
    let mut stack = |rows: u16| {
        let area = Rect::new(chat_x, y, chat_width, rows);
        y += rows;
        area
    };
    let mut areas = Areas {
        screen: Rect::new(0, 0, width, height),
        list_title: Rect::new(0, 0, list_width, title_rows),
        list: Rect::new(0, head_rows, list_width, list_rows),
        divider: Rect::new(list_width, 0, divider_width, body_rows),
        title: stack(title_rows),
        title_rule: stack(title_rule_rows),
        timeline: stack(timeline_rows),
        notice: stack(notice_rows),
        rule: stack(rule_rows),
        composer: stack(composer_rows),
        status: Rect::new(0, body_rows, width, status_rows),
    };
    if list_only {
        areas.notice = Rect::new(0, head_rows + list_rows, width, list_notice_rows);
    }
    areas
}

/// The columns of a message: time, sender, delivery, text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageColumns {
    /// Sender and time stand in a row of their own; only delivery and text have columns.
    pub stacked: bool,
    /// Width of the sender's column.
    pub sender: u16,
    /// Where the delivery state stands, from the left of the timeline.
    pub state: u16,
    /// Where the text stands, and its width.
    pub text: u16,
    pub text_width: u16,
}

/// `name_columns` is the width of the longest of the names.
pub fn message_columns(timeline_width: u16, name_columns: usize) -> MessageColumns {
    let stacked = timeline_width < COLUMNS_COLUMNS_MIN;
    let sender = u16::try_from(name_columns).unwrap_or(u16::MAX).clamp(3, 12);
    // A margin, "09:05", two spaces, the sender, a space.
    let state = if stacked { 0 } else { 1 + 5 + 2 + sender + 1 };
    let text = state + 3;
    let text_width = timeline_width.saturating_sub(text + 1).clamp(1, TEXT_COLUMNS_MAX);
    MessageColumns { stacked, sender, state, text, text_width }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_stay_on_the_screen_and_apart(
            width in 0u16..=220, height in 0u16..=80, list in any::<bool>(), composer_rows in 0u16..50, notice_rows in 0u16..5,
        ) {
            let pane = if list { Pane::List } else { Pane::Conversation };
            let a = areas(Shape { width, height, pane, composer_rows, notice_rows });
            let parts = [a.list_title, a.list, a.divider, a.title, a.title_rule, a.timeline, a.notice, a.rule, a.composer, a.status];
            for (n, part) in parts.iter().enumerate() {
                prop_assert_eq!(a.screen.intersection(*part).area(), part.area(), "{:?}", part);
                for other in &parts[n + 1..] {
                    prop_assert_eq!(part.intersection(*other).area(), 0, "{:?} {:?}", part, other);
                }
            }
            if height >= 5 && width > 0 && (!list || has_two_panes(width)) {
                prop_assert_eq!(a.status.height, 1);
                prop_assert!(a.composer.height >= 1);
                prop_assert!(a.timeline.height + a.notice.height >= 1);
            }
        }
    }
}
