"""Items and purchases to make vectors from: files of one's own, or the bundled shop.

items (parquet)      item (int64 or text), and title (text) or feature (list of floats, one width); optionally
                     category and any of the settings' item features, as ids: they travel with a published vector
purchases            as `muse-stream replay` reads them: user, item, event_time_ms, action
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from muse_stream.esu_scorer.errors import DataError
from muse_stream.esu_scorer.vectors import Features, Purchases, check_dense, check_items, hash_texts, rows_of
from muse_stream.streams.demo.dataset import PURCHASE, load
from muse_stream.streams.demo.source import read_rows
from muse_stream.streams.errors import IdError
from muse_stream.streams.wire.ids import Id, id_of

BOUGHT: tuple[Id, ...] = ("purchase", PURCHASE)
"""Actions that count as a purchase."""
_OWN = ("item", "title", "feature", "category", "vector")


@dataclass(frozen=True, eq=False, slots=True)
class Items:
    """n items.

    Attributes:
        name: Where they come from.
        key: `[n]` ids as their source writes them: the record keys of the items topic.
        item: `[n] int64` ids.
        title: `[n]` texts, or None.
        dense: `[n, f] float32` features, or None.
        category: `[n]` ids, or None.
        features: Further features, `[n]` ids each (None = not known), by name.

    """

    name: str
    key: Sequence[Id]
    item: NDArray[np.int64]
    title: Sequence[str] | None
    dense: NDArray[np.float32] | None
    category: Sequence[Id | None] | None
    features: dict[str, Sequence[Id | None]]

    def __len__(self) -> int:
        return len(self.item)

    def inputs(self) -> Features:
        """What vectors are learnt from: the dense features where there are some, else the hashed titles."""
        if self.dense is not None:
            return self.dense
        if self.title is None:
            msg = f"{self.name} has neither titles nor features; add a column title (text) or feature (list of floats)"
            raise DataError(msg)
        return hash_texts(self.title)


def bundled_items() -> Items:
    """The products of the bundled shop."""
    catalogue = load().catalogue
    bands: list[Id | None] = list(catalogue.price_band.tolist())
    return Items(
        name="Online Retail",
        key=catalogue.code,
        item=catalogue.item,
        title=catalogue.title,
        dense=None,
        category=catalogue.category.tolist(),
        features={"price_band": bands},
    )


def bundled_purchases(items: Items) -> Purchases:
    """What its customers bought; returns are left out."""
    behaviours = load().behaviours
    bought = behaviours.action == PURCHASE
    row = rows_of(items.item, behaviours.item[bought])
    return Purchases(behaviours.user[bought], row, behaviours.event_time_ms[bought])


def read_items(path: Path) -> Items:
    """Read a parquet file.

    Raises:
        DataError: Not such a file; an id is none, 0 or comes twice; a title is not text; features have another width or
            hold a number that is not finite. The text names file, column and row.

    """
    table = _table(path)
    names = table.column_names
    if "item" not in names or not {"title", "feature"} & set(names):
        msg = f"{path} has columns {', '.join(names)}; expected item, and title (text) or feature (list of floats)"
        raise DataError(msg)
    key = table["item"].to_pylist()
    try:
        item = np.array([_id(value, row) for row, value in enumerate(key)], np.int64)
        check_items(item)
        return Items(
            name=path.name,
            key=key,
            item=item,
            title=_titles(table) if "title" in names else None,
            dense=check_dense(_lists(table["feature"]), item) if "feature" in names else None,
            category=table["category"].to_pylist() if "category" in names else None,
            features={name: table[name].to_pylist() for name in names if name not in _OWN},
        )
    except DataError as error:
        msg = f"{path}, column {error}"
        raise DataError(msg) from error


def read_purchases(path: Path, items: Items) -> Purchases:
    """Purchases of a file; other actions are read over.

    Raises:
        SourceError: A cell is not what its column holds.
        DataError: An item is not among `items`.

    """
    users, bought, times = [], [], []
    for user, item, time_ms in _purchases(path):
        users.append(user)
        bought.append(item)
        times.append(time_ms)
    row = rows_of(items.item, np.array(bought, np.int64))
    return Purchases(np.array(users, np.int64), row, np.array(times, np.int64))


def _purchases(path: Path) -> Iterator[tuple[int, int, int]]:
    for rows in read_rows(path):
        for user, item, time_ms, action in zip(rows.user, rows.item, rows.time_ms, rows.action, strict=True):
            if action in BOUGHT:
                yield id_of(user), id_of(item), time_ms


def _table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        msg = f"{path} is not a readable parquet file: {error}"
        raise DataError(msg) from error


def _id(value: Any, row: int) -> int:  # noqa: ANN401
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return id_of(value)
        except IdError as error:
            msg = f"item, row {row}: {error}"
            raise DataError(msg) from error
    msg = f"item, row {row}: {value!r} is no id; ids are whole numbers or text"
    raise DataError(msg)


def _titles(table: pa.Table) -> list[str]:
    titles = table["title"]
    if not (pa.types.is_string(titles.type) or pa.types.is_large_string(titles.type)):
        msg = f"title: holds {titles.type}, expected text"
        raise DataError(msg)
    return [title or "" for title in titles.to_pylist()]


def _lists(column: pa.ChunkedArray) -> NDArray[np.floating]:
    """A column of lists of one width as `[n, f]`."""
    values = column.combine_chunks()
    if not hasattr(values, "flatten") or not pa.types.is_floating(getattr(values.type, "value_type", values.type)):
        msg = f"feature: holds {column.type}, expected lists of floats"
        raise DataError(msg)
    if values.null_count:
        row = int(np.argmax(np.asarray(values.is_null())))
        msg = f"feature, row {row}: null; leave the item out, or give it a feature"
        raise DataError(msg)
    widths = np.asarray(pa.compute.list_value_length(values))
    wrong = np.flatnonzero(widths != widths[:1])
    if len(wrong):
        msg = (
            f"feature, row {wrong[0]}: {widths[wrong[0]]} numbers, row 0 has {widths[0]}; use one encoder for all items"
        )
        raise DataError(msg)
    flat: NDArray[np.floating] = values.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(values), -1)
