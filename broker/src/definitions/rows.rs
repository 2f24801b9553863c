//! What the definitions hold: one plain row for each durable thing, and the changes to them.

/// A virtual host: a namespace of exchanges, queues and bindings.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct VhostRow {
    pub name: String,
    pub description: String,
    pub tags: Vec<String>,
    /// The type of queues whose client does not say; `None`: classic.
    pub default_queue_type: Option<String>,
}

impl VhostRow {
    /// One of which nothing else is said.
    pub fn named(name: &str) -> VhostRow {
        VhostRow { name: name.to_owned(), ..VhostRow::default() }
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserRow {
    pub name: String,
    /// A PHC string (`$argon2id$...`); empty: this user cannot log in with a password.
    pub password_hash: String,
    /// What the user may do beyond messaging, such as `administrator`.
    pub tags: Vec<String>,
}

/// The hash is as good as a secret: it never reaches a log.
impl std::fmt::Debug for UserRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRow").field("name", &self.name).field("tags", &self.tags).finish_non_exhaustive()
    }
}

/// What a user may do in a vhost; each text is a regular expression over resource names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PermissionRow {
    pub user: String,
    pub vhost: String,
    pub configure: String,
    pub write: String,
    pub read: String,
    /// Routing keys the user may publish with on the default exchange; `None`: any.
    pub publish_keys: Option<String>,
}

/// What a user may do with routing keys on one topic exchange; each text is a regular expression over them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicPermissionRow {
    pub user: String,
    pub vhost: String,
    pub exchange: String,
    pub write: String,
    pub read: String,
}

/// How much of a vhost may be used; `None`: no limit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VhostLimitsRow {
    pub vhost: String,
    pub connections_max: Option<u64>,
    pub queues_max: Option<u64>,
}

/// How much a user may use; `None`: no limit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserLimitsRow {
    pub user: String,
    pub connections_max: Option<u64>,
    pub channels_max: Option<u64>,
}

/// What an operator wants of all queues and exchanges whose names match.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyRow {
    pub vhost: String,
    /// An operator policy, which bounds what the others say.
    pub is_operator: bool,
    pub name: String,
    /// A regular expression over names.
    pub pattern: String,
    /// `queues`, `exchanges`, `all`, `classic_queues` or `quorum_queues`.
    pub apply_to: String,
    pub priority: i64,
    /// A JSON object.
    pub definition: String,
}

/// A durable exchange.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExchangeRow {
    pub vhost: String,
    pub name: String,
    /// `direct`, `fanout`, `topic` or `headers`.
    pub kind: String,
    pub auto_delete: bool,
    pub internal: bool,
    /// An encoded AMQP field table.
    pub arguments: Vec<u8>,
}

/// A durable queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueRow {
    /// From [`super::Definitions::next_queue_id`]; never used twice, at most `i64::MAX`.
    pub id: u64,
    pub vhost: String,
    pub name: String,
    pub auto_delete: bool,
    /// The user a queue with `x-exclusive-scope: "user"` belongs to.
    pub owner: Option<String>,
    /// An encoded AMQP field table.
    pub arguments: Vec<u8>,
}

/// A binding between durable things. The whole row is its identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BindingRow {
    pub vhost: String,
    /// An exchange.
    pub source: String,
    /// A queue or an exchange.
    pub destination: String,
    pub destination_is_queue: bool,
    pub routing_key: String,
    /// An encoded AMQP field table.
    pub arguments: Vec<u8>,
}

/// Everything there is, as read when the definitions were opened. In no order that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub vhosts: Vec<VhostRow>,
    pub users: Vec<UserRow>,
    pub permissions: Vec<PermissionRow>,
    pub topic_permissions: Vec<TopicPermissionRow>,
    pub vhost_limits: Vec<VhostLimitsRow>,
    pub user_limits: Vec<UserLimitsRow>,
    pub policies: Vec<PolicyRow>,
    pub exchanges: Vec<ExchangeRow>,
    pub queues: Vec<QueueRow>,
    pub bindings: Vec<BindingRow>,
}

/// One change, applied whole or not at all.
///
/// A put inserts the row or replaces the one with the same key. Deleting what is not there succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    PutVhost(VhostRow),
    /// Deletes everything in the vhost too.
    DeleteVhost {
        name: String,
    },
    PutUser(UserRow),
    /// Deletes the user's permissions and the queues that belong to the user, with their bindings, too.
    DeleteUser {
        name: String,
    },
    PutPermission(PermissionRow),
    DeletePermission {
        user: String,
        vhost: String,
    },
    PutTopicPermission(TopicPermissionRow),
    /// Of one exchange, or of all of them.
    DeleteTopicPermissions {
        user: String,
        vhost: String,
        exchange: Option<String>,
    },
    /// Without any limit, the row goes.
    PutVhostLimits(VhostLimitsRow),
    /// Without any limit, the row goes.
    PutUserLimits(UserLimitsRow),
    PutPolicy(PolicyRow),
    DeletePolicy {
        vhost: String,
        is_operator: bool,
        name: String,
    },
    PutExchange(ExchangeRow),
    /// Deletes the bindings from and to the exchange too.
    DeleteExchange {
        vhost: String,
        name: String,
    },
    PutQueue(QueueRow),
    /// Deletes the bindings to the queue too.
    DeleteQueue {
        id: u64,
    },
    PutBinding(BindingRow),
    DeleteBinding(BindingRow),
    /// All of them or none.
    Batch(Vec<Change>),
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Change::PutVhost(VhostRow { name, .. }) => write!(f, "put vhost '{name}'"),
            Change::DeleteVhost { name } => write!(f, "delete vhost '{name}'"),
            Change::PutUser(row) => write!(f, "put user '{}'", row.name),
            Change::DeleteUser { name } => write!(f, "delete user '{name}'"),
            Change::PutPermission(PermissionRow { user, vhost, .. }) => {
                write!(f, "put permissions of user '{user}' in vhost '{vhost}'")
            }
            Change::DeletePermission { user, vhost } => {
                write!(f, "delete permissions of user '{user}' in vhost '{vhost}'")
            }
            Change::PutTopicPermission(TopicPermissionRow { user, vhost, exchange, .. }) => {
                write!(
                    f,
                    "put topic permissions of user '{user}' for exchange '{exchange}' in vhost '{vhost}'"
                )
            }
            Change::DeleteTopicPermissions { user, vhost, exchange } => {
                let exchange = exchange.as_deref().unwrap_or("all of them");
                write!(
                    f,
                    "delete topic permissions of user '{user}' in vhost '{vhost}' for exchange '{exchange}'"
                )
            }
            Change::PutVhostLimits(VhostLimitsRow { vhost, .. }) => {
                write!(f, "put limits of vhost '{vhost}'")
            }
            Change::PutUserLimits(UserLimitsRow { user, .. }) => write!(f, "put limits of user '{user}'"),
            Change::PutPolicy(PolicyRow { vhost, name, .. }) => {
                write!(f, "put policy '{name}' in vhost '{vhost}'")
            }
            Change::DeletePolicy { vhost, name, .. } => {
                write!(f, "delete policy '{name}' in vhost '{vhost}'")
            }
            Change::PutExchange(ExchangeRow { vhost, name, .. }) => {
                write!(f, "put exchange '{name}' in vhost '{vhost}'")
            }
            Change::DeleteExchange { vhost, name } => {
                write!(f, "delete exchange '{name}' in vhost '{vhost}'")
            }
            Change::PutQueue(QueueRow { id, vhost, name, .. }) => {
                write!(f, "put queue '{name}' (id {id}) in vhost '{vhost}'")
            }
            Change::DeleteQueue { id } => write!(f, "delete the queue with id {id}"),
            Change::PutBinding(row) => write!(f, "put binding {row}"),
            Change::DeleteBinding(row) => write!(f, "delete binding {row}"),
            Change::Batch(changes) => {
                let changes: Vec<_> = changes.iter().map(Change::to_string).collect();
                f.write_str(&changes.join(", "))
            }
        }
    }
}

impl std::fmt::Display for BindingRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.destination_is_queue { "queue" } else { "exchange" };
        write!(
            f,
            "from exchange '{}' to {kind} '{}' with key '{}' in vhost '{}'",
            self.source, self.destination, self.routing_key, self.vhost
        )
    }
}
