//! Forgetting what is old, if that is wished.

use std::time::{Duration, SystemTime};

use rusqlite::params;

use super::{Store, StoreError, millis};

/// Days after which messages are forgotten; not there when all are kept.
const RETENTION_META: &str = "retention-days";
/// How many messages were forgotten so far.
const FORGOTTEN_META: &str = "forgotten";
/// Messages forgotten in one transaction.
const FORGET_MAX: usize = 500;
pub const RETENTION_DAYS_MAX: u32 = 36_500;

impl Store {
    pub fn retention_days(&self) -> Result<Option<u32>, StoreError> {
        let kept = self.meta(RETENTION_META)?;
        Ok(kept.and_then(|days| days.parse().ok()))
    }

    pub fn set_retention_days(&self, days: Option<u32>) -> Result<(), StoreError> {
        self.set_meta(RETENTION_META, &days.map_or("off".to_owned(), |days| days.to_string()))
    }

    /// How many messages were forgotten so far, by whichever session.
    pub fn forgotten(&self) -> Result<u64, StoreError> {
        Ok(self.meta(FORGOTTEN_META)?.and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    /// Forgets some of what is too old at `now`; returns how many. What is not seen yet, or not yet with the broker, stays.
    pub fn forget_old(&self, now: SystemTime) -> Result<usize, StoreError> {
        let Some(days) = self.retention_days()? else { return Ok(0) };
        let age = Duration::from_secs(u64::from(days) * 24 * 3600);
        let Some(oldest) = now.checked_sub(age) else { return Ok(0) };
        self.transaction(|| {
            let forgotten = self
                .connection
                .prepare_cached(
                    "DELETE FROM message WHERE row IN (
                         SELECT row FROM message
                         WHERE at < ?1 AND owed = 0 AND amending <> 1 AND state <> iif(outgoing, 0, 2)
                         ORDER BY at LIMIT ?2)",
                )?
                .execute(params![millis(oldest), FORGET_MAX as i64])?;
            if forgotten > 0 {
                self.connection
                    .prepare_cached(
                        "UPDATE peer SET last_row = (SELECT max(row) FROM message WHERE peer = peer.id)
                         WHERE last_row NOT IN (SELECT row FROM message WHERE row = peer.last_row)",
                    )?
                    .execute([])?;
                let before = self.forgotten()?;
                self.set_meta(FORGOTTEN_META, &before.saturating_add(forgotten as u64).to_string())?;
            }
            Ok(forgotten)
        })
    }
}
