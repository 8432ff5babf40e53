"""What a consumer driver hands over: the records of one partition, in log order, as parallel columns.

Invariant: all columns have the same length and `offset` rises strictly; offsets may jump (transaction markers,
aborted batches and compaction all leave holes), so the next position is `next_offset`, never `offset[-1] + count`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

Headers = list[tuple[str, bytes]]


class TopicFacts(NamedTuple):
    """What brokers say of a topic: its id as Kafka's tools print it ("" where they have none), and its partitions."""

    topic_id: str
    partitions: int


@dataclass(frozen=True, slots=True, eq=False)
class ByteColumn(Sequence[bytes | None]):
    """Byte strings somewhere in one buffer; reads like a list of them, and needs no object for any.

    Attributes:
        buffer: `[bytes] uint8`.
        start: `[n] int64`; string i is `buffer[start[i]:stop[i]]`; -1 = there is none (null).
        stop: `[n] int64`; -1 for null.

    """

    buffer: NDArray[np.uint8]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    @classmethod
    def of(cls, parts: Sequence[bytes | None]) -> "ByteColumn":
        """The column itself, or byte strings joined into one."""
        if isinstance(parts, ByteColumn):
            return parts
        try:
            length = np.fromiter(map(len, parts), np.int64, len(parts))  # type: ignore[arg-type]  # None raises
            buffer, null = b"".join(parts), None  # type: ignore[arg-type]
        except TypeError:  # looked for only now, because it is rare
            null = np.fromiter((part is None for part in parts), np.bool_, len(parts))
            length = np.fromiter((len(part or b"") for part in parts), np.int64, len(parts))
            buffer = b"".join(part or b"" for part in parts)
        stop = np.cumsum(length)
        start = stop - length
        if null is not None:
            start[null] = stop[null] = -1
        return cls(np.frombuffer(buffer, np.uint8), start, stop)

    @property
    def null(self) -> NDArray[np.bool_]:
        """`[n] bool`: which are null."""
        return self.start < 0

    @property
    def size(self) -> NDArray[np.int64]:
        """`[n] int64` bytes of each; 0 for null."""
        return self.stop - self.start

    def take(self, rows: NDArray[np.integer] | slice) -> "ByteColumn":
        """These rows of it, in the same buffer."""
        return ByteColumn(self.buffer, self.start[rows], self.stop[rows])

    def bytes_at(self, row: int) -> bytes:
        """One string; empty for null."""
        return self.buffer[self.start[row] : self.stop[row]].tobytes() if self.start[row] >= 0 else b""

    def __len__(self) -> int:
        return len(self.start)

    @overload
    def __getitem__(self, row: int) -> bytes | None: ...
    @overload
    def __getitem__(self, row: slice) -> "ByteColumn": ...
    def __getitem__(self, row: int | slice) -> "bytes | ByteColumn | None":
        if isinstance(row, slice):
            return self.take(row)
        return self.bytes_at(row) if self.start[row] >= 0 else None

    def __iter__(self) -> Iterator[bytes | None]:
        data = self.buffer.data
        for start, stop in zip(self.start.tolist(), self.stop.tolist(), strict=True):
            yield bytes(data[start:stop]) if start >= 0 else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # like a list's


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Records of one topic partition between two polls.

    Attributes:
        topic: Topic name.
        partition: Partition number.
        keys: `[n]` raw keys, a list or a `ByteColumn`; None where the record has none.
        values: `[n]` raw values, likewise; None is a tombstone.
        headers: `[n]` header lists; None where the record has none (the common case costs nothing).
        offset: `[n] int64` log offsets.
        broker_time_ms: `[n] int64` record timestamps, milliseconds since the epoch (LogAppendTime: the broker's clock).
        next_offset: The consumer's position after this batch; all offsets below it are delivered or not visible.

    """

    topic: str
    partition: int
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: list[Headers | None]
    offset: NDArray[np.int64]
    broker_time_ms: NDArray[np.int64]
    next_offset: int

    def __len__(self) -> int:
        return len(self.values)
