//! The `broker` binary: configuration, logging, signals.

mod recovery_bar;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use broker::config::{Cli, Command, Config, DEFAULT_TOML, misspelt_variables, process_env};
use broker::management::ctl;
use broker::store_command::{self, StoreCommand};
use broker::{Broker, LogLines, Surroundings};
use clap::Parser;
use recovery_bar::RecoveryBar;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Messages are allocated by one thread and freed by another all the time, which is what this allocator is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.flags.print_default_config {
        print!("{DEFAULT_TOML}");
        return ExitCode::SUCCESS;
    }
    let env = process_env();
    let config = match Config::load(&cli.flags, &env) {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    let (log_layer, log_lines) = broker::log_layer();
    let bar = RecoveryBar::new();
    tracing_subscriber::registry()
        .with(tracing_subscriber::EnvFilter::new(&config.log))
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(bar.clone())
                .with_ansi(std::io::stderr().is_terminal()),
        )
        .with(log_layer)
        .init();
    for variable in misspelt_variables(&env) {
        tracing::warn!("{variable}");
    }
    match cli.command {
        Some(Command::Ctl(args)) => return ctl::run(args, &config),
        Some(Command::Top(args)) => return ctl::top(&args, &config),
        Some(Command::Store(command)) => return store(command, &config),
        None => {}
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(run(config, log_lines, &bar)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

async fn run(
    config: Config,
    log_lines: LogLines,
    bar: &RecoveryBar,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let surroundings = Surroundings { on_progress: bar.on_progress(), ..Surroundings::default() };
    let started = Broker::start_in(config, surroundings).await;
    bar.end();
    let mut running = started?;
    running.publish_log(log_lines);
    let mut stdout = std::io::stdout().lock();
    for listener in running.listeners() {
        writeln!(stdout, "listening on {listener}")?;
    }
    for address in running.management_addresses() {
        writeln!(stdout, "management on http://{address}")?;
    }
    stdout.flush()?;
    drop(stdout);
    loop {
        tokio::select! {
            _ = hang_up.recv() => reload_certificates(running.broker()),
            _ = terminate.recv() => {
                tracing::info!("SIGTERM: shutting down");
                break;
            }
            _ = interrupt.recv() => {
                tracing::info!("SIGINT: shutting down");
                break;
            }
        }
    }
    running.shutdown().await?;
    tracing::info!("stopped");
    Ok(())
}

/// New connections get the new certificates; those that are open keep theirs.
fn reload_certificates(broker: &Broker) {
    match broker.reload_certificates() {
        Ok(true) => tracing::info!("SIGHUP: the certificates were read again"),
        Ok(false) => tracing::info!("SIGHUP: there are no certificates to read again, no listener uses TLS"),
        Err(error) => tracing::error!("SIGHUP: the certificates stay as they were: {error}"),
    }
}

fn store(command: StoreCommand, config: &Config) -> ExitCode {
    match store_command::run(command, config, &mut std::io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

fn fail(error: &(impl std::error::Error + ?Sized)) -> ExitCode {
    eprintln!("broker: {error}");
    ExitCode::FAILURE
}
