//! ★ Actions about one person.

use jiff::Timestamp;

use super::{Effect, act, inform, message};
use crate::session::api::{Command, Direction, FriendStatus};
use crate::tui::action::Action;
use crate::tui::layer::Layer;
use crate::tui::layer::confirm::Confirm;
use crate::tui::layout::Pane;
use crate::tui::model::{Closed, Entry, Model};

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
            tell(model, Command::Accept { name }, now, effects);
        }
        Action::Decline => tell(model, Command::Decline { name }, now, effects),
        Action::Withdraw => tell(model, Command::Withdraw { name }, now, effects),
        Action::Unblock => tell(model, Command::Unblock { name }, now, effects),
        Action::Mute => {
            let muted = !model.friend(&name).is_some_and(|f| f.muted);
            let text = match muted {
                true => format!("{name} no longer calls for your attention. /mute lifts it."),
                false => format!("{name} calls for your attention again."),
            };
            inform(model, text, now);
            effects.push(Effect::Session(Command::Mute { name, muted }));
        }
        Action::Archive => {
            let archived = !model.friend(&name).is_some_and(|f| f.archived);
            let text = match archived {
                true => format!("{name} is hidden until something new comes. /archived shows who is."),
                false => format!("{name} is back in the list."),
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
    if let Command::Befriend { name, .. } = &command {
        inform(
            model,
            format!("Your request to {name} is on its way. The answer will show in the list."),
            now,
        );
    }
    effects.push(Effect::Session(command));
}

/// Whom the befriend dialog should name: the friend shown, when that one no longer is.
pub fn former_shown(model: &Model) -> String {
    match (model.closed(), model.shown_friend()) {
        (Some(Closed::Former), Some(name)) => name.to_owned(),
        _ => String::new(),
    }
}
