"""pika, the Python client of the RabbitMQ team: what everybody does with it. The other files go into detail."""

import os
import ssl
import unittest

import pika
from pika.exceptions import (AMQPConnectionError, NackError, ProbableAuthenticationError,
                             StreamLostError, UnroutableError)

from client import PERSISTENT, ClientTest
from network import cut


class AtHome(ClientTest):
    def test_connect_with_a_wrong_password_is_refused(self):
        with self.assertRaises(ProbableAuthenticationError):
            self.connect(credentials=pika.PlainCredentials("guest", "wrong"))

    def test_connect_stays_through_silence_with_heartbeats(self):
        connection = self.connect(heartbeat=1)
        connection.process_data_events(time_limit=3)
        connection.channel().queue_declare("", exclusive=True)

    def test_declare_twice_is_the_same_queue(self):
        queue = self.queue(arguments={"x-max-length": 10})
        again = self.channel.queue_declare(queue, exclusive=True, arguments={"x-max-length": 10}).method
        self.assertEqual((again.queue, again.message_count, again.consumer_count), (queue, 0, 0))

    def routed(self, kind, bindings, publish):
        """The bodies that end up in a queue for each binding."""
        exchange = self.exchange(kind)
        queues = [self.queue() for _ in bindings]
        for queue, binding in zip(queues, bindings):
            self.channel.queue_bind(queue, exchange, **binding)
        publish(exchange)
        self.sync()
        return [self.drain(queue) for queue in queues]

    def publish_keys(self, *keys):
        return lambda exchange: [self.channel.basic_publish(exchange, key, key.encode()) for key in keys]

    def test_direct_goes_by_the_key(self):
        routed = self.routed("direct", [{"routing_key": "red"}, {"routing_key": "blue"}],
                             self.publish_keys("red", "green"))
        self.assertEqual(routed, [[b"red"], []])

    def test_fanout_goes_to_all(self):
        self.assertEqual(self.routed("fanout", [{}, {}], self.publish_keys("x")), [[b"x"], [b"x"]])

    def test_topic_goes_by_patterns(self):
        routed = self.routed("topic", [{"routing_key": "*.error"}, {"routing_key": "disk.#"}],
                             self.publish_keys("disk.error", "disk", "net.error"))
        self.assertEqual(routed, [[b"disk.error", b"net.error"], [b"disk.error", b"disk"]])

    def test_headers_go_by_all_or_any(self):
        def publish(exchange):
            for body, headers in (("both", {"a": 1, "b": "x"}), ("one", {"a": 1}), ("none", {"a": 2})):
                self.channel.basic_publish(exchange, "", body, pika.BasicProperties(headers=headers))

        both = {"a": 1, "b": "x"}
        routed = self.routed("headers", [{"arguments": {"x-match": "all", **both}},
                                         {"arguments": {"x-match": "any", **both}}], publish)
        self.assertEqual(routed, [[b"both"], [b"both", b"one"]])

    def test_confirm_means_that_it_is_there(self):
        queue = self.queue()
        self.channel.confirm_delivery()
        self.channel.basic_publish("", queue, b"1", PERSISTENT, mandatory=True)
        self.assertEqual(self.get(queue)[2], b"1")

    def test_confirm_is_negative_where_the_queue_is_full(self):
        queue = self.queue(arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        self.channel.confirm_delivery()
        self.channel.basic_publish("", queue, b"fits")
        with self.assertRaises(NackError):
            self.channel.basic_publish("", queue, b"does not")

    def test_return_of_what_goes_nowhere(self):
        self.channel.confirm_delivery()
        with self.assertRaises(UnroutableError) as raised:
            self.channel.basic_publish("", "nowhere", b"lost", mandatory=True)
        [returned] = raised.exception.messages
        self.assertEqual((returned.method.reply_code, returned.method.reply_text, returned.body),
                         (312, "NO_ROUTE", b"lost"))

    def test_qos_holds_back_what_is_not_acknowledged(self):
        queue = self.queue()
        self.send(queue, b"1", b"2", b"3")
        received = []
        self.channel.basic_qos(prefetch_count=2)
        self.channel.basic_consume(queue, lambda _, method, __, body: received.append((method, body)))
        self.await_messages(received, 2)
        self.channel.queue_declare(queue, passive=True)
        self.connection.process_data_events(time_limit=0)
        self.assertEqual(len(received), 2)
        self.channel.basic_ack(received[0][0].delivery_tag)
        self.await_messages(received, 3)

    def test_ack_of_all_so_far(self):
        queue = self.queue()
        self.send(queue, b"1", b"2", b"3")
        for _ in range(2):
            tag = self.get(queue, auto_ack=False)[0].delivery_tag
        self.channel.basic_ack(tag, multiple=True)
        self.channel.close()
        self.channel = self.connection.channel()
        self.assertEqual(self.drain(queue), [b"3"])

    def test_nack_of_all_so_far_puts_them_back_in_place(self):
        queue = self.queue()
        self.send(queue, b"1", b"2", b"3")
        for _ in range(2):
            tag = self.get(queue, auto_ack=False)[0].delivery_tag
        self.channel.basic_nack(tag, multiple=True, requeue=True)
        method, _, body = self.get(queue)
        self.assertEqual((body, method.redelivered), (b"1", True))
        self.assertEqual(self.drain(queue), [b"2", b"3"])

    def test_reject_throws_away_or_dead_letters(self):
        dead = self.queue()
        queue = self.queue(arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
        self.send(queue, b"bad")
        self.channel.basic_reject(self.get(queue, auto_ack=False)[0].delivery_tag, requeue=False)
        received = []
        self.channel.basic_consume(dead, lambda *message: received.append(message), auto_ack=True)
        self.await_messages(received, 1)
        _, _, properties, body = received[0]
        [death] = properties.headers["x-death"]
        self.assertEqual((body, death["queue"], death["reason"], death["count"]), (b"bad", queue, "rejected", 1))

    def test_recover_brings_back_what_is_not_acknowledged(self):
        queue = self.queue()
        self.send(queue, b"1")
        received = []
        self.channel.basic_consume(queue, lambda _, method, __, body: received.append(method.redelivered))
        self.await_messages(received, 1)
        self.channel.basic_recover(requeue=True)
        self.await_messages(received, 2)
        self.assertEqual(received, [False, True])

    def test_tx_commit_and_rollback(self):
        queue = self.queue()
        self.channel.tx_select()
        self.channel.basic_publish("", queue, b"undone")
        self.channel.tx_rollback()
        self.channel.basic_publish("", queue, b"done")
        self.channel.tx_commit()
        self.assertEqual(self.drain(queue), [b"done"])

    def test_get_from_an_empty_queue(self):
        self.assertEqual(self.channel.basic_get(self.queue()), (None, None, None))

    def test_rpc_with_a_queue_for_the_replies(self):
        requests, replies = self.queue(), self.queue()

        def serve(channel, method, properties, body):
            reply = pika.BasicProperties(correlation_id=properties.correlation_id)
            channel.basic_publish("", properties.reply_to, body.upper(), reply)
            channel.basic_ack(method.delivery_tag)

        self.channel.basic_consume(requests, serve)
        received = []
        self.channel.basic_consume(replies, lambda *message: received.append(message[2:]), auto_ack=True)
        self.channel.basic_publish("", requests, b"hello", pika.BasicProperties(reply_to=replies, correlation_id="7"))
        self.connection.process_data_events(time_limit=20)  # The request,
        self.await_messages(received, 1)  # and the reply.
        self.assertEqual((received[0][0].correlation_id, received[0][1]), ("7", b"HELLO"))

    def test_rpc_with_direct_reply_to(self):
        requests = self.queue(exclusive=False, auto_delete=True)
        received = []
        self.channel.basic_consume("amq.rabbitmq.reply-to", lambda *message: received.append(message[3]),
                                   auto_ack=True)
        self.channel.basic_publish("", requests, b"hello", pika.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
        server = self.connect().channel()
        _, properties, body = server.basic_get(requests, auto_ack=True)
        while body is None:
            _, properties, body = server.basic_get(requests, auto_ack=True)
        self.assertTrue(properties.reply_to.startswith("amq.rabbitmq.reply-to."), properties.reply_to)
        server.basic_publish("", properties.reply_to, body.upper())
        self.await_messages(received, 1)
        self.assertEqual(received, [b"HELLO"])

    def test_errors_close_the_channel_and_not_the_connection(self):
        self.assert_closed(404, "NOT_FOUND - no queue 'nosuch' in vhost '/'",
                           self.channel.queue_declare, "nosuch", passive=True)
        self.assertTrue(self.connection.is_open)
        self.channel = self.connection.channel()
        self.assert_closed(403, "ACCESS_REFUSED", self.channel.queue_declare, "amq.mine")

    def test_reconnect_with_a_new_connection(self):
        parameters = pika.URLParameters(os.environ["CUT_URL"])
        parameters.blocked_connection_timeout = 20
        connection = pika.BlockingConnection(parameters)
        channel = connection.channel()
        queue = self.name("kept")
        channel.queue_declare(queue, durable=True)
        channel.confirm_delivery()
        channel.basic_publish("", queue, b"kept", PERSISTENT)
        cut()
        with self.assertRaises((StreamLostError, AMQPConnectionError)):
            connection.process_data_events(time_limit=20)
            channel.queue_declare(queue, passive=True)
        connection = pika.BlockingConnection(parameters)
        self.assertEqual(connection.channel().basic_get(queue, auto_ack=True)[2], b"kept")
        connection.channel().queue_delete(queue)
        connection.close()


if "AMQPS_URL" in os.environ:
    class Tls(unittest.TestCase):
        def connect(self, context):
            parameters = pika.URLParameters(os.environ["AMQPS_URL"])
            parameters.ssl_options = pika.SSLOptions(context, "localhost")
            return pika.BlockingConnection(parameters)

        def test_tls_with_the_authority_of_the_server(self):
            with self.connect(ssl.create_default_context(cafile=os.environ["TLS_CA"])) as connection:
                channel = connection.channel()
                queue = channel.queue_declare("", exclusive=True).method.queue
                channel.confirm_delivery()
                channel.basic_publish("", queue, b"x" * 300_000)
                self.assertEqual(len(channel.basic_get(queue, auto_ack=True)[2]), 300_000)

        def test_tls_with_a_certificate_of_the_client(self):
            context = ssl.create_default_context(cafile=os.environ["TLS_CA"])
            context.load_cert_chain(os.environ["TLS_CERTIFICATE"], os.environ["TLS_KEY"])
            with self.connect(context) as connection:
                connection.channel().queue_declare("", exclusive=True)

        def test_tls_with_an_unknown_authority_is_refused_by_the_client(self):
            with self.assertRaises(ssl.SSLError):
                self.connect(ssl.create_default_context())
