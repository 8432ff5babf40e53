"""A device beside the CPU: it answers the pairs whose histories it holds, the CPU answers the others meanwhile.

Invariant: which of the two answers never shows. Both answer at the same moment, inside one `index.shared()`; where the
device fails while it works, the CPU answers its pairs too, still inside.

Users come to the device before the search that needs them: out of the host's pool, or from the caller's source into
both. What the device cannot hold or do stays with the CPU, is counted by reason, and is offered to it again next time.
"""

import threading
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

from muse_stream.gsu_engine.arrays import U32, Flags
from muse_stream.gsu_engine.contract import Backend, SearchBatch, SearchResult, Wanted
from muse_stream.gsu_engine.cuda.residence import Residence, Started
from muse_stream.gsu_engine.dropped import LatelyDropped
from muse_stream.gsu_engine.errors import BackendError
from muse_stream.gsu_engine.index import ItemIndex
from muse_stream.gsu_engine.pool import HistoryPool
from muse_stream.gsu_engine.stats import DeviceStats, Elsewhere
from muse_stream.gsu_engine.table import VectorTable

ByCpu = Callable[[SearchBatch], SearchResult]
Refusals = dict[int, Elsewhere]


@runtime_checkable
class DeviceBackend(Backend, Protocol):
    """A backend that brings a device for each engine.

    Attributes:
        cpu: What answers beside it, and once it is lost.

    """

    cpu: Backend

    def residence(self, table: VectorTable, cap: int, budget_bytes: int | None) -> Residence:
        """The device with room for histories of that size; raises BackendError where there is none for them."""
        ...

    def tune(self, dimension: int, k: int) -> None:
        """Find out what is fastest on this device; never raises."""
        ...


class Offload:
    """One engine's device. Thread-safe."""

    def __init__(self, residence: Residence, index: ItemIndex, pool: HistoryPool, dropped: LatelyDropped) -> None:
        """Prepare.

        Args:
            residence: The device, with nobody on it.
            index: Whose slots it keeps.
            pool: The host's.
            dropped: Users that may not be kept.

        """
        self.residence = residence
        self._index, self._pool, self._dropped = index, pool, dropped
        self._lock = threading.Lock()
        self._searches = self._answered = 0
        self._elsewhere: dict[str, int] = dict.fromkeys(Elsewhere, 0)

    def follow(self) -> None:
        """Send changed vectors to the device now, so that no search has to."""
        with self._index.shared():
            self.residence.follow()

    def missing(self, batch: SearchBatch) -> list[int]:
        """Users whose windows are not all on the device."""
        held = self.residence.covers(batch.users, batch.starts, batch.stops)
        return list(dict.fromkeys(batch.users[~held & (batch.stops > batch.starts)].tolist()))

    def bring(self, user: int, batch: SearchBatch, refusals: Refusals) -> bool:
        """Bring a user from the host's pool; False where its windows are not all there. Outside of `index.shared()`."""
        departures = self.residence.departures
        run = self._pool.run(user)
        if run is None:
            return False
        start, slots = run
        own = (batch.users == user) & (batch.stops > batch.starts)
        if batch.starts[own].min() < start or batch.stops[own].max() > start + len(slots):
            return False
        self.enter(user, start, slots, refusals, departures=departures)
        return True

    def enter(self, user: int, start: int, slots: U32, refusals: Refusals, *, departures: int) -> None:
        """Let the device hold a user, or note why it does not."""
        if user in self._dropped:
            refusals[user] = Elsewhere.DROPPED
            return
        why_not = self.residence.enter(user, start, slots, departures=departures)
        if why_not is not None:
            refusals[user] = why_not

    def answer(
        self, batch: SearchBatch, excluded: U32 | None, wanted: Wanted, refusals: Refusals, by_cpu: ByCpu
    ) -> SearchResult:
        """Answer a checked batch, inside `index.shared()`.

        Args:
            batch: The batch.
            excluded: `[T] uint32` slots, as in `contract.Work`.
            wanted: What is asked of every candidate.
            refusals: Why users were not taken.
            by_cpu: Answers a part of the batch.

        """
        started = self.residence.start(batch, excluded, wanted)
        rest, asked = ~started.found, started.asked
        found, parts = None, []
        try:
            if rest.any():
                parts.append((rest, by_cpu(batch.only(rest))))
        finally:
            if started.running is not None:
                found = self.residence.wait(started.running)
        if asked.any():
            parts.append((asked, by_cpu(batch.only(asked)) if found is None else found))
        self._count(batch, started, refusals, is_lost=found is None)
        return _put_together(batch, parts, wanted)

    def _count(self, batch: SearchBatch, started: Started, refusals: Refusals, *, is_lost: bool) -> None:
        asked = int(np.count_nonzero(started.asked))
        elsewhere = (batch.stops > batch.starts) & (np.diff(batch.bounds) > 0) & ~started.found
        reasons = [started.why_not or refusals.get(user, Elsewhere.LEFT) for user in batch.users[elsewhere].tolist()]
        with self._lock:
            self._searches += asked > 0
            self._answered += 0 if is_lost else asked
            self._elsewhere[Elsewhere.LOST] += asked if is_lost else 0
            for reason in reasons:
                self._elsewhere[reason] += 1

    def stats(self) -> DeviceStats:
        """Counts and bytes at this moment."""
        histories, vector_bytes, ways = self.residence.stats()
        with self._lock:
            return DeviceStats(
                name=self.residence.name,
                lost=self.residence.lost,
                histories=histories,
                vector_bytes=vector_bytes,
                searches=self._searches,
                answered=self._answered,
                elsewhere=dict(self._elsewhere),
                wait_seconds=self.residence.wait_seconds,
                ways=ways,
            )


def _put_together(batch: SearchBatch, parts: list[tuple[Flags, SearchResult]], wanted: Wanted) -> SearchResult:
    """One result from those of flagged pairs; nothing is found for the others, and nothing stays on the device."""
    if len(parts) == 1 and parts[0][0].all():
        return parts[0][1]
    whole = SearchResult.empty(len(batch.vectors), wanted.k, wanted.recent)
    for pairs, result in parts:
        whole.put(batch.candidates_of(pairs), result)
    return whole


def open_offload(  # noqa: PLR0917 - what an engine has in hand
    backend: Backend,
    why: str,
    table: VectorTable,
    pool: HistoryPool,
    dropped: LatelyDropped,
    budget_bytes: int | None,
    *,
    must: bool,
) -> tuple[Backend, Offload | None, str]:
    """What computes on the CPU, the device beside it if the backend brings one, and why it is so.

    Raises:
        BackendError: The device cannot be used, and it `must`.

    """
    if not isinstance(backend, DeviceBackend):
        return backend, None, why
    try:
        residence = backend.residence(table, pool.cap, budget_bytes)
    except BackendError as reason:
        if must:
            raise
        return backend.cpu, None, str(reason)
    return backend.cpu, Offload(residence, table.index, pool, dropped), why
