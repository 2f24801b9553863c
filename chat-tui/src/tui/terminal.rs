//! The terminal: taken over, drawn on, and given back whatever happens.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    KeyboardEnhancementFlags, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use crossterm::style::Print;
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    SetTitle,
};
use crossterm::{cursor, execute, queue};
use data_encoding::BASE64;
use jiff::Timestamp;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::{Buffer, Cell, CellWidth};
use ratatui::layout::{Position, Rect};
use ratatui::{Frame, Terminal};

use super::doubtful::Doubtful;
use super::job;
use super::kind;
use super::model::Model;
use super::settings::{Desktop, Settings};
use super::text;
use super::theme::Theme;
use super::update::Effect;
use super::view::{self, Hyperlink};

/// What the loop draws on.
pub trait Screen {
    /// Columns and rows.
    fn size(&self) -> io::Result<(u16, u16)>;
    fn draw(&mut self, model: &Model, theme: &Theme, now: Timestamp) -> io::Result<()>;
    /// Gives the terminal back for a while.
    fn suspend(&mut self);
    /// Stops the process until somebody lets it go on, if there is somebody who can.
    fn stop(&mut self) -> impl Future<Output = Result<(), String>>;
    /// Takes it over again.
    fn resume(&mut self) -> io::Result<()>;
    /// Carries out the effects that are about the terminal.
    fn carry_out(&mut self, effect: &Effect) -> io::Result<()>;
}

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Terminals turn the wheel into arrow keys on the alternate screen; arrows mean something else here.
const NO_ALTERNATE_SCROLL: Print<&str> = Print("\x1b[?1007l");

/// Keep the title that the terminal has, and give it back. Where terminals do not know of that, it stays empty.
const KEEP_TITLE: Print<&str> = Print("\x1b[22;2t");
const GIVE_TITLE_BACK: Print<&str> = Print("\x1b[23;2t");

/// Presses, the wheel, and moves with a button down. Not every move, as `EnableMouseCapture` asks for: nothing would come of
/// those but work.
const MOUSE_ON: Print<&str> = Print("\x1b[?1000h\x1b[?1002h\x1b[?1006h");

/// The real terminal, in raw mode on the alternate screen, until it is dropped.
pub struct OwnTerminal {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    desktop: Desktop,
    /// It is drawn with those that every terminal has.
    few_signs: bool,
    /// Where links were drawn last.
    links: Vec<Rect>,
    doubtful: Doubtful,
}

impl OwnTerminal {
    pub fn enter(settings: &Settings) -> io::Result<Self> {
        if !io::stdout().is_terminal() {
            return Err(io::Error::other("the output is not a terminal"));
        }
        restore_on_panic();
        let mut out = BufWriter::with_capacity(64 * 1024, io::stdout());
        Self::take_over(&mut out, settings.mouse)?;
        let made = Terminal::new(CrosstermBackend::new(out)).and_then(|mut terminal| {
            wipe(&mut terminal)?;
            let desktop = settings.notify.desktop.resolve(|name| std::env::var(name).ok());
            let few_signs = std::env::var("TERM").is_ok_and(|term| kind::has_few_signs(&term));
            Ok(OwnTerminal { terminal, desktop, few_signs, links: Vec::new(), doubtful: Doubtful::default() })
        });
        made.inspect_err(|_| restore())
    }

    fn take_over(out: &mut impl Write, mouse: bool) -> io::Result<()> {
        TAKEN.store(true, Ordering::SeqCst);
        Self::set_up(out, mouse).inspect_err(|_| restore())
    }

    fn set_up(out: &mut impl Write, mouse: bool) -> io::Result<()> {
        terminal::enable_raw_mode()?;
        queue!(
            out,
            EnterAlternateScreen,
            EnableBracketedPaste,
            EnableFocusChange,
            // Tells Shift-Enter from Enter where the terminal can; others ignore it.
            PushKeyboardEnhancementFlags(KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES),
            NO_ALTERNATE_SCROLL,
            KEEP_TITLE,
        )?;
        if mouse {
            queue!(out, MOUSE_ON)?;
        }
        out.flush()
    }

    /// Draws one picture, whole.
    pub fn paint(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.paint_with_links(picture, &[])
    }

    fn paint_with_links(
        &mut self,
        picture: impl FnOnce(&mut Frame<'_>),
        links: &[Hyperlink],
    ) -> io::Result<()> {
        if !TAKEN.load(Ordering::SeqCst) {
            // A task has panicked; its message stands on the screen that was given back.
            return Err(io::Error::other("a part of Warren has failed, see above"));
        }
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        let (doubtful, few_signs) = (&mut self.doubtful, self.few_signs);
        let drawn = self.terminal.draw(|frame| {
            picture(frame);
            if few_signs {
                kind::simplify(frame.buffer_mut());
            }
            doubtful.mark(frame.buffer_mut());
        })?;
        let mut again: Vec<(&str, LinkCells)> = Vec::new();
        // What is no longer a link has to be drawn as such, even if it looks the same.
        for area in self.links.drain(..) {
            again.push(("", cells(drawn.buffer, area)));
        }
        for link in links {
            again.push((&link.target, cells(drawn.buffer, link.area)));
        }
        self.links = links.iter().map(|link| link.area).collect();
        draw_links(self.terminal.backend_mut(), &again)?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Asks the terminal to show a notification.
    fn notify(&mut self, title: &str, body: &str) -> io::Result<()> {
        let (title, body) = (notice_line(title), notice_line(body));
        let told = match self.desktop {
            Desktop::Osc9 => format!("\x1b]9;{title}: {body}\x07"),
            // A semicolon ends the title.
            Desktop::Osc777 => format!("\x1b]777;notify;{};{body}\x07", title.replace(';', ",")),
            Desktop::Auto | Desktop::Off => return Ok(()),
        };
        let told = match std::env::var_os("TMUX") {
            // tmux hands on what is wrapped so, if it is allowed to.
            Some(_) => format!("\x1bPtmux;{}\x1b\\", told.replace('\x1b', "\x1b\x1b")),
            None => told,
        };
        execute!(self.terminal.backend_mut(), Print(told))
    }
}

type LinkCells = Vec<(u16, u16, Cell)>;

/// The cells of `area`, but for those that a wide one before them covers.
fn cells(buffer: &Buffer, area: Rect) -> LinkCells {
    let area = area.intersection(buffer.area);
    let mut found = Vec::new();
    let mut x = area.x;
    while x < area.right() && area.height > 0 {
        let cell = &buffer[(x, area.y)];
        found.push((x, area.y, cell.clone()));
        x += cell.cell_width().max(1);
    }
    found
}

/// Draws the cells once more, each group as a link to its target (OSC 8), or to none. Terminals that know nothing of links
/// leave that out; the widths of cells are not touched by it.
fn draw_links<W: Write>(backend: &mut CrosstermBackend<W>, groups: &[(&str, LinkCells)]) -> io::Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    queue!(backend, cursor::SavePosition)?;
    for (target, cells) in groups {
        queue!(backend, Print(format!("\x1b]8;;{target}\x1b\\")))?;
        backend.draw(cells.iter().map(|(x, y, cell)| (*x, *y, cell)))?;
        queue!(backend, Print("\x1b]8;;\x1b\\"))?;
    }
    queue!(backend, cursor::RestorePosition)
}

/// Draws everything anew the next time. Not by `Terminal::clear`, which asks the terminal where its cursor is and
/// waits for the answer: behind a slow line that takes long, and keys pressed meanwhile stand in its way.
fn wipe<B: Backend>(terminal: &mut Terminal<B>) -> Result<(), B::Error> {
    let size = terminal.size()?;
    terminal.resize(Rect::from((Position::ORIGIN, size)))
}

impl Screen for OwnTerminal {
    fn size(&self) -> io::Result<(u16, u16)> {
        terminal::size()
    }

    fn draw(&mut self, model: &Model, theme: &Theme, now: Timestamp) -> io::Result<()> {
        self.paint_with_links(|frame| view::draw(frame, model, theme, now), &view::hyperlinks(model))
    }

    fn suspend(&mut self) {
        restore();
    }

    async fn stop(&mut self) -> Result<(), String> {
        job::stop().await
    }

    fn resume(&mut self) -> io::Result<()> {
        Self::take_over(self.terminal.backend_mut(), false)?;
        wipe(&mut self.terminal)
    }

    fn carry_out(&mut self, effect: &Effect) -> io::Result<()> {
        if let Effect::Notify { title, body } = effect {
            return self.notify(title, body);
        }
        let out = self.terminal.backend_mut();
        match effect {
            Effect::Bell => execute!(out, Print("\x07")),
            Effect::Copy(text) => execute!(out, Print(clipboard(text))),
            Effect::Title(title) => execute!(out, SetTitle(title)),
            Effect::Mouse(true) => execute!(out, MOUSE_ON),
            Effect::Mouse(false) => execute!(out, DisableMouseCapture),
            Effect::Redraw => wipe(&mut self.terminal),
            Effect::Open(_)
            | Effect::Suspend
            | Effect::Theme(_)
            | Effect::Session(_)
            | Effect::Leave
            | Effect::Abandon
            | Effect::Exit(_)
            | Effect::Notify { .. }
            | Effect::EditOutside(_) => Ok(()),
        }
    }
}

impl Drop for OwnTerminal {
    fn drop(&mut self) {
        restore();
    }
}

/// What puts `text` into the clipboard (OSC 52); works through SSH too.
pub fn clipboard(text: &str) -> String {
    format!("\x1b]52;c;{}\x07", BASE64.encode(text.as_bytes()))
}

/// Longer ones are cut by those who show them.
const NOTICE_COLUMNS_MAX: usize = 200;

/// One harmless line: what comes from others must not end the sequence it is in.
fn notice_line(text: &str) -> String {
    text::fit(text, NOTICE_COLUMNS_MAX)
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
        GIVE_TITLE_BACK,
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
