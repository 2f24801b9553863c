//! ★ Everything that can be done, found by a few letters; its keys are shown with it.

use super::picker::{Pick, Picker};
use super::{Context, Input, Intent, Reply, command};
use crate::tui::action::{ACTIONS, Action, Argument, Spec};

#[derive(Debug, Clone)]
pub struct Palette {
    pub picker: Picker,
}

impl Palette {
    pub fn new() -> Self {
        Palette { picker: Picker::new(labels().iter().map(String::as_str)) }
    }

    /// What fits, the best first.
    pub fn matches(&self) -> impl ExactSizeIterator<Item = &'static Spec> {
        let offered: Vec<&'static Spec> = offered().collect();
        self.picker.found.clone().into_iter().map(move |item| offered[item])
    }

    pub(super) fn handle(&mut self, input: Input<'_>, context: &Context, kills: &mut String) -> Reply {
        // The key that opened it closes it too.
        if let Input::Key(chord, _) = input
            && context.keymap.binds(chord, Action::Palette)
        {
            return Reply::Close;
        }
        match self.picker.handle(input, labels().iter().map(String::as_str), kills) {
            Pick::Ignored => Reply::Ignored,
            Pick::Consumed => Reply::Consumed,
            Pick::Close => Reply::Close,
            Pick::Taken(item) => offered().nth(item).map_or(Reply::Close, |spec| take(spec, context)),
        }
    }
}

/// Does it, or asks for what is missing.
fn take(spec: &Spec, context: &Context) -> Reply {
    let intent = match spec.argument {
        // Words may be left out: then a dialog asks, or it is about what is there.
        None | Some(Argument::None) => {
            Intent::Perform { action: spec.action, name: None, note: String::new() }
        }
        Some(Argument::Choice { needed: true, .. }) => Intent::TypeCommand(format!("{} ", spec.name)),
        Some(_) => command::parse(spec.name, context)
            .unwrap_or_else(|_| Intent::TypeCommand(format!("{} ", spec.name))),
    };
    Reply::CloseAnd(intent)
}

/// What a person would look for; keys that only move the cursor are left out.
fn offered() -> impl Iterator<Item = &'static Spec> {
    let hidden =
        [Action::Palette, Action::NormalMode, Action::InsertMode, Action::AppendMode, Action::CompleteTake];
    let left_out = move |spec: &&Spec| hidden.contains(&spec.action);
    ACTIONS.iter().filter(move |spec| !spec.description.is_empty() && !left_out(spec))
}

/// What is searched: words of the description and the name.
fn labels() -> Vec<String> {
    offered().map(|spec| format!("{} {}", spec.description, spec.name)).collect()
}
