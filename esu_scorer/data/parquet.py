"""Parquet files read in record batches, and errors that name file, column and row.

Invariant: of a file, at most one record batch is decoded at a time, however large its row groups are: pages are read
through a buffer of a fixed size, not a row group at once.

A row in an error is the row of the file, counted from 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from muse_stream.esu_scorer.errors import DataError

Int64 = npt.NDArray[np.int64]
_BUFFER_BYTES = 1 << 20  # of each column chunk being read: 13 columns of a shard stay below 16 MB
_PROBLEMS_SHOWN = 10


class Kind(Enum):
    """What a column must hold: the value is Arrow's name of it."""

    ID = "int64"
    IDS = "list<int64>"
    BYTES = "list<int8>"


@dataclass(frozen=True, slots=True)
class Footer:
    """What the end of a file says: its path, and the rows of each row group."""

    path: Path
    group_rows: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return sum(self.group_rows)


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """A record batch and where it came from.

    Attributes:
        path: The file.
        first: Row of the file that is row 0 of the batch.
        batch: A pyarrow record batch.

    """

    path: Path
    first: int
    batch: Any

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def wrong(self, column: str, row: int, text: str) -> DataError:
        """The error for row `row` of the batch."""
        return DataError(f"{self.path}: column {column!r}, row {self.first + row}: {text}")

    def numbers(self, column: str, *, missing: int | None = None) -> npt.NDArray[Any]:
        """A column of numbers; a null becomes `missing`. Raises `DataError` at a null when that is None."""
        array = self.batch.column(column)
        if array.null_count:
            if missing is None:
                row = int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
                raise self.wrong(column, row, "is null, expected a value")
            array = array.fill_null(missing)
        values: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
        return values

    def ids(self, column: str, *, required: bool = False) -> Int64:
        """A column of ids, 0 = missing. Raises `DataError` at a missing one where it is required."""
        values: Int64 = self.numbers(column, missing=0)
        if required and not values.all():
            raise self.wrong(column, int(np.argmin(values != 0)), "is 0 or null (missing), expected an id")
        return values

    def lists(self, column: str) -> Lists:
        """A column of lists; a null list is empty. Raises `DataError` at a null within a list."""
        array = self.batch.column(column)
        values = array.flatten()  # of this batch's rows only, null lists left out
        lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        lists = Lists(np.empty(0, np.int64), np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
        if values.null_count:
            place = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
            row = lists.row_of(place)
            raise self.wrong(column, row, f"place {place - int(lists.offsets[row])} is null, expected a number")
        return Lists(values.to_numpy(zero_copy_only=False), lists.offsets)


@dataclass(frozen=True, eq=False, slots=True)
class Lists:
    """Lists as columns: row i is `values[offsets[i]:offsets[i + 1]]`; `offsets [n + 1] int64` begins with 0."""

    values: npt.NDArray[Any]
    offsets: Int64

    @property
    def lengths(self) -> Int64:
        """Length of each list, `[n] int64`."""
        return np.diff(self.offsets)

    def row_of(self, place: int) -> int:
        """The list that holds `values[place]`."""
        return int(np.searchsorted(self.offsets, place, side="right")) - 1


def check_files(paths: Iterable[Path], columns: Mapping[str, Kind]) -> list[Footer]:
    """Read the footers of all files; no data.

    Raises:
        DataError: A file is missing, cut short or no parquet, or a column is missing or of another type. All files are
            looked at first: the text has the first ten problems.

    """
    footers, problems = [], []
    for path in paths:
        found = _footer(path, columns)
        if isinstance(found, Footer):
            footers.append(found)
        else:
            problems += found
    if problems:
        more = [f"... and {len(problems) - _PROBLEMS_SHOWN} more"] if len(problems) > _PROBLEMS_SHOWN else []
        raise DataError("\n".join(problems[:_PROBLEMS_SHOWN] + more))
    return footers


def _footer(path: Path, columns: Mapping[str, Kind]) -> Footer | list[str]:
    """The footer, or what is wrong with the file."""
    try:
        with pq.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            groups = tuple(metadata.row_group(index).num_rows for index in range(metadata.num_row_groups))
    except FileNotFoundError:
        return [f"{path}: no such file"]
    except (pa.ArrowInvalid, OSError) as error:
        size = path.stat().st_size if path.is_file() else 0
        return [f"{path}: cannot be read as parquet ({size} bytes; cut short? fetch it again): {_first_line(error)}"]
    problems = []
    for name, kind in columns.items():
        if name not in schema.names:
            problems.append(f"{path}: column {name!r} is missing; the file has {', '.join(schema.names)}")
        elif not _is(schema.field(name).type, kind):
            problems.append(f"{path}: column {name!r} is {schema.field(name).type}, expected {kind.value}")
    return problems or Footer(path, groups)


def _is(found: pa.DataType, kind: Kind) -> bool:
    if kind is Kind.ID:
        return bool(found == pa.int64())
    element = pa.int64() if kind is Kind.IDS else pa.int8()
    lists = pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)
    return bool(lists and found.value_type == element)


def read(path: Path, columns: Sequence[str], *, rows: int, groups: Sequence[int] | None = None) -> Iterator[Rows]:
    """Read some columns in record batches of at most `rows` rows, in file order.

    Args:
        path: File.
        columns: Which.
        rows: Most rows of a batch.
        groups: Row groups, rising; None = all.

    Raises:
        DataError: A page cannot be decoded.

    """
    with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
        every = range(file.metadata.num_row_groups)
        starts = np.cumsum([0] + [file.metadata.row_group(index).num_rows for index in every])
        for group in every if groups is None else groups:
            first = int(starts[group])
            try:
                # threads would decode columns side by side and keep the process's other work waiting
                for batch in file.iter_batches(rows, row_groups=[group], columns=list(columns), use_threads=False):
                    yield Rows(path, first, batch)
                    first += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                msg = f"{path}: row group {group}, from row {first}: cannot be decoded: {_first_line(error)}"
                raise DataError(msg) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
