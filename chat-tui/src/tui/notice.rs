//! ★ What the person is told below the conversation, and what they were told before.

use std::collections::VecDeque;

use jiff::Timestamp;

/// Older ones are forgotten.
const PAST_NOTICES_MAX: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    Info,
    Error,
}

#[derive(Debug, Clone)]
pub struct Notice {
    pub kind: NoticeKind,
    pub text: String,
    pub until: Timestamp,
}

/// Something that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    pub kind: NoticeKind,
    pub text: String,
    /// When it was told last.
    pub at: Timestamp,
}

/// Everything that was told, the oldest first.
#[derive(Debug, Clone, Default)]
pub struct PastNotices {
    notices: VecDeque<Past>,
    /// Why there is no connection, as far as that was told.
    offline_because: Option<String>,
}

impl PastNotices {
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Past> {
        self.notices.iter()
    }

    pub fn remember(&mut self, kind: NoticeKind, text: &str, at: Timestamp) {
        // The same again is one line, or a key held down would push out everything else.
        if self.notices.back().is_some_and(|last| (last.kind, last.text.as_str()) == (kind, text)) {
            self.notices.pop_back();
        }
        if self.notices.len() == PAST_NOTICES_MAX {
            self.notices.pop_front();
        }
        self.notices.push_back(Past { kind, text: text.to_owned(), at });
    }

    /// There is no connection for this reason. The lowest line may have no room for it.
    pub fn went_offline(&mut self, reason: &str, at: Timestamp) {
        if self.offline_because.as_deref() != Some(reason) {
            self.remember(NoticeKind::Error, &format!("Offline: {reason}"), at);
            self.offline_because = Some(reason.to_owned());
        }
    }

    pub fn came_online(&mut self, at: Timestamp) {
        if self.offline_because.take().is_some() {
            self.remember(NoticeKind::Info, "Online again.", at);
        }
    }
}

/// What the session says, as a sentence of its own: it begins in lower case, as what stands behind a colon does. The name
/// of `somebody` stays as it is.
pub fn sentence(text: &str, somebody: Option<&str>) -> String {
    let mut sentence = String::with_capacity(text.len() + 1);
    let mut chars = text.chars();
    let begins_with_name = somebody.is_some_and(|name| text.split(char::is_whitespace).next() == Some(name));
    match chars.next() {
        Some(first) if first.is_ascii_lowercase() && !begins_with_name => {
            sentence.push(first.to_ascii_uppercase());
            sentence.push_str(chars.as_str());
        }
        _ => sentence.push_str(text),
    }
    // Behind a path or an address a full stop would be taken for a part of it.
    let last = text.rsplit(char::is_whitespace).next().unwrap_or_default();
    let is_place = last.contains(['/', ':', '.', '@', '`']);
    if last.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ')' | '"' | '”')) && !is_place {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_alone_is_a_sentence() {
        let bob = Some("bob");
        for (said, somebody, shown) in [
            ("the disk is full; make room", None, "The disk is full; make room."),
            ("bob is your friend already", bob, "bob is your friend already."),
            ("bobbing is not allowed", bob, "Bobbing is not allowed."),
            ("wrote 3 messages to /tmp/a", None, "Wrote 3 messages to /tmp/a"),
            ("nobody answers (refused)", None, "Nobody answers (refused)."),
            ("Is it running there?", None, "Is it running there?"),
            ("\"b b\" cannot be a user", bob, "\"b b\" cannot be a user."),
            ("éclair", None, "éclair."),
            ("", bob, ""),
        ] {
            assert_eq!(sentence(said, somebody), shown);
        }
    }

    fn texts(past: &PastNotices) -> Vec<&str> {
        past.iter().map(|notice| notice.text.as_str()).collect()
    }

    #[test]
    fn what_was_told_is_kept_once_and_not_for_ever() {
        let mut past = PastNotices::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        past.remember(NoticeKind::Info, "Copied.", at(1));
        past.remember(NoticeKind::Info, "Copied.", at(2));
        assert_eq!(past.iter().map(|notice| notice.at).collect::<Vec<_>>(), [at(2)]);
        past.remember(NoticeKind::Error, "Copied.", at(3));
        assert_eq!(texts(&past).len(), 2);
        for n in 0..1000 {
            past.remember(NoticeKind::Info, &n.to_string(), at(n));
        }
        assert_eq!(texts(&past).len(), PAST_NOTICES_MAX);
        assert_eq!(texts(&past).last(), Some(&"999"));
    }

    #[test]
    fn each_reason_for_being_offline_is_told_once() {
        let mut past = PastNotices::default();
        let at = Timestamp::UNIX_EPOCH;
        past.came_online(at);
        for reason in ["refused", "refused", "no route", "no route"] {
            past.went_offline(reason, at);
        }
        past.came_online(at);
        past.came_online(at);
        past.went_offline("no route", at);
        let told = ["Offline: refused", "Offline: no route", "Online again.", "Offline: no route"];
        assert_eq!(texts(&past), told);
    }
}
