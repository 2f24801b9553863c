//! A broker and friend servers of our own, inside this process, with a temporary data folder.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

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
    folder: TempDir,
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
        let broker = start_broker(folder.path(), 0).await?;
        let address = broker.local_addr();
        Ok(Embedded { folder, address, broker: Some(broker), servers: Vec::new() })
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
        let config = friend_server::Config::new(uri, self.folder.path().join("friend-servers.secret"))
            .on_ready(move || {
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
        self.broker = Some(start_broker(self.folder.path(), self.address.port()).await?);
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

async fn start_broker(folder: &Path, port: u16) -> Result<RunningBroker, EmbeddedError> {
    let mut config = Config {
        listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))],
        data_dir: folder.join("broker"),
        ..Config::default()
    };
    // All users of it are this process.
    config.auth.sign_up.per_hour_max = 0;
    // A small share of the disk: a nearly full one is no reason to refuse.
    config.limits.disk_free_min_bytes = 16 << 20;
    Ok(Broker::start(config).await?)
}
