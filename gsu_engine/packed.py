"""Packed copies of hot users' rows, under a byte budget: what lets a search read memory in a row.

Invariant: a copy holds, for a gapless run of positions, every row that has a vector, with the vectors of one version of
the table. What it holds beyond a search's window is passed over, so an answer never depends on which users are hot.

A user becomes hot at the second search within a while, when a window has been gathered anyway. From then on a search
adds what came since, which is all that an append ever costs. A change of vectors is noticed at the next use: the rows
concerned are rewritten, or the copy is made anew where a vector came to a row that had none.

Positions keep their meaning for good, so an erased user's copy could never answer wrongly; it is dropped all the same.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I64, U32, reserve
from muse_stream.gsu_engine.kernels import packing
from muse_stream.gsu_engine.kernels.blocks import NOWHERE
from muse_stream.gsu_engine.kernels.forms import Form
from muse_stream.gsu_engine.kernels.packing import Lanes, Packed, Source
from muse_stream.gsu_engine.kernels.standing import REFILLS, ROWS_SCORED, SERVED, TALLIES
from muse_stream.gsu_engine.standing import SPARE, Standing
from muse_stream.gsu_engine.stats import PackedStats
from muse_stream.gsu_engine.table import VectorTable

SLACK = 8  # room for an eighth more rows than there are, and an eighth of the cap may be dead
REMEMBERED = 8_192  # users searched lately, per generation: who comes again within one to two of them is hot
STANDING_FROM_ROWS = 2_048  # below, a search costs no more than keeping its answer
WIDEST_WASTE = 2  # a window is searched in a copy of at most so many times its rows


@dataclass(slots=True)
class PackedCopy:
    """One user's rows; changed under its lock.

    Attributes:
        user: Whose they are.
        lanes: The arrays.
        ends: Addresses behind blocks, inverse norms, places and slots.
        bytes: Size of the arrays.
        room: Rows, and absent slots, that they have room for.
        base: Position of place 0.
        stop: Positions from `base` to here are in.
        version: Of the table.
        rows: Lanes in use.
        absent: Rows without a vector.
        standing: Answers that follow it.
        accounted: Bytes of it that count against the budget.

    """

    user: int
    lanes: Lanes
    ends: tuple[int, int, int, int]
    bytes: int
    room: int
    base: int
    stop: int
    version: int
    rows: int = 0
    absent: int = 0
    standing: Standing | None = None
    accounted: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class PackedCopies:
    """The copies of one engine. Thread-safe."""

    def __init__(self, table: VectorTable, form: Form, budget_bytes: int, cap: int) -> None:
        self.budget_bytes = budget_bytes
        self._table, self._form, self._cap = table, form, cap
        view = table.view()
        self._source = Source(view.row_of_slot, view.rows, view.rows.view(np.uint32), view.inv_norms)
        self._lock = threading.Lock()
        self._copies: OrderedDict[int, PackedCopy] = OrderedDict()
        self._young: set[int] = set()
        self._old: set[int] = set()
        self._tallies: I64 = np.zeros(TALLIES, np.int64)
        self._bytes = self._hits = self._misses = self._evictions = 0

    def find(self, user: int, start: int, stop: int) -> PackedCopy | None:
        """A copy with the present vectors, for the window `[start, stop)`; behaviours may have come since its stop.

        Inside `index.shared()`.
        """
        with self._lock:
            copy = self._copies.get(user)
            fits = copy is not None and copy.base <= start <= copy.stop and not self._is_waste(copy, stop - start)
            self._hits += fits
            self._misses += not fits
            if copy is None or not fits:
                return None
            self._copies.move_to_end(user)
        with copy.lock:
            if self._is_renewed(copy) and not self._is_mostly_dead(copy):
                return copy
        self.drop(np.array([user]))
        return None

    def is_hot(self, user: int) -> bool:
        """Whether the user was searched a while ago, so that a copy is worth making; notes this search."""
        with self._lock:
            known = user in self._young or user in self._old
            self._young.add(user)
            if len(self._young) > REMEMBERED:
                self._old, self._young = self._young, set()
            return known

    def extend(self, copy: PackedCopy, start: int, stop: int, slots: U32, k: int) -> Packed:
        """Add what came since, and give the rows of the window `[start, stop)`.

        Inside the same `index.shared()` as `find`.

        Args:
            copy: From `find`.
            start: First position of the window.
            stop: Its end.
            slots: `[n] uint32` the behaviours at `[stop - n, stop)`, at least those from the copy's stop on.
            k: Results wanted per candidate.

        """
        with copy.lock:
            if stop > copy.stop:
                self._append(copy, slots[len(slots) - (stop - copy.stop) :])
            if copy.rows >= STANDING_FROM_ROWS and (copy.standing is None or copy.standing.k < SPARE * k):
                copy.standing = Standing(self._table.dimension, SPARE * k, self._tally)
            packed = self._packed(copy, start)
        self._account(copy)
        return packed

    def make(self, user: int, start: int, slots: U32) -> Packed | None:
        """A copy of the behaviours `slots` from position `start` on, kept within the budget; None: no room for it.

        Inside `index.shared()`.
        """
        lanes, size, room = self._lanes(len(slots))
        if size > self.budget_bytes:
            return None
        copy = PackedCopy(user, lanes, _ends(lanes), size, room, start, start, self._table.version)
        self._append(copy, slots)
        with self._lock:
            self._forget(user)
            self._copies[user] = copy
        self._account(copy)
        return self._packed(copy, start)

    def drop(self, users: I64) -> None:
        """Forget users."""
        with self._lock:
            for user in users.tolist():
                self._forget(user)

    def clear(self) -> None:
        """Forget everybody: slots have another meaning now."""
        with self._lock:
            self._copies.clear()
            self._bytes = 0

    def stats(self) -> PackedStats:
        """Counts and bytes at this moment."""
        with self._lock:
            return PackedStats(
                users=len(self._copies),
                bytes=self._bytes,
                budget_bytes=self.budget_bytes,
                hits=self._hits,
                misses=self._misses,
                evictions=self._evictions,
                answers=sum(len(copy.standing) for copy in self._copies.values() if copy.standing is not None),
                served=int(self._tallies[SERVED]),
                rows_scored=int(self._tallies[ROWS_SCORED]),
                refills=int(self._tallies[REFILLS]),
            )

    def _tally(self, tallies: I64) -> None:
        with self._lock:
            self._tallies += tallies

    def _is_waste(self, copy: PackedCopy, length: int) -> bool:
        return WIDEST_WASTE * (length + self._form.rows) < min(copy.stop - copy.base, self._cap)

    def _is_mostly_dead(self, copy: PackedCopy) -> bool:
        return copy.stop - self._cap - copy.base > self._cap // SLACK + self._form.rows

    def _packed(self, copy: PackedCopy, start: int) -> Packed:
        place, first = start - copy.base, 0
        if place:
            first = int(packing.first_alive(copy.lanes, copy.rows, place, self._form.rows))
        return Packed(copy.lanes, copy.ends, copy.base, first, copy.rows, copy.standing)

    def _is_renewed(self, copy: PackedCopy) -> bool:
        version = self._table.version
        if copy.version == version:
            return True
        changed = self._table.changed_since(copy.version)
        if changed is None:
            return False
        copy.version = version
        renewed = packing.renew(copy.lanes, self._source, changed, copy.rows, copy.absent, self._form.marker)
        if renewed:
            copy.standing = None
        return bool(renewed >= 0)

    def _append(self, copy: PackedCopy, slots: U32) -> None:
        if max(copy.rows, copy.absent) + len(slots) > copy.room:
            self._grow(copy, len(slots))
        place = copy.stop - copy.base
        copy.rows, copy.absent = packing.append(
            copy.lanes, self._source, slots, place, copy.rows, copy.absent, self._form.marker
        )
        copy.stop += len(slots)

    def _grow(self, copy: PackedCopy, more: int) -> None:
        """Room for `more`, in arrays of its own: searches that are under way read on in the former ones."""
        lanes, size, room = self._lanes(copy.room + more)
        for new, old in zip(lanes[:-1], copy.lanes[:-1], strict=True):
            new[len(new) - len(old) :] = old
        lanes.absent[: copy.absent] = copy.lanes.absent[: copy.absent]
        copy.lanes, copy.ends, copy.bytes, copy.room = lanes, _ends(lanes), size, room

    def _lanes(self, rows: int) -> tuple[Lanes, int, int]:
        """Arrays with room for `rows` and some more, their bytes, and the room."""
        blocks = -(-(rows + rows // SLACK) // self._form.rows) + 1
        room = blocks * self._form.rows
        sizes = (room * self._form.cell_bytes * self._table.dimension // 4, room, room, room, room)
        memory: U32 = reserve((sum(sizes),), np.uint32)
        blocks_of, norms, places, slots, absent = np.split(memory, np.cumsum(sizes)[:-1])
        inv_norms: F32 = norms.view(np.float32)
        places[:] = NOWHERE
        return Lanes(blocks_of, inv_norms, places, slots, absent), memory.nbytes, room

    def _account(self, copy: PackedCopy) -> None:
        """Count what a copy takes now; least recently used ones go until the budget is kept."""
        size = copy.bytes + (copy.standing.bytes if copy.standing is not None else 0)
        if size == copy.accounted:
            return
        with self._lock:
            if self._copies.get(copy.user) is not copy:
                return
            self._bytes += size - copy.accounted
            copy.accounted = size
            while self._bytes > self.budget_bytes:
                _, oldest = self._copies.popitem(last=False)
                self._bytes -= oldest.accounted
                self._evictions += 1

    def _forget(self, user: int) -> None:
        copy = self._copies.pop(user, None)
        if copy is not None:
            self._bytes -= copy.accounted


def _ends(lanes: Lanes) -> tuple[int, int, int, int]:
    blocks, norms, places, slots = (
        array.ctypes.data + array.nbytes for array in (lanes.blocks, lanes.inv_norms, lanes.places, lanes.slots)
    )
    return blocks, norms, places, slots
