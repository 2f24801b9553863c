//! Two people become friends and talk.

use e2e::terminal::{Terminal, key};
use e2e::{ChatUser, World, eventually};

/// Alice and bob, friends, each at a terminal with the other's conversation open.
fn two_at_terminals(world: &World) -> (ChatUser, ChatUser, Terminal, Terminal) {
    let (alice, bob) = world.friends("alice", "bob");
    let (at_alice, at_bob) = (Terminal::open(&alice), Terminal::open(&bob));
    at_alice.shows_row(&["bob", "online"]);
    at_bob.shows_row(&["alice", "online"]);
    (alice, bob, at_alice, at_bob)
}

#[test]
fn strangers_become_friends_and_read_each_other() {
    let world = World::new();
    let [alice, bob] = world.users(["alice", "bob"]);
    let (at_alice, at_bob) = (Terminal::open(&alice), Terminal::open(&bob));

    at_alice.types(&key::ctrl('n')).shows("Befriend someone");
    at_alice.types("bob").types(key::TAB).types("it's me").types(key::ENTER).shows_row(&["bob", "asked"]);
    at_bob.shows_row(&["alice", "asks you"]).shows("it's me");
    // For a moment no single key answers a request that came into view by itself; a command does.
    at_bob.types("/accept alice").types(key::ENTER).shows("Write to alice");
    at_alice.shows_row(&["bob", "●"]);

    at_alice.types(key::ESC).types(&key::alt('a'));
    at_alice.types("lunch?").types(key::ENTER);
    at_bob.shows_row(&["alice", "lunch?"]);
    at_alice.shows_row(&["◉", "lunch?"]);

    // With the help before it, bob does not see what comes: it is delivered, not read.
    at_bob.types(key::F1).shows("Help");
    at_alice.types("hello?").types(key::ENTER).shows_row(&["✓✓", "hello?"]);
    at_bob.types(key::ESC).shows_row(&["alice", "hello?"]);
    at_alice.shows_row(&["◉", "hello?"]);

    at_bob.types("no").shows_row(&["›", "no"]);
    at_alice.shows("bob is typing");
    at_bob.types(" :tada:").types(key::ENTER);
    at_alice.shows_row(&["bob", "no 🎉"]).hides("bob is typing");

    at_bob
        .types("/away lunch, back at 1")
        .types(key::ENTER)
        .shows("You are shown as away: lunch, back at 1.");
    at_alice.shows("◐ away: lunch, back at 1");
    at_bob.types("/away").types(key::ENTER).shows("You are back.");
    at_alice.shows("● online").hides("lunch, back at 1");
}

#[test]
fn what_is_sent_to_somebody_offline_waits() {
    let world = World::new();
    let (_alice, bob, at_alice, mut at_bob) = two_at_terminals(&world);
    at_bob.types(&key::ctrl('q'));
    assert!(at_bob.wait().success());
    at_bob.assert_clean();
    at_alice.shows_row(&["bob", "last seen"]);
    at_alice.types("for later").types(key::ENTER).shows_row(&["✓", "for later"]);
    let at_bob = Terminal::open(&bob);
    at_bob.shows("for later");
    at_alice.shows_row(&["◉", "for later"]);
}

#[test]
fn a_paste_of_500_lines_is_one_message() {
    let world = World::new();
    let (_alice, bob, at_alice, at_bob) = two_at_terminals(&world);
    let lines: Vec<String> = (1..=500).map(|n| format!("line {n} of it")).collect();
    let text = lines.join("\n");
    at_alice.pastes(&text).shows("line 500 of 500").types(key::ENTER);
    at_alice.shows("› Write to bob");
    at_bob.shows("line 500 of it");
    assert_eq!(bob.heard_from("alice"), [text]);
}

#[test]
fn what_is_not_sent_survives_a_crash() {
    let world = World::new();
    let (alice, _bob, mut at_alice, _at_bob) = two_at_terminals(&world);
    at_alice.types("half a thou").shows("half a thou");
    eventually("the draft is kept", || {
        let friends = alice.must(&["friends"]).events();
        friends.iter().any(|friend| friend["draft"] == "half a thou").then_some(())
    });
    at_alice.kill9();
    let at_alice = Terminal::open(&alice);
    at_alice.shows_row(&["›", "half a thou"]);
    at_alice.types("ght").types(key::ENTER).shows_row(&["◉", "half a thought"]);
}

#[test]
fn a_message_is_written_in_an_editor_of_ones_own() {
    let world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    let editor = alice.data_dir().join("editor.sh");
    let script = "#!/bin/sh\ngrep -q begun \"$1\" || exit 1\nprintf 'written\\noutside\\n' > \"$1\"\n";
    std::fs::write(&editor, script).unwrap();
    let mut command = alice.command(&[]);
    command.env("EDITOR", format!("sh {}", editor.display()));
    let background = e2e::terminal::Background::Dark;
    let at_alice = Terminal::start("alice", &command, Terminal::SIZE, background);
    at_alice.shows("Write to bob").types("begun").types(&key::alt('e'));
    at_alice.shows_row(&["›", "written"]).shows("outside");
    // The keys are hers again.
    at_alice.types("!").shows("outside!").types(key::ENTER).shows_row(&["✓", "written"]);
    eventually("bob has it", || {
        bob.must(&["friends"]);
        (bob.heard_from("alice") == ["written\noutside!"]).then_some(())
    });
    // An editor that fails changes nothing.
    at_alice.types("other").types(&key::alt('e')).shows("your text is as it was");
    at_alice.shows_row(&["›", "other"]);
}

#[test]
fn without_a_screen_everything_is_a_line() {
    let world = World::new();
    let (alice, bob) = world.friends("alice", "bob");
    let at_bob = Terminal::open(&bob);
    let mut command = ChatUser::command(&alice, &["--plain"]);
    command.env("WARREN_PASSWORD", ChatUser::PASSWORD);
    let background = e2e::terminal::Background::Dark;
    let mut at_alice = Terminal::start("alice", &command, Terminal::SIZE, background);
    at_alice.shows("\"state\":\"online\"").types("/switch bob\r").shows("You write to bob now.");
    at_alice.types("hello from a line\r");
    at_bob.shows_row(&["alice", "hello from a line"]).types("hello from a screen").types(key::ENTER);
    at_alice.shows("hello from a screen").types("/quit\r");
    assert!(at_alice.wait().success());
    at_alice.assert_clean();
    at_bob.shows_row(&["◉", "hello from a screen"]);
}
