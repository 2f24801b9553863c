//! The loop: input, the session's events, the clock and signals go in as messages; effects come out.

use std::collections::VecDeque;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use crossterm::event::Event as Input;
use futures_lite::{Stream, StreamExt, future};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::ground;
use super::keys::{Keys, Signal, TerminalKeys, signals};
use super::model::Model;
use super::outside::{self, Outside};
use super::settings::Settings;
use super::terminal::{OwnTerminal, Screen};
use super::theme::{Look, Theme};
use super::update::{Effect, Msg, next_wake, update};
use crate::session::api::{Command, Event};

/// The session may take that long to send what still waits.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Messages taken between two drawings, so that a flood of them cannot keep the screen from changing.
const DRAIN_MESSAGES_MAX: usize = 512;

/// A friend who floods starts no more programs than that.
const NOTIFY_EVERY: Duration = Duration::from_secs(2);

/// How the TUI looks and behaves.
#[derive(Debug, Clone)]
pub struct TuiOptions {
    pub user: String,
    /// The broker, as the person knows it.
    pub broker: String,
    pub zone: TimeZone,
    pub settings: Settings,
}

impl TuiOptions {
    /// With the system's time zone.
    pub fn new(user: impl Into<String>, broker: impl Into<String>, settings: Settings) -> Self {
        TuiOptions { user: user.into(), broker: broker.into(), zone: TimeZone::system(), settings }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    #[error("cannot use this terminal: {0}; run chat-tui in a terminal, or use its commands (see --help)")]
    NoTerminal(#[source] io::Error),
    /// The terminal went away, or failed.
    #[error("the terminal can no longer be used: {0}")]
    Lost(#[source] io::Error),
    /// The session has ended by itself; the reason is the session's.
    #[error("{0}")]
    Ended(String),
}

/// Runs the TUI until the person leaves or the session ends. Takes the terminal over and gives it back,
/// also on a panic and on SIGTERM, SIGHUP and SIGINT.
///
/// # Errors
///
/// When there is no terminal or it fails, and when the session ends by itself, with its reason.
pub async fn run(
    commands: Sender<Command>,
    events: Receiver<Event>,
    options: TuiOptions,
) -> Result<(), TuiError> {
    let settings = &options.settings;
    let theme = Theme::new(settings.look, settings.paints.clone());
    let screen = OwnTerminal::enter(settings).map_err(TuiError::NoTerminal)?;
    let signals = signals().map_err(TuiError::NoTerminal)?;
    let keys = TerminalKeys::ask(settings.look).map_err(TuiError::NoTerminal)?;
    App::new(commands, events, keys, signals, screen, theme, options)?.run().await
}

pub(super) struct App<I, G, S> {
    commands: Sender<Command>,
    events: Receiver<Event>,
    input: I,
    signals: G,
    screen: S,
    model: Model,
    theme: Theme,
    /// Commands that the session has not taken yet, in order.
    waiting: VecDeque<Command>,
    /// The editor that has the terminal.
    outside: Option<Outside>,
    /// The person wants to go back to the shell for a while.
    stopping: bool,
    /// Whom the person's program was started for last, and when.
    notified: Option<(String, Instant)>,
    /// When leaving: until when the session is waited for.
    deadline: Option<Instant>,
}

/// Why the loop ends.
#[derive(Debug)]
enum End {
    Ended(Option<String>),
    /// The session takes too long, or the person does not want to wait for it.
    Abandoned,
    Failed(io::Error),
}

impl<I, G, S> App<I, G, S>
where
    I: Keys,
    G: Stream<Item = Signal> + Unpin,
    S: Screen,
{
    pub(super) fn new(
        commands: Sender<Command>,
        events: Receiver<Event>,
        input: I,
        signals: G,
        screen: S,
        theme: Theme,
        options: TuiOptions,
    ) -> Result<Self, TuiError> {
        let mut model = Model::new(
            &options.user,
            &options.broker,
            options.zone,
            screen.size().map_err(TuiError::NoTerminal)?,
        );
        let Settings { keymap, mouse, notify, away_after_minutes, .. } = options.settings;
        (model.away_after_minutes, model.last_input) = (away_after_minutes, Some(Timestamp::now()));
        (model.keymap, model.mouse, model.notify) = (keymap, mouse, notify);
        Ok(App {
            commands,
            events,
            input,
            signals,
            screen,
            model,
            theme,
            waiting: VecDeque::new(),
            outside: None,
            stopping: false,
            notified: None,
            deadline: None,
        })
    }

    pub(super) async fn run(mut self) -> Result<(), TuiError> {
        let end = self.turn_until_end().await;
        if self.outside.take().is_some() {
            // Ended in the middle: only who has taken the terminal over can give it back.
            let _ = self.screen.resume();
        }
        let App { commands, events, screen, waiting, model, .. } = self;
        // From here on there is a normal terminal again.
        drop(screen);
        match end {
            End::Ended(None) => Ok(()),
            End::Abandoned => {
                // As much as the session takes without being waited for: the draft, the word to end.
                for command in waiting {
                    if commands.try_send(command).is_err() {
                        break;
                    }
                }
                Ok(())
            }
            End::Ended(Some(reason)) => Err(TuiError::Ended(reason)),
            End::Failed(error) => {
                let told = if model.leaving { None } else { Some(Command::Shutdown) };
                wind_down(commands, events, waiting.into_iter().chain(told)).await;
                Err(TuiError::Lost(error))
            }
        }
    }

    async fn turn_until_end(&mut self) -> End {
        if let Err(end) = self.draw() {
            return end;
        }
        loop {
            if let Err(end) = self.turn().await {
                return end;
            }
        }
    }

    /// Waits for something to happen, takes in all that has happened, draws once.
    async fn turn(&mut self) -> Result<(), End> {
        let Some(first) = self.next().await? else { return Ok(()) };
        self.apply(first)?;
        for _ in 0..DRAIN_MESSAGES_MAX {
            let Some(msg) = self.poll_next().await? else { break };
            self.apply(msg)?;
        }
        if std::mem::take(&mut self.stopping) {
            let msg = self.stop().await?;
            self.apply(msg)?;
        }
        self.draw()
    }

    /// The next message, or `None` when only a command was handed over.
    async fn next(&mut self) -> Result<Option<Msg>, End> {
        let now = Timestamp::now();
        let wake = next_wake(&self.model, now)
            .map(|at| Duration::try_from(now.duration_until(at)).unwrap_or_default());
        let status = tokio::select! {
            biased;
            permit = self.commands.reserve(), if !self.waiting.is_empty() => {
                match (permit, self.waiting.pop_front()) {
                    (Ok(permit), Some(command)) => permit.send(command),
                    // Nobody takes commands any more: what the session said last is still in its events.
                    _ => self.waiting.clear(),
                }
                return Ok(None);
            }
            signal = self.signals.next() => return match signal {
                // In the terminal it is in, the editor has got it as well.
                Some(Signal::Interrupt) if self.outside.is_some() => Ok(None),
                Some(Signal::Suspend) => {
                    self.stopping = true;
                    Ok(Some(Msg::Tick))
                }
                signal => Ok(signal.map(|_| Msg::Terminate)),
            },
            status = ended(&mut self.outside) => status,
            input = self.input.next() => return message_of(input),
            event = self.events.recv() => return match event {
                Some(event) => Ok(Some(Msg::Session(event))),
                None => Err(session_vanished(self.model.leaving)),
            },
            () = sleep(wake.unwrap_or_default()), if wake.is_some() => return Ok(Some(Msg::Tick)),
            () = sleep_until(self.deadline.unwrap_or_else(Instant::now)), if self.deadline.is_some() => return Err(End::Abandoned),
        };
        self.come_back(status).map(Some)
    }

    /// The next message that is there already.
    async fn poll_next(&mut self) -> Result<Option<Msg>, End> {
        if let Ok(event) = self.events.try_recv() {
            return Ok(Some(Msg::Session(event)));
        }
        match future::poll_once(self.input.next()).await {
            Some(input) => message_of(input),
            None => Ok(None),
        }
    }

    fn apply(&mut self, msg: Msg) -> Result<(), End> {
        for effect in update(&mut self.model, msg, Timestamp::now()) {
            match effect {
                Effect::Session(command) => self.waiting.push_back(command),
                Effect::Leave => self.deadline = Some(Instant::now() + LEAVE_TIMEOUT),
                Effect::Abandon => return Err(End::Abandoned),
                Effect::Exit(reason) => return Err(End::Ended(reason)),
                Effect::EditOutside(text) => self.go_outside(&text)?,
                Effect::Suspend => self.stopping = true,
                Effect::Open(link) => {
                    if let Err(problem) = outside::open_link(&link) {
                        self.apply(Msg::Session(Event::Notice(problem)))?;
                    }
                }
                Effect::Theme(Look::Auto) => self.theme.set_look(ground::said().unwrap_or_default()),
                Effect::Theme(look) => self.theme.set_look(look),
                Effect::Notify { title, body } if !self.model.notify.command.is_empty() => {
                    let again = self
                        .notified
                        .as_ref()
                        .is_some_and(|(who, at)| *who == title && at.elapsed() < NOTIFY_EVERY);
                    let command = &self.model.notify.command;
                    let shown = if again { Ok(()) } else { outside::notify(command, &title, &body) };
                    if !again {
                        self.notified = Some((title.clone(), Instant::now()));
                    }
                    if let Err(problem) = shown {
                        // Said once: it would fail each time.
                        self.model.notify.command.clear();
                        self.apply(Msg::Session(Event::Notice(problem)))?;
                    }
                    if self.outside.is_none() {
                        self.screen.carry_out(&Effect::Notify { title, body }).map_err(End::Failed)?;
                    }
                }
                // The other program has the terminal: what is asked for now would spoil its screen.
                _ if self.outside.is_some() => {}
                effect => self.screen.carry_out(&effect).map_err(End::Failed)?,
            }
        }
        Ok(())
    }

    /// Stops, with the terminal as the shell wants it, until somebody lets us go on.
    async fn stop(&mut self) -> Result<Msg, End> {
        if self.outside.is_some() {
            // It has the terminal, and was told the same.
            let _ = self.screen.stop().await;
            return Ok(Msg::Tick);
        }
        self.input.pause();
        self.screen.suspend();
        let stopped = self.screen.stop().await;
        self.take_back()?;
        Ok(match stopped {
            Ok(()) => Msg::Tick,
            Err(problem) => Msg::Session(Event::Notice(problem)),
        })
    }

    /// Lends the terminal to the person's editor.
    fn go_outside(&mut self, text: &str) -> Result<(), End> {
        self.input.pause();
        self.screen.suspend();
        match Outside::open(text) {
            Ok(outside) => {
                self.outside = Some(outside);
                Ok(())
            }
            Err(problem) => {
                self.take_back()?;
                self.apply(Msg::Edited(Err(problem)))
            }
        }
    }

    fn come_back(&mut self, status: io::Result<ExitStatus>) -> Result<Msg, End> {
        let outside = self.outside.take();
        self.take_back()?;
        let nothing = || Err("The editor is gone.".to_owned());
        Ok(Msg::Edited(outside.map_or_else(nothing, |outside| outside.result(status))))
    }

    fn take_back(&mut self) -> Result<(), End> {
        self.screen.resume().map_err(End::Failed)?;
        // What changed meanwhile for the terminal was not said to it.
        self.screen.carry_out(&Effect::Mouse(self.model.mouse)).map_err(End::Failed)?;
        self.screen.carry_out(&Effect::Title(self.model.title.clone())).map_err(End::Failed)?;
        self.input.resume();
        Ok(())
    }

    fn draw(&mut self) -> Result<(), End> {
        if self.outside.is_some() {
            return Ok(());
        }
        let (width, height) = self.screen.size().map_err(End::Failed)?;
        if self.model.size != (width, height) {
            self.apply(Msg::Resize(width, height))?;
        }
        if let Some(look) = self.input.look() {
            self.theme.set_look(look);
        }
        self.screen.draw(&self.model, &self.theme, Timestamp::now()).map_err(End::Failed)
    }
}

async fn ended(outside: &mut Option<Outside>) -> io::Result<ExitStatus> {
    match outside {
        Some(outside) => outside.ended().await,
        None => std::future::pending().await,
    }
}

fn message_of(input: Option<io::Result<Input>>) -> Result<Option<Msg>, End> {
    match input {
        Some(Ok(Input::Key(key))) => Ok(Some(Msg::Key(key))),
        Some(Ok(Input::Paste(text))) => Ok(Some(Msg::Paste(text))),
        Some(Ok(Input::Mouse(mouse))) => Ok(Some(Msg::Mouse(mouse))),
        Some(Ok(Input::FocusGained)) => Ok(Some(Msg::Focus(true))),
        Some(Ok(Input::FocusLost)) => Ok(Some(Msg::Focus(false))),
        Some(Ok(Input::Resize(width, height))) => Ok(Some(Msg::Resize(width, height))),
        Some(Err(error)) => Err(End::Failed(error)),
        None => Err(End::Failed(io::Error::new(io::ErrorKind::UnexpectedEof, "its input has ended"))),
    }
}

fn session_vanished(leaving: bool) -> End {
    match leaving {
        true => End::Ended(None),
        false => End::Ended(Some(
            "the connection to Warren has stopped unexpectedly; please start again".to_owned(),
        )),
    }
}

/// Without a terminal: hands over what waits, and gives the session its time to end.
async fn wind_down(
    commands: Sender<Command>,
    mut events: Receiver<Event>,
    waiting: impl Iterator<Item = Command>,
) {
    let wait = async {
        // The session may be blocked on its events: take those while handing over.
        let hand_over = async {
            for command in waiting {
                if commands.send(command).await.is_err() {
                    break;
                }
            }
        };
        let ended = async { while !matches!(events.recv().await, None | Some(Event::Ended { .. })) {} };
        tokio::join!(hand_over, ended);
    };
    if timeout(LEAVE_TIMEOUT, wait).await.is_err() {
        tracing::warn!("the session did not end within {} s", LEAVE_TIMEOUT.as_secs());
    }
}
