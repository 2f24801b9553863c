//! The ack path: deliveries of a channel are acknowledged, rejected, or come back.

use crate::error::AmqpError;
use crate::outbox::Wakes;
use crate::unacked::UnackedDelivery;

use super::channel::Channel;
use super::context::Context;

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
    let found = cx.outbox.lock().channel(channel.id).is_some_and(|out| {
        let found = out.unacked.take(tag, multiple, &mut taken);
        if channel.transaction.is_some() {
            out.settled_uncommitted(&taken);
        }
        found
    });
    if !found {
        return Err(AmqpError::precondition_failed(format!("unknown delivery tag {tag}")));
    }
    if let Some(transaction) = &mut channel.transaction {
        transaction.settle(taken, verdict);
        return Ok(());
    }
    apply(&mut cx.wakes, taken, verdict);
    resume_channel(cx, channel);
    Ok(())
}

/// Carries the verdict out, one lock for each run of deliveries from the same queue.
pub fn apply(wakes: &mut Wakes, mut deliveries: Vec<UnackedDelivery>, verdict: Verdict) {
    for delivery in &deliveries {
        if let Some(consumer) = &delivery.consumer {
            consumer.settled(u64::from(delivery.entry.body_len));
        }
    }
    while let Some(first) = deliveries.first() {
        let queue = first.queue.clone();
        let run = deliveries.iter().take_while(|d| std::sync::Arc::ptr_eq(&d.queue, &queue)).count();
        let rest = deliveries.split_off(run);
        match verdict {
            Verdict::Gone => queue.settle(&deliveries, wakes),
            Verdict::Rejected => queue.reject(deliveries, wakes),
            Verdict::Requeue => queue.requeue(deliveries.drain(..).map(|d| d.entry), wakes),
        }
        deliveries = rest;
    }
}

/// With a prefetch that the channel's consumers share, room made on one queue is room for all of them.
pub fn resume_channel(cx: &mut Context, channel: &Channel) {
    let shared = cx
        .outbox
        .lock()
        .channel(channel.id)
        .is_some_and(|out| out.prefetch_global != 0 || out.prefetch_size_global != 0);
    if shared {
        resume_all(cx, channel);
    }
}

/// Delivers from every queue that the channel consumes from.
pub fn resume_all(cx: &mut Context, channel: &Channel) {
    for subscription in channel.consumers.values() {
        subscription.queue.resume(&mut cx.wakes);
    }
}
