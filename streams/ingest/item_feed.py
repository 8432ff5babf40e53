"""Items from the log into the item store, then into the vector tables and the catalogue.

Invariant: `version` is the position that tables and catalogue stand at; once loaded, it changes with them inside the
gate, so who holds the gate sees tables, catalogue and version of one moment. It is 0 while the store is being loaded.

A record replaces its item whole: one without a vector takes the vector away, in every space.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.gate import Gate
from muse_stream.state.item_chunks import ItemBatch
from muse_stream.streams.errors import LogMismatchError
from muse_stream.streams.ingest.catalogue import Catalogue
from muse_stream.streams.ingest.feeds import Decoded, Feed, Written
from muse_stream.streams.ingest.ports import I64, Decode, ItemLog, VectorSink
from muse_stream.streams.records import RecordBatch

NO_ROWS: I64 = np.empty(0, np.int64)
NO_ITEMS = ItemBatch(NO_ROWS, NO_ROWS, np.empty((0, 0), np.int64), (), [], np.empty(0, np.bool_), {})


class ItemFeed(Feed):
    """The items topic and where its rows go.

    Attributes:
        store: The durable copy.
        gate: Held shared by readers that need one moment, exclusively while tables and catalogue change.
        version: The item log position that tables and catalogue stand at.

    """

    def __init__(
        self, store: ItemLog, tables: Mapping[str, VectorSink], catalogue: Catalogue, decode: Decode[ItemBatch]
    ) -> None:
        self.store = store
        self.gate = Gate()
        self.version = 0
        self._tables, self._catalogue, self._decode = tables, catalogue, decode

    @property
    def position(self) -> int:
        """Next items offset that the store wants."""
        return self.store.position

    @property
    def visible(self) -> int:
        """Where tables and catalogue stand."""
        return self.version

    def decode(self, records: RecordBatch) -> Decoded:
        """Decode to columns; see `streams.wire`."""
        return Decoded(*self._decode(records))

    def skip_to(self, position: int) -> None:
        """Move the empty store."""
        self.store.append(NO_ITEMS, position=position)

    def write(self, rows: Any, position: int, begin: int) -> Written:  # noqa: ANN401 - an ItemBatch
        """Store, then apply."""
        self._check_begin(begin)
        started = time.perf_counter()
        self.store.append(rows, position=position)
        stored = time.perf_counter()
        with self.gate.exclusive():
            self._apply(rows)
            self.version = position
        applied = time.perf_counter()
        return Written(len(rows), len(rows), store_seconds=stored - started, engine_seconds=applied - stored)

    def load(self) -> int:
        """Bring tables and catalogue to what the store holds; returns the number of items."""
        count = 0
        for batch in self.store.load():
            with self.gate.exclusive():
                self._apply(batch)
            count += len(batch)
        self.version = self.position
        return count

    def require_same(self) -> None:
        """Raise LogMismatchError unless tables and catalogue stand where the store, opened again, does."""
        if self.position != self.version:
            message = (
                f"the item store was opened again at {self.position}, the tables stand at {self.version}. Operator "
                f"action: restart the worker, which loads the tables from the store."
            )
            raise LogMismatchError(message)

    def _apply(self, rows: ItemBatch) -> None:
        last = last_of_each(rows.item)
        gone, kept = last[rows.forget[last]], last[~rows.forget[last]]
        self._catalogue.forget(rows.item[gone])
        features = columns_for(self._catalogue.feature_names, rows)
        self._catalogue.put(rows.item[kept], rows.category[kept], features[kept])
        is_kept = np.zeros(len(rows), np.bool_)
        is_kept[kept] = True
        for space, table in self._tables.items():
            where, vectors = rows.vectors.get(space, (NO_ROWS, None))
            fresh = is_kept[where]
            is_put = np.zeros(len(rows), np.bool_)
            is_put[where[fresh]] = True
            table.forget(rows.item[last[~is_put[last]]])
            if vectors is not None and fresh.any():
                table.put(rows.item[where[fresh]], vectors[fresh])


def last_of_each(items: I64) -> NDArray[np.intp]:
    """Row of the last mention of each distinct item, ascending."""
    _, from_behind = np.unique(items[::-1], return_index=True)
    return np.sort(len(items) - 1 - from_behind)


def columns_for(names: tuple[str, ...], rows: ItemBatch) -> I64:
    """Features `[n, F] int64` in the order of `names`; zeros where the batch does not have one."""
    if tuple(rows.feature_names) == names:
        return rows.features
    out = np.zeros((len(rows), len(names)), np.int64)
    for column, name in enumerate(names):
        if name in rows.feature_names:
            out[:, column] = rows.features[:, rows.feature_names.index(name)]
    return out
