//! The command line: everything the TUI can do, without it.
//!
//! Exit codes: 0 it was done, 1 it was not (standard error says why, and what to do), 2 wrong usage.

mod account;
mod client;
mod door;
mod output;
mod past;
mod people;
mod plain;
mod play;
mod remembered;
mod talk;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use shared::client::{QUIET_LAPIN, SignUp, UriError};
use thiserror::Error;
use tracing_subscriber::EnvFilter;

use crate::config::{self, Account};
use crate::session::api::{Command, ExportFormat};
use crate::session::{Session, SessionConfig, StartError};
use crate::store::{default_data_dir, state_dir};
use crate::tui::{Defaults, Settings, TuiError, TuiOptions};
use account::BrokerArgument;
use client::Client;
use door::Door;
use output::Output;
use past::{Change, Which};
use people::Verb;
use remembered::Remembered;

/// Chat with friends. Without a command: the terminal user interface.
#[derive(Debug, Parser)]
#[command(version, after_long_help = AFTER_HELP)]
pub struct Arguments {
    /// Where the broker is: amqp://host:port/vhost, or amqps for TLS; amqp://127.0.0.1:5672/ if not said. A login in it is used, but other users of this
    /// machine can see arguments: put it into WARREN_BROKER, or the password into WARREN_PASSWORD.
    #[arg(long, global = true, env = "WARREN_BROKER", hide_env_values = true, value_name = "URI")]
    // Not parsed by clap, which would show a mistyped one with its password.
    broker: Option<String>,
    /// Trust the authorities in this PEM file besides those of the system, for amqps.
    #[arg(long, global = true, env = "WARREN_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Your user name.
    #[arg(long, short, global = true, env = "WARREN_USER", value_name = "NAME")]
    user: Option<String>,
    /// Where to keep friends, history and what is still to be sent. Default: warren in your data folder.
    #[arg(long, global = true, env = "WARREN_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Where the config file is. Default: warren/chat.toml in your config folder. `config --print-default` shows every option.
    #[arg(long, global = true, env = "WARREN_CHAT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Without a screen: a line is a message or a /command, and everything is told in lines. Good for screen readers, and
    /// for scripts, with standard input and output.
    #[arg(long)]
    plain: bool,
    /// Print one JSON object a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Subcommands>,
}

const AFTER_HELP: &str = "\
The password comes from WARREN_PASSWORD, from the broker's URI, from
`password-command` in the config file, or is asked for.

Exit codes: 0 it was done; 1 it was not, standard error says why; 2 wrong usage.

With --json every line on standard output is one object, told apart by \"event\":
  message     row, id, friend, direction (incoming, outgoing), text, at, state,
              reason?, answers? (id, row?, text?), edits?, deleted?,
              change? (waiting, lost), our_mark?, their_mark?
  message-changed  the same, of a message that was edited, deleted or marked
  state       friend, id, state, reason?
  friend      name, status (friend, former, blocked), presence (online, away,
              offline), last_seen?, unread, draft?, nickname?, muted?, archived?
  request     name, note, at, direction, state (queued, pending, forwarded,
              declined, failed), reason?
  unfriended  by
  typing      friend
  connection  state (connecting, online, offline), attempt?, since?, reason?,
              retry_at?
  notice      text
  unread      messages, requests
  done        command, name?
state of a message: queued, sent, delivered, read, returned, failed. Times are
RFC 3339, UTC.";

const DEFAULT_BROKER: &str = "amqp://127.0.0.1:5672/";

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Create an account at the broker, if it lets you.
    SignUp {
        /// For brokers that ask for an invitation.
        #[arg(long, value_name = "TOKEN")]
        invite: Option<String>,
    },
    /// Ask somebody to be friends; waits until the request is in their inbox.
    Befriend { name: String, note: Option<String> },
    /// Take back a request that was not answered yet.
    Withdraw { name: String },
    /// Show requests, from others and yours.
    Requests,
    /// Accept a request.
    Accept { name: String },
    /// Decline a request.
    Decline { name: String },
    /// Hear nothing of somebody any more; a friend is unfriended.
    Block { name: String },
    /// Hear of somebody again.
    Unblock { name: String },
    /// End a friendship. The history stays.
    Unfriend { name: String },
    /// Show friends.
    Friends,
    /// Send a message; waits until the broker has it on its disk.
    Send {
        name: String,
        /// `-` reads it from standard input.
        text: String,
    },
    /// Show how many messages are unread, for status lines. Needs no connection, and does not change anything.
    Unread,
    /// About the config file: where it is, and what can stand in it.
    Config {
        /// Print a config file with every option, its meaning and its default.
        #[arg(long)]
        print_default: bool,
    },
    /// Answer a message; `last` is their newest.
    Reply {
        name: String,
        /// Its row, as history --rows shows it, or `last`.
        message: Which,
        /// `-` reads it from standard input.
        text: String,
    },
    /// Change a message of yours, here and with your friend; `last` is your newest.
    Edit {
        name: String,
        message: Which,
        /// What it is to say; `-` reads it from standard input.
        text: String,
    },
    /// Take back a message of yours, here and with your friend.
    Delete { name: String, message: Which },
    /// Put a mark on a message, e.g. an emoji; without one, take yours back. `last` is their newest.
    React { name: String, message: Which, mark: Option<String> },
    /// Send again what came back or failed: a message of yours, or the last change to it.
    Retry { name: String, message: Which },
    /// Show a friend under another name; without one, under their own again.
    Nickname { name: String, nickname: Option<String> },
    /// Do not call for attention when somebody writes.
    Mute { name: String },
    /// Call for attention again.
    Unmute { name: String },
    /// Put somebody out of the way, until something new comes.
    Archive { name: String },
    /// Put somebody back into the list.
    Unarchive { name: String },
    /// Print what happens, until interrupted.
    Listen,
    /// Try everything alone: a broker, friend servers and a scripted friend inside this process. Without a terminal, the
    /// story is told as text.
    Demo,
    /// Carry out a script with several users, and say whether it went as expected. Without --broker: with a broker of its
    /// own, inside this process.
    Script { file: PathBuf },
    /// Show the newest messages with somebody, oldest first. Needs no connection.
    History {
        name: String,
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
        /// Show the row of each message, by which other commands name it.
        #[arg(long)]
        rows: bool,
    },
    /// Show messages that have all these words; the last letters of words may be left out. Needs no connection.
    Search {
        #[arg(required = true, value_name = "WORD")]
        words: Vec<String>,
        /// Only what was said with this friend.
        #[arg(long = "with", value_name = "NAME")]
        friend: Option<String>,
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Write all that was said with somebody to standard output, or to a new file. Needs no connection.
    Export {
        name: String,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Show or set after how many days messages are forgotten; all are kept if not set.
    Retention {
        /// A number of days, or off.
        days: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl From<Format> for ExportFormat {
    fn from(format: Format) -> ExportFormat {
        match format {
            Format::Text => ExportFormat::Text,
            Format::Json => ExportFormat::Json,
        }
    }
}

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

fn data_dir(arguments: &Arguments) -> Result<PathBuf, Failure> {
    match &arguments.data_dir {
        Some(data_dir) => Ok(data_dir.clone()),
        None => default_data_dir().map_err(|error| error.to_string()),
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
            Err(ChatError::Tui(TuiError::Ended(reason))) => defaults.problem = Some(reason),
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

/// Which user at which broker, and where the local state is.
struct Place {
    broker: BrokerArgument,
    user: Option<String>,
    data_dir: PathBuf,
    password_command: Vec<String>,
}

impl Place {
    /// From the arguments and the environment, the config file, and what was used last, in this order.
    fn new(arguments: &Arguments, account: Account) -> Result<Place, Failure> {
        let data_dir = data_dir(arguments)?;
        let last = Remembered::load(&data_dir).unwrap_or_default();
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        let uri = arguments.broker.clone().or(said(account.broker)).or(said(last.broker));
        let uri = uri.as_deref().unwrap_or(DEFAULT_BROKER);
        let mut broker: BrokerArgument = uri.parse().map_err(|error: UriError| error.to_string())?;
        if let Some(file) = &arguments.ca_file {
            broker.uri = broker.uri.with_ca_file(file).map_err(|error| error.to_string())?;
        }
        let user = arguments.user.clone().or_else(|| match broker.has_user() {
            true => None,
            false => said(account.user).or(said(last.user)),
        });
        Ok(Place { broker, user, data_dir, password_command: account.password_command })
    }

    /// Whether nobody has to be asked for name or password.
    fn login_is_known(&self) -> bool {
        let has_password = std::env::var_os("WARREN_PASSWORD").is_some()
            || self.broker.has_password()
            || !self.password_command.is_empty();
        has_password && (self.user.is_some() || self.broker.has_user())
    }

    fn whoami(&self) -> Result<String, Failure> {
        account::user(&self.broker, self.user.as_deref())
    }

    /// The folder with the local state.
    fn folder(&self) -> Result<PathBuf, Failure> {
        let (uri, user) = (&self.broker.uri, account::user(&self.broker, self.user.as_deref())?);
        state_dir(&self.data_dir, &uri.address(), uri.vhost(), &user).map_err(|error| error.to_string())
    }

    fn session(&self, sign_up: Option<SignUp>) -> Result<SessionConfig, Failure> {
        let broker =
            account::login(&self.broker, self.user.as_deref(), &self.password_command, sign_up.is_some())?;
        Ok(SessionConfig { broker, sign_up, data_dir: self.data_dir.clone() })
    }
}
