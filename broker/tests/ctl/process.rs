//! The broker as a process on a folder of its own, and `broker ctl` run to its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Authority, Client, Identity, Login};

const BROKER: &str = env!("CARGO_BIN_EXE_broker");

/// Small files, and a disk as full as the test machine's may be.
const CONFIG: &str = "
limits.disk_free_min_bytes = 0
store.segment_bytes = 1048576
";

pub struct Broker {
    process: Child,
    address: SocketAddr,
    stdout: BufReader<ChildStdout>,
    folder: TempDir,
}

/// What a command printed, and its exit code.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Broker {
    pub fn start() -> Broker {
        Broker::launched_by(Command::new(BROKER))
    }

    /// With a setting other than the default.
    pub fn with(variable: &str, value: &str) -> Broker {
        let mut command = Command::new(BROKER);
        command.env(variable, value);
        Broker::launched_by(command)
    }

    /// Of a shell that has run `before`: limits of the operating system, say.
    pub fn start_in_shell(before: &str) -> Broker {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\"")).arg(BROKER);
        Broker::launched_by(shell)
    }

    /// One that serves HTTP too, and where.
    pub fn with_management() -> (Broker, SocketAddr) {
        let mut command = Command::new(BROKER);
        command.env("WARREN_MANAGEMENT_LISTEN", "127.0.0.1:0");
        let mut broker = Broker::launched_by(command);
        let address = broker.management_address();
        (broker, address)
    }

    /// As [`Broker::with_management`], where changes are allowed.
    pub fn with_changes() -> (Broker, SocketAddr) {
        let mut broker = Broker::launched_by(with_changes());
        let address = broker.management_address();
        (broker, address)
    }

    /// One that serves AMQP over TLS too, to clients with certificates of the same authority or with none, and where.
    pub fn with_tls(authority: &Authority, identity: &Identity) -> (Broker, SocketAddr) {
        let mut command = Command::new(BROKER);
        command.env("WARREN_LISTEN_TLS", "127.0.0.1:0");
        command.env("WARREN_TLS_CERTIFICATES", &identity.certificate);
        command.env("WARREN_TLS_KEYS", &identity.key);
        command.env("WARREN_TLS_CLIENT_CA", authority.file());
        let mut broker = Broker::launched_by(command);
        let mut line = String::new();
        broker.stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on amqps://");
        let address = address.unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        (broker, address)
    }

    /// Of a broker that serves HTTP; once.
    pub fn management_address(&mut self) -> SocketAddr {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("management on http://");
        address.unwrap_or_else(|| panic!("{line:?}")).parse().unwrap()
    }

    fn launched_by(command: Command) -> Broker {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("broker.toml"), CONFIG).unwrap();
        let (process, address, stdout) = launch(command, folder.path());
        Broker { process, address, stdout, folder }
    }

    /// Waits until it has ended by itself; whether it did in good order.
    pub fn ended_well(&mut self) -> bool {
        self.process.wait().unwrap().success()
    }

    /// After its end.
    pub fn start_again(&mut self) {
        (self.process, self.address, self.stdout) = launch(Command::new(BROKER), self.folder.path());
    }

    pub fn kill9(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The same for one of [`Broker::with_changes`].
    pub fn kill9_and_start_again_with_changes(&mut self) -> SocketAddr {
        self.kill9();
        (self.process, self.address, self.stdout) = launch(with_changes(), self.folder.path());
        self.management_address()
    }

    /// As after a crash.
    pub fn kill9_and_start_again(&mut self) {
        self.kill9();
        self.start_again();
    }

    /// `broker ctl` with these arguments.
    pub fn ctl(&self, arguments: &[&str]) -> Ran {
        ctl(&self.data_dir(), arguments, "")
    }

    pub fn ctl_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        ctl(&self.data_dir(), arguments, input)
    }

    /// What a command prints that has to succeed.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.ctl(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.out
    }

    /// The error of a command that has to fail with exit code 1.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> String {
        let ran = self.ctl(arguments);
        assert_eq!(ran.code, 1, "{arguments:?}: {ran:?}");
        ran.err
    }

    /// A listing without its header, one row a line.
    #[track_caller]
    pub fn rows(&self, arguments: &[&str]) -> Vec<String> {
        let out = self.ok(&[arguments, &["-s"]].concat());
        out.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["--json"]].concat())).unwrap()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// An open connection of `guest` with channel 1 open.
    pub fn connect(&self) -> Client {
        self.connect_as(&Login::default())
    }

    pub fn connect_as(&self, login: &Login<'_>) -> Client {
        let mut client = Client::open(self.address, login);
        client.open_channel(1);
        client
    }

    /// Logs in, and is refused the vhost with this error.
    #[track_caller]
    pub fn refuses(&self, login: &Login<'_>, code: u16, text: &str) {
        let mut client = Client::dial(self.address);
        client.log_in(login);
        client.tune(0, 0, 0);
        client.send(0, broker::amqp::connection::Open { virtual_host: login.vhost.into() });
        client.expect_connection_error(code, text);
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn with_changes() -> Command {
    let mut command = Command::new(BROKER);
    command.env("WARREN_MANAGEMENT_LISTEN", "127.0.0.1:0").env("WARREN_MANAGEMENT_CHANGES", "true");
    command
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A broker that does not start on this folder, with these variables: its exit code and what it said.
pub fn refuses_to_start(folder: &Path, environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(BROKER);
    command.arg("--data-dir").arg(folder.join("data")).args(["--listen", "127.0.0.1:0"]);
    command.envs(environment.iter().copied());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn launch(mut command: Command, folder: &Path) -> (Child, SocketAddr, BufReader<ChildStdout>) {
    command.arg("--config").arg(folder.join("broker.toml"));
    command.arg("--data-dir").arg(folder.join("data"));
    command.args(["--listen", "127.0.0.1:0", "--log", "warn"]);
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on amqp://").unwrap_or_else(|| panic!("{line:?}"));
    (process, address.parse().unwrap(), stdout)
}

pub fn ctl(data_dir: &Path, arguments: &[&str], input: &str) -> Ran {
    run("ctl", data_dir, arguments, input)
}

/// `broker` with a subcommand, to its end.
pub fn run(subcommand: &str, data_dir: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut command = Command::new(BROKER);
    command.arg(subcommand).arg("--data-dir").arg(data_dir).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let mut stderr = process.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let mut out = String::new();
    process.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    let code = process.wait().unwrap().code().unwrap();
    Ran { code, out, err: reader.join().unwrap() }
}
