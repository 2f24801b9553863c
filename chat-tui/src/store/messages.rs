//! Messages: insert once, move forward, page, follow.

use rusqlite::{OptionalExtension, Row, params};
use uuid::Uuid;

use super::{Store, StoreError, from_millis};
use crate::session::api::{Delivery, Direction, Message};

/// A page is at most this long, whatever was asked for.
const PAGE_MAX: usize = 1000;

/// For [`read_message`].
pub(super) const COLUMNS: &str = "m.row, m.id, p.name, m.outgoing, m.text, m.at, m.state, m.reason";

/// A change to a message, as the sessions of one user follow each other by it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub number: i64,
    pub message: Message,
}

impl Store {
    /// A page of history, oldest first, and whether older messages exist.
    pub fn history(
        &self,
        friend: &str,
        before: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<Message>, bool), StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM message m JOIN peer p ON p.id = m.peer
             WHERE m.peer = (SELECT id FROM peer WHERE name = ?1) AND m.row < ?2
             ORDER BY m.row DESC LIMIT ?3"
        ))?;
        let rows = statement
            .query_map(params![friend, before.unwrap_or(i64::MAX), limit as i64 + 1], read_message)?;
        let mut messages = rows.collect::<Result<Vec<_>, _>>()?;
        let more = messages.len() > limit;
        messages.truncate(limit);
        messages.reverse();
        Ok((messages, more))
    }

    /// Changes after `after`, oldest first, at most `limit`.
    pub fn changes(&self, after: i64, limit: usize) -> Result<Vec<Change>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS}, m.change FROM message m JOIN peer p ON p.id = m.peer
             WHERE m.change > ?1 ORDER BY m.change, m.row LIMIT ?2"
        ))?;
        let rows = statement.query_map(params![after, limit as i64], |row| {
            Ok(Change { message: read_message(row)?, number: row.get(8)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The number of the newest change and the row of the newest message.
    pub fn newest_change(&self) -> Result<(i64, i64), StoreError> {
        let change = self.connection.query_row("SELECT value FROM clock", [], |row| row.get(0))?;
        let row = self
            .connection
            .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'message'", [], |row| row.get(0))
            .optional()?;
        Ok((change, row.unwrap_or(0)))
    }

    /// Inserts the message unless one of its id is there already, and tells which.
    pub(super) fn insert_message(
        &self,
        peer: i64,
        id: Uuid,
        outgoing: bool,
        text: &str,
        at: i64,
        state: &Delivery,
    ) -> Result<bool, StoreError> {
        let (state_code, reason) = encode_delivery(state);
        let owed = if outgoing { 0 } else { DELIVERED };
        let change = self.next_change()?;
        let inserted = self
            .connection
            .prepare_cached(
                "INSERT INTO message (id, peer, outgoing, text, at, state, reason, owed, change)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
            )?
            .execute(params![id, peer, outgoing, text, at, state_code, reason, owed, change])?;
        if inserted == 0 {
            return Ok(false);
        }
        let row = self.connection.last_insert_rowid();
        self.connection
            .prepare_cached("UPDATE peer SET last_row = ?2, unread = unread + ?3 WHERE id = ?1")?
            .execute(params![peer, row, i64::from(!outgoing && state_code == DELIVERED)])?;
        Ok(true)
    }

    /// Moves one of our messages forward: queued, sent, delivered, read. It never moves back, so receipts may
    /// overtake confirms and arrive twice. Returned and failed end it, unless a receipt proves otherwise.
    pub(super) fn advance_message(&self, peer: i64, id: Uuid, state: &Delivery) -> Result<(), StoreError> {
        let (code, reason) = encode_delivery(state);
        let allowed = match state {
            Delivery::Queued => "state >= 4",
            Delivery::Sent => "state = 0",
            Delivery::Delivered => "state IN (0, 1, 4, 5)",
            Delivery::Read => "state <> 3",
            Delivery::Returned | Delivery::Failed(_) => "state < 2",
        };
        let change = self.next_change()?;
        self.connection
            .prepare_cached(&format!(
                "UPDATE message SET state = ?3, reason = ?4, change = ?5
                 WHERE peer = ?1 AND outgoing = 1 AND id = ?2 AND {allowed}"
            ))?
            .execute(params![peer, id, code, reason, change])?;
        Ok(())
    }

    /// Marks everything received from the peer as seen, and read receipts as owed.
    pub(super) fn mark_read(&self, peer: i64) -> Result<(), StoreError> {
        let change = self.next_change()?;
        self.connection
            .prepare_cached(
                "UPDATE message SET state = 3, owed = 3, change = ?2
                 WHERE peer = ?1 AND outgoing = 0 AND state = 2",
            )?
            .execute(params![peer, change])?;
        self.connection
            .prepare_cached("UPDATE peer SET unread = 0 WHERE id = ?1 AND unread > 0")?
            .execute([peer])?;
        Ok(())
    }

    /// Names of peers that are owed receipts, at most `limit`.
    pub fn peers_owed_receipts(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT name FROM peer WHERE id IN (SELECT DISTINCT peer FROM message WHERE owed > 0) LIMIT ?1",
        )?;
        let rows = statement.query_map([limit as i64], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Takes up to `limit` owed receipts of one kind off the books, oldest first.
    pub(super) fn take_owed(
        &self,
        peer: i64,
        kind: &Delivery,
        limit: usize,
    ) -> Result<Vec<Uuid>, StoreError> {
        let (code, _) = encode_delivery(kind);
        let mut statement = self.connection.prepare_cached(
            "SELECT row, id FROM message WHERE peer = ?1 AND owed > 0 AND owed = ?2 ORDER BY row LIMIT ?3",
        )?;
        let rows = statement.query_map(params![peer, code, limit as i64], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Uuid>(1)?))
        })?;
        let owed = rows.collect::<Result<Vec<_>, _>>()?;
        let mut clear =
            self.connection.prepare_cached("UPDATE message SET owed = 0 WHERE row = ?1 AND owed = ?2")?;
        for (row, _) in &owed {
            clear.execute(params![row, code])?;
        }
        Ok(owed.into_iter().map(|(_, id)| id).collect())
    }

    /// Nobody is left to give receipts to.
    pub(super) fn forget_owed(&self, peer: i64) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE message SET owed = 0 WHERE peer = ?1 AND owed > 0")?
            .execute([peer])?;
        Ok(())
    }

    pub(super) fn next_change(&self) -> Result<i64, StoreError> {
        Ok(self
            .connection
            .prepare_cached("UPDATE clock SET value = value + 1 RETURNING value")?
            .query_row([], |row| row.get(0))?)
    }
}

const DELIVERED: i64 = 2;

fn encode_delivery(state: &Delivery) -> (i64, Option<&str>) {
    match state {
        Delivery::Queued => (0, None),
        Delivery::Sent => (1, None),
        Delivery::Delivered => (DELIVERED, None),
        Delivery::Read => (3, None),
        Delivery::Returned => (4, None),
        Delivery::Failed(reason) => (5, Some(reason)),
    }
}

fn decode_delivery(code: i64, reason: Option<String>) -> Delivery {
    match code {
        0 => Delivery::Queued,
        1 => Delivery::Sent,
        2 => Delivery::Delivered,
        3 => Delivery::Read,
        4 => Delivery::Returned,
        _ => Delivery::Failed(reason.unwrap_or_default()),
    }
}

pub(super) fn read_message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        row: row.get(0)?,
        id: row.get(1)?,
        friend: row.get(2)?,
        direction: if row.get(3)? { Direction::Outgoing } else { Direction::Incoming },
        text: row.get(4)?,
        at: from_millis(row.get(5)?),
        state: decode_delivery(row.get(6)?, row.get(7)?),
    })
}
