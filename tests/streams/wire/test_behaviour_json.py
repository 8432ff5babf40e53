import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from muse_stream.streams.records import ByteColumn
from muse_stream.streams.wire import jsonscan
from muse_stream.streams.wire.behaviour_json import read_behaviour
from muse_stream.streams.wire.behaviours import decode_behaviours
from muse_stream.streams.wire.rejects import Reason
from muse_stream.streams.wire.values import BadRecordError
from tests.streams.wire.helpers import BROKER_MS, FIRST_OFFSET, GOOD, RULES, batch, behaviour_bytes, seeded

Row = tuple[int, int, int, int, int]


def by_msgspec(value: bytes) -> Row | Reason:
    """What a record of user 7 is, one record at a time and without the compiled reader."""
    try:
        row = read_behaviour(value, 7, RULES)
    except BadRecordError as error:
        return error.reason
    if not 0 <= row[1] <= BROKER_MS + RULES.future_ms:
        return Reason.FUTURE_TIME
    return row


@settings(seeded, max_examples=300)
@given(st.lists(behaviour_bytes(), min_size=1, max_size=12))
@example([b'{"item":-0,"time_ms":1,"action":1}'])
@example([b'{"item":1,"item":2,"time_ms":1,"action":1}'])
@example([b'{"item":1,"time_ms":1,"action":1}{}'])
@example([b'{"item":1,"time_ms":1,"action":1,}'])
@example([b'{"item":"\x7f","time_ms":1,"action":1}'])
@example([b'{"item":1,"time_ms":1,"action":1,"user":-0}'])
@example([b'{"item":-9223372036854775808,"time_ms":1,"action":1,"category":-9223372036854775809}'])
def test_a_batch_is_its_records(values: list[bytes]) -> None:
    rows, rejects = decode_behaviours(batch(values), RULES)
    rows.check()
    columns: list[NDArray[Any]] = [rows.item, rows.time_ms, rows.action, rows.category, rows.event_id]
    found: dict[int, tuple[int, ...] | Reason] = {
        int(offset): tuple(int(column[row]) for column in columns) for row, offset in enumerate(rows.offset)
    }
    found.update({reject.offset: reject.reason for reject in rejects})
    assert found == {FIRST_OFFSET + 2 * row: by_msgspec(value) for row, value in enumerate(values)}
    assert len(rows) + len(rejects) == len(values)


POISON = [
    b'1},{"item":1',
    GOOD + b"," + GOOD,
    GOOD[:-1],
    GOOD[1:],
    b'{"item":"',
    b'","time_ms":1,"action":1}',
    b"{",
    b"}",
    b"]",
    b"[",
    b",",
    b'"',
    b"\\",
    b'{"item":"a\\',
    b"\x00",
    b"\xef\xbb\xbf" + GOOD,
    GOOD + b"\n" + GOOD,
    b"\n",
    b"/* " + GOOD,
]


@pytest.mark.parametrize("first", POISON)
@pytest.mark.parametrize("second", POISON)
def test_poison_fools_nobody(first: bytes, second: bytes) -> None:
    rows, rejects = decode_behaviours(batch([GOOD, first, second, GOOD, second, first, GOOD]), RULES)
    assert rows.offset.tolist() == [FIRST_OFFSET, FIRST_OFFSET + 6, FIRST_OFFSET + 12]
    assert rows.item.tolist() == [5, 5, 5]
    assert [reject.value for reject in rejects] == [first, second, second, first]


def test_the_usual_records_take_the_fast_way() -> None:
    values: list[dict[str, Any]] = [
        {"item": 1, "time_ms": 2, "action": "click"},
        {"item": "85123A", "time_ms": 2, "action": 255, "category": "mugs", "event_id": "a-b", "user": "x"},
        {"item": -(2**63), "time_ms": 2**63 - 1, "action": 0, "category": None, "event_id": 7, "user": None},
    ]
    for style in ((",", ":"), (", ", ": ")):
        column = ByteColumn.of([json.dumps(value, separators=style).encode() for value in values])
        read, columns = jsonscan.scan(column.buffer, column.start, column.stop, RULES.action_table)
        assert read.all()
        assert columns[2 * jsonscan.TIME].tolist() == [value["time_ms"] for value in values]
        assert columns[2 * jsonscan.ACTION].tolist() == [1, 255, 0]
        assert (columns[2 * jsonscan.CATEGORY] == -1).tolist() == [True, False, True]


def test_the_fast_reader_leaves_what_it_does_not_know() -> None:
    values = [b"", b"{}", b'{"item":1,"time_ms":1,"action":1.0}', b'{"item":"\\u0041","time_ms":1,"action":1}']
    column = ByteColumn.of(values)
    read, _ = jsonscan.scan(column.buffer, column.start, column.stop, RULES.action_table)
    assert not read.any()


def test_bytes_after_the_buffer_are_never_read() -> None:
    for stop in range(len(GOOD)):
        padded = np.frombuffer(GOOD, np.uint8)
        read, _ = jsonscan.scan(padded, np.array([0]), np.array([stop]), RULES.action_table)
        assert not read[0]
