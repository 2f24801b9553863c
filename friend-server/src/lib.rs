//! A friend server: takes friend requests from the `friends` exchange, checks them, and forwards them to
//! the inboxes of those who are asked.
//!
//! It keeps nothing but the [secret](secret::Secret) it shares with its fellow workers, so any number of
//! them may run, and each may be killed at any time. The queue behind the exchange gives every request to
//! one worker, which acknowledges it only when the forward and the answer are confirmed; a request in the
//! hands of a worker that dies goes to another one, and is forwarded under the same message id.
//!
//! - [`decide`] ★, [`limits`] ★: what to do about a request. Pure.
//! - [`worker`]: one connection's life, from declaring to the last acknowledgement.
//! - [`secret`]: the file with the secret.

pub mod decide;
pub mod limits;
pub mod secret;
mod worker;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use shared::backoff::{self, Backoff};
use shared::client::{BrokerUri, ConnectError, Failure, Options, connect};
use thiserror::Error;
use tokio::pin;
use tokio::time::sleep;
use tracing::{info, warn};

use limits::Limits;
use secret::{Secret, SecretError};
use worker::{End, Worker};

/// What `connection.start-ok` calls us.
const PRODUCT: &str = "warren-friend-server";

pub struct Config {
    /// The broker, and an account there that may configure, write and read everything.
    pub broker: BrokerUri,
    /// Made on the first start. See [`Secret::load_or_create`].
    pub secret_file: PathBuf,
    /// Requests that are worked on at the same time.
    pub prefetch: u16,
    pub limits: limits::Settings,
    pub backoff: backoff::Settings,
    /// Called once, when requests are taken for the first time.
    pub on_ready: Box<dyn FnOnce() + Send + Sync>,
}

impl Config {
    pub fn new(broker: BrokerUri, secret_file: PathBuf) -> Self {
        Self {
            broker,
            secret_file,
            prefetch: 64,
            limits: limits::Settings::default(),
            backoff: backoff::Settings::default(),
            on_ready: Box::new(|| {}),
        }
    }

    #[must_use]
    pub fn on_ready(self, call: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { on_ready: Box::new(call), ..self }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("broker", &self.broker)
            .field("secret_file", &self.secret_file)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Error)]
pub enum Error {
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Trying again would not help.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The account's permissions, or an exchange or queue of that name and another kind, stand in the way.
    #[error(
        "the exchange and the queue for friend requests cannot be set up: {0}. The account needs all \
         permissions, and the exchange `friends` must be ours"
    )]
    Declare(Failure),
}

/// Works until `shutdown` is done, then finishes what is in hand. Connects again whenever the connection
/// is lost, and waits for a broker that is not there yet. Needs a multi-threaded tokio runtime.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let secret = Secret::load_or_create(&config.secret_file)?;
    let mut worker = Worker {
        secret,
        limits: Limits::new(config.limits),
        prefetch: config.prefetch.max(1),
        on_ready: Some(config.on_ready),
    };
    let options = Options::new(PRODUCT, env!("CARGO_PKG_VERSION"));
    let mut backoff = Backoff::new(config.backoff);
    let mut was_connected = false;
    pin!(shutdown);
    loop {
        let connected = tokio::select! {
            connected = connect(&config.broker, &options) => connected,
            () = &mut shutdown => return Ok(()),
        };
        let problem = match connected {
            Ok(link) => {
                info!("connected to {} at {}", link.server(), config.broker);
                was_connected = true;
                backoff.connected(Instant::now());
                match worker.serve(link, shutdown.as_mut()).await {
                    End::ShutDown => return Ok(()),
                    End::Failed(failure) if !worker.was_ready() && failure.spares_the_connection() => {
                        return Err(Error::Declare(failure));
                    }
                    End::Failed(failure) => failure.to_string(),
                }
            }
            // A broker that once let us in may be in the middle of a restart.
            Err(error) if !was_connected && !error.may_pass() => return Err(error.into()),
            Err(error) => error.to_string(),
        };
        let delay = backoff.failed(Instant::now(), backoff::random());
        warn!("{problem}; trying again in {}", in_seconds(delay));
        tokio::select! {
            () = sleep(delay) => {}
            () = &mut shutdown => return Ok(()),
        }
    }
}

fn in_seconds(delay: Duration) -> String {
    format!("{:.1} s", delay.as_secs_f64())
}
