"""A log in a list, and the ingest's own way from it to a store."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from muse_stream.state.budget import StoreBudget
from muse_stream.state.rules import Rules, StoreIdentity
from muse_stream.state.store import BehaviourStore
from muse_stream.streams.audit.beginning import Beginnings
from muse_stream.streams.audit.decoding import Record
from muse_stream.streams.audit.report import PartitionReport
from muse_stream.streams.audit.run import audit_store
from muse_stream.streams.records import RecordBatch
from muse_stream.streams.wire.behaviours import BehaviourRules, decode_behaviours
from muse_stream.streams.wire.encode import encode_behaviour
from muse_stream.streams.wire.formats import DEFAULT_ACTIONS, FORMAT_HEADER, FRAME_FORMAT
from muse_stream.streams.wire.frame import encode_frame

START_MS = 1_700_000_000_000
IDENTITY = StoreIdentity("cluster", "behaviours", 0, 1)
BUDGET = StoreBudget(block_cache_bytes=1 << 20, write_buffer_bytes=8 << 20)
RULES = Rules(cap=6, duplicate_window=5)


@dataclass
class ListLog:
    """Partition 0; offsets count records, those in `hidden` belong to aborted transactions."""

    entries: list[Record] = field(default_factory=list)
    begin: int = 0
    hidden: set[int] = field(default_factory=set)

    def add(self, key: bytes | None, value: bytes | None, *headers: tuple[str, bytes]) -> int:
        offset = len(self.entries)
        self.entries.append(Record(offset, START_MS + offset // 3, key, value, headers))
        return offset

    def behaviour(self, user: int, item: int, event_id: str | None = None) -> int:
        return self.add(*encode_behaviour(user, item, START_MS, 1, event_id=event_id))

    def frame(self, users: list[int], first_item: int) -> int:
        items = np.arange(first_item, first_item + len(users))
        data = encode_frame(users, items, items, items % 6, event_id=items.astype(np.uint64) % 7)
        return self.add(str(users[0]).encode(), data, (FORMAT_HEADER, FRAME_FORMAT.encode()))

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        assert (topic, partition) == ("behaviours", 0)
        return self.begin, len(self.entries)

    def records(self, topic: str, partition: int, begin: int, end: int) -> Iterator[list[Record]]:
        assert self.begin <= begin <= end <= self.bounds(topic, partition)[1]
        for at in range(begin, end, 7):
            yield [one for one in self.entries[at : min(at + 7, end)] if one.offset not in self.hidden]

    def batch(self, begin: int, end: int) -> RecordBatch:
        """What a consumer would deliver."""
        found = [one for one in self.entries[begin:end] if one.offset not in self.hidden]
        return RecordBatch(
            topic="behaviours",
            partition=0,
            keys=[one.key for one in found],
            values=[one.value for one in found],
            headers=[[(name, value or b"") for name, value in one.headers] or None for one in found],
            offset=np.array([one.offset for one in found], np.int64),
            broker_time_ms=np.array([one.broker_time_ms for one in found], np.int64),
            next_offset=end,
        )


def hours_of(log: ListLog) -> ListLog:
    """The same log with a second between records, and a clock that goes back or jumps at times."""
    dice, late = random.Random(1), 0
    for at, one in enumerate(log.entries):
        late += dice.choice([0] * 30 + [40_000])
        log.entries[at] = one._replace(broker_time_ms=START_MS + 1_000 * at + late - dice.choice([0, 0, 9_000]))
    return log


def mixed_log(seed: int, rows: int = 120, users: int = 4) -> ListLog:
    """Behaviours with and without event ids, repeats, frames, erasures, poison."""
    dice, log = random.Random(seed), ListLog()
    for item in range(1, rows + 1):
        user, what = dice.randint(1, users), dice.random()
        if what < 0.05:
            log.add(str(user).encode(), None)
        elif what < 0.1:
            log.add(str(user).encode(), b"poison")
        elif what < 0.2:
            log.frame([dice.randint(1, users) for _ in range(dice.randint(1, 9))], 1_000 * item)
        else:
            log.behaviour(user, item, dice.choice([None, *"abcdefghijklm"]))
    return log


def open_store(path: Path, rules: Rules = RULES, start: int | None = None) -> BehaviourStore:
    return BehaviourStore.open(path, IDENTITY, rules, budget=BUDGET, start_position=start)


def ingest(store: BehaviourStore, log: ListLog, end: int, batch: int = 10) -> None:
    """Store the log up to `end`, as the ingest does."""
    while store.position < end:
        to = min(store.position + batch, end)
        rows, _ = decode_behaviours(log.batch(store.position, to), BehaviourRules(partition_count=1))
        store.append(rows, position=to, begin=store.position)


def audited(path: Path, log: ListLog, beginnings: Beginnings | None = None) -> PartitionReport:
    return audit_store(path, log, DEFAULT_ACTIONS, lambda done, total: None, beginnings)
