//! ★ What a person fills in, and what is wrong with it.

use crossterm::event::KeyCode;
use shared::client::{BrokerUri, SignUp};
use shared::topology::check_user_name;

use super::Refusal;
use crate::tui::action::Action;
use crate::tui::editor::Editor;
use crate::tui::layer::{Input, edit_line};

/// What is filled in already.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    pub user: String,
    /// A URI without a login.
    pub broker: String,
    /// Begin with making an account.
    pub sign_up: bool,
    /// Why the person is asked again.
    pub problem: Option<String>,
}

/// As whom, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// With the login.
    pub broker: BrokerUri,
    /// Make the account first.
    pub sign_up: Option<SignUp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Name,
    Password,
    Again,
    Invite,
    Broker,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    Nothing,
    Enter(Choice),
    StartBroker(Choice),
    GoOffline(Choice),
    Leave,
}

#[derive(Debug)]
pub struct Form {
    pub sign_up: bool,
    pub field: Field,
    pub name: Editor,
    pub password: Editor,
    pub again: Editor,
    pub invite: Editor,
    pub broker: Editor,
    /// What is wrong, and what to do.
    pub problem: Option<String>,
    /// What to know.
    pub hint: Option<String>,
    /// What is being waited for.
    pub busy: Option<&'static str>,
    /// Nothing answers: a broker can be started here.
    pub offers_broker: bool,
    /// There is something to see without a broker.
    pub offers_offline: bool,
}

impl Form {
    pub fn new(defaults: Defaults) -> Self {
        let field = if defaults.user.is_empty() { Field::Name } else { Field::Password };
        let first = defaults.user.is_empty() && !defaults.sign_up;
        let hint = first.then(|| "Are you new here? F2 makes an account.".to_owned());
        Form {
            sign_up: defaults.sign_up,
            field,
            name: Editor::new(&defaults.user),
            password: Editor::default(),
            again: Editor::default(),
            invite: Editor::default(),
            broker: Editor::new(&defaults.broker),
            problem: defaults.problem,
            hint,
            busy: None,
            offers_broker: false,
            offers_offline: false,
        }
    }

    pub fn fields(&self) -> &'static [Field] {
        match self.sign_up {
            false => &[Field::Name, Field::Password, Field::Broker],
            true => &[Field::Name, Field::Password, Field::Again, Field::Invite, Field::Broker],
        }
    }

    pub fn editor(&self, field: Field) -> &Editor {
        match field {
            Field::Name => &self.name,
            Field::Password => &self.password,
            Field::Again => &self.again,
            Field::Invite => &self.invite,
            Field::Broker => &self.broker,
        }
    }

    pub fn input(&mut self, input: Input<'_>, kills: &mut String) -> Wish {
        if let Input::Key(chord, action) = input {
            match action {
                Some(Action::Quit | Action::Interrupt) => return Wish::Leave,
                _ if chord.is(KeyCode::Esc) && self.busy.take().is_some() => return Wish::Nothing,
                _ if self.busy.is_some() => return Wish::Nothing,
                _ if chord.is(KeyCode::Enter) => return self.submit(Wish::Enter),
                _ if chord.is(KeyCode::F(2)) => return self.toggle(),
                _ if chord.is(KeyCode::F(3)) && self.offers_broker => return self.start_broker(),
                _ if chord.is(KeyCode::F(4)) && self.offers_offline => return self.submit(Wish::GoOffline),
                _ if chord.is(KeyCode::Tab) || chord.is(KeyCode::Down) => return self.step(1),
                _ if chord.is(KeyCode::BackTab) || chord.is(KeyCode::Up) => return self.step(-1),
                _ => {}
            }
        }
        if self.busy.is_some() {
            return Wish::Nothing;
        }
        // What is cut out of a password must not come back elsewhere.
        let mut secret = String::new();
        let (field, editor) = (self.field, self.editor_mut());
        let kills = if is_secret(field) { &mut secret } else { kills };
        if edit_line(editor, input, kills) {
            (self.problem, self.hint) = (None, None);
        }
        Wish::Nothing
    }

    fn editor_mut(&mut self) -> &mut Editor {
        match self.field {
            Field::Name => &mut self.name,
            Field::Password => &mut self.password,
            Field::Again => &mut self.again,
            Field::Invite => &mut self.invite,
            Field::Broker => &mut self.broker,
        }
    }

    fn step(&mut self, by: isize) -> Wish {
        let fields = self.fields();
        let at = fields.iter().position(|field| *field == self.field).unwrap_or(0);
        self.field = fields[(at + fields.len()).saturating_add_signed(by) % fields.len()];
        Wish::Nothing
    }

    fn toggle(&mut self) -> Wish {
        self.sign_up = !self.sign_up;
        (self.problem, self.hint) = (None, None);
        if !self.fields().contains(&self.field) {
            self.field = Field::Password;
        }
        Wish::Nothing
    }

    fn start_broker(&mut self) -> Wish {
        match self.uri() {
            Ok(broker) => Wish::StartBroker(Choice { broker, sign_up: None }),
            Err(problem) => self.complain(Field::Broker, problem),
        }
    }

    /// Goes on with what was filled in; asks for what is missing, field by field.
    fn submit(&mut self, wish: impl FnOnce(Choice) -> Wish) -> Wish {
        // Names have no capitals, but people begin names with one.
        let name = self.name.text().trim().to_lowercase();
        if let Err(error) = check_user_name(&name) {
            let problem = if name.is_empty() {
                "Type your name: the one your friends know you by.".to_owned()
            } else {
                format!("Check the name: {error}.")
            };
            return self.complain(Field::Name, problem);
        }
        if self.password.is_empty() {
            return self.complain(Field::Password, "Type your password.".to_owned());
        }
        if self.sign_up && self.again.is_empty() {
            return self.complain(Field::Again, "Type the password again, to be sure of it.".to_owned());
        }
        if self.sign_up && self.again.text() != self.password.text() {
            self.again = Editor::default();
            return self.complain(Field::Again, "The two passwords differ. Type it again.".to_owned());
        }
        let broker = match self.uri() {
            Ok(broker) => broker.with_login(&name, self.password.text()),
            Err(problem) => return self.complain(Field::Broker, problem),
        };
        let invite = self.invite.text().trim();
        let sign_up = self.sign_up.then(|| match invite {
            "" => SignUp::Open,
            token => SignUp::Invite(token.to_owned()),
        });
        self.problem = None;
        wish(Choice { broker, sign_up })
    }

    fn uri(&self) -> Result<BrokerUri, String> {
        let typed = self.broker.text().trim();
        if typed.is_empty() {
            return Err("Type where the broker is, e.g. 127.0.0.1:5672.".to_owned());
        }
        // Most people know a name and a port.
        let uri = if typed.contains("://") { typed.to_owned() } else { format!("amqp://{typed}") };
        uri.parse().map_err(|error| format!("{error}."))
    }

    fn complain(&mut self, field: Field, problem: String) -> Wish {
        (self.field, self.problem, self.hint) = (field, Some(problem), None);
        Wish::Nothing
    }

    /// The person was not let in. `known`: there is something to see without a broker.
    pub fn refused(&mut self, refusal: Refusal, known: bool) {
        self.problem = Some(refusal.reason);
        (self.offers_broker, self.offers_offline) = (refusal.no_broker, known);
        self.hint = refusal.no_broker.then(|| {
            "F3 starts a broker here, for people on this machine and as long as Warren runs.".to_owned()
        });
        if !refusal.no_broker {
            self.field = Field::Password;
        }
    }

    pub fn broker_started(&mut self, told: Result<String, String>) {
        match told {
            Ok(told) => {
                (self.problem, self.hint) = (None, Some(told));
                (self.offers_broker, self.offers_offline) = (false, false);
            }
            Err(problem) => (self.problem, self.hint) = (Some(problem), None),
        }
    }

    /// The keys that do something now.
    pub fn keys(&self) -> Vec<(&'static str, &'static str)> {
        if self.busy.is_some() {
            return vec![("Esc", "stops waiting"), ("Ctrl-Q", "leaves")];
        }
        let (enter, other) = match self.sign_up {
            false => ("signs in", "makes an account"),
            true => ("makes the account", "signs in instead"),
        };
        let mut keys = vec![("Enter", enter), ("F2", other)];
        if self.offers_broker {
            keys.push(("F3", "starts a broker here"));
        }
        if self.offers_offline {
            keys.push(("F4", "goes on offline"));
        }
        keys.extend([("Tab", "next"), ("Ctrl-Q", "leaves")]);
        keys
    }
}

pub fn is_secret(field: Field) -> bool {
    matches!(field, Field::Password | Field::Again)
}

pub fn label(field: Field) -> &'static str {
    match field {
        Field::Name => "Name",
        Field::Password => "Password",
        Field::Again => "Again",
        Field::Invite => "Invitation",
        Field::Broker => "Broker",
    }
}

/// What stands in a field that is empty.
pub fn placeholder(field: Field) -> &'static str {
    match field {
        Field::Name => "small letters, digits, - _ .",
        Field::Password | Field::Again => "",
        Field::Invite => "only if the broker asks for one",
        Field::Broker => "127.0.0.1:5672",
    }
}
