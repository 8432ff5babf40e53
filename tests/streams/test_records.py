"""Byte columns read as the lists that they are made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_stream.streams.records import ByteColumn

parts_lists = st.lists(st.one_of(st.none(), st.binary(max_size=9)), max_size=9)


@settings(deadline=None, derandomize=True)
@given(parts_lists, st.integers(-10, 10), st.integers(-10, 10))
def test_a_column_is_its_list(parts: list[bytes | None], first: int, last: int) -> None:
    column = ByteColumn.of(parts)
    assert list(column) == parts == [column[row] for row in range(len(parts))]
    assert column == parts
    assert column[first:last] == parts[first:last]
    assert column.null.tolist() == [part is None for part in parts]
    assert column.size.tolist() == [len(part or b"") for part in parts]
    assert [column.bytes_at(row) for row in range(len(parts))] == [part or b"" for part in parts]
    assert ByteColumn.of(column) is column


def test_rows_are_taken_without_a_copy_of_their_bytes() -> None:
    column = ByteColumn.of([b"a", None, b"ccc"])
    taken = column.take(np.array([2, 1]))
    assert taken == [b"ccc", None]
    assert taken.buffer is column.buffer
    assert taken != [b"ccc", b""]
    assert taken != 5


def test_it_can_be_read_from_its_end_and_not_beyond() -> None:
    column = ByteColumn.of([b"a", b"b"])
    assert column[-1] == b"b"
    with pytest.raises(IndexError):
        column[2]
