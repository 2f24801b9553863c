//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use super::past::Which;
use crate::session::api::ExportFormat;

/// Chat with friends. Without a command: the terminal user interface.
#[derive(Debug, Parser)]
#[command(version, after_long_help = AFTER_HELP)]
pub struct Arguments {
    /// Where the broker is: amqp://host:port/vhost, or amqps for TLS; amqp://127.0.0.1:5672/ if not said. A login in it is used, but other users of this
    /// machine can see arguments: put it into WARREN_BROKER, or the password into WARREN_PASSWORD.
    #[arg(long, global = true, env = "WARREN_BROKER", hide_env_values = true, value_name = "URI")]
    // Not parsed by clap, which would show a mistyped one with its password.
    pub(super) broker: Option<String>,
    /// Trust the authorities in this PEM file besides those of the system, for amqps.
    #[arg(long, global = true, env = "WARREN_CA_FILE", value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// Your user name.
    #[arg(long, short, global = true, env = "WARREN_USER", value_name = "NAME")]
    pub(super) user: Option<String>,
    /// Where to keep friends, history and what is still to be sent. Default: warren in your data folder.
    #[arg(long, global = true, env = "WARREN_DATA_DIR", value_name = "FOLDER")]
    pub(super) data_dir: Option<PathBuf>,
    /// Where the config file is. Default: warren/chat.toml in your config folder. `config --print-default` shows every option.
    #[arg(long, global = true, env = "WARREN_CHAT_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Without a screen: a line is a message or a /command, and everything is told in lines. Good for screen readers, and
    /// for scripts, with standard input and output.
    #[arg(long)]
    pub(super) plain: bool,
    /// Print one JSON object a line.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Option<Subcommands>,
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
              offline), last_seen?, away_note?, unread, draft?, nickname?,
              muted?, archived?
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

#[derive(Debug, Subcommand)]
pub(super) enum Subcommands {
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
pub(super) enum Format {
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
