//! The ack path: deliveries of a channel are acknowledged, rejected, or come back.

use std::sync::Arc;

use crate::error::AmqpError;
use crate::outbox::Wakes;
use crate::prefetch::prefetch_arc;
use crate::unacked::UnackedDelivery;

use super::channel::Channel;
use super::context::Context;
use super::turns::deliver_in_turn;

/// So many deliveries ahead, their queues and consumers are fetched: they may be others each time.
const AHEAD: usize = 8;

/// What is done with deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Acknowledged.
    Gone,
    /// Rejected for good: a dead letter, if the queue has a place for those.
    Rejected,
    /// Back to where it was.
    Requeue,
}

/// `basic.ack`, `basic.nack` and `basic.reject`.
pub fn settle(
    cx: &mut Context,
    channel: &mut Channel,
    tag: u64,
    multiple: bool,
    verdict: Verdict,
) -> Result<(), AmqpError> {
    let mut taken = Vec::new();
    let mut shared = false;
    let found = cx.outbox.lock().channel(channel.id).is_some_and(|out| {
        shared = out.shares_prefetch();
        let found = out.unacked.take(tag, multiple, &mut taken);
        if channel.transaction.is_some() {
            out.settled_uncommitted(&taken);
        }
        found
    });
    if !found {
        return Err(AmqpError::precondition_failed(format!("unknown delivery tag {tag}")));
    }
    if verdict == Verdict::Gone {
        cx.acknowledged += taken.len() as u64;
    }
    if let Some(transaction) = &mut channel.transaction {
        transaction.settle(taken, verdict);
        return Ok(());
    }
    apply(&mut cx.wakes, taken, verdict, !shared);
    if shared {
        resume_all(cx, channel);
    }
    Ok(())
}

/// Carries the verdict out, one lock for each run of deliveries from the same queue. With `deliver` each queue uses
/// the room that it makes; else the caller sees to it that they do so in turn.
pub fn apply(wakes: &mut Wakes, deliveries: Vec<UnackedDelivery>, verdict: Verdict, deliver: bool) {
    for (at, delivery) in deliveries.iter().enumerate() {
        if let Some(next) = deliveries.get(at + AHEAD)
            && !Arc::ptr_eq(&next.queue, &delivery.queue)
        {
            prefetch_arc(Arc::as_ptr(&next.queue));
            next.consumer.iter().for_each(|consumer| prefetch_arc(Arc::as_ptr(consumer)));
        }
    }
    for run in deliveries.chunk_by(is_same_consumers) {
        if let Some(consumer) = &run[0].consumer {
            let body_bytes = run.iter().map(|delivery| u64::from(delivery.entry.body_len)).sum();
            consumer.settled(run.len() as u32, body_bytes);
        }
    }
    if verdict == Verdict::Gone {
        for run in deliveries.chunk_by(|a, b| Arc::ptr_eq(&a.queue, &b.queue)) {
            run[0].queue.settle(run, deliver, wakes);
        }
        return;
    }
    let mut deliveries = deliveries.into_iter().peekable();
    while let Some(first) = deliveries.next() {
        let queue = first.queue.clone();
        let mut run = vec![first];
        while let Some(next) = deliveries.next_if(|next| Arc::ptr_eq(&next.queue, &queue)) {
            run.push(next);
        }
        match verdict {
            Verdict::Rejected => queue.reject(run, deliver, wakes),
            _ => queue.requeue(run.into_iter().map(|d| d.entry), wakes),
        }
    }
}

fn is_same_consumers(a: &UnackedDelivery, b: &UnackedDelivery) -> bool {
    match (&a.consumer, &b.consumer) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

/// Delivers from every queue that the channel consumes from, in turn: room made on one is room for all of them where
/// they share a prefetch.
pub fn resume_all(cx: &mut Context, channel: &mut Channel) {
    let subscriptions: Vec<_> = channel.consumers.values().collect();
    deliver_in_turn(&cx.outbox, &subscriptions, &mut channel.turn, &mut cx.wakes);
}
