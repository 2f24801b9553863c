//! A broker and friend servers of our own, inside this process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use broker::config::Config;
use broker::{Broker, RunningBroker};
use shared::client::BrokerUri;
use tempfile::TempDir;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The account that a broker makes with a new data folder; good for logins from this machine alone.
const ADMINISTRATOR: (&str, &str) = ("guest", "guest");

#[derive(Debug, Error)]
pub enum EmbeddedError {
    #[error("cannot make a temporary folder: {0}")]
    Folder(#[from] std::io::Error),
    #[error("the broker does not start: {0}")]
    Broker(#[from] broker::StartError),
    #[error("the friend server does not start: {0}")]
    FriendServer(String),
    #[error("{0}")]
    Usage(String),
}

/// Ends, with all its friend servers, when dropped.
pub struct Embedded {
    /// Where the broker keeps what it has, and friend servers their secret.
    data_dir: PathBuf,
    secret_file: PathBuf,
    /// Others than this process use it, and it lasts.
    kept: bool,
    /// Removed at the end.
    _temporary: Option<TempDir>,
    address: SocketAddr,
    /// `None`: stopped.
    broker: Option<RunningBroker>,
    /// In the order they were started; `None`: killed.
    servers: Vec<Option<JoinHandle<()>>>,
}

impl Embedded {
    /// A broker on a free port of this machine. Within a multi-threaded tokio runtime.
    pub async fn start() -> Result<Embedded, EmbeddedError> {
        let folder = TempDir::with_prefix("warren-")?;
        let mut embedded = Embedded {
            data_dir: folder.path().join("broker"),
            secret_file: folder.path().join("friend-servers.secret"),
            kept: false,
            _temporary: Some(folder),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            broker: None,
            servers: Vec::new(),
        };
        embedded.start_broker().await?;
        Ok(embedded)
    }

    /// A broker at `address`, with what the programs `broker` and `friend-server` keep in `folder`. Within a
    /// multi-threaded tokio runtime.
    pub async fn kept(folder: &Path, address: SocketAddr) -> Result<Embedded, EmbeddedError> {
        let mut embedded = Embedded {
            data_dir: folder.join("broker"),
            secret_file: folder.join("friend-server").join("secret.toml"),
            kept: true,
            _temporary: None,
            address,
            broker: None,
            servers: Vec::new(),
        };
        embedded.start_broker().await?;
        Ok(embedded)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The broker, for the user `name`.
    pub fn uri(&self, name: &str, password: &str) -> Result<BrokerUri, EmbeddedError> {
        let uri: BrokerUri = format!("amqp://{}/", self.address)
            .parse()
            .map_err(|error| EmbeddedError::Usage(format!("the broker's address cannot be used: {error}")))?;
        Ok(uri.with_login(name, password))
    }

    /// Starts one more friend server, and waits until it takes requests.
    pub async fn start_friend_server(&mut self) -> Result<(), EmbeddedError> {
        let uri = self.uri(ADMINISTRATOR.0, ADMINISTRATOR.1)?;
        let (ready, is_ready) = oneshot::channel();
        let config = friend_server::Config::new(uri, self.secret_file.clone()).on_ready(move || {
            // Nobody waits any more if the script was given up.
            let _ = ready.send(());
        });
        let (failed, failure) = oneshot::channel();
        let server = tokio::spawn(async move {
            // Never asked to stop: it is killed, which is the point of it.
            if let Err(error) = friend_server::run(config, std::future::pending()).await {
                drop(failed.send(error.to_string()));
            }
        });
        tokio::select! {
            Ok(()) = is_ready => {}
            Ok(reason) = failure => return Err(EmbeddedError::FriendServer(reason)),
        }
        self.servers.push(Some(server));
        Ok(())
    }

    /// Ends a friend server on the spot, whatever it was doing. They are counted from 1.
    pub fn kill_friend_server(&mut self, number: usize) -> Result<(), EmbeddedError> {
        let slot = number.checked_sub(1).and_then(|index| self.servers.get_mut(index));
        match slot.and_then(Option::take) {
            Some(server) => {
                server.abort();
                Ok(())
            }
            None => Err(EmbeddedError::Usage(format!("there is no living friend server {number}"))),
        }
    }

    pub fn is_running(&self) -> bool {
        self.broker.is_some()
    }

    pub async fn stop_broker(&mut self) -> Result<(), EmbeddedError> {
        match self.broker.take() {
            Some(broker) => Ok(broker.shutdown().await?),
            None => Err(EmbeddedError::Usage("the broker is stopped already".into())),
        }
    }

    /// Starts the broker again, where it was and with what is on its disk.
    pub async fn start_broker(&mut self) -> Result<(), EmbeddedError> {
        if self.broker.is_some() {
            return Err(EmbeddedError::Usage("the broker is running already".into()));
        }
        let mut config =
            Config { listen: vec![self.address], data_dir: self.data_dir.clone(), ..Config::default() };
        if !self.kept {
            // All users of it are this process.
            config.auth.sign_up.per_hour_max = 0;
            // A small share of the disk: a nearly full one is no reason to refuse.
            config.limits.disk_free_min_bytes = 16 << 20;
        }
        let broker = Broker::start(config).await?;
        self.address = broker.local_addr();
        self.broker = Some(broker);
        Ok(())
    }

    pub async fn shutdown(mut self) -> Result<(), EmbeddedError> {
        for server in self.servers.drain(..).flatten() {
            server.abort();
        }
        match self.broker.take() {
            Some(broker) => Ok(broker.shutdown().await?),
            None => Ok(()),
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        for server in self.servers.drain(..).flatten() {
            server.abort();
        }
    }
}
