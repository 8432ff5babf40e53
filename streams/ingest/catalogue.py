"""Category and features of items as columns beside the item index, for vectorised look-ups.

Invariants: row 0 (the unknown item) holds zeros for ever; while an item is known here its slot is held, so that a slot
freed and given to another item never shows the first one's row; a reader sees an item whole.

Memory: 8 (1 + F) + 1 bytes per slot, reserved as address space for the index's limit and committed as slots are used.
"""

import threading

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.arrays import reserve
from muse_stream.gsu_engine.index import ItemIndex

I64 = NDArray[np.int64]


class Catalogue:
    """What the item log says of items, besides their vectors. Thread-safe."""

    def __init__(self, index: ItemIndex, feature_names: tuple[str, ...]) -> None:
        self.feature_names = feature_names
        self._index = index
        self._lock = threading.Lock()
        self._columns: I64 = reserve((index.slot_limit, 1 + len(feature_names)), np.int64)
        self._known: NDArray[np.bool_] = reserve((index.slot_limit,), np.bool_)
        index.hold(self)

    def put(self, items: I64, categories: I64, features: I64) -> int:
        """Set category `[n]` and features `[n, F]` of items `[n]`; of an item named twice the last row counts.

        Returns:
            How many found no room in the index; they stay unknown.

        """
        return self._write(items, np.column_stack((categories, features)), known=True)

    def forget(self, items: I64) -> None:
        """Make the items unknown again."""
        self._write(items, np.zeros((len(items), self._columns.shape[1]), np.int64), known=False)

    def features_of(self, items: I64) -> I64:
        """Item id, category, features: `[n] int64` -> `[n, 2 + F] int64`; 0 = not known."""
        found = np.empty((len(items), 1 + self._columns.shape[1]), np.int64)
        found[:, 0] = items
        found[:, 1:] = self._rows(items)
        return found

    def categories_of(self, items: I64, sent: I64 | None = None) -> I64:
        """Category per item `[n] int64`; where a behaviour `sent` one (not 0), that one counts."""
        known: I64 = self._rows(items)[:, 0]
        return known if sent is None else np.where(sent == 0, known, sent)

    def held(self, slots: int) -> NDArray[np.bool_]:
        """`[slots] bool`: the slots of items that are known here."""
        return self._known[:slots]

    def nbytes(self) -> int:
        """Bytes in use, row 0 included."""
        return (int(np.count_nonzero(self._known)) + 1) * (8 * int(self._columns.shape[1]) + 1)

    def _rows(self, items: I64) -> I64:
        with self._index.shared(), self._lock:
            rows: I64 = self._columns[self._index.slots(items, create=False)]
            return rows

    def _write(self, items: I64, rows: I64, *, known: bool) -> int:
        if not len(items):
            return 0
        if self._index.crowded():
            self._index.reclaim()
        with self._index.shared(), self._lock:
            slots = self._index.slots(items, create=known)
            there = slots != 0
            self._columns[slots[there]] = rows[there]
            self._known[slots[there]] = known
        return len(items) - int(np.count_nonzero(there))
