//! Messages: insert once, move forward, follow.

use rusqlite::{OptionalExtension, Row, params};
use uuid::Uuid;

use super::{Store, StoreError, from_millis, millis};
use crate::session::api::{Amending, Answered, Delivery, Direction, Message, Quoted};

/// For [`read_message`]; how many there are is in [`COLUMNS_COUNT`].
pub(super) const COLUMNS: &str = "m.row, m.id, p.name, m.outgoing, m.text, m.at, m.state, m.reason,
    m.answers, q.row, q.outgoing, substr(q.text, 1, 200), m.revision, m.deleted, m.amending, m.our_mark, m.their_mark";
pub(super) const COLUMNS_COUNT: usize = 17;

/// What a message `m` answers, as `q`: of two messages with one id, that of the other side.
pub(super) const JOIN_ANSWERED: &str = "LEFT JOIN message q ON q.row = (
    SELECT row FROM message WHERE peer = m.peer AND outgoing IN (0, 1) AND id = m.answers
    ORDER BY outgoing = m.outgoing LIMIT 1)";

/// A change to a message, as the sessions of one user follow each other by it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub number: i64,
    /// The newest change of what it says, not of how far it came.
    pub content: i64,
    pub message: Message,
}

/// A message that is to be kept.
pub(super) struct NewMessage<'a> {
    pub id: Uuid,
    pub outgoing: bool,
    pub text: &'a str,
    pub answers: Option<Uuid>,
    pub at: std::time::SystemTime,
    pub state: &'a Delivery,
}

impl Store {
    /// What changed behind `after`, the number of a change and a row, of messages up to the row `known`: the oldest change
    /// first, at most `limit`. Many messages may have changed at once.
    pub fn changes(&self, after: (i64, i64), known: i64, limit: usize) -> Result<Vec<Change>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS}, m.change, m.content FROM message m JOIN peer p ON p.id = m.peer {JOIN_ANSWERED}
             WHERE (m.change, m.row) > (?1, ?2) AND m.row <= ?3 ORDER BY m.change, m.row LIMIT ?4"
        ))?;
        let rows = statement.query_map(params![after.0, after.1, known, limit as i64], |row| {
            let (number, content) = (row.get(COLUMNS_COUNT)?, row.get(COLUMNS_COUNT + 1)?);
            Ok(Change { message: read_message(row)?, number, content })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Messages behind the row `known`, oldest first, at most `limit`.
    pub fn newer(&self, known: i64, limit: usize) -> Result<Vec<Message>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM message m JOIN peer p ON p.id = m.peer {JOIN_ANSWERED}
             WHERE m.row > ?1 ORDER BY m.row LIMIT ?2"
        ))?;
        let rows = statement.query_map(params![known, limit as i64], read_message)?;
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
    pub(super) fn insert_message(&self, peer: i64, new: &NewMessage<'_>) -> Result<bool, StoreError> {
        let (state_code, reason) = encode_delivery(new.state);
        let owed = if new.outgoing { 0 } else { DELIVERED };
        let change = self.next_change()?;
        let row: Option<i64> = self
            .connection
            .prepare_cached(
                "INSERT INTO message (id, peer, outgoing, text, answers, at, state, reason, owed, change, content)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10) ON CONFLICT DO NOTHING RETURNING row",
            )?
            .query_row(
                params![
                    new.id,
                    peer,
                    new.outgoing,
                    new.text,
                    new.answers,
                    millis(new.at),
                    state_code,
                    reason,
                    owed,
                    change
                ],
                |row| row.get(0),
            )
            .optional()?;
        let Some(row) = row else { return Ok(false) };
        // Whoever writes comes back into view, unless it was wished to be quiet about them.
        self.connection
            .prepare_cached(
                "UPDATE peer SET last_row = ?2, unread = unread + ?3, archived = archived AND (muted OR ?4)
                 WHERE id = ?1",
            )?
            .execute(params![peer, row, i64::from(!new.outgoing && state_code == DELIVERED), new.outgoing])?;
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

    /// Marks what was received from the peer, up to `up_to`, as seen, and read receipts as owed.
    pub(super) fn mark_read(&self, peer: i64, up_to: i64) -> Result<(), StoreError> {
        let change = self.next_change()?;
        self.connection
            .prepare_cached(
                "UPDATE message SET state = 3, owed = 3, change = ?2
                 WHERE peer = ?1 AND outgoing = 0 AND state = 2 AND row <= ?3",
            )?
            .execute(params![peer, change, up_to])?;
        self.connection
            .prepare_cached(
                "UPDATE peer SET unread =
                     (SELECT count(*) FROM message WHERE peer = ?1 AND outgoing = 0 AND state = 2)
                 WHERE id = ?1 AND unread > 0",
            )?
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

pub(super) fn decode_delivery(code: i64, reason: Option<String>) -> Delivery {
    match code {
        0 => Delivery::Queued,
        1 => Delivery::Sent,
        2 => Delivery::Delivered,
        3 => Delivery::Read,
        4 => Delivery::Returned,
        _ => Delivery::Failed(reason.unwrap_or_default()),
    }
}

fn direction(outgoing: bool) -> Direction {
    if outgoing { Direction::Outgoing } else { Direction::Incoming }
}

pub(super) fn decode_amending(code: i64) -> Amending {
    match code {
        1 => Amending::Waiting,
        2 => Amending::Lost,
        _ => Amending::Settled,
    }
}

pub(super) fn read_message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let answers = match row.get::<_, Option<Uuid>>(8)? {
        Some(id) => {
            let known = match row.get::<_, Option<i64>>(9)? {
                Some(quoted) => {
                    Some(Quoted { row: quoted, direction: direction(row.get(10)?), text: row.get(11)? })
                }
                None => None,
            };
            Some(Box::new(Answered { id, known }))
        }
        None => None,
    };
    Ok(Message {
        row: row.get(0)?,
        id: row.get(1)?,
        friend: row.get(2)?,
        direction: direction(row.get(3)?),
        text: row.get(4)?,
        at: from_millis(row.get(5)?),
        state: decode_delivery(row.get(6)?, row.get(7)?),
        answers,
        revision: row.get(12)?,
        deleted: row.get(13)?,
        amending: decode_amending(row.get(14)?),
        our_mark: row.get(15)?,
        their_mark: row.get(16)?,
    })
}
