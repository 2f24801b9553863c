//! A person at the command line of `chat-tui`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use serde_json::Value;

use crate::process::Process;
use crate::{Binary, Broker};

/// One person with an account and a folder. Each command is a process of its own.
#[derive(Clone)]
pub struct ChatUser {
    name: String,
    broker_url: String,
    data_dir: PathBuf,
}

/// A command that has ended.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The JSON objects it printed.
    pub fn events(&self) -> Vec<Value> {
        self.stdout.lines().map(parse).collect()
    }
}

impl ChatUser {
    pub const PASSWORD: &str = "correct horse battery";

    /// Somebody who has no account yet.
    pub fn without_account(broker: &Broker, name: &str) -> ChatUser {
        let data = broker.data_dir();
        let data_dir = data.parent().unwrap_or(&data).join(format!("chat-of-{name}"));
        ChatUser { name: name.to_owned(), broker_url: broker.url(), data_dir }
    }

    /// The same person by another way to the broker.
    pub fn by(self, broker_url: &str) -> ChatUser {
        ChatUser { broker_url: broker_url.to_owned(), ..self }
    }

    /// Makes the account, and stays until the inbox is there, which takes a friend server.
    pub fn signed_up(broker: &Broker, name: &str) -> ChatUser {
        let user = ChatUser::without_account(broker, name);
        user.must(&["sign-up"]);
        user.must(&["friends"]);
        user
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Binary::ChatTui.command();
        command.args(["--broker", &self.broker_url, "--user", &self.name, "--json"]);
        command.arg("--data-dir").arg(&self.data_dir).env("WARREN_PASSWORD", Self::PASSWORD);
        command.args(arguments);
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let mut process = self.spawn(arguments);
        let status = process.wait();
        Ran {
            code: status.code().unwrap_or(-1),
            stdout: process.stdout().join("\n"),
            stderr: process.stderr().join("\n"),
        }
    }

    pub fn spawn(&self, arguments: &[&str]) -> Process {
        let name = format!("{}: chat-tui {}", self.name, arguments.join(" "));
        Process::spawn(name, &mut self.command(arguments))
    }

    /// Runs a command that has to succeed.
    pub fn must(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{}: chat-tui {} failed:\n{}", self.name, arguments.join(" "), ran.stderr);
        ran
    }

    /// Runs a command that has to fail, and returns what it said about that.
    pub fn must_fail(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(
            ran.code,
            1,
            "{}: chat-tui {} did not fail:\n{}",
            self.name,
            arguments.join(" "),
            ran.stdout
        );
        ran.stderr
    }

    pub fn send(&self, to: &str, text: &str) {
        self.must(&["send", to, text]);
    }

    /// Asks, the other accepts, and both know.
    pub fn becomes_friend_of(&self, other: &ChatUser) {
        self.must(&["befriend", &other.name]);
        other.must(&["accept", &self.name]);
        let friends = self.must(&["friends"]);
        let is_friend = |event: &Value| event["name"] == *other.name && event["status"] == "friend";
        assert!(friends.events().iter().any(is_friend), "{} is no friend: {}", other.name, friends.stdout);
    }

    /// Opens `listen --json`, and waits until it is connected.
    pub fn listen(&self) -> Listener {
        let listener = self.start_listening();
        listener.hear("connection", |event| event["state"] == "online");
        listener
    }

    /// Opens `listen --json`, whether it can connect or not.
    pub fn start_listening(&self) -> Listener {
        Listener { process: self.spawn(&["listen"]) }
    }

    /// All texts in the history with somebody: who said what ("in" or "out"), oldest first.
    pub fn history(&self, with: &str) -> Vec<(String, String)> {
        let shown = self.must(&["history", with, "--limit", "100000"]);
        shown.events().iter().map(said).collect()
    }

    /// What `with` said, oldest first.
    pub fn heard_from(&self, with: &str) -> Vec<String> {
        let history = self.history(with).into_iter();
        history.filter(|(direction, _)| direction == "incoming").map(|(_, text)| text).collect()
    }
}

fn said(event: &Value) -> (String, String) {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    (text("direction"), text("text"))
}

/// A running `chat-tui listen --json`.
pub struct Listener {
    process: Process,
}

impl Listener {
    /// Waits for a line of this kind that passes `test`, now or earlier.
    pub fn hear(&self, kind: &str, test: impl Fn(&Value) -> bool) -> Value {
        self.hear_all(kind, 1, test).swap_remove(0)
    }

    /// Waits for `count` of them, and returns all there are.
    pub fn hear_all(&self, kind: &str, count: usize, test: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.process.await_stdout(&format!("{count} lines of kind {kind:?} that pass the test"), |lines| {
            let heard: Vec<Value> = lines
                .iter()
                .map(|line| parse(line))
                .filter(|event| event["event"] == kind && test(event))
                .collect();
            (heard.len() >= count).then_some(heard)
        })
    }

    /// Waits for `text` from `friend`.
    pub fn hear_message(&self, friend: &str, text: &str) -> Value {
        self.hear("message", |event| {
            event["friend"] == friend && event["text"] == text && event["direction"] == "incoming"
        })
    }

    /// Everything said so far.
    pub fn heard(&self) -> Vec<Value> {
        self.process.stdout().iter().map(|line| parse(line)).collect()
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Ends it as Ctrl-C does.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.terminate()
    }
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"))
}
