//! Exceptions, and the end of channels and connections: what they held goes back to where it came from.

use crate::amqp;
use crate::auth::Access;
use crate::error::{AmqpError, Scope};
use crate::store::StoreFailure;

use super::channel::Channel;
use super::class::tx::Transaction;
use super::{Connection, Phase, class, flush_channel_confirms, publish, settle};

impl Connection {
    /// Answers an exception and closes what it closes.
    pub(super) fn fail(&mut self, channel: u16, error: AmqpError) {
        if self.phase != Phase::Running {
            return;
        }
        let (class_id, method_id) = error.caused_by.unwrap_or_default();
        if self.cx.broker.client_log.admits(self.cx.peer) {
            tracing::warn!(
                connection = self.cx.id,
                peer = %self.cx.peer,
                user = self.cx.user.name(),
                channel,
                "{error} (caused by method {class_id}.{method_id})"
            );
        }
        match error.scope {
            Scope::Channel if channel != 0 => {
                self.release_channel(channel);
                if let Some(channel) = self.channels.get_mut(&channel) {
                    **channel = Channel::new(channel.id);
                    channel.closing = true;
                }
                self.cx.send(
                    channel,
                    amqp::channel::Close {
                        reply_code: error.code.code(),
                        reply_text: error.reply_text().into(),
                        class_id,
                        method_id,
                    },
                );
            }
            _ => self.close_with(&error),
        }
    }

    /// Sends `connection.close` and lets go of everything.
    pub fn close_with(&mut self, error: &AmqpError) {
        if self.phase != Phase::Running {
            return;
        }
        let (class_id, method_id) = error.caused_by.unwrap_or_default();
        self.flush_confirms();
        self.release();
        // The client's close-ok is to be read.
        self.cx.held = false;
        self.cx.paused = false;
        self.cx.waiting_get = None;
        self.cx.send(
            0,
            amqp::connection::Close {
                reply_code: error.code.code(),
                reply_text: error.reply_text().into(),
                class_id,
                method_id,
            },
        );
        self.phase = Phase::Closing;
    }

    pub(super) fn close_channel(&mut self, id: u16) {
        self.release_channel(id);
        self.channels.remove(&id);
    }

    /// Consumers go, what they held comes back.
    fn release_channel(&mut self, id: u16) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        // Confirms that are due are still owed.
        flush_channel_confirms(&self.cx, channel);
        self.confirming.retain(|&confirming| confirming != id);
        let transaction = channel.transaction.take();
        let pending_of_transaction = transaction.as_ref().map_or(0, Transaction::bytes);
        let pending_of_content = channel.content.take().map_or(0, |content| content.pending_bytes);
        self.cx.pending.remove(pending_of_transaction + pending_of_content);
        let subscriptions: Vec<_> = channel.consumers.drain().map(|(_, subscription)| subscription).collect();
        if let Some(reply) = channel.reply.take() {
            self.cx.vhost.replies.remove(&reply.address);
        }
        // First: nothing more is handed out on this channel, and what it held is back in its place before others have
        // their turn. Who takes over from a single active consumer begins with that.
        let out = self.cx.outbox.lock().close_channel(id);
        let mut unacked = out.map(|mut out| out.unacked.take_all()).unwrap_or_default();
        unacked.extend(transaction.into_iter().flat_map(|transaction| transaction.into_unsettled()));
        // Those that a transaction had settled stand between the others: a queue gives them out again from the first on.
        unacked.sort_unstable_by_key(|delivery| delivery.tag);
        settle::apply(&mut self.cx.wakes, unacked, settle::Verdict::Requeue, true);
        let mut to_drop = Vec::new();
        for subscription in subscriptions {
            subscription.consumer.set_cancelled();
            if subscription.queue.cancel(&subscription.consumer, &mut self.cx.wakes) {
                to_drop.push(subscription.queue);
            }
        }
        for queue in to_drop {
            class::basic::drop_unused(&mut self.cx, &queue);
        }
    }

    /// Lets go of every channel and exclusive queue; for the end of the connection, once.
    pub fn release(&mut self) {
        if std::mem::replace(&mut self.released, true) {
            return;
        }
        // What one channel gives back must not go out on the next one, to a client that no longer listens.
        // Dropped when the lock is free again.
        let _waiting = self.cx.outbox.lock().close();
        let ids: Vec<u16> = self.channels.keys().copied().collect();
        for id in ids {
            self.close_channel(id);
        }
        for queue in self.cx.own_queues.take_all() {
            if let Some(done) = self.cx.vhost.drop_queue(&queue, false) {
                self.cx.finish(done);
            }
        }
        self.cx.wakes.wake_all();
    }

    /// The store has failed: no confirm that waits for it will ever come, so its channel is closed. Consumers on
    /// other channels go on.
    pub fn fail_unconfirmed(&mut self, failure: &StoreFailure) {
        let waits = |id: &u16| self.channels.get(id).is_some_and(|c| c.waits_for_disk());
        let waiting: Vec<u16> = self.confirming.iter().copied().filter(waits).collect();
        for id in waiting {
            self.fail(id, publish::store_failed(failure).caused_by((0, 0)));
        }
        self.cx.wakes.wake_all();
    }

    /// Closes channels with a delivery that was not acknowledged in time.
    pub fn close_overdue(&mut self, now_ms: u64) {
        let default_ms = self.cx.broker.config.limits.consumer_timeout_ms;
        let overdue = self.cx.outbox.lock().overdue(now_ms, default_ms);
        for (id, timeout_ms) in overdue {
            let text = format!(
                "delivery acknowledgement on channel {id} timed out. Timeout value used: {timeout_ms} ms. This \
                 timeout value can be configured, see consumers doc guide to learn more"
            );
            self.fail(id, AmqpError::precondition_failed(text).caused_by((0, 0)));
        }
        self.cx.wakes.wake_all();
    }

    /// The user's rights have become less: consumers of queues that he may no longer read from end.
    pub fn recheck_rights(&mut self) {
        let mut refused = Vec::new();
        for (&id, channel) in &self.channels {
            for (tag, subscription) in &channel.consumers {
                if let Err(error) = self.cx.check(Access::Read, "queue", subscription.queue.name()) {
                    refused.push((id, tag.clone(), error));
                }
            }
        }
        for (id, tag, error) in refused {
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            let Some(subscription) = channel.consumers.remove(&tag) else { continue };
            class::basic::unsubscribe(&mut self.cx, &subscription);
            match subscription.consumer.wants_cancel {
                true => subscription.consumer.announce_cancelled(),
                false => self.fail(id, error.caused_by((0, 0))),
            }
        }
        self.cx.wakes.wake_all();
    }
}
