"""Publishing: confirms, returns, properties, sizes, bounds of queues."""

import unittest

import pika

from client import PERSISTENT, ClientTest


class Publishing(ClientTest):
    def test_a_message_comes_out_as_it_went_in(self):
        queue = self.queue()
        table = {"list": [1, "two", True, None], "nested": {"a": 2**40}, "bytes": b"\xff\x00"}
        sent = pika.BasicProperties(
            content_type="text/plain", content_encoding="utf-8", headers=table, delivery_mode=2, priority=3,
            correlation_id="c", reply_to="r", expiration="60000", message_id="m", timestamp=1_700_000_000,
            type="t", user_id="guest", app_id="a", cluster_id="cluster",
        )
        self.channel.basic_publish("", queue, b"\x00body\xff", sent)
        method, received, body = self.get(queue)
        self.assertEqual(body, b"\x00body\xff")
        self.assertEqual(vars(received), vars(sent))
        self.assertEqual((method.exchange, method.routing_key, method.redelivered), ("", queue, False))

    def test_bodies_of_all_sizes(self):
        queue = self.queue()
        # Around the largest body of one frame, and several frames.
        for size in [0, 1, 131_063, 131_064, 131_065, 3_000_000]:
            with self.subTest(size=size):
                body = bytes(index % 251 for index in range(min(size, 251))) * (size // 251 + 1)
                self.channel.basic_publish("", queue, body[:size])
                self.assertEqual(self.get(queue)[2], body[:size])

    def test_confirmed_when_it_is_in_the_queue(self):
        queue = self.queue()
        self.channel.confirm_delivery()
        for number in range(50):
            self.channel.basic_publish("", queue, str(number), PERSISTENT, mandatory=True)
        self.assertEqual(self.ready(queue), 50)

    def test_an_unroutable_mandatory_message_comes_back(self):
        self.channel.confirm_delivery()
        with self.assertRaises(pika.exceptions.UnroutableError) as raised:
            self.channel.basic_publish("", "nowhere", b"lost?", PERSISTENT, mandatory=True)
        (returned,) = raised.exception.messages
        self.assertEqual((returned.method.reply_code, returned.method.reply_text), (312, "NO_ROUTE"))
        self.assertEqual((returned.method.routing_key, returned.body), ("nowhere", b"lost?"))
        self.assertEqual(returned.properties.delivery_mode, 2)

    def test_an_unroutable_message_that_is_not_mandatory_is_confirmed(self):
        self.channel.confirm_delivery()
        self.channel.basic_publish("", "nowhere", b"lost")

    def test_without_confirms_it_comes_back_all_the_same(self):
        returned = []
        self.channel.add_on_return_callback(lambda *message: returned.append(message))
        self.channel.basic_publish("", "nowhere", b"lost?", mandatory=True)
        self.sync()
        self.assertEqual([body for *_, body in returned], [b"lost?"])

    def test_the_return_comes_before_the_confirm(self):
        # UnroutableError is raised only if it does; a hundred times in a row.
        self.channel.confirm_delivery()
        for _ in range(100):
            with self.assertRaises(pika.exceptions.UnroutableError):
                self.channel.basic_publish("", "nowhere", b"", mandatory=True)


class Bounds(ClientTest):
    def test_the_oldest_make_room(self):
        queue = self.queue(arguments={"x-max-length": 2})
        self.send(queue, b"1", b"2", b"3")
        self.assertEqual(self.drain(queue), [b"2", b"3"])

    def test_bytes_count_too(self):
        queue = self.queue(arguments={"x-max-length-bytes": 10})
        self.send(queue, b"aaaaa", b"bbbbb", b"ccccc")
        self.assertEqual(self.drain(queue), [b"bbbbb", b"ccccc"])

    def test_a_full_queue_may_refuse(self):
        queue = self.queue(arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        self.channel.confirm_delivery()
        self.channel.basic_publish("", queue, b"1")
        with self.assertRaises(pika.exceptions.NackError):
            self.channel.basic_publish("", queue, b"2")
        self.assertEqual(self.drain(queue), [b"1"])

    def test_messages_expire_with_the_lower_of_both_times(self):
        for arguments, expiration in [({"x-message-ttl": 1}, "60000"), ({"x-message-ttl": 60000}, "1"), ({}, "1")]:
            with self.subTest(arguments=arguments, expiration=expiration):
                queue = self.queue(arguments=arguments)
                self.channel.basic_publish("", queue, b"", pika.BasicProperties(expiration=expiration))
                self.await_empty(queue)

    def test_expiration_0_reaches_a_consumer_that_waits_and_nobody_else(self):
        now_or_never = pika.BasicProperties(expiration="0")
        queue = self.queue()
        self.channel.basic_publish("", queue, b"never", now_or_never)
        self.assertEqual(self.drain(queue), [])
        received = []
        self.channel.basic_consume(queue, lambda *message: received.append(message[3]), auto_ack=True)
        self.channel.basic_publish("", queue, b"now", now_or_never)
        self.await_messages(received, 1)
        self.assertEqual(received, [b"now"])

    def await_empty(self, queue):
        # A hundred thousand questions take longer than any of the times.
        for _ in range(100_000):
            if self.ready(queue) == 0:
                return
        self.fail(f"a message in {queue} does not expire")


if __name__ == "__main__":
    unittest.main()
