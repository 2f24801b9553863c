"""What somebody who signed up may do: own queues, write to friends, and nothing else."""

import unittest
import uuid

import pika

from client import ClientTest
from wire import parameters

PASSWORD = "correct horse battery"
USERS_OWN = {"x-exclusive-scope": "user"}


def setUpModule():
    """The exchange that a friend server declares, and users may only publish to."""
    with pika.BlockingConnection(parameters()) as connection:
        connection.channel().exchange_declare("friends", "fanout", durable=True)


class ChatUser(ClientTest):
    def setUp(self):
        self.alice, self.mallory = self.signed_up(), self.signed_up()

    def signed_up(self):
        name = f"u{uuid.uuid4().hex[:20]}"
        connection = self.connect(credentials=pika.PlainCredentials(name, PASSWORD),
                                  client_properties={"warren.sign_up": True})
        connection.name = name
        return connection

    def signed_in(self, name):
        return self.connect(credentials=pika.PlainCredentials(name, PASSWORD))

    def friend_queue(self, connection):
        name = f"friend.{uuid.uuid4()}"
        connection.channel().queue_declare(name, durable=True, exclusive=True, arguments=USERS_OWN)
        return name

    def assert_refused(self, connection, code, text, call):
        """`call(channel)` ends its channel."""
        channel = connection.channel()
        # Answers publishes, which have no reply of their own.
        channel.confirm_delivery()
        self.assert_closed(code, text, call, channel)


class OwnQueues(ChatUser):
    def test_it_survives_the_connection_and_takes_messages_meanwhile(self):
        queue = self.friend_queue(self.alice)
        self.alice.close()
        sender = self.mallory.channel()
        sender.confirm_delivery()
        sender.basic_publish("", queue, b"hello", pika.BasicProperties(delivery_mode=2), mandatory=True)
        again = self.signed_in(self.alice.name).channel()
        declared = again.queue_declare(queue, durable=True, exclusive=True, arguments=USERS_OWN).method
        self.assertEqual(declared.message_count, 1)
        self.assertEqual(again.basic_get(queue)[2], b"hello")

    def test_two_connections_of_the_user_share_it(self):
        queue = self.friend_queue(self.alice)
        second = self.signed_in(self.alice.name).channel()
        second.queue_declare(queue, passive=True)
        second.basic_consume(queue, lambda *_: None)
        second.queue_purge(queue)

    def test_nobody_else_may_touch_it(self):
        queue = self.friend_queue(self.alice)
        locked = f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'"
        for what, call in {
            "declare": lambda c: c.queue_declare(queue, durable=True, exclusive=True, arguments=USERS_OWN),
            "declare without owner": lambda c: c.queue_declare(queue, durable=True),
            "passive": lambda c: c.queue_declare(queue, passive=True),
            "consume": lambda c: c.basic_consume(queue, lambda *_: None),
            "get": lambda c: c.basic_get(queue),
            "purge": lambda c: c.queue_purge(queue),
            "delete": lambda c: c.queue_delete(queue),
        }.items():
            with self.subTest(what):
                self.assert_refused(self.mallory, 405, locked, call)
        # The administrator is stopped by nothing but the lock.
        guest = self.connect()
        for what, call in {
            "passive": lambda c: c.queue_declare(queue, passive=True),
            "bind": lambda c: c.queue_bind(queue, "amq.fanout"),
            "unbind": lambda c: c.queue_unbind(queue, "amq.fanout"),
            "consume": lambda c: c.basic_consume(queue, lambda *_: None),
            "get": lambda c: c.basic_get(queue),
            "purge": lambda c: c.queue_purge(queue),
            "delete": lambda c: c.queue_delete(queue),
        }.items():
            with self.subTest(f"{what} by guest"):
                self.assert_refused(guest, 405, locked, call)

    def test_the_scope_is_part_of_what_it_is(self):
        queue = self.friend_queue(self.alice)
        channel = self.alice.channel()
        self.assert_closed(405, "RESOURCE_LOCKED", channel.queue_declare, queue, durable=True)

    def test_the_argument_goes_with_exclusive_and_durable(self):
        for options in ({"exclusive": True}, {"durable": True}, {}):
            with self.subTest(options):
                self.assert_refused(self.alice, 406, "PRECONDITION_FAILED", lambda c: c.queue_declare(
                    f"friend.{uuid.uuid4()}", arguments=USERS_OWN, **options))


class Permissions(ChatUser):
    REFUSED = "ACCESS_REFUSED - "

    def test_a_queue_cannot_be_bound_to_the_friends_exchange(self):
        queue = self.friend_queue(self.mallory)
        for exchange in ("friends", "amq.fanout"):
            with self.subTest(exchange):
                self.assert_refused(self.mallory, 403, self.REFUSED, lambda c: c.queue_bind(queue, exchange))

    def test_only_queues_of_chat_can_be_declared(self):
        for name in ("jobs", "friends.x", "myfriend.x", "Friend.x"):
            with self.subTest(name):
                self.assert_refused(self.alice, 403, self.REFUSED, lambda c: c.queue_declare(name, exclusive=True))

    def test_exchanges_cannot_be_declared_or_deleted(self):
        for call in (
            lambda c: c.exchange_declare("mine"),
            lambda c: c.exchange_declare("friends", "fanout", durable=True),
            lambda c: c.exchange_delete("friends"),
            lambda c: c.exchange_bind("friends", "amq.fanout"),
        ):
            self.assert_refused(self.alice, 403, self.REFUSED, call)

    def test_on_the_default_exchange_only_friend_queues_can_be_written_to(self):
        for key in ("inbox.x", "friends.x", "reply.x", "x.friend.y", "", "amq.gen-x"):
            with self.subTest(key):
                self.assert_refused(self.alice, 403, self.REFUSED, lambda c: c.basic_publish("", key, b""))

    def test_no_other_exchange_can_be_written_to(self):
        for exchange in ("amq.direct", "amq.fanout", "amq.topic"):
            with self.subTest(exchange):
                self.assert_refused(self.alice, 403, self.REFUSED,
                                    lambda c: c.basic_publish(exchange, "friend.x", b""))

    def test_a_dead_letter_exchange_is_no_way_around(self):
        for arguments in (
            {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "inbox.x"},
            {"x-dead-letter-exchange": ""},
            {"x-dead-letter-exchange": "amq.fanout"},
        ):
            with self.subTest(arguments):
                self.assert_refused(self.alice, 403, self.REFUSED, lambda c: c.queue_declare(
                    f"friend.{uuid.uuid4()}", durable=True, exclusive=True, arguments={**USERS_OWN, **arguments}))

    def test_nobody_writes_in_another_name(self):
        forged = pika.BasicProperties(user_id=self.alice.name)
        self.assert_refused(self.mallory, 406, "PRECONDITION_FAILED - user_id property set to",
                            lambda c: c.basic_publish("friends", "", b"{}", forged))



if __name__ == "__main__":
    unittest.main()
