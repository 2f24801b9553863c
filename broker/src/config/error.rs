//! What can be wrong with a configuration.

use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {path}: {reason}", path = path.display())]
    Read { path: PathBuf, reason: String },
    #[error("{path}, line {line}: {message}", path = path.display())]
    File {
        path: PathBuf,
        /// From 1.
        line: usize,
        message: String,
    },
    #[error("{path}, line {line}: there is no setting '{key}'; did you mean '{nearest}'?", path = path.display())]
    UnknownKey { path: PathBuf, line: usize, key: String, nearest: String },
    #[error("the environment variable {name} is '{value}': {reason}")]
    Env { name: String, value: String, reason: String },
    #[error("the setting {key} cannot be used: {reason}")]
    Invalid { key: &'static str, reason: String },
}

impl ConfigError {
    pub(super) fn invalid(key: &'static str, reason: impl ToString) -> ConfigError {
        ConfigError::Invalid { key, reason: reason.to_string() }
    }
}
