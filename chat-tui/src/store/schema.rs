//! The schema of the local state, by version (`PRAGMA user_version`).

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// One entry per version: entry `n` leads from version `n` to version `n + 1`. Entries are never edited.
pub(super) const MIGRATIONS: &[&str] = &[V1, V2, V3, V4];

const V1: &str = "
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- One row per other user we ever had to do with. Times are milliseconds since 1970.
CREATE TABLE peer (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    nickname      TEXT,
    bond          INTEGER NOT NULL,          -- 0 stranger, 1 friend, 2 ended by us, 3 ended by them
    ours          TEXT,                      -- our queue for them
    theirs        TEXT,                      -- the queue of theirs that we write to
    blocked       INTEGER NOT NULL DEFAULT 0,
    asked_id      BLOB,                      -- our request to them: its message-id
    asked_queue   TEXT,
    asked_note    TEXT,
    asked_at      INTEGER,
    asked_state   INTEGER,
    asked_reason  TEXT,
    asks_id       BLOB,                      -- their request to us
    asks_reply_to TEXT,
    asks_note     TEXT,
    asks_at       INTEGER,
    newest_ask    BLOB,                      -- message-id of the newest request of theirs that we looked at
    draft         TEXT NOT NULL DEFAULT '',
    unread        INTEGER NOT NULL DEFAULT 0,
    last_row      INTEGER,                   -- newest message
    presence      INTEGER NOT NULL DEFAULT 0, -- 0 offline, 1 online, 2 away
    last_seen     INTEGER
);

-- Queues that we own at the broker, or still have to delete there.
CREATE TABLE queue (
    name  TEXT PRIMARY KEY,
    peer  INTEGER REFERENCES peer(id),       -- none: the inbox
    state INTEGER NOT NULL                   -- 0 to declare, 1 declared, 2 to delete, 3 to empty, then delete
) WITHOUT ROWID;

CREATE TABLE message (
    row       INTEGER PRIMARY KEY AUTOINCREMENT,
    id        BLOB NOT NULL,
    peer      INTEGER NOT NULL REFERENCES peer(id),
    outgoing  INTEGER NOT NULL,
    text      TEXT NOT NULL,
    at        INTEGER NOT NULL,
    state     INTEGER NOT NULL,              -- 0 queued, 1 sent, 2 delivered, 3 read, 4 returned, 5 failed
    reason    TEXT,
    owed      INTEGER NOT NULL DEFAULT 0,    -- receipt not yet on its way: 0 none, 2 delivered, 3 read
    change    INTEGER NOT NULL               -- grows with each change; sessions follow each other by it
);
-- By peer and direction, so that nobody can make one of our messages look like a duplicate of theirs.
CREATE UNIQUE INDEX message_id ON message (peer, outgoing, id);
CREATE INDEX message_page ON message (peer, row);
CREATE INDEX message_change ON message (change);
CREATE INDEX message_unread ON message (peer, row) WHERE outgoing = 0 AND state = 2;
CREATE INDEX message_owed ON message (peer, row) WHERE owed > 0;

-- What is to be published, in order.
CREATE TABLE outbox (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    peer           INTEGER NOT NULL REFERENCES peer(id),
    exchange       TEXT NOT NULL,
    routing_key    TEXT NOT NULL,
    message_id     BLOB NOT NULL,
    correlation_id BLOB,
    reply_to       TEXT,
    at             INTEGER,
    body           BLOB NOT NULL             -- JSON
);
CREATE INDEX outbox_peer ON outbox (peer, seq);

CREATE TABLE clock (value INTEGER NOT NULL);
INSERT INTO clock VALUES (0);
";

/// Answers, edits, deletions, reactions; search; what a person makes of friends.
const V2: &str = "
ALTER TABLE peer ADD COLUMN muted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE peer ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;

ALTER TABLE message ADD COLUMN answers BLOB;                        -- id of the message that it answers
ALTER TABLE message ADD COLUMN revision INTEGER NOT NULL DEFAULT 0; -- how often it was edited
ALTER TABLE message ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN amending INTEGER NOT NULL DEFAULT 0; -- our edit or deletion: 0 settled, 1 waits, 2 lost
ALTER TABLE message ADD COLUMN our_mark TEXT;
ALTER TABLE message ADD COLUMN our_mark_revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN their_mark TEXT;
ALTER TABLE message ADD COLUMN their_mark_revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN content INTEGER NOT NULL DEFAULT 0;  -- newest change of what it says, not of how far it came
CREATE INDEX message_at ON message (at);

-- What arrived about messages that are not here, as JSON. They may still come, or be forgotten long ago.
CREATE TABLE early (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    peer   INTEGER NOT NULL REFERENCES peer(id),
    target BLOB NOT NULL,
    body   BLOB NOT NULL
);
CREATE INDEX early_target ON early (peer, target);

CREATE VIRTUAL TABLE message_text USING fts5 (
    text, content = 'message', content_rowid = 'row', tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER message_text_insert AFTER INSERT ON message BEGIN
    INSERT INTO message_text (rowid, text) VALUES (new.row, new.text);
END;
CREATE TRIGGER message_text_update AFTER UPDATE OF text ON message BEGIN
    INSERT INTO message_text (message_text, rowid, text) VALUES ('delete', old.row, old.text);
    INSERT INTO message_text (rowid, text) VALUES (new.row, new.text);
END;
CREATE TRIGGER message_text_delete AFTER DELETE ON message BEGIN
    INSERT INTO message_text (message_text, rowid, text) VALUES ('delete', old.row, old.text);
END;
INSERT INTO message_text (message_text) VALUES ('rebuild');
-- What is deleted is gone from the index too, not only unlinked in it.
INSERT INTO message_text (message_text, rank) VALUES ('secure-delete', 1);
";

/// An index of signs, for writing without spaces between words.
const V3: &str = "
CREATE VIRTUAL TABLE message_signs USING fts5 (signs, content = '', tokenize = 'ascii');
CREATE TRIGGER message_signs_insert AFTER INSERT ON message WHEN signs(new.text) IS NOT NULL BEGIN
    INSERT INTO message_signs (rowid, signs) VALUES (new.row, signs(new.text));
END;
CREATE TRIGGER message_signs_update AFTER UPDATE OF text ON message BEGIN
    INSERT INTO message_signs (message_signs, rowid, signs)
        SELECT 'delete', old.row, signs(old.text) WHERE signs(old.text) IS NOT NULL;
    INSERT INTO message_signs (rowid, signs)
        SELECT new.row, signs(new.text) WHERE signs(new.text) IS NOT NULL;
END;
CREATE TRIGGER message_signs_delete AFTER DELETE ON message WHEN signs(old.text) IS NOT NULL BEGIN
    INSERT INTO message_signs (message_signs, rowid, signs) VALUES ('delete', old.row, signs(old.text));
END;
INSERT INTO message_signs (message_signs, rank) VALUES ('secure-delete', 1);
INSERT INTO message_signs (rowid, signs) SELECT row, signs(text) FROM message WHERE signs(text) IS NOT NULL;
";

/// Why friends are away.
const V4: &str = "
ALTER TABLE peer ADD COLUMN away_note TEXT NOT NULL DEFAULT '';     -- as long as presence is 2
";

/// Brings the database to the newest version. A database from the future is refused untouched.
pub fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    // Immediate: two sessions that start at once must not migrate at once.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = MIGRATIONS.len() as u32;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, sql) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        transaction.execute_batch(sql)?;
        transaction.execute_batch(&format!("PRAGMA user_version = {}", version + 1))?;
    }
    transaction.commit()?;
    Ok(())
}
