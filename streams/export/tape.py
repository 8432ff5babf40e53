"""Log partitions read once, each up to one moment after the other.

Invariant: a tape gives every committed record below its end once, in order, and none that a moment does not include:
before an offset, or before the first record whose broker time is at or after a time.
"""

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from muse_stream.streams.errors import ExportError
from muse_stream.streams.records import RecordBatch

Partition = tuple[str, int]
BUFFERED_RECORDS = 20_000
"""Records kept of a partition that is read ahead of its turn; beyond it, the partition pauses."""
POLL_RECORDS, POLL_MS = 10_000, 200
SILENCE_SECONDS = 60.0
"""So long may a log that has more to give stay silent: a leader election takes seconds."""


class TapeReader(Protocol):
    """The part of `streams.kafka.consumer.BatchConsumer` that tapes use."""

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Read these partitions, each from its offset."""

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """Return what has arrived."""

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Deliver nothing of these until resumed."""

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Deliver again."""

    def beginning_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """First offset of each log."""

    def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Last stable offset of each log."""


class Piece(NamedTuple):
    """The records `low..high-1` of a batch; `position` is the next offset after them."""

    batch: RecordBatch
    low: int
    high: int
    position: int

    def records(self) -> RecordBatch:
        """The records alone."""
        whole, rows = self.batch, slice(self.low, self.high)
        return RecordBatch(
            whole.topic,
            whole.partition,
            whole.keys[rows],
            whole.values[rows],
            whole.headers[rows],
            whole.offset[rows],
            whole.broker_time_ms[rows],
            self.position,
        )


class Tapes:
    """The tapes of several partitions, behind one reader."""

    def __init__(self, reader: TapeReader, partitions: Iterable[Partition]) -> None:
        """Ask where the logs begin and end now, and begin to read."""
        self._reader = reader
        wanted = list(partitions)
        self.begins, self.ends = reader.beginning_offsets(wanted), reader.end_offsets(wanted)
        self._reached = dict(self.begins)
        self._buffers: dict[Partition, deque[RecordBatch]] = defaultdict(deque)
        self._paused: set[Partition] = set()
        self._tapes = {at: Tape(self, at) for at in wanted}
        reader.assign({at: self.begins[at] for at in wanted if self.begins[at] < self.ends[at]})

    def __getitem__(self, at: Partition) -> "Tape":
        return self._tapes[at]

    def total(self) -> int:
        """Offsets in all logs together."""
        return sum(self.ends[at] - self.begins[at] for at in self._tapes)

    def following(self, at: Partition) -> RecordBatch | None:
        """The next batch of a partition; None at its end.

        Raises:
            ExportError: The log stops giving before its end.

        """
        heard = time.monotonic()
        while not self._buffers[at]:
            if self._reached[at] >= self.ends[at]:
                return None
            if at in self._paused:
                self._reader.resume([at])
                self._paused.discard(at)
            if self._poll():
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENCE_SECONDS:
                message = (
                    f"{at[0]}-{at[1]}: nothing came after offset {self._reached[at]} for {SILENCE_SECONDS:.0f} s, "
                    f"expected records up to {self.ends[at]}; is the partition's leader up?"
                )
                raise ExportError(message)
        return self._buffers[at].popleft()

    def _poll(self) -> bool:
        batches = self._reader.poll(POLL_RECORDS, POLL_MS)
        for batch in batches:
            at = (batch.topic, batch.partition)
            self._buffers[at].append(batch)
            self._reached[at] = batch.next_offset
            held = sum(map(len, self._buffers[at]))
            if at not in self._paused and (held > BUFFERED_RECORDS or batch.next_offset >= self.ends[at]):
                self._reader.pause([at])
                self._paused.add(at)
        return bool(batches)


class Tape:
    """One partition.

    Attributes:
        begin: First offset that the log has.
        end: Where it ended when the tapes were opened.
        position: Next offset that was not given yet.

    """

    def __init__(self, tapes: Tapes, at: Partition) -> None:
        self._tapes, self._at = tapes, at
        self.begin, self.end = tapes.begins[at], tapes.ends[at]
        self.position = self.begin
        self._given = 0
        self._batch: RecordBatch | None = None
        self._row = self._stop = 0

    @property
    def gapless(self) -> bool:
        """Whether every offset below the next record's was a record, so that nothing can have been taken out."""
        return not self._fill() or self._batch is None or int(self._batch.offset[self._row]) == self._given

    def peek(self) -> int | None:
        """Broker time of the next record; None at the end."""
        if not self._fill() or self._batch is None:
            return None
        return int(self._batch.broker_time_ms[self._row])

    def before(self, offset: int | None, time_ms: int) -> Iterator[Piece]:
        """The records that come next and lie before an offset or, where there is none, before a time; take them all."""
        while self._fill() and self._batch is not None:
            batch, low = self._batch, self._row
            high = low + _count(batch, low, self._stop, offset, time_ms)
            if high > low:
                self._row = high
                self._given += high - low
                self.position = int(batch.offset[high - 1]) + 1
                yield Piece(batch, low, high, self.position)
            if high < self._stop:
                break
        if offset is not None:
            self.position = max(self.position, min(offset, self.end))

    def _fill(self) -> bool:
        """Whether there is a next record; reads on where that is not known."""
        while self._batch is None or self._row >= self._stop:
            self._batch = self._tapes.following(self._at)
            if self._batch is None:
                return False
            self._row, self._stop = 0, int(np.searchsorted(self._batch.offset, self.end))
        return True


def _count(batch: RecordBatch, low: int, stop: int, offset: int | None, time_ms: int) -> int:
    if offset is not None:
        return int(np.searchsorted(batch.offset[low:stop], offset))
    late = batch.broker_time_ms[low:stop] >= time_ms
    return int(np.argmax(late)) if late.any() else stop - low
