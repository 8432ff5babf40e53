"""Rows of the item log as columns, and their packed form on disk.

Invariant: unpacking a packed batch gives equal columns; titles are not part of a chunk.

A chunk is two values, so that looking for superseded rows reads no vectors:

    columns: header length u32 LE, header (JSON, padded with spaces to a multiple of 8 with the length), then
             item i64[n], category i64[n], features i64[n, F], forget u8[n]
    vectors: per space of the header, in its order: rows i64[m], vectors int8[m, d]

The header names rows, features and, per space, name, m and d: a chunk is read without knowing today's settings, and a
changed list of features needs no migration. Columns are 8-byte aligned, so they are used where they lie.
"""

import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.errors import BatchError

Ints = NDArray[np.int64]
Vectors = dict[str, tuple[Ints, NDArray[np.int8]]]

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class ItemBatch:
    """What the item log said, one row per record, in log order; a later row of an item replaces the earlier one whole.

    Attributes:
        item: `[n] int64` item id.
        category: `[n] int64`, 0 = not known.
        features: `[n, F] int64`, 0 = not known.
        feature_names: `[F]` what the columns of `features` are.
        title: `[n]` text for display, None where the record had none; `[]` in what a store loads.
        forget: `[n] bool`; True forgets the item, the row's other columns then mean nothing.
        vectors: Per vector space, `[m] int64` rows of this batch and their `[m, d] int8` vectors.

    """

    item: Ints
    category: Ints
    features: Ints
    feature_names: tuple[str, ...]
    title: list[str | None]
    forget: NDArray[np.bool_]
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.item)

    def check(self) -> None:
        """Raise BatchError unless the columns have one length and the vectors point at rows."""
        rows = len(self)
        shapes = [self.category.shape, self.forget.shape, self.features.shape]
        if shapes != [(rows,), (rows,), (rows, len(self.feature_names))] or len(self.title) not in {0, rows}:
            found = f"{rows} items, category and forget {shapes[0]} and {shapes[1]}, features {shapes[2]},"
            message = (
                f"{found} {len(self.title)} titles, {len(self.feature_names)} names: build them from the same rows."
            )
            raise BatchError(message)
        for space, (places, vectors) in self.vectors.items():
            aligned = vectors.ndim == 2 and vectors.shape[0] == len(places) and vectors.dtype == np.int8
            if not aligned or (len(places) and not 0 <= places.min() <= places.max() < rows):
                found = f"space {space!r}: {vectors.dtype}{list(vectors.shape)} vectors for {len(places)} rows."
                message = f"{found} Expected int8[m, d] and m row numbers below {rows}."
                raise BatchError(message)

    def select(self, alive: NDArray[np.bool_]) -> "ItemBatch":
        """The rows that `alive` `[n]` names, with their vectors, without titles."""
        if alive.all():
            return ItemBatch(self.item, self.category, self.features, self.feature_names, [], self.forget, self.vectors)
        place = np.cumsum(alive) - 1
        vectors = {}
        for space, (rows, values) in self.vectors.items():
            held = alive[rows]
            vectors[space] = place[rows[held]], values[held]
        return ItemBatch(
            self.item[alive],
            self.category[alive],
            self.features[alive],
            self.feature_names,
            [],
            self.forget[alive],
            vectors,
        )


def pack(batch: ItemBatch) -> tuple[bytes, bytes]:
    """The two values of a chunk: (columns, vectors)."""
    spaces = [[space, len(rows), values.shape[1]] for space, (rows, values) in batch.vectors.items()]
    header = json.dumps({"rows": len(batch), "features": batch.feature_names, "spaces": spaces}).encode()
    header += b" " * (-(len(header) + _LENGTH.size) % 8)
    columns = [batch.item, batch.category, batch.features]
    packed = [np.ascontiguousarray(column, np.int64).tobytes() for column in columns]
    parts = [_LENGTH.pack(len(header)), header, *packed, batch.forget.astype(np.uint8).tobytes()]
    vectors: list[bytes] = []
    for rows, values in batch.vectors.values():
        vectors += [rows.astype(np.int64).tobytes(), np.ascontiguousarray(values).tobytes()]
    return b"".join(parts), b"".join(vectors)


def unpack_items(columns: bytes) -> Ints:
    """The item ids `[n] int64` of a chunk, without touching the rest."""
    header, at = _header(columns)
    return np.frombuffer(columns, np.int64, header["rows"], at)


def unpack(columns: bytes, vectors: bytes) -> ItemBatch:
    """The batch of a chunk, as read-only views of the two values, without titles."""
    header, at = _header(columns)
    rows, names = header["rows"], tuple(header["features"])
    item, category = np.frombuffer(columns, np.int64, 2 * rows, at).reshape(2, rows)
    at += 16 * rows
    features = np.frombuffer(columns, np.int64, rows * len(names), at).reshape(rows, len(names))
    forget = np.frombuffer(columns, np.bool_, rows, at + 8 * rows * len(names))
    spaces: Vectors = {}
    at = 0
    for space, count, dimension in header["spaces"]:
        places = np.frombuffer(vectors, np.int64, count, at)
        at += 8 * count
        spaces[space] = places, np.frombuffer(vectors, np.int8, count * dimension, at).reshape(count, dimension)
        at += count * dimension
    return ItemBatch(item, category, features, names, [], forget, spaces)


def concatenate(batches: list[ItemBatch]) -> ItemBatch:
    """One batch of the rows of all, in order; a feature that a batch does not name is 0 in its rows."""
    names = tuple(dict.fromkeys(name for batch in batches for name in batch.feature_names))
    starts = np.cumsum([0, *(len(batch) for batch in batches)])
    features = np.zeros((int(starts[-1]), len(names)), np.int64)
    vectors: dict[str, list[tuple[Ints, NDArray[np.int8]]]] = {}
    for batch, start in zip(batches, starts[:-1], strict=True):
        columns = [names.index(name) for name in batch.feature_names]
        features[start : start + len(batch), columns] = batch.features
        for space, (rows, values) in batch.vectors.items():
            vectors.setdefault(space, []).append((rows + start, values))
    return ItemBatch(
        item=np.concatenate([batch.item for batch in batches]),
        category=np.concatenate([batch.category for batch in batches]),
        features=features,
        feature_names=names,
        title=[],
        forget=np.concatenate([batch.forget for batch in batches]),
        vectors={
            space: (np.concatenate([rows for rows, _ in parts]), np.concatenate([values for _, values in parts]))
            for space, parts in vectors.items()
        },
    )


def _header(columns: bytes) -> tuple[dict[str, Any], int]:
    end = _LENGTH.size + _LENGTH.unpack_from(columns)[0]
    return json.loads(columns[_LENGTH.size : end]), end
