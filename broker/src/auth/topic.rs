//! What a user may do with routing keys on topic exchanges, beside what he may do with the exchange. Pure.

use hashbrown::HashMap;

use super::permission::{Access, Pattern, PatternError};
use crate::definitions::TopicPermissionRow;

/// Of one user in one vhost, by exchange. Where there is none, every routing key is allowed.
#[derive(Debug, Clone, Default)]
pub struct TopicPermissions(HashMap<String, TopicPermission>);

/// Regular expressions over routing keys, as they were set and with the variables put in.
#[derive(Debug, Clone)]
pub struct TopicPermission {
    row: TopicPermissionRow,
    write: Pattern,
    read: Pattern,
}

impl TopicPermission {
    pub fn new(row: TopicPermissionRow) -> Result<TopicPermission, PatternError> {
        let write = Pattern::new(&expanded(&row.write, &row))?;
        let read = Pattern::new(&expanded(&row.read, &row))?;
        Ok(TopicPermission { row, write, read })
    }
}

/// `{username}` and `{vhost}` stand for what they name, as in RabbitMQ; their characters mean themselves.
fn expanded(pattern: &str, row: &TopicPermissionRow) -> String {
    pattern.replace("{username}", &regex::escape(&row.user)).replace("{vhost}", &regex::escape(&row.vhost))
}

impl TopicPermissions {
    pub fn set(&mut self, permission: TopicPermission) {
        self.0.insert(permission.row.exchange.clone(), permission);
    }

    /// Whether its patterns can be read.
    pub fn check(row: &TopicPermissionRow) -> Result<(), PatternError> {
        TopicPermission::new(row.clone()).map(drop)
    }

    /// For one exchange, or for all.
    pub fn clear(&mut self, exchange: Option<&str>) {
        self.0.retain(|name, _| exchange.is_some_and(|exchange| exchange != name));
    }

    /// Whether there is something to ask about this exchange.
    pub fn has(&self, exchange: &str) -> bool {
        self.0.contains_key(exchange)
    }

    pub fn allows(&self, access: Access, exchange: &str, routing_key: &str) -> bool {
        self.0.get(exchange).is_none_or(|permission| match access {
            Access::Write => permission.write.matches(routing_key),
            Access::Read => permission.read.matches(routing_key),
            Access::Configure => true,
        })
    }

    pub fn rows(&self) -> impl Iterator<Item = &TopicPermissionRow> {
        self.0.values().map(|permission| &permission.row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(write: &str, read: &str) -> TopicPermissionRow {
        TopicPermissionRow {
            user: "a.b".into(),
            vhost: "/".into(),
            exchange: "amq.topic".into(),
            write: write.into(),
            read: read.into(),
        }
    }

    #[test]
    fn routing_keys_are_checked_where_something_is_set() {
        let mut topics = TopicPermissions::default();
        assert!(topics.allows(Access::Write, "amq.topic", "anything"));
        topics.set(TopicPermission::new(row(r"^{username}\.", "^x$")).expect("patterns"));
        assert!(topics.allows(Access::Write, "amq.topic", "a.b.c"));
        assert!(!topics.allows(Access::Write, "amq.topic", "aXb.c"), "the dot of the name is a dot");
        assert!(
            topics.allows(Access::Read, "amq.topic", "x") && !topics.allows(Access::Read, "amq.topic", "y")
        );
        assert!(topics.allows(Access::Write, "other", "y"));
        topics.clear(Some("other"));
        assert!(topics.has("amq.topic"));
        topics.clear(None);
        assert!(!topics.has("amq.topic"));
        assert!(TopicPermission::new(row("(", "")).is_err());
    }
}
