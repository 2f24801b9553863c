//! Whether the terminal is dark or light.
//!
//! It is asked for its background (OSC 11), and drawn on without waiting: the answer comes among the keys, whenever it comes,
//! if it does. It begins with what is read as Alt-] and ends with BEL, or with what is read as Alt-\.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use terminal_colorsaurus::Color;

use super::theme::Look;

/// Ended by BEL, as some terminals end the answer like the question, and some of them ST wrongly.
const QUESTION: &[u8] = b"\x1b]11;?\x07";
/// Later answers are taken for keys, as they may be.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BEGINS: &str = "11;rgb";
/// Longer than any colour.
const ANSWER_CHARS_MAX: usize = 40;
/// Lighter grounds are light, on a scale from 0 to 1.
const LIGHT_MIN: f32 = 0.5;

/// What the terminal has said: it is asked once.
static SAID: OnceLock<Look> = OnceLock::new();

/// What the terminal has said, if it has.
pub fn said() -> Option<Look> {
    SAID.get().copied()
}

/// Listens for the answer among what comes from the terminal.
#[derive(Debug, Default)]
pub struct Ear {
    until: Option<Instant>,
    /// What may be the beginning of the answer.
    held: Vec<Input>,
    text: String,
    after_esc: bool,
    look: Option<Look>,
}

impl Ear {
    /// Asks the terminal, if `look` is as the terminal is. It has to be in raw mode.
    pub fn ask(look: Look) -> io::Result<Ear> {
        let term = std::env::var("TERM").unwrap_or_default();
        if look != Look::Auto || SAID.get().is_some() || !answers(&term) {
            return Ok(Ear { look: SAID.get().copied().filter(|_| look == Look::Auto), ..Ear::default() });
        }
        let mut out = io::stdout();
        out.write_all(QUESTION)?;
        out.flush()?;
        Ok(Ear { until: Some(Instant::now() + ANSWER_TIMEOUT), ..Ear::default() })
    }

    /// What the terminal is, once.
    pub fn look(&mut self) -> Option<Look> {
        self.look.take()
    }

    pub fn has_look(&self) -> bool {
        self.look.is_some()
    }

    /// Takes the answer out of what comes from the terminal; the rest is handed on.
    pub fn hear(&mut self, input: Input, now: Instant) -> Vec<Input> {
        if self.until.is_none() {
            return vec![input];
        }
        if self.held.is_empty() && self.until.is_some_and(|until| until < now) {
            self.until = None;
            return vec![input];
        }
        let key = match &input {
            Input::Key(key) => Some(*key),
            _ => None,
        };
        let after_esc =
            std::mem::replace(&mut self.after_esc, key.is_some_and(|key| key.code == KeyCode::Esc));
        if self.held.is_empty() {
            let begins = key.is_some_and(|key| {
                key.code == KeyCode::Char(']') && (after_esc || key.modifiers == KeyModifiers::ALT)
            });
            if !begins {
                return vec![input];
            }
            self.held.push(input);
            return Vec::new();
        }
        self.held.push(input);
        if key.is_some_and(ends) {
            return self.answered();
        }
        match key.and_then(typed) {
            Some(c) if self.text.len() < ANSWER_CHARS_MAX => {
                self.text.push(c);
                let short = self.text.len().min(ANSWER_BEGINS.len());
                if self.text[..short] == ANSWER_BEGINS[..short] { Vec::new() } else { self.let_go() }
            }
            _ => self.let_go(),
        }
    }

    fn answered(&mut self) -> Vec<Input> {
        let Some(look) = look_of(&self.text) else { return self.let_go() };
        self.look = Some(*SAID.get_or_init(|| look));
        (self.until, self.held, self.text) = (None, Vec::new(), String::new());
        Vec::new()
    }

    /// It was no answer.
    fn let_go(&mut self) -> Vec<Input> {
        self.text.clear();
        std::mem::take(&mut self.held)
    }
}

/// Terminals that show the question, or answer it to somebody else, are not asked.
fn answers(term: &str) -> bool {
    !(["", "dumb", "linux", "Eterm", "screen"].contains(&term) || term.starts_with("screen."))
}

fn ends(key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('g') => key.modifiers == KeyModifiers::CONTROL,
        KeyCode::Char('\\') => key.modifiers == KeyModifiers::ALT,
        _ => false,
    }
}

fn typed(key: KeyEvent) -> Option<char> {
    match key.code {
        KeyCode::Char(c) if c.is_ascii() && (key.modifiers - KeyModifiers::SHIFT).is_empty() => Some(c),
        _ => None,
    }
}

/// `11;rgb:1e1e/1e1e/2e2e`, with one to four digits each; or `rgba` with one more of them.
fn look_of(answer: &str) -> Option<Look> {
    let colour = answer.strip_prefix(ANSWER_BEGINS)?;
    let mut parts = colour.strip_prefix(':').or_else(|| colour.strip_prefix("a:"))?.split('/').map(|part| {
        let most = 16u32.checked_pow(u32::try_from(part.len()).ok()?).filter(|most| *most > 1)? - 1;
        let part = u32::from_str_radix(part, 16).ok()?;
        u16::try_from(u64::from(part) * u64::from(u16::MAX) / u64::from(most)).ok()
    });
    let (red, green, blue) = (parts.next()??, parts.next()??, parts.next()??);
    let is_light = Color::rgb(red, green, blue).perceived_lightness() > LIGHT_MIN;
    Some(if is_light { Look::Light } else { Look::Dark })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(c: char) -> Input {
        Input::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE))
    }

    fn with(c: char, modifiers: KeyModifiers) -> Input {
        Input::Key(KeyEvent::new(KeyCode::Char(c), modifiers))
    }

    fn ear() -> Ear {
        Ear { until: Some(Instant::now() + ANSWER_TIMEOUT), ..Ear::default() }
    }

    /// What is handed on.
    fn hear(ear: &mut Ear, inputs: impl IntoIterator<Item = Input>) -> Vec<Input> {
        inputs.into_iter().flat_map(|input| ear.hear(input, Instant::now())).collect()
    }

    fn answer(text: &str) -> Vec<Input> {
        let begin = with(']', KeyModifiers::ALT);
        std::iter::once(begin).chain(text.chars().map(key)).collect()
    }

    #[test]
    fn the_answer_is_taken_out_from_among_the_keys() {
        let esc = Input::Key(KeyCode::Esc.into());
        let ends = [with('g', KeyModifiers::CONTROL), with('\\', KeyModifiers::ALT)];
        for end in ends {
            let mut ear = ear();
            let mut inputs = vec![key('a'), esc.clone()];
            inputs.extend(answer("11;rgb:1e1e/1E1E/2e2e"));
            inputs.extend([end, key('b')]);
            assert_eq!(hear(&mut ear, inputs), [key('a'), esc.clone(), key('b')]);
            assert!(ear.look().is_some());
            assert_eq!(ear.look(), None);
        }
        // The first byte may come apart from the others: then it was Esc.
        let mut ear = ear();
        let mut inputs = answer("11;rgb:0/0/0");
        inputs[0] = key(']');
        inputs.insert(0, esc.clone());
        inputs.push(with('g', KeyModifiers::CONTROL));
        assert_eq!(hear(&mut ear, inputs), [esc]);
        assert!(ear.look().is_some());
    }

    #[test]
    fn what_is_no_answer_is_handed_on_whole() {
        for text in ["x", "11;rgb:zz/", "12;rgb", "11;rgb:0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0"] {
            let mut ear = ear();
            let mut inputs = answer(text);
            inputs.push(with('g', KeyModifiers::CONTROL));
            assert_eq!(hear(&mut ear, inputs.clone()), inputs, "{text}");
        }
        let mut late = Ear { until: Some(Instant::now() - Duration::from_secs(1)), ..Ear::default() };
        assert_eq!(hear(&mut late, answer("11;")), answer("11;"));
    }

    #[test]
    fn grounds_are_dark_or_light() {
        for (answer, want) in [
            ("11;rgb:0000/0000/0000", Some(Look::Dark)),
            ("11;rgb:ffff/ffff/ffff", Some(Look::Light)),
            ("11;rgb:fd/f6/e3", Some(Look::Light)),
            ("11;rgba:2828/2c2c/3434/ffff", Some(Look::Dark)),
            ("11;rgb:0/0", None),
            ("11;rgb://", None),
            ("11;rgb:123456789/0/0", None),
        ] {
            assert_eq!(look_of(answer), want, "{answer}");
        }
    }
}
