//! The broker as a process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::Binary;
use crate::process::Process;

/// What is not as it is by default.
#[derive(Debug, Clone, Default)]
pub struct BrokerConfig {
    /// Of the configuration file.
    pub toml: String,
    /// Where its files are; else in a temporary folder.
    pub folder: Option<PathBuf>,
    /// A library that replaces functions of the operating system (`LD_PRELOAD`).
    pub preload: Option<PathBuf>,
}

/// A broker on a port and a data folder of its own.
pub struct Broker {
    process: Process,
    port: ReservedPort,
    folder: PathBuf,
    preload: Option<PathBuf>,
    /// Removed with the broker.
    _temporary: Option<TempDir>,
}

impl Broker {
    /// A broker that accepts connections.
    pub fn start() -> Broker {
        Broker::configured(&BrokerConfig::default())
    }

    pub fn configured(config: &BrokerConfig) -> Broker {
        let temporary = config
            .folder
            .is_none()
            .then(|| tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}")));
        let in_temporary = || temporary.as_ref().map(|folder| folder.path().to_owned());
        let folder = config.folder.clone().or_else(in_temporary).unwrap_or_default();
        std::fs::write(folder.join("config.toml"), &config.toml)
            .unwrap_or_else(|error| panic!("cannot write the configuration: {error}"));
        let port = ReservedPort::new();
        let preload = config.preload.clone();
        let process = Process::spawn("broker", &mut command(&folder, port.0, preload.as_deref()));
        let broker = Broker { process, port, folder, preload, _temporary: temporary };
        broker.await_listening();
        broker
    }

    fn await_listening(&self) {
        let expected = format!("listening on amqp://{}", self.address());
        self.process.await_stdout("line that says where it listens", |lines| {
            lines.iter().any(|line| *line == expected).then_some(())
        });
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// `amqp://127.0.0.1:port`, without a login.
    pub fn url(&self) -> String {
        format!("amqp://{}", self.address())
    }

    pub fn url_for(&self, user: &str, password: &str) -> String {
        format!("amqp://{user}:{password}@{}", self.address())
    }

    /// The administrator that a new data folder has.
    pub fn guest_url(&self) -> String {
        self.url_for("guest", "guest")
    }

    /// `amqps://localhost:port`, without a login, of a broker that listens with TLS on a port of the kernel's choice.
    pub fn tls_url(&self) -> String {
        let address = self.process.await_stdout("line that says where it listens with TLS", |lines| {
            lines
                .iter()
                .find_map(|line| line.strip_prefix("listening on amqps://127.0.0.1:"))
                .map(str::to_owned)
        });
        format!("amqps://localhost:{address}")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Everything of another broker on the same data folder, but for its port.
    pub fn command_on_same_data(&self) -> Command {
        command(&self.folder, 0, None)
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it as a power switch would, but for what the kernel holds.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Ends it well.
    pub fn terminate(&mut self) -> ExitStatus {
        self.process.terminate()
    }

    /// Starts it again where it was, after it has ended.
    pub fn start_again(&mut self) {
        let mut command = command(&self.folder, self.port.0, self.preload.as_deref());
        self.process = Process::spawn("broker, again", &mut command);
        self.await_listening();
    }

    pub fn kill9_and_start_again(&mut self) {
        self.kill9();
        self.start_again();
    }
}

fn command(folder: &Path, port: u16, preload: Option<&Path>) -> Command {
    let mut command = Binary::Broker.command();
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library);
    }
    command.arg("--config").arg(folder.join("config.toml"));
    command.arg("--data-dir").arg(folder.join("data"));
    command.arg("--listen").arg(format!("127.0.0.1:{port}"));
    command
}

/// A port of the kernel's choice that nobody else gets, so that a broker can come back to it.
///
/// The socket is bound but never listens: with `SO_REUSEADDR` on both sides a listener may share its port, and the
/// kernel gives it to nobody who asks for any port.
struct ReservedPort(u16, #[expect(dead_code, reason = "held, not used")] Socket);

impl ReservedPort {
    fn new() -> ReservedPort {
        let reserve = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
            let address = socket.local_addr()?.as_socket();
            Ok::<_, std::io::Error>((address.map_or(0, |address| address.port()), socket))
        };
        let (port, socket) = reserve().unwrap_or_else(|error| panic!("cannot reserve a port: {error}"));
        ReservedPort(port, socket)
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.0))
    }
}
