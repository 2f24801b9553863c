//! The loop, with a screen and keys of the test's own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crossterm::event::Event as Input;
use futures_lite::{Stream, stream};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio::task::JoinHandle;

use super::fixture::*;
use crate::session::api::*;
use crate::tui::app::{App, TuiError, TuiOptions};
use crate::tui::keymap::Chord;
use crate::tui::keys::{Keys, Signal};
use crate::tui::model::Model;
use crate::tui::settings::Settings;
use crate::tui::terminal::Screen;
use crate::tui::theme::{Look, Theme};
use crate::tui::update::Effect;
use crate::tui::view;

struct FakeScreen {
    terminal: Terminal<TestBackend>,
    draws: Arc<AtomicUsize>,
    /// After so many drawings the terminal is gone.
    draws_max: usize,
    /// Who had the terminal.
    told: UnboundedSender<&'static str>,
}

impl Screen for FakeScreen {
    fn size(&self) -> io::Result<(u16, u16)> {
        Ok((80, 24))
    }

    fn draw(&mut self, model: &Model, theme: &Theme, now: Timestamp) -> io::Result<()> {
        if self.draws.fetch_add(1, Ordering::SeqCst) >= self.draws_max {
            return Err(io::Error::other("the terminal is gone"));
        }
        self.terminal.draw(|frame| view::draw(frame, model, theme, now)).map_err(io::Error::other)?;
        Ok(())
    }

    fn suspend(&mut self) {
        let _ = self.told.send("suspended");
    }

    async fn stop(&mut self) -> Result<(), String> {
        let _ = self.told.send("stopped");
        Err("There is no shell here.".to_owned())
    }

    fn resume(&mut self) -> io::Result<()> {
        let _ = self.told.send("resumed");
        Ok(())
    }

    fn carry_out(&mut self, _: &Effect) -> io::Result<()> {
        Ok(())
    }
}

struct TestKeys(UnboundedReceiver<io::Result<Input>>);

impl Stream for TestKeys {
    type Item = io::Result<Input>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

impl Keys for TestKeys {
    fn pause(&mut self) {}
    fn resume(&mut self) {}
    fn look(&mut self) -> Option<Look> {
        None
    }
}

struct Running {
    keys: UnboundedSender<io::Result<Input>>,
    signals: UnboundedSender<Signal>,
    events: Sender<Event>,
    commands: Receiver<Command>,
    draws: Arc<AtomicUsize>,
    told: UnboundedReceiver<&'static str>,
    task: JoinHandle<Result<(), TuiError>>,
}

fn start(draws_max: usize) -> Running {
    // The smallest channels: whatever blocks when it should not, blocks here.
    let (commands_out, commands) = channel(1);
    let (events, events_in) = channel(1);
    let (keys, keys_in) = unbounded_channel();
    let (signals, mut signals_in) = unbounded_channel();
    let draws = Arc::new(AtomicUsize::new(0));
    let terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let (told_out, told) = unbounded_channel();
    let screen = FakeScreen { terminal, draws: draws.clone(), draws_max, told: told_out };
    let options = TuiOptions {
        user: "alice".into(),
        broker: "test".into(),
        zone: TimeZone::UTC,
        settings: Settings { mouse: false, away_after_minutes: None, ..Settings::default() },
    };
    let keys_in = TestKeys(keys_in);
    let signals_in = stream::poll_fn(move |context| signals_in.poll_recv(context));
    let app =
        App::new(commands_out, events_in, keys_in, signals_in, screen, Theme::default(), options).unwrap();
    Running { keys, signals, events, commands, draws, told, task: tokio::spawn(app.run()) }
}

impl Running {
    fn key(&self, key: &str) {
        let chord: Chord = key.parse().unwrap();
        self.keys.send(Ok(Input::Key(chord.press()))).unwrap();
    }

    async fn event(&self, event: Event) {
        self.events.send(event).await.unwrap();
    }

    async fn with_bob(&mut self) {
        self.event(Event::Friends(vec![friend("bob", Presence::Online)])).await;
        assert!(matches!(self.commands.recv().await, Some(Command::LoadHistory { .. })));
    }

    /// All commands until the last one.
    async fn rest(&mut self) -> Vec<Command> {
        let mut rest = Vec::new();
        while let Some(command) = self.commands.recv().await {
            let last = command == Command::Shutdown;
            if !matches!(command, Command::Typing { .. }) {
                rest.push(command);
            }
            if last {
                break;
            }
        }
        rest
    }
}

#[tokio::test(start_paused = true)]
async fn commands_arrive_in_order_and_the_end_is_waited_for() {
    let mut ui = start(usize::MAX);
    ui.with_bob().await;
    for key in ["h", "i", "enter", "x", "ctrl-q"] {
        ui.key(key);
    }
    assert_eq!(ui.rest().await, [send("bob", "hi"), draft("bob", "x"), Command::Shutdown]);
    assert!(!ui.task.is_finished());
    ui.event(Event::Ended { reason: None }).await;
    assert!(ui.task.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_end_is_not_waited_for_forever() {
    let mut ui = start(usize::MAX);
    ui.signals.send(Signal::Terminate).unwrap();
    assert_eq!(ui.rest().await, [Command::Shutdown]);
    let outcome = tokio::time::timeout(Duration::from_secs(60), ui.task).await.unwrap();
    assert!(outcome.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_session_ends_properly_when_the_terminal_goes_away() {
    let mut ui = start(2);
    let told = async {
        ui.with_bob().await;
        ui.key("x");
        ui.rest().await
    };
    assert_eq!(told.await, [Command::Shutdown]);
    ui.event(Event::Ended { reason: None }).await;
    assert!(matches!(ui.task.await.unwrap(), Err(TuiError::Lost(_))));
}

#[tokio::test(start_paused = true)]
async fn the_shell_has_the_terminal_while_we_are_stopped() {
    let mut ui = start(usize::MAX);
    ui.with_bob().await;
    ui.signals.send(Signal::Suspend).unwrap();
    let turns = ["suspended", "stopped", "resumed"];
    for turn in turns {
        assert_eq!(ui.told.recv().await, Some(turn));
    }
    for key in "/suspend".chars() {
        ui.key(&key.to_string());
    }
    ui.key("enter");
    for turn in turns {
        assert_eq!(ui.told.recv().await, Some(turn));
    }
    ui.key("ctrl-q");
    assert_eq!(ui.rest().await, [Command::Shutdown], "it goes on as before");
    ui.task.abort();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_input_is_an_error_and_ends_the_session() {
    let mut ui = start(usize::MAX);
    drop(ui.keys);
    assert_eq!(ui.commands.recv().await, Some(Command::Shutdown));
    drop(ui.events);
    assert!(matches!(ui.task.await.unwrap(), Err(TuiError::Lost(_))));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_by_itself_says_why() {
    let ui = start(usize::MAX);
    ui.event(Event::Ended { reason: Some("wrong password".into()) }).await;
    let outcome = ui.task.await.unwrap();
    assert_eq!(outcome.unwrap_err().to_string(), "wrong password");
    let ui = start(usize::MAX);
    drop(ui.events);
    assert!(matches!(ui.task.await.unwrap(), Err(TuiError::Ended(_))));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_drawn_while_nothing_happens() {
    let mut ui = start(usize::MAX);
    ui.with_bob().await;
    ui.event(Event::Connection(Connection::Online { since: ago(1) })).await;
    // Everything that happens at once or soon has happened.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = ui.draws.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(ui.draws.load(Ordering::SeqCst), before);
    ui.key("x");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(ui.draws.load(Ordering::SeqCst), before + 1);
    ui.task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_taken_in_before_it_is_drawn() {
    let mut ui = start(usize::MAX);
    ui.with_bob().await;
    for _ in 0..300 {
        ui.key("x");
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(ui.draws.load(Ordering::SeqCst) < 10);
    ui.task.abort();
}
