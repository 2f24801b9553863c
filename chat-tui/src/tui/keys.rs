//! What comes in from outside: keys and all else that the terminal sends, and signals.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crossterm::event::{Event as Input, EventStream};
use futures_lite::{Stream, StreamExt};

use super::ground::Ear;
use super::theme::Look;

/// What asks the program to end or to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Terminate,
    /// Ctrl-C at a terminal that is not ours at the moment.
    Interrupt,
    /// The shell is to have the terminal for a while.
    Suspend,
}

#[cfg(unix)]
pub(super) fn signals() -> io::Result<impl Stream<Item = Signal> + Unpin> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut kinds = vec![
        (signal(SignalKind::terminate())?, Signal::Terminate),
        (signal(SignalKind::hangup())?, Signal::Terminate),
        (signal(SignalKind::interrupt())?, Signal::Interrupt),
        (signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?, Signal::Suspend),
    ];
    Ok(futures_lite::stream::poll_fn(move |context| {
        for (signal, meaning) in &mut kinds {
            if signal.poll_recv(context).is_ready() {
                return Poll::Ready(Some(*meaning));
            }
        }
        Poll::Pending
    }))
}

#[cfg(not(unix))]
pub(super) fn signals() -> io::Result<impl Stream<Item = Signal> + Unpin> {
    Ok(futures_lite::stream::pending())
}

/// Keys and all else that comes from the terminal, until it is lent to another program.
pub trait Keys: Stream<Item = io::Result<Input>> + Unpin {
    fn pause(&mut self);
    fn resume(&mut self);
    /// Whether the terminal is dark or light, when it has just said so.
    fn look(&mut self) -> Option<Look>;
}

pub struct TerminalKeys {
    stream: Option<EventStream>,
    ear: Ear,
    /// What was read and not yet taken.
    ready: VecDeque<Input>,
}

impl TerminalKeys {
    /// Asks the terminal whether it is dark or light, if `look` is as the terminal is.
    pub fn ask(look: Look) -> io::Result<Self> {
        let ear = Ear::ask(look)?;
        Ok(TerminalKeys { stream: Some(EventStream::new()), ear, ready: VecDeque::new() })
    }
}

impl Stream for TerminalKeys {
    type Item = io::Result<Input>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let keys = &mut *self;
        loop {
            if let Some(input) = keys.ready.pop_front() {
                return Poll::Ready(Some(Ok(input)));
            }
            let Some(stream) = &mut keys.stream else { return Poll::Pending };
            match ready!(stream.poll_next(context)) {
                Some(Ok(input)) => keys.ready.extend(keys.ear.hear(input, std::time::Instant::now())),
                end => return Poll::Ready(end),
            }
            if keys.ear.has_look() {
                // Everything is drawn anew, as for another size.
                let (width, height) = crossterm::terminal::size()?;
                keys.ready.push_back(Input::Resize(width, height));
            }
        }
    }
}

impl Keys for TerminalKeys {
    fn pause(&mut self) {
        self.stream = None;
    }

    fn resume(&mut self) {
        self.stream = Some(EventStream::new());
    }

    fn look(&mut self) -> Option<Look> {
        self.ear.look()
    }
}
