//! The queues that had messages for a connection and found no room in its outbox, in the order in which they came: when
//! there is room again, they are asked, and nobody else of what may be a hundred thousand.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use crate::prefetch::prefetch_arc;
use crate::queue::{Consumer, Queue};

/// So many places ahead, queues and consumers are fetched: a long line is not in the processor's cache.
const AHEAD: usize = 8;

/// A part of the outbox, behind its lock. A consumer stands in line once, for its queue.
#[derive(Default)]
pub struct Waiting(VecDeque<(Weak<Queue>, Arc<Consumer>)>);

impl Waiting {
    /// Puts the queue at the end of the line, if it is not in it for this consumer.
    pub fn join(&mut self, queue: &Arc<Queue>, consumer: &Arc<Consumer>) {
        if consumer.is_in_line() || consumer.is_cancelled() {
            return;
        }
        if self.0.len() == self.0.capacity() {
            // A client that does not read could subscribe and cancel for ever.
            self.0.retain(|(queue, consumer)| queue.strong_count() > 0 && !consumer.is_cancelled());
        }
        consumer.set_in_line(true);
        self.0.push_back((Arc::downgrade(queue), consumer.clone()));
    }

    /// Takes the first in line whose queue and consumer are still there.
    pub fn pop(&mut self) -> Option<(Arc<Queue>, Arc<Consumer>)> {
        if let Some((queue, consumer)) = self.0.get(AHEAD) {
            prefetch_arc(queue.as_ptr());
            prefetch_arc(Arc::as_ptr(consumer));
        }
        loop {
            let (queue, consumer) = self.0.pop_front()?;
            consumer.set_in_line(false);
            if !consumer.is_cancelled()
                && let Some(queue) = queue.upgrade()
            {
                return Some((queue, consumer));
            }
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives memory back that a long line needed.
    pub fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}
