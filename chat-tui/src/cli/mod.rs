//! The command line: everything the TUI can do, without it.
//!
//! Exit codes: 0 it was done, 1 it was not (standard error says why, and what to do), 2 wrong usage.

mod account;
mod arguments;
mod client;
mod door;
mod output;
mod past;
mod people;
mod place;
mod plain;
mod play;
mod remembered;
mod talk;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use shared::client::{QUIET_LAPIN, SignUp};
use thiserror::Error;
use tracing_subscriber::EnvFilter;

use crate::config;
use crate::session::api::Command;
use crate::session::{Session, SessionConfig, StartError};
use crate::tui::{Defaults, Settings, TuiError, TuiOptions, has_screen, sentence};
pub use arguments::Arguments;
use arguments::Subcommands;
use client::Client;
use door::Door;
use output::Output;
use past::Change;
use people::Verb;
use place::Place;
use remembered::Remembered;

/// Why a command failed, for the person.
pub type Failure = String;

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.command.is_some() {
        start_log();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    // Before the config file is read: it may be what is wrong.
    if let Some(Subcommands::Config { print_default }) = &arguments.command {
        return config(&arguments, *print_default);
    }
    let config = match config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string()),
    };
    let place = match Place::new(&arguments, config.account) {
        Ok(place) => place,
        Err(reason) => {
            fail(&reason);
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(run(&arguments, place, config.settings.under_environment())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => fail(&reason),
    }
}

fn fail(reason: &str) -> ExitCode {
    eprintln!("chat-tui: {}", crate::harmless::lines(reason));
    ExitCode::FAILURE
}

/// Quiet unless RUST_LOG says otherwise.
fn start_log() {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "off".into());
    let filter = EnvFilter::new(format!("{filter},{QUIET_LAPIN}"));
    // A log that cannot be started is no reason not to chat.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

fn config(arguments: &Arguments, print_default: bool) -> ExitCode {
    let text = if print_default {
        config::default_text()
    } else {
        let path = arguments.config.clone().or_else(config::default_path);
        let path = path.map_or("nowhere: there is no home folder".to_owned(), |p| p.display().to_string());
        match config::load(arguments.config.as_deref()) {
            Ok(_) => format!("{path}\n"),
            Err(error) => return fail(&error.to_string()),
        }
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot write to standard output: {error}")),
    }
}

async fn run(arguments: &Arguments, state: Place, settings: Settings) -> Result<(), Failure> {
    let output = Output { json: arguments.json };
    match &arguments.command {
        None if arguments.plain => {
            plain::run(Client::start(state.session(None)?)?, state.whoami()?, settings.notify, &output).await
        }
        None => tui(&state, settings).await,
        Some(Subcommands::Unread) => talk::unread(&state.folder()?, &output),
        Some(Subcommands::SignUp { invite }) => {
            let sign_up = invite.clone().map_or(SignUp::Open, SignUp::Invite);
            people::sign_up(state.session(Some(sign_up))?, &output).await
        }
        Some(Subcommands::Demo) => play::demo(settings, &output).await,
        Some(Subcommands::Script { file }) => {
            let broker = arguments.broker.as_ref().map(|_| state.broker.uri.clone());
            play::script(file, broker, &output).await
        }
        Some(command) => match offline(command, &state, &output) {
            Some(done) => done,
            None => {
                let client = Client::start(state.session(None)?)?;
                signed_in(command, client, &state.folder()?, &output).await
            }
        },
    }
}

/// Carries out what needs no connection; `None` if `command` needs one.
fn offline(command: &Subcommands, place: &Place, output: &Output) -> Option<Result<(), Failure>> {
    let done = match command {
        Subcommands::History { name, limit, rows } => {
            place.folder().and_then(|folder| past::history(&folder, name, *limit, *rows, output))
        }
        Subcommands::Search { words, friend, limit } => place
            .folder()
            .and_then(|folder| past::search(&folder, &words.join(" "), friend.as_deref(), *limit, output)),
        Subcommands::Export { name, format, output: path } => place
            .folder()
            .and_then(|folder| past::export(&folder, name, (*format).into(), path.as_ref(), output)),
        Subcommands::Retention { days } => {
            place.folder().and_then(|folder| past::retention(&folder, days.as_deref(), output))
        }
        _ => {
            let (command, text) = noted(command)?;
            place.folder().and_then(|folder| people::note(&folder, &command, &text, output))
        }
    };
    Some(done)
}

/// What a command notes about a friend, and what to say when that is done.
fn noted(command: &Subcommands) -> Option<(Command, String)> {
    let (command, text) = match command {
        Subcommands::Nickname { name, nickname } => {
            let nickname = nickname.clone().unwrap_or_default();
            let text = match nickname.is_empty() {
                true => format!("{name} has no nickname"),
                false => format!("{name} is called {nickname}"),
            };
            (Command::SetNickname { name: name.clone(), nickname }, text)
        }
        Subcommands::Mute { name } => {
            (Command::Mute { name: name.clone(), muted: true }, format!("{name} is muted"))
        }
        Subcommands::Unmute { name } => {
            (Command::Mute { name: name.clone(), muted: false }, format!("{name} is no longer muted"))
        }
        Subcommands::Archive { name } => {
            (Command::Archive { name: name.clone(), archived: true }, format!("{name} is archived"))
        }
        Subcommands::Unarchive { name } => {
            (Command::Archive { name: name.clone(), archived: false }, format!("{name} is back in the list"))
        }
        _ => return None,
    };
    Some((command, text))
}

async fn signed_in(
    command: &Subcommands,
    client: Client,
    folder: &Path,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        Subcommands::Befriend { name, note } => {
            people::befriend(client, name, note.as_deref().unwrap_or_default(), output).await
        }
        Subcommands::Accept { name } => people::answer(client, Verb::Accept, name, output).await,
        Subcommands::Decline { name } => people::answer(client, Verb::Decline, name, output).await,
        Subcommands::Withdraw { name } => people::act(client, Verb::Withdraw, name, output).await,
        Subcommands::Block { name } => people::act(client, Verb::Block, name, output).await,
        Subcommands::Unblock { name } => people::act(client, Verb::Unblock, name, output).await,
        Subcommands::Unfriend { name } => people::act(client, Verb::Unfriend, name, output).await,
        Subcommands::Requests => people::requests(client, output).await,
        Subcommands::Friends => people::friends(client, output).await,
        Subcommands::Send { name, text } => talk::send(client, name, text, output).await,
        Subcommands::Reply { name, message, text } => {
            let row = past::find(folder, name, *message, false)?;
            talk::reply(client, name, row, text, output).await
        }
        Subcommands::Edit { name, message, text } => {
            past::change(folder, client, name, *message, &Change::Edit(text.clone()), output).await
        }
        Subcommands::Delete { name, message } => {
            past::change(folder, client, name, *message, &Change::Delete, output).await
        }
        Subcommands::React { name, message, mark } => {
            past::change(folder, client, name, *message, &Change::React(mark.clone()), output).await
        }
        Subcommands::Retry { name, message } => {
            past::change(folder, client, name, *message, &Change::Retry, output).await
        }
        Subcommands::Listen => talk::listen(client, output).await,
        // Handled before signing in.
        _ => Ok(()),
    }
}

async fn tui(place: &Place, settings: Settings) -> Result<(), Failure> {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err("there is no terminal to draw on: add --plain, or give a command, see --help".into());
    }
    if std::env::var("TERM").is_ok_and(|term| !has_screen(&term)) {
        return Err(
            "this terminal has no screen to draw on (TERM=dumb): add --plain, or give a command, see --help"
                .into(),
        );
    }
    if place.login_is_known() {
        return chat(place.session(None)?, settings).await.map_err(|error| error.to_string());
    }
    let mut door = Door::new(place.data_dir.clone());
    let ended = by_the_door(place, settings, &mut door).await;
    door.close().await?;
    ended
}

/// Asks who it is until that is clear or the person leaves.
async fn by_the_door(place: &Place, settings: Settings, door: &mut Door) -> Result<(), Failure> {
    let user = account::user(&place.broker, place.user.as_deref()).unwrap_or_default();
    let mut defaults = Defaults { user, broker: place.broker.uri.without_login(), ..Defaults::default() };
    loop {
        let welcomed = crate::tui::welcome(defaults.clone(), &settings, door).await;
        let Some(choice) = welcomed.map_err(|error| error.to_string())? else { return Ok(()) };
        let config = door.session(choice);
        defaults.user = config.broker.user().to_owned();
        defaults.broker = config.broker.without_login();
        match chat(config, settings.clone()).await {
            // Refused after all, e.g. a password that was changed meanwhile.
            Err(ChatError::Tui(TuiError::Ended(reason))) => defaults.problem = Some(sentence(&reason, None)),
            ended => return ended.map_err(|error| error.to_string()),
        }
    }
}

#[derive(Debug, Error)]
enum ChatError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Tui(#[from] TuiError),
}

async fn chat(config: SessionConfig, settings: Settings) -> Result<(), ChatError> {
    if let Err(error) = Remembered::of(&config.broker).save(&config.data_dir) {
        tracing::warn!("the account is not remembered: {error}");
    }
    let options = TuiOptions::new(config.broker.user(), config.broker.address(), settings);
    let Session { commands, events, .. } = Session::start(config)?;
    Ok(crate::tui::run(commands, events, options).await?)
}
