//! One user of a script: a session, and what it has said that no expectation has asked for yet.

use std::collections::VecDeque;
use std::path::PathBuf;

use shared::client::{BrokerUri, SignUp};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::parse::Expectation;
use crate::harmless;
use crate::session::api::{
    Command, Connection, Delivery, Direction, Event, Friend, FriendStatus, Message, Request, RequestState,
};
use crate::session::{CommandSender, Progress, Session, SessionConfig, StartError};

/// An event of the player with this number.
pub type Said = (usize, Event);

pub struct Player {
    pub name: String,
    broker: BrokerUri,
    data_dir: PathBuf,
    session: Option<Running>,
    online: bool,
    /// Why the session ended, if not because it was asked to.
    pub ended: Option<String>,
    messages: VecDeque<Message>,
    sent: Vec<Message>,
    /// All that were got, as they are now; those deleted with the text they had.
    got: Vec<Message>,
    /// What the last search found.
    found: Vec<Message>,
    unfriended: VecDeque<String>,
    failed: VecDeque<String>,
    friends: Vec<Friend>,
    requests: Vec<Request>,
}

struct Running {
    commands: CommandSender,
    progress: watch::Receiver<Progress>,
    given: u64,
    forwarder: JoinHandle<()>,
}

/// Whether an expectation holds.
pub enum Verdict {
    Holds,
    NotYet,
    /// It can no longer hold.
    Never(String),
}

impl Player {
    pub fn new(name: &str, broker: BrokerUri, data_dir: PathBuf) -> Player {
        Player {
            name: name.to_owned(),
            broker,
            data_dir,
            session: None,
            online: false,
            ended: None,
            messages: VecDeque::new(),
            sent: Vec::new(),
            got: Vec::new(),
            found: Vec::new(),
            unfriended: VecDeque::new(),
            failed: VecDeque::new(),
            friends: Vec::new(),
            requests: Vec::new(),
        }
    }

    pub fn is_running(&self) -> bool {
        self.session.is_some()
    }

    /// Goes online; what happens goes to `said` under `number`.
    pub fn start(
        &mut self,
        number: usize,
        sign_up: Option<SignUp>,
        said: mpsc::Sender<Said>,
    ) -> Result<(), StartError> {
        let config = SessionConfig { broker: self.broker.clone(), sign_up, data_dir: self.data_dir.clone() };
        let Session { commands, mut events, progress, .. } = Session::start(config)?;
        self.ended = None;
        let forwarder = tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if said.send((number, event)).await.is_err() {
                    return;
                }
            }
        });
        self.session = Some(Running { commands, progress, given: 0, forwarder });
        Ok(())
    }

    /// Gives a command; `false` if there is nobody to take it.
    pub async fn give(&mut self, command: Command) -> bool {
        let Some(running) = &mut self.session else { return false };
        running.given += 1;
        running.commands.send(command).await.is_ok()
    }

    /// Waits until the session has come further; for ever without one.
    pub async fn progress_changed(&mut self) {
        if let Some(running) = &mut self.session
            && running.progress.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// All commands so far were carried out, and the broker has seen what follows from them.
    pub fn is_settled(&self) -> bool {
        self.session.as_ref().is_none_or(|running| {
            let progress = running.progress.borrow();
            progress.commands_done >= running.given && (progress.pending == 0 || !progress.online)
        })
    }

    pub fn is_caught_up(&self) -> bool {
        self.session.as_ref().is_some_and(|running| running.progress.borrow().caught_up)
    }

    /// Takes in an event. Returns how to show it, if it is worth showing.
    pub fn hear(&mut self, event: Event) -> Vec<String> {
        match event {
            Event::Message(message) if message.direction == Direction::Incoming => {
                let shown = format!(
                    "gets {}{} from {}",
                    quoted(&message.text),
                    answered(&message),
                    harmless::line(&message.friend)
                );
                self.got.push(message.clone());
                self.messages.push_back(message);
                vec![shown]
            }
            Event::Message(message) => {
                self.sent.push(message);
                Vec::new()
            }
            Event::MessageState { friend, id, state } => self.hear_state(&friend, id, state),
            Event::Unfriended { by } => {
                let shown = format!("learns: {} is no longer a friend", harmless::line(&by));
                self.unfriended.push_back(by);
                vec![shown]
            }
            Event::Failed { reason, .. } => {
                let shown = format!("is told: {}", harmless::line(&reason));
                self.failed.push_back(reason);
                vec![shown]
            }
            Event::Friends(friends) => self.hear_friends(friends),
            Event::Requests(requests) => self.hear_requests(requests),
            Event::Connection(Connection::Online { .. }) => {
                self.online = true;
                vec!["is online".into()]
            }
            // Told once, not for every attempt.
            Event::Connection(Connection::Offline { reason, .. }) if self.online => {
                self.online = false;
                vec![format!("has lost the broker: {}", harmless::line(&reason))]
            }
            Event::Notice(text) => vec![format!("is told: {}", harmless::line(&text))],
            Event::Ended { reason } => {
                if let Some(running) = self.session.take() {
                    running.forwarder.abort();
                }
                self.ended = reason;
                vec!["is offline".into()]
            }
            Event::MessageChanged(message) => self.hear_change(&message),
            Event::Found { messages, .. } => {
                let count = messages.len();
                self.found = messages;
                vec![format!("finds {count} {}", if count == 1 { "message" } else { "messages" })]
            }
            Event::Typing { .. } | Event::History { .. } | Event::Forgotten | Event::Connection(_) => {
                Vec::new()
            }
        }
    }

    fn hear_state(&mut self, friend: &str, id: uuid::Uuid, state: Delivery) -> Vec<String> {
        let Some(message) = self.sent.iter_mut().find(|message| message.id == id) else { return Vec::new() };
        message.state = state;
        let what = match &message.state {
            Delivery::Queued | Delivery::Sent => return Vec::new(),
            Delivery::Delivered => "was delivered".to_owned(),
            Delivery::Read => "was read".to_owned(),
            Delivery::Returned => "came back".to_owned(),
            Delivery::Failed(reason) => format!("failed: {}", harmless::line(reason)),
        };
        vec![format!("learns: {} to {} {what}", quoted(&message.text), harmless::line(friend))]
    }

    fn hear_change(&mut self, message: &Message) -> Vec<String> {
        let is_it = |known: &&mut Message| known.row == message.row;
        let before = self.got.iter().chain(&self.sent).find(|known| known.row == message.row).cloned();
        if let (Some(before), Direction::Incoming) = (&before, message.direction)
            && before.text != message.text
            && !message.deleted
        {
            // An edited one is got anew, unless the one before was not asked for yet.
            match self.messages.iter_mut().find(is_it) {
                Some(known) => known.clone_from(message),
                None => self.messages.push_back(message.clone()),
            }
        }
        for known in self.got.iter_mut().chain(&mut self.sent).filter(is_it) {
            let text = if message.deleted { known.text.clone() } else { message.text.clone() };
            *known = Message { text, ..message.clone() };
        }
        let (friend, text) = (harmless::line(&message.friend), quoted(&message.text));
        let was = before.map_or(String::new(), |before| quoted(&before.text));
        vec![match (message.deleted, &message.their_mark) {
            (true, _) => format!("sees: {was} with {friend} is deleted"),
            (false, Some(mark)) if was == text => {
                format!("sees: {friend} marks {text} with {}", harmless::line(mark))
            }
            (false, _) if was == text => format!("sees a mark on {text} with {friend}"),
            (false, _) => format!("sees: {was} with {friend} now says {text}"),
        }]
    }

    /// With whom the message of this text is, and its row: the newest of those.
    pub fn message(&self, text: &str) -> Option<(String, i64)> {
        let all =
            self.got.iter().chain(&self.sent).filter(|message| message.text == text && !message.deleted);
        all.max_by_key(|message| message.row).map(|message| (message.friend.clone(), message.row))
    }

    fn hear_friends(&mut self, friends: Vec<Friend>) -> Vec<String> {
        let is = |list: &[Friend], name: &str| {
            list.iter().any(|friend| friend.name == name && friend.status == FriendStatus::Friend)
        };
        let shown = friends
            .iter()
            .filter(|friend| is(&friends, &friend.name) && !is(&self.friends, &friend.name))
            .map(|friend| format!("has a friend: {}", friend.name))
            .collect();
        self.friends = friends;
        shown
    }

    fn hear_requests(&mut self, requests: Vec<Request>) -> Vec<String> {
        let mut shown = Vec::new();
        for request in requests.iter().filter(|request| !self.requests.contains(request)) {
            let name = harmless::line(&request.name);
            match (request.direction, &request.state) {
                (Direction::Incoming, _) if request.note.is_empty() => {
                    shown.push(format!("sees a request from {name}"));
                }
                (Direction::Incoming, _) => {
                    shown.push(format!("sees a request from {name}: {}", quoted(&request.note)));
                }
                (Direction::Outgoing, RequestState::Forwarded) => {
                    shown.push(format!("learns: {name} has the request"));
                }
                (Direction::Outgoing, RequestState::Declined) => {
                    shown.push(format!("learns: {name} declined"));
                }
                (Direction::Outgoing, RequestState::Failed(reason)) => {
                    shown.push(format!("learns: the request to {name} failed: {}", harmless::line(reason)));
                    self.failed.push_back(reason.clone());
                }
                (Direction::Outgoing, RequestState::Queued | RequestState::Pending) => {}
            }
        }
        self.requests = requests;
        shown
    }

    /// Whether the expectation holds by now. What made it hold cannot make another one hold.
    pub fn judge(&mut self, expectation: &Expectation) -> Verdict {
        let holds = match expectation {
            Expectation::Request { from } => self
                .requests
                .iter()
                .any(|request| request.direction == Direction::Incoming && request.name == *from),
            Expectation::Friend { name } => self
                .friends
                .iter()
                .any(|friend| friend.name == *name && friend.status == FriendStatus::Friend),
            Expectation::Declined { by } => self
                .requests
                .iter()
                .any(|request| request.name == *by && request.state == RequestState::Declined),
            Expectation::Delivered { text } => self
                .sent
                .iter()
                .any(|sent| sent.text == *text && matches!(sent.state, Delivery::Delivered | Delivery::Read)),
            Expectation::Read { text } => {
                self.sent.iter().any(|sent| sent.text == *text && sent.state == Delivery::Read)
            }
            Expectation::Mark { mark, text } => self
                .got
                .iter()
                .chain(&self.sent)
                .any(|message| message.text == *text && message.their_mark.as_ref() == Some(mark)),
            Expectation::Deleted { text } => {
                self.got.iter().any(|message| message.text == *text && message.deleted)
            }
            Expectation::Found { text } => self.found.iter().any(|message| message.text == *text),
            Expectation::Unfriended { by } => take(&mut self.unfriended, |name| name == by),
            Expectation::Failed { reason } => take(&mut self.failed, |failed| failed.contains(reason)),
            Expectation::Message { text, from } => return self.judge_message(text, from),
        };
        if holds { Verdict::Holds } else { Verdict::NotYet }
    }

    fn judge_message(&mut self, text: &str, from: &str) -> Verdict {
        let Some(next) = self.messages.iter().position(|message| message.friend == from) else {
            return Verdict::NotYet;
        };
        match self.messages.remove(next) {
            Some(message) if message.text == text => Verdict::Holds,
            Some(message) => {
                Verdict::Never(format!("the next message from {from} was {}", quoted(&message.text)))
            }
            None => Verdict::NotYet,
        }
    }

    /// What there is instead of what was expected.
    pub fn describe(&self) -> Vec<String> {
        let mut seen = Vec::new();
        if let Some(reason) = &self.ended {
            seen.push(format!("the session has ended: {}", harmless::line(reason)));
        }
        for request in &self.requests {
            let state = format!("{:?}", request.state).to_lowercase();
            seen.push(match request.direction {
                Direction::Incoming => format!("a request from {}", request.name),
                Direction::Outgoing => format!("a request to {}, {}", request.name, harmless::line(&state)),
            });
        }
        for friend in &self.friends {
            let status = format!("{:?}", friend.status).to_lowercase();
            seen.push(format!("{}: {status}", friend.name));
        }
        for message in &self.messages {
            seen.push(format!("{} from {}", quoted(&message.text), message.friend));
        }
        for message in &self.sent {
            let state = format!("{:?}", message.state).to_lowercase();
            seen.push(format!("{} to {}, {state}", quoted(&message.text), message.friend));
        }
        seen.extend(self.failed.iter().map(|reason| format!("a failure: {}", harmless::line(reason))));
        seen
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        if let Some(running) = &self.session {
            running.forwarder.abort();
        }
    }
}

fn take(list: &mut VecDeque<String>, wanted: impl Fn(&String) -> bool) -> bool {
    match list.iter().position(wanted) {
        Some(position) => list.remove(position).is_some(),
        None => false,
    }
}

fn answered(message: &Message) -> String {
    let known = message.answers.as_ref().and_then(|answers| answers.known.as_ref());
    known.map_or(String::new(), |known| format!(", which answers {},", quoted(&known.text)))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", harmless::line(text))
}
