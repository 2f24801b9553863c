//! One function per wire method: permission, then the vhost, then the reply.

pub mod basic;
pub mod channel;
pub mod confirm;
pub mod exchange;
pub mod queue;
pub mod tx;

use crate::amqp::{Method, ReplyCode};
use crate::error::AmqpError;

use super::channel::Channel;
use super::context::Context;

/// A method on an open channel; publish and ack have been handled before (`Connection::on_method`).
pub fn dispatch(cx: &mut Context, ch: &mut Channel, method: Method) -> Result<(), AmqpError> {
    match method {
        Method::ChannelFlow(flow) => channel::flow(cx, ch, &flow),
        Method::ChannelFlowOk(_) => Ok(()),
        Method::AccessRequest(_) => channel::access_request(cx, ch),
        Method::ExchangeDeclare(declare) => exchange::declare(cx, ch, &declare),
        Method::ExchangeDelete(delete) => exchange::delete(cx, ch, &delete),
        Method::ExchangeBind(bind) => exchange::bind(cx, ch, &bind),
        Method::ExchangeUnbind(unbind) => exchange::unbind(cx, ch, &unbind),
        Method::QueueDeclare(declare) => queue::declare(cx, ch, &declare),
        Method::QueueBind(bind) => queue::bind(cx, ch, &bind),
        Method::QueueUnbind(unbind) => queue::unbind(cx, ch, &unbind),
        Method::QueuePurge(purge) => queue::purge(cx, ch, &purge),
        Method::QueueDelete(delete) => queue::delete(cx, ch, &delete),
        Method::BasicQos(qos) => basic::qos(cx, ch, &qos),
        Method::BasicConsume(consume) => basic::consume(cx, ch, consume),
        Method::BasicCancel(cancel) => basic::cancel(cx, ch, &cancel),
        // The answer to our own cancel (consumer cancel notification): nothing is left to do.
        Method::BasicCancelOk(_) => Ok(()),
        Method::BasicGet(get) => basic::get(cx, ch, &get),
        Method::BasicAck(ack) => basic::ack(cx, ch, &ack),
        Method::BasicReject(reject) => basic::reject(cx, ch, &reject),
        Method::BasicNack(nack) => basic::nack(cx, ch, &nack),
        Method::BasicRecover(recover) => basic::recover(cx, ch, recover.requeue, true),
        Method::BasicRecoverAsync(recover) => basic::recover(cx, ch, recover.requeue, false),
        Method::ConfirmSelect(select) => confirm::select(cx, ch, &select),
        Method::TxSelect(_) => tx::select(cx, ch),
        Method::TxCommit(_) => tx::commit(cx, ch),
        Method::TxRollback(_) => tx::rollback(cx, ch),
        Method::ChannelOpen(_) => {
            Err(AmqpError::connection(ReplyCode::ChannelError, "second 'channel.open' seen"))
        }
        _ => Err(AmqpError::connection(ReplyCode::CommandInvalid, "unimplemented method")),
    }
}
