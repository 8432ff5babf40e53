"""Answers in a rebalance: from copies that are not up to date, within a bound, marked, and still what the logs say."""

import json
import logging
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from muse_stream.streams.wire.answers import Answer, decode_answer
from tests.streams.worker.client import Client
from tests.streams.worker.installation import Installation, Worker
from tests.streams.worker.log import LogModel, read_topic
from tests.streams.worker.together.pair import CAP, USERS, Pair, differences, partition_of, wait_alone, write_items

if TYPE_CHECKING:
    from muse_stream.streams.kafka.embedded import EmbeddedKafka

log = logging.getLogger(__name__)
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]
SLOW_GROUP = (sys.executable, str(Path(__file__).with_name("slow_group.py")))
BOUND_SECONDS = 60.0
OWNERS_BOUND_SECONDS = 30
"""Of an owner that lost touch with the brokers; below the other, so that both kinds of answer are within that."""


@pytest.fixture
def stale(kafka: "EmbeddedKafka", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    sections: dict[str, Any] = {
        "state": {"cap": CAP},
        "serving": {"stale_max_seconds": BOUND_SECONDS},
        "monitoring": {"stale_max_seconds": OWNERS_BOUND_SECONDS},
    }
    with Installation(tmp_path_factory.mktemp("stale"), {"brokers": kafka.bootstrap}, **sections) as made:
        made.program = SLOW_GROUP
        made.worker()
        made.worker()
        yield made


@dataclass
class Asking:
    """Asks one worker over HTTP, again and again, about every user; some requests name a moment.

    Attributes:
        answers: All that were computed.
        marked: By whether the request named a moment, how many answers said that they are late.
        refused: Status and headers of every other answer.

    """

    worker: Worker
    client: Client
    answers: list[Answer] = field(default_factory=list)
    marked: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})
    refused: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    failure: BaseException | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._run, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()
        assert self.failure is None, self.failure

    def _run(self, number: int) -> None:
        try:
            while not self._stopping.wait(0.005):
                for user in USERS:
                    self._ask(user, named=user % 4 == number)
        except BaseException as error:
            self.failure = error

    def _ask(self, user: int, *, named: bool) -> None:
        body: dict[str, Any] = {"user": user, "request_id": "r", "candidates": [1, 2], "want": "both", "k": 3}
        if named:
            body |= {"not_before": {"partition": partition_of(user), "offset": 0}, "deadline_ms": 1_000}
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.worker.url + "/v1/score", data=data)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                answer, freshness = decode_answer(response.read()), response.headers["Freshness"]
        except urllib.error.HTTPError as error:
            self.refused.append((error.code, dict(error.headers)))
            error.close()
            return
        assert (None if freshness is None else float(freshness)) == answer.stale_seconds
        self.answers.append(answer)
        self.marked[named] += answer.stale_seconds is not None


def test_a_rebalance_is_bridged_by_answers_that_say_so(stale: Installation) -> None:
    first, second = stale.workers
    pair = Pair(first, second)
    first.start()
    with Client(stale) as client:
        write_items(client)
        for user in USERS:
            client.behave(user, user % 30 + 1)
        wait_alone(first)
        asking = Asking(first, client)
        with asking.flowing():
            second.start()
            for number in range(10**6):
                client.behave(USERS[number % len(USERS)], number % 30 + 1)
                if second.ready():
                    break
            pair.wait_shared()
            time.sleep(0.5)
        late = [answer for answer in asking.answers if answer.stale_seconds is not None]
        told = len(asking.answers), len(late), len(asking.refused)
        log.info("%d answers, of which %d said that they were late, and %d that were none", *told)
        assert late, "the rebalance was bridged"
        assert max(answer.stale_seconds or 0.0 for answer in late) <= BOUND_SECONDS
        assert asking.marked[True] == 0, "who names a moment gets it, or nothing"
        assert {status for status, _ in asking.refused} <= {503, 504}
        assert all(int(headers["Retry-After"]) >= 1 for status, headers in asking.refused if status == 503)
        counted = sum(worker.metrics()["muse_requests_stale_total", ""] for worker in (first, second))
        assert counted == len(late)
        pair.stop()
        model = LogModel(read_topic(stale, client.topics.behaviours), CAP)
        assert [text for answer in asking.answers for text in differences(answer, model)] == []
