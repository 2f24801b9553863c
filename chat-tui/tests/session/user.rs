//! A broker with friend servers, and users with folders that outlive their sessions.

use std::path::PathBuf;
use std::time::Duration;

use chat_tui::embedded::Embedded;
use chat_tui::session::api::{
    Command, Delivery, Direction, Event, Friend, FriendStatus, Message, Presence, RequestState, Span,
};
use chat_tui::session::{Progress, Session, SessionConfig};
use chat_tui::store::{Store, state_dir};
use rusqlite::Connection;
use shared::client::SignUp;
use tempfile::TempDir;

/// Longer than anything takes on a busy machine; only failures wait for it.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "a password for tests";

pub struct World {
    pub embedded: Embedded,
    folder: TempDir,
    known: std::sync::Mutex<Vec<String>>,
}

impl World {
    pub async fn new(servers: usize) -> World {
        let mut embedded = Embedded::start().await.unwrap();
        for _ in 0..servers {
            embedded.start_friend_server().await.unwrap();
        }
        World { embedded, folder: TempDir::new().unwrap(), known: Default::default() }
    }

    /// A session of `name`, who signs up the first time.
    pub fn user(&self, name: &str) -> User {
        self.user_with_password(name, PASSWORD)
    }

    pub fn user_with_password(&self, name: &str, password: &str) -> User {
        self.session(name, password, "here")
    }

    /// A session with a local state of its own, as on another computer.
    pub fn user_elsewhere(&self, name: &str) -> User {
        self.session(name, PASSWORD, "elsewhere")
    }

    fn session(&self, name: &str, password: &str, place: &str) -> User {
        let mut known = self.known.lock().unwrap();
        let sign_up = (!known.contains(&name.to_owned())).then_some(SignUp::Open);
        known.push(name.to_owned());
        let config = SessionConfig {
            broker: self.embedded.uri(name, password).unwrap(),
            sign_up,
            data_dir: self.folder.path().join(place),
        };
        User {
            session: Session::start(config).unwrap(),
            state: self.state(name, place),
            given: 0,
            friends: Vec::new(),
            seen: Vec::new(),
        }
    }

    pub async fn signed_up(&self, name: &str) -> User {
        let mut user = self.user(name);
        user.caught_up().await;
        user
    }

    /// Two users who are friends.
    pub async fn friends(&self, one: &str, two: &str) -> (User, User) {
        let (mut first, mut second) = (self.signed_up(one).await, self.signed_up(two).await);
        first.give(Command::Befriend { name: two.into(), note: String::new() }).await;
        second.until(|event| matches!(event, Event::Requests(requests) if !requests.is_empty())).await;
        second.give(Command::Accept { name: one.into() }).await;
        first.until_friend(two).await;
        second.until_friend(one).await;
        (first, second)
    }

    fn state(&self, name: &str, place: &str) -> PathBuf {
        let address = self.embedded.address().to_string();
        state_dir(&self.folder.path().join(place), &address, "/", name).unwrap()
    }

    /// Changes where a message in the outbox goes.
    pub fn redirect_waiting(&self, name: &str, text: &str, queue: &str) {
        let connection = Connection::open(self.state(name, "here").join("state.sqlite")).unwrap();
        let changed = connection
            .execute(
                "UPDATE outbox SET routing_key = ?2 WHERE instr(CAST(body AS TEXT), ?1) > 0",
                [text, queue],
            )
            .unwrap();
        assert_eq!(changed, 1);
    }
}

pub struct User {
    session: Session,
    state: PathBuf,
    given: u64,
    friends: Vec<Friend>,
    /// Events taken while waiting for others.
    seen: Vec<Event>,
}

impl User {
    pub async fn give(&mut self, command: Command) {
        self.given += 1;
        self.session.commands.send(command).await.unwrap();
    }

    /// The first event that `wanted` accepts, from here on; what comes before it is kept for later.
    pub async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        if let Some(position) = self.seen.iter().position(&wanted) {
            return self.seen.remove(position);
        }
        loop {
            let event = self.next_event().await;
            if let Event::Friends(friends) = &event {
                self.friends.clone_from(friends);
            }
            if wanted(&event) {
                return event;
            }
            self.seen.push(event);
        }
    }

    fn note(&mut self, event: Event) {
        if let Event::Friends(friends) = &event {
            self.friends.clone_from(friends);
        }
        self.seen.push(event);
    }

    pub fn has_seen(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.seen.iter().any(wanted)
    }

    pub async fn until_friend(&mut self, name: &str) {
        let name = name.to_owned();
        self.until(|event| match event {
            Event::Friends(friends) => {
                friends.iter().any(|friend| friend.name == name && friend.status == FriendStatus::Friend)
            }
            _ => false,
        })
        .await;
    }

    pub async fn until_request(&mut self, name: &str, wanted: impl Fn(&RequestState) -> bool) {
        self.until(|event| match event {
            Event::Requests(requests) => {
                requests.iter().any(|request| request.name == name && wanted(&request.state))
            }
            _ => false,
        })
        .await;
    }

    /// Waits until our message `text` has come so far.
    pub async fn until_state(&mut self, friend: &str, text: &str, wanted: impl Fn(&Delivery) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let stored = self.stored(friend).await;
            let state =
                stored.iter().rev().find(|message| message.text == text).map(|message| &message.state);
            if state.is_some_and(&wanted) {
                return;
            }
            let event = tokio::time::timeout_at(deadline, self.session.events.recv()).await;
            let event = event.unwrap_or_else(|_| panic!("{text:?} is {state:?}")).expect("the session ended");
            self.note(event);
        }
    }

    /// The text of the next message from `friend`.
    pub async fn next_text(&mut self, friend: &str) -> String {
        let event = self
            .until(|event| match event {
                Event::Message(message) => {
                    message.direction == Direction::Incoming && message.friend == friend
                }
                _ => false,
            })
            .await;
        let Event::Message(message) = event else { unreachable!() };
        message.text
    }

    pub fn count_seen(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.seen.iter().filter(|event| wanted(event)).count()
    }

    /// Waits until the presence of the only friend is as `wanted`, if it is not already.
    pub async fn until_presence(&mut self, wanted: impl Fn(&Presence) -> bool) {
        while !self.friends.iter().any(|friend| wanted(&friend.presence)) {
            let event = self.next_event().await;
            self.note(event);
        }
    }

    async fn next_event(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.session.events.recv())
            .await
            .unwrap_or_else(|_| panic!("it did not happen; seen: {:?}", self.seen))
            .unwrap_or_else(|| panic!("the session ended; seen: {:?}", self.seen))
    }

    pub fn stored_friends(&self) -> Vec<Friend> {
        Store::open(&self.state).unwrap().friends().unwrap()
    }

    async fn progress(&mut self, wanted: impl FnMut(&Progress) -> bool) {
        let mut progress = self.session.progress.clone();
        let waiting = tokio::time::timeout(PATIENCE, progress.wait_for(wanted));
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                reached = &mut waiting => {
                    reached.expect("it did not come so far").expect("the session ended");
                    return;
                }
                Some(event) = self.session.events.recv() => {
                    self.note(event);
                }
            }
        }
    }

    pub async fn online(&mut self) {
        self.progress(|progress| progress.online).await;
    }

    pub async fn caught_up(&mut self) {
        self.progress(|progress| progress.caught_up).await;
    }

    /// All commands are in the local state.
    pub async fn taken_in(&mut self) {
        let given = self.given;
        self.progress(move |progress| progress.commands_done >= given).await;
    }

    /// All commands have had their effect at the broker.
    pub async fn settled(&mut self) {
        let given = self.given;
        self.progress(move |progress| progress.commands_done >= given && progress.pending == 0).await;
    }

    /// What is in the local state, oldest first.
    pub async fn stored(&self, friend: &str) -> Vec<Message> {
        let store = Store::open(&self.state).unwrap();
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = store.history(friend, Span::After(after), 1000).unwrap();
            after = page.messages.last().map_or(after, |message| message.row);
            all.extend(page.messages);
            if !page.newer {
                return all;
            }
        }
    }

    pub async fn leave(&mut self) {
        self.give(Command::Shutdown).await;
        self.until(|event| matches!(event, Event::Ended { reason: None })).await;
    }

    /// Ends without a goodbye, in the middle of whatever it does.
    pub async fn crash(&mut self) {
        self.session.task.abort();
        let _ = (&mut self.session.task).await;
    }
}
