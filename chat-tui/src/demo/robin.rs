//! What the scripted friend says and does. Pure.

use std::time::Duration;

pub const NAME: &str = "robin";
pub const NOTE: &str = "Hi! I am a small script. Accept me, and I show you around.";
const AWAY: Duration = Duration::from_secs(8);

/// Long enough to read a line.
const READ: Duration = Duration::from_secs(4);
/// Who does not try something has seen enough of it after that long.
const TRY: Duration = Duration::from_secs(25);

#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    Say(String),
    /// Answers the newest message of the person.
    Reply(String),
    /// Marks it.
    React(&'static str),
    /// Changes the newest message of one's own.
    Edit(String),
    /// Takes it back.
    Delete,
    Pause(Duration),
    /// Waits until the person has written, but not longer than this.
    Await(Duration),
    /// Another script asks the person to be friends.
    BringWren,
    GoOffline(Duration),
    Unfriend,
}

/// Robin's memory of a conversation.
#[derive(Debug, Default)]
pub struct Robin {
    friends_before: bool,
    /// Whether the tour goes on.
    touring: bool,
    /// The person has said hello.
    greeted: bool,
    small_talk: usize,
}

const HELP: &str = "Try: \"go offline\" (then write to me: it waits), \"unfriend me\" (then write to me: it comes \
                    back), \"long\" (a long message), \"tour\" (all of it again), or anything else.";

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
        if std::mem::replace(&mut self.friends_before, true) {
            self.touring = false;
            return vec![say("Friends again, over new queues. The old ones are gone for good."), say(HELP)];
        }
        self.tour("Friends! We have a queue each now, and nobody else can read them.")
    }

    fn tour(&mut self, hello: &str) -> Vec<Deed> {
        (self.touring, self.greeted) = (true, false);
        vec![
            say(hello),
            say(
                "I show you around, it takes two minutes. Say skip when you have seen enough; first say hello!",
            ),
            Deed::Await(TRY),
            say("I allways mistype. Luckily a message can be changed."),
            Deed::Pause(READ),
            Deed::Edit(
                "I always mistype. Luckily a message can be changed: Alt-S chooses one, e changes it.".into(),
            ),
            Deed::Pause(READ),
            say("And this one should never have been sent."),
            Deed::Pause(READ),
            Deed::Delete,
            say("Gone, on both sides: Alt-S, then d. With r you answer a message, with + you mark it."),
            Deed::Pause(READ),
            say(
                "Everything that was said can be found: press Ctrl-R, type mist, and Enter goes there. Then write to me.",
            ),
            Deed::Await(TRY),
            say(
                "Not your colours? /theme light, /theme contrast, and /theme auto goes back. Tell me which you like.",
            ),
            Deed::Await(TRY),
            say(
                "I asked somebody else to join in. It rings, and the list and the title count what is new: Tab goes there, a accepts. Come back and write when you have.",
            ),
            Deed::BringWren,
            Deed::Await(TRY),
            say(&format!(
                "Now I go offline for {} seconds. Write something: ✓ it waits at the broker, ✓✓ I have it, ◉ I have read it.",
                AWAY.as_secs()
            )),
            Deed::GoOffline(AWAY),
            Deed::Pause(READ),
            say(
                "Last, how a friendship ends: I delete my queue. You see it at once, and whatever is on its way comes back. Ctrl-N asks me again. It was nice with you!",
            ),
            Deed::Pause(READ),
            Deed::Unfriend,
        ]
    }

    /// Somebody wrote. True: what was still to come is off.
    pub fn answer(&mut self, text: &str) -> (Vec<Deed>, bool) {
        let text = text.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if self.touring {
            return match () {
                _ if has(&["skip"]) => {
                    self.touring = false;
                    (vec![Deed::React("👌"), say("No more tour, then."), say(HELP)], true)
                }
                _ if !std::mem::replace(&mut self.greeted, true) => {
                    let text = "Hello! This answers yours, and the 👋 beside it is a mark: both are yours to give too.";
                    (vec![Deed::React("👋"), Deed::Reply(text.into())], false)
                }
                _ => (vec![Deed::React("👍")], false),
            };
        }
        (self.small_talk(&text, has), false)
    }

    fn small_talk(&mut self, text: &str, has: impl Fn(&[&str]) -> bool) -> Vec<Deed> {
        if has(&["unfriend"]) {
            return vec![
                say(
                    "As you wish: I delete my queue. Write once more and your message comes back. You can ask me \
                     again afterwards.",
                ),
                Deed::Unfriend,
            ];
        }
        if has(&["tour"]) {
            return self.tour("Once more, then.");
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

    /// The person is no longer a friend: nothing is left to show.
    pub fn parted(&mut self) {
        self.touring = false;
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
        assert_eq!(robin.answer("Please UNFRIEND me").0[1], Deed::Unfriend);
        assert_eq!(robin.answer("go offline").0[1], Deed::GoOffline(AWAY));
        for text in ["help", "hi", "what is this?", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "long"] {
            let (deeds, ends) = robin.answer(text);
            assert_eq!((deeds.len(), ends), (1, false), "{text}");
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

    #[test]
    fn the_tour_shows_everything_in_two_minutes_and_can_be_skipped() {
        let mut robin = Robin::default();
        let tour = robin.greet();
        for deed in [Deed::Delete, Deed::BringWren, Deed::GoOffline(AWAY), Deed::Unfriend] {
            assert!(tour.contains(&deed), "{deed:?}");
        }
        let takes = |deed: &Deed| match deed {
            Deed::Pause(time) | Deed::GoOffline(time) => *time,
            // Whoever tries things answers sooner or later.
            Deed::Await(_) => Duration::from_secs(10),
            Deed::Say(_) | Deed::Edit(_) => Duration::from_secs(2),
            _ => Duration::ZERO,
        };
        let whole: Duration = tour.iter().map(takes).sum();
        assert!((60..=120).contains(&whole.as_secs()), "{whole:?}");
        let (hello, ends) = robin.answer("hello");
        assert!(matches!(&hello[..], [Deed::React(_), Deed::Reply(_)]) && !ends, "{hello:?}");
        assert_eq!(robin.answer("unfriend"), (vec![Deed::React("👍")], false));
        assert!(robin.answer("skip it").1);
        assert_eq!(robin.answer("unfriend").0[1], Deed::Unfriend);
    }
}
