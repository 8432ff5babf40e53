"""A synthetic user with a history as long as the cap: how long retrieval takes, and how soon one more behaviour shows.

The history is one real customer's, repeated; the user id is the customer's with a minus sign, so that nobody takes it
for a customer.
"""

import time
from dataclasses import dataclass

import numpy as np

from muse_stream.streams.clients import open_producer
from muse_stream.streams.demo import feed
from muse_stream.streams.demo.dataset import OnlineRetail
from muse_stream.streams.demo.requester import Asked, Requester
from muse_stream.streams.demo.summary import quantile
from muse_stream.streams.demo.traffic import Shop, stage_times_ms
from muse_stream.streams.errors import DemoError
from muse_stream.streams.kafka.producer import RecordProducer
from muse_stream.streams.settings import Settings
from muse_stream.streams.wire.answers import Answer
from muse_stream.streams.wire.encode import encode_behaviour
from muse_stream.streams.wire.ids import id_of
from muse_stream.streams.wire.requests import NotBefore

WARM_REQUESTS = 5
ACKNOWLEDGED_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Added:
    """One behaviour more: its item, and in the next answer its cosine and when that answer was read.

    Attributes:
        item: Item id; also a candidate of the next request, so it is its own closest behaviour.
        cosine: None: the next answer did not have it.
        visible_ms: From sending the behaviour to reading the answer; None: the same.
        asked: The request.

    """

    item: int
    cosine: float | None
    visible_ms: float | None
    asked: Asked


@dataclass(frozen=True, slots=True)
class LongHistory:
    """What was seen. Times in milliseconds.

    Attributes:
        user: The synthetic user.
        customer: Whose purchases were repeated.
        length: Behaviours, the one added not counted.
        frames: Records that carried them.
        ingest_ms: From sending the first frame to an answer that has seen the last.
        candidates: Candidates per request.
        k: Behaviours retrieved per candidate.
        cold_ms: The first retrieval: the history comes from disk.
        retrieval_ms: Later ones, median, each for other candidates.
        again_ms: One for the candidates of the first: their answers may stand, see docs/retrieval.md.
        added: The behaviour added.
        asked: All requests made.

    """

    user: int
    customer: int
    length: int
    frames: int
    ingest_ms: float
    candidates: int
    k: int
    cold_ms: float
    retrieval_ms: float
    again_ms: float
    added: Added
    asked: list[Asked]

    @property
    def behaviours(self) -> int:
        """Behaviours sent in all."""
        return self.length + 1


def run(settings: Settings, retail: OnlineRetail, requester: Requester, shop: Shop) -> LongHistory:
    """Send the history, retrieve over it, add one behaviour, see it. Raises `DemoError`, `DeliveryError`."""
    customer = busiest(retail)
    length, candidates, k = settings.state.cap, shop.candidates(), settings.serving.k
    history = feed.repeated(retail.behaviours.of(customer), -customer, length)
    records = feed.encode_frames(history, partition_count=settings.topics.partitions)
    producer = open_producer(settings, client_id="muse-demo", linger_ms=0)
    try:
        begun = time.perf_counter()
        written = _send(producer, settings.topics.behaviours, records)
        first = requester.ask(-customer, candidates, want="retrieved", k=k, not_before=written)
        ingest_ms = (first.read_seconds - begun) * 1e3
        _check(first, length)
        warm = [requester.ask(-customer, shop.candidates(), want="retrieved", k=k) for _ in range(WARM_REQUESTS)]
        again = [requester.ask(-customer, candidates, want="retrieved", k=k) for _ in range(2)]
        new = not_yet_bought(candidates, history.item)
        added = _add_one(
            producer, settings, requester, (-customer, new, int(history.event_time_ms[-1]) + 1), candidates
        )
    finally:
        producer.close()
    return LongHistory(
        user=-customer,
        customer=customer,
        length=length,
        frames=len(records),
        ingest_ms=ingest_ms,
        candidates=len(candidates),
        k=k,
        cold_ms=stage_times_ms([first], "gsu")[0],
        retrieval_ms=quantile(stage_times_ms(warm, "gsu"), 0.5) or 0.0,
        again_ms=stage_times_ms(again[1:], "gsu")[0],
        added=added,
        asked=[first, *warm, *again, added.asked],
    )


def busiest(retail: OnlineRetail) -> int:
    """The customer with the longest history."""
    users, counts = np.unique(retail.behaviours.user, return_counts=True)
    return int(users[counts.argmax()])


def not_yet_bought(candidates: list[str], bought: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> str:
    """The first candidate that is new to the customer, or the first one if none is."""
    known = set(bought.tolist())
    return next((code for code in candidates if id_of(code) not in known), candidates[0])


def newest_of(answer: Answer, candidate: str) -> float | None:
    """Cosine of the user's newest behaviour among those that a candidate retrieved, None if it is not there."""
    if answer.window is None or not answer.candidates or not answer.retrieved:
        return None
    found = answer.retrieved[answer.candidates.index(candidate)]
    newest = answer.window.stop - 1
    return found.cosine[found.position.index(newest)] if newest in found.position else None


def _send(producer: RecordProducer, topic: str, records: feed.Records) -> NotBefore:
    """Send all; returns where the last one was written."""
    pending = [
        producer.send(topic, key, value, headers=records.headers)
        for key, value in zip(records.keys, records.values, strict=True)
    ]
    *_, last = (one.result(ACKNOWLEDGED_SECONDS) for one in pending)
    return NotBefore(last.partition, last.offset)


def _add_one(
    producer: RecordProducer,
    settings: Settings,
    requester: Requester,
    behaviour: tuple[int, str, int],
    candidates: list[str],
) -> Added:
    user, code, time_ms = behaviour
    key, value = encode_behaviour(user, code, time_ms, "purchase")
    begun = time.perf_counter()
    written = producer.send(settings.topics.behaviours, key, value).result(ACKNOWLEDGED_SECONDS)
    not_before = NotBefore(written.partition, written.offset)
    asked = requester.ask(user, candidates, want="retrieved", not_before=not_before)
    cosine = newest_of(asked.answer, code) if asked.answer else None
    visible_ms = None if cosine is None else (asked.read_seconds - begun) * 1e3
    return Added(id_of(code), cosine, visible_ms, asked)


def _check(first: Asked, length: int) -> None:
    answer = first.answer
    if answer is None or answer.history_length != length:
        found = answer.error.message if answer and answer.error else answer and answer.history_length
        message = f"the first answer for the long history says {found!r}, expected {length} behaviours"
        raise DemoError(message)
