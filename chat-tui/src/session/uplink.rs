//! Keeps a session connected: connects, stays online as long as it goes, waits, connects again.

use std::time::{Duration, Instant, SystemTime};

use shared::backoff::{self, Backoff};
use shared::client::{BrokerUri, Link, Options, SignUp, connect};
use tokio::sync::{mpsc, watch};

use super::api::{Connection, Event};
use super::online::{self, Ended};
use crate::store::StoreActor;

/// A broker that is silent for twice as long is taken for dead.
const HEARTBEAT_S: u16 = 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Notes to the engine that may wait.
const NOTES_MAX: usize = 64;

/// What the engine hears.
#[derive(Debug)]
pub enum Note {
    Connection(Connection),
    /// All that waited at the broker is here.
    CaughtUp,
    /// To be shown as they are.
    Events(Vec<Event>),
    /// The store has news.
    Changed,
    /// There is no use in trying again.
    GivenUp(String),
    /// Everything was said, and the connection closed.
    Left,
}

/// What the engine says. Dropping it ends the connection without a goodbye.
pub struct Uplink {
    pub notes: mpsc::Receiver<Note>,
    look: watch::Sender<u64>,
    away: watch::Sender<Option<String>>,
    leave: watch::Sender<bool>,
    take_over: watch::Sender<u64>,
    retry: watch::Sender<u64>,
    typing: mpsc::Sender<String>,
    task: tokio::task::JoinHandle<()>,
}

/// The other end of [`Uplink`], for everything that runs while online.
#[derive(Clone)]
pub(super) struct Context {
    pub me: String,
    pub store: StoreActor,
    pub notes: mpsc::Sender<Note>,
    /// Grows when the store has something new to bring about.
    pub look: watch::Sender<u64>,
    /// Why we are away, if we are.
    pub away: watch::Receiver<Option<String>>,
    pub leave: watch::Receiver<bool>,
    /// Grows when this session is to have the inbox.
    pub take_over: watch::Receiver<u64>,
    /// Grows when the next attempt to connect is not to wait.
    pub retry: watch::Receiver<u64>,
}

impl Context {
    /// Tells the engine and everything else here that the store has changed.
    pub async fn changed(&self) {
        self.look.send_modify(|count| *count += 1);
        // An engine that is gone takes this task with it.
        let _ = self.notes.send(Note::Changed).await;
    }

    pub async fn show(&self, events: Vec<Event>) {
        if !events.is_empty() {
            let _ = self.notes.send(Note::Events(events)).await;
        }
    }

    pub async fn notice(&self, text: impl Into<String>) {
        self.show(vec![Event::Notice(text.into())]).await;
    }
}

impl Uplink {
    pub fn start(
        broker: BrokerUri,
        sign_up: Option<SignUp>,
        store: StoreActor,
        away: Option<String>,
    ) -> Uplink {
        let (note_sender, notes) = mpsc::channel(NOTES_MAX);
        let (look, _) = watch::channel(0);
        let (away, away_receiver) = watch::channel(away);
        let (leave, leave_receiver) = watch::channel(false);
        let (take_over, take_over_receiver) = watch::channel(0);
        let (retry, retry_receiver) = watch::channel(0);
        let (typing, typing_receiver) = mpsc::channel(8);
        let context = Context {
            me: broker.user().to_owned(),
            store,
            notes: note_sender,
            look: look.clone(),
            away: away_receiver,
            leave: leave_receiver,
            take_over: take_over_receiver,
            retry: retry_receiver,
        };
        let task = tokio::spawn(stay_connected(broker, sign_up, context, typing_receiver));
        Uplink { notes, look, away, leave, take_over, retry, typing, task }
    }

    /// The store has something new to bring about.
    pub fn look(&self) {
        self.look.send_modify(|count| *count += 1);
    }

    pub fn set_away(&self, away: Option<String>) {
        self.away.send_replace(away);
    }

    /// Friend requests are to arrive here, not with another session of the user.
    pub fn take_over(&self) {
        self.take_over.send_modify(|count| *count += 1);
    }

    /// Do not wait any longer before the next attempt to connect.
    pub fn retry(&self) {
        self.retry.send_modify(|count| *count += 1);
    }

    pub fn typing(&self, friend: String) {
        // Worth nothing later, so it may get lost.
        let _ = self.typing.try_send(friend);
    }

    /// Flush what can be flushed, say goodbye, close; `Note::Left` follows.
    pub fn leave(&self) {
        self.leave.send_replace(true);
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn stay_connected(
    broker: BrokerUri,
    mut sign_up: Option<SignUp>,
    context: Context,
    mut typing: mpsc::Receiver<String>,
) {
    let mut leave = context.leave.clone();
    let mut retry = context.retry.clone();
    let mut backoff = Backoff::new(backoff::Settings::default());
    let mut was_online = false;
    let mut offline_since = None;
    loop {
        let attempt = backoff.failures() + 1;
        note(&context, Note::Connection(Connection::Connecting { attempt })).await;
        let mut options = Options::new("chat-tui", env!("CARGO_PKG_VERSION"));
        options.heartbeat_s = HEARTBEAT_S;
        options.timeout = CONNECT_TIMEOUT;
        options.sign_up = sign_up.clone();
        let connected = tokio::select! {
            connected = connect(&broker, &options) => connected,
            () = left(&mut leave) => break,
        };
        let reason = match connected {
            Ok(link) => {
                sign_up = None;
                was_online = true;
                offline_since = None;
                backoff.connected(Instant::now());
                match be_online(link, &context, &mut typing).await {
                    Ended::Left => break,
                    Ended::Lost(reason) => reason,
                }
            }
            Err(error) if !error.may_pass() && !was_online => {
                note(&context, Note::GivenUp(error.to_string())).await;
                return;
            }
            Err(error) => error.to_string(),
        };
        let delay = backoff.failed(Instant::now(), backoff::random());
        let now = SystemTime::now();
        let since = *offline_since.get_or_insert(now);
        let offline = Connection::Offline { since, reason, retry_at: now + delay };
        note(&context, Note::Connection(offline)).await;
        // What was asked for before this attempt failed has been done.
        retry.mark_unchanged();
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            Ok(()) = retry.changed() => {}
            () = left(&mut leave) => break,
        }
    }
    note(&context, Note::Left).await;
}

async fn be_online(link: Link, context: &Context, typing: &mut mpsc::Receiver<String>) -> Ended {
    note(context, Note::Connection(Connection::Online { since: SystemTime::now() })).await;
    let ended = online::run(link, context, typing).await;
    if let Err(error) = context.store.call(|store| store.forget_presence()).await {
        return Ended::Lost(error.to_string());
    }
    context.changed().await;
    ended
}

/// Returns when the session is to end.
pub(super) async fn left(leave: &mut watch::Receiver<bool>) {
    if leave.wait_for(|leave| *leave).await.is_err() {
        // The engine is gone and will abort this task.
        std::future::pending::<()>().await;
    }
}

async fn note(context: &Context, note: Note) {
    // An engine that is gone takes this task with it.
    let _ = context.notes.send(note).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_want_to_wait_for_the_next_attempt_need_not() {
        let nobody =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap();
        let broker: BrokerUri = format!("amqp://alice:secret@{nobody}/").parse().unwrap();
        let store = StoreActor::spawn(Store::open_in_memory().unwrap()).unwrap();
        let mut uplink = Uplink::start(broker, None, store, None);
        // What is asked for too early is no reason not to wait later.
        uplink.retry();
        loop {
            match uplink.notes.recv().await.unwrap() {
                Note::Connection(Connection::Offline { retry_at, .. })
                    if retry_at > SystemTime::now() + Duration::from_secs(10) =>
                {
                    let asked = tokio::time::Instant::now();
                    uplink.retry();
                    let next = uplink.notes.recv().await.unwrap();
                    assert!(matches!(next, Note::Connection(Connection::Connecting { .. })), "{next:?}");
                    assert!(asked.elapsed() < Duration::from_secs(5), "waited {:?}", asked.elapsed());
                    return;
                }
                _ => {}
            }
        }
    }
}
