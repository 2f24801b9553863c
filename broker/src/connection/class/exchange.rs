//! Class exchange (AMQP 0-9-1 §1.6).

use crate::amqp::{self, FieldTable};
use crate::auth::Access;
use crate::connection::channel::Channel;
use crate::connection::context::Context;
use crate::connection::names;
use crate::error::AmqpError;
use crate::vhost::{BindRequest, DeclareExchange, DestinationName, check_not_default};

/// `exchange.declare`
pub fn declare(
    cx: &mut Context,
    ch: &mut Channel,
    declare: &amqp::exchange::Declare,
) -> Result<(), AmqpError> {
    let name = &*names::without_line_breaks(&declare.exchange);
    if declare.passive {
        check_not_default(name)?;
        cx.check_any("exchange", name)?;
        let exchange = cx.vhost.exchange(name)?;
        cx.wait_for(cx.vhost.undecided(exchange.ticket));
    } else {
        cx.check(Access::Configure, "exchange", name)?;
        if let Some(alternate) = declare.arguments.get("alternate-exchange").and_then(|value| value.as_str())
        {
            cx.check(Access::Read, "exchange", name)?;
            cx.check(Access::Write, "exchange", alternate)?;
            check_may_address_any_queue(cx, name, alternate)?;
        }
        let wanted = DeclareExchange {
            name,
            kind: &declare.kind,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: &declare.arguments,
        };
        let is_to_be_told = wanted.unknown_arguments().next().is_some() && cx.vhost.exchange(name).is_err();
        let done = cx.vhost.declare_exchange(&wanted)?;
        cx.finish(done);
        if is_to_be_told && cx.broker.client_log.admits(cx.peer) {
            cx.vhost.warn_of_unknown_arguments(&wanted, cx.user.name());
        }
    }
    if !declare.no_wait {
        cx.send(ch.id, amqp::exchange::DeclareOk);
    }
    Ok(())
}

/// An alternate exchange gets whatever routing key was published with. As the default exchange it leads to the
/// queue of that name: not for users who may address some queues only.
fn check_may_address_any_queue(cx: &mut Context, name: &str, alternate: &str) -> Result<(), AmqpError> {
    if !alternate.is_empty() || cx.permission().is_some_and(|permission| permission.publish_keys.is_none()) {
        return Ok(());
    }
    Err(AmqpError::access_refused(format!(
        "alternate exchange 'amq.default' of exchange '{name}' in vhost '{}' refused for user '{}', who may not \
         publish to every queue",
        cx.vhost.name,
        cx.user.name()
    )))
}

/// `exchange.delete`
pub fn delete(cx: &mut Context, ch: &mut Channel, delete: &amqp::exchange::Delete) -> Result<(), AmqpError> {
    let name = names::without_line_breaks(&delete.exchange);
    cx.check(Access::Configure, "exchange", &name)?;
    let done = cx.vhost.delete_exchange(&name, delete.if_unused)?;
    cx.finish(done);
    if !delete.no_wait {
        cx.send(ch.id, amqp::exchange::DeleteOk);
    }
    Ok(())
}

/// `exchange.bind` (RabbitMQ's extension)
pub fn bind(cx: &mut Context, ch: &mut Channel, bind: &amqp::exchange::Bind) -> Result<(), AmqpError> {
    let request = checked(cx, &bind.destination, &bind.source, &bind.routing_key, &bind.arguments)?;
    let done = cx.vhost.bind(&request, cx.asker())?;
    cx.finish(done);
    if !bind.no_wait {
        cx.send(ch.id, amqp::exchange::BindOk);
    }
    Ok(())
}

/// `exchange.unbind` (RabbitMQ's extension)
pub fn unbind(cx: &mut Context, ch: &mut Channel, unbind: &amqp::exchange::Unbind) -> Result<(), AmqpError> {
    let request = checked(cx, &unbind.destination, &unbind.source, &unbind.routing_key, &unbind.arguments)?;
    let done = cx.vhost.unbind(&request, cx.asker())?;
    cx.finish(done);
    if !unbind.no_wait {
        cx.send(ch.id, amqp::exchange::UnbindOk);
    }
    Ok(())
}

fn checked<'a>(
    cx: &mut Context,
    destination: &str,
    source: &'a str,
    routing_key: &'a str,
    arguments: &'a FieldTable,
) -> Result<BindRequest<'a>, AmqpError> {
    cx.check(Access::Write, "exchange", destination)?;
    cx.check(Access::Read, "exchange", source)?;
    cx.check_topic(Access::Read, source, routing_key)?;
    Ok(BindRequest {
        source,
        destination: DestinationName::Exchange(destination.into()),
        routing_key,
        arguments,
    })
}
