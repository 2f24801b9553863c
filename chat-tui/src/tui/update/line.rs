//! ★ Whole lines in place of keys, where there is no screen: commands, answers to questions, messages.

use jiff::Timestamp;

use super::{Effect, act, complain, inform, write};
use crate::tui::action::Action;
use crate::tui::layer::{Context, Layer, command};
use crate::tui::model::{Entry, Model};

pub fn line(model: &mut Model, text: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    if let Some(Layer::Confirm(question)) = model.layers.last() {
        let intent = question.agreed();
        model.layers.pop();
        return match text.trim().to_lowercase().as_str() {
            "y" | "yes" => act::intend(model, intent, now, effects),
            _ => inform(model, "Nothing was done.", now),
        };
    }
    match text.strip_prefix('/') {
        // Two of them begin a message with one.
        Some(message) if message.starts_with('/') => say(model, message, now, effects),
        Some(line) => match command::parse(line.trim_end(), &Context::of(model)) {
            Ok(intent) => act::intend(model, intent, now, effects),
            Err(problem) => complain(model, problem, now),
        },
        None => say(model, text, now, effects),
    }
}

fn say(model: &mut Model, text: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    if text.trim().is_empty() {
        return;
    }
    let Some(Entry::Friend(name)) = model.selected.clone() else {
        return complain(model, "To whom? /switch NAME says it, /switch alone shows who there is.", now);
    };
    if let Some(closed) = model.closed() {
        let problem = write::closed_explanation(model, closed, &name);
        return complain(model, format!("Not sent. {problem}"), now);
    }
    model.open(&name).composer.replace(text);
    act::perform(model, Action::Send, now, effects);
}
