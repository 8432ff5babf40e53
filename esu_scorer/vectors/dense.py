"""Item features that were made elsewhere (image or text embeddings), and the checks that all item columns pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from muse_stream.esu_scorer.errors import DataError
from muse_stream.esu_scorer.vectors.text import Bags

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

Features = Bags | Float32
"""Of n items: hashed texts, or `[n, f] float32`."""


def check_dense(features: npt.NDArray[np.floating], items: Int64 | None = None) -> Float32:
    """Features `[n, f]` as float32. Raises `DataError`: not two-dimensional, or a value is not finite."""
    if features.ndim != 2 or not features.shape[1]:
        msg = f"feature: shape {list(features.shape)}, expected [items, width]; give every item a list of one width"
        raise DataError(msg)
    with np.errstate(over="ignore"):
        narrow = features.astype(np.float32)
    bad = ~np.isfinite(narrow)
    if bad.any():
        row, column = (int(index) for index in np.argwhere(bad)[0])
        name = "" if items is None else f" (item {items[row]})"
        msg = f"feature, row {row}{name}: value {column} is {features[row, column]}; send finite float32 numbers"
        raise DataError(msg)
    return narrow


def check_items(items: Int64) -> None:
    """Raise `DataError` where an item comes twice or is 0."""
    if (items == 0).any():
        msg = f"item, row {int(np.argmax(items == 0))}: 0 means missing; number items from 1"
        raise DataError(msg)
    order = np.argsort(items, kind="stable")
    again = np.flatnonzero(items[order][1:] == items[order][:-1])
    if len(again):
        row = int(order[again + 1].min())
        first = int(np.argmax(items == items[row]))
        msg = f"item, row {row}: item {items[row]} was already in row {first}; keep one row an item"
        raise DataError(msg)


def rows_of(items: Int64, wanted: Int64) -> Int64:
    """Row in `items` `[n]` of each of `wanted` `[M]`. Raises `DataError`: one of them is not there."""
    order = np.argsort(items)
    place = np.searchsorted(items, wanted, sorter=order)
    row: Int64 = order[np.minimum(place, len(items) - 1)] if len(items) else np.zeros(len(wanted), np.int64)
    wrong = items[row] != wanted if len(items) else np.ones(len(wanted), np.bool_)
    if wrong.any():
        at = int(np.argmax(wrong))
        msg = (
            f"purchases, column item, row {at}: item {wanted[at]} is not among the {len(items)} items with features; "
            "add it to them, or leave its purchases out"
        )
        raise DataError(msg)
    return row
