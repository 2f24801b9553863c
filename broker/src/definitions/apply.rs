//! One change as SQL. The caller holds the transaction.

use rusqlite::{Connection, params};

use super::rows::*;

/// Applies `change` whole, or returns an error and leaves the transaction as it was.
pub(super) fn apply(connection: &Connection, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::PutVhost(row) => put_vhost(connection, row),
        Change::DeleteVhost { name } => execute(connection, "DELETE FROM vhosts WHERE name = ?1", [name]),
        Change::PutUser(row) => put_user(connection, row),
        Change::DeleteUser { name } => execute(connection, "DELETE FROM users WHERE name = ?1", [name]),
        Change::PutPermission(row) => put_permission(connection, row),
        Change::DeletePermission { user, vhost } => {
            execute(connection, "DELETE FROM permissions WHERE user = ?1 AND vhost = ?2", [user, vhost])
        }
        Change::PutTopicPermission(row) => put_topic_permission(connection, row),
        Change::DeleteTopicPermissions { user, vhost, exchange } => execute(
            connection,
            "DELETE FROM topic_permissions WHERE user = ?1 AND vhost = ?2 AND exchange = ifnull(?3, exchange)",
            params![user, vhost, exchange],
        ),
        Change::PutVhostLimits(row) => put_vhost_limits(connection, row),
        Change::PutUserLimits(row) => put_user_limits(connection, row),
        Change::PutPolicy(row) => put_policy(connection, row),
        Change::DeletePolicy { vhost, is_operator, name } => execute(
            connection,
            "DELETE FROM policies WHERE vhost = ?1 AND is_operator = ?2 AND name = ?3",
            params![vhost, is_operator, name],
        ),
        Change::PutExchange(row) => put_exchange(connection, row),
        Change::DeleteExchange { vhost, name } => delete_exchange(connection, vhost, name),
        Change::PutQueue(row) => put_queue(connection, row),
        Change::DeleteQueue { id } => execute(connection, "DELETE FROM queues WHERE id = ?1", [id]),
        Change::PutBinding(row) => put_binding(connection, row),
        Change::DeleteBinding(row) => delete_binding(connection, row),
        Change::Batch(changes) => batch(connection, changes),
    }
}

fn execute(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(params).map(|_| ())
}

fn put_vhost(connection: &Connection, row: &VhostRow) -> rusqlite::Result<()> {
    execute(
        connection,
        "INSERT INTO vhosts (name, description, tags, default_queue_type) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET description = excluded.description, tags = excluded.tags,
         default_queue_type = excluded.default_queue_type",
        params![row.name, row.description, serde_json::json!(row.tags).to_string(), row.default_queue_type],
    )
}

// Never INSERT OR REPLACE where rows hang on the row: it deletes the old one first, and they go with it.
fn put_user(connection: &Connection, row: &UserRow) -> rusqlite::Result<()> {
    execute(
        connection,
        "INSERT INTO users (name, password_hash, tags) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET password_hash = excluded.password_hash, tags = excluded.tags",
        params![row.name, row.password_hash, serde_json::json!(row.tags).to_string()],
    )
}

fn put_permission(connection: &Connection, row: &PermissionRow) -> rusqlite::Result<()> {
    execute(
        connection,
        "INSERT OR REPLACE INTO permissions (user, vhost, configure, write, read, publish_keys)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![row.user, row.vhost, row.configure, row.write, row.read, row.publish_keys],
    )
}

fn put_topic_permission(connection: &Connection, row: &TopicPermissionRow) -> rusqlite::Result<()> {
    execute(
        connection,
        "INSERT OR REPLACE INTO topic_permissions (user, vhost, exchange, write, read)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![row.user, row.vhost, row.exchange, row.write, row.read],
    )
}

fn put_vhost_limits(connection: &Connection, row: &VhostLimitsRow) -> rusqlite::Result<()> {
    if row.connections_max.is_none() && row.queues_max.is_none() {
        return execute(connection, "DELETE FROM vhost_limits WHERE vhost = ?1", [&row.vhost]);
    }
    execute(
        connection,
        "INSERT OR REPLACE INTO vhost_limits (vhost, connections_max, queues_max) VALUES (?1, ?2, ?3)",
        params![row.vhost, row.connections_max, row.queues_max],
    )
}

fn put_user_limits(connection: &Connection, row: &UserLimitsRow) -> rusqlite::Result<()> {
    if row.connections_max.is_none() && row.channels_max.is_none() {
        return execute(connection, "DELETE FROM user_limits WHERE user = ?1", [&row.user]);
    }
    execute(
        connection,
        "INSERT OR REPLACE INTO user_limits (user, connections_max, channels_max) VALUES (?1, ?2, ?3)",
        params![row.user, row.connections_max, row.channels_max],
    )
}

fn put_policy(connection: &Connection, row: &PolicyRow) -> rusqlite::Result<()> {
    execute(
        connection,
        "INSERT OR REPLACE INTO policies (vhost, is_operator, name, pattern, apply_to, priority, definition)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            row.vhost,
            row.is_operator,
            row.name,
            row.pattern,
            row.apply_to,
            row.priority,
            row.definition
        ],
    )
}

fn put_exchange(connection: &Connection, row: &ExchangeRow) -> rusqlite::Result<()> {
    execute(
        connection,
        "INSERT OR REPLACE INTO exchanges (vhost, name, kind, auto_delete, internal, arguments)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![row.vhost, row.name, row.kind, row.auto_delete, row.internal, row.arguments],
    )
}

fn delete_exchange(connection: &Connection, vhost: &str, name: &str) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM bindings WHERE vhost = ?1 AND source = ?2",
        "DELETE FROM bindings WHERE vhost = ?1 AND exchange = ?2",
        "DELETE FROM exchanges WHERE vhost = ?1 AND name = ?2",
    ] {
        execute(connection, sql, [vhost, name])?;
    }
    Ok(())
}

fn put_queue(connection: &Connection, row: &QueueRow) -> rusqlite::Result<()> {
    execute(
        connection,
        "INSERT INTO queues (id, vhost, name, auto_delete, owner, arguments) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET vhost = excluded.vhost, name = excluded.name,
         auto_delete = excluded.auto_delete, owner = excluded.owner, arguments = excluded.arguments",
        params![row.id, row.vhost, row.name, row.auto_delete, row.owner, row.arguments],
    )
}

fn put_binding(connection: &Connection, row: &BindingRow) -> rusqlite::Result<()> {
    let (queue, exchange) = destination(row);
    execute(
        connection,
        "INSERT INTO bindings (vhost, source, queue, exchange, routing_key, arguments)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        params![row.vhost, row.source, queue, exchange, row.routing_key, row.arguments],
    )
}

fn delete_binding(connection: &Connection, row: &BindingRow) -> rusqlite::Result<()> {
    let sql = if row.destination_is_queue {
        "DELETE FROM bindings WHERE vhost = ?1 AND queue = ?2 AND source = ?3 AND routing_key = ?4 AND arguments = ?5"
    } else {
        "DELETE FROM bindings WHERE vhost = ?1 AND exchange = ?2 AND source = ?3 AND routing_key = ?4 AND arguments = ?5"
    };
    execute(connection, sql, params![row.vhost, row.destination, row.source, row.routing_key, row.arguments])
}

fn destination(row: &BindingRow) -> (Option<&str>, Option<&str>) {
    let name = Some(row.destination.as_str());
    if row.destination_is_queue { (name, None) } else { (None, name) }
}

fn batch(connection: &Connection, changes: &[Change]) -> rusqlite::Result<()> {
    connection.execute_batch("SAVEPOINT batch")?;
    match changes.iter().try_for_each(|change| apply(connection, change)) {
        Ok(()) => connection.execute_batch("RELEASE batch"),
        Err(e) => {
            connection.execute_batch("ROLLBACK TO batch; RELEASE batch")?;
            Err(e)
        }
    }
}
