"""The search: blocks of rows against tiles of candidates, a threshold per candidate, survivors, the K best.

Rows are taken from the newest to the oldest. Once K rows are kept, a row that only equals the score to beat is older
than they are and loses, so "greater than" decides everything, and so it does for the integers: a sum is looked
at only when it is above a bound below which no row of the block can beat that score. The exact float32 score of what
survives decides; the bound saves work and never decides.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I32, I64, U64, Flags
from muse_stream.gsu_engine.kernels.blocks import (
    ROWS_FLOAT32,
    ROWS_INT8,
    Arena,
    Query,
    bound_norms,
    gather,
    gather_recent,
    pad,
)
from muse_stream.gsu_engine.kernels.jit import Int, Real, Truth, inlined, inner, kernel
from muse_stream.gsu_engine.kernels.select import best_of, key_of, score_of, sort_best_first, tighten
from muse_stream.gsu_engine.kernels.tile import (
    CANDIDATES,
    lowest_bit,
    tile_float32_many,
    tile_float32_one,
    tile_int8_many,
    tile_int8_one,
)

BELOW_ALL = -(1 << 25)  # no sum of 1 024 products of int8 is below -2^24
ABOVE_ALL = 1 << 25
SLACK = 1e-6  # of a bound: eight times what two roundings to float32 can add


@inlined
def sum_limit(beat: Real, inv_norm: Real, smallest: Real, largest: Real) -> Int:
    """An integer that a sum must exceed for its score to beat `beat`: rounded down, so it never hides a row.

    For a positive score the row with the largest inverse norm gets there with the smallest sum; for a negative one it
    is the row with the smallest.
    """
    if beat == -np.inf:
        return np.int64(BELOW_ALL)
    reach = np.float64(beat) / np.float64(inv_norm)
    reach = reach / np.float64(largest) if reach >= 0 else reach / np.float64(smallest)
    floor = np.floor(reach - abs(reach) * SLACK) - 1.0
    return np.int64(min(max(floor, np.float64(BELOW_ALL)), np.float64(ABOVE_ALL)))


@inner
def set_limit(query: Query, arena: Arena, candidate: Int, place: Int, limit: Int) -> None:
    """Put a candidate's limit where its tile looks for it."""
    if query.integer:
        arena.limits[place] = limit + query.bias[candidate]
    else:
        arena.float_limits[place] = limit


@inner
def run_tile(query: Query, arena: Arena, block: Int, candidate: Int, many: Truth) -> Truth:
    """Sums of one block for `CANDIDATES` candidates or one; whether any is above its limit."""
    if query.integer:
        steps = query.words.shape[1]
        rows = arena.words.ctypes.data + block * steps * ROWS_INT8 * 4
        vectors = query.bytes.ctypes.data + candidate * steps * 4
        limits, out = arena.limits.ctypes.data, arena.sums.ctypes.data
        if many:
            return tile_int8_many(rows, vectors, steps * 4, steps, limits, out) != 0
        return tile_int8_one(rows, vectors, steps * 4, steps, limits, out) != 0
    steps = query.rows.shape[1]
    rows = arena.floats.ctypes.data + block * steps * ROWS_FLOAT32 * 4
    vectors = query.floats.ctypes.data + candidate * steps * 4
    limits, out = arena.float_limits.ctypes.data, arena.float_sums.ctypes.data
    if many:
        return tile_float32_many(rows, vectors, steps * 4, steps, limits, out) != 0
    return tile_float32_one(rows, vectors, steps * 4, steps, limits, out) != 0


@inner
def sum_at(query: Query, arena: Arena, candidate: Int, place: Int) -> Int:
    """One sum of the last tile, without bias."""
    if query.integer:
        return np.int64(arena.sums[place]) - query.bias[candidate]
    return np.int64(arena.float_sums[place])


@inner
def keep_hits(
    query: Query, arena: Arena, own: Int, base: Int, masks: Int, j: Int, block: Int, rows: Int, k: Int
) -> None:
    """Take the rows of a tile that beat candidate `base + own`, the tile's j-th; tighten when room runs out."""
    size = ROWS_INT8 if query.integer else ROWS_FLOAT32
    mask = arena.masks[masks + j]
    count, beat = arena.counts[own], arena.beat[own]
    inv_norm = query.candidate_inv_norms[base + own]
    while mask != 0:
        bit = lowest_bit(mask)
        mask &= mask - np.uint64(1)
        place = block * size + bit
        if place < rows:
            total = np.float32(sum_at(query, arena, base + own, j * size + bit))
            score = total * arena.inv_norms[place] * inv_norm
            arena.keys[own, count] = key_of(score, arena.places[place])
            count += score > beat
    if count > arena.keys.shape[1] - size:
        arena.beat[own] = score_of(tighten(arena.keys[own], count, k))
        count = k
    arena.counts[own] = count


@inner
def scan_group(query: Query, arena: Arena, own: Int, base: Int, group: Int, rows: Int, k: Int) -> None:
    """All blocks of a superblock against `group` candidates from `base + own` on."""
    size = ROWS_INT8 if query.integer else ROWS_FLOAT32
    masks = group * size // 2
    for block in range((rows + size - 1) // size):
        for j in range(group):
            candidate = base + own + j
            limit = np.int64(ABOVE_ALL)
            if query.candidate_inv_norms[candidate] > 0:
                limit = sum_limit(
                    arena.beat[own + j],
                    query.candidate_inv_norms[candidate],
                    arena.smallest[block],
                    arena.largest[block],
                )
            set_limit(query, arena, candidate, j, limit)
        if run_tile(query, arena, block, base + own, group > 1):
            for j in range(group):
                if arena.masks[masks + j] != 0:
                    keep_hits(query, arena, own + j, base, masks, j, block, rows, k)


@inner
def scan(query: Query, arena: Arena, pair: Int, low: Int, high: Int, k: Int) -> None:
    """Rows `slots[low:high]` against all candidates of a pair: leaves their best keys in the arena, unsorted."""
    base, stop = query.bounds[pair], query.bounds[pair + 1]
    arena.counts[: stop - base] = 0
    arena.beat[: stop - base] = -np.inf
    while high > low:
        high, rows = gather(query, arena, low, high, query.offsets[pair])
        pad(query, arena, rows)
        bound_norms(arena, rows, ROWS_INT8 if query.integer else ROWS_FLOAT32)
        own = 0
        while own < stop - base:
            group = CANDIDATES if own + CANDIDATES <= stop - base else 1
            scan_group(query, arena, own, base, group, rows, k)
            own += group


@inner
def keep_parts(arena: Arena, candidates: Int, k: Int, parts: U64) -> None:
    """Sort each candidate's best keys into its row of `parts`, 0 behind the last."""
    for own in range(candidates):
        count = arena.counts[own]
        if count > k:
            tighten(arena.keys[own], count, k)
            count = k
        sort_best_first(arena.keys[own], count)
        parts[own, :count] = arena.keys[own, :count]
        parts[own, count:] = 0


@inner
def recent(query: Query, arena: Arena, pair: Int, scores: F32, present: Flags) -> None:
    """Scores of a pair's newest rows, `[T, R]`, newest first; rows without a vector stay 0 and False."""
    low, high = query.offsets[pair], query.offsets[pair + 1]
    size = ROWS_INT8 if query.integer else ROWS_FLOAT32
    columns = scores.shape[1]
    done = 0
    while done < min(columns, high - low):
        rows = gather_recent(query, arena, low, high - done)
        rows = min(rows, columns - done)
        pad(query, arena, rows)
        for candidate in range(query.bounds[pair], query.bounds[pair + 1]):
            inv_norm = query.candidate_inv_norms[candidate]
            set_limit(query, arena, candidate, 0, BELOW_ALL)
            for block in range((rows + size - 1) // size):
                run_tile(query, arena, block, candidate, False)
                for bit in range(min(size, rows - block * size)):
                    place = block * size + bit
                    if arena.inv_norms[place] > 0 and inv_norm > 0:
                        total = np.float32(sum_at(query, arena, candidate, bit))
                        scores[candidate, done + place] = total * arena.inv_norms[place] * inv_norm
                        present[candidate, done + place] = True
        done += rows


@kernel
def run_units(query: Query, arena: Arena, units: I64, k: Int, parts: U64, scores: F32, present: Flags) -> None:
    """One thread's share: `units` are rows (pair, low, high, first row in parts)."""
    for unit in range(len(units)):
        pair, low, high, first = units[unit]
        scan(query, arena, pair, low, high, k)
        candidates = query.bounds[pair + 1] - query.bounds[pair]
        keep_parts(arena, candidates, k, parts[first : first + candidates])
        if high == query.offsets[pair + 1]:
            recent(query, arena, pair, scores, present)


@kernel
def merge(
    parts: U64,
    units: I64,
    first_unit: I64,
    bounds: I64,
    starts: I64,
    scores: F32,
    positions: I64,
    counts: I32,
) -> None:
    """Results of all pairs from the parts of their units `first_unit[p]:first_unit[p+1]`."""
    for pair in range(len(starts)):
        mine = units[first_unit[pair] : first_unit[pair + 1]]
        heads = np.empty(len(mine), np.int64)
        for candidate in range(bounds[pair], bounds[pair + 1]):
            rows = mine[:, 3] + (candidate - bounds[pair])
            found = best_of(parts, rows, heads, starts[pair], scores[candidate], positions[candidate])
            counts[candidate] = found
