"""Item vectors from files, in pieces.

    released parquet      scl_embedding_int8_p90.parquet: `205` int64, `205_c` list<int8> of 128
    released npy pair     feature_map/scl_emb_int8_p90_keys.npy [N] int64, ..._values.npy [N, 128] int8: memory-mapped
    a parquet of one's own   columns `item` int64, `vector` list<int8>, or list<float> with a `quantise` to int8

A vector of zeros points nowhere: its item counts as one without a vector, and does not come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from muse_stream.esu_scorer.data.parquet import Kind, Lists, Rows, check_files, read
from muse_stream.esu_scorer.data.taobao_rows import ITEM
from muse_stream.esu_scorer.errors import DataError

Int64 = npt.NDArray[np.int64]
Int8 = npt.NDArray[np.int8]
Float32 = npt.NDArray[np.float32]
Pieces = tuple[Int64, Int8]
Quantise = Callable[[Float32], Int8]
"""From `[n, d] float32` to `[n, d] int8`: the engine's, passed in."""

WIDTH = 128
VECTOR = "205_c"
_FILE = "scl_embedding_int8_p90.parquet"
_KEYS, _VALUES = "scl_emb_int8_p90_keys.npy", "scl_emb_int8_p90_values.npy"
_PIECE_ROWS = 65_536  # 8 MB of vectors at a width of 128


def released(path: Path) -> Iterator[Pieces]:
    """Vectors of Taobao-MM below `path`: the npy pair if it is there, else the parquet.

    Raises:
        DataError: Neither is there, they have another width, or an id is 0.

    """
    keys = path / "feature_map" / _KEYS
    if keys.is_file():
        yield from from_npy(keys, keys.with_name(_VALUES), width=WIDTH)
        return
    for parquet in (path / "raw" / _FILE, path / _FILE):
        if parquet.is_file():
            yield from from_parquet(parquet, item=ITEM, vector=VECTOR, width=WIDTH)
            return
    msg = f"{path}: no vectors found, expected raw/{_FILE} or feature_map/{_KEYS} with {_VALUES}"
    raise DataError(msg)


def from_npy(keys: Path, values: Path, *, width: int | None = None) -> Iterator[Pieces]:
    """Vectors of an npy pair, memory-mapped. Raises `DataError`."""
    ids, vectors = _mapped(keys), _mapped(values)
    if ids.dtype != np.int64 or ids.ndim != 1:
        msg = f"{keys}: is {ids.dtype} {ids.shape}, expected int64 [N]"
        raise DataError(msg)
    if vectors.dtype != np.int8 or vectors.ndim != 2 or width not in {None, vectors.shape[1]}:
        msg = f"{values}: is {vectors.dtype} {vectors.shape}, expected int8 [N, {width or 'd'}]"
        raise DataError(msg)
    if len(ids) != len(vectors):
        msg = f"{values}: has {len(vectors)} rows, {keys.name} has {len(ids)}; the two belong together"
        raise DataError(msg)
    for start in range(0, len(ids), _PIECE_ROWS):
        piece = np.asarray(ids[start : start + _PIECE_ROWS])
        if not piece.all():
            msg = f"{keys}: row {start + int(np.argmin(piece != 0))}: is 0 (missing), expected an id"
            raise DataError(msg)
        yield _pointing(piece, np.asarray(vectors[start : start + _PIECE_ROWS]))


def from_parquet(
    path: Path,
    *,
    item: str = "item",
    vector: str = "vector",
    width: int | None = None,
    quantise: Quantise | None = None,
    zero_is_an_id: bool = False,
) -> Iterator[Pieces]:
    """Vectors of a parquet file.

    Args:
        path: File.
        item: Column of the ids.
        vector: Column of the vectors.
        width: Of every vector; None = that of the first.
        quantise: For a column of floats; None = such a column is an error.
        zero_is_an_id: Do not take item 0 for a missing one.

    Raises:
        DataError: A column is missing or of another type, an id is 0, a vector has another width or is not finite.

    """
    floats = _is_floats(path, vector)
    if floats and quantise is None:
        msg = f"{path}: column {vector!r} holds floats, expected list<int8>; `muse-stream vectors train` writes such"
        raise DataError(msg)
    check_files([path], {item: Kind.ID} if floats else {item: Kind.ID, vector: Kind.BYTES})
    for rows in read(path, [item, vector], rows=_PIECE_ROWS):
        lists = rows.lists(vector)
        width = _check_width(rows, vector, lists, width)
        ids, vectors = rows.ids(item, required=not zero_is_an_id), lists.values.reshape(len(rows), width)
        if quantise is not None and floats:
            _check_finite(rows, vector, vectors)
            vectors = quantise(vectors.astype(np.float32))
        yield _pointing(ids, vectors)


def _is_floats(path: Path, vector: str) -> bool:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError):
        return False  # check_files says what is wrong
    if vector not in schema.names or not hasattr(schema.field(vector).type, "value_type"):
        return False
    return bool(pa.types.is_floating(schema.field(vector).type.value_type))


def _check_width(rows: Rows, column: str, lists: Lists, width: int | None) -> int:
    lengths = lists.lengths
    expected = int(lengths[0]) if width is None else width
    if np.any(lengths != expected):
        row = int(np.argmax(lengths != expected))
        raise rows.wrong(column, row, f"has {lengths[row]} numbers, expected {expected}")
    return expected


def _check_finite(rows: Rows, column: str, vectors: Float32) -> None:
    wrong = ~np.isfinite(vectors)
    if wrong.any():
        row, place = (int(index) for index in np.argwhere(wrong)[0])
        raise rows.wrong(column, row, f"place {place} is {vectors[row, place]}, expected a finite number")


def _pointing(ids: Int64, vectors: Int8) -> Pieces:
    present = vectors.any(axis=1)
    return (ids, vectors) if present.all() else (ids[present], vectors[present])


def _mapped(path: Path) -> npt.NDArray[np.generic]:
    try:
        mapped: npt.NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        msg = f"{path}: cannot be read as npy (missing or cut short?): {error}"
        raise DataError(msg) from error
    return mapped
