//! Carries a script out, statement by statement, and says what happens as it happens.

use std::time::Duration;

use shared::client::{BrokerUri, SignUp};
use tempfile::TempDir;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::parse::{Act, Action, Expectation, Statement};
use super::player::{Player, Said, Verdict};
use crate::embedded::{Embedded, EmbeddedError};
use crate::session::api::{Command, Event};

const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a statement waits until the broker has seen its effect, so that the next one finds it. Without a friend server,
/// say, that takes for ever.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);
/// Events of all users that may wait.
const SAID_MAX: usize = 1024;

/// Where a script runs.
pub enum World {
    Embedded,
    /// At a broker that exists, with friend servers of its own. All users get this password; with `exist`, accounts that
    /// are there already are used.
    Broker {
        uri: BrokerUri,
        password: String,
        exist: bool,
    },
}

#[derive(Debug, Error)]
pub enum RunError {
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error("cannot make a temporary folder: {0}")]
    Folder(#[from] std::io::Error),
    /// A statement could not be carried out, or what it expects did not happen.
    #[error("line {line}: {source_line}\n{reason}")]
    Statement { line: usize, source_line: String, reason: String },
}

/// Carries out `statements` in `world`. `say` gets one line after the other.
pub async fn run(
    statements: &[Statement],
    world: World,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<(), RunError> {
    let embedded = match &world {
        World::Embedded => Some(Embedded::start().await?),
        World::Broker { .. } => None,
    };
    let (sender, said) = mpsc::channel(SAID_MAX);
    let mut stage = Stage {
        world,
        embedded,
        folder: TempDir::with_prefix("warren-script-")?,
        players: Vec::new(),
        sender,
        said,
        say,
        started: Instant::now(),
        timeout: TIMEOUT,
    };
    if !statements.iter().any(|statement| matches!(statement.action, Action::Servers(_))) {
        stage.servers(1).await.map_err(|reason| failed_at_start(statements, reason))?;
    }
    let result = stage.play(statements).await;
    stage.end().await;
    result
}

fn failed_at_start(statements: &[Statement], reason: String) -> RunError {
    let (line, source_line) =
        statements.first().map_or((1, String::new()), |first| (first.line, first.source.clone()));
    RunError::Statement { line, source_line, reason }
}

struct Stage<'s> {
    world: World,
    embedded: Option<Embedded>,
    folder: TempDir,
    players: Vec<Player>,
    sender: mpsc::Sender<Said>,
    said: mpsc::Receiver<Said>,
    say: &'s mut (dyn FnMut(&str) + Send),
    started: Instant,
    timeout: Duration,
}

/// Why a statement failed.
type Reason = String;

impl Stage<'_> {
    async fn play(&mut self, statements: &[Statement]) -> Result<(), RunError> {
        for statement in statements {
            self.tell(&format!("> {}", statement.source));
            if let Err(reason) = self.perform(&statement.action).await {
                let (line, source_line) = (statement.line, statement.source.clone());
                return Err(RunError::Statement { line, source_line, reason });
            }
        }
        self.tell("done: everything was as expected");
        Ok(())
    }

    async fn perform(&mut self, action: &Action) -> Result<(), Reason> {
        match action {
            Action::Users(names) => self.users(names).await,
            Action::Servers(count) => self.servers(*count).await,
            Action::StartServer => self.servers(1).await,
            Action::KillServer(number) => {
                self.embedded()?.kill_friend_server(*number).map_err(|error| error.to_string())
            }
            Action::StopBroker => self.embedded()?.stop_broker().await.map_err(|error| error.to_string()),
            Action::StartBroker => self.embedded()?.start_broker().await.map_err(|error| error.to_string()),
            Action::Timeout(timeout) => {
                self.timeout = *timeout;
                Ok(())
            }
            Action::Of { user, act } => {
                // The parser has seen to it that the user exists.
                let Some(number) = self.players.iter().position(|player| player.name == *user) else {
                    return Err(format!("{user} is not among the users"));
                };
                match act {
                    Act::About { text, deed } => {
                        let (friend, row) = self.message(number, text).await?;
                        self.command(number, &deed.command(friend, row)).await
                    }
                    Act::Do(command) => self.command(number, command).await,
                    Act::Offline => self.offline(number).await,
                    Act::Online => self.online(number, None).await,
                    Act::Expect(expectation) => self.expect(number, expectation).await,
                }
            }
        }
    }

    fn embedded(&mut self) -> Result<&mut Embedded, Reason> {
        self.embedded
            .as_mut()
            .ok_or_else(|| "this needs the embedded broker: run the script without --broker".into())
    }

    async fn servers(&mut self, count: usize) -> Result<(), Reason> {
        let Ok(embedded) = self.embedded() else {
            // Another broker has friend servers of its own.
            return Ok(());
        };
        for _ in 0..count {
            embedded.start_friend_server().await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn users(&mut self, names: &[String]) -> Result<(), Reason> {
        for name in names {
            let broker = match (&self.world, &self.embedded) {
                (World::Broker { uri, password, .. }, _) => uri.clone().with_login(name, password),
                (World::Embedded, Some(embedded)) => {
                    embedded.uri(name, "a script's password").map_err(|error| error.to_string())?
                }
                (World::Embedded, None) => return Err("the embedded broker is gone".into()),
            };
            self.players.push(Player::new(name, broker, self.folder.path().to_owned()));
            let number = self.players.len() - 1;
            let exist = matches!(self.world, World::Broker { exist: true, .. });
            let signed_up = self.online(number, Some(SignUp::Open)).await;
            match signed_up {
                Err(_) if exist && !self.players[number].is_running() => self.online(number, None).await?,
                Err(reason) if matches!(self.world, World::Broker { .. }) => {
                    return Err(format!(
                        "{reason}\n  If {name} is your own account there, give its password in WARREN_PASSWORD; \
                         otherwise use another name, or run the script without --broker"
                    ));
                }
                result => result?,
            }
        }
        Ok(())
    }

    async fn online(&mut self, number: usize, sign_up: Option<SignUp>) -> Result<(), Reason> {
        let (sender, player) = (self.sender.clone(), &mut self.players[number]);
        if player.is_running() {
            return Err(format!("{} is online already", player.name));
        }
        player.start(number, sign_up, sender).map_err(|error| error.to_string())?;
        if self.embedded.as_ref().is_some_and(|embedded| !embedded.is_running()) {
            return Ok(());
        }
        let deadline = Instant::now() + self.timeout;
        while !self.players[number].is_caught_up() {
            let player = &self.players[number];
            if let Some(reason) = &player.ended {
                return Err(reason.clone());
            }
            let late = format!("{} is not online in time", player.name);
            self.listen(number, deadline).await.ok_or(late)?;
        }
        Ok(())
    }

    async fn offline(&mut self, number: usize) -> Result<(), Reason> {
        if !self.players[number].give(Command::Shutdown).await {
            return Err(format!("{} is offline already", self.players[number].name));
        }
        let deadline = Instant::now() + self.timeout;
        while self.players[number].is_running() {
            if self.listen(number, deadline).await.is_none() {
                return Err(format!("{} does not go offline", self.players[number].name));
            }
        }
        Ok(())
    }

    /// Gives a command, and waits until the broker has seen its effect if there is a connection.
    async fn command(&mut self, number: usize, command: &Command) -> Result<(), Reason> {
        if !self.players[number].give(command.clone()).await {
            let name = &self.players[number].name;
            return Err(format!("{name} is offline: write {name}: online first"));
        }
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        while !self.players[number].is_settled() {
            if self.listen(number, deadline).await.is_none() {
                self.tell(&format!("  {} has this on the way", self.players[number].name));
                break;
            }
        }
        Ok(())
    }

    /// With whom the message of this text is, and its row. That it was sent is known before the session tells of it.
    async fn message(&mut self, number: usize, text: &str) -> Result<(String, i64), Reason> {
        let deadline = Instant::now() + self.timeout;
        loop {
            if let Some(known) = self.players[number].message(text) {
                return Ok(known);
            }
            if self.players[number].ended.is_some() || self.listen(number, deadline).await.is_none() {
                return Err(format!("  {} knows no message {text:?}", self.players[number].name));
            }
        }
    }

    async fn expect(&mut self, number: usize, expectation: &Expectation) -> Result<(), Reason> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let reason = match self.players[number].judge(expectation) {
                Verdict::Holds => return Ok(()),
                Verdict::Never(reason) => reason,
                Verdict::NotYet if self.players[number].ended.is_some() => "the session has ended".into(),
                Verdict::NotYet => match self.listen(number, deadline).await {
                    Some(()) => continue,
                    None => format!("it did not happen within {:?}", self.timeout),
                },
            };
            let player = &self.players[number];
            let mut seen = player.describe();
            if seen.is_empty() {
                seen.push("nothing".into());
            }
            return Err(format!("  {reason}\n  {} sees: {}", player.name, seen.join("; ")));
        }
    }

    /// Takes in what the users say until something happens to the one of this number. `None`: the deadline has passed.
    async fn listen(&mut self, number: usize, deadline: Instant) -> Option<()> {
        let Stage { players, said, .. } = self;
        let said = tokio::select! {
            biased;
            said = timeout_at(deadline, said.recv()) => said.ok()?,
            () = players[number].progress_changed() => return Some(()),
        };
        let (speaker, event) = said?;
        self.hear(speaker, event);
        Some(())
    }

    fn hear(&mut self, speaker: usize, event: Event) {
        let Some(player) = self.players.get_mut(speaker) else { return };
        let name = player.name.clone();
        for shown in player.hear(event) {
            self.tell(&format!("  {name} {shown}"));
        }
    }

    fn tell(&mut self, text: &str) {
        let at = self.started.elapsed().as_secs_f64();
        (self.say)(&format!("{at:7.3}s {text}"));
    }

    async fn end(mut self) {
        for number in 0..self.players.len() {
            if self.players[number].is_running() {
                // A user that does not want to leave is dropped.
                let _ = self.offline(number).await;
            }
        }
        self.players.clear();
        if let Some(embedded) = self.embedded.take()
            && let Err(error) = embedded.shutdown().await
        {
            self.tell(&format!("the broker did not stop in order: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::api::{Direction, Message};

    #[tokio::test]
    async fn a_message_is_known_as_soon_as_the_session_tells_of_it() {
        let uri: BrokerUri = "amqp://bob:secret@localhost/".parse().unwrap();
        let folder = TempDir::new().unwrap();
        let (sender, said) = mpsc::channel(1);
        let mut stage = Stage {
            world: World::Broker { uri: uri.clone(), password: "secret".into(), exist: true },
            embedded: None,
            players: vec![Player::new("bob", uri, folder.path().to_owned())],
            folder,
            sender: sender.clone(),
            said,
            say: &mut |_| {},
            started: Instant::now(),
            timeout: TIMEOUT,
        };
        let noon = Message::new(7, "alice", Direction::Outgoing, "noon", std::time::SystemTime::now());
        // Asked for before it is told.
        let (known, told) = tokio::join!(stage.message(0, "noon"), sender.send((0, Event::Message(noon))));
        told.unwrap();
        assert_eq!(known, Ok(("alice".to_owned(), 7)));
        stage.timeout = Duration::ZERO;
        assert_eq!(stage.message(0, "one").await, Err("  bob knows no message \"one\"".to_owned()));
    }
}
