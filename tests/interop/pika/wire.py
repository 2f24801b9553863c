"""Frames over a socket, for what no client library would ever send.

Methods and frames are encoded and decoded by pika; when to send which is up to the test.
"""

import os
import socket
import struct
from dataclasses import dataclass, field

import pika
from pika import frame, spec

# Seconds without an answer after which a test has failed.
PATIENCE = 20


def parameters(**changed):
    """Where the broker is: AMQP_URL, with some parameters changed."""
    found = pika.URLParameters(os.environ["AMQP_URL"])
    found.socket_timeout = PATIENCE
    found.blocked_connection_timeout = PATIENCE
    for name, value in changed.items():
        setattr(found, name, value)
    return found


@dataclass(frozen=True)
class Closed:
    """An exception of AMQP: which part was closed, why, and which method was blamed."""

    scope: str  # "channel" or "connection"
    code: int
    text: str
    blamed: tuple = field(default=None, compare=False)


@dataclass(frozen=True)
class Gone:
    """The socket was closed without a word."""


class Wire:
    """One connection, its frames in the order they are sent and received."""

    def __init__(self):
        where = parameters()
        self.socket = socket.create_connection((where.host, where.port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # Sending

    def send_bytes(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            pass  # Whatever the broker said before it closed is still to be read.

    def send(self, method, channel=1):
        self.send_bytes(frame.Method(channel, method).marshal())

    def send_frame(self, kind, channel, payload, end=spec.FRAME_END):
        self.send_bytes(struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([end]))

    def publish(self, exchange="", routing_key="", body=b"", properties=None, channel=1, **flags):
        self.send(spec.Basic.Publish(exchange=exchange, routing_key=routing_key, **flags), channel)
        properties = properties or spec.BasicProperties()
        self.send_bytes(frame.Header(channel, len(body), properties).marshal())
        if body:
            self.send_bytes(frame.Body(channel, body).marshal())

    # Receiving

    def read_bytes(self, count):
        """Exactly that many; fewer only at the end of the stream."""
        while len(self.unread) < count:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                break
            self.unread += data
        data, self.unread = self.unread[:count], self.unread[count:]
        return data

    def read_frame(self):
        """The next frame that is no heartbeat; None at the end of the stream."""
        while True:
            head = self.read_bytes(7)
            if len(head) < 7:
                return None
            size = struct.unpack(">I", head[3:])[0]
            rest = self.read_bytes(size + 1)
            if len(rest) <= size:
                return None
            _, decoded = frame.decode_frame(head + rest)
            if not isinstance(decoded, frame.Heartbeat):
                return decoded

    def read_method(self):
        """The next method, or Gone or Closed; contents are skipped."""
        while True:
            received = self.read_frame()
            if received is None:
                return Gone()
            if not isinstance(received, frame.Method):
                continue
            method = received.method
            if isinstance(method, (spec.Connection.Close, spec.Channel.Close)):
                scope = "connection" if isinstance(method, spec.Connection.Close) else "channel"
                blamed = (method.class_id, method.method_id)
                return Closed(scope, method.reply_code, method.reply_text, blamed)
            return method

    # Opening

    def greet(self, header=b"AMQP\0\0\x09\x01"):
        self.send_bytes(header)

    def start_ok(self, user=None, password=None, mechanism="PLAIN", response=None, capabilities=None):
        if response is None:
            credentials = parameters().credentials
            user, password = user or credentials.username, password or credentials.password
            response = f"\0{user}\0{password}"
        properties = {"product": "wire", "capabilities": capabilities or {}}
        self.send(spec.Connection.StartOk(properties, mechanism, response, "en_US"), 0)

    def tune_ok(self, channel_max=2047, frame_max=131072, heartbeat=0):
        self.send(spec.Connection.TuneOk(channel_max, frame_max, heartbeat), 0)

    def log_in(self, **start_ok):
        """Up to connection.tune, which is returned, as is anything that came instead of it."""
        self.greet()
        start = self.read_method()
        if not isinstance(start, spec.Connection.Start):
            return start
        self.start_ok(**start_ok)
        return self.read_method()

    @classmethod
    def opened(cls, channels=1, **tune_ok):
        """A connection with the channels 1 to `channels` open."""
        wire = cls()
        tune = wire.log_in()
        assert isinstance(tune, spec.Connection.Tune), tune
        wire.tune_ok(**tune_ok)
        wire.send(spec.Connection.Open("/"), 0)
        opened = wire.read_method()
        assert isinstance(opened, spec.Connection.OpenOk), opened
        for channel in range(1, channels + 1):
            wire.send(spec.Channel.Open(), channel)
            opened = wire.read_method()
            assert isinstance(opened, spec.Channel.OpenOk), opened
        return wire

    def answers_until_sync(self, channel=1, closes=False):
        """Everything the broker had to say until now: methods, and at the end perhaps Closed or Gone.

        basic.qos is answered last; by then whatever was wrong before on this channel has come. With `closes` it is no
        end: where each channel is a process of its own, what another one complains of may come later.
        """
        self.send(spec.Basic.Qos(prefetch_count=0), channel)
        answers = []
        while True:
            answer = self.read_method()
            if not isinstance(answer, spec.Basic.QosOk):
                answers.append(answer)
            elif not closes:
                return answers
            if isinstance(answer, (Closed, Gone)):
                return answers
