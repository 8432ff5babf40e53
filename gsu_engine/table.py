"""Vectors of one vector space: slot -> row -> int8[d] and an inverse norm.

Invariant: a slot has a row exactly when its item's latest vector is not all zero; row 0 belongs to nobody. A vector
that comes late takes a row and is found at once by every history that holds the slot: nothing is rebuilt.

Bytes: d + 4 per vector, 4 per slot; address space is reserved for the whole budget, memory is committed as it is used.
Changes wait for running searches and are applied between them.
"""

from collections import deque

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I8, I64, U32, Flags, plain, reserve
from muse_stream.gsu_engine.contract import TableView
from muse_stream.gsu_engine.errors import BudgetError, VectorError
from muse_stream.gsu_engine.index import ItemIndex
from muse_stream.gsu_engine.kernels import rows as kernels
from muse_stream.gsu_engine.listeners import Listener, Listeners
from muse_stream.gsu_engine.quantise import inverse_norms
from muse_stream.gsu_engine.stats import TableStats

BUDGET_BYTES = 2 << 30  # 16.2 million vectors of 128
STEP = 8_192  # vectors written per stop of the searches: about 2 ms at d = 128
CHANGES = 1 << 16  # slots remembered as changed: a step or a few of them, or a minute of single ones at 1 000 a second
WIDTHS = range(64, 1_025, 64)  # up to 1 040 a dot product of int8 stays below 2^24 and is exact in float32


class VectorTable:
    """int8 vectors by item. Thread-safe."""

    def __init__(self, space: str, dimension: int, index: ItemIndex, budget_bytes: int = BUDGET_BYTES) -> None:
        if dimension not in WIDTHS:
            message = f"dimension is {dimension}, expected 64..1024 in steps of 64: pad with zeros to the next one"
            raise VectorError(message)
        capacity = budget_bytes // (dimension + 4)
        if capacity < 1:
            message = f"table budget is {budget_bytes} bytes, one row needs {dimension + 4}"
            raise BudgetError(message)
        self.space = space
        self.dimension = dimension
        self.index = index
        self.version = 0
        self.max_rows = capacity
        self._rows: I8 = reserve((capacity + 1, dimension), np.int8)
        self._inv_norms: F32 = reserve((capacity + 1,), np.float32)
        self._freed: U32 = reserve((capacity + 1,), np.uint32)
        self._row_of_slot: U32 = reserve((index.slot_limit,), np.uint32)
        self._counters: I64 = np.zeros(kernels.COUNTERS, np.int64)
        self._counters[kernels.NEXT_ROW] = 1
        self._view = TableView(self._row_of_slot, self._rows, self._inv_norms)
        self._changes: deque[tuple[int, U32]] = deque()
        self._changed = 0
        self._listeners = Listeners()
        index.hold(self)

    def put(self, items: I64, vectors: I8) -> int:
        """Set the vectors of items; of several for one item the last counts; an all-zero vector is none at all.

        Args:
            items: `[n] int64` item ids, not 0.
            vectors: `[n, d] int8`.

        Returns:
            How many found no room: the budget is too small for them, they stay without a vector.

        Raises:
            VectorError: Wrong shape or type, or item id 0.

        """
        if vectors.dtype != np.int8 or vectors.shape != (len(items), self.dimension):
            message = f"vectors are {vectors.dtype}{list(vectors.shape)}, expected int8[{len(items)}, {self.dimension}]"
            raise VectorError(message)
        if not items.all():
            message = "item id 0 means 'missing' and cannot have a vector"
            raise VectorError(message)
        before = int(self._counters[kernels.REFUSED_ROWS])
        items, vectors = plain(items, np.int64), plain(vectors, np.int8)
        for low in range(0, len(items), STEP):
            self._put(items[low : low + STEP], vectors[low : low + STEP])
        self._listeners.tell()
        return int(self._counters[kernels.REFUSED_ROWS]) - before

    def _put(self, items: I64, vectors: I8) -> None:
        norms = inverse_norms(vectors)
        with self.index.gate.exclusive():
            slots = self.index.slots(items, create=True)
            if not slots.all() and self.index.reclaim_while_exclusive():
                slots = self.index.slots(items, create=True)
            self._write(slots, vectors, norms)

    def _write(self, slots: U32, vectors: I8, norms: F32) -> None:
        kernels.put(slots, vectors, norms, self._row_of_slot, self._rows, self._inv_norms, self._freed, self._counters)
        self.version += 1
        self._changes.append((self.version, slots))
        self._changed += len(slots)
        while self._changed > CHANGES:
            self._changed -= len(self._changes.popleft()[1])

    def forget(self, items: I64) -> None:
        """Take the vectors of items away; those without one are ignored."""
        with self.index.gate.exclusive():
            slots = self.index.slots(items, create=False)
            slots = slots[slots != 0]
            nothing = np.zeros((len(slots), self.dimension), np.int8)
            self._write(slots, nothing, np.zeros(len(slots), np.float32))
        self._listeners.tell()

    def on_change(self, listener: Listener) -> None:
        """Call `listener` after every change, from the thread that made it, when searches may run again.

        A bound method does not keep its object (see `listeners`).
        """
        self._listeners.add(listener)

    def off_change(self, listener: Listener) -> None:
        """Call `listener` no more. One thread at a time calls this and `on_change`."""
        self._listeners.remove(listener)

    def lookup(self, items: I64) -> tuple[I8, F32]:
        """Vectors `[n, d] int8` and inverse norms `[n] float32` of items; zeros where there is none."""
        with self.index.shared():
            rows = self._row_of_slot[self.index.slots(items, create=False)]
            return self._rows[rows], self._inv_norms[rows]

    def any_item(self) -> int:
        """An item that has a vector, 0 where none has one; mostly the same one until it loses its own."""
        with self.index.shared():
            for low in range(0, self.index.slots_in_use, STEP):
                rows = self._row_of_slot[low : low + STEP]
                first = int(np.argmax(rows != 0))
                if rows[first]:
                    return int(self.index.items(np.array([low + first], np.uint32))[0])
        return 0

    def changed_since(self, version: int) -> U32 | None:
        """Slots whose vectors have changed since then, `[n] uint32` ascending; None where that is too long ago.

        Valid while `index.shared()` is held.
        """
        recent = [slots for number, slots in self._changes if number > version]
        if len(recent) != self.version - version:
            return None
        return np.unique(np.concatenate([np.empty(0, np.uint32), *recent]))

    def view(self) -> TableView:
        """The arrays themselves: valid while `index.shared()` is held."""
        return self._view

    def held(self, slots: int) -> Flags:
        """`[slots] bool`: the slots that have a vector here."""
        return np.asarray(self._row_of_slot[:slots] != 0)

    def stats(self) -> TableStats:
        """Counts and bytes at this moment."""
        used = int(self._counters[kernels.NEXT_ROW])
        size = used * (self.dimension + 4) + 4 * self.index.stats().items
        rows = used - 1 - int(self._counters[kernels.FREE_ROWS])
        refused = int(self._counters[kernels.REFUSED_ROWS])
        return TableStats(self.space, self.dimension, rows, self.max_rows, size, refused, self.version)
