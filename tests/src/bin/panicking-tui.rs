//! The TUI with a task beside it that panics at the first sign of typing: what becomes of the terminal then?

use std::process::ExitCode;
use std::time::SystemTime;

use chat_tui::session::api::{Command, Connection, Event, Friend};
use chat_tui::tui::{self, Settings, TuiOptions};
use tokio::sync::mpsc::channel;

#[tokio::main]
async fn main() -> ExitCode {
    let (commands, mut commands_in) = channel(64);
    let (events_out, events) = channel(64);
    tokio::spawn(async move {
        let now = SystemTime::now();
        let bob = Friend::new("bob");
        for event in [Event::Connection(Connection::Online { since: now }), Event::Friends(vec![bob])] {
            let _ = events_out.send(event).await;
        }
        while let Some(command) = commands_in.recv().await {
            assert!(!matches!(command, Command::Typing { .. }), "on purpose");
        }
    });
    let options = TuiOptions::new("alice", "nowhere", Settings::default());
    match tui::run(commands, events, options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
