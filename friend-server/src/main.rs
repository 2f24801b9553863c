//! The `friend-server` command: one worker. Start as many as wanted.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use etcetera::BaseStrategy;
use friend_server::{Config, run};
use shared::client::{BrokerUri, QUIET_LAPIN};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

/// Checks friend requests and forwards them. Start as many as wanted, with the same secret file.
///
/// Prints `ready` when it takes requests. Log messages go to standard error; RUST_LOG sets how many.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The broker, and an account with all permissions there. Other users of this machine can see
    /// arguments; put a password into WARREN_BROKER.
    #[arg(
        long,
        env = "WARREN_BROKER",
        hide_env_values = true,
        value_name = "URI",
        default_value = "amqp://guest:guest@127.0.0.1:5672/"
    )]
    broker: BrokerUri,
    /// Trust the authorities in this PEM file besides those of the system, for amqps.
    #[arg(long, env = "WARREN_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The secret that all friend servers of the broker share; made on the first start. By default in
    /// warren/friend-server/ of your data folder.
    #[arg(long, env = "WARREN_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log();
    match serve(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("friend-server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let secret_file = arguments.secret_file.map_or_else(default_secret_file, Ok)?;
    let broker = match &arguments.ca_file {
        Some(file) => arguments.broker.with_ca_file(file)?,
        None => arguments.broker,
    };
    let config = Config::new(broker, secret_file).on_ready(say_ready);
    run(config, asked_to_stop()?).await?;
    Ok(())
}

fn default_secret_file() -> Result<PathBuf, String> {
    let strategy = etcetera::choose_base_strategy()
        .map_err(|error| format!("your home folder is not known ({error}); give --secret-file"))?;
    Ok(strategy.data_dir().join("warren/friend-server/secret.toml"))
}

fn say_ready() {
    let mut out = std::io::stdout().lock();
    // Nobody has to read it.
    let _ = writeln!(out, "ready").and_then(|()| out.flush());
}

/// Done when Ctrl-C or SIGTERM arrives.
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => info!("interrupted"),
            _ = terminate.recv() => info!("asked to terminate"),
        }
    })
}

fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = match QUIET_LAPIN.parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .init();
}
