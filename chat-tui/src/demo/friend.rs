//! The scripted friend's life: a session, driven by what [`Robin`] wants.

use std::time::Duration;

use tokio::time::sleep;

use super::robin::{Deed, NAME, NOTE, Robin};
use crate::session::api::{Command, Direction, Event, Friend, FriendStatus, Request, RequestState};
use crate::session::{Session, SessionConfig};

/// Nobody reads or types faster than this.
const READING: Duration = Duration::from_millis(500);
const TYPING: Duration = Duration::from_millis(900);
const THINKING: Duration = Duration::from_millis(800);

/// Lives until the session ends. `person` is asked at once if they are there.
pub async fn live(config: SessionConfig, person: String, ask: bool) {
    let mut config = config;
    let Ok(session) = Session::start(config.clone()) else { return };
    // From the second time on the account exists.
    config.sign_up = None;
    let mut life = Life { config, person, session, robin: Robin::default(), friends: false };
    if ask {
        life.give(Command::Befriend { name: life.person.clone(), note: NOTE.into() }).await;
    }
    while let Some(event) = life.session.events.recv().await {
        life.react(event).await;
    }
}

struct Life {
    config: SessionConfig,
    person: String,
    session: Session,
    robin: Robin,
    friends: bool,
}

impl Life {
    async fn give(&self, command: Command) {
        // A session that has ended ends `live` as well.
        let _ = self.session.commands.send(command).await;
    }

    async fn react(&mut self, event: Event) {
        match event {
            Event::Friends(friends) => {
                let now = friends.iter().any(|friend| self.is_person(friend));
                if now && !std::mem::replace(&mut self.friends, now) {
                    let deeds = self.robin.greet();
                    self.perform(deeds).await;
                }
                self.friends = now;
            }
            Event::Requests(requests) if requests.iter().any(|request| self.is_asking(request)) => {
                sleep(THINKING).await;
                self.give(Command::Accept { name: self.person.clone() }).await;
            }
            Event::Message(message) if message.direction == Direction::Incoming => {
                sleep(READING).await;
                self.give(Command::MarkRead { friend: self.person.clone(), up_to: i64::MAX }).await;
                let deeds = self.robin.answer(&message.text);
                self.perform(deeds).await;
            }
            _ => {}
        }
    }

    fn is_person(&self, friend: &Friend) -> bool {
        friend.name == self.person && friend.status == FriendStatus::Friend
    }

    fn is_asking(&self, request: &Request) -> bool {
        request.name == self.person
            && request.direction == Direction::Incoming
            && request.state == RequestState::Pending
    }

    async fn perform(&mut self, deeds: Vec<Deed>) {
        for deed in deeds {
            match deed {
                Deed::Say(text) => self.say(text).await,
                Deed::Unfriend => {
                    sleep(THINKING).await;
                    self.give(Command::Unfriend { name: self.person.clone() }).await;
                }
                Deed::GoOffline(time) => self.be_away(time).await,
            }
        }
    }

    async fn say(&mut self, text: String) {
        self.give(Command::Typing { friend: self.person.clone() }).await;
        sleep(TYPING).await;
        self.give(Command::Send { to: self.person.clone(), text }).await;
    }

    /// Leaves, and comes back with all that waited.
    async fn be_away(&mut self, time: Duration) {
        sleep(THINKING).await;
        self.give(Command::Shutdown).await;
        while let Some(event) = self.session.events.recv().await {
            if let Event::Ended { .. } = event {
                break;
            }
        }
        sleep(time).await;
        let Ok(session) = Session::start(self.config.clone()) else { return };
        self.session = session;
        let waited = self.catch_up().await;
        self.give(Command::MarkRead { friend: self.person.clone(), up_to: i64::MAX }).await;
        let deeds = self.robin.return_home(&waited);
        for deed in deeds {
            if let Deed::Say(text) = deed {
                self.say(text).await;
            }
        }
    }

    /// What was written while away, when all of it is here.
    async fn catch_up(&mut self) -> Vec<String> {
        let mut waited = Vec::new();
        let mut progress = self.session.progress.clone();
        loop {
            tokio::select! {
                biased;
                event = self.session.events.recv() => match event {
                    Some(Event::Message(message)) if message.direction == Direction::Incoming => {
                        waited.push(message.text);
                    }
                    Some(_) => {}
                    None => return waited,
                },
                here = progress.wait_for(|progress| progress.caught_up) => {
                    tracing::debug!(caught_up = here.is_ok(), "{NAME} is back");
                    return waited;
                }
            }
        }
    }
}
