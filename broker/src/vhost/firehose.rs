//! Turning the firehose on and off: a flag for publishers, and one in every queue for what it delivers, so that who
//! does not ask for it pays a look at a flag that is at hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::queue::Queue;

use super::Vhost;

/// Off when the broker starts, as in RabbitMQ.
#[derive(Default)]
pub struct Switch {
    is_on: AtomicBool,
    /// Held by operators alone, for as long as a change takes. Ranks above the topology.
    changes: Mutex<()>,
}

impl Vhost {
    /// Whether what is published and delivered is copied to the trace exchange.
    #[inline]
    pub fn is_traced(&self) -> bool {
        self.firehose.is_on.load(Ordering::Relaxed)
    }

    /// In force when it returns.
    pub fn set_traced(&self, is_traced: bool) {
        let _change = self.firehose.changes.lock();
        self.firehose.is_on.store(is_traced, Ordering::Relaxed);
        // A queue that is missing here is made under the topology's lock behind this, and looks at the flag there.
        let queues: Vec<Arc<Queue>> = self.read().queues.values().cloned().collect();
        queues.iter().for_each(|queue| queue.set_traced(is_traced));
    }

    /// For a queue that nobody can reach yet.
    pub(super) fn trace_new_queue(&self, queue: &Queue) {
        if self.is_traced() {
            queue.set_traced(true);
        }
    }
}
