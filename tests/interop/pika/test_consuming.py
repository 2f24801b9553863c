"""Consuming: order, settling, prefetch, the end of consumers and queues."""

import os
import unittest

import pika
from pika import spec

from client import ClientTest
from wire import Wire, parameters


class Getting(ClientTest):
    def test_the_count_is_of_those_left(self):
        queue = self.queue()
        self.send(queue, b"1", b"2", b"3")
        self.assertEqual([self.get(queue)[0].message_count for _ in range(3)], [2, 1, 0])
        self.assertEqual(self.channel.basic_get(queue), (None, None, None))

    def test_declare_counts_what_is_ready_and_who_consumes(self):
        queue = self.queue()
        self.send(queue, b"1", b"2")
        self.get(queue, auto_ack=False)
        self.channel.basic_consume(queue, lambda *_: None)
        declared = self.channel.queue_declare(queue, passive=True).method
        self.assertEqual(declared.consumer_count, 1)

    def test_purge_and_delete_tell_how_many(self):
        queue = self.queue()
        self.send(queue, b"1", b"2")
        self.assertEqual(self.channel.queue_purge(queue).method.message_count, 2)
        self.send(queue, b"3")
        self.assertEqual(self.channel.queue_delete(queue).method.message_count, 1)


class Settling(ClientTest):
    def test_what_is_rejected_is_gone(self):
        queue = self.queue()
        self.send(queue, b"1", b"2")
        for settle in (self.channel.basic_reject, self.channel.basic_nack):
            settle(self.get(queue, auto_ack=False)[0].delivery_tag, requeue=False)
        self.sync()
        self.assertEqual(self.ready(queue), 0)

    def test_what_is_requeued_returns_to_its_place_and_is_marked(self):
        queue = self.queue()
        self.send(queue, b"1", b"2", b"3")
        first, second = (self.get(queue, auto_ack=False)[0] for _ in range(2))
        self.channel.basic_nack(second.delivery_tag)
        self.channel.basic_reject(first.delivery_tag)
        found = [self.get(queue) for _ in range(3)]
        self.assertEqual([body for _, _, body in found], [b"1", b"2", b"3"])
        self.assertEqual([method.redelivered for method, _, _ in found], [True, True, False])

    def test_multiple_settles_all_up_to_a_tag(self):
        queue = self.queue()
        self.send(queue, b"1", b"2", b"3", b"4")
        tags = [self.get(queue, auto_ack=False)[0].delivery_tag for _ in range(4)]
        self.channel.basic_ack(tags[1], multiple=True)
        self.channel.basic_nack(tags[2], multiple=True)
        self.assertEqual([self.get(queue)[2]], [b"3"])
        self.channel.basic_nack(0, multiple=True)
        self.assertEqual(self.drain(queue), [b"4"])

    def test_a_channel_that_is_closed_gives_back_what_it_had(self):
        queue = self.queue()
        self.send(queue, b"1", b"2")
        other = self.connection.channel()
        other.basic_get(queue)
        other.basic_get(queue)
        other.close()
        found = [self.get(queue) for _ in range(2)]
        self.assertEqual([(body, method.redelivered) for method, _, body in found], [(b"1", True), (b"2", True)])

    def test_a_connection_that_breaks_gives_back_what_it_had(self):
        queue = self.queue(exclusive=False)
        self.addCleanup(self.channel.queue_delete, queue)
        self.send(queue, b"1")
        with Wire.opened() as other:
            other.send(spec.Basic.Get(queue=queue))
            self.assertIsInstance(other.read_method(), spec.Basic.GetOk)
            self.assertEqual(self.ready(queue), 0)
        while self.ready(queue) == 0:
            pass
        self.assertTrue(self.get(queue)[0].redelivered)

    def test_recover_brings_back_what_is_in_hand(self):
        queue = self.queue()
        self.send(queue, b"1")
        self.get(queue, auto_ack=False)
        self.channel.basic_recover(requeue=True)
        method, _, body = self.get(queue)
        self.assertEqual((body, method.redelivered), (b"1", True))


class Consumers(ClientTest):
    def consume(self, queue, channel=None, **options):
        received = []
        (channel or self.channel).basic_consume(
            queue, lambda channel, method, properties, body: received.append((method, body)), **options
        )
        return received

    def bodies(self, received):
        return [body for _, body in received]

    def test_messages_come_in_order_before_and_after_the_consumer(self):
        queue = self.queue()
        self.send(queue, *(str(number).encode() for number in range(100)))
        received = self.consume(queue, auto_ack=True)
        self.send(queue, *(str(number).encode() for number in range(100, 200)))
        self.await_messages(received, 200)
        self.assertEqual(self.bodies(received), [str(number).encode() for number in range(200)])

    def test_prefetch_bounds_what_is_in_hand(self):
        queue = self.queue()
        self.send(queue, *(str(number).encode() for number in range(5)))
        self.channel.basic_qos(prefetch_count=2)
        received = self.consume(queue)
        self.await_messages(received, 2)
        self.channel.basic_qos(prefetch_count=2)
        self.connection.process_data_events(time_limit=0)
        self.assertEqual(self.bodies(received), [b"0", b"1"])
        self.channel.basic_ack(received[0][0].delivery_tag)
        self.await_messages(received, 3)
        self.assertEqual(self.ready(queue), 2)

    def test_a_changed_prefetch_holds_for_new_consumers(self):
        first, second = self.queue(), self.queue()
        for queue in (first, second):
            self.send(queue, *(str(number).encode() for number in range(5)))
        self.channel.basic_qos(prefetch_count=1)
        one = self.consume(first)
        self.channel.basic_qos(prefetch_count=3)
        three = self.consume(second)
        self.await_messages(three, 3)
        self.connection.channel().close()
        self.connection.process_data_events(time_limit=0)
        self.assertEqual((len(one), len(three)), (1, 3))

    def test_a_global_prefetch_is_shared_by_the_channel(self):
        first, second = self.queue(), self.queue()
        for queue in (first, second):
            self.send(queue, b"1", b"2", b"3")
        self.channel.basic_qos(prefetch_count=2, global_qos=True)
        received = self.consume(first)
        self.await_messages(received, 2)
        others = self.consume(second)
        self.assertEqual((self.ready(first), self.ready(second)), (1, 3))
        self.channel.basic_ack(0, multiple=True)
        # Two more, of one queue or of both.
        while len(received) + len(others) < 4:
            self.connection.process_data_events(time_limit=20)
        self.assertEqual((self.ready(first), self.ready(second)), (3 - len(received), 3 - len(others)))
        self.assertEqual(len(received) + len(others), 4)

    def test_consumers_take_turns(self):
        queue = self.queue()
        received = [self.consume(queue, self.connection.channel(), auto_ack=True) for _ in range(3)]
        self.send(queue, *(b"x" for _ in range(30)))
        while sum(map(len, received)) < 30:
            self.connection.process_data_events(time_limit=20)
        self.assertEqual([len(each) for each in received], [10, 10, 10])

    def test_cancelling_keeps_what_is_in_hand(self):
        # Not with pika's blocking channel, which would reject it.
        queue = self.queue(exclusive=False)
        self.addCleanup(self.channel.queue_delete, queue)
        self.send(queue, b"1")
        with Wire.opened() as other:
            other.send(spec.Basic.Consume(queue=queue, consumer_tag="ct"))
            answers = [other.read_method() for _ in range(2)]
            self.assertIsInstance(answers[1], spec.Basic.Deliver)
            other.send(spec.Basic.Cancel(consumer_tag="ct"))
            self.assertIsInstance(other.read_method(), spec.Basic.CancelOk)
            self.assertEqual(self.ready(queue), 0)
            other.send(spec.Basic.Ack(answers[1].delivery_tag))
            self.assertEqual(other.answers_until_sync(), [])
            other.send(spec.Basic.Recover(requeue=True))
            self.assertIsInstance(other.read_method(), spec.Basic.RecoverOk)
            self.assertEqual(self.ready(queue), 0)

    def test_a_consumer_is_told_when_its_queue_is_deleted(self):
        queue = self.queue()
        self.consume(queue)
        cancelled = []
        self.channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
        self.connection.channel().queue_delete(queue)
        self.await_messages(cancelled, 1)

    def test_an_auto_delete_queue_goes_with_its_last_consumer(self):
        queue = self.queue(auto_delete=True, exclusive=False)
        tags = [self.channel.basic_consume(queue, lambda *_: None) for _ in range(2)]
        self.channel.basic_cancel(tags[0])
        self.ready(queue)
        self.channel.basic_cancel(tags[1])
        self.assert_closed(404, "NOT_FOUND - no queue", self.channel.queue_declare, queue, passive=True)

    def test_an_exclusive_queue_goes_with_its_connection(self):
        other = self.connect()
        queue = other.channel().queue_declare(self.name("q"), exclusive=True, durable=True).method.queue
        other.close()
        self.assert_closed(404, "NOT_FOUND - no queue", self.channel.queue_declare, queue, passive=True)

    def test_names_are_generated(self):
        declared = self.channel.queue_declare("", exclusive=True).method.queue
        self.assertRegex(declared, r"^amq\.gen-[A-Za-z0-9_-]{22}$")
        # The empty name is the last one declared.
        self.channel.basic_publish("", declared, b"1")
        self.assertEqual(self.get("")[2], b"1")


class Connections(unittest.TestCase):
    def test_the_broker_says_what_it_is(self):
        connection = pika.BlockingConnection(parameters())
        self.addCleanup(connection.close)
        properties = connection._impl.server_properties
        ours = os.environ["INTEROP_AGAINST"] == "warren"
        if ours:
            self.assertEqual(properties["product"], "Warren")
        for capability in ("publisher_confirms", "basic.nack", "consumer_cancel_notify", "connection.blocked",
                           "exchange_exchange_bindings", "authentication_failure_close", "per_consumer_qos",
                           "consumer_priorities", "direct_reply_to", *(["warren.user_exclusive_queues"] if ours else [])):
            self.assertIs(properties["capabilities"].get(capability), True, capability)

    def test_a_wrong_password_and_a_wrong_vhost_are_told_apart(self):
        wrong = parameters(credentials=pika.PlainCredentials("guest", "wrong"))
        with self.assertRaises(pika.exceptions.ProbableAuthenticationError):
            pika.BlockingConnection(wrong)
        with self.assertRaises(pika.exceptions.ProbableAccessDeniedError):
            pika.BlockingConnection(parameters(virtual_host="nosuch"))

    def test_heartbeats_keep_an_idle_connection(self):
        connection = pika.BlockingConnection(parameters(heartbeat=1))
        self.addCleanup(connection.close)
        connection.process_data_events(time_limit=3.5)
        connection.channel()


if __name__ == "__main__":
    unittest.main()
