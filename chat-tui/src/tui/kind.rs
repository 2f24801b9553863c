//! ★ What kind of terminal it is, as `TERM` says, and what those that can do less are given instead.

use ratatui::buffer::Buffer;

/// Whether it has a screen that can be drawn on. One that says nothing probably has.
pub fn has_screen(term: &str) -> bool {
    term != "dumb"
}

/// Whether it has no colours.
pub fn is_colourless(term: &str) -> bool {
    is_old(term) || term.ends_with("-m") || term.ends_with("-mono")
}

/// Whether it has a few hundred signs only: then each state of a message would look the same.
pub fn has_few_signs(term: &str) -> bool {
    is_old(term) || term == "linux" || term.starts_with("linux-")
}

fn is_old(term: &str) -> bool {
    ["vt52", "vt1", "vt2", "vt3", "vt4"].iter().any(|old| term.starts_with(old))
}

/// Draws with signs that every terminal has. Each takes the same columns as the one that it stands for.
pub fn simplify(picture: &mut Buffer) {
    for cell in &mut picture.content {
        if let Some(simple) = simple(cell.symbol()) {
            cell.set_symbol(simple);
        }
    }
}

fn simple(sign: &str) -> Option<&'static str> {
    Some(match sign {
        // Who is there.
        "●" => "*",
        "◐" => "~",
        "○" => "-",
        // What became of a message.
        "…" => ".",
        "✓" => "+",
        "◉" => "#",
        "↩" => "<",
        "✗" => "!",
        // The rest of what is drawn, and what friends write most.
        "×" => "x",
        "▌" => "|",
        "›" | "▸" | "→" => ">",
        "‹" => "<",
        "▾" => "v",
        "•" | "◌" | "·" => ".",
        "╭" | "╮" | "╰" | "╯" => "+",
        "“" | "”" | "„" | "«" | "»" => "\"",
        "‘" | "’" => "'",
        "–" | "—" => "-",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;
    use crate::session::api::Presence;
    use crate::tui::marks::{self, DELIVERY};
    use crate::tui::text;

    #[test]
    fn terminals_are_known_by_what_they_call_themselves() {
        let of = |term| (has_screen(term), is_colourless(term), has_few_signs(term));
        for (term, want) in [
            ("dumb", (false, false, false)),
            ("", (true, false, false)),
            ("xterm-256color", (true, false, false)),
            ("screen", (true, false, false)),
            ("linux", (true, false, true)),
            ("linux-16color", (true, false, true)),
            ("linux-m", (true, true, true)),
            ("vt220", (true, true, true)),
        ] {
            assert_eq!(of(term), want, "{term}");
        }
    }

    #[test]
    fn states_are_told_apart_by_simple_signs_as_well() {
        let shown = |sign: &str| {
            let mut picture = Buffer::empty(Rect::new(0, 0, text::columns(sign) as u16, 1));
            picture.set_string(0, 0, sign, Style::default());
            simplify(&mut picture);
            picture.content.iter().map(|cell| cell.symbol()).collect::<String>()
        };
        let delivery: HashSet<String> = DELIVERY.iter().map(|state| shown(marks::delivery(state))).collect();
        assert_eq!(delivery.len(), DELIVERY.len());
        let presences = [Presence::Online, Presence::Away, Presence::Offline { last_seen: None }];
        let presences: HashSet<String> = presences.into_iter().map(|p| shown(marks::presence(p))).collect();
        assert_eq!(presences.len(), 3);
        assert!(delivery.iter().chain(&presences).all(|sign| sign.is_ascii()), "{delivery:?} {presences:?}");
        assert_eq!(shown("“日本” – ✓✓"), "\"日 本 \" - ++");
    }
}
