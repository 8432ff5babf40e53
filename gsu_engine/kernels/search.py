"""A whole search: units of work, one after the other, then the best of each candidate from all of them."""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I32, I64, U64, Flags
from muse_stream.gsu_engine.kernels.blocks import NOWHERE, Arena, Query, bias_of, block_bytes, gather_recent, pack
from muse_stream.gsu_engine.kernels.forms import rows_of
from muse_stream.gsu_engine.kernels.jit import Int, inner, kernel
from muse_stream.gsu_engine.kernels.scan import Rows, rows_at, run_tile, scan
from muse_stream.gsu_engine.kernels.select import best_of, sort_best_first, tighten
from muse_stream.gsu_engine.kernels.shares import COLUMNS, FIRST, LAST, LOW, NEWEST, PAIR, PART, Extents, cut


@inner
def expand(arena: Arena, uniques: U64, shift: Int, out: U64) -> Int:
    """Rows at all their places: the best of them into `out`, best first; returns how many. Place + shift = index.

    `uniques` are the best rows at their newest places, best first. As many of them as results are wanted are enough:
    each that is better has at least that one place.
    """
    filled = 0
    for unique in uniques:
        place = np.int64(unique & np.uint64(NOWHERE)) - shift
        key = unique
        while place != NOWHERE and (filled < len(out) or key > out[filled - 1]):
            at = min(filled, len(out) - 1)
            while at > 0 and out[at - 1] < key:
                out[at] = out[at - 1]
                at -= 1
            out[at] = key
            filled = min(filled + 1, len(out))
            place = np.int64(arena.older[place])
            key = (unique >> np.uint64(32) << np.uint64(32)) | np.uint64(place + shift)
    return filled


@inner
def keep_parts(query: Query, arena: Arena, candidates: Int, k: Int, shift: Int, parts: U64) -> None:
    """Sort each candidate's best into its row of `parts`, 0 behind the last; `shift` < 0: no row has several places."""
    for own in range(candidates):
        scores, indices, count = arena.scores[own], arena.indices[own], arena.counts[own]
        if count > k:
            count, _ = tighten(query.marker, scores, indices, count, (k, k), arena.cuts[own])
        if shift < 0:
            sort_best_first(query.marker, scores, indices, count, arena.keys, arena.ranks, parts[own])
        else:
            sort_best_first(query.marker, scores, indices, count, arena.keys, arena.ranks, arena.sorted)
            count = expand(arena, arena.sorted[:count], shift, parts[own])
        parts[own, count:] = 0


@inner
def recent(query: Query, arena: Arena, pair: Int, base: Int, last: Int, scores: F32, present: Flags) -> None:
    """Scores of a pair's newest rows for the candidates `base:last`, newest first; absent rows stay 0 and False."""
    low, high = query.offsets[pair], query.offsets[pair + 1]
    lanes, size = rows_of(query.marker), block_bytes(query)
    wanted, done = min(scores.shape[1], high - low), 0
    beside = arena.inv_norms.ctypes.data, arena.places.ctypes.data, arena.slots.ctypes.data
    arena.slots[:] = NOWHERE  # nobody is excluded from the recent scores
    while done < wanted:
        count = min(gather_recent(query, arena, low, high - done), wanted - done)
        blocks = pack(query, arena, count)
        rows = Rows(arena.blocks.ctypes.data, *beside, blocks, 0, count)
        for candidate in range(base, last):
            if query.candidate_inv_norms[candidate] == 0:
                continue
            arena.limits[0], arena.biases[0] = -np.inf, bias_of(query, candidate)
            for number in range(blocks):
                arena.counts[0] = 0
                run_tile(query, arena, rows_at(rows, number, lanes, size), 0, candidate, 1)
                for i in range(arena.counts[0]):
                    place = np.int64(arena.indices[0, i])
                    if arena.inv_norms[place] > 0:
                        scores[candidate, done + place] = arena.scores[0, i]
                        present[candidate, done + place] = True
        done += count


@inner
def run(query: Query, arena: Arena, units: I64, k: Int, parts: U64, scores: F32, present: Flags) -> None:
    """Units, one after the other, into the parts and the recent scores."""
    for unit in units:
        candidates = unit[LAST] - unit[FIRST]
        repeats = scan(query, arena, unit, k)
        shift = unit[LOW] - query.offsets[unit[PAIR]] if repeats > 0 else np.int64(-1)
        keep_parts(query, arena, candidates, k, shift, parts[unit[PART] : unit[PART] + candidates])
        if unit[NEWEST] and scores.shape[1] > 0:
            base, last = query.bounds[unit[PAIR]], query.bounds[unit[PAIR]] + unit[LAST]
            if unit[LAST] == query.searched[unit[PAIR]]:
                last = query.bounds[unit[PAIR] + 1]  # the pair's other candidates want recent scores alone
            recent(query, arena, unit[PAIR], base + unit[FIRST], last, scores, present)


@inner
def extents_of(query: Query, costs: tuple[Int, Int]) -> Extents:
    """Per pair the rows to scan: packed ones, or all to be gathered; `costs` of a gathered row, and of a packed one."""
    pairs = len(query.searched)
    lows, highs = query.offsets[:-1].copy(), query.offsets[1:].copy()
    cost, grains = np.full(pairs, costs[0]), np.ones(pairs, np.int64)
    for pair in range(pairs):
        if query.packed[pair, 0] != 0:
            lows[pair], highs[pair] = query.packed[pair, 6], query.packed[pair, 7]
            cost[pair], grains[pair] = costs[1], rows_of(query.marker)
    return Extents(lows, highs, cost, grains, query.searched, query.bounds[1:] - query.bounds[:-1])


@inner
def merge_units(
    parts: U64, units: I64, first_unit: I64, query: Query, starts: I64, scores: F32, positions: I64, counts: I32
) -> None:
    """Results of all pairs from the parts of their units `first_unit[p]:first_unit[p+1]`."""
    for pair in range(len(starts)):
        mine = units[first_unit[pair] : first_unit[pair + 1]]
        rows, heads = np.empty(len(mine), np.int64), np.empty(len(mine), np.int64)
        for candidate in range(query.searched[pair]):
            held = 0
            for unit in mine:
                if unit[FIRST] <= candidate < unit[LAST]:
                    rows[held] = unit[PART] + candidate - unit[FIRST]
                    held += 1
            row = query.bounds[pair] + candidate
            counts[row] = best_of(parts, rows[:held], heads, starts[pair], scores[row], positions[row])


@kernel
def plan(query: Query, costs: tuple[Int, Int], threads: Int, units: I64, ends: I64, first_unit: I64) -> Int:
    """Share a search out: see `shares.cut`."""
    return cut(extents_of(query, costs), threads, units, ends, first_unit)


@kernel
def run_units(query: Query, arena: Arena, units: I64, k: Int, parts: U64, scores: F32, present: Flags) -> None:
    """One thread's share: see `kernels.shares` for `units`."""
    run(query, arena, units, k, parts, scores, present)


@kernel
def merge(
    parts: U64, units: I64, first_unit: I64, query: Query, starts: I64, scores: F32, positions: I64, counts: I32
) -> None:
    """See `merge_units`."""
    merge_units(parts, units, first_unit, query, starts, scores, positions, counts)


@kernel
def search_alone(
    query: Query,
    arena: Arena,
    costs: tuple[Int, Int],
    starts: I64,
    k: Int,
    scores: F32,
    positions: I64,
    counts: I32,
    recent_scores: F32,
    present: Flags,
) -> None:
    """A whole search on the calling thread, in one call: for a small one, calls are most of the time."""
    pairs = len(starts)
    units, ends, first_unit = np.empty((pairs, COLUMNS), np.int64), np.empty(2, np.int64), np.empty(pairs + 1, np.int64)
    parts = np.empty((cut(extents_of(query, costs), 1, units, ends, first_unit), k), np.uint64)
    run(query, arena, units[: ends[1]], k, parts, recent_scores, present)
    merge_units(parts, units, first_unit, query, starts, scores, positions, counts)
