//! The terminal: taken over, drawn on, and given back whatever happens.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture, KeyboardEnhancementFlags, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use crossterm::style::Print;
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    SetTitle,
};
use crossterm::{cursor, execute, queue};
use data_encoding::BASE64;
use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::model::Model;
use super::theme::Theme;
use super::update::Effect;
use super::view;

/// What the loop draws on.
pub trait Screen {
    /// Columns and rows.
    fn size(&self) -> io::Result<(u16, u16)>;
    fn draw(&mut self, model: &Model, theme: &Theme, now: Timestamp) -> io::Result<()>;
    /// Carries out the effects that are about the terminal.
    fn carry_out(&mut self, effect: &Effect) -> io::Result<()>;
}

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Terminals turn the wheel into arrow keys on the alternate screen; arrows mean something else here.
const NO_ALTERNATE_SCROLL: Print<&str> = Print("\x1b[?1007l");

/// The real terminal, in raw mode on the alternate screen, until it is dropped.
pub struct OwnTerminal {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl OwnTerminal {
    pub fn enter(mouse: bool) -> io::Result<Self> {
        if !io::stdout().is_terminal() {
            return Err(io::Error::other("the output is not a terminal"));
        }
        restore_on_panic();
        TAKEN.store(true, Ordering::SeqCst);
        Self::take_over(mouse).inspect_err(|_| restore())
    }

    fn take_over(mouse: bool) -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let mut out = BufWriter::with_capacity(64 * 1024, io::stdout());
        queue!(
            out,
            EnterAlternateScreen,
            EnableBracketedPaste,
            EnableFocusChange,
            // Tells Shift-Enter from Enter where the terminal can; others ignore it.
            PushKeyboardEnhancementFlags(KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES),
            NO_ALTERNATE_SCROLL,
        )?;
        if mouse {
            queue!(out, EnableMouseCapture)?;
        }
        out.flush()?;
        let mut terminal = Terminal::new(CrosstermBackend::new(out))?;
        terminal.clear()?;
        Ok(OwnTerminal { terminal })
    }
}

impl Screen for OwnTerminal {
    fn size(&self) -> io::Result<(u16, u16)> {
        terminal::size()
    }

    fn draw(&mut self, model: &Model, theme: &Theme, now: Timestamp) -> io::Result<()> {
        if !TAKEN.load(Ordering::SeqCst) {
            // A task has panicked; its message stands on the screen that was given back.
            return Err(io::Error::other("a part of Warren has failed, see above"));
        }
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| view::draw(frame, model, theme, now))?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    fn carry_out(&mut self, effect: &Effect) -> io::Result<()> {
        let out = self.terminal.backend_mut();
        match effect {
            Effect::Bell => execute!(out, Print("\x07")),
            // OSC 52: works through SSH too.
            Effect::Copy(text) => {
                execute!(out, Print(format!("\x1b]52;c;{}\x07", BASE64.encode(text.as_bytes()))))
            }
            Effect::Title(title) => execute!(out, SetTitle(title)),
            Effect::Mouse(true) => execute!(out, EnableMouseCapture),
            Effect::Mouse(false) => execute!(out, DisableMouseCapture),
            Effect::Redraw => self.terminal.clear(),
            Effect::Session(_) | Effect::Leave | Effect::Abandon | Effect::Exit(_) => Ok(()),
        }
    }
}

impl Drop for OwnTerminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, once.
fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    // If these fail the terminal is gone, and with it whoever could be told.
    let _ = execute!(
        out,
        EndSynchronizedUpdate,
        PopKeyboardEnhancementFlags,
        DisableMouseCapture,
        DisableFocusChange,
        DisableBracketedPaste,
        SetTitle(""),
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = terminal::disable_raw_mode();
}

/// A panic's message is readable only on the terminal as it was.
fn restore_on_panic() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            previous(panic);
        }));
    });
}
