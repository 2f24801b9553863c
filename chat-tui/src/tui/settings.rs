//! ★ What a person can choose about the screen.

use super::keymap::Keymap;
use super::kind;
use super::theme::{Look, Overrides};

/// Unless it is said otherwise.
const AWAY_AFTER_MINUTES: u32 = 10;

#[derive(Debug, Clone)]
pub struct Settings {
    pub keymap: Keymap,
    pub look: Look,
    pub paints: Overrides,
    /// The wheel scrolls and clicks select; the terminal's own selection then needs Shift.
    pub mouse: bool,
    pub notify: Notify,
    /// Away after so many minutes without a key; never without this.
    pub away_after_minutes: Option<u32>,
}

/// How the person hears of what is not before their eyes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Notify {
    /// The terminal's bell.
    pub bell: bool,
    pub desktop: Desktop,
    /// A program that shows notifications, and its arguments: title and text follow as two more.
    pub command: Vec<String>,
    /// Notifications say what was written, not only by whom.
    pub text: bool,
    pub do_not_disturb: bool,
}

/// How the terminal is asked to show a notification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Desktop {
    /// By what the terminal says it is.
    #[default]
    Auto,
    Off,
    /// iTerm2, WezTerm, kitty, Ghostty, Windows Terminal.
    Osc9,
    /// foot, urxvt, Ghostty.
    Osc777,
}

impl Default for Notify {
    fn default() -> Self {
        Notify { bell: true, desktop: Desktop::Auto, command: Vec::new(), text: true, do_not_disturb: false }
    }
}

impl Settings {
    /// Without colours if `NO_COLOR` asks for that (<https://no-color.org>), or the terminal has none.
    pub fn under_environment(mut self) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if unwanted || std::env::var("TERM").is_ok_and(|term| kind::is_colourless(&term)) {
            self.look = Look::Plain;
            self.paints.clear();
        }
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            keymap: Keymap::default(),
            look: Look::Auto,
            paints: Overrides::new(),
            mouse: true,
            notify: Notify::default(),
            away_after_minutes: Some(AWAY_AFTER_MINUTES),
        }
    }
}

impl Desktop {
    /// What `Auto` means, given the variables by which terminals say what they are.
    pub fn resolve(self, variable: impl Fn(&str) -> Option<String>) -> Desktop {
        if self != Desktop::Auto {
            return self;
        }
        let (term, program) = (variable("TERM"), variable("TERM_PROGRAM"));
        let term = term.unwrap_or_default();
        let program = program.unwrap_or_default();
        match () {
            _ if ["iTerm.app", "WezTerm", "ghostty"].contains(&program.as_str()) => Desktop::Osc9,
            _ if term.contains("kitty") || variable("WT_SESSION").is_some() => Desktop::Osc9,
            _ if term.starts_with("foot") || term.starts_with("rxvt") => Desktop::Osc777,
            // Others would show the text, or nothing.
            _ => Desktop::Off,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_known_by_their_variables() {
        let table = [
            ("TERM_PROGRAM", "WezTerm", Desktop::Osc9),
            ("TERM", "xterm-kitty", Desktop::Osc9),
            ("TERM", "foot-extra", Desktop::Osc777),
            ("TERM", "xterm-256color", Desktop::Off),
        ];
        for (name, value, want) in table {
            let found = Desktop::Auto.resolve(|asked| (asked == name).then(|| value.to_owned()));
            assert_eq!(found, want, "{name}={value}");
        }
        assert_eq!(Desktop::Osc9.resolve(|_| None), Desktop::Osc9);
    }
}
