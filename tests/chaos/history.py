"""The log as read so far, and the audit's model of it at any position.

An audit after every kill cannot read the log from its beginning each time. So records are kept, and the model as it
stood at every two thousandth offset: a model at a position is the last one before it, brought forward.

Invariant: `model(partition, position)` is what the audit's model makes of the committed records below `position`, by
the rules that every store of the installation has.
"""

import pickle
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kafka.errors import KafkaError

from muse_stream.state.rules import RuleChange
from muse_stream.streams.audit.decoding import Contract, Record
from muse_stream.streams.audit.log import Log
from muse_stream.streams.audit.model import PartitionModel
from muse_stream.streams.errors import StreamsError
from muse_stream.streams.settings import Settings

AGAIN_SECONDS = 0.5
STEP = 2_000
"""Offsets between two kept models: bringing one forward so far takes some 30 ms."""


@dataclass
class PartitionHistory:
    """One partition.

    Attributes:
        records: All committed records below `end`.
        rejected: Offsets of those that the contract refuses.

    """

    contract: Contract
    rules: Sequence[RuleChange]
    records: list[Record] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    end: int = 0

    def __post_init__(self) -> None:
        self._offsets: list[int] = []
        self._latest = PartitionModel(self.contract, self.rules)
        self._kept = [(0, pickle.dumps(self._latest))]

    def extend(self, records: Sequence[Record], end: int) -> None:
        """Take in what follows, up to `end`."""
        for record in records:
            if record.offset - self._kept[-1][0] >= STEP:
                self._kept.append((record.offset, pickle.dumps(self._latest)))
            self.records.append(record)
            self._offsets.append(record.offset)
            if not self._latest.feed(record):
                self.rejected.append(record.offset)
        self.end = end

    def model(self, position: int) -> PartitionModel:
        """The model of everything below `position`, which is at most `end`."""
        begin, packed = self._kept[bisect_right(self._kept, position, key=lambda one: one[0]) - 1]
        model: PartitionModel = pickle.loads(packed)  # noqa: S301 - packed above
        for at in range(bisect_left(self._offsets, begin), bisect_left(self._offsets, position)):
            model.feed(self.records[at])
        model.finish(position)
        return model


class LogHistory:
    """All partitions of the behaviours topic; `close` it."""

    def __init__(self, settings: Settings, rules: Sequence[RuleChange]) -> None:
        self._settings = settings
        self.rules = list(rules)
        count, actions = settings.topics.partitions, dict(settings.actions)
        self.partitions = [PartitionHistory(Contract(one, count, actions), self.rules) for one in range(count)]
        self._log: Log | None = None

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def read(self, positions: Mapping[int, int], seconds: float) -> None:
        """Read on, at least to these positions; Kafka may be away meanwhile. Raises `TimeoutError`."""
        deadline = time.monotonic() + seconds
        while any(self.partitions[number].end < position for number, position in positions.items()):
            try:
                self._read_on(positions)
            except (KafkaError, StreamsError, OSError):
                self.close()
                time.sleep(AGAIN_SECONDS)
            if time.monotonic() > deadline:
                behind = {n: (self.partitions[n].end, want) for n, want in positions.items()}
                message = f"the log could not be read: (read, wanted) by partition {behind}"
                raise TimeoutError(message)

    def read_to_end(self) -> list[int]:
        """Read everything that is in the log now, and say where that ends, by partition; Kafka must be there."""
        self._read_on(range(len(self.partitions)))
        return [one.end for one in self.partitions]

    def _read_on(self, partitions: Iterable[int]) -> None:
        if self._log is None:
            self._log = Log(self._settings.kafka.brokers, self._settings.kafka.security)
        topic = self._settings.topics.behaviours
        for number in partitions:
            known = self.partitions[number]
            _, end = self._log.bounds(topic, number)
            for records in self._log.records(topic, number, known.end, end):
                known.extend(records, records[-1].offset + 1 if records else known.end)
            known.end = max(known.end, end)
