//! Holding output back while what it promises is not yet on disk.

use crate::amqp::ReplyCode;
use crate::definitions::DefinitionsError;
use crate::error::AmqpError;

use super::{Driver, Phase};

impl Driver {
    /// A reply may only leave when what it promises is on disk.
    pub(super) fn can_flush(&mut self) -> bool {
        let cx = &mut self.connection.cx;
        if cx.gate_round.is_some_and(|round| round <= cx.broker.store.durable_round()) {
            cx.gate_round = None;
        }
        cx.gate.is_open() && cx.gate_round.is_none()
    }

    /// The highest ticket is decided, so all are; each may have been rejected alone.
    pub(super) fn gate_opened(&mut self, decided: Result<(), DefinitionsError>) {
        let definitions = &self.broker.definitions;
        let tickets = self.connection.cx.gate.take();
        let decided = decided.and_then(|()| tickets.iter().try_for_each(|&t| definitions.outcome(t)));
        if let Err(why) = decided
            && self.connection.phase == Phase::Running
        {
            // The replies that wait would promise what is not so.
            self.connection.cx.outbox.lock().output.clear();
            self.close(&AmqpError::connection(ReplyCode::InternalError, why.to_string()));
        }
    }

    /// Asks to be woken when the oldest confirm's round is durable; ends what waits if it never will be.
    pub(super) fn watch_store(&mut self) {
        let cx = &self.connection.cx;
        let Some(round) = self.connection.next_confirm_round().into_iter().chain(cx.gate_round).min() else {
            return;
        };
        if let Some(failure) = self.broker.store.failure() {
            if cx.gate_round.is_none() {
                return self.connection.fail_unconfirmed(&failure);
            }
            // The replies that wait promise what is not so, and they may be on any channel.
            cx.outbox.lock().output.clear();
            self.connection.cx.gate_round = None;
            return self.close(&AmqpError::connection(ReplyCode::InternalError, failure.to_string()));
        }
        if round > self.waiting_for_round {
            self.waiting_for_round = round;
            self.broker.store.on_durable(round, cx.outbox.clone());
        }
    }
}
