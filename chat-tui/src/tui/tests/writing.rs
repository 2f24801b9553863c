//! Writing, drafts, requests, leaving.

use shared::message::TEXT_BYTES_MAX;

use super::fixture::*;
use crate::session::api::*;
use crate::tui::model::Entry;
use crate::tui::update::{Effect, Msg, next_wake};

#[test]
fn a_clock_that_is_set_back_delays_nothing() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("dear").keys("ctrl-r esc").types(" bob");
    ui.event(Event::Typing { friend: "bob".into() });
    ui.event(Event::Notice("something to know".into())).shows("Something to know.").shows("is typing");
    ui.take();
    ui.now -= jiff::SignedDuration::from_hours(5);
    ui.event(Event::Connection(Connection::Online { since: ago(5) })).pass(2);
    assert_eq!(ui.commands(), [draft("bob", "dear bob")]);
    ui.pass(10).shows_not("omething to know").shows_not("is typing");
}

#[test]
fn enter_sends_what_was_typed() {
    let mut ui = Ui::with_bob(80, 24);
    assert_eq!(ui.types("hello").keys("enter").commands(), [send("bob", "hello")]);
    assert_eq!(ui.written(), "");
    assert_eq!(ui.types("   ").keys("enter").commands(), []);
    assert_eq!(ui.keys("ctrl-u up").written(), "hello");
}

#[test]
fn who_writes_still_sees_it_when_the_terminal_gets_narrow() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("dear").msg(Msg::Resize(38, 18)).shows("dear");
    assert_eq!(ui.types(" bob").written(), "dear bob");
    let mut ui = Ui::with_bob(80, 24);
    ui.msg(Msg::Paste("dear".into())).msg(Msg::Resize(38, 18)).shows("dear");
}

#[test]
fn a_paste_with_line_breaks_is_one_message() {
    let mut ui = Ui::with_bob(80, 24);
    ui.msg(Msg::Paste("/one\r\ntwo\n".into())).keys("alt-enter").types("three").keys("enter");
    assert_eq!(ui.commands(), [send("bob", "/one\ntwo\n\nthree")]);
}

#[test]
fn too_long_a_message_stays_and_says_so() {
    let mut ui = Ui::with_bob(80, 24);
    ui.msg(Msg::Paste("x".repeat(TEXT_BYTES_MAX - 5)));
    ui.shows("room for 5 bytes");
    ui.types("123456").keys("enter");
    assert_eq!(ui.commands(), []);
    ui.shows("1 bytes too long").shows("Shorten it, or send it in parts.");
    assert_eq!(ui.keys("backspace enter").commands().len(), 1);
    ui.msg(Msg::Paste("x".repeat(TEXT_BYTES_MAX * 5))).shows("That is too much");
    assert_eq!(ui.written(), "");
}

#[test]
fn typing_is_told_now_and_then() {
    let mut ui = Ui::with_bob(80, 24);
    let typing = |ui: &mut Ui| {
        ui.take().iter().filter(|e| matches!(e, Effect::Session(Command::Typing { .. }))).count()
    };
    ui.types("hello");
    assert_eq!(typing(&mut ui), 1);
    ui.pass(3).types("x");
    assert_eq!(typing(&mut ui), 1);
}

#[test]
fn a_draft_is_kept_after_a_pause_and_when_leaving_the_friend() {
    let mut ui = Ui::with_bob(80, 24);
    assert_eq!(ui.types("hel").commands(), []);
    assert_eq!(ui.pass(2).commands(), [draft("bob", "hel")]);
    assert_eq!(ui.pass(60).commands(), []);
    ui.types("lo").keys("alt-down");
    assert_eq!(ui.commands()[0], draft("bob", "hello"));
    assert_eq!(ui.written(), "");
    assert_eq!(ui.keys("alt-up").written(), "hello");
    ui.commands();
    assert_eq!(ui.keys("enter").commands(), [send("bob", "hello"), draft("bob", "")]);
}

#[test]
fn a_kept_draft_comes_back_but_never_over_what_is_typed() {
    let mut ui = Ui::new(80, 24);
    let bob = Friend { draft: "kept".into(), ..friend("bob", Presence::Online) };
    ui.event(Event::Friends(vec![bob.clone()]));
    assert_eq!(ui.written(), "kept");
    ui.types("!").event(Event::Friends(vec![Friend { draft: "older".into(), ..bob }]));
    assert_eq!(ui.written(), "kept!");
}

#[test]
fn what_could_not_be_sent_comes_back() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("hello").keys("enter");
    let reason = "The disk is full. Make room and send again.".to_owned();
    ui.event(Event::Failed { command: send("bob", "hello"), reason });
    assert_eq!(ui.written(), "hello");
    ui.shows("! The disk is full. Make room");
}

#[test]
fn being_unfriended_keeps_the_text_and_says_what_to_do() {
    let mut ui = Ui::with_bob(80, 24);
    ui.event(Event::Message(outgoing(3, "bob", "Are you there?", 0, Delivery::Returned))).types("one more");
    ui.event(Event::Unfriended { by: "bob".into() });
    ui.shows("bob is no longer your friend.").shows("↩ Are you there?").shows("one more");
    ui.shows("Not sent, but kept. Ctrl-N asks bob again");
    ui.take();
    assert_eq!(ui.types("x").keys("enter").commands(), []);
    assert_eq!(ui.written(), "one more");
    ui.keys("esc ctrl-n").types("Sorry!").keys("enter");
    assert_eq!(ui.commands(), [Command::Befriend { name: "bob".into(), note: "Sorry!".into() }]);
    assert_eq!(ui.written(), "one more");
}

#[test]
fn unfriending_asks_first() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("/unfriend bob").keys("enter").shows("Stop being friends with bob?");
    assert_eq!(ui.keys("enter").commands(), [], "the safe answer is the one chosen at first");
    ui.types("/unfriend").keys("enter esc");
    assert_eq!(ui.commands(), []);
    ui.types("/unfriend").keys("enter y");
    assert_eq!(ui.commands(), [Command::Unfriend { name: "bob".into() }]);
}

#[test]
fn a_request_is_answered_with_one_key_and_the_friend_shown() {
    let mut ui = Ui::with_bob(80, 24);
    let asked = request("carol", Direction::Incoming, RequestState::Pending);
    ui.event(Event::Requests(vec![asked])).shows("asks you");
    ui.keys("alt-up").shows("“We met at the conference.”");
    ui.take();
    assert_eq!(ui.keys("a").pass(1).commands(), [Command::Accept { name: "carol".into() }]);
    ui.event(Event::Requests(vec![]));
    ui.event(Event::Friends(vec![friend("bob", Presence::Online), friend("carol", Presence::Online)]));
    assert_eq!(ui.model.selected, Some(Entry::Friend("carol".into())));
}

#[test]
fn the_other_answers() {
    let mut ui = Ui::new(80, 24);
    ui.event(Event::Friends(vec![]));
    ui.event(Event::Requests(vec![
        request("carol", Direction::Incoming, RequestState::Pending),
        request("dave", Direction::Outgoing, RequestState::Forwarded),
    ]));
    ui.take();
    assert_eq!(ui.keys("d").commands(), [], "not before it could be read");
    ui.pass(2);
    // It may be the first letter of what was meant as a text.
    ui.keys("d").shows("Decline the request of carol?");
    assert_eq!(ui.keys("enter").commands(), [], "the safe answer is the one chosen at first");
    assert_eq!(ui.keys("d").pass(1).keys("y").commands(), [Command::Decline { name: "carol".into() }]);
    ui.shows("You have declined the request of carol.");
    assert_eq!(ui.types("/decline").keys("enter").commands(), [Command::Decline { name: "carol".into() }]);
    assert_eq!(ui.keys("b").pass(1).keys("y").commands(), [Command::Block { name: "carol".into() }]);
    ui.keys("alt-down").shows("Now it is for dave to answer.");
    ui.keys("w").shows("Take back your request to dave?");
    assert_eq!(ui.keys("esc").commands(), []);
    assert_eq!(ui.keys("w").pass(1).keys("y").commands(), [Command::Withdraw { name: "dave".into() }]);
    ui.shows("Your request to dave is taken back.");
    assert_eq!(ui.keys("a d b enter").commands(), [], "one's own request is not answered");
}

#[test]
fn a_text_that_was_meant_for_somebody_answers_no_request() {
    let mut ui = Ui::with_bob(80, 24);
    ui.event(Event::Requests(vec![request("carol", Direction::Incoming, RequestState::Pending)]));
    ui.keys("alt-up").take();
    for text in ["all right", "hi all", "by the way", "daily", "boy", "do you"] {
        ui.types(text).pass(2).keys("enter").shows("You and carol are not friends yet").shows("a accepts");
        assert_eq!(ui.pass(10).commands(), [], "{text}");
        ui.shows("carol asks to be friends").shows_not("Decline the request").shows_not("Block carol?");
    }
    ui.types("oh").shows("not friends yet").pass(1).keys("a").pass(1).shows_not("not friends yet");
    assert_eq!(ui.pass(10).commands(), [Command::Accept { name: "carol".into() }]);
    // Enter alone accepts, and so does what is pressed before somebody else is looked at.
    assert_eq!(ui.keys("enter").commands(), [Command::Accept { name: "carol".into() }]);
    assert_eq!(ui.keys("a alt-down").commands(), [Command::Accept { name: "carol".into() }]);
    ui.keys("alt-up a esc").pass(10);
    assert_eq!(ui.commands(), [], "taken back in time");
    ui.event(Event::Requests(vec![request("dave", Direction::Outgoing, RequestState::Forwarded)]));
    ui.keys("alt-up").shows("for dave to answer").types("why not");
    assert_eq!(ui.pass(10).commands(), []);
    ui.shows_not("Take back your request");
}

#[test]
fn who_ended_a_friendship_is_remembered() {
    let mut ui = Ui::with_bob(80, 24);
    let former = |ended_by_us| Friend {
        status: FriendStatus::Former,
        ended_by_us,
        ..friend("bob", Presence::Offline { last_seen: None })
    };
    ui.event(Event::Friends(vec![former(true)])).shows("bob  × unfriended by you");
    ui.shows("You have ended the friendship with bob.").types("x").shows("bob. /befriend bob");
    ui.keys("esc")
        .shows("Ctrl-N asks bob again")
        .event(Event::Friends(vec![former(false)]))
        .shows("bob  × no longer your friend");
    ui.shows("bob is no longer your friend.").shows_not("You have ended");
    ui.event(Event::Requests(vec![request("bob", Direction::Outgoing, RequestState::Forwarded)]));
    ui.shows("You asked bob to be friends again").shows_not("asks bob again");
    ui.event(Event::Requests(vec![request("bob", Direction::Incoming, RequestState::Pending)]));
    ui.shows("bob asks to be friends again: /accept bob").take();
    ui.types("/accept bob").keys("enter");
    assert_eq!(ui.commands(), [Command::Accept { name: "bob".into() }]);
}

#[test]
fn befriending_checks_the_name() {
    let mut ui = Ui::with_bob(80, 24);
    ui.keys("ctrl-n enter").shows("Type the name of the person");
    ui.types("Alice").keys("enter").shows("That is you.");
    ui.keys("ctrl-u").types("no body").keys("enter").shows("cannot contain ' '");
    ui.keys("ctrl-u").types("Zoe").keys("tab").types("Hi").keys("enter");
    assert_eq!(ui.commands(), [Command::Befriend { name: "zoe".into(), note: "Hi".into() }]);
    ui.shows("Your request to zoe is on its way.");
}

#[test]
fn a_slash_begins_a_command_and_two_a_message() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("/aw").shows("Show yourself as away");
    assert_eq!(ui.keys("enter").commands(), [Command::SetAway(Some(String::new()))]);
    assert_eq!(ui.types("//etc").keys("enter").commands(), [send("bob", "/etc")]);
    ui.types("/nonsense").keys("enter").shows("There is no command /nonsense.");
    assert_eq!(ui.keys("esc").types("a/b").written(), "a/b");
}

#[test]
fn leaving_keeps_the_draft_and_ends_the_session() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("unsent").keys("ctrl-q");
    assert_eq!(ui.effects.last(), Some(&Effect::Leave));
    assert_eq!(ui.commands(), [draft("bob", "unsent"), Command::Shutdown]);
    ui.types("ignored").keys("enter ctrl-n").shows("leaving…");
    assert_eq!(ui.take(), []);
    assert_eq!(ui.keys("ctrl-q").take(), [Effect::Abandon]);
}

#[test]
fn ctrl_c_asks_again_when_something_is_unsent() {
    let mut ui = Ui::with_bob(80, 24);
    ui.types("unsent").keys("ctrl-c").shows("Press Ctrl-C again to leave.");
    assert_eq!(ui.commands(), []);
    assert_eq!(ui.pass(10).keys("ctrl-c").commands(), [draft("bob", "unsent")]);
    assert_eq!(ui.keys("ctrl-c").commands(), [Command::Shutdown]);
    assert_eq!(Ui::with_bob(80, 24).keys("ctrl-c").commands(), [Command::Shutdown]);
}

#[test]
fn a_signal_ends_the_session() {
    let mut ui = Ui::with_bob(80, 24);
    assert_eq!(ui.msg(Msg::Terminate).commands(), [Command::Shutdown]);
    assert_eq!(ui.event(Event::Ended { reason: None }).take(), [Effect::Exit(None)]);
}

#[test]
fn nothing_wakes_the_loop_but_what_is_in_sight() {
    let mut ui = Ui::with_bob(80, 24);
    assert_eq!(next_wake(&ui.model, ui.now), None);
    ui.event(Event::Connection(Connection::Offline {
        since: ago(1),
        reason: "the cable is unplugged".into(),
        retry_at: ago(0) + std::time::Duration::from_secs(3),
    }));
    ui.shows("offline since 10:44, trying again in 3 s");
    for shown in ["in 2 s", "in 1 s", "trying again now"] {
        ui.pass(1).shows(shown);
    }
    assert_eq!(next_wake(&ui.model, ui.now), None);
    ui.event(Event::Typing { friend: "bob".into() }).shows("bob is typing…");
    ui.pass(10).shows_not("is typing…");
    assert_eq!(next_wake(&ui.model, ui.now), None);
}
