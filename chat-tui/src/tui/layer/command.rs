//! ★ The line for slash commands, with completion.

use crossterm::event::KeyCode;

use super::{Context, Input, Intent, Person, Reply, befriend, edit_line, passes_through};
use crate::session::api::{Direction, FriendStatus};
use crate::tui::action::{Action, Argument, Slash, Spec, slash_commands};
use crate::tui::editor::{Edit, Editor};

#[derive(Debug, Clone)]
pub struct CommandLine {
    /// Without the leading slash.
    pub editor: Editor,
    /// An index into the completions.
    pub chosen: usize,
    pub problem: Option<String>,
}

/// One way to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The whole line when it is taken, without the slash.
    pub line: String,
    pub label: String,
    pub description: String,
}

impl CommandLine {
    /// With `line` typed already.
    pub fn new(line: &str) -> Self {
        CommandLine { editor: Editor::new(line), chosen: 0, problem: None }
    }

    pub(super) fn handle(&mut self, input: Input<'_>, context: &Context, kills: &mut String) -> Reply {
        if let Input::Key(chord, action) = input {
            if passes_through(action) {
                return Reply::Ignored;
            }
            let empties = action == Some(Action::Edit(Edit::DeleteLeft)) && self.editor.is_empty();
            match () {
                _ if chord.is(KeyCode::Esc) || empties => return Reply::Close,
                _ if chord.is(KeyCode::Enter) => return self.run(context),
                _ if chord.is(KeyCode::Tab) => return self.complete(context),
                _ if chord.is(KeyCode::Up) || chord.is(KeyCode::BackTab) => return self.choose(-1, context),
                _ if chord.is(KeyCode::Down) => return self.choose(1, context),
                _ if chord.typed() == Some('/') && self.editor.is_empty() => {
                    return Reply::CloseAnd(Intent::TypeSlash);
                }
                _ => {}
            }
        }
        if edit_line(&mut self.editor, input, kills) {
            self.chosen = 0;
            self.problem = None;
        }
        Reply::Consumed
    }

    fn choose(&mut self, step: isize, context: &Context) -> Reply {
        let count = completions(self.editor.text(), context).len().max(1);
        self.chosen = (self.chosen + count).saturating_add_signed(step) % count;
        Reply::Consumed
    }

    fn complete(&mut self, context: &Context) -> Reply {
        if let Some(completion) = completions(self.editor.text(), context).into_iter().nth(self.chosen) {
            self.editor.replace(&completion.line);
            self.chosen = 0;
        }
        Reply::Consumed
    }

    /// Where a word has to be chosen, shows those there are, and then takes the highlighted one.
    fn take_choice(&mut self, context: &Context) -> Option<Reply> {
        let line = self.editor.text();
        let (word, typed) = split(line);
        let (_, slash) = find(word)?;
        let Argument::Choice { needed, .. } = slash.argument else { return None };
        if needed && !line.contains(char::is_whitespace) {
            self.editor.replace(&format!("{} ", slash.name));
            return Some(Reply::Consumed);
        }
        // A number is meant as it stands, even if another one begins so.
        let unfinished = if typed.is_empty() { needed } else { typed.chars().all(char::is_alphabetic) };
        if unfinished && let Some(choice) = completions(line, context).into_iter().nth(self.chosen) {
            self.editor.replace(&choice.line);
        }
        None
    }

    fn run(&mut self, context: &Context) -> Reply {
        // What is highlighted is what is meant, unless a whole command stands there already.
        let (word, _) = split(self.editor.text());
        if find(word).is_none() {
            match completions(self.editor.text(), context).into_iter().nth(self.chosen) {
                Some(completion) => self.editor.replace(&completion.line),
                None if word.is_empty() => return Reply::Close,
                None => {
                    self.problem = Some(format!("There is no command /{word}. /help shows those there are."));
                    return Reply::Consumed;
                }
            }
            self.chosen = 0;
        }
        if let Some(reply) = self.take_choice(context) {
            return reply;
        }
        match parse(self.editor.text(), context) {
            Ok(intent) => Reply::CloseAnd(intent),
            Err(problem) => {
                self.problem = Some(problem);
                Reply::Consumed
            }
        }
    }
}

/// The words that begin like what is typed.
fn choices(slash: Slash, of: &[&str], typed: &str) -> Vec<Completion> {
    let fitting = of.iter().filter(|word| word.starts_with(&typed.to_ascii_lowercase()));
    fitting
        .map(|word| Completion {
            line: format!("{} {word}", slash.name),
            label: (*word).to_owned(),
            description: String::new(),
        })
        .collect()
}

fn split(line: &str) -> (&str, &str) {
    match line.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim()),
        None => (line, ""),
    }
}

fn find(word: &str) -> Option<(&'static Spec, Slash)> {
    slash_commands().find(|(_, slash)| slash.name.eq_ignore_ascii_case(word))
}

/// What a whole line means. A name that is left out is that of whoever is shown.
pub fn parse(line: &str, context: &Context) -> Result<Intent, String> {
    let (word, rest) = split(line);
    let Some((spec, slash)) = find(word) else {
        return Err(format!("There is no command /{word}. /help shows those there are."));
    };
    let (name, note) = split(rest);
    match slash.argument {
        Argument::None if !rest.is_empty() => return Err(format!("Type only /{}.", slash.name)),
        Argument::None => {}
        Argument::Words(_) | Argument::Choice { .. } => {
            return Ok(Intent::Perform { action: spec.action, name: None, note: rest.to_owned() });
        }
        Argument::NameAndNote | Argument::Anybody if rest.is_empty() => {}
        Argument::NameAndNote => {
            befriend::check_note(note)?;
            return Ok(perform(spec, &befriend::check_name(name, context)?, note));
        }
        _ if !note.is_empty() => return Err(format!("One name, please: {}", slash.usage())),
        kind if name.is_empty() => {
            let shown = context.people.iter().find(|p| Some(&p.entry) == context.selected.as_ref());
            return match shown.filter(|p| fits(kind, p)) {
                Some(person) => Ok(perform(spec, person.entry.name(), "")),
                None => Err(format!("Whom? {}", slash.usage())),
            };
        }
        kind => check_known(kind, name, context)?,
    }
    Ok(perform(spec, name, note))
}

fn perform(spec: &Spec, name: &str, note: &str) -> Intent {
    let name = Some(name.to_owned()).filter(|n| !n.is_empty());
    Intent::Perform { action: spec.action, name, note: note.to_owned() }
}

fn check_known(kind: Argument, name: &str, context: &Context) -> Result<(), String> {
    if context.people.iter().any(|p| p.entry.name() == name && fits(kind, p)) {
        return Ok(());
    }
    Err(match kind {
        Argument::Friend => format!("{name} is not among your friends."),
        Argument::Incoming => format!("There is no friend request from {name}."),
        Argument::Outgoing => format!("You have not asked {name}."),
        Argument::Blocked => format!("{name} is not blocked."),
        // Whoever troubles people can be blocked without having been in the list.
        Argument::Anybody => format!("There is nobody called {name} in your list."),
        Argument::Known
        | Argument::None
        | Argument::NameAndNote
        | Argument::Words(_)
        | Argument::Choice { .. } => return Ok(()),
    })
}

fn fits(kind: Argument, person: &Person) -> bool {
    match kind {
        Argument::None | Argument::Words(_) | Argument::Choice { .. } => false,
        Argument::Known => person.status != Some(FriendStatus::Blocked),
        Argument::Anybody => true,
        Argument::NameAndNote => person.status == Some(FriendStatus::Former),
        Argument::Friend => person.status == Some(FriendStatus::Friend),
        Argument::Incoming => person.is_request(Direction::Incoming),
        Argument::Outgoing => person.is_request(Direction::Outgoing),
        Argument::Blocked => person.status == Some(FriendStatus::Blocked),
    }
}

/// The ways to go on from `line`: commands while the first word is typed, then names.
pub fn completions(line: &str, context: &Context) -> Vec<Completion> {
    match line.split_once(char::is_whitespace) {
        None => slash_commands()
            .filter(|(_, slash)| slash.name.starts_with(&line.to_ascii_lowercase()))
            .map(|(spec, slash)| {
                let space = if slash.argument == Argument::None { "" } else { " " };
                let line = format!("{}{space}", slash.name);
                Completion { line, label: slash.usage(), description: spec.description.to_owned() }
            })
            .collect(),
        Some((word, typed)) => {
            let Some((_, slash)) = find(word) else { return Vec::new() };
            let typed = typed.trim_start();
            if let Argument::Choice { of, .. } = slash.argument {
                return choices(slash, of, typed);
            }
            let begins = |name: &str| name.to_lowercase().starts_with(&typed.to_lowercase());
            let mut people: Vec<&Person> = context
                .people
                .iter()
                .filter(|p| fits(slash.argument, p) && (begins(p.entry.name()) || begins(&p.label)))
                .collect();
            people.dedup_by_key(|p| p.entry.name());
            let space = if slash.argument == Argument::NameAndNote { " " } else { "" };
            people
                .into_iter()
                .map(|person| Completion {
                    line: format!("{} {}{space}", slash.name, person.entry.name()),
                    label: person.label.clone(),
                    description: String::new(),
                })
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::keymap::Keymap;
    use crate::tui::model::Entry;

    fn context() -> Context {
        let person = |entry: Entry, status| {
            let label = entry.name().to_owned();
            Person { entry, status, label, unread: 0, archived: false }
        };
        Context {
            user: "alice".into(),
            people: vec![
                person(Entry::Incoming("carol".into()), None),
                person(Entry::Outgoing("dave".into()), None),
                person(Entry::Friend("bob".into()), Some(FriendStatus::Friend)),
                person(Entry::Friend("bert".into()), Some(FriendStatus::Friend)),
                person(Entry::Friend("mallory".into()), Some(FriendStatus::Blocked)),
            ],
            selected: Some(Entry::Incoming("carol".into())),
            keymap: Keymap::default(),
            size: (80, 24),
        }
    }

    fn does(action: Action, name: &str, note: &str) -> Result<Intent, String> {
        let name = Some(name.to_owned()).filter(|n| !n.is_empty());
        Ok(Intent::Perform { action, name, note: note.into() })
    }

    #[test]
    fn lines_mean_what_they_say() {
        let table = [
            ("befriend erin we met at work", does(Action::Befriend, "erin", "we met at work")),
            ("befriend", does(Action::Befriend, "", "")),
            ("befriend alice", Err("That is you. Type the name of somebody else.".into())),
            ("befriend bob", Err("You and bob are friends already.".into())),
            ("accept carol", does(Action::Accept, "carol", "")),
            ("ACCEPT", does(Action::Accept, "carol", "")),
            ("unfriend", Err("Whom? /unfriend NAME".into())),
            ("unfriend bob", does(Action::Unfriend, "bob", "")),
            ("unfriend zoe", Err("zoe is not among your friends.".into())),
            ("unblock bob", Err("bob is not blocked.".into())),
            ("block zoe", does(Action::Block, "zoe", "")),
            ("quit", does(Action::Quit, "", "")),
            ("quit now", Err("Type only /quit.".into())),
            ("nonsense", Err("There is no command /nonsense. /help shows those there are.".into())),
        ];
        for (line, want) in table {
            assert_eq!(parse(line, &context()), want, "{line:?}");
        }
    }

    #[test]
    fn completes_commands_then_names() {
        let table: &[(&str, &[&str])] = &[
            ("un", &["unfriend ", "unblock "]),
            ("q", &["quit"]),
            ("unfriend ", &["unfriend bob", "unfriend bert"]),
            ("unfriend be", &["unfriend bert"]),
            ("accept ", &["accept carol"]),
            ("unblock ", &["unblock mallory"]),
            ("away ", &[]),
            ("zzz", &[]),
        ];
        for (line, want) in table {
            let lines: Vec<String> = completions(line, &context()).into_iter().map(|c| c.line).collect();
            assert_eq!(&lines, want, "{line:?}");
        }
    }
}
