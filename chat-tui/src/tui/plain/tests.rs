use super::*;
use crate::session::api::*;
use crate::tui::action::slash_commands;
use crate::tui::tests::fixture::{NOW, incoming, mark_read, request, send};

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn plain() -> Plain {
    let mut plain = Plain::new("alice", "test", Notify::default());
    assert!(!plain.is_ready());
    let friends = vec![Friend::new("bob"), Friend { unread: 2, ..Friend::new("erin") }];
    plain.event(Event::Friends(friends), now());
    assert!(!plain.is_ready(), "who asks is not known yet");
    plain.event(Event::Requests(vec![request("carol", Direction::Incoming, RequestState::Pending)]), now());
    assert!(plain.is_ready());
    plain
}

fn info(text: &str) -> Said {
    Said::Info(text.to_owned())
}

#[test]
fn nobody_is_written_to_by_chance() {
    let mut plain = plain();
    assert_eq!(plain.shown(), None);
    let turn = plain.line("hello?", now());
    assert_eq!(turn.commands, []);
    assert!(matches!(&turn.said[..], [Said::Problem(text)] if text.contains("/switch")), "{turn:?}");
    let turn = plain.line("/switch bob", now());
    assert_eq!(turn.said, [info("You write to bob now.")]);
    let turn = plain.line("  hello  ", now());
    assert!(turn.commands.contains(&send("bob", "  hello")), "{turn:?}");
    let turn = plain.line("//usr/bin", now());
    assert!(turn.commands.contains(&send("bob", "/usr/bin")), "{turn:?}");
    assert_eq!(plain.line("   ", now()), Turn::default());
}

#[test]
fn who_there_is_can_be_heard() {
    let turn = plain().line("/switch", now());
    assert_eq!(turn.said, [info("carol asks to be your friend"), info("bob"), info("erin, 2 unread")]);
    assert!(matches!(&plain().line("/switch zoe", now()).said[..], [Said::Problem(_)]));
}

#[test]
fn what_cannot_be_done_is_a_problem_and_hides_nothing_that_is_told_after_it() {
    let mut plain = plain();
    plain.line("/switch bob", now());
    let turn = plain.line("/react 👍", now());
    assert!(matches!(&turn.said[..], [Said::Problem(_)]), "a script has to hear of it: {turn:?}");
    let told = || Event::Notice("the broker takes no messages for now".to_owned());
    for _ in 0..2 {
        let turn = plain.event(told(), now());
        assert_eq!(turn.said, [info("The broker takes no messages for now.")]);
    }
}

#[test]
fn questions_are_asked_and_answered() {
    let mut plain = plain();
    let turn = plain.line("/unfriend bob", now());
    assert_eq!(turn.commands, []);
    assert!(matches!(&turn.said[..], [Said::Info(text)] if text.ends_with("Type yes or no.")), "{turn:?}");
    assert_eq!(plain.line("no", now()).said, [info("Nothing was done.")]);
    plain.line("/unfriend bob", now());
    let turn = plain.line("Yes", now());
    assert_eq!(turn.commands, [Command::Unfriend { name: "bob".into() }]);
}

#[test]
fn every_command_says_something_or_does_something() {
    for (spec, slash) in slash_commands() {
        let turn = plain().line(&format!("/{}", slash.name), now());
        assert!(turn != Turn::default(), "/{} does nothing", slash.name);
        let layers = plain().model.layers.len();
        assert!(layers == 0, "/{} leaves a layer open", spec.name);
    }
    assert!(matches!(&plain().line("/nonsense", now()).said[..], [Said::Problem(_)]));
}

#[test]
fn only_what_is_shown_is_read() {
    let mut plain = plain();
    plain.line("/switch bob", now());
    plain.event(Event::History { friend: "bob".into(), span: Span::Newest, page: Page::default() }, now());
    let turn = plain.event(Event::Message(incoming(5, "bob", "hi", 0)), now());
    assert_eq!(turn.commands, [mark_read("bob", 5)]);
    let turn = plain.event(Event::Message(incoming(6, "erin", "hi", 0)), now());
    assert_eq!((turn.commands, turn.bell), (vec![], true));
}

fn history(plain: &mut Plain, friend: &str, span: Span, messages: Vec<Message>, newer: bool) -> Turn {
    let page = Page { messages, older: true, newer };
    plain.event(Event::History { friend: friend.into(), span, page }, now())
}

fn read(row: i64, text: &str) -> Message {
    Message { state: Delivery::Read, ..incoming(row, "bob", text, 0) }
}

fn rows(turn: &Turn) -> Vec<i64> {
    let row = |said: &Said| match said {
        Said::Message { message, .. } => Some(message.row),
        _ => None,
    };
    turn.said.iter().filter_map(row).collect()
}

#[test]
fn a_history_is_told_part_by_part() {
    let mut plain = plain();
    plain.line("/switch bob", now());
    let turn = history(&mut plain, "bob", Span::Unseen, (50..80).map(|n| read(n, "x")).collect(), false);
    assert_eq!(rows(&turn), (70..80).collect::<Vec<_>>());
    let load = |span| vec![Command::LoadHistory { friend: "bob".into(), span, limit: 10 }];
    assert_eq!(plain.line("/page-up", now()).commands, load(Span::Before(70)));
    assert!(plain.is_waiting());
    let turn = history(&mut plain, "bob", Span::Before(70), (40..70).map(|n| read(n, "x")).collect(), true);
    assert_eq!(rows(&turn), (60..70).collect::<Vec<_>>());
    assert!(!plain.is_waiting());
    assert_eq!(plain.line("/page-down", now()).commands, load(Span::After(69)));
    let turn = history(&mut plain, "bob", Span::After(69), vec![], false);
    assert_eq!(turn.said, [info("There is nothing newer.")]);
    assert_eq!(plain.line("/oldest", now()).commands, load(Span::After(0)));
}

#[test]
fn what_was_not_seen_is_told_from_where_it_begins() {
    let mut plain = plain();
    plain.line("/switch bob", now());
    let messages = (1..20).map(|n| read(n, "x")).chain((20..100).map(|n| incoming(n, "bob", "new", 0)));
    let turn = history(&mut plain, "bob", Span::Unseen, messages.collect(), false);
    assert_eq!(rows(&turn), (20..50).collect::<Vec<_>>());
    assert!(matches!(turn.said.last(), Some(Said::Info(text)) if text.contains("/page-down")), "{turn:?}");
    assert_eq!(turn.commands, [], "nothing is seen that was not told");
    plain.line("/newest", now());
    let told = (90..100).map(|n| incoming(n, "bob", "new", 0)).collect();
    let turn = history(&mut plain, "bob", Span::Newest, told, false);
    assert!(turn.commands.contains(&mark_read("bob", 99)), "{turn:?}");
}

#[test]
fn what_a_search_finds_is_told_and_can_be_chosen() {
    let mut plain = plain();
    let turn = plain.line("/search umbrella", now());
    assert!(matches!(&turn.commands[..], [Command::Search { query, .. }] if query == "umbrella"), "{turn:?}");
    assert!(plain.is_waiting());
    let messages = vec![read(9, "umbrella"), read(4, "my umbrella")];
    let query = "umbrella".to_owned();
    let turn = plain.event(Event::Found { query, friend: None, messages, more: false }, now());
    assert_eq!((rows(&turn), plain.is_waiting()), (vec![4, 9], false));
    let turn = plain.line("/choose 4", now());
    assert!(turn.said.contains(&info("You write to bob now.")), "{turn:?}");
    let turn = history(&mut plain, "bob", Span::Around(4), (1..30).map(|n| read(n, "x")).collect(), true);
    assert_eq!(rows(&turn), [4]);
    let turn = plain.line("/react off", now());
    let off = Command::React { friend: "bob".into(), row: 4, mark: None };
    assert!(turn.commands.contains(&off), "{turn:?}");
    assert!(matches!(&plain.line("/search", now()).said[..], [Said::Problem(_)]));
    assert!(!plain.is_waiting());
}

#[test]
fn it_is_said_what_the_next_line_is() {
    let mut plain = plain();
    plain.line("/switch bob", now());
    let messages = vec![read(1, "one https://a.example https://b.example"), read(2, "two")];
    history(&mut plain, "bob", Span::Unseen, messages, false);
    plain.line("/choose 1", now());
    let turn = plain.line("/open-link", now());
    assert_eq!(turn.said[..2], [info("1 https://a.example"), info("2 https://b.example")]);
    assert_eq!(plain.line("/open-link 2", now()).open.as_deref(), Some("https://b.example"));
    plain.line("/choose 1", now());
    assert_eq!(plain.line("/copy", now()).copy.as_deref(), Some("one https://a.example https://b.example"));
    let turn = plain.line("/reply", now());
    assert!(matches!(&turn.said[..], [Said::Info(text)] if text.contains("answers “two”")), "{turn:?}");
    assert_eq!(plain.line("/back", now()).said, [info("Your next line is a new message again.")]);
    plain.line("/reply", now());
    let turn = plain.line("indeed", now());
    let reply = Command::Reply { to: "bob".into(), row: 2, text: "indeed".into() };
    assert!(turn.commands.contains(&reply) && turn.said.is_empty(), "{turn:?}");
}
