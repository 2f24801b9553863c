//! ★ What is offered for the word that is being typed, and taking it.

use crate::tui::complete::{self, Completion};
use crate::tui::model::Model;

/// Looks anew at the word before the cursor. What was chosen stays chosen as long as the same is offered.
pub fn offer(model: &mut Model) {
    let found = find(model);
    let start = found.as_ref().map(|completion| completion.start);
    if model.completion_refused.is_some() && model.completion_refused != start {
        model.completion_refused = None;
    }
    model.completion = match (found, model.completion.take()) {
        (Some(found), _) if model.completion_refused == Some(found.start) => None,
        (Some(found), Some(old)) if (found.start, &found.offers) == (old.start, &old.offers) => Some(old),
        (found, _) => found,
    };
}

fn find(model: &Model) -> Option<Completion> {
    if !model.layers.is_empty() || model.normal || !model.can_write() {
        return None;
    }
    let editor = model.conversation()?.composer.editor();
    let shown = model.shown_friend();
    let others = model.friends.iter().map(|friend| friend.name.as_str()).filter(|name| Some(*name) != shown);
    let people = shown.into_iter().chain(others).chain([model.user.as_str()]);
    complete::complete(editor.text(), editor.cursor(), people)
}

/// Takes what is chosen.
pub fn take(model: &mut Model) -> bool {
    let Some(completion) = model.completion.take() else { return false };
    let Some(offer) = completion.offers.get(completion.chosen) else { return false };
    let Some(conversation) = model.conversation_mut() else { return false };
    conversation.composer.complete(completion.start, &offer.insert);
    true
}

/// A whole `:name:` becomes its emoji; undo brings the name back.
pub fn replace_shortcode(model: &mut Model) {
    let Some(conversation) = model.conversation_mut() else { return };
    let editor = conversation.composer.editor();
    if let Some((start, emoji)) = complete::shortcode(&editor.text()[..editor.cursor()]) {
        conversation.composer.complete(start, emoji);
    }
}
