//! What the scripted friend says and does. Pure.

use std::time::Duration;

pub const NAME: &str = "robin";
pub const NOTE: &str = "Hi! I am a small script. Accept me and say hello.";
const AWAY: Duration = Duration::from_secs(8);

#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    Say(String),
    GoOffline(Duration),
    Unfriend,
}

/// Robin's memory of a conversation.
#[derive(Debug, Default)]
pub struct Robin {
    friends_before: bool,
    small_talk: usize,
}

const HELP: &str = "Try: \"go offline\" (then write to me: it waits), \"unfriend me\" (then write to me: it comes \
                    back), \"long\" (a long message), or anything else.";

const SMALL_TALK: [&str; 6] = [
    "I see. Tell me more.",
    "Your message waited in a queue of mine that nobody else can read.",
    "Did you see the marks next to your message? Sent, delivered, read.",
    "Nobody sits between us: you write to my queue, I write to yours.",
    "If I went offline now, you could go on writing. Say \"go offline\" and see.",
    "That is about all I know. Say \"unfriend me\" to see how a friendship ends.",
];

impl Robin {
    /// They are friends now.
    pub fn greet(&mut self) -> Vec<Deed> {
        let greeting = match std::mem::replace(&mut self.friends_before, true) {
            false => "Friends! We have a queue each now, and nobody else can read them.",
            true => "Friends again, over new queues. The old ones are gone for good.",
        };
        vec![say(greeting), say(HELP)]
    }

    /// Somebody wrote.
    pub fn answer(&mut self, text: &str) -> Vec<Deed> {
        let text = text.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["unfriend"]) {
            return vec![
                say(
                    "As you wish: I delete my queue. Write once more and your message comes back. You can ask me \
                     again afterwards.",
                ),
                Deed::Unfriend,
            ];
        }
        if has(&["offline"]) {
            let seconds = AWAY.as_secs();
            let text =
                format!("I go offline for {seconds} seconds. Write something meanwhile: it will wait.");
            return vec![Deed::Say(text), Deed::GoOffline(AWAY)];
        }
        if has(&["help", "what can you"]) {
            return vec![say(HELP)];
        }
        if has(&["long"]) {
            return vec![Deed::Say(long_message())];
        }
        if has(&["hello", "hi ", "hey"]) || text.trim() == "hi" {
            return vec![say("Hello! How are you?")];
        }
        if text.trim_end().ends_with('?') {
            return vec![say("Good question. I am a script of two pages, so I do not know.")];
        }
        let next = SMALL_TALK[self.small_talk % SMALL_TALK.len()];
        self.small_talk += 1;
        vec![say(next)]
    }

    /// Back online; `waited` is what was written meanwhile.
    pub fn return_home(&mut self, waited: &[String]) -> Vec<Deed> {
        let text = match waited {
            [] => "I am back. Nothing was waiting for me.".to_owned(),
            [one] => format!("I am back, and this was waiting for me: “{one}”"),
            [first, .., last] => format!(
                "I am back. {} messages were waiting for me, in order, from “{first}” to “{last}”.",
                waited.len()
            ),
        };
        vec![Deed::Say(text)]
    }
}

fn say(text: &str) -> Deed {
    Deed::Say(text.to_owned())
}

fn long_message() -> String {
    let sentence =
        "A message may be as long as sixteen thousand bytes, and break into lines wherever it likes. ";
    let mut text = sentence.repeat(8);
    text.push_str("\n\n- It may have a list,\n- of several lines,\n- and emoji: 🐇 👩‍👩‍👧 and 漢字 as well.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(deeds: &[Deed]) -> &str {
        match &deeds[0] {
            Deed::Say(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn robin_does_what_it_is_asked() {
        let mut robin = Robin::default();
        assert_eq!(robin.answer("Please UNFRIEND me")[1], Deed::Unfriend);
        assert_eq!(robin.answer("go offline")[1], Deed::GoOffline(AWAY));
        for text in ["help", "hi", "what is this?", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "long"] {
            let deeds = robin.answer(text);
            assert_eq!(deeds.len(), 1, "{text}");
            assert!(says(&deeds).len() <= shared::message::TEXT_BYTES_MAX);
        }
    }

    #[test]
    fn robin_remembers() {
        let mut robin = Robin::default();
        assert_ne!(robin.greet(), robin.greet());
        assert_ne!(robin.answer("ok"), robin.answer("ok"));
        let waited = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        assert!(says(&robin.return_home(&waited)).contains("3 messages"));
        assert!(says(&robin.return_home(&waited[..1])).contains("“a”"));
        assert!(says(&robin.return_home(&[])).contains("Nothing"));
    }
}
