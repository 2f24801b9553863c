//! One connection to a broker, and whether it lives.

use std::time::Duration;

use futures_lite::StreamExt;
use futures_lite::stream::Stream;
use lapin::{Channel, Connection, ConnectionStatus, Event};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{interval, timeout};

use super::failure::Failure;
use super::publisher::Publisher;
use super::server::{Server, StreamGuard};
use crate::topology::Ownership;

/// `lapin` announces every end of a connection but one: `connection.close` with a code that it does not
/// know. Looking now and then catches that.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// An open connection. It ends by [`close`](Self::close), or without a goodbye when dropped; its
/// publishers and channels end with it.
#[derive(Debug)]
pub struct Link {
    connection: Connection,
    server: Server,
    user: String,
    state: watch::Receiver<LinkState>,
    watcher: AbortHandle,
    _stream: StreamGuard,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    Up,
    /// `connection.blocked`: the broker is short of memory or disk and takes no messages for now.
    Blocked {
        reason: String,
    },
    /// Nothing follows. The link and all made from it are of no use any more.
    Down(Failure),
}

impl Link {
    pub(super) fn new(connection: Connection, stream: StreamGuard, user: String) -> Self {
        let (sender, state) = watch::channel(LinkState::Up);
        let events = connection.events_listener();
        let watcher = tokio::spawn(watch_over(events, connection.status().clone(), sender));
        let server = stream.0.server().cloned().unwrap_or_default();
        let watcher = watcher.abort_handle();
        Self { connection, server, user, state, watcher, _stream: stream }
    }

    /// The account that is signed in.
    pub fn user(&self) -> &str {
        &self.user
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// How inboxes and friend queues are declared on this broker.
    pub fn ownership(&self) -> Ownership {
        self.server.ownership()
    }

    /// Changes with the connection; ends with [`LinkState::Down`].
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// Waits until the connection is gone, and says why.
    pub async fn down(&self) -> Failure {
        let mut state = self.state();
        match state.wait_for(|state| matches!(state, LinkState::Down(_))).await.as_deref() {
            Ok(LinkState::Down(failure)) => failure.clone(),
            _ => Failure::Lost("it was closed".to_owned()),
        }
    }

    /// A new channel, for declaring and consuming. An error of the broker closes only this channel.
    pub async fn channel(&self) -> Result<Channel, Failure> {
        Ok(self.connection.create_channel().await?)
    }

    /// A new channel for publishing, with at most `in_flight_max` messages unconfirmed.
    pub async fn publisher(&self, in_flight_max: usize) -> Result<Publisher, Failure> {
        Publisher::open(self.channel().await?, self.user.clone(), in_flight_max).await
    }

    /// Says goodbye to the broker, and waits a little for its answer.
    pub async fn close(&self) -> Result<(), Failure> {
        match timeout(CLOSE_TIMEOUT, self.connection.close(200, "OK".into())).await {
            Ok(closed) => Ok(closed?),
            Err(_) => Err(Failure::Lost("the broker did not answer connection.close".to_owned())),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

async fn watch_over(
    events: impl Stream<Item = Event> + Send + 'static,
    status: ConnectionStatus,
    state: watch::Sender<LinkState>,
) {
    let mut events = std::pin::pin!(events);
    let mut look = interval(LOOK_EVERY);
    let failure = loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = look.tick() => None,
        };
        match event {
            Some(Event::ConnectionBlocked(reason)) => drop(state.send(LinkState::Blocked { reason })),
            Some(Event::ConnectionUnblocked) => drop(state.send(LinkState::Up)),
            // Errors of channels come here too, and leave the connection connected.
            Some(Event::Error(error)) if !status.connected() => break Failure::from(error),
            _ if !status.connected() => break Failure::Lost("it was closed".to_owned()),
            _ => {}
        }
    };
    drop(state.send(LinkState::Down(failure)));
}
