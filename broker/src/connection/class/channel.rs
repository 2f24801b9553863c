//! Class channel (AMQP 0-9-1 §1.5) and the remains of class access.

use crate::amqp;
use crate::connection::channel::Channel;
use crate::connection::context::Context;
use crate::connection::settle;
use crate::error::AmqpError;

/// `channel.flow`: the client pauses and resumes its deliveries.
pub fn flow(cx: &mut Context, ch: &mut Channel, flow: &amqp::channel::Flow) -> Result<(), AmqpError> {
    if let Some(out) = cx.outbox.lock().channel(ch.id) {
        out.paused = !flow.active;
    }
    cx.send(ch.id, amqp::channel::FlowOk { active: flow.active });
    if flow.active {
        settle::resume_all(cx, ch);
    }
    Ok(())
}

/// `access.request` of AMQP 0-8: tickets mean nothing any more.
pub fn access_request(cx: &mut Context, ch: &Channel) -> Result<(), AmqpError> {
    cx.send(ch.id, amqp::access::RequestOk { ticket: 1 });
    Ok(())
}
