//! The scripted friends' lives: a session, driven by what [`Robin`] wants.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::robin::{Deed, NAME, NOTE, Robin};
use crate::session::api::{Command, Direction, Event, Friend, FriendStatus, Message, Request, RequestState};
use crate::session::{Session, SessionConfig};

/// Nobody reads or types faster than this.
const READING: Duration = Duration::from_millis(500);
const TYPING: Duration = Duration::from_millis(900);
const THINKING: Duration = Duration::from_millis(800);

/// Robin lives until the session ends. `person` is asked at once if they are there; `wren` is told when to come.
pub async fn live(config: SessionConfig, person: String, ask: bool, wren: mpsc::Sender<()>) {
    let mut config = config;
    let Ok(session) = Session::start(config.clone()) else { return };
    // From the second time on the account exists.
    config.sign_up = None;
    let mut life = Life {
        config,
        person,
        session,
        wren,
        robin: Robin::default(),
        deeds: VecDeque::new(),
        friends: false,
        written: false,
        theirs: None,
        ours: None,
    };
    if ask {
        life.give(Command::Befriend { name: life.person.clone(), note: NOTE.into() }).await;
    }
    while life.go_on().await.is_some() {}
}

/// Wren comes when it is told to, asks `person`, and says a few words.
pub async fn visit(config: SessionConfig, person: String, mut called: mpsc::Receiver<()>) {
    if called.recv().await.is_none() {
        return;
    }
    let Ok(mut session) = Session::start(config) else { return };
    let note = "Robin says you like umbrellas. Me too!".to_owned();
    let ask = Command::Befriend { name: person.clone(), note };
    if session.commands.send(ask).await.is_err() {
        return;
    }
    let mut greeted = false;
    while let Some(event) = session.events.recv().await {
        let reply = match event {
            Event::Friends(friends) if !greeted && friends.iter().any(|f| is_friend(f, &person)) => {
                greeted = true;
                "Hello! I am wren, and new here. Go back to robin, I wait: you will see in the list when I write."
            }
            Event::Message(message) if message.direction == Direction::Incoming => {
                let read = Command::MarkRead { friend: person.clone(), up_to: message.row };
                if session.commands.send(read).await.is_err() {
                    return;
                }
                "Nice. There is not much to me: robin is the talkative one."
            }
            _ => continue,
        };
        sleep(TYPING).await;
        let say = Command::Send { to: person.clone(), text: reply.to_owned() };
        if session.commands.send(say).await.is_err() {
            return;
        }
    }
}

fn is_friend(friend: &Friend, person: &str) -> bool {
    friend.name == person && friend.status == FriendStatus::Friend
}

struct Life {
    config: SessionConfig,
    person: String,
    session: Session,
    wren: mpsc::Sender<()>,
    robin: Robin,
    /// What is still to be done, in order.
    deeds: VecDeque<Deed>,
    friends: bool,
    /// The person has written since that was last waited for.
    written: bool,
    /// The rows of the newest message of the person, and of robin's own.
    theirs: Option<i64>,
    ours: Option<i64>,
}

impl Life {
    async fn give(&self, command: Command) {
        // A session that has ended ends `live` as well.
        let _ = self.session.commands.send(command).await;
    }

    /// Does the next thing, or waits for something to happen. `None`: the session has ended.
    async fn go_on(&mut self) -> Option<()> {
        match self.deeds.pop_front() {
            Some(Deed::Pause(time)) => self.wait(time, false).await,
            Some(Deed::Await(time)) => self.wait(time, true).await,
            Some(deed) => {
                self.perform(deed).await;
                Some(())
            }
            None => {
                let event = self.session.events.recv().await?;
                self.react(event).await;
                Some(())
            }
        }
    }

    /// Lets `time` pass, or less if the person writes and that is waited for.
    async fn wait(&mut self, time: Duration, for_person: bool) -> Option<()> {
        let deadline = Instant::now() + time;
        self.written = false;
        let left = self.deeds.len();
        while let Ok(event) = timeout_at(deadline, self.session.events.recv()).await {
            self.react(event?).await;
            if (for_person && self.written) || self.deeds.len() < left {
                break;
            }
        }
        Some(())
    }

    async fn react(&mut self, event: Event) {
        match event {
            Event::Friends(friends) => {
                let now = friends.iter().any(|friend| is_friend(friend, &self.person));
                if now && !self.friends {
                    self.deeds = self.robin.greet().into();
                } else if self.friends && !now {
                    self.robin.parted();
                    self.deeds.clear();
                }
                self.friends = now;
            }
            Event::Requests(requests) if requests.iter().any(|request| self.is_asking(request)) => {
                sleep(THINKING).await;
                self.give(Command::Accept { name: self.person.clone() }).await;
            }
            Event::Message(message) => self.heard(&message).await,
            _ => {}
        }
    }

    async fn heard(&mut self, message: &Message) {
        if message.direction == Direction::Outgoing {
            self.ours = Some(message.row);
            return;
        }
        sleep(READING).await;
        self.give(Command::MarkRead { friend: self.person.clone(), up_to: message.row }).await;
        (self.written, self.theirs) = (true, Some(message.row));
        let (deeds, is_all) = self.robin.answer(&message.text);
        if is_all {
            self.deeds.clear();
        }
        for deed in deeds.into_iter().rev() {
            self.deeds.push_front(deed);
        }
    }

    fn is_asking(&self, request: &Request) -> bool {
        request.name == self.person
            && request.direction == Direction::Incoming
            && request.state == RequestState::Pending
    }

    async fn perform(&mut self, deed: Deed) {
        let friend = self.person.clone();
        match deed {
            Deed::Say(text) => self.say(Command::Send { to: friend, text }).await,
            Deed::Reply(text) => match self.theirs {
                Some(row) => self.say(Command::Reply { to: friend, row, text }).await,
                None => self.say(Command::Send { to: friend, text }).await,
            },
            Deed::React(mark) => {
                if let Some(row) = self.theirs {
                    self.give(Command::React { friend, row, mark: Some(mark.to_owned()) }).await;
                }
            }
            Deed::Edit(text) => {
                if let Some(row) = self.ours {
                    self.say(Command::Edit { friend, row, text }).await;
                }
            }
            Deed::Delete => {
                if let Some(row) = self.ours {
                    self.give(Command::Delete { friend, row }).await;
                }
            }
            Deed::BringWren => {
                // Wren comes once; who is there already need not be called.
                let _ = self.wren.try_send(());
            }
            Deed::Unfriend => {
                sleep(THINKING).await;
                self.give(Command::Unfriend { name: friend }).await;
            }
            Deed::GoOffline(time) => self.be_away(time).await,
            Deed::Pause(time) | Deed::Await(time) => sleep(time).await,
        }
    }

    /// Types, then gives the command, and waits until it is in the history.
    async fn say(&mut self, command: Command) {
        self.give(Command::Typing { friend: self.person.clone() }).await;
        sleep(TYPING).await;
        let is_new = !matches!(command, Command::Edit { .. });
        let before = self.ours;
        self.give(command).await;
        let deadline = Instant::now() + THINKING;
        while is_new && self.ours == before {
            match timeout_at(deadline, self.session.events.recv()).await {
                Ok(Some(event)) => self.react(event).await,
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Leaves at once, and comes back with all that waited.
    async fn be_away(&mut self, time: Duration) {
        self.give(Command::Shutdown).await;
        let mut waited = Vec::new();
        while let Some(event) = self.session.events.recv().await {
            match event {
                Event::Message(message) if message.direction == Direction::Incoming => {
                    waited.push(message.text)
                }
                Event::Ended { .. } => break,
                _ => {}
            }
        }
        sleep(time).await;
        let Ok(session) = Session::start(self.config.clone()) else { return };
        self.session = session;
        self.catch_up(&mut waited).await;
        self.give(Command::MarkRead { friend: self.person.clone(), up_to: i64::MAX }).await;
        for deed in self.robin.return_home(&waited).into_iter().rev() {
            self.deeds.push_front(deed);
        }
    }

    /// What was written while away, when all of it is here.
    async fn catch_up(&mut self, waited: &mut Vec<String>) {
        let mut progress = self.session.progress.clone();
        loop {
            tokio::select! {
                biased;
                event = self.session.events.recv() => match event {
                    Some(Event::Message(message)) if message.direction == Direction::Incoming => {
                        self.theirs = Some(message.row);
                        waited.push(message.text);
                    }
                    Some(_) => {}
                    None => return,
                },
                here = progress.wait_for(|progress| progress.caught_up) => {
                    tracing::debug!(caught_up = here.is_ok(), "{NAME} is back");
                    return;
                }
            }
        }
    }
}
