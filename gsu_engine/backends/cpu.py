"""The search on CPU cores: compiled kernels without the GIL, on threads of our own.

Invariant: no score matrix, candidates x rows, ever exists: memory is a few hundred keys per candidate and one
superblock of rows per thread.

A search is cut into shares of equal cost, one per thread, at row boundaries; a pair that lies on a cut is searched in
two parts and merged. A small search stays on the calling thread: waking another one costs more than it saves.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I64, U64, Flags, reserve
from muse_stream.gsu_engine.contract import SearchResult, Work
from muse_stream.gsu_engine.kernels import scan, shares, tile
from muse_stream.gsu_engine.kernels.blocks import Arena, Query
from muse_stream.gsu_engine.kernels.packing import Layout
from muse_stream.gsu_engine.kernels.shares import Extents
from muse_stream.gsu_engine.kernels.standing import Window
from muse_stream.gsu_engine.standing import SPARE, Standing

SUPERBLOCK_BYTES = 256 << 10  # a quarter of a core's second-level cache: rows stay there while candidates pass
GATHERED_COST = 16  # gathering a row costs about as much as this many products with a candidate
PACKED_COST = 6  # and reading a packed one from memory
SMALL = 1 << 17  # products of a row and a candidate, about 0.1 ms: below, one thread is faster than two
Stand = tuple[int, Standing, Window]
LARGEST_ROOM = 3  # room for keys per candidate, in K: the rest is slack for one block


class CpuBackend:
    """`integer` = the int8 tile (AVX-512 VNNI), else the float32 one, which every CPU runs."""

    def __init__(self, threads: int | None = None, *, integer: bool = tile.HAS_VNNI) -> None:
        self.integer = integer
        self.name = "cpu"
        self._rows = (tile.INT8 if integer else tile.FLOAT32).rows
        self.threads = threads or len(os.sched_getaffinity(0))
        self._helpers = ThreadPoolExecutor(max(self.threads - 1, 1), thread_name_prefix="muse-gsu")
        self._local = threading.local()

    def layout(self, dimension: int) -> Layout:
        """Blocks of the tile in use."""
        return Layout(self.integer, self._rows, self._rows * dimension // (4 if self.integer else 1))

    def search(self, work: Work) -> SearchResult:
        """Answer exactly as `SearchResult` says."""
        standing = stands(work)
        return self._search_rest(work, standing) if standing else self._search(work, np.diff(work.bounds), work.k)

    def _search_rest(self, work: Work, pairs: list[Stand]) -> SearchResult:
        """Take the answers that stand, search for the others, and let those stand from now on."""
        result = SearchResult.empty(len(work.vectors), work.k, work.recent)
        stood, refills = self._serve(work, pairs, result)
        asked = np.diff(work.bounds)
        owner = np.repeat(np.arange(work.pairs), asked)
        order = np.lexsort((stood, owner))  # within a pair those to search for come first
        searched = np.bincount(owner[~stood], minlength=work.pairs)
        if not searched.any() and not work.recent:
            return result
        sorted_work = replace(work, vectors=work.vectors[order], inv_norms=work.inv_norms[order])
        leaves = refills or any(work.starts[pair] > 0 for pair, _, _ in pairs)  # rows do leave the window: list more
        found = self._search(sorted_work, searched, SPARE * work.k if leaves else work.k)
        fresh = ~stood[order]
        for name in ("scores", "positions"):
            getattr(result, name)[order[fresh]] = getattr(found, name)[fresh, : work.k]
        result.count[order[fresh]] = np.minimum(found.count[fresh], work.k)
        result.recent_scores[order], result.recent_present[order] = found.recent_scores, found.recent_present
        for pair, standing, window in pairs:
            low = int(work.bounds[pair])
            standing.keep(sorted_work, found, slice(low, low + int(searched[pair])), window)
        return result

    def _serve(self, work: Work, pairs: list[Stand], result: SearchResult) -> tuple[Flags, int]:
        """Write the answers that stand: which candidates they are of, and how many others would have stood."""
        query = self._query(work, np.diff(work.bounds))
        arena = self._arena(query, tile.CANDIDATES, work.k)
        stood = np.zeros(len(work.vectors), np.bool_)
        refills = sum(standing.serve(query, arena, pair, window, stood, result) for pair, standing, window in pairs)
        return stood, refills

    def _search(self, work: Work, searched: I64, k: int) -> SearchResult:
        """The `k` best for the first `searched[p]` candidates of each pair, recent scores for all."""
        result = SearchResult.empty(len(work.vectors), k, work.recent)
        units: I64 = np.empty((work.pairs + self.threads, 5), np.int64)
        ends: I64 = np.empty(self.threads + 1, np.int64)
        first_unit: I64 = np.empty(work.pairs + 1, np.int64)
        rows = shares.cut(self._extents(work, searched), self.threads, SMALL, units, ends, first_unit)
        parts: U64 = np.empty((rows, k), np.uint64)
        query = self._query(work, searched)
        self._run(query, [units[low:high] for low, high in pairwise(ends.tolist()) if high > low], parts, result)
        found = result.scores, result.positions, result.count
        scan.merge(parts, units, first_unit, query.bounds, searched, work.starts, *found)
        return result

    def _run(self, query: Query, cuts: list[I64], parts: U64, result: SearchResult) -> None:
        if not cuts:
            return
        most = max(int(query.searched.max()), 1)

        def share(units: I64) -> None:
            arena = self._arena(query, most, parts.shape[1])
            scan.run_units(query, arena, units, parts.shape[1], parts, result.recent_scores, result.recent_present)

        helped = [self._helpers.submit(share, units) for units in cuts[1:]]
        share(cuts[0])
        for future in helped:
            future.result()

    def _extents(self, work: Work, searched: I64) -> Extents:
        """Per pair the rows to scan: packed ones, or all to be gathered."""
        lows, highs = work.offsets[:-1].copy(), work.offsets[1:].copy()
        costs, grains = np.full(work.pairs, GATHERED_COST), np.ones(work.pairs, np.int64)
        for pair, packed in enumerate(work.packed):
            if packed is not None:
                lows[pair], highs[pair], costs[pair], grains[pair] = packed.first, packed.rows, PACKED_COST, self._rows
        return Extents(lows, highs, costs, grains, searched, np.diff(work.bounds))

    def _query(self, work: Work, searched: I64) -> Query:
        rows = work.table.rows
        vectors = work.vectors
        floats = vectors[:0] if self.integer else vectors
        packed = np.zeros((work.pairs, 5), np.int64)
        for pair, copy in enumerate(work.packed):
            if copy is not None:
                start = int(work.starts[pair])
                packed[pair] = (*copy.addresses, copy.base - start, int(work.stops[pair]) - start)
        return Query(
            slots=work.slots,
            offsets=work.offsets,
            bounds=work.bounds,
            allowed=np.empty(0, np.bool_) if work.allowed is None else work.allowed,
            row_of_slot=work.table.row_of_slot,
            rows=rows,
            inv_norms=work.table.inv_norms,
            vectors=vectors,
            floats=floats.astype(np.float32),
            bias=-128 * vectors.sum(axis=1, dtype=np.int32),
            candidate_inv_norms=work.inv_norms,
            searched=searched,
            packed=packed,
            integer=self.integer,
        )

    def _arena(self, query: Query, candidates: int, k: int) -> Arena:
        """This thread's arena, made anew only when a search needs more room than any before."""
        dimension, room = query.rows.shape[1], LARGEST_ROOM * k + 64
        width, arena = getattr(self._local, "arena", (0, None))
        if arena is None or width != dimension or arena.keys.shape[0] < candidates or arena.keys.shape[1] < room:
            arena = make_arena(dimension, room, candidates, integer=self.integer)
            self._local.arena = (dimension, arena)
        return arena


def stands(work: Work) -> list[Stand]:
    """The pairs whose answers may stand, with their windows in places of the packed copy."""
    found = []
    for pair, packed in enumerate(work.packed):
        if packed is not None and packed.standing is not None:
            start, stop = int(work.starts[pair]) - packed.base, int(work.stops[pair]) - packed.base
            found.append((pair, packed.standing, Window(start, stop, packed.rows, packed.base)))
    return found


def make_arena(dimension: int, room: int, candidates: int, *, integer: bool) -> Arena:
    """Buffers for one thread: `room` keys for each of `candidates`."""
    size = tile.INT8.rows if integer else tile.FLOAT32.rows
    row_bytes = dimension if integer else 4 * dimension
    count = max(SUPERBLOCK_BYTES // (size * row_bytes), 1)
    blocks: F32 = reserve((count * size * row_bytes // 4,), np.float32)
    products: F32 = reserve((tile.CANDIDATES * (size + 2),), np.float32)
    return Arena(
        blocks=blocks,
        numbers=np.zeros(count * size, np.uint32),
        places=np.zeros(count * size, np.uint32),
        inv_norms=np.zeros(count * size, np.float32),
        limits=np.zeros(candidates, np.float32),
        products=products,
        masks=products.view(np.uint64),
        keys=np.zeros((candidates, room), np.uint64),
        counts=np.zeros(candidates, np.int64),
    )
