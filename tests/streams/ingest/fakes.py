"""An in-memory log with transaction markers, a reader of it, and neighbours that record what they were told."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.budget import StoreBudget
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.errors import PositionError
from muse_stream.streams.ingest.opening import PartitionParts
from muse_stream.streams.ingest.ports import Partition
from muse_stream.streams.ingest.questions import LogAnswers, ask_logs
from muse_stream.streams.records import Headers, RecordBatch, TopicFacts
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours
from muse_stream.streams.wire.encode import encode_behaviour
from muse_stream.streams.wire.partitioner import partition_of_key
from muse_stream.streams.wire.rejects import Reject
from muse_stream.streams.wire.users import UserRules, decode_users

BEHAVIOURS, USERS, ITEMS = "behaviours", "users", "items"
COUNT = 4
START_MS = 1_700_000_000_000
Ints = NDArray[np.int64]
Record = tuple[bytes | None, bytes | None, Headers | None]


class FakeLog:
    """Topic partitions as lists; None is a transaction marker, which takes an offset and is never delivered.

    Also `LogFacts` about itself.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.begin: dict[Partition, int] = {}
        self.rows: dict[Partition, list[Record | None]] = {}
        self.commits: dict[Partition, int] = {}
        self.away = False
        self.cluster = "test-cluster"
        self.facts = dict.fromkeys((BEHAVIOURS, USERS), TopicFacts("", COUNT)) | {ITEMS: TopicFacts("", 1)}
        self.held: dict[Partition, int] = {}

    def cluster_id(self) -> str:
        return self.cluster

    def topics(self, names: Iterable[str]) -> Mapping[str, TopicFacts]:
        return {name: self.facts[name] for name in names if name in self.facts}

    def high_watermarks(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        return {at: self.end(at) + self.held.get(at, 0) for at in partitions}

    def close(self) -> None:
        """Nothing to leave."""

    def add(self, at: Partition, key: bytes | None, value: bytes | None, headers: Headers | None = None) -> int:
        """Append a record; returns its offset."""
        return self._add(at, (key, value, headers))

    def mark(self, at: Partition) -> int:
        """Append a marker; returns its offset."""
        return self._add(at, None)

    def behaviour(self, user: int, item: int, **more: int | str) -> tuple[int, int]:
        """Append a good behaviour where its user belongs; returns partition and offset."""
        key, value = encode_behaviour(user, item, START_MS + item, 1, **more)
        number = partition_of_key(key, COUNT)
        return number, self.add((BEHAVIOURS, number), key, value)

    def end(self, at: Partition) -> int:
        return self.begin.get(at, 0) + len(self.rows.get(at, []))

    def cut(self, at: Partition, begin: int) -> None:
        """Drop everything below `begin`."""
        self.rows[at] = self.rows.get(at, [])[begin - self.begin.get(at, 0) :]
        self.begin[at] = begin

    def _add(self, at: Partition, row: Record | None) -> int:
        with self.lock:
            self.rows.setdefault(at, []).append(row)
            return self.end(at) - 1


class FakeReader:
    """`LogReader` over a FakeLog."""

    def __init__(self, log: FakeLog) -> None:
        self.log = log
        self.positions: dict[Partition, int] = {}
        self.paused: set[Partition] = set()
        self.refuse_commits = False
        self.asked: list[int] = []
        self.assigned: list[dict[Partition, int]] = []
        self.closed = False
        self._woken = threading.Event()

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        self.positions = {tuple(at): offset for at, offset in offsets.items()}  # type: ignore[misc]
        self.assigned.append(dict(self.positions))
        self.paused.clear()

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        self._check()
        self.asked.append(max_records)
        batches = []
        for at, position in list(self.positions.items()):
            batch = None if at in self.paused or max_records <= 0 else self._read(at, position, max_records)
            if batch is not None:
                batches.append(batch)
                max_records -= len(batch)
        if not batches:
            self._woken.wait(min(timeout_ms, 5) / 1000)
        self._woken.clear()
        return batches

    def pause(self, partitions: Iterable[Partition]) -> None:
        self.paused |= set(map(tuple, partitions))  # type: ignore[arg-type]

    def resume(self, partitions: Iterable[Partition]) -> None:
        self.paused -= set(partitions)

    def beginning_offsets(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        self._check()
        return {at: self.log.begin.get(at, 0) for at in partitions}

    def end_offsets(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        self._check()
        return {at: self.log.end(at) for at in partitions}

    def committed(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        self._check()
        return {at: self.log.commits[at] for at in partitions if at in self.log.commits}

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        if self.refuse_commits:
            message = "commits are refused"
            raise ConnectionError(message)
        self.log.commits.update(offsets)

    def wakeup(self) -> None:
        self._woken.set()

    def close(self) -> None:
        self.closed = True

    def _check(self) -> None:
        if self.log.away:
            message = "the broker is away"
            raise ConnectionError(message)

    def _read(self, at: Partition, position: int, most: int) -> RecordBatch | None:
        begin, end = self.log.begin.get(at, 0), self.log.end(at)
        if not begin <= position <= end:
            message = f"{at} at {position}, the log has {begin}..{end}"
            raise PositionError(message, {at: position})
        window = self.log.rows.get(at, [])[position - begin : position - begin + most]
        if not window:
            return None
        there = [(position + i, row) for i, row in enumerate(window) if row is not None]
        offsets = np.array([offset for offset, _ in there], np.int64)
        self.positions[at] = position + len(window)
        return RecordBatch(
            topic=at[0],
            partition=at[1],
            keys=[row[0] for _, row in there],
            values=[row[1] for _, row in there],
            headers=[row[2] for _, row in there],
            offset=offsets,
            broker_time_ms=START_MS + offsets,
            next_offset=position + len(window),
        )


class FakeAsks:
    """Answers at once."""

    def __init__(self, log: FakeLog) -> None:
        self.log, self._reader = log, FakeReader(log)

    def logs(self, partitions: Sequence[Partition]) -> "Future[LogAnswers]":
        return answered(lambda: ask_logs(self._reader, self.log, partitions, START_MS, commits=True))

    def look(self, partitions: Sequence[Partition]) -> "Future[LogAnswers]":
        return answered(lambda: ask_logs(self._reader, self.log, partitions, START_MS, commits=False))

    def ends(self, partitions: Sequence[Partition]) -> "Future[Mapping[Partition, int]]":
        return answered(lambda: self._reader.end_offsets(partitions))

    def close(self) -> None:
        self._reader.close()


T = TypeVar("T")


def answered(work: Callable[[], T]) -> "Future[T]":
    future: Future[T] = Future()
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
    return future


@dataclass
class FakeSink:
    """Collects dead letters; acknowledges at once, or when told to."""

    at_once: bool = True
    letters: list[Reject] = field(default_factory=list)
    flying: list[tuple[Sequence[Reject], "Future[None]"]] = field(default_factory=list)

    def send(self, rejects: Sequence[Reject]) -> "Future[None]":
        future: Future[None] = Future()
        self.flying.append((rejects, future))
        if self.at_once:
            self.acknowledge()
        return future

    def acknowledge(self) -> None:
        """The broker has them."""
        flying, self.flying = self.flying, []
        for rejects, future in flying:
            self.letters += rejects
            future.set_result(None)

    def refuse(self) -> None:
        """The broker is away."""
        flying, self.flying = self.flying, []
        for _, future in flying:
            future.set_exception(TimeoutError("no acknowledgement"))

    def places(self) -> list[tuple[int, int]]:
        """Partition and offset of every letter."""
        return [(letter.partition, letter.offset) for letter in self.letters]


@dataclass
class FakeEngine:
    """Notes what it is told, in order."""

    told: list[tuple[str, list[int]]] = field(default_factory=list)

    def append(self, users: Ints, starts: Ints, bounds: Ints, items: Ints) -> None:
        assert len(starts) == len(users) == len(bounds) - 1
        assert bounds[-1] == len(items)
        self.told.append(("append", users.tolist()))

    def drop(self, users: Ints) -> None:
        self.told.append(("drop", users.tolist()))


class FakeClock:
    """Time that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def seconds(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return START_MS + int(self.now * 1000)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


BUDGET = StoreBudget(block_cache_bytes=1 << 20, write_buffer_bytes=8 << 20)


def open_store(directory: Path, partition: int, start: int, rules: Rules | None = None) -> BehaviourStore:
    identity = StoreIdentity("test-cluster", BEHAVIOURS, partition, COUNT)
    path = directory / f"behaviours-{partition}"
    return BehaviourStore.open(path, identity, rules or Rules(), budget=BUDGET, start_position=start or None)


def make_parts(directory: Path, engine: FakeEngine, *, start_at_log_start: bool = False) -> PartitionParts:
    return PartitionParts(
        behaviours=BEHAVIOURS,
        users=USERS,
        open_store=partial(open_store, directory),
        decode_behaviours=partial(decode_behaviours, rules=BehaviourRules(partition_count=COUNT)),
        decode_users=partial(decode_users, rules=UserRules(partition_count=COUNT)),
        engine=engine,
        start_at_log_start=start_at_log_start,
    )


def users_of(partition: int, count: int) -> list[int]:
    """The first `count` user ids that belong to a partition."""
    found: list[int] = []
    user = 0
    while len(found) < count:
        user += 1
        if partition_of_key(str(user).encode(), COUNT) == partition:
            found.append(user)
    return found


def items_of(store: BehaviourStore, user: int) -> list[int]:
    items: list[int] = store.sequence(user).rows["item"].tolist()
    return items


Opener = Callable[[int, int], BehaviourStore]
