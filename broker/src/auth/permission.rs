//! What a user may do in a vhost: regular expressions over the names of exchanges and queues. Pure.
//!
//! As in RabbitMQ a pattern matches anywhere in the name unless it is anchored (`^friend\.` is a prefix, `friend`
//! matches `my-friend` too), and the empty pattern matches nothing.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::Look;

/// The name the default exchange (`""`) goes by in permissions.
pub const DEFAULT_EXCHANGE: &str = "amq.default";

/// A compiled pattern may take this much memory; `a{1000}{1000}` may not.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// The three kinds of permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Create and delete.
    Configure,
    /// Put messages in.
    Write,
    /// Take messages out.
    Read,
}

/// A regular expression over names.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Arc<str>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// The empty pattern: only the empty name, which no resource has.
    Nothing,
    /// `.*`, which most users have: no expression is run.
    Everything,
    Regex(Regex),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("the pattern '{pattern}' is not a regular expression: {problem} at character {position}")]
    Syntax {
        pattern: String,
        /// Counts characters from 1.
        position: usize,
        problem: String,
    },
    #[error("the pattern '{pattern}' is too large when compiled; use smaller repetitions")]
    TooLarge { pattern: String },
}

impl Pattern {
    pub fn new(pattern: &str) -> Result<Pattern, PatternError> {
        let kind = match pattern {
            "" => Kind::Nothing,
            // All of these match at the first position of any name.
            ".*" | "^.*" => Kind::Everything,
            _ => Kind::Regex(compile(pattern)?),
        };
        Ok(Pattern { text: pattern.into(), kind })
    }

    pub fn matches(&self, name: &str) -> bool {
        match &self.kind {
            Kind::Nothing => name.is_empty(),
            Kind::Everything => true,
            Kind::Regex(regex) => regex.is_match(name),
        }
    }

    /// As it was set.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a match may begin in the middle of a name, which is seldom what was meant.
    pub fn is_unanchored(&self) -> bool {
        match &self.kind {
            Kind::Nothing | Kind::Everything => false,
            Kind::Regex(regex) => regex_syntax::parse(regex.as_str())
                .is_ok_and(|hir| !hir.properties().look_set_prefix().contains(Look::Start)),
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, PatternError> {
    // For the position: the error of `regex` has it only in a drawing over several lines.
    if let Err(error) = regex_syntax::parse(pattern) {
        return Err(syntax_error(pattern, &error));
    }
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|_| PatternError::TooLarge { pattern: pattern.into() })
}

fn syntax_error(pattern: &str, error: &regex_syntax::Error) -> PatternError {
    let (offset, problem) = match error {
        regex_syntax::Error::Parse(e) => (e.span().start.offset, e.kind().to_string()),
        regex_syntax::Error::Translate(e) => (e.span().start.offset, e.kind().to_string()),
        _ => (0, "it cannot be parsed".to_owned()),
    };
    let position = pattern.get(..offset).map_or(0, |before| before.chars().count()) + 1;
    PatternError::Syntax { pattern: pattern.into(), position, problem }
}

/// The permissions of one user in one vhost.
#[derive(Clone, Debug)]
pub struct Permission {
    pub configure: Pattern,
    pub write: Pattern,
    pub read: Pattern,
    /// The routing keys that may be published with on the default exchange, where the routing key is the name of
    /// the queue; `None`: any.
    pub publish_keys: Option<Pattern>,
}

impl Permission {
    pub fn new(
        configure: &str,
        write: &str,
        read: &str,
        publish_keys: Option<&str>,
    ) -> Result<Permission, PatternError> {
        Ok(Permission {
            configure: Pattern::new(configure)?,
            write: Pattern::new(write)?,
            read: Pattern::new(read)?,
            publish_keys: publish_keys.map(Pattern::new).transpose()?,
        })
    }

    /// Everything: `.*` three times.
    pub fn full() -> Permission {
        let everything = Pattern { text: ".*".into(), kind: Kind::Everything };
        Permission {
            configure: everything.clone(),
            write: everything.clone(),
            read: everything,
            publish_keys: None,
        }
    }

    /// Whether `access` to the exchange or queue called `resource` is allowed. The name of the default exchange may
    /// be given as `""` or as [`DEFAULT_EXCHANGE`].
    pub fn allows(&self, access: Access, resource: &str) -> bool {
        let resource = resource_name(resource);
        match access {
            Access::Configure => self.configure.matches(resource),
            Access::Write => self.write.matches(resource),
            Access::Read => self.read.matches(resource),
        }
    }

    /// Whether any access at all to `resource` is allowed, as a passive declare needs.
    pub fn allows_any(&self, resource: &str) -> bool {
        [Access::Configure, Access::Write, Access::Read].iter().any(|&access| self.allows(access, resource))
    }

    /// Whether a message may be published on `exchange` with `routing_key`. Covers the write permission. Each key
    /// of a CC or BCC header needs its own call.
    pub fn may_publish(&self, exchange: &str, routing_key: &str) -> bool {
        self.allows(Access::Write, exchange) && self.may_address(exchange, routing_key)
    }

    /// The part of [`Permission::may_publish`] that depends on the routing key.
    pub fn may_address(&self, exchange: &str, routing_key: &str) -> bool {
        match &self.publish_keys {
            Some(keys) if exchange.is_empty() => keys.matches(routing_key),
            _ => true,
        }
    }

    /// The kinds of permission whose patterns are unanchored, with the pattern.
    pub fn unanchored(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("configure", Some(&self.configure)),
            ("write", Some(&self.write)),
            ("read", Some(&self.read)),
            ("publish_keys", self.publish_keys.as_ref()),
        ]
        .into_iter()
        .filter_map(|(kind, pattern)| pattern.map(|pattern| (kind, pattern)))
        .filter(|(_, pattern)| pattern.is_unanchored())
        .map(|(kind, pattern)| (kind, pattern.text()))
    }
}

/// The name permissions know an exchange or queue by.
pub fn resource_name(name: &str) -> &str {
    if name.is_empty() { DEFAULT_EXCHANGE } else { name }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(name)
    }

    #[test]
    fn patterns_match_as_in_rabbitmq() {
        for (pattern, name, expected) in [
            // Unanchored.
            ("friend", "friend", true),
            ("friend", "my-friends", true),
            ("^friend", "my-friends", false),
            ("friend$", "my-friend", true),
            ("^friend$", "friends", false),
            // Case matters.
            ("^friend", "Friend", false),
            // The empty pattern matches no resource.
            ("", "", true),
            ("", "a", false),
            ("^$", "", true),
            ("^$", "a", false),
            // Everything.
            (".*", "", true),
            (".*", "anything", true),
            (".*", "two\nlines", true),
            ("^.*", "two\nlines", true),
            ("^.*$", "anything", true),
            // Alternation binds weaker than an anchor, which surprises people.
            ("^a|b$", "axx", true),
            ("^a|b$", "xxb", true),
            ("^(a|b)$", "axx", false),
            // Not only ASCII.
            ("^zo.$", "zoë", true),
            (r"^friend\.", "friendX", false),
            (r"^friend\.", "friend.1", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "'{pattern}' on '{name}'");
        }
    }

    #[test]
    fn an_end_anchor_does_not_overlook_a_newline() {
        assert!(!matches("^friends$", "friends\n"));
    }

    #[test]
    fn an_invalid_pattern_is_named_with_the_position() {
        for (pattern, position, problem) in [
            ("^(inbox|friend", 2, "unclosed group"),
            ("a**[", 4, "unclosed character class"),
            ("é(", 2, "unclosed group"),
            ("(?=x)", 1, "look-around, including look-ahead and look-behind, is not supported"),
            (r"(a)\1", 4, "backreferences are not supported"),
            (r"\p{Nonsense}", 1, "Unicode property not found"),
        ] {
            let Err(PatternError::Syntax { pattern: named, position: at, problem: what }) =
                Pattern::new(pattern)
            else {
                panic!("'{pattern}' was accepted")
            };
            assert_eq!((&*named, at, &*what), (pattern, position, problem));
        }
        let error = Pattern::new("a{1000}{1000}{1000}").unwrap_err();
        assert!(matches!(error, PatternError::TooLarge { .. }), "{error}");
        let error = Pattern::new("x(").unwrap_err().to_string();
        assert_eq!(error, "the pattern 'x(' is not a regular expression: unclosed group at character 2");
    }

    #[test]
    fn unanchored_patterns_are_told_from_anchored_ones() {
        for anchored in ["", ".*", "^.*", "^a", "^a$", "^(a|b)", "^a|^b", r"\Aa", "^$"] {
            assert!(!Pattern::new(anchored).unwrap().is_unanchored(), "{anchored}");
        }
        for unanchored in ["a", "a$", "a|^b", "^a|b", "(a)", "x*^a|b", "(?m)^a"] {
            assert!(Pattern::new(unanchored).unwrap().is_unanchored(), "{unanchored}");
        }
    }

    #[test]
    fn unanchored_patterns_of_a_permission_are_listed_by_kind() {
        let permission = Permission::new("^a", "b", ".*", Some("c")).unwrap();
        assert_eq!(permission.unanchored().collect::<Vec<_>>(), [("write", "b"), ("publish_keys", "c")]);
    }

    #[test]
    fn each_access_has_its_own_pattern() {
        let permission = Permission::new("^c", "^w", "^r", None).unwrap();
        for (access, name) in [(Access::Configure, "c"), (Access::Write, "w"), (Access::Read, "r")] {
            for other in ["c", "w", "r"] {
                assert_eq!(permission.allows(access, other), other == name, "{access:?} {other}");
            }
            assert!(permission.allows_any(name));
        }
        assert!(!permission.allows_any("x"));
    }

    #[test]
    fn the_default_exchange_goes_by_its_own_name() {
        let permission = Permission::new("", r"^amq\.default$", "", None).unwrap();
        assert!(permission.allows(Access::Write, ""));
        assert!(permission.allows(Access::Write, "amq.default"));
        assert!(!permission.allows(Access::Read, ""), "the empty pattern must not open the default exchange");
        assert!(!permission.allows(Access::Configure, ""));
    }

    #[test]
    fn a_chat_user_reaches_friends_and_the_friends_exchange_alone() {
        let own = r"^(inbox|friend|reply)\.";
        let permission = Permission::new(own, r"^(friends|amq\.default)$", own, Some(r"^friend\.")).unwrap();
        assert!(permission.may_publish("friends", "anything"));
        assert!(permission.may_publish("", "friend.1"));
        assert!(!permission.may_publish("", "inbox.bob"), "inboxes are for the friend servers");
        assert!(!permission.may_publish("", "friends.secret"));
        assert!(!permission.may_publish("", "my-friend.1"));
        assert!(!permission.may_publish("amq.direct", "friend.1"));
        assert!(
            permission.allows(Access::Read, "friend.1") && permission.allows(Access::Configure, "inbox.x")
        );
        assert!(!permission.allows(Access::Read, "friends"), "never bind to the exchange");
        assert!(!permission.allows(Access::Write, "friend.1"), "never bind a queue");
    }

    #[test]
    fn publish_keys_are_about_the_default_exchange_alone() {
        let permission = Permission::new("", ".*", "", Some("^a")).unwrap();
        assert!(permission.may_publish("x", "b"));
        assert!(!permission.may_publish("", "b"));
        let permission = Permission::new("", "^x$", "", None).unwrap();
        assert!(!permission.may_publish("", "a"), "the write permission is needed too");
        assert!(Permission::full().may_publish("", "anything"));
    }

    /// Texts with many of the characters that mean something in a pattern.
    fn pattern_text() -> impl Strategy<Value = String> {
        prop_oneof!["[a-c.*+?^$|(){}\\[\\]\\\\é-]{0,12}", ".{0,12}"]
    }

    proptest! {
        #[test]
        fn no_pattern_panics_and_an_error_points_into_it(text in pattern_text(), name in ".{0,12}") {
            match Pattern::new(&text) {
                Ok(pattern) => {
                    let _ = (pattern.is_unanchored(), pattern.matches(&name));
                    prop_assert_eq!(pattern.text(), text);
                }
                Err(PatternError::Syntax { position, .. }) => {
                    prop_assert!((1..=text.chars().count() + 1).contains(&position));
                    prop_assert!(Regex::new(&text).is_err());
                }
                Err(PatternError::TooLarge { .. }) => {}
            }
        }

        /// The shortcuts change nothing: they agree with the expression they stand for.
        #[test]
        fn shortcuts_agree_with_the_expression(name in "(?s).{0,12}") {
            for text in [".*", "^.*"] {
                prop_assert_eq!(matches(text, &name), Regex::new(text).unwrap().is_match(&name));
            }
            prop_assert_eq!(matches("", &name), Regex::new("^$").unwrap().is_match(&name));
        }

        #[test]
        fn an_anchored_literal_is_a_prefix(prefix in "[a-z]{1,4}", name in "[a-z]{0,8}") {
            prop_assert_eq!(matches(&format!("^{prefix}"), &name), name.starts_with(&prefix));
            prop_assert_eq!(matches(&prefix, &name), name.contains(&prefix));
            prop_assert_eq!(matches(&format!("^{prefix}$"), &name), name == prefix);
        }
    }
}
