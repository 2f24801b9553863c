//! Class confirm: publisher confirms.

use crate::amqp;
use crate::connection::channel::Channel;
use crate::connection::confirms::Confirms;
use crate::connection::context::Context;
use crate::error::AmqpError;

/// `confirm.select`
pub fn select(cx: &mut Context, ch: &mut Channel, select: &amqp::confirm::Select) -> Result<(), AmqpError> {
    if ch.transaction.is_some() {
        return Err(AmqpError::precondition_failed("cannot switch from tx to confirm mode"));
    }
    ch.confirms.get_or_insert_with(Confirms::default);
    if !select.no_wait {
        cx.send(ch.id, amqp::confirm::SelectOk);
    }
    Ok(())
}
