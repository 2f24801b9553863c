//! ★ Showing the form.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use unicode_segmentation::UnicodeSegmentation;

use super::form::{Field, Form, is_secret, label, placeholder};
use crate::tui::editor::Editor;
use crate::tui::text;
use crate::tui::theme::{Role, Theme};
use crate::tui::view::paint::{self, below, input, inset, put, put_all, put_wrapped, shorten};

const LABEL_COLUMNS: u16 = 13;
const WIDTH_MAX: u16 = 64;

/// With fewer rows only the field that is being filled in is shown.
const ALL_FIELDS_ROWS_MIN: u16 = 12;

pub fn draw(frame: &mut Frame<'_>, form: &Form, theme: &Theme) {
    let screen = frame.area();
    let buffer = frame.buffer_mut();
    let width = screen.width.min(WIDTH_MAX);
    let column = Rect { x: (screen.width - width) / 2, width, ..screen };
    let top = if screen.height >= 20 { screen.height / 6 } else { 0 };
    let area = below(shorten(inset(column, 1), 1), top);
    let cursor = contents(form, theme, area, buffer);
    if let Some((foreground, background)) = theme.ground() {
        paint::ground(buffer, foreground, background);
    }
    if let Some(cursor) = cursor.filter(|cursor| screen.contains(*cursor)) {
        frame.set_cursor_position(cursor);
    }
}

fn contents(form: &Form, theme: &Theme, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let roomy = area.height >= ALL_FIELDS_ROWS_MIN;
    let title = if form.sign_up { "Make an account" } else { "Sign in" };
    let pieces = [
        ("Warren", theme.style(Role::Title)),
        ("  ", theme.style(Role::Text)),
        (title, theme.style(Role::Text)),
    ];
    put_all(buffer, area, &pieces);
    let mut at = below(area, if roomy { 2 } else { 1 });
    let mut cursor = None;
    for field in form.fields().iter().copied().filter(|field| roomy || *field == form.field) {
        let position = self::field(form, field, theme, at, buffer);
        if field == form.field && form.busy.is_none() {
            cursor = position;
        }
        at = below(at, 1);
    }
    at = below(at, u16::from(roomy));
    let said = [
        (form.busy, Role::Notice),
        (form.problem.as_deref().filter(|_| form.busy.is_none()), Role::Error),
        (form.hint.as_deref().filter(|_| form.busy.is_none()), Role::Notice),
    ];
    for (text, role) in said {
        let Some(text) = text else { continue };
        let used = put_wrapped(buffer, at, text, theme.style(role));
        at = below(at, used + u16::from(roomy));
    }
    for (key, does) in form.keys() {
        let pieces =
            [(key, theme.style(Role::Key)), (" ", theme.style(Role::Text)), (does, theme.style(Role::Quiet))];
        put_all(buffer, at, &pieces);
        at = below(at, 1);
    }
    cursor
}

fn field(form: &Form, field: Field, theme: &Theme, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let active = field == form.field;
    let label_role = if active { Role::Key } else { Role::Quiet };
    let (marker, label) = (if active { "›" } else { " " }, label(field));
    let style = theme.style(label_role);
    put_all(
        buffer,
        Rect { width: LABEL_COLUMNS.min(area.width), ..area },
        &[(marker, style), (" ", style), (label, style)],
    );
    // On the narrowest screens the label gives way.
    let columns =
        if area.width < 2 * LABEL_COLUMNS { text::columns(label) as u16 + 3 } else { LABEL_COLUMNS };
    let room = inset(area, columns);
    let editor = form.editor(field);
    if editor.is_empty() {
        put(buffer, room, placeholder(field), theme.style(Role::Quiet));
    }
    let shown = if is_secret(field) { masked(editor) } else { editor.clone() };
    input(&shown, room, theme.style(Role::Text), buffer)
}

/// A mark for each grapheme, and the cursor where it is.
fn masked(editor: &Editor) -> Editor {
    let marks = |text: &str| "•".repeat(text.graphemes(true).count());
    let (before, after) = editor.text().split_at(editor.cursor());
    let mut masked = Editor::new(&marks(after));
    masked.apply(crate::tui::editor::Edit::Start, &mut String::new());
    masked.paste(&marks(before));
    masked
}
