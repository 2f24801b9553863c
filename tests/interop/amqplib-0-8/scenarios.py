"""amqplib 1.0.2, which speaks AMQP 0-8: what Python clients were in 2008."""

import os
import unittest
import uuid

import amqplib.client_0_8 as amqp
import tap
from network import cut


class Scenario(unittest.TestCase):
    def setUp(self):
        self.connection = self.connect()
        self.channel = self.connection.channel()

    def connect(self, port="AMQP_PORT", **login):
        login = {"userid": "guest", "password": "guest", "virtual_host": "/", **login}
        return amqp.Connection(f"127.0.0.1:{os.environ[port]}", insist=False, **login)

    def tearDown(self):
        self.connection.close()

    def queue(self, **options):
        return self.channel.queue_declare(exclusive=True, auto_delete=False, **options)[0]

    def publish(self, body, queue, exchange="", **properties):
        self.channel.basic_publish(amqp.Message(body, **properties), exchange, queue)

    def bodies(self, queue):
        found = []
        while (message := self.channel.basic_get(queue, no_ack=True)) is not None:
            found.append(message.body)
        return found

    def routed(self, kind, bindings, keys):
        exchange = f"old.{uuid.uuid4()}"
        self.channel.exchange_declare(exchange, kind, auto_delete=True)
        queues = [self.queue() for _ in bindings]
        for queue, binding in zip(queues, bindings):
            self.channel.queue_bind(queue, exchange, binding)
        for key in keys:
            self.publish(key, key, exchange)
        return [self.bodies(queue) for queue in queues]

    def closed_with(self, call):
        with self.assertRaises(amqp.AMQPChannelException) as raised:
            call(self.connection.channel())
        return raised.exception.amqp_reply_code, raised.exception.amqp_reply_text


class AtHome(Scenario):
    def test_connect_learns_who_the_server_is(self):
        self.assertIn("product", self.connection.server_properties)

    def test_declare_tells_what_is_there(self):
        queue = self.queue()
        self.publish("1", queue)
        self.assertEqual(self.bodies(queue), ["1"])
        self.assertEqual(self.channel.queue_declare(queue, passive=True), (queue, 0, 0))

    def test_direct_goes_by_the_key(self):
        self.assertEqual(self.routed("direct", ["red", "blue"], ["red", "green"]), [["red"], []])

    def test_fanout_goes_to_all(self):
        self.assertEqual(self.routed("fanout", ["", ""], ["x"]), [["x"], ["x"]])

    def test_topic_goes_by_patterns(self):
        routed = self.routed("topic", ["*.error", "disk.#"], ["disk.error", "disk", "net.error"])
        self.assertEqual(routed, [["disk.error", "net.error"], ["disk.error", "disk"]])

    def test_headers_go_by_all(self):
        queue = self.queue()
        self.channel.queue_bind(queue, "amq.headers", arguments={"x-match": "all", "old": "yes"})
        for body, value in (("yes", "yes"), ("no", "no")):
            self.publish(body, "", "amq.headers", application_headers={"old": value})
        self.assertEqual(self.bodies(queue), ["yes"])

    def test_return_of_what_goes_nowhere(self):
        self.channel.basic_publish(amqp.Message("lost"), "", "nowhere", mandatory=True)
        self.queue()  # Whatever was sent back has come by the time of this answer.
        code, text, _, key, message = self.channel.returned_messages.get(block=False)
        self.assertEqual((code, text, key, message.body), (312, "NO_ROUTE", "nowhere", "lost"))

    def receive(self, received, count):
        while len(received) < count:
            self.channel.wait()

    def test_qos_and_ack(self):
        queue = self.queue()
        for body in "123":
            self.publish(body, queue)
        received = []
        self.channel.basic_qos(0, 2, False)
        self.channel.basic_consume(queue, callback=received.append)
        self.receive(received, 2)
        self.channel.basic_ack(received[0].delivery_tag)
        self.receive(received, 3)
        self.assertEqual([message.body for message in received], ["1", "2", "3"])

    def test_ack_takes_it_from_the_queue(self):
        queue = self.queue()
        self.publish("1", queue)
        self.channel.basic_ack(self.channel.basic_get(queue).delivery_tag)
        self.channel.close()
        self.channel = self.connection.channel()
        self.assertEqual(self.bodies(queue), [])

    def test_reject_puts_back(self):
        queue = self.queue()
        self.publish("1", queue)
        self.channel.basic_reject(self.channel.basic_get(queue).delivery_tag, requeue=True)
        self.assertTrue(self.channel.basic_get(queue, no_ack=True).redelivered)

    def test_recover_brings_back(self):
        queue = self.queue()
        self.publish("1", queue)
        received = []
        self.channel.basic_consume(queue, callback=received.append)
        self.receive(received, 1)
        self.channel.basic_recover(requeue=True)
        self.receive(received, 2)
        self.assertTrue(received[1].redelivered)

    def test_tx_commit_and_rollback(self):
        queue = self.queue()
        self.channel.tx_select()
        self.publish("undone", queue)
        self.channel.tx_rollback()
        self.publish("done", queue)
        self.channel.tx_commit()
        self.assertEqual(self.bodies(queue), ["done"])

    def test_get_keeps_properties(self):
        queue = self.queue()
        self.publish("body", queue, content_type="text/plain", delivery_mode=2, application_headers={"n": 1, "s": "x"})
        message = self.channel.basic_get(queue, no_ack=True)
        self.assertEqual((message.content_type, message.application_headers), ("text/plain", {"n": 1, "s": "x"}))

    def test_rpc_by_reply_to(self):
        requests, replies = self.queue(), self.queue()
        self.publish("hello", requests, reply_to=replies, correlation_id="42")
        request = self.channel.basic_get(requests, no_ack=True)
        self.publish(request.body.upper(), request.reply_to, correlation_id=request.correlation_id)
        reply = self.channel.basic_get(replies, no_ack=True)
        self.assertEqual((reply.body, reply.correlation_id), ("HELLO", "42"))

    def test_errors_name_what_is_missing(self):
        code, text = self.closed_with(lambda channel: channel.queue_declare("nosuch", passive=True))
        self.assertEqual(code, 404)
        self.assertTrue(text.startswith("NOT_FOUND - no queue 'nosuch' in vhost '/'"), text)

    def test_reconnect_finds_what_is_durable(self):
        lossy = self.connect("CUT_PORT")
        queue = f"old.kept.{uuid.uuid4()}"
        channel = lossy.channel()
        channel.queue_declare(queue, durable=True, auto_delete=False)
        channel.tx_select()
        channel.basic_publish(amqp.Message("kept", delivery_mode=2), "", queue)
        channel.tx_commit()
        cut()
        with self.assertRaises(OSError):
            channel.wait()
        self.assertEqual(self.bodies(queue), ["kept"])
        self.channel.queue_delete(queue)


if __name__ == "__main__":
    tap.main()
