"""aio-pika, the client for asyncio, with its robust connection."""

import asyncio
import os
import ssl
import unittest
import uuid

import aio_pika
import tap
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.exceptions import (ChannelNotFoundEntity, ChannelPreconditionFailed, DeliveryError, PublishError,
                                 QueueEmpty)
from aiormq.exceptions import ChannelAccessRefused, ProbableAuthenticationError
from network import cut

PATIENCE_S = 20


class Scenario(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.connection = await self.connect()
        self.channel = await self.connection.channel()

    async def connect(self, url=None, robust=False, **options):
        connect = aio_pika.connect_robust if robust else aio_pika.connect
        connection = await connect(url or os.environ["AMQP_URL"], timeout=PATIENCE_S, **options)
        self.addAsyncCleanup(connection.close)
        return connection

    async def queue(self, **options):
        return await self.channel.declare_queue(exclusive=True, **options)

    async def send(self, queue, *bodies):
        for body in bodies:
            await self.channel.default_exchange.publish(Message(body), queue.name)

    async def bodies(self, queue):
        found = []
        while (message := await queue.get(no_ack=True, fail=False)) is not None:
            found.append(message.body)
        return found

    async def consume(self, queue, **options):
        """Deliveries, as they come."""
        deliveries = asyncio.Queue()
        await queue.consume(deliveries.put, **options)
        return deliveries

    @staticmethod
    async def next(deliveries):
        return await asyncio.wait_for(deliveries.get(), PATIENCE_S)

    async def routed(self, kind, bindings, publish):
        exchange = await self.channel.declare_exchange(f"aio.{uuid.uuid4()}", kind, auto_delete=True)
        queues = [await self.queue() for _ in bindings]
        for queue, binding in zip(queues, bindings):
            await queue.bind(exchange, **binding)
        await publish(exchange)
        return [await self.bodies(queue) for queue in queues]

    @staticmethod
    def keys(*keys):
        async def publish(exchange):
            for key in keys:
                await exchange.publish(Message(key.encode()), key, mandatory=False)
        return publish


class AtHome(Scenario):
    async def test_connect_with_a_wrong_password_is_refused(self):
        with self.assertRaises(ProbableAuthenticationError):
            await self.connect(os.environ["AMQP_URL"].replace("guest:guest", "guest:wrong"))

    async def test_declare_tells_what_is_there(self):
        queue = await self.queue()
        await self.send(queue, b"1")
        there = await self.channel.declare_queue(queue.name, passive=True)
        self.assertEqual(there.declaration_result.message_count, 1)
        self.assertEqual((await queue.purge()).message_count, 1)

    async def test_direct_goes_by_the_key(self):
        routed = await self.routed(ExchangeType.DIRECT, [{"routing_key": "red"}, {"routing_key": "blue"}],
                                   self.keys("red", "green"))
        self.assertEqual(routed, [[b"red"], []])

    async def test_fanout_goes_to_all(self):
        self.assertEqual(await self.routed(ExchangeType.FANOUT, [{}, {}], self.keys("x")), [[b"x"], [b"x"]])

    async def test_topic_goes_by_patterns(self):
        routed = await self.routed(ExchangeType.TOPIC, [{"routing_key": "*.error"}, {"routing_key": "disk.#"}],
                                   self.keys("disk.error", "disk", "net.error"))
        self.assertEqual(routed, [[b"disk.error", b"net.error"], [b"disk.error", b"disk"]])

    async def test_headers_go_by_all_or_any(self):
        both = {"a": 1, "b": "x"}

        async def publish(exchange):
            for body, headers in ((b"both", both), (b"one", {"a": 1}), (b"none", {"a": 2})):
                await exchange.publish(Message(body, headers=headers), "", mandatory=False)

        routed = await self.routed(ExchangeType.HEADERS, [{"arguments": {"x-match": "all", **both}},
                                                          {"arguments": {"x-match": "any", **both}}], publish)
        self.assertEqual(routed, [[b"both"], [b"both", b"one"]])

    async def test_confirm_is_awaited_and_negative_where_the_queue_is_full(self):
        queue = await self.queue(arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        await self.send(queue, b"fits")
        with self.assertRaises(DeliveryError):
            await self.send(queue, b"does not")

    async def test_return_of_what_goes_nowhere(self):
        self.channel = await self.connection.channel(on_return_raises=True)
        with self.assertRaises(PublishError) as raised:
            await self.channel.default_exchange.publish(Message(b"lost"), "nowhere")
        self.assertIn("NO_ROUTE", str(raised.exception))

    async def test_qos_holds_back_what_is_not_acknowledged(self):
        queue = await self.queue()
        await self.send(queue, b"1", b"2", b"3")
        await self.channel.set_qos(2)
        deliveries = await self.consume(queue)
        first = await self.next(deliveries)
        await self.next(deliveries)
        await self.channel.declare_queue(queue.name, passive=True)
        self.assertTrue(deliveries.empty())
        await first.ack()
        self.assertEqual((await self.next(deliveries)).body, b"3")

    async def test_ack_by_leaving_the_context(self):
        queue = await self.queue()
        await self.send(queue, b"1", b"2")
        async with (await queue.get()).process():
            pass
        self.assertEqual(await self.bodies(queue), [b"2"])

    async def test_nack_puts_back(self):
        queue = await self.queue()
        await self.send(queue, b"1", b"2")
        await (await queue.get()).nack(requeue=True)
        again = await queue.get(no_ack=True)
        self.assertEqual((again.body, again.redelivered), (b"1", True))

    async def test_reject_goes_to_the_dead_letters(self):
        dead = await self.queue()
        queue = await self.queue(arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name})
        await self.send(queue, b"bad")
        deaths = await self.consume(dead)
        await (await queue.get()).reject(requeue=False)
        [death] = (await self.next(deaths)).headers["x-death"]
        self.assertEqual((death["queue"], death["reason"]), (queue.name, "rejected"))

    async def test_recover_brings_back_what_is_not_acknowledged(self):
        queue = await self.queue()
        await self.send(queue, b"1")
        deliveries = await self.consume(queue)
        await self.next(deliveries)
        underlay = await self.channel.get_underlay_channel()
        await underlay.basic_recover(requeue=True)
        self.assertTrue((await self.next(deliveries)).redelivered)

    async def test_tx_commit_and_rollback(self):
        queue = await self.queue()
        channel = await self.connection.channel(publisher_confirms=False)
        transaction = channel.transaction()
        await transaction.select()
        await channel.default_exchange.publish(Message(b"undone"), queue.name)
        await transaction.rollback()
        await channel.default_exchange.publish(Message(b"done"), queue.name)
        await transaction.commit()
        self.assertEqual(await self.bodies(queue), [b"done"])

    async def test_get_from_an_empty_queue(self):
        with self.assertRaises(QueueEmpty):
            await (await self.queue()).get()

    async def test_rpc_by_reply_to(self):
        requests, replies = await self.queue(), await self.queue()

        async def serve(request):
            reply = Message(request.body.upper(), correlation_id=request.correlation_id)
            await self.channel.default_exchange.publish(reply, request.reply_to)

        await requests.consume(serve, no_ack=True)
        answers = await self.consume(replies, no_ack=True)
        await self.channel.default_exchange.publish(
            Message(b"hello", reply_to=replies.name, correlation_id="42"), requests.name)
        answer = await self.next(answers)
        self.assertEqual((answer.body, answer.correlation_id), (b"HELLO", "42"))

    async def test_errors_are_exceptions_of_their_own(self):
        name = f"aio.{uuid.uuid4()}"
        await self.channel.declare_queue(name, exclusive=True)
        for error, text, declare in (
            (ChannelNotFoundEntity, "NOT_FOUND - no queue 'nosuch' in vhost '/'",
             lambda channel: channel.declare_queue("nosuch", passive=True)),
            (ChannelPreconditionFailed, f"inequivalent arg 'x-max-length' for queue '{name}' in vhost '/'",
             lambda channel: channel.declare_queue(name, exclusive=True, arguments={"x-max-length": 1})),
            (ChannelAccessRefused, "contains reserved prefix 'amq.*'",
             lambda channel: channel.declare_queue("amq.mine")),
        ):
            with self.assertRaises(error) as raised:
                await declare(await self.connection.channel())
            self.assertIn(text, str(raised.exception))

    async def test_reconnect_by_itself_with_its_consumers(self):
        connection = await self.connect(os.environ["CUT_URL"], robust=True, reconnect_interval=0.1)
        again = asyncio.Event()
        connection.reconnect_callbacks.add(lambda *_: again.set())
        channel = await connection.channel()
        queue = await channel.declare_queue(f"aio.kept.{uuid.uuid4()}", durable=True)
        deliveries = await self.consume(queue, no_ack=True)
        await asyncio.to_thread(cut)
        await asyncio.wait_for(again.wait(), PATIENCE_S)
        message = Message(b"after", delivery_mode=DeliveryMode.PERSISTENT)
        await self.channel.default_exchange.publish(message, queue.name)
        self.assertEqual((await self.next(deliveries)).body, b"after")
        await self.channel.queue_delete(queue.name)


if "AMQPS_URL" in os.environ:
    class Tls(Scenario):
        async def test_tls_with_a_certificate_of_the_client(self):
            context = ssl.create_default_context(cafile=os.environ["TLS_CA"])
            context.load_cert_chain(os.environ["TLS_CERTIFICATE"], os.environ["TLS_KEY"])
            connection = await self.connect(os.environ["AMQPS_URL"], ssl_context=context)
            self.channel = await connection.channel()
            queue = await self.queue()
            await self.send(queue, b"x" * 300_000)
            self.assertEqual(len((await queue.get(no_ack=True)).body), 300_000)


if __name__ == "__main__":
    tap.main()
