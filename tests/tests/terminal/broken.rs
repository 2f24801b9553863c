//! Things break, and the people at their terminals see it and lose nothing.

use std::process::Command;

use e2e::World;
use e2e::terminal::{Background, Terminal, key};
use rustix::process::Signal;

#[test]
fn a_broker_killed_in_the_middle_loses_nothing() {
    let mut world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    let (at_alice, at_bob) = (Terminal::open(&alice), Terminal::open(&bob));
    at_alice.shows_row(&["bob", "online"]);
    let mut said = Vec::new();
    let mut say = |text: String| {
        at_alice.types(&text).types(key::ENTER).shows("Write to bob");
        said.push(text);
    };
    (1..=10).for_each(|n| say(format!("message {n}")));
    world.broker.kill9();
    (11..=15).for_each(|n| say(format!("message {n}")));
    at_alice.shows("offline").shows_row(&["…", "message 15"]);
    at_bob.shows("offline");
    world.broker.start_again();
    at_alice.shows("online since").shows_row(&["◉", "message 15"]);
    at_bob.shows("message 15");
    assert_eq!(bob.heard_from("alice"), said);
}

#[test]
fn any_size_can_be_drawn_and_the_last_one_is_right() {
    let world = World::new();
    let (alice, _bob) = world.friends("alice", "bob");
    let at_alice = Terminal::open(&alice);
    at_alice.types("a line that is long enough to be broken on a small screen 👩‍👩‍👧 日本語").shows("日本語");
    for n in 1u16..=120 {
        // Two rows at least: with one, the terminal here (vt100 0.16) panics at a line that it wraps.
        at_alice.resize(1 + n * 37 % 200, 2 + n * 17 % 59);
        if n % 40 == 0 {
            at_alice.types(key::F1);
        }
    }
    at_alice.resize(20, 5);
    at_alice.awaits("small screen", |screen| {
        (screen.size() == (5, 20) && screen.contents().contains("online")).then_some(())
    });
    at_alice.types(key::ESC).resize(80, 24);
    at_alice.shows("online since").shows("日本語").shows_row(&["bob", "last seen"]);
}

#[test]
fn sigterm_gives_the_terminal_back_and_keeps_the_draft() {
    let world = World::new();
    let (alice, _bob) = world.friends("alice", "bob");
    let mut at_alice = Terminal::open(&alice);
    at_alice.types("half").shows_row(&["›", "half"]);
    at_alice.signal(Signal::TERM);
    assert!(at_alice.wait().success());
    at_alice.assert_clean();
    Terminal::open(&alice).shows_row(&["›", "half"]);
}

#[test]
fn a_chat_that_is_stopped_leaves_the_terminal_to_the_shell_and_goes_on() {
    let world = World::new();
    let (alice, _bob) = world.friends("alice", "bob");
    let chat = alice.command(&[]);
    let at_alice = Terminal::start("alice's shell", &shell(&chat), Terminal::SIZE, Background::Dark);
    at_alice.shows("shell>").types("\"$CHAT\" \"$@\"").types(key::ENTER).shows("online since");
    at_alice.types("/suspend").types(key::ENTER).shows("Stopped");
    at_alice.assert_clean();
    at_alice.types("echo $((20 + 22))").types(key::ENTER).shows("42");
    at_alice.types("fg").types(key::ENTER).shows("Write to bob");
    at_alice.types("still here").types(key::ENTER).shows_row(&["✓", "still here"]);
    at_alice.types("/quit").types(key::ENTER).shows("shell>");
    at_alice.assert_clean();
}

/// A shell that watches over jobs, and leaves the terminal as it is; its arguments are `command`.
fn shell(command: &Command) -> Command {
    let mut shell = Command::new("bash");
    // What it reads from is a terminal, so it is interactive with `-s` as well, which lets arguments follow.
    shell.args(["--norc", "--noediting", "-i", "-s", "--"]).args(command.get_args());
    shell.env("PS1", "shell> ").env("CHAT", command.get_program());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell
}

#[test]
fn a_panic_gives_the_terminal_back_and_can_be_read() {
    let program = Command::new(env!("CARGO_BIN_EXE_panicking-tui"));
    let mut terminal = Terminal::start("panicking-tui", &program, Terminal::SIZE, Background::Dark);
    terminal.shows("Write to bob").types("x");
    assert!(!terminal.wait().success());
    terminal.assert_clean();
    let screen = terminal.screen();
    assert!(screen.contains("panicked at") && screen.contains("on purpose"), "{screen}");
}
