//! How a request is answered: JSON, one line after the other, the last of them `Done` or `Failed`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes of a request's line; a longer one is refused.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Bytes of a file of definitions, which comes behind its request; more than a million queues need.
pub const FILE_BYTES_MAX: usize = 256 << 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The names of what each row has.
    Columns(Vec<String>),
    Row(Vec<Value>),
    /// Named values for people and programs.
    Facts(Vec<(String, Value)>),
    /// The next piece of a file.
    Piece(String),
    /// Said to the person.
    Note(String),
    Done,
    Failed(Failure),
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    pub reason: String,
}

impl Failure {
    pub fn new(reason: impl std::fmt::Display) -> Failure {
        Failure { reason: reason.to_string() }
    }
}
