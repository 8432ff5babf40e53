"""The stream and the requests beside it: purchases at a rate, and customers who are ranked for meanwhile.

Invariant: requests are only made for customers who have bought something already, and every one of them is kept until
the run is summed up.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from muse_stream.streams.clients import open_producer
from muse_stream.streams.demo import feed
from muse_stream.streams.demo.dataset import OnlineRetail
from muse_stream.streams.demo.requester import Asked, Requester
from muse_stream.streams.settings import Settings

CANDIDATES = 200
SEED = 26  # any number: the same customers and candidates in every run


class Shop:
    """Draws customers and candidates, seeded."""

    def __init__(self, retail: OnlineRetail) -> None:
        self._retail = retail
        self._generator = np.random.default_rng(SEED)
        sold = np.bincount(retail.behaviours.row, minlength=len(retail.catalogue))
        self._popularity = sold / sold.sum()

    def candidates(self, count: int = CANDIDATES) -> list[str]:
        """Distinct products, the more popular the more likely: their stock codes."""
        rows = self._generator.choice(len(self._popularity), count, replace=False, p=self._popularity)
        return [self._retail.catalogue.code[row] for row in rows.tolist()]

    def customer(self, sent: int) -> int:
        """A customer out of the first `sent` purchases, the busier the more likely."""
        return int(self._retail.behaviours.user[self._generator.integers(max(1, sent))])


class StoppedError(Exception):
    """The replay was told to stop."""


@dataclass(slots=True)
class Replay:
    """The purchases on their way: a thread that sends, and how far it has come."""

    settings: Settings
    retail: OnlineRetail
    rate: float | None
    sent: int = 0
    acknowledged: int = 0
    seconds: float = 0.0
    failure: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Send no more, and wait until the producer has left."""
        self._stopping.set()
        self.done.wait()

    def start(self) -> None:
        """Begin to send."""
        threading.Thread(target=self._run, name="muse-replay", daemon=True).start()

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            rows = feed.purchases(self.retail.behaviours, self.retail.catalogue)
            producer = open_producer(self.settings, client_id="muse-replay")
            try:
                records = [feed.encode_rows(rows)]
                topic = self.settings.topics.behaviours
                self.acknowledged = feed.replay(producer, topic, records, rate=self.rate, on_sent=self._count)
            finally:
                producer.close()
        except Exception as error:
            self.failure = error
        self.seconds = time.monotonic() - begun
        self.done.set()

    def _count(self, sent: int) -> None:
        if self._stopping.is_set():
            raise StoppedError
        self.sent = sent


@dataclass(slots=True)
class Load:
    """Requests at a rate, in a thread of their own, until `stop`."""

    requester: Requester
    shop: Shop
    replay: Replay
    rate: float
    deadline_ms: int | None = None
    asked: list[Asked] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._thread = threading.Thread(target=self._run, name="muse-load", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more; what was sent stays in `asked`."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        begun = time.monotonic()
        while not self._stopping.wait(max(0.0, begun + len(self.asked) / self.rate - time.monotonic())):
            if self.replay.sent:
                user, candidates = self.shop.customer(self.replay.sent), self.shop.candidates()
                self.asked.append(self.requester.send(user, candidates, deadline_ms=self.deadline_ms))
            else:
                begun = time.monotonic()
                self._stopping.wait(0.01)


def stage_times_ms(asked: Sequence[Asked], stage: str) -> list[float]:
    """Times that the worker spent in a stage, of all answered requests that passed it."""
    answers = [one.answer for one in asked if one.answer is not None]
    return [answer.stages_ms[stage] for answer in answers if stage in answer.stages_ms]


def model_of(asked: Sequence[Asked]) -> Any:  # noqa: ANN401
    """The model that the last scored answer names, None of none."""
    return next((one.answer.model for one in reversed(asked) if one.answer and one.answer.model), None)
