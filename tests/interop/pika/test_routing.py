"""Exchanges of all types, and bindings between them."""

import unittest

import pika

from client import ClientTest


class Routing(ClientTest):
    def bound(self, exchange, key="", arguments=None):
        queue = self.queue()
        self.channel.queue_bind(queue, exchange, key, arguments)
        return queue

    def assert_routed(self, exchange, key, *queues, among, headers=None):
        """A message goes to these queues among those, once to each."""
        self.channel.basic_publish(exchange, key, b"m", pika.BasicProperties(headers=headers))
        arrived = {queue: len(self.drain(queue)) for queue in among}
        self.assertEqual(arrived, {queue: int(queue in queues) for queue in among}, f"{key} {headers}")

    def test_direct(self):
        x = self.exchange("direct")
        a, also_a, b = self.bound(x, "a"), self.bound(x, "a"), self.bound(x, "b")
        among = [a, also_a, b]
        self.assert_routed(x, "a", a, also_a, among=among)
        self.assert_routed(x, "b", b, among=among)
        self.assert_routed(x, "A", among=among)
        self.assert_routed(x, "", among=among)

    def test_fanout(self):
        x = self.exchange("fanout")
        queues = [self.bound(x, "ignored"), self.bound(x)]
        self.assert_routed(x, "whatever", *queues, among=queues)

    def test_topic(self):
        x = self.exchange("topic")
        by_pattern = {
            pattern: self.bound(x, pattern)
            for pattern in ["#", "*", "a.*", "a.#", "#.c", "*.b.*", "a.b.c", "a.#.c", "#.#", "", "a..c"]
        }
        for key, patterns in {
            "a": ["#", "*", "a.#", "#.#"],
            "a.b": ["#", "a.*", "a.#", "#.#"],
            "a.b.c": ["#", "a.#", "#.c", "*.b.*", "a.b.c", "a.#.c", "#.#"],
            "a.c": ["#", "a.*", "a.#", "#.c", "a.#.c", "#.#"],
            "a..c": ["#", "a.#", "#.c", "a.#.c", "#.#", "a..c"],
            "": ["#", "#.#", ""],
            "x.y.z.c": ["#", "#.c", "#.#"],
        }.items():
            queues = [by_pattern[pattern] for pattern in patterns]
            self.assert_routed(x, key, *queues, among=list(by_pattern.values()))

    def test_headers(self):
        x = self.exchange("headers")
        red_and_big = {"colour": "red", "size": 3}
        everything = self.bound(x, arguments={"x-match": "all", **red_and_big})
        anything = self.bound(x, arguments={"x-match": "any", **red_and_big})
        by_default = self.bound(x, arguments=red_and_big)
        present = self.bound(x, arguments={"x-match": "all", "colour": None})
        with_x = self.bound(x, arguments={"x-match": "all-with-x", "x-kind": "k", "colour": "red"})
        without_x = self.bound(x, arguments={"x-match": "all", "x-kind": "k", "colour": "red"})
        among = [everything, anything, by_default, present, with_x, without_x]
        for headers, queues in [
            (red_and_big, [everything, anything, by_default, present, without_x]),
            ({"colour": "red"}, [anything, present, without_x]),
            ({"colour": "blue", "size": 3}, [anything, present]),
            ({"colour": "red", "x-kind": "k"}, [anything, present, with_x, without_x]),
            ({"size": "3"}, []),
            ({}, []),
            (None, []),
        ]:
            self.assert_routed(x, "", *queues, among=among, headers=headers)

    def test_two_ways_to_a_queue_deliver_once(self):
        x = self.exchange("topic")
        queue = self.bound(x, "a.*")
        self.channel.queue_bind(queue, x, "*.b")
        self.channel.queue_bind(queue, x, "#")
        self.assert_routed(x, "a.b", queue, among=[queue])

    def test_unbinding_names_one_binding(self):
        x = self.exchange("direct")
        queue = self.bound(x, "a")
        self.channel.queue_bind(queue, x, "b")
        self.channel.queue_unbind(queue, x, "a")
        self.assert_routed(x, "a", among=[queue])
        self.assert_routed(x, "b", queue, among=[queue])

    def test_exchanges_bound_to_exchanges(self):
        source, middle, end = self.exchange("topic"), self.exchange("fanout"), self.exchange("direct")
        direct = self.bound(end, "a.b")
        fanned = self.bound(middle)
        self.channel.exchange_bind(middle, source, "a.#")
        self.channel.exchange_bind(end, middle)
        # A cycle, and a second way to the same queue.
        self.channel.exchange_bind(source, end, "a.b")
        self.channel.queue_bind(direct, source, "#")
        among = [direct, fanned]
        self.assert_routed(source, "a.b", direct, fanned, among=among)
        self.assert_routed(source, "b", direct, among=among)
        self.channel.exchange_unbind(middle, source, "a.#")
        self.assert_routed(source, "a.b", direct, among=among)

    def test_an_alternate_exchange_takes_what_nobody_took(self):
        other = self.exchange("fanout")
        rest = self.bound(other)
        x = self.exchange("direct", arguments={"alternate-exchange": other})
        taken = self.bound(x, "a")
        self.assert_routed(x, "a", taken, among=[taken, rest])
        self.assert_routed(x, "b", rest, among=[taken, rest])
        # It counts as routed.
        self.channel.confirm_delivery()
        self.channel.basic_publish(x, "b", b"m", mandatory=True)
        self.assertEqual(self.drain(rest), [b"m"])

    def test_the_default_exchange_routes_by_the_name_of_the_queue(self):
        a, b = self.queue(), self.queue()
        self.assert_routed("", a, a, among=[a, b])

    def test_a_predeclared_exchange_of_each_type(self):
        for exchange in ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"]:
            self.channel.exchange_declare(exchange, passive=True)

    def test_an_auto_delete_exchange_goes_with_its_last_binding(self):
        x = self.exchange("direct")
        queue = self.bound(x, "a")
        self.channel.queue_unbind(queue, x, "a")
        self.assert_closed(404, "NOT_FOUND - no exchange", self.channel.exchange_declare, x, passive=True)

    def test_bindings_go_with_their_exchange(self):
        x = self.exchange("fanout")
        queue = self.bound(x)
        self.channel.exchange_delete(x)
        self.channel.exchange_declare(x, "fanout", auto_delete=True)
        keeper = self.bound(x)
        self.assert_routed(x, "", keeper, among=[queue, keeper])


if __name__ == "__main__":
    unittest.main()
