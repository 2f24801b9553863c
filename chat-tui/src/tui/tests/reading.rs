//! What is seen, marked, scrolled and asked for.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use crate::session::api::*;
use crate::tui::update::{Effect, Msg};

use super::fixture::*;

fn arrives(ui: &mut Ui, row: i64, text: &str) {
    ui.event(Event::Message(incoming(row, "bob", text, 0)));
}

/// A history of `count` messages that are read, from row 1; `more` are older.
fn long_history(ui: &mut Ui, count: i64, more: bool) {
    let messages =
        (1..=count).map(|n| seen(incoming(n + 1000, "bob", &format!("message {n}."), 30))).collect();
    ui.event(history("bob", messages, more));
    ui.take();
}

#[test]
fn what_is_before_the_eyes_is_marked_at_once() {
    let mut ui = Ui::with_bob(80, 24);
    arrives(&mut ui, 3, "news");
    assert_eq!(ui.take(), [Effect::Session(mark_read("bob", 3))]);
    ui.shows_not("─ new ─");
}

#[test]
fn what_is_not_truly_seen_is_not_marked() {
    type Step = fn(&mut Ui) -> &mut Ui;
    let away: &[(&str, Step, Step)] = &[
        ("terminal without focus", |ui| ui.msg(Msg::Focus(false)), |ui| ui.msg(Msg::Focus(true))),
        ("another friend shown", |ui| ui.keys("alt-down"), |ui| ui.keys("alt-up")),
        ("help open", |ui| ui.keys("f1"), |ui| ui.keys("esc")),
        ("scrolled up", |ui| ui.keys("pageup"), |ui| ui.keys("ctrl-end")),
        ("narrow, list shown", |ui| ui.msg(Msg::Resize(30, 10)).keys("esc esc"), |ui| ui.keys("enter")),
    ];
    for (what, go, come_back) in away {
        let mut ui = Ui::with_bob(80, 24);
        long_history(&mut ui, 50, false);
        go(&mut ui);
        ui.take();
        arrives(&mut ui, 2000, "news");
        assert_eq!(ui.commands(), [], "{what}");
        come_back(&mut ui);
        assert!(ui.commands().contains(&mark_read("bob", 2000)), "{what}: marked when seen");
        ui.shows("─ new ─").shows("news");
        ui.msg(Msg::Tick);
        assert_eq!(ui.commands(), [], "{what}: marked once");
    }
}

#[test]
fn the_line_above_the_new_goes_when_something_is_written() {
    let mut ui = Ui::with_bob(80, 24);
    ui.msg(Msg::Focus(false));
    arrives(&mut ui, 3, "news");
    ui.msg(Msg::Focus(true)).shows("─ new ─");
    ui.types("ok").keys("enter").shows_not("─ new ─");
}

#[test]
fn a_conversation_opens_where_one_left_off() {
    let mut ui = Ui::with_bob(80, 24);
    ui.keys("alt-down");
    let messages = (1..=60).map(|n| incoming(n, "erin", &format!("message {n}."), 30)).collect();
    ui.keys("alt-up");
    ui.event(Event::Friends(vec![
        friend("bob", Presence::Online),
        Friend { unread: 60, ..friend("erin", Presence::Away) },
    ]));
    ui.keys("tab");
    ui.take();
    ui.event(history("erin", messages, false));
    ui.shows("message 1.").shows_not("message 60.").shows(" new below");
    assert_eq!(ui.commands(), []);
    ui.keys("ctrl-end").shows("message 60.");
    assert_eq!(ui.commands(), [mark_read("erin", 60)]);
}

#[test]
fn of_many_that_are_new_only_those_at_hand_are_counted() {
    let mut ui = Ui::with_bob(80, 24);
    let erin = Friend { unread: 1500, ..friend("erin", Presence::Away) };
    ui.event(Event::Friends(vec![friend("bob", Presence::Online), erin])).keys("tab");
    let messages = (3..=62).map(|n| incoming(n, "erin", &format!("message {n}."), 30)).collect();
    let page = Page { messages, older: false, newer: true };
    ui.event(Event::History { friend: "erin".into(), span: Span::Unseen, page }).shows("+ new below");
}

#[test]
fn the_view_stays_when_scrolled_up() {
    let mut ui = Ui::with_bob(80, 24);
    long_history(&mut ui, 100, true);
    ui.keys("pageup pageup");
    let before = ui.screen();
    arrives(&mut ui, 2000, "news");
    ui.shows("1 new below, Ctrl-End").shows_not("news");
    let rows = |screen: &str| screen.lines().take(20).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rows(&ui.screen()), rows(&before), "new messages below");
    let older = (1..=40).map(|n| seen(incoming(n + 100, "bob", &format!("older {n}."), 40))).collect();
    let before = ui.screen();
    ui.event(history_before("bob", 1001, older, false));
    assert_eq!(rows(&ui.screen()), rows(&before), "older messages above");
    ui.keys("pagedown pagedown pagedown").shows("news");
}

#[test]
fn scrolling_a_page_down_and_up_comes_back() {
    let mut ui = Ui::with_bob(80, 24);
    long_history(&mut ui, 100, false);
    let newest = ui.screen();
    ui.keys("pageup");
    let page = ui.screen();
    assert_ne!(page, newest);
    ui.keys("pageup pagedown");
    assert_eq!(ui.screen(), page);
    ui.keys("pagedown");
    assert_eq!(ui.screen(), newest);
    ui.keys("home").shows("message 1.");
    ui.keys("end");
    assert_eq!(ui.screen(), newest);
}

#[test]
fn older_pages_are_asked_for_near_the_top_and_once() {
    let mut ui = Ui::new(80, 24);
    ui.event(Event::Friends(vec![friend("bob", Presence::Online)]));
    let ask = |span| Command::LoadHistory { friend: "bob".into(), span, limit: 100 };
    assert_eq!(ui.commands(), [ask(Span::Unseen)]);
    long_history(&mut ui, 100, true);
    assert_eq!(ui.msg(Msg::Tick).commands(), []);
    ui.keys("pageup pageup pageup pageup");
    assert_eq!(ui.commands(), [ask(Span::Before(1001))]);
    assert_eq!(ui.keys("pageup").commands(), [], "not again while waiting");
    let older = (1..=20).map(|n| seen(incoming(n, "bob", &format!("older {n}."), 40))).collect();
    ui.event(history_before("bob", 1001, older, false));
    assert_eq!(ui.keys("home").commands(), [], "there is nothing older");
    ui.shows("older 1.");
}

#[test]
fn a_message_that_comes_twice_is_shown_once() {
    let mut ui = Ui::with_bob(80, 24);
    arrives(&mut ui, 3, "only once");
    arrives(&mut ui, 3, "only once");
    assert_eq!(ui.screen().matches("only once").count(), 1);
}

#[test]
fn delivery_states_follow_the_message() {
    let mut ui = Ui::with_bob(80, 24);
    let message = outgoing(3, "bob", "on its way", 0, Delivery::Queued);
    let id = message.id;
    ui.event(Event::Message(message)).shows("… on its way");
    let table = [
        (Delivery::Sent, "✓ on its way"),
        (Delivery::Delivered, "✓✓ on its way"),
        (Delivery::Read, "◉ on its way"),
        (Delivery::Returned, "↩ on its way"),
        (Delivery::Failed("It is too long.".into()), "It is too long."),
    ];
    for (state, shown) in table {
        ui.event(Event::MessageState { friend: "bob".into(), id, state }).shows(shown);
    }
}

#[test]
fn the_bell_rings_for_what_is_new_and_not_watched() {
    let rings = |ui: &mut Ui, message| ui.event(Event::Message(message)).take().contains(&Effect::Bell);
    let mut ui = Ui::with_bob(80, 24);
    assert!(!rings(&mut ui, incoming(3, "bob", "watched", 0)));
    assert!(rings(&mut ui, incoming(4, "erin", "elsewhere", 0)));
    assert!(!rings(&mut ui, incoming(5, "erin", "came while offline", 600)));
    ui.msg(Msg::Focus(false));
    assert!(rings(&mut ui, incoming(6, "bob", "without focus", 0)));
}

#[test]
fn whoever_types_is_there_to_read() {
    let mut ui = Ui::with_bob(80, 24);
    ui.msg(Msg::Focus(false)).event(Event::Message(incoming(3, "bob", "unseen", 0)));
    assert_eq!(ui.commands(), []);
    ui.types("x");
    assert_eq!(ui.commands(), [mark_read("bob", 3)]);
}

#[test]
fn the_title_counts_what_waits() {
    let mut ui = Ui::with_bob(80, 24);
    let erin = Friend { unread: 2, ..friend("erin", Presence::Away) };
    ui.event(Event::Friends(vec![friend("bob", Presence::Online), erin]));
    assert_eq!(ui.take(), [Effect::Title("(2) Warren".into())]);
}

#[test]
fn the_mouse_scrolls_and_selects() {
    let mut ui = Ui::with_bob(80, 24);
    long_history(&mut ui, 50, false);
    let mouse =
        |kind, column, row| Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
    let newest = ui.screen();
    ui.msg(mouse(MouseEventKind::ScrollUp, 40, 10)).shows("more below").shows_not("message 50.");
    ui.msg(mouse(MouseEventKind::ScrollDown, 40, 10));
    assert_eq!(ui.screen(), newest);
    let row = ui.screen().lines().position(|row| row.contains("erin")).unwrap() as u16;
    ui.msg(mouse(MouseEventKind::Down(MouseButton::Left), 5, row));
    assert_eq!(ui.model.shown_friend(), Some("erin"));
}

#[test]
fn what_is_forgotten_leaves_the_conversation_that_is_open() {
    let mut ui = Ui::with_bob(80, 24);
    ui.event(Event::Forgotten);
    let load = Command::LoadHistory { friend: "bob".into(), span: Span::Newest, limit: 100 };
    assert_eq!(ui.commands(), [load]);
    ui.shows("Good morning");
    ui.event(history("bob", vec![outgoing(2, "bob", "Hello bob", 58, Delivery::Read)], false));
    ui.shows_not("Good morning").shows("Hello bob");
}

#[test]
fn messages_cannot_touch_the_terminal() {
    let mut ui = Ui::with_bob(80, 24);
    arrives(&mut ui, 3, "\u{1b}[2J\u{1b}]0;pwned\u{7} \u{202e}txt.exe \u{9b}31m a\u{300}\u{301}");
    let screen = ui.screen();
    assert!(!screen.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{screen}");
    ui.shows("␛[2J␛]0;pwned␇");
}
