//! `broker ctl`: asks the broker that runs on the configured data folder.

mod absent;
mod announcement;
mod client;
mod help;
mod local;
mod print;
mod top;
mod transfer;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::config::Config;

use super::reply::Line;
use super::request::{Envelope, Look, Request, Run, Transfer};
pub use absent::explanation;
use client::{Answer, ClientError};
use local::Local;
use print::{Format, Printer};
pub use top::TopArgs;

/// As in `sysexits.h`, and as `rabbitmqctl` ends: no broker to ask.
const EXIT_UNAVAILABLE: u8 = 69;

#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(subcommand_value_name = "COMMAND", help_template = help::TEMPLATE, after_help = help::commands())]
pub struct CtlArgs {
    /// The vhost, for commands that are about one
    #[arg(short = 'p', long, global = true, default_value = "/", value_name = "VHOST")]
    vhost: String,

    /// Say nothing but what was asked for
    #[arg(short, long, global = true)]
    quiet: bool,

    /// Like --quiet, and without the line of column names
    #[arg(short, long, global = true)]
    silent: bool,

    /// Leave out the line of column names
    #[arg(long, global = true)]
    no_table_headers: bool,

    /// Print JSON: an array of objects for a listing
    #[arg(long, global = true)]
    json: bool,

    /// How to print a listing; json is the same as --json
    #[arg(long, global = true, value_name = "FORMAT", default_value = "table", conflicts_with = "json")]
    formatter: Formatter,

    /// Seconds to wait for the broker
    #[arg(short, long, global = true, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,

    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
enum Command {
    #[command(flatten)]
    Ask(Request),
    #[command(flatten)]
    Local(Local),
}

/// The formats of `rabbitmqctl` that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Formatter {
    Table,
    Json,
    Csv,
}

/// Runs the command; what there is to say has been said when it returns.
pub fn run(args: CtlArgs, config: &Config) -> ExitCode {
    let timeout = Duration::from_secs(args.timeout);
    let done = match args.command.clone() {
        Command::Ask(request) => ask(&args, request, config, timeout),
        Command::Local(Local::Version) => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
        Command::Local(Local::AwaitStartup) => {
            args.announce("Waiting for the broker to start ...");
            local::await_startup(&config.data_dir, timeout).map(|()| ExitCode::SUCCESS)
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => failed("broker ctl", &error),
    }
}

/// Runs `broker top` until it is interrupted, or has shown what it was to show.
pub fn top(args: &TopArgs, config: &Config) -> ExitCode {
    match top::run(args, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("broker top", &error),
    }
}

fn failed(program: &str, error: &ClientError) -> ExitCode {
    eprintln!("{program}: {}", print::harmless(&error.to_string()));
    match error {
        ClientError::Unavailable { .. } | ClientError::Path(_) => ExitCode::from(EXIT_UNAVAILABLE),
        ClientError::Io(_) | ClientError::File { .. } | ClientError::Refused(_) | ClientError::Answer(_) => {
            ExitCode::FAILURE
        }
    }
}

impl CtlArgs {
    fn format(&self) -> Format {
        let headers = !(self.silent || self.no_table_headers);
        match self.formatter {
            _ if self.json => Format::Json,
            Formatter::Json => Format::Json,
            Formatter::Table => Format::Table { headers },
            Formatter::Csv => Format::Csv { headers },
        }
    }

    fn is_quiet(&self) -> bool {
        self.quiet || self.silent || self.format() == Format::Json
    }

    fn announce(&self, text: &str) {
        if !self.is_quiet() {
            eprintln!("{}", print::harmless(text));
        }
    }
}

fn ask(
    args: &CtlArgs,
    mut request: Request,
    config: &Config,
    timeout: Duration,
) -> Result<ExitCode, ClientError> {
    if let Some((user, password)) = request.missing_password() {
        *password = Some(read_password(user)?);
    }
    args.announce(&announcement::announcement(&request, &args.vhost));
    transfer::read_file(&mut request)?;
    let envelope = Envelope {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        vhost: args.vhost.clone(),
        request: request.clone(),
    };
    if request == Request::Run(Run::Stop) {
        return client::stop(&config.data_dir, &envelope, timeout).map(|()| ExitCode::SUCCESS);
    }
    let answer = client::ask(&config.data_dir, &envelope, timeout)?;
    if let Request::Transfer(Transfer::ExportDefinitions { file, .. }) = &request {
        return transfer::write_file(file, answer, args.is_quiet()).map(|()| ExitCode::SUCCESS);
    }
    let mut printer = Printer::new(std::io::BufWriter::new(std::io::stdout().lock()), args.format());
    match copy(answer, &mut printer, args.is_quiet()) {
        // Whoever reads our output has seen enough.
        Err(ClientError::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        copied => copied?,
    }
    match request {
        Request::Look(Look::Health) => args.announce("healthy"),
        Request::Look(Look::Ping) => args.announce("Ping succeeded"),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn copy(answer: Answer, printer: &mut Printer<impl Write>, is_quiet: bool) -> Result<(), ClientError> {
    for line in answer {
        match line? {
            Line::Columns(columns) => printer.columns(columns)?,
            Line::Row(values) => printer.row(&values)?,
            Line::Facts(facts) => printer.facts(&facts)?,
            Line::Note(note) if !is_quiet => eprintln!("{}", print::harmless(&note)),
            Line::Note(_) | Line::Piece(_) => {}
            Line::Failed(failure) => {
                printer.finish()?;
                return Err(ClientError::Refused(failure));
            }
            Line::Done => {
                printer.finish()?;
                return Ok(());
            }
        }
    }
    printer.finish()?;
    Err(ClientError::Answer("it ended in the middle".to_owned()))
}

fn read_password(user: &str) -> Result<String, ClientError> {
    if std::io::stdin().is_terminal() {
        let prompt = format!("Password for {}: ", print::harmless(user));
        return Ok(rpassword::prompt_password(prompt)?);
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
