//! What a person sees, at the sizes of a watch, a terminal and a wall.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use ratatui::style::{Color, Modifier};

use super::fixture::*;
use crate::session::api::*;
use crate::tui::theme::{Look, Overrides, Theme};
use crate::tui::update::Msg;

const SIZES: [(u16, u16); 3] = [(20, 5), (80, 24), (200, 60)];

/// A conversation with everything in it.
fn chat(width: u16, height: u16) -> Ui {
    let mut ui = Ui::new(width, height);
    ui.event(Event::Requests(vec![
        request("carol", Direction::Incoming, RequestState::Pending),
        request("dave", Direction::Outgoing, RequestState::Forwarded),
    ]));
    let bob =
        Friend { last_message: Some(incoming(9, "bob", "See you", 1)), ..friend("bob", Presence::Online) };
    let erin = Friend { unread: 3, ..friend("erin", Presence::Away) };
    let frank = Friend {
        draft: "about the bill".into(),
        ..friend("frank", Presence::Offline { last_seen: Some(ago(3000)) })
    };
    let grace = Friend { status: FriendStatus::Former, ..friend("grace", Presence::Online) };
    let long = Friend { ..friend("maximilian-alexander-the-third", Presence::Offline { last_seen: None }) };
    ui.event(Event::Friends(vec![bob, erin, frank, grace, long]));
    let messages = vec![
        seen(incoming(
            1,
            "bob",
            "Did you see this? https://example.org/a-longer-address/that-goes-on.html",
            1600,
        )),
        outgoing(2, "bob", "Yes! 👩‍👩‍👧 日本語も読めるよ。", 1590, Delivery::Read),
        seen(incoming(3, "bob", "fn main() {\n\tprintln!(\"hi\");\n}", 45)),
        outgoing(
            4,
            "bob",
            "Nice. The quick brown fox jumps over the lazy dog, and then it goes home to write a message that needs more than one line.",
            40,
            Delivery::Read,
        ),
        outgoing(5, "bob", "Shall we meet?", 39, Delivery::Delivered),
        outgoing(6, "bob", "At eight?", 20, Delivery::Sent),
        outgoing(7, "bob", "This one waits", 3, Delivery::Queued),
        outgoing(
            8,
            "bob",
            "This one failed",
            2,
            Delivery::Failed("It is too long for the broker. Send it in parts.".into()),
        ),
        incoming(9, "bob", "See you", 1),
    ];
    ui.event(history("bob", messages, false));
    if width < 50 {
        ui.keys("enter");
    }
    ui.event(Event::Typing { friend: "bob".into() });
    ui.types("So be it");
    ui
}

fn snapshots(name: &str, scene: impl Fn(u16, u16) -> Ui) {
    for (width, height) in SIZES {
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), scene(width, height).screen());
    }
}

#[test]
fn chat_with_everything() {
    snapshots("chat", chat);
}

#[test]
fn nobody_yet() {
    snapshots("empty", |width, height| {
        let mut ui = Ui::new(width, height);
        ui.event(Event::Friends(vec![])).event(Event::Requests(vec![]));
        ui
    });
}

#[test]
fn help() {
    snapshots("help", |width, height| {
        let mut ui = chat(width, height);
        ui.keys("f1");
        ui
    });
}

#[test]
fn confirm() {
    snapshots("confirm", |width, height| {
        let mut ui = Ui::with_bob(width, height);
        ui.types("/unfriend bob").keys("enter");
        ui
    });
}

#[test]
fn unfriended() {
    snapshots("unfriended", |width, height| {
        let mut ui = Ui::with_bob(width, height);
        if width < 50 {
            ui.keys("enter");
        }
        ui.event(Event::Message(outgoing(3, "bob", "Are you there?", 0, Delivery::Returned)));
        ui.types("And another thing").event(Event::Unfriended { by: "bob".into() });
        ui
    });
}

#[test]
fn offline() {
    snapshots("offline", |width, height| {
        let mut ui = chat(width, height);
        ui.keys("ctrl-u").event(Event::Connection(Connection::Offline {
            since: ago(2),
            reason: "localhost:5672 does not answer (connection refused)".into(),
            retry_at: ago(0) + Duration::from_secs(8),
        }));
        ui
    });
}

#[test]
fn request_befriend_command_and_switcher() {
    snapshots("request", |width, height| {
        let mut ui = chat(width, height);
        ui.keys("alt-up alt-up");
        ui
    });
    snapshots("befriend", |width, height| {
        let mut ui = chat(width, height);
        ui.keys("ctrl-n").types("zoe").keys("tab");
        ui
    });
    snapshots("command", |width, height| {
        let mut ui = chat(width, height);
        ui.keys("ctrl-u").types("/un");
        ui
    });
    snapshots("switcher", |width, height| {
        let mut ui = chat(width, height);
        ui.keys("ctrl-g").types("r");
        ui
    });
}

#[test]
fn palette_completion_and_a_long_text() {
    snapshots("palette", |width, height| {
        let mut ui = chat(width, height);
        ui.keys("ctrl-p").types("friend");
        ui
    });
    snapshots("completion", |width, height| {
        let mut ui = chat(width, height);
        ui.types(" :smil");
        ui
    });
    snapshots("long_text", |width, height| {
        let mut ui = chat(width, height);
        let text: Vec<String> = (1..=500).map(|n| format!("line {n}")).collect();
        ui.keys("ctrl-u").msg(Msg::Paste(text.join("\n")));
        ui
    });
}

#[test]
fn what_was_said_before() {
    let told = |width, height| {
        let mut ui = chat(width, height);
        ui.keys("ctrl-u");
        let quoted = Quoted { row: 6, direction: Direction::Outgoing, text: "At eight?".into() };
        let answers = Some(Box::new(Answered { id: uuid::Uuid::from_u128(6), known: Some(quoted) }));
        let marks = (Some("👍".to_owned()), Some("🎉".to_owned()));
        ui.event(Event::Message(Message { answers, ..seen(incoming(10, "bob", "Make it nine", 1)) }));
        ui.event(Event::Message(seen(incoming(11, "bob", "/me takes the umbrella", 1))));
        ui.event(Event::Message(Message {
            revision: 1,
            our_mark: marks.0,
            their_mark: marks.1,
            ..outgoing(12, "bob", "Nine it is", 0, Delivery::Delivered)
        }));
        ui.event(Event::Message(Message {
            text: String::new(),
            deleted: true,
            ..outgoing(13, "bob", "", 0, Delivery::Read)
        }));
        ui
    };
    snapshots("choosing", |width, height| {
        let mut ui = told(width, height);
        ui.keys("alt-s up");
        ui
    });
    snapshots("answering", |width, height| {
        let mut ui = told(width, height);
        ui.keys("alt-r").types("See you there");
        ui
    });
    snapshots("marking", |width, height| {
        let mut ui = told(width, height);
        ui.keys("alt-s up up up +");
        ui
    });
    snapshots("search", |width, height| {
        let mut ui = told(width, height);
        ui.keys("ctrl-r").types("umbr");
        let hits = [(11, "bob", "/me takes the umbrella", 1), (4, "erin", "Whose umbrella is that?", 3000)];
        let messages = hits.map(|(row, name, text, minutes)| incoming(row, name, text, minutes)).to_vec();
        ui.event(Event::Found { query: "um".into(), friend: None, messages: Vec::new(), more: false });
        ui.event(Event::Found { query: "umbr".into(), friend: None, messages, more: false });
        ui
    });
}

#[test]
fn the_help_is_whole_in_a_common_terminal() {
    let mut ui = Ui::with_bob(80, 200);
    ui.keys("f1");
    ui.shows("Ctrl-Q").shows("Not sent; the reason");
    assert!(!ui.screen().lines().any(|row| row.ends_with('…')), "{}", ui.screen());
}

#[test]
fn colours_and_weights_say_what_the_signs_say() {
    let mut ui = chat(80, 24);
    let theme = Theme::new(Look::Dark, Overrides::new());
    let style = |ui: &Ui, text: &str| {
        let style = ui.style_of(text, &theme);
        (style.fg.unwrap_or(Color::Reset), style.add_modifier)
    };
    let plain = Modifier::empty();
    assert_eq!(style(&ui, "you  …"), (Color::Cyan, plain));
    assert_eq!(style(&ui, "bob    See"), (Color::Green, Modifier::BOLD));
    assert_eq!(style(&ui, "✗"), (Color::Red, Modifier::BOLD));
    assert_eq!(style(&ui, "It is too long"), (Color::Red, Modifier::BOLD));
    assert_eq!(style(&ui, "… This one waits"), (Color::Reset, Modifier::DIM));
    assert_eq!(style(&ui, "asks you"), (Color::Yellow, Modifier::BOLD));
    assert_eq!(style(&ui, "● online since"), (Color::Green, plain));
    assert_eq!(style(&ui, "So be it"), (Color::Reset, plain));
    // Without colours the weights are left.
    let failed = ui.style_of("✗", &Theme::new(Look::Plain, Overrides::new()));
    assert_eq!((failed.fg, failed.add_modifier), (Some(Color::Reset), Modifier::BOLD));
    ui.keys("ctrl-p").types("quit");
    assert_eq!(style(&ui, "Leave Warren"), (Color::Reset, Modifier::REVERSED));
    ui.keys("esc").types(" :smil");
    assert_eq!(style(&ui, "😃").1, Modifier::REVERSED);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_layer_can_be_drawn_at_any_size(
        width in 0u16..=200, height in 0u16..=200,
        keys in select(vec!["f1", "ctrl-p", "ctrl-g", "ctrl-n", "alt-up alt-up", "ctrl-u /", "ctrl-u pageup", "ctrl-f", "esc esc"]),
        text in "(\\PC|[ \n:@]){0,60}", then_width in 0u16..=200, then_height in 0u16..=200,
    ) {
        let mut ui = chat(width, height);
        ui.msg(Msg::Paste(text.clone())).keys(keys);
        ui.types(&text.replace('\n', " "));
        ui.screen();
        ui.msg(Msg::Resize(then_width, then_height));
        ui.screen();
    }
}
