//! `broker store check|repair|dump`: for operators, on the data folder of a broker that is not running.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use clap::Subcommand;

use crate::broker::{MESSAGES_FOLDER, store_options};
use crate::config::Config;
use crate::store::{StoreError, fs::RealFs, lock_data_dir, tool};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum StoreCommand {
    /// Read the whole message log, change nothing, and say what is wrong; exit code 1 if anything is
    Check,
    /// Rewrite what is good in damaged files; the bad bytes are kept beside them
    Repair,
    /// Print every record of the message log
    Dump,
}

/// Runs a command on the configured data folder, which no broker may be using. True if all is well.
pub fn run(command: StoreCommand, config: &Config, out: &mut dyn Write) -> Result<bool, StoreError> {
    let _lock = lock_data_dir(&config.data_dir)?;
    let dir: &Path = &config.data_dir.join(MESSAGES_FOLDER);
    let fs = Arc::new(RealFs);
    match command {
        StoreCommand::Check => tool::check(fs, dir, out),
        StoreCommand::Repair => tool::repair(fs, dir, store_options(config), out).map(|_| true),
        StoreCommand::Dump => tool::dump(fs, dir, out).map(|()| true),
    }
}
