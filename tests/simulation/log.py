"""Topics in memory: transactions, markers, retention, commits, and a reader that shows committed records only.

Invariant: a record that was visible once stays what it is; `everything` keeps what retention takes away, for the model.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

import numpy as np

from muse_stream.streams.audit.decoding import Record
from muse_stream.streams.errors import PositionError
from muse_stream.streams.ingest.ports import Partition
from muse_stream.streams.records import RecordBatch
from tests.simulation.fuse import Fuse

COMMITTED, OPEN, ABORTED, MARKER = "committed", "open", "aborted", "marker"


@dataclass(slots=True)
class Entry:
    """One offset."""

    record: Record
    state: str = COMMITTED


@dataclass
class SimLog:
    """All topic partitions of a cluster.

    Attributes:
        everything: Every offset there ever was.
        begin: First offset that retention left.
        commits: What the group committed.
        away: The brokers do not answer.

    """

    everything: dict[Partition, list[Entry]] = field(default_factory=dict)
    begin: dict[Partition, int] = field(default_factory=dict)
    commits: dict[Partition, int] = field(default_factory=dict)
    away: bool = False

    def add(self, at: Partition, record: Record, state: str = COMMITTED) -> None:
        """Append a record; its offset is given here."""
        entries = self.everything.setdefault(at, [])
        entries.append(Entry(record._replace(offset=len(entries)), state))

    def resolve(self, state: str) -> None:
        """End the open transaction: its records are committed or aborted, and a marker follows on each partition."""
        for entries in self.everything.values():
            mine = [entry for entry in entries if entry.state == OPEN]
            for entry in mine:
                entry.state = state
            if mine:
                entries.append(Entry(Record(len(entries), 0, None, None, ()), MARKER))

    def stable(self, at: Partition) -> int:
        """The last stable offset: an open transaction holds back what comes after it."""
        entries = self.everything.get(at, [])
        return next((place for place, entry in enumerate(entries) if entry.state == OPEN), len(entries))

    def visible(self, at: Partition, begin: int, end: int) -> list[Record]:
        """Committed records in `[begin, end)`."""
        entries = self.everything.get(at, [])[begin:end]
        return [entry.record for entry in entries if entry.state == COMMITTED]

    def readable(self, at: Partition) -> int:
        """How far readers are let."""
        return self.stable(at)

    def delivered(self, at: Partition, begin: int, end: int) -> list[Record]:
        """What readers get of `[begin, end)`."""
        return self.visible(at, begin, end)

    def cut(self, at: Partition, begin: int) -> None:
        """Retention takes what lies before `begin`."""
        self.begin[at] = max(self.begin.get(at, 0), begin)


class SimReader:
    """`LogReader` over a SimLog.

    Attributes:
        dice: Chooses how much a poll brings.
        most: Records of one partition and poll, at most.

    """

    def __init__(self, log: SimLog, fuse: Fuse) -> None:
        self.log, self.fuse = log, fuse
        self.dice, self.most = Random(0), 5
        self.positions: dict[Partition, int] = {}
        self.paused: set[Partition] = set()

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        self.positions = {(topic, partition): offset for (topic, partition), offset in offsets.items()}
        self.paused.clear()

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        self.fuse.burn("before a poll")
        self._ask()
        batches = []
        for at in self._order():
            batch = self._read(at, min(max_records, self.dice.randint(1, self.most)))
            if batch is not None:
                batches.append(batch)
        self.fuse.burn("after a poll")
        return batches

    def pause(self, partitions: Iterable[Partition]) -> None:
        self.paused |= {(topic, partition) for topic, partition in partitions}

    def resume(self, partitions: Iterable[Partition]) -> None:
        self.paused -= set(partitions)

    def beginning_offsets(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        raise NotImplementedError

    def end_offsets(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        raise NotImplementedError

    def committed(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        raise NotImplementedError

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        self.fuse.burn("before a commit")
        self._ask()
        if self.dice.random() < 0.9:  # a commit does not wait for its acknowledgement, so it can be lost unseen
            self.log.commits.update(offsets)
        self.fuse.burn("after a commit")

    def wakeup(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """Nothing to leave."""

    def _ask(self) -> None:
        if self.log.away:
            message = "the brokers are away"
            raise ConnectionError(message)

    def _order(self) -> list[Partition]:
        at = list(self.positions)
        self.dice.shuffle(at)
        return at

    def _read(self, at: Partition, most: int) -> RecordBatch | None:
        position, end = self.positions[at], self.log.readable(at)
        if not self.log.begin.get(at, 0) <= position <= len(self.log.everything.get(at, [])):
            message = f"{at} at {position}"
            raise PositionError(message, {at: position})
        following = min(position + most, end)
        if at in self.paused or following <= position:
            return None
        self.positions[at] = following
        return as_batch(at, self.log.delivered(at, position, following), following)


def as_batch(at: Partition, records: list[Record], following: int) -> RecordBatch:
    """Records as a consumer driver hands them over."""
    return RecordBatch(
        topic=at[0],
        partition=at[1],
        keys=[one.key for one in records],
        values=[one.value for one in records],
        headers=[[(name, value or b"") for name, value in one.headers] or None for one in records],
        offset=np.array([one.offset for one in records], np.int64),
        broker_time_ms=np.array([one.broker_time_ms for one in records], np.int64),
        next_offset=following,
    )
