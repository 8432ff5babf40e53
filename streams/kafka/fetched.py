"""What kafka-python fetched of a partition, as columns instead of an object per record.

kafka-python frames the batches, checks and decompresses them and knows their transactions; only the records inside are
read here, by `wire.recordscan`. `ColumnRecords` stands in for the class of the same task in kafka-python's fetcher,
which the fetcher looks up by name when it parses a fetch: `consumer._fetcher.PartitionRecords = ColumnRecords`.

Invariants: rows are exactly the records that kafka-python would give, in order; `next_fetch_offset` is always the
offset after the last row that was taken, or after what is not visible behind it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import numpy as np
from kafka.consumer.fetcher import Fetcher, IsolationLevel
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint
from numpy.typing import NDArray

from muse_stream.streams.records import ByteColumn, Headers
from muse_stream.streams.wire.recordscan import (
    COLUMNS,
    HEADERS,
    KEY,
    KEY_STOP,
    OFFSET,
    TIME,
    VALUE,
    VALUE_STOP,
    scan_records,
)

MAGIC = 2
"""Of the format that has transactions, headers and varints; batches of older ones are read record by record."""


class Rows(NamedTuple):
    """Some records of one batch.

    Attributes:
        buffer: `[bytes] uint8` in which keys, values and headers lie.
        columns: `[7, n] int64`, rows as `wire.recordscan` names them, with whole offsets and times in ms.
        next_offset: The position after them.

    """

    buffer: NDArray[np.uint8]
    columns: NDArray[np.int64]
    next_offset: int

    def cut(self, count: int) -> tuple["Rows", "Rows"]:
        """The first so many, and the others."""
        first, others = self.columns[:, :count], self.columns[:, count:]
        return Rows(self.buffer, first, int(first[OFFSET, -1]) + 1), Rows(self.buffer, others, self.next_offset)


class Taken:
    """What one `take` gave: as long as it has records, and iterates over its `Rows`."""

    def __init__(self, parts: list[Rows]) -> None:
        self._parts = parts
        self._records: int = sum(part.columns.shape[1] for part in parts)

    def __len__(self) -> int:
        return self._records

    def __iter__(self) -> Iterator[Rows]:
        return iter(self._parts)


class ColumnRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # kafka-python has no types
    """The records of one fetch of one partition. Raises CorruptRecordError where the first that is due is damaged."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - handed through
        super().__init__(*args, **options)
        self._rest: Rows | None = None

    def _maybe_skip_record(self, record: Rows) -> bool:
        """kafka-python would ask each record; whole batches come here, and `_visible` has left out what is too old."""
        return False

    def take(self, n: int | None = None) -> Taken:
        """At most `n` records; fewer only where the fetch has no more."""
        parts, missing = list[Rows](), n if n is not None else 1 << 62
        try:
            while missing > 0 and (rows := self._next_rows()) is not None:
                if rows.columns.shape[1] > missing:
                    rows, self._rest = rows.cut(missing)
                missing -= rows.columns.shape[1]
                self.next_fetch_offset = rows.next_offset
                parts.append(rows)
        except Exception:
            self.drain()  # what is damaged is fetched again, and is the first thing that is due then
            if not parts:
                raise
        return Taken(parts)

    def _next_rows(self) -> Rows | None:
        if self._rest is not None:
            rows, self._rest = self._rest, None
            return rows
        return next(self.record_iterator, None) if self.record_iterator is not None else None

    def _unpack_records(self, tp: Any, records: Any, *_: Any) -> Iterator[Rows]:  # noqa: ANN401 - kafka-python's
        """The visible records, batch by batch; called by the base class."""
        while (batch := records.next_batch()) is not None:
            if self.check_crcs and not batch.validate_crc():
                message = f"{tp}: the batch at {batch.base_offset} does not have the checksum that it names"
                raise CorruptRecordError(message)
            if batch.magic < MAGIC:
                yield from self._visible(_read_old(batch))
                continue
            self.leader_epoch = batch.leader_epoch
            if not self._is_hidden(batch):
                yield from self._visible(_read(batch))
            self.next_fetch_offset = batch.next_offset
        self.drain()

    def _visible(self, rows: Rows) -> Iterator[Rows]:
        """Without what lies below the position that was fetched: a batch is always sent whole."""
        first = int(np.searchsorted(rows.columns[OFFSET], self.fetch_offset))
        rows = rows._replace(columns=rows.columns[:, first:])
        count = rows.columns.shape[1]
        self.records_read += count
        self.bytes_read += len(rows.buffer)
        if count:
            yield rows

    def _is_hidden(self, batch: Any) -> bool:  # noqa: ANN401 - kafka-python's
        """Whether a batch ends a transaction, or is of one that was aborted."""
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            if self._contains_abort_marker(batch):
                self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return True
        return bool(batch.is_control_batch)


def _read(batch: DefaultRecordBatch) -> Rows:
    iter(batch)  # decompresses it
    buffer = np.frombuffer(memoryview(batch._buffer).toreadonly(), np.uint8)  # as all buffers are: one compiled form
    sound, columns = scan_records(buffer, batch._pos, batch.records_count)
    if not sound:
        message = f"the records of the batch at {batch.base_offset} are not what their lengths say"
        raise CorruptRecordError(message)
    columns[OFFSET] += batch.base_offset
    if batch.timestamp_type == batch.LOG_APPEND_TIME:
        columns[TIME] = batch.max_timestamp
    else:
        columns[TIME] += batch.first_timestamp
    return Rows(buffer, columns, batch.next_offset)


def _read_old(batch: Any) -> Rows:  # noqa: ANN401 - kafka-python's
    """A batch of format 0 or 1, which producers older than Kafka 0.11 (2017) wrote."""
    records = list(batch)
    if not all(record.validate_crc() for record in records):
        message = f"a record of the batch at {records[0].offset} does not have the checksum that it names"
        raise CorruptRecordError(message)
    data = ByteColumn.of([part for record in records for part in (record.key, record.value)])
    columns = np.full((COLUMNS, len(records)), -1, np.int64)
    columns[OFFSET] = [record.offset for record in records]
    columns[TIME] = [-1 if record.timestamp is None else record.timestamp for record in records]
    columns[KEY], columns[VALUE] = data.start[::2], data.start[1::2]
    columns[KEY_STOP], columns[VALUE_STOP] = data.stop[::2], data.stop[1::2]
    return Rows(data.buffer, columns, int(columns[OFFSET, -1]) + 1 if records else 0)


NOTHING = np.frombuffer(b"", np.uint8), np.empty((COLUMNS, 0), np.int64)
"""No record of any batch."""


def join(parts: list[Rows]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One buffer and one set of columns of any number of batches."""
    if not parts:
        return NOTHING
    if len(parts) == 1:
        return parts[0].buffer, parts[0].columns
    buffer = np.concatenate([part.buffer for part in parts])
    buffer.setflags(write=False)
    columns = np.concatenate([part.columns for part in parts], axis=1)
    at = before = 0
    for part in parts:
        places = columns[KEY:, at : at + part.columns.shape[1]]
        places += np.where(places >= 0, before, 0)
        at += part.columns.shape[1]
        before += len(part.buffer)
    return buffer, columns


def headers_of(buffer: NDArray[np.uint8], columns: NDArray[np.int64]) -> list[Headers | None]:
    """Headers of each record; None where it has none."""
    found: list[Headers | None] = [None] * columns.shape[1]
    for row in np.flatnonzero(columns[HEADERS] >= 0).tolist():
        found[row] = _headers(buffer.data, int(columns[HEADERS, row])) or None
    return found


def _headers(data: memoryview, at: int) -> Headers:
    count, at = decode_varint(data, at)
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        key, at = _bytes(data, at)
        value, at = _bytes(data, at)
        headers.append(((key or b"").decode("utf-8", "replace"), value))
    return cast("Headers", headers)  # as the other driver gives them: hardly any header is null, and readers bear it


def _bytes(data: memoryview, at: int) -> tuple[bytes | None, int]:
    size, at = decode_varint(data, at)
    return (None, at) if size < 0 else (bytes(data[at : at + size]), at + size)
