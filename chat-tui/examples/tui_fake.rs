//! The terminal user interface without a network: a scripted session with a few friends.
//!
//! `cargo run -p chat-tui --example tui_fake [new|bare|offline]`: `new` begins with a request and no friends,
//! `bare` with nothing at all, `offline` without a connection. Write to bob and he answers; write "bye" to
//! him and he is no longer your friend; accept carol and she greets you.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use chat_tui::session::api::*;
use chat_tui::tui::{self, Settings, TuiOptions};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::sleep;
use uuid::Uuid;

#[tokio::main]
async fn main() -> Result<(), tui::TuiError> {
    let scene = std::env::args().nth(1).unwrap_or_default();
    let (commands, commands_in) = channel(64);
    let (events_out, events) = channel(64);
    let session = tokio::spawn(Fake::new(scene, events_out).run(commands_in));
    let options = TuiOptions::new("alice", "localhost:5672", Settings::default().under_environment());
    let result = tui::run(commands, events, options).await;
    session.abort();
    result
}

struct Fake {
    scene: String,
    events: Sender<Event>,
}

struct State {
    friends: Vec<Friend>,
    requests: Vec<Request>,
    histories: HashMap<String, Vec<Message>>,
    row: i64,
}

fn ago(seconds: u64) -> SystemTime {
    SystemTime::now() - Duration::from_secs(seconds)
}

fn friend(name: &str, presence: Presence) -> Friend {
    Friend {
        name: name.into(),
        status: FriendStatus::Friend,
        presence,
        away_note: String::new(),
        unread: 0,
        last_message: None,
        draft: String::new(),
        nickname: None,
        muted: false,
        ended_by_us: false,
        archived: false,
    }
}

impl Fake {
    fn new(scene: String, events: Sender<Event>) -> Self {
        Fake { scene, events }
    }

    async fn say(&self, event: Event) {
        // When the interface has gone there is nobody to tell.
        let _ = self.events.send(event).await;
    }

    async fn run(self, mut commands: Receiver<Command>) {
        let mut state = self.beginning();
        self.say(Event::Connection(Connection::Connecting { attempt: 1 })).await;
        sleep(Duration::from_millis(300)).await;
        self.tell_lists(&state).await;
        let connection = match self.scene.as_str() {
            "offline" => Connection::Offline {
                since: ago(90),
                reason: "no answer from localhost:5672 (connection refused)".into(),
                retry_at: SystemTime::now() + Duration::from_secs(30),
            },
            _ => Connection::Online { since: ago(0) },
        };
        self.say(Event::Connection(connection)).await;
        while let Some(command) = commands.recv().await {
            if command == Command::Shutdown {
                return self.say(Event::Ended { reason: None }).await;
            }
            self.carry_out(command, &mut state).await;
        }
    }

    fn beginning(&self) -> State {
        let mut state = State { friends: vec![], requests: vec![], histories: HashMap::new(), row: 0 };
        if self.scene == "bare" {
            return state;
        }
        state.requests.push(Request {
            name: "carol".into(),
            note: "We met at the conference, by the coffee machine.".into(),
            at: ago(3600),
            direction: Direction::Incoming,
            state: RequestState::Pending,
        });
        if self.scene == "new" {
            return state;
        }
        state.requests.push(Request {
            name: "dave".into(),
            note: "Hello from next door".into(),
            at: ago(7200),
            direction: Direction::Outgoing,
            state: RequestState::Forwarded,
        });
        let mut bob = friend("bob", Presence::Online);
        let erin = friend("erin", Presence::Away);
        let mut frank = friend("frank", Presence::Offline { last_seen: Some(ago(200_000)) });
        frank.draft = "about the bill for".into();
        let mut grace = friend("grace", Presence::Online);
        grace.status = FriendStatus::Former;
        for n in 0..400u64 {
            let outgoing = n % 3 == 1;
            let text = match n % 7 {
                0 => format!("Message number {n}. The quick brown fox jumps over the lazy dog, and then goes home to write a much longer message than anybody wanted to read."),
                1 => "ok 👍".to_owned(),
                2 => "日本語のメッセージはどこでも改行できます。とても長いので、次の行に続きます。そしてまだ続きます。".to_owned(),
                3 => "fn main() {\n    println!(\"hi\");\n}".to_owned(),
                4 => "evil \u{1b}[31mred\u{1b}[0m and \u{202e}reversed\u{202c} text".to_owned(),
                _ => format!("short {n}"),
            };
            self.add(&mut state, "bob", outgoing, &text, ago((400 - n) * 1200), Delivery::Read);
        }
        self.add(&mut state, "bob", true, "Shall we meet at eight?", ago(300), Delivery::Read);
        self.add(&mut state, "bob", true, "At the usual place", ago(280), Delivery::Delivered);
        self.add(&mut state, "bob", true, "Or rather somewhere new", ago(60), Delivery::Sent);
        for n in 0..3 {
            self.add(
                &mut state,
                "erin",
                false,
                &format!("Are you there? ({n})"),
                ago(1000 - n),
                Delivery::Delivered,
            );
        }
        bob.last_message = state.histories["bob"].last().cloned();
        let mut erin = erin;
        erin.unread = 3;
        erin.last_message = state.histories["erin"].last().cloned();
        state.friends = vec![bob, erin, frank, grace];
        state
    }

    fn add(
        &self,
        state: &mut State,
        name: &str,
        outgoing: bool,
        text: &str,
        at: SystemTime,
        delivery: Delivery,
    ) -> Message {
        state.row += 1;
        let direction = if outgoing { Direction::Outgoing } else { Direction::Incoming };
        let message = Message {
            id: Uuid::now_v7(),
            state: delivery,
            ..Message::new(state.row, name, direction, text, at)
        };
        state.histories.entry(name.into()).or_default().push(message.clone());
        message
    }

    async fn tell_lists(&self, state: &State) {
        self.say(Event::Requests(state.requests.clone())).await;
        self.say(Event::Friends(state.friends.clone())).await;
    }

    async fn carry_out(&self, command: Command, state: &mut State) {
        match command {
            Command::LoadHistory { friend, span, limit } => {
                let all = state.histories.get(&friend).cloned().unwrap_or_default();
                let below = |row: i64| all.iter().position(|m| m.row >= row).unwrap_or(all.len());
                let start = match span {
                    Span::Newest | Span::Unseen => all.len().saturating_sub(limit),
                    Span::Before(row) => below(row).saturating_sub(limit),
                    Span::After(row) => below(row + 1),
                    Span::Around(row) => below(row).saturating_sub(limit / 2),
                };
                let end = match span {
                    Span::Before(row) => below(row),
                    _ => (start + limit).min(all.len()),
                };
                let messages = all[start..end].to_vec();
                let page = Page { messages, older: start > 0, newer: end < all.len() };
                self.say(Event::History { friend, span, page }).await;
            }
            Command::Send { to, text } => self.send(state, to, text).await,
            Command::MarkRead { friend, .. } => {
                for f in state.friends.iter_mut().filter(|f| f.name == friend) {
                    f.unread = 0;
                }
                for message in state.histories.entry(friend).or_default() {
                    message.state = Delivery::Read;
                }
                self.tell_lists(state).await;
            }
            Command::Befriend { name, note } => {
                state.requests.retain(|r| r.name != name);
                let (direction, request_state) = (Direction::Outgoing, RequestState::Pending);
                state.requests.push(Request { name, note, at: ago(0), direction, state: request_state });
                self.tell_lists(state).await;
            }
            Command::Accept { name } => {
                state.requests.retain(|r| r.name != name);
                state.friends.push(friend(&name, Presence::Online));
                self.tell_lists(state).await;
                sleep(Duration::from_millis(500)).await;
                let hello =
                    self.add(state, &name, false, "Thank you! How are you?", ago(0), Delivery::Delivered);
                self.say(Event::Message(hello)).await;
            }
            Command::Decline { name } | Command::Withdraw { name } => {
                state.requests.retain(|r| r.name != name);
                self.tell_lists(state).await;
            }
            Command::Unfriend { name } => self.set_status(state, &name, FriendStatus::Former).await,
            Command::Block { name } => {
                state.requests.retain(|r| r.name != name);
                if !state.friends.iter().any(|f| f.name == name) {
                    state.friends.push(friend(&name, Presence::Offline { last_seen: None }));
                }
                self.set_status(state, &name, FriendStatus::Blocked).await;
            }
            Command::Unblock { name } => self.set_status(state, &name, FriendStatus::Former).await,
            _ => {}
        }
    }

    async fn set_status(&self, state: &mut State, name: &str, status: FriendStatus) {
        for f in state.friends.iter_mut().filter(|f| f.name == name) {
            f.status = status;
        }
        self.tell_lists(state).await;
    }

    async fn send(&self, state: &mut State, to: String, text: String) {
        let offline = self.scene == "offline";
        let queued = self.add(state, &to, true, &text, SystemTime::now(), Delivery::Queued);
        let id = queued.id;
        self.say(Event::Message(queued)).await;
        if offline {
            return;
        }
        let mut steps = vec![Delivery::Sent, Delivery::Delivered, Delivery::Read];
        assert_ne!(text, "panic", "as the person wished");
        if text == "bye" {
            steps = vec![Delivery::Returned];
        }
        for step in steps {
            sleep(Duration::from_millis(300)).await;
            self.say(Event::MessageState { friend: to.clone(), id, state: step }).await;
        }
        if text == "bye" {
            self.say(Event::Unfriended { by: to.clone() }).await;
            return self.set_status(state, &to, FriendStatus::Former).await;
        }
        self.say(Event::Typing { friend: to.clone() }).await;
        sleep(Duration::from_millis(1500)).await;
        let answer =
            self.add(state, &to, false, &format!("You said: {text}"), SystemTime::now(), Delivery::Delivered);
        self.say(Event::Message(answer)).await;
    }
}
