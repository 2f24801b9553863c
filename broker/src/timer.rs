//! One thread that tells queues when their next deadline has come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock;
use crate::queue::WeakQueue;
use crate::store::QueueId;

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
    /// One for each queue at most; by time, in milliseconds since the epoch.
    deadlines: BTreeMap<(u64, QueueId), WeakQueue>,
    stopped: bool,
}

impl Timer {
    pub fn start() -> std::io::Result<Timer> {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        std::thread::Builder::new().name("timer".to_owned()).spawn(move || of_thread.run())?;
        Ok(Timer(Arc::new(Handle(shared))))
    }

    /// `Queue::timer_fired` is called at or soon after `at_ms` (milliseconds since the epoch), and no longer at
    /// `before_ms` if it was set to that before (0: it was not).
    pub fn set(&self, id: QueueId, before_ms: u64, at_ms: u64, queue: WeakQueue) {
        let shared = &self.0.0;
        let mut state = shared.state.lock();
        state.deadlines.remove(&(before_ms, id));
        let is_next = state.deadlines.first_key_value().is_none_or(|(&(first, _), _)| at_ms < first);
        state.deadlines.insert((at_ms, id), queue);
        if is_next {
            shared.changed.notify_one();
        }
    }

    /// Takes back what was set.
    pub fn cancel(&self, id: QueueId, at_ms: u64) {
        self.0.0.state.lock().deadlines.remove(&(at_ms, id));
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
            match state.deadlines.first_key_value() {
                None => self.changed.wait(&mut state),
                Some((&(at_ms, _), _)) if at_ms > now_ms => {
                    self.changed.wait_for(&mut state, Duration::from_millis(at_ms - now_ms));
                }
                Some(_) => {
                    let due = state.deadlines.pop_first();
                    drop(state);
                    if let Some(queue) = due.and_then(|(_, queue)| queue.upgrade()) {
                        queue.timer_fired();
                    }
                    state = self.state.lock();
                }
            }
        }
    }
}
