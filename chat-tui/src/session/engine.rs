//! The actor behind a session: commands in, events out.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shared::message::AWAY_NOTE_BYTES_MAX;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::api::{Command, Connection, Event, ExportFormat};
use super::feed::{Feed, News};
use super::lookout::Lookout;
use super::protocol::Now;
use super::uplink::{Note, Uplink};
use super::{Progress, SessionConfig};
use crate::export;
use crate::store::{Store, StoreActor, StoreError};

/// Changes are told at most this often, all at once.
const TELL_EVERY: Duration = Duration::from_millis(20);
/// Events that may wait here for whoever shows them; beyond it nothing more is taken from the broker.
const BACKLOG_MAX: usize = 4096;
/// How often to look for messages that are too old to be kept.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// Between the parts of a long forgetting, so that others get at the state.
const FORGET_PAUSE: Duration = Duration::from_millis(50);
/// For sessions beside the one that is online.
const ALONGSIDE: &str = "another chat-tui of yours is running on this machine: both show the same, and this one goes online \
    by itself when that one ends";
/// For those of them that are told to be away.
const AWAY_ALONGSIDE: &str = "another chat-tui of yours on this machine is the one that friends see: they learn that you are \
    away when you type /away there, or when that one ends";
/// A session that lives no longer need not say so.
const ALONGSIDE_AFTER: Duration = Duration::from_secs(2);
/// How the session that is online for all tells the others.
const LINK_META: &str = "link";

pub struct Engine {
    config: SessionConfig,
    me: String,
    store: StoreActor,
    /// The folder of the state.
    dir: PathBuf,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    progress: watch::Sender<Progress>,
    /// Events that are not yet taken.
    backlog: VecDeque<Event>,
    feed: Option<Feed>,
    /// When to tell what has changed, if anything has.
    tell_at: Option<Instant>,
    commands_done: u64,
    /// When to forget what is too old.
    forget_at: Instant,
    /// When to say that another session is online, unless it was said.
    alongside_at: Option<Instant>,
    link: Role,
    /// Why the person is away, if they are.
    away: Option<String>,
    /// As last told.
    connection: Option<Connection>,
    caught_up: bool,
    leaving: bool,
    /// What became of what is done beside everything else: exports, searches.
    aside: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
}

/// Which session of the user is online.
enum Role {
    /// This one; the lock lasts as long as the file is open.
    Online { uplink: Uplink, _lock: File },
    /// Another one, or none yet.
    Waiting,
}

/// Why the session ends, if not as asked.
type Reason = Option<String>;

impl Engine {
    pub fn new(
        config: SessionConfig,
        me: String,
        store: StoreActor,
        dir: PathBuf,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Event>,
        progress: watch::Sender<Progress>,
    ) -> Engine {
        Engine {
            config,
            me,
            store,
            dir,
            commands,
            events,
            progress,
            backlog: VecDeque::new(),
            feed: None,
            tell_at: None,
            commands_done: 0,
            forget_at: Instant::now() + FORGET_PAUSE,
            alongside_at: Some(Instant::now() + ALONGSIDE_AFTER),
            link: Role::Waiting,
            away: None,
            connection: None,
            caught_up: false,
            leaving: false,
            aside: mpsc::unbounded_channel(),
        }
    }

    pub async fn run(mut self, lookout: Lookout) {
        let reason = match self.live(lookout).await {
            Ok(reason) => reason,
            Err(error) => Some(error.to_string()),
        };
        self.link = Role::Waiting;
        self.backlog.push_back(Event::Ended { reason });
        for event in self.backlog {
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }

    async fn live(&mut self, mut lookout: Lookout) -> Result<Reason, StoreError> {
        self.feed = Some(self.store.call(|store| Feed::new(store)).await?);
        self.look_around().await?;
        self.tell().await?;
        let events = self.events.clone();
        loop {
            let full = self.backlog.len() >= BACKLOG_MAX;
            let tell_at = self.tell_at.unwrap_or_else(Instant::now);
            tokio::select! {
                permit = events.reserve(), if !self.backlog.is_empty() => match permit {
                    Ok(permit) => if let Some(event) = self.backlog.pop_front() {
                        permit.send(event);
                    },
                    // Nobody looks any more.
                    Err(_) => return Ok(None),
                },
                command = self.commands.recv(), if !self.leaving => {
                    let command = command.unwrap_or(Command::Shutdown);
                    if self.carry_out(command).await? {
                        return Ok(None);
                    }
                }
                Some(note) = next_note(&mut self.link), if !full => {
                    if let Some(reason) = self.hear(note).await? {
                        return Ok(reason);
                    }
                }
                () = lookout.due() => self.look_around().await?,
                Some(event) = self.aside.1.recv() => self.backlog.push_back(event),
                () = sleep_until(self.forget_at) => self.forget_old().await,
                () = sleep_until(tell_at), if self.tell_at.is_some() && !full => self.tell().await?,
            }
        }
    }

    /// Returns whether the session is over.
    async fn carry_out(&mut self, command: Command) -> Result<bool, StoreError> {
        match command {
            Command::LoadHistory { friend, span, limit } => {
                let name = friend.clone();
                let page = self.store.call(move |store| store.history(&name, span, limit)).await?;
                self.backlog.push_back(Event::History { friend, span, page });
            }
            Command::Search { query, friend, before, limit } => {
                let dir = self.dir.clone();
                self.beside(move || {
                    let found = Store::open_to_read(&dir)
                        .and_then(|store| store.search(&query, friend.as_deref(), before, limit));
                    match found {
                        Ok((messages, more)) => Event::Found { query, friend, messages, more },
                        Err(error) => Event::Failed {
                            command: Command::Search { query, friend, before, limit },
                            reason: error.to_string(),
                        },
                    }
                });
            }
            Command::Export { friend, format, path } => self.export(friend, format, path),
            Command::SetRetention { days } => {
                match self.store.call(move |store| store.set_retention_days(days)).await {
                    Ok(()) => self.forget_at = Instant::now(),
                    Err(error) => {
                        self.backlog.push_back(Event::Failed { command, reason: error.to_string() })
                    }
                }
            }
            Command::Typing { friend } => {
                if let Role::Online { uplink, .. } = &self.link {
                    uplink.typing(friend);
                }
            }
            Command::SetAway(Some(note)) if note.len() > AWAY_NOTE_BYTES_MAX => {
                let reason = format!(
                    "the note is {} bytes long; at most {AWAY_NOTE_BYTES_MAX} say why somebody is away",
                    note.len()
                );
                self.backlog.push_back(Event::Failed { command: Command::SetAway(Some(note)), reason });
            }
            Command::SetAway(away) => {
                self.away.clone_from(&away);
                match &self.link {
                    Role::Online { uplink, .. } => uplink.set_away(away),
                    Role::Waiting if away.is_some() => {
                        self.backlog.push_back(Event::Notice(AWAY_ALONGSIDE.into()));
                    }
                    Role::Waiting => {}
                }
            }
            Command::Reconnect => match &self.link {
                Role::Online { uplink, .. } => uplink.retry(),
                Role::Waiting => self.backlog.push_back(Event::Notice(ALONGSIDE.into())),
            },
            Command::TakeOver => match &self.link {
                Role::Online { uplink, .. } => uplink.take_over(),
                Role::Waiting => self.backlog.push_back(Event::Notice(ALONGSIDE.into())),
            },
            Command::Shutdown => {
                self.leaving = true;
                return Ok(match &self.link {
                    Role::Online { uplink, .. } => {
                        uplink.leave();
                        false
                    }
                    Role::Waiting => true,
                });
            }
            command => self.change(command).await?,
        }
        self.commands_done += 1;
        self.changed();
        Ok(false)
    }

    async fn forget_old(&mut self) {
        let forgotten = self.store.call(|store| store.forget_old(SystemTime::now())).await;
        let forgotten = forgotten.unwrap_or_else(|error| {
            tracing::warn!("old messages are not forgotten: {error}");
            0
        });
        let pause = if forgotten > 0 { FORGET_PAUSE } else { FORGET_EVERY };
        self.forget_at = Instant::now() + pause;
        if forgotten > 0 {
            self.changed();
        }
    }

    /// Does what may take a while on a thread of its own, and tells what became of it when it is done.
    fn beside(&self, work: impl FnOnce() -> Event + Send + 'static) {
        let done = self.aside.0.clone();
        tokio::task::spawn_blocking(move || {
            // A session that has ended tells nobody any more.
            let _ = done.send(work());
        });
    }

    /// Writes a history to a file.
    fn export(&self, friend: String, format: ExportFormat, path: PathBuf) {
        let dir = self.dir.clone();
        self.beside(move || {
            let target = export::typed_path(&path);
            match export::to_file(&dir, &friend, format, &target) {
                Ok(count) => {
                    Event::Notice(format!("wrote {count} messages with {friend} to {}", target.display()))
                }
                Err(reason) => Event::Failed { command: Command::Export { friend, format, path }, reason },
            }
        });
    }

    async fn change(&mut self, command: Command) -> Result<(), StoreError> {
        let (me, wanted) = (self.me.clone(), command.clone());
        let done = self.store.call(move |store| store.command(&me, &wanted, &Now::new())).await;
        match done {
            Ok(events) => self.backlog.extend(events),
            // One command that cannot be stored is no reason to end: the disk may be full for now.
            Err(error) => self.backlog.push_back(Event::Failed { command, reason: error.to_string() }),
        }
        if let Role::Online { uplink, .. } = &self.link {
            uplink.look();
        }
        Ok(())
    }

    /// Takes in what happened online. Returns why the session is over, if it is.
    async fn hear(&mut self, note: Note) -> Result<Option<Reason>, StoreError> {
        match note {
            Note::Connection(connection) => self.connection_is(connection, false).await,
            Note::CaughtUp => {
                if let Some(connection) = self.connection.clone() {
                    self.connection_is(connection, true).await;
                }
            }
            Note::Events(events) => self.backlog.extend(events),
            Note::Changed => self.changed(),
            Note::GivenUp(reason) => return Ok(Some(Some(reason))),
            Note::Left => {
                self.tell().await?;
                return Ok(Some(None));
            }
        }
        Ok(None)
    }

    async fn connection_is(&mut self, connection: Connection, caught_up: bool) {
        let told = encode(&connection, caught_up);
        // For other sessions alone: on a full disk this one still shows what is there.
        if let Err(error) = self.store.call(move |store| store.set_meta(LINK_META, &told)).await {
            self.backlog.push_back(Event::Notice(error.to_string()));
        }
        self.show_connection(connection, caught_up);
        // The steps that are pending count as done only with what came with the connection.
        self.changed();
    }

    fn show_connection(&mut self, connection: Connection, caught_up: bool) {
        self.caught_up = caught_up;
        if self.connection.as_ref() != Some(&connection) {
            self.connection = Some(connection.clone());
            self.backlog.push_back(Event::Connection(connection));
        }
    }

    fn changed(&mut self) {
        self.tell_at.get_or_insert_with(|| Instant::now() + TELL_EVERY);
    }

    /// Follows other sessions of the user, and goes online if none of them is.
    async fn look_around(&mut self) -> Result<(), StoreError> {
        let waiting = matches!(self.link, Role::Waiting) && !self.leaving;
        let (changed, lock, link) = self
            .store
            .call(move |store| {
                let lock = if waiting { store.try_lock_link()? } else { None };
                Ok((store.changed_elsewhere()?, lock, store.meta(LINK_META)?))
            })
            .await?;
        if let Some(lock) = lock {
            // Left behind by a session that crashed.
            if let Err(error) = self.store.call(|store| store.forget_presence()).await {
                self.backlog.push_back(Event::Notice(error.to_string()));
            }
            let (broker, sign_up) = (self.config.broker.clone(), self.config.sign_up.take());
            let uplink = Uplink::start(broker, sign_up, self.store.clone(), self.away.clone());
            self.link = Role::Online { uplink, _lock: lock };
            self.changed();
            self.alongside_at = None;
        } else if waiting && let Some((connection, caught_up)) = link.as_deref().and_then(decode) {
            if self.alongside_at.take_if(|at| *at <= Instant::now()).is_some() {
                self.backlog.push_back(Event::Notice(ALONGSIDE.into()));
            }
            self.show_connection(connection, caught_up);
        }
        if changed {
            self.changed();
            if let Role::Online { uplink, .. } = &self.link {
                uplink.look();
            }
        }
        Ok(())
    }

    async fn tell(&mut self) -> Result<(), StoreError> {
        self.tell_at = None;
        let Some(mut feed) = self.feed.take() else { return Ok(()) };
        let commands_done = self.commands_done;
        let (feed, news) = self
            .store
            .call(move |store| {
                let news = feed.read(store)?;
                Ok((feed, news))
            })
            .await?;
        self.feed = Some(feed);
        let News { events, pending, more } = news;
        self.backlog.extend(events);
        if more {
            self.changed();
        }
        let online = matches!(self.connection, Some(Connection::Online { .. }));
        let progress =
            Progress { commands_done, pending, online, caught_up: online && self.caught_up && !more };
        self.progress.send_if_modified(|old| std::mem::replace(old, progress.clone()) != progress);
        Ok(())
    }
}

async fn next_note(link: &mut Role) -> Option<Note> {
    match link {
        Role::Online { uplink, .. } => {
            let gone = || Note::GivenUp("the task that keeps the connection has failed".into());
            Some(uplink.notes.recv().await.unwrap_or_else(gone))
        }
        Role::Waiting => None,
    }
}

/// `online SINCE CAUGHT_UP`, `connecting ATTEMPT` or `offline SINCE RETRY_AT REASON`; times in ms since 1970.
fn encode(connection: &Connection, caught_up: bool) -> String {
    let ms = |at: &SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    match connection {
        Connection::Connecting { attempt } => format!("connecting {attempt}"),
        Connection::Online { since } => format!("online {} {caught_up}", ms(since)),
        Connection::Offline { since, reason, retry_at } => {
            format!("offline {} {} {reason}", ms(since), ms(retry_at))
        }
    }
}

fn decode(encoded: &str) -> Option<(Connection, bool)> {
    let at = |ms: &str| Some(UNIX_EPOCH + Duration::from_millis(ms.parse().ok()?));
    let (kind, rest) = encoded.split_once(' ')?;
    match kind {
        "connecting" => Some((Connection::Connecting { attempt: rest.parse().ok()? }, false)),
        "online" => {
            let (since, caught_up) = rest.split_once(' ')?;
            Some((Connection::Online { since: at(since)? }, caught_up == "true"))
        }
        "offline" => {
            let (since, rest) = rest.split_once(' ')?;
            let (retry_at, reason) = rest.split_once(' ')?;
            let reason = reason.to_owned();
            Some((Connection::Offline { since: at(since)?, reason, retry_at: at(retry_at)? }, false))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_to_other_sessions_survives() {
        let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        let offline = Connection::Offline { since: at(1), reason: "no broker: 5 6".into(), retry_at: at(9) };
        for (connection, caught_up) in [
            (Connection::Connecting { attempt: 3 }, false),
            (Connection::Online { since: at(1_764_000_000_123) }, true),
            (Connection::Online { since: at(7) }, false),
            (offline, false),
        ] {
            let encoded = encode(&connection, caught_up);
            assert_eq!(decode(&encoded), Some((connection, caught_up)), "{encoded}");
        }
        for garbage in ["", "online", "online x true", "offline 1", "elsewhere 1 2"] {
            assert_eq!(decode(garbage), None, "{garbage:?}");
        }
    }
}
