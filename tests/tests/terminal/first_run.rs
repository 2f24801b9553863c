//! Somebody starts Warren for the first time, with nothing but its name.

use std::process::Command;

use e2e::terminal::{Background, Terminal, key};
use e2e::{Binary, World};
use tempfile::TempDir;

const PASSWORD: &str = "a good password";

/// `chat-tui` alone: where the broker is and what is kept where comes from the environment.
fn command(world: &World, folder: &TempDir) -> Command {
    let mut command = Binary::ChatTui.command();
    command.env("WARREN_BROKER", world.broker.url()).env("WARREN_DATA_DIR", folder.path());
    command
}

fn start(world: &World, folder: &TempDir) -> Terminal {
    Terminal::start("alice", &command(world, folder), Terminal::SIZE, Background::Dark)
}

/// Fills in the form for a new account.
fn sign_up(terminal: &Terminal) {
    terminal.types("Alice").types(key::F2).shows("Make an account");
    terminal.types(key::TAB).types(PASSWORD).types(key::TAB).types(PASSWORD).types(key::ENTER);
}

#[test]
fn a_stranger_makes_an_account_and_is_known_the_next_time() {
    let world = World::new();
    let folder = TempDir::new().unwrap();
    let mut alice = start(&world, &folder);
    alice.shows("Are you new here?");
    sign_up(&alice);
    alice.shows("No friends yet").shows("online since");
    alice.types(&key::ctrl('q'));
    assert!(alice.wait().success());
    alice.assert_clean();

    let mut alice = start(&world, &folder);
    alice.shows_row(&["Name", "alice"]).types("wrong password").types(key::ENTER);
    alice.shows("Wrong password").types(&key::ctrl('u')).types(PASSWORD).types(key::ENTER);
    alice.shows("online since").hides("Sign in");
    alice.types(&key::ctrl('q'));
    assert!(alice.wait().success());
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let kept = if path.is_file() { std::fs::read_to_string(&path).unwrap() } else { String::new() };
        assert!(!kept.contains(PASSWORD), "the password is kept in {}", path.display());
    }
}

#[test]
fn where_there_is_no_broker_one_is_started_and_keeps_what_it_has() {
    let mut world = World::new();
    world.broker.kill9();
    let folder = TempDir::new().unwrap();
    for _ in 0..2 {
        let mut alice = start(&world, &folder);
        let comes_back = folder.path().join("last-account.toml").exists();
        if comes_back {
            alice.shows_row(&["Name", "alice"]).types(PASSWORD).types(key::ENTER);
        } else {
            alice.shows("Are you new here?");
            sign_up(&alice);
        }
        alice.shows("There is no broker at").types(key::F3).shows("A broker runs at").types(key::ENTER);
        alice.shows("No friends yet").shows("online since");
        alice.types(&key::ctrl('q'));
        assert!(alice.wait().success());
        alice.assert_clean();
    }
}

#[test]
fn leaving_at_the_door_leaves_nothing_behind() {
    let world = World::new();
    let folder = TempDir::new().unwrap();
    let mut alice = start(&world, &folder);
    alice.shows("Are you new here?").types(&key::ctrl('c'));
    assert!(alice.wait().success());
    alice.assert_clean();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
