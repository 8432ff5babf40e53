"""The index of Taobao-MM's raw layout: samples sorted by the row of their user, and items sorted by id.

    NAME-users.npy    [users, 2]    user id, row of the user file
    NAME-samples.npy  [samples, 4]  row of the user file (number of rows = the user has none), user, item, 1 = click
    items.npy         [items, 4]    item id, 206, 213, 214
    NAME.json         sizes and times of the files that it was made from; written last

Invariant: an index is used only while its files are as they were when it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.data import sorted_rows
from muse_stream.esu_scorer.data.parquet import Footer, Rows, read
from muse_stream.esu_scorer.data.sorted_rows import WHOLE_SPAN, SortedRows
from muse_stream.esu_scorer.data.taobao_rows import ITEM, ITEM_COLUMNS, ITEM_FEATURES, LABEL, USER, columns_of, labels
from muse_stream.esu_scorer.errors import DataError

Int64 = npt.NDArray[np.int64]
Told = Callable[[str, int, int], None]
"""Told of (step, rows done, rows in all)."""

_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class RawFiles:
    """The files of `train` or `test`."""

    name: str
    samples: Footer
    users: Footer


@dataclass(frozen=True, eq=False, slots=True)
class Index:
    """Samples by user row, and item features by item."""

    samples: SortedRows
    items: SortedRows

    @classmethod
    def of(cls, files: RawFiles, items: Footer, work: Path, told: Told | None = None) -> Index:
        """Open the index in the folder `work`, or build it there.

        Raises:
            DataError: A value is bad, a user or item has two rows, or the folder cannot be written.

        """
        marks = {
            files.name: _mark(files.samples, files.users, items),
            "items": _mark(items),
        }
        say = told or _silent
        if not _is_current(work, "items", marks["items"]):
            _build(work, "items", marks["items"], lambda: _sort_items(items, work, say))
        if not _is_current(work, files.name, marks[files.name]):
            _build(work, files.name, marks[files.name], lambda: _sort_samples(files, work, say))
        return cls(SortedRows.open(work / f"{files.name}-samples.npy"), SortedRows.open(work / "items.npy"))

    def samples_of(self, first: int, stop: int) -> Int64:
        """Samples of the user rows `first..stop-1`: `[n, 4] int64` user row, user, item, 1 = click."""
        low, high = np.searchsorted(self.samples.keys, [first, stop])
        return np.asarray(self.samples.rows[low:high])


def _sort_items(items: Footer, work: Path, say: Told) -> None:
    def pieces() -> Iterator[Int64]:
        for rows in _told_batches(items, list(ITEM_COLUMNS), "items", say):
            yield np.column_stack([rows.ids(ITEM, required=True), columns_of(rows, ITEM_FEATURES)])

    _refuse_twice(sorted_rows.write(work / "items.npy", pieces(), span=WHOLE_SPAN), items.path, ITEM)


def _sort_samples(files: RawFiles, work: Path, say: Told) -> None:
    users = sorted_rows.write(work / f"{files.name}-users.npy", _user_rows(files.users, say), span=WHOLE_SPAN)
    _refuse_twice(users, files.users.path, USER)

    def pieces() -> Iterator[Int64]:
        for rows in _told_batches(files.samples, [LABEL, USER, ITEM], f"{files.name} samples", say):
            user = rows.ids(USER, required=True)
            index = users.find(user)
            row = np.full(len(user), files.users.rows)
            row[index >= 0] = users.rows[index[index >= 0], 1]
            yield np.column_stack([row, user, rows.ids(ITEM, required=True), labels(rows)])

    sorted_rows.write(work / f"{files.name}-samples.npy", pieces(), span=(0, files.users.rows + 1))


def _user_rows(users: Footer, say: Told) -> Iterator[Int64]:
    for rows in _told_batches(users, [USER], "users", say):
        ids = rows.ids(USER, required=True)
        yield np.column_stack([ids, np.arange(rows.first, rows.first + len(ids))])


def _told_batches(footer: Footer, columns: list[str], step: str, say: Told) -> Iterator[Rows]:
    for rows in read(footer.path, columns, rows=_BATCH_ROWS):
        yield rows
        say(step, rows.first + len(rows), footer.rows)


def _refuse_twice(found: SortedRows, path: Path, column: str) -> None:
    twice = found.keys[1:] == found.keys[:-1]
    if twice.any():
        msg = f"{path}: column {column!r}: id {found.keys[int(np.argmax(twice))]} has two rows, expected one"
        raise DataError(msg)


def _mark(*footers: Footer) -> bytes:
    stats = [(str(footer.path), footer.path.stat()) for footer in footers]
    return msgspec.json.encode([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


def _is_current(work: Path, name: str, mark: bytes) -> bool:
    path = work / f"{name}.json"
    return path.is_file() and path.read_bytes() == mark


def _build(work: Path, name: str, mark: bytes, sort: Callable[[], None]) -> None:
    """Build and then mark as built. Raises `DataError` where the folder cannot be written."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        (work / f"{name}.json").unlink(missing_ok=True)
        sort()
        (work / f"{name}.json").write_bytes(mark)
    except OSError as error:
        msg = f"{work}: the index cannot be written: {error}; pass `work`, a folder with 80 bytes a sample to spare"
        raise DataError(msg) from error


def _silent(_step: str, _done: int, _total: int) -> None:
    return
