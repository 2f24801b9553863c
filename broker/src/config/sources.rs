//! The file and the environment, both checked against the keys of the default configuration.

use std::fs;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::{Config, ConfigError, Env, Flags};

const PREFIX: &str = "WARREN_";

/// Names the file; itself no setting.
const CONFIG_VARIABLE: &str = "WARREN_CONFIG";

/// The variables of this process. Those that are not UTF-8 are left out.
pub fn process_env() -> Env {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Variables that look like a misspelt setting, as warnings. Others may begin with `WARREN_` too: the rest of the
/// project has settings of its own.
pub fn misspelt_variables(env: &Env) -> Vec<String> {
    let known: Vec<_> = leaves().into_iter().map(|(path, _)| variable(&path)).collect();
    env.keys()
        .filter(|name| name.starts_with(PREFIX) && *name != CONFIG_VARIABLE && !known.contains(name))
        .filter_map(|name| {
            let near = known.iter().find(|known| strsim::damerau_levenshtein(name, known) <= 2)?;
            Some(format!("the environment variable {name} sets nothing; did you mean {near}?"))
        })
        .collect()
}

pub(super) fn config_file(flags: &Flags, env: &Env) -> Option<PathBuf> {
    flags.config.clone().or_else(|| non_empty(env, CONFIG_VARIABLE).map(PathBuf::from))
}

pub(super) fn read_file(path: &Path, env: &Env) -> Result<Config, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|e| ConfigError::Read { path: path.to_owned(), reason: e.to_string() })?;
    parse(path, &text, env)
}

fn parse(path: &Path, text: &str, env: &Env) -> Result<Config, ConfigError> {
    let failed = |e: toml::de::Error| ConfigError::File {
        path: path.to_owned(),
        line: line(text, e.span().map_or(0, |span| span.start)),
        message: e.message().to_owned(),
    };
    let table = DeTable::parse(text).map_err(failed)?;
    if let Some((key, offset)) = unknown_key(table.get_ref(), &known(), "") {
        let nearest = nearest_key(&key);
        return Err(ConfigError::UnknownKey {
            path: path.to_owned(),
            line: line(text, offset),
            key,
            nearest,
        });
    }
    let mut config: Config = toml::from_str(text).map_err(failed)?;
    if !table.get_ref().contains_key("data_dir") {
        config.data_dir = super::default_data_dir(env);
    }
    Ok(config)
}

fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&octet| octet == b'\n').count()
}

/// Every key there is, with its default. No setting is optional, so none is missing here.
fn known() -> Table {
    Table::try_from(Config::default()).unwrap_or_default()
}

/// The first key of the file that is not known, with its position.
fn unknown_key(found: &DeTable<'_>, known: &Table, parent: &str) -> Option<(String, usize)> {
    let mut entries: Vec<_> = found.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| key.span().start);
    entries.into_iter().find_map(|(key, value)| {
        let path = format!("{parent}{}", key.get_ref());
        match (known.get(key.get_ref().as_ref()), value.get_ref()) {
            (None, _) => Some((path, key.span().start)),
            (Some(Value::Table(known)), DeValue::Table(found)) => {
                unknown_key(found, known, &format!("{path}."))
            }
            // Of another type: the typed reading says so.
            _ => None,
        }
    })
}

/// Compares whole paths and last parts: a right key in the wrong section is as common as a typing mistake.
fn nearest_key(key: &str) -> String {
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let distance = |path: &str| {
        let whole = strsim::damerau_levenshtein(key, path);
        whole.min(1 + strsim::damerau_levenshtein(&last(key), &last(path)))
    };
    let keys = leaves().into_iter().map(|(path, _)| path).chain(sections());
    keys.min_by_key(|path| distance(path)).unwrap_or_default()
}

/// Dotted path and default of each setting.
fn leaves() -> Vec<(String, Value)> {
    let mut leaves = Vec::new();
    walk(&known(), "", &mut |path, value| {
        if !value.is_table() {
            leaves.push((path, value.clone()));
        }
    });
    leaves
}

fn sections() -> Vec<String> {
    let mut sections = Vec::new();
    walk(&known(), "", &mut |path, value| {
        if value.is_table() {
            sections.push(path);
        }
    });
    sections
}

fn walk(table: &Table, parent: &str, visit: &mut dyn FnMut(String, &Value)) {
    for (key, value) in table {
        let path = format!("{parent}{key}");
        visit(path.clone(), value);
        if let Value::Table(table) = value {
            walk(table, &format!("{path}."), visit);
        }
    }
}

pub(super) fn apply_env(config: Config, env: &Env) -> Result<Config, ConfigError> {
    let mut config = config;
    for (path, default) in leaves() {
        let name = variable(&path);
        if let Some(text) = non_empty(env, &name) {
            config = set(&config, &path, text, &default).map_err(|reason| ConfigError::Env {
                name,
                value: text.to_owned(),
                reason,
            })?;
        }
    }
    Ok(config)
}

/// `config` with the setting at `path` changed to what `text` says.
fn set(config: &Config, path: &str, text: &str, default: &Value) -> Result<Config, String> {
    let mut root = Table::try_from(config).map_err(|e| e.to_string())?;
    let value = value_like(default, text)?;
    let (sections, key) = path.rsplit_once('.').map_or((None, path), |(parents, key)| (Some(parents), key));
    let mut table = &mut root;
    for section in sections.into_iter().flat_map(|path| path.split('.')) {
        let inner = table.get_mut(section).and_then(Value::as_table_mut);
        table = inner.ok_or_else(|| format!("there is no section {section}"))?;
    }
    table.insert(key.to_owned(), value);
    root.try_into().map_err(|e: toml::de::Error| e.message().to_owned())
}

/// A text as the type the setting has.
fn value_like(default: &Value, text: &str) -> Result<Value, String> {
    match default {
        Value::Integer(_) => {
            let number = text.trim().replace('_', "");
            number.parse().map(Value::Integer).map_err(|_| "it has to be a whole number".into())
        }
        Value::Boolean(_) => {
            text.trim().parse().map(Value::Boolean).map_err(|_| "it has to be true or false".into())
        }
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// `WARREN_LIMITS_FRAME_MAX` for `limits.frame_max`.
fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_uppercase())
}

fn non_empty<'a>(env: &'a Env, name: &str) -> Option<&'a str> {
    env.get(name).map(String::as_str).filter(|value| !value.is_empty())
}
