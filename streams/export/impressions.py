"""The file of impressions: what was shown to whom, when, and whether it was taken.

Columns: `user` and `item` (whole numbers, or text by the id rule of docs/wire.md), `time_ms`, `label` (0 or 1), and
either none or all of `behaviours_position`, `users_position`, `items_position`: `positions` of the answer that was
served. `request_id` is read for served features alone. Other columns are read over. Parquet, or CSV with a header.

Invariant: what is read is whole and checked: the first bad cell ends the reading with file, row and column.
Memory: 37 bytes an impression, 24 more with positions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from muse_stream.streams.errors import IdError, SourceError
from muse_stream.streams.wire.ids import id_of, is_reserved, key_of
from muse_stream.streams.wire.partitioner import partition_of_key, partition_of_users

I64 = NDArray[np.int64]
POSITIONS = ("behaviours_position", "users_position", "items_position")
REQUIRED = ("user", "item", "time_ms", "label")
REQUEST = "request_id"
BATCH_ROWS = 65_536
_KINDS: tuple[Any, ...] = (np.int64, np.int32, np.int64, np.int64, np.bool_)
NOBODY = -1
"""Partition of a reserved user."""


@dataclass(frozen=True, slots=True)
class Impressions:
    """Impressions in the order of their file.

    Attributes:
        row: `[n] int64` row in the file, the first one is 1.
        user: `[n] int64`.
        partition: `[n] int32` of behaviours and users; `NOBODY` for a reserved user.
        item: `[n] int64`.
        time_ms: `[n] int64`.
        label: `[n] bool`.
        positions: `[n, 3] int64` behaviours, users, items; None: the moments follow from the times.
        request: `[n]` request ids; None where the file has none.

    """

    row: I64
    user: I64
    partition: NDArray[np.int32]
    item: I64
    time_ms: I64
    label: NDArray[np.bool_]
    positions: I64 | None
    request: list[str] | None

    def __len__(self) -> int:
        return len(self.row)


def read_impressions(path: Path, partition_count: int, *, requests: bool = False) -> Impressions:
    """Read a file whole.

    Args:
        path: A .parquet or .csv file.
        partition_count: Of behaviours.
        requests: Whether `request_id` is needed.

    Raises:
        SourceError: Another suffix, missing columns, a cell of a wrong type or out of range.

    """
    names, batches = _open(path)
    _check_names(path, names, requests=requests)
    placed = all(name in names for name in POSITIONS)
    parts: list[list[Any]] = []
    before = 0
    for batch in batches:
        cells = _Cells(path, batch, before)
        user, partition = cells.users(partition_count)
        positions = np.column_stack([cells.whole(name) for name in POSITIONS]) if placed else None
        texts = cells.texts(REQUEST) if requests else None
        parts.append([user, partition, cells.items(), cells.whole("time_ms"), cells.labels(), positions, texts])
        before += len(batch)
    return _joined(parts, before, placed=placed, requests=requests)


def _joined(parts: list[list[Any]], count: int, *, placed: bool, requests: bool) -> Impressions:
    user, partition, item, time_ms, label = (
        np.concatenate([np.empty(0, kind), *(part[number] for part in parts)]).astype(kind)
        for number, kind in enumerate(_KINDS)
    )
    positions = np.concatenate([np.empty((0, 3), np.int64), *(part[5] for part in parts)]) if placed else None
    texts = [text for part in parts for text in part[6]] if requests else None
    return Impressions(np.arange(1, count + 1), user, partition, item, time_ms, label, positions, texts)


def _open(path: Path) -> tuple[list[str], Iterator[pa.RecordBatch]]:
    if path.suffix not in (".parquet", ".csv"):
        message = f"{path}: files ending in .parquet or .csv are read; convert it to one of them"
        raise SourceError(message)
    try:
        if path.suffix == ".parquet":
            file = pq.ParquetFile(path)
            return file.schema_arrow.names, file.iter_batches(BATCH_ROWS, columns=_wanted(file.schema_arrow.names))
        with pa.csv.open_csv(path) as head:
            found = head.schema.names
        types = dict.fromkeys(found, pa.string())
        options = pa.csv.ConvertOptions(column_types=types, include_columns=_wanted(found))
        return found, _checked(path, iter(pa.csv.open_csv(path, convert_options=options)))
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        message = f"{path} is not a readable {path.suffix[1:]} file: {error}"
        raise SourceError(message) from error


def _checked(path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except pa.ArrowInvalid as error:
        message = f"{path} is not a readable csv file: {error}"
        raise SourceError(message) from error


def _wanted(names: Sequence[str]) -> list[str]:
    return [name for name in (*REQUIRED, *POSITIONS, REQUEST) if name in names]


def _check_names(path: Path, names: Sequence[str], *, requests: bool) -> None:
    missing = [name for name in (*REQUIRED, *([REQUEST] if requests else [])) if name not in names]
    if missing:
        message = f"{path} has columns {', '.join(names) or 'none'}; missing: {', '.join(missing)}"
        raise SourceError(message)
    some = [name for name in POSITIONS if name in names]
    if 0 < len(some) < len(POSITIONS):
        lacking = [name for name in POSITIONS if name not in names]
        message = f"{path} has {', '.join(some)} and not {', '.join(lacking)}; give all three, or none to go by time_ms"
        raise SourceError(message)


class _Cells:
    """The cells of one batch, checked as they are taken."""

    def __init__(self, path: Path, batch: pa.RecordBatch, before: int) -> None:
        self._path, self._batch, self._before = path, batch, before

    def users(self, count: int) -> tuple[I64, NDArray[np.int32]]:
        """Ids `[n] int64` and partitions `[n] int32`."""
        column = self._batch.column("user")
        if pa.types.is_integer(column.type):
            found = self._integers("user", column)
            self._require("user", found != 0, found, "0 means missing; ids are numbered from 1")
            return found, partition_of_users(found, count)
        texts, places = self._dictionary("user", column)
        ids = np.array([self._id("user", text, row) for text, row in _first_rows(texts, places)], np.int64)
        where = [NOBODY if is_reserved(text) else partition_of_key(key_of(text), count) for text in texts]
        return ids[places], np.array(where, np.int32)[places]

    def items(self) -> I64:
        """Ids `[n] int64`."""
        column = self._batch.column("item")
        if pa.types.is_integer(column.type):
            found = self._integers("item", column)
            self._require("item", found != 0, found, "0 means missing; ids are numbered from 1")
            return found
        texts, places = self._dictionary("item", column)
        ids = np.array([self._id("item", text, row) for text, row in _first_rows(texts, places)], np.int64)
        return ids[places]

    def whole(self, name: str) -> I64:
        """Numbers from 0 `[n] int64`."""
        found = self._numbers(name)
        self._require(name, found >= 0, found, "expected a whole number from 0")
        return found

    def labels(self) -> NDArray[np.bool_]:
        """`[n] bool`."""
        column = self._batch.column("label")
        if pa.types.is_boolean(column.type):
            self._require_present("label", column)
            return np.asarray(column.to_numpy(zero_copy_only=False), np.bool_)
        found = self._numbers("label")
        self._require("label", (found == 0) | (found == 1), found, "expected 0 or 1")
        taken: NDArray[np.bool_] = found == 1
        return taken

    def texts(self, name: str) -> list[str]:
        """Texts, of numbers their decimal form."""
        column = self._batch.column(name)
        self._require_present(name, column)
        return [str(value) for value in column.to_pylist()]

    def _numbers(self, name: str) -> I64:
        column = self._batch.column(name)
        if pa.types.is_integer(column.type):
            return self._integers(name, column)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            self._require_present(name, column)
            return np.array([self._number(name, text, row) for row, text in enumerate(column.to_pylist())], np.int64)
        message = f"{self._path}, column {name}: values are {column.type}, expected whole numbers"
        raise SourceError(message)

    def _number(self, name: str, text: str, row: int) -> int:
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or not -(2**63) <= number < 2**63:
            self._fail(name, row, f"{text!r}, expected a whole number")
        return number or 0

    def _integers(self, name: str, column: pa.Array) -> I64:
        self._require_present(name, column)
        try:
            return np.asarray(pc.cast(column, pa.int64()).to_numpy(zero_copy_only=False), np.int64)
        except pa.ArrowInvalid as error:
            message = f"{self._path}, column {name}: a number outside int64 ({error})"
            raise SourceError(message) from error

    def _dictionary(self, name: str, column: pa.Array) -> tuple[list[str], I64]:
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            message = f"{self._path}, column {name}: values are {column.type}, expected whole numbers or text"
            raise SourceError(message)
        self._require_present(name, column)
        encoded = column.dictionary_encode()
        return encoded.dictionary.to_pylist(), np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64)

    def _id(self, name: str, text: str, row: int) -> int:
        try:
            found = id_of(text)
        except IdError as error:
            self._fail(name, row, str(error))
        if not found:
            self._fail(name, row, f"{text!r} is id 0, which means missing; ids are numbered from 1")
        return found

    def _require_present(self, name: str, column: pa.Array) -> None:
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            self._fail(name, row, "no value")

    def _require(self, name: str, good: NDArray[np.bool_], found: I64, expected: str) -> None:
        if not good.all():
            row = int(np.argmin(good))
            self._fail(name, row, f"{found[row]}; {expected}")

    def _fail(self, name: str, row: int, what: str) -> None:
        message = f"{self._path}, row {self._before + row + 1}, column {name}: {what}"
        raise SourceError(message)


def _first_rows(texts: Sequence[str], places: I64) -> Iterator[tuple[str, int]]:
    """Each distinct text with the row where it comes first."""
    _, first = np.unique(places, return_index=True)
    return zip(texts, first.tolist(), strict=True)
