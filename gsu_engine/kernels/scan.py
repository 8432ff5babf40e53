"""The search: blocks of rows against tiles of candidates, a limit per candidate, survivors, the K best.

Rows are taken from the newest to the oldest. Once K rows are kept, a row that only equals the worst of them is older
than they are and loses, so "greater than" decides everything. What a tile compares is the sum times the row's inverse
norm; `limit_of` turns the score to beat into the exact bound on that product, so a tile lets through what belongs in
and nothing else.
"""

# ruff: noqa: PLR0917 - kernels take their arrays one by one; numba knows no keyword-only arguments

from typing import NamedTuple

import numpy as np

from muse_stream.gsu_engine.arrays import F32, I32, I64, U64, Flags
from muse_stream.gsu_engine.kernels.blocks import ROWS_FLOAT32, ROWS_INT8, Arena, Query, gather, gather_recent, pack
from muse_stream.gsu_engine.kernels.jit import Int, Real, inner, kernel
from muse_stream.gsu_engine.kernels.memory import float32_at, uint32_at, uint64_at
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
def run_tile(query: Query, block: Int, ahead: Int, norms: Int, limits: Int, out: Int, candidate: Int, many: Int) -> Int:
    """A block against the candidates from `candidate` on, or one; 0 = nothing above the limits.

    `block`, `norms`, `limits` and `out` are addresses: of the block, of its inverse norms, of the first candidate's
    limit, and of the room for the products; `ahead` leads from the block to the next one.
    """
    bias, width = query.bias.ctypes.data + candidate * 4, query.rows.shape[1]
    if query.integer:
        vector = query.vectors.ctypes.data + candidate * width
        if many:
            return tile_int8_many(block, ahead, vector, width, width // 4, bias, norms, limits, out)
        return tile_int8_one(block, ahead, vector, width, width // 4, bias, norms, limits, out)
    vector = query.floats.ctypes.data + candidate * width * 4
    if many:
        return tile_float32_many(block, ahead, vector, width * 4, width, bias, norms, limits, out)
    return tile_float32_one(block, ahead, vector, width * 4, width, bias, norms, limits, out)


class Rows(NamedTuple):
    """Blocks to scan, newest first: the arena's own, or those of a user's packed rows."""

    blocks: Int  # address of the first
    norms: Int  # address of its inverse norms
    places: Int  # address of its places
    count: Int
    step: Int  # from one block to the next: 1, or -1 where later blocks are newer
    shift: Int  # place + shift = index in the window
    length: Int  # of the window


@inner
def keep_hits(rows: Rows, mask: Int, products: Int, places: Int, inv_norm: Real, keys: U64, count: Int) -> Int:
    """Append the keys of the rows in `mask` that lie in the window; returns their new number."""
    while mask != 0:
        row = lowest_bit(mask)
        mask &= mask - np.uint64(1)
        index = np.int64(uint32_at(places + row * 4)) + rows.shift
        if 0 <= index < rows.length:
            keys[count] = key_of(float32_at(products + row * 4) * inv_norm, index)
            count += 1
    return count


@inner
def scan_group(query: Query, arena: Arena, rows: Rows, own: Int, base: Int, group: Int, k: Int) -> None:
    """All blocks of `rows` against `group` candidates from `base + own` on: `CANDIDATES` of them, or one."""
    size = ROWS_INT8 if query.integer else ROWS_FLOAT32
    block_bytes = size * query.rows.shape[1] * (1 if query.integer else 4)
    limits, products = arena.limits.ctypes.data + own * 4, arena.products.ctypes.data
    masks = products + group * size * 4
    at = np.int64(0)
    for _ in range(rows.count):
        norms = rows.norms + at * size * 4
        block = rows.blocks + at * block_bytes
        if run_tile(query, block, rows.step * block_bytes, norms, limits, products, base + own, group > 1) != 0:
            places = rows.places + at * size * 4
            for j in range(group):
                mask = uint64_at(masks + j * 8)
                if mask == 0:
                    continue
                keys, inv_norm = arena.keys[own + j], query.candidate_inv_norms[base + own + j]
                count = keep_hits(rows, mask, products + j * size * 4, places, inv_norm, keys, arena.counts[own + j])
                if count > len(keys) - size:
                    arena.limits[own + j] = limit_of(score_of(tighten(keys, count, k)), inv_norm)
                    count = k
                arena.counts[own + j] = count
        at += rows.step


@inner
def scan_rows(query: Query, arena: Arena, rows: Rows, pair: Int, k: Int) -> None:
    """`rows` against all candidates of a pair."""
    base, candidates = query.bounds[pair], query.searched[pair]
    own = 0
    while own < candidates:
        group = CANDIDATES if own + CANDIDATES <= candidates else 1
        scan_group(query, arena, rows, own, base, group, k)
        own += group


@inner
def scan_gathered(query: Query, arena: Arena, pair: Int, low: Int, high: Int, k: Int) -> None:
    """Rows `slots[low:high]`, gathered a superblock at a time."""
    base, stop = query.offsets[pair], query.offsets[pair + 1]
    norms, places = arena.inv_norms.ctypes.data, arena.places.ctypes.data
    while high > low:
        high, count = gather(query, arena, low, high, base)
        blocks = pack(query, arena, count)
        rows = Rows(arena.blocks.ctypes.data, norms, places, blocks, 1, 0, stop - base)
        scan_rows(query, arena, rows, pair, k)


@inner
def scan_packed(query: Query, arena: Arena, pair: Int, low: Int, high: Int, k: Int) -> None:
    """Rows `low:high` of the pair's packed ones, a superblock at a time; `low` is the first of a block."""
    size = ROWS_INT8 if query.integer else ROWS_FLOAT32
    block_bytes = size * query.rows.shape[1] * (1 if query.integer else 4)
    blocks, norms, places, shift, length = query.packed[pair]
    most = len(arena.places) // size
    first, last = low // size, (high + size - 1) // size
    while last > first:
        count = min(most, last - first)
        at = last - 1
        rows = Rows(blocks + at * block_bytes, norms + at * size * 4, places + at * size * 4, count, -1, shift, length)
        scan_rows(query, arena, rows, pair, k)
        last -= count


@inner
def scan(query: Query, arena: Arena, pair: Int, low: Int, high: Int, k: Int) -> None:
    """Rows `low:high` of a pair against all its candidates: leaves their best keys in the arena, unsorted."""
    base, candidates = query.bounds[pair], query.searched[pair]
    arena.counts[:candidates] = 0
    for own in range(candidates):  # a candidate without a vector is not to be beaten
        arena.limits[own] = -np.inf if query.candidate_inv_norms[base + own] > 0 else np.inf
    if query.packed[pair, 0] != 0:
        scan_packed(query, arena, pair, low, high, k)
    else:
        scan_gathered(query, arena, pair, low, high, k)


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
    width, products = query.rows.shape[1] * (1 if query.integer else 4), arena.products.ctypes.data
    while done < wanted:
        rows = min(gather_recent(query, arena, low, high - done), wanted - done)
        pack(query, arena, rows)
        arena.limits[0] = -np.inf
        for candidate in range(query.bounds[pair], query.bounds[pair + 1]):
            inv_norm = query.candidate_inv_norms[candidate]
            for place in range(rows if inv_norm > 0 else 0):
                if place % size == 0:
                    block = arena.blocks.ctypes.data + place * width
                    norms = arena.inv_norms.ctypes.data + place * 4
                    run_tile(query, block, 0, norms, arena.limits.ctypes.data, products, candidate, False)
                if arena.inv_norms[place] > 0:
                    scores[candidate, done + place] = arena.products[place % size] * inv_norm
                    present[candidate, done + place] = True
        done += rows


@kernel
def run_units(query: Query, arena: Arena, units: I64, k: Int, parts: U64, scores: F32, present: Flags) -> None:
    """One thread's share: `units` are (pair, low, high, first row in parts, whether it holds the newest rows)."""
    for unit in range(len(units)):
        pair, low, high, first, newest = units[unit]
        scan(query, arena, pair, low, high, k)
        candidates = query.searched[pair]
        keep_parts(arena, candidates, k, parts[first : first + candidates])
        if newest:
            recent(query, arena, pair, scores, present)


@kernel
def merge(
    parts: U64,
    units: I64,
    first_unit: I64,
    bounds: I64,
    searched: I64,
    starts: I64,
    scores: F32,
    positions: I64,
    counts: I32,
) -> None:
    """Results of all pairs from the parts of their units `first_unit[p]:first_unit[p+1]`."""
    for pair in range(len(starts)):
        mine = units[first_unit[pair] : first_unit[pair + 1]]
        heads = np.empty(len(mine), np.int64)
        for candidate in range(bounds[pair], bounds[pair] + searched[pair]):
            rows = mine[:, 3] + (candidate - bounds[pair])
            found = best_of(parts, rows, heads, starts[pair], scores[candidate], positions[candidate])
            counts[candidate] = found
