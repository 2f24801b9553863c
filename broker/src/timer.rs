//! One thread that tells queues when their next deadline has come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock;
use crate::queue::WeakQueue;

/// Cheap to clone. The thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct Timer(Arc<Handle>);

struct Handle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    deadlines: BinaryHeap<Reverse<Deadline>>,
    set: u64,
    stopped: bool,
}

struct Deadline {
    at_ms: u64,
    number: u64,
    queue: WeakQueue,
}

impl Ord for Deadline {
    fn cmp(&self, other: &Deadline) -> std::cmp::Ordering {
        (self.at_ms, self.number).cmp(&(other.at_ms, other.number))
    }
}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Deadline) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Deadline {
    fn eq(&self, other: &Deadline) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Deadline {}

impl Timer {
    pub fn start() -> std::io::Result<Timer> {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        std::thread::Builder::new().name("timer".to_owned()).spawn(move || of_thread.run())?;
        Ok(Timer(Arc::new(Handle(shared))))
    }

    /// `Queue::timer_fired` is called at or soon after `at_ms` (milliseconds since the epoch).
    pub fn set(&self, at_ms: u64, queue: WeakQueue) {
        let shared = &self.0.0;
        let mut state = shared.state.lock();
        state.set += 1;
        let number = state.set;
        let is_next = state.deadlines.peek().is_none_or(|Reverse(first)| at_ms < first.at_ms);
        state.deadlines.push(Reverse(Deadline { at_ms, number, queue }));
        if is_next {
            shared.changed.notify_one();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.state.lock().stopped = true;
        self.0.changed.notify_one();
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock();
        while !state.stopped {
            let now_ms = clock::now_ms();
            match state.deadlines.peek() {
                None => self.changed.wait(&mut state),
                Some(Reverse(first)) if first.at_ms > now_ms => {
                    let wait = Duration::from_millis(first.at_ms - now_ms);
                    self.changed.wait_for(&mut state, wait);
                }
                Some(_) => {
                    let due = state.deadlines.pop();
                    drop(state);
                    if let Some(queue) = due.and_then(|Reverse(deadline)| deadline.queue.upgrade()) {
                        queue.timer_fired();
                    }
                    state = self.state.lock();
                }
            }
        }
    }
}
