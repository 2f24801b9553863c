//! A friend server as a process.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::process::Process;
use crate::{Binary, Broker};

pub struct FriendServer {
    process: Process,
}

/// Where the friend servers of a broker keep their secret.
pub fn secret_file(broker: &Broker) -> PathBuf {
    let data = broker.data_dir();
    data.parent().unwrap_or(&data).join("friend-servers/secret.toml")
}

impl FriendServer {
    /// One that takes requests, and shares the secret of all friend servers of this broker.
    pub fn start(broker: &Broker) -> FriendServer {
        let server = FriendServer::spawn(&broker.guest_url(), &secret_file(broker));
        server.await_ready();
        server
    }

    /// One that may have to wait for its broker.
    pub fn spawn(broker_url: &str, secret: &Path) -> FriendServer {
        let mut command = Binary::FriendServer.command();
        command.env("WARREN_BROKER", broker_url).arg("--secret-file").arg(secret);
        FriendServer { process: Process::spawn("friend-server", &mut command) }
    }

    pub fn await_ready(&self) {
        self.process
            .await_stdout("line that says it is ready", |lines| lines.contains(&"ready").then_some(()));
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    pub fn terminate(&mut self) -> ExitStatus {
        self.process.terminate()
    }
}
