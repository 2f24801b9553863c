"""amqplib 1.0.2, which speaks AMQP 0-8: access tickets, and no table of arguments for consumers."""

import os
import unittest
import uuid

import tap
from amqplib import client_0_8 as amqp
from amqplib.client_0_8 import transport
from network import cut

shut_down = transport._AbstractTransport.close


def close(self):
    """When the broker has closed first there is nothing to shut down, which the library takes for an error."""
    try:
        shut_down(self)
    except OSError:
        self.sock = None


transport._AbstractTransport.close = close


class Scenario(unittest.TestCase):
    def setUp(self):
        self.connection = self.connect()
        self.channel = self.connection.channel()
        self.ticket = self.channel.access_request("/data", active=True, write=True, read=True)

    def connect(self, port="AMQP_PORT", host=None, **options):
        connection = amqp.Connection(f"{host or os.environ['AMQP_HOST']}:{os.environ[port]}", **options)
        # What ends with an error leaves its socket open, and its transport would shut down what is lost already.
        self.addCleanup(connection.transport.sock.close)
        self.addCleanup(setattr, connection.transport, "sock", None)
        return connection

    def queue(self):
        return self.channel.queue_declare(exclusive=True, auto_delete=False, ticket=self.ticket)[0]

    def publish(self, body, exchange="", key="", mandatory=False, **properties):
        message = amqp.Message(body, **properties)
        self.channel.basic_publish(message, exchange, key, mandatory=mandatory, ticket=self.ticket)

    def get(self, queue, **options):
        return self.channel.basic_get(queue, ticket=self.ticket, **options)

    def bodies(self, queue):
        bodies = []
        while (message := self.get(queue, no_ack=True)) is not None:
            bodies.append(message.body)
        return bodies

    def consume(self, queue, channel=None, **options):
        """A list that deliveries are put into, by `wait` of the channel."""
        messages = []
        (channel or self.channel).basic_consume(queue, callback=messages.append, **options)
        return messages

    def await_messages(self, messages, count):
        while len(messages) < count:
            self.channel.wait()
        return [message.body for message in messages]


class Basics(Scenario):
    def test_connect_speaks_0_8(self):
        self.assertEqual((self.connection.version_major, self.connection.version_minor), (8, 0))

    def test_connect_and_close_in_order(self):
        self.channel.close()
        self.connection.close()

    def test_declare_tells_what_is_in_the_queue(self):
        queue = self.queue()
        self.channel.tx_select()
        self.publish("1", key=queue)
        self.channel.tx_commit()
        self.assertEqual(self.channel.queue_declare(queue, passive=True, ticket=self.ticket), (queue, 1, 0))
        self.assertEqual(self.channel.queue_purge(queue, ticket=self.ticket), 1)
        self.channel.queue_delete(queue, ticket=self.ticket)

    def test_direct_matches_the_key(self):
        self.route("direct", "a", {}, "a", "b")

    def test_fanout_takes_everything(self):
        self.route("fanout", "", {}, "anything", None)

    def test_topic_matches_words(self):
        self.route("topic", "*.b.#", {}, "a.b.c.d", "a.c")

    def test_headers_are_matched(self):
        self.route("headers", "", {"x-match": "all", "k": "v"}, "", None, application_headers={"k": "v"})

    def route(self, kind, binding, arguments, hit, miss, **properties):
        exchange, queue = f"amqplib-{kind}", self.queue()
        self.channel.exchange_declare(exchange, kind, auto_delete=True, ticket=self.ticket)
        self.channel.queue_bind(queue, exchange, binding, arguments=arguments, ticket=self.ticket)
        self.publish("hit", exchange, hit, **properties)
        if miss is not None:
            self.publish("miss", exchange, miss)
        self.assertEqual(self.bodies(queue), ["hit"])

    def test_return_of_what_reaches_nobody(self):
        self.channel.tx_select()
        self.publish("lost", key="amqplib-nowhere", mandatory=True)
        self.channel.tx_commit()
        returned = self.channel.returned_messages.get_nowait()
        self.assertEqual((returned[0], returned[-1].body), (312, "lost"))

    def test_get_keeps_properties_and_headers(self):
        queue = self.queue()
        headers = {"text": "word", "number": -7, "table": {"deeper": 1}}
        self.publish("1", key=queue, content_type="text/plain", delivery_mode=2, priority=3, correlation_id="c",
                     message_id="m", application_headers=headers)
        message = self.get(queue, no_ack=True)
        self.assertEqual(message.application_headers, headers)
        self.assertEqual((message.content_type, message.delivery_mode, message.message_id), ("text/plain", 2, "m"))
        self.assertIsNone(self.get(queue))


class Settling(Scenario):
    def test_qos_bounds_what_is_handed_out(self):
        queue = self.queue()
        self.channel.basic_qos(0, 2, False)
        for number in range(4):
            self.publish(str(number), key=queue)
        messages = self.consume(queue)
        self.assertEqual(self.await_messages(messages, 2), ["0", "1"])
        self.channel.basic_ack(messages[0].delivery_tag)
        self.assertEqual(self.await_messages(messages, 3), ["0", "1", "2"])

    def test_ack_of_several(self):
        queue = self.queue()
        for number in range(3):
            self.publish(str(number), key=queue)
        messages = self.consume(queue)
        self.await_messages(messages, 3)
        self.channel.basic_ack(messages[-1].delivery_tag, multiple=True)
        self.channel.basic_recover(requeue=True)
        self.assertEqual(self.channel.queue_declare(queue, passive=True, ticket=self.ticket)[1], 0)

    def test_reject_gives_back_or_away(self):
        queue = self.queue()
        self.publish("1", key=queue)
        self.channel.basic_reject(self.get(queue).delivery_tag, requeue=True)
        again = self.get(queue)
        self.assertTrue(again.delivery_info["redelivered"])
        self.channel.basic_reject(again.delivery_tag, requeue=False)
        self.assertIsNone(self.get(queue))

    def test_recover_needs_no_answer(self):
        queue = self.queue()
        self.publish("1", key=queue)
        self.get(queue)
        self.channel.basic_recover(requeue=True)
        self.assertEqual(self.bodies(queue), ["1"])

    def test_tx_commits_and_rolls_back(self):
        queue = self.queue()
        self.channel.tx_select()
        self.publish("given up", key=queue)
        self.channel.tx_rollback()
        self.publish("kept", key=queue)
        self.channel.tx_commit()
        self.assertEqual(self.bodies(queue), ["kept"])

    def test_rpc_by_reply_to(self):
        questions, answers = self.queue(), self.queue()
        self.publish("2 + 2", key=questions, reply_to=answers, correlation_id="sum")
        asked = self.get(questions, no_ack=True)
        self.publish("4", key=asked.reply_to, correlation_id=asked.correlation_id)
        answer = self.get(answers, no_ack=True)
        self.assertEqual((answer.body, answer.correlation_id), ("4", "sum"))


class Trouble(Scenario):
    def test_errors_close_the_channel_and_say_why(self):
        with self.assertRaises(amqp.AMQPChannelException) as raised:
            self.channel.queue_declare("amqplib-nowhere", passive=True, ticket=self.ticket)
        self.assertEqual(raised.exception.amqp_reply_code, 404)
        self.assertIn("NOT_FOUND - no queue 'amqplib-nowhere'", raised.exception.amqp_reply_text)
        self.connection.channel().close()

    def test_errors_close_the_connection_and_say_why(self):
        with self.assertRaises(amqp.AMQPConnectionException) as raised:
            self.connect(virtual_host="amqplib-nowhere")
        self.assertEqual(raised.exception.amqp_reply_code, 530)

    def test_reconnect_finds_what_is_durable(self):
        lossy = self.connect("CUT_PORT", "127.0.0.1").channel()
        queue = f"amqplib.kept.{uuid.uuid4()}"
        lossy.queue_declare(queue, durable=True, auto_delete=False)
        lossy.tx_select()
        lossy.basic_publish(amqp.Message("kept", delivery_mode=2), "", queue)
        lossy.tx_commit()
        cut()
        with self.assertRaises((OSError, amqp.AMQPException)):
            lossy.queue_declare(queue, passive=True)
        again = self.connect("CUT_PORT", "127.0.0.1").channel()
        self.assertEqual(again.basic_get(queue, no_ack=True).body, "kept")
        again.queue_delete(queue)


if __name__ == "__main__":
    tap.main()
