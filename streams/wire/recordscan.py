"""Compiled reader for the records of Kafka's record batches, format 2 (KIP-98; Kafka's protocol guide, "Record").

    length varint | attributes int8 | time delta varint | offset delta varint | key | value | headers
    key, value = length varint, -1 for null | bytes
    headers    = count varint | that many headers
    header     = key length varint | key | value length varint, -1 for null | value

Varints are zigzag, least significant group first. The batch's own header, checksum and compression are the client's
affair; here are the bytes behind it, after decompression.

Invariant: no byte outside the records is read whatever they say; a record that does not end where its length says, or
has a negative header count, makes the whole batch corrupt, as it does for kafka-python.
"""

import numpy as np
from numpy.typing import NDArray

from muse_stream.streams.wire.jit import inlined, kernel

OFFSET, TIME, KEY, KEY_STOP, VALUE, VALUE_STOP, HEADERS = range(7)
"""Rows of the columns: deltas to the batch's base offset and time; spans, -1 for null; where headers begin, or -1."""
COLUMNS = 7
_VARINT_BITS = 64


@inlined
def _varint(data: NDArray[np.uint8], at: int, stop: int) -> tuple[int, int]:
    """A zigzag number and the byte after it; -1 after a number that does not end in time, and after -1."""
    value, shift = np.uint64(0), 0
    while 0 <= at < stop and shift < _VARINT_BITS:
        byte = data[at]
        at += 1
        value |= np.uint64(byte & 127) << np.uint64(shift)
        if byte < 128:
            number = np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))
            return int(number), at
        shift += 7
    return 0, -1


@kernel
def _span(data: NDArray[np.uint8], at: int, stop: int) -> tuple[int, int, int]:
    """Begin and end of a byte string (-1, -1 = null) and the byte after it; -1 where it is not whole."""
    size, at = _varint(data, at, stop)
    if at < 0 or size > stop - at:
        return -1, -1, -1
    if size < 0:
        return -1, -1, at
    return at, at + size, at + size


@kernel
def _headers(data: NDArray[np.uint8], at: int, stop: int) -> bool:
    """Whether the headers that are counted at `at` fill the bytes up to `stop` exactly."""
    count, at = _varint(data, at, stop)
    if at < 0 or count < 0:
        return False
    for _ in range(count):
        start, _end, at = _span(data, at, stop)
        if start < 0:
            return False
        _start, _end, at = _span(data, at, stop)
        if at < 0:
            return False
    return at == stop


@kernel
def scan_records(data: NDArray[np.uint8], at: int, count: int) -> tuple[bool, NDArray[np.int64]]:
    """Read a batch's records.

    Args:
        data: `[bytes] uint8`, uncompressed.
        at: Where the first record begins; the last one must end where `data` does.
        count: How many there are.

    Returns:
        Whether the records are what the format says, and if so `columns [7, count] int64`.

    """
    size = len(data)
    if count < 0 or count > size:
        return False, np.empty((COLUMNS, 0), np.int64)
    columns = np.empty((COLUMNS, count), np.int64)
    for row in range(count):
        length, at = _varint(data, at, size)
        if at < 0 or length < 1 or length > size - at:
            return False, columns
        stop = at + length
        columns[TIME, row], at = _varint(data, at + 1, stop)
        columns[OFFSET, row], at = _varint(data, at, stop)
        columns[KEY, row], columns[KEY_STOP, row], at = _span(data, at, stop)
        columns[VALUE, row], columns[VALUE_STOP, row], at = _span(data, at, stop)
        if at < 0 or not _headers(data, at, stop):
            return False, columns
        columns[HEADERS, row] = at if data[at] != 0 else -1
        at = stop
    return at == size, columns
