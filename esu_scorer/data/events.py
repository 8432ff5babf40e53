"""The normal form of a log: one row an event, as columns, checked.

    user, item   int64, never 0
    category     int64, 0 = not known
    action       0 .. 255, 0 = not known
    time_ms      int64, milliseconds since the epoch, from 1; never falling from one row of a user to the next
    label        1 = positive, 0 = negative, -1 (null in a file) = none

A row with a label is a sample. A row without one, or with label 1, is a behaviour: what was shown and not taken is
none. So a positive is a sample at its moment and a behaviour for what comes after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from muse_stream.esu_scorer.errors import DataError

Int64 = npt.NDArray[np.int64]
NO_LABEL, NEGATIVE, POSITIVE = -1, 0, 1
COLUMNS = ("user", "item", "category", "action", "time_ms", "label")
_BOUNDS = {"action": (0, 255), "time_ms": (1, 2**63 - 1), "label": (NO_LABEL, POSITIVE)}


@dataclass(frozen=True, eq=False, slots=True)
class Events:
    """Events in log order. Build with `of` or `from_parquet`, which check.

    Attributes:
        user: `[n] int64`.
        item: `[n] int64`.
        category: `[n] int64`.
        action: `[n] uint8`.
        time_ms: `[n] int64`.
        label: `[n] int8`.

    """

    user: Int64
    item: Int64
    category: Int64
    action: npt.NDArray[np.uint8]
    time_ms: Int64
    label: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def of(cls, columns: Mapping[str, npt.ArrayLike], name: str = "events") -> Events:
        """Check columns and take them; `category` and `action` may be left out.

        Args:
            columns: The columns of the module's text, of one length.
            name: What errors call them.

        Raises:
            DataError: A column is missing, not of integers or of another length; an id is 0; a value is out of bounds;
                a user's time falls.

        """
        _check_names(columns, name)
        arrays = {column: np.asarray(values) for column, values in columns.items() if column in COLUMNS}
        count = len(arrays["user"])
        for column in ("category", "action"):
            arrays.setdefault(column, np.zeros(count, np.int64))
        for column, values in arrays.items():
            _check_column(name, column, values, count)
        events = cls(
            user=arrays["user"].astype(np.int64),
            item=arrays["item"].astype(np.int64),
            category=arrays["category"].astype(np.int64),
            action=arrays["action"].astype(np.uint8),
            time_ms=arrays["time_ms"].astype(np.int64),
            label=arrays["label"].astype(np.int8),
        )
        _check_times(name, events)
        return events

    @classmethod
    def from_parquet(cls, path: Path) -> Events:
        """Read a parquet file with these columns. Raises `DataError`."""
        try:
            table = pq.read_table(path, columns=[name for name in COLUMNS if name in pq.read_schema(path).names])
        except (pa.ArrowException, OSError) as error:
            msg = f"{path}: cannot be read as parquet (missing or cut short?): {error}"
            raise DataError(msg) from error
        columns = {}
        for column in table.column_names:
            values = table[column].combine_chunks()
            if values.null_count and column != "label":
                row = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
                msg = f"{path}: column {column!r}, row {row}: is null, expected a value"
                raise DataError(msg)
            if pa.types.is_boolean(values.type):
                values = values.cast(pa.int8())
            if column == "label" and pa.types.is_integer(values.type):
                values = values.fill_null(NO_LABEL)
            columns[column] = values.to_numpy(zero_copy_only=False)
        return cls.of(columns, str(path))


def _check_names(columns: Mapping[str, npt.ArrayLike], name: str) -> None:
    missing = [column for column in ("user", "item", "time_ms", "label") if column not in columns]
    if missing:
        msg = f"{name}: column {missing[0]!r} is missing; there are {', '.join(columns) or 'none'}"
        raise DataError(msg)


def _check_column(name: str, column: str, values: npt.NDArray[Any], count: int) -> None:
    if values.ndim != 1 or (values.dtype.kind not in "iu" and values.size):
        msg = f"{name}: column {column!r} is {values.dtype} {values.shape}, expected integers [n]"
        raise DataError(msg)
    if len(values) != count:
        msg = f"{name}: column {column!r} has {len(values)} rows, 'user' has {count}"
        raise DataError(msg)
    if column in {"user", "item"} and not values.all():
        msg = f"{name}: column {column!r}, row {int(np.argmin(values != 0))}: is 0 (missing), expected an id"
        raise DataError(msg)
    low, high = _BOUNDS.get(column, (-(2**63), 2**63 - 1))
    wrong = (values < low) | (values > high)
    if wrong.any():
        row = int(np.argmax(wrong))
        msg = f"{name}: column {column!r}, row {row}: is {values[row]}, expected {low} to {high}"
        raise DataError(msg)


def _check_times(name: str, events: Events) -> None:
    """Raise `DataError` at the first row, in log order, that is earlier than the row of the same user before it."""
    order = np.argsort(events.user, kind="stable")
    user, time_ms = events.user[order], events.time_ms[order]
    back = (user[1:] == user[:-1]) & (time_ms[1:] < time_ms[:-1])
    if back.any():
        places = np.flatnonzero(back) + 1
        place = int(places[np.argmin(order[places])])
        msg = (
            f"{name}: column 'time_ms', row {order[place]}: is {time_ms[place]}, before {time_ms[place - 1]} of row "
            f"{order[place - 1]} of the same user {user[place]}; expected a log in order of time: sort it"
        )
        raise DataError(msg)
