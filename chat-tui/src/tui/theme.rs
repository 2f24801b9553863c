//! ★ Colours are roles, turned into styles when something is drawn.
//!
//! Only the sixteen colours of the terminal's own palette are used, so that Warren fits into any theme.

use ratatui::style::{Color, Modifier, Style};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Text,
    /// What is there when looked for: times, hints, rules.
    Quiet,
    Title,
    Heading,
    /// The name of the person at this terminal.
    Own,
    /// The name of the friend.
    Friend,
    Online,
    Away,
    Offline,
    /// Something waits to be read or answered.
    News,
    /// The line above what is new.
    NewLine,
    /// The entry of the list that is shown.
    Selected,
    /// The choice that Enter takes.
    Chosen,
    Key,
    Notice,
    Error,
    Link,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    colours: bool,
}

impl Theme {
    pub fn colourful() -> Self {
        Theme { colours: true }
    }

    /// For terminals without colours, and people who do not want them (<https://no-color.org>).
    pub fn plain() -> Self {
        Theme { colours: false }
    }

    pub fn style(&self, role: Role) -> Style {
        let style = Style::new();
        let (colour, modifier) = match role {
            Role::Text => (None, Modifier::empty()),
            Role::Quiet => (None, Modifier::DIM),
            Role::Title => (None, Modifier::BOLD),
            Role::Heading => (None, Modifier::BOLD | Modifier::DIM),
            Role::Own => (Some(Color::Cyan), Modifier::empty()),
            Role::Friend => (Some(Color::Green), Modifier::BOLD),
            Role::Online => (Some(Color::Green), Modifier::empty()),
            Role::Away => (Some(Color::Yellow), Modifier::empty()),
            Role::Offline => (None, Modifier::DIM),
            Role::News => (Some(Color::Yellow), Modifier::BOLD),
            Role::NewLine => (Some(Color::Yellow), Modifier::empty()),
            Role::Selected => (None, Modifier::BOLD),
            Role::Chosen => (None, Modifier::REVERSED),
            Role::Key => (Some(Color::Cyan), Modifier::BOLD),
            Role::Notice => (Some(Color::Cyan), Modifier::empty()),
            Role::Error => (Some(Color::Red), Modifier::BOLD),
            Role::Link => (None, Modifier::UNDERLINED),
        };
        match colour.filter(|_| self.colours) {
            Some(colour) => style.fg(colour).add_modifier(modifier),
            None => style.add_modifier(modifier),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_theme_has_no_colour() {
        for role in [Role::Own, Role::Error, Role::News, Role::Online, Role::NewLine] {
            assert_eq!(Theme::plain().style(role).fg, None);
            assert!(Theme::colourful().style(role).fg.is_some());
        }
    }
}
