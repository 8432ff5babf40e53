"""A modest load: behaviours of every form, requests of every kind, some of them over HTTP.

Invariant: it goes on whatever happens to workers and broker; what could not be sent or answered is counted.
"""

import itertools
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muse_stream.streams.clients import open_producer
from muse_stream.streams.demo.http import post_json
from muse_stream.streams.demo.requester import Requester
from muse_stream.streams.errors import DeliveryError, StreamsError
from muse_stream.streams.kafka.producer import RecordProducer
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.ids import Id
from tests.chaos.plan import ITEMS
from tests.chaos.records import Maker, Record, users
from tests.chaos.writer import Pace

KINDS: tuple[Mapping[str, Any], ...] = (
    {"want": "scores"},
    {"want": "retrieved", "k": 5},
    {"want": "both"},
    {"want": "scores", "deadline_ms": 5_000},
    {"want": "scores", "explain": True},
    {"want": "scores", "features": True},
)
"""Requests are of these kinds, in turn."""
PREFETCH: Mapping[str, Any] = {"prefetch": True}
"""Follows each round."""
CANDIDATES = 10
HTTP_EVERY = 5
"""Every so many-th request goes over HTTP."""
HTTP_TIMEOUT_SECONDS = 2.0
REOPEN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Rates:
    """How much.

    Attributes:
        behaviours: Records per second.
        requests: Requests per second.
        poison: Share of the records that are refused.

    """

    behaviours: float = 40.0
    requests: float = 8.0
    poison: float = 0.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, not sent yet."""

    number: int
    user: Id
    candidates: list[int]
    kind: Mapping[str, Any]


class Load:
    """Writes and asks, a thread each, until `stop`.

    Attributes:
        counts: What was sent, what could not be, and answers over HTTP by status (0: none).

    """

    def __init__(self, settings: Settings, urls: Callable[[], Sequence[str]], rates: Rates, *, seed: int = 1) -> None:
        """Prepare; nothing is sent yet. `urls` are those of the workers that may be asked over HTTP."""
        self._settings, self._urls, self._rates, self._seed = settings, urls, rates, seed
        self._dice = random.Random(f"{seed}-live")
        self.counts: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(work,)) for work in (self._behave, self._ask)]

    def start(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Send no more. Raises what ended one of the threads."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.failure = error

    def _behave(self) -> None:
        maker = Maker(self._seed, "live", self._settings.topics.partitions, poison=self._rates.poison)
        pace, topic = Pace(self._rates.behaviours, self._stopping), self._settings.topics.behaviours
        producer = open_producer(self._settings, client_id="muse-live-behaviours")
        try:
            while not self._stopping.is_set():
                for record in itertools.islice(iter(maker.next, None), pace.wait()):
                    sent = self._sent(producer, topic, record)
                    self.counts["behaviours" if sent else "behaviours not sent"] += 1
        finally:
            producer.close()

    @staticmethod
    def _sent(producer: RecordProducer, topic: str, record: Record) -> bool:
        try:
            producer.send(topic, record.key, record.value, headers=record.headers, partition=record.partition)
        except DeliveryError:
            return False
        return True

    def _ask(self) -> None:
        pace, asks = Pace(self._rates.requests, self._stopping), self._asks()
        while not self._stopping.is_set():
            try:
                with Requester(self._settings) as requester:
                    self._ask_through(requester, pace, asks)
            except StreamsError:
                self.counts["requester begun again"] += 1
                self._stopping.wait(REOPEN_SECONDS)

    def _ask_through(self, requester: Requester, pace: Pace, asks: Iterator[Ask]) -> None:
        """Until the end, or until the broker refuses. Raises `StreamsError`."""
        while not self._stopping.is_set():
            for ask in itertools.islice(asks, pace.wait()):
                if ask.number % HTTP_EVERY:
                    requester.send(ask.user, ask.candidates, **ask.kind)
                    self.counts["requests"] += 1
                else:
                    self._call(ask)
            requester.wait([], 0)

    def _asks(self) -> Iterator[Ask]:
        everybody, kinds = users(), itertools.cycle((*KINDS, PREFETCH))
        for number in itertools.count(1):
            kind = next(kinds)
            candidates = [] if kind is PREFETCH else self._dice.sample(range(1, ITEMS + 1), CANDIDATES)
            yield Ask(number, self._dice.choice(everybody), candidates, kind)

    def _call(self, ask: Ask) -> None:
        body = {"user": ask.user, "request_id": f"live-{ask.number}", "candidates": ask.candidates, **ask.kind}
        url = f"{self._dice.choice(self._urls())}/v1/score"
        reply = post_json(url, json.dumps(body).encode(), timeout_seconds=HTTP_TIMEOUT_SECONDS)
        self.counts[f"http {reply.status}"] += 1
