"""Histories and vectors on a device, and searches there, behind one lock: what the engine uses of a GPU.

Invariant: a device that fails is never the caller's trouble. From the first DeviceLostError on `lost` says why, nobody
is resident here any more, and every call answers at once that there is nothing. Where memory is short, the users
concerned leave.

The lock is held while work is handed to the device, never while it is waited for, except in `slots_of`. It is taken
inside `index.shared()` or outside of it; nothing else is taken within it.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from muse_stream.gsu_engine.arrays import I64, U32, Flags
from muse_stream.gsu_engine.contract import SearchBatch, SearchResult, Wanted
from muse_stream.gsu_engine.cuda.histories import DeviceHistories
from muse_stream.gsu_engine.cuda.search import Resident
from muse_stream.gsu_engine.cuda.vectors import DeviceVectors
from muse_stream.gsu_engine.errors import DeviceError, DeviceLostError, DeviceMemoryError
from muse_stream.gsu_engine.stats import Elsewhere, PoolStats, WayStats

log = logging.getLogger(__name__)

Value = TypeVar("Value")
NOBODY = np.empty(0, np.int64)


class Running(Protocol):
    """A search that the device works on."""

    def wait(self) -> SearchResult:
        """The answers; raises DeviceLostError."""
        ...


class Searching(Protocol):
    """Hands searches to the device: see `search.DeviceSearch`."""

    def start(
        self, resident: Resident, batch: SearchBatch, excluded: U32 | None, records: I64, wanted: Wanted
    ) -> Running:
        """Begin one; raises DeviceMemoryError or DeviceLostError."""
        ...

    def forget(self) -> None:
        """Let go of what is of no use once the device is lost."""
        ...

    def stats(self) -> WayStats:
        """How it does small searches."""
        ...


@dataclass(frozen=True, slots=True)
class Started:
    """What the device does of a batch.

    Attributes:
        found: `[P] bool` pairs whose windows it holds whole.
        asked: `[P] bool` those of them that have candidates: what it works on.
        running: The work; None where there is none.
        why_not: Why it took nothing, where that is not because it holds nothing.

    """

    found: Flags
    asked: Flags
    running: Running | None = None
    why_not: Elsewhere | None = None


class Residence:
    """Thread-safe."""

    def __init__(self, name: str, histories: DeviceHistories, vectors: DeviceVectors, search: Searching) -> None:
        """Put together what shares one device; from now on nobody else may use it."""
        self.name = name
        self.lost: str | None = None
        self.wait_seconds = 0.0
        self._histories, self._vectors, self._search = histories, vectors, search
        self._lock = threading.Lock()

    @property
    def departures(self) -> int:
        """As of `HistoryPool`."""
        return self._histories.departures

    def resident(self, users: I64) -> Flags:
        """`[n] bool`: which users are held."""
        return self._do(lambda: self._histories.resident(users), np.zeros(len(users), np.bool_))

    def covers(self, users: I64, starts: I64, stops: I64) -> Flags:
        """`[P] bool`: which windows are held whole; their users count as just used."""
        return self._do(lambda: self._find(users, starts, stops) != 0, np.zeros(len(users), np.bool_))

    def enter(self, user: int, start: int, slots: U32, *, departures: int) -> Elsewhere | None:
        """Hold a user, as `HistoryPool.enter` does; else why not."""

        def enter() -> Elsewhere | None:
            try:
                if self._histories.enter(user, start, slots, departures=departures):
                    return None
            except DeviceMemoryError:
                return Elsewhere.MEMORY
            return Elsewhere.NO_ROOM if departures == self._histories.departures else Elsewhere.LEFT

        lost: Elsewhere | None = Elsewhere.LOST
        return self._do(enter, lost)

    def append(self, users: I64, starts: I64, bounds: I64, slots: U32, *, departures: int) -> bool:
        """Add behaviours, as `HistoryPool.append` does."""

        def append() -> bool:
            try:
                return self._histories.append(users, starts, bounds, slots, departures=departures)
            except DeviceMemoryError:  # they have left
                return True

        return self._do(append, otherwise=True)

    def drop(self, users: I64) -> None:
        """Forget users."""
        self._do(lambda: self._histories.drop(users), None)

    def clear(self) -> None:
        """Forget everybody."""
        self._do(self._histories.clear, None)

    def spans(self) -> tuple[I64, I64, I64]:
        """As `HistoryPool.spans`."""
        return self._do(self._histories.spans, (NOBODY, NOBODY, NOBODY))

    def slots_of(self, user: int, start: int, stop: int) -> U32 | None:
        """Slots of the positions `[start, stop)`, read back from the device; None where not all of them are held."""
        return self._do(lambda: self._histories.slots_of(user, start, stop), None)

    def follow(self) -> None:
        """Bring the vectors to what the table holds, so that the next search need not. Inside `index.shared()`."""

        def follow() -> None:
            with suppress(DeviceMemoryError):  # the next search finds out, too, and is counted
                self._vectors.follow()

        self._do(follow, None)

    def start(self, batch: SearchBatch, excluded: U32 | None, wanted: Wanted) -> Started:
        """Hand the device all pairs whose windows it holds. Inside `index.shared()`, where `wait` has to be, too.

        Args:
            batch: A checked batch.
            excluded: `[T] uint32` slots, as in `contract.Work`.
            wanted: What is asked of every candidate.

        """
        nothing = np.zeros(len(batch.users), np.bool_)

        def start() -> Started:
            found = self._find(batch.users, batch.starts, batch.stops)
            try:
                return self._start(batch, excluded, found, wanted)
            except DeviceMemoryError:
                return Started(nothing, nothing, why_not=Elsewhere.MEMORY)

        return self._do(start, Started(nothing, nothing, why_not=Elsewhere.LOST))

    def wait(self, running: Running) -> SearchResult | None:
        """The answers; None where the device was lost."""
        began = time.perf_counter()
        result = None
        try:
            result = running.wait()
        except DeviceError as error:  # whatever is found out afterwards, nothing is known of the device any more
            with self._lock:
                self._lose(error)
        with self._lock:
            self.wait_seconds += time.perf_counter() - began
        return result

    def stats(self) -> tuple[PoolStats, int, WayStats]:
        """Of the histories, the bytes of the vectors (zeros once the device is lost), and of small searches."""
        with self._lock:
            now, ways = self._histories.stats(), self._search.stats()
            if self.lost is not None:
                return PoolStats(0, 0, 0, now.budget_bytes, now.evictions), 0, ways
            return now, self._vectors.vectors.bytes + self._vectors.inv_norms.bytes, ways

    def _find(self, users: I64, starts: I64, stops: I64) -> I64:
        """`[P] int64` record numbers; 0 for windows that are empty or not held."""
        wide = stops > starts
        if wide.all():
            return self._histories.find(users, starts, stops)
        records = np.zeros(len(users), np.int64)
        records[wide] = self._histories.find(users[wide], starts[wide], stops[wide])
        return records

    def _start(self, batch: SearchBatch, excluded: U32 | None, records: I64, wanted: Wanted) -> Started:
        found = records != 0
        asked = found & (np.diff(batch.bounds) > 0)
        if not asked.any():
            return Started(found, asked)
        self._vectors.follow()
        limits = excluded if excluded is None or asked.all() else excluded[batch.candidates_of(asked)]
        running = self._search.start(self._resident(), batch.only(asked), limits, records[asked], wanted)
        return Started(found, asked, running)

    def _resident(self) -> Resident:
        histories, vectors = self._histories, self._vectors
        return Resident(histories.pages, histories.page_table, histories.ring, vectors.vectors, vectors.inv_norms)

    def _do(self, work: Callable[[], Value], otherwise: Value) -> Value:
        """Do it under the lock; `otherwise` where the device is lost, or is lost by it."""
        with self._lock:
            if self.lost is None:
                try:
                    return work()
                except DeviceLostError as error:
                    self._lose(error)
        return otherwise

    def _lose(self, error: DeviceError) -> None:
        """Inside the lock."""
        if self.lost is None:
            self.lost = str(error)
            self._search.forget()
            log.error("%s is lost, the CPU answers from now on: %s", self.name, error)
