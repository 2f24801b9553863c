//! A look ahead over what was read: the queues of the next messages come to the processor's cache while those before
//! are handled.

use std::sync::Arc;

use crate::amqp::{self, FrameKind};
use crate::prefetch::prefetch_arc;

use super::{BASIC_PUBLISH, Connection};

/// Messages that are looked at together. Twice as many queues fit into the smallest cache.
const AHEAD: usize = 8;

/// How far what was read has been looked at.
#[derive(Default)]
pub struct Foresight {
    /// Where to look on.
    next: usize,
    /// Where to look next is to be decided: one look before.
    due: usize,
    /// What the look before saw: the names of queues, hashed.
    seen: [u64; AHEAD],
    seen_len: usize,
}

impl Connection {
    /// To be called before what stands at `at` of `input` is handled.
    #[inline]
    pub(super) fn look_ahead(&self, foresight: &mut Foresight, input: &[u8], at: usize) {
        if at >= foresight.due && self.cx.routes.are_many() {
            foresight.due = foresight.next.max(at);
            foresight.next = foresight.due + self.foresee(foresight, &input[foresight.due..]);
        }
    }

    /// Has the queues fetched that the publishes at the head of `input` go to, as far as that is easily said; and what
    /// belongs to the queues that the look before asked for. Bytes that were looked at.
    fn foresee(&self, foresight: &mut Foresight, input: &[u8]) -> usize {
        // Who changes the topology is not to wait for this, nor this for him.
        let topology = if self.cx.routes.are_too_many() { self.cx.vhost.try_read() } else { None };
        let queues = topology.as_ref().map(|topology| &topology.queues);
        for &hash in &foresight.seen[..std::mem::take(&mut foresight.seen_len)] {
            queues
                .and_then(|queues| queues.probable(hash))
                .into_iter()
                .for_each(|queue| queue.prefetch_more());
        }
        let mut at = 0;
        // First where the queues' names stand, then, when that has come, the queues.
        for _ in 0..AHEAD {
            let Ok(Some((frame, size))) = amqp::next_frame(&input[at..], self.frame_max) else { break };
            at += size;
            if frame.kind != FrameKind::Method || amqp::peek_method_id(frame.payload) != Some(BASIC_PUBLISH) {
                continue;
            }
            let Ok(publish) = amqp::split_publish(frame.payload) else { break };
            match queues {
                Some(queues) if publish.exchange.is_empty() => {
                    let hash = queues.hash(publish.routing_key);
                    foresight.seen[foresight.seen_len] = hash;
                    foresight.seen_len += 1;
                    queues.prefetch(hash);
                }
                _ => {
                    let queue = self.cx.routes.peek(&publish).and_then(|route| route.first());
                    queue.into_iter().for_each(|queue| prefetch_arc(Arc::as_ptr(queue)));
                }
            }
            let Some((_, _, size)) = amqp::whole_content(&input[at..], frame.channel, self.frame_max) else {
                break;
            };
            at += size;
        }
        for &hash in &foresight.seen[..foresight.seen_len] {
            let queue = queues.and_then(|queues| queues.probable(hash));
            queue.into_iter().for_each(|queue| prefetch_arc(Arc::as_ptr(queue)));
        }
        at
    }
}
