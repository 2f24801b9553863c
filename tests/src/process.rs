//! A running program, and what it has printed so far.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::{PATIENCE, eventually};

/// Killed when dropped; then, if the test failed, everything it printed is shown.
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

#[derive(Default)]
struct Output {
    printed: Mutex<Printed>,
    grew: Condvar,
}

#[derive(Default)]
struct Printed {
    lines: Vec<(Stream, String)>,
    /// Streams that have ended.
    ended: usize,
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Printed> {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, stream: Stream, from: impl Read) {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { break };
            self.lock().lines.push((stream, String::from_utf8_lossy(&line).into_owned()));
            self.grew.notify_all();
        }
        self.lock().ended += 1;
        self.grew.notify_all();
    }
}

impl Process {
    /// `name` is for the reader of a failed test.
    pub fn spawn(name: impl Into<String>, command: &mut Command) -> Process {
        let name = name.into();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawned = command.spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let output = Arc::new(Output::default());
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let output = Arc::clone(&output);
            readers.push(std::thread::spawn(move || output.read(Stream::Stdout, stdout)));
        }
        if let Some(stderr) = child.stderr.take() {
            let output = Arc::clone(&output);
            readers.push(std::thread::spawn(move || output.read(Stream::Stderr, stderr)));
        }
        Process { name, child, output, readers }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The first thing that `find` makes of all lines of standard output so far, as soon as there is one. Fails when
    /// the output ends without it.
    pub fn await_stdout<T>(&self, what: &str, find: impl Fn(&[&str]) -> Option<T>) -> T {
        self.await_lines(Stream::Stdout, what, find)
    }

    /// The same for standard error.
    pub fn await_stderr<T>(&self, what: &str, find: impl Fn(&[&str]) -> Option<T>) -> T {
        self.await_lines(Stream::Stderr, what, find)
    }

    fn await_lines<T>(&self, stream: Stream, what: &str, find: impl Fn(&[&str]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut printed = self.output.lock();
        loop {
            let lines: Vec<&str> = printed
                .lines
                .iter()
                .filter(|(from, _)| *from == stream)
                .map(|(_, line)| line.as_str())
                .collect();
            if let Some(found) = find(&lines) {
                return found;
            }
            let has_ended = printed.ended == self.readers.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if has_ended || left.is_zero() {
                drop(printed);
                let why = if has_ended { "it ended" } else { "no more patience" };
                panic!("{}: no {what} ({why})", self.name);
            }
            let waited = self.output.grew.wait_timeout(printed, left);
            printed = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.lines(Stream::Stdout)
    }

    /// Standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.lines(Stream::Stderr)
    }

    fn lines(&self, stream: Stream) -> Vec<String> {
        let printed = self.output.lock();
        printed.lines.iter().filter(|(from, _)| *from == stream).map(|(_, line)| line.clone()).collect()
    }

    /// SIGKILL: the process gets no chance to do anything. Returns when it is gone.
    pub fn kill9(&mut self) {
        // Fails only when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join_readers();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// Waits until it ends by itself, and all it printed is here.
    pub fn wait(&mut self) -> ExitStatus {
        let name = self.name.clone();
        let status = eventually(&format!("{name} ends"), || {
            self.child.try_wait().unwrap_or_else(|error| panic!("cannot wait for {name}: {error}"))
        });
        self.join_readers();
        status
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }

    fn show(&self) {
        eprintln!("--- {} (process {})", self.name, self.id());
        for (stream, line) in &self.output.lock().lines {
            let mark = if *stream == Stream::Stdout { "out" } else { "err" };
            eprintln!("{mark} | {line}");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            self.show();
        }
    }
}
