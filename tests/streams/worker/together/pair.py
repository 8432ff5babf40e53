"""Two workers that share the partitions, and the traffic that flows while they come and go."""

import logging
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from muse_stream.streams.wire.answers import Answer, Status
from muse_stream.streams.wire.encode import FRAME_HEADERS, encode_item
from muse_stream.streams.wire.frame import encode_frame
from muse_stream.streams.wire.partitioner import partition_of_key
from muse_stream.streams.wire.requests import NotBefore
from tests.streams.worker.client import TIME_MS, Client
from tests.streams.worker.installation import DIMENSION, PATIENCE_SECONDS, Worker, until
from tests.streams.worker.log import LogModel, copies, position_of, read_topic

log = logging.getLogger(__name__)

CAP = 40
PARTITIONS = 4
USERS = range(1, 33)
ITEMS = 30
DEADLINE_MS = 300_000
POISON = b"poison"
OPEN_MAX = 40
"""Requests on their way at a time: the tests ask for order, not for load."""


def write_items(client: Client) -> None:
    vectors = np.random.default_rng(5).integers(-127, 128, (ITEMS + 1, DIMENSION), np.int8)
    for item in range(1, ITEMS + 1):
        client.producer.send(client.topics.items, *encode_item(item, category=item % 5 + 1, vector=vectors[item]))
    client.producer.flush(PATIENCE_SECONDS)


def partition_of(user: int) -> int:
    return partition_of_key(str(user).encode(), PARTITIONS)


@dataclass
class Pair:
    """The two workers; tests may find them running or not."""

    first: Worker
    second: Worker

    def start(self) -> "Pair":
        """Start what does not run, and wait until the two share the partitions."""
        for worker in (self.first, self.second):
            if not worker.running:
                worker.start()
        self.wait_shared()
        return self

    def wait_shared(self) -> None:
        """Each owns something, together they own all, nothing twice, and both are ready."""
        both = (self.first, self.second)
        until(self._shared, "the two share the partitions", *both)
        until(lambda: all(worker.ready() for worker in both), "both are ready", *both)

    def _shared(self) -> bool:
        mine, other = self.first.owned(), self.second.owned()
        return bool(mine) and bool(other) and mine | other == set(range(PARTITIONS)) and not mine & other

    def owner(self, partition: int) -> tuple[Worker, Worker]:
        """The owner, and the other one."""
        return (self.first, self.second) if partition in self.first.owned() else (self.second, self.first)

    def stop(self) -> None:
        for worker in (self.first, self.second):
            if worker.running:
                assert worker.stop() == 0


def wait_alone(worker: Worker) -> None:
    """Until this worker owns everything and is ready."""
    until(lambda: worker.owned() == set(range(PARTITIONS)) and worker.ready(), "it owns everything", worker)


@dataclass
class Traffic:
    """Behaviours, poison and requests, written until told to stop.

    Attributes:
        after: By request id, the write that the answer must have seen.
        poison: Where poison was put: partition, offset.
        last: The last write of each partition.
        stale: Answers that knew less of a user than an earlier one that the client had read.

    """

    client: Client
    seed: int
    after: dict[str, NotBefore] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    poison: set[tuple[int, int]] = field(default_factory=set)
    last: dict[int, int] = field(default_factory=dict)
    stale: list[Answer] = field(default_factory=list)
    failure: BaseException | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Write and ask within the block; afterwards wait until every request has an answer."""
        threads = [threading.Thread(target=self._run, args=(work,)) for work in (self._write, self._look)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()
        assert self.failure is None, self.failure
        workers = self.client.installation.workers
        until(lambda: not self.open(), "every request is answered", *workers)
        until(self._stored, "every behaviour is in its owner's store", *workers)

    def _stored(self) -> bool:
        running = [worker for worker in self.client.installation.workers if worker.running]
        topic = self.client.topics.behaviours
        return all(
            any(partition in worker.owned() and worker.position(topic, partition) > offset for worker in running)
            for partition, offset in self.last.items()
        )

    def open(self) -> list[str]:
        """Requests without an answer."""
        return [name for name in self.asked if not self.client.answers.get(name)]

    def wait_more(self, count: int, *workers: Worker) -> None:
        """Until so many further requests are answered."""
        goal = len(self.asked) - len(self.open()) + count
        until(lambda: len(self.asked) - len(self.open()) >= goal, f"{count} more answers", *workers)

    def _run(self, work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:
            self.failure = error

    def _write(self) -> None:
        """One user after another: a record of any kind, then a request that must have seen it."""
        rng = random.Random(self.seed)
        for number in range(10**9):
            if self._stopping.wait(0.03):
                return
            user = rng.choice(USERS)
            place = self._put(rng, user, number)
            self.last[place.partition] = place.offset
            if len(self.open()) < OPEN_MAX:
                options = {"want": rng.choice(["scores", "retrieved", "both"]), "deadline_ms": DEADLINE_MS}
                name = self.client.send(user, [rng.randint(1, ITEMS)], k=3, not_before=place, **options)
                self.after[name] = place
                self.asked.append(name)

    def _put(self, rng: random.Random, user: int, number: int) -> NotBefore:
        topic, key = self.client.topics.behaviours, str(user).encode()
        kind = rng.random()
        if kind < 0.03:
            written = self.client.put(topic, key, POISON)
            self.poison.add((written.partition, written.offset))
        elif kind < 0.05:
            written = self.client.put(topic, key, None)
        elif kind < 0.25:
            near = [other for other in USERS if partition_of(other) == partition_of(user)]
            users = [user, *rng.choices(near, k=rng.randint(0, 9))]
            items = [rng.randint(1, ITEMS) for _ in users]
            value = encode_frame(users, items, [TIME_MS + number] * len(users), [number % 6] * len(users))
            written = self.client.put(topic, key, value, headers=FRAME_HEADERS)
        else:
            event = f"{self.seed}-{rng.randint(0, number) if kind < 0.5 else number}"
            written = self.client.behave(user, rng.randint(1, ITEMS), number % 6, event_id=event)
        return NotBefore(written.partition, written.offset)

    def _look(self) -> None:
        """One question after another, each about a user whose last answer has been read."""
        rng = random.Random(self.seed + 1)
        seen = dict.fromkeys(USERS, 0)
        while not self._stopping.wait(0.03):
            user = rng.choice(USERS)
            name = self.client.send(user, [1, 2], deadline_ms=DEADLINE_MS)
            self.asked.append(name)
            answer = self.client.answer(name)
            stop = answer.window.stop if answer.window else 0
            if stop < seen[user]:
                self.stale.append(answer)
            seen[user] = max(seen[user], stop)


def check(traffic: Traffic, pair: Pair) -> None:
    """Compare answers and, both workers being stopped, every copy with the log."""
    client = traffic.client
    model = LogModel(read_topic(client.installation, client.topics.behaviours), CAP)
    wrong = [text for name in traffic.asked for answer in client.answers[name] for text in differences(answer, model)]
    assert wrong == []
    for name, place in traffic.after.items():
        for answer in client.answers[name]:
            assert answer.positions is not None
            assert answer.positions.behaviours.offset > place.offset
    assert traffic.stale == []
    twice = [name for name in traffic.asked if len(client.answers[name]) > 1]
    log.info("%d requests, of which %d were answered more than once", len(traffic.asked), len(twice))
    check_copies(model, pair, client)
    check_poison(traffic)


def differences(answer: Answer, model: LogModel) -> Iterator[str]:
    """What an answer says that its own positions do not."""
    if answer.status is not Status.OK or answer.positions is None or answer.window is None:
        yield f"{answer.request_id}: {answer.status} {answer.error}"
        return
    told = model.users[int(answer.user or "")]
    start, stop = told.window(answer.positions.behaviours.offset)
    if (answer.window.start, answer.window.stop, answer.history_length) != (start, stop, stop - start):
        yield f"{answer.request_id}: {answer.window} of {answer.history_length}, the log says {start}..{stop}"
    for found in answer.retrieved or []:
        rows = list(zip(found.item, found.time_ms, found.action, strict=True))
        if rows != [told.rows[place][:3] for place in found.position if start <= place < stop]:
            yield f"{answer.request_id}: retrieved {found}"
        if len(rows) != min(3, stop - start):
            yield f"{answer.request_id}: {len(rows)} retrieved of {stop - start}"


def check_copies(model: LogModel, pair: Pair, client: Client) -> None:
    """Every copy is what its prefix of the log says, and of each partition one copy has everything."""
    ends: dict[int, int] = {}
    for record in read_topic(client.installation, client.topics.behaviours):
        ends[record.partition] = record.offset + 1
    held = [(copies(worker.state), worker) for worker in (pair.first, pair.second)]
    for stores, worker in held:
        for partition, path in stores.items():
            assert model.differences(path, partition) == [], (worker.log, partition)
    for partition in range(PARTITIONS):
        most = max(position_of(stores[partition]) for stores, _ in held if partition in stores)
        assert most == ends[partition]


def check_poison(traffic: Traffic) -> None:
    """Each has a dead letter, at least one."""
    topic = traffic.client.topics.behaviours
    found = {
        record.key.decode() for record in read_topic(traffic.client.installation, traffic.client.topics.dead_letters)
    }
    assert {f"{topic}:{partition}:{offset}" for partition, offset in traffic.poison} - found == set()
    assert traffic.poison
