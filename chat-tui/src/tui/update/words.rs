//! ★ Actions that take words, as they are typed behind a slash command.

use jiff::Timestamp;

use shared::message::AWAY_NOTE_BYTES_MAX;

use super::{Effect, complain, inform, message, people, write};
use crate::session::api::{Command, ExportFormat, FriendStatus};
use crate::store::RETENTION_DAYS_MAX;
use crate::tui::action::Action;
use crate::tui::layer::Layer;
use crate::tui::layer::confirm::Confirm;
use crate::tui::layer::search::Search;
use crate::tui::model::Model;
use crate::tui::theme::Look;

pub fn perform(model: &mut Model, action: Action, words: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    match action {
        Action::Search => search(model, words, effects),
        Action::React => message::react(model, words, now, effects),
        Action::Choose => choose(model, words, now, effects),
        Action::OpenLink => message::open_link(model, words, now, effects),
        Action::Me => me(model, words, now, effects),
        Action::Export => export(model, words, now, effects),
        Action::Retention => retention(model, words, now, effects),
        Action::Away => away(model, words, now, effects),
        Action::Theme => theme(model, words, now, effects),
        Action::Nickname => nickname(model, words, now, effects),
        _ => {}
    }
}

fn search(model: &mut Model, words: &str, effects: &mut Vec<Effect>) {
    let mut search = Search::new(words, model.shown_friend());
    effects.extend(search.question().map(Effect::Session));
    model.layers.push(Layer::Search(search));
}

fn choose(model: &mut Model, row: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    match row.parse() {
        _ if row.is_empty() => message::choose(model, now),
        Ok(row) => message::choose_row(model, row, now, effects),
        Err(_) => complain(model, "Type /choose, or /choose and the number of a message.", now),
    }
}

fn me(model: &mut Model, deed: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    let Some(to) = model.shown_friend().map(str::to_owned) else {
        return complain(model, "There is nobody to tell.", now);
    };
    if deed.is_empty() {
        return complain(model, "What do you do? Type e.g. /me waves.", now);
    }
    if write::writable(model, now) {
        effects.push(Effect::Session(Command::Send { to, text: format!("/me {deed}") }));
    }
}

fn export(model: &mut Model, words: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    let Some(friend) = model.shown_friend().map(str::to_owned) else {
        return complain(model, "There is no conversation to write to a file.", now);
    };
    let (format, file) = match words.split_once(char::is_whitespace).unwrap_or((words, "")) {
        ("" | "text", file) => (ExportFormat::Text, file),
        ("json", file) => (ExportFormat::Json, file),
        _ => return complain(model, "Type /export text or /export json, and a file if you like.", now),
    };
    let ending = if format == ExportFormat::Json { "json" } else { "txt" };
    let day = model.local(now).date();
    let path = match file.trim() {
        "" => format!("warren-{friend}-{day}.{ending}"),
        file => file.to_owned(),
    };
    inform(model, format!("Writing the conversation with {friend} to {path} …"), now);
    effects.push(Effect::Session(Command::Export { friend, format, path: path.into() }));
}

fn retention(model: &mut Model, words: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    let days = match (words, words.parse()) {
        ("off", _) => None,
        (_, Ok(days @ 1..=RETENTION_DAYS_MAX)) => Some(days),
        _ => {
            let how =
                "Type /retention and a number of days, after which messages are forgotten here, or off.";
            return complain(model, how, now);
        }
    };
    match days {
        Some(days) => model.layers.push(Layer::Confirm(Confirm::forget(days))),
        None => people::tell(model, Command::SetRetention { days }, now, effects),
    }
}

/// Away for this reason; being away already is no hindrance.
fn away(model: &mut Model, note: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    if note.len() > AWAY_NOTE_BYTES_MAX {
        let length = note.len();
        let problem =
            format!("That is {length} bytes long; at most {AWAY_NOTE_BYTES_MAX} say why you are away.");
        return complain(model, problem, now);
    }
    (model.away, model.auto_away) = (true, false);
    effects.push(Effect::Session(Command::SetAway(Some(note.to_owned()))));
    inform(model, format!("You are shown as away: {note}. /away brings you back."), now);
}

fn theme(model: &mut Model, words: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    let Some(look) = Look::named(words) else {
        return complain(model, "Type /theme and one of auto, dark, light, contrast, plain.", now);
    };
    effects.push(Effect::Theme(look));
    inform(
        model,
        format!("The colours are {words} until you leave; `theme` in the config file keeps them."),
        now,
    );
}

fn nickname(model: &mut Model, nickname: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    let is_listed = |name: &String| model.friend(name).is_some_and(|f| f.status != FriendStatus::Blocked);
    let Some(name) = model.shown_friend().map(str::to_owned).filter(is_listed) else {
        return complain(model, "There is no friend shown to give a nickname to.", now);
    };
    let text = match nickname {
        "" => format!("{name} is shown under that name."),
        nickname => format!("{name} is shown as {nickname}. /nickname alone takes that back."),
    };
    inform(model, text, now);
    effects.push(Effect::Session(Command::SetNickname { name, nickname: nickname.to_owned() }));
}
