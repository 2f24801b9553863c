//! `list_users`, `list_vhosts`, `list_permissions`, `list_user_permissions`

use std::sync::Arc;

use serde_json::json;

use crate::auth::User;
use crate::broker::Broker;
use crate::definitions::PermissionRow;
use crate::management::reply::Failure;
use crate::queue::QueueType;
use crate::vhost::Vhost;

use super::{Column, Table, column, limits};

pub const USERS: Table<Arc<User>> = Table { columns: &USER_COLUMNS, usual: &["user", "tags"] };

const USER_COLUMNS: [Column<Arc<User>>; 4] = [
    column("user", |user| json!(user.name())),
    column("tags", |user| json!(user.tags())),
    column("connections", |user| json!(user.connections().taken())),
    column("channels", |user| json!(user.channels().taken())),
];

/// As RabbitMQ's management plugin names them. Without hashes of passwords: who may see users is not to be able to
/// guess at them.
pub const API_USERS: &[Column<Arc<User>>] = &[
    column("name", |user| json!(user.name())),
    column("tags", |user| json!(user.tags())),
    column("limits", |user| limits::show_of_user(user)),
];

pub fn users(broker: &Broker) -> impl Iterator<Item = Arc<User>> + use<> {
    broker.authority.list_users().into_iter()
}

pub const VHOSTS: Table<Arc<Vhost>> = Table { columns: &VHOST_COLUMNS, usual: &["name"] };

const VHOST_COLUMNS: [Column<Arc<Vhost>>; 8] = [
    column("name", |vhost| json!(&*vhost.name)),
    column("description", |vhost| json!(vhost.metadata().description)),
    column("tags", |vhost| json!(vhost.metadata().tags)),
    column("default_queue_type", |vhost| json!(vhost.metadata().default_queue_type.map(QueueType::name))),
    column("tracing", |vhost| json!(vhost.is_traced())),
    column("queues", |vhost| json!(vhost.read().queues.len())),
    column("connections", |vhost| json!(vhost.connections.taken())),
    column("exchanges", |vhost| json!(vhost.read().exchanges.len())),
];

/// As RabbitMQ's management plugin has it.
pub const API_VHOSTS: &[Column<Arc<Vhost>>] = &[
    VHOST_COLUMNS[0],
    VHOST_COLUMNS[1],
    VHOST_COLUMNS[2],
    VHOST_COLUMNS[3],
    VHOST_COLUMNS[4],
    VHOST_COLUMNS[5],
    VHOST_COLUMNS[6],
    VHOST_COLUMNS[7],
    column("metadata", |vhost| {
        let metadata = vhost.metadata();
        json!({"description": metadata.description, "tags": metadata.tags})
    }),
];

pub fn vhosts(broker: &Broker) -> impl Iterator<Item = Arc<Vhost>> + use<> {
    broker.vhosts().into_iter()
}

pub const PERMISSIONS: Table<PermissionRow> =
    Table { columns: &PERMISSION_COLUMNS, usual: &["user", "configure", "write", "read", "publish_keys"] };

pub const USER_PERMISSIONS: Table<PermissionRow> =
    Table { columns: &PERMISSION_COLUMNS, usual: &["vhost", "configure", "write", "read", "publish_keys"] };

const PERMISSION_COLUMNS: [Column<PermissionRow>; 6] = [
    column("user", |row| json!(row.user)),
    column("vhost", |row| json!(row.vhost)),
    column("configure", |row| json!(row.configure)),
    column("write", |row| json!(row.write)),
    column("read", |row| json!(row.read)),
    column("publish_keys", |row| json!(row.publish_keys)),
];

pub fn permissions_in(broker: &Broker, vhost: &str) -> impl Iterator<Item = PermissionRow> + use<> {
    let vhost = vhost.to_owned();
    broker.authority.list_permissions().into_iter().filter(move |row| row.vhost == vhost)
}

pub fn permission(broker: &Broker, vhost: &str, user: &str) -> Option<PermissionRow> {
    permissions_in(broker, vhost).find(|row| row.user == user)
}

pub fn find(broker: &Broker, user: &str) -> Result<Arc<User>, Failure> {
    let found = broker.authority.user(user);
    found.ok_or_else(|| Failure::new(format!("there is no user '{user}'; see list_users")))
}

pub fn permissions_of(
    broker: &Broker,
    user: &str,
) -> Result<impl Iterator<Item = PermissionRow> + use<>, Failure> {
    find(broker, user)?;
    let user = user.to_owned();
    Ok(broker.authority.list_permissions().into_iter().filter(move |row| row.user == user))
}
