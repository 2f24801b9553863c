"""How conformance tests are written: what is sent, and what comes back."""

import unittest
from dataclasses import dataclass

from pika import spec

from wire import Closed, Gone, Wire


@dataclass
class Publish:
    """basic.publish with its content."""

    exchange: str = ""
    routing_key: str = ""
    properties: spec.BasicProperties = None
    body: bytes = b"body"
    mandatory: bool = False

    def send_on(self, wire, channel):
        wire.publish(
            self.exchange, self.routing_key, self.body, self.properties, channel, mandatory=self.mandatory
        )


@dataclass
class Probe:
    """`send` on a channel, after `given` was done there and `elsewhere` on another connection."""

    name: str
    send: list
    # A method that must be among the answers, a Closed, a Gone, or OK.
    expect: object
    given: tuple = ()
    elsewhere: tuple = ()


# No complaint.
OK = object()


def send_all(wire, steps, channel=1):
    for step in steps:
        if isinstance(step, Publish):
            step.send_on(wire, channel)
        else:
            wire.send(step, channel)


def prepare(wire, steps):
    """Carries out what a probe presupposes, and insists that it succeeds."""
    send_all(wire, steps)
    answers = wire.answers_until_sync()
    assert not any(isinstance(answer, (Closed, Gone)) for answer in answers), answers


def run(probe):
    """What the broker answered to a probe."""
    with Wire.opened() as other, Wire.opened() as wire:
        prepare(other, probe.elsewhere)
        prepare(wire, probe.given)
        send_all(wire, probe.send)
        return wire.answers_until_sync()


def matches(answers, expected):
    if expected is OK:
        return not any(isinstance(answer, (Closed, Gone)) for answer in answers)
    if isinstance(expected, Closed):
        last = answers[-1] if answers else None
        return (
            isinstance(last, Closed)
            and (last.scope, last.code) == (expected.scope, expected.code)
            and last.text.startswith(expected.text)
        )
    if isinstance(expected, Gone):
        return answers == [Gone()]
    return any(isinstance(answer, expected) for answer in answers)


def product():
    """What the broker calls itself; the tables can be checked against RabbitMQ, too."""
    with Wire() as wire:
        wire.greet()
        return wire.read_method().server_properties["product"]


class Conformance(unittest.TestCase):
    """Runs a table of probes, each answered as RabbitMQ 3.10.8 answered, but for intended differences."""

    def check(self, probes, differences, run=run):
        """`differences`: probe name to (expectation, reason)."""
        names = [probe.name for probe in probes]
        self.assertEqual(len(names), len(set(names)), "two probes have the same name")
        self.assertLessEqual(set(differences), set(names), "a difference names no probe")
        ours = product() != "RabbitMQ"
        for probe in probes:
            expected = probe.expect
            if ours and probe.name in differences:
                expected = differences[probe.name][0]
            with self.subTest(probe.name):
                answers = run(probe)
                self.assertTrue(matches(answers, expected), f"\nexpected {expected}\nanswered {answers}")
