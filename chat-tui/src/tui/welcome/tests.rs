use crossterm::event::KeyCode;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use shared::client::SignUp;

use super::form::{Defaults, Field, Form, Wish};
use super::*;

struct Person {
    form: Form,
    kills: String,
}

impl Person {
    fn new(defaults: Defaults) -> Self {
        Person { form: Form::new(defaults), kills: String::new() }
    }

    fn types(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            self.press(&c.to_string());
        }
        self
    }

    fn press(&mut self, key: &str) -> Wish {
        let chord = if key == " " { "space" } else { key }.parse::<Chord>().unwrap();
        let situation = Situation { layer_open: true, ..Situation::default() };
        let action = Keymap::default().resolve(chord, situation);
        self.form.input(layer::Input::Key(chord, action), &mut self.kills)
    }

    fn screen(&self, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view::draw(frame, &self.form, &Theme::default())).unwrap();
        let buffer = terminal.backend().buffer();
        let row =
            |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned() + "\n";
        (0..height).map(row).collect()
    }

    fn problem(&self) -> &str {
        self.form.problem.as_deref().unwrap_or_default()
    }
}

fn defaults() -> Defaults {
    Defaults { broker: "amqp://127.0.0.1:5672/".into(), ..Defaults::default() }
}

fn choice(uri: &str, sign_up: Option<SignUp>) -> Choice {
    Choice { broker: uri.parse().unwrap(), sign_up }
}

#[test]
fn signing_in_asks_for_what_is_missing() {
    let mut alice = Person::new(defaults());
    assert_eq!(alice.press("enter"), Wish::Nothing);
    assert_eq!(
        (alice.form.field, alice.problem()),
        (Field::Name, "Type your name: the one your friends know you by.")
    );
    alice.types("Alice").press("enter");
    assert_eq!((alice.form.field, alice.problem()), (Field::Password, "Type your password."));
    let wish = alice.types("s3cret word").press("enter");
    assert_eq!(wish, Wish::Enter(choice("amqp://alice:s3cret%20word@127.0.0.1:5672", None)));
}

#[test]
fn an_account_needs_the_password_twice() {
    let mut alice = Person::new(Defaults { user: "alice".into(), ..defaults() });
    alice.press("f2");
    alice.types("one").press("enter");
    assert_eq!(alice.form.field, Field::Again);
    alice.types("two").press("enter");
    assert!(alice.problem().contains("differ"), "{}", alice.problem());
    let wish = alice.types("one").press("enter");
    assert_eq!(wish, Wish::Enter(choice("amqp://alice:one@127.0.0.1:5672", Some(SignUp::Open))));
    alice.press("tab");
    let wish = alice.types("token").press("enter");
    let invited = Some(SignUp::Invite("token".into()));
    assert_eq!(wish, Wish::Enter(choice("amqp://alice:one@127.0.0.1:5672", invited)));
}

#[test]
fn a_broker_can_be_written_as_people_do() {
    let mut alice = Person::new(Defaults { user: "alice".into(), ..Defaults::default() });
    alice.types("pw").press("enter");
    assert_eq!(
        (alice.form.field, alice.problem()),
        (Field::Broker, "Type where the broker is, e.g. 127.0.0.1:5672.")
    );
    let wish = alice.types("example.org:5673").press("enter");
    assert_eq!(wish, Wish::Enter(choice("amqp://alice:pw@example.org:5673", None)));
    alice.types("x").press("enter");
    assert!(alice.problem().contains("not right"), "{}", alice.problem());
}

#[test]
fn where_there_is_no_broker_one_is_offered() {
    let mut alice = Person::new(Defaults { user: "alice".into(), ..defaults() });
    assert_eq!(alice.types("pw").press("f3"), Wish::Nothing);
    let refusal = Refusal { reason: "Nothing answers at 127.0.0.1:5672.".into(), no_broker: true };
    alice.form.refused(refusal.clone(), false);
    assert!(alice.screen(80, 24).contains("F3 starts a broker here"));
    assert_eq!(alice.press("f4"), Wish::Nothing);
    assert_eq!(alice.press("f3"), Wish::StartBroker(choice("amqp://127.0.0.1:5672", None)));
    alice.form.refused(refusal, true);
    let wish = alice.press("f4");
    assert_eq!(wish, Wish::GoOffline(choice("amqp://alice:pw@127.0.0.1:5672", None)));
}

#[test]
fn a_password_is_not_shown_and_cannot_be_pasted_elsewhere() {
    let mut alice = Person::new(Defaults { user: "alice".into(), ..defaults() });
    alice.types("s3cret").press("ctrl-u");
    alice.types("other");
    assert!(alice.screen(80, 24).contains("•••••") && !alice.screen(80, 24).contains("other"));
    alice.press("backtab");
    alice.press("ctrl-y");
    assert_eq!(alice.form.name.text(), "alice");
}

#[test]
fn waiting_can_be_given_up() {
    let mut alice = Person::new(defaults());
    alice.form.busy = Some("Asking the broker…");
    assert_eq!(alice.types("x").press("enter"), Wish::Nothing);
    assert!(alice.screen(80, 24).contains("Asking the broker…") && alice.form.name.is_empty());
    assert_eq!(alice.press("esc"), Wish::Nothing);
    assert_eq!(alice.form.busy, None);
    assert_eq!(alice.press("ctrl-q"), Wish::Leave);
}

#[test]
fn screens() {
    for (width, height) in [(20, 5), (80, 24), (200, 60)] {
        let mut alice = Person::new(defaults());
        insta::assert_snapshot!(format!("sign_in_{width}x{height}"), alice.screen(width, height));
        alice.types("alice").press("f2");
        alice.press("tab");
        alice.types("secret");
        alice.form.refused(
            Refusal {
                reason: "Nothing answers at 127.0.0.1:5672 (connection refused).".into(),
                no_broker: true,
            },
            true,
        );
        insta::assert_snapshot!(format!("sign_up_{width}x{height}"), alice.screen(width, height));
    }
}

proptest! {
    #[test]
    fn any_size_and_any_keys(
        width in 0u16..=200, height in 0u16..=200, typed in "\\PC{0,40}", keys in proptest::collection::vec(0usize..8, 0..20),
    ) {
        let mut person = Person::new(defaults());
        let pressed = [KeyCode::Tab, KeyCode::Enter, KeyCode::F(2), KeyCode::F(3), KeyCode::Left, KeyCode::Backspace, KeyCode::Home, KeyCode::Esc];
        for key in keys {
            let chord = Chord::of(pressed[key].into());
            person.form.input(layer::Input::Key(chord, None), &mut person.kills);
            person.form.input(layer::Input::Paste(&typed), &mut person.kills);
            person.screen(width, height);
        }
    }
}
