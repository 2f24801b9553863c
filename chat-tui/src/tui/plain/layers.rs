//! ★ What opens over the screen elsewhere, as lines.

use super::{Plain, Said};
use crate::tui::action::slash_commands;
use crate::tui::layer::Layer;
use crate::tui::layer::search::Search;
use crate::tui::model::Entry;

impl Plain {
    /// What a layer asks or shows, as lines. Only a question stays open.
    pub(super) fn without_screen(&mut self, layer: &Layer) -> Vec<Said> {
        if let Layer::Confirm(question) = layer {
            let text = format!("{} {} Type yes or no.", question.question, question.explanation);
            return vec![Said::Info(text)];
        }
        self.model.layers.clear();
        match layer {
            Layer::Help(_) => help().into_iter().map(Said::Info).collect(),
            Layer::Befriend(_) => vec![Said::Problem("Whom? /befriend NAME NOTE".to_owned())],
            Layer::Switcher(_) => self.people(),
            Layer::Search(search) => self.look_for(search),
            Layer::React(_) => {
                let text = "Which mark? /react 👍 or /react thumbsup; /react off takes yours back.";
                vec![Said::Problem(text.to_owned())]
            }
            Layer::Links(links) => {
                let numbered = links.links.iter().zip(1..).map(|(link, n)| Said::Info(format!("{n} {link}")));
                let how = Said::Info("Which one? /open-link NUMBER opens it.".to_owned());
                numbered.chain([how]).collect()
            }
            Layer::Notices(notices) if notices.is_empty() => {
                vec![Said::Info("Nothing was told yet.".to_owned())]
            }
            Layer::Notices(notices) => notices.texts().map(|text| Said::Info(text.to_owned())).collect(),
            Layer::Palette(_) | Layer::Command(_) | Layer::Confirm(_) => {
                vec![Said::Problem("That needs the screen: start chat-tui without --plain.".to_owned())]
            }
        }
    }

    /// The question is on its way already.
    fn look_for(&mut self, search: &Search) -> Vec<Said> {
        if search.is_too_short() {
            return vec![Said::Problem("What? /search WORDS, with two letters or more.".to_owned())];
        }
        self.searching = Some(search.query());
        Vec::new()
    }

    fn people(&self) -> Vec<Said> {
        let entries = self.model.entries();
        if entries.is_empty() {
            return vec![Said::Info("Nobody yet. /befriend NAME asks somebody to be friends.".to_owned())];
        }
        let line = |entry: Entry| match entry {
            Entry::Incoming(name) => format!("{name} asks to be your friend"),
            Entry::Outgoing(name) => format!("{name}, asked by you"),
            Entry::Friend(name) => match self.model.friend(&name).map_or(0, |friend| friend.unread) {
                0 => name,
                unread => format!("{name}, {unread} unread"),
            },
        };
        entries.into_iter().map(|entry| Said::Info(line(entry))).collect()
    }
}

fn help() -> Vec<String> {
    let rules = [
        "A line is a message to whom you write to; /switch NAME says who that is.".to_owned(),
        "A \\ at the end of a line goes on in the next; // begins a message with a slash.".to_owned(),
        "/reply, /edit, /delete, /react, /copy, /open-link and /retry are about the message chosen, or the newest. \
         /newest, /page-up and /search show numbers to choose by."
            .to_owned(),
    ];
    let commands = slash_commands().map(|(spec, slash)| format!("{}: {}", slash.usage(), spec.description));
    rules.into_iter().chain(commands).collect()
}
