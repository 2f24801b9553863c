"""tx: everything or nothing, as far as the specification promises."""

import unittest

import pika

from client import ClientTest


class Transactions(ClientTest):
    def setUp(self):
        super().setUp()
        self.q = self.queue()
        self.tx = self.connection.channel()
        self.tx.tx_select()

    def test_publishes_are_seen_after_commit(self):
        self.tx.basic_publish("", self.q, b"1")
        self.tx.basic_publish("", self.q, b"2")
        self.tx.basic_qos()
        self.assertEqual(self.ready(self.q), 0)
        self.tx.tx_commit()
        self.assertEqual(self.drain(self.q), [b"1", b"2"])

    def test_publishes_are_dropped_by_rollback(self):
        self.tx.basic_publish("", self.q, b"1")
        self.tx.tx_rollback()
        self.tx.basic_publish("", self.q, b"2")
        self.tx.tx_commit()
        self.assertEqual(self.drain(self.q), [b"2"])

    def test_publishes_are_dropped_with_the_channel(self):
        self.tx.basic_publish("", self.q, b"1")
        self.tx.close()
        self.assertEqual(self.drain(self.q), [])

    def test_acks_count_after_commit(self):
        self.send(self.q, b"1")
        method, _, _ = self.tx.basic_get(self.q)
        self.tx.basic_ack(method.delivery_tag)
        self.tx.close()
        found, _, body = self.get(self.q)
        self.assertEqual((body, found.redelivered), (b"1", True))

    def test_committed_acks_are_final(self):
        self.send(self.q, b"1")
        method, _, _ = self.tx.basic_get(self.q)
        self.tx.basic_ack(method.delivery_tag)
        self.tx.tx_commit()
        self.tx.close()
        self.assertEqual(self.drain(self.q), [])

    def test_rolled_back_acks_can_be_given_again(self):
        self.send(self.q, b"1")
        method, _, _ = self.tx.basic_get(self.q)
        self.tx.basic_ack(method.delivery_tag)
        self.tx.tx_rollback()
        self.tx.basic_ack(method.delivery_tag)
        self.tx.tx_commit()
        self.tx.close()
        self.assertEqual(self.drain(self.q), [])

    def test_an_unroutable_mandatory_message_comes_back_at_commit(self):
        returned = []
        self.tx.add_on_return_callback(lambda *message: returned.append(message[3]))
        self.tx.basic_publish("", "nowhere", b"lost?", mandatory=True)
        self.tx.basic_qos()
        self.connection.process_data_events(time_limit=0)
        self.assertEqual(returned, [])
        self.tx.tx_commit()
        self.connection.process_data_events(time_limit=0)
        self.assertEqual(returned, [b"lost?"])


if __name__ == "__main__":
    unittest.main()
