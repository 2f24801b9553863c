//! AMQP exceptions: what a client did wrong, with the code it is answered with and how far it reaches.

use std::fmt;

use crate::amqp::ReplyCode;

/// What an exception closes (AMQP 0-9-1 §1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Channel,
    Connection,
}

/// An exception on its way to the client. `text` is for people; clients match on `code` and on its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmqpError {
    pub scope: Scope,
    pub code: ReplyCode,
    pub text: String,
    /// Class and method that caused it when it is not the one being handled; (0, 0) for none.
    pub caused_by: Option<(u16, u16)>,
}

impl AmqpError {
    pub fn channel(code: ReplyCode, text: impl Into<String>) -> AmqpError {
        AmqpError { scope: Scope::Channel, code, text: text.into(), caused_by: None }
    }

    pub fn connection(code: ReplyCode, text: impl Into<String>) -> AmqpError {
        AmqpError { scope: Scope::Connection, code, text: text.into(), caused_by: None }
    }

    /// Names the class and method that the close frame blames.
    pub fn caused_by(mut self, id: (u16, u16)) -> AmqpError {
        self.caused_by = Some(id);
        self
    }

    pub fn not_found(text: impl Into<String>) -> AmqpError {
        AmqpError::channel(ReplyCode::NotFound, text)
    }

    pub fn access_refused(text: impl Into<String>) -> AmqpError {
        AmqpError::channel(ReplyCode::AccessRefused, text)
    }

    pub fn precondition_failed(text: impl Into<String>) -> AmqpError {
        AmqpError::channel(ReplyCode::PreconditionFailed, text)
    }

    pub fn resource_locked(text: impl Into<String>) -> AmqpError {
        AmqpError::channel(ReplyCode::ResourceLocked, text)
    }

    /// `NOT_FOUND - no queue 'x' in vhost '/'`, cut to what fits a short string.
    pub fn reply_text(&self) -> String {
        let mut text = format!("{} - {}", self.code.name(), self.text);
        if text.len() > 255 {
            let mut end = 252;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push_str("...");
        }
        text
    }
}

impl fmt::Display for AmqpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} - {}", self.code.code(), self.code.name(), self.text)
    }
}

impl std::error::Error for AmqpError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let error = AmqpError::not_found("ä".repeat(200));
        let text = error.reply_text();
        assert!(text.len() <= 255, "{} bytes", text.len());
        assert!(text.starts_with("NOT_FOUND - ää") && text.ends_with("..."));
    }
}
