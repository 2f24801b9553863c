//! Answering, changing, marking, finding what was said; and what one makes of friends.

use std::time::Duration;

use uuid::Uuid;

use super::fixture::*;
use crate::session::api::*;
use crate::tui::model::{Entry, Purpose};
use crate::tui::text;
use crate::tui::update::{Effect, Msg};
use crate::tui::view::hyperlinks;

fn reply(row: i64, text: &str) -> Command {
    Command::Reply { to: "bob".into(), row, text: text.into() }
}

fn edit(row: i64, text: &str) -> Command {
    Command::Edit { friend: "bob".into(), row, text: text.into() }
}

fn react(row: i64, mark: Option<&str>) -> Command {
    Command::React { friend: "bob".into(), row, mark: mark.map(str::to_owned) }
}

#[test]
fn a_chosen_message_is_answered_by_a_letter() {
    let mut ui = Ui::with_bob(80, 24);
    ui.keys("alt-s").shows("r answers").keys("up k up");
    assert_eq!(ui.model.conversation().unwrap().timeline.chosen().unwrap().message.row, 1);
    ui.shows("▌09:45").types("xz");
    assert_eq!(ui.written(), "", "letters are not text while a message is chosen");
    ui.keys("r").shows("answers “Good morning”").types("you too").keys("enter");
    assert_eq!(ui.commands(), [reply(1, "you too")]);
    ui.shows_not("answers").types("and more").keys("enter");
    assert_eq!(ui.commands(), [send("bob", "and more")], "only one message answers it");
}

#[test]
fn without_a_choice_it_is_about_the_newest() {
    let mut ui = Ui::with_bob(80, 24);
    ui.keys("alt-r").types("yes").keys("enter");
    assert_eq!(ui.commands(), [reply(1, "yes")], "the newest of theirs");
    ui.types("/react :tada:").keys("enter");
    assert_eq!(ui.commands(), [react(1, Some("🎉"))]);
    ui.types("/edit").keys("enter").shows("changes your message").keys("ctrl-u").types("Hi").keys("enter");
    assert_eq!(ui.commands(), [edit(2, "Hi")], "the newest of ours");
    ui.types("/retry").keys("enter").shows("Nothing came back");
    ui.event(Event::Message(outgoing(3, "bob", "lost", 1, Delivery::Returned)));
    ui.keys("alt-s").shows("t sends it again").keys("up").pass(10).shows_not("sends it again");
    ui.keys("down").shows("t sends it again").keys("esc");
    ui.types("/retry").keys("enter");
    assert_eq!(ui.commands(), [Command::Retry { friend: "bob".into(), row: 3 }]);
}

#[test]
fn what_was_being_written_is_kept_while_a_message_is_changed() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("half a thou").keys("alt-s e");
    assert_eq!(ui.written(), "Hello bob");
    assert_eq!(ui.commands(), [draft("bob", "half a thou")]);
    ui.types("!").pass(5);
    assert_eq!(ui.commands(), [], "a message that is changed is no draft");
    ui.keys("esc");
    assert_eq!(ui.written(), "half a thou");
    ui.keys("alt-s e").types("!").keys("enter");
    assert_eq!((ui.commands(), ui.written()), (vec![edit(2, "Hello bob!")], "half a thou"));
    ui.event(Event::Failed { command: edit(2, "Hello bob!"), reason: "bob is no longer your friend".into() });
    ui.shows("bob is no longer your friend").keys("esc");
    assert_eq!(ui.written(), "half a thou", "what is there is not overwritten");
    assert_eq!(ui.keys("up").written(), "Hello bob!", "and nothing is lost");
}

#[test]
fn only_own_messages_are_changed_and_only_after_a_question() {
    let mut ui = Ui::with_bob(80, 24);
    ui.keys("alt-s up e").shows("Only your own");
    ui.keys("d").shows("Only your own");
    assert_eq!(ui.model.conversation().unwrap().purpose, Purpose::New);
    ui.keys("down d").shows("Take this message back?").shows("“Hello bob”").keys("enter");
    assert_eq!(ui.commands(), [], "the answer at hand keeps it");
    ui.keys("d").keys("y");
    assert_eq!(ui.commands(), [Command::Delete { friend: "bob".into(), row: 2 }]);
    assert!(!ui.model.is_choosing());
}

#[test]
fn changes_are_shown_as_they_come() {
    let mut ui = Ui::with_bob(80, 24);
    let ours = outgoing(2, "bob", "Hello bob", 58, Delivery::Read);
    let changed = |message: &Message| Event::MessageChanged(message.clone());
    let edited =
        Message { text: "Hello Bob".into(), revision: 1, amending: Amending::Waiting, ..ours.clone() };
    ui.event(changed(&edited)).shows("Hello Bob  edited, not sent yet");
    ui.event(changed(&Message { amending: Amending::Settled, ..edited.clone() })).shows("Hello Bob  edited");
    ui.event(changed(&Message { amending: Amending::Lost, ..edited })).shows("the edit did not arrive");
    let marked = Message { our_mark: Some("👍".into()), their_mark: Some("🎉".into()), ..ours.clone() };
    ui.event(changed(&marked)).shows("👍 you · 🎉 bob");
    let answer = Message {
        answers: Some(Box::new(Answered {
            id: ours.id,
            known: Some(Quoted { row: 2, direction: Direction::Outgoing, text: "Hello bob".into() }),
        })),
        ..incoming(3, "bob", "Hello yourself", 1)
    };
    ui.event(Event::Message(answer)).shows("╭ you: Hello bob");
    let unknown = Message {
        answers: Some(Box::new(Answered { id: Uuid::nil(), known: None })),
        ..incoming(4, "bob", "And to that?", 1)
    };
    ui.event(Event::Message(unknown)).shows("╭ a message that is not here");
    ui.event(changed(&Message { text: String::new(), deleted: true, ..ours }));
    ui.shows("◉ deleted").shows("╭ a deleted message").shows_not("Hello bob");
}

#[test]
fn deeds_and_code_are_shown_as_such() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("/me waves").keys("enter");
    assert_eq!(ui.commands(), [send("bob", "/me waves")]);
    ui.event(Event::Message(outgoing(3, "bob", "/me waves", 1, Delivery::Sent))).shows("*you");
    ui.shows_not("/me");
    ui.event(Event::Message(incoming(4, "bob", "see\n```\n  a  =   b\n```", 1))).shows("  a  =   b");
    ui.keys("alt-s c");
    assert!(ui.take().contains(&Effect::Copy("see\n```\n  a  =   b\n```".into())), "as it was typed");
}

#[test]
fn links_are_opened_by_a_letter() {
    let mut ui = Ui::with_bob(80, 24);
    ui.keys("alt-o").shows("There is no link");
    ui.event(Event::Message(incoming(3, "bob", "see https://example.org/a?b=c&d, and http://x.example", 1)));
    ui.take();
    let open = |link: &str| [Effect::Open(link.into())];
    ui.keys("alt-o").shows("Which link?").shows("2 http://x.example").keys("enter").shows_not("Which link?");
    assert_eq!(ui.take(), open("https://example.org/a?b=c&d"));
    ui.keys("alt-o 2");
    assert_eq!(ui.take(), open("http://x.example"));
    ui.keys("alt-o down down up enter");
    assert_eq!(ui.take(), open("http://x.example"));
    ui.keys("alt-o 9 esc").shows_not("Which link?");
    ui.types("/open-link 2").keys("enter");
    assert_eq!(ui.take(), open("http://x.example"));
    ui.types("/open-link 3").keys("enter").shows("a number from 1 to 2");
    ui.event(Event::Message(incoming(4, "bob", "https://one.example, https://one.example!", 1)));
    ui.take();
    ui.keys("alt-o");
    assert_eq!(ui.take(), open("https://one.example"));
}

#[test]
fn colours_are_changed_by_name() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("/theme light").keys("enter").shows("The colours are light");
    assert_eq!(ui.take(), [Effect::Theme(crate::tui::theme::Look::Light)]);
    ui.types("/theme pink").keys("enter").shows("one of auto, dark");
    assert_eq!(ui.take(), []);
}

#[test]
fn a_search_asks_while_one_types_and_goes_to_what_was_found() {
    let mut ui = Ui::with_bob(80, 24);
    let ask = |query: &str, friend: Option<&str>, before| Command::Search {
        query: query.into(),
        friend: friend.map(str::to_owned),
        before,
        limit: 50,
    };
    let found = |query: &str, friend: Option<&str>, rows: &[i64], more| Event::Found {
        query: query.into(),
        friend: friend.map(str::to_owned),
        messages: rows.iter().map(|row| seen(incoming(*row, "erin", &format!("noon {row}"), 3000))).collect(),
        more,
    };
    ui.keys("ctrl-r").types("n").shows("two letters");
    assert_eq!(ui.commands(), []);
    ui.types("oon");
    assert_eq!(ui.commands(), [ask("no", None, None)], "one question at a time");
    ui.event(found("no", None, &[9, 8], false));
    assert_eq!(ui.commands(), [ask("noon", None, None)]);
    ui.event(found("noon", None, &[900, 800], true)).shows("noon 900").shows("2+ found");
    assert_eq!(ui.keys("down").commands(), [ask("noon", None, Some(800))], "more near the end");
    ui.event(found("noon", None, &[700], false)).shows("noon 700").shows("3 found");
    ui.keys("tab");
    assert_eq!(ui.commands(), [ask("noon", Some("bob"), None)]);
    ui.event(found("noon", Some("bob"), &[], false)).shows("Nothing found");
    ui.keys("tab").event(found("noon", None, &[900, 800], false));
    ui.commands();
    ui.keys("down enter");
    assert_eq!(ui.model.shown_friend(), Some("erin"));
    let span = Span::Around(800);
    assert_eq!(ui.commands(), [Command::LoadHistory { friend: "erin".into(), span, limit: 100 }]);
    let messages = (750..=850).map(|row| seen(incoming(row, "erin", &format!("m {row}."), 3000))).collect();
    let page = Page { messages, older: true, newer: true };
    ui.event(Event::History { friend: "erin".into(), span, page });
    ui.shows("m 800.").shows("more below");
    assert_eq!(ui.model.conversation().unwrap().timeline.chosen().unwrap().message.row, 800);
    ui.event(Event::Message(incoming(2000, "erin", "news", 0))).shows_not("news").shows("1 new below");
    assert_eq!(
        ui.keys("esc ctrl-end").commands(),
        [Command::LoadHistory { friend: "erin".into(), span: Span::Newest, limit: 100 }]
    );
    ui.event(history("erin", vec![incoming(2000, "erin", "news", 0)], true)).shows("news");
    assert!(ui.commands().contains(&mark_read("erin", 2000)));
}

#[test]
fn friends_are_muted_put_away_and_called_otherwise() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("/mute").keys("enter");
    assert_eq!(ui.commands(), [Command::Mute { name: "bob".into(), muted: true }]);
    ui.types("/nickname Bobby Tables").keys("enter");
    let named = Command::SetNickname { name: "bob".into(), nickname: "Bobby Tables".into() };
    assert_eq!(ui.commands(), [named]);
    let bob = Friend {
        muted: true,
        nickname: Some("Bobby Tables".into()),
        last_message: Some(incoming(1, "bob", "Good morning", 60)),
        ..friend("bob", Presence::Online)
    };
    let erin = Friend { archived: true, unread: 2, ..friend("erin", Presence::Away) };
    ui.event(Event::Friends(vec![bob.clone(), erin.clone()]));
    ui.shows("Bobby Tables (bob)").shows("muted").shows("▸ Archived").shows_not("erin");
    ui.event(Event::Typing { friend: "bob".into() }).shows("Bobby Tables is typing…");
    ui.shows("Good morning").keys("alt-down").shows("Bobby Tables (bob)");
    ui.types("/archived").keys("enter").shows("▾ Archived").shows("erin").keys("alt-down");
    assert_eq!(ui.model.shown_friend(), Some("erin"));
    ui.types("/archived").keys("enter").shows("▸ Archived").shows("erin  ◐ away");
    ui.keys("alt-up").shows_not("erin");
    ui.take();
    // Nobody is called for a muted friend.
    ui.msg(Msg::Focus(false)).event(Event::Message(incoming(3, "bob", "psst", 0)));
    assert!(!ui.take().iter().any(|effect| matches!(effect, Effect::Bell | Effect::Notify { .. })));
    let bob = Friend { unread: 1, last_message: Some(incoming(3, "bob", "psst", 0)), ..bob };
    ui.event(Event::Friends(vec![bob, erin])).shows("(1)");
    assert_eq!(ui.model.unread(), 2, "of those who are not muted");
}

#[test]
fn who_does_nothing_for_a_while_is_away_until_the_next_key() {
    let mut ui = Ui::with_bob(80, 24);
    (ui.model.away_after_minutes, ui.model.last_input) = (Some(10), Some(ui.now));
    assert_eq!(ui.pass(599).commands(), []);
    assert_eq!(ui.pass(2).commands(), [Command::SetAway(Some(String::new()))]);
    // They are called, and do not count as having read what nobody looked at.
    let later = |message| Message { at: ago(0) + Duration::from_secs(601), ..message };
    ui.shows("away").event(Event::Message(later(incoming(3, "bob", "still there?", 0))));
    assert_eq!(ui.take(), [Effect::Bell]);
    ui.keys("f1 esc");
    let back = ui.commands();
    assert!(back.contains(&Command::SetAway(None)) && back.contains(&mark_read("bob", 3)), "{back:?}");
    ui.types("/away").keys("enter");
    assert_eq!(ui.commands(), [Command::SetAway(Some(String::new()))]);
    ui.msg(Msg::Focus(false)).event(Event::Message(later(incoming(4, "bob", "now?", 0))));
    assert_eq!(ui.take(), [], "who said so wants to be left alone");
    ui.msg(Msg::Focus(true)).take();
    ui.pass(2000).keys("alt-up");
    assert_eq!(ui.commands(), [], "who said so stays away until saying otherwise");
}

#[test]
fn it_can_be_said_why_somebody_is_away() {
    let mut ui = Ui::with_bob(80, 24);
    let away = |why: &str| [Command::SetAway(Some(why.to_owned()))];
    ui.types("/away lunch, back at 1").keys("enter").shows("You are shown as away: lunch, back at 1.");
    assert_eq!(ui.commands(), away("lunch, back at 1"));
    ui.types("/away tea").keys("enter");
    assert_eq!(ui.commands(), away("tea"), "away all the same");
    ui.types("/away").keys("enter").shows("You are back.");
    assert_eq!(ui.commands(), [Command::SetAway(None)]);
    ui.types("/away ").msg(Msg::Paste("x".repeat(201))).keys("enter").shows("That is 201 bytes long");
    assert_eq!(ui.commands(), []);
    assert!(!ui.model.away);
    // What friends say is shown as far as there is room, and does no harm.
    let bob = |why: &str| Friend { away_note: why.to_owned(), ..friend("bob", Presence::Away) };
    ui.event(Event::Friends(vec![bob("lunch\n\u{1b}[2J")])).shows("bob  ◐ away: lunch").shows_not("\u{1b}");
    ui.event(Event::Friends(vec![bob(&"very far ".repeat(20))])).shows("away: very far very far").shows("…");
    ui.event(Event::Friends(vec![friend("bob", Presence::Online)])).shows("bob  ● online");
}

#[test]
fn answers_to_requests_are_told_at_once() {
    let mut ui = Ui::with_bob(80, 24);
    let asked = |state| vec![request("dave", Direction::Outgoing, state)];
    ui.event(Event::Requests(asked(RequestState::Pending)));
    ui.event(Event::Requests(asked(RequestState::Failed("there is no user of that name".into()))));
    ui.shows("Your request did not reach dave: there is no user");
    ui.event(Event::Requests(asked(RequestState::Pending))).keys("esc");
    ui.event(Event::Requests(asked(RequestState::Declined))).shows("dave has declined");
    ui.keys("esc").event(Event::Requests(asked(RequestState::Forwarded)));
    ui.event(Event::Friends(vec![friend("bob", Presence::Online), friend("dave", Presence::Online)]));
    ui.shows("dave has accepted: you are friends.");
    assert_eq!(ui.model.selected, Some(Entry::Friend("bob".into())));
}

#[test]
fn a_conversation_is_written_to_a_file_and_old_messages_are_forgotten_if_wished() {
    let mut ui = Ui::with_bob(80, 24);
    let export = |format, path: &str| Command::Export { friend: "bob".into(), format, path: path.into() };
    ui.types("/export").keys("enter");
    assert_eq!(ui.commands(), [export(ExportFormat::Text, "warren-bob-2025-11-24.txt")]);
    ui.types("/export json my chat.json").keys("enter");
    assert_eq!(ui.commands(), [export(ExportFormat::Json, "my chat.json")]);
    ui.types("/export pdf").keys("enter").shows("Type /export text or /export json");
    // A figure too few deletes what nobody can bring back.
    ui.types("/retention 3").keys("enter").shows("Forget what is older than 3 days?").keys("enter");
    assert_eq!(ui.commands(), []);
    ui.types("/retention 30").keys("enter y").shows("after 30 days");
    ui.types("/retention off").keys("enter").shows("All messages are kept.");
    assert_eq!(
        ui.commands(),
        [Command::SetRetention { days: Some(30) }, Command::SetRetention { days: None }]
    );
    for wrong in [" 0", " soon"] {
        ui.types(&format!("/retention{wrong}")).keys("enter").shows("Type /retention and a number of days");
    }
    assert_eq!(ui.commands(), []);
}

#[test]
fn links_are_where_they_are_drawn() {
    let mut ui = Ui::with_bob(60, 24);
    ui.event(Event::Message(incoming(3, "bob", "日本 https://example.org/ünd/very/long/path ok", 0)));
    let screen = ui.screen();
    let links = hyperlinks(&ui.model);
    let shown: Vec<String> = links
        .iter()
        .map(|link| {
            let row = screen.lines().nth(usize::from(link.area.y)).unwrap();
            let mut column = 0;
            let cells = text::graphemes(row).filter(|(_, grapheme)| {
                let at = column;
                column += text::columns(grapheme);
                (usize::from(link.area.left())..usize::from(link.area.right())).contains(&at)
            });
            cells.map(|(_, grapheme)| grapheme).collect()
        })
        .collect();
    assert_eq!(shown.concat(), "https://example.org/ünd/very/long/path", "{screen}");
    assert!(shown.len() > 1, "over several rows");
    assert!(links.iter().all(|link| link.target == "https://example.org/%C3%BCnd/very/long/path"));
    ui.keys("f1");
    assert_eq!(hyperlinks(&ui.model), [], "nothing under the help");
}
