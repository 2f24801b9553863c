//! Any input at any size: nothing panics, and the view is always full or at its end.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;
use proptest::sample::select;

use super::fixture::*;
use crate::session::api::*;
use crate::tui::action::ACTIONS;
use crate::tui::keymap::Chord;
use crate::tui::update::Msg;

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-z /\n\t\u{202e}日👩\u{200d}\u{301}]{0,200}", Just("x ".repeat(2_000))]
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![select(vec!["bob", "erin", "carol"]).prop_map(str::to_owned), any_text()]
}

fn any_status() -> impl Strategy<Value = FriendStatus> {
    select(vec![FriendStatus::Friend, FriendStatus::Former, FriendStatus::Blocked])
}

fn any_message() -> impl Strategy<Value = Message> {
    let later = (any::<bool>(), 0u32..3, any::<bool>(), any::<Option<char>>());
    let plain = (any_name(), any_text(), 0i64..500, any::<bool>(), 0u64..100_000, any_text()).prop_map(
        |(name, text, row, out, minutes, reason)| match out {
            true => outgoing(
                row,
                &name,
                &text,
                minutes,
                if row % 5 == 0 { Delivery::Failed(reason) } else { Delivery::Sent },
            ),
            false => incoming(row, &name, &text, minutes),
        },
    );
    (plain, later).prop_map(|(message, (answers, revision, deleted, mark))| {
        let known = (message.row % 3 > 0).then(|| Quoted {
            row: message.row - 1,
            direction: message.direction,
            text: message.text.clone(),
        });
        Message {
            answers: answers.then_some(Box::new(Answered { id: message.id, known })),
            revision,
            deleted,
            text: if deleted { String::new() } else { message.text.clone() },
            their_mark: mark.map(String::from),
            ..message
        }
    })
}

fn any_span() -> impl Strategy<Value = Span> {
    prop_oneof![
        Just(Span::Newest),
        Just(Span::Unseen),
        (0i64..500).prop_map(Span::Before),
        (0i64..500).prop_map(Span::After),
        (0i64..500).prop_map(Span::Around),
    ]
}

/// As the session gives it: in the order of the rows, each once.
fn any_page() -> impl Strategy<Value = Page> {
    (proptest::collection::vec(any_message(), 0..30), any::<bool>(), any::<bool>()).prop_map(
        |(mut messages, older, newer)| {
            messages.sort_by_key(|m| m.row);
            messages.dedup_by_key(|m| m.row);
            Page { messages, older, newer }
        },
    )
}

fn any_event() -> impl Strategy<Value = Event> {
    let friends = proptest::collection::vec((any_name(), any_status(), 0u32..2000), 0..20).prop_map(|list| {
        let friend = |(name, status, unread): (String, _, _)| Friend {
            status,
            unread,
            ..friend(&name, Presence::Online)
        };
        Event::Friends(list.into_iter().map(friend).collect())
    });
    let requests =
        proptest::collection::vec((any_name(), any::<bool>(), any_text()), 0..5).prop_map(|list| {
            let request = |(name, mine, note): (String, bool, _)| {
                let direction = if mine { Direction::Outgoing } else { Direction::Incoming };
                Request { note, ..request(&name, direction, RequestState::Pending) }
            };
            Event::Requests(list.into_iter().map(request).collect())
        });
    prop_oneof![
        friends,
        requests,
        (any_name(), any_span(), any_page()).prop_map(|(friend, span, page)| Event::History {
            friend,
            span,
            page
        }),
        any_message().prop_map(Event::MessageChanged),
        any_message().prop_map(Event::Message),
        any_name().prop_map(|friend| Event::Typing { friend }),
        any_name().prop_map(|by| Event::Unfriended { by }),
        any_text().prop_map(Event::Notice),
        (any_name(), any_text())
            .prop_map(|(to, reason)| Event::Failed { command: send(&to, "lost"), reason }),
        any_text().prop_map(|reason| {
            Event::Connection(Connection::Offline { since: ago(1), reason, retry_at: ago(0) })
        }),
    ]
}

fn any_key() -> impl Strategy<Value = KeyEvent> {
    let bound: Vec<KeyEvent> = ACTIONS
        .iter()
        .flat_map(|spec| spec.keys)
        .filter_map(|(_, key)| key.parse::<Chord>().ok())
        .map(Chord::press)
        .collect();
    let plain =
        vec![KeyCode::Enter, KeyCode::Tab, KeyCode::Esc, KeyCode::Up, KeyCode::Down, KeyCode::Char('y')];
    prop_oneof![
        4 => select(bound),
        2 => select(plain).prop_map(KeyEvent::from),
        2 => any::<char>().prop_map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)),
    ]
}

fn any_msg() -> impl Strategy<Value = Msg> {
    let mouse = (
        0u16..220,
        0u16..80,
        select(vec![
            MouseEventKind::ScrollUp,
            MouseEventKind::ScrollDown,
            MouseEventKind::Down(MouseButton::Left),
            MouseEventKind::Drag(MouseButton::Left),
            MouseEventKind::Up(MouseButton::Left),
        ]),
    );
    prop_oneof![
        6 => any_key().prop_map(Msg::Key),
        4 => any_event().prop_map(Msg::Session),
        1 => any_text().prop_map(Msg::Paste),
        1 => any::<bool>().prop_map(Msg::Focus),
        2 => (0u16..=200, 0u16..=80).prop_map(|(width, height)| Msg::Resize(width, height)),
        1 => (0u16..30, 0u16..10).prop_map(|(width, height)| Msg::Resize(width, height)),
        1 => mouse.prop_map(|(column, row, kind)| Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })),
        1 => Just(Msg::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(msgs in proptest::collection::vec(any_msg(), 1..40), width in 0u16..=200, height in 0u16..=60) {
        let mut ui = Ui::with_bob(width, height);
        for msg in msgs {
            ui.msg(msg);
            ui.pass(1);
            ui.screen();
            let height = usize::from(ui.model.areas().timeline.height);
            if let Some(conversation) = ui.model.conversation() {
                let shown = conversation.timeline.visible().len() + conversation.timeline.blank();
                prop_assert_eq!(shown, height);
            }
        }
    }
}
