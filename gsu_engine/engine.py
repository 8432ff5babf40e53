"""The engine: resident histories and a vector table behind one exact search.

Invariant: an answer is a function of the windows asked for and of the vectors at one moment between two changes; never
of what happened to be resident, of the backend, or of what other threads did meanwhile.

How a search runs: users who are not resident are loaded from the caller's source (outside all locks); then, with the
index's gate shared (vectors and slots stand still), windows are copied out of the pool and the backend computes.
Appends need the pool's lock alone, so they wait for one copy at most, never for a search.

Where the backend brings a device, that one answers first: see `offload`. Users are then resident in the pool, on the
device, or in both, each with a run of its own; appends and departures reach both.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muse_stream.gsu_engine.arrays import I8, I64, U32, Flags, plain
from muse_stream.gsu_engine.backends import choose
from muse_stream.gsu_engine.contract import Backend, HistorySource, SearchBatch, SearchResult, Wanted, Work
from muse_stream.gsu_engine.dropped import LatelyDropped
from muse_stream.gsu_engine.errors import WindowError
from muse_stream.gsu_engine.kernels.packing import Packed
from muse_stream.gsu_engine.offload import Refusals, open_offload
from muse_stream.gsu_engine.packed import PackedCopies, PackedCopy
from muse_stream.gsu_engine.pool import HistoryPool
from muse_stream.gsu_engine.stats import EngineStats
from muse_stream.gsu_engine.table import VectorTable


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A user's live history as it came from the source, with the moment its slots belong to."""

    start: int
    slots: U32
    generation: int


@dataclass(slots=True)
class _Pass:
    """One search.

    Attributes:
        wanted: What is asked of every candidate.
        source: Where users are loaded from.
        loaded: Those that were.
        refusals: Those that the device did not take, and why.
        by_cpu: Pairs that the CPU answered.
        hits: Those of them whose windows were held.

    """

    wanted: Wanted
    source: HistorySource
    loaded: dict[int, _Loaded] = field(default_factory=dict)
    refusals: Refusals = field(default_factory=dict)
    by_cpu: int = 0
    hits: int = 0


_Window = tuple[int, int, int]  # user, start, stop
DEVICE = "cuda"
NOBODY = np.empty(0, np.int64)
Masks = Sequence[NDArray[Any] | None]


class _Views(NamedTuple):
    """What the backend reads of the histories: see `contract.Work`."""

    slots: U32
    offsets: I64
    packed: list[Packed | None]
    rows: int


@dataclass(slots=True)
class _Totals:
    hits: int = 0
    misses: int = 0
    searches: int = 0
    pairs: int = 0
    candidates: int = 0
    search_seconds: float = 0.0
    load_seconds: float = 0.0


class GsuEngine:
    """Exact top-K over whole histories, for one vector space. All methods are thread-safe."""

    def __init__(
        self,
        table: VectorTable,
        *,
        cap: int = 100_000,
        pool_bytes: int = 1 << 30,
        packed_bytes: int = 256 << 20,
        backend: str | Backend = "auto",
        threads: int | None = None,
        gpu_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make an engine with nobody resident.

        Args:
            table: The vectors; several engines may share one, and several tables one index.
            cap: Behaviours kept per user, the store's own rule.
            pool_bytes: Bound on resident histories; 1 GiB holds 2 600 users of 100 000 behaviours.
            packed_bytes: Bound on hot users' packed rows; 256 MiB holds 17 users of 100 000 behaviours at d = 128.
            backend: A name (see `backends`), or a backend that engines share.
            threads: Threads of the `cpu` backend; None = one per core.
            gpu_bytes: Bound on histories on the GPU, where there is one; None: see `backends.cuda.budget_of`.
            clock: Seconds, rising.

        Raises:
            BackendError: The backend is unknown or cannot run here.
            BudgetError: `pool_bytes` is below one page.

        """
        self.table = table
        self.index = table.index
        self._pool = HistoryPool(pool_bytes, cap)
        self._dropped = LatelyDropped(clock)
        chosen, why = choose(backend, threads, table.dimension) if isinstance(backend, str) else (backend, "given")
        opened = open_offload(chosen, why, table, self._pool, self._dropped, gpu_bytes, must=backend != "auto")
        self._backend, self._offload, self._why = opened
        form = self._backend.form if packed_bytes else None
        self._packed = PackedCopies(table, form, packed_bytes, cap) if form else None
        self._totals = _Totals()
        self._totals_lock = threading.Lock()
        self.index.on_reclaim(self._pool.clear)
        if self._packed:
            self.index.on_reclaim(self._packed.clear)
        if self._offload:
            self.index.on_reclaim(self._offload.residence.clear)
            table.on_change(self._offload.follow)

    def close(self) -> None:
        """Leave index and table, which go on; who holds the engine may not search with it any more.

        Packed copies are let go at once, the rest, and what it has on a device, as soon as nobody holds it.
        """
        self.index.off_reclaim(self._pool.clear)
        if self._packed:
            self.index.off_reclaim(self._packed.clear)
            self._packed.clear()
        if self._offload:
            self.index.off_reclaim(self._offload.residence.clear)
            self.table.off_change(self._offload.follow)

    def append(self, users: I64, starts: I64, bounds: I64, items: I64) -> None:
        """Add behaviours that `state` has appended; users that are not resident are ignored.

        Args:
            users: `[u] int64` distinct user ids.
            starts: `[u] int64` position of each user's first row. Rows that are held already are skipped; a gap makes
                the user leave, to be loaded whole at the next use.
            bounds: `[u+1] int64`; rows of user j: `items[bounds[j]:bounds[j+1]]`.
            items: `[m] int64` item ids, oldest first within a user.

        """
        users, starts, bounds = (plain(array, np.int64) for array in (users, starts, bounds))
        residence = self._offload.residence if self._offload else None
        if not self._pool.holds_all(users):
            held = self._pool.resident(users)
            if residence:
                held |= residence.resident(users)
            if not held.any():
                return
            users, starts, bounds, items = _only(held, users, starts, bounds, items)
        done = False
        while not done:
            departures = self._pool.departures, residence.departures if residence else 0
            slots = self.index.slots(items, create=True)
            done = self._pool.append(users, starts, bounds, slots, departures=departures[0])
            if done and residence:
                done = residence.append(users, starts, bounds, slots, departures=departures[1])

    def drop(self, users: I64) -> None:
        """Forget users at once: erased, or no longer ours. For a minute they are not kept again (see `dropped`)."""
        if len(users):
            self._dropped.add(users)
            self._pool.drop(plain(users, np.int64))
            if self._offload:
                self._offload.residence.drop(plain(users, np.int64))
            if self._packed:
                self._packed.drop(users)

    def prefetch(self, user: int, source: HistorySource) -> None:
        """Make a user resident before the search that will need it."""
        who = np.array([user], np.int64)
        if self._pool.resident(who)[0] or (self._offload and self._offload.residence.resident(who)[0]):
            return
        self._load(user, _Pass(Wanted(0, 0), source))
        self._tidy()

    def resident(self, *, on_device: bool = False) -> tuple[I64, I64, I64]:
        """Users in memory, or on the device, ascending, with the run of positions held of each.

        See `HistoryPool.spans`.
        """
        if on_device:
            return self._offload.residence.spans() if self._offload else (NOBODY, NOBODY, NOBODY)
        return self._pool.spans()

    def resident_items(self, user: int, start: int, stop: int, *, on_device: bool = False) -> I64 | None:
        """Item ids `[stop - start] int64` held at the positions `[start, stop)`; None where not all of them are held.

        0 stands for an item that found no room in the index. What is read counts as used.
        """
        with self.index.shared():
            if on_device:
                found = self._offload.residence.slots_of(user, start, stop) if self._offload else None
                return None if found is None else self.index.items(found)
            slots = np.empty(stop - start, np.uint32)
            window = (np.array([user]), np.array([start]), np.array([stop]), np.array([0, stop - start]))
            held = self._pool.copy(*window, slots)
            return self.index.items(slots) if held[0] else None

    def put_vectors(self, items: I64, vectors: I8) -> int:
        """Set vectors between searches; returns how many found no room (see `VectorTable.put`)."""
        return self.table.put(items, vectors)

    def forget_vectors(self, items: I64) -> None:
        """Take vectors away between searches."""
        self.table.forget(items)

    def search(
        self, batch: SearchBatch, k: int, recent: int, source: HistorySource, *, on_device: bool = False
    ) -> SearchResult:
        """The K best behaviours of each candidate within its user's window, and the scores of the R newest.

        Args:
            batch: Users, windows and candidates.
            k: Results per candidate, 1..1000.
            recent: Recent scores per candidate, 0..1000.
            source: Supplies users that are not resident, or whose held run does not cover the window.
            on_device: Whether scores are to stay on the device too (see `SearchResult.device`).

        Raises:
            BatchError: The batch breaks its contract.
            WindowError: The source's live history does not cover a window.

        """
        batch = batch.checked(self.table.dimension, k, recent)
        pass_ = _Pass(Wanted(k, recent, on_device), source)
        self._load_missing(batch, pass_)
        began = time.perf_counter()
        with self.index.shared():
            result = self._answer(batch, pass_)
        self._count(batch, pass_, time.perf_counter() - began)
        self._tidy()
        return result

    def _load_missing(self, batch: SearchBatch, pass_: _Pass) -> None:
        if self._offload and not self._offload.residence.lost:
            for user in self._offload.missing(batch):
                if not self._offload.bring(user, batch, pass_.refusals):
                    pass_.loaded[user] = self._load(user, pass_)
        elif not self._pool.holds_all(batch.users):
            held = self._pool.resident(batch.users)
            wanted = ~held & (batch.stops > batch.starts)
            for user in dict.fromkeys(batch.users[wanted].tolist()):
                pass_.loaded[user] = self._load(user, pass_)

    def _load(self, user: int, pass_: _Pass) -> _Loaded:
        began = time.perf_counter()
        departures = self._pool.departures, self._offload.residence.departures if self._offload else 0
        start, items = pass_.source.items(user)
        generation = self.index.generation
        slots = self.index.slots(items, create=True)
        if user not in self._dropped:
            self._pool.enter(user, start, slots, departures=departures[0])
        if self._offload:
            self._offload.enter(user, start, slots, pass_.refusals, departures=departures[1])
        with self._totals_lock:
            self._totals.misses += 1
            self._totals.load_seconds += time.perf_counter() - began
        return _Loaded(start, slots, generation)

    def _answer(self, batch: SearchBatch, pass_: _Pass) -> SearchResult:
        """By the device as far as it can. Inside `index.shared()`."""
        if self._offload is None:
            return self._by_cpu(batch, pass_)
        excluded = self._excluded(batch)
        return self._offload.answer(
            batch, excluded, pass_.wanted, pass_.refusals, lambda part: self._by_cpu(part, pass_)
        )

    def _by_cpu(self, batch: SearchBatch, pass_: _Pass) -> SearchResult:
        """By the backend. Inside `index.shared()`."""
        views = self._views(batch, pass_)
        work = Work(
            table=self.table.view(),
            slots=views.slots,
            offsets=views.offsets,
            starts=batch.starts,
            stops=batch.stops,
            rows=views.rows,
            packed=views.packed,
            bounds=batch.bounds,
            vectors=batch.vectors,
            inv_norms=batch.inv_norms,
            allowed=_allowed(batch, views.offsets),
            excluded=self._excluded(batch),
            k=pass_.wanted.k,
            recent=pass_.wanted.recent,
        )
        return self._backend.search(work)

    def _views(self, batch: SearchBatch, pass_: _Pass) -> _Views:
        """What the backend reads of each pair's history."""
        windows = list(zip(batch.users.tolist(), batch.starts.tolist(), batch.stops.tolist(), strict=True))
        copies = self._copies(windows, batch.allowed)
        froms = [
            start if copy is None else max(start, min(copy.stop, stop - pass_.wanted.recent))
            for (_, start, stop), copy in zip(windows, copies, strict=True)
        ]
        ends = [0, *accumulate(stop - low for (_, _, stop), low in zip(windows, froms, strict=True))]
        offsets: I64 = np.array(ends, np.int64)
        slots = self._windows(batch, froms, offsets, pass_)
        parts = [slots[low:high] for low, high in pairwise(ends)]
        packed = self._pack(windows, copies, batch.allowed, parts, pass_.wanted.k)
        return _Views(slots, offsets, packed, sum(stop - start for _, start, stop in windows))

    def _copies(self, windows: list[_Window], allowed: Masks | None) -> list[PackedCopy | None]:
        """The pairs' packed copies; a pair with a bitmap is gathered."""
        if self._packed is None:
            return [None] * len(windows)
        find = self._packed.find
        return [
            find(*window) if window[2] > window[1] and (allowed is None or allowed[pair] is None) else None
            for pair, window in enumerate(windows)
        ]

    def _pack(
        self,
        windows: list[_Window],
        copies: list[PackedCopy | None],
        allowed: Masks | None,
        parts: list[U32],
        k: int,
    ) -> list[Packed | None]:
        """The packed rows of each pair that has some, brought up to date; who turned hot gets a copy."""
        packed: list[Packed | None] = [None] * len(copies)
        if self._packed is None:
            return packed
        for pair, (copy, own) in enumerate(zip(copies, parts, strict=True)):
            user, start, stop = windows[pair]
            if copy is not None:
                packed[pair] = self._packed.extend(copy, start, stop, own, k)
            elif len(own) and (allowed is None or allowed[pair] is None) and self._packed.is_hot(user):
                packed[pair] = self._packed.make(user, start, own) if user not in self._dropped else None
        return packed

    def _windows(self, batch: SearchBatch, lows: list[int], offsets: I64, pass_: _Pass) -> U32:
        """Slots of `[froms, stops)` of all pairs, `[N] uint32`."""
        pass_.by_cpu += len(lows)
        slots = np.empty(int(offsets[-1]), np.uint32)
        if len(slots) == 0:
            pass_.hits += len(lows)
            return slots
        users, stops, froms = batch.users, batch.stops, np.array(lows, np.int64)
        found = self._pool.copy(users, froms, stops, offsets, slots)
        loaded = pass_.loaded
        for pair in np.flatnonzero(~found & (stops > froms)):
            user, start, stop = int(users[pair]), int(froms[pair]), int(stops[pair])
            if not self._usable(loaded.get(user), start, stop):
                loaded[user] = self._load(user, pass_)
            history = loaded[user]
            low, high = start - history.start, stop - history.start
            if low < 0 or high > len(history.slots):
                raise WindowError(_uncovered(start, stop, history))
            slots[offsets[pair] : offsets[pair + 1]] = history.slots[low:high]
        pass_.hits += int(found.sum())
        return slots

    def _excluded(self, batch: SearchBatch) -> U32 | None:
        """Slots of the items that candidates exclude; an item without one has no vector: there is nothing to exclude.

        Inside `index.shared()`.
        """
        if batch.excluded is None or not batch.excluded.any():
            return None
        return self.index.slots(batch.excluded, create=False)

    def _usable(self, history: _Loaded | None, start: int, stop: int) -> bool:
        """Whether the loaded slots cover the window and still mean the same items."""
        if history is None or history.generation != self.index.generation:
            return False
        return history.start <= start and stop <= history.start + len(history.slots)

    def _count(self, batch: SearchBatch, pass_: _Pass, seconds: float) -> None:
        pairs = len(batch.users)
        hits = pass_.hits + pairs - pass_.by_cpu  # the device answers none but those that it holds
        with self._totals_lock:
            self._totals.hits += max(hits - len(pass_.loaded), 0)
            self._totals.searches += 1
            self._totals.pairs += pairs
            self._totals.candidates += len(batch.vectors)
            self._totals.search_seconds += seconds

    def _tidy(self) -> None:
        if self.index.crowded():
            self.index.reclaim()

    def stats(self) -> EngineStats:
        """Counts, bytes and times at this moment."""
        device = self._offload.stats() if self._offload else None
        with self._totals_lock:
            totals = self._totals
            return EngineStats(
                backend=DEVICE if device and not device.lost else self._backend.name,
                why=f"{device.name} is lost: {device.lost}" if device and device.lost else self._why,
                device=device,
                pool=self._pool.stats(),
                table=self.table.stats(),
                index=self.index.stats(),
                packed=self._packed.stats() if self._packed else None,
                hits=totals.hits,
                misses=totals.misses,
                searches=totals.searches,
                pairs=totals.pairs,
                candidates=totals.candidates,
                search_seconds=totals.search_seconds,
                load_seconds=totals.load_seconds,
            )


def _only(held: Flags, users: I64, starts: I64, bounds: I64, items: I64) -> tuple[I64, I64, I64, I64]:
    """The rows of held users alone, regrouped."""
    lengths = np.diff(bounds)
    rows = np.repeat(held, lengths)
    kept = np.concatenate(([0], np.cumsum(lengths[held])))
    return users[held], starts[held], kept, items[rows]


def _allowed(batch: SearchBatch, offsets: I64) -> Flags | None:
    """The bitmaps of all pairs beside their windows, `[N] bool`; None where no pair has one."""
    if batch.allowed is None or all(mask is None for mask in batch.allowed):
        return None
    flags = np.ones(int(offsets[-1]), np.bool_)
    for pair, mask in enumerate(batch.allowed):
        if mask is not None:
            flags[offsets[pair] : offsets[pair + 1]] = _mask(mask, int(offsets[pair + 1] - offsets[pair]))
    return flags


def _mask(mask: NDArray[Any], rows: int) -> Flags:
    if mask.dtype == np.bool_:
        return mask
    return np.asarray(np.unpackbits(mask, count=rows, bitorder="little"), dtype=np.bool_)


def _uncovered(start: int, stop: int, history: _Loaded) -> str:
    held = f"[{history.start}, {history.start + len(history.slots)})"
    return f"window [{start}, {stop}) of a user asked, the source's live history is {held}: pass that moment's source"
