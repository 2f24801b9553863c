//! Policies: what operators want of all queues and exchanges whose names match. Pure.
//!
//! Of the policies of a vhost at most one counts for a thing, the one with the highest priority; and of its operator
//! policies at most one, which bounds the other. As in RabbitMQ.

mod definition;
mod inert;

use std::fmt;

pub use definition::Definition;

use crate::auth::{Pattern, PatternError};
use crate::definitions::PolicyRow;
use crate::queue::QueueType;

/// A policy that was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("a policy needs a name without control characters")]
    BadName,
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(
        "a policy cannot be applied to '{0}'; give queues, classic_queues, quorum_queues, exchanges or all"
    )]
    ApplyTo(String),
    #[error("the definition '{text}' is not a JSON object such as {{\"max-length\": 1000}}: {why}")]
    NotAnObject { text: String, why: String },
    #[error("the definition sets nothing")]
    Empty,
    #[error("unknown key '{key}'; there are {known}")]
    UnknownKey { key: String, known: String },
    #[error("'{key}' can be set by arguments of queue.declare only; policies have {known}")]
    ArgumentOnly { key: String, known: String },
    #[error("'{key}' has to be {wanted}, not {value}")]
    Value { key: String, value: String, wanted: String },
}

/// What a policy is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyTo {
    Queues,
    ClassicQueues,
    QuorumQueues,
    Exchanges,
    All,
}

impl ApplyTo {
    const NAMES: [(&'static str, ApplyTo); 5] = [
        ("queues", ApplyTo::Queues),
        ("classic_queues", ApplyTo::ClassicQueues),
        ("quorum_queues", ApplyTo::QuorumQueues),
        ("exchanges", ApplyTo::Exchanges),
        ("all", ApplyTo::All),
    ];

    pub fn parse(name: &str) -> Option<ApplyTo> {
        ApplyTo::NAMES.iter().find(|(known, _)| *known == name).map(|&(_, apply_to)| apply_to)
    }

    fn covers(self, subject: Subject) -> bool {
        match subject {
            Subject::Exchange => matches!(self, ApplyTo::Exchanges | ApplyTo::All),
            Subject::Queue(QueueType::Classic) => {
                matches!(self, ApplyTo::Queues | ApplyTo::ClassicQueues | ApplyTo::All)
            }
            Subject::Queue(QueueType::Quorum) => {
                matches!(self, ApplyTo::Queues | ApplyTo::QuorumQueues | ApplyTo::All)
            }
        }
    }
}

impl fmt::Display for ApplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ApplyTo::NAMES.iter().find(|(_, apply_to)| apply_to == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// What a policy may count for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Queue(QueueType),
    Exchange,
}

#[derive(Debug, Clone)]
pub struct Policy {
    pub is_operator: bool,
    pub name: String,
    pub pattern: Pattern,
    pub apply_to: ApplyTo,
    pub priority: i64,
    pub definition: Definition,
}

impl Policy {
    pub fn new(row: &PolicyRow) -> Result<Policy, PolicyError> {
        if row.name.is_empty() || row.name.contains(char::is_control) {
            return Err(PolicyError::BadName);
        }
        let apply_to =
            ApplyTo::parse(&row.apply_to).ok_or_else(|| PolicyError::ApplyTo(row.apply_to.clone()))?;
        // The empty expression matches everywhere; only permissions read it as nothing.
        let pattern = if row.pattern.is_empty() { ".*" } else { &row.pattern };
        Ok(Policy {
            is_operator: row.is_operator,
            name: row.name.clone(),
            pattern: Pattern::new(pattern)?,
            apply_to,
            priority: row.priority,
            definition: Definition::parse(&row.definition, row.is_operator)?,
        })
    }

    fn counts_for(&self, subject: Subject, name: &str) -> bool {
        self.apply_to.covers(subject) && self.pattern.matches(name)
    }
}

/// The policies of a vhost.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    /// The highest priority first, then by name.
    policies: Vec<Policy>,
}

/// What counts for one thing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Matching<'a> {
    pub policy: Option<&'a Policy>,
    pub operator: Option<&'a Policy>,
}

impl Matching<'_> {
    /// What the thing gets from both.
    pub fn definition(&self) -> Definition {
        let policy = self.policy.map(|policy| &policy.definition);
        match (policy, self.operator) {
            (None, None) => Definition::default(),
            (Some(policy), None) => policy.clone(),
            (policy, Some(operator)) => policy.unwrap_or(&Definition::default()).under(&operator.definition),
        }
    }
}

impl PolicySet {
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Adds it, or replaces the one of the same name.
    pub fn set(&mut self, policy: Policy) {
        self.clear(policy.is_operator, &policy.name);
        self.policies.push(policy);
        self.policies.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
    }

    /// False when there is none of that name.
    pub fn clear(&mut self, is_operator: bool, name: &str) -> bool {
        let before = self.policies.len();
        self.policies.retain(|policy| policy.is_operator != is_operator || policy.name != name);
        self.policies.len() < before
    }

    pub fn matching(&self, subject: Subject, name: &str) -> Matching<'_> {
        let find = |is_operator| {
            let mut kind = self.policies.iter().filter(|policy| policy.is_operator == is_operator);
            kind.find(|policy| policy.counts_for(subject, name))
        };
        Matching { policy: find(false), operator: find(true) }
    }

    /// In the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, pattern: &str, apply_to: &str, priority: i64) -> PolicyRow {
        PolicyRow {
            vhost: "/".into(),
            is_operator: false,
            name: name.into(),
            pattern: pattern.into(),
            apply_to: apply_to.into(),
            priority,
            definition: format!(r#"{{"max-length": {}}}"#, priority.unsigned_abs()),
        }
    }

    fn set(rows: &[PolicyRow]) -> PolicySet {
        let mut set = PolicySet::default();
        rows.iter().for_each(|row| set.set(Policy::new(row).expect("a policy")));
        set
    }

    const CLASSIC: Subject = Subject::Queue(QueueType::Classic);
    const QUORUM: Subject = Subject::Queue(QueueType::Quorum);

    fn found<'a>(set: &'a PolicySet, subject: Subject, name: &str) -> Option<&'a str> {
        set.matching(subject, name).policy.map(|policy| &*policy.name)
    }

    #[test]
    fn the_highest_priority_that_matches_counts() {
        let set = set(&[
            row("low", "", "all", -1),
            row("b", "^a", "queues", 5),
            row("a", "^a", "queues", 5),
            row("high", "^ab", "classic_queues", 9),
            row("exchanges", "^a", "exchanges", 7),
        ]);
        assert_eq!(found(&set, CLASSIC, "x"), Some("low"));
        assert_eq!(found(&set, CLASSIC, "a"), Some("a"), "of equals the first by name");
        assert_eq!(found(&set, CLASSIC, "ab"), Some("high"));
        assert_eq!(found(&set, QUORUM, "ab"), Some("a"));
        assert_eq!(found(&set, Subject::Exchange, "ab"), Some("exchanges"));
        assert_eq!(found(&set, Subject::Exchange, "b"), Some("low"));
        assert_eq!(set.matching(CLASSIC, "ab").definition().limits.length_max, Some(9));
    }

    #[test]
    fn operator_policies_are_a_list_of_their_own() {
        let mut set = set(&[row("p", "^q$", "queues", 8)]);
        let operator = PolicyRow { is_operator: true, ..row("p", "", "queues", 5) };
        set.set(Policy::new(&operator).expect("a policy"));
        assert_eq!(set.matching(CLASSIC, "q").definition().limits.length_max, Some(5));
        assert_eq!(set.matching(CLASSIC, "r").definition().limits.length_max, Some(5));
        assert!(set.clear(true, "p"));
        assert!(!set.clear(true, "p"));
        assert_eq!(set.matching(CLASSIC, "q").definition().limits.length_max, Some(8));
        assert_eq!(set.matching(CLASSIC, "r").definition(), Definition::default());
    }

    #[test]
    fn one_of_the_same_name_is_replaced() {
        let set = set(&[row("p", "^a", "queues", 1), row("p", "^b", "queues", 2)]);
        assert_eq!((found(&set, CLASSIC, "a"), found(&set, CLASSIC, "b")), (None, Some("p")));
        assert_eq!(set.iter().count(), 1);
    }

    #[test]
    fn mistakes_are_named() {
        let error = |row: PolicyRow| Policy::new(&row).expect_err("wrong").to_string();
        assert!(error(row("p", "", "streams", 0)).contains("cannot be applied to 'streams'; give queues, "));
        assert!(error(row("p", "(", "all", 0)).contains("the pattern '(' is not a regular expression"));
        assert!(error(row("", "", "all", 0)).contains("needs a name"));
    }
}
