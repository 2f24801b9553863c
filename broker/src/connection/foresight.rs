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
}

impl Connection {
    /// To be called before what stands at `at` of `input` is handled.
    #[inline]
    pub(super) fn look_ahead(&self, foresight: &mut Foresight, input: &[u8], at: usize) {
        if at >= foresight.due && self.cx.routes.are_many() {
            foresight.due = foresight.next.max(at);
            foresight.next = foresight.due + self.foresee(&input[foresight.due..]);
        }
    }

    /// Has the queues fetched that the publishes at the head of `input` go to, as far as that is easily said. Bytes that
    /// were looked at.
    fn foresee(&self, input: &[u8]) -> usize {
        let mut seen = 0;
        let mut topology = None;
        for _ in 0..AHEAD {
            let Ok(Some((frame, size))) = amqp::next_frame(&input[seen..], self.frame_max) else { break };
            seen += size;
            if frame.kind != FrameKind::Method || amqp::peek_method_id(frame.payload) != Some(BASIC_PUBLISH) {
                continue;
            }
            let Ok(publish) = amqp::decode_publish(frame.payload) else { break };
            if let Some(route) = self.cx.routes.peek(&publish) {
                route.first().into_iter().for_each(|queue| prefetch_arc(Arc::as_ptr(queue)));
            } else if publish.exchange.is_empty() {
                let topology = topology.get_or_insert_with(|| self.cx.vhost.read());
                topology
                    .queues
                    .get(publish.routing_key)
                    .into_iter()
                    .for_each(|queue| prefetch_arc(Arc::as_ptr(queue)));
            }
            let Some((_, _, size)) = amqp::whole_content(&input[seen..], frame.channel, self.frame_max)
            else {
                break;
            };
            seen += size;
        }
        seen
    }
}
