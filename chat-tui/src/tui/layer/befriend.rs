//! ★ Asking somebody to be friends: a name and a note.

use crossterm::event::KeyCode;

use shared::message::NOTE_BYTES_MAX;
use shared::topology::{UserNameError, check_user_name};

use super::{Context, Input, Intent, Reply, edit_line, passes_through};
use crate::session::api::Command;
use crate::tui::editor::Editor;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Name,
    Note,
}

#[derive(Debug, Clone)]
pub struct Befriend {
    pub name: Editor,
    pub note: Editor,
    pub field: Field,
    /// What is wrong, and what to do.
    pub problem: Option<String>,
}

impl Befriend {
    /// With `name` filled in already, if it is known.
    pub fn new(name: &str) -> Self {
        let field = if name.is_empty() { Field::Name } else { Field::Note };
        Befriend { name: Editor::new(name), note: Editor::default(), field, problem: None }
    }

    pub(super) fn handle(&mut self, input: Input<'_>, context: &Context, kills: &mut String) -> Reply {
        if let Input::Key(chord, action) = input {
            if passes_through(action) {
                return Reply::Ignored;
            }
            if chord.is(KeyCode::Esc) {
                return Reply::Close;
            }
            if chord.is(KeyCode::Enter) {
                return self.submit(context);
            }
            if [KeyCode::Tab, KeyCode::BackTab, KeyCode::Up, KeyCode::Down]
                .into_iter()
                .any(|key| chord.is(key))
            {
                self.other_field();
                return Reply::Consumed;
            }
        }
        let editor = match self.field {
            Field::Name => &mut self.name,
            Field::Note => &mut self.note,
        };
        if edit_line(editor, input, kills) {
            self.problem = None;
        }
        Reply::Consumed
    }

    fn other_field(&mut self) {
        self.field = match self.field {
            Field::Name => Field::Note,
            Field::Note => Field::Name,
        };
    }

    fn submit(&mut self, context: &Context) -> Reply {
        let note = self.note.text().trim();
        let (problem, field) = match check_name(self.name.text(), context) {
            Err(problem) => (problem, Field::Name),
            Ok(name) => match check_note(note) {
                Err(problem) => (problem, Field::Note),
                Ok(()) => {
                    return Reply::CloseAnd(Intent::Session(Command::Befriend {
                        name,
                        note: note.to_owned(),
                    }));
                }
            },
        };
        self.problem = Some(problem);
        self.field = field;
        Reply::Consumed
    }
}

/// The name that was meant, if it can be asked to be a friend; the error says what to do.
pub fn check_name(typed: &str, context: &Context) -> Result<String, String> {
    // Names have no capitals, but people begin names with one.
    let name = typed.trim().to_lowercase();
    match check_user_name(&name) {
        Err(UserNameError::Empty) => {
            return Err("Type the name of the person, as they gave it to you.".to_owned());
        }
        Err(problem) => return Err(format!("Check the name: {problem}.")),
        Ok(()) => {}
    }
    if name == context.user {
        return Err("That is you. Type the name of somebody else.".to_owned());
    }
    if context.is_friend(&name) {
        return Err(format!("You and {name} are friends already."));
    }
    Ok(name)
}

pub fn check_note(note: &str) -> Result<(), String> {
    match note.len().checked_sub(NOTE_BYTES_MAX) {
        None | Some(0) => Ok(()),
        Some(over) => Err(format!("The note is {over} bytes too long. Say the rest when you are friends.")),
    }
}
