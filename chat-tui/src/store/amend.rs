//! Changes to what was said. They count in the order of their revisions, whatever the order in which they arrive, and may
//! come before the message that they are about.

use rusqlite::{OptionalExtension, params};
use shared::message::Body;
use uuid::Uuid;

use super::messages::{decode_amending, decode_delivery};
use super::{Store, StoreError};
use crate::session::api::Amending;
use crate::session::protocol::Target;

/// What is kept per peer about messages that are not here; the oldest goes.
const EARLY_MAX: i64 = 256;

impl Store {
    /// The message `row`, if it is of a conversation with `peer`.
    pub fn target(&self, peer: &str, row: i64) -> Result<Option<Target>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, outgoing, text, answers, state, reason, revision, deleted, amending, our_mark, our_mark_revision
             FROM message WHERE row = ?1 AND peer = (SELECT id FROM peer WHERE name = ?2)",
        )?;
        let target = statement.query_row(params![row, peer], |row| {
            Ok(Target {
                id: row.get(0)?,
                outgoing: row.get(1)?,
                text: row.get(2)?,
                answers: row.get(3)?,
                state: decode_delivery(row.get(4)?, row.get(5)?),
                revision: row.get(6)?,
                deleted: row.get(7)?,
                amending: decode_amending(row.get(8)?),
                our_mark: row.get(9)?,
                our_mark_revision: row.get(10)?,
            })
        });
        Ok(target.optional()?)
    }

    pub(super) fn rewrite(
        &self,
        peer: i64,
        id: Uuid,
        outgoing: bool,
        revision: u32,
        text: &str,
    ) -> Result<(), StoreError> {
        let change = self.next_change()?;
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE message SET text = ?5, revision = ?4, change = ?6, content = ?6
                 WHERE peer = ?1 AND outgoing = ?3 AND id = ?2 AND NOT deleted AND revision < ?4",
            )?
            .execute(params![peer, id, outgoing, revision, text, change])?;
        match changed {
            0 => self.keep_early(peer, id, outgoing, Body::Edit { id, revision, text: text.to_owned() }),
            _ => Ok(()),
        }
    }

    pub(super) fn erase(&self, peer: i64, id: Uuid, outgoing: bool) -> Result<(), StoreError> {
        let change = self.next_change()?;
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE message SET text = '', deleted = 1, our_mark = NULL, their_mark = NULL, change = ?4, content = ?4
                 WHERE peer = ?1 AND outgoing = ?3 AND id = ?2 AND NOT deleted",
            )?
            .execute(params![peer, id, outgoing, change])?;
        match changed {
            0 => self.keep_early(peer, id, outgoing, Body::Delete { id }),
            _ => Ok(()),
        }
    }

    pub(super) fn mark(
        &self,
        peer: i64,
        id: Uuid,
        by_us: bool,
        revision: u32,
        mark: Option<&str>,
    ) -> Result<(), StoreError> {
        let change = self.next_change()?;
        let side = if by_us { "our" } else { "their" };
        let changed = self
            .connection
            .prepare_cached(&format!(
                "UPDATE message SET {side}_mark = ?4, {side}_mark_revision = ?3, change = ?5, content = ?5
                 WHERE peer = ?1 AND outgoing IN (0, 1) AND id = ?2 AND NOT deleted AND {side}_mark_revision < ?3"
            ))?
            .execute(params![peer, id, revision, mark, change])?;
        match changed {
            0 if !by_us && !self.is_here(peer, id, true)? => self.keep_early(
                peer,
                id,
                false,
                Body::Reaction { id, revision, mark: mark.map(str::to_owned) },
            ),
            _ => Ok(()),
        }
    }

    pub(super) fn amended(
        &self,
        peer: i64,
        id: Uuid,
        revision: Option<u32>,
        to: Amending,
    ) -> Result<(), StoreError> {
        let code = match to {
            Amending::Settled => 0,
            Amending::Waiting => 1,
            Amending::Lost => 2,
        };
        let change = self.next_change()?;
        // What became of an older edit says nothing of the newest, nor of the deletion.
        self.connection
            .prepare_cached(
                "UPDATE message SET amending = ?3, change = ?5, content = ?5
                 WHERE peer = ?1 AND outgoing = 1 AND id = ?2 AND amending <> ?3
                     AND iif(?4 IS NULL, deleted, NOT deleted AND revision = ?4)",
            )?
            .execute(params![peer, id, code, revision, change])?;
        Ok(())
    }

    fn is_here(&self, peer: i64, id: Uuid, outgoing: bool) -> Result<bool, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM message WHERE peer = ?1 AND outgoing = ?2 AND id = ?3")?;
        Ok(statement.query_row(params![peer, outgoing, id], |_| Ok(())).optional()?.is_some())
    }

    /// Keeps what is about a message that is not here, should it still come.
    fn keep_early(&self, peer: i64, target: Uuid, outgoing: bool, body: Body) -> Result<(), StoreError> {
        // Our own messages are here before anything can be said about them.
        if outgoing || self.is_here(peer, target, false)? {
            return Ok(());
        }
        self.connection
            .prepare_cached("INSERT INTO early (peer, target, body) VALUES (?1, ?2, ?3)")?
            .execute(params![peer, target, body.encode()?])?;
        self.connection
            .prepare_cached(
                "DELETE FROM early WHERE peer = ?1 AND seq <=
                     (SELECT seq FROM early WHERE peer = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute(params![peer, EARLY_MAX])?;
        Ok(())
    }

    /// The message `id` of the peer has come: what was said about it before counts now.
    pub(super) fn catch_up_early(&self, peer: i64, id: Uuid) -> Result<(), StoreError> {
        let bodies = self
            .connection
            .prepare_cached("DELETE FROM early WHERE peer = ?1 AND target = ?2 RETURNING body")?
            .query_map(params![peer, id], |row| row.get::<_, Vec<u8>>(0))?
            .collect::<Result<Vec<_>, _>>()?;
        for body in bodies {
            match Body::decode(&body).map_err(|error| StoreError::Corrupt(error.to_string()))? {
                Body::Edit { revision, text, .. } => self.rewrite(peer, id, false, revision, &text)?,
                Body::Delete { .. } => self.erase(peer, id, false)?,
                Body::Reaction { revision, mark, .. } => {
                    self.mark(peer, id, false, revision, mark.as_deref())?;
                }
                other => return Err(StoreError::Corrupt(format!("{:?} about a message", other.kind()))),
            }
        }
        Ok(())
    }
}
