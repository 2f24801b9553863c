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
