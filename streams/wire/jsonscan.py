"""Compiled reader for behaviours in JSON as nearly all producers write them: a flat object of integers and plain text.

It reads each record within its own bounds, so nothing that one record holds can change what its neighbours mean, and
accepts only what it is sure of (known fields, each at most once, integers within int64, text of printable ASCII without
escapes, null where the contract allows it) and leaves every other record, right or wrong, to msgspec.

Invariant: a record that this reader accepts, msgspec accepts with the same values; the two are compared by property
tests. Ids come back as byte spans: an integer's literal and its text are the same bytes, so one id rule reads both.
"""

import numpy as np
from numpy.typing import NDArray

from muse_stream.streams.wire.jit import kernel

ITEM, CATEGORY, USER, EVENT, TIME, ACTION = range(6)
"""Fields; the first four are ids."""

_REQUIRED = (1 << ITEM) | (1 << TIME) | (1 << ACTION)
_WORDS = np.array(
    [int.from_bytes(name, "big") for name in (b"item", b"category", b"user", b"event_id", b"time_ms", b"action")],
    np.uint64,
)
"""Field names as big-endian words: all fit into eight bytes."""
_NULL = np.frombuffer(b"null", np.uint8)
_INT64_MAX = np.uint64(2**63 - 1)
_QUOTE, _COMMA, _COLON, _OPEN, _CLOSE, _MINUS, _BACKSLASH, _N = 34, 44, 58, 123, 125, 45, 92, 110

Bytes = NDArray[np.uint8]


@kernel
def _blank(data: Bytes, at: int, stop: int) -> int:
    """The next byte that is not JSON white space."""
    while at < stop and (data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 9):
        at += 1
    return at


@kernel
def _text(data: Bytes, at: int, stop: int) -> int:
    """The closing quote of plain text that begins at `at`, or -1."""
    while at < stop:
        byte = data[at]
        if byte == _QUOTE:
            return at
        if byte < 32 or byte >= 127 or byte == _BACKSLASH:
            return -1
        at += 1
    return -1


@kernel
def _name(data: Bytes, at: int, stop: int) -> tuple[int, int]:
    """The closing quote of a field's name that begins at `at`, and the field; -1 where it is none of them."""
    word = np.uint64(0)
    first = at
    while at < stop and at - first <= 8:
        byte = data[at]
        if byte == _QUOTE:
            for field in range(6):
                if _WORDS[field] == word:
                    return at, field
            return -1, -1
        word = (word << np.uint64(8)) | np.uint64(byte)
        at += 1
    return -1, -1


@kernel
def _integer(data: Bytes, at: int, stop: int) -> tuple[int, int]:
    """The byte after a canonical int64 literal and its value, or -1 and 0."""
    negative = data[at] == _MINUS
    if negative:
        at += 1
    first = at
    total = np.uint64(0)
    while at < stop and at - first < 20:
        digit = np.uint64(data[at]) - np.uint64(48)
        if digit > np.uint64(9):
            break
        total = total * np.uint64(10) + digit
        at += 1
    digits = at - first
    if digits == 0 or digits > 19 or (data[first] == 48 and (digits > 1 or negative)):
        return -1, 0
    if total > _INT64_MAX + np.uint64(1 if negative else 0):
        return -1, 0
    return at, int(np.int64(np.uint64(0) - total)) if negative else int(np.int64(total))


@kernel
def _action(data: Bytes, start: int, stop: int, actions: Bytes) -> int:
    """The number of the action named `data[start:stop]`, or -1."""
    for row in range(actions.shape[0]):
        if stop - start != actions[row, 1]:
            continue
        same = True
        for i in range(stop - start):
            same &= data[start + i] == actions[row, 2 + i]
        if same:
            return int(actions[row, 0])
    return -1


@kernel
def _value(  # noqa: PLR0911 - one jump out per finding
    data: Bytes, at: int, stop: int, field: int, actions: Bytes
) -> tuple[int, int, int]:
    """Read a value: the byte after it (-1 = in doubt) and what it is.

    That is an id's span, begin and end (-1, -1 = null), or the time or the action's number, twice.
    """
    if data[at] == _QUOTE:
        close = _text(data, at + 1, stop)
        if close < 0 or field == TIME:
            return -1, 0, 0
        if field == ACTION:
            number = _action(data, at + 1, close, actions)
            return (close + 1 if number >= 0 else -1), number, number
        return close + 1, at + 1, close
    if data[at] == _N:
        null = field in (CATEGORY, USER, EVENT) and stop - at >= 4 and np.array_equal(data[at : at + 4], _NULL)
        return (at + 4 if null else -1), -1, -1
    after, value = _integer(data, at, stop)
    if field == TIME:
        return after, value, value
    if field == ACTION:
        return (after if 0 <= value <= 255 else -1), value, value
    return after, at, after


@kernel
def _object(  # noqa: PLR0911, PLR0917 - one jump out per finding
    data: Bytes, at: int, stop: int, row: int, actions: Bytes, columns: NDArray[np.int64]
) -> bool:
    """Whether `data[at:stop]` is one behaviour and nothing else; its values are in the row's columns then."""
    at = _blank(data, at, stop)
    if at >= stop or data[at] != _OPEN:
        return False
    seen = 0
    while True:  # one field: "name" : value, then "," or "}"
        at = _blank(data, at + 1, stop)
        if at >= stop or data[at] != _QUOTE:
            return False
        close, field = _name(data, at + 1, stop)
        if close < 0 or (seen >> field) & 1:
            return False
        seen |= 1 << field
        at = _blank(data, close + 1, stop)
        if at >= stop or data[at] != _COLON:
            return False
        at = _blank(data, at + 1, stop)
        if at >= stop:
            return False
        at, first, last = _value(data, at, stop, field, actions)
        if at < 0:
            return False
        columns[2 * field, row], columns[2 * field + 1, row] = first, last
        at = _blank(data, at, stop)
        if at >= stop:
            return False
        if data[at] == _CLOSE:
            return (seen & _REQUIRED) == _REQUIRED and _blank(data, at + 1, stop) == stop
        if data[at] != _COMMA:
            return False


@kernel
def scan(
    data: Bytes, starts: NDArray[np.int64], stops: NDArray[np.int64], actions: Bytes
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Read many behaviours.

    Args:
        data: `[bytes] uint8`, the records somewhere inside.
        starts: `[n] int64` first byte of each record.
        stops: `[n] int64` byte after each record.
        actions: `[a, 2 + longest] uint8`: each action's number, the length of its name, its name.

    Returns:
        `read [n] bool` (False: left to msgspec, its columns mean nothing) and `columns [12, n] int64`: rows `2 f` and
        `2 f + 1` are begin and end of the span of id field f (-1 = not sent), or both the value of TIME and ACTION.

    """
    n = len(starts)
    read = np.zeros(n, np.bool_)
    columns = np.full((12, n), -1, np.int64)
    for row in range(n):
        read[row] = _object(data, starts[row], stops[row], row, actions, columns)
    return read, columns
