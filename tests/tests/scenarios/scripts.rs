//! Scripts: stories of several users in one file.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::process::Process;
use e2e::{Binary, Broker, workspace_root};

fn script(file: &Path, arguments: &[&str]) -> Process {
    let mut command: Command = Binary::ChatTui.command();
    command.args(arguments).arg("script").arg(file);
    Process::spawn(format!("chat-tui script {}", file.display()), &mut command)
}

fn demos() -> Vec<PathBuf> {
    let folder = workspace_root().join("chat-tui/demos");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = files.flatten().map(|file| file.path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "warren")).collect()
}

#[test]
fn every_demo_that_is_shipped_holds() {
    let demos = demos();
    assert!(demos.len() >= 5, "{demos:?}");
    for demo in demos {
        let mut run = script(&demo, &[]);
        let status = run.wait();
        assert!(status.success(), "{}:\n{}", demo.display(), run.stderr().join("\n"));
    }
}

#[test]
fn a_script_that_does_not_hold_fails_and_names_its_line() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    for (text, line) in [
        ("users alice bob\ntimeout 1s\nalice: expect friend bob\n", "line 3"),
        ("users alice\n\nalice: befriend\n", "line 3"),
        (
            "users alice bob\nalice: befriend bob\nbob: expect request from alice\nbob: accept alice\nalice: expect friend bob\n# and then\nalice: send bob \"hi\"\nbob: expect \"hello\" from alice\n",
            "line 8",
        ),
    ] {
        let file = folder.path().join("broken.warren");
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("{error}"));
        let mut run = script(&file, &[]);
        let code = run.wait().code();
        let said = run.stderr().join("\n");
        assert_eq!(code, Some(1), "{text}{said}");
        assert!(said.contains(line) && said.contains("broken.warren"), "{line} is not named: {said}");
    }
}

#[test]
fn a_script_can_run_at_a_broker_of_ones_own() {
    let broker = Broker::start();
    let _worker = e2e::FriendServer::start(&broker);
    let demo = workspace_root().join("chat-tui/demos/becoming-friends.warren");
    let mut run = script(&demo, &["--broker", &broker.url()]);
    assert!(run.wait().success(), "{:?}", run.stderr());
}
