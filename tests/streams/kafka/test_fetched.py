"""Columns of a fetch against kafka-python's own records of the same bytes, without a broker."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher, IsolationLevel
from kafka.errors import CorruptRecordError
from kafka.record import MemoryRecords
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.record.util import decode_varint

from muse_stream.streams.kafka.consumer_python import to_batch
from muse_stream.streams.kafka.fetched import ColumnRecords, Rows

AT = TopicPartition("t", 3)
NONE, GZIP = 0, 1
RECORDS_AT = 61
"""The size of a batch's header."""
Record = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]

maybe_bytes = st.one_of(st.none(), st.binary(max_size=300))
header_lists = st.lists(st.tuples(st.text("aé用", max_size=5), maybe_bytes), max_size=3)
record_lists = st.lists(
    st.tuples(st.integers(0, 2**41), maybe_bytes, maybe_bytes, header_lists), min_size=1, max_size=20
)
every_example = settings(deadline=None, derandomize=True, print_blob=True)


def batch_bytes(
    records: list[Record], first: int = 0, *, magic: int = 2, compression: int = NONE, **more: Any
) -> bytes:
    """As a broker keeps them: from format 2 on it is the broker that sets the batch's first offset."""
    builder = MemoryRecordsBuilder(magic, compression, batch_size=1 << 20, offset=first if magic < 2 else 0, **more)
    for time_ms, key, value, headers in records:
        assert builder.append(time_ms, key, value, headers if magic == 2 else []) is not None
    builder.close()
    data = bytes(builder.buffer())
    return data if magic < 2 else first.to_bytes(8, "big") + data[8:]


def attribute_places(batch: bytearray) -> Iterator[int]:
    """Where the records' attributes are: bytes, which kafka-python reads as varints."""
    at = RECORDS_AT
    while at < len(batch):
        length, at = decode_varint(batch, at)
        yield at
        at += length


def opened(kind: Any, data: bytes, begin: int = 0, **more: Any) -> Any:
    return kind(begin, AT, MemoryRecords(data), **more)


def told(data: bytes, begin: int = 0, **more: Any) -> list[tuple[Any, ...]]:
    """What kafka-python says."""
    fetched = opened(Fetcher.PartitionRecords, data, begin, **more)
    records = fetched.take()
    if fetched:
        fetched.take()  # raises what ended the first
    return [(one.offset, one.timestamp, one.key, one.value, one.headers or None) for one in records]


def read(data: bytes, begin: int = 0, sizes: tuple[int | None, ...] = (None,), **more: Any) -> list[tuple[Any, ...]]:
    """What the columns say, taken in steps of these sizes, then all."""
    records = opened(ColumnRecords, data, begin, **more)
    found: list[tuple[Any, ...]] = []
    for size in (*sizes, None):
        taken = records.take(size)
        parts: list[Rows] = list(taken)
        batch = to_batch(AT, parts, records.next_fetch_offset)
        assert len(batch) == len(taken) <= (size if size is not None else len(taken))
        found += zip(
            batch.offset.tolist(), batch.broker_time_ms.tolist(), batch.keys, batch.values, batch.headers, strict=True
        )
    assert not records
    return found


@every_example
@given(st.lists(record_lists, min_size=1, max_size=4), st.sampled_from([NONE, GZIP]), st.data())
def test_rows_are_kafka_pythons_records(lists: list[list[Record]], compression: int, data: st.DataObject) -> None:
    fetched, first = b"", 7
    for records in lists:
        fetched += batch_bytes(records, first, compression=compression)
        first += len(records) + 2
    begin = data.draw(st.integers(0, first))
    sizes = tuple(data.draw(st.lists(st.integers(1, 9), max_size=5)))
    assert read(fetched, begin, sizes) == told(fetched, begin)


@every_example
@given(record_lists, st.integers(1, 9))
def test_the_position_is_behind_what_was_taken(records: list[Record], size: int) -> None:
    fetched, reached = opened(ColumnRecords, batch_bytes(records, 7), 7), 7
    while len(taken := fetched.take(size)):
        reached += len(taken)
        assert fetched.next_fetch_offset == reached == 7 + len(records) or len(taken) == size
    assert (reached, fetched.next_fetch_offset) == (7 + len(records), 7 + len(records))


@every_example
@given(record_lists, st.sampled_from([0, 1]), st.sampled_from([NONE, GZIP]))
def test_batches_of_old_formats_are_read(records: list[Record], magic: int, compression: int) -> None:
    data = batch_bytes(records, 5, magic=magic, compression=compression)
    expected = [(offset, -1 if time is None else time, *rest) for offset, time, *rest in told(data, 6)]
    assert read(data, 6, (2, 3)) == expected


def test_the_position_passes_what_compaction_removed() -> None:
    data = batch_bytes([(1, b"k", b"v", [])] * 3, 10)
    wider = bytearray(data)
    wider[23:27] = (9).to_bytes(4, "big")  # last offset delta: the batch once had ten records
    records = opened(ColumnRecords, bytes(wider), 10, check_crcs=False)
    assert len(records.take(3)) == 3
    assert records.next_fetch_offset == 20


@pytest.mark.parametrize("isolation", [IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED])
def test_aborted_transactions_are_not_visible(isolation: IsolationLevel) -> None:
    class Aborted:
        producer_id, first_offset = 5, 2

    state = {"producer_epoch": 0, "base_sequence": 0}
    data = batch_bytes([(1, b"a", b"1", [])] * 2)
    data += batch_bytes([(1, b"b", b"2", [])] * 2, 2, transactional=True, producer_id=5, **state)
    data += batch_bytes([(1, b"c", b"3", [])], 4, transactional=True, producer_id=6, **state)
    more = {"isolation_level": isolation, "aborted_transactions": [Aborted]}
    assert read(data, 0, (1, 2), **more) == told(data, 0, **more)
    assert len(read(data, 0, **more)) == (3 if isolation is IsolationLevel.READ_COMMITTED else 5)


def test_a_damaged_batch_gives_what_lies_before_it_and_is_loud_when_it_is_due() -> None:
    good, bad = batch_bytes([(1, b"k", b"v", [])] * 3), bytearray(batch_bytes([(1, b"k", b"v", [])], 3))
    bad[-1] ^= 1
    records = opened(ColumnRecords, good + bytes(bad))
    assert len(records.take(10)) == 3
    assert records.next_fetch_offset == 3
    assert not records
    with pytest.raises(CorruptRecordError, match=r"batch at 3 .*checksum"):
        opened(ColumnRecords, bytes(bad), 3).take(10)


@every_example
@given(record_lists, st.data())
def test_records_that_lie_about_their_lengths_are_corrupt_or_read_alike(
    records: list[Record], data: st.DataObject
) -> None:
    damaged = bytearray(batch_bytes(records))
    places = sorted({*range(RECORDS_AT, len(damaged))} - {*attribute_places(damaged)})
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.sampled_from(places))] = data.draw(st.integers(0, 255))
    answers: list[Any] = []
    for one in (told, read):
        try:
            answers.append(one(bytes(damaged), check_crcs=False))
        except (CorruptRecordError, MemoryError, OverflowError):
            answers.append("corrupt")
    theirs, ours = answers
    refused = theirs == "corrupt"  # a header's name that is no UTF-8 among others
    assert refused or [row[0] for row in theirs] != list(range(len(records))) or ours == theirs


def test_names_of_headers_that_are_no_text_do_not_stop_a_partition() -> None:
    data = batch_bytes([(1, b"k", b"v", [("ab", b"x")])])
    spoilt = data.replace(b"ab", b"\xff\xfe")
    assert read(spoilt, check_crcs=False) == [(0, 1, b"k", b"v", [("\ufffd\ufffd", b"x")])]
