"""Mistakes below the methods: frames, contents, handshakes."""

import struct
import unittest
from dataclasses import dataclass

from pika import frame, spec
from pika.spec import Basic, BasicProperties, Channel, Connection, Queue

from probes import OK, Conformance
from wire import Closed, Gone, Wire

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8


@dataclass
class Raw:
    """Bytes or frames sent by `send(wire)`, on a connection opened with `opened`."""

    name: str
    send: object
    expect: object
    opened: dict = None


def run(probe):
    with Wire.opened(**(probe.opened or {})) as wire:
        probe.send(wire)
        return wire.answers_until_sync(closes=isinstance(probe.expect, (Closed, Gone)))


def run_handshake(probe):
    with Wire() as wire:
        return [probe.send(wire)]


def closed(code, text):
    return Closed("connection", code, text)


def unexpected(text):
    return closed(505, f"UNEXPECTED_FRAME - {text}")


def method(class_id, method_id, arguments=b""):
    return struct.pack(">HH", class_id, method_id) + arguments


def publish_method(wire):
    wire.send(Basic.Publish(routing_key="nowhere"))


def header(size, class_id=60, weight=0, flags=0, properties=b""):
    return struct.pack(">HHQH", class_id, weight, size, flags) + properties


def publish_then(*frames):
    def send(wire):
        publish_method(wire)
        for kind, payload in frames:
            wire.send_frame(kind, 1, payload)

    return send


NOT_A_METHOD = unexpected("expected method frame, got non method frame instead")
NOT_A_HEADER = unexpected("expected content header for class 60, got non content header frame instead")
ON_CHANNEL_0 = closed(504, "CHANNEL_ERROR - unexpected method in connection state running")

FRAMES = [
    Raw("a wrong frame end", lambda w: w.send_frame(METHOD, 1, method(90, 10), end=205), closed(501, "FRAME_ERROR - ")),
    Raw("an unknown frame type", lambda w: w.send_frame(9, 1, b"abc"), closed(501, "FRAME_ERROR - ")),
    Raw("the frame type 4", lambda w: w.send_frame(4, 1, b""), closed(501, "FRAME_ERROR - ")),
    Raw("a heartbeat", lambda w: w.send_frame(HEARTBEAT, 0, b""), OK),
    Raw("a heartbeat on a channel", lambda w: w.send_frame(HEARTBEAT, 1, b""), unexpected("type 8, all octets = <<>>")),
    Raw("a frame that is too large", lambda w: w.send_frame(BODY, 1, b"x" * 200_000), closed(501, "FRAME_ERROR - ")),
    Raw("an unknown method of a class", lambda w: w.send_frame(METHOD, 1, method(60, 200)), closed(501, "FRAME_ERROR - cannot decode <<>>")),
    Raw("an unknown class", lambda w: w.send_frame(METHOD, 1, method(99, 10)), Gone()),
    Raw("truncated arguments", lambda w: w.send_frame(METHOD, 1, method(50, 10, b"\0")), closed(501, "FRAME_ERROR - cannot decode <<0>>")),
    Raw("a table of an unknown type", lambda w: w.send_frame(METHOD, 1, method(50, 10, b"\0\0\1q\0\0\0\0\4\1aZ\0")), Gone()),
]

CHANNELS = [
    Raw("a method on a channel that is not open", lambda w: w.send(Queue.Declare(queue="q"), 7), closed(504, "CHANNEL_ERROR - expected 'channel.open'")),
    Raw("channel.open on channel 0", lambda w: w.send(Channel.Open(), 0), ON_CHANNEL_0),
    Raw("queue.declare on channel 0", lambda w: w.send(Queue.Declare(queue="q"), 0), ON_CHANNEL_0),
    Raw("connection.start-ok once more", lambda w: w.start_ok(), ON_CHANNEL_0),
    Raw("a channel id above channel_max", lambda w: w.send(Channel.Open(), 11), Channel.OpenOk, opened={"channel_max": 10}),
    Raw("more channels than channel_max", lambda w: w.send(Channel.Open(), 11), closed(530, "NOT_ALLOWED - number of channels opened (10) has reached the negotiated channel_max (10)"), opened={"channel_max": 10, "channels": 10}),
    Raw("a close-ok nobody asked for", lambda w: w.send(Channel.CloseOk()), closed(503, "COMMAND_INVALID - unimplemented method")),
    Raw("update-secret", lambda w: w.send(Connection.UpdateSecret("guest", "why not"), 0), Connection.UpdateSecretOk),
]

CONTENTS = [
    Raw("a header without a method", lambda w: w.send_frame(HEADER, 1, header(0)), NOT_A_METHOD),
    Raw("a body without a header", lambda w: w.send_frame(BODY, 1, b"a"), NOT_A_METHOD),
    Raw("a body on channel 0", lambda w: w.send_frame(BODY, 0, b"a"), unexpected("type 3, all octets = <<\"a\">>")),
    Raw("publish, then a method", publish_then((METHOD, method(90, 10))), NOT_A_HEADER),
    Raw("publish, then a body", publish_then((BODY, b"a")), NOT_A_HEADER),
    Raw("a header of another class", publish_then((HEADER, header(0, class_id=50))), unexpected("expected content header for class 60, got one for class 50 instead")),
    Raw("a header with weight", publish_then((HEADER, header(0, weight=1))), NOT_A_HEADER),
    Raw("a body in two frames", publish_then((HEADER, header(2)), (BODY, b"a"), (BODY, b"b")), OK),
    Raw("an empty body frame", publish_then((HEADER, header(1)), (BODY, b""), (BODY, b"a")), OK),
    Raw("no body", publish_then((HEADER, header(0))), OK),
    Raw("properties cut short", publish_then((HEADER, header(0, flags=0x8000, properties=b"\x09ab"))), closed(541, "INTERNAL_ERROR")),
]


class FrameErrors(Conformance):
    def test_frames(self):
        differences = {
            "an unknown class": (closed(501, "FRAME_ERROR - "), "says why instead of hanging up"),
            "a table of an unknown type": (closed(501, "FRAME_ERROR - "), "says why instead of hanging up"),
        }
        self.check(FRAMES, differences, run)

    def test_channels(self):
        self.check(CHANNELS, {}, run)

    def test_contents(self):
        differences = {
            "properties cut short": (closed(502, "SYNTAX_ERROR - "), "the client's mistake, not ours"),
        }
        self.check(CONTENTS, differences, run)


def tuned(**tune_ok):
    """The answer to connection.open after tune-ok."""

    def send(wire):
        wire.log_in()
        wire.tune_ok(**tune_ok)
        wire.send(Connection.Open("/"), 0)
        return wire.read_method()

    return send


def logged_in(**start_ok):
    return lambda wire: wire.log_in(**start_ok)


def opening_vhost(wire):
    wire.log_in()
    wire.tune_ok()
    wire.send(Connection.Open("nosuch"), 0)
    return wire.read_method()


LOGIN_REFUSED = closed(403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.")
CAN_READ_REFUSALS = {"authentication_failure_close": True}

HANDSHAKES = [
    Raw("frame_max below 4096", tuned(frame_max=4095), Gone()),
    Raw("frame_max above the offer", tuned(frame_max=200_000), Gone()),
    Raw("channel_max above the offer", tuned(channel_max=4000), Gone()),
    Raw("frame_max 0", tuned(frame_max=0), Gone()),
    Raw("channel_max 0", tuned(channel_max=0), Gone()),
    Raw("a wrong password", logged_in(password="wrong"), Gone()),
    Raw("a wrong password, told", logged_in(password="wrong", capabilities=CAN_READ_REFUSALS), LOGIN_REFUSED),
    Raw("nobody's name, told", logged_in(user="nobody", capabilities=CAN_READ_REFUSALS), LOGIN_REFUSED),
    Raw("an unknown mechanism", logged_in(mechanism="NONE"), Gone()),
    Raw("PLAIN without a password", logged_in(response="guest"), Gone()),
    Raw("an unknown vhost", opening_vhost, closed(530, "NOT_ALLOWED - vhost nosuch not found")),
]

TOO_LARGE = "says which limit was passed instead of hanging up"
NO_WISH = "0 is no wish of the client's own (AMQP 0-9-1 §1.4.2.6): what was offered holds"

HANDSHAKE_DIFFERENCES = {
    "frame_max below 4096": (closed(530, "NOT_ALLOWED - negotiated frame_max = 4095"), TOO_LARGE),
    "frame_max above the offer": (closed(530, "NOT_ALLOWED - negotiated frame_max = 200000"), TOO_LARGE),
    "channel_max above the offer": (closed(530, "NOT_ALLOWED - negotiated channel_max = 4000"), TOO_LARGE),
    "frame_max 0": (Connection.OpenOk, NO_WISH),
    "channel_max 0": (Connection.OpenOk, NO_WISH),
}


class Handshakes(Conformance):
    def test_handshakes(self):
        self.check(HANDSHAKES, HANDSHAKE_DIFFERENCES, run_handshake)

    def test_the_offer(self):
        with Wire() as wire:
            tune = wire.log_in()
            self.assertEqual((tune.channel_max, tune.frame_max, tune.heartbeat), (2047, 131_072, 60))

    def test_another_protocol_is_answered_with_the_header_of_this_one(self):
        for greeting in [b"AMQP\0\1\0\0", b"GET / HTTP/1.1\r\n\r\n", b"AMQP\3\1\0\0"]:
            with self.subTest(greeting), Wire() as wire:
                wire.greet(greeting)
                self.assertEqual(wire.read_bytes(9), b"AMQP\0\0\x09\x01")


class AfterAnError(unittest.TestCase):
    def setUp(self):
        self.wire = Wire.opened()
        self.addCleanup(self.wire.socket.close)
        self.wire.send(Queue.Declare(queue="none", passive=True))
        self.assertEqual(self.wire.read_method().code, 404)

    def test_frames_are_ignored_until_close_ok_and_then_the_id_is_free(self):
        self.wire.send(Queue.Declare(queue="q", exclusive=True))
        self.wire.publish("none", "k", b"body")
        self.wire.send(Channel.CloseOk())
        self.wire.send(Channel.Open())
        self.assertIsInstance(self.wire.read_method(), Channel.OpenOk)
        self.wire.send(Queue.Declare(queue="q", passive=True))
        self.assertEqual(self.wire.read_method().code, 404, "a declare on a closed channel had an effect")

    def test_the_channel_cannot_be_opened_again_before_close_ok(self):
        self.wire.send(Channel.Open())
        answer = self.wire.read_method()
        self.assertEqual((answer.scope, answer.code), ("connection", 504))

    def test_the_error_names_the_method(self):
        self.wire.send(Channel.CloseOk())
        self.wire.send(Channel.Open())
        self.wire.read_method()
        self.wire.send(Basic.Get(queue="none"))
        self.assertEqual(self.wire.read_method().blamed, (60, 70))


if __name__ == "__main__":
    unittest.main()
