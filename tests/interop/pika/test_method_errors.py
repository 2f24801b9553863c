"""Mistakes in methods, and the codes and texts that clients match on."""

import unittest

from pika.spec import Basic, BasicProperties, Channel, Confirm, Exchange, Queue, Tx

from probes import OK, Conformance, Probe, Publish
from wire import Closed


def channel(code, text):
    return Closed("channel", code, text)


def connection(code, text):
    return Closed("connection", code, text)


def not_found(what):
    return channel(404, f"NOT_FOUND - no {what} in vhost '/'")


def refused(text):
    return channel(403, f"ACCESS_REFUSED - {text}")


def failed(text):
    return channel(406, f"PRECONDITION_FAILED - {text}")


def declare(queue="q", **options):
    # Gone with the connection: every probe finds a broker without it.
    return Queue.Declare(queue=queue, **{"exclusive": True, **options})


def declare_exchange(exchange="x", **options):
    return Exchange.Declare(exchange=exchange, **{"type": "direct", "auto_delete": True, **options})


DEFAULT_EXCHANGE = refused("operation not permitted on the default exchange")
LOCKED = channel(405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'")
IN_USE = refused("queue 'q' in vhost '/' in exclusive use")
FANOUT = "amq.fanout"

MISSING = [
    Probe("passive declare of a missing queue", [Queue.Declare(queue="none", passive=True)], not_found("queue 'none'")),
    Probe("passive declare of a missing exchange", [Exchange.Declare(exchange="none", passive=True)], not_found("exchange 'none'")),
    Probe("consume from a missing queue", [Basic.Consume(queue="none")], not_found("queue 'none'")),
    Probe("get from a missing queue", [Basic.Get(queue="none")], not_found("queue 'none'")),
    Probe("purge a missing queue", [Queue.Purge(queue="none")], not_found("queue 'none'")),
    Probe("publish to a missing exchange", [Publish("none")], not_found("exchange 'none'")),
    Probe("publish what is wrong to a missing exchange", [Publish("none", properties=BasicProperties(expiration="abc"))], not_found("exchange 'none'")),
    Probe("publish what is wrong to an internal exchange", [Publish("amq.rabbitmq.trace", properties=BasicProperties(user_id="mallory"))], refused("cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'")),
    Probe("bind a missing queue to a missing exchange", [Queue.Bind(queue="none", exchange="no exchange")], not_found("exchange 'no exchange'")),
    Probe("bind two missing exchanges of different names", [Exchange.Bind(destination="none", source="no source")], not_found("exchange 'no source'")),
    Probe("bind a missing queue", [Queue.Bind(queue="none", exchange=FANOUT)], not_found("queue 'none'")),
    Probe("bind to a missing exchange", [Queue.Bind(queue="q", exchange="none")], not_found("exchange 'none'"), given=[declare()]),
    Probe("bind two missing exchanges", [Exchange.Bind(destination="none", source=FANOUT)], not_found("exchange 'none'")),
    Probe("unbind a missing queue", [Queue.Unbind(queue="none", exchange=FANOUT)], Queue.UnbindOk),
    Probe("delete a missing queue", [Queue.Delete(queue="none")], Queue.DeleteOk),
    Probe("delete a missing exchange", [Exchange.Delete(exchange="none")], Exchange.DeleteOk),
    Probe("the last queue when there was none", [Queue.Purge(queue="")], channel(404, "NOT_FOUND - no previously declared queue")),
    Probe("passive declare without a reply", [Queue.Declare(queue="none", passive=True, nowait=True)], not_found("queue 'none'")),
]

RESERVED = [
    Probe("bind to the default exchange", [Queue.Bind(queue="q", exchange="")], DEFAULT_EXCHANGE, given=[declare()]),
    Probe("unbind from the default exchange", [Queue.Unbind(queue="q", exchange="")], DEFAULT_EXCHANGE, given=[declare()]),
    Probe("declare the default exchange", [Exchange.Declare(exchange="")], DEFAULT_EXCHANGE),
    Probe("declare the default exchange passively", [Exchange.Declare(exchange="", passive=True)], DEFAULT_EXCHANGE),
    Probe("delete the default exchange", [Exchange.Delete(exchange="")], DEFAULT_EXCHANGE),
    Probe("delete a predeclared exchange", [Exchange.Delete(exchange="amq.direct")], refused("deletion of system exchange 'amq.direct' in vhost '/' not allowed")),
    Probe("declare an exchange under amq.", [Exchange.Declare(exchange="amq.foo")], refused("exchange name 'amq.foo' contains reserved prefix 'amq.*'")),
    Probe("declare a queue under amq.", [declare("amq.foo")], refused("queue name 'amq.foo' contains reserved prefix 'amq.*'")),
    Probe("an unknown exchange type", [Exchange.Declare(exchange="x", type="nosuchtype")], connection(503, "COMMAND_INVALID - unknown exchange type 'nosuchtype'")),
    Probe("publish to an internal exchange", [Publish("x")], refused("cannot publish to internal exchange 'x' in vhost '/'"), given=[declare_exchange(internal=True), declare(), Queue.Bind(queue="q", exchange="x")]),
]


def exchange_differs(argument, received, current):
    return failed(f"inequivalent arg '{argument}' for exchange 'x' in vhost '/': received {received} but current is {current}")


def queue_differs(argument, received, current):
    return failed(f"inequivalent arg '{argument}' for queue 'q' in vhost '/': received {received} but current is {current}")


# Auto-delete exchanges go with their last binding, here with the connection's queue.
BOUND_X = [declare_exchange(), declare(), Queue.Bind(queue="q", exchange="x")]

REDECLARED = [
    Probe("another type", [declare_exchange(type="fanout")], exchange_differs("type", "'fanout'", "'direct'"), given=BOUND_X),
    Probe("an exchange become durable", [declare_exchange(durable=True)], exchange_differs("durable", "'true'", "'false'"), given=BOUND_X),
    Probe("an exchange no longer auto-delete", [declare_exchange(auto_delete=False)], exchange_differs("auto_delete", "'false'", "'true'"), given=BOUND_X),
    Probe("an exchange become internal", [declare_exchange(internal=True)], exchange_differs("internal", "'true'", "'false'"), given=BOUND_X),
    Probe("an alternate exchange added", [declare_exchange(arguments={"alternate-exchange": "z"})], exchange_differs("alternate-exchange", "the value 'z' of type 'longstr'", "none"), given=BOUND_X),
    Probe("the same exchange again", [declare_exchange()], Exchange.DeclareOk, given=BOUND_X),
    Probe("an exclusive queue become durable", [declare(durable=True)], Queue.DeclareOk, given=[declare()]),
    # Its consumer takes this queue along.
    Probe("a queue become durable", [Queue.Declare(queue="p", durable=True, auto_delete=True)], failed("inequivalent arg 'durable' for queue 'p' in vhost '/': received 'true' but current is 'false'"), given=[Queue.Declare(queue="p", auto_delete=True), Basic.Consume(queue="p")]),
    Probe("a queue become auto-delete", [declare(auto_delete=True)], queue_differs("auto_delete", "'true'", "'false'"), given=[declare()]),
    Probe("a queue no longer exclusive", [declare(exclusive=False)], LOCKED, given=[declare()]),
    Probe("an argument added", [declare(arguments={"x-message-ttl": 100})], queue_differs("x-message-ttl", "the value '100' of type 'signedint'", "none"), given=[declare()]),
    Probe("an argument changed", [declare(arguments={"x-max-length": 6})], queue_differs("x-max-length", "'6'", "'5'"), given=[declare(arguments={"x-max-length": 5})]),
    Probe("an argument left out", [declare()], queue_differs("x-max-length", "none", "the value '5' of type 'signedint'"), given=[declare(arguments={"x-max-length": 5})]),
    Probe("an unknown argument added", [declare(arguments={"x-unknown": 1})], Queue.DeclareOk, given=[declare()]),
]

EXCLUSIVE = [
    Probe(f"{what} another connection's queue", [method], LOCKED, elsewhere=[declare()])
    for what, method in [
        ("declare", declare()),
        ("passively declare", Queue.Declare(queue="q", passive=True)),
        ("consume", Basic.Consume(queue="q")),
        ("get from", Basic.Get(queue="q")),
        ("purge", Queue.Purge(queue="q")),
        ("bind", Queue.Bind(queue="q", exchange=FANOUT)),
        ("delete", Queue.Delete(queue="q")),
    ]
] + [
    Probe("consume beside an exclusive consumer", [Basic.Consume(queue="q")], IN_USE, given=[declare(), Basic.Consume(queue="q", exclusive=True)]),
    Probe("consume exclusively beside a consumer", [Basic.Consume(queue="q", exclusive=True)], IN_USE, given=[declare(), Basic.Consume(queue="q")]),
]


def bad_argument(name, value, text):
    what = f"invalid arg '{name}' for queue 'q' in vhost '/': "
    return Probe(f"{name}={value!r}", [declare(arguments={name: value})], failed(what + text))


ARGUMENTS = [
    bad_argument("x-message-ttl", -1, "{value_negative,-1}"),
    bad_argument("x-message-ttl", "1", '"expected integer, got longstr"'),
    bad_argument("x-expires", 0, "{value_zero,0}"),
    bad_argument("x-expires", "1", '"expected integer, got longstr"'),
    bad_argument("x-max-length", -1, "{value_negative,-1}"),
    bad_argument("x-max-length", "1", '"expected integer, got longstr"'),
    bad_argument("x-overflow", "bad", "invalid_overflow"),
    bad_argument("x-max-priority", 256, "{max_value_exceeded,256}"),
    bad_argument("x-max-priority", -1, "{value_negative,-1}"),
    bad_argument("x-queue-mode", "x", "\"unsupported queue mode 'x'\""),
    bad_argument("x-queue-type", "x", "\"unsupported queue type 'x'\""),
    bad_argument("x-queue-version", 3, "\"unsupported queue version '3'\""),
    bad_argument("x-single-active-consumer", "x", "{unacceptable_type,longstr}"),
    bad_argument("x-dead-letter-routing-key", "k", "routing_key_but_no_dlx_defined"),
    Probe("x-dead-letter-exchange=1", [declare(arguments={"x-dead-letter-exchange": 1})], failed("invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'")),
    Probe("a large x-message-ttl", [declare(arguments={"x-message-ttl": 2**32 - 1})], Queue.DeclareOk),
    Probe("a consumer's priority that is no number", [Basic.Consume(queue="q", arguments={"x-priority": "x"})], failed("invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected integer, got longstr\""), given=[declare()]),
]

def bad_properties(name, text, **properties):
    return Probe(name, [Publish(FANOUT, properties=BasicProperties(**properties))], failed(text))


PUBLISHED = [
    bad_properties("an expiration that is no number", "invalid expiration 'abc': no_integer", expiration="abc"),
    bad_properties("a negative expiration", "invalid expiration '-1': {value_negative,-1}", expiration="-1"),
    bad_properties("somebody else's user-id", "user_id property set to 'mallory' but authenticated user was 'guest'", user_id="mallory"),
    Probe("one's own user-id", [Publish(FANOUT, properties=BasicProperties(user_id="guest"))], OK),
]


def unknown_tag(tag):
    return failed(f"unknown delivery tag {tag}")


SETTLED = [
    Probe("ack an unknown tag", [Basic.Ack(99)], unknown_tag(99)),
    Probe("ack up to an unknown tag", [Basic.Ack(99, multiple=True)], unknown_tag(99)),
    Probe("ack all when there is none", [Basic.Ack(0, multiple=True)], OK),
    Probe("ack tag 0", [Basic.Ack(0)], unknown_tag(0)),
    Probe("nack tag 0", [Basic.Nack(0)], unknown_tag(0)),
    Probe("reject an unknown tag", [Basic.Reject(99)], unknown_tag(99)),
    Probe("ack twice", [Basic.Ack(1), Basic.Ack(1)], unknown_tag(1), given=[declare(), Publish(routing_key="q"), Basic.Get(queue="q")]),
    Probe("recover", [Basic.Recover(requeue=True)], Basic.RecoverOk),
    Probe("recover, asynchronously", [Basic.RecoverAsync(requeue=True)], OK),
    Probe("recover without requeue", [Basic.Recover(requeue=False)], connection(540, "NOT_IMPLEMENTED - requeue=false")),
    Probe("a prefetch size", [Basic.Qos(prefetch_size=10)], connection(540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)")),
    Probe("the same consumer tag twice", [Basic.Consume(queue="q", consumer_tag="ct")], connection(530, "NOT_ALLOWED - attempt to reuse consumer tag 'ct'"), given=[declare(), Basic.Consume(queue="q", consumer_tag="ct")]),
    Probe("cancel an unknown consumer", [Basic.Cancel(consumer_tag="none")], Basic.CancelOk),
]

MODES = [
    Probe("commit without a transaction", [Tx.Commit()], failed("channel is not transactional")),
    Probe("rollback without a transaction", [Tx.Rollback()], failed("channel is not transactional")),
    Probe("confirms in a transaction", [Confirm.Select()], failed("cannot switch from tx to confirm mode"), given=[Tx.Select()]),
    Probe("a transaction with confirms", [Tx.Select()], failed("cannot switch from confirm to tx mode"), given=[Confirm.Select()]),
    Probe("flow on", [Channel.Flow(active=True)], Channel.FlowOk),
    Probe("flow off", [Channel.Flow(active=False)], connection(540, "NOT_IMPLEMENTED - active=false")),
    Probe("a channel opened twice", [Channel.Open()], connection(504, "CHANNEL_ERROR - second 'channel.open' seen")),
]

DELETED = [
    Probe("a queue in use, if unused", [Queue.Delete(queue="q", if_unused=True)], failed("queue 'q' in vhost '/' in use"), given=[declare(), Basic.Consume(queue="q")]),
    Probe("a queue that is not empty, if empty", [Queue.Delete(queue="q", if_empty=True)], failed("queue 'q' in vhost '/' not empty"), given=[declare(), Publish(routing_key="q")]),
    Probe("an exchange in use, if unused", [Exchange.Delete(exchange="x", if_unused=True)], failed("exchange 'x' in vhost '/' in use"), given=BOUND_X),
]


def bad_match(value, text):
    bind = Queue.Bind(queue="q", exchange="amq.headers", arguments={"x-match": value})
    return Probe(f"x-match={value!r}", [bind], failed(text), given=[declare()])


HEADERS = [
    bad_match("foo", 'Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x'),
    bad_match(1, "Invalid x-match field type signedint (value 1); expected longstr"),
]

IMPLEMENTED = "RabbitMQ left it out; here it does what the specification says"

DIFFERENCES = {
    "recover without requeue": (Basic.RecoverOk, IMPLEMENTED),
    "a prefetch size": (OK, IMPLEMENTED),
    "flow off": (Channel.FlowOk, IMPLEMENTED),
}


class MethodErrors(Conformance):
    def check(self, probes):
        differences = {p.name: DIFFERENCES[p.name] for p in probes if p.name in DIFFERENCES}
        super().check(probes, differences)

    def test_what_does_not_exist(self):
        self.check(MISSING)

    def test_what_is_reserved(self):
        self.check(RESERVED)

    def test_declaring_again_differently(self):
        self.check(REDECLARED)

    def test_exclusive_queues_and_consumers(self):
        self.check(EXCLUSIVE)

    def test_arguments(self):
        self.check(ARGUMENTS)

    def test_properties_of_messages(self):
        self.check(PUBLISHED)

    def test_settling_and_consuming(self):
        self.check(SETTLED)

    def test_channel_modes(self):
        self.check(MODES)

    def test_deleting_on_condition(self):
        self.check(DELETED)

    def test_headers_bindings(self):
        self.check(HEADERS)


if __name__ == "__main__":
    unittest.main()
