"""SIGTERM: the worker says that it goes, answers what it has taken, commits, closes, and leaves nothing half done."""

import json
import logging
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from muse_stream.streams.demo.http import Reply
from muse_stream.streams.kafka.producer import Written
from muse_stream.streams.wire.answers import Status
from muse_stream.streams.wire.requests import NotBefore
from tests.streams.worker.client import Client
from tests.streams.worker.installation import Installation, Worker, until

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka

log = logging.getLogger(__name__)
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
USER, NEXT = 7, 5
PATIENT_MS = 60_000


@pytest.fixture
def installation(kafka: "EmbeddedKafka", tmp_path: Path) -> Iterator[Installation]:
    sections: dict[str, Any] = {"topics": {"partitions": 1}, "app": {"drain_seconds": 60.0}}
    with Installation(tmp_path, {"brokers": kafka.bootstrap}, **sections) as made:
        yield made


class Post(threading.Thread):
    """A request over HTTP on its way."""

    def __init__(self, worker: Worker, after: Written) -> None:
        super().__init__(daemon=True)
        self.worker, self.reply = worker, Reply(0, {})
        moment = {"partition": after.partition, "offset": after.offset + 1}
        fields = {"user": USER, "request_id": "http", "candidates": [1, 2], "not_before": moment}
        self.body = json.dumps({**fields, "deadline_ms": PATIENT_MS}).encode()
        self.start()

    def run(self) -> None:
        self.reply = self.worker.post("/v1/score", self.body)


def in_flight(worker: Worker) -> float:
    return worker.metrics()["muse_requests_in_flight", ""]


def committed(client: Client) -> int:
    settings = client.installation.settings
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka.brokers, group_id=settings.app.name)
    try:
        return consumer.committed(TopicPartition(client.topics.requests, 0)) or 0
    finally:
        consumer.close()


def test_sigterm_answers_what_was_taken_and_leaves_the_rest_to_the_next_owner(installation: Installation) -> None:
    worker = installation.worker().start().wait_ready()
    with Client(installation) as client:
        written = client.behave(USER, NEXT)
        moment = NotBefore(written.partition, written.offset + 1)
        taken = client.send(USER, [1, 2], not_before=moment, deadline_ms=PATIENT_MS)
        post = Post(worker, written)
        until(lambda: in_flight(worker) == 2, "both requests wait in the worker", worker)

        worker.signal(signal.SIGTERM)
        until(lambda: worker.get("/health/ready").body.get("status") == "draining", "it says that it goes", worker)
        assert worker.get("/health/live").status == 200
        late = client.send(USER, [3], deadline_ms=PATIENT_MS)
        assert taken not in client.answers

        client.behave(USER, NEXT)
        assert client.answer(taken).status is Status.OK
        post.join()
        assert (post.reply.status, post.reply.body["status"]) == (200, "ok")
        answered = time.monotonic()
        until(worker.died, "it ends by itself")
        log.info("the worker ended %.1f s after its last answer", time.monotonic() - answered)
        assert worker.stop() == 0
        said = worker.log.read_text()
        assert "0 requests are left to the next owner" in said
        assert "Traceback" not in said
        assert committed(client) == 1, "what was answered is not asked again, what was not taken is"

        worker.start().wait_ready()
        assert client.answer(late).status is Status.OK
        assert [len(client.answers[name]) for name in (taken, late)] == [1, 1]
        assert worker.stop() == 0
