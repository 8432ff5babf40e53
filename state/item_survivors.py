"""Which rows of the item log still count: of each item the last one, unless it forgets the item.

Invariant: walking chunks from the newest to the oldest, a row is alive exactly if its item was not met before.
"""

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.compiled import compiled, mix

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@compiled
def _claim(keys: Ints, used: Flags, items: Ints, first: Flags) -> int:
    """From the last row back, set `first` where an item was not met yet; how many were."""
    last = len(keys) - 1
    added = 0
    for step in range(len(items)):
        row = len(items) - 1 - step
        slot = np.int64(mix(np.uint64(items[row])) & np.uint64(last))
        while used[slot] and keys[slot] != items[row]:
            slot = (slot + 1) & last
        first[row] = not used[slot]
        if not used[slot]:
            used[slot] = True
            keys[slot] = items[row]
            added += 1
    return added


class Survivors:
    """The items met so far on the way back; 9 bytes a slot, at most three quarters of the slots in use."""

    def __init__(self, rows: int) -> None:
        slots = 1 << max(10, (rows * 4 // 3).bit_length())
        self._keys = np.zeros(slots, np.int64)
        self._used = np.zeros(slots, np.bool_)
        self.count = 0

    def alive(self, items: Ints) -> Flags:
        """Which of the rows `[n]` of the next older chunk are their item's last."""
        while 4 * (self.count + len(items)) > 3 * len(self._keys):
            self._grow()
        first = np.empty(len(items), np.bool_)
        self.count += _claim(self._keys, self._used, items, first)
        return first

    def _grow(self) -> None:
        known = self._keys[self._used]
        self._keys = np.zeros(2 * len(self._keys), np.int64)
        self._used = np.zeros(len(self._keys), np.bool_)
        _claim(self._keys, self._used, known, np.empty(len(known), np.bool_))
