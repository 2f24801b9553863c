//! The database file: opening it, its tables, and reading everything once.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};

use super::DefinitionsError;
use super::rows::*;

/// `WRRN`: tells our file from any other SQLite database.
const APPLICATION_ID: i32 = 0x5752_524e;

/// The number of [`STEPS`].
pub(super) const VERSION: i32 = STEPS.len() as i32;

/// What each version added to the one before it. Never changed, only added to.
const STEPS: [&str; 3] = [TABLES, OPERATORS_TABLES, VHOST_METADATA];

/// Foreign keys carry the rules for deletion, so that they hold whichever way a row disappears. The exchanges of
/// a binding have none: the predeclared ones are not rows.
///
/// AUTOINCREMENT keeps the highest queue id ever stored (in `sqlite_sequence`), also once its row is gone.
const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE vhosts (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE users (
    name TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    tags TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE permissions (
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    vhost TEXT NOT NULL REFERENCES vhosts (name) ON DELETE CASCADE,
    configure TEXT NOT NULL,
    write TEXT NOT NULL,
    read TEXT NOT NULL,
    publish_keys TEXT,
    PRIMARY KEY (user, vhost)
) STRICT, WITHOUT ROWID;
CREATE INDEX permissions_of_vhost ON permissions (vhost);
CREATE TABLE exchanges (
    vhost TEXT NOT NULL REFERENCES vhosts (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    auto_delete INTEGER NOT NULL,
    internal INTEGER NOT NULL,
    arguments BLOB NOT NULL,
    PRIMARY KEY (vhost, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE queues (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    vhost TEXT NOT NULL REFERENCES vhosts (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    auto_delete INTEGER NOT NULL,
    owner TEXT REFERENCES users (name) ON DELETE CASCADE,
    arguments BLOB NOT NULL,
    UNIQUE (vhost, name)
) STRICT;
CREATE INDEX queues_of_owner ON queues (owner) WHERE owner IS NOT NULL;
CREATE TABLE bindings (
    vhost TEXT NOT NULL REFERENCES vhosts (name) ON DELETE CASCADE,
    source TEXT NOT NULL,
    queue TEXT,
    exchange TEXT,
    routing_key TEXT NOT NULL,
    arguments BLOB NOT NULL,
    CHECK ((queue IS NULL) <> (exchange IS NULL)),
    FOREIGN KEY (vhost, queue) REFERENCES queues (vhost, name) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX bindings_to_queue ON bindings (vhost, queue, source, routing_key, arguments)
    WHERE queue IS NOT NULL;
CREATE UNIQUE INDEX bindings_to_exchange ON bindings (vhost, exchange, source, routing_key, arguments)
    WHERE exchange IS NOT NULL;
CREATE INDEX bindings_from_exchange ON bindings (vhost, source);
";

/// Version 2: what operators set.
const OPERATORS_TABLES: &str = "
CREATE TABLE topic_permissions (
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    vhost TEXT NOT NULL REFERENCES vhosts (name) ON DELETE CASCADE,
    exchange TEXT NOT NULL,
    write TEXT NOT NULL,
    read TEXT NOT NULL,
    PRIMARY KEY (user, vhost, exchange)
) STRICT, WITHOUT ROWID;
CREATE INDEX topic_permissions_of_vhost ON topic_permissions (vhost);
CREATE TABLE vhost_limits (
    vhost TEXT PRIMARY KEY REFERENCES vhosts (name) ON DELETE CASCADE,
    connections_max INTEGER,
    queues_max INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE user_limits (
    user TEXT PRIMARY KEY REFERENCES users (name) ON DELETE CASCADE,
    connections_max INTEGER,
    channels_max INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE policies (
    vhost TEXT NOT NULL REFERENCES vhosts (name) ON DELETE CASCADE,
    is_operator INTEGER NOT NULL,
    name TEXT NOT NULL,
    pattern TEXT NOT NULL,
    apply_to TEXT NOT NULL,
    priority INTEGER NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (vhost, is_operator, name)
) STRICT, WITHOUT ROWID;
";

/// Version 3: what operators say about vhosts.
const VHOST_METADATA: &str = "
ALTER TABLE vhosts ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE vhosts ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE vhosts ADD COLUMN default_queue_type TEXT;
";

/// Opens the database at `path`, creates it where there is none, and keeps it to this process alone.
pub(super) fn open(path: &Path) -> Result<Connection, DefinitionsError> {
    create_private(path).map_err(|e| DefinitionsError::open(path, e))?;
    let connection = Connection::open(path).map_err(|e| DefinitionsError::open(path, e))?;
    prepare(&connection, path)?;
    Ok(connection)
}

/// The file holds password hashes: nobody but its owner may read it. SQLite gives its journal the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        // A new name is durable only once its folder is.
        Ok(_) => File::open(folder)?.sync_all(),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

fn prepare(connection: &Connection, path: &Path) -> Result<(), DefinitionsError> {
    let failed = |e: rusqlite::Error| match e.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            DefinitionsError::InUse { path: path.to_owned() }
        }
        _ => DefinitionsError::open(path, e),
    };
    // Before anything is written: a file that is not ours stays as it is.
    let version = check_identity(connection, path, &failed)?;
    // Exclusive: a second broker on the same folder would write over this one's state.
    connection
        .execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;",
        )
        .map_err(&failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    migrate(connection, version).map_err(&failed)
}

/// The version of the file's tables, 0 for a new file.
fn check_identity(
    connection: &Connection,
    path: &Path,
    failed: &dyn Fn(rusqlite::Error) -> DefinitionsError,
) -> Result<i32, DefinitionsError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let version = pragma("user_version").map_err(failed)?;
    let application = pragma("application_id").map_err(failed)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if application != APPLICATION_ID && (tables > 0 || version != 0) {
        return Err(DefinitionsError::Foreign { path: path.to_owned() });
    }
    if version > VERSION {
        return Err(DefinitionsError::Newer { path: path.to_owned(), found: version, known: VERSION });
    }
    Ok(version)
}

fn migrate(connection: &Connection, version: i32) -> rusqlite::Result<()> {
    if version == VERSION {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    for step in &STEPS[version as usize..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// The tables as version 1 of them was, with vhost `/`.
#[cfg(test)]
pub(super) fn make_version_1(connection: &Connection) {
    let made = connection.execute_batch(&format!(
        "{TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;
         INSERT INTO vhosts (name) VALUES ('/');"
    ));
    made.expect("an empty database");
}

pub(super) fn load(connection: &Connection) -> rusqlite::Result<Snapshot> {
    Ok(Snapshot {
        vhosts: all(connection, "SELECT name, description, tags, default_queue_type FROM vhosts", vhost)?,
        users: all(connection, "SELECT name, password_hash, tags FROM users", user)?,
        permissions: all(
            connection,
            "SELECT user, vhost, configure, write, read, publish_keys FROM permissions",
            permission,
        )?,
        topic_permissions: all(
            connection,
            "SELECT user, vhost, exchange, write, read FROM topic_permissions",
            topic_permission,
        )?,
        vhost_limits: all(
            connection,
            "SELECT vhost, connections_max, queues_max FROM vhost_limits",
            |row| {
                Ok(VhostLimitsRow {
                    vhost: row.get(0)?,
                    connections_max: row.get(1)?,
                    queues_max: row.get(2)?,
                })
            },
        )?,
        user_limits: all(connection, "SELECT user, connections_max, channels_max FROM user_limits", |row| {
            Ok(UserLimitsRow { user: row.get(0)?, connections_max: row.get(1)?, channels_max: row.get(2)? })
        })?,
        policies: all(
            connection,
            "SELECT vhost, is_operator, name, pattern, apply_to, priority, definition FROM policies",
            policy,
        )?,
        exchanges: all(
            connection,
            "SELECT vhost, name, kind, auto_delete, internal, arguments FROM exchanges",
            exchange,
        )?,
        queues: all(connection, "SELECT id, vhost, name, auto_delete, owner, arguments FROM queues", queue)?,
        bindings: all(
            connection,
            "SELECT vhost, source, queue, exchange, routing_key, arguments FROM bindings",
            binding,
        )?,
    })
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare(sql)?.query_map([], read)?.collect()
}

fn vhost(row: &Row<'_>) -> rusqlite::Result<VhostRow> {
    Ok(VhostRow {
        name: row.get(0)?,
        description: row.get(1)?,
        tags: tags(row, 2)?,
        default_queue_type: row.get(3)?,
    })
}

fn user(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    Ok(UserRow { name: row.get(0)?, password_hash: row.get(1)?, tags: tags(row, 2)? })
}

/// A JSON array of texts.
fn tags(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    let tags: String = row.get(column)?;
    serde_json::from_str(&tags)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, e.into()))
}

fn permission(row: &Row<'_>) -> rusqlite::Result<PermissionRow> {
    Ok(PermissionRow {
        user: row.get(0)?,
        vhost: row.get(1)?,
        configure: row.get(2)?,
        write: row.get(3)?,
        read: row.get(4)?,
        publish_keys: row.get(5)?,
    })
}

fn topic_permission(row: &Row<'_>) -> rusqlite::Result<TopicPermissionRow> {
    Ok(TopicPermissionRow {
        user: row.get(0)?,
        vhost: row.get(1)?,
        exchange: row.get(2)?,
        write: row.get(3)?,
        read: row.get(4)?,
    })
}

fn policy(row: &Row<'_>) -> rusqlite::Result<PolicyRow> {
    Ok(PolicyRow {
        vhost: row.get(0)?,
        is_operator: row.get(1)?,
        name: row.get(2)?,
        pattern: row.get(3)?,
        apply_to: row.get(4)?,
        priority: row.get(5)?,
        definition: row.get(6)?,
    })
}

fn exchange(row: &Row<'_>) -> rusqlite::Result<ExchangeRow> {
    Ok(ExchangeRow {
        vhost: row.get(0)?,
        name: row.get(1)?,
        kind: row.get(2)?,
        auto_delete: row.get(3)?,
        internal: row.get(4)?,
        arguments: row.get(5)?,
    })
}

fn queue(row: &Row<'_>) -> rusqlite::Result<QueueRow> {
    Ok(QueueRow {
        id: row.get(0)?,
        vhost: row.get(1)?,
        name: row.get(2)?,
        auto_delete: row.get(3)?,
        owner: row.get(4)?,
        arguments: row.get(5)?,
    })
}

fn binding(row: &Row<'_>) -> rusqlite::Result<BindingRow> {
    let queue: Option<String> = row.get(2)?;
    let destination_is_queue = queue.is_some();
    let destination = match queue {
        Some(name) => name,
        None => row.get(3)?,
    };
    Ok(BindingRow {
        vhost: row.get(0)?,
        source: row.get(1)?,
        destination,
        destination_is_queue,
        routing_key: row.get(4)?,
        arguments: row.get(5)?,
    })
}

/// The number below which every queue id counts as used, because an earlier run may have handed it out.
pub(super) fn queue_ids_reserved(connection: &Connection) -> rusqlite::Result<u64> {
    let reserved: Option<u64> = connection
        .query_row("SELECT value FROM meta WHERE key = 'queue_ids_reserved'", [], |row| row.get(0))
        .optional()?;
    let stored: Option<u64> = connection
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'queues'", [], |row| row.get(0))
        .optional()?;
    Ok(reserved.unwrap_or(0).max(stored.unwrap_or(0)))
}

pub(super) fn reserve_queue_ids(connection: &Connection, up_to: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('queue_ids_reserved', ?1)")?
        .execute([up_to])?;
    Ok(())
}
