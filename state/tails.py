"""Where each user's sequence ends, kept in memory so that an append needs no read for a user it knows.

Invariant: an entry equals what the store would answer; a missing entry costs a read, never a wrong number.

Two generations of an open-addressing table bound the memory: entries live in the young one; when it is full it
becomes the old one and the former old one is let go. A hit in the old one is carried to the young one by the write that
follows, so active users stay. 33 bytes a slot, at most half of the slots in use.
"""

import numpy as np
from numpy.typing import NDArray

from muse_stream.state.compiled import compiled, mix

_FIRST_SLOTS = 1024

Ints = NDArray[np.int64]


@compiled
def _find(keys: Ints, used: NDArray[np.bool_], users: Ints, slots: Ints) -> None:
    """Slot of each user, or ~(free slot) where it is absent."""
    last = len(keys) - 1
    for row in range(len(users)):
        slot = np.int64(mix(np.uint64(users[row])) & np.uint64(last))
        while used[slot] and keys[slot] != users[row]:
            slot = (slot + 1) & last
        slots[row] = slot if used[slot] else ~slot


@compiled
def _store(keys: Ints, used: NDArray[np.bool_], table: Ints, users: Ints, values: Ints) -> int:
    """Write `values` `[3, u]` of distinct users into `table` `[slots, 3]`; how many of them are new."""
    last = len(keys) - 1
    added = 0
    for row in range(len(users)):
        slot = np.int64(mix(np.uint64(users[row])) & np.uint64(last))
        while used[slot] and keys[slot] != users[row]:
            slot = (slot + 1) & last
        if not used[slot]:
            used[slot] = True
            keys[slot] = users[row]
            added += 1
        for column in range(3):
            table[slot, column] = values[column, row]
    return added


class _Generation:
    def __init__(self, slots: int) -> None:
        self.keys = np.zeros(slots, np.int64)
        self.used = np.zeros(slots, np.bool_)
        self.table = np.zeros((slots, 3), np.int64)
        self.count = 0

    def find(self, users: Ints) -> Ints:
        slots = np.empty(len(users), np.int64)
        _find(self.keys, self.used, users, slots)
        return slots

    def store(self, users: Ints, values: Ints) -> None:
        while 2 * (self.count + len(users)) > len(self.keys):
            self._grow()
        self.count += _store(self.keys, self.used, self.table, users, values)

    def _grow(self) -> None:
        larger = _Generation(2 * len(self.keys))
        _store(larger.keys, larger.used, larger.table, self.keys[self.used], self.table[self.used].T.copy())
        self.keys, self.used, self.table = larger.keys, larger.used, larger.table


class Tails:
    """Next sequence number, pending rows and first stored sequence number of the users seen lately.

    Attributes:
        complete: Every user of the store has an entry, so an absent user is a new one and needs no read.

    """

    def __init__(self, limit: int, *, complete: bool) -> None:
        self._limit = limit
        self.complete = complete
        self._young = _Generation(_FIRST_SLOTS)
        self._old = _Generation(_FIRST_SLOTS)

    def __len__(self) -> int:
        return self._young.count + self._old.count

    def lookup(self, users: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Entries `[3, u]` (next, pending, head) of `[u]` users, zeros where absent, and whether each was found."""
        values = np.zeros((3, len(users)), np.int64)
        slots = self._young.find(users)
        found = slots >= 0
        values[:, found] = self._young.table[slots[found]].T
        missing = np.flatnonzero(~found)
        if len(missing) and self._old.count:
            slots = self._old.find(users[missing])
            old = slots >= 0
            values[:, missing[old]] = self._old.table[slots[old]].T
            found[missing[old]] = True
        return values, found

    def store(self, users: Ints, values: Ints) -> None:
        """Set the entries `[3, u]` of `[u]` distinct users."""
        if self._young.count and self._young.count + len(users) > self._limit:
            self.complete = self.complete and self._old.count == 0
            self._old, self._young = self._young, _Generation(_FIRST_SLOTS)
        self._young.store(users, values)

    def raise_heads(self, users: Ints, heads: Ints) -> None:
        """What lies before `heads` `[u]` of distinct users is gone from the store; entries that are here follow."""
        if not len(users):
            return
        values, found = self.lookup(users)
        values[1] = np.minimum(values[1], values[0] - heads)
        values[2] = heads
        if found.any():
            self.store(users[found], values[:, found])
