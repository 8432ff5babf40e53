"""Some columns of a CSV file, found by name, read in blocks; errors name file, column and line.

A line in an error is the line of the file, the header being line 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pc

from muse_stream.esu_scorer.errors import DataError

Int64 = npt.NDArray[np.int64]
_CONVERSION = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?(.*)")


class Cell(Enum):
    """What the cells of a column hold."""

    NUMBER = "integers"
    TEXT = "text"


def check_headers(files: Mapping[Path, Iterable[str]]) -> None:
    """Look at the first line of all files. Raises `DataError` with all columns that are missing."""
    problems = []
    for path, names in files.items():
        header = header_of(path)
        missing = [name for name in names if name not in header]
        if missing:
            problems.append(f"{path}: column {', '.join(map(repr, missing))} is missing; there are {', '.join(header)}")
    if problems:
        raise DataError("\n".join(problems))


def header_of(path: Path) -> list[str]:
    """Names of the columns. Raises `DataError` where the file cannot be read."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            line = file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read: {error}"
        raise DataError(msg) from error
    return [name.strip().strip('"') for name in line.split(",")]


def read_csv(
    path: Path, columns: Mapping[str, Cell], of_text: Mapping[str, Callable[[str], int]] | None = None
) -> dict[str, Int64]:
    """Columns as int64: numbers as they are, texts as `of_text` maps each distinct one.

    Raises:
        DataError: A cell is empty or no number where one is expected, a text is none that `of_text` knows, or a line is
            cut short.

    """
    header = header_of(path)
    types = {name: pa.int64() if cell is Cell.NUMBER else pa.string() for name, cell in columns.items()}
    options = pc.ConvertOptions(column_types=types, include_columns=list(columns), strings_can_be_null=False)
    parts: dict[str, list[Int64]] = {name: [] for name in columns}
    line = 2
    try:
        # one thread: only then does Arrow say in which line it failed
        with pc.open_csv(path, read_options=pc.ReadOptions(use_threads=False), convert_options=options) as reader:
            for batch in reader:
                for name, cell in columns.items():
                    values = batch.column(name)
                    coded = _numbers if cell is Cell.NUMBER else _texts
                    parts[name].append(coded(path, name, line, values, (of_text or {}).get(name)))
                line += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(_told(path, header, str(error))) from error
    return {name: np.concatenate(pieces) if pieces else np.empty(0, np.int64) for name, pieces in parts.items()}


def _numbers(path: Path, name: str, line: int, values: pa.Array, _mapped: object) -> Int64:
    if values.null_count:
        row = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
        msg = f"{path}: column {name!r}, line {line + row}: is empty, expected a number"
        raise DataError(msg)
    numbers: Int64 = values.to_numpy(zero_copy_only=False)
    return numbers


def _texts(path: Path, name: str, line: int, values: pa.Array, mapped: Callable[[str], int] | None) -> Int64:
    encoded = values.dictionary_encode()
    indices = encoded.indices.to_numpy(zero_copy_only=False)
    codes = np.zeros(len(encoded.dictionary), np.int64)
    for index, text in enumerate(encoded.dictionary.to_pylist()):
        try:
            codes[index] = mapped(text) if mapped else 0
        except ValueError as error:
            row = line + int(np.argmax(indices == index))
            msg = f"{path}: column {name!r}, line {row}: is {text!r}: {error}"
            raise DataError(msg) from error
    coded: Int64 = codes[indices]
    return coded


def _told(path: Path, header: list[str], text: str) -> str:
    """Arrow's text with the column's name in place of its number."""
    found = _CONVERSION.search(text)
    if found is None:
        return f"{path}: {text}"
    number, line, rest = found.groups()
    return f"{path}: column {header[int(number)]!r}, line {line or 'unknown'}: {rest}"
