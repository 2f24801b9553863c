//! `list_topic_permissions`, `list_vhost_limits`, `list_user_limits`

use serde_json::{Value, json};

use crate::auth::User;
use crate::broker::Broker;
use crate::definitions::{TopicPermissionRow, UserLimitsRow, VhostLimitsRow};
use crate::management::limits::{OF_USER, OF_VHOST, show};

use super::{Column, Table, column};

pub const TOPICS: Table<TopicPermissionRow> =
    Table { columns: &TOPIC_COLUMNS, usual: &["user", "exchange", "write", "read"] };

pub const USER_TOPICS: Table<TopicPermissionRow> =
    Table { columns: &TOPIC_COLUMNS, usual: &["vhost", "exchange", "write", "read"] };

const TOPIC_COLUMNS: [Column<TopicPermissionRow>; 5] = [
    column("user", |row| json!(row.user)),
    column("vhost", |row| json!(row.vhost)),
    column("exchange", |row| json!(row.exchange)),
    column("write", |row| json!(row.write)),
    column("read", |row| json!(row.read)),
];

/// Those that `which` picks.
pub fn topics(
    broker: &Broker,
    which: impl Fn(&TopicPermissionRow) -> bool,
) -> impl Iterator<Item = TopicPermissionRow> {
    broker.authority.list_topic_permissions().into_iter().filter(which)
}

pub const VHOST_LIMITS: Table<VhostLimitsRow> =
    Table { columns: &VHOST_COLUMNS, usual: &["vhost", "limits"] };

const VHOST_COLUMNS: [Column<VhostLimitsRow>; 2] =
    [column("vhost", |row| json!(row.vhost)), column("limits", of_vhost)];

fn of_vhost(row: &VhostLimitsRow) -> Value {
    show(OF_VHOST, [row.connections_max, row.queues_max])
}

pub fn show_of_user(user: &User) -> Value {
    show(OF_USER, [user.connections().max(), user.channels().max()])
}

/// As RabbitMQ's management plugin names them.
pub const API_VHOSTS: &[Column<VhostLimitsRow>] =
    &[column("vhost", |row| json!(row.vhost)), column("value", of_vhost)];

/// As RabbitMQ's management plugin names them.
pub const API_USERS: &[Column<UserLimitsRow>] =
    &[column("user", |row| json!(row.user)), column("value", of_user)];

/// Of one vhost, or of all that have any.
pub fn vhosts(broker: &Broker, vhost: Option<&str>) -> impl Iterator<Item = VhostLimitsRow> {
    let rows = broker.vhosts().into_iter().map(|vhost| vhost.limits());
    rows.filter(move |row| match vhost {
        Some(name) => row.vhost == name,
        None => row.connections_max.is_some() || row.queues_max.is_some(),
    })
}

pub const USER_LIMITS: Table<UserLimitsRow> = Table { columns: &USER_COLUMNS, usual: &["user", "limits"] };

const USER_COLUMNS: [Column<UserLimitsRow>; 2] =
    [column("user", |row| json!(row.user)), column("limits", of_user)];

fn of_user(row: &UserLimitsRow) -> Value {
    show(OF_USER, [row.connections_max, row.channels_max])
}

/// Of one user, or of all who have any.
pub fn users(broker: &Broker, user: Option<&str>) -> impl Iterator<Item = UserLimitsRow> {
    broker.authority.list_limits().into_iter().filter(move |row| match user {
        Some(name) => row.user == name,
        None => row.connections_max.is_some() || row.channels_max.is_some(),
    })
}
