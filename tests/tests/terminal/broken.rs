//! Things break, and the people at their terminals see it and lose nothing.

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
        at_alice.resize(1 + n * 37 % 200, 1 + n * 17 % 60);
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
fn a_panic_gives_the_terminal_back_and_can_be_read() {
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_panicking-tui"));
    let mut terminal = Terminal::start("panicking-tui", &program, Terminal::SIZE, Background::Dark);
    terminal.shows("Write to bob").types("x");
    assert!(!terminal.wait().success());
    terminal.assert_clean();
    let screen = terminal.screen();
    assert!(screen.contains("panicked at") && screen.contains("on purpose"), "{screen}");
}
