//! Other users: what the protocol knows of them, and what is shown of them.

use rusqlite::{OptionalExtension, Row, params};
use shared::message::PresenceState;
use uuid::Uuid;

use super::{Store, StoreError, from_millis, messages, millis};
use crate::session::api::{Direction, Friend, FriendStatus, Presence, Request, RequestState};
use crate::session::protocol::{Asked, Asks, Bond, Peer};

const COLUMNS: &str = "name, bond, ours, theirs, blocked, asked_id, asked_queue, asked_note, asked_at,
    asked_state, asked_reason, asks_id, asks_reply_to, asks_note, asks_at, newest_ask";

impl Store {
    /// What we know of `name`; a stranger if nothing.
    pub fn peer(&self, name: &str) -> Result<Peer, StoreError> {
        let found = self
            .connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM peer WHERE name = ?1"))?
            .query_row([name], read_peer)
            .optional()?;
        Ok(found.unwrap_or_else(|| Peer::stranger(name)))
    }

    /// Whether there ever was anything to note about this user.
    pub fn knows(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.peer_id(name)?.is_some())
    }

    pub(super) fn peer_id(&self, name: &str) -> Result<Option<i64>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT id FROM peer WHERE name = ?1")?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }

    pub(super) fn add_peer(&self, name: &str) -> Result<i64, StoreError> {
        self.connection.prepare_cached("INSERT INTO peer (name, bond) VALUES (?1, 0)")?.execute([name])?;
        Ok(self.connection.last_insert_rowid())
    }

    pub(super) fn save_peer(&self, id: i64, peer: &Peer) -> Result<(), StoreError> {
        let (bond, ours, theirs) = match &peer.bond {
            Bond::Stranger => (0, None, None),
            Bond::Friend { ours, theirs } => (1, Some(ours), Some(theirs)),
            Bond::Former { by_us: true } => (2, None, None),
            Bond::Former { by_us: false } => (3, None, None),
        };
        let asked = peer.asked.as_ref();
        let (state, reason) = asked.map(|asked| encode_request(&asked.state)).unzip();
        let asks = peer.asks.as_ref();
        self.connection
            .prepare_cached(
                "UPDATE peer SET bond = ?2, ours = ?3, theirs = ?4, blocked = ?5,
                     asked_id = ?6, asked_queue = ?7, asked_note = ?8, asked_at = ?9, asked_state = ?10,
                     asked_reason = ?11, asks_id = ?12, asks_reply_to = ?13, asks_note = ?14, asks_at = ?15,
                     newest_ask = ?16, presence = iif(?2 = 1, presence, 0),
                     -- Whoever becomes a friend, again, is in the list.
                     archived = archived AND (bond = 1 OR ?2 <> 1)
                 WHERE id = ?1",
            )?
            .execute(params![
                id,
                bond,
                ours,
                theirs,
                peer.blocked,
                asked.map(|asked| asked.id),
                asked.map(|asked| &asked.queue),
                asked.map(|asked| &asked.note),
                asked.map(|asked| millis(asked.at)),
                state,
                reason.flatten(),
                asks.map(|asks| asks.id),
                asks.map(|asks| &asks.reply_to),
                asks.map(|asks| &asks.note),
                asks.map(|asks| millis(asks.at)),
                peer.newest_ask,
            ])?;
        Ok(())
    }

    /// Everybody we are or were friends with, or block, by name.
    pub fn friends(&self) -> Result<Vec<Friend>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {}, p.bond, p.blocked, p.presence, p.last_seen, p.unread, p.draft, p.name, p.nickname, p.muted,
                 p.archived, iif(p.presence = 2, p.away_note, '')
             FROM peer p LEFT JOIN message m ON m.row = p.last_row {}
             WHERE p.bond <> 0 OR p.blocked OR p.last_row IS NOT NULL ORDER BY p.name",
            messages::COLUMNS,
            messages::JOIN_ANSWERED
        ))?;
        let mut rows = statement.query([])?;
        let mut friends = Vec::new();
        while let Some(row) = rows.next()? {
            friends.push(read_friend(row)?);
        }
        Ok(friends)
    }

    /// Requests in both directions, by name.
    pub fn requests(&self) -> Result<Vec<Request>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM peer WHERE asked_id IS NOT NULL OR asks_id IS NOT NULL ORDER BY name"
        ))?;
        let mut requests = Vec::new();
        for peer in statement.query_map([], read_peer)? {
            let peer = peer?;
            if let Some(asks) = peer.asks {
                requests.push(Request {
                    name: peer.name.clone(),
                    note: asks.note,
                    at: asks.at,
                    direction: Direction::Incoming,
                    state: RequestState::Pending,
                });
            }
            if let Some(asked) = peer.asked {
                requests.push(Request {
                    name: peer.name,
                    note: asked.note,
                    at: asked.at,
                    direction: Direction::Outgoing,
                    state: asked.state,
                });
            }
        }
        Ok(requests)
    }

    /// Friends who ended the friendship: their names tell one session what another one found out.
    pub fn ended_by_them(&self) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT name FROM peer WHERE bond = 3")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Name, our queue and their queue of every friend.
    pub fn bonds(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT name, ours, theirs FROM peer WHERE bond = 1")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn set_draft(&self, id: i64, text: &str, unless_any: bool) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE peer SET draft = ?2 WHERE id = ?1 AND (NOT ?3 OR draft = '')")?
            .execute(params![id, text, unless_any])?;
        Ok(())
    }

    pub(super) fn set_presence(
        &self,
        id: i64,
        presence: PresenceState,
        note: &str,
        at: i64,
    ) -> Result<(), StoreError> {
        let code = match presence {
            PresenceState::Offline => 0,
            PresenceState::Online => 1,
            PresenceState::Away => 2,
        };
        self.connection
            .prepare_cached(
                "UPDATE peer SET presence = ?2, last_seen = ?3, away_note = iif(?2 = 2, ?4, '')
                 WHERE id = ?1 AND bond = 1",
            )?
            .execute(params![id, code, at, note])?;
        Ok(())
    }

    pub(super) fn set_nickname(&self, id: i64, nickname: Option<&str>) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE peer SET nickname = ?2 WHERE id = ?1")?
            .execute(params![id, nickname])?;
        Ok(())
    }

    pub(super) fn set_muted(&self, id: i64, muted: bool) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE peer SET muted = ?2 WHERE id = ?1")?
            .execute(params![id, muted])?;
        Ok(())
    }

    pub(super) fn set_archived(&self, id: i64, archived: bool) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE peer SET archived = ?2 WHERE id = ?1")?
            .execute(params![id, archived])?;
        Ok(())
    }

    /// Nobody's presence is known any more: the link is down, or only now coming up.
    pub fn forget_presence(&self) -> Result<(), StoreError> {
        self.connection.prepare_cached("UPDATE peer SET presence = 0 WHERE presence <> 0")?.execute([])?;
        Ok(())
    }

    /// `friend` gave no sign of life for too long.
    pub fn presence_lapsed(&self, friend: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached("UPDATE peer SET presence = 0 WHERE name = ?1")?.execute([friend])?;
        Ok(())
    }
}

/// A row of a message, as far as there is one, and of its peer.
fn read_friend(row: &Row<'_>) -> rusqlite::Result<Friend> {
    const PEER: usize = messages::COLUMNS_COUNT;
    let any_message = row.get::<_, Option<i64>>(0)?.is_some();
    let last_seen = row.get::<_, Option<i64>>(PEER + 3)?.map(from_millis);
    Ok(Friend {
        status: match (row.get(PEER)?, row.get(PEER + 1)?) {
            (_, true) => FriendStatus::Blocked,
            (1, _) => FriendStatus::Friend,
            _ => FriendStatus::Former,
        },
        ended_by_us: matches!(row.get(PEER)?, 2),
        presence: match row.get(PEER + 2)? {
            1 => Presence::Online,
            2 => Presence::Away,
            _ => Presence::Offline { last_seen },
        },
        last_message: any_message.then(|| messages::read_message(row)).transpose()?,
        unread: row.get(PEER + 4)?,
        draft: row.get(PEER + 5)?,
        name: row.get(PEER + 6)?,
        nickname: row.get(PEER + 7)?,
        muted: row.get(PEER + 8)?,
        archived: row.get(PEER + 9)?,
        away_note: row.get(PEER + 10)?,
    })
}

fn read_peer(row: &Row<'_>) -> rusqlite::Result<Peer> {
    let bond = match row.get(1)? {
        1 => Bond::Friend { ours: row.get(2)?, theirs: row.get(3)? },
        2 => Bond::Former { by_us: true },
        3 => Bond::Former { by_us: false },
        _ => Bond::Stranger,
    };
    let asked = match row.get::<_, Option<Uuid>>(5)? {
        Some(id) => Some(Asked {
            id,
            queue: row.get(6)?,
            note: row.get(7)?,
            at: from_millis(row.get(8)?),
            state: decode_request(row.get(9)?, row.get(10)?),
        }),
        None => None,
    };
    let asks = match row.get::<_, Option<Uuid>>(11)? {
        Some(id) => {
            Some(Asks { id, reply_to: row.get(12)?, note: row.get(13)?, at: from_millis(row.get(14)?) })
        }
        None => None,
    };
    let newest_ask = row.get(15)?;
    Ok(Peer { name: row.get(0)?, bond, blocked: row.get(4)?, asked, asks, newest_ask })
}

fn encode_request(state: &RequestState) -> (i64, Option<&str>) {
    match state {
        RequestState::Queued => (0, None),
        RequestState::Pending => (1, None),
        RequestState::Forwarded => (2, None),
        RequestState::Declined => (3, None),
        RequestState::Failed(reason) => (4, Some(reason)),
    }
}

fn decode_request(code: i64, reason: Option<String>) -> RequestState {
    match code {
        0 => RequestState::Queued,
        1 => RequestState::Pending,
        2 => RequestState::Forwarded,
        3 => RequestState::Declined,
        _ => RequestState::Failed(reason.unwrap_or_default()),
    }
}
