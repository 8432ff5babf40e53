"""The search on CPU cores: compiled kernels without the GIL, on threads of our own.

Invariant: no score matrix, candidates x rows, ever exists: memory is a few hundred keys per candidate and one
superblock of rows per thread.

A search is cut into shares of equal cost, one per thread, at row boundaries; a pair that lies on a cut is searched in
two parts and merged. A small search stays on the calling thread: waking another one costs more than it saves.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I64, U64, Flags, reserve
from muse_stream.gsu_engine.contract import SearchResult, Work
from muse_stream.gsu_engine.errors import BackendError
from muse_stream.gsu_engine.kernels import forms, search, shares
from muse_stream.gsu_engine.kernels.blocks import PACKED_COLUMNS, SEEN_BUCKETS, Arena, Query
from muse_stream.gsu_engine.kernels.forms import Form
from muse_stream.gsu_engine.kernels.standing import Window
from muse_stream.gsu_engine.standing import SPARE, Standing

SUPERBLOCK_BYTES = 256 << 10  # a quarter of a core's second-level cache: rows stay there while candidates pass
COSTS = (30, 10)  # gathering a row, and reading a packed one, cost about as much as so many products with a candidate
# Products of a row and a candidate, and those that a row costs beside them: about 0.15 ms. Up to SMALL one thread is as
# fast as two, and up to STANDING_ABOVE a search costs little more than looking for answers that stand.
SMALL = STANDING_ABOVE = 1 << 18
SHARES_PER_THREAD = 4  # of a search for several users: what they cost is an estimate, so whoever is done takes more
Stand = tuple[int, Standing, Window]
ROOM = 3  # length of a list, in K, at which it is cut to K
NOBODY, NOTHING = np.zeros(0, np.bool_), np.zeros(0, np.int64)


@cache
def _helpers(count: int) -> ThreadPoolExecutor | None:
    """Threads that help with a search, the same for all backends with so many: one search at a time needs them.

    They begin here, and so have the priority of whoever made the first backend, not that of who makes another later.
    """
    if not count:
        return None
    pool = ThreadPoolExecutor(count, thread_name_prefix="muse-gsu")
    met = threading.Barrier(count + 1)
    for _ in range(count):
        pool.submit(met.wait)
    met.wait()
    return pool


class CpuBackend:
    """Compiled for one form of multiplication (see `kernels.forms`)."""

    def __init__(self, threads: int | None = None, form: Form | None = None) -> None:
        """Start the threads; None = one per core, and the best form that this CPU has.

        Raises:
            BackendError: The CPU lacks the form's instructions.

        """
        usable = forms.usable_forms(forms.FEATURES)
        self.form = form or usable[0]
        if self.form not in usable:
            message = f"this CPU cannot multiply as {self.form.name}, it has {', '.join(one.name for one in usable)}"
            raise BackendError(message)
        self.name = "cpu"
        self.threads = threads or len(os.sched_getaffinity(0))
        self._helpers = _helpers(self.threads - 1)
        self._local = threading.local()

    def search(self, work: Work) -> SearchResult:
        """Answer exactly as `SearchResult` says."""
        query = self._query(work)
        cost = work.rows * (len(work.vectors) + COSTS[1])
        pairs = stands(work) if cost > STANDING_ABOVE else []
        return self._search_rest(work, query, pairs) if pairs else self._search(work, query, work.k)

    def _search_rest(self, work: Work, query: Query, pairs: list[Stand]) -> SearchResult:
        """Take the answers that stand, search for the others, and let those stand from now on."""
        result = SearchResult.room(len(work.vectors), work.k, work.recent)
        stood, refills = self._serve(query, pairs, result)
        if stood.all() and not work.recent:
            return result
        order, rest = _stood_last(query, stood)
        leaves = refills or any(work.starts[pair] > 0 for pair, _, _ in pairs)  # rows do leave the window: list more
        found = self._search(work, rest, SPARE * work.k if leaves else work.k)
        for pair, standing, window in pairs:
            low = int(work.bounds[pair])
            standing.keep(rest, found, slice(low, low + int(rest.searched[pair])), window)
        if rest is query:
            return found.first(work.k)
        fresh = ~stood[order]
        for name in ("scores", "positions"):
            getattr(result, name)[order[fresh]] = getattr(found, name)[fresh, : work.k]
        result.count[order[fresh]] = np.minimum(found.count[fresh], work.k)
        result.recent_scores[order], result.recent_present[order] = found.recent_scores, found.recent_present
        return result

    def _serve(self, query: Query, pairs: list[Stand], result: SearchResult) -> tuple[Flags, int]:
        """Write the answers that stand: which candidates they are of, and how many others would have stood."""
        arena = self._arena(query, forms.CANDIDATES, result.scores.shape[1])
        stood = np.zeros(len(query.vectors), np.bool_)
        refills = sum(standing.serve(query, arena, pair, window, stood, result) for pair, standing, window in pairs)
        return stood, refills

    def _search(self, work: Work, query: Query, k: int) -> SearchResult:
        """The `k` best for the first `searched[p]` candidates of each pair, recent scores for all."""
        result = SearchResult.room(len(work.vectors), k, work.recent)
        found = result.scores, result.positions, result.count, result.recent_scores, result.recent_present
        if self.threads == 1 or work.rows * (int(query.searched.sum()) + COSTS[1]) <= SMALL:
            search.search_alone(query, self._arena(query, len(query.vectors), k), COSTS, work.starts, k, *found)
            return result
        count = self.threads * (SHARES_PER_THREAD if work.pairs > 1 else 1)
        units: I64 = np.empty((work.pairs + count, shares.COLUMNS), np.int64)
        ends: I64 = np.empty(count + 1, np.int64)
        first_unit: I64 = np.empty(work.pairs + 1, np.int64)
        parts: U64 = np.empty((search.plan(query, COSTS, count, units, ends, first_unit), k), np.uint64)
        self._run(query, [units[low:high] for low, high in pairwise(ends.tolist()) if high > low], parts, result)
        search.merge(parts, units, first_unit, query, work.starts, *found[:3])
        return result

    def _run(self, query: Query, cuts: list[I64], parts: U64, result: SearchResult) -> None:
        if not cuts:
            return
        most, k = max(int(query.searched.max()), 1), parts.shape[1]
        recent = result.recent_scores, result.recent_present
        waiting = iter(cuts)  # taken by whoever is free: one step of an iterator is a single step for all threads

        def work_off() -> None:
            arena = self._arena(query, most, k)
            for units in waiting:
                search.run_units(query, arena, units, k, parts, *recent)

        count = min(self.threads, len(cuts)) - 1
        helped = [self._helpers.submit(work_off) for _ in range(count)] if self._helpers else []
        work_off()
        for future in helped:
            if not future.cancel():  # on a busy machine a helper may not even have begun: nothing is left for it
                future.result()

    def _query(self, work: Work) -> Query:
        table, vectors = work.table, work.vectors
        floats = np.empty((0, vectors.shape[1]), np.float32) if self.form.integer else vectors.astype(np.float32)
        return Query(
            marker=self.form.marker,
            slots=work.slots,
            offsets=work.offsets,
            bounds=work.bounds,
            allowed=NOBODY if work.allowed is None else work.allowed,
            row_of_slot=table.row_of_slot,
            rows=table.rows,
            inv_norms=table.inv_norms,
            vectors=vectors,
            floats=floats,
            candidate_inv_norms=work.inv_norms,
            excluded=np.zeros(len(vectors), np.uint32) if work.excluded is None else work.excluded,
            searched=work.bounds[1:] - work.bounds[:-1],
            packed=_packed(work),
        )

    def _arena(self, query: Query, candidates: int, k: int) -> Arena:
        """This thread's arena, made anew only when a search needs more room than any before."""
        dimension, room = query.rows.shape[1], max(ROOM * k, k + self.form.rows) + 2 * self.form.rows
        width, arena = getattr(self._local, "arena", (0, None))
        if arena is None or width != dimension or arena.scores.shape[0] < candidates or arena.scores.shape[1] < room:
            arena = make_arena(self.form, dimension, room, candidates)
            self._local.arena = (dimension, arena)
        if len(arena.older) < len(query.slots):
            longest = int((query.offsets[1:] - query.offsets[:-1]).max())
            if len(arena.older) < longest:
                arena = arena._replace(older=reserve((longest + longest // 8,), np.uint32))
                self._local.arena = (dimension, arena)
        return arena


def _packed(work: Work) -> I64:
    """See `Query.packed`."""
    gathered = (0,) * PACKED_COLUMNS
    windows = zip(work.packed, work.starts.tolist(), work.stops.tolist(), strict=True)
    return np.array(
        [
            gathered if copy is None else (*copy.ends, copy.base - start, stop - start, copy.first, copy.rows)
            for copy, start, stop in windows
        ],
        np.int64,
    ).reshape(-1, PACKED_COLUMNS)


def stands(work: Work) -> list[Stand]:
    """The pairs whose answers may stand, with their windows in places of the packed copy."""
    found = []
    for pair, packed in enumerate(work.packed):
        if packed is not None and packed.standing is not None:
            start, stop = int(work.starts[pair]) - packed.base, int(work.stops[pair]) - packed.base
            found.append((pair, packed.standing, Window(start, stop, packed.rows, packed.base)))
    return found


def _stood_last(query: Query, stood: Flags) -> tuple[I64, Query]:
    """The query with those to search for first within each pair, and which candidate comes where."""
    if not stood.any():
        return NOTHING, query
    owner = np.repeat(np.arange(len(query.searched)), np.diff(query.bounds))
    order: I64 = np.lexsort((stood, owner))
    columns = ("vectors", "candidate_inv_norms", "excluded", *(("floats",) if len(query.floats) else ()))
    moved = {name: getattr(query, name)[order] for name in columns}
    return order, query._replace(searched=np.bincount(owner[~stood], minlength=len(query.searched)), **moved)


def make_arena(form: Form, dimension: int, room: int, candidates: int) -> Arena:
    """Buffers for one thread: lists of `room` for each of `candidates`."""
    block_bytes = form.rows * dimension * form.cell_bytes
    count = max(SUPERBLOCK_BYTES // block_bytes, 1)
    blocks: F32 = reserve((count * block_bytes // 4,), np.float32)
    return Arena(
        blocks=blocks,
        looked_up=np.zeros(count * form.rows, np.uint32),
        numbers=np.zeros(count * form.rows, np.uint32),
        places=np.zeros(count * form.rows, np.uint32),
        slots=np.zeros(count * form.rows, np.uint32),
        inv_norms=np.zeros(count * form.rows, np.float32),
        seen_rows=np.zeros(SEEN_BUCKETS, np.uint32),
        seen_last=np.zeros(SEEN_BUCKETS, np.uint32),
        older=np.zeros(1, np.uint32),
        biases=np.zeros(candidates, np.int32),
        limits=np.zeros(candidates, np.float32),
        cuts=np.zeros(candidates, np.float32),
        scores=np.zeros((candidates, room), np.float32),
        indices=np.zeros((candidates, room), np.uint32),
        counts=np.zeros(candidates, np.int64),
        keys=np.zeros(room, np.uint64),
        ranks=np.zeros(room, np.int64),
        sorted=np.zeros(room, np.uint64),
    )
