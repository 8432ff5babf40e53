"""What a consumer driver hands over: the records of one partition, in log order, as parallel columns.

Invariant: all columns have the same length and `offset` rises strictly; offsets may jump (transaction markers,
aborted batches and compaction all leave holes), so the next position is `next_offset`, never `offset[-1] + count`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Headers = list[tuple[str, bytes]]


class TopicFacts(NamedTuple):
    """What brokers say of a topic: its id as Kafka's tools print it ("" where they have none), and its partitions."""

    topic_id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Records of one topic partition between two polls.

    Attributes:
        topic: Topic name.
        partition: Partition number.
        keys: `[n]` raw keys; None where the record has none.
        values: `[n]` raw values; None is a tombstone.
        headers: `[n]` header lists; None where the record has none (the common case costs nothing).
        offset: `[n] int64` log offsets.
        broker_time_ms: `[n] int64` record timestamps, milliseconds since the epoch (LogAppendTime: the broker's clock).
        next_offset: The consumer's position after this batch; all offsets below it are delivered or not visible.

    """

    topic: str
    partition: int
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[Headers | None]
    offset: NDArray[np.int64]
    broker_time_ms: NDArray[np.int64]
    next_offset: int

    def __len__(self) -> int:
        return len(self.values)
