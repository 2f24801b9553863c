//! Signing in and signing up, before there is a session.
//!
//! `form` ★ is what is filled in and what keys mean, `view` ★ shows it; this file awaits.

mod form;
#[cfg(test)]
mod tests;
mod view;

use std::future::Future;
use std::pin::pin;

use crossterm::event::{Event as Input, KeyEventKind};
use futures_lite::{Stream, StreamExt};

use self::form::{Form, Wish};
use super::keymap::{Chord, Keymap, Situation};
use super::keys::{Keys, Signal, TerminalKeys, signals};
use super::layer;
use super::terminal::{OwnTerminal, Screen};
use super::theme::Theme;
use super::{Settings, TuiError};

pub use form::{Choice, Defaults};

/// Who lets people in.
pub trait Gate {
    /// Signs in, or makes the account.
    fn enter(&mut self, choice: &Choice) -> impl Future<Output = Result<(), Refusal>>;

    /// Starts a broker in this process, where `choice` wants one; says what to know about it.
    fn start_broker(&mut self, choice: &Choice) -> impl Future<Output = Result<String, String>>;

    /// Whether this person was here before, so that there is something to see without a broker.
    fn knows(&self, choice: &Choice) -> bool;
}

/// Why somebody is not let in, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: String,
    /// Nothing answers there.
    pub no_broker: bool,
}

/// Shows the screen until the person is let in, or wants to go on without a broker: then what they chose. `None`: they
/// left.
///
/// # Errors
///
/// When there is no terminal or it fails.
pub async fn welcome(
    defaults: Defaults,
    settings: &Settings,
    gate: &mut impl Gate,
) -> Result<Option<Choice>, TuiError> {
    let theme = Theme::new(settings.look, settings.paints.clone());
    let screen = OwnTerminal::enter(settings).map_err(TuiError::NoTerminal)?;
    let signals = signals().map_err(TuiError::NoTerminal)?;
    let keys = TerminalKeys::ask(settings.look).map_err(TuiError::NoTerminal)?;
    let (form, keymap) = (Form::new(defaults), settings.keymap.clone());
    Desk { form, screen, keys, signals, keymap, theme, kills: String::new() }.serve(gate).await
}

struct Desk<I, G> {
    form: Form,
    screen: OwnTerminal,
    keys: I,
    signals: G,
    keymap: Keymap,
    theme: Theme,
    kills: String,
}

impl<I: Keys, G: Stream<Item = Signal> + Unpin> Desk<I, G> {
    async fn serve(mut self, gate: &mut impl Gate) -> Result<Option<Choice>, TuiError> {
        loop {
            self.draw()?;
            match self.wish().await? {
                Wish::Nothing => {}
                Wish::Leave => return Ok(None),
                Wish::GoOffline(choice) => return Ok(Some(choice)),
                Wish::Enter(choice) => {
                    let attempt = gate.enter(&choice);
                    match self.wait_for("Asking the broker…", attempt).await? {
                        Outcome::Left => return Ok(None),
                        Outcome::Cancelled => {}
                        Outcome::Is(Ok(())) => return Ok(Some(choice)),
                        Outcome::Is(Err(refusal)) => {
                            let known = refusal.no_broker && gate.knows(&choice);
                            self.form.refused(refusal, known);
                        }
                    }
                }
                Wish::StartBroker(choice) => {
                    let attempt = gate.start_broker(&choice);
                    match self.wait_for("Starting a broker…", attempt).await? {
                        Outcome::Left => return Ok(None),
                        Outcome::Cancelled => {}
                        Outcome::Is(told) => self.form.broker_started(told),
                    }
                }
            }
        }
    }

    fn draw(&mut self) -> Result<(), TuiError> {
        if let Some(look) = self.keys.look() {
            self.theme.set_look(look);
        }
        let (form, theme) = (&self.form, &self.theme);
        self.screen.paint(|frame| view::draw(frame, form, theme)).map_err(TuiError::Lost)
    }

    /// What the person wants next.
    async fn wish(&mut self) -> Result<Wish, TuiError> {
        tokio::select! {
            Some(signal) = self.signals.next() => match signal {
                Signal::Suspend => self.stop().await,
                Signal::Terminate | Signal::Interrupt => Ok(Wish::Leave),
            },
            input = self.keys.next() => match input {
                Some(Ok(input)) => Ok(self.take(input)),
                Some(Err(error)) => Err(TuiError::Lost(error)),
                None => Ok(Wish::Leave),
            },
        }
    }

    /// Stops, with the terminal as the shell wants it, until somebody lets us go on.
    async fn stop(&mut self) -> Result<Wish, TuiError> {
        self.keys.pause();
        self.screen.suspend();
        // Without a shell there is nothing to go back to, and nothing happens.
        let _ = self.screen.stop().await;
        self.screen.resume().map_err(TuiError::Lost)?;
        self.keys.resume();
        Ok(Wish::Nothing)
    }

    fn take(&mut self, input: Input) -> Wish {
        match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => {
                let chord = Chord::of(key);
                let situation = Situation { layer_open: true, ..Situation::default() };
                let action = self.keymap.resolve(chord, situation);
                self.form.input(layer::Input::Key(chord, action), &mut self.kills)
            }
            Input::Paste(text) => self.form.input(layer::Input::Paste(&text), &mut self.kills),
            _ => Wish::Nothing,
        }
    }

    /// Waits for `work`, unless the person does not want to.
    async fn wait_for<T>(
        &mut self,
        busy: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<Outcome<T>, TuiError> {
        self.form.busy = Some(busy);
        let mut work = pin!(work);
        let outcome = loop {
            self.draw()?;
            tokio::select! {
                done = &mut work => break Outcome::Is(done),
                wish = self.wish() => match wish? {
                    Wish::Leave => break Outcome::Left,
                    _ if self.form.busy.is_none() => break Outcome::Cancelled,
                    _ => {}
                },
            }
        };
        self.form.busy = None;
        Ok(outcome)
    }
}

enum Outcome<T> {
    Is(T),
    Cancelled,
    Left,
}
