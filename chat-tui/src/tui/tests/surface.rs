//! Palette, completion, modes, notifications, and writing in another editor.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::fixture::*;
use crate::session::api::*;
use crate::tui::keymap::Keymap;
use crate::tui::preset::Preset;
use crate::tui::update::{Effect, Msg};

#[test]
fn the_palette_does_what_it_shows() {
    let mut ui = Ui::with_bob(80, 24);
    ui.keys("ctrl-p").shows("What to do").shows("Ctrl-N");
    ui.types("away").keys("enter");
    assert_eq!(ui.commands(), [Command::SetAway(Some(String::new()))]);
    ui.keys("ctrl-p ctrl-p").shows_not("What to do");
    // What needs a name is done with whoever is shown, and else asks for it.
    ui.keys("ctrl-p").types("unfriend").keys("enter").shows("Stop being friends with bob?").keys("esc");
    ui.keys("ctrl-p").types("unblock").keys("enter").types("mallory").keys("enter");
    ui.shows("mallory is not blocked");
    ui.keys("esc ctrl-p").types("zzz").shows("Nothing of that name").keys("enter esc");
    assert_eq!(ui.commands(), []);
}

#[test]
fn the_palette_finds_what_can_be_undone() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("word").keys("ctrl-w ctrl-p").types("undo").keys("enter");
    assert_eq!(ui.written(), "word");
}

#[test]
fn friends_are_found_by_their_nicknames_too() {
    let mut ui = Ui::with_bob(80, 24);
    let erin = Friend { nickname: Some("Boss".into()), unread: 3, ..friend("erin", Presence::Away) };
    ui.event(Event::Friends(vec![friend("bob", Presence::Online), erin]));
    ui.keys("ctrl-g").types("boss").shows("Boss (erin)").keys("enter").shows("Write to Boss");
    assert_eq!(ui.model.shown_friend(), Some("erin"));
    let hidden = Friend { archived: true, ..friend("frank", Presence::Online) };
    ui.event(Event::Friends(vec![friend("bob", Presence::Online), hidden.clone()]));
    ui.keys("ctrl-g").types("fra").shows("archived").keys("enter").shows("Write to frank");
    ui.keys("alt-up")
        .shows_not("Write to frank")
        .types("/switch frank")
        .keys("enter")
        .shows("Write to frank");
    let erin = Friend { nickname: Some("Boss".into()), ..friend("erin", Presence::Away) };
    ui.event(Event::Friends(vec![friend("bob", Presence::Online), erin, hidden]));
    ui.types("/unfriend bos").keys("tab enter").shows("with erin?");
}

#[test]
fn words_are_completed() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("see :tad").shows("🎉 tada").keys("tab");
    assert_eq!(ui.written(), "see 🎉");
    ui.types(" @er").shows("@erin").keys("tab");
    assert_eq!(ui.written(), "see 🎉 @erin ");
    // What is offered does not change what Enter does.
    ui.keys("ctrl-u").types(":smil").keys("down").keys("enter");
    assert_eq!(ui.commands(), [send("bob", ":smil")]);
}

#[test]
fn what_is_offered_can_be_refused_until_the_next_word() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types(":tad").keys("esc").shows_not("🎉").types("a").shows_not("🎉");
    ui.types(" :tad").shows("🎉");
    // Then Tab goes where it always does.
    ui.keys("esc tab").shows("Nothing new");
}

#[test]
fn choosing_goes_through_what_is_offered() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types(":smil");
    let offers = ui.model.completion.clone().unwrap().offers;
    ui.keys("down down up tab");
    assert_eq!(ui.written(), offers[1].insert);
}

#[test]
fn a_whole_shortcode_becomes_its_emoji_and_back() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("hi :wave:");
    assert_eq!(ui.written(), "hi 👋");
    ui.keys("ctrl-z");
    assert_eq!(ui.written(), "hi :wave:");
    ui.keys("ctrl-u").types("at 12:30: now");
    assert_eq!(ui.written(), "at 12:30: now");
}

#[test]
fn with_vim_keys_letters_are_commands() {
    let mut ui = Ui::with_bob(80, 200);
    ui.model.keymap = Keymap::new(Preset::Vim);
    ui.types("hello there").keys("esc").types("q0xD");
    assert_eq!(ui.written(), "");
    ui.types("u").shows("N ello there").types("u$");
    ui.types("i").types("!");
    assert_eq!(ui.written(), "hello there!");
    ui.keys("esc").types("d").shows("hello there!").types("d");
    assert_eq!(ui.written(), "");
    ui.types("udw").types("xi");
    assert_eq!(ui.written(), "hello there!");
    // The colon is the command line; Escape in a dialog closes that.
    ui.keys("esc").types(":away").keys("enter");
    assert!(ui.commands().contains(&Command::SetAway(Some(String::new()))));
    ui.types("a?").shows_not("Marks at your messages");
    assert_eq!(ui.written(), "hello there!?");
    ui.keys("esc").types("?").shows("Letters are text again").keys("esc").shows_not("Letters are text again");
    assert!(ui.model.normal);
    ui.keys("enter");
    assert!(ui.commands().contains(&send("bob", "hello there!?")));
}

#[test]
fn a_500_line_paste_is_one_message() {
    let mut ui = Ui::with_bob(80, 24);
    let text: Vec<String> = (1..=500).map(|n| format!("line {n}")).collect();
    ui.msg(Msg::Paste(text.join("\r\n"))).shows("line 500 of 500").keys("enter");
    assert_eq!(ui.commands()[0], send("bob", &text.join("\n")));
}

#[test]
fn a_person_who_looks_elsewhere_is_called() {
    let mut ui = Ui::with_bob(80, 24);
    let calls = |ui: &mut Ui| -> Vec<Effect> {
        ui.take().into_iter().filter(|e| matches!(e, Effect::Bell | Effect::Notify { .. })).collect()
    };
    let notify = |title: &str, body: &str| Effect::Notify { title: title.into(), body: body.into() };
    // Before their eyes: silence. Another conversation: the bell. Another window: a notification too.
    ui.event(Event::Message(incoming(3, "bob", "one", 0)));
    assert_eq!(calls(&mut ui), []);
    ui.event(Event::Message(incoming(4, "erin", "two", 0)));
    assert_eq!(calls(&mut ui), [Effect::Bell]);
    ui.msg(Msg::Focus(false)).event(Event::Message(incoming(5, "bob", "three", 0)));
    assert_eq!(calls(&mut ui), [Effect::Bell, notify("bob", "three")]);
    ui.model.notify.text = false;
    ui.event(Event::Message(incoming(6, "bob", "four", 0)));
    assert_eq!(calls(&mut ui), [Effect::Bell, notify("bob", "a new message")]);
    ui.event(Event::Requests(vec![request("carol", Direction::Incoming, RequestState::Pending)]));
    assert_eq!(calls(&mut ui), [Effect::Bell, notify("carol", "a new message")]);
    ui.event(Event::Requests(vec![request("carol", Direction::Incoming, RequestState::Pending)]));
    assert_eq!(calls(&mut ui), []);
    // By the name that they go by here.
    let bobby = Friend { nickname: Some("Bobby".into()), ..friend("bob", Presence::Online) };
    ui.event(Event::Friends(vec![bobby, friend("erin", Presence::Away)]));
    ui.model.notify.text = true;
    ui.event(Event::Message(incoming(7, "bob", "/me waves", 0)));
    assert_eq!(calls(&mut ui), [Effect::Bell, notify("Bobby", "* Bobby waves")]);
    ui.types("/do-not-disturb").keys("enter").shows("quiet");
    ui.msg(Msg::Focus(false)).event(Event::Message(incoming(8, "bob", "five", 0)));
    assert_eq!(calls(&mut ui), []);
}

fn mouse(ui: &mut Ui, kind: MouseEventKind, column: u16, row: u16) {
    ui.msg(Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
}

#[test]
fn dragging_selects_within_the_conversation_and_copies() {
    let mut ui = Ui::with_bob(80, 24);
    let screen = ui.screen();
    // The list shows the newest message as well: what is at the right is meant.
    let row = |text: &str| screen.lines().position(|line| line.ends_with(text)).unwrap() as u16;
    let (first, second) = (row("Good morning"), row("◉ Hello bob"));
    let column = |text: &str, row: u16| {
        let line = screen.lines().nth(usize::from(row)).unwrap();
        crate::tui::text::columns(&line[..line.rfind(text).unwrap()]) as u16
    };
    let left = MouseButton::Left;
    mouse(&mut ui, MouseEventKind::Down(left), column("morning", first), first);
    // Far to the right, and over the list: only the messages are selected.
    mouse(&mut ui, MouseEventKind::Drag(left), 79, second);
    mouse(&mut ui, MouseEventKind::Drag(left), column("bob", second) - 2, second);
    mouse(&mut ui, MouseEventKind::Up(left), column("bob", second) - 2, second);
    let copied = |ui: &mut Ui| -> Vec<Effect> {
        ui.take().into_iter().filter(|e| matches!(e, Effect::Copy(_))).collect()
    };
    assert_eq!(copied(&mut ui), [Effect::Copy("morning\nHello".into())]);
    // Backwards it is the same, and a click alone copies nothing. (The notice stands where messages were.)
    ui.keys("esc");
    mouse(&mut ui, MouseEventKind::Down(left), column("bob", second) - 2, second);
    mouse(&mut ui, MouseEventKind::Drag(left), column("morning", first), first);
    mouse(&mut ui, MouseEventKind::Up(left), 0, 0);
    assert_eq!(copied(&mut ui), [Effect::Copy("morning\nHello".into())]);
    ui.keys("esc");
    mouse(&mut ui, MouseEventKind::Down(left), column("morning", first), first);
    mouse(&mut ui, MouseEventKind::Up(left), column("morning", first), first);
    assert_eq!((copied(&mut ui), ui.model.selection), (vec![], None));
}

#[test]
fn dragging_beyond_the_edge_scrolls_for_as_long_as_it_is_held_there() {
    let mut ui = Ui::with_bob(80, 24);
    let messages = (1..=60).map(|n| seen(incoming(n, "bob", &format!("message {n}."), 100 - n as u64)));
    ui.event(history("bob", messages.collect(), false));
    let left = MouseButton::Left;
    mouse(&mut ui, MouseEventKind::Down(left), 60, 10);
    mouse(&mut ui, MouseEventKind::Drag(left), 60, 0);
    ui.shows("more below").pass(1);
    mouse(&mut ui, MouseEventKind::Up(left), 60, 0);
    let copied = ui.take().into_iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text.lines().count()),
        _ => None,
    });
    assert!(copied.is_some_and(|lines| lines > 20), "{copied:?} lines");
    let before = ui.screen();
    ui.pass(3);
    assert_eq!(ui.screen(), before, "it is no longer held");
    // Nor where there is nothing left to scroll.
    mouse(&mut ui, MouseEventKind::Down(left), 60, 10);
    mouse(&mut ui, MouseEventKind::Drag(left), 60, 0);
    ui.msg(Msg::Resize(5, 1)).pass(1).msg(Msg::Resize(80, 24));
    mouse(&mut ui, MouseEventKind::Up(left), 60, 0);
    ui.keys("esc");
    // Back inside it does not scroll on either.
    mouse(&mut ui, MouseEventKind::Down(left), 60, 10);
    mouse(&mut ui, MouseEventKind::Drag(left), 60, 23);
    mouse(&mut ui, MouseEventKind::Drag(left), 60, 9);
    let before = ui.screen();
    ui.pass(1);
    assert_eq!(ui.screen(), before);
}

#[test]
fn the_wheel_over_the_list_scrolls_the_list() {
    let mut ui = Ui::new(80, 24);
    let friends = (10..60).map(|n| friend(&format!("friend{n}"), Presence::Online)).collect();
    ui.event(Event::Friends(friends)).shows("friend10").shows_not("friend40");
    for _ in 0..10 {
        mouse(&mut ui, MouseEventKind::ScrollDown, 5, 10);
    }
    ui.shows("friend40").shows_not("friend12");
    for _ in 0..30 {
        mouse(&mut ui, MouseEventKind::ScrollDown, 5, 10);
    }
    ui.shows("friend59");
    mouse(&mut ui, MouseEventKind::ScrollUp, 5, 10);
    ui.shows_not("friend59").keys("alt-down").shows("friend11").shows_not("friend50");
}

#[test]
fn a_click_puts_the_cursor_where_it_points() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("hello there");
    let composer = ui.model.areas().composer;
    mouse(&mut ui, MouseEventKind::Down(MouseButton::Left), composer.x + 3 + 5, composer.y);
    ui.types(",");
    assert_eq!(ui.written(), "hello, there");
}

#[test]
fn what_was_written_outside_comes_back() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("dear bob").keys("alt-e");
    let effects = ui.take();
    assert!(effects.contains(&Effect::EditOutside("dear bob".into())), "{effects:?}");
    // Meanwhile nothing is before the person's eyes.
    ui.event(Event::Message(incoming(3, "bob", "hurry", 0)));
    assert!(!ui.commands().iter().any(|command| matches!(command, Command::MarkRead { .. })));
    ui.msg(Msg::Edited(Ok("Dear Bob,\n\nno.".into())));
    assert_eq!(ui.written(), "Dear Bob,\n\nno.");
    assert!(ui.commands().contains(&draft("bob", "Dear Bob,\n\nno.")));
    ui.keys("ctrl-z");
    assert_eq!(ui.written(), "dear bob");
    ui.keys("alt-e").msg(Msg::Edited(Err("There is no editor `x`.".into())));
    ui.shows("no editor `x`");
    assert_eq!(ui.written(), "dear bob");
}
