//! What the person is told, and how much of the screen others can take.

use std::time::{Duration, SystemTime};

use super::fixture::*;
use crate::session::api::*;
use crate::tui::model::Entry;
use crate::tui::theme::Theme;
use crate::tui::update::Effect;

fn offline(reason: &str) -> Event {
    Event::Connection(Connection::Offline {
        since: ago(1),
        reason: reason.to_owned(),
        retry_at: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW as u64 + 3),
    })
}

#[test]
fn what_was_told_can_be_read_again() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("/notices").keys("enter").shows("Nothing yet.").keys("esc");
    ui.event(Event::Notice("the broker takes no messages for now".to_owned())).pass(60);
    ui.shows_not("takes no messages");
    let failed = Event::Failed { command: send("bob", "x"), reason: "it is too long".to_owned() };
    // What does not go over a problem is kept too.
    ui.event(failed).event(Event::Notice("seldom seen".to_owned())).pass(60);
    ui.keys("alt-l").shows("10:45           · The broker takes no messages for now.");
    ui.shows("10:46           ! It is too long.").shows("· Seldom seen.");
    ui.keys("esc").shows("Good morning").shows_not("too long");
}

#[test]
fn notices_of_any_number_and_length_are_scrolled() {
    let mut ui = Ui::with_bob(40, 10);
    for n in 0..50 {
        ui.event(Event::Notice(format!("number {n} of a notice that takes more than a row of the screen.")));
    }
    ui.keys("alt-l")
        .shows("Number 49")
        .shows_not("Number 4 ")
        .keys("up up up up up up")
        .shows_not("Number 49");
    ui.keys("home up").shows("Number 0 ").keys("pagedown").shows("Number 4 ").shows_not("Number 0 ");
    ui.keys("end down").shows("Number 49 ").keys("home");
    ui.msg(crate::tui::update::Msg::Resize(80, 24)).shows("Number 0 ").keys("alt-l").shows("Good morning");
}

#[test]
fn why_there_is_no_connection_is_shown_as_far_as_there_is_room_and_told_in_full() {
    let reason = "localhost:5672 does not answer (connection refused): is a broker running there?";
    let mut ui = Ui::with_bob(100, 24);
    ui.event(offline(reason)).shows(&format!("offline, 3 s: {reason}"));
    let mut ui = Ui::with_bob(80, 24);
    ui.event(offline(reason))
        .shows("○ offline, 3 s: localhost:5672")
        .shows("… Alt-L says more")
        .keys("alt-l");
    ui.shows("! Offline: localhost:5672 does not answer (connection")
        .shows("refused): is a broker running there?");
    ui.keys("esc").event(Event::Connection(Connection::Online { since: ago(0) })).keys("alt-l");
    ui.shows("· Online again.");
    let mut ui = Ui::with_bob(30, 8);
    ui.event(offline(reason)).shows("○ offline, 3 s").shows_not("localhost");
}

#[test]
fn many_strangers_do_not_push_friends_out_of_the_list() {
    let mut ui = Ui::with_bob(80, 24);
    let asks = |n: u64| {
        let asking = request(&format!("stranger{n}"), Direction::Incoming, RequestState::Pending);
        Request { at: ago(100 - n), ..asking }
    };
    ui.event(Event::Requests((0..4).map(asks).collect())).shows("stranger0").shows_not("more");
    ui.event(Event::Requests((0..50).map(asks).collect()));
    ui.shows("Requests        50").shows("▸ 47 more").shows("▌● bob").shows("erin");
    ui.shows("stranger49").shows("stranger47").shows_not("stranger46");
    ui.keys("alt-up").shows("stranger47 asks to be friends").keys("alt-up alt-up alt-up alt-up");
    assert_eq!(ui.model.selected, Some(Entry::Incoming("stranger49".into())));
    // All can be found by name, and shown.
    ui.keys("ctrl-g").types("stranger7").keys("enter").shows("stranger7 asks").shows("▸ 46 more");
    ui.types("/requests").keys("enter").keys("alt-down").shows("stranger6 asks");
    ui.types("/requests").keys("enter").shows("▸ 46 more").keys("alt-down").shows("bob  ● online").take();
    ui.types("/decline stranger3").keys("enter y");
    let declined = Effect::Session(Command::Decline { name: "stranger3".into() });
    assert!(ui.take().contains(&declined));
}

#[test]
fn words_that_can_be_chosen_are_offered() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("/theme").keys("enter").shows("contrast").shows("/theme").keys("down enter");
    assert!(ui.take().contains(&Effect::Theme(crate::tui::theme::Look::Dark)));
    ui.types("/theme li").keys("enter").shows("The colours are light");
    ui.types("/retention").keys("enter enter").shows("All messages are kept.");
    ui.types("/retention 3").keys("enter").shows("older than 3 days?").keys("n");
    ui.types("/export j").keys("tab").shows("/export json").keys("esc");
    ui.keys("ctrl-p").types("colours").keys("enter").shows("contrast");
}

#[test]
fn a_friend_is_called_as_the_person_calls_them() {
    let mut ui = Ui::with_bob(80, 24);
    let named = |friend: Friend| Friend { nickname: Some("Bobby".into()), ..friend };
    ui.event(Event::Friends(vec![named(friend("bob", Presence::Online))]));
    let marked = |message| Message { their_mark: Some("🎉".into()), ..message };
    ui.event(Event::MessageChanged(marked(outgoing(2, "bob", "Hello bob", 58, Delivery::Read))));
    ui.shows("🎉 Bobby").shows_not("🎉 bob");
    ui.types("/mute").keys("enter").shows("Bobby no longer calls for your attention");
    ui.event(Event::Unfriended { by: "bob".into() }).shows("Bobby is no longer your friend.");
}

#[test]
fn who_does_not_want_to_wait_for_the_next_attempt_says_so() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("/reconnect").keys("enter").shows("You are online.");
    assert_eq!(ui.commands(), []);
    ui.event(offline("refused")).types("/reconnect").keys("enter");
    assert_eq!(ui.commands(), [Command::Reconnect]);
}

#[test]
fn emphasis_is_shown_as_it_was_typed_and_looks_like_it() {
    use ratatui::style::{Color, Modifier};
    let mut ui = Ui::with_bob(60, 24);
    let text = "a *bold word that goes on in the next row, and ends there* then ~gone~ and `code`";
    ui.event(Event::Message(incoming(3, "bob", text, 0))).shows("*bold word").shows("~gone~");
    let theme = Theme::default();
    let is = |text: &str, modifier| ui.style_of(text, &theme).add_modifier.contains(modifier);
    assert!(is("*bold", Modifier::BOLD) && is("ends there*", Modifier::BOLD) && !is("then", Modifier::BOLD));
    assert!(is("~gone~", Modifier::CROSSED_OUT) && !is("and `", Modifier::CROSSED_OUT));
    assert_eq!(ui.style_of("`code`", &theme).fg, Some(Color::Cyan));
}
