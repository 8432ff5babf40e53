"""Records that cannot be used end on dead-letters, once, whole and with the reason; nothing else notices them."""

import base64
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np
import pytest

from muse_stream.streams.kafka.producer import Written
from muse_stream.streams.wire.encode import FRAME_HEADERS, encode_item, encode_user
from muse_stream.streams.wire.requests import NotBefore
from tests.streams.worker.alone import poison
from tests.streams.worker.alone.poison import HOME, NEIGHBOUR, USER, Poison
from tests.streams.worker.alone.world import World
from tests.streams.worker.client import TIME_MS, Client
from tests.streams.worker.installation import DIMENSION, PATIENCE_SECONDS, Worker, until
from tests.streams.worker.log import read_topic

pytestmark = pytest.mark.kafka
Place = tuple[str, int, int]


@contextmanager
def staying_ready(worker: Worker) -> Iterator[None]:
    """The worker is live and ready whenever it is asked within the block."""
    done, seen = threading.Event(), Counter[int]()

    def ask() -> None:
        while not done.wait(0.05):
            seen.update([worker.get("/health/ready").status, worker.get("/health/live").status])

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
        until(lambda: seen[200] > 4, "a look at the worker", worker)
    finally:
        done.set()
        thread.join()
    assert set(seen) == {200}


class Sent:
    """What one test wrote to one topic: poison with a good neighbour on either side, in one go."""

    def __init__(self, client: Client, topic: str) -> None:
        self._client, self._topic = client, topic
        self._pending: list[tuple[Poison | None, Any]] = []

    def good(self, key: bytes, value: bytes, **options: Any) -> None:
        self._pending.append((None, self._client.producer.send(self._topic, key, value, **options)))

    def bad(self, one: Poison) -> None:
        pending = self._client.producer.send(
            self._topic, one.key, one.value, headers=one.headers, partition=one.partition
        )
        self._pending.append((one, pending))

    def places(self) -> tuple[dict[Place, Poison], Written]:
        """Where the poison lies, and the last good record; everything is acknowledged."""
        found = [(one, pending.result(PATIENCE_SECONDS)) for one, pending in self._pending]
        bad = {(self._topic, at.partition, at.offset): one for one, at in found if one is not None}
        return bad, [at for one, at in found if one is None][-1]


def letters(client: Client, topic: str) -> list[Any]:
    """The dead letters of one topic."""
    found = read_topic(client.installation, client.topics.dead_letters)
    return [record for record in found if record.key.decode().rsplit(":", 2)[0] == topic]


def check_letters(client: Client, worker: Worker, bad: dict[Place, Poison], before: dict[Any, float]) -> None:
    """Each poison has one letter with everything in it, and is counted under its reason."""
    topic = next(iter(bad))[0]
    until(lambda: len(letters(client, topic)) >= len(bad), "dead letters", worker)
    found = {}
    for record in letters(client, topic):
        letter = json.loads(record.value)
        at = (letter["topic"], letter["partition"], letter["offset"])
        assert at not in found
        assert record.key.decode() == ":".join(map(str, at))
        found[at] = letter
    assert {at: letter["reason"] for at, letter in found.items()} == {at: one.reason for at, one in bad.items()}
    for at, one in bad.items():
        letter = found[at]
        sent = [(key, base64.b64encode(value).decode()) for key, value in one.headers or []]
        assert (_bytes(letter["key"]), _bytes(letter["value"])) == (one.key, one.value)
        assert [(header["key"], header["value"]) for header in letter.get("headers", [])] == sent
        assert letter["detail"]
        assert letter["broker_time_ms"] > TIME_MS
        assert not letter.get("truncated")
    expected = Counter(("muse_ingest_records_rejected_total", one.reason) for one in bad.values())
    expected["muse_ingest_dead_letters_total", ""] = len(bad)
    until(lambda: _grown(worker, before, expected) == expected, "rejects are counted", worker)


def _grown(worker: Worker, before: dict[Any, float], names: Counter[Any]) -> dict[Any, float]:
    now = worker.metrics()
    return {name: now[name] - before[name] for name in names}


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def good_behaviours(number: int) -> Sequence[tuple[bytes, bytes, Any]]:
    """The neighbours of one poison: a JSON record and a frame of two users."""
    row = {"item": number % 50 + 1, "time_ms": TIME_MS + number, "action": "cart"}
    both = poison.frame([USER, NEIGHBOUR], item=[number % 50 + 1] * 2, time_ms=[TIME_MS + number] * 2)
    return [(poison.KEY, json.dumps(row).encode(), None), (poison.KEY, both, FRAME_HEADERS)]


def test_behaviours(world: World, worker: Worker, client: Client) -> None:
    before = worker.metrics()
    sent = Sent(client, client.topics.behaviours)
    expected: dict[int, list[tuple[int, str]]] = {USER: [], NEIGHBOUR: []}
    with staying_ready(worker):
        for number, one in enumerate(poison.behaviours()):
            (key, value, _), (frame_key, frame, headers) = good_behaviours(number)
            sent.good(key, value)
            sent.bad(one)
            sent.good(frame_key, frame, headers=headers)
            expected[USER] += [(number % 50 + 1, "cart"), (number % 50 + 1, "click")]
            expected[NEIGHBOUR] += [(number % 50 + 1, "click")]
        bad, last = sent.places()
        answer = client.ask(USER, [7], want="retrieved", k=3, not_before=NotBefore(last.partition, last.offset))
        check_letters(client, worker, bad, before)
    assert answer.retrieved is not None
    assert answer.retrieved[0].item[:2] == [7, 7]
    assert last.partition == HOME
    for user, rows in expected.items():
        shown = worker.get(f"/v1/users/{user}/sequence?limit=1000").body["behaviours"]
        assert [(row["item"], row["action"]) for row in reversed(shown)] == rows
    assert world.rows


@pytest.mark.usefixtures("world")
def test_users(worker: Worker, client: Client) -> None:
    before, numbers = worker.metrics(), count(1)
    sent = Sent(client, client.topics.users)
    with staying_ready(worker):
        for one in poison.users():
            sent.good(*encode_user(USER, {"country": next(numbers)}))
            sent.bad(one)
        sent.good(*encode_user(NEIGHBOUR, {"country": 77}))
        bad, last = sent.places()
        check_letters(client, worker, bad, before)
        until(lambda: worker.position(client.topics.users, HOME) > last.offset, "profiles", worker)
    profiles = [worker.get(f"/v1/users/{user}/sequence").body["profile"] for user in (USER, NEIGHBOUR)]
    assert profiles == [{"country": next(numbers) - 1}, {"country": 77}]


@pytest.mark.usefixtures("world")
def test_items(worker: Worker, client: Client) -> None:
    before = worker.metrics()
    rng = np.random.default_rng(3)
    sent = Sent(client, client.topics.items)
    with staying_ready(worker):
        numbers = range(700, 700 + len(list(poison.items())))
        for number, one in zip(numbers, poison.items(), strict=True):
            vector = rng.integers(-127, 128, DIMENSION, np.int8)
            sent.good(*encode_item(number, title=f"good {number}", vector=vector), partition=0)
            sent.bad(one)
        sent.good(*encode_item(601, title="after", vector=vector), partition=0)
        bad, last = sent.places()
        check_letters(client, worker, bad, before)
        until(lambda: worker.get("/v1/status").body["items"]["version"] > last.offset, "items", worker)
    written = [client.behave(USER + 1_000, number) for number in (*numbers, 601)][-1]
    not_before = NotBefore(written.partition, written.offset)
    answer = client.ask(USER + 1_000, [*numbers], want="retrieved", k=2, not_before=not_before)
    assert answer.retrieved is not None
    best = answer.retrieved[:-1]
    assert [one.item[0] for one in best] == [*numbers][:-1]
    assert [one.cosine[0] for one in best] == pytest.approx([1.0] * len(best))
    assert answer.retrieved[-1].item == [601, numbers[-1]]
    shown = worker.get(f"/v1/users/{USER + 1_000}/sequence?limit=1").body["behaviours"]
    assert shown[0]["title"] == "after"


@pytest.mark.usefixtures("world")
def test_a_record_too_large_for_a_letter_is_cut(worker: Worker, client: Client) -> None:
    value = poison.behaviour(event_id="x" * 900_000)
    with staying_ready(worker):
        client.behave(502, 1)
        written = client.put(client.topics.behaviours, poison.KEY, value)
        last = client.behave(USER, 8)
        client.ask(USER, [1], not_before=NotBefore(last.partition, last.offset))
    key = f"{client.topics.behaviours}:{written.partition}:{written.offset}".encode()
    (record,) = [record for record in letters(client, client.topics.behaviours) if record.key == key]
    letter = json.loads(record.value)
    kept = _bytes(letter["value"])
    assert kept is not None
    assert (letter["reason"], letter["truncated"], letter["value_bytes"]) == ("oversize", True, len(value))
    assert value.startswith(kept)
    assert len(kept) > 500_000
