//! A session with somebody who waits for effects.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Failure;
use crate::session::api::{Command, Connection, Event, Friend, FriendStatus, Request, Span};
use crate::session::{Progress, Session, SessionConfig};

/// How long a command waits for its effect at the broker.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait for what waited at the broker before going by what is known locally.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(10);

const SETTLE_IN_TIMEOUT: Duration = Duration::from_secs(5);

/// A session, and what it has said so far.
pub struct Client {
    session: Session,
    sent: u64,
    pub friends: Vec<Friend>,
    pub requests: Vec<Request>,
    pub connection: Option<Connection>,
    pub deadline: Instant,
}

/// What there is to know while waiting.
pub enum Step {
    Event(Event),
    /// The session's progress changed.
    Progress,
    /// The deadline has passed.
    Late,
}

impl Client {
    pub fn start(config: SessionConfig) -> Result<Client, Failure> {
        let session = Session::start(config).map_err(|error| error.to_string())?;
        Ok(Client {
            session,
            sent: 0,
            friends: Vec::new(),
            requests: Vec::new(),
            connection: None,
            deadline: Instant::now() + TIMEOUT,
        })
    }

    /// The next thing that happens. The end of the session is an error.
    pub async fn step(&mut self) -> Result<Step, Failure> {
        match self.advance().await? {
            Step::Event(Event::Ended { reason }) => {
                Err(reason.unwrap_or_else(|| "the session was ended".into()))
            }
            step => Ok(step),
        }
    }

    /// The next thing that happens.
    pub async fn advance(&mut self) -> Result<Step, Failure> {
        let event = tokio::select! {
            biased;
            event = self.session.events.recv() => event,
            Ok(()) = self.session.progress.changed() => return Ok(Step::Progress),
            () = tokio::time::sleep_until(self.deadline) => return Ok(Step::Late),
        };
        let event = event.ok_or_else(|| "the session ended without a reason".to_owned())?;
        match &event {
            Event::Friends(friends) => self.friends.clone_from(friends),
            Event::Requests(requests) => self.requests.clone_from(requests),
            Event::Connection(connection) => self.connection = Some(connection.clone()),
            _ => {}
        }
        Ok(Step::Event(event))
    }

    /// Whether everything that was given is in the local state.
    pub fn is_done(&self) -> bool {
        self.session.progress.borrow().commands_done >= self.sent
    }

    pub fn progress(&self) -> Progress {
        self.session.progress.borrow().clone()
    }

    pub fn is_friend(&self, name: &str) -> bool {
        self.friends.iter().any(|friend| friend.name == name && friend.status == FriendStatus::Friend)
    }

    /// Waits a little for the inbox, which a friend server has to name.
    pub async fn settle_in(&mut self) -> Result<(), Failure> {
        self.deadline = Instant::now() + SETTLE_IN_TIMEOUT;
        while !self.session.progress.borrow().caught_up {
            match self.step().await? {
                Step::Late => {
                    eprintln!("chat-tui: no friend server answers: others can ask you when one does");
                    break;
                }
                Step::Event(_) | Step::Progress => {}
            }
        }
        Ok(())
    }

    /// Waits until what waited at the broker is here. Without a connection it says why, and goes by what is known.
    pub async fn catch_up(&mut self) -> Result<(), Failure> {
        let deadline = std::mem::replace(&mut self.deadline, Instant::now() + CATCH_UP_TIMEOUT);
        while !self.session.progress.borrow().caught_up {
            match self.step().await? {
                Step::Late => break,
                Step::Event(Event::Connection(Connection::Offline { .. })) => break,
                Step::Event(_) | Step::Progress => {}
            }
        }
        if !self.session.progress.borrow().caught_up {
            eprintln!("chat-tui: {}; going by what is known here", self.excuse());
        }
        self.deadline = deadline.max(Instant::now() + TIMEOUT / 2);
        self.barrier().await
    }

    /// Gives a command and waits until the local state has it. An error is the command's refusal.
    pub async fn command(&mut self, command: Command) -> Result<(), Failure> {
        self.give(command.clone()).await?;
        self.barrier_for(Some(&command)).await
    }

    /// Gives a command without waiting.
    pub async fn give(&mut self, command: Command) -> Result<(), Failure> {
        self.sent += 1;
        self.session.commands.send(command).await.map_err(|_| "the session has ended".into())
    }

    /// Takes in every event that was on its way.
    async fn barrier(&mut self) -> Result<(), Failure> {
        self.barrier_for(None).await
    }

    async fn barrier_for(&mut self, command: Option<&Command>) -> Result<(), Failure> {
        // What was done is told a moment later; when that has happened, a page of history comes behind it.
        let (sent, mut asked) = (self.sent, false);
        loop {
            if !asked && self.session.progress.borrow().commands_done >= sent {
                asked = true;
                self.give(Command::LoadHistory { friend: String::new(), span: Span::Newest, limit: 1 })
                    .await?;
            }
            match self.step().await? {
                Step::Event(Event::History { friend, .. }) if friend.is_empty() && asked => return Ok(()),
                Step::Event(Event::Failed { command: failed, reason }) if Some(&failed) == command => {
                    return Err(reason);
                }
                Step::Late => return Err("the local state does not answer: is the disk busy?".into()),
                Step::Event(_) | Step::Progress => {}
            }
        }
    }

    /// Waits until the broker has seen everything. An error is a refusal of `command`, or says why it takes so long.
    pub async fn settle(&mut self, command: &Command) -> Result<(), Failure> {
        while self.session.progress.borrow().pending > 0 {
            match self.step().await? {
                Step::Event(Event::Failed { command: failed, reason }) if failed == *command => {
                    return Err(reason);
                }
                Step::Late => return Err(self.excuse()),
                Step::Event(_) | Step::Progress => {}
            }
        }
        self.barrier_for(Some(command)).await
    }

    /// Why it takes so long.
    pub fn excuse(&self) -> String {
        match &self.connection {
            Some(Connection::Offline { reason, .. }) => reason.clone(),
            Some(Connection::Online { .. }) => "there was no answer in time".into(),
            Some(Connection::Connecting { .. }) | None => "there is no connection yet".into(),
        }
    }

    pub async fn online(&mut self) -> Result<(), Failure> {
        while !self.session.progress.borrow().online {
            match self.step().await? {
                Step::Event(Event::Connection(Connection::Offline { reason, .. })) => return Err(reason),
                Step::Late => return Err(self.excuse()),
                Step::Event(_) | Step::Progress => {}
            }
        }
        Ok(())
    }

    /// Ends the session politely.
    pub async fn end(mut self) {
        let deadline = Instant::now() + TIMEOUT / 2;
        if self.session.commands.send(Command::Shutdown).await.is_err() {
            return;
        }
        while let Ok(Some(event)) = timeout_at(deadline, self.session.events.recv()).await {
            if matches!(event, Event::Ended { .. }) {
                return;
            }
        }
    }

    /// For those who listen without an end.
    pub fn without_deadline(mut self) -> Client {
        // A year: further than anybody waits, and no overflow.
        self.deadline = Instant::now() + Duration::from_secs(365 * 24 * 3600);
        self
    }
}
