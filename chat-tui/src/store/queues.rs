//! Queues that we own at the broker, or still have to delete there.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError};

#[derive(Debug, Clone, PartialEq)]
pub struct OwnedQueue {
    pub name: String,
    /// The friend it is for; none for the inbox.
    pub friend: Option<String>,
    pub state: QueueState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueState {
    /// Never yet confirmed by the broker.
    ToDeclare,
    Declared,
    ToDelete,
    /// Take out what is in it, then delete it.
    ToDrain,
}

impl Store {
    pub fn queues(&self) -> Result<Vec<OwnedQueue>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT q.name, p.name, q.state FROM queue q LEFT JOIN peer p ON p.id = q.peer ORDER BY q.peer",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(OwnedQueue { name: row.get(0)?, friend: row.get(1)?, state: decode(row.get(2)?) })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Friend or inbox that the queue is for; none if it is not ours any more.
    pub(super) fn queue_owner(&self, queue: &str) -> Result<Option<Option<String>>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT p.name FROM queue q LEFT JOIN peer p ON p.id = q.peer WHERE q.name = ?1 AND q.state <> 2",
        )?;
        Ok(statement.query_row([queue], |row| row.get(0)).optional()?)
    }

    pub(super) fn own_queue(&self, name: &str, peer: Option<i64>) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("INSERT INTO queue VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING")?
            .execute(params![name, peer])?;
        Ok(())
    }

    pub(super) fn release_queue(&self, name: &str, drain: bool) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE queue SET state = ?2 WHERE name = ?1")?
            .execute(params![name, if drain { 3 } else { 2 }])?;
        Ok(())
    }

    /// The broker has the queue.
    pub fn queue_declared(&self, name: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE queue SET state = 1 WHERE name = ?1 AND state = 0")?
            .execute([name])?;
        Ok(())
    }

    /// The broker no longer has the queue.
    pub fn queue_deleted(&self, name: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM queue WHERE name = ?1 AND state >= 2")?
            .execute([name])?;
        Ok(())
    }

    /// The friend servers, whose account is `account`, said that our inbox is `inbox`. An inbox of another name is given
    /// up once it is empty: the friend servers write there no more.
    pub fn welcome(&self, inbox: &str, account: &str) -> Result<(), StoreError> {
        self.transaction(|| {
            self.connection
                .prepare_cached("UPDATE queue SET state = 3 WHERE peer IS NULL AND name <> ?1 AND state < 2")?
                .execute([inbox])?;
            // It may have been given up before, when another secret was in use.
            self.connection
                .prepare_cached("UPDATE queue SET state = 0 WHERE name = ?1 AND state >= 2")?
                .execute([inbox])?;
            self.own_queue(inbox, None)?;
            self.set_meta(super::apply::FRIEND_SERVER_ACCOUNT, account)
        })
    }

    /// Steps that the broker has not seen yet: waiting publishes, queues to declare or to delete.
    pub fn pending(&self) -> Result<u64, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM queue WHERE state <> 1)",
        )?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }
}

fn decode(state: i64) -> QueueState {
    match state {
        0 => QueueState::ToDeclare,
        1 => QueueState::Declared,
        2 => QueueState::ToDelete,
        _ => QueueState::ToDrain,
    }
}
