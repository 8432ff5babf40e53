"""Which behaviours a producer sent twice: the last W (user, event id) pairs that this partition kept.

Invariant: a pair is refused exactly while it is among the last W kept ones; a refused row does not renew it. So the
answer depends on the order of the rows alone, not on how they were cut into batches.

In memory: a ring of W pairs and an open-addressing set over it, 16 + 8..16 bytes a pair. In the store: one key per
batch (`keys.WINDOW`, first ordinal), whose value is the batch's kept pairs, 16 bytes each (user i64, event id u64);
keys that lie wholly before the window are deleted in the batch that pushes them out.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

from collections import deque

import numpy as np
from numpy.typing import NDArray
from rocksdict import WriteBatch

from muse_stream.state.columns import BehaviourBatch
from muse_stream.state.compiled import compiled, mix
from muse_stream.state.cursor import Cursor
from muse_stream.state.keys import WINDOW, WINDOW_END, window_key, window_ordinal

PAIR = np.dtype([("user", "<i8"), ("event_id", "<u8")])

Slots = NDArray[np.int32]
Pairs = NDArray[np.void]
NO_PAIRS: Pairs = np.empty(0, PAIR)


@compiled
def _home(user: int, event_id: int, last: int) -> np.int64:
    return np.int64(mix(np.uint64(event_id) ^ mix(np.uint64(user))) & np.uint64(last))


@compiled
def _forget(slots: Slots, ring: Pairs, place: int) -> None:
    """Take the ring's entry at `place` out of the set, closing the gap so that no probe stops early."""
    last = len(slots) - 1
    hole = _home(ring[place].user, ring[place].event_id, last)
    while slots[hole] != place + 1:
        hole = (hole + 1) & last
    slot = hole
    while True:
        slot = (slot + 1) & last
        if slots[slot] == 0:
            break
        moved = ring[slots[slot] - 1]
        if ((slot - _home(moved.user, moved.event_id, last)) & last) >= ((slot - hole) & last):
            slots[hole] = slots[slot]
            hole = slot
    slots[hole] = 0


@compiled
def _admit(slots: Slots, ring: Pairs, first: int, total: int, user: NDArray[np.int64], event_id: NDArray[np.uint64],
           skip: NDArray[np.bool_], keep: NDArray[np.bool_]) -> int:  # fmt: skip
    """Set `keep` per row, add the kept pairs to ring and set; the ordinal of the next pair."""
    last = len(slots) - 1
    for row in range(len(user)):
        if skip[row] or event_id[row] == 0:
            continue
        slot = _home(user[row], event_id[row], last)
        while slots[slot] != 0:
            seen = ring[slots[slot] - 1]
            if seen.user == user[row] and seen.event_id == event_id[row]:
                break
            slot = (slot + 1) & last
        if slots[slot] != 0:
            keep[row] = False
            continue
        place = total % len(ring)
        if total - first >= len(ring):
            _forget(slots, ring, place)
            slot = _home(user[row], event_id[row], last)
            while slots[slot] != 0:
                slot = (slot + 1) & last
        ring[place].user = user[row]
        ring[place].event_id = event_id[row]
        slots[slot] = place + 1
        total += 1
    return total


class DuplicateWindow:
    """The window of one partition, in memory and in the store.

    `admit` changes the memory at once and `write` the batch that is to carry the change: when that batch is not
    written, throw the object away and `load` another.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._ring = np.zeros(max(size, 1), PAIR)
        self._slots = np.zeros(1 << max(4, (2 * size - 1).bit_length()), np.int32)
        self._first = 0
        self._total = 0
        self._keys: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        return min(self._total - self._first, self.size)

    @classmethod
    def load(cls, cursor: Cursor, size: int) -> "DuplicateWindow":
        """Rebuild the window of `size` pairs from the store."""
        window = cls(size)
        if size == 0:
            return window
        for ordinal, pairs in _stored(cursor):
            if not window._keys:
                window._first = window._total = ordinal
            window._add(pairs["user"].copy(), pairs["event_id"].copy(), np.zeros(len(pairs), np.bool_))
            window._keys.append((ordinal, len(pairs)))
        return window

    def admit(self, batch: BehaviourBatch) -> tuple[NDArray[np.bool_], Pairs]:
        """Per row, whether to keep it (True for erasing rows), and the pairs to write."""
        keep = np.ones(len(batch), np.bool_)
        if self.size == 0 or not batch.event_id.any():
            return keep, NO_PAIRS
        keep = self._add(batch.user, batch.event_id, batch.erase)
        kept = np.flatnonzero(keep & ~batch.erase & (batch.event_id != 0))
        pairs = np.empty(len(kept), PAIR)
        pairs["user"] = batch.user[kept]
        pairs["event_id"] = batch.event_id[kept]
        return keep, pairs

    def write(self, pairs: Pairs, out: WriteBatch) -> None:
        """Put the pairs that the last `admit` returned into `out`, with the deletion of keys that are out of reach."""
        if len(pairs) == 0:
            return
        first = self._total - len(pairs)
        out.put(window_key(first), pairs.tobytes())
        self._keys.append((first, len(pairs)))
        while (oldest := self._keys[0])[0] + oldest[1] <= self._total - self.size:
            out.delete(window_key(oldest[0]))
            self._keys.popleft()

    def rewrite(self, out: WriteBatch, stored: "DuplicateWindow") -> None:
        """Replace the keys of `stored` in `out` by one that holds exactly its last `size` pairs."""
        for ordinal, _ in stored._keys:
            out.delete(window_key(ordinal))
        pairs = stored.pairs()[-self.size :] if self.size else NO_PAIRS
        if len(pairs):
            out.put(window_key(stored._total - len(pairs)), pairs.tobytes())

    def pairs(self) -> Pairs:
        """`[n] PAIR`: the window, oldest first."""
        return self._ring[np.arange(self._total - len(self), self._total) % max(self.size, 1)]

    def _add(self, user: NDArray[np.int64], event_id: NDArray[np.uint64], skip: NDArray[np.bool_]) -> NDArray[np.bool_]:
        keep = np.ones(len(user), np.bool_)
        self._total = _admit(self._slots, self._ring, self._first, self._total, user, event_id, skip, keep)
        return keep


def _stored(cursor: Cursor) -> list[tuple[int, Pairs]]:
    stored = cursor.items(WINDOW, WINDOW_END)
    return [(window_ordinal(key), np.frombuffer(value, PAIR)) for key, value in stored]
