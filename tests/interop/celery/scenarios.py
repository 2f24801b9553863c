"""Celery: a worker in a process of its own, results by RPC, remote control."""

import os
import subprocess
import sys
import time
import unittest

import tap
from network import cut

# All through the proxy, so that the network can break.
os.environ["BROKER_URL"] = os.environ["CUT_URL"]

import tasks  # noqa: E402
from celery import chain, group  # noqa: E402

PATIENCE_S = 30


def setUpModule():
    global worker
    worker = subprocess.Popen([sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency=1",
                               "--loglevel=warning", "--pool=prefork"], stdin=subprocess.DEVNULL, stdout=sys.stderr)
    # Also when the next line fails: a worker left behind would keep whoever reads this output waiting.
    unittest.addModuleCleanup(end, worker)
    # The first answer means that the worker is there.
    assert tasks.add.delay(1, 1).get(timeout=60) == 2


def end(worker):
    worker.terminate()
    try:
        worker.wait(20)
    except subprocess.TimeoutExpired:
        worker.kill()


class Celery(unittest.TestCase):
    def test_rpc_of_a_task_and_its_result(self):
        self.assertEqual(tasks.add.delay(2, 3).get(timeout=PATIENCE_S), 5)

    def test_rpc_of_chains_and_groups(self):
        self.assertEqual(chain(tasks.add.s(1, 2), tasks.add.s(10))().get(timeout=PATIENCE_S), 13)
        results = group(tasks.add.s(n, n) for n in range(5))()
        self.assertEqual(results.get(timeout=PATIENCE_S), [0, 2, 4, 6, 8])

    def test_retries_come_back_through_the_queue(self):
        self.assertEqual(tasks.at_the_second_try.delay().get(timeout=PATIENCE_S), 1)

    def test_errors_of_a_task_reach_the_caller(self):
        with self.assertRaisesRegex(ValueError, "as it should"):
            tasks.fail.delay().get(timeout=PATIENCE_S)

    def test_declare_queues_with_priorities(self):
        result = tasks.add.apply_async((1, 1), queue="important", priority=7)
        self.assertEqual(result.get(timeout=PATIENCE_S), 2)

    def test_fanout_of_remote_control(self):
        [answer] = tasks.app.control.ping(timeout=10, limit=1)
        self.assertEqual(list(answer.values()), [{"ok": "pong"}])
        [active] = tasks.app.control.inspect(timeout=10, limit=1).active_queues().values()
        self.assertEqual({queue["name"] for queue in active}, {"celery", "important"})

    def test_qos_changes_while_the_worker_runs(self):
        [grown] = tasks.app.control.pool_grow(1, reply=True, timeout=10, limit=1)
        self.assertIn("ok", next(iter(grown.values())))
        self.assertEqual(tasks.add.delay(2, 2).get(timeout=PATIENCE_S), 4)


class Network(unittest.TestCase):
    def test_reconnect_of_the_worker(self):
        with tasks.app.connection_for_write(os.environ["AMQP_URL"]) as connection:
            channel = connection.channel()
            cut()
            tasks.add.apply_async((4, 4), connection=connection)
            # The task waits until the worker is back, and has taken it.
            deadline = time.monotonic() + PATIENCE_S
            while (there := channel.queue_declare("celery", passive=True)).consumer_count == 0 or there.message_count:
                self.assertLess(time.monotonic(), deadline, there)
                self.assertIsNone(worker.poll())
                time.sleep(0.1)


if __name__ == "__main__":
    tap.main()
