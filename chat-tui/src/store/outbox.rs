//! What is to be published, in order. A row leaves when the broker has confirmed, returned or refused it.

use rusqlite::{Row, params};
use shared::message::{Body, Envelope, Lifetime};
use shared::topology::{DEFAULT_EXCHANGE, FRIENDS_EXCHANGE};
use uuid::Uuid;

use super::{Store, StoreError, from_millis, millis};
use crate::session::api::{Amending, Delivery};
use crate::session::protocol::publishing::amended;
use crate::session::protocol::{Effect, Outgoing};

/// One message that waits to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Its place in the order.
    pub seq: i64,
    /// The user whom it concerns.
    pub peer: String,
    pub outgoing: Outgoing,
}

/// A part of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub waiting: Vec<Waiting>,
    /// The `seq` of the first message that is held for now.
    pub first_held: Option<i64>,
}

const SELECT: &str =
    "SELECT o.seq, p.name, o.exchange, o.routing_key, o.message_id, o.correlation_id, o.reply_to,
    o.at, o.body FROM outbox o JOIN peer p ON p.id = o.peer";

impl Store {
    /// What waits for `exchange` behind `after`, in order, at most `limit`.
    ///
    /// What names a queue of ours for the answer is held until the broker has that queue: the answer must find it.
    pub fn outbox(&self, exchange: &str, after: i64, limit: usize) -> Result<Page, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "{SELECT} WHERE o.seq > ?1 AND o.exchange = ?2
             AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.name = o.reply_to AND q.state = 0)
             ORDER BY o.seq LIMIT ?3"
        ))?;
        let rows = statement.query_and_then(params![after, exchange, limit as i64], read_waiting)?;
        let waiting = rows.collect::<Result<_, _>>()?;
        let first_held = self
            .connection
            .prepare_cached(
                "SELECT min(o.seq) FROM outbox o JOIN queue q ON q.name = o.reply_to AND q.state = 0
                 WHERE o.seq > ?1 AND o.exchange = ?2",
            )?
            .query_row(params![after, exchange], |row| row.get(0))?;
        Ok(Page { waiting, first_held })
    }

    pub(super) fn waiting(&self, seq: i64) -> Result<Option<Waiting>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("{SELECT} WHERE o.seq = ?1"))?;
        let mut rows = statement.query_and_then([seq], read_waiting)?;
        rows.next().transpose()
    }

    /// Whether the answer to a request of `peer` is still on its way to the queue `key`.
    pub(super) fn is_accept_waiting(&self, peer: &str, key: &str) -> Result<bool, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("{SELECT} WHERE p.name = ?1 AND o.routing_key = ?2 ORDER BY o.seq"))?;
        for waiting in statement.query_and_then([peer, key], read_waiting)? {
            if let Body::Accept {} = waiting?.outgoing.envelope.body {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn enqueue(&self, peer: i64, outgoing: &Outgoing) -> Result<(), StoreError> {
        let envelope = &outgoing.envelope;
        self.connection
            .prepare_cached(
                "INSERT INTO outbox (peer, exchange, routing_key, message_id, correlation_id, reply_to, at, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                peer,
                outgoing.exchange,
                outgoing.routing_key,
                envelope.id,
                envelope.correlation_id,
                envelope.reply_to,
                envelope.timestamp.map(millis),
                envelope.body.encode()?,
            ])?;
        Ok(())
    }

    pub(super) fn dequeue(&self, seq: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?.execute([seq])?;
        Ok(())
    }

    pub(super) fn unpublish(&self, peer: i64, message_id: Uuid) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM outbox WHERE peer = ?1 AND message_id = ?2")?
            .execute(params![peer, message_id])?;
        Ok(())
    }

    pub(super) fn retarget(&self, peer: i64, old: &str, new: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE outbox SET routing_key = ?3 WHERE peer = ?1 AND routing_key = ?2")?
            .execute(params![peer, old, new])?;
        Ok(())
    }

    /// Drops what waits for the peer's queue; messages among it end as `state`. What is for the friend servers stays.
    pub(super) fn abandon(&self, peer: i64, state: &Delivery) -> Result<(), StoreError> {
        let dropped = self
            .connection
            .prepare_cached(
                "DELETE FROM outbox WHERE peer = ?1 AND exchange = ?2 RETURNING message_id, body",
            )?
            .query_map(params![peer, DEFAULT_EXCHANGE], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<Vec<(Uuid, Vec<u8>)>, _>>()?;
        for (id, body) in dropped {
            match decode(&body)? {
                Body::Message { .. } => self.advance_message(peer, id, state)?,
                body => {
                    if let Some(Effect::Amended { id, revision, to }) = amended(&body, Amending::Lost) {
                        self.amended(peer, id, revision, to)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn decode(body: &[u8]) -> Result<Body, StoreError> {
    Body::decode(body).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn read_waiting(row: &Row<'_>) -> Result<Waiting, StoreError> {
    let body = decode(&row.get::<_, Vec<u8>>(8)?)?;
    let exchange: String = row.get(2)?;
    Ok(Waiting {
        seq: row.get(0)?,
        peer: row.get(1)?,
        outgoing: Outgoing {
            exchange: if exchange == FRIENDS_EXCHANGE { FRIENDS_EXCHANGE } else { DEFAULT_EXCHANGE },
            routing_key: row.get(3)?,
            envelope: Envelope {
                id: row.get(4)?,
                body,
                user_id: None,
                reply_to: row.get(6)?,
                correlation_id: row.get(5)?,
                timestamp: row.get::<_, Option<i64>>(7)?.map(from_millis),
                lifetime: Lifetime::Persistent,
            },
        },
    })
}
