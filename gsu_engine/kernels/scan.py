"""The search: blocks of rows against tiles of candidates, a limit per candidate, survivors, the K best.

Rows are taken from the newest to the oldest. Once K rows are kept, a row that only equals the worst of them is older
than they are and loses, so "greater than" decides everything. What a tile compares is the sum times the row's inverse
norm; `limit_of` turns the score to beat into the exact bound on that product, so a tile lets through what belongs in
and nothing else.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I32, I64, U32, U64, Flags
from muse_stream.gsu_engine.kernels.blocks import ROWS_FLOAT32, ROWS_INT8, Arena, Query, gather, gather_recent, pack
from muse_stream.gsu_engine.kernels.jit import Int, Real, inner, kernel
from muse_stream.gsu_engine.kernels.select import best_of, key_of, score_of, sort_best_first, tighten
from muse_stream.gsu_engine.kernels.tile import (
    CANDIDATES,
    lowest_bit,
    tile_float32_many,
    tile_float32_one,
    tile_int8_many,
    tile_int8_one,
)


@inner
def limit_of(beat: Real, inv_norm: Real) -> Real:
    """The largest float32 whose product with `inv_norm` is not above `beat`.

    Products are monotonic, so a row's score is above `beat` exactly when its own product is above this.
    """
    if beat == 0:
        return beat  # no product lies between 0 and the smallest inverse norm: any bound there is as good
    limit = np.float32(beat / inv_norm)
    while limit * inv_norm > beat:
        limit = np.nextafter(limit, np.float32(-np.inf))
    while np.nextafter(limit, np.float32(np.inf)) * inv_norm <= beat:
        limit = np.nextafter(limit, np.float32(np.inf))
    return limit


@inner
def run_tile(query: Query, arena: Arena, block: Int, candidate: Int, own: Int, many: Int) -> Int:
    """One block against the candidates from `candidate` on, or one; 0 = nothing above the limits from `own` on."""
    limits, out = arena.limits.ctypes.data + own * 4, arena.products.ctypes.data
    bias, width = query.bias.ctypes.data + candidate * 4, query.rows.shape[1]
    at = arena.blocks.ctypes.data
    if query.integer:
        at += block * width * ROWS_INT8
        norms = arena.inv_norms.ctypes.data + block * ROWS_INT8 * 4
        vector = query.vectors.ctypes.data + candidate * width
        if many:
            return tile_int8_many(at, vector, width, width // 4, bias, norms, limits, out)
        return tile_int8_one(at, vector, width, width // 4, bias, norms, limits, out)
    at += block * width * ROWS_FLOAT32 * 4
    norms = arena.inv_norms.ctypes.data + block * ROWS_FLOAT32 * 4
    vector = query.floats.ctypes.data + candidate * width * 4
    if many:
        return tile_float32_many(at, vector, width * 4, width, bias, norms, limits, out)
    return tile_float32_one(at, vector, width * 4, width, bias, norms, limits, out)


@inner
def keep_hits(mask: Int, products: F32, places: U32, inv_norm: Real, keys: U64, count: Int) -> Int:
    """Append the keys of the rows in `mask`; returns their new number."""
    while mask != 0:
        row = lowest_bit(mask)
        mask &= mask - np.uint64(1)
        keys[count] = key_of(products[row] * inv_norm, places[row])
        count += 1
    return count


@inner
def scan_group(query: Query, arena: Arena, own: Int, base: Int, group: Int, blocks: Int, k: Int) -> None:
    """All blocks of a superblock against `group` candidates from `base + own` on: `CANDIDATES` of them, or one."""
    size = ROWS_INT8 if query.integer else ROWS_FLOAT32
    masks = arena.masks[group * size // 2 :]
    for block in range(blocks):
        if run_tile(query, arena, block, base + own, own, group > 1) == 0:
            continue
        places = arena.places[block * size : (block + 1) * size]
        for j in range(group):
            if masks[j] == 0:
                continue
            keys, inv_norm = arena.keys[own + j], query.candidate_inv_norms[base + own + j]
            count = keep_hits(
                masks[j], arena.products[j * size : (j + 1) * size], places, inv_norm, keys, arena.counts[own + j]
            )
            if count > len(keys) - size:
                arena.limits[own + j] = limit_of(score_of(tighten(keys, count, k)), inv_norm)
                count = k
            arena.counts[own + j] = count


@inner
def scan(query: Query, arena: Arena, pair: Int, low: Int, high: Int, k: Int) -> None:
    """Rows `slots[low:high]` against all candidates of a pair: leaves their best keys in the arena, unsorted."""
    base, candidates = query.bounds[pair], query.bounds[pair + 1] - query.bounds[pair]
    arena.counts[:candidates] = 0
    for own in range(candidates):  # a candidate without a vector is not to be beaten
        arena.limits[own] = -np.inf if query.candidate_inv_norms[base + own] > 0 else np.inf
    while high > low:
        high, rows = gather(query, arena, low, high, query.offsets[pair])
        blocks = pack(query, arena, rows)
        own = 0
        while own < candidates:
            group = CANDIDATES if own + CANDIDATES <= candidates else 1
            scan_group(query, arena, own, base, group, blocks, k)
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
    wanted, done = min(scores.shape[1], high - low), 0
    while done < wanted:
        rows = min(gather_recent(query, arena, low, high - done), wanted - done)
        pack(query, arena, rows)
        arena.limits[0] = -np.inf
        for candidate in range(query.bounds[pair], query.bounds[pair + 1]):
            inv_norm = query.candidate_inv_norms[candidate]
            for place in range(rows if inv_norm > 0 else 0):
                if place % size == 0:
                    run_tile(query, arena, place // size, candidate, 0, False)
                if arena.inv_norms[place] > 0:
                    scores[candidate, done + place] = arena.products[place % size] * inv_norm
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
