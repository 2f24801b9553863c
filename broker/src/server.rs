//! Listening, accepting, and the orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::broker::{Broker, StartError};
use crate::config::Config;
use crate::connection::driver;
use crate::log_exchange::{self, LogLines};

/// How long connections get to end by themselves at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A broker that accepts connections. Dropping it ends the process's part abruptly, as a crash would;
/// `shutdown` ends it well.
pub struct RunningBroker {
    broker: Arc<Broker>,
    addresses: Vec<SocketAddr>,
    acceptors: JoinSet<JoinSet<()>>,
    /// The alarm and the log exchange.
    helpers: JoinSet<()>,
}

impl Broker {
    /// Opens the data folder and listens. Returns when clients can connect.
    pub async fn start(config: Config) -> Result<RunningBroker, StartError> {
        let listen = config.listen.clone();
        let opened = tokio::task::spawn_blocking(move || Broker::open(config)).await;
        let broker = opened.map_err(|error| StartError::Thread(std::io::Error::other(error)))??;
        let mut listeners = Vec::new();
        for addr in &listen {
            let failed = |source| StartError::Listen { addr: addr.to_string(), source };
            let listener = TcpListener::bind(addr).await.map_err(failed)?;
            listeners.push((listener.local_addr().map_err(failed)?, listener));
        }
        let addresses = listeners.iter().map(|(addr, _)| *addr).collect();
        let mut acceptors = JoinSet::new();
        for (_, listener) in listeners {
            acceptors.spawn(accept(broker.clone(), listener));
        }
        let mut helpers = JoinSet::new();
        helpers.spawn(broker.alarms.clone().run(broker.store.clone()));
        Ok(RunningBroker { broker, addresses, acceptors, helpers })
    }
}

impl RunningBroker {
    /// The first address listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Publishes what the layer collects to the exchange `amq.rabbitmq.log`.
    pub fn publish_log(&mut self, lines: LogLines) {
        self.helpers.spawn(log_exchange::publish(self.broker.clone(), lines));
    }

    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Closes every connection with 320, writes down what is left, and lets go of the data folder.
    pub async fn shutdown(mut self) -> Result<(), StartError> {
        self.broker.begin_shutdown();
        let drained = async {
            while let Some(connections) = self.acceptors.join_next().await {
                if let Ok(mut connections) = connections {
                    while connections.join_next().await.is_some() {}
                }
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::warn!("some connections did not end within {} s", DRAIN_TIMEOUT.as_secs());
        }
        self.helpers.abort_all();
        let broker = self.broker;
        tokio::task::spawn_blocking(move || broker.close())
            .await
            .map_err(|error| StartError::Thread(std::io::Error::other(error)))?
    }
}

/// Accepts until shutdown; returns the connections that are still open then.
async fn accept(broker: Arc<Broker>, listener: TcpListener) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let mut shutdown = broker.shutdown_signal();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            _ = shutdown.wait_for(|&down| down) => return connections,
        };
        match accepted {
            Ok((_, peer)) if connections.len() >= broker.config.limits.connections_max => {
                tracing::warn!(%peer, "refused: {} connections are open, as many as allowed", connections.len());
            }
            Ok((stream, peer)) => {
                connections.spawn(driver::serve(broker.clone(), stream, peer));
            }
            Err(error) => {
                // Out of file handles, most likely: accepting again at once would only spin.
                tracing::error!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
