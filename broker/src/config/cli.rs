//! The command line of `broker`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Config, listen_address};
use crate::management::ctl::{CtlArgs, TopArgs};
use crate::store_command::StoreCommand;

/// An AMQP 0-9-1 broker.
///
/// Every setting can be made in a TOML file (--print-default-config shows all of them), in the environment
/// (WARREN_LIMITS_FRAME_MAX for limits.frame_max), and the most common ones here; flags go over the environment, that
/// over the file.
#[derive(Clone, Debug, Default, clap::Parser)]
#[command(name = "broker", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub flags: Flags,

    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of serving.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Command {
    /// Look at and change a broker that is running
    Ctl(CtlArgs),
    /// Watch a broker that is running
    Top(TopArgs),

    /// Look into the message log of a broker that is not running
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Read this configuration file [env: WARREN_CONFIG]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Listen on this IP address and port; may be given several times [env: WARREN_LISTEN] [default: 127.0.0.1:5672]
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    pub listen: Vec<SocketAddr>,

    /// Keep everything durable in this folder [env: WARREN_DATA_DIR] [default: ~/.local/share/warren/broker]
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,

    /// Log from this level on: error, warn, info, debug, trace, or directives such as info,broker::auth=debug [env:
    /// WARREN_LOG] [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,

    /// Print a configuration file with every key and its default, and exit
    #[arg(long)]
    pub print_default_config: bool,
}

impl Flags {
    pub(super) fn apply(&self, config: &mut Config) {
        if !self.listen.is_empty() {
            config.listen.clone_from(&self.listen);
        }
        if let Some(data_dir) = &self.data_dir {
            config.data_dir.clone_from(data_dir);
        }
        if let Some(log) = &self.log {
            config.log.clone_from(log);
        }
    }
}
