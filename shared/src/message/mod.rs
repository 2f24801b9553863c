//! The chat messages: versioned JSON bodies, and the AMQP properties that travel with them.
//!
//! A body is one JSON object, `{"v":1,"type":"message","text":"hi"}`. The AMQP `type` property repeats
//! the kind so that operators and filters need not open bodies. Kinds that are not known here, and
//! versions above [`VERSION`], decode to [`Body::Unknown`]: receivers log and ignore them, so that newer
//! clients never break older ones. Unknown fields are ignored.
//!
//! | kind | from → to | answered by |
//! |---|---|---|
//! | `hello` | client → `friends`, reply-to its reply queue | `welcome` |
//! | `friend-request` | client → `friends`, reply-to a friend queue | `request-forwarded`, `request-failed` or `request-rejected`, in the inbox |
//! | `withdraw` | client → `friends` | the same |
//! | `incoming-request`, `withdrawn` | friend server → inbox of the one asked | |
//! | `accept`, `decline` | client → the asker's friend queue | |
//! | `message`, `receipt`, `presence`, `typing` | client → friend queue | |
//! | `edit`, `delete`, `reaction` | client → friend queue; about messages sent before | |
//! | `take-over` | client → another client of the same user | |
//!
//! Answers carry the `message-id` of what they answer as `correlation-id`.

mod envelope;

pub use envelope::{Envelope, Lifetime};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::topology::{self, UserNameError};

/// The version written into every body. A change that old clients must not misread raises it.
pub const VERSION: u32 = 1;

/// The sign of a reaction, in bytes of UTF-8: the longest emoji sequences have 35.
pub const MARK_BYTES_MAX: usize = 64;
/// A chat message's text, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// The note of a friend request, in bytes of UTF-8.
pub const NOTE_BYTES_MAX: usize = 500;
/// Why somebody is away, in bytes of UTF-8.
pub const AWAY_NOTE_BYTES_MAX: usize = 200;
/// A reason for a failure, in bytes of UTF-8.
pub const REASON_BYTES_MAX: usize = 500;
/// Message ids in one receipt.
pub const RECEIPT_IDS_MAX: usize = 256;
/// An encoded body. The largest text of nothing but escaped characters still fits.
pub const BODY_BYTES_MAX: usize = 128 * 1024;
/// A name that came from a peer and may turn out not to be a user name.
const NAME_BYTES_MAX: usize = 255;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Body {
    /// Where is my inbox?
    Hello {},
    /// Your inbox; from the account of the friend servers (the envelope's `user_id`).
    Welcome { inbox: String },
    /// Ask `to` to be friends. The envelope's `reply_to` is the friend queue for the answer.
    FriendRequest {
        to: String,
        #[serde(default)]
        note: String,
    },
    /// `from` (verified) asks to be friends. `reply_to` and `id` are those of the `friend-request`.
    IncomingRequest {
        from: String,
        #[serde(default)]
        note: String,
    },
    /// Take back the friend request `request_id` to `to`.
    Withdraw { to: String, request_id: Uuid },
    /// `from` (verified) took back the request `request_id`.
    Withdrawn { from: String, request_id: Uuid },
    /// The request is in the inbox of `to`.
    RequestForwarded { to: String },
    /// The request cannot reach `to`.
    RequestFailed { to: String, reason: String },
    /// The request was not allowed; `reason` says what to do, `retry_after_s` when it may be repeated.
    RequestRejected {
        to: String,
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u64>,
    },
    /// Friends now; write to the envelope's `reply_to`.
    Accept {},
    /// No, thank you.
    Decline {},
    Message {
        text: String,
        /// The message this one answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to_id: Option<Uuid>,
    },
    /// The sender's own message `id` now reads `text`. Of all edits of a message the one with the highest `revision`
    /// counts, in whatever order they arrive; revisions start at 1.
    Edit { id: Uuid, revision: u32, text: String },
    /// The sender takes the own message `id` back. Nothing undoes that.
    Delete { id: Uuid },
    /// What the sender thinks of the message `id`, of either side; no mark takes back an earlier one. Each side has one
    /// reaction to a message: the one with the highest `revision`, which starts at 1.
    Reaction {
        id: Uuid,
        revision: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<String>,
    },
    /// What became of messages that the receiver of this once sent.
    Receipt { ids: Vec<Uuid>, state: ReceiptState },
    Presence {
        state: PresenceState,
        /// Why, in the words of whoever is away; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// Somebody is typing, and will say so again before [`Lifetime`] is over.
    Typing {},
    /// Another session of the same user is to have the inbox.
    TakeOver {},
    /// A kind or a version from the future. Log it and go on; it cannot be encoded.
    #[serde(skip)]
    Unknown { version: u32, kind: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptState {
    /// In the friend's client.
    Delivered,
    /// Seen by the friend.
    Read,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PresenceState {
    Online,
    Away,
    Offline,
}

const KINDS: [&str; 19] = [
    "hello",
    "welcome",
    "friend-request",
    "incoming-request",
    "withdraw",
    "withdrawn",
    "request-forwarded",
    "request-failed",
    "request-rejected",
    "accept",
    "decline",
    "message",
    "edit",
    "delete",
    "reaction",
    "receipt",
    "presence",
    "typing",
    "take-over",
];

/// Why a message cannot be sent. The text is for the person.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("{0:?} is not a user name: {1}")]
    UserName(String, UserNameError),
    #[error("a message of the unknown kind {0:?} cannot be sent, only received")]
    Unknown(String),
    #[error("{what} is {bytes} bytes long; AMQP carries at most 255")]
    Property { what: &'static str, bytes: usize },
    #[error("the message cannot be written as JSON: {0}")]
    Json(String),
}

/// Why a delivery is not a chat message. It can only be acknowledged and dropped: it will not improve.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("the body is not the JSON of a chat message: {0}")]
    Json(String),
    #[error("the version is 0; versions start at 1")]
    VersionZero,
    #[error("the property {0} is missing")]
    Missing(&'static str),
    #[error("the property {what} is {value:?}, which is not {expected}")]
    Property { what: &'static str, value: String, expected: &'static str },
    #[error("the property type says {property:?}, the body says {body:?}")]
    Kind { property: String, body: String },
    #[error("{0:?} is not a user name: {1}")]
    UserName(String, UserNameError),
}

/// A limit that was passed, on the way out or in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Invalid {
    #[error("{what} is {bytes} bytes long; at most {bytes_max} are allowed")]
    TooLong { what: &'static str, bytes: usize, bytes_max: usize },
    #[error("{what} is empty")]
    Empty { what: &'static str },
    #[error("a receipt names {ids} messages; at most {ids_max} are allowed")]
    TooManyIds { ids: usize, ids_max: usize },
    #[error("the revision is 0; revisions start at 1")]
    RevisionZero,
    #[error("the name of the inbox is not one that a friend server gives")]
    Inbox,
}

#[derive(Serialize)]
struct Versioned<'a> {
    v: u32,
    #[serde(flatten)]
    body: &'a Body,
}

#[derive(Deserialize)]
struct Head {
    v: u32,
    #[serde(rename = "type")]
    kind: String,
}

impl From<PresenceState> for Body {
    fn from(state: PresenceState) -> Body {
        Body::Presence { state, note: String::new() }
    }
}

impl Body {
    /// The kind, as in the JSON `type` and the AMQP property `type`.
    pub fn kind(&self) -> &str {
        match self {
            Self::Hello {} => "hello",
            Self::Welcome { .. } => "welcome",
            Self::FriendRequest { .. } => "friend-request",
            Self::IncomingRequest { .. } => "incoming-request",
            Self::Withdraw { .. } => "withdraw",
            Self::Withdrawn { .. } => "withdrawn",
            Self::RequestForwarded { .. } => "request-forwarded",
            Self::RequestFailed { .. } => "request-failed",
            Self::RequestRejected { .. } => "request-rejected",
            Self::Accept {} => "accept",
            Self::Decline {} => "decline",
            Self::Message { .. } => "message",
            Self::Edit { .. } => "edit",
            Self::Delete { .. } => "delete",
            Self::Reaction { .. } => "reaction",
            Self::Receipt { .. } => "receipt",
            Self::Presence { .. } => "presence",
            Self::Typing {} => "typing",
            Self::TakeOver {} => "take-over",
            Self::Unknown { kind, .. } => kind,
        }
    }

    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        if let Self::Unknown { kind, .. } = self {
            return Err(EncodeError::Unknown(kind.clone()));
        }
        self.check_limits()?;
        if let Some(name) = self.named_user() {
            topology::check_user_name(name).map_err(|error| EncodeError::UserName(name.to_owned(), error))?;
        }
        let json = serde_json::to_vec(&Versioned { v: VERSION, body: self })
            .map_err(|error| EncodeError::Json(error.to_string()))?;
        at_most("the message", json.len(), BODY_BYTES_MAX)?;
        Ok(json)
    }

    pub fn decode(json: &[u8]) -> Result<Self, DecodeError> {
        at_most("the message", json.len(), BODY_BYTES_MAX)?;
        let as_json = |error: serde_json::Error| DecodeError::Json(error.to_string());
        let Head { v, kind } = serde_json::from_slice(json).map_err(as_json)?;
        if v == 0 {
            return Err(DecodeError::VersionZero);
        }
        if v > VERSION || !KINDS.contains(&kind.as_str()) {
            return Ok(Self::Unknown { version: v, kind });
        }
        let body: Self = serde_json::from_slice(json).map_err(as_json)?;
        body.check_limits()?;
        if let Self::IncomingRequest { from, .. } | Self::Withdrawn { from, .. } = &body {
            topology::check_user_name(from).map_err(|error| DecodeError::UserName(from.clone(), error))?;
        }
        Ok(body)
    }

    fn check_limits(&self) -> Result<(), Invalid> {
        if let Some(name) = self.named_user() {
            // The friend server answers requests to impossible names, so decoding lets them through.
            at_most("the user name", name.len(), NAME_BYTES_MAX)?;
        }
        match self {
            Self::FriendRequest { note, .. } | Self::IncomingRequest { note, .. } => {
                at_most("the note", note.len(), NOTE_BYTES_MAX)
            }
            Self::Presence { note, .. } => at_most("the note", note.len(), AWAY_NOTE_BYTES_MAX),
            Self::RequestFailed { reason, .. } | Self::RequestRejected { reason, .. } => {
                at_most("the reason", reason.len(), REASON_BYTES_MAX)
            }
            Self::Message { text, .. } => check_text(text),
            Self::Edit { revision: 0, .. } | Self::Reaction { revision: 0, .. } => Err(Invalid::RevisionZero),
            Self::Edit { text, .. } => check_text(text),
            Self::Reaction { mark: Some(mark), .. } if mark.is_empty() => {
                Err(Invalid::Empty { what: "the mark of a reaction" })
            }
            Self::Reaction { mark: Some(mark), .. } => {
                at_most("the mark of a reaction", mark.len(), MARK_BYTES_MAX)
            }
            Self::Receipt { ids, .. } if ids.is_empty() => {
                Err(Invalid::Empty { what: "the list of ids in a receipt" })
            }
            Self::Receipt { ids, .. } if ids.len() > RECEIPT_IDS_MAX => {
                Err(Invalid::TooManyIds { ids: ids.len(), ids_max: RECEIPT_IDS_MAX })
            }
            Self::Welcome { inbox } if !topology::is_inbox(inbox) => Err(Invalid::Inbox),
            _ => Ok(()),
        }
    }

    fn named_user(&self) -> Option<&str> {
        match self {
            Self::FriendRequest { to: name, .. }
            | Self::IncomingRequest { from: name, .. }
            | Self::Withdraw { to: name, .. }
            | Self::Withdrawn { from: name, .. } => Some(name),
            // These repeat whatever was asked for, valid or not.
            Self::RequestForwarded { .. } | Self::RequestFailed { .. } | Self::RequestRejected { .. } => None,
            _ => None,
        }
    }
}

fn check_text(text: &str) -> Result<(), Invalid> {
    match text.is_empty() {
        true => Err(Invalid::Empty { what: "the text" }),
        false => at_most("the text", text.len(), TEXT_BYTES_MAX),
    }
}

fn at_most(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), Invalid> {
    match bytes > bytes_max {
        true => Err(Invalid::TooLong { what, bytes, bytes_max }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
