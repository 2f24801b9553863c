//! The configuration: what can be set, its defaults, and where it comes from.
//!
//! Flags go over the environment, that over the file, that over the defaults. Each key `section.key` of the file has
//! a variable `WARREN_SECTION_KEY`; an empty variable counts as unset, and lists are separated by commas.

mod cli;
mod error;
mod listeners;
mod machine;
mod sources;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

pub use cli::{Cli, Command, Flags};
pub use error::ConfigError;
pub use listeners::{Listener, Protocol, WebSocketOptions};
pub use machine::memory_bytes;
pub use sources::{misspelt_variables, process_env};
pub use tls::{ClientCertificates, LoginFrom, SanType, TlsOptions};

use crate::amqp::FRAME_MIN_SIZE;
use crate::auth::sign_up::SignUpRules;
use crate::auth::{AuthOptions, Permission};

/// Environment variables by name.
pub type Env = BTreeMap<String, String>;

/// What `--print-default-config` prints: every key with its default, commented out, so that a copy does not freeze
/// the defaults of its version.
pub const DEFAULT_TOML: &str = include_str!("config/default.toml");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    #[serde(deserialize_with = "listen_addresses")]
    pub listen: Vec<SocketAddr>,
    #[serde(deserialize_with = "listen_addresses")]
    pub listen_tls: Vec<SocketAddr>,
    #[serde(deserialize_with = "listen_addresses")]
    pub listen_ws: Vec<SocketAddr>,
    #[serde(deserialize_with = "listen_addresses")]
    pub listen_wss: Vec<SocketAddr>,
    /// Those of the addresses above where every connection begins with a PROXY protocol header.
    #[serde(deserialize_with = "listen_addresses")]
    pub proxy_protocol: Vec<SocketAddr>,
    /// Everything durable lives here. One broker at a time.
    pub data_dir: PathBuf,
    /// A file of definitions that is imported at every start; empty: none.
    pub load_definitions: PathBuf,
    /// A level, or directives of `tracing_subscriber::EnvFilter`.
    pub log: String,
    pub limits: Limits,
    pub auth: AuthOptions,
    pub tls: TlsOptions,
    pub websocket: WebSocketOptions,
    pub store: StoreOptions,
    pub management: ManagementOptions,
}

/// Bounds. What happens at each is said in `config/default.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Offered in connection.tune; counts open channels.
    pub channel_max: u16,
    /// Bytes, with header and end; offered in connection.tune.
    pub frame_max: u32,
    /// Offered in connection.tune; 0: none.
    pub heartbeat_s: u16,
    /// From accept to connection.open-ok.
    pub handshake_timeout_s: u64,
    /// Connections whose client has not sent its login yet.
    pub handshakes_max: usize,
    pub connections_max: usize,
    /// About what clients of one address do wrong; ten times as many for all; 0: no limit.
    pub client_log_lines_per_minute_max: u32,
    /// Of one connection.
    pub outbox_bytes_max: usize,
    /// Publishes of one channel that wait for their confirm.
    pub unconfirmed_max: usize,
    pub message_bytes_max: u64,
    /// Of one connection: incomplete bodies, and publishes that wait for tx.commit.
    pub pending_bytes_max: u64,
    /// How long a consumer may take to acknowledge; 0: for ever.
    pub consumer_timeout_ms: u64,
    pub queues_per_vhost_max: usize,
    pub exchanges_per_vhost_max: usize,
    pub bindings_per_vhost_max: usize,
    /// Queues with `x-exclusive-scope: "user"`.
    pub owned_queues_per_user_max: usize,
    /// 0: 40 % of the machine's memory; [`Limits::memory_high_watermark`] resolves it.
    pub memory_bytes_high_watermark: u64,
    pub disk_free_min_bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ManagementOptions {
    /// For metrics, health and listings over HTTP; none: off.
    #[serde(deserialize_with = "listen_addresses")]
    pub listen: Vec<SocketAddr>,
    /// Whether something can be changed there too.
    pub changes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreOptions {
    /// Of one file of the message log.
    pub segment_bytes: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 5672))],
            listen_tls: Vec::new(),
            listen_ws: Vec::new(),
            listen_wss: Vec::new(),
            proxy_protocol: Vec::new(),
            data_dir: default_data_dir(&Env::new()),
            load_definitions: PathBuf::new(),
            log: "info".into(),
            limits: Limits::default(),
            auth: AuthOptions::default(),
            tls: TlsOptions::default(),
            websocket: WebSocketOptions::default(),
            store: StoreOptions::default(),
            management: ManagementOptions::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat_s: 60,
            handshake_timeout_s: 10,
            handshakes_max: 1000,
            connections_max: 20_000,
            client_log_lines_per_minute_max: 60,
            outbox_bytes_max: 1 << 20,
            unconfirmed_max: 65_536,
            message_bytes_max: 128 << 20,
            pending_bytes_max: 256 << 20,
            consumer_timeout_ms: 30 * 60 * 1000,
            queues_per_vhost_max: 2_000_000,
            exchanges_per_vhost_max: 200_000,
            bindings_per_vhost_max: 4_000_000,
            owned_queues_per_user_max: 10_000,
            memory_bytes_high_watermark: 0,
            disk_free_min_bytes: 256 << 20,
        }
    }
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions { segment_bytes: 64 << 20 }
    }
}

impl Limits {
    /// Bytes of memory above which publishers are blocked. Reads the machine's files when it is not configured.
    pub fn memory_high_watermark(&self) -> u64 {
        match self.memory_bytes_high_watermark {
            0 => machine::memory_bytes() / 5 * 2,
            bytes => bytes,
        }
    }
}

impl Config {
    /// The configuration out of all sources, checked.
    ///
    /// `env` is [`process_env`], or what a test likes.
    pub fn load(flags: &Flags, env: &Env) -> Result<Config, ConfigError> {
        let mut config = match sources::config_file(flags, env) {
            Some(path) => sources::read_file(&path, env)?,
            None => Config::with_data_dir_of(env),
        };
        config = sources::apply_env(config, env)?;
        flags.apply(&mut config);
        config.check()?;
        Ok(config)
    }

    fn with_data_dir_of(env: &Env) -> Config {
        Config { data_dir: default_data_dir(env), ..Config::default() }
    }

    /// What no type can say.
    fn check(&self) -> Result<(), ConfigError> {
        let at_least = |key: &'static str, value: u64, least: u64| match value {
            value if value < least => {
                Err(ConfigError::invalid(key, format!("{value} is too small; the least is {least}")))
            }
            _ => Ok(()),
        };
        let limits = &self.limits;
        at_least("limits.channel_max", limits.channel_max.into(), 1)?;
        at_least("limits.frame_max", limits.frame_max.into(), FRAME_MIN_SIZE.into())?;
        at_least("limits.handshake_timeout_s", limits.handshake_timeout_s, 1)?;
        at_least("limits.handshakes_max", limits.handshakes_max as u64, 1)?;
        at_least("limits.connections_max", limits.connections_max as u64, 1)?;
        at_least("limits.outbox_bytes_max", limits.outbox_bytes_max as u64, limits.frame_max.into())?;
        at_least("limits.unconfirmed_max", limits.unconfirmed_max as u64, 1)?;
        at_least("limits.message_bytes_max", limits.message_bytes_max, 1)?;
        at_least("limits.pending_bytes_max", limits.pending_bytes_max, limits.message_bytes_max)?;
        at_least(
            "websocket.message_bytes_max",
            self.websocket.message_bytes_max as u64,
            limits.frame_max.into(),
        )?;
        at_least("store.segment_bytes", self.store.segment_bytes, 1 << 20)?;
        self.check_listeners()?;
        self.tls.check(!self.listen_tls.is_empty() || !self.listen_wss.is_empty())?;
        if self.data_dir.as_os_str().is_empty() {
            return Err(ConfigError::invalid("data_dir", "it is empty; give a folder"));
        }
        if let Err(e) = tracing_subscriber::EnvFilter::builder().parse(&self.log) {
            return Err(ConfigError::invalid("log", format!("{e}; give error, warn, info, debug or trace")));
        }
        let sign_up = &self.auth.sign_up;
        SignUpRules::new(sign_up).map_err(|e| ConfigError::invalid("auth.sign_up.tokens", e))?;
        let profile = &sign_up.profile;
        Permission::new(&profile.configure, &profile.write, &profile.read, Some(&profile.publish_keys))
            .map_err(|e| ConfigError::invalid("auth.sign_up.profile", e))?;
        Ok(())
    }
}

/// `$XDG_DATA_HOME/warren/broker`, else `~/.local/share/warren/broker`, else `./warren/broker`.
fn default_data_dir(env: &Env) -> PathBuf {
    // The specification: a relative path counts as unset.
    let absolute = |name| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data_home = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    data_home.unwrap_or_else(|| PathBuf::from(".")).join("warren/broker")
}

fn listen_addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| listen_address(text)).collect::<Result<_, _>>().map_err(serde::de::Error::custom)
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("'{text}' is no address to listen on; give an IP address and a port, such as 127.0.0.1:5672 or [::]:5672")
    })
}
