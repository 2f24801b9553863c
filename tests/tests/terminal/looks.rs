//! Colours: those that fit the terminal, or none.

use e2e::World;
use e2e::terminal::{Background, Terminal, key};
use vt100::Color;

/// All colours of letters on the screen.
fn colours(terminal: &Terminal) -> Vec<Color> {
    terminal.awaits("screen", |screen| {
        let (rows, columns) = screen.size();
        let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let mut colours: Vec<Color> = Vec::new();
        for (row, column) in cells {
            let Some(cell) = screen.cell(row, column).filter(|cell| cell.has_contents()) else { continue };
            for colour in [cell.fgcolor(), cell.bgcolor()] {
                if !colours.contains(&colour) {
                    colours.push(colour);
                }
            }
        }
        Some(colours)
    })
}

#[test]
fn a_light_terminal_gets_colours_that_can_be_read_there() {
    let world = World::new();
    let (alice, _bob) = world.friends("alice", "bob");
    let at_alice = Terminal::start("alice", &alice.command(&[]), Terminal::SIZE, Background::Light);
    at_alice.shows("online since").types("hi").types(key::ENTER).shows_row(&["you", "hi"]);
    let (blue, cyan, yellow) = (Color::Idx(4), Color::Idx(6), Color::Idx(3));
    let shown = colours(&at_alice);
    assert!(shown.contains(&blue) && !shown.contains(&cyan) && !shown.contains(&yellow), "{shown:?}");
}

#[test]
fn without_colours_nothing_is_coloured() {
    let world = World::new();
    let (alice, _bob) = world.friends("alice", "bob");
    let mut command = alice.command(&[]);
    command.env("NO_COLOR", "1");
    let at_alice = Terminal::start("alice", &command, Terminal::SIZE, Background::Dark);
    at_alice.shows("online since").types("hi").types(key::ENTER).shows_row(&["✓", "hi"]);
    assert_eq!(colours(&at_alice), [Color::Default]);
}

#[test]
fn the_console_is_drawn_with_signs_that_it_has() {
    let world = World::new();
    let (alice, _bob) = world.friends("alice", "bob");
    let mut command = alice.command(&[]);
    command.env("TERM", "linux");
    let at_alice = Terminal::start("alice", &command, Terminal::SIZE, Background::Dark);
    at_alice.shows("online since").types("hi").types(key::ENTER).shows_row(&["you", "+", "hi"]);
    let screen = at_alice.screen();
    let signs: Vec<char> = screen.chars().filter(|c| !c.is_ascii() && !('─'..='╿').contains(c)).collect();
    assert!(signs.is_empty(), "{signs:?} in\n{screen}");
}

#[test]
fn a_terminal_without_a_screen_is_told_of_lines() {
    let world = World::new();
    let alice = world.user("alice");
    let mut command = alice.command(&[]);
    command.env("TERM", "dumb");
    let mut at_alice = Terminal::start("alice", &command, Terminal::SIZE, Background::Dark);
    assert!(!at_alice.wait().success());
    at_alice.shows("no screen to draw on").shows("add --plain");
}
