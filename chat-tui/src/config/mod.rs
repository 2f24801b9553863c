//! The config file: what a person can choose once and for all.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fs, io};

use etcetera::BaseStrategy;
use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use crate::tui::{ACTIONS, Keymap, Keys, Look, Notify, Overrides, Preset, Settings, named};

const DEFAULT: &str = include_str!("default.toml");

/// A file that is no config of ours is not read whole.
const FILE_BYTES_MAX: u64 = 256 * 1024;

#[derive(Debug, Default)]
pub struct Config {
    pub account: Account,
    pub settings: Settings,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Account {
    pub user: String,
    pub broker: String,
    pub password_command: Vec<String>,
}

#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("cannot read the config file {path}: {source}")]
    Read { path: String, source: io::Error },
    #[error("the config file {path} is larger than {FILE_BYTES_MAX} bytes; is it the right one?")]
    TooLarge { path: String },
    #[error("{path}, line {line}{key}: {problem}", key = in_quotes(key))]
    Wrong { path: String, line: usize, key: String, problem: String },
}

fn in_quotes(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!(", `{key}`") }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    account: Account,
    screen: ScreenTable,
    notify: Notify,
    colours: Overrides,
    keys: BTreeMap<Spanned<String>, Spanned<Vec<Spanned<String>>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct ScreenTable {
    keys: Preset,
    theme: Look,
    mouse: bool,
    away_after_minutes: u32,
}

impl Default for ScreenTable {
    fn default() -> Self {
        ScreenTable {
            keys: Preset::default(),
            theme: Look::default(),
            mouse: true,
            away_after_minutes: Settings::default().away_after_minutes.unwrap_or(0),
        }
    }
}

/// `$XDG_CONFIG_HOME/warren/chat.toml`; `None` without a home folder.
pub fn default_path() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.config_dir().join("warren").join("chat.toml"))
}

/// Reads `given`, or the file at its usual place if there is one.
///
/// # Errors
///
/// When `given` cannot be read, or the file is not right; the error says where, and what is allowed.
pub fn load(given: Option<&Path>) -> Result<Config, ConfigError> {
    let Some(path) = given.map(Path::to_owned).or_else(default_path) else { return Ok(Config::default()) };
    let shown = path.display().to_string();
    let text = match fs::metadata(&path) {
        Ok(found) if found.len() > FILE_BYTES_MAX => return Err(ConfigError::TooLarge { path: shown }),
        Ok(_) => fs::read_to_string(&path),
        Err(error) => Err(error),
    };
    match text {
        Ok(text) => parse(&text, &shown),
        Err(error) if error.kind() == io::ErrorKind::NotFound && given.is_none() => Ok(Config::default()),
        Err(source) => Err(ConfigError::Read { path: shown, source }),
    }
}

/// Reads the config in `text`; `path` is for the errors.
pub fn parse(text: &str, path: &str) -> Result<Config, ConfigError> {
    let wrong = |at: Range<usize>, problem: String| {
        let (line, key) = place(text, at.start);
        ConfigError::Wrong { path: path.to_owned(), line, key, problem }
    };
    let document: Document = toml::from_str(text).map_err(|error| {
        let problem = error.message().lines().collect::<Vec<_>>().join("; ");
        wrong(error.span().unwrap_or_default(), problem)
    })?;
    let mut keymap = Keymap::new(document.screen.keys);
    for (name, keys) in &document.keys {
        let spec = named(name.get_ref()).ok_or_else(|| wrong(name.span(), no_action(name.get_ref())))?;
        let mut chords = Vec::new();
        for key in keys.get_ref() {
            let chord: Keys = key.get_ref().parse().map_err(|error| wrong(key.span(), format!("{error}")))?;
            chords.push(chord);
        }
        keymap.rebind(spec, &chords).map_err(|error| wrong(keys.span(), error.to_string()))?;
    }
    let settings = Settings {
        keymap,
        look: document.screen.theme,
        paints: document.colours,
        mouse: document.screen.mouse,
        notify: document.notify,
        away_after_minutes: Some(document.screen.away_after_minutes).filter(|minutes| *minutes > 0),
    };
    Ok(Config { account: document.account, settings })
}

fn no_action(name: &str) -> String {
    let nearest = ACTIONS
        .iter()
        .map(|spec| (strsim::damerau_levenshtein(name, spec.name), spec.name))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    match nearest {
        Some((_, near)) => format!("there is no action of this name; did you mean `{near}`?"),
        None => "there is no action of this name; `chat-tui config --print-default` lists them".to_owned(),
    }
}

/// The line and the key at this byte.
fn place(text: &str, at: usize) -> (usize, String) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let whole = text[start..].lines().next().unwrap_or_default();
    let section = text[..start].lines().rev().map(str::trim).find(|line| line.starts_with('['));
    let section = section.map(|line| line.trim_matches(['[', ']'])).unwrap_or_default();
    let key = match whole.split_once('=') {
        Some((key, _)) => key.trim(),
        None => return (line, section.to_owned()),
    };
    (line, if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") })
}

/// Every option with its meaning and default, every action with its keys: a config file that changes nothing.
pub fn default_text() -> String {
    let mut text = DEFAULT.to_owned();
    let keymap = Keymap::default();
    for spec in ACTIONS {
        let keys: Vec<String> =
            keymap.keys(spec.action).iter().map(|chord| format!("{:?}", chord.written())).collect();
        let what = if spec.description.is_empty() { "" } else { "  # " };
        // A string cannot fail to be written to.
        let _ = writeln!(text, "# {} = [{}]{what}{}", spec.name, keys.join(", "), spec.description);
    }
    text
}

#[cfg(test)]
mod tests;
