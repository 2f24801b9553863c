//! The broker as a foreign client sees it: pika, the Python client of the RabbitMQ team.
//!
//! The tests themselves are in `interop/pika`, and can be run by hand, also against RabbitMQ:
//! `AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f python -m unittest`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use e2e::process::Process;
use e2e::{Broker, FriendServer};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/pika")
}

/// A Python with the pinned pika: a virtual environment that is kept from run to run.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let requirements = folder().join("requirements.txt");
        let wanted = fs::read_to_string(&requirements).unwrap_or_else(|error| panic!("{error}"));
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pika");
        fs::create_dir_all(&home).unwrap_or_else(|error| panic!("{}: {error}", home.display()));
        // Two runs of the tests may want it at the same time.
        let lock = File::create(home.join("lock")).unwrap_or_else(|error| panic!("{error}"));
        lock.lock().unwrap_or_else(|error| panic!("{error}"));
        let (python, installed) = (home.join("venv/bin/python"), home.join("installed"));
        if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
            return python;
        }
        must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home.join("venv")));
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]);
        must(install.args(["--no-deps", "-r"]).arg(&requirements));
        fs::write(&installed, wanted).unwrap_or_else(|error| panic!("{error}"));
        python
    })
}

fn must(command: &mut Command) {
    let ran = command.stdin(Stdio::null()).output();
    let ran = ran.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(
        ran.status.success(),
        "{command:?} failed; it needs Python 3 with venv (Debian: python3-venv), and for its first run access to \
         a Python package index:\n{said}"
    );
}

/// Runs the tests in a file at a broker of their own.
fn passes(file: &str) {
    let python = python();
    let broker = Broker::start();
    let _friend_server = FriendServer::start(&broker);
    let mut command = Command::new(python);
    command.args(["-B", "-m", "unittest", "-v", file]).current_dir(folder());
    command.env("AMQP_URL", format!("{}/%2f", broker.guest_url())).stdin(Stdio::null());
    let mut run = Process::spawn(format!("python -m unittest {file}"), &mut command);
    let status = run.wait();
    // Without tests there is nothing that could fail.
    let ran = run.stderr().iter().any(|line| line.starts_with("Ran ") && !line.starts_with("Ran 0 "));
    assert!(status.success() && ran, "{file} failed");
}

#[test]
fn publishing() {
    passes("test_publishing");
}

#[test]
fn consuming() {
    passes("test_consuming");
}

#[test]
fn routing() {
    passes("test_routing");
}

#[test]
fn transactions() {
    passes("test_transactions");
}

#[test]
fn what_chat_users_may_do() {
    passes("test_chat_users");
}

#[test]
fn mistakes_in_methods() {
    passes("test_method_errors");
}

#[test]
fn mistakes_in_frames() {
    passes("test_frame_errors");
}

#[test]
fn every_file_of_tests_is_run() {
    let source = include_str!("interop_pika.rs");
    let files = fs::read_dir(folder()).unwrap_or_else(|error| panic!("{error}"));
    for name in files.flatten().filter_map(|file| file.file_name().into_string().ok()) {
        if let Some(module) = name.strip_suffix(".py").filter(|module| module.starts_with("test_")) {
            assert!(source.contains(&format!("passes(\"{module}\")")), "{name} is not run");
        }
    }
}
