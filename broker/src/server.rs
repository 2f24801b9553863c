//! Listening, accepting, and the orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::broker::{Broker, StartError, Surroundings};
use crate::config::{Config, Listener};
use crate::connection;
use crate::log_exchange::{self, LogLines};
use crate::management::{self, ControlSocket, ControlSocketError};

/// How much of the delivery counts a crash may cost.
const DELIVERY_COUNTS_INTERVAL: Duration = Duration::from_secs(5);

/// How long connections get to end by themselves at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A broker that accepts connections. Dropping it ends the process's part abruptly, as a crash would;
/// `shutdown` ends it well.
pub struct RunningBroker {
    broker: Arc<Broker>,
    listeners: Vec<Listener>,
    management_addresses: Vec<SocketAddr>,
    acceptors: JoinSet<JoinSet<()>>,
    /// The alarm, the log exchange and the like.
    helpers: JoinSet<()>,
    control_socket: Option<Arc<ControlSocket>>,
}

impl Broker {
    /// Opens the data folder and listens. Returns when clients can connect.
    pub async fn start(config: Config) -> Result<RunningBroker, StartError> {
        Broker::start_in(config, Surroundings::default()).await
    }

    /// [`Broker::start`] with another disk, or for somebody who watches.
    pub async fn start_in(config: Config, surroundings: Surroundings) -> Result<RunningBroker, StartError> {
        let configured: Vec<Listener> = config.listeners().collect();
        let opened = tokio::task::spawn_blocking(move || Broker::open(config, surroundings)).await;
        let broker = opened.map_err(|error| StartError::Thread(std::io::Error::other(error)))??;
        if !broker.config.load_definitions.as_os_str().is_empty() {
            management::load_definitions(&broker, &broker.config.load_definitions).await?;
        }
        let mut bound = Vec::new();
        for listener in configured {
            let (address, socket) = bind(listener.address).await?;
            bound.push((Listener { address, ..listener }, socket));
        }
        let mut management = Vec::new();
        for &address in &broker.config.management.listen {
            management.push(bind(address).await?);
        }
        let control_socket = control_socket(&broker)?.map(Arc::new);
        let listeners: Vec<_> = bound.iter().map(|(listener, _)| *listener).collect();
        broker.set_listeners(listeners.clone());
        let mut acceptors = JoinSet::new();
        let open = Arc::new(AtomicUsize::new(0));
        for (listener, socket) in bound {
            acceptors.spawn(accept(broker.clone(), listener, socket, open.clone()));
        }
        let mut helpers = JoinSet::new();
        helpers.spawn(broker.alarms.clone().run(broker.store.clone()));
        helpers.spawn(broker.clone().page_out_when_short());
        helpers.spawn(report_client_log(broker.clone()));
        helpers.spawn(save_delivery_counts(broker.clone()));
        if let Some(socket) = &control_socket {
            helpers.spawn(management::serve(broker.clone(), socket.clone()));
        }
        let management_addresses = management.iter().map(|(address, _)| *address).collect();
        for (_, socket) in management {
            helpers.spawn(management::serve_http(broker.clone(), socket));
        }
        Ok(RunningBroker { broker, listeners, management_addresses, acceptors, helpers, control_socket })
    }
}

impl RunningBroker {
    /// The first address listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.listeners[0].address
    }

    /// Where it listens, with the ports that it got.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Where metrics and listings are served.
    pub fn management_addresses(&self) -> &[SocketAddr] {
        &self.management_addresses
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
        self.helpers.shutdown().await;
        let broker = self.broker;
        let closed = tokio::task::spawn_blocking(move || broker.close()).await;
        let closed = closed.map_err(|error| StartError::Thread(std::io::Error::other(error))).flatten();
        if let (Err(_), Some(socket)) = (&closed, &self.control_socket) {
            // As after a crash, so that `broker ctl stop` knows.
            socket.leave();
        }
        closed
    }
}

async fn bind(address: SocketAddr) -> Result<(SocketAddr, TcpListener), StartError> {
    let failed = |source| StartError::Listen { addr: address.to_string(), source };
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    Ok((socket.local_addr().map_err(failed)?, socket))
}

/// Says in the log, also when no further client fails, how many lines were left out of it.
async fn report_client_log(broker: Arc<Broker>) {
    let mut minutes = tokio::time::interval(Duration::from_secs(60));
    loop {
        minutes.tick().await;
        broker.client_log.report();
    }
}

/// Writes down every few seconds how often messages came back.
async fn save_delivery_counts(broker: Arc<Broker>) {
    let mut ticks = tokio::time::interval(DELIVERY_COUNTS_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let broker = broker.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || broker.save_delivery_counts()).await {
            tracing::error!("writing down how often messages came back failed: {error}");
        }
    }
}

/// A path that is too long for a socket is no reason not to serve clients.
fn control_socket(broker: &Broker) -> Result<Option<ControlSocket>, ControlSocketError> {
    match ControlSocket::bind(&broker.config.data_dir) {
        Ok(socket) => Ok(Some(socket)),
        Err(error @ ControlSocketError::PathTooLong(_)) => {
            tracing::warn!("`broker ctl` will not work: {error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// One of the connections that are open, on whichever listener.
struct Place(Arc<AtomicUsize>);

impl Place {
    /// `None` when `max` are open.
    fn take(open: &Arc<AtomicUsize>, max: usize) -> Option<Place> {
        if open.fetch_add(1, Ordering::Relaxed) >= max {
            open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Place(open.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts until shutdown; returns the connections that are still open then.
async fn accept(
    broker: Arc<Broker>,
    listener: Listener,
    socket: TcpListener,
    open: Arc<AtomicUsize>,
) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let mut shutdown = broker.shutdown_signal();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!("a connection's task failed, and its connection was closed: {error}");
                }
                continue;
            }
            _ = shutdown.wait_for(|&down| down) => return connections,
        };
        let max = broker.config.limits.connections_max;
        match accepted {
            Ok((stream, peer)) => match Place::take(&open, max) {
                Some(place) => {
                    let served = connection::serve(broker.clone(), stream, peer, listener);
                    connections.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                None if broker.client_log.admits(peer) => {
                    tracing::warn!(%peer, "refused: {max} connections are open (limits.connections_max)");
                }
                None => {}
            },
            Err(error) => {
                // Out of file handles, most likely: accepting again at once would only spin.
                tracing::error!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
