//! `chat-tui --plain`: the chat as lines.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::time::Duration;

use jiff::Timestamp;
use shared::message::TEXT_BYTES_MAX;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Failure;
use super::client::{Client, Step};
use super::output::{Line, Output};
use super::talk::Told;
use crate::session::api::{Command, Connection, Delivery, Direction, Event, Span};
use crate::tui::{Notify, Plain, Said, Turn, clipboard, open_link};

/// A script begins when what waited at the broker is here, or after that long.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(10);
/// At the end of a script that long is waited until everything is sent.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Room for the commands around a text.
const LINE_BYTES_MAX: u64 = TEXT_BYTES_MAX as u64 + 1024;

enum Typed {
    Line(String),
    Problem(String),
}

/// Chats by lines until the input ends, `/quit`, or a signal.
pub async fn run(client: Client, me: String, notify: Notify, output: &Output) -> Result<(), Failure> {
    let handler = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
    let (mut interrupt, mut terminate) =
        (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
    let (sender, mut typed) = mpsc::channel(1);
    // Reading blocks, and nothing can stop it: so it is on a thread that ends with the program.
    std::thread::spawn(move || read(std::io::stdin().lock(), &sender));
    let mut talk = Talk {
        client: client.without_deadline(),
        plain: Plain::new(&me, "", notify),
        told: Told::default(),
        output,
        alone: !std::io::stdin().is_terminal(),
        taking: Taking::Nothing,
        started: Instant::now(),
        failed: false,
        ended: false,
    };
    while !talk.ended {
        let may_begin_at = talk.started + CATCH_UP_TIMEOUT;
        tokio::select! {
            biased;
            step = talk.client.advance() => talk.step(step?).await?,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            line = typed.recv(), if talk.takes_lines() => match line {
                Some(Typed::Line(text)) => talk.line(&text).await?,
                Some(Typed::Problem(problem)) => talk.say(Said::Problem(problem))?,
                None => { talk.flush().await?; break; }
            },
            // Only to look again whether a script may begin.
            () = sleep_until(may_begin_at), if may_begin_at > Instant::now() => {}
        }
    }
    if !talk.ended {
        talk.client.end().await;
    }
    if talk.failed && talk.alone {
        return Err("not everything was done, see above".to_owned());
    }
    Ok(())
}

/// Whether the next line may be taken: only when everything that the one before it did is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    Nothing,
    /// Until the session has done all commands, and then has answered one more.
    Waits {
        asked: bool,
    },
}

struct Talk<'a> {
    client: Client,
    plain: Plain,
    told: Told,
    output: &'a Output,
    /// No person is at the keyboard.
    alone: bool,
    taking: Taking,
    started: Instant,
    failed: bool,
    ended: bool,
}

impl Talk<'_> {
    fn takes_lines(&self) -> bool {
        let offline = matches!(self.client.connection, Some(Connection::Offline { .. }));
        let settled = !self.alone
            || self.client.progress().caught_up
            || offline
            || self.started.elapsed() >= CATCH_UP_TIMEOUT;
        self.plain.is_ready() && settled && self.taking == Taking::Nothing && !self.plain.is_waiting()
    }

    async fn line(&mut self, text: &str) -> Result<(), Failure> {
        let turn = self.plain.line(text, Timestamp::now());
        self.taking = Taking::Waits { asked: false };
        self.take(turn).await?;
        self.go_on().await
    }

    async fn step(&mut self, step: Step) -> Result<(), Failure> {
        if let Step::Event(event) = step {
            match &event {
                Event::History { friend, .. } if friend.is_empty() => {
                    self.taking = Taking::Nothing;
                    return Ok(());
                }
                _ => self.tell(&event)?,
            }
            let turn = self.plain.event(event, Timestamp::now());
            self.take(turn).await?;
        }
        self.go_on().await
    }

    /// Asks the session for a sign when it has done everything.
    async fn go_on(&mut self) -> Result<(), Failure> {
        if self.taking == (Taking::Waits { asked: false }) && self.client.is_done() {
            self.taking = Taking::Waits { asked: true };
            let sign = Command::LoadHistory { friend: String::new(), span: Span::Newest, limit: 1 };
            self.client.give(sign).await?;
        }
        Ok(())
    }

    async fn take(&mut self, turn: Turn) -> Result<(), Failure> {
        for said in turn.said {
            self.say(said)?;
        }
        if turn.bell && !self.alone && std::io::stdout().is_terminal() {
            let mut out = std::io::stdout();
            out.write_all(b"\x07").and_then(|()| out.flush()).map_err(unwritable)?;
        }
        if let Some(text) = turn.copy {
            self.copy(&text)?;
        }
        if let Some(problem) = turn.open.and_then(|link| open_link(&link).err()) {
            self.say(Said::Problem(problem))?;
        }
        for command in turn.commands {
            self.client.give(command).await?;
        }
        self.ended |= turn.ended;
        Ok(())
    }

    /// Through the terminal (OSC 52), if there is one.
    fn copy(&mut self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout();
        if !out.is_terminal() {
            return self.say(Said::Problem("There is no terminal, and so no clipboard.".to_owned()));
        }
        out.write_all(clipboard(text).as_bytes()).and_then(|()| out.flush()).map_err(unwritable)
    }

    fn say(&mut self, said: Said) -> Result<(), Failure> {
        match said {
            Said::Message { message, numbered: true } => {
                self.output.print(&Line::Numbered(&message)).map_err(unwritable)
            }
            Said::Message { message, numbered: false } => {
                self.output.print(&Line::Message(&message)).map_err(unwritable)
            }
            Said::Info(text) => self.output.print(&Line::Notice(&text)).map_err(unwritable),
            Said::Problem(text) => {
                self.failed = true;
                eprintln!("chat-tui: {}", crate::harmless::lines(&text));
                Ok(())
            }
        }
    }

    /// Tells what happened; in plain lines, less of it.
    fn tell(&mut self, event: &Event) -> Result<(), Failure> {
        if let Event::MessageState { state: Delivery::Returned | Delivery::Failed(_), .. } = event {
            self.failed = true;
        }
        let skipped = match event {
            _ if self.output.json => false,
            Event::Failed { .. } | Event::Notice(_) | Event::Typing { .. } => true,
            // What was typed stands there already.
            Event::Message(message) if message.direction == Direction::Outgoing => true,
            Event::MessageState { state: Delivery::Queued | Delivery::Delivered, .. } => true,
            _ => false,
        };
        if skipped {
            self.told.note(event);
            return Ok(());
        }
        self.told.tell(event, self.output).map_err(unwritable)
    }

    /// At the end of the input: waits until everything is sent.
    async fn flush(&mut self) -> Result<(), Failure> {
        if !self.alone {
            return Ok(());
        }
        self.client.deadline = Instant::now() + SEND_TIMEOUT;
        loop {
            let progress = self.client.progress();
            let answered = self.client.is_done() && !self.plain.is_waiting();
            if progress.online && progress.pending == 0 && answered {
                return Ok(());
            }
            match self.client.advance().await? {
                Step::Late => {
                    let why = self.client.excuse();
                    return self
                        .say(Said::Problem(format!("{why}: what is not sent is kept, and goes out later")));
                }
                step => self.step(step).await?,
            }
            if self.ended {
                return Ok(());
            }
        }
    }
}

fn unwritable(error: std::io::Error) -> Failure {
    format!("cannot write to standard output: {error}")
}

/// Hands over lines; one that ends with a backslash goes on in the next.
fn read(mut from: impl BufRead, to: &mpsc::Sender<Typed>) {
    let mut text = String::new();
    loop {
        let mut bytes = Vec::new();
        let typed = match from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes) {
            Ok(0) if text.is_empty() => return,
            Ok(0) => Typed::Line(std::mem::take(&mut text)),
            Ok(_) if bytes.len() as u64 == LINE_BYTES_MAX && !bytes.ends_with(b"\n") => {
                text.clear();
                if skip_line(&mut from).is_err() {
                    return;
                }
                Typed::Problem(format!("A line is too long: a message holds {TEXT_BYTES_MAX} bytes."))
            }
            Ok(_) => match String::from_utf8(bytes) {
                Ok(line) => {
                    let line = line.strip_suffix('\n').unwrap_or(&line);
                    let line = line.strip_suffix('\r').unwrap_or(line);
                    if let Some(begun) = line.strip_suffix('\\')
                        && text.len() <= TEXT_BYTES_MAX
                    {
                        text.push_str(begun);
                        text.push('\n');
                        continue;
                    }
                    text.push_str(line);
                    Typed::Line(std::mem::take(&mut text))
                }
                Err(_) => {
                    text.clear();
                    Typed::Problem("A line is not UTF-8 text.".to_owned())
                }
            },
            Err(error) => {
                let problem = format!("standard input cannot be read: {error}");
                // Nobody listens any more: then nobody has to know.
                let _ = to.blocking_send(Typed::Problem(problem));
                return;
            }
        };
        if to.blocking_send(typed).is_err() {
            return;
        }
    }
}

fn skip_line(from: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = from.fill_buf()?;
        let found = buffer.iter().position(|byte| *byte == b'\n');
        let (used, is_end) = (found.map_or(buffer.len(), |at| at + 1), found.is_some() || buffer.is_empty());
        from.consume(used);
        if is_end {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<String> {
        let (sender, mut receiver) = mpsc::channel(100);
        read(input, &sender);
        drop(sender);
        std::iter::from_fn(|| receiver.blocking_recv())
            .map(|typed| match typed {
                Typed::Line(line) => line,
                Typed::Problem(problem) => format!("! {problem}"),
            })
            .collect()
    }

    #[test]
    fn lines_are_read_as_they_were_meant() {
        assert_eq!(lines(b"one\r\ntwo"), ["one", "two"]);
        assert_eq!(lines(b"one\\\ntwo\n\nend\\"), ["one\ntwo", "", "end\n"]);
        assert_eq!(lines(b"\xff\nok\n"), ["! A line is not UTF-8 text.", "ok"]);
        let mut long = vec![b'x'; 2 * LINE_BYTES_MAX as usize + 7];
        long.extend(b"\nok\n");
        let read = lines(&long);
        assert!(read[0].contains("too long") && read[1..] == ["ok"], "{read:?}");
    }
}
