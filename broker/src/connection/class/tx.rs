//! Class tx (AMQP 0-9-1 §1.9): publishes and acknowledgements wait for the commit.

use crate::amqp;
use crate::connection::channel::Channel;
use crate::connection::confirms::Outcome;
use crate::connection::content::Content;
use crate::connection::context::Context;
use crate::connection::publish;
use crate::connection::settle::{self, Verdict};
use crate::error::AmqpError;
use crate::unacked::UnackedDelivery;

/// Memory that a publish takes beside its bytes.
const PUBLISH_OVERHEAD_BYTES: u64 = 128;

/// What a channel has done since `tx.select`, `tx.commit` or `tx.rollback`.
#[derive(Default)]
pub struct Transaction {
    publishes: Vec<Content>,
    /// Counted in `Context::pending`.
    bytes: u64,
    settlements: Vec<(Vec<UnackedDelivery>, Verdict)>,
    /// Deliveries in `settlements`.
    settled: u32,
}

impl Transaction {
    pub fn publish(&mut self, cx: &mut Context, content: Content) -> Result<(), AmqpError> {
        let bytes = content.block.len() as u64 + PUBLISH_OVERHEAD_BYTES;
        cx.pending.add(bytes)?;
        self.bytes += bytes;
        self.publishes.push(content);
        Ok(())
    }

    /// Messages that wait for the commit.
    pub fn publishes(&self) -> u32 {
        self.publishes.len() as u32
    }

    /// Deliveries whose acknowledgement waits for the commit.
    pub fn settled(&self) -> u32 {
        self.settled
    }

    /// What `Context::pending` counts of it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn settle(&mut self, deliveries: Vec<UnackedDelivery>, verdict: Verdict) {
        self.settled += deliveries.len() as u32;
        self.settlements.push((deliveries, verdict));
    }

    /// Deliveries whose acknowledgement was not committed.
    pub fn into_unsettled(self) -> impl Iterator<Item = UnackedDelivery> {
        self.settlements.into_iter().flat_map(|(deliveries, _)| deliveries)
    }
}

/// `tx.select`
pub fn select(cx: &mut Context, ch: &mut Channel) -> Result<(), AmqpError> {
    if ch.confirms.is_some() {
        return Err(AmqpError::precondition_failed("cannot switch from confirm to tx mode"));
    }
    ch.transaction.get_or_insert_with(Transaction::default);
    cx.send(ch.id, amqp::tx::SelectOk);
    Ok(())
}

fn not_transactional() -> AmqpError {
    AmqpError::precondition_failed("channel is not transactional")
}

/// `tx.commit`: every publish is checked before the first is enqueued; answered once all are durable. Queues that
/// refuse for want of room do so when it is too late to take the others back: then the channel ends, as RabbitMQ's does.
pub fn commit(cx: &mut Context, ch: &mut Channel) -> Result<(), AmqpError> {
    let transaction = ch.transaction.as_mut().ok_or_else(not_transactional)?;
    // What was right when it was published may be wrong by now: an exchange deleted, a permission taken away.
    let publishes = std::mem::take(&mut transaction.publishes);
    let reply_address = ch.reply.as_ref().map(|reply| &*reply.address);
    let prepared: Result<Vec<_>, _> =
        publishes.into_iter().map(|content| publish::prepare(cx, reply_address, content)).collect();
    // An error leaves the settlements where they are: they come back with the channel's end.
    let prepared = prepared?;
    let transaction = std::mem::take(transaction);
    cx.pending.remove(transaction.bytes);
    let mut refused = 0;
    let count = prepared.len();
    for message in prepared {
        match publish::publish(cx, ch.id, message) {
            Outcome::Waits(round) => cx.gate_round = cx.gate_round.max(Some(round)),
            Outcome::Refused(round) => {
                refused += 1;
                cx.gate_round = cx.gate_round.max(round);
            }
            Outcome::Done => {}
        }
    }
    let acked = |(deliveries, verdict): &(Vec<UnackedDelivery>, Verdict)| {
        *verdict != Verdict::Requeue && deliveries.iter().any(|delivery| delivery.entry.stored)
    };
    let any_acked = transaction.settlements.iter().any(acked);
    for (deliveries, verdict) in transaction.settlements {
        settle::apply(&mut cx.wakes, deliveries, verdict, true);
    }
    if any_acked {
        // What was acked in a transaction never comes back once it is committed; an ack alone is not synced.
        cx.gate_round = cx.gate_round.max(Some(cx.broker.store.barrier()));
    }
    if let Some(out) = cx.outbox.lock().channel(ch.id) {
        out.end_transaction();
    }
    if refused > 0 {
        return Err(AmqpError::precondition_failed(format!(
            "partial tx completion: {refused} of {count} messages were refused by a queue that is full; all else is done"
        )));
    }
    cx.send(ch.id, amqp::tx::CommitOk);
    cx.pause_if_unread();
    settle::resume_all(cx, ch);
    Ok(())
}

/// `tx.rollback`: publishes are forgotten, acknowledgements taken back.
pub fn rollback(cx: &mut Context, ch: &mut Channel) -> Result<(), AmqpError> {
    let transaction = ch.transaction.as_mut().ok_or_else(not_transactional)?;
    let transaction = std::mem::take(transaction);
    cx.pending.remove(transaction.bytes);
    if let Some(out) = cx.outbox.lock().channel(ch.id) {
        out.unacked.put_back(transaction.into_unsettled());
        out.end_transaction();
    }
    cx.send(ch.id, amqp::tx::RollbackOk);
    Ok(())
}
