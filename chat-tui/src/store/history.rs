//! Parts of a history.

use rusqlite::{OptionalExtension, params};

use super::messages::{COLUMNS, JOIN_ANSWERED, read_message};
use super::{Store, StoreError};
use crate::session::api::{Message, Page, Span};

/// A page is at most this long, whatever was asked for.
const PAGE_MAX: usize = 1000;

/// Where a conversation is opened in the middle, so much of what was seen before stands above: one part in this many.
const CONTEXT_PART: usize = 4;

impl Store {
    /// A part of the history with `friend`, at most `limit` messages.
    pub fn history(&self, friend: &str, span: Span, limit: usize) -> Result<Page, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let Some(peer) = self.peer_id(friend)? else { return Ok(Page::default()) };
        match span {
            Span::Newest => self.before(peer, i64::MAX, limit),
            Span::Before(row) => {
                let mut page = self.before(peer, row, limit)?;
                page.newer = self.any(peer, row.saturating_sub(1), true)?;
                Ok(page)
            }
            Span::After(row) => {
                let (messages, newer) = self.after(peer, row, limit)?;
                Ok(Page { messages, older: self.any(peer, row.saturating_add(1), false)?, newer })
            }
            Span::Around(row) => self.around(peer, row, limit / 2, limit),
            Span::Unseen => self.unseen(peer, limit),
        }
    }

    fn unseen(&self, peer: i64, limit: usize) -> Result<Page, StoreError> {
        let newest = self.before(peer, i64::MAX, limit)?;
        let first: Option<i64> = self
            .connection
            .prepare_cached("SELECT min(row) FROM message WHERE peer = ?1 AND outgoing = 0 AND state = 2")?
            .query_row([peer], |row| row.get(0))?;
        match (first, newest.messages.first()) {
            (Some(first), Some(oldest)) if first < oldest.row => {
                self.around(peer, first, limit / CONTEXT_PART, limit)
            }
            _ => Ok(newest),
        }
    }

    /// `above` messages before `row`, then `row` and what follows.
    fn around(&self, peer: i64, row: i64, above: usize, limit: usize) -> Result<Page, StoreError> {
        let above = above.min(limit - 1);
        let mut page = match above {
            0 => Page { older: self.any(peer, row, false)?, ..Page::default() },
            above => self.before(peer, row, above)?,
        };
        let room = limit - page.messages.len();
        let (messages, newer) = self.after(peer, row.saturating_sub(1), room)?;
        page.messages.extend(messages);
        page.newer = newer;
        Ok(page)
    }

    fn before(&self, peer: i64, row: i64, limit: usize) -> Result<Page, StoreError> {
        let mut messages = self.some(peer, "m.row < ?2 ORDER BY m.row DESC", row, limit + 1)?;
        let older = messages.len() > limit;
        messages.truncate(limit);
        messages.reverse();
        Ok(Page { messages, older, newer: false })
    }

    fn after(&self, peer: i64, row: i64, limit: usize) -> Result<(Vec<Message>, bool), StoreError> {
        let mut messages = self.some(peer, "m.row > ?2 ORDER BY m.row", row, limit + 1)?;
        let newer = messages.len() > limit;
        messages.truncate(limit);
        Ok((messages, newer))
    }

    fn some(&self, peer: i64, which: &str, row: i64, limit: usize) -> Result<Vec<Message>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM message m JOIN peer p ON p.id = m.peer {JOIN_ANSWERED}
             WHERE m.peer = ?1 AND {which} LIMIT ?3"
        ))?;
        let rows = statement.query_map(params![peer, row, limit as i64], read_message)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether there is a message above or below `row`.
    fn any(&self, peer: i64, row: i64, above: bool) -> Result<bool, StoreError> {
        let which = if above { ">" } else { "<" };
        let mut statement = self
            .connection
            .prepare_cached(&format!("SELECT 1 FROM message WHERE peer = ?1 AND row {which} ?2 LIMIT 1"))?;
        Ok(statement.query_row(params![peer, row], |_| Ok(())).optional()?.is_some())
    }
}
