//! Where recovery applies what it has verified: on the thread that verifies, or on one of its own, so that a fast disk does
//! not wait for the index.

use std::io;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::record::Location;
use super::replay::Replay;
use super::scan::Noted;
use super::segment::Segment;
use super::window::Window;

/// Windows that may wait to be applied. Bounds the memory; one is enough to keep both threads at work.
const WINDOWS_AHEAD: usize = 2;

/// The log's verified contents, in their order.
enum Step {
    Segment { segment: Arc<Segment>, file_bytes: u32 },
    MissingSegment(Segment),
    Batches { window: Arc<Window>, batches: Vec<Batch> },
    Record { record: Vec<u8>, location: Location },
    End(Location),
    FileBytes(Location),
}

/// The verified records of a batch.
pub struct Batch {
    /// Where they are in their window.
    pub records: Range<usize>,
    /// Where the batch begins in the log.
    pub place: Location,
    pub noted: Vec<Noted>,
}

pub struct Applier {
    worker: Worker,
    /// Batches of one window are handed over together.
    window: Option<Arc<Window>>,
    batches: Vec<Batch>,
}

enum Worker {
    Here(Box<Replay>),
    Beside { steps: SyncSender<Step>, messages: Arc<AtomicU64>, thread: JoinHandle<Replay> },
}

impl Applier {
    /// Does everything at once, on the caller's thread.
    pub fn here() -> Applier {
        Applier::new(Worker::Here(Box::default()))
    }

    pub fn beside() -> io::Result<Applier> {
        let (steps, todo) = sync_channel(WINDOWS_AHEAD);
        let messages = Arc::new(AtomicU64::new(0));
        let tell = messages.clone();
        let thread =
            std::thread::Builder::new().name("store-replay".into()).spawn(move || apply_all(&todo, &tell))?;
        Ok(Applier::new(Worker::Beside { steps, messages, thread }))
    }

    fn new(worker: Worker) -> Applier {
        Applier { worker, window: None, batches: Vec::new() }
    }

    pub fn segment(&mut self, segment: Arc<Segment>, file_bytes: u32) {
        self.then(Step::Segment { segment, file_bytes });
    }

    pub fn missing_segment(&mut self, segment: Segment) {
        self.then(Step::MissingSegment(segment));
    }

    pub fn batch(&mut self, window: &Arc<Window>, batch: Batch) {
        if !self.window.as_ref().is_some_and(|last| Arc::ptr_eq(last, window)) {
            self.flush();
            self.window = Some(window.clone());
        }
        self.batches.push(batch);
    }

    /// One verified record of a batch that is damaged otherwise.
    pub fn record(&mut self, record: Vec<u8>, location: Location) {
        self.then(Step::Record { record, location });
    }

    pub fn end(&mut self, end: Location) {
        self.then(Step::End(end));
    }

    pub fn file_bytes(&mut self, end: Location) {
        self.then(Step::FileBytes(end));
    }

    /// Messages alive as far as the log is applied.
    pub fn messages(&self) -> u64 {
        match &self.worker {
            Worker::Here(replay) => replay.messages(),
            Worker::Beside { messages, .. } => messages.load(Ordering::Relaxed),
        }
    }

    pub fn finish(mut self) -> Replay {
        self.flush();
        match self.worker {
            Worker::Here(replay) => *replay,
            Worker::Beside { steps, thread, .. } => {
                drop(steps);
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))
            }
        }
    }

    fn flush(&mut self) {
        if let Some(window) = self.window.take() {
            let batches = std::mem::take(&mut self.batches);
            self.submit(Step::Batches { window, batches });
        }
    }

    fn then(&mut self, step: Step) {
        self.flush();
        self.submit(step);
    }

    fn submit(&mut self, step: Step) {
        match &mut self.worker {
            Worker::Here(replay) => apply(replay, step),
            // It only ends before its time by a panic, which `finish` passes on.
            Worker::Beside { steps, .. } => drop(steps.send(step)),
        }
    }
}

fn apply_all(todo: &Receiver<Step>, messages: &AtomicU64) -> Replay {
    let mut replay = Replay::default();
    for step in todo {
        apply(&mut replay, step);
        messages.store(replay.messages(), Ordering::Relaxed);
    }
    replay
}

fn apply(replay: &mut Replay, step: Step) {
    match step {
        Step::Segment { segment, file_bytes } => replay.push_segment(segment, file_bytes),
        Step::MissingSegment(segment) => replay.push_missing_segment(segment),
        Step::Batches { window, batches } => {
            for batch in batches {
                replay.batch(&window[batch.records], batch.place, &batch.noted);
            }
        }
        Step::Record { record, location } => replay.record(&record, location),
        Step::End(end) => replay.set_end(end),
        Step::FileBytes(end) => replay.set_file_bytes(end),
    }
}
