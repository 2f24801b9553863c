//! Many messages to one friend, as fast as they are taken: to see what a running chat makes of them.
//!
//! `WARREN_PASSWORD=… cargo run --release -p chat-tui --example flood -- BROKER USER FRIEND COUNT` uses the state of USER at its
//! usual place, or in WARREN_DATA_DIR. It ends when the friend's client has the last one.

use std::collections::HashSet;
use std::path::PathBuf;

use chat_tui::session::api::{Command, Delivery, Direction, Event, Message};
use chat_tui::session::{Session, SessionConfig};
use chat_tui::store::default_data_dir;

/// Messages that are not yet delivered; more wait here.
const UNDER_WAY_MAX: usize = 2000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or(format!("say {what}"));
    let (broker, user, friend) = (next("which broker")?, next("which user")?, next("which friend")?);
    let count: usize = next("how many messages")?.parse()?;
    let password = std::env::var("WARREN_PASSWORD")?;
    let data_dir = match std::env::var_os("WARREN_DATA_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => default_data_dir()?,
    };
    let broker = broker.parse::<shared::client::BrokerUri>()?.with_login(&user, &password);
    let Session { commands, mut events, .. } =
        Session::start(SessionConfig { broker, sign_up: None, data_dir })?;
    let (mut sent, mut delivered) = (0, HashSet::new());
    while delivered.len() < count {
        while sent < count && sent - delivered.len() < UNDER_WAY_MAX {
            let text = format!("message {sent}: the quick brown fox jumps over the lazy dog 日本 🦊");
            let send = Command::Send { to: friend.clone(), text };
            if commands.try_send(send).is_err() {
                break;
            }
            sent += 1;
        }
        match events.recv().await {
            Some(Event::MessageState { id, state: Delivery::Delivered | Delivery::Read, .. }) => {
                delivered.insert(id);
            }
            // What came far at once is told as that.
            Some(Event::Message(Message {
                id,
                direction: Direction::Outgoing,
                state: Delivery::Delivered | Delivery::Read,
                ..
            })) => {
                delivered.insert(id);
            }
            Some(Event::MessageState { state: Delivery::Returned | Delivery::Failed(_), .. }) => {
                return Err("a message was not taken".into());
            }
            Some(Event::Failed { reason, .. }) => return Err(reason.into()),
            Some(Event::Ended { reason }) => return Err(reason.unwrap_or_default().into()),
            Some(_) => {}
            None => return Err("the session is gone".into()),
        }
    }
    commands.send(Command::Shutdown).await?;
    while events.recv().await.is_some() {}
    Ok(())
}
