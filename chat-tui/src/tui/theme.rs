//! ★ Colours are roles, turned into styles when something is drawn.
//!
//! The themes for dark and light screens use the sixteen colours of the terminal's own palette alone, so that Warren
//! fits into any scheme. No theme tells anything by colour alone.

use std::collections::BTreeMap;
use std::str::FromStr;

use ratatui::style::{Color, Modifier, Style};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// Code in a message.
    Code,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// Dark or light, as the terminal is.
    #[default]
    Auto,
    Dark,
    Light,
    /// White on black, bold, nothing dimmed.
    Contrast,
    /// Without colours: for terminals that have none, and people who do not want them.
    Plain,
}

impl Look {
    /// Every name.
    pub const NAMES: &[&str] = &["auto", "dark", "light", "contrast", "plain"];

    /// As it is written in the config file.
    pub fn named(name: &str) -> Option<Look> {
        Some(match name {
            "auto" => Look::Auto,
            "dark" => Look::Dark,
            "light" => Look::Light,
            "contrast" => Look::Contrast,
            "plain" => Look::Plain,
            _ => return None,
        })
    }
}

/// Styles by role that go over those of the look.
pub type Overrides = BTreeMap<Role, Paint>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Theme {
    look: Look,
    overrides: Overrides,
}

impl Theme {
    /// `Look::Auto` is dark until the terminal says what it is: more of them are.
    pub fn new(look: Look, overrides: Overrides) -> Self {
        Theme { look, overrides }
    }

    pub fn set_look(&mut self, look: Look) {
        self.look = look;
    }

    pub fn style(&self, role: Role) -> Style {
        let style = match self.look {
            Look::Auto | Look::Dark => dark(role),
            Look::Light => light(role),
            Look::Contrast => contrast(role),
            Look::Plain => plain(role),
        };
        self.overrides.get(&role).map_or(style, |paint| paint.0)
    }

    /// What is under everything, if not the terminal's own colours.
    pub fn ground(&self) -> Option<(Color, Color)> {
        (self.look == Look::Contrast).then_some((Color::White, Color::Black))
    }
}

/// Without colours: what is left has to tell everything.
fn plain(role: Role) -> Style {
    Style::new().add_modifier(match role {
        Role::Text | Role::Own | Role::Online | Role::Away | Role::Notice | Role::NewLine | Role::Code => {
            Modifier::empty()
        }
        Role::Quiet | Role::Offline => Modifier::DIM,
        Role::Heading => Modifier::BOLD | Modifier::DIM,
        Role::Title | Role::Friend | Role::News | Role::Selected | Role::Key | Role::Error => Modifier::BOLD,
        Role::Chosen => Modifier::REVERSED,
        Role::Link => Modifier::UNDERLINED,
    })
}

fn dark(role: Role) -> Style {
    let style = plain(role);
    match role {
        Role::Own | Role::Key | Role::Notice | Role::Code => style.fg(Color::Cyan),
        Role::Friend | Role::Online => style.fg(Color::Green),
        Role::Away | Role::News | Role::NewLine => style.fg(Color::Yellow),
        Role::Error => style.fg(Color::Red),
        _ => style,
    }
}

/// Yellow and cyan cannot be read on white, and dimmed black hardly.
fn light(role: Role) -> Style {
    let style = plain(role).remove_modifier(Modifier::DIM);
    match role {
        Role::Quiet | Role::Offline | Role::Heading => style.fg(Color::DarkGray),
        Role::Own | Role::Key | Role::Notice | Role::Code => style.fg(Color::Blue),
        Role::Friend | Role::Online => style.fg(Color::Green),
        Role::Away | Role::News | Role::NewLine => style.fg(Color::Magenta),
        Role::Error => style.fg(Color::Red),
        _ => style,
    }
}

fn contrast(role: Role) -> Style {
    let style = plain(role).remove_modifier(Modifier::DIM).fg(Color::White).bg(Color::Black);
    match role {
        Role::Own | Role::Key | Role::Notice | Role::Code => style.fg(Color::LightCyan),
        Role::Friend | Role::Online => style.fg(Color::LightGreen),
        Role::Away | Role::News | Role::NewLine => style.fg(Color::LightYellow),
        Role::Error => style.fg(Color::LightRed),
        Role::Selected => style.add_modifier(Modifier::REVERSED),
        _ => style,
    }
}

/// A style as a person writes it: `cyan`, `bold #ff8700`, `underlined white on blue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Paint(pub Style);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither a colour nor a style; write e.g. \"cyan\", \"bold #ff8700\" or \"underlined white on blue\" (colours: the 16 names, 0 to 255, #rrggbb; styles: bold, dim, italic, underlined, reversed, plain)"
)]
pub struct NotAPaint(String);

impl FromStr for Paint {
    type Err = NotAPaint;

    fn from_str(text: &str) -> Result<Self, NotAPaint> {
        let mut style = Style::new();
        let mut words = text.split_whitespace();
        let mut said = false;
        while let Some(word) = words.next() {
            said = true;
            style = match word {
                "plain" => style,
                "bold" => style.add_modifier(Modifier::BOLD),
                "dim" => style.add_modifier(Modifier::DIM),
                "italic" => style.add_modifier(Modifier::ITALIC),
                "underlined" => style.add_modifier(Modifier::UNDERLINED),
                "reversed" => style.add_modifier(Modifier::REVERSED),
                "on" => style.bg(colour(words.next().ok_or_else(|| NotAPaint(text.to_owned()))?)?),
                word => style.fg(colour(word)?),
            };
        }
        if said { Ok(Paint(style)) } else { Err(NotAPaint(text.to_owned())) }
    }
}

impl TryFrom<String> for Paint {
    type Error = NotAPaint;

    fn try_from(text: String) -> Result<Self, NotAPaint> {
        text.parse()
    }
}

fn colour(word: &str) -> Result<Color, NotAPaint> {
    word.parse().map_err(|_| NotAPaint(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 17] = [
        Role::Text,
        Role::Quiet,
        Role::Title,
        Role::Heading,
        Role::Own,
        Role::Friend,
        Role::Online,
        Role::Away,
        Role::Offline,
        Role::News,
        Role::NewLine,
        Role::Selected,
        Role::Chosen,
        Role::Key,
        Role::Notice,
        Role::Error,
        Role::Link,
    ];

    fn theme(look: Look) -> Theme {
        Theme::new(look, Overrides::new())
    }

    #[test]
    fn a_plain_theme_has_no_colour() {
        for role in ROLES {
            let style = theme(Look::Plain).style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
    }

    #[test]
    fn every_look_can_be_read() {
        for role in ROLES {
            let light = theme(Look::Light).style(role);
            let unreadable = [Color::Yellow, Color::Cyan, Color::White].map(Some).contains(&light.fg);
            assert!(!unreadable && !light.add_modifier.contains(Modifier::DIM), "{role:?} on white");
            let contrast = theme(Look::Contrast).style(role);
            assert_eq!(contrast.bg, Some(Color::Black), "{role:?}");
            assert!(!contrast.add_modifier.contains(Modifier::DIM), "{role:?}");
        }
        for role in [Role::Own, Role::Error, Role::News, Role::Online, Role::NewLine] {
            assert!(theme(Look::Dark).style(role).fg.is_some());
        }
    }

    #[test]
    fn own_styles_go_over_those_of_the_look() {
        let overrides = Overrides::from([(Role::Own, "bold #ff8700 on black".parse().unwrap())]);
        let own = Theme::new(Look::Dark, overrides).style(Role::Own);
        assert_eq!((own.fg, own.bg), (Some(Color::Rgb(255, 135, 0)), Some(Color::Black)));
        assert!(own.add_modifier.contains(Modifier::BOLD));
    }

    #[test]
    fn paints_are_read_or_refused_by_name() {
        for good in ["cyan", "bold", "light-blue", "12", "#00ff00", "plain", "dim white on 4"] {
            assert!(good.parse::<Paint>().is_ok(), "{good}");
        }
        for (bad, named) in [("", "``"), ("blu", "`blu`"), ("white on", "`white on`"), ("bold 300", "`300`")]
        {
            assert!(bad.parse::<Paint>().unwrap_err().to_string().starts_with(named), "{bad}");
        }
    }
}
