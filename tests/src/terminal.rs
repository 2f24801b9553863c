//! A person at a terminal: the real program in a pty of its own, and a screen that shows what it draws.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use vt100::MouseProtocolMode;

use crate::{ChatUser, PATIENCE, eventually};

/// What keys send.
pub mod key {
    pub const ENTER: &str = "\r";
    pub const TAB: &str = "\t";
    pub const ESC: &str = "\x1b";
    pub const F1: &str = "\x1bOP";
    pub const F2: &str = "\x1bOQ";
    pub const F3: &str = "\x1bOR";
    pub const DOWN: &str = "\x1b[B";

    /// E.g. `ctrl('n')`.
    pub fn ctrl(letter: char) -> String {
        char::from(letter as u8 & 0x1f).to_string()
    }

    /// E.g. `alt('e')`.
    pub fn alt(letter: char) -> String {
        format!("\x1b{letter}")
    }
}

/// Ended when dropped; then, if the test failed, its screen is shown.
pub struct Terminal {
    name: String,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    writer: Arc<Mutex<Box<dyn Write + Send>>>,
    shown: Arc<Shown>,
    reader: Option<JoinHandle<()>>,
}

struct Shown {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    parser: vt100::Parser,
    ended: bool,
}

impl Shown {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the terminal says its background is, in the notation of X11.
#[derive(Debug, Clone, Copy)]
pub enum Background {
    Dark,
    Light,
}

impl Terminal {
    /// Columns and rows of an ordinary terminal.
    pub const SIZE: (u16, u16) = (80, 24);

    /// Opens the TUI of `user`, and waits until it is online.
    pub fn open(user: &ChatUser) -> Terminal {
        let terminal = Terminal::start(user.name(), &user.command(&[]), Terminal::SIZE, Background::Dark);
        terminal.shows("online since");
        terminal
    }

    /// Runs `command` at a terminal. `name` is for the reader of a failed test.
    pub fn start(name: &str, command: &Command, (columns, rows): (u16, u16), ground: Background) -> Terminal {
        let pair = native_pty_system().openpty(size(columns, rows)).expect("no pty");
        let child = pair.slave.spawn_command(builder(command)).unwrap_or_else(|error| {
            panic!("cannot start {name}: {error}");
        });
        drop(pair.slave);
        let from = pair.master.try_clone_reader().expect("no reader");
        let writer = Arc::new(Mutex::new(pair.master.take_writer().expect("no writer")));
        let state = State { parser: vt100::Parser::new(rows, columns, 0), ended: false };
        let shown = Arc::new(Shown { state: Mutex::new(state), changed: Condvar::new() });
        let reader = {
            let (shown, writer) = (Arc::clone(&shown), Arc::clone(&writer));
            std::thread::spawn(move || read(from, &shown, &writer, ground))
        };
        let name = name.to_owned();
        Terminal { name, child, master: pair.master, writer, shown, reader: Some(reader) }
    }

    /// Presses keys or types text.
    pub fn types(&self, text: &str) -> &Terminal {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let written = writer.write_all(text.as_bytes()).and_then(|()| writer.flush());
        written.unwrap_or_else(|error| panic!("{} does not take keys any more: {error}", self.name));
        self
    }

    /// Pastes as terminals do that were asked to mark pastes.
    pub fn pastes(&self, text: &str) -> &Terminal {
        let marks = self.shown.lock().parser.screen().bracketed_paste();
        assert!(marks, "{} did not ask for marked pastes", self.name);
        self.types(&format!("\x1b[200~{}\x1b[201~", text.replace('\n', "\r")))
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        self.shown.lock().parser.screen_mut().set_size(rows, columns);
        self.master.resize(size(columns, rows)).unwrap_or_else(|error| panic!("cannot resize: {error}"));
    }

    /// The screen as text.
    pub fn screen(&self) -> String {
        self.shown.lock().parser.screen().contents()
    }

    /// Waits until the screen passes `test`.
    pub fn awaits<T>(&self, what: &str, test: impl Fn(&vt100::Screen) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shown.lock();
        loop {
            if let Some(found) = test(state.parser.screen()) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                let why = if state.ended { "it ended" } else { "no more patience" };
                drop(state);
                panic!("{}: no {what} ({why})", self.name);
            }
            let waited = self.shown.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for `text` on the screen.
    pub fn shows(&self, text: &str) -> &Terminal {
        self.awaits(&format!("{text:?} on the screen"), |screen| {
            screen.contents().contains(text).then_some(())
        });
        self
    }

    /// Waits until `text` is not on the screen any more.
    pub fn hides(&self, text: &str) -> &Terminal {
        self.awaits(&format!("screen without {text:?}"), |screen| {
            (!screen.contents().contains(text)).then_some(())
        });
        self
    }

    /// Waits for a row with all of these, in this order.
    pub fn shows_row(&self, parts: &[&str]) -> &Terminal {
        self.awaits(&format!("row with {parts:?}"), |screen| {
            let has_all = |row: &str| {
                let mut rest = row;
                parts.iter().all(|part| match rest.split_once(part) {
                    Some((_, after)) => {
                        rest = after;
                        true
                    }
                    None => false,
                })
            };
            screen.contents().lines().any(has_all).then_some(())
        });
        self
    }

    pub fn signal(&self, signal: Signal) {
        let id = self.child.process_id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let sent = id.map(|id| kill_process(id, signal));
        assert!(matches!(sent, Some(Ok(()))), "cannot signal {}: {sent:?}", self.name);
    }

    pub fn kill9(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Waits until the program has ended, and everything it wrote is on the screen.
    pub fn wait(&mut self) -> ExitStatus {
        let name = self.name.clone();
        let status = eventually(&format!("{name} ends"), || {
            self.child.try_wait().unwrap_or_else(|error| panic!("cannot wait for {name}: {error}"))
        });
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        status
    }

    /// Fails unless the terminal is as it was before the program ran.
    pub fn assert_clean(&self) {
        let state = self.shown.lock();
        let screen = state.parser.screen();
        let left = [
            ("the alternate screen", screen.alternate_screen()),
            ("a hidden cursor", screen.hide_cursor()),
            ("marked pastes", screen.bracketed_paste()),
            ("the mouse", screen.mouse_protocol_mode() != MouseProtocolMode::None),
        ];
        for (what, is_left) in left {
            assert!(!is_left, "{} left {what} behind", self.name);
        }
        let modes = self.master.get_termios().map(|modes| format!("{:?}", modes.local_flags));
        let modes = modes.unwrap_or_default();
        for mode in ["ECHO", "ICANON", "ISIG"] {
            let is_on = modes.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == mode);
            assert!(is_on, "{} left {mode} off: {modes}", self.name);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the terminal of {}\n{}\n---", self.name, self.screen());
        }
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

/// The same command, with the environment of an ordinary terminal.
fn builder(command: &Command) -> CommandBuilder {
    let mut builder = CommandBuilder::new(command.get_program());
    builder.args(command.get_args());
    builder.cwd(command.get_current_dir().unwrap_or(Path::new("/")));
    for name in ["NO_COLOR", "COLORFGBG", "TMUX", "TERM_PROGRAM", "VISUAL", "EDITOR"] {
        builder.env_remove(name);
    }
    builder.env("TERM", "xterm-256color");
    builder.env("TZ", "UTC");
    // A panic is to be read on one screen.
    builder.env("RUST_BACKTRACE", "0");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => builder.env(name, value),
            None => builder.env_remove(name),
        }
    }
    builder
}

fn read(mut from: impl Read, shown: &Shown, writer: &Mutex<Box<dyn Write + Send>>, ground: Background) {
    let mut bytes = [0; 16 * 1024];
    // The pty's end is an error on Linux.
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let answers = answers(&bytes[..count], ground);
        if !answers.is_empty() {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writer.write_all(answers.as_bytes()).and_then(|()| writer.flush());
        }
        shown.lock().parser.process(&bytes[..count]);
        shown.changed.notify_all();
    }
    shown.lock().ended = true;
    shown.changed.notify_all();
}

/// What a terminal answers to those who ask it for its colours and its kind.
fn answers(bytes: &[u8], ground: Background) -> String {
    let text = String::from_utf8_lossy(bytes);
    let (fore, back) = match ground {
        Background::Dark => ("ffff/ffff/ffff", "0000/0000/0000"),
        Background::Light => ("0000/0000/0000", "ffff/ffff/ffff"),
    };
    let mut answers = String::new();
    if text.contains("\x1b]10;?") {
        answers += &format!("\x1b]10;rgb:{fore}\x1b\\");
    }
    if text.contains("\x1b]11;?") {
        answers += &format!("\x1b]11;rgb:{back}\x1b\\");
    }
    if text.contains("\x1b[c") {
        answers += "\x1b[?62;22c";
    }
    answers
}
