//! The `broker` binary: configuration, logging, signals.

use std::io::Write;
use std::process::ExitCode;

use broker::Broker;
use broker::config::{Cli, Config, DEFAULT_TOML, misspelt_variables, process_env};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

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
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(&config.log))
        .with_writer(std::io::stderr)
        .init();
    for variable in misspelt_variables(&env) {
        tracing::warn!("{variable}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

async fn run(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = Broker::start(config).await?;
    let mut stdout = std::io::stdout().lock();
    for address in running.addresses() {
        writeln!(stdout, "listening on amqp://{address}")?;
    }
    stdout.flush()?;
    drop(stdout);
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: shutting down"),
        _ = interrupt.recv() => tracing::info!("SIGINT: shutting down"),
    }
    running.shutdown().await?;
    tracing::info!("stopped");
    Ok(())
}

fn fail(error: &(impl std::error::Error + ?Sized)) -> ExitCode {
    eprintln!("broker: {error}");
    ExitCode::FAILURE
}
