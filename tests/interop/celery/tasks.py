"""The tasks of the scenarios, for the worker and for who calls them."""

import os

from celery import Celery
from kombu import Queue

app = Celery("tasks", broker=os.environ["BROKER_URL"], backend="rpc://")
app.conf.update(
    task_queues=[Queue("celery"), Queue("important", max_priority=10)],
    task_acks_late=True, broker_connection_retry_on_startup=True, result_expires=60,
    worker_prefetch_multiplier=1, broker_heartbeat=2,
)
tried = []


@app.task
def add(one, other):
    return one + other


@app.task(bind=True, max_retries=3)
def at_the_second_try(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    return self.request.retries


@app.task
def fail():
    raise ValueError("as it should")
