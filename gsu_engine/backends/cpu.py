"""The search on CPU cores: compiled kernels without the GIL, on threads of our own.

Invariant: no score matrix, candidates x rows, ever exists: memory is a few hundred keys per candidate and one
superblock of rows per thread.

A search is cut into shares of equal cost, one per thread, at row boundaries; a pair that lies on a cut is searched in
two parts and merged. A small search stays on the calling thread: waking another one costs more than it saves.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I64, U64, reserve
from muse_stream.gsu_engine.contract import SearchResult, Work
from muse_stream.gsu_engine.kernels import scan, tile
from muse_stream.gsu_engine.kernels.blocks import Arena, Query

SUPERBLOCK_BYTES = 256 << 10  # a quarter of a core's second-level cache: rows stay there while candidates pass
ROW_COST = 16  # gathering a row costs about as much as this many products with a candidate
SMALL = 1 << 17  # products of a row and a candidate, about 0.1 ms: below, one thread is faster than two
LARGEST_ROOM = 3  # room for keys per candidate, in K: the rest is slack for one block


class CpuBackend:
    """`integer` = the int8 tile (AVX-512 VNNI), else the float32 one, which every CPU runs."""

    def __init__(self, threads: int | None = None, *, integer: bool = tile.HAS_VNNI) -> None:
        self.integer = integer
        self.name = "cpu"
        self.threads = threads or len(os.sched_getaffinity(0))
        self._helpers = ThreadPoolExecutor(max(self.threads - 1, 1), thread_name_prefix="muse-gsu")
        self._local = threading.local()

    def search(self, work: Work) -> SearchResult:
        """Answer exactly as `SearchResult` says."""
        result = SearchResult.empty(len(work.vectors), work.k, work.recent)
        query = self._query(work)
        candidates = np.diff(work.bounds)
        shares = cut(work.offsets, candidates, self.threads)
        units = shares[0] if len(shares) == 1 else np.concatenate(shares)
        first_unit = np.searchsorted(units[:, 0], np.arange(work.pairs + 1))
        sizes = candidates[units[:, 0]]
        ends = np.cumsum(sizes)
        units[:, 3] = ends - sizes
        parts: U64 = np.empty((int(ends[-1]) if len(ends) else 0, work.k), np.uint64)
        at = np.cumsum([len(share) for share in shares])[:-1]
        self._run(query, np.split(units, at), parts, result)
        scan.merge(parts, units, first_unit, query.bounds, work.starts, result.scores, result.positions, result.count)
        return result

    def _run(self, query: Query, shares: list[I64], parts: U64, result: SearchResult) -> None:
        def share(units: I64) -> None:
            if len(units):
                most = int(np.diff(query.bounds)[units[:, 0]].max())
                arena = self._arena(query, most, parts.shape[1])
                scan.run_units(query, arena, units, parts.shape[1], parts, result.recent_scores, result.recent_present)

        helped = [self._helpers.submit(share, units) for units in shares[1:]]
        share(shares[0])
        for future in helped:
            future.result()

    def _query(self, work: Work) -> Query:
        rows = work.table.rows
        vectors = work.vectors
        floats = vectors[:0] if self.integer else vectors
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
            integer=self.integer,
        )

    def _arena(self, query: Query, candidates: int, k: int) -> Arena:
        """This thread's arena, made anew only when a search needs more room than any before."""
        wanted = (query.rows.shape[1], LARGEST_ROOM * k + 64)
        held: tuple[tuple[int, int], Arena] | None = getattr(self._local, "arena", None)
        if held is not None and held[0] == wanted and len(held[1].keys) >= candidates:
            return held[1]
        arena = make_arena(wanted[0], wanted[1], candidates, integer=self.integer)
        self._local.arena = (wanted, arena)
        return arena


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


def cut(offsets: I64, candidates: I64, threads: int) -> list[I64]:
    """Cut the rows of all pairs into shares of equal cost: per thread `[u, 4] int64` (pair, low, high, 0).

    A pair without rows or candidates is in no share.
    """
    cost = np.where(candidates > 0, candidates + ROW_COST, 0)  # per row
    ends = np.cumsum(np.diff(offsets) * cost)
    total = int(ends[-1]) if len(ends) else 0
    if threads == 1 or total <= SMALL:
        pairs = np.flatnonzero((offsets[1:] > offsets[:-1]) & (candidates > 0))
        return [np.stack((pairs, offsets[pairs], offsets[pairs + 1], np.zeros_like(pairs)), axis=1)]
    cuts = [total * share // threads for share in range(threads + 1)]
    return [_share(offsets, cost, ends, low, high) for low, high in pairwise(cuts)]


def _share(offsets: I64, cost: I64, ends: I64, low: int, high: int) -> I64:
    """The units between two cuts, which count cost from the first row of the first pair."""
    begins = np.concatenate(([0], ends[:-1]))
    pairs = np.flatnonzero((ends > low) & (begins < high) & (ends > begins))
    first = np.maximum(low - begins[pairs], 0) // cost[pairs]  # same rounding below: neighbours meet
    last = np.minimum(high - begins[pairs], ends[pairs] - begins[pairs]) // cost[pairs]
    units = np.stack((pairs, offsets[pairs] + first, offsets[pairs] + last, np.zeros_like(pairs)), axis=1)
    return np.ascontiguousarray(units[units[:, 2] > units[:, 1]])
