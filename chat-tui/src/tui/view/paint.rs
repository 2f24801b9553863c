//! ★ Putting text into cells.

use ratatui::buffer::{Buffer, CellWidth};
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Style};
use ratatui::widgets::{Clear, Widget};

use crate::tui::editor::Editor;
use crate::tui::text;

/// Puts `line` at the left of the first row of `area`, with an ellipsis if it does not fit; returns the
/// columns used.
pub fn put(buffer: &mut Buffer, area: Rect, line: &str, style: Style) -> u16 {
    let area = buffer.area.intersection(area);
    if area.is_empty() {
        return 0;
    }
    let shown = text::fit(line, usize::from(area.width));
    let (end, _) = buffer.set_stringn(area.x, area.y, shown, usize::from(area.width), alone(style));
    end - area.x
}

/// Puts `line` at the left of the first row of `area`, cut where it does not fit; returns the columns used.
pub fn put_clipped(buffer: &mut Buffer, area: Rect, line: &str, style: Style) -> u16 {
    let area = buffer.area.intersection(area);
    if area.is_empty() {
        return 0;
    }
    let (end, _) =
        buffer.set_stringn(area.x, area.y, text::drawn(line), usize::from(area.width), alone(style));
    end - area.x
}

/// `style` without anything of what was drawn below.
fn alone(style: Style) -> Style {
    Style::reset().patch(style)
}

/// Puts pieces of different styles next to each other; returns the columns used.
pub fn put_all(buffer: &mut Buffer, area: Rect, pieces: &[(&str, Style)]) -> u16 {
    pieces.iter().fold(0, |used, (piece, style)| used + put(buffer, inset(area, used), piece, *style))
}

/// Puts `line` at the right of the first row of `area`, if it fits; returns the columns used.
pub fn put_right(buffer: &mut Buffer, area: Rect, line: &str, style: Style) -> u16 {
    let Ok(width) = u16::try_from(text::columns(line)) else { return 0 };
    if width > area.width {
        return 0;
    }
    put(buffer, Rect { x: area.right() - width, width, ..area }, line, style)
}

/// Puts `line` into the middle of the first row of `area`.
pub fn put_centred(buffer: &mut Buffer, area: Rect, line: &str, style: Style) {
    let width = u16::try_from(text::columns(line)).unwrap_or(u16::MAX);
    put(buffer, inset(area, area.width.saturating_sub(width) / 2), line, style);
}

/// Puts a text of any length into `area`, wrapped; returns the rows used.
pub fn put_wrapped(buffer: &mut Buffer, area: Rect, text: &str, style: Style) -> u16 {
    let mut used = 0;
    for (row, area) in text::wrap(text, usize::from(area.width)).into_iter().zip(rows(area)) {
        put(buffer, area, text[row.start..row.end].trim_end(), style);
        used += 1;
    }
    used
}

/// Draws a one-line input, scrolled so that the cursor is in view; returns where the cursor stands.
pub fn input(editor: &Editor, area: Rect, style: Style, buffer: &mut Buffer) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let width = usize::from(area.width).saturating_sub(1);
    let mut start = 0;
    let mut column = text::columns(&editor.text()[..editor.cursor()]);
    for (at, grapheme) in text::graphemes(&editor.text()[..editor.cursor()]) {
        if column <= width {
            break;
        }
        column -= text::columns(grapheme);
        start = at + grapheme.len();
    }
    buffer.set_stringn(area.x, area.y, text::drawn(&editor.text()[start..]), usize::from(area.width), style);
    Some(Position::new(area.x + column as u16, area.y))
}

/// Blanks `area` for what is drawn over the chat.
pub fn clear(buffer: &mut Buffer, area: Rect) {
    let area = buffer.area.intersection(area);
    Clear.render(area, buffer);
    // The left half of a wide character must not stand alone at the edge.
    for y in area.top()..area.bottom() {
        if let Some(left) = area.x.checked_sub(1)
            && let Some(cell) = buffer.cell_mut((left, y))
            && cell.cell_width() > 1
        {
            cell.set_symbol(" ");
        }
    }
}

/// Gives every cell that has none a colour and a background.
pub fn ground(buffer: &mut Buffer, foreground: Color, background: Color) {
    for cell in &mut buffer.content {
        if cell.fg == Color::Reset {
            cell.fg = foreground;
        }
        if cell.bg == Color::Reset {
            cell.bg = background;
        }
    }
}

pub fn rule(buffer: &mut Buffer, area: Rect, style: Style) {
    put(buffer, area, &"─".repeat(usize::from(area.width)), style);
}

/// The rows of `area`, from the top.
pub fn rows(area: Rect) -> impl Iterator<Item = Rect> {
    (area.top()..area.bottom()).map(move |y| Rect { y, height: 1, ..area })
}

/// `area` without its first `columns` columns.
pub fn inset(area: Rect, columns: u16) -> Rect {
    let columns = columns.min(area.width);
    Rect { x: area.x + columns, width: area.width - columns, ..area }
}

/// `area` without its first `rows` rows.
pub fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect { y: area.y + rows, height: area.height - rows, ..area }
}

/// `area` without its last `columns` columns.
pub fn shorten(area: Rect, columns: u16) -> Rect {
    Rect { width: area.width.saturating_sub(columns), ..area }
}
