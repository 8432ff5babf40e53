"""Item ids to slots: one numbering for histories, all vector spaces, and columns that others keep by slot.

Invariant: an item with a vector in any space has a slot, and a slot means one item for as long as `shared()` is held.
Hence slot 0 ("unknown") is exact for an item that found no room: it has no vector, so it cannot be retrieved. It stays
exact, because room appears in one way alone: `reclaim`, after which every history that was kept as slots is forgotten.

Bytes per unseen item: 8 (id) + 7.1..10.7 (buckets, see `kernels.hashing`) + 4 per vector space (its slot -> row array):
at most 22.7 with one space. Memory is bounded by 24 bytes x `max_items`, whatever ids arrive: when the index is full,
new ids get slot 0 until `reclaim` has freed the slots that no holder needs. An id costs nothing unless its user is
resident, so a flood has to be aimed at active users; what it costs them is a reload each time that the index fills.
"""

import os
import threading
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np

from muse_stream.gsu_engine.arrays import I64, U8, U32, Flags, plain, reserve
from muse_stream.gsu_engine.errors import BudgetError
from muse_stream.gsu_engine.gate import Gate
from muse_stream.gsu_engine.kernels import hashing
from muse_stream.gsu_engine.listeners import Listener, Listeners
from muse_stream.gsu_engine.stats import IndexStats

MAX_ITEMS = 1 << 24  # 16.8 million items, 400 MB when full; the address space alone is reserved
STEP = 8_192  # ids per hold of the lock: well below a millisecond, so that nobody waits for a long batch
FIRST_BUCKETS = 1_024


class SlotHolder(Protocol):
    """Keeps something by slot, so that the slot must go on meaning the same item."""

    def held(self, slots: int) -> Flags:
        """`[slots] bool`: which of the slots 0..slots-1 it needs."""
        ...


class ItemIndex:
    """Array hash table from item id (int64, not 0) to slot (uint32, from 1). Thread-safe."""

    def __init__(self, max_items: int = MAX_ITEMS) -> None:
        if not 1 <= max_items < 2**32 - 1:
            message = f"max_items is {max_items}, expected 1..{2**32 - 2}"
            raise BudgetError(message)
        self.max_items = max_items
        self.gate = Gate()
        self.generation = 0
        self._lock = threading.Lock()
        self._ids: I64 = reserve((max_items + 1,), np.int64)
        self._tags: U8 = np.zeros(FIRST_BUCKETS, np.uint8)
        self._numbers: U32 = np.zeros(FIRST_BUCKETS, np.uint32)
        self._counters: I64 = np.zeros(hashing.COUNTERS, np.int64)
        self._counters[hashing.NEXT] = 1
        self._counters[hashing.SEED] = int.from_bytes(os.urandom(8), "little", signed=True)  # ids can be anyone's
        self._holders: list[SlotHolder] = []
        self._listeners = Listeners()
        self._refused_at_last_reclaim = 0

    @property
    def slot_limit(self) -> int:
        """One above the highest slot that can exist: the length of an array kept by slot."""
        return self.max_items + 1

    @property
    def slots_in_use(self) -> int:
        """One above the highest slot that was ever given out."""
        return int(self._counters[hashing.NEXT])

    def shared(self) -> AbstractContextManager[None]:
        """Inside, slots keep their meaning and vectors do not change."""
        return self.gate.shared()

    def slots(self, items: I64, *, create: bool) -> U32:
        """Slots `[n] uint32` of `[n] int64` item ids; 0 = unknown (or, with `create`, no room: see the module)."""
        items = plain(items, np.int64)
        out = np.empty(len(items), np.uint32)
        for low in range(0, len(items), STEP):
            part, result = items[low : low + STEP], out[low : low + STEP]
            with self._lock:
                if create:
                    self._insert(part, result)
                else:
                    seed = int(self._counters[hashing.SEED])
                    hashing.find(part, self._ids, self._tags, self._numbers, seed, result)
        return out

    def _insert(self, items: I64, out: U32) -> None:
        done = 0
        while done < len(items):
            if done or self._counters[hashing.COUNT] * 10 >= len(self._tags) * hashing.FULL_OF_TEN:
                self._rebucket(len(self._tags) * 3 // 2)
            done += hashing.insert(items[done:], self._ids, self._tags, self._numbers, self._counters, out[done:])

    def _rebucket(self, buckets: int) -> None:
        tags, numbers = np.zeros(buckets, np.uint8), np.zeros(buckets, np.uint32)
        seed = int(self._counters[hashing.SEED])
        hashing.move(self._ids, self._tags, self._numbers, tags, numbers, seed)
        self._tags, self._numbers = tags, numbers

    def items(self, slots: U32) -> I64:
        """Item ids `[n] int64` of slots in use; 0 for slot 0."""
        return self._ids[slots]

    def hold(self, holder: SlotHolder) -> None:
        """From now on `reclaim` keeps the slots that `holder` needs."""
        self._holders.append(holder)

    def on_reclaim(self, listener: Listener) -> None:
        """Call `listener` when slots have been freed: it must forget every slot that no holder keeps.

        A bound method does not keep its object (see `listeners`).
        """
        with self._lock:
            self._listeners.add(listener)

    def off_reclaim(self, listener: Listener) -> None:
        """Call `listener` no more."""
        with self._lock:
            self._listeners.remove(listener)

    def crowded(self) -> bool:
        """Whether items were refused a slot, enough of them since the last `reclaim` for another one to pay."""
        refused = int(self._counters[hashing.REFUSED]) - self._refused_at_last_reclaim
        return refused > (self.max_items // 16 if self._refused_at_last_reclaim else 0)

    def reclaim(self) -> int:
        """Free all slots that no holder needs, and tell the listeners; returns how many. Waits for running searches."""
        with self.gate.exclusive():
            return self.reclaim_while_exclusive()

    def reclaim_while_exclusive(self) -> int:
        """The same, for a caller that is inside `gate.exclusive()`."""
        freed = self._free_unheld()
        if freed:
            self._listeners.tell()
        return freed

    def _free_unheld(self) -> int:
        with self._lock:
            self._refused_at_last_reclaim = int(self._counters[hashing.REFUSED])
            used = int(self._counters[hashing.NEXT])
            held = np.zeros(used, np.bool_)
            for holder in self._holders:
                held |= holder.held(used)
            in_use = np.zeros(used, np.bool_)
            in_use[self._numbers[self._tags != 0]] = True
            unheld = np.flatnonzero(in_use & ~held)
            if len(unheld):
                self.generation += 1
                self._forget(unheld)
            return len(unheld)

    def _forget(self, unheld: I64) -> None:
        gone = np.zeros(int(self._counters[hashing.NEXT]), np.bool_)
        gone[unheld] = True
        self._tags[gone[self._numbers] & (self._tags != 0)] = 0
        left = int(self._counters[hashing.COUNT]) - len(unheld)
        self._ids[unheld] = np.append(unheld[1:], self._counters[hashing.FREE])
        self._counters[hashing.FREE] = unheld[0]
        self._counters[hashing.COUNT] = left
        self._rebucket(max(FIRST_BUCKETS, left * 2))

    def stats(self) -> IndexStats:
        """Counts and bytes at this moment."""
        with self._lock:
            items = int(self._counters[hashing.COUNT])
            size = self._tags.nbytes + self._numbers.nbytes + 8 * int(self._counters[hashing.NEXT])
            return IndexStats(items, self.max_items, size, int(self._counters[hashing.REFUSED]))
