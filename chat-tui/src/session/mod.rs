//! One user signed in to one broker.
//!
//! ```text
//! whoever shows it ──commands──▶ engine ──▶ store (SQLite: the truth)
//!                  ◀──events──── engine ◀── store ◀──▶ online ◀──▶ broker
//! ```
//!
//! The store says what ought to be: queues to own, queues to give up, messages to publish. [`online`] brings it about
//! whenever there is a connection and writes back what happened. The engine turns commands into changes of the store,
//! and changes of the store into events. So a crash at any point loses nothing: what was wanted is still there.
//!
//! Several sessions of one user can run at once (the TUI and a `send` in another terminal). They share the store; one of
//! them, whoever holds the lock, is online for all. When it ends, the next one takes over. [`lookout`] says when to look
//! what the others did.

pub mod api;
mod engine;
pub(crate) mod feed;
mod lookout;
mod online;
pub mod protocol;
mod uplink;

use std::path::PathBuf;

use shared::client::{BrokerUri, SignUp};
use shared::topology::check_user_name;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::store::{Store, StoreActor, StoreError, state_dir};
use api::{Command, Event};
use lookout::Lookout;

/// Commands that may wait for the engine.
const COMMANDS_MAX: usize = 64;
/// Events that may wait for whoever shows them.
const EVENTS_MAX: usize = 1024;

pub type CommandSender = mpsc::Sender<Command>;
pub type EventReceiver = mpsc::Receiver<Event>;

#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// The broker, with the user's name and password.
    pub broker: BrokerUri,
    /// Ask for a new account at the first connection.
    pub sign_up: Option<SignUp>,
    /// Local state of all users; each has a folder in it.
    pub data_dir: PathBuf,
}

#[derive(Debug, Error)]
pub enum StartError {
    #[error("{0:?} cannot be a user: {1}")]
    UserName(String, shared::topology::UserNameError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A running session. It ends with `Command::Shutdown`, or when `commands` and its clones are dropped.
pub struct Session {
    pub commands: CommandSender,
    pub events: EventReceiver,
    /// How far things have come, for those who wait for an effect instead of showing what happens.
    pub progress: watch::Receiver<Progress>,
    pub task: JoinHandle<()>,
}

/// How far a session has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Commands taken into the local state so far.
    pub commands_done: u64,
    /// Steps that the broker has not seen yet: waiting publishes, queues to declare or to delete.
    pub pending: u64,
    pub online: bool,
    /// Everything that waited at the broker when we came online is here.
    pub caught_up: bool,
}

impl Session {
    /// Opens the local state and starts the session; it connects by itself. Within a multi-threaded tokio runtime.
    pub fn start(config: SessionConfig) -> Result<Session, StartError> {
        let user = config.broker.user().to_owned();
        check_user_name(&user).map_err(|error| StartError::UserName(user.clone(), error))?;
        let dir = state_dir(&config.data_dir, &config.broker.address(), config.broker.vhost(), &user)?;
        let store = StoreActor::spawn(Store::open(&dir)?)?;
        let lookout = Lookout::new(&dir);
        let (commands, command_receiver) = mpsc::channel(COMMANDS_MAX);
        let (event_sender, events) = mpsc::channel(EVENTS_MAX);
        let (progress_sender, progress) = watch::channel(Progress::default());
        let engine =
            engine::Engine::new(config, user, store, dir, command_receiver, event_sender, progress_sender);
        Ok(Session { commands, events, progress, task: tokio::spawn(engine.run(lookout)) })
    }
}
