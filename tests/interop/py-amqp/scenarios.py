"""py-amqp, the library under Kombu and Celery."""

import os
import socket
import ssl
import unittest

import amqp
import tap
from amqp import Message
from network import cut


class Scenario(unittest.TestCase):
    def setUp(self):
        self.connection = self.connect()
        self.channel = self.connection.channel()

    def connect(self, port="AMQP_PORT", host=None, **options):
        host = f"{host or os.environ['AMQP_HOST']}:{os.environ[port]}"
        connection = amqp.Connection(host, read_timeout=20, write_timeout=20, **options)
        connection.connect()
        self.addCleanup(connection.collect)
        return connection

    def queue(self, **options):
        return self.channel.queue_declare(exclusive=True, auto_delete=False, **options).queue

    def publish(self, body, exchange="", key="", **properties):
        self.channel.basic_publish(Message(body, **properties), exchange, key)

    def bodies(self, queue):
        """Of everything that is ready."""
        bodies = []
        while (message := self.channel.basic_get(queue, no_ack=True)) is not None:
            bodies.append(message.body)
        return bodies

    def closed_with(self, error, call, *arguments, **options):
        """What the broker says when it closes the channel because of this call; there is a new channel then."""
        with self.assertRaises(error) as raised:
            call(*arguments, **options)
        self.channel = self.connection.channel()
        return raised.exception.reply_text


class Basics(Scenario):
    def test_connect_and_learn_what_the_server_can(self):
        self.assertTrue(self.connection.connected)
        capabilities = self.connection.server_capabilities
        for capability in ("publisher_confirms", "basic.nack", "consumer_cancel_notify", "connection.blocked"):
            self.assertTrue(capabilities[capability], capability)

    def test_connect_with_a_wrong_password_is_refused(self):
        with self.assertRaises(amqp.AccessRefused) as raised:
            self.connect(password="wrong")
        self.assertIn("Login was refused", raised.exception.reply_text)

    def test_connect_survives_heartbeats(self):
        connection = self.connect(heartbeat=1)
        for _ in range(10):
            connection.heartbeat_tick()
            with self.assertRaises(socket.timeout):
                connection.drain_events(timeout=0.3)
        connection.channel().queue_declare(exclusive=True)

    def test_declare_tells_the_name_and_what_is_in_it(self):
        self.channel = self.connect(confirm_publish=True).channel()
        name, messages, consumers = self.channel.queue_declare(exclusive=True, auto_delete=False)
        self.assertTrue(name.startswith("amq.gen-"))
        self.assertEqual((messages, consumers), (0, 0))
        self.publish("1", key=name)
        self.assertEqual(self.channel.queue_declare(name, passive=True).message_count, 1)
        self.assertEqual(self.channel.queue_purge(name), 1)
        self.assertEqual(self.channel.queue_delete(name), 0)

    def test_get_tells_how_many_are_left(self):
        queue = self.queue()
        self.assertIsNone(self.channel.basic_get(queue))
        self.publish("1", key=queue)
        self.publish("2", key=queue)
        message = self.channel.basic_get(queue, no_ack=True)
        self.assertEqual((message.body, message.delivery_info["message_count"]), ("1", 1))

    def test_get_keeps_every_property_and_header(self):
        queue = self.queue()
        headers = {"text": "žluť", "int": 1 << 40, "negative": -5, "yes": True, "none": None, "float": 1.5,
                   "list": [1, "two", {"three": 3}], "table": {"deep": {"er": "!"}}}
        properties = {"content_type": "text/plain", "content_encoding": "utf-8", "delivery_mode": 2, "priority": 3,
                      "correlation_id": "c", "reply_to": "r", "expiration": "60000", "message_id": "m", "type": "t",
                      "user_id": "guest", "app_id": "a"}
        self.publish("body", key=queue, application_headers=headers, **properties)
        message = self.channel.basic_get(queue, no_ack=True)
        self.assertEqual(message.headers, headers)
        self.assertLessEqual(properties.items(), message.properties.items())


class Exchanges(Scenario):
    def setUp(self):
        super().setUp()
        self.first, self.second = self.queue(), self.queue()

    def exchange(self, kind):
        name = f"py-amqp.{kind}.{self.first}"
        self.channel.exchange_declare(name, kind, auto_delete=True)
        return name

    def test_direct_goes_by_the_very_key(self):
        exchange = self.exchange("direct")
        self.channel.queue_bind(self.first, exchange, "red")
        self.channel.queue_bind(self.second, exchange, "blue")
        self.publish("r", exchange, "red")
        self.publish("nobody", exchange, "re")
        self.assertEqual((self.bodies(self.first), self.bodies(self.second)), (["r"], []))

    def test_fanout_goes_to_all(self):
        exchange = self.exchange("fanout")
        self.channel.queue_bind(self.first, exchange)
        self.channel.queue_bind(self.second, exchange)
        self.publish("all", exchange, "any key")
        self.assertEqual((self.bodies(self.first), self.bodies(self.second)), (["all"], ["all"]))

    def test_topic_goes_by_patterns(self):
        exchange = self.exchange("topic")
        self.channel.queue_bind(self.first, exchange, "*.error")
        self.channel.queue_bind(self.second, exchange, "disk.#")
        for key in ("disk.error", "disk", "net.error", "net.info"):
            self.publish(key, exchange, key)
        self.assertEqual(self.bodies(self.first), ["disk.error", "net.error"])
        self.assertEqual(self.bodies(self.second), ["disk.error", "disk"])

    def test_headers_go_by_all_or_any_of_them(self):
        exchange = self.exchange("headers")
        wanted = {"colour": "red", "size": 3}
        self.channel.queue_bind(self.first, exchange, arguments={"x-match": "all", **wanted})
        self.channel.queue_bind(self.second, exchange, arguments={"x-match": "any", **wanted})
        self.publish("both", exchange, application_headers=wanted)
        self.publish("one", exchange, application_headers={"size": 3})
        self.publish("none", exchange, application_headers={"size": 4})
        self.assertEqual((self.bodies(self.first), self.bodies(self.second)), (["both"], ["both", "one"]))

    def test_direct_exchange_feeds_another(self):
        source, target = self.exchange("direct"), self.exchange("fanout")
        self.channel.exchange_bind(target, source, "on")
        self.channel.queue_bind(self.second, source, "stays")  # An exchange without bindings would be deleted.
        self.channel.queue_bind(self.first, target)
        self.publish("through", source, "on")
        self.assertEqual(self.bodies(self.first), ["through"])
        self.channel.exchange_unbind(target, source, "on")
        self.publish("no more", source, "on")
        self.assertEqual(self.bodies(self.first), [])


class Publishing(Scenario):
    def setUp(self):
        super().setUp()
        self.channel = self.connect(confirm_publish=True).channel()

    def test_confirm_comes_for_every_message(self):
        queue = self.queue()
        for number in range(100):
            self.channel.basic_publish_confirm(Message(str(number), delivery_mode=2), "", queue)
        self.assertEqual(len(self.bodies(queue)), 100)

    def test_confirm_is_negative_where_the_queue_is_full(self):
        queue = self.queue(arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        self.channel.basic_publish_confirm(Message("fits"), "", queue)
        with self.assertRaises(amqp.exceptions.MessageNacked):
            self.channel.basic_publish_confirm(Message("does not"), "", queue)

    def test_return_comes_for_what_goes_nowhere(self):
        returned = []
        self.channel.events["basic_return"].add(lambda *what: returned.append(what))
        self.channel.basic_publish_confirm(Message("lost"), "amq.direct", "nowhere", mandatory=True)
        [(error, exchange, key, message)] = returned
        self.assertEqual((error.reply_code, error.reply_text), (312, "NO_ROUTE"))
        self.assertEqual((exchange, key, message.body), ("amq.direct", "nowhere", "lost"))


class Consuming(Scenario):
    def setUp(self):
        super().setUp()
        self.received = []

    def consume(self, queue, **options):
        return self.channel.basic_consume(queue, callback=self.received.append, **options)

    def receive(self, count):
        """The messages received, when there are so many. More are not on the way: the last reply came after them."""
        while len(self.received) < count:
            self.connection.drain_events(timeout=20)
        self.channel.basic_qos(0, 0, False)
        return [message.body for message in self.received]

    def three(self):
        queue = self.queue()
        for body in "abc":
            self.publish(body, key=queue)
        return queue

    def test_qos_holds_back_what_is_not_acknowledged(self):
        queue = self.three()
        self.channel.basic_qos(0, 2, False)
        self.consume(queue)
        self.assertEqual(self.receive(2), ["a", "b"])
        self.received[0].channel.basic_ack(self.received[0].delivery_tag)
        self.assertEqual(self.receive(3), ["a", "b", "c"])

    def test_ack_of_many_at_once(self):
        queue = self.three()
        self.consume(queue)
        self.receive(3)
        self.channel.basic_ack(self.received[1].delivery_tag, multiple=True)
        self.channel.close()
        self.channel = self.connection.channel()
        self.assertEqual(self.bodies(queue), ["c"])

    def test_nack_is_not_in_this_library_but_reject_puts_back(self):
        queue = self.three()
        message = self.channel.basic_get(queue)
        self.channel.basic_reject(message.delivery_tag, requeue=True)
        again = self.channel.basic_get(queue)
        self.assertEqual((again.body, again.delivery_info["redelivered"]), ("a", True))

    def test_reject_throws_away(self):
        queue = self.three()
        self.channel.basic_reject(self.channel.basic_get(queue).delivery_tag, requeue=False)
        self.assertEqual(self.bodies(queue), ["b", "c"])

    def test_recover_brings_back_what_is_not_acknowledged(self):
        queue = self.three()
        self.consume(queue)
        self.receive(3)
        self.channel.basic_recover(requeue=True)
        self.assertEqual(self.receive(6), ["a", "b", "c"] * 2)
        self.assertTrue(all(message.delivery_info["redelivered"] for message in self.received[3:]))

    def test_consumer_is_told_that_its_queue_is_deleted(self):
        queue = self.queue()
        cancelled = []
        self.consume(queue, on_cancel=cancelled.append, consumer_tag="mine")
        self.connect().channel()
        self.channel.queue_delete(queue)
        while not cancelled:
            self.connection.drain_events(timeout=20)
        self.assertEqual(cancelled, ["mine"])

    def test_rpc_by_reply_to(self):
        requests, replies = self.queue(), self.queue()
        server = self.connection.channel()

        def answer(request):
            reply = Message(request.body.upper(), correlation_id=request.properties["correlation_id"])
            server.basic_publish(reply, "", request.properties["reply_to"])
            server.basic_ack(request.delivery_tag)

        server.basic_consume(requests, callback=answer)
        self.consume(replies, no_ack=True)
        self.publish("hello", key=requests, reply_to=replies, correlation_id="42")
        self.assertEqual(self.receive(1), ["HELLO"])
        self.assertEqual(self.received[0].properties["correlation_id"], "42")


class Transactions(Scenario):
    def test_tx_shows_nothing_before_commit_and_nothing_after_rollback(self):
        queue = self.queue()
        other = self.connection.channel()
        self.channel.tx_select()
        self.publish("undone", key=queue)
        self.channel.tx_rollback()
        self.publish("done", key=queue)
        self.assertEqual(other.queue_declare(queue, passive=True).message_count, 0)
        self.channel.tx_commit()
        self.assertEqual(other.basic_get(queue, no_ack=True).body, "done")


class Errors(Scenario):
    def test_errors_name_what_is_missing(self):
        text = self.closed_with(amqp.NotFound, self.channel.queue_declare, "nosuch", passive=True)
        self.assertTrue(text.startswith("NOT_FOUND - no queue 'nosuch' in vhost '/'"), text)
        text = self.closed_with(amqp.NotFound, self.channel.exchange_declare, "nosuch", "direct", passive=True)
        self.assertTrue(text.startswith("NOT_FOUND - no exchange 'nosuch' in vhost '/'"), text)

    def test_errors_name_what_differs(self):
        queue = self.queue(queue="py-amqp.differs")
        text = self.closed_with(amqp.PreconditionFailed, self.channel.queue_declare, queue, exclusive=True,
                                auto_delete=False, arguments={"x-max-length": 3})
        self.assertIn(f"inequivalent arg 'x-max-length' for queue '{queue}' in vhost '/'", text)

    def test_errors_name_who_may_not(self):
        queue = self.queue()
        self.channel = self.connect().channel()
        with self.assertRaises(amqp.ResourceLocked) as raised:
            self.channel.basic_consume(queue)
        self.assertIn(f"cannot obtain exclusive access to locked queue '{queue}' in vhost '/'",
                      raised.exception.reply_text)
        for declare in (lambda channel: channel.exchange_declare("amq.mine", "direct"),
                        lambda channel: channel.queue_declare(queue)):
            text = self.closed_with(amqp.AccessRefused, declare, self.connection.channel())
            self.assertIn("contains reserved prefix 'amq.*'", text)

    def test_errors_of_the_connection_end_it(self):
        with self.assertRaises(amqp.NotAllowed) as raised:
            self.connect(virtual_host="nosuch")
        self.assertIn("vhost nosuch not found", raised.exception.reply_text)


class Network(Scenario):
    def test_reconnect_finds_what_is_durable(self):
        connection = self.connect("CUT_PORT", "127.0.0.1")
        channel = connection.channel()
        queue = channel.queue_declare(durable=True, auto_delete=False).queue
        channel.basic_publish(Message("kept", delivery_mode=2), "", queue)
        channel.queue_declare(queue, passive=True)
        cut()
        with self.assertRaises(connection.connection_errors):
            while True:
                connection.drain_events(timeout=20)
        self.assertFalse(connection.connected)
        self.channel = self.connect().channel()
        self.assertEqual(self.bodies(queue), ["kept"])
        self.channel.queue_delete(queue)


if "AMQPS_URL" in os.environ:
    class Tls(unittest.TestCase):
        def connect(self, **options):
            return amqp.Connection(f"localhost:{os.environ['AMQPS_PORT']}", ssl=options)

        def test_tls_with_the_authority_of_the_server(self):
            with self.connect(ca_certs=os.environ["TLS_CA"], server_hostname="localhost") as connection:
                name = connection.channel().queue_declare(exclusive=True).queue
                connection.channel().basic_publish(Message("x" * 300_000), "", name)
                self.assertEqual(len(connection.channel().basic_get(name, no_ack=True).body), 300_000)

        def test_tls_with_a_certificate_of_the_client(self):
            with self.connect(ca_certs=os.environ["TLS_CA"], server_hostname="localhost",
                              certfile=os.environ["TLS_CERTIFICATE"], keyfile=os.environ["TLS_KEY"]) as connection:
                connection.channel().queue_declare(exclusive=True)

        def test_tls_with_an_unknown_authority_is_refused_by_the_client(self):
            with self.assertRaises(ssl.SSLError):
                self.connect(cert_reqs=ssl.CERT_REQUIRED).connect()


if __name__ == "__main__":
    tap.main()
