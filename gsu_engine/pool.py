"""Resident users' histories as slots, under a byte budget.

Invariant: what is held of a user is a gapless run of positions, equal to what `state` holds at those positions; whoever
cannot be kept so leaves and is loaded again at the next use. So an answer never depends on what is resident.

A search copies its windows out (4 bytes a behaviour, tens of microseconds for 100 000), so pages may be recycled while
it runs, and the lock is held for one copy at a time.
"""

import threading

import numpy as np

from muse_stream.gsu_engine import residents
from muse_stream.gsu_engine.arrays import I64, U32, Flags, reserve
from muse_stream.gsu_engine.errors import BudgetError
from muse_stream.gsu_engine.kernels import hashing, paging
from muse_stream.gsu_engine.kernels.paging import RECORD, Pages
from muse_stream.gsu_engine.kernels.residents import BEHAVIOURS, EVICTIONS, PAGE, STATE, USED_PAGES, holds_all
from muse_stream.gsu_engine.stats import PoolStats

PAGE_BYTES = 4 * PAGE + 4
USER_BYTES = RECORD.itemsize + residents.USER_BYTES
COPIED_PER_HOLD = 1 << 18  # behaviours copied before the lock is let go for others: about 0.1 ms


class HistoryPool:
    """Page pool of users' slots. Thread-safe."""

    def __init__(self, budget_bytes: int, cap: int) -> None:
        pages = budget_bytes // (PAGE_BYTES + USER_BYTES)
        if pages < 1 or cap < 1:
            message = f"pool budget {budget_bytes} bytes, cap {cap}: expected >= {PAGE_BYTES + USER_BYTES}, >= 1"
            raise BudgetError(message)
        self.budget_bytes = budget_bytes
        self.cap = cap
        self._lock = threading.Lock()
        self._departures = 0
        self._pages = Pages(
            **residents.columns(pages, RECORD, STATE),
            slots=reserve((pages + 1, PAGE), np.uint32),
            next_page=reserve((pages + 1,), np.uint32),
        )

    @property
    def departures(self) -> int:
        """Counts calls of `drop` and `clear`: what was loaded before one of them may not `enter` after it."""
        return self._departures

    def resident(self, users: I64) -> Flags:
        """`[n] bool`: which users are held."""
        with self._lock:
            return residents.resident(self._pages, users)

    def holds_all(self, users: I64) -> bool:
        """Whether all of these users are held."""
        with self._lock:
            return holds_all(self._pages, users)

    def enter(self, user: int, start: int, slots: U32, *, departures: int) -> bool:
        """Hold a user whose live history starts at position `start`.

        Args:
            user: User id.
            start: Position of `slots[0]`.
            slots: `[n] uint32`, oldest first; the last `cap` are kept.
            departures: `departures` before the history was read.

        Returns:
            False where it was not kept: empty, larger than the pool, or somebody left since it was read.

        """
        surplus = max(len(slots) - self.cap, 0)
        with self._lock:
            if departures != self._departures:
                return False
            self._pages = residents.with_room(self._pages)
            who = np.array([user], np.int64)
            return bool(paging.enter(self._pages, who, start + surplus, slots[surplus:], self.cap))

    def append(self, users: I64, starts: I64, bounds: I64, slots: U32, *, departures: int) -> bool:
        """Add behaviours behind those held; False: somebody left meanwhile, look the slots up again.

        Args:
            users: `[u] int64` distinct user ids; those not held are ignored.
            starts: `[u] int64` position of each user's first row.
            bounds: `[u+1] int64`; rows of user j: `slots[bounds[j]:bounds[j+1]]`.
            slots: `[m] uint32`.
            departures: `departures` before the slots were looked up.

        """
        with self._lock:
            if departures != self._departures:
                return False
            paging.append(self._pages, users, starts, bounds, slots, self.cap)
            return True

    def drop(self, users: I64) -> None:
        """Forget users."""
        with self._lock:
            self._departures += 1
            paging.drop(self._pages, users)

    def clear(self) -> None:
        """Forget everybody."""
        with self._lock:
            self._departures += 1
            paging.drop(self._pages, residents.everybody(self._pages))

    def copy(self, users: I64, starts: I64, stops: I64, offsets: I64, out: U32) -> Flags:
        """Copy the windows `[starts, stops)` to `out[offsets[j]:offsets[j+1]]`; `[P] bool`: which were held whole."""
        found = np.zeros(len(users), np.bool_)
        low = 0
        while low < len(users):
            reach = int(np.searchsorted(offsets, offsets[low] + COPIED_PER_HOLD, side="right")) - 1
            high = min(max(reach, low + 1), len(users))
            part = slice(low, high)
            with self._lock:
                paging.copy_windows(
                    self._pages, users[part], starts[part], stops[part], offsets[part], out, found[part]
                )
            low = high
        return found

    def run(self, user: int) -> tuple[int, U32] | None:
        """The position of the first behaviour held of a user, and the slots from there on; None: not held."""
        who, number = np.array([user], np.int64), np.zeros(1, np.uint32)
        found = np.zeros(1, np.bool_)
        with self._lock:
            pool = self._pages
            hashing.find(who, pool.ids, pool.tags, pool.numbers, int(pool.counters[hashing.SEED]), number)
            if number[0] == 0:
                return None
            start, stop = pool.records["start"][number].copy(), pool.records["stop"][number].copy()
            slots = np.empty(int(stop[0] - start[0]), np.uint32)
            paging.copy_windows(pool, who, start, stop, np.array([0, len(slots)]), slots, found)
        return int(start[0]), slots

    def spans(self) -> tuple[I64, I64, I64]:
        """Users held, ascending, and the first position and the end of each one's run, `[n] int64` each.

        Pages go whole, so a run may begin up to a page before the last `cap` positions.
        """
        with self._lock:
            return residents.spans(self._pages)

    def stats(self) -> PoolStats:
        """Counts and bytes at this moment."""
        with self._lock:
            pool = self._pages
            users = int(pool.counters[hashing.COUNT])
            size = int(pool.state[USED_PAGES]) * PAGE_BYTES + users * (RECORD.itemsize + 8)
            return PoolStats(
                users=users,
                behaviours=int(pool.state[BEHAVIOURS]),
                bytes=size + pool.tags.nbytes + pool.numbers.nbytes,
                budget_bytes=self.budget_bytes,
                evictions=int(pool.state[EVICTIONS]),
            )
