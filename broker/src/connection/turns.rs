//! Whose turn it is among the queues that one connection consumes from: they share its outbox, and with a global
//! prefetch its channel's credit. A deep queue must not take all of it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::outbox::{Outbox, Wakes};
use crate::queue::Queue;

/// Messages of one queue before the next one has its turn.
pub const SHARE_OF_OUTBOX: usize = 32;
/// With a prefetch that consumers share.
pub const SHARE_OF_PREFETCH: usize = 1;

/// Delivers from each queue in turn, `share` messages at a time, until none has any that somebody has room for.
/// `turn` is who comes first, and the next time it is the one behind.
pub fn deliver_in_turn(
    outbox: &Outbox,
    queues: &[Arc<Queue>],
    turn: &mut usize,
    share: usize,
    wakes: &mut Wakes,
) {
    if queues.is_empty() {
        return;
    }
    let first = *turn % queues.len();
    *turn = first + 1;
    let mut waiting: VecDeque<&Arc<Queue>> = queues[first..].iter().chain(&queues[..first]).collect();
    while let Some(queue) = waiting.pop_front() {
        if outbox.is_full(&outbox.lock()) {
            // Goes on when it has drained.
            return;
        }
        if queue.resume(wakes, share) {
            waiting.push_back(queue);
        }
    }
}
