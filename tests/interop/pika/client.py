"""What the tests with a real client have in common."""

import unittest
import uuid

import pika

from wire import parameters

PERSISTENT = pika.BasicProperties(delivery_mode=2)


class ClientTest(unittest.TestCase):
    """Each test has a connection with a channel, and names that no other test uses."""

    def setUp(self):
        self.connection = self.connect()
        self.channel = self.connection.channel()

    def connect(self, **changed):
        connection = pika.BlockingConnection(parameters(**changed))
        self.addCleanup(lambda: connection.is_open and connection.close())
        return connection

    def name(self, what):
        return f"{what}-{uuid.uuid4()}"

    def queue(self, **options):
        """A queue that ends with the connection."""
        options.setdefault("exclusive", True)
        return self.channel.queue_declare(self.name("q"), **options).method.queue

    def exchange(self, kind, **options):
        name = self.name("x")
        self.channel.exchange_declare(name, kind, auto_delete=True, **options)
        return name

    def send(self, queue, *bodies):
        """Returns when they are in the queue."""
        for body in bodies:
            self.channel.basic_publish("", queue, body)
        self.sync()

    def get(self, queue, auto_ack=True):
        """The next message as (method, properties, body); fails if there is none."""
        method, properties, body = self.channel.basic_get(queue, auto_ack)
        self.assertIsNotNone(method, f"{queue} is empty")
        return method, properties, body

    def drain(self, queue):
        """The bodies of all messages that are ready."""
        bodies = []
        while True:
            method, _, body = self.channel.basic_get(queue, auto_ack=True)
            if method is None:
                return bodies
            bodies.append(body)

    def ready(self, queue):
        """How many messages are ready."""
        return self.channel.queue_declare(queue, passive=True).method.message_count

    def await_messages(self, received, count):
        """Lets the client work until the list has that many."""
        while len(received) < count:
            before = len(received)
            self.connection.process_data_events(time_limit=20)
            self.assertGreater(len(received), before, f"only {before} of {count} messages came")

    def sync(self, channel=None):
        """Everything sent before has been handled, and everything it caused has come."""
        (channel or self.channel).basic_qos()
        self.connection.process_data_events(time_limit=0)

    def assert_closed(self, code, text, call, *arguments, **named):
        """`call` ends the channel with this code and text."""
        with self.assertRaises(pika.exceptions.ChannelClosedByBroker) as raised:
            call(*arguments, **named)
        self.assertEqual(raised.exception.reply_code, code, raised.exception.reply_text)
        self.assertTrue(raised.exception.reply_text.startswith(text), raised.exception.reply_text)
