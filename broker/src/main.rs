//! The `broker` binary: configuration, logging, signals.

mod recovery_bar;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use broker::config::{Cli, Command, Config, DEFAULT_TOML, misspelt_variables, process_env};
use broker::management::ctl;
use broker::store_command::{self, StoreCommand};
use broker::{Broker, LogLines, Process, Surroundings};
use clap::Parser;
use recovery_bar::RecoveryBar;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// Messages are allocated by one thread and freed by another all the time, which is what this allocator is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What clap ends with too.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => match ctl::explanation(&error) {
            Some(text) => {
                eprintln!("broker ctl: {text}");
                return ExitCode::from(EXIT_USAGE);
            }
            None => error.exit(),
        },
    };
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
    let (filter, log_filter) = reload::Layer::new(EnvFilter::new(&config.log));
    tracing_subscriber::registry()
        .with(filter)
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
    match runtime.block_on(run(config, log_lines, log_filter, &bar)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

async fn run(
    config: Config,
    log_lines: LogLines,
    log_filter: LogFilter,
    bar: &RecoveryBar,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let process = Arc::new(ThisProcess { stop: Notify::new(), log_filter });
    let surroundings = Surroundings {
        on_progress: bar.on_progress(),
        process: Some(process.clone()),
        ..Surroundings::default()
    };
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
            () = process.stop.notified() => {
                tracing::info!("shutting down at the word of an operator");
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

type LogFilter = reload::Handle<EnvFilter, Registry>;

/// This process as operators see it.
struct ThisProcess {
    stop: Notify,
    log_filter: LogFilter,
}

impl Process for ThisProcess {
    fn stop(&self) {
        self.stop.notify_one();
    }

    fn set_log(&self, directives: &str) -> Result<(), String> {
        let filter = EnvFilter::builder().parse(directives).map_err(|error| error.to_string())?;
        self.log_filter.reload(filter).map_err(|error| error.to_string())
    }
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
