"""Compiled reader for behaviours in JSON as nearly all producers write them: a flat object of integers and plain text.

It reads each record within its own bounds, so nothing that one record holds can change what its neighbours mean, and
accepts only what it is sure of (known fields, each at most once, integers within int64, text of printable ASCII without
escapes, null where the contract allows it) and leaves every other record, right or wrong, to msgspec.

Invariant: a record that this reader accepts, msgspec accepts with the same values; the two are compared by property
tests. Ids come back as byte spans: an integer's literal and its text are the same bytes, so one id rule reads both.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

ITEM, CATEGORY, USER, EVENT = range(4)
"""Rows of the span arrays."""

_TIME, _ACTION, _UNKNOWN = 4, 5, 6
_REQUIRED = (1 << ITEM) | (1 << _TIME) | (1 << _ACTION)
_NAMES = np.frombuffer(b"item    categoryuser    event_idtime_ms action  ", np.uint8)  # 8 bytes each, by field number
_LENGTHS = np.array([4, 8, 4, 8, 7, 6], np.int64)
_NULL = np.frombuffer(b"null", np.uint8)
_INT64_MAX = np.uint64(2**63 - 1)
_QUOTE, _COMMA, _COLON, _OPEN, _CLOSE, _MINUS, _BACKSLASH, _N = 34, 44, 58, 123, 125, 45, 92, 110


@njit(cache=True, nogil=True)
def _blank(data: NDArray[np.uint8], at: int, stop: int) -> int:
    """The next byte that is not JSON white space."""
    while at < stop and (data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 9):
        at += 1
    return at


@njit(cache=True, nogil=True)
def _text(data: NDArray[np.uint8], at: int, stop: int) -> int:
    """The closing quote of plain text that begins at `at`, or -1."""
    while at < stop:
        byte = data[at]
        if byte == _QUOTE:
            return at
        if byte < 32 or byte >= 127 or byte == _BACKSLASH:
            return -1
        at += 1
    return -1


@njit(cache=True, nogil=True)
def _integer(data: NDArray[np.uint8], at: int, stop: int) -> tuple[int, np.int64]:
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
        return -1, np.int64(0)
    if total > _INT64_MAX + np.uint64(1 if negative else 0):
        return -1, np.int64(0)
    return at, np.int64(np.uint64(0) - total) if negative else np.int64(total)


@njit(cache=True, nogil=True)
def _field(data: NDArray[np.uint8], start: int, stop: int) -> int:
    for field in range(6):
        if stop - start != _LENGTHS[field]:
            continue
        same = True
        for i in range(stop - start):
            same &= data[start + i] == _NAMES[8 * field + i]
        if same:
            return field
    return _UNKNOWN


@njit(cache=True, nogil=True)
def _is_null(data: NDArray[np.uint8], at: int, stop: int) -> bool:
    if stop - at < 4:
        return False
    return bool(np.array_equal(data[at : at + 4], _NULL))


@njit(cache=True, nogil=True)
def _action(data: NDArray[np.uint8], start: int, stop: int, names: NDArray[np.uint8], bounds: NDArray[np.int64]) -> int:
    """Number of the name `data[start:stop]` among `names`, or -1."""
    for name in range(len(bounds) - 1):
        if stop - start != bounds[name + 1] - bounds[name]:
            continue
        same = True
        for i in range(stop - start):
            same &= data[start + i] == names[bounds[name] + i]
        if same:
            return name
    return -1


@njit(cache=True, nogil=True)
def _value(  # noqa: PLR0911, PLR0917 - compiled: one jump out per finding, and no keyword arguments
    data: NDArray[np.uint8],
    at: int,
    stop: int,
    field: int,
    row: int,
    actions: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]],
    columns: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]],
) -> int:
    """Read the value at `at` into the row's columns; the byte after it, or -1."""
    starts, stops, time_ms, action = columns
    if data[at] == _QUOTE:
        close = _text(data, at + 1, stop)
        if close < 0 or field == _TIME:
            return -1
        if field == _ACTION:
            name = _action(data, at + 1, close, actions[0], actions[1])
            if name < 0:
                return -1
            action[row] = actions[2][name]
        else:
            starts[field, row], stops[field, row] = at + 1, close
        return close + 1
    if data[at] == _N:
        return -1 if field == ITEM or field >= _TIME or not _is_null(data, at, stop) else at + 4
    after, value = _integer(data, at, stop)
    if after < 0:
        return -1
    if field == _TIME:
        time_ms[row] = value
    elif field == _ACTION:
        if value < 0 or value > 255:
            return -1
        action[row] = value
    else:
        starts[field, row], stops[field, row] = at, after
    return after


@njit(cache=True, nogil=True)
def _object(  # noqa: PLR0911, PLR0917 - as above
    data: NDArray[np.uint8],
    at: int,
    stop: int,
    row: int,
    actions: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]],
    columns: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]],
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
        close = _text(data, at + 1, stop)
        if close < 0:
            return False
        field = _field(data, at + 1, close)
        at = _blank(data, close + 1, stop)
        if field == _UNKNOWN or (seen >> field) & 1 or at >= stop or data[at] != _COLON:
            return False
        seen |= 1 << field
        at = _blank(data, at + 1, stop)
        if at >= stop:
            return False
        at = _value(data, at, stop, field, row, actions, columns)
        if at < 0:
            return False
        at = _blank(data, at, stop)
        if at >= stop:
            return False
        if data[at] == _CLOSE:
            return (seen & _REQUIRED) == _REQUIRED and _blank(data, at + 1, stop) == stop
        if data[at] != _COMMA:
            return False


@njit(cache=True, nogil=True)
def scan(
    data: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    actions: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]],
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Read many behaviours.

    Args:
        data: `[bytes] uint8`, the records one after another.
        bounds: `[n + 1] int64`.
        actions: Action names joined, their bounds `[a + 1] int64` and their numbers `[a] uint8`.

    Returns:
        `read [n] bool` (False: left to msgspec, its other columns mean nothing); `starts`, `stops` `[4, n] int64`, the
        spans of item, category, user and event id (start -1 = not sent); `time_ms [n] int64`; `action [n] uint8`.

    """
    n = len(bounds) - 1
    read = np.zeros(n, np.bool_)
    starts = np.full((4, n), -1, np.int64)
    stops = np.full((4, n), -1, np.int64)
    time_ms = np.zeros(n, np.int64)
    action = np.zeros(n, np.uint8)
    columns = (starts, stops, time_ms, action)
    for row in range(n):
        read[row] = _object(data, bounds[row], bounds[row + 1], row, actions, columns)
    return read, starts, stops, time_ms, action
