//! Commands that do not ask a broker, or wait until there is one.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Subcommand;

use crate::management::reply::Line;
use crate::management::request::{Envelope, Look, Request};

use super::client::{self, ClientError};

/// How often it is looked whether there is a broker.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
#[command(rename_all = "snake_case")]
pub enum Local {
    /// The version of this program
    Version,
    /// Wait until the broker serves clients, as long as --timeout says
    AwaitStartup,
}

/// Returns once the broker on this data folder answers.
pub fn await_startup(data_dir: &Path, timeout: Duration) -> Result<(), ClientError> {
    let deadline = Instant::now() + timeout;
    let ping = Envelope {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        vhost: "/".to_owned(),
        request: Request::Look(Look::Ping),
    };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match client::ask(data_dir, &ping, left) {
            Ok(mut answer) => match answer.next() {
                Some(Ok(Line::Failed(failure))) => return Err(ClientError::Refused(failure)),
                Some(line) => return line.map(drop),
                // It was just ending.
                None => {}
            },
            Err(error) if error.is_no_broker_yet() && left > LOOK_INTERVAL => {}
            Err(error) => return Err(error),
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}
