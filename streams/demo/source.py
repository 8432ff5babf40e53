"""Behaviours from files in the normal form: parquet, CSV with a header, JSON lines.

Columns: `user`, `item`, `event_time_ms`, `action`, and optionally `category` and `event_id`. A file is read in batches,
never whole. Invariant: what is yielded keeps the file's order; a bad cell ends the reading with file, row and column.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from muse_stream.streams.demo.feed import Rows
from muse_stream.streams.errors import SourceError

BATCH_ROWS = 10_000
REQUIRED = ("user", "item", "event_time_ms", "action")
OPTIONAL = ("category", "event_id")
SUFFIXES = (".parquet", ".csv", ".jsonl")
_BLOCK_BYTES = 1 << 20


def count_rows(path: Path) -> int:
    """Rows of a file, for progress: exact for parquet, lines otherwise. Raises `SourceError`."""
    if _suffix(path) == ".parquet":
        with _parquet(path) as file:
            return int(file.metadata.num_rows)
    with path.open("rb") as file:
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK_BYTES), b""))
    return max(0, lines - (_suffix(path) == ".csv"))


def read_rows(path: Path) -> Iterator[Rows]:
    """Yield batches of behaviours.

    Raises:
        SourceError: Another suffix, a missing column, or a cell that is not what its column holds.

    """
    readers = {".parquet": _parquet_records, ".csv": _csv_records, ".jsonl": _json_records}
    records = readers[_suffix(path)](path)
    number = 0
    while batch := list(islice(records, BATCH_ROWS)):
        yield _rows(path, batch, number)
        number += len(batch)


def _suffix(path: Path) -> str:
    if path.suffix not in SUFFIXES:
        message = f"{path}: files ending in {', '.join(SUFFIXES)} are read; convert it to one of them"
        raise SourceError(message)
    return path.suffix


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        message = f"{path} is not a readable parquet file: {error}"
        raise SourceError(message) from error


def _parquet_records(path: Path) -> Iterator[dict[str, Any]]:
    with _parquet(path) as file:
        names = _check_columns(path, file.schema_arrow.names)
        for batch in file.iter_batches(BATCH_ROWS, columns=names):
            yield from batch.to_pylist()


def _csv_records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        _check_columns(path, list(reader.fieldnames or []))
        yield from reader


def _json_records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
            except ValueError as error:
                message = f"{path}, row {number}: not JSON ({error}); every line is one object"
                raise SourceError(message) from error
            if not isinstance(record, dict):
                message = (
                    f"{path}, row {number}: {type(record).__name__}, expected an object with {', '.join(REQUIRED)}"
                )
                raise SourceError(message)
            yield record


def _check_columns(path: Path, names: list[str]) -> list[str]:
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        message = (
            f"{path} has columns {', '.join(names) or 'none'}; missing: {', '.join(missing)} (the normal form is user, "
            f"item, category, action, event_time_ms)"
        )
        raise SourceError(message)
    return [name for name in (*REQUIRED, *OPTIONAL) if name in names]


def _rows(path: Path, batch: list[dict[str, Any]], before: int) -> Rows:
    return Rows(
        user=[_id(path, before + row, record, "user") for row, record in enumerate(batch, 1)],
        item=[_id(path, before + row, record, "item") for row, record in enumerate(batch, 1)],
        time_ms=[_whole(path, before + row, record) for row, record in enumerate(batch, 1)],
        action=[_action(path, before + row, record) for row, record in enumerate(batch, 1)],
        category=[record.get("category") or None for record in batch],
        event_id=[str(record["event_id"]) if record.get("event_id") else None for record in batch],
    )


def _id(path: Path, row: int, record: Mapping[str, Any], column: str) -> int | str:
    value = record.get(column)
    if isinstance(value, (int, str)) and not isinstance(value, bool) and value != "":
        return value
    message = f"{path}, row {row}, column {column}: {value!r} is no id; ids are whole numbers or text"
    raise SourceError(message)


def _action(path: Path, row: int, record: Mapping[str, Any]) -> int | str:
    value = _id(path, row, record, "action")
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _whole(path: Path, row: int, record: Mapping[str, Any]) -> int:
    value = record.get("event_time_ms")
    try:
        if isinstance(value, (int, str)):
            return int(value)
    except ValueError:
        pass
    message = f"{path}, row {row}, column event_time_ms: {value!r}, expected milliseconds since 1970 as a whole number"
    raise SourceError(message)
