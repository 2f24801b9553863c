//! ★ Actions about one person.

use jiff::Timestamp;

use super::{Effect, act, inform, message};
use crate::session::api::{Command, Direction, FriendStatus};
use crate::tui::action::Action;
use crate::tui::layer::Layer;
use crate::tui::layer::confirm::{Confirm, days_text};
use crate::tui::layout::Pane;
use crate::tui::model::{Closed, Entry, Model, is_open};

/// What is done by a single key, which may have been meant as the first letter of a text: what the other one hears of is
/// asked before.
pub fn ask_about(model: &mut Model, action: Action, name: String, now: Timestamp, effects: &mut Vec<Effect>) {
    let waits = model.request(&name, Direction::Outgoing).is_some_and(is_open);
    let question = match action {
        Action::Decline => Confirm::decline(&name),
        // One that was answered, or did not arrive, is only cleared away.
        Action::Withdraw if waits => Confirm::withdraw(&name),
        _ => return about(model, action, name, now, effects),
    };
    model.layers.push(Layer::Confirm(question));
}

/// Actions about one person.
pub fn about(model: &mut Model, action: Action, name: String, now: Timestamp, effects: &mut Vec<Effect>) {
    let is_friend = model.friend(&name).is_some_and(|f| f.status == FriendStatus::Friend);
    match action {
        Action::Switch => {
            let listed = model.entries().into_iter().find(|entry| entry.name() == name);
            let entry =
                listed.or_else(|| model.friend(&name).map(|friend| Entry::Friend(friend.name.clone())));
            if let Some(entry) = entry {
                act::select(model, entry, effects);
                model.pane = Pane::Conversation;
            }
        }
        Action::Accept if model.request(&name, Direction::Incoming).is_some() => {
            model.expected = Some(name.clone());
            // What was said of the request is settled by it.
            model.notice = None;
            tell(model, Command::Accept { name }, now, effects);
        }
        Action::Decline => tell(model, Command::Decline { name }, now, effects),
        Action::Withdraw => tell(model, Command::Withdraw { name }, now, effects),
        Action::Unblock => tell(model, Command::Unblock { name }, now, effects),
        Action::Mute => {
            let called = model.called(&name);
            let muted = !model.friend(&name).is_some_and(|f| f.muted);
            let text = match muted {
                true => format!("{called} no longer calls for your attention. /mute lifts it."),
                false => format!("{called} calls for your attention again."),
            };
            inform(model, text, now);
            effects.push(Effect::Session(Command::Mute { name, muted }));
        }
        Action::Archive => {
            let called = model.called(&name);
            let archived = !model.friend(&name).is_some_and(|f| f.archived);
            let text = match archived {
                true => format!("{called} is hidden until something new comes. /archived shows who is."),
                false => format!("{called} is back in the list."),
            };
            inform(model, text, now);
            effects.push(Effect::Session(Command::Archive { name, archived }));
        }
        Action::Block => model.layers.push(Layer::Confirm(Confirm::block(&name))),
        Action::Unfriend if is_friend => model.layers.push(Layer::Confirm(Confirm::unfriend(&name))),
        _ => {}
    }
}

pub fn tell(model: &mut Model, command: Command, now: Timestamp, effects: &mut Vec<Effect>) {
    if let Command::Delete { .. } = &command {
        message::stop(model);
    }
    if let Some(text) = done(model, &command) {
        inform(model, text, now);
    }
    effects.push(Effect::Session(command));
}

/// What the person hears of a command; nothing where they see what it does.
fn done(model: &Model, command: &Command) -> Option<String> {
    Some(match command {
        Command::Befriend { name, .. } => {
            format!("Your request to {name} is on its way. The answer will show in the list.")
        }
        Command::Decline { name } => format!("You have declined the request of {name}."),
        Command::Withdraw { name } if model.request(name, Direction::Outgoing).is_some_and(is_open) => {
            format!("Your request to {name} is taken back.")
        }
        Command::SetRetention { days: None } => "All messages are kept.".to_owned(),
        Command::SetRetention { days: Some(days) } => {
            format!("Messages are forgotten here after {}.", days_text(*days))
        }
        _ => return None,
    })
}

/// Whom the befriend dialog should name: the friend shown, when that one no longer is.
pub fn former_shown(model: &Model) -> String {
    match (model.closed(), model.shown_friend()) {
        (Some(Closed::Former), Some(name)) => name.to_owned(),
        _ => String::new(),
    }
}
