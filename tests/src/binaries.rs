//! The binaries under test, built by cargo in the profile of the tests; or those in the folder that the environment
//! variable `WARREN_E2E_BINARIES` names, which were built elsewhere.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

const FOLDER_VARIABLE: &str = "WARREN_E2E_BINARIES";

/// A program of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    Broker,
    FriendServer,
    ChatTui,
}

impl Binary {
    pub fn name(self) -> &'static str {
        match self {
            Binary::Broker => "broker",
            Binary::FriendServer => "friend-server",
            Binary::ChatTui => "chat-tui",
        }
    }

    pub fn path(self) -> &'static Path {
        static PATHS: OnceLock<Vec<(String, PathBuf)>> = OnceLock::new();
        let paths =
            PATHS.get_or_init(|| std::env::var_os(FOLDER_VARIABLE).map_or_else(build, built_elsewhere));
        match paths.iter().find(|(name, _)| name == self.name()) {
            Some((_, path)) => path,
            None => panic!("there is no binary {}, only {paths:?}", self.name()),
        }
    }

    /// To run it with a clean environment: nothing of the person's own settings.
    pub fn command(self) -> Command {
        let mut command = Command::new(self.path());
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("WARREN_") || name_text == "RUST_LOG" {
                command.env_remove(&name);
            }
        }
        command.stdin(Stdio::null()).current_dir(std::env::temp_dir());
        command
    }
}

fn built_elsewhere(folder: OsString) -> Vec<(String, PathBuf)> {
    let folder = PathBuf::from(folder);
    let binaries = [Binary::Broker, Binary::FriendServer, Binary::ChatTui];
    let paths = binaries.map(|binary| (binary.name().to_owned(), folder.join(binary.name())));
    paths.into_iter().filter(|(_, path)| path.exists()).collect()
}

pub fn workspace_root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// Names and paths of the workspace's executables. Builds all of them at once, as `cargo test --workspace` does, so
/// that both agree on the features of the dependencies.
fn build() -> Vec<(String, PathBuf)> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--workspace", "--bins", "--message-format=json-render-diagnostics"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    // Silent for minutes otherwise. Tests have their output captured.
    eprintln!("building the workspace's programs; {FOLDER_VARIABLE}=FOLDER takes them from there");
    // What cargo tells tests about their package, cargo itself would take for news, and build half the tree again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text.starts_with("CARGO_BIN_")
        {
            cargo.env_remove(&name);
        }
    }
    let built = cargo.current_dir(workspace_root()).stderr(Stdio::piped()).output();
    let built = built.unwrap_or_else(|error| panic!("cannot run cargo: {error}"));
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "cargo build failed:\n{errors}");
    String::from_utf8_lossy(&built.stdout).lines().filter_map(executable).collect()
}

fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = message.get("executable")?.as_str()?;
    let name = message.get("target")?.get("name")?.as_str()?;
    Some((name.to_owned(), path.into()))
}
