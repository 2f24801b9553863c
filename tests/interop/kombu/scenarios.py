"""Kombu, the messaging library under Celery."""

import os
import socket
import ssl
import unittest
import uuid

import kombu
import tap
from amqp.exceptions import AccessRefused, MessageNacked, NotFound, PreconditionFailed
from kombu import Connection, Consumer, Exchange, Producer, Queue
from network import cut


class Scenario(unittest.TestCase):
    def setUp(self):
        self.connection = self.connect(os.environ["AMQP_URL"])
        self.channel = self.connection.channel()
        self.producer = Producer(self.channel)

    def connect(self, url, **options):
        connection = Connection(url, **options)
        self.addCleanup(connection.release)
        connection.ensure_connection(max_retries=1)
        return connection

    def queue(self, exchange="", key=None, **options):
        name = f"kombu.{uuid.uuid4()}"
        exchange = exchange or Exchange("")
        queue = Queue(name, exchange, key if key is not None else name, auto_delete=False, exclusive=True, **options)
        bound = queue(self.channel)
        bound.declare()
        return bound

    def publish(self, body, queue=None, **options):
        options.setdefault("routing_key", queue and queue.name)
        self.producer.publish(body, **options)

    def payloads(self, queue):
        found = []
        while (message := queue.get(no_ack=True)) is not None:
            found.append(message.payload)
        return found

    def receive(self, received, count, connection=None):
        while len(received) < count:
            (connection or self.connection).drain_events(timeout=20)


class Exchanges(Scenario):
    def exchange(self, kind):
        exchange = Exchange(f"kombu.{kind}.{uuid.uuid4()}", kind, durable=False, auto_delete=True)
        exchange(self.channel).declare()
        return exchange

    def test_direct_goes_by_the_key(self):
        exchange = self.exchange("direct")
        first, second = self.queue(exchange, "red"), self.queue(exchange, "blue")
        for key in ("red", "green"):
            self.publish(key, exchange=exchange, routing_key=key)
        self.assertEqual([self.payloads(first), self.payloads(second)], [["red"], []])

    def test_fanout_goes_to_all(self):
        exchange = self.exchange("fanout")
        first, second = self.queue(exchange, ""), self.queue(exchange, "")
        self.publish("all", exchange=exchange)
        self.assertEqual([self.payloads(first), self.payloads(second)], [["all"], ["all"]])

    def test_topic_goes_by_patterns(self):
        exchange = self.exchange("topic")
        first, second = self.queue(exchange, "*.error"), self.queue(exchange, "disk.#")
        for key in ("disk.error", "disk", "net.error"):
            self.publish(key, exchange=exchange, routing_key=key)
        self.assertEqual([self.payloads(first), self.payloads(second)],
                         [["disk.error", "net.error"], ["disk.error", "disk"]])

    def test_headers_go_by_all_or_any(self):
        exchange = self.exchange("headers")
        both = {"a": 1, "b": "x"}
        first = self.queue(exchange, "", binding_arguments={"x-match": "all", **both})
        second = self.queue(exchange, "", binding_arguments={"x-match": "any", **both})
        for body, headers in (("both", both), ("one", {"a": 1}), ("none", {"a": 2})):
            self.publish(body, exchange=exchange, headers=headers)
        self.assertEqual([self.payloads(first), self.payloads(second)], [["both"], ["both", "one"]])


class AtHome(Scenario):
    def test_connect_with_a_wrong_password_is_refused(self):
        with self.assertRaises((AccessRefused, kombu.exceptions.OperationalError)):
            self.connect(os.environ["AMQP_URL"].replace("guest:guest", "guest:wrong"))

    def test_declare_with_limits_and_lifetimes(self):
        queue = self.queue(expires=60, message_ttl=30, max_length=2, max_priority=5)
        for body in "123":
            self.publish(body, queue)
        self.assertEqual(self.payloads(queue), ["2", "3"])

    def test_confirm_is_negative_where_the_queue_is_full(self):
        connection = self.connect(os.environ["AMQP_URL"], transport_options={"confirm_publish": True})
        queue = self.queue(queue_arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        producer = Producer(connection.channel())
        producer.publish("fits", routing_key=queue.name)
        with self.assertRaises(MessageNacked):
            producer.publish("does not", routing_key=queue.name)

    def test_return_of_what_goes_nowhere(self):
        returned = []
        producer = Producer(self.channel, on_return=lambda error, *_: returned.append(error.reply_code))
        producer.publish("lost", routing_key="nowhere", mandatory=True)
        self.receive(returned, 1)
        self.assertEqual(returned, [312])

    def test_qos_ack_and_prefetch(self):
        queue = self.queue()
        for body in "123":
            self.publish(body, queue)
        received = []
        with Consumer(self.channel, [queue], on_message=received.append, prefetch_count=2):
            self.receive(received, 2)
            with self.assertRaises(socket.timeout):
                self.connection.drain_events(timeout=0.2)
            received[0].ack()
            self.receive(received, 3)
        self.assertEqual([message.payload for message in received], ["1", "2", "3"])

    def test_ack_takes_it_from_the_queue(self):
        queue = self.queue()
        self.publish("1", queue)
        queue.get().ack()
        self.channel.close()
        self.channel = self.connection.channel()
        self.assertEqual(self.payloads(queue(self.channel)), [])

    def test_reject_and_requeue(self):
        queue = self.queue()
        self.publish("1", queue)
        queue.get().requeue()
        message = queue.get()
        self.assertTrue(message.delivery_info["redelivered"])
        message.reject()
        self.assertEqual(self.payloads(queue), [])

    def test_recover_brings_back_what_is_not_acknowledged(self):
        queue = self.queue()
        self.publish("1", queue)
        received = []
        with Consumer(self.channel, [queue], on_message=received.append) as consumer:
            self.receive(received, 1)
            consumer.recover(requeue=True)
            self.receive(received, 2)
        self.assertTrue(received[1].delivery_info["redelivered"])

    def test_get_of_what_a_simple_queue_was_given(self):
        with self.connection.SimpleQueue(f"kombu.{uuid.uuid4()}", queue_opts={"auto_delete": True}) as simple:
            simple.put({"compressed": [1, 2, 3]}, compression="zlib")
            message = simple.get(timeout=20)
            self.assertEqual(message.payload, {"compressed": [1, 2, 3]})
            message.ack()
            with self.assertRaises(simple.Empty):
                simple.get(block=False)

    def test_rpc_by_reply_to(self):
        requests, replies = self.queue(), self.queue()
        answers = []

        def serve(request):
            self.publish(request.payload.upper(), routing_key=request.properties["reply_to"],
                         correlation_id=request.properties["correlation_id"])
            request.ack()

        with Consumer(self.channel, [requests], on_message=serve), \
                Consumer(self.channel, [replies], on_message=answers.append):
            self.publish("hello", requests, reply_to=replies.name, correlation_id="42")
            self.receive(answers, 1)
        self.assertEqual((answers[0].payload, answers[0].properties["correlation_id"]), ("HELLO", "42"))

    def test_errors_are_exceptions_of_their_own(self):
        name = self.queue().name
        for error, declare in (
            (NotFound, lambda channel: Queue("nosuch")(channel).queue_declare(passive=True)),
            (PreconditionFailed, lambda channel: Queue(name, exclusive=True, max_length=1)(channel).queue_declare()),
            (AccessRefused, lambda channel: Queue("amq.mine")(channel).queue_declare()),
        ):
            with self.assertRaises(error):
                declare(self.connection.channel())

    def test_reconnect_while_publishing(self):
        connection = self.connect(os.environ["CUT_URL"], transport_options={"confirm_publish": True})
        queue = self.queue()
        producer = Producer(connection)
        producer.publish("before", routing_key=queue.name)
        cut()
        producer.publish("after", routing_key=queue.name, retry=True, retry_policy={"max_retries": 10})
        received = []
        with Consumer(self.channel, [queue], on_message=lambda message: received.append(message.payload)):
            self.receive(received, 2)
        self.assertEqual(received, ["before", "after"])


if "AMQPS_URL" in os.environ:
    class Tls(Scenario):
        def test_tls_with_a_certificate_of_the_client(self):
            options = {"ca_certs": os.environ["TLS_CA"], "certfile": os.environ["TLS_CERTIFICATE"],
                       "keyfile": os.environ["TLS_KEY"], "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "localhost"}
            connection = self.connect(os.environ["AMQPS_URL"], ssl=options)
            with connection.SimpleQueue(f"kombu.{uuid.uuid4()}", queue_opts={"auto_delete": True}) as simple:
                simple.put("secret")
                self.assertEqual(simple.get(timeout=20).payload, "secret")


if __name__ == "__main__":
    tap.main()
