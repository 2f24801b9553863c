//! `chat-tui demo`: everything in one process, for one person alone. An embedded broker, two friend servers, a scripted
//! friend who asks to be friends and shows everything around, and the TUI. Where there is no terminal, a script plays the story instead.

mod friend;
mod robin;

use std::io::IsTerminal;

use shared::client::SignUp;
use tempfile::TempDir;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::embedded::{Embedded, EmbeddedError};
use crate::script::{self, RunError, World};
use crate::session::{Session, SessionConfig, StartError};
use crate::tui::{self, Settings, TuiError, TuiOptions};

/// The person at the keyboard.
const PERSON: &str = "you";
/// The other friend, who comes later.
const WREN: &str = "wren";
/// Of accounts at a broker that ends with the demo.
const PASSWORD: &str = "only for the demo";
const FRIEND_SERVERS: usize = 2;
const STORY: &str = include_str!("../../demos/story.warren");

#[derive(Debug, Error)]
pub enum DemoError {
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error("cannot make a temporary folder: {0}")]
    Folder(#[from] std::io::Error),
    #[error(transparent)]
    Session(#[from] StartError),
    #[error(transparent)]
    Tui(#[from] TuiError),
    #[error("the demo's story, {0}")]
    Story(#[from] RunError),
    #[error("the demo's story, {0}")]
    StoryText(#[from] script::ParseError),
}

/// Runs the demo until the person leaves or the story ends. `say` gets the story, line by line.
pub async fn run(settings: Settings, say: &mut (dyn FnMut(&str) + Send)) -> Result<(), DemoError> {
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    match is_terminal && std::env::var("TERM").map_or(true, |term| tui::has_screen(&term)) {
        true => play_with_person(settings).await,
        false => Ok(script::run(&script::parse(STORY)?, World::Embedded, say).await?),
    }
}

async fn play_with_person(settings: Settings) -> Result<(), DemoError> {
    eprintln!("starting a broker, {FRIEND_SERVERS} friend servers and a friend…");
    let mut embedded = Embedded::start().await?;
    for _ in 0..FRIEND_SERVERS {
        embedded.start_friend_server().await?;
    }
    let folder = TempDir::with_prefix("warren-demo-")?;
    let config = |name: &str| -> Result<SessionConfig, EmbeddedError> {
        Ok(SessionConfig {
            broker: embedded.uri(name, PASSWORD)?,
            sign_up: Some(SignUp::Open),
            data_dir: folder.path().to_owned(),
        })
    };
    let mut person = Session::start(config(PERSON)?)?;
    // Only who has been online can be asked.
    let here = person.progress.wait_for(|progress| progress.caught_up).await.is_ok();
    let (call_wren, called) = mpsc::channel(1);
    let friend = tokio::spawn(friend::live(config(robin::NAME)?, PERSON.to_owned(), here, call_wren));
    let other = tokio::spawn(friend::visit(config(WREN)?, PERSON.to_owned(), called));

    let options = TuiOptions::new(PERSON, format!("{} (demo)", embedded.address()), settings);
    let Session { commands, events, .. } = person;
    let shown = tui::run(commands, events, options).await;
    friend.abort();
    other.abort();
    embedded.shutdown().await?;
    Ok(shown?)
}
