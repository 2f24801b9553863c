//! ★ The help, over the whole screen: in one column, or two where there is room.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Scene;
use super::paint::{below, clear, inset, put, put_right, rows, shorten};
use crate::tui::layer::help::{self, Help, Section};
use crate::tui::text;
use crate::tui::theme::Role;

/// From here on there are two columns.
const TWO_COLUMNS_MIN: u16 = 132;

enum HelpRow<'a> {
    Title(&'a str),
    Meaning(&'a str, &'a str),
    Blank,
}

pub fn draw(layer: &Help, scene: &Scene<'_>, buffer: &mut Buffer) {
    let screen = Rect { height: scene.areas.status.y, ..scene.areas.screen };
    clear(buffer, screen);
    let head = shorten(inset(screen, 2), 2);
    put(buffer, head, "Help", scene.theme.style(Role::Title));
    put_right(buffer, inset(head, 6), "Esc closes, Up and Down scroll", scene.theme.style(Role::Quiet));
    let area = below(screen, if screen.height > 6 { 2 } else { 1 });
    let sections = help::sections(&scene.model.keymap);
    let all: Vec<&Section> = sections.iter().collect();
    if screen.width < TWO_COLUMNS_MIN {
        return column(&all, layer.scroll, scene, area, buffer);
    }
    let half = area.width / 2;
    let split = balance(&sections);
    let (left, right) = all.split_at(split);
    let longest = [left, right].map(|c| c.iter().map(|s| s.height()).sum::<usize>());
    let most = longest[0].max(longest[1]).saturating_sub(usize::from(area.height));
    let scroll = layer.scroll.min(most);
    column(left, scroll, scene, Rect { width: half, ..area }, buffer);
    column(right, scroll, scene, inset(area, half), buffer);
}

/// How many sections stand in the left column, so that both are about equally long.
fn balance(sections: &[Section]) -> usize {
    let total: usize = sections.iter().map(Section::height).sum();
    let mut left = 0;
    for (n, section) in sections.iter().enumerate() {
        if left + section.height() / 2 > total / 2 {
            return n;
        }
        left += section.height();
    }
    sections.len()
}

fn column(sections: &[&Section], scroll: usize, scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let lines = sections.iter().flat_map(|section| {
        let meanings = section.rows.iter().map(|(key, meaning)| HelpRow::Meaning(key, meaning));
        std::iter::once(HelpRow::Title(section.title)).chain(meanings).chain([HelpRow::Blank])
    });
    let area = shorten(inset(area, 2), 1);
    // Keys and meanings are columns, as wide as the longest key, on narrow screens less.
    let longest = sections.iter().flat_map(|s| &s.rows).map(|(key, _)| text::columns(key)).max().unwrap_or(0);
    let keys = u16::try_from(longest + 2).unwrap_or(u16::MAX).min(area.width / 2);
    for (line, area) in lines.skip(scroll).zip(rows(area)) {
        match line {
            HelpRow::Title(title) => {
                put(buffer, area, title, scene.theme.style(Role::Heading));
            }
            HelpRow::Meaning(key, meaning) => {
                put(
                    buffer,
                    Rect { width: keys.saturating_sub(1), ..area },
                    key,
                    scene.theme.style(Role::Key),
                );
                put(buffer, inset(area, keys), meaning, scene.theme.style(Role::Text));
            }
            HelpRow::Blank => {}
        }
    }
}
