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

/// What a channel has done since `tx.select`, `tx.commit` or `tx.rollback`.
#[derive(Default)]
pub struct Transaction {
    publishes: Vec<Content>,
    settlements: Vec<(Vec<UnackedDelivery>, Verdict)>,
}

impl Transaction {
    pub fn publish(&mut self, content: Content) -> Result<(), AmqpError> {
        self.publishes.push(content);
        Ok(())
    }

    pub fn settle(&mut self, deliveries: Vec<UnackedDelivery>, verdict: Verdict) {
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

fn take(ch: &mut Channel) -> Result<Transaction, AmqpError> {
    match &mut ch.transaction {
        Some(transaction) => Ok(std::mem::take(transaction)),
        None => Err(AmqpError::precondition_failed("channel is not transactional")),
    }
}

/// `tx.commit`: answered once what it published is durable.
pub fn commit(cx: &mut Context, ch: &mut Channel) -> Result<(), AmqpError> {
    let transaction = take(ch)?;
    for content in transaction.publishes {
        if let Outcome::Waits(round) = publish::publish(cx, ch.id, content)? {
            cx.gate_round = cx.gate_round.max(Some(round));
        }
    }
    for (deliveries, verdict) in transaction.settlements {
        settle::apply(&mut cx.wakes, deliveries, verdict);
    }
    cx.send(ch.id, amqp::tx::CommitOk);
    settle::resume_channel(cx, ch);
    Ok(())
}

/// `tx.rollback`: publishes are forgotten, acknowledgements taken back.
pub fn rollback(cx: &mut Context, ch: &mut Channel) -> Result<(), AmqpError> {
    let transaction = take(ch)?;
    if let Some(out) = cx.outbox.lock().channel(ch.id) {
        out.unacked.put_back(transaction.into_unsettled());
    }
    cx.send(ch.id, amqp::tx::RollbackOk);
    Ok(())
}
